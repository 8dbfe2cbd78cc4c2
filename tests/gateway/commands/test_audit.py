"""The audit trail: written before the device is touched, whole after any crash, and no line can be changed unseen."""

import asyncio
import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.commands import audit
from gateway.commands.audit import (
    AuditError,
    AuditFile,
    AuditTrail,
    Link,
    intent_event,
    outcome_event,
    refusal_event,
    verify,
)
from gateway.tags.command import Done, Refusal, Refused, TimedOut


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def events_of(path: Path) -> list[str]:
    return [line["event"] for line in lines_of(path)]


@pytest.fixture
def written(audit_path, wish):
    """A trail of five commands, ten lines."""
    file = AuditFile(audit_path)
    file.open()
    for number in range(5):
        command = wish(id=f"c{number}")
        file.append([intent_event(command)])
        file.append([outcome_event(command.id, Done(5.0, 1))])
    file.close()
    return audit_path


async def test_the_intent_is_on_disk_before_the_device_is_touched(opened, device, wish, audit_path):
    command = wish(reason="peak at noon")
    device.may_answer.clear()
    async with opened() as router:
        sending = asyncio.create_task(router.send(command))
        await device.touched.wait()
        opening, intent = lines_of(audit_path)
        assert opening["event"] == "opened"
        assert intent["event"] == "intent"
        assert intent["command"] == {
            "id": command.id, "tag": command.tag, "value": 5.0, "user": "olga", "origin": "opcua",
            "deadline_ns": command.deadline_ns, "reason": "peak at noon",
        }  # fmt: skip
        device.may_answer.set()
        await sending
        outcome = lines_of(audit_path)[-1]
        assert (outcome["event"], outcome["id"], outcome["outcome"]["kind"]) == (
            "outcome",
            command.id,
            "done",
        )


async def test_refusals_are_in_the_trail(opened, wish, audit_path):
    async with opened() as router:
        await router.send(wish(user="eve"))
        await router.send(wish(value=float("nan")))
    _, first, second = lines_of(audit_path)
    assert first["outcome"]["code"] == "not_authorised"
    assert second["command"]["value"] == "nan"
    assert verify(audit_path).faults == ()


async def test_where_the_trail_cannot_be_written_the_command_is_refused(
    opened, device, wish, audit_path, monkeypatch
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with opened() as router:
        with monkeypatch.context() as patch:
            patch.setattr(audit.os, "fdatasync", full)
            outcome = await router.send(wish())
        assert isinstance(outcome, Refused)
        assert outcome.code is Refusal.AUDIT_UNAVAILABLE
        assert device.operated == []
        assert isinstance(await router.send(wish()), Done)
    assert events_of(audit_path) == ["opened", "intent", "outcome"]
    assert verify(audit_path).faults == ()


async def test_an_outcome_that_cannot_be_written_is_written_when_it_can_be(
    opened, device, wish, audit_path, monkeypatch
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    device.may_answer.clear()
    command = wish()
    async with opened() as router:
        sending = asyncio.create_task(router.send(command))
        await device.touched.wait()
        with monkeypatch.context() as patch:
            patch.setattr(audit.os, "fdatasync", full)
            device.may_answer.set()
            assert isinstance(await sending, Done)
        assert verify(audit_path).open_intents == (command.id,)
        await router.send(wish())
    assert verify(audit_path).open_intents == ()
    assert verify(audit_path).faults == ()


async def test_an_intent_without_outcome_is_closed_by_the_next_start(opened, wish, audit_path):
    command = wish()
    file = AuditFile(audit_path)
    file.open()
    file.append([intent_event(command)])
    file.close()
    async with opened() as router:
        outcome = await router.send(command)
    assert isinstance(outcome, TimedOut)
    assert verify(audit_path).open_intents == ()
    assert lines_of(audit_path)[-1]["outcome"]["kind"] == "timed_out"


CRASH = """
import os, sys
from pathlib import Path
from gateway.commands import audit
from gateway.tags.command import Command
file = audit.AuditFile(Path(sys.argv[1]))
file.open()
print("open", flush=True)
number = 0
while True:
    number += 1
    file.append([audit.intent_event(Command(f"c{number}", "a.b", 1.5, "olga", "opcua", 1))])
    print(number, flush=True)
"""


def test_nothing_acknowledged_is_lost_by_kill_9(audit_path):
    generator = random.Random(7)
    acknowledged = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", CRASH, audit_path], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        count = generator.randrange(1, 60)
        last = [process.stdout.readline() for _ in range(count)][-1]
        process.kill()
        rest = process.stdout.read().split("\n")
        process.wait()
        process.stdout.close()
        told = [int(word) for word in [last.strip(), *rest[:-1]] if word.isdecimal()]
        acknowledged += max(told, default=0)
        found = verify(audit_path)
        assert found.faults == ()
        intents = [
            line
            for line in audit_path.read_bytes().split(b"\n")
            if b'"intent"' in line and line.endswith(b"}")
        ]
        assert len(intents) >= acknowledged
        acknowledged = len(intents)


@pytest.mark.parametrize("cut", [1, 10, 100, 200])
def test_a_torn_last_line_is_set_aside_and_said(written, cut, wish):
    whole = written.read_bytes()
    torn = whole + b'{"number":11,"at":"2026-11-21T10:00:00.000000000Z","prev":"' + b"a" * cut
    written.write_bytes(torn)
    assert verify(written).torn_bytes == len(torn) - len(whole)
    assert verify(written).faults == ()
    file = AuditFile(written)
    past = file.open()
    file.close()
    assert len(past.outcomes) == 5
    assert written.read_bytes().startswith(whole)
    assert events_of(written)[10:] == ["torn"]
    assert verify(written).faults == ()
    assert written.with_name("audit-torn-000000000011").read_bytes() == torn[len(whole) :]


def test_lines_after_the_last_acknowledged_one_that_do_not_chain_are_set_aside(written):
    whole = written.read_bytes()
    written.write_bytes(whole + b"\0" * 512 + b"\n" + b'{"number":12}\n')
    file = AuditFile(written)
    file.open()
    file.close()
    assert events_of(written)[10:] == ["torn"]
    assert verify(written).faults == ()


def change_word(lines: list[bytes]) -> list[bytes]:
    lines[4] = lines[4].replace(b"olga", b"otto")
    return lines


def change_last(lines: list[bytes]) -> list[bytes]:
    lines[8] = lines[8].replace(b"olga", b"otto")
    return lines


TAMPERINGS = {
    "a word of a line": (change_word, 5, "line 5 was changed"),
    "a word of a line before the last": (change_last, 9, "line 9 was changed"),
    "a line removed": (lambda lines: [*lines[:3], *lines[4:]], 4, "lines 4 to 4 are missing"),
    "two lines swapped": (
        lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
        4,
        "lines 4 to 4 are missing",
    ),
    "a line doubled": (lambda lines: [*lines[:3], lines[2], *lines[3:]], 3, "line 3 stands where 4 should"),
    "the first line removed": (lambda lines: lines[1:], 1, "lines 1 to 1 are missing"),
    "the last line removed": (lambda lines: lines[:-1], 10, "lines 10 to 10 are missing"),
    "all lines removed": (lambda lines: [], 1, "lines 1 to 10 are missing"),
    "garbage in a line": (
        lambda lines: [*lines[:3], b"\xff\xfe garbage", *lines[4:]],
        4,
        "not a line of the audit",
    ),
    "a line put in": (lambda lines: [*lines[:3], b"{}", *lines[3:]], 4, "not a line of the audit"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found(written, name):
    tamper, line, why = TAMPERINGS[name]
    lines = tamper(written.read_bytes().splitlines())
    written.write_bytes(b"".join(line + b"\n" for line in lines))
    faults = verify(written).faults
    assert faults
    assert faults[0].line == line
    assert why in faults[0].why


def test_a_change_of_the_very_last_line_is_found(written):
    lines = written.read_bytes().splitlines()
    lines[-1] = lines[-1].replace(b'"value":5.0', b'"value":6.0')
    written.write_bytes(b"".join(line + b"\n" for line in lines))
    (fault,) = verify(written).faults
    assert (fault.line, fault.why) == (10, "line 10 was changed after it was written")


def test_a_chain_computed_anew_is_found_by_a_noted_line(written, tmp_path, wish):
    noted = verify(written).last
    forged = tmp_path / "forged" / "audit.jsonl"
    file = AuditFile(forged)
    file.open()
    file.append([intent_event(wish(user="enno"))] * 12)
    file.close()
    assert verify(forged).faults == ()
    (fault,) = verify(forged, noted).faults
    assert "not the one that was noted" in fault.why
    assert verify(written, noted).faults == ()


def test_a_missing_note_of_the_last_line_is_found(written):
    written.with_suffix(".head").unlink()
    (fault,) = verify(written).faults
    assert ".head" in fault.why


def test_what_a_start_finds_broken_stays_on_record_and_is_not_cut_off(written):
    lines = written.read_bytes().splitlines()
    lines[4] = lines[4].replace(b"olga", b"otto")
    broken = b"".join(line + b"\n" for line in lines)
    written.write_bytes(broken)
    for _ in range(2):
        file = AuditFile(written)
        file.open()
        file.close()
    assert written.read_bytes().startswith(broken)
    assert "broken" in events_of(written)
    assert next(fault.line for fault in verify(written).faults) == 5


def test_a_removed_note_does_not_make_a_start_cut_off_lines(written):
    lines = written.read_bytes().splitlines()
    lines[4] = lines[4].replace(b"olga", b"otto")
    broken = b"".join(line + b"\n" for line in lines)
    written.write_bytes(broken)
    written.with_suffix(".head").unlink()
    file = AuditFile(written)
    file.open()
    file.close()
    assert written.read_bytes().startswith(broken)
    assert verify(written).faults


def test_a_full_file_is_followed_by_another_and_the_chain_goes_on(audit_path, wish):
    file = AuditFile(audit_path, file_bytes=2_000)
    file.open()
    for number in range(40):
        file.append([refusal_event(wish(id=f"c{number}"), Refused(Refusal.BUSY, "x"))])
        file.turn()
    file.close()
    found = verify(audit_path)
    assert found.faults == ()
    assert found.lines == 40
    assert found.files > 5
    older = audit.finished_files(audit_path)[2]
    older.write_bytes(older.read_bytes().replace(b"olga", b"otto", 1))
    assert verify(audit_path).faults


def test_commands_of_the_file_before_are_still_known(audit_path, wish):
    file = AuditFile(audit_path, file_bytes=1)
    file.open()
    command = wish()
    file.append([intent_event(command), outcome_event(command.id, Done(5.0, 1))])
    file.turn()
    file.close()
    again = AuditFile(audit_path)
    assert again.open().outcomes[command.id] == (command, Done(5.0, 1))
    again.close()


def test_a_second_writer_is_kept_out(audit_path):
    first = AuditFile(audit_path)
    first.open()
    with pytest.raises(AuditError):
        AuditFile(audit_path).open()
    first.close()


def test_only_this_user_may_read_it(written):
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.with_suffix(".head").stat().st_mode & 0o777 == 0o600


async def test_many_commands_share_a_sync(audit_path, wish, monkeypatch):
    syncs = 0
    real = os.fdatasync

    def counted(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    trail = AuditTrail(AuditFile(audit_path))
    await trail.open()
    monkeypatch.setattr(audit.os, "fdatasync", counted)
    await asyncio.gather(*(trail.begin(wish()) for _ in range(200)))
    await trail.close()
    assert syncs <= 3
    assert verify(audit_path).lines == 200


def test_a_line_as_drawn_in_the_format(audit_path):
    line = audit.encode_line(Link(0, audit.GENESIS), "2026-11-21T10:00:00.000000000Z", {"event": "opened"})
    assert line == (
        b'{"number":1,"at":"2026-11-21T10:00:00.000000000Z","prev":"' + b"0" * 64 + b'","event":"opened"}'
    )
