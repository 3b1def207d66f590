"""Tables of vectors that are looked up by number: embedding and one_hot; and bilinear forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.source import at, here
from tidu.ir.op import Array, Inferred, Op, Sample, Spec, define, function
from tidu.ir.value import Value
from tidu.ops.elementwise import abs_, eq, where
from tidu.ops.indexing.arrays import index, index_put
from tidu.ops.indexing.bounds import are_within, bounds_of
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.movement import permute, reshape
from tidu.ops.reductions.reduce import amax, sum_
from tidu.ops.rules import class_name, is_number, require_tensors
from tidu.ops.sources import arange_, full


def require_indices(operation: str, indices: Any) -> None:
    """RuntimeError unless the dtype is int64 or int32."""
    if indices.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{class_name(indices.dtype)}Tensor instead (while checking "
            f"arguments for {operation}); convert the indices with .long()"
        )


def _out_of_range(wrong: int, rows: int) -> str:
    return (
        f"index out of range in self: embedding got index {wrong}, but the weight has {rows} rows "
        f"(num_embeddings = {rows}), so indices go from 0 to {rows - 1}"
    )


def _embedding_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    require_tensors(op, inputs)
    weight, indices = inputs
    if len(weight.shape) != 2:
        raise RuntimeError(
            f"'weight' must be 2-D, but it has shape {list(weight.shape)} (embedding)"
        )
    require_indices("embedding", indices)
    rows = weight.shape[0]
    bounds = None if are_within(indices, rows) else bounds_of(indices)
    if bounds is not None and (bounds[0] < 0 or bounds[1] >= rows):
        wrong = bounds[1] if bounds[1] >= rows else bounds[0]
        raise IndexError(_out_of_range(wrong, rows) + at(here()))
    return inputs, (*indices.shape, weight.shape[1]), weight.dtype


def _embedding_numpy(weight: Any, indices: Any, padding_idx: int, scale_grad_by_freq: bool) -> Any:
    rows = weight.shape[0]
    if not indices.size:
        return np.empty((*indices.shape, weight.shape[1]), weight.dtype)
    if indices.min() < 0 or indices.max() >= rows:
        raise IndexError(
            _out_of_range(int(indices.max() if indices.max() >= rows else indices.min()), rows)
        )
    return weight.take(indices, axis=0)


def add_rows(
    rows: Any, weight: Any, indices: Any, padding_idx: int, scale_grad_by_freq: bool
) -> Any:
    """The cotangent of the table:
    each of `rows` is added to the row of the table that it came from.

    Rows that came from `padding_idx` are left out; with `scale_grad_by_freq` each is divided by how
    often its index occurs.
    """
    indices = reshape(indices, (-1,))
    rows = reshape(rows, (indices.shape[0], weight.shape[1]))
    if padding_idx >= 0:
        rows = where(reshape(eq(indices, padding_idx), (-1, 1)), 0.0, rows)
    if scale_grad_by_freq:
        counts = index_put((full(0.0, (weight.shape[0],), rows.dtype), 1.0, indices), (0,), True)
        rows = rows / reshape(index((counts, indices), (0,)), (-1, 1))
    return index_put((full(0.0, weight.shape, rows.dtype), rows, indices), (0,), True)


def _torch_rows_back(
    torch: Any, rows: Any, indices: Any, shape: Any, padding_idx: int, scale: bool
) -> Any:
    weight = torch.zeros(shape, dtype=rows.dtype, requires_grad=True)
    found = _torch_embedding(torch, weight, indices, padding_idx, scale)
    return torch.autograd.grad(found, weight, rows)[0]


# One operation on the way back, of the several that it is made of.
embedding_back = define(
    "embedding_back",
    inputs="rows indices",
    attrs="shape padding_idx scale_grad_by_freq",
    kind="composite",
    infer=lambda op, inputs, attrs: (inputs, attrs[0], inputs[0].dtype),
    decompose=lambda rows, indices, shape, padding_idx, scale: add_rows(
        rows, Spec(shape, rows.dtype), indices, padding_idx, scale
    ),
    samples=lambda: [
        Sample((Array((5, 3)), Array((5,), 0, 4, "int64"), (4, 3), -1, False)),
        Sample((Array((2, 3, 2)), Array((2, 3), 0, 4, "int64"), (4, 2), 1, False)),
        Sample((Array((5, 3)), Array((5,), 0, 2, "int64"), (2, 3), -1, True)),
        Sample((Array((0, 3)), Array((0,), 0, 2, "int64"), (2, 3), -1, False)),
    ],
    dtypes="float",
    reference=_torch_rows_back,
)


def _embedding_vjp(
    g: Any, out: Any, weight: Any, indices: Any, padding_idx: int, scale: bool
) -> Any:
    if g.__class__ is Value:
        return embedding_back.value((g, indices), (weight.shape, padding_idx, scale))
    # On the tape. Only the shape of the table is looked at, so that it is not kept.
    return add_rows(g, Spec(weight.shape, weight.dtype), indices, padding_idx, scale)


def _torch_embedding(torch: Any, weight: Any, indices: Any, padding_idx: int, scale: bool) -> Any:
    padding = None if padding_idx < 0 else padding_idx
    return torch.nn.functional.embedding(indices, weight, padding, scale_grad_by_freq=scale)


embedding_ = define(
    "embedding",
    inputs="weight indices",
    attrs="padding_idx scale_grad_by_freq",
    kind="composite",
    infer=_embedding_infer,
    numpy=_embedding_numpy,
    decompose=lambda weight, indices, padding_idx, scale_grad_by_freq: index(
        (weight, indices), (0,)
    ),
    vjp=(_embedding_vjp, None),
    samples=lambda: [
        Sample((Array((4, 3)), Array((5,), 0, 4, "int64"), -1, False)),
        Sample((Array((4, 3)), Array((2, 3), 0, 4, "int64"), -1, False)),
        Sample((Array((2, 3)), Array((), 0, 2, "int64"), -1, False)),
        Sample((Array((2, 3)), Array((0, 2), 0, 2, "int64"), -1, False)),
    ],
    dtypes="float",
    reference=_torch_embedding,
)


def renormalize(weight: Any, indices: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are looked up down to `max_norm`,
    in the table itself and beside the tape.
    """
    table = weight.detach()
    indices = reshape(indices, (-1,))
    rows = index((table, indices), (0,))
    if norm_type == math.inf:
        norms = amax(abs_(rows), (1,), True)
    else:
        norms = sum_(abs_(rows) ** norm_type, (1,), True) ** (1.0 / norm_type)
    rows = rows * where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
    table.copy_(index_put((table, rows, indices), (0,), False))


@function("torch.nn.functional.embedding")
def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """weight[input]: indices of any shape (…) into a table
    (num_embeddings, embedding_dim) give (…, embedding_dim).

    The row `padding_idx` gets no gradient. `max_norm` first scales the rows used down to that norm,
    in place. `scale_grad_by_freq` divides gradients by how often an index occurs. `sparse` is
    accepted; gradients are dense. Raises IndexError for an index outside the table, RuntimeError
    for indices that are not int32 or int64.

    >>> torch.nn.functional.embedding(torch.tensor([0, 1, 0]), torch.eye(2))
    tensor([[1., 0.],
            [0., 1.],
            [1., 0.]])
    """
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= rows
    if max_norm is not None:
        renormalize(weight, input, max_norm, norm_type)
    return embedding_(weight, input, -1 if padding_idx is None else padding_idx, scale_grad_by_freq)


def _one_hot_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (classes,) = inputs, attrs
    bounds = bounds_of(x)
    if bounds is not None:
        _check_classes(bounds[0], bounds[1], classes, at(here()))
    return inputs, (*x.shape, classes), dtypes.int64


def _check_classes(low: int, high: int, classes: int, where_: str = "") -> None:
    if low < 0:
        raise RuntimeError(
            f"Class values must be non-negative. one_hot got the class {low}{where_}"
        )
    if high >= classes:
        raise RuntimeError(
            f"Class values must be smaller than num_classes. one_hot got the class {high} for "
            f"{classes} classes{where_}"
        )


def _one_hot_numpy(x: Any, classes: int) -> Any:
    if x.size:
        _check_classes(int(x.min()), int(x.max()), classes)
    return x[..., None] == np.arange(classes)


one_hot_ = define(
    "one_hot",
    attrs="num_classes",
    kind="indexing",
    infer=_one_hot_infer,
    numpy=_one_hot_numpy,
    decompose=lambda x, classes: eq(
        reshape(x, (*x.shape, 1)), arange_(0, 1, classes, dtypes.int64)
    ).to(dtypes.int64),
    samples=lambda: [
        Sample((Array((4,), 0, 3, "int64"), 3)),
        Sample((Array((2, 3), 0, 3, "int64"), 5)),
        Sample((Array((), 0, 2, "int64"), 2)),
    ],
    dtypes="integer",
    reference=lambda torch, x, classes: torch.nn.functional.one_hot(x.long(), classes),
)


@function("torch.nn.functional.one_hot")
def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Classes of any shape (…) as (…, num_classes): 1 where the class is, 0 elsewhere.

    Without `num_classes` it is one more than the greatest class. Raises RuntimeError for classes
    outside [0, num_classes) and for a dtype other than int64.

    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if is_number(tensor):
        raise TypeError(
            f"one_hot(): argument 'self' (position 1) must be Tensor, not {type(tensor).__name__}"
        )
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensor of type LongTensor. It got "
            f"{tensor.dtype}; write .long()"
        )
    if 0 in tensor.shape and num_classes <= 0:
        if num_classes == -1:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        raise RuntimeError(f"num_classes should be positive, but it is {num_classes}")
    if num_classes == -1:
        greatest = amax(tensor, tuple(range(len(tensor.shape))), False)
        num_classes = int(greatest.item()) + 1
    elif num_classes < 1:
        raise RuntimeError(
            f"Class values must be smaller than num_classes. one_hot got num_classes = "
            f"{num_classes}"
        )
    return one_hot_(tensor, num_classes)


@function("torch.bilinear torch.nn.functional.bilinear")
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y_o = x₁ᵀ · weight_o · x₂ + bias_o: (…, n), (…, m) and a weight (o, n, m) give (…, o).

    Raises RuntimeError for sizes that do not fit.
    """
    outputs, n, m = weight.shape
    if input1.shape[-1] != n:
        raise RuntimeError(
            f"bilinear(): input1 size does not match weight size: got {input1.shape[-1]} but "
            f"expected {n}"
        )
    if input2.shape[-1] != m:
        raise RuntimeError(
            f"bilinear(): input2 size does not match weight size: got {input2.shape[-1]} but "
            f"expected {m}"
        )
    batch = input1.shape[:-1]
    if len(batch) != len(input2.shape) - 1:
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {len(input1.shape)} and "
            f"{len(input2.shape)}"
        )
    for dim, (a, b) in enumerate(zip(batch, input2.shape[:-1], strict=True)):
        if a != b:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {dim}: got {a} and {b}"
            )
    if bias is not None and bias.shape[0] != outputs:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected "
            f"{outputs}"
        )
    matrix = reshape(permute(weight, (1, 0, 2)), (n, outputs * m))
    partial = reshape(matmul(input1, matrix), (*batch, outputs, m))  # (…, o, m)
    product = matmul(partial, reshape(input2, (*batch, m, 1)))  # (…, o, 1)
    result = reshape.named("ViewBackward0", product, (*batch, outputs))
    return result if bias is None else result + bias
