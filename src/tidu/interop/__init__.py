"""Files that other programs write and read: PyTorch's checkpoints (`checkpoint` says what they are
made of, `loading` reads them), and safetensors.
"""

from __future__ import annotations

from tidu.interop.checkpoint import save
from tidu.interop.loading import load
