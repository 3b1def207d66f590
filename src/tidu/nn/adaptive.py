"""Softmax over very many classes, of which the frequent ones come first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tidu.nn import functional as F
from tidu.nn.container import ModuleList
from tidu.nn.container import Sequential as Layers
from tidu.nn.linear import Linear
from tidu.nn.module import Module
from tidu.tensor import Tensor, namespaces

_cat = namespaces["torch"]["cat"]


class AdaptiveOutput(NamedTuple):
    """The log-probability of each target (`output`), and minus their mean (`loss`)."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """The log-probabilities of targets among `n_classes`, numbered from the most frequent one on.

    Classes below ``cutoffs[0]`` have a logit each in the head; those between two cutoffs share one,
    and are told apart by a cluster of their own, whose layers are narrower by `div_value` from one
    to the next. Inputs (N, in_features) and targets (N), or one of each. ValueError for cutoffs
    that do not increase between 1 and n_classes - 1, RuntimeError for shapes and targets that do
    not fit. Follows torch.nn.AdaptiveLogSoftmaxWithLoss; Grave et al., 2017,
    https://arxiv.org/abs/1609.04309.

    >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, n_classes=100, cutoffs=[10, 50])
    >>> layer(torch.randn(3, 16), torch.tensor([0, 20, 99])).output.shape
    torch.Size([3])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_cutoffs(list(cutoffs), n_classes)
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for number, (low, high) in enumerate(pairwise(self.cutoffs), 1):
            width = int(in_features // div_value**number)
            inner = Linear(in_features, width, bias=False, **made)
            self.tail.append(Layers(inner, Linear(width, high - low, bias=False, **made)))

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        for layer in self.tail.modules():
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> AdaptiveOutput:
        _check_shapes(input_, target_)
        single = target_.dim() == 0
        input = input_.unsqueeze(0) if single else input_  # (N, in_features)
        target = target_.unsqueeze(0) if single else target_  # (N)
        if bool(((target < 0) | (target >= self.n_classes)).any()):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        head = F.log_softmax(self.head(input), dim=1)
        places = target.clone()  # of the targets, or of their clusters, in the head
        output = input.new_zeros(target.size(0))
        for number, (low, high) in enumerate(pairwise(self.cutoffs)):
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            places = places.index_fill(0, rows, self.shortlist_size + number)
            within = F.log_softmax(self.tail[number](input.index_select(0, rows)), dim=1)
            chosen = within.gather(1, (target.index_select(0, rows) - low).unsqueeze(1))
            output = output.index_copy(0, rows, chosen.squeeze(1))
        output = output + head.gather(1, places.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return AdaptiveOutput(output.squeeze(0) if single else output, loss)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities (N, n_classes) of all classes."""
        return self._all(input, self.head(input))

    def _all(self, input: Tensor, head_output: Tensor) -> Tensor:
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for number, cluster in enumerate(self.tail):
            own = head[:, self.shortlist_size + number].unsqueeze(1)
            parts.append(F.log_softmax(cluster(input), dim=1) + own)
        whole: Tensor = _cat(parts, 1)
        return whole

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class (N), where a cluster is looked into only if it seems to win."""
        head_output = self.head(input)
        output: Tensor = head_output.argmax(dim=1)
        rows = (output >= self.shortlist_size).nonzero().squeeze(1)
        if rows.numel() == 0:
            return output
        whole = self._all(input.index_select(0, rows), head_output.index_select(0, rows))
        predicted: Tensor = output.index_copy(0, rows, whole.argmax(dim=1))
        return predicted


def _check_cutoffs(cutoffs: list[int], classes: int) -> None:
    if not cutoffs:
        raise ValueError("cutoffs should be a sequence of length larger than 0")
    if (
        cutoffs != sorted(set(cutoffs))
        or cutoffs[0] <= 0
        or cutoffs[-1] > classes - 1
        or any(int(cutoff) != cutoff for cutoff in cutoffs)
    ):
        raise ValueError(
            "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
            "order, where each value is between 1 and n_classes-1"
        )


def _check_shapes(input: Tensor, target: Tensor) -> None:
    if target.dim() > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() == 1 and input.size(0) != target.size(0):
        raise RuntimeError("Input and target should have the same size in the batch dimension.")
    if input.dim() != target.dim() + 1:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found "
            f"inputs with size {input.size()}"
        )
