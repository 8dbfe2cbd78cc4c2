"""Annotations: kept in every version, by whoever writes them, from several processes at once."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys

import pytest
from historian_folder import NOON, SECOND

from gateway.node.cli import main
from historian.annotations import Annotations
from historian.annotations.store import NoSuchAnnotation, annotations_path
from historian.errors import HistoryError

HOUR = 3600 * SECOND
WRITER = """
import sys
from pathlib import Path
from historian.annotations import Annotations
notes = Annotations(Path(sys.argv[1]))
for number in range(20):
    note = notes.add("a.on", number, f"{sys.argv[2]} {number}", sys.argv[2])
    notes.edit(note.id, f"{sys.argv[2]} {number} again", sys.argv[2])
"""


@pytest.fixture
def notes(folder):
    return Annotations(folder.directory, clock=folder.clock)


def test_a_note_is_found_by_tag_and_time(notes):
    notes.add("a.power_kw", NOON, "Störung am Trafo", "zoe")
    notes.add("b.power_kw", NOON + HOUR, "meter exchanged", "max")
    (found,) = notes.find(NOON, NOON + 1)
    assert (found.id, found.version, found.tag, found.text, found.author, found.made) == (
        *(1, 1, "a.power_kw"),
        *("Störung am Trafo", "zoe", NOON),
    )
    assert [note.id for note in notes.find(0, 2**62, tag="b.*")] == [2]
    assert [note.id for note in notes.find(0, 2**62)] == [1, 2]
    assert [note.id for note in notes.find(0, 2**62, limit=1)] == [1]


def test_no_version_is_ever_lost(notes, folder):
    note = notes.add("a.on", NOON, "one", "zoe")
    folder.clock.now += SECOND
    notes.edit(note.id, "two", "max")
    notes.delete(note.id, "eve")
    assert notes.find(0, 2**62) == []
    versions = notes.versions(note.id)
    assert versions == notes.find(0, 2**62, all_versions=True)
    told = [(each.version, each.text, each.author, each.is_deleted) for each in versions]
    assert told == [(1, "one", "zoe", False), (2, "two", "max", False), (3, "two", "eve", True)]
    assert [each.made for each in versions] == [NOON, NOON + SECOND, NOON + SECOND]


def test_what_is_deleted_or_never_was_cannot_be_changed(notes):
    note = notes.add("a.on", NOON, "one", "zoe")
    notes.delete(note.id, "zoe")
    with pytest.raises(NoSuchAnnotation, match="zoe deleted it"):
        notes.edit(note.id, "two", "zoe")
    with pytest.raises(NoSuchAnnotation, match="none of this number"):
        notes.delete(77, "zoe")
    assert notes.add("a.on", NOON, "another", "zoe").id == 2, "a number is never used twice"


@pytest.mark.parametrize(("text", "author"), [("", "zoe"), (" ", "zoe"), ("x", ""), ("x" * 10_001, "zoe")])
def test_an_empty_or_endless_one_is_refused(notes, text, author):
    with pytest.raises(ValueError, match="text"):
        notes.add("a.on", NOON, text, author)
    assert notes.find(0, 2**62) == []


def test_several_processes_write_at_once(notes, folder):
    writers = [
        subprocess.Popen([sys.executable, "-P", "-c", WRITER, str(folder.directory), name])
        for name in ("ann", "bob", "cem")
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    found = notes.find(0, 2**62)
    assert sorted(note.id for note in found) == list(range(1, 61))
    assert {note.text for note in found} == {
        f"{name} {number} again" for name in ("ann", "bob", "cem") for number in range(20)
    }
    assert len(notes.find(0, 2**62, all_versions=True)) == 120


def test_without_a_history_folder_nothing_is_made(tmp_path):
    notes = Annotations(tmp_path / "nowhere")
    assert notes.find(0, 2**62) == []
    with pytest.raises(HistoryError, match="no historian has run"):
        notes.add("a.on", NOON, "one", "zoe")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_is_none_is_told(notes, folder):
    annotations_path(folder.directory).write_bytes(b"no database at all" * 100)
    with pytest.raises(HistoryError, match=r"annotations\.sqlite"):
        notes.find(0, 2**62)
    with pytest.raises(HistoryError, match=r"annotations\.sqlite"):
        notes.add("a.on", NOON, "one", "zoe")


@pytest.fixture
def tieline(folder, tmp_path, capsys):
    state = tmp_path / "state"
    state.mkdir()
    (state / "history").symlink_to(folder.directory)

    def run(verb: str, *words: str) -> tuple[int, str, str]:
        status = main(["history", verb, *words, "--state", str(state)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_on_the_terminal(tieline):
    noted = tieline("annotate", "a.power_kw", "Breaker tested", "--at", "2026-11-21T12:00:00Z", "--by", "zoe")
    assert noted == (0, "annotation 1, version 1: a.power_kw at 2026-11-21T12:00:00Z\n", "")
    assert tieline("annotate", "--edit", "1", "Breaker exchanged", "--by", "max")[0] == 0
    status, out, _ = tieline("annotations")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].startswith("2026-11-21T12:00:00Z  a.power_kw  #1  (max, ")
    assert lines[1:] == ["    Breaker exchanged"]
    assert tieline("annotate", "--delete", "1", "--by", "eve")[1].startswith("annotation 1, deleted")
    assert tieline("annotations")[:2] == (1, "no annotations\n")
    assert "version 3, deleted" in tieline("annotations", "--versions")[1]


def test_for_spreadsheets_and_programs(tieline, tmp_path):
    tieline("annotate", "a.on", 'said "no",\nthen went', "--at", "2026-11-21T12:00:00Z", "--by", "zoe")
    (row,) = csv.DictReader(io.StringIO(tieline("annotations", "a.*", "--format", "csv")[1]))
    assert (row["text"], row["author"], row["time"]) == (
        'said "no",\nthen went',
        "zoe",
        "2026-11-21T12:00:00Z",
    )
    file = tmp_path / "notes.json"
    assert tieline("annotations", "--format", "json", "--output", str(file))[:2] == (0, "")
    assert json.loads(file.read_text())[0]["text"] == 'said "no",\nthen went'


def test_wrong_wishes(tieline):
    status, _, err = tieline("annotate", "a.powr_kw", "x")
    assert status == 1
    assert "did you mean a.power_kw" in err
    assert tieline("annotate", "a.on")[0] == 2
    assert tieline("annotate", "a.on", "two", "words")[0] == 2
    assert tieline("annotate", "--edit", "9", "x")[0] == 1
    assert tieline("annotate", "a.on", "x", "--at", "yesterday")[0] == 2
    assert tieline("annotations", "--from", "2026-11-22", "--to", "2026-11-21")[0] == 2


def test_each_is_durable_when_the_call_returns(notes, folder):
    notes.add("a.on", NOON, "one", "zoe")
    with sqlite3.connect(annotations_path(folder.directory)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("SELECT text FROM versions").fetchall() == [("one",)]
    database.close()
