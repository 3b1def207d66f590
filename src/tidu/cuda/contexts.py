"""Choosing a CUDA device for a block: possible only where the choice is none."""

from __future__ import annotations

from typing import Any

from tidu.base import devices

__all__ = ["device", "device_of"]


class device:  # noqa: N801 (PyTorch's name)
    """``with torch.cuda.device(index)``: RuntimeError, as there is no device to choose.

    A negative index chooses none and is allowed, as in PyTorch.
    """

    def __init__(self, device: Any) -> None:
        self.idx = _index(device)
        self.prev_idx = -1

    def __enter__(self) -> None:
        if self.idx >= 0:
            raise RuntimeError(
                "PyTorch was compiled without CUDA support: torch.cuda.device() needs a CUDA "
                "device, and tidu runs on the CPU only. Ask torch.cuda.is_available() first."
            )

    def __exit__(self, *error: object) -> None:
        pass


class device_of(device):  # noqa: N801 (PyTorch's name)
    """``with torch.cuda.device_of(tensor)``: nothing changes for a tensor on the CPU."""

    def __init__(self, obj: Any) -> None:
        super().__init__(-1)


def _index(wanted: Any) -> int:
    if isinstance(wanted, int):
        return wanted
    named = devices.device(wanted)
    if named.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {named}")
    return 0 if named.index is None else named.index
