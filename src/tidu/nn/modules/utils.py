"""`torch.nn.modules.utils`: sizes that are given as one number or as several."""

from __future__ import annotations

from typing import Any

from tidu.nn.convolution import ntuple


def _single(value: Any) -> tuple[Any, ...]:
    return ntuple(value, 1)


def _pair(value: Any) -> tuple[Any, ...]:
    return ntuple(value, 2)


def _triple(value: Any) -> tuple[Any, ...]:
    return ntuple(value, 3)
