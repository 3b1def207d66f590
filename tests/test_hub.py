"""torch.hub fetches files once, checks them, and loads models from folders."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import tidu
from tidu import hub


@pytest.fixture
def served(tmp_path: Path) -> tuple[str, str]:
    """The address of a checkpoint, and its digest."""
    path = tmp_path / "served" / "model.pth"
    path.parent.mkdir()
    tidu.save({"weight": tidu.arange(3)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    named = path.with_name(f"model-{digest[:8]}.pth")
    path.rename(named)
    return named.as_uri(), digest


def test_a_checkpoint_is_fetched_once(served: tuple[str, str], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    state = hub.load_state_dict_from_url(served[0], str(kept), check_hash=True, progress=False)
    assert state["weight"].tolist() == [0, 1, 2]
    (file,) = kept.iterdir()
    tidu.save({"weight": tidu.zeros(1)}, file)
    again = tidu.utils.model_zoo.load_url(served[0], str(kept))
    assert again["weight"].tolist() == [0.0]


def test_a_file_with_another_digest_is_refused(served: tuple[str, str], tmp_path: Path) -> None:
    target = tmp_path / "target.pth"
    with pytest.raises(RuntimeError, match='invalid hash value \\(expected "0000"'):
        hub.download_url_to_file(served[0], str(target), "0000", progress=False)
    assert not target.exists() and not list(tmp_path.glob("*.partial"))
    hub.download_url_to_file(served[0], str(target), served[1][:8], progress=False)
    assert target.exists()


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "_chosen", {})
    monkeypatch.setenv("TORCH_HOME", "/somewhere")
    assert hub.get_dir() == "/somewhere/hub"
    hub.set_dir(tmp_path)
    assert hub.get_dir() == str(tmp_path)


def test_models_come_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "hubconf.py").write_text(
        "from sizes import WIDTH\n"
        "def linear(outputs, bias=True):\n"
        "    'A layer.'\n"
        "    import tidu\n"
        "    return tidu.nn.Linear(WIDTH, outputs, bias=bias)\n"
    )
    (tmp_path / "sizes.py").write_text("WIDTH = 4\n")
    options: dict[str, Any] = {"source": "local"}
    layer = hub.load(str(tmp_path), "linear", 2, bias=False, trust_repo=True, **options)
    assert tuple(layer.weight.shape) == (2, 4) and layer.bias is None
    assert hub.list(str(tmp_path), **options) == ["linear"]
    assert hub.help(str(tmp_path), "linear", **options) == "A layer."
    with pytest.raises(RuntimeError, match="Cannot find callable conv"):
        hub.load(str(tmp_path), "conv", **options)


def test_code_is_not_fetched() -> None:
    with pytest.raises(NotImplementedError, match=r'Clone pytorch/vision.*source="local"'):
        hub.load("pytorch/vision", "resnet18")
    with pytest.raises(ValueError, match="Unknown source"):
        hub.load("a", "b", source="elsewhere")
