"""A two-way connection between the process that trains and a worker, over a socket pair.

An object is sent as its pickle, with the numbers of its arrays beside it and not inside, so that
the receiver reads them straight into the memory of the new arrays.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import select
import socket
import struct
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tidu.tensor import Tensor, from_array

Message = Sequence[Any]  # the pickle, then the buffers it refers to

_COUNT = struct.Struct("<Q")
# The ends that belong to this process. A forked worker closes those it inherits: while any process
# holds the other end, a worker would not notice that its own is gone.
_open_here: weakref.WeakSet[Channel] = weakref.WeakSet()


class ClosedError(Exception):
    """The process at the other end has closed the connection, or has ended."""


class Channel:
    """One end. Every send belongs to one receive at the other end, in order."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        _open_here.add(self)

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        _open_here.discard(self)
        self.socket.close()

    def hang_up(self) -> None:
        """Close, and tell the other end even if this socket is still open in another process."""
        with contextlib.suppress(OSError):  # where the other end was closed before
            self.socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def other_end_closed(self) -> bool:
        """Whether nobody listens any more; messages sent before that may still be waiting."""
        if not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(self.socket, 0)  # hanging up is always reported
        return bool(poll.poll(0))

    def send(self, message: Message) -> None:
        """Send what `pack` has made. Raises ClosedError."""
        sizes = [memoryview(part).nbytes for part in message]
        header = struct.pack(f"<{len(sizes) + 1}Q", len(sizes), *sizes)
        try:
            self.socket.sendall(header + message[0] if sizes[0] < 65536 else header)
            for part in message[sizes[0] < 65536 :]:
                self.socket.sendall(part)
        except OSError as error:
            raise ClosedError from error

    def receive(self) -> Any:
        """The next object; waits for it. Raises ClosedError."""
        (count,) = _COUNT.unpack(self._read(_COUNT.size))
        sizes = struct.unpack(f"<{count}Q", self._read(8 * count))
        parts = [self._read(size) for size in sizes]
        return pickle.loads(parts[0], buffers=parts[1:])

    def _read(self, size: int) -> memoryview:
        array: Any = np.empty(size, np.uint8)
        target = memoryview(array)
        rest = target
        while rest:
            try:
                count = self.socket.recv_into(rest)
            except OSError as error:
                raise ClosedError from error
            if count == 0:
                raise ClosedError
            rest = rest[count:]
        return target

    # A spawned worker gets its end in a pickle.
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Channel, (self.socket,))


def channel_pair() -> tuple[Channel, Channel]:
    """Two connected ends, the first one for this process."""
    mine, other = socket.socketpair()
    return Channel(mine), Channel(other)


def close_inherited(kept: Channel) -> None:
    """In a forked worker: close the ends of the parent process, except the one meant for it."""
    for channel in list(_open_here):
        if channel is not kept:
            channel.close()


def pack(data: Any, copy: bool = False) -> Message:
    """The pickle of `data`, and the buffers beside it: copies, or the memory of `data` itself."""
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=buffers.append).dump(data)
    raw = [buffer.raw() for buffer in buffers]
    return [file.getbuffer(), *(bytes(part) if copy else part for part in raw)]


class _Pickler(pickle.Pickler):
    """Sends tensors as the arrays of their numbers."""

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Tensor):
            return NotImplemented
        if obj.requires_grad and not obj.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since a "
                "gradient cannot pass between processes. If you just want to transfer the data, "
                "call detach() on the tensor before the worker returns it"
            )
        array = obj.detach()._array()
        return _unpack_tensor, (np.asarray(array, order="C"), type(obj), obj.requires_grad)


def _unpack_tensor(array: Any, kind: type[Tensor], requires_grad: bool) -> Tensor:
    tensor = from_array(array)
    if requires_grad:
        tensor.requires_grad_()
    return tensor
