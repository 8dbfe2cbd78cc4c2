# ruff: noqa: E501  # lines of Structured Text
"""``tieline plc run`` and what is done with a running program, on the scan's real process."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet
import pytest

from plc.cli import add_commands
from plc.compiler.build import build
from plc.compiler.symbols import Symbols
from plc.language.source import Source
from plc.online.values import ValueTextError, leaves, parsed, shown
from plc.runtime.client import ScanClient, ScanGoneError

TEXT = """\
TYPE Mode : (Idle, Filling := 3, Emptying); END_TYPE
PROGRAM tank
VAR
    level : REAL;
    mode : Mode := Filling;
    full : BOOL;
    pause : TIME := T#250ms;
    note : STRING[20] := 'first';
    total : LREAL;
    limits : ARRAY [1..2] OF REAL := [0.1, 0.9];
    timer : TON;
    zero, one : INT;
    bits : WORD := 16#00FF;
    day : DATE := D#2026-03-29;
    clock : TOD := TOD#06:30:00;
END_VAR
CASE mode OF
    Filling: level := level + 0.01;
    Emptying: level := level - 0.01;
END_CASE;
IF level > limits[2] THEN mode := Emptying; ELSIF level < limits[1] THEN mode := Filling; END_IF;
full := level > 0.5;
total := total + level;
timer(IN := full, PT := pause);
one := 1 / (1 - zero);
END_PROGRAM
CONFIGURATION here
    RESOURCE cpu ON pc
        TASK fast(INTERVAL := T#2ms, PRIORITY := 0);
        PROGRAM tank WITH fast : tank;
    END_RESOURCE
END_CONFIGURATION
"""
Run = Callable[..., tuple[int, str, str]]


def until(claim: Callable[[], bool], why: str, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < end, why
        time.sleep(0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("online")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("XDG_STATE_HOME", str(folder / "states"))
        patch.delenv("TIELINE_SITE", raising=False)
        patch.delenv("TIELINE_STATE", raising=False)
        (folder / "tank.st").write_text(TEXT)
        yield folder


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A subcommand in this process, with nobody at the terminal; its status and what it printed."""
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def run(*arguments: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        add_commands(parser.add_subparsers(required=True))
        args = parser.parse_args(["plc", *arguments])
        capfd.readouterr()
        status = args.run(args)
        out, err = capfd.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="module")
def program(folder: Path) -> Iterator[str]:
    """`tieline plc run` in a process of its own; its state folder."""
    state = folder / "run"
    code = "import sys; from gateway.node import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "plc", "run", str(folder / "tank.st"), "--state", str(state)]
    with (folder / "run.log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        until(lambda: (state / "run" / "scan.sock").exists(), "it never ran")
        until(lambda: _answers(state / "run" / "scan.sock"), "it never answered")
        yield str(state)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, (folder / "run.log").read_text()


@pytest.fixture
def fresh(program: str, run: Run) -> str:
    """The program from a cold start, with nothing forced."""
    run("unforce", "--state", program, "--yes", "--all")
    run("stop", "--state", program, "--yes")
    assert run("start", "cold", "--state", program, "--yes")[0] == 0
    return program


def _answers(socket: Path) -> bool:
    try:
        with ScanClient.connect(socket):
            return True
    except ScanGoneError:
        return False


# ── run ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_run_shows_values_and_ends_by_itself(folder: Path, run: Run) -> None:
    status, out, err = run(
        "run", str(folder / "tank.st"), "--for", "0.3", "--watch", "tank.limits", "--watch", "tank.note"
    )
    assert status == 0, err
    assert out.splitlines()[:3] == ["tank.limits[1]  0.1", "tank.limits[2]  0.9", "tank.note       'first'"]
    assert "scans" in out
    assert not (folder / "states" / "tieline" / "plc-run").exists()


def test_run_prints_lines_or_json(folder: Path, run: Run) -> None:
    _, out, _ = run("run", str(folder / "tank.st"), "--for", "1", "--every", "0.1", "--watch", "tank.mode")
    assert len([line for line in out.splitlines() if line.endswith("tank.mode=Filling")]) >= 3
    _, out, _ = run("run", str(folder / "tank.st"), "--for", "0.2", "--format", "json")
    report = json.loads(out)
    assert report["status"]["mode"] == "running"
    assert report["values"]["tank.bits"] == 255


def test_a_fault_ends_the_run_and_names_its_line(folder: Path, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.st"
    path.write_text("PROGRAM main\nVAR a, b : INT; END_VAR\na := 1 / b;\nEND_PROGRAM\n")
    status, _, err = run("run", str(path), "--for", "5", "--state", str(tmp_path / "state"))
    assert status == 1
    assert f"{path}:3: division by zero" in err


def test_a_program_with_errors_is_not_run(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.st"
    path.write_text("PROGRAM main\nx := 1;\nEND_PROGRAM\n")
    status, _, err = run("run", str(path))
    assert status == 1
    assert "there is nothing called x here" in err


def test_two_programs_do_not_share_a_folder(program: str, folder: Path, run: Run) -> None:
    status, _, err = run("run", str(folder / "tank.st"), "--state", program)
    assert status == 2
    assert "another program runs" in err


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_without_a_program_it_is_said_how_to_start_one(folder: Path, run: Run) -> None:
    status, _, err = run("watch", "tank.level", "--once")
    assert status == 2
    assert "no program runs in" in err
    assert "tieline plc run FILES" in err


def test_status_tells_mode_and_tasks(fresh: str, run: Run) -> None:
    status, out, _ = run("status", "--state", fresh)
    assert status == 0
    assert out.startswith("running, program ")
    assert "task fast every 2ms: " in out
    status, out, _ = run("status", "--state", fresh, "--format", "json")
    assert json.loads(out)["tasks"][0]["interval_ns"] == 2_000_000


def test_watch_shows_values_as_they_are_written(fresh: str, run: Run) -> None:
    _, out, _ = run(
        "watch",
        "--state",
        fresh,
        "--once",
        "tank.note",
        "tank.pause",
        "tank.bits",
        "tank.day",
        "tank.clock",
        "tank.timer.PT",
    )
    assert [line.split()[1] for line in out.splitlines()] == [
        "'first'",
        "T#250ms",
        "255",
        "2026-03-29",
        "06:30:00",
        "T#250ms",
    ]
    _, out, _ = run("watch", "--state", fresh, "--once", "--format", "json", "tank.limits")
    assert json.loads(out)["values"]["tank.limits[2]"] == pytest.approx(0.9)


def test_a_wrong_name_gets_the_nearest(program: str, run: Run) -> None:
    status, _, err = run("watch", "--state", program, "--once", "tank.levl")
    assert status == 2
    assert "did you mean tank.level?" in err


# ── acting ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_nothing_is_done_without_yes_where_nobody_can_be_asked(fresh: str, run: Run) -> None:
    for words in (
        ["write", "tank.zero=0"],
        ["force", "tank.full=TRUE"],
        ["unforce", "--all"],
        ["stop"],
        ["start"],
    ):
        status, _, err = run(*words, "--state", fresh)
        assert status == 2
        assert "add --yes" in err
    assert run("status", "--state", fresh)[0] == 0


def test_write_sets_values_of_every_kind(fresh: str, run: Run) -> None:
    status, out, err = run(
        "write",
        "--state",
        fresh,
        "--yes",
        "tank.note=second one",
        "tank.pause=T#1m2s",
        "tank.bits=16#AA",
        "tank.total=-1.5E3",
    )
    assert status == 0, err
    assert "write tank.pause: T#250ms → T#1m2s" in out
    _, out, _ = run("watch", "--state", fresh, "--once", "tank.note", "tank.pause", "tank.bits")
    assert [line.split(maxsplit=1)[1] for line in out.splitlines()] == ["'second one'", "T#1m2s", "170"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tank.level", "write it as PATH=VALUE"),
        ("tank.mode=Fillin", "did you mean Filling?"),
        ("tank.full=2", "TRUE or FALSE"),
        ("tank.level=much", "1.5"),
        ("tank.pause=5 apples", "T#1m30s"),
        ("tank.zero=1.5", "16#FF"),
        ("tank.timer=1", "not one value"),
        ("tank.zero=99999", "does not fit"),
    ],
)
def test_what_is_no_value_is_refused_with_an_example(program: str, run: Run, text: str, why: str) -> None:
    status, _, err = run("write", "--state", program, "--yes", text)
    assert status != 0
    assert why in err


def test_force_holds_until_unforce(fresh: str, run: Run) -> None:
    assert run("force", "--state", fresh, "--yes", "tank.full=TRUE", "tank.mode=Idle")[0] == 0
    _, out, _ = run("forces", "--state", fresh)
    assert out.splitlines() == ["tank.mode  Idle", "tank.full  TRUE"] or set(out.splitlines()) == {
        "tank.mode  Idle",
        "tank.full  TRUE",
    }
    _, out, _ = run("forces", "--state", fresh, "--format", "json")
    assert {one["path"]: one["value"] for one in json.loads(out)["forces"]} == {
        "tank.mode": 0,
        "tank.full": True,
    }
    assert run("unforce", "--state", fresh, "--yes", "tank.full")[0] == 0
    assert run("unforce", "--state", fresh, "--yes", "--all")[0] == 0
    assert run("forces", "--state", fresh)[1] == "nothing is forced\n"
    assert run("write", "--state", fresh, "--yes", "tank.mode=Filling")[0] == 0
    assert run("unforce", "--state", fresh, "--yes")[0] == 2


def test_stop_and_start(fresh: str, run: Run) -> None:
    assert run("stop", "--state", fresh, "--yes")[0] == 0
    status, out, _ = run("status", "--state", fresh)
    assert (status, out.split(",")[0]) == (1, "stopped")
    assert run("start", "hot", "--state", fresh, "--yes")[0] == 0
    status, _, err = run("start", "--state", fresh, "--yes")
    assert status == 1
    assert err.startswith("tieline plc start: ")


def test_a_trace_goes_to_csv_parquet_and_a_picture(fresh: str, run: Run, tmp_path: Path) -> None:
    outs = [str(tmp_path / name) for name in ("t.csv", "t.parquet", "t.png")]
    status, out, err = run(
        "trace", "--state", fresh, "tank.level", "tank.mode", "--trigger", "tank.level > 0.5", "--before", "20", "--after", "200ms",
        *(word for path in outs for word in ("--out", path)),
    )  # fmt: skip
    assert status == 0, err
    rows = list(csv.DictReader(Path(outs[0]).read_text().splitlines()))
    (trigger,) = [number for number, row in enumerate(rows) if float(row["ms"]) == 0.0]
    assert out.startswith(f"{len(rows)} scans")
    assert 1 <= trigger <= 20  # fewer where it came just after the recording had begun
    assert len(rows) - trigger == 100
    assert float(rows[trigger - 1]["tank.level"]) <= 0.5 < float(rows[trigger]["tank.level"])
    table = pyarrow.parquet.read_table(outs[1])
    assert table.column_names == ["clock_ns", "ms", "tank.level", "tank.mode"]
    assert table.num_rows == len(rows)
    assert Path(outs[2]).read_bytes().startswith(b"\x89PNG\r\n")


def test_a_trigger_that_never_comes_ends_with_its_patience(program: str, run: Run) -> None:
    status, _, err = run(
        "trace", "--state", program, "tank.level", "--trigger", "tank.level > 5", "--timeout", "0.3"
    )
    assert status == 1
    assert "not within 0.3 s" in err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["tank.level", "--trigger", "tank.level"], "say when"),
        (["tank.level", "--trigger", "tank.level >> 1"], "is no trigger"),
        (["tank.level", "--out", "trace.xls"], "a trace goes to"),
        (["tank.level", "--task", "slow"], "there is no task slow"),
        (["tank.level", "--after", "soon"], "a number of scans"),
    ],
)
def test_what_can_not_be_traced_is_said_before(program: str, run: Run, words: list[str], why: str) -> None:
    status, _, err = run("trace", "--state", program, *words)
    assert status == 2
    assert why in err


def test_change_goes_over_and_keeps_values(fresh: str, run: Run, tmp_path: Path) -> None:
    assert run("write", "--state", fresh, "--yes", "tank.note=kept")[0] == 0
    edited = tmp_path / "tank.st"
    edited.write_text(TEXT.replace("zero, one : INT;", "zero, one : INT; added : INT := 7;"))
    status, out, err = run("change", "--state", fresh, "--yes", str(edited))
    assert status == 0, err
    assert out.startswith("changed; it took the loop ")
    _, out, _ = run("watch", "--state", fresh, "--once", "tank.note", "tank.added")
    assert out.split() == ["tank.note", "'kept'", "tank.added", "7"]
    assert run("change", "--state", fresh, "--yes")[0] == 2
    edited.write_text("PROGRAM tank\nnothing := 1;\nEND_PROGRAM\n")
    assert run("change", "--state", fresh, "--yes", str(edited))[0] == 1


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def table(folder: Path) -> Symbols:
    return build([Source("tank.st", TEXT)]).symbols


@pytest.mark.parametrize(
    ("path", "text", "value", "told"),
    [
        ("tank.full", "true", True, "TRUE"),
        ("tank.zero", "-7", -7, "-7"),
        ("tank.zero", "16#7F", 127, "127"),
        ("tank.mode", "Mode#emptying", 4, "Emptying"),
        ("tank.mode", "9", 9, "9"),
        ("tank.level", "REAL#0.25", 0.25, "0.25"),
        ("tank.pause", "90s", 90_000_000_000, "T#1m30s"),
        ("tank.pause", "T#-1h0m2s", -3_602_000_000_000, "T#-1h0m2s"),
        ("tank.day", "D#1970-01-02", 86_400_000_000_000, "1970-01-02"),
        ("tank.clock", "23:59:59.5", 86_399_500_000_000, "23:59:59.5"),
        ("tank.note", "'it$'s'", "it's", "'it's'"),
    ],
)
def test_values_are_read_and_shown_as_in_structured_text(
    table: Symbols, path: str, text: str, value: object, told: str
) -> None:
    type_ = table.types[table.find(path).type]
    assert parsed(type_, text) == value
    assert shown(type_, parsed(type_, text)) == told


def test_a_path_may_stand_for_all_that_is_in_it(table: Symbols) -> None:
    assert leaves(table, "tank.limits") == ["tank.limits[1]", "tank.limits[2]"]
    assert "tank.timer.Q" in leaves(table, "tank")
    big = build(
        [Source("big.st", "PROGRAM big\nVAR a : ARRAY [1..500] OF INT; END_VAR\na[1] := 1;\nEND_PROGRAM\n")]
    ).symbols
    with pytest.raises(ValueTextError, match="more than 200"):
        leaves(big, "big.a")


# ── a terminal ───────────────────────────────────────────────────────────────────────────────────────────────────
class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_who_sits_at_a_terminal_is_asked(
    fresh: str, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    done, _, err = run("write", "--state", fresh, "tank.bits=16#0F")
    assert done == status
    assert "write tank.bits: 255 → 15" in err
    assert "[y/N]" in err


def test_keys_stop_start_renew_and_end(folder: Path) -> None:
    ours, theirs = os.openpty()
    code = "import sys; from gateway.node import main; sys.exit(main(sys.argv[1:]))"
    words = [
        sys.executable,
        "-c",
        code,
        "plc",
        "run",
        str(folder / "tank.st"),
        "--state",
        str(folder / "keys"),
    ]
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    os.set_blocking(ours, False)
    said = ""

    def sees(what: str) -> bool:
        nonlocal said
        with contextlib.suppress(BlockingIOError, OSError):
            said += os.read(ours, 65_536).decode("utf-8", "replace")
        return what in said

    def press(key: bytes) -> None:
        nonlocal said
        said = ""
        os.write(ours, key)

    try:
        until(lambda: sees("q ends, s stops"), "no screen")
        press(b"s")
        until(lambda: sees("tank.st  stopped"), "it does not stop")
        press(b"s")
        until(lambda: sees("tank.st  running"), "it does not start")
        press(b"r")
        until(lambda: sees("begun anew"), "it does not begin anew")
        press(b"c")
        until(lambda: sees("changed in"), "it does not change")
        press(b"q")
        until(lambda: sees("overrun") and process.poll() is not None, "it does not end")
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
