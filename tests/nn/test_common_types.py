"""The types with which layers annotate sizes are there under PyTorch's names."""

from __future__ import annotations

import pytest

from tidu.nn import common_types

theirs = pytest.importorskip("torch.nn.common_types", reason="PyTorch is the oracle of this test")


@pytest.mark.parametrize("name", [name for name in vars(theirs) if name.endswith("_t")])
def test_types_are_those_of_pytorch(name: str) -> None:
    ours, expected = str(getattr(common_types, name)), str(getattr(theirs, name))
    assert ours.replace("tidu.Tensor", "torch.Tensor") == expected
