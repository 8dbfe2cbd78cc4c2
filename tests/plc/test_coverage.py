# ruff: noqa: E501  # lines of Structured Text
"""Coverage: what is counted, and what the reports say of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from plc import load
from plc.bench import Bench
from plc.compiler.build import Options, translate
from plc.coverage.html import write_html
from plc.coverage.record import FileCoverage, merged
from plc.coverage.report import as_json, as_lcov, as_table, percent, ranges
from plc.language.source import Source

TEXT = """\
FUNCTION_BLOCK Pump
VAR_INPUT start : BOOL; level : INT; END_VAR
VAR_OUTPUT motor : BOOL; state : INT; END_VAR
IF start AND level > 5 THEN
    motor := TRUE;
ELSIF level < 2 THEN
    motor :=
        FALSE;
END_IF;
CASE state OF
    0: state := 1;
    1..3: state := 2;
ELSE
    state := 0;
END_CASE;
END_FUNCTION_BLOCK
PROGRAM main
VAR p : Pump; i, n : INT; END_VAR
p();
WHILE i < 3 DO
    i := i + 1;
END_WHILE;
REPEAT
    n := n + 1;
UNTIL n >= i
END_REPEAT;
END_PROGRAM
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "pump.st"
    path.write_text(TEXT)
    return path


@pytest.fixture
def p(source: Path) -> Bench:
    return load(source, coverage=True)


def only(bench: Bench) -> FileCoverage:
    (file,) = bench.coverage().files()
    return file


def missed(file: FileCoverage) -> dict[int, list[list[str]]]:
    return {line: [one.missed for one in file.decisions_at(line)] for line, _ in file.decisions}


def test_nothing_has_run_before_the_first_scan(p: Bench) -> None:
    assert only(p).lines_run == 0
    assert only(p).outcomes_run == 0
    assert p.coverage().line_rate == 0.0


def test_lines_are_counted_by_how_often_they_ran(p: Bench) -> None:
    p.scan(count=2, period_us=1000)
    lines = only(p).lines
    assert lines == {
        4: 2,
        5: 0,
        6: 2,
        7: 2,
        10: 2,
        11: 1,
        12: 1,
        14: 0,
        19: 2,
        20: 2,
        21: 3,
        23: 2,
        24: 4,
        25: 4,
    }
    assert only(p).missing_lines == [5, 14]
    assert only(p).ends[7] == 8


def test_branches_are_every_way_that_a_decision_goes(p: Bench) -> None:
    p.scan()
    assert missed(only(p)) == {4: [["TRUE"]], 6: [["FALSE"]], 10: [["1..3", "ELSE"]], 20: [[]], 25: [[]]}
    p["main.p.start"] = True
    p["main.p.level"] = 9
    p["main.p.state"] = 7
    p.scan()
    p["main.p.level"] = 4
    p.scan(count=2)
    assert missed(only(p)) == {4: [[]], 6: [[]], 10: [[]], 20: [[]], 25: [[]]}
    assert p.coverage().branch_rate == 1.0


def test_counts_stay_over_a_restart_and_a_fault_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "fault.st"
    path.write_text("PROGRAM main\nVAR a, b : INT; END_VAR\na := a + 1;\na := 1 / b;\na := 2;\nEND_PROGRAM\n")
    p = load(path, coverage=True)
    for _ in range(2):
        with pytest.raises(Exception, match="division by zero"):
            p.scan()
        p.restart()
    assert only(p).lines == {3: 2, 4: 2, 5: 0}


def test_a_loop_of_thousands_of_turns_counts_to_255_a_scan(tmp_path: Path) -> None:
    path = tmp_path / "loop.st"
    path.write_text(
        "PROGRAM main\nVAR i, n : DINT; END_VAR\nFOR i := 1 TO 1000 DO\nn := n + 1;\nEND_FOR;\nEND_PROGRAM\n"
    )
    p = load(path, coverage=True)
    p.scan(count=3)
    assert only(p).lines == {3: 3, 4: 765}


def test_without_coverage_the_c_is_the_same_as_ever() -> None:
    sources = (Source("a.st", TEXT),)
    plain = translate(sources, Options()).c
    assert "cover" not in plain.replace(".coverage_places = 0", "")
    assert "tl_cover(" in translate(sources, Options(coverage=True)).c


def test_a_bench_without_coverage_says_how_to_get_it(source: Path) -> None:
    with pytest.raises(ValueError, match="coverage=True"):
        load(source).coverage()


def test_tests_are_no_part_of_what_is_to_be_covered(tmp_path: Path) -> None:
    path = tmp_path / "a.st"
    path.write_text(
        "PROGRAM main\nVAR x : INT; END_VAR\nx := 1;\nEND_PROGRAM\n{test}\nFUNCTION_BLOCK t\nASSERT(TRUE);\nEND_FUNCTION_BLOCK\n"
    )
    p = load(path, coverage=True)
    p.run_test("t")
    assert only(p).lines == {3: 0}


def test_several_programs_count_together(source: Path) -> None:
    first, second = load(source, coverage=True), load(source, coverage=True)
    first["main.p.state"] = 7
    first.scan()
    second.scan(count=4)
    (file,) = merged([first.coverage(), second.coverage()])
    assert (file.lines[11], file.lines[12], file.lines[14]) == (1, 3, 1)
    assert missed(file)[10] == [[]]


# ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_table_tells_lines_branches_and_what_never_ran(p: Bench, source: Path) -> None:
    p.scan()
    lines = as_table(p.coverage().files(), source.parent).splitlines()
    assert lines[0].split() == ["file", "lines", "branches", "lines", "that", "never", "ran"]
    assert lines[1].split() == ["pump.st", "11/14", "78.6", "%", "7/11", "63.6", "%", "5,", "12,", "14"]
    assert lines[2].split()[:4] == ["all", "11/14", "78.6", "%"]


def test_ranges_and_shares_are_for_people() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert (percent(0, 0), percent(1, 1), percent(9999, 10000)) == ("100 %", "100 %", "99.9 %")


def test_lcov_says_what_geninfo_would(p: Bench, source: Path) -> None:
    p.scan()
    text = as_lcov(p.coverage().files())
    assert f"SF:{source}\n" in text
    assert "FN:1,Pump\nFN:17,main\nFNDA:1,Pump\nFNDA:1,main\n" in text
    assert "BRDA:4,0,0,0\nBRDA:4,0,1,1\n" in text
    assert "DA:5,0\n" in text
    assert "DA:21,3\n" in text
    found = dict(re.findall(r"^(LF|LH|BRF|BRH):(\d+)$", text, re.MULTILINE))
    assert found == {"LF": "14", "LH": "11", "BRF": "11", "BRH": "7"}
    assert text.endswith("end_of_record\n")


def test_json_has_the_same(p: Bench, source: Path) -> None:
    p.scan()
    report = json.loads(json.dumps(as_json(p.coverage().files())))
    assert report["lines"] == {"run": 11, "all": 14}
    assert report["branches"] == {"run": 7, "all": 11}
    (file,) = report["files"]
    assert file["path"] == str(source)
    assert file["missing"] == [5, 12, 14]
    assert {"line": 10, "ways": {"0": 1, "1..3": 0, "ELSE": 0}} in file["decisions"]


def test_pages_mark_every_line(p: Bench, tmp_path: Path) -> None:
    p.scan()
    index = write_html(p.coverage().files(), tmp_path / "pages")
    assert 'href="pump.html"' in index.read_text()
    page = (tmp_path / "pages" / "pump.html").read_text()
    rows = dict(re.findall(r'<tr id="L(\d+)"(?: class=(\w+))?>', page))
    assert [rows[line] for line in ("4", "5", "6", "7", "8", "9", "10", "11")] == [
        "partly", "never", "partly", "run", "run", "", "partly", "run",
    ]  # fmt: skip
    assert "the condition was never TRUE" in page
    assert "never taken: 1..3, ELSE" in page
    assert "http" not in page


def test_files_of_one_name_get_pages_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "index.st").write_text(
            f"FUNCTION {folder} : INT\n{folder} := 1;\nEND_FUNCTION\n"
        )
    p = load(tmp_path / "a" / "index.st", tmp_path / "b" / "index.st", coverage=True)
    p.call("a")
    write_html(p.coverage().files(), tmp_path / "pages")
    assert {one.name for one in (tmp_path / "pages").iterdir()} == {
        "index.html",
        "index-2.html",
        "index-3.html",
    }


def test_a_program_given_as_text_has_a_page_too(tmp_path: Path) -> None:
    p = load("PROGRAM main VAR x : INT; END_VAR\nx := 1;\nEND_PROGRAM\n", coverage=True)
    p.scan()
    write_html(p.coverage().files(), tmp_path)
    assert 'id="L2" class=run' in (tmp_path / "source1.html").read_text()
