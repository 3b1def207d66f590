"""What can run a region: NumPy (tier 0, the oracle) and the null backend that runs nothing."""
