"""What can run a region: NumPy (tier 0, the oracle) and the null backend that runs nothing."""

from tidu.base.deferred import on_demand

# Switches of libraries that PyTorch calls.
__getattr__, __dir__ = on_demand(__name__, "cuda", "cudnn", "mps")
