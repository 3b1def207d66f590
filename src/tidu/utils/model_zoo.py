"""`torch.utils.model_zoo`: the name that `torch.hub.load_state_dict_from_url` had before."""

from __future__ import annotations

from tidu.hub import load_state_dict_from_url

__all__ = ["load_url"]

load_url = load_state_dict_from_url
