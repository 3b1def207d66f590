"""The DistributedSampler of `tidu.utils.data`."""

from tidu.data import DistributedSampler

__all__ = ["DistributedSampler"]
