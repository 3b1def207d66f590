"""``torch.utils.tensorboard``: curves, histograms, images and texts in files for TensorBoard.

The files are written here, so nothing else has to be installed where a program runs; `tensorboard
--logdir runs` shows them. `writer` has the interface, `records` the format of the files.
"""

from __future__ import annotations

from tidu.utils.tensorboard.writer import SummaryWriter

__all__ = ["SummaryWriter"]
