"""The library's page is what its sources say, its examples fit its blocks, and its text has the one layout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plc.language.analysis import analyse, analyse_files, read_source
from plc.language.diagnostics import Diagnostics
from plc.language.formatter import format_source
from plc.language.parser import parse
from plc.language.source import Source
from plc.library import FILES
from plc.library.reference import GROUPS, Entry, entries, page

DOCS = Path(__file__).parents[3] / "docs"
ENTRIES = [entry for file in FILES for entry in entries(file)]
UNITS = [entry for entry in ENTRIES if entry.kind != "TYPE"]


def test_the_page_is_written_from_the_sources() -> None:
    assert (DOCS / "library.md").read_text(encoding="utf-8") == page(), (
        "run python -m plc.library.reference > docs/library.md"
    )


def test_every_file_has_its_place_on_the_page() -> None:
    assert sorted(stem for stems in GROUPS.values() for stem in stems) == [file.stem for file in FILES]


def test_the_library_is_clean() -> None:
    assert analyse_files(FILES).diagnostics == ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_sources_have_the_one_layout(file: Path) -> None:
    source = read_source(file)
    assert format_source(parse(source, Diagnostics())) == source.text


@pytest.mark.parametrize("entry", UNITS, ids=lambda entry: entry.name)
def test_each_input_and_output_is_explained(entry: Entry) -> None:
    assert entry.text
    assert [row.name for row in (*entry.inputs, *entry.outputs) if not row.meaning] == []


@pytest.mark.parametrize("entry", UNITS, ids=lambda entry: entry.name)
def test_each_example_calls_its_block_as_the_block_wants(entry: Entry) -> None:
    instances = re.findall(r"^(\w+)\(", entry.example, re.MULTILINE)
    assert instances or (entry.kind == "FUNCTION" and f"{entry.name}(" in entry.example)
    declared = "".join(f"    {name} : {entry.name};\n" for name in instances)
    text = f"PROGRAM reader\nVAR\n{declared}END_VAR\n{entry.example}\nEND_PROGRAM\n"
    program = analyse([*map(read_source, FILES), Source("example.st", text)])
    # The reader's own variables are not declared here: an unknown name is all that may be wrong.
    assert [one for one in program.diagnostics if one.code != "ST0200"] == []
