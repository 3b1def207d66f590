"""Whether a program wants the same bits from every run, also from one that was resumed."""

from __future__ import annotations

from tidu.base.changes import changes

_MODES = {0: "default", 1: "warn", 2: "error"}


class Determinism:
    """What was asked for, for all threads."""

    enabled = False
    warn_only = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same bits in every run.

    Results never depend on the number of threads or on timing. What may differ in the last bits is
    what runs as a compiled program and what, in the first steps, operation by operation: with this
    mode everything is compiled before it runs, and regions begin with `zero_grad()`, where a state
    is loaded, and with calls of what `compile()` made, so that a resumed run repeats the one that
    it continues. Follows torch.use_deterministic_algorithms; no operation is refused.

    >>> torch.use_deterministic_algorithms(True)
    """
    Determinism.enabled, Determinism.warn_only = bool(mode), bool(warn_only)
    changes.count += 1


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms(True)` is in force."""
    return Determinism.enabled


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether it was asked for with `warn_only`, which makes no difference here."""
    return Determinism.warn_only


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """`use_deterministic_algorithms` by a number or a word: 0 "default", 1 "warn", 2 "error"."""
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    mode = _MODES.get(debug_mode) if isinstance(debug_mode, int) else debug_mode
    if mode not in _MODES.values():
        raise RuntimeError(
            "invalid value of debug_mode, expected 0 (`default`), 1 (`warn`) or 2 (`error`), but "
            f"got {debug_mode}"
        )
    use_deterministic_algorithms(mode != "default", warn_only=mode == "warn")


def get_deterministic_debug_mode() -> int:
    """0 where the mode is off, 1 where it only warns, else 2."""
    return 0 if not Determinism.enabled else 1 if Determinism.warn_only else 2
