"""Programs as people write them, in the standard's way and in vendors' ways, are read and checked without a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from plc.language import typed
from plc.language.analysis import Program, analyse
from plc.language.formatter import format_source
from plc.language.source import Source
from plc.language.symbols import Block, Routine
from plc.language.types import UNKNOWN, UNTYPED_INTEGER, UNTYPED_REAL

SNIPPETS = sorted((Path(__file__).parent / "snippets").glob("*.st"))
HABITS = {"ST0150", "ST0151", "ST0809"}  # warnings that the snippets have on purpose


def program_of(path: Path) -> Program:
    return analyse([Source(path.name, path.read_text())])


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_a_real_program_has_no_fault(path: Path) -> None:
    found = [str(one) for one in program_of(path).diagnostics if one.code not in HABITS]
    assert found == []


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_formatting_changes_no_meaning(path: Path) -> None:
    program = program_of(path)
    again = analyse([Source(path.name, format_source(program.files[0]))])
    assert again.diagnostics == () or {one.code for one in again.diagnostics} <= HABITS - {"ST0150"}
    assert [block.qualified for block in again.blocks] == [block.qualified for block in program.blocks]


def bodies(program: Program) -> list[typed.Body]:
    units: list[Block | Routine] = [*program.functions]
    for block in program.blocks:
        units += [block, *block.methods.values(), *block.actions.values()]
        for one in block.properties.values():
            units += [accessor for accessor in (one.getter, one.setter) if accessor is not None]
    return [unit.body for unit in units]


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_the_typed_tree_leaves_nothing_open(path: Path) -> None:
    """What the code generator gets has no faulty node and no literal without a real type."""
    for body in bodies(program_of(path)):
        for node in typed.walk(body):
            assert not isinstance(node, typed.Wrong) or node.type is not UNKNOWN
            if isinstance(node, typed.Literal):
                assert node.type not in (UNTYPED_INTEGER, UNTYPED_REAL, UNKNOWN), node.span.text


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_both_sides_of_an_assignment_have_one_type(path: Path) -> None:
    for body in bodies(program_of(path)):
        for node in typed.walk(body):
            if isinstance(node, typed.Assign) and node.operator == ":=":
                source, target = str(node.value.type), str(node.target.type)
                is_string = "STRING" in source and "STRING" in target
                is_reference = "_TO " in target or " TO " in target
                assert source == target or is_string or is_reference, node.span.text
