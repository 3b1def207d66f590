"""What a child process finds of what other threads of its parent were about."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tidu.base.deferred import DeferredModule

FORK: Any = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
pytestmark = pytest.mark.skipif(FORK is None, reason="needs fork")


def test_a_module_that_another_thread_was_loading_is_whole_in_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_load.py").write_text("import time\ntime.sleep(0.5)\nanswer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    module: Any = DeferredModule("slow_to_load")
    thread = threading.Thread(target=lambda: module.answer)
    thread.start()
    time.sleep(0.1)
    here, there = FORK.Pipe(duplex=False)
    child = FORK.Process(target=lambda: there.send(module.answer))
    child.start()
    thread.join()
    assert here.poll(60)
    assert here.recv() == 42
    child.join()
