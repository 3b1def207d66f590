"""Special functions: torch.special."""
