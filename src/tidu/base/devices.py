"""Devices. There is one so far, the CPU; asking for another says so."""

from __future__ import annotations

from typing import Any

from tidu.base.source import at, here


class device:  # noqa: N801 (the name users know it by: torch.device)
    """``device('cpu')``: where a tensor lives.

    >>> device("cpu").type
    'cpu'
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            self.type: str = type.type
            self.index: int | None = type.index
            return
        if not isinstance(type, str):
            raise RuntimeError(f"device() takes a string such as 'cpu', but got {type!r}")
        kind, colon, number = type.partition(":")
        if kind not in ("cpu", "cuda", "mps", "meta", "xpu"):
            raise RuntimeError(
                "Expected one of cpu, cuda, xpu, mps, meta device type at start of device string: "
                f"{type}; tidu runs on 'cpu'{at(here())}"
            )
        if colon and not number.isdigit():
            raise RuntimeError(f"Invalid device string: '{type}'{at(here())}")
        self.type = kind
        self.index = int(number) if colon else index

    def __repr__(self) -> str:
        suffix = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{suffix})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_made, (self.type, self.index))

    def __enter__(self) -> device:
        """Make tensors on this device: the CPU, an error for others."""
        check(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing: tensors are made on the CPU anyway."""


def _made(type: str, index: int | None) -> device:
    return device(type, index)


CPU = device("cpu")


def check(wanted: Any) -> device:
    """The CPU device, which None stands for, too, or an error that says what to write instead.

    Like a PyTorch without CUDA it is an AssertionError for "cuda", a RuntimeError for others, also
    for the number of a CUDA device.
    """
    if wanted is None:
        return CPU
    by_number = wanted.__class__ is int
    if by_number:
        wanted = device("cuda", wanted)
    found = wanted if isinstance(wanted, device) else device(wanted)
    if found.type != "cpu":
        message = (
            f"tidu runs on the CPU only, and device '{found}' was asked for. Choose the device "
            f"with 'cuda' if torch.cuda.is_available() else 'cpu', or pass 'cpu'.{at(here())}"
        )
        if found.type == "cuda" and not by_number:
            raise AssertionError(f"Torch not compiled with CUDA enabled: {message}")
        raise RuntimeError(message)
    return CPU


class layout:  # noqa: N801 (the name users know it by: torch.layout)
    """What kind of storage a tensor has: `strided` is the only one."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


strided = layout("strided")
