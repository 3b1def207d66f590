"""Copies of tensors by `copy.copy`, `copy.deepcopy` and by pickling."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tidu.base.dtypes import dtype
from tidu.base.strides import Strides, strides_like
from tidu.ops.elementwise import positive
from tidu.tensor.laying import lay
from tidu.tensor.storage import Storage, StridedStorage
from tidu.tensor.tensor import Tensor, _new, from_array

# The attributes that a tensor may have which users have not given it.
OWN = frozenset(name for name in Tensor.__annotations__ if name.startswith("_"))


def deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if id(self) in memo:
        return memo[id(self)]  # type: ignore[no-any-return]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment. If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage; for a tensor with history, copy "
            "x.detach().clone()."
        )
    made = _new(type(self))
    memo[id(self)] = made
    if self._storage.inference:
        made._storage = positive(self.detach())._storage
    else:
        made._storage, made._chain = _storage_copy(self._storage, memo), self._chain
    made._leaf_requires_grad = self.requires_grad
    if self._grad is not None:
        made._grad = copy.deepcopy(self._grad, memo)
    for name, attribute in _of_the_user(self).items():
        made.__dict__[name] = copy.deepcopy(attribute, memo)
    return made


def _storage_copy(storage: Storage, memo: dict[Any, Any]) -> Storage:
    """Tensors that share memory share the copy of it; the Value in it never changes."""
    key = id(storage)
    if key not in memo:
        memo[key] = StridedStorage(storage.value, storage.strides)
    return memo[key]  # type: ignore[no-any-return]


def shallow_copy(self: Tensor) -> Tensor:
    """Another tensor on the same memory, a leaf without the gradient, as `copy.copy` makes it."""
    made = _new(type(self))
    made.__dict__.update(self.data.__dict__)
    made._leaf_requires_grad = self.requires_grad
    made.__dict__.update(_of_the_user(self))
    return made


def _of_the_user(self: Tensor) -> dict[str, Any]:
    """The attributes that users have given the tensor."""
    return {name: x for name, x in self.__dict__.items() if name not in OWN}


# Classes that pickles name in this way, whatever module they say that they are from.
KINDS: dict[str, type[Tensor]] = {"Tensor": Tensor}


def reduce(self: Tensor, protocol: int) -> Any:
    kind = type(self)
    name = kind.__name__ if KINDS.get(kind.__name__) is kind else kind
    array = np.array(self._array(), order="C")
    strides = strides_like(self._value.shape, self._strides()[0])
    return _rebuild, (name, array, self.dtype, self.requires_grad, _of_the_user(self), strides)


def _rebuild(
    kind: type[Tensor] | str,
    array: Any,
    d: dtype,
    requires_grad: bool,
    user: dict[str, Any],
    strides: Strides | None = None,
) -> Tensor:
    made = _new(KINDS[kind] if isinstance(kind, str) else kind)
    made._storage = lay(from_array(array, d), strides)._storage
    made._leaf_requires_grad = requires_grad
    made.__dict__.update(user)
    return made
