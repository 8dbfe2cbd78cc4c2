"""What YAML may say in a site file, and that nothing it says can hurt."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import document
from gateway.config.document import (
    HOLE,
    ListNode,
    MappingNode,
    NodeBudget,
    ScalarNode,
    Trap,
    read_document,
    read_source,
    resolve,
)
from gateway.config.fault import Fault, FaultLog

Faults = Callable[..., list[Fault]]


def read(text: str, budget: NodeBudget | None = None) -> tuple[document.Node | None, list[Fault]]:
    faults = FaultLog()
    source = read_source(Path("f.yaml"), text.encode(), faults)
    node = read_document(source, faults, budget) if source is not None else None
    return node, list(faults.sorted([]).faults)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("0", 0), ("-7", -7), ("+7", 7), ("0x1F", 31), ("1.5", 1.5), (".5", 0.5),
        ("1e3", 1000.0), ("-2.5E-3", -0.0025), ("3.", 3.0), ("18446744073709551615", 2**64 - 1), ("~", None),
        ("", None), ("null", None), ("kW", "kW"), ("onwards", "onwards"), ("1..12", "1..12"),
        ("127.0.0.1", "127.0.0.1"),
        ("10.0.0.1:502", "10.0.0.1:502"), ("1-2", "1-2"), ("e3", "e3"),
        ("-", "-"), ("+", "+"), ("é", "é"), ("٣", "٣"),
        ("Basic256Sha256:SignAndEncrypt", "Basic256Sha256:SignAndEncrypt"), ("12:60", "12:60"),
    ],
)  # fmt: skip
def test_plain_words_mean_what_all_readers_agree_on(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("on", 'write true, or "on" for text'),
        ("Yes", 'write true, or "Yes" for text'),
        ("n", 'write false, or "n" for text'),
        ("012", 'write 12, or "012" for text'),
        ("-007", 'write -7, or "-007" for text'),
        ("00.5", 'write 0.5, or "00.5" for text'),
        ("0x_1F", 'write 31, or "0x_1F" for text'),
        ("1_000.5", 'write 1000.5, or "1_000.5" for text'),
        ("12:30:45", 'write "12:30:45" in quotes'),
        ("1:30.5", 'write "1:30.5" in quotes'),
        ("2026-11-21T10:00:00Z", 'write "2026-11-21T10:00:00Z" in quotes'),
        ("-.inf", "write a finite number, or leave the key out"),
        (".NaN", "write a finite number, or leave the key out"),
        ("18446744073709551616", "write an integer -9223372036854775808..18446744073709551615"),
        ("1e400", "write a number within 1.8e308"),
        ("9" * 5000, "write at most 17 digits"),
        ("=", 'write "=" in quotes'),
    ],
)
def test_words_that_readers_take_differently_are_traps(text: str, mend: str) -> None:
    trap = resolve(text)
    assert isinstance(trap, Trap)
    assert trap.mend == mend


def test_quoted_traps_are_text() -> None:
    node, faults = read("""[ "on", 'no', "012", "12:30:45", ".nan", "~" ]""")
    assert not faults
    assert isinstance(node, ListNode)
    assert [item.value for item in node.items if isinstance(item, ScalarNode)] == [
        "on", "no", "012", "12:30:45", ".nan", "~",
    ]  # fmt: skip


def test_places_count_characters_from_one() -> None:
    node, faults = read("größe: {ä: 1,\r\n  ö: 2}\r\nlast: 3\r\n")
    assert not faults
    assert isinstance(node, MappingNode)
    inner = node.entries[0][1]
    assert isinstance(inner, MappingNode)
    assert [(key.place.line, key.place.column) for key, _ in inner.entries] == [(1, 9), (2, 3)]
    assert (node.entries[1][1].place.line, node.entries[1][1].place.column) == (3, 7)


def test_byte_order_mark_moves_no_column() -> None:
    node, faults = read("\ufeffname: 1\n")
    assert not faults
    assert isinstance(node, MappingNode)
    assert node.entries[0][0].place.column == 1
    assert node.entries[0][0].text == "name"


def test_every_trap_of_a_file_is_found_in_one_pass() -> None:
    _, faults = read("a: on\nb: [012, &x 1, *x]\nc: !!str d\ne: 1\ne: 2\n<<: {f: g}\n")
    assert [(fault.line, fault.column) for fault in faults] == [
        (1, 4), (2, 5), (2, 10), (2, 16), (3, 4), (5, 1), (6, 1),
    ]  # fmt: skip


def test_tab_in_a_comment_is_no_fault() -> None:
    assert read("a: 1 #\tnote\n#\tnote\n  \n")[1] == []


@pytest.mark.parametrize("text", ["a:\tb\n", "\ta: 1\n", "a: 1\t# note\n", 'a: "x\ty"\n', "a:\n\t- 1\n"])
def test_tab_outside_a_comment_is_one_fault(text: str) -> None:
    faults = read(text)[1]
    assert [(fault.found, fault.column) for fault in faults] == [
        ("a tab", text.splitlines()[faults[0].line - 1].index("\t") + 1)
    ]


def test_bytes_that_are_no_utf8_are_placed(faults_of: Faults) -> None:
    (fault,) = faults_of(b"site: {name: plant}\nareas: {grid: Z\xfcrich}\n")
    assert (fault.line, fault.column, fault.found) == (2, 16, "a byte that is not UTF-8")


def test_control_characters_are_placed(faults_of: Faults) -> None:
    (fault,) = faults_of(b"site: {name: plant}\nareas: {grid: \x07}\n")
    assert (fault.line, fault.column, fault.found) == (2, 15, "the control character U+0007")


def test_utf16_is_refused_with_words(faults_of: Faults) -> None:
    (fault,) = faults_of("site: {name: plant}\n".encode("utf-16"))
    assert fault.mend == "save the file as UTF-8"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_ends_early(opening: str) -> None:
    faults = read(opening * 100_000)[1]
    assert len(faults) == 1
    assert "nested deeper than 32 levels" in faults[0].found


def test_deep_block_nesting_ends_early() -> None:
    faults = read("".join(f"{' ' * i}a:\n" for i in range(500)))[1]
    assert [fault.found for fault in faults] == ["values nested deeper than 32 levels"]


def test_number_of_values_is_bounded() -> None:
    faults = read("[" + "1, " * 50 + "]", NodeBudget(left=20))[1]
    assert len(faults) == 1
    assert faults[0].mend == "use templates"


def test_alias_bomb_expands_nothing() -> None:
    lines = ['a0: &a0 ["x", "x"]'] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    budget = NodeBudget(left=1000)
    faults = read("\n".join(lines), budget)[1]
    assert len(faults) == 40 + 2 * 39
    assert budget.left > 700


def test_file_too_long_is_refused_unread(
    faults_of: Faults, minimal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.config.load.MAX_FILE_BYTES", 100)
    (fault,) = faults_of(minimal)
    assert fault.found == "a file of 101 bytes"


def test_expression_in_a_value_is_marked_on_all_that_hold_it() -> None:
    node, _ = read('a: {b: ["${x}"]}\nc: 1\n')
    assert isinstance(node, MappingNode)
    assert [value.has_expression for _, value in node.entries] == [True, False]
    assert node.has_expression


def test_tagged_value_is_a_hole_and_not_made() -> None:
    node, faults = read("a: !!python/object/apply:os.system ['false']\n")
    assert isinstance(node, MappingNode)
    value = node.entries[0][1]
    assert isinstance(value, ScalarNode)
    assert value.value is HOLE
    assert len(faults) == 1


def test_pipe_in_an_include_does_not_hang(faults_of: Faults, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (fault,) = faults_of("site: {name: plant}\ninclude: [pipe.yaml]\n")
    assert fault.found == "the file 'pipe.yaml' is not a file"


def test_folder_and_loop_of_links_in_an_include_are_faults(faults_of: Faults, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    faults = faults_of("site: {name: plant}\ninclude: [folder, loop.yaml]\n")
    assert [(fault.line, fault.column) for fault in faults] == [(2, 11), (2, 19)]
    assert faults[0].found == "the file 'folder' is not a file"


def test_pure_python_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    text = 'a: on\nb: {c: 1, "d": x y}\ne:\n  - 012\n'
    fast = read(text)[1]
    monkeypatch.setattr(document, "_Loader", yaml.SafeLoader)
    assert read(text)[1] == fast
