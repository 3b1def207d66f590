"""A profile as a file for chrome://tracing, ui.perfetto.dev and TensorBoard."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from tidu.profiler.events import Event


def export_chrome_trace(
    events: Iterable[Event], path: str | os.PathLike[str], metadata: Mapping[str, Any]
) -> None:
    """Write the events as JSON, packed if the name ends in ".gz"."""
    text = json.dumps(
        {
            "schemaVersion": 1,
            "displayTimeUnit": "ms",
            **metadata,
            "traceEvents": [*_process(), *map(_entry, events)],
        }
    )
    name = os.fspath(path)
    if name.endswith(".gz"):
        with gzip.open(name, "wt", encoding="utf-8") as packed:
            packed.write(text)
    else:
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)


def _process() -> list[dict[str, Any]]:
    return [{"ph": "M", "name": "process_name", "pid": os.getpid(), "args": {"name": "python"}}]


def _entry(event: Event) -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": event.kind,
        "name": event.name,
        "pid": os.getpid(),
        "tid": threading.get_native_id(),
        "ts": event.start,
        "dur": event.cpu_time_total,
        "args": {"lines": event.lines},
    }
