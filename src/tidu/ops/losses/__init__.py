"""Losses, and distances between tensors."""
