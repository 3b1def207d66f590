"""`torch.backends.cuda`: the switches that scripts set. There is no CUDA, and they do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class _MatrixProducts:
    """`torch.backends.cuda.matmul`; products are computed in the precision of their operands."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _MatrixProducts()


def is_built() -> bool:
    """False."""
    return False


@contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """A block in which attention would be computed by certain kernels; here by the only one."""
    yield
