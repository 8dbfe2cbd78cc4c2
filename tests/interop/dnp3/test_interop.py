"""Our master and our outstation with other people's: each pair, each feature, and every frame seen by tshark.

docs/dnp3-interop.md holds what was found; with TIELINE_UPDATE_DOCS=1 this test writes it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from dnp3_interop_peers import dnp3_python_environment
from dnp3_interop_scenarios import (
    FEATURES,
    LIMITS,
    YES,
    Column,
    our_master_with,
    our_outstation_with,
)
from dnp3_interop_wire import Relay, settle, write_capture

PAGE = Path(__file__).parents[3] / "docs" / "dnp3-interop.md"
MARK = "<!-- The table is written by tests/interop/dnp3, which keeps it current. -->"
TRY = {"master": our_master_with, "outstation": our_outstation_with}
TITLES = {"ours": "our own", "opendnp3": "yadnp3", "dnp3_python": "dnp3-python", "dnp3py": "dnp3py"}
# An object of opendnp3's outstations that tshark does not know: indexed time and interval.
UNKNOWN_TO_TSHARK = "0x3204"
pytestmark = pytest.mark.timeout(600)  # the first run makes an environment


@dataclass
class Results:
    columns: dict[tuple[str, str], Column | BaseException]
    relays: list[Relay]

    def column(self, pair: tuple[str, str]) -> Column:
        found = self.columns[pair]
        if isinstance(found, BaseException):
            raise found
        return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All pairs at once, each with processes and ports of its own."""
    dnp3_python_environment()
    folder = tmp_path_factory.mktemp("interop")
    relays: list[Relay] = []

    async def run() -> list[Column | BaseException]:
        pairs = (TRY[role](name, folder, relays) for role, name in LIMITS)
        found = await asyncio.gather(*pairs, return_exceptions=True)
        await settle()
        return found

    return Results(dict(zip(LIMITS, asyncio.run(run()), strict=True)), relays)


@pytest.mark.parametrize("pair", LIMITS, ids=lambda pair: f"our {pair[0]} with {pair[1]}")
def test_all_goes_between_the_two_but_what_the_other_has_not(results: Results, pair: tuple[str, str]) -> None:
    column = results.column(pair)
    assert set(column) == set(FEATURES)
    for feature, answer in column.items():
        assert answer.startswith(LIMITS[pair].get(feature, YES)), f"{feature}: {answer}"


def table(results: Results) -> str:
    """The cells, and under them what each that is no plain yes means."""
    notes: list[str] = []
    rows: list[str] = []
    for feature in FEATURES:
        cells = [feature]
        for pair in LIMITS:
            answer = results.column(pair)[feature]
            if answer == YES:
                cells.append(YES)
                continue
            if answer not in notes:
                notes.append(answer)
            word = answer.split(",")[0].split(":")[0]
            cells.append(f"{word} [{notes.index(answer) + 1}]")
        rows.append(f"| {' | '.join(cells)} |")
    titles = [
        f"our {role} with {TITLES[name]} {'outstation' if role == 'master' else 'master'}"
        for role, name in LIMITS
    ]
    head = f"| | {' | '.join(titles)} |\n| --- |{' --- |' * len(titles)}"
    told = "\n".join(f"{number}. {note.partition(': ')[2] or note}" for number, note in enumerate(notes, 1))
    return "\n".join((head, *rows)) + f"\n\n{told}\n"


def test_the_table_in_the_docs_is_current(results: Results) -> None:
    before, mark, told = PAGE.read_text().partition(MARK)
    assert mark
    found = table(results)
    if os.environ.get("TIELINE_UPDATE_DOCS"):
        PAGE.write_text(f"{before}{MARK}\n\n{found}")
    else:
        assert told.strip() == found.strip()


def test_tshark_finds_no_malformed_frame(results: Results, tmp_path: Path) -> None:
    for pair in LIMITS:
        results.column(pair)
    capture = tmp_path / "all.pcap"
    frames = write_capture(capture, results.relays)
    said = _tshark(capture, "dnp3", "frame.number")
    assert len(said) == frames > 300
    bad = "_ws.malformed || dnp3.hdr.CRC.incorrect || dnp3.data_chunk.CRC.incorrect"
    assert _tshark(capture, bad, "frame.number") == []
    errors = _tshark(capture, "_ws.expert.severity == error", "_ws.expert.message", "dnp3.al.obj")
    assert [one for one in errors if UNKNOWN_TO_TSHARK not in one] == []


def test_tshark_would_find_one(tmp_path: Path, results: Results) -> None:
    spoilt = Relay(0, connections=1)
    whole = next(one for one in results.relays[0].sent if len(one.data) > 20)
    data = whole.data[:-1] + bytes([whole.data[-1] ^ 1])
    spoilt.sent = [type(whole)(1, whole.is_master, data, whole.time_ns)]
    capture = tmp_path / "spoilt.pcap"
    write_capture(capture, [spoilt])
    assert _tshark(capture, "dnp3.data_chunk.CRC.incorrect", "frame.number") != []


def _tshark(capture: Path, which: str, *fields: str) -> list[str]:
    asked = ["tshark", "-r", str(capture), "-Y", which, "-T", "fields"]
    for field in fields:
        asked += ["-e", field]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
