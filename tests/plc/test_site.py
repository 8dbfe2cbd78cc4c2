"""The logic of a site against its map: every file in sites/broken/ says at its end which faults it must give."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from gateway.config.fault import Fault
from gateway.config.load import load_site
from gateway.config.site import Site
from plc.site import check_logic

SITES = Path(__file__).parent / "sites"
BROKEN = sorted((SITES / "broken").glob("*.yaml"))

GOOD = """\
site: {name: plant}
areas: {storage: Battery}
devices:
  battery1:
    area: storage
    protocol: modbus
    connection: {host: 192.0.2.10}
    groups: {fast: {period_ms: 200}}
    points:
      power_kw: {table: input, address: 0, type: int16, scale: 0.1, unit: kW}
      cells: {table: input, address: 8, type: uint16}
      running: {table: discrete, address: 0}
      level: {table: holding, address: 9, type: int16, write: {role: operator, low: 0, high: 9}}
      power_setpoint_kw:
        {table: holding, address: 0, type: int16, scale: 0.1, unit: kW, write: {role: operator, low: -50, high: 50}}
"""


def as_expected(fault: Fault, site: Path) -> str:
    file = "" if fault.file == site else f"{fault.file}:"
    context = f" ({fault.context})" if fault.context else ""
    return f"{file}{fault.line}:{fault.column} {fault.found}{context}: {fault.mend}"


def with_program(folder: Path, program: str, logic: str) -> Site:
    (folder / "main.st").write_text(program)
    path = folder / "site.yaml"
    path.write_text(f"{GOOD}logic:\n  programs: [main.st]\n  tasks: [default]\n{logic}")
    return load_site(path)


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 60


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken_map_gives_exactly_these_faults(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = re.findall(r"(?m)^# expect: (.*)$", path.read_text(encoding="utf-8"))
    monkeypatch.chdir(path.parent)
    site = Path(path.name)
    report = check_logic(load_site(site))
    assert [as_expected(fault, site) for fault in report.faults] == expected
    assert expected
    assert not report.is_sound


def test_a_test_may_write_what_the_scan_wires(tmp_path: Path) -> None:
    program = """
    VAR_GLOBAL power : REAL; END_VAR
    PROGRAM main VAR_OUTPUT twice : REAL; END_VAR twice := 2.0 * power; END_PROGRAM
    {test} FUNCTION_BLOCK tests power := 1.0; main(); ASSERT_NEAR(2.0, main.twice, 0.1); END_FUNCTION_BLOCK
    """
    logic = "  inputs:\n    battery1.power_kw: {variable: power}\n"
    assert check_logic(with_program(tmp_path, program, logic)).is_sound
    plain = program.replace("{test}", "")
    (fault,) = check_logic(with_program(tmp_path, plain, logic)).faults
    assert "the program writes 'power' itself" in fault.found


def test_sound_map_has_no_faults(tmp_path: Path) -> None:
    program = """
    VAR_GLOBAL power : REAL; status : UDINT; good, runs, ok, plan_ok : BOOL; cells : DINT; plan : LREAL; END_VAR
    VAR_GLOBAL level : INT (0..9); demand : REAL; holds : BOOL; mode : (off, running) := off; END_VAR
    PROGRAM main VAR inner : ARRAY [0..1, 0..1] OF REAL; END_VAR
        inner[0, 0] := power;
        level := 1;
        demand := power;
    END_PROGRAM
    """
    site = with_program(
        tmp_path,
        program,
        """\
  inputs:
    battery1.power_kw: {variable: power, quality: status, good: good, unit: kW}
    battery1.cells: cells
    battery1.running: runs
    battery1.power_setpoint_kw: "main.inner[1,1]"
    battery1.power_setpoint_kw.demand: "Main.Inner[1, 0]"
  tags:
    island.mode: {variable: mode, type: uint16, area: storage}
    island.ok: {variable: ok, type: bool, area: storage}
    island.cells: {variable: cells, type: float64, area: storage}
  outputs:
    battery1.level: {variable: level, safe: 0}
    battery1.power_setpoint_kw: {variable: demand, active: holds, safe: hold}
  setpoints:
    plan.power_kw:
      {variable: plan, valid: plan_ok, area: storage, unit: kW, low: -50, high: 50, initial: 0, fallback: 0}
""",
    )
    report = check_logic(site)
    assert (report.faults, report.problems) == ((), ())
    assert report.counts == ("1 program file", "1 task")


def test_faults_of_a_program_come_along_and_its_map_waits(tmp_path: Path) -> None:
    site = with_program(
        tmp_path, "PROGRAM main\n  nothing := 1;\nEND_PROGRAM", "  inputs: {battery1.cells: gone}\n"
    )
    report = check_logic(site)
    assert [str(problem) for problem in report.problems] == [
        f"{tmp_path / 'main.st'}:2:3: error ST0200: there is nothing called nothing here"
    ]
    assert report.faults == ()
    assert not report.is_sound


def test_what_is_not_compiled_yet_is_a_problem_too(tmp_path: Path) -> None:
    text = "VAR_GLOBAL a AT %MW0 : INT; b AT %MB0 : BYTE; END_VAR\nPROGRAM main a := b; END_PROGRAM"
    report = check_logic(with_program(tmp_path, text, ""))
    assert [problem.code for problem in report.problems][-1] == "ST0900"
    assert not report.is_sound


def test_warnings_do_not_keep_a_program_from_running(tmp_path: Path) -> None:
    text = "PROGRAM main VAR idle, wired : REAL; END_VAR END_PROGRAM"
    report = check_logic(with_program(tmp_path, text, "  inputs: {battery1.power_kw: main.wired}\n"))
    assert [problem.message for problem in report.problems] == ["idle is never used"]
    assert report.is_sound


def test_program_without_a_configuration_has_one_task(tmp_path: Path) -> None:
    report = check_logic(with_program(tmp_path, "PROGRAM main END_PROGRAM", ""))
    assert report.is_sound


def test_program_whose_instance_gets_inputs_in_the_configuration_owns_them(tmp_path: Path) -> None:
    program = """
    VAR_GLOBAL seen : REAL; END_VAR
    PROGRAM Control VAR_INPUT power : REAL; END_VAR VAR_OUTPUT twice : REAL; END_VAR twice := power * 2.0; END_PROGRAM
    CONFIGURATION plant
        TASK default (INTERVAL := T#10ms);
        PROGRAM one WITH default : Control (power := 3.0, twice => seen);
    END_CONFIGURATION
    """
    rows = "  inputs:\n    battery1.power_kw: one.power\n    battery1.power_setpoint_kw: seen\n"
    report = check_logic(with_program(tmp_path, program, rows))
    assert [fault.found.partition(" itself")[0] for fault in report.faults] == [
        "the program writes 'one.power'",
        "the program writes 'seen'",
    ]


@pytest.mark.parametrize(
    ("statement", "is_written"),
    [
        ("a[1] := 1.0;", False),
        ("a[2] := 1.0;", True),
        ("a[i] := 1.0;", True),
        ("b := a[2];", False),
        ("box.lid := 1.0;", False),
        ("a := zero;", True),
        ("i S= TRUE;", False),
        ("bits.3 := TRUE;", False),
        ("SPLIT_DATE(D#2026-01-01, YEAR => year);", False),
    ],
)
def test_only_what_may_reach_the_element_counts(tmp_path: Path, statement: str, is_written: bool) -> None:
    program = f"""
    TYPE Box : STRUCT lid : REAL; END_STRUCT; END_TYPE
    PROGRAM main
    VAR a, zero : ARRAY [1..2] OF REAL; b : REAL; box : Box; bits : WORD; year : INT; j : INT; flag : BOOL; END_VAR
    VAR i : INT; END_VAR
        {statement.replace("i S=", "flag S=")}
    END_PROGRAM
    """
    report = check_logic(with_program(tmp_path, program, '  inputs: {battery1.power_kw: "main.a[2]"}\n'))
    assert not [problem for problem in report.problems if problem.severity == "error"]
    assert (len(report.faults) == 1) is is_written


def test_example_of_the_docs_is_a_good_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "site-files.md").read_text(encoding="utf-8")
    example = re.search(r"## Logic\n.*?```yaml\n(logic:.*?)```", page, re.DOTALL)
    assert example is not None
    site = GOOD.replace(
        "areas: {", "areas: {grid: Tie, "
    ) + (
        "  pcc:\n    area: grid\n    protocol: modbus\n    connection: {host: 192.0.2.11}\n"
        "    groups: {fast: {period_ms: 200}}\n    points:\n"
        "      power_kw: {table: input, address: 0, type: int16, scale: 0.1, unit: kW}\n"
        "      breaker_closed: {table: discrete, address: 0}\n"
    )  # fmt: skip
    (tmp_path / "logic").mkdir()
    (tmp_path / "logic" / "main.st").write_text("""
    VAR_GLOBAL
        pcc_kw, battery_kw, dispatch_kw : REAL;
        pcc_closed, pcc_closed_is_good, dispatch_is_valid : BOOL;
        pcc_closed_status : DWORD;
    END_VAR
    PROGRAM main
    VAR
        state : UINT;
        balance_kw, battery_kw : REAL;
        holds_battery : BOOL;
    END_VAR
    END_PROGRAM
    CONFIGURATION plant
        TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
        TASK slow (INTERVAL := T#1s, PRIORITY := 2);
        PROGRAM main WITH fast : main;
    END_CONFIGURATION
    """)
    (tmp_path / "site.yaml").write_text(site + example[1])
    report = check_logic(load_site(tmp_path / "site.yaml"))
    assert (report.faults, report.problems) == ((), ())


def test_whole_numbers_of_dnp3_are_no_wider_than_the_protocol_makes_them(tmp_path: Path) -> None:
    program = """
    VAR_GLOBAL seen : UDINT; small : UINT; position : UINT; END_VAR
    PROGRAM main END_PROGRAM
    """
    outstation = """\
  relay:
    area: storage
    protocol: dnp3
    connection: {host: 192.0.2.30, address: 10}
    groups: {all: {period_ms: 1000}}
    points:
      energy: {type: counter, index: 0}
      frozen: {type: frozen_counter, index: 0}
      breaker: {type: double_bit, index: 0}
"""
    (tmp_path / "main.st").write_text(program)
    rows = "  inputs: {relay.energy: seen, relay.frozen: small, relay.breaker: position}\n"
    path = tmp_path / "site.yaml"
    path.write_text(f"{GOOD}{outstation}logic:\n  programs: [main.st]\n  tasks: [default]\n{rows}")
    report = check_logic(load_site(path))
    assert [fault.found for fault in report.faults] == [
        "the variable 'small' is UINT, which cannot hold all of 'relay.frozen', uint32"
    ]


def test_ten_thousand_rows_are_checked_in_seconds(tmp_path: Path) -> None:
    program = """
    VAR_GLOBAL seen : ARRAY [1..10000] OF INT; END_VAR
    PROGRAM main VAR i, sum : DINT; END_VAR
        FOR i := 1 TO 10000 DO sum := sum + seen[i]; END_FOR;
    END_PROGRAM
    """
    points = "".join(f"      p{i}: {{table: input, address: {i}, type: int16}}\n" for i in range(1, 10_001))
    rows = "".join(f'    wide.p{i}: "seen[{i}]"\n' for i in range(1, 10_001))
    device = (
        "  wide:\n    area: storage\n    protocol: modbus\n    connection: {host: 192.0.2.9}\n"
        f"    groups: {{fast: {{period_ms: 200}}}}\n    points:\n{points}"
    )
    (tmp_path / "main.st").write_text(program)
    path = tmp_path / "site.yaml"
    path.write_text(f"{GOOD}{device}logic:\n  programs: [main.st]\n  tasks: [default]\n  inputs:\n{rows}")
    site = load_site(path)
    begin = time.process_time()
    assert check_logic(site).faults == ()
    assert time.process_time() - begin < 5
