"""The lines of a replayed call, by the time at which they come.

What the programs have computed is put into its place by assignments alone. The interpreter does not
look for signals between those, so that Ctrl-C finds a step done or not done, never half of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tidu.replay.recording import Names
from tidu.replay.runtime import Gradients
from tidu.tensor import Storage, Tensor


class Stages:
    """Lines before the programs run; after that, to `prepare` what is then put into place by the
    assignments of `exchange`; the lines `after`; and to `undo` what was before, if a program fails.

    The last program may write results over leaves, `pairs` of places among leaves and results. It
    then runs in two parts: the `questions` are asked between them, and the second follows the
    assignments.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self.before: list[str] = []
        self.prepare: list[str] = []
        self.exchange: list[str] = []
        self.after: list[str] = []
        self.undo: list[str] = []
        self.pairs: list[tuple[int, int]] = []
        self.questions: list[str] = []

    def write_in_place(
        self, storages: Sequence[Storage], dtypes: Sequence[Any], buffers: Sequence[str]
    ) -> None:
        """Let memory hold new buffers: in its present Values if nobody else refers to those, which
        spares the making of new ones.
        """
        names = [self._names.bind(storage, "s") for storage in storages]
        held = [f"u{i}" for i in range(len(names))]
        self.questions += [
            *(f"{u} = {name}.value" for u, name in zip(held, names, strict=True)),
            f"alone = {held_by(1, held)}",
        ]
        self.prepare += [
            f"w = [{', '.join(buffers)}]",
            f"y = None if alone else values(w, {self._bind_list(dtypes)})",
        ]
        self.exchange += [
            "if alone:",
            f"    {_targets(f'{u}.buffer' for u in held)} = w",
            "else:",
            f"    {_targets(f'{name}.value' for name in names)} = y",
            *map(_count_write, names),
        ]

    def write(self, storage: str, dtype: Any, buffer: str) -> None:
        """Let memory, given by a text, hold a new Value."""
        number = len(self.exchange)  # for names that no other lines use
        self.prepare.append(f"z{number} = {storage}")
        self.prepare.append(f"if not are_unshared((z{number},)): raise Departure")
        self.prepare.append(f"y{number} = leaf({buffer}, {self._names.bind(dtype)})")
        self.exchange += [f"z{number}.value = y{number}", _count_write(f"z{number}")]

    def count(self, name: str, storages: Sequence[Storage], number: str) -> None:
        """Let the counts that `name` stands for go on."""
        self.prepare.append(f"c_{name} = {name}.value_of({number})")
        for storage in storages:
            text = self._names.bind(storage, "s")
            self.exchange += [f"{text}.value = c_{name}", _count_write(text)]
        self.after.append(f"{name}.remember({number}, c_{name})")

    def leave_gradients(
        self, owners: Sequence[Tensor], texts: Sequence[str], dtypes: Sequence[Any],
        buffers: Sequence[str], *, free: bool,
    ) -> None:  # fmt: skip
        """Leave new gradients: in the tensors of the call before if nobody else refers to them, to
        their memory or its Values. With `free`, the old numbers go before the programs run.
        """
        name = self._names.bind_alike(
            Gradients(owners, dtypes), *map(id, owners), *dtypes, prefix="t"
        )
        places = range(len(owners))
        present = " and ".join(f"{text}._grad is h{i}" for i, text in enumerate(texts))
        self.before += [
            f"{_targets(f'h{i}' for i in places)} = {name}.made",
            f"unseen = h0 is not None and {present}",
            "if unseen:",
            *(f"    m{i} = h{i}._storage; v{i} = m{i}.value" for i in places),
            # A gradient is held by its owner, and by what remembers it.
            f"    unseen = {held_by(1, (f'{x}{i}' for i in places for x in 'mv'))} and "
            f"{held_by(2, (f'h{i}' for i in places))} and "
            f"are_unshared(({''.join(f'm{i}, ' for i in places)}))",
        ]
        if free:
            self.before.append("if unseen:")
            self.before += [f"    v{i}.buffer = None" for i in places]
            self.before.append("else:")
            self.before += [f"    {text}._grad = None" for text in texts]
            self.undo.append(f"{name}.forget()")
        self.prepare += [
            f"b = [{', '.join(buffers)}]",
            f"f = None if unseen else {name}.fresh(b)",
        ]
        self.exchange += [
            "if unseen:",
            f"    {_targets(f'v{i}.buffer' for i in places)} = b",
            "else:",
            f"    {_targets(f'{text}._grad' for text in texts)} = {name}.made = f",
        ]

    def text(self, guards: str, accepts: list[str], body: list[str], result: str) -> str:
        """The whole call: conditions, lines that read its arguments, those that run the programs,
        and an expression for the result.
        """
        questions = [] if self.pairs else self.questions  # else they are a part of the body
        beginning = _BEGINNING.format(
            guards=guards, accepts=_indented(accepts, 8), before=_indented(self.before, 4)
        )
        width = 16 if self.pairs else 8
        rest = (_IN_PLACE if self.pairs else _APART).format(
            body=_indented([*body, *questions, *self.prepare], width),
            undo=_indented(self.undo, width),
            exchange=_indented(self.exchange, 16 if self.pairs else 4),
            after=_indented(self.after, 12 if self.pairs else 4),
            result=result,
        )
        return beginning + rest

    def _bind_list(self, dtypes: Sequence[Any]) -> str:
        return self._names.bind_alike(list(dtypes), *dtypes)


def _targets(texts: Iterable[str]) -> str:
    """The left side of an assignment of a sequence."""
    return "".join(f"{text}, " for text in texts).rstrip()


def _count_write(storage: str) -> str:
    return f"{storage}.version += 1; {storage}.edits += 1"


def held_by(holders: int, names: Iterable[str]) -> str:
    """A condition: so many other objects hold each of what some local variables hold."""
    return " == ".join(f"count({name})" for name in names) + f" == UNHELD + {holders}"


_BEGINNING = """\
def replay(args, kwargs):
    if changes.count != COUNT or changes.recorder is not None:
        return MISS
    try:
        own = state.own
        if not ({guards}):
            return MISS
{accepts}
    except Exception:
        return MISS
    ticks.left -= 1
    if ticks.left < 0:
        return MISS
{before}
"""

_APART = """\
    try:
{body}
    except Exception:
{undo}
        return MISS
    except BaseException:
{undo}
        raise
{exchange}
{after}
    return {result}
"""

# Once the exchange has begun, the step will have been done, also if Ctrl-C comes.
_IN_PLACE = """\
    free, done = False, False
    try:
        with lock:
            try:
{body}
            except Exception:
                if free:
                    turn.user = 0
{undo}
                return MISS
            except BaseException:
                if free:
                    turn.user = 0
{undo}
                raise
            try:
{exchange}
                done = True
                way.function(way.address, way.table)
            finally:
                turn.user = 0
    finally:
        if done:
{after}
    return {result}
"""


def _indented(lines: list[str], width: int) -> str:
    return "\n".join(" " * width + line for line in lines or ["pass"])
