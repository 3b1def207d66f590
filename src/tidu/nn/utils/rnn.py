"""Sequences of several lengths: padded to one length, or packed without padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tidu.base import dtypes
from tidu.ops.indexing.arrays import index, index_put
from tidu.ops.moving.joining import cat, stack
from tidu.ops.moving.movement import reshape
from tidu.ops.sources import full
from tidu.tensor import Tensor, from_array


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """The rows of all sequences at time 0, then at time 1, ...; made by `pack_padded_sequence`,
    taken by RNNs.

    `data` holds the rows, `batch_sizes` how many sequences there are at each time. `sorted_indices`
    says which sequence stands where after sorting by length, None if they were sorted;
    `unsorted_indices` undoes it.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data and batch_sizes, or a pair of them")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={x!r}" for name, x in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({fields})"

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence with its data converted; itself where nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        return self

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        return self.to("cuda")

    def double(self) -> PackedSequence:
        return self.to(dtypes.float64)

    def float(self) -> PackedSequence:
        return self.to(dtypes.float32)

    def half(self) -> PackedSequence:
        return self.to(dtypes.float16)

    def long(self) -> PackedSequence:
        return self.to(dtypes.int64)

    def int(self) -> PackedSequence:
        return self.to(dtypes.int32)

    def short(self) -> PackedSequence:
        return self.to(dtypes.int16)

    def char(self) -> PackedSequence:
        return self.to(dtypes.int8)

    def byte(self) -> PackedSequence:
        return self.to(dtypes.uint8)

    @property
    def is_cuda(self) -> bool:
        return bool(self.data.is_cuda)

    def is_pinned(self) -> bool:
        return bool(self.data.is_pinned())

    def pin_memory(self) -> PackedSequence:
        return self


def _integers(numbers: Any) -> np.ndarray[Any, Any]:
    array = numbers.numpy() if isinstance(numbers, Tensor) else numbers
    integers: np.ndarray[Any, Any] = np.asarray(array, np.int64)
    return integers


def _numbers(array: np.ndarray[Any, Any]) -> Tensor:
    return from_array(np.ascontiguousarray(array, np.int64), dtypes.int64)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`."""
    if permutation is None:
        return None
    return _numbers(np.argsort(_integers(permutation), kind="stable"))


def batch_sizes_of(lengths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How many sequences there are at each time, for lengths in descending order."""
    return np.asarray(np.sum(lengths[None, :] > np.arange(lengths[0])[:, None], axis=1))


def _places(batch_sizes: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each packed row its time and its sequence."""
    times = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    sequences = np.concatenate([np.arange(n) for n in batch_sizes])
    return times, sequences


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences (T, B, …), or (B, T, …) with `batch_first`, without their padding.

    `lengths` holds the length of each, in descending order unless `enforce_sorted` is False. Raises
    RuntimeError for lengths that are not positive, longer than T, not as many as sequences, or not
    sorted.

    >>> packed = pack_padded_sequence(torch.ones(3, 2, 4), [3, 1])
    >>> packed.batch_sizes
    tensor([2, 1, 1])
    """
    sizes = _integers(lengths)
    sorted_indices = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        sorted_indices, sizes = _numbers(order), sizes[order]
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if input.ndim < 2:
        raise IndexError(
            f"pack_padded_sequence: a time and a batch dimension are needed, but the input has "
            f"shape {list(input.shape)}"
        )
    batch, longest = (
        (input.shape[0], input.shape[1]) if batch_first else (input.shape[1], input.shape[0])
    )
    _check_lengths(sizes, batch, longest)
    batch_sizes = batch_sizes_of(sizes)
    times, sequences = _places(batch_sizes)
    if sorted_indices is not None:
        sequences = _integers(sorted_indices)[sequences]
    rows = sequences * longest + times if batch_first else times * batch + sequences
    flat = reshape(input, (longest * batch, *input.shape[2:]))
    data = index.named("PackPaddedSequenceBackward0", (flat, _numbers(rows)), (0,))
    return PackedSequence(data, _numbers(batch_sizes), sorted_indices, None)


def _check_lengths(sizes: np.ndarray[Any, Any], batch: int, longest: int) -> None:
    if len(sizes) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} "
            f"(batch_size={batch})"
        )
    if np.any(sizes[1:] > sizes[:-1]):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if sizes[0] > longest:
        raise RuntimeError(
            f"pack_padded_sequence: a length of {sizes[0]} was given, but the input has only "
            f"{longest} time steps"
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded sequences (T, B, …), or (B, T, …) with `batch_first`, and the length of each.

    `total_length` pads to more than the longest; ValueError if it is less.
    """
    batch_sizes = _integers(sequence.batch_sizes)
    longest, batch = len(batch_sizes), int(batch_sizes[0])
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {longest}"
            )
        longest = total_length
    lengths = np.count_nonzero(batch_sizes[:, None] > np.arange(batch)[None, :], axis=0)
    times, sequences = _places(batch_sizes)
    if sequence.unsorted_indices is not None:
        undo = _integers(sequence.unsorted_indices)
        sequences, lengths = np.argsort(undo, kind="stable")[sequences], lengths[undo]
    rows = sequences * longest + times if batch_first else times * batch + sequences
    features = tuple(sequence.data.shape[1:])
    padding = full(
        _in_category(padding_value, sequence.data),
        (longest * batch, *features),
        sequence.data.dtype,
    )
    filled = index_put((padding, sequence.data, _numbers(rows)), (0,), False)
    outer = (batch, longest) if batch_first else (longest, batch)
    # PyTorch writes into a tensor of padding.
    padded = reshape.named("CopySlices", filled, (*outer, *features))
    return padded, _numbers(lengths)


def _in_category(value: Any, like: Tensor) -> Any:
    return float(value) if like.is_floating_point() else int(value)


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences (L, …) of several lengths to (T, B, …), or (B, T, …),
    with padding after or before them.

    Raises RuntimeError for an empty list, or for another `padding_side` than "left" and "right".

    >>> pad_sequence([torch.ones(2), torch.ones(3)], batch_first=True)
    tensor([[1., 1., 0.],
            [1., 1., 1.]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    listed = list(sequences)
    if not listed:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(x.shape[0] for x in listed)
    padded = []
    for x in listed:
        missing = longest - x.shape[0]
        if missing:
            rest = full(_in_category(padding_value, x), (missing, *x.shape[1:]), x.dtype)
            x = cat((x, rest) if padding_side == "right" else (rest, x))
        padded.append(x)
    return stack(padded, 0 if batch_first else 1)  # type: ignore[no-any-return]


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences (L, …) of a padded tensor, each cut to its length."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [x[:n] for x, n in zip(padded_sequences, lengths.tolist(), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (L, …), longest first unless `enforce_sorted` is False."""
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The list of sequences (L, …) that was packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
