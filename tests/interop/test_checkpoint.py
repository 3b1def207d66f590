"""Checkpoints: PyTorch reads ours and we read PyTorch's, nothing runs unasked, nothing is lost."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def everything(T: Any) -> dict[str, Any]:
    """One of each kind of thing that a checkpoint can hold, made by either library."""
    T.manual_seed(0)
    model = T.nn.Sequential(OrderedDict(a=T.nn.Linear(3, 4), b=T.nn.LSTM(4, 2)))
    x = T.randn(4, 6)
    kinds = ("bfloat16", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
    return {
        "state": model.state_dict(),
        "x": x,
        "transposed": x.t(),
        "part": x[1:3, 2],
        "expanded": T.ones(1, 3).expand(2, 3),
        "permuted": T.arange(24).reshape(2, 3, 4).permute(2, 0, 1),
        "twice": [x, x],
        "empty": T.zeros(0, 3),
        "scalar": T.tensor(3.5),
        "kinds": [T.ones(3, dtype=getattr(T, name)) for name in kinds],
        "frozen": T.nn.Parameter(T.ones(3), requires_grad=False),
        "parameter": T.nn.Parameter(T.ones(2)),
        "leaf": T.ones(2, requires_grad=True),
        "result": T.ones(2, requires_grad=True) * 2,
        "dtype": T.float32,
        "device": T.device("cpu"),
        "size": T.Size([1, 2]),
        "plain": (1, 2.5, "text", b"bytes", None, True, {1, 2}, 2**70, OrderedDict(a=[{}])),
    }


def assert_equal(a: Any, b: Any) -> None:
    """Equal in kind and content; either side may come from either library."""
    if isinstance(a, (torch.Tensor, tidu.Tensor)):
        assert (tuple(a.shape), str(a.dtype), a.requires_grad) == (
            tuple(b.shape),
            str(b.dtype),
            b.requires_grad,
        )
        assert type(a).__name__ == type(b).__name__
        np.testing.assert_array_equal(a.detach().float().numpy(), b.detach().float().numpy())
    elif isinstance(a, dict):
        assert list(a) == list(b) and type(a) is type(b)
        assert getattr(a, "_metadata", None) == getattr(b, "_metadata", None)
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert type(a).__name__ == type(b).__name__ and len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    elif isinstance(a, (torch.dtype, torch.device, tidu.dtype, tidu.device)):
        assert repr(a) == repr(b)
    else:
        assert a == b and type(a) is type(b)


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("form", ["zip", "before the zip files"])
def test_reads_what_pytorch_wrote(tmp_path: Path, form: str, weights_only: bool) -> None:
    written = everything(torch)
    path = tmp_path / "theirs.pt"
    torch.save(written, path, _use_new_zipfile_serialization=form == "zip")
    assert_equal(tidu.load(path, weights_only=weights_only), written)


@pytest.mark.parametrize("weights_only", [True, False])
def test_pytorch_reads_what_we_wrote(tmp_path: Path, weights_only: bool) -> None:
    written = everything(tidu)
    path = tmp_path / "ours.pt"
    tidu.save(written, path)
    assert_equal(torch.load(path, weights_only=weights_only), written)
    assert_equal(torch.load(path, mmap=True), written)
    assert_equal(tidu.load(path), written)


def test_open_files_do_as_well() -> None:
    written = everything(tidu)
    file = io.BytesIO()
    tidu.save(written, file)
    file.seek(0)
    assert_equal(torch.load(file), written)
    file.seek(0)
    assert_equal(tidu.load(file, map_location="cpu"), written)


def test_tensors_that_shared_memory_share_it_again(tmp_path: Path) -> None:
    tidu.save(everything(tidu), tmp_path / "ours.pt")
    loaded = tidu.load(tmp_path / "ours.pt")
    loaded["twice"][0].zero_()
    assert float(loaded["twice"][1].abs().sum()) == 0.0
    theirs = torch.load(tmp_path / "ours.pt")
    theirs["x"].zero_()
    assert float(theirs["transposed"].abs().sum()) == 0.0
    assert float(theirs["part"].abs().sum()) == 0.0


def test_optimizer_states_go_back_and_forth(tmp_path: Path) -> None:
    def trained(T: Any, steps: int) -> tuple[Any, Any]:
        model = T.nn.Linear(2, 2)
        T.nn.init.constant_(model.weight, 0.5)
        optimizer = T.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(steps):
            model(T.ones(1, 2)).sum().backward()
            optimizer.step()
        return model, optimizer

    _, theirs = trained(torch, 2)
    _, ours = trained(tidu, 0)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pt")
    ours.load_state_dict(tidu.load(tmp_path / "theirs.pt"))
    tidu.save(ours.state_dict(), tmp_path / "ours.pt")
    assert_equal(torch.load(tmp_path / "ours.pt")["state"], theirs.state_dict()["state"])


def test_whole_modules_are_read_where_the_file_is_trusted(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.GRU(2, 3))
    torch.save(model, tmp_path / "model.pt")
    loaded = tidu.load(tmp_path / "model.pt", weights_only=False)
    assert repr(loaded) == repr(model)
    assert_equal(loaded.state_dict(), model.state_dict())
    tidu.save(loaded, tmp_path / "model.pt")
    again = tidu.load(tmp_path / "model.pt", weights_only=False)
    assert_equal(again.state_dict(), model.state_dict())


class Touch:
    """Unpickling it would make a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_nothing_runs_unasked(tmp_path: Path) -> None:
    made = tmp_path / "made"
    tidu.save({"a": Touch(str(made))}, tmp_path / "evil.pt")
    with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed.*mkdir"):
        tidu.load(tmp_path / "evil.pt")
    assert not made.exists()
    tidu.save(tidu.nn.Linear(1, 1), tmp_path / "model.pt")
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        tidu.load(tmp_path / "model.pt")


class Plain:
    value = 3


def test_names_can_be_allowed(tmp_path: Path) -> None:
    tidu.save(Plain(), tmp_path / "plain.pt")
    with tidu.serialization.safe_globals([Plain]):
        assert tidu.serialization.get_safe_globals() == [Plain]
        assert tidu.load(tmp_path / "plain.pt").value == 3
    with pytest.raises(pickle.UnpicklingError):
        tidu.load(tmp_path / "plain.pt")


def test_what_cannot_be_saved_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    tidu.save({"a": tidu.ones(3)}, path)
    before = path.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        tidu.save({"a": lambda: None}, path)
    with pytest.raises(IndexError):
        tidu.save({"a": tidu.ones(3)[tidu.tensor([1, 2]) * 2]}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_damaged_files_say_so(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    tidu.save({"a": tidu.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RuntimeError, match=r"model\.pt is not a whole checkpoint"):
        tidu.load(path)
    for content, kind in ((b"hello world", pickle.UnpicklingError), (b"", EOFError)):
        path.write_bytes(content)
        with pytest.raises(kind, match="not a checkpoint"):
            tidu.load(path)
    with pytest.raises(FileNotFoundError):
        tidu.load(tmp_path / "nothing.pt")
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        tidu.save(1, tmp_path / "nowhere" / "model.pt")
    with pytest.raises(RuntimeError, match="cuda"):
        tidu.load(path, map_location="cuda")
