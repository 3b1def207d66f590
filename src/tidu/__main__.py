"""`python -m tidu`: the same as the `tidu` command."""

from __future__ import annotations

import sys

from tidu.cli import main

if __name__ == "__main__":
    sys.exit(main())
