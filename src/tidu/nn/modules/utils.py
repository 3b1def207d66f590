"""`torch.nn.modules.utils`: sizes that are given as one number or as several."""

from __future__ import annotations

from typing import Any

from tidu.nn.convolution import ntuple


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take `prefix`, such as "module." of a wrapper, from the names of a state dict, in place.

    >>> state = {"module.weight": torch.ones(2)}
    >>> consume_prefix_in_state_dict_if_present(state, "module."); list(state)
    ['weight']
    """
    for name in list(state_dict):
        if name.startswith(prefix):
            state_dict[name[len(prefix) :]] = state_dict.pop(name)
    metadata: dict[str, Any] = getattr(state_dict, "_metadata", {})
    for name in list(metadata):
        # The wrapper itself is "module", without the dot.
        if name and (name.startswith(prefix) or name == prefix.rstrip(".")):
            metadata[name[len(prefix) :]] = metadata.pop(name)


def _single(value: Any) -> tuple[Any, ...]:
    return ntuple(value, 1)


def _pair(value: Any) -> tuple[Any, ...]:
    return ntuple(value, 2)


def _triple(value: Any) -> tuple[Any, ...]:
    return ntuple(value, 3)
