"""`torch.backends.cudnn`: the switches that scripts set for reproducible runs. There is no cuDNN.

tidu's results do not depend on the run or on the number of threads, whatever is set here.
"""

from __future__ import annotations

enabled = True
benchmark = False
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """False."""
    return False


def version() -> int | None:
    """None: there is no cuDNN."""
    return None
