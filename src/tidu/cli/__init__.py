"""The `tidu` command."""

from tidu.cli.command import main

__all__ = ["main"]
