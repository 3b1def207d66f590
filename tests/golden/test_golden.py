"""The text of each pass's result for small programs, compared with what is written down.

A change that was meant to change nothing leaves the files as they are. Where it was meant to:
``TIDU_UPDATE_GOLDEN=1 pytest tests/golden`` writes them anew, and the difference is there to read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden.programs import PROGRAMS, graphs
from tidu.backends.null import VECTOR_BYTES
from tidu.compiler import pipeline
from tidu.compiler.render import render
from tidu.compiler.verify import verify_form
from tidu.ir import product_order

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "compiler.md"
# A program, a pass, and what the page shows of it.
_SHOWN = re.compile(r"<!-- (\w+): (\w+) -->\n```text\n(.*?)```", re.DOTALL)
UPDATE = os.environ.get("TIDU_UPDATE_GOLDEN", "") == "1"


@pytest.fixture(autouse=True)
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "watchers", [verify_form])
    # The same texts everywhere: which products are added up otherwise depends on the processor.
    monkeypatch.setattr(product_order, "_BY_INTEL", False)


def sections(name: str) -> Iterator[str]:
    """The text of every form of every region of a program."""
    for number, graph in enumerate(graphs(PROGRAMS[name])):
        before = ""
        for step, form in pipeline.forms(graph, VECTOR_BYTES):
            text = render(form)
            yield f"== region {number}, after {step}\n{'the same' if text == before else text}\n"
            before = text


@pytest.mark.parametrize("name", PROGRAMS)
def test_passes_give_what_is_written_down(name: str) -> None:
    path = FOLDER / f"{name}.txt"
    text = "\n".join(sections(name))
    if UPDATE:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        f"{path.name} differs; if that is meant, TIDU_UPDATE_GOLDEN=1 pytest tests/golden"
    )


def test_every_file_belongs_to_a_program() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(PROGRAMS)


def test_the_page_on_the_compiler_shows_what_the_passes_give() -> None:
    page = PAGE.read_text(encoding="utf-8")

    def current(shown: re.Match[str]) -> str:
        name, step, _ = shown.groups()
        (graph,) = graphs(PROGRAMS[name])
        text = render(dict(pipeline.forms(graph, VECTOR_BYTES))[step])
        return f"<!-- {name}: {step} -->\n```text\n{text}\n```"

    assert len(_SHOWN.findall(page)) == len(pipeline.PASSES)
    expected = _SHOWN.sub(current, page)
    if UPDATE:
        PAGE.write_text(expected, encoding="utf-8")
    assert expected == PAGE.read_text(encoding="utf-8"), f"{PAGE.name} shows an older text"
