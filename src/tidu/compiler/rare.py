"""The text behind the instruction `rare`: a branch around a call for those lanes that need it."""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    """An argument of the scalar function: the type of an element, and a name."""

    element: str
    name: str

    def typed(self) -> str:
        return f"{self.element} {self.name}"


class Helpers(NamedTuple):
    """What the text of the functions depends on. `scalar` is the name of the scalar function, and
    `result` the type of an element of what it returns.
    """

    scalar: str
    result: str
    parameters: tuple[Parameter, ...]
    lanes: int

    @property
    def name(self) -> str:
        """The function to call, with the condition, the usual result and the arguments."""
        return f"{self.scalar}.{self.lanes}"

    def texts(self) -> set[str]:
        return {self._branch(), self._loop()}

    def _vector(self, element: str) -> str:
        return element if self.lanes == 1 else f"<{self.lanes} x {element}>"

    def _signature(self, condition: str = "%condition") -> str:
        typed = [f"{self._vector(p.element)} {p.name}" for p in self.parameters]
        return ", ".join(
            [f"{self._vector('i1')} {condition}", f"{self._vector(self.result)} %usual", *typed]
        )

    def _branch(self) -> str:
        kind, lanes = self._vector(self.result), self.lanes
        text = [
            f"define internal {kind} {self.name}({self._signature()}) alwaysinline {{",
            "entry:",
        ]
        # Lanes beyond the end of an array may hold anything: a branch needs to know them.
        text.append(f"%known = freeze {self._vector('i1')} %condition")
        if lanes > 1:
            text.append(f"%bits = bitcast <{lanes} x i1> %known to i{lanes}")
            text.append(f"%any = icmp ne i{lanes} %bits, 0")
        text.append(f"br i1 {'%any' if lanes > 1 else '%known'}, label %cold, label %done")
        call = f"call {kind} {self.name}.loop({self._signature('%known')})"
        text += ["cold:", f"%mended = {call}", "br label %done"]
        text += ["done:", f"%result = phi {kind} [ %usual, %entry ], [ %mended, %cold ]"]
        text += [f"ret {kind} %result", "}"]
        return "\n".join(text)

    def _loop(self) -> str:
        """Calls the scalar function for the lanes that need it; one lane needs no loop."""
        kind, lanes = self._vector(self.result), self.lanes
        head = f"define internal {kind} {self.name}.loop({self._signature()}) noinline cold {{"
        if lanes == 1:
            given = ", ".join(p.typed() for p in self.parameters)
            return "\n".join(
                [head, f"%r = call {kind} {self.scalar}({given})", f"ret {kind} %r", "}"]
            )
        text = [head, "entry:", "br label %lane", "lane:"]
        text.append("%i = phi i32 [ 0, %entry ], [ %following, %next ]")
        text.append(f"%sofar = phi {kind} [ %usual, %entry ], [ %result, %next ]")
        text.append(f"%needed = extractelement <{lanes} x i1> %condition, i32 %i")
        text += ["br i1 %needed, label %work, label %next", "work:"]
        for p in self.parameters:
            vector = f"{self._vector(p.element)} {p.name}"
            text.append(f"{p.name}.lane = extractelement {vector}, i32 %i")
        given = ", ".join(f"{p.typed()}.lane" for p in self.parameters)
        text.append(f"%one = call {self.result} {self.scalar}({given})")
        text.append(f"%more = insertelement {kind} %sofar, {self.result} %one, i32 %i")
        text += ["br label %next", "next:"]
        text.append(f"%result = phi {kind} [ %sofar, %lane ], [ %more, %work ]")
        text += ["%following = add i32 %i, 1", f"%done = icmp eq i32 %following, {lanes}"]
        text += ["br i1 %done, label %exit, label %lane", "exit:", f"ret {kind} %result", "}"]
        return "\n".join(text)
