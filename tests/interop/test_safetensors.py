"""The safetensors format, beside the library that defines it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidu
from tidu.interop.safetensors import load_file, load_metadata, save_file

reference = pytest.importorskip(
    "safetensors.torch", reason="safetensors is the oracle of this test"
)
KINDS = (
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
)


def _tensors(library: Any) -> dict[str, Any]:
    made = {name: library.ones(2, 3, dtype=getattr(library, name)) for name in KINDS}
    return {**made, "scalar": library.tensor(2.5), "empty": library.zeros(0, 4)}


def _assert_equal(got: dict[str, Any], want: dict[str, Any]) -> None:
    assert set(got) == set(want)
    for name, x in want.items():
        assert str(got[name].dtype) == str(x.dtype) and tuple(got[name].shape) == tuple(x.shape)
        np.testing.assert_array_equal(got[name].float().numpy(), x.float().numpy())


def test_both_sides_read_what_the_other_wrote(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    save_file(_tensors(tidu), tmp_path / "ours.safetensors", {"made by": "us"})
    _assert_equal(reference.load_file(tmp_path / "ours.safetensors"), _tensors(torch))
    assert load_metadata(tmp_path / "ours.safetensors") == {"made by": "us"}
    reference.save_file(_tensors(torch), tmp_path / "theirs.safetensors")
    _assert_equal(load_file(tmp_path / "theirs.safetensors"), _tensors(tidu))


def test_views_and_parameters_are_written_as_what_they_show(tmp_path: Path) -> None:
    x = tidu.arange(6.0).reshape(2, 3)
    save_file({"t": x.t(), "p": tidu.nn.Parameter(x[1])}, tmp_path / "x.safetensors")
    loaded = load_file(tmp_path / "x.safetensors")
    assert loaded["t"].tolist() == x.t().tolist()
    assert loaded["p"].tolist() == [3.0, 4.0, 5.0]


def test_damaged_files_say_so(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": tidu.ones(100)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(ValueError, match=r"'x' of shape .* needs 400 bytes, but there are 396"):
        load_file(path)
    for content in (b"", b"hello", b"\xff" * 100, (10).to_bytes(8, "little") + b"not json.."):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a safetensors file"):
            load_file(path)
    with pytest.raises(ValueError, match="only tensors"):
        save_file({"x": 3}, path)  # type: ignore[dict-item]
