"""Quick fixes, on the failing examples of the problems' pages: the problem goes, and no other comes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plc.editor.fixes import fix_of, page_of
from plc.language.analysis import analyse
from plc.language.problems import PROBLEMS
from plc.language.source import Source

PAGES = Path(__file__).parents[3] / "docs" / "problems"
FAILS = re.compile(r"## Fails\n\n```iecst\n(.*?)```", re.DOTALL)
FIXED = (
    "ST0100", "ST0111", "ST0115", "ST0116", "ST0150", "ST0151", "ST0200", "ST0201", "ST0205",
    "ST0300", "ST0306", "ST0313", "ST0401", "ST0600", "ST0610", "ST0611", "ST0804", "ST0805",
)  # fmt: skip


def example(code: str) -> str:
    found = FAILS.search((PAGES / f"{code}.md").read_text())
    assert found is not None
    return found[1]


@pytest.mark.parametrize("code", FIXED)
def test_a_quick_fix_mends_the_example_of_its_page(code: str) -> None:
    text = example(code)
    found = analyse([Source("a.st", text)]).diagnostics
    problems = [one for one in found if one.code == code]
    assert problems
    for one in reversed(problems):  # from the end on, so that places stay
        fix = fix_of(one)
        assert fix is not None
        text = text[: one.span.start] + fix.text + text[one.span.end :]
    left = analyse([Source("a.st", text)]).diagnostics
    assert code not in {one.code for one in left}
    assert not any(one.severity == "error" for one in left)


@pytest.mark.parametrize("code", sorted(set(PROBLEMS) - set(FIXED)))
def test_what_can_be_mended_in_several_ways_has_no_quick_fix(code: str) -> None:
    assert all(
        fix_of(one) is None
        for one in analyse([Source("a.st", example(code))]).diagnostics
        if one.code == code
    )


def test_a_problem_is_linked_to_its_page() -> None:
    page = page_of("ST0200")
    assert page is not None
    assert page.startswith("file://")
    assert page.endswith("docs/problems/ST0200.md")
    assert page_of("ST9999") is None
