"""Pruning: a mask over a parameter, multiplied onto it before each call of its module.

A parameter `weight` becomes `weight_orig`, its mask the buffer `weight_mask`, and `weight` their
product.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tidu.nn.module import Module
from tidu.ops.moving.joining import cat
from tidu.tensor import Tensor, from_array, ones_like, rand, rand_like


class BasePruningMethod:
    """A way to choose what is pruned: a subclass defines `compute_mask` and `PRUNING_TYPE`.

    `PRUNING_TYPE` is "unstructured" (elements that are left are chosen from), "structured"
    (channels along `dim` that are left) or "global" (the whole tensor). As a forward pre-hook it
    computes the tensor.
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The new mask for the importance scores `t`,
        with zeros at least where `default_mask` has them.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define compute_mask")

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Module) -> Tensor:
        """The original times the mask."""
        mask = getattr(module, f"{self._tensor_name}_mask")
        original = getattr(module, f"{self._tensor_name}_orig")
        return mask.to(original.dtype) * original  # type: ignore[no-any-return]

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prune the parameter `name` of `module`, once more if it was pruned before."""
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        known = [
            (number, hook)
            for number, hook in module._forward_pre_hooks.items()
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
        ]
        for number, hook in known:
            container = PruningContainer(hook)
            del module._forward_pre_hooks[number]
            container.add_pruning_method(method)
            method = container
        original = getattr(module, name)
        scores = original if importance_scores is None else importance_scores
        if scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        default_mask = (
            getattr(module, f"{name}_mask").detach().clone()
            if known
            else ones_like(original.detach())
        )
        mask = method.compute_mask(scores.detach(), default_mask)
        if not known:
            delattr(module, name)
            module.register_parameter(f"{name}_orig", original)
        module.register_buffer(f"{name}_mask", mask)
        method(module, None)
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """`t` with zeros where this method prunes, without any module."""
        scores = t if importance_scores is None else importance_scores
        mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, mask)  # type: ignore[no-any-return]

    def remove(self, module: Module) -> None:
        """Make what is left an ordinary parameter again."""
        name = self._tensor_name
        weight = self.apply_mask(module).detach()
        original = getattr(module, f"{name}_orig")
        for attribute in (name, f"{name}_orig", f"{name}_mask"):
            delattr(module, attribute)
        original.data = weight.clone()
        module.register_parameter(name, original)


class PruningContainer(BasePruningMethod):
    """Several methods after one another: each chooses from what the ones before have left."""

    def __init__(self, *methods: BasePruningMethod) -> None:
        self._methods: list[BasePruningMethod] = []
        for method in methods:
            self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Append a method for the same tensor; ValueError if it is for another."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method._tensor_name != self._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' "
                f"to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        inner = method._methods if isinstance(method, PruningContainer) else [method]
        self._methods.extend(inner)

    def __len__(self) -> int:
        return len(self._methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._methods)

    def __getitem__(self, position: int) -> BasePruningMethod:
        return self._methods[position]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        method = self._methods[-1]
        left = default_mask.numpy() != 0
        if method.PRUNING_TYPE == "global":
            chosen: Any = tuple(slice(None) for _ in left.shape)
        elif method.PRUNING_TYPE == "unstructured":
            chosen = left
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim % left.ndim  # type: ignore[attr-defined]
            others = tuple(i for i in range(left.ndim) if i != dim)
            channels: list[Any] = [slice(None)] * left.ndim
            channels[dim] = np.flatnonzero(left.any(axis=others))
            chosen = tuple(channels)
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask = default_mask.numpy()
        scores = from_array(np.ascontiguousarray(t.numpy()[chosen]))
        part = method.compute_mask(scores, from_array(np.ascontiguousarray(mask[chosen])))
        mask[chosen] = part.numpy()
        return from_array(mask)


class Identity(BasePruningMethod):
    """Prunes nothing; for the names and the mask."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"the mask has shape {self.mask.shape}, the parameter {default_mask.shape}"
            )
        return default_mask * self.mask.to(default_mask.dtype)  # type: ignore[no-any-return]


class _ByAmount(BasePruningMethod):
    """Prunes a share (a float in [0, 1]) or a number (an int) of elements or channels."""

    def __init__(self, amount: float) -> None:
        if not isinstance(amount, (int, float)):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        if amount < 0 or (isinstance(amount, float) and amount > 1.0):
            raise ValueError(
                f"amount={amount} should either be a float in the range [0, 1] or a non-negative "
                "integer"
            )
        self.amount = amount

    def _count(self, size: int) -> int:
        if isinstance(self.amount, float):
            return round(self.amount * size)
        if self.amount > size:
            raise ValueError(
                f"amount={self.amount} should be smaller than the number of parameters to "
                f"prune={size}"
            )
        return self.amount


def _without_least(mask: Tensor, scores: Any, count: int) -> Tensor:
    """The mask with zeros at the `count` least scores."""
    changed = mask.numpy()
    changed.reshape(-1)[np.argsort(scores.reshape(-1), kind="stable")[:count]] = 0
    return from_array(changed)


class RandomUnstructured(_ByAmount):
    """Prunes elements by chance."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self._count(t.numel())
        return _without_least(default_mask, -rand_like(t).numpy(), count) if count else default_mask


class L1Unstructured(_ByAmount):
    """Prunes the elements of least magnitude."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self._count(t.numel())
        return _without_least(default_mask, abs(t.numpy()), count) if count else default_mask


class _Structured(_ByAmount):
    """Prunes whole channels along `dim`."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t: Tensor) -> Any:
        """A number for each channel, the least of which go."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.ndim <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {t.shape} with {t.ndim} dims"
            )
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        count = self._count(t.shape[self.dim])
        if not count:
            return default_mask
        least = np.argsort(self._scores(t), kind="stable")[:count]
        mask = default_mask.numpy()
        np.moveaxis(mask, self.dim, 0)[least] = 0
        return from_array(mask)


class RandomStructured(_Structured):
    """Prunes channels by chance."""

    def _scores(self, t: Tensor) -> Any:
        return rand(t.shape[self.dim]).numpy()


class LnStructured(_Structured):
    """Prunes the channels of least n-norm."""

    def __init__(self, amount: float, n: float, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Tensor) -> Any:
        channels = np.moveaxis(t.numpy(), self.dim, 0).reshape(t.shape[self.dim], -1)
        return np.linalg.norm(channels, ord=float(self.n), axis=1)


def identity(module: Module, name: str) -> Module:
    """Give the parameter `name` a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune a share or number of elements by chance."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prune the share or number of elements of least magnitude.

    >>> layer = l1_unstructured(torch.nn.Linear(4, 3), "weight", amount=0.5)
    >>> (layer.weight == 0).sum()
    tensor(6)
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune a share or number of channels along `dim` by chance."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: float,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the share or number of channels along `dim` whose n-norm is least."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune where `mask` is zero."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters together, as if they were one vector."""
    listed = list(parameters)
    scores = importance_scores or {}
    tensors = [scores.get((m, n), getattr(m, n)).detach() for m, n in listed]
    masks = [getattr(m, f"{n}_mask", None) for m, n in listed]
    known = [ones_like(t) if mask is None else mask for mask, t in zip(masks, tensors, strict=True)]
    first = Identity()
    first._tensor_name = "temp"
    container = PruningContainer(first)
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            "Only 'unstructured' PRUNING_TYPE supported for the `pruning_method`. Found method "
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    container.add_pruning_method(method)
    together = container.compute_mask(
        cat([t.reshape(-1) for t in tensors]), cat([mask.reshape(-1) for mask in known])
    )
    start = 0
    for (module, name), t in zip(listed, tensors, strict=True):
        stop = start + t.numel()
        custom_from_mask(module, name, together[start:stop].reshape(t.shape))
        start = stop


def remove(module: Module, name: str) -> Module:
    """Make what is left of the parameter `name` an ordinary parameter;
    ValueError if it is not pruned.
    """
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module: Module) -> bool:
    """Whether a parameter of `module` or of a module inside it is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for part in module.modules()
        for hook in part._forward_pre_hooks.values()
    )
