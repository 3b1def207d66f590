"""Parameters and buffers: tensors that a module owns."""

from __future__ import annotations

import copy
from typing import Any

from tidu.base import devices, dtypes
from tidu.base.source import at, here
from tidu.tensor import Tensor, empty
from tidu.tensor.copying import KINDS
from tidu.tensor.overriding import disabled

_new = object.__new__


def _share(cls: type[Tensor], data: Tensor) -> Any:
    """A tensor of class `cls` over the memory of `data`, without its history."""
    made = _new(cls)
    made._storage = data._storage
    if data._chain is not None:
        made._chain, made._cached, made._seen = data._chain, data._cached, data._seen
    return made


class Parameter(Tensor):
    """A tensor that a module trains: assigned to an attribute of a module, it joins `parameters()`.

    ``Parameter(data, requires_grad=True)`` shares the memory of `data` and starts a new history.

    >>> Parameter(torch.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(
                f"Parameter(): argument 'data' must be a Tensor, not {type(data).__name__}; "
                f"make a tensor of it with torch.tensor(...) first{at(here())}"
            )
        made: Parameter = _share(cls, data)
        return made.requires_grad_(requires_grad)  # type: ignore[return-value]

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        """Everything is done by `__new__`, as for every tensor."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A parameter with the same numbers, without the gradient, as PyTorch copies it."""
        if id(self) not in memo:
            memo[id(self)] = type(self)(copy.deepcopy(self.data), self.requires_grad)
        return memo[id(self)]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    __str__ = __repr__
    __hash__ = Tensor.__hash__
    __torch_function__: Any = classmethod(disabled)


KINDS["Parameter"] = Parameter


class Buffer(Tensor):
    """A tensor that belongs to a module's state and is not trained, such as a running mean.

    ``self.mean = Buffer(zeros(3))`` registers it; `persistent=False` keeps it out of `state_dict`.
    """

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        made: Buffer = _share(cls, empty(0) if data is None else data)
        made._leaf_requires_grad = data is not None and data._leaf_requires_grad
        made.persistent = persistent
        return made

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        """Everything is done by `__new__`, as for every tensor."""

    __hash__ = Tensor.__hash__


class _Uninitialized(Tensor):
    """What the parameters and buffers of lazy modules are before the first call:
    without shape and memory.
    """

    _final: type[Tensor]
    _pending_dtype: dtypes.dtype

    @classmethod
    def _without_memory(cls, requires_grad: bool, device: Any, dtype: Any) -> Any:
        devices.check(device)
        made = _new(cls)
        made._pending_dtype = dtype or dtypes.get_default_dtype()
        made._leaf_requires_grad = requires_grad
        return made

    @property
    def _storage(self) -> Any:
        raise ValueError(
            "Attempted to use an uninitialized parameter or buffer: its shape is not known yet. "
            "Call the lazy module once with a sample input first, before computing with its "
            "parameters"
        )

    @_storage.setter
    def _storage(self, storage: Any) -> None:
        raise ValueError("an uninitialized parameter gets its memory from materialize(shape)")

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            "initialized one. Call `forward` to initialize the parameters before accessing their "
            "attributes."
        )

    @property
    def dtype(self) -> dtypes.dtype:
        return self._pending_dtype

    # Conversions of the whole module (`.half()`, `.to(...)`) only change what it will become.

    @property
    def data(self) -> Any:
        return self

    @data.setter
    def data(self, other: Any) -> None:
        self._pending_dtype = other.dtype

    def detach(self) -> Any:
        return self

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Itself, to be made in another dtype."""
        wanted = next(
            (x for x in (*args, *kwargs.values()) if isinstance(x, dtypes.dtype)),
            self._pending_dtype,
        )
        made = copy.copy(self)
        made._pending_dtype = wanted
        return made

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give it a shape: from here on it is an ordinary parameter or buffer."""
        devices.check(device)
        fresh = empty(shape, dtype=dtype or self._pending_dtype)
        self.__class__ = self._final  # type: ignore[assignment]
        self._storage = fresh._storage

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return memo.setdefault(id(self), copy.copy(self))

    def __copy__(self) -> Any:
        made = _new(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _new, (type(self),), self.__dict__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__
    __hash__ = Tensor.__hash__


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is inferred when its module first sees an input."""

    _final = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        return cls._without_memory(requires_grad, device, dtype)  # type: ignore[no-any-return]

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        """Everything is done by `__new__`, as for every tensor."""


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer whose shape is inferred when its module first sees an input."""

    _final = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        made: UninitializedBuffer = cls._without_memory(requires_grad, device, dtype)
        made.persistent = persistent
        return made

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        """Everything is done by `__new__`, as for every tensor."""


def is_lazy(tensor: Any) -> bool:
    """Whether this is a parameter or buffer that has no shape yet."""
    return isinstance(tensor, _Uninitialized)
