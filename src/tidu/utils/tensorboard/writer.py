"""SummaryWriter: what a program has to tell, as events in a file."""

from __future__ import annotations

import atexit
import itertools
import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from tidu.tensor import Tensor
from tidu.utils.tensorboard import records
from tidu.utils.tensorboard.pictures import arranged, png

_files = itertools.count()


class SummaryWriter:
    """Writes to a file in the folder `log_dir` (runs/, date and time, host and `comment` by
    default), for ``tensorboard --logdir``.

    `flush_secs` is how many seconds events may wait in memory. Follows
    torch.utils.tensorboard.SummaryWriter.

    >>> import tempfile
    >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
    ...     writer.add_scalar("loss", loss, global_step=1)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            started = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{started}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self._parts: dict[str, SummaryWriter] = {}
        os.makedirs(self.log_dir, exist_ok=True)
        name = (
            f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}."
            f"{next(_files)}{filename_suffix}"
        )
        self._file = open(os.path.join(self.log_dir, name), "wb")  # noqa: SIM115
        self._flushed = time.time()
        self._file.write(records.record(records.header(self._flushed)))
        self._file.flush()
        atexit.register(self.close)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def _write(self, value: bytes, step: Any, walltime: float | None) -> None:
        now = time.time()
        at = now if walltime is None else walltime
        self._file.write(records.record(records.event(at, int(step or 0), value)))
        if now - self._flushed > self.flush_secs:
            self.flush()

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
    ) -> None:
        """A point of the curve `tag`: a number, or a tensor or array of one element."""
        number = float(_array(scalar_value).reshape(()))
        self._write(records.scalar(tag, number), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Points of several curves in one picture. Each has a folder of its own."""
        for tag, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, f"{main_tag.replace('/', '_')}_{tag}")
            if folder not in self._parts:
                self._parts[folder] = SummaryWriter(folder, flush_secs=self.flush_secs)
            self._parts[folder].add_scalar(main_tag, value, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How the elements of `values` are distributed, over the bins of `numpy.histogram` or
        "tensorflow", which grow by a tenth from one to the next.

        ValueError if there are no elements.
        """
        numbers = _array(values).astype(np.float64).reshape(-1)
        if not numbers.size:
            raise ValueError("The input has no element.")
        if isinstance(bins, str) and bins == "tensorflow":
            bins = _growing_bins()
        counts, limits = _without_empty_ends(*np.histogram(numbers, bins=bins))
        self._write(
            records.histogram(
                tag,
                (float(numbers.min()), float(numbers.max())),
                (float(numbers.size), float(numbers.sum()), float(numbers @ numbers)),
                limits,
                counts,
            ),
            global_step,
            walltime,
        )

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: floats from 0 to 1, or integers from 0 to 255, in the order of the letters."""
        pixels = arranged(_array(img_tensor), dataformats)
        height, width, channels = pixels.shape
        value = records.image(tag, height, width, channels, png(pixels))
        self._write(value, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures as one."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A figure of matplotlib, or a list of them; with `close`, which are cleared then."""
        for one in figure if isinstance(figure, list) else [figure]:
            one.canvas.draw()
            pixels = np.asarray(one.canvas.buffer_rgba())[..., :3]
            self.add_image(tag, pixels, global_step, walltime, "HWC")
            if close:
                one.clear()

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A text in Markdown."""
        self._write(records.text(f"{tag}/text_summary", text_string), global_step, walltime)

    def flush(self) -> None:
        """Write what waits in memory."""
        for part in self._parts.values():
            part.flush()
        if not self._file.closed:
            self._file.flush()
        self._flushed = time.time()

    def close(self) -> None:
        """Write what waits, and close the files."""
        for part in self._parts.values():
            part.close()
        self._file.close()
        atexit.unregister(self.close)

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _array(values: Any) -> Any:
    return values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _growing_bins() -> list[float]:
    positive = [1e-12 * 1.1**power for power in range(774)]
    return [*(-limit for limit in reversed(positive)), 0.0, *positive]


def _without_empty_ends(counts: Any, limits: Any) -> tuple[list[float], list[float]]:
    """Of the bins those that are not empty, and one before: TensorBoard draws from it."""
    filled = np.flatnonzero(counts)
    start, end = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 1)
    kept = [0, *counts[:end]] if start == 0 else counts[start - 1 : end]
    return [float(count) for count in kept], [float(limit) for limit in limits[start : end + 1]]
