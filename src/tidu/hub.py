"""``torch.hub``: files from the network, kept in a folder, and models from folders with a
`hubconf.py`.

Code is never fetched from the network: a repository is cloned by whoever wants to run it, and
loaded with ``source="local"``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from tidu.interop.loading import load as _load_file

__all__ = [
    "download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url",
    "set_dir",
]  # fmt: skip

_CHUNK = 1 << 20
_chosen: dict[str, str] = {}


def get_dir() -> str:
    """The folder for what is kept: that of `set_dir`, or `hub` in $TORCH_HOME, or in torch/ of
    $XDG_CACHE_HOME, or in ~/.cache/torch.
    """
    if "folder" in _chosen:
        return _chosen["folder"]
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Choose the folder for what is kept."""
    _chosen["folder"] = os.path.expanduser(d)


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a file from the network, and check that its SHA256 begins with `hash_prefix`.

    RuntimeError where it does not; `dst` is written only if all went well. With `progress` a line
    on standard error says what is fetched.
    """
    dst = os.path.expanduser(dst)
    if progress:
        print(f'Downloading: "{url}" to {dst}', file=sys.stderr)
    digest = hashlib.sha256()
    folder = os.path.dirname(os.path.abspath(dst))
    handle, part = tempfile.mkstemp(dir=folder, suffix=".partial")
    try:
        request = Request(url, headers={"User-Agent": "torch.hub"})
        with os.fdopen(handle, "wb") as file, urlopen(request) as source:
            while chunk := source.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
        found = digest.hexdigest()[: len(hash_prefix or "")]
        if hash_prefix is not None and found != hash_prefix:
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{found}")')
        shutil.move(part, dst)
    finally:
        if os.path.exists(part):
            os.remove(part)


# Names of files may end in the first digits of their SHA256: resnet18-f37072fd.pth.
_HASHED = re.compile(r"-([a-f0-9]*)\.")


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> Any:
    """`torch.load` of a file from the network, which is fetched once and kept in `model_dir`.

    With `check_hash` the file name has to end in the first digits of the file's SHA256.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    kept = os.path.join(folder, name)
    if not os.path.exists(kept):
        hashed = _HASHED.search(name) if check_hash else None
        download_url_to_file(url, kept, hashed.group(1) if hashed else None, progress)
    return _load_file(kept, map_location=map_location, weights_only=weights_only)


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """What the function `model` of `hubconf.py` in the folder `repo_or_dir` returns.

    NotImplementedError for the source "github", the default: see above.
    """
    kwargs = {k: v for k, v in kwargs.items() if k not in _OF_DOWNLOADS}
    return _entry_point(_configuration(repo_or_dir, source), model)(*args, **kwargs)


def list(github: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The names of the models that `hubconf.py` in a folder offers."""
    found = vars(_configuration(github, source))
    return [name for name, x in found.items() if callable(x) and not name.startswith("_")]


def help(github: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The docstring of the function `model` of `hubconf.py` in a folder."""
    return _entry_point(_configuration(github, source), model).__doc__


_OF_DOWNLOADS = ("force_reload", "verbose", "trust_repo", "skip_validation")


def _configuration(folder: str, source: str) -> ModuleType:
    if source == "github":
        _refuse_download(folder)
    if source != "local":
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    path = os.path.join(os.path.expanduser(folder), "hubconf.py")
    spec = importlib.util.spec_from_file_location("hubconf", path)
    if spec is None or spec.loader is None or not os.path.exists(path):
        raise FileNotFoundError(f"torch.hub: there is no {path}")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(path))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(os.path.dirname(path))
    return module


def _refuse_download(repository: str) -> NoReturn:
    raise NotImplementedError(
        f"torch.hub: code is not fetched from the network. Clone {repository} yourself, and give "
        'the folder with source="local"'
    )


def _entry_point(module: ModuleType, name: str) -> Callable[..., Any]:
    if not isinstance(name, str):
        raise ValueError("Invalid input: model should be a string of function name")
    found = getattr(module, name, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {name} in hubconf")
    entry: Callable[..., Any] = found
    return entry
