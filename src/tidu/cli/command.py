"""The command line of tidu: what `tidu ...` and `python -m tidu ...` understand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tidu import __version__
from tidu.cli.run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the `tidu` command with `arguments` (`sys.argv` if None) and returns its exit status.

    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    options = parser().parse_args(arguments)
    return run(options.script, options.arguments, as_module=options.module)


def parser() -> argparse.ArgumentParser:
    """The parser of the command; every subcommand is declared here."""
    command = argparse.ArgumentParser(prog="tidu", description="Deep learning with PyTorch's API.")
    command.add_argument("--version", action="version", version=f"tidu {__version__}")
    subcommands = command.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")

    run_command = subcommands.add_parser(
        "run",
        help="run a script written for PyTorch, unchanged, on tidu",
        description="Runs a script as Python does, only that `import torch` gives it tidu. "
        "Tracebacks end at the script's own lines; TIDU_TRACEBACK=full shows every frame.",
    )
    run_command.add_argument(
        "-m", dest="module", action="store_true", help="SCRIPT is a module's name, as in python -m"
    )
    run_command.add_argument("script", metavar="SCRIPT", help="the script's path")
    run_command.add_argument(
        "arguments", metavar="...", nargs=argparse.REMAINDER, help="arguments for the script"
    )
    return command
