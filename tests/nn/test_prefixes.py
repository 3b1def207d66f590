"""Names of a wrapped module's state become those of the module, as in PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def stripped(library: Any, prefix: str) -> tuple[list[str], list[str]]:
    nn = library.nn
    model = nn.DataParallel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    state = model.state_dict()
    nn.modules.utils.consume_prefix_in_state_dict_if_present(state, prefix)
    model.module.load_state_dict(state, strict=prefix == "module.")
    return list(state), sorted(state._metadata)


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_a_prefix_is_taken_from_names_and_versions(prefix: str) -> None:
    assert stripped(tidu, prefix) == stripped(torch, prefix)
