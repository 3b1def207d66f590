"""einsum: sums of products in Einstein's notation, done as a chain of matrix products.

Labels are numbers inside: 0 to 51 for the letters (or the numbers of a sublist), and from 52 on for
the dimensions that an ellipsis stands for, counted from the right so that they broadcast.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tidu.ir.op import function
from tidu.ops.elementwise import mul
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.movement import diagonal_, permute, reshape, unsqueeze_dims
from tidu.ops.reductions.reduce import sum_over

Labels = list[int]
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ELLIPSIS = len(_LETTERS)
_DOTS = -1


def _letters(part: str, where: str) -> Labels:
    """The labels of one term of an equation, _DOTS for an ellipsis."""
    labels: Labels = []
    rest = part.replace(" ", "")
    while rest:
        if rest.startswith("..."):
            if _DOTS in labels:
                raise RuntimeError(
                    f"einsum(): found '.' for {where} for which an ellipsis was already found"
                )
            labels.append(_DOTS)
            rest = rest[3:]
            continue
        letter = rest[0]
        if letter == ".":
            raise RuntimeError(f"einsum(): found '.' for {where} that is not part of any ellipsis")
        if letter not in _LETTERS:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {part.index(letter)} in the equation"
                " string, subscripts must be in [a-zA-Z]"
            )
        labels.append(_LETTERS.index(letter))
        rest = rest[1:]
    return labels


def _from_equation(equation: str, operands: Sequence[Any]) -> tuple[list[Labels], Labels | None]:
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        more = "fewer" if len(operands) < len(terms) else "more"
        raise RuntimeError(
            f"einsum(): {more} operands were provided than specified in the equation:"
            f" {len(operands)} for '{equation}'"
        )
    subscripts = [_letters(term, f"operand {i}") for i, term in enumerate(terms)]
    return subscripts, _letters(right, "the output") if arrow else None


def _from_sublists(arguments: Sequence[Any]) -> tuple[list[Labels], Labels | None, list[Any]]:
    """einsum(x, [0, 1], y, [1, 2], [0, 2])."""

    def labels(sublist: Sequence[Any]) -> Labels:
        found = [_DOTS if s is Ellipsis else int(s) for s in sublist]
        for s in found:
            if not _DOTS <= s < _ELLIPSIS:
                raise RuntimeError(
                    f"einsum(): not all subscripts are in the range [0, {_ELLIPSIS}), found {s}"
                )
        return found

    operands = list(arguments[0 : len(arguments) // 2 * 2 : 2])
    subscripts = [labels(s) for s in arguments[1::2]]
    output = labels(arguments[-1]) if len(arguments) % 2 else None
    return subscripts, output, operands


def _expanded(labels: Labels, rank: int, operand: int) -> Labels:
    """Numbers for the dimensions that the ellipsis of an operand stands for."""
    named = len(labels) - labels.count(_DOTS)
    if _DOTS not in labels:
        if named != rank:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the"
                f" number of dimensions ({rank}) for operand {operand} and no ellipsis was given"
            )
        return labels
    if named > rank:
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({named}) is more than the number"
            f" of dimensions ({rank}) for operand {operand}"
        )
    place = labels.index(_DOTS)
    count = rank - named
    return labels[:place] + [_ELLIPSIS + count - 1 - i for i in range(count)] + labels[place + 1 :]


def _output(subscripts: list[Labels], output: Labels | None, dots: int) -> Labels:
    """The labels of the result; without an arrow, those that occur once, in alphabetical order."""
    ellipsis = [_ELLIPSIS + dots - 1 - i for i in range(dots)]
    if output is None:
        flat = [s for labels in subscripts for s in labels]
        return ellipsis + sorted(s for s in set(flat) if s < _ELLIPSIS and flat.count(s) == 1)
    result: Labels = []
    for s in output:
        result += ellipsis if s == _DOTS else [s]
    known = {s for labels in subscripts for s in labels}
    for s in result:
        if s not in known and s < _ELLIPSIS:
            raise RuntimeError(
                f"einsum(): output subscript {_name(s)} does not appear in the equation for any"
                " input operand"
            )
        if result.count(s) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {_name(s)} appears more than once in the output"
            )
    return result


def _name(label: int) -> str:
    return _LETTERS[label] if label < _ELLIPSIS else "..."


def _without_repeats(x: Any, labels: Labels, operand: int) -> tuple[Any, Labels]:
    """A label that stands twice in one operand means its diagonal."""
    labels = list(labels)
    for s in sorted(set(labels)):
        while labels.count(s) > 1:
            a = labels.index(s)
            b = labels.index(s, a + 1)
            if x.shape[a] != x.shape[b]:
                raise RuntimeError(
                    f"einsum(): subscript {_name(s)} is repeated for operand {operand} but the"
                    f" sizes don't match, {x.shape[b]} != {x.shape[a]}"
                )
            x = diagonal_(x, 0, a, b)
            labels = [t for i, t in enumerate(labels) if i not in (a, b)] + [s]
    return x, labels


def _check_sizes(operands: list[Any], subscripts: list[Labels]) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for number, (x, labels) in enumerate(zip(operands, subscripts, strict=True)):
        for s, n in zip(labels, x.shape, strict=True):
            known = sizes.get(s, 1)
            if n != known and 1 not in (n, known):
                raise RuntimeError(
                    f"einsum(): subscript {_name(s)} has size {n} for operand {number} which does"
                    f" not broadcast with previously seen size {known}"
                )
            sizes[s] = n if known == 1 else known
    return sizes


def _drop_ones(x: Any, labels: Labels, sizes: dict[int, int]) -> tuple[Any, Labels]:
    """Dimensions of size 1 that stand for a greater size need no label: they broadcast."""
    kept = [i for i, s in enumerate(labels) if x.shape[i] == sizes[s]]
    if len(kept) == len(labels):
        return x, labels
    return reshape(x, tuple(x.shape[i] for i in kept)), [labels[i] for i in kept]


def _sum_out(x: Any, labels: Labels, needed: set[int]) -> tuple[Any, Labels]:
    """Sum over the labels that nothing else needs."""
    dims = tuple(i for i, s in enumerate(labels) if s not in needed)
    if not dims:
        return x, labels
    return sum_over(x, dims, dtype=x.dtype), [s for s in labels if s in needed]


def _arranged(x: Any, labels: Labels, groups: Sequence[Labels]) -> Any:
    """Dimensions in the order of the groups, each group merged into one."""
    order = [labels.index(s) for group in groups for s in group]
    shape = tuple(prod(x.shape[labels.index(s)] for s in group) for group in groups)
    moved = permute(x, tuple(order)) if order != list(range(len(order))) else x
    return reshape(moved, shape)


def _beside(x: Any, labels: Labels, every: Labels) -> Any:
    """Dimensions in the order of `every`, with a size of 1 for each label that `x` lacks."""
    order = tuple(labels.index(s) for s in every if s in labels)
    moved = permute(x, order) if order != tuple(range(len(order))) else x
    missing = tuple(i for i, s in enumerate(every) if s not in labels)
    return unsqueeze_dims(moved, missing) if missing else moved


def _product(
    x: Any, a: Labels, y: Any, b: Labels, needed: set[int], output: Labels
) -> tuple[Any, Labels]:
    """The product of two operands, summed over what they share and nothing else needs."""
    x, a = _sum_out(x, a, needed | set(b))
    y, b = _sum_out(y, b, needed | set(a))
    batch = [s for s in a if s in b and s in needed]
    summed = [s for s in a if s in b and s not in needed]
    if not summed:
        every = [s for s in output if s in a or s in b]
        every += [s for s in dict.fromkeys((*a, *b)) if s not in output]
        return mul(_beside(x, a, every), _beside(y, b, every)), every
    left = [s for s in a if s not in b]
    right = [s for s in b if s not in a]
    size = {**dict(zip(a, x.shape, strict=True)), **dict(zip(b, y.shape, strict=True))}
    shape = tuple(size[s] for s in (*batch, *left, *right))
    first, second = _arranged(x, a, (batch, left, summed)), _arranged(y, b, (batch, summed, right))
    return reshape(matmul.named("BmmBackward0", first, second), shape), batch + left + right


def _of_one(x: Any, labels: Labels, output: Labels) -> Any:
    """Dimensions in the order of the output, the sum over the others."""
    rest = [s for s in labels if s not in output]
    moved = permute(x, tuple(labels.index(s) for s in (*output, *rest)))
    return _sum_out(moved, [*output, *rest], set(output))[0]


@function("torch.einsum")
def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products of elements, as an equation says: 'ij,jk->ik' is the matrix product.

    Each letter names a dimension. Letters missing after '->' are summed over; without '->' those
    that occur once are kept, in alphabetical order. '...' stands for dimensions that broadcast.
    Instead of an equation, operands may alternate with lists of numbers: einsum(x, [0, 1], y, [1,
    2], [0, 2]). Raises RuntimeError for an equation that does not fit the operands.

    >>> torch.einsum('i,j->ij', torch.ones(2), torch.arange(3.))
    tensor([[0., 1., 2.],
            [0., 1., 2.]])
    """
    if isinstance(equation, str):
        items = (
            list(operands[0])
            if len(operands) == 1 and isinstance(operands[0], (tuple, list))
            else list(operands)
        )
        terms, wanted = _from_equation(equation, items)
    else:
        if len(operands) < 1:
            raise ValueError(
                "einsum(): must specify the equation string and at least one operand, or at least"
                " one operand and its subscripts list"
            )
        terms, wanted, items = _from_sublists((equation, *operands))
    if not items:
        raise RuntimeError("einsum(): must provide at least one operand")
    subscripts = [
        _expanded(labels, len(x.shape), i)
        for i, (labels, x) in enumerate(zip(terms, items, strict=True))
    ]
    dots = max(sum(s >= _ELLIPSIS for s in labels) for labels in subscripts)
    output = _output(subscripts, wanted, dots)
    diagonals = [
        _without_repeats(x, labels, i)
        for i, (x, labels) in enumerate(zip(items, subscripts, strict=True))
    ]
    sizes = _check_sizes([x for x, _ in diagonals], [labels for _, labels in diagonals])
    operands_left = [_drop_ones(x, labels, sizes) for x, labels in diagonals]
    result, labels = operands_left[0]
    if len(operands_left) == 1:
        return _of_one(result, labels, output)
    for number, (x, own) in enumerate(operands_left[1:], 1):
        later = {s for _, others in operands_left[number + 1 :] for s in others}
        result, labels = _product(result, labels, x, own, set(output) | later, output)
    if labels == output:
        return result
    # What PyTorch calls it: it drops the summed dimensions with a view at the end.
    return permute.named("ViewBackward0", result, tuple(labels.index(s) for s in output))
