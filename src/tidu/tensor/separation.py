"""Where the same bits are wanted from every run: regions that begin and end at the same places."""

from __future__ import annotations

from tidu.base.determinism import Determinism
from tidu.execute import realize


def keep_apart() -> None:
    """Under `use_deterministic_algorithms(True)`, run what is pending by itself.

    What is run together may be added up in another order. So that a step does not depend on what
    happened to wait before it (copies for a checkpoint, or from one), its region begins anew.
    """
    if Determinism.enabled:
        realize()
