"""Files that other programs write and read: PyTorch's checkpoints, safetensors."""

from __future__ import annotations

from tidu.interop.checkpoint import load, save
