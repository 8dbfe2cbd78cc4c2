"""Every problem has a page, and the page is right: its failing example has just that problem, its mended one none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plc.compiler.generate import generate
from plc.compiler.refusals import CompileFault
from plc.language.analysis import analyse, source_of
from plc.language.problems import PROBLEMS

PAGES = Path(__file__).parents[3] / "docs" / "problems"
EXAMPLE = re.compile(r"^## (Fails|Mended)\n\n```iecst\n(.*?)```\n", re.MULTILINE | re.DOTALL)


def examples(code: str) -> dict[str, str]:
    return dict(EXAMPLE.findall((PAGES / f"{code}.md").read_text()))


def codes(text: str) -> set[str]:
    name = "example.TcPOU" if text.startswith("<?xml") else "example.st"
    program = analyse([source_of(name, text)])
    try:
        if not program.has_errors:
            generate(program)
    except CompileFault as fault:
        return {one.code for one in fault.diagnostics}
    return {one.code for one in program.diagnostics}


def test_there_is_a_page_for_every_problem_and_no_other() -> None:
    assert {path.stem for path in PAGES.glob("ST*.md")} == set(PROBLEMS)


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_the_failing_example_has_just_this_problem(code: str) -> None:
    assert codes(examples(code)["Fails"]) == {code}


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_the_mended_example_has_no_problem(code: str) -> None:
    assert codes(examples(code)["Mended"]) == set()


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_the_page_says_what_the_table_says(code: str) -> None:
    problem = PROBLEMS[code]
    assert (
        (PAGES / f"{code}.md")
        .read_text()
        .startswith(f"# {code}: {problem.title}\n\nSeverity: {problem.severity}\n")
    )
