"""The audit trail: an append-only file of JSON lines, each chained to the one before by SHA-256.

Drawn in docs/formats/audit.md. `AuditFile` is the file, blocking; `AuditTrail` is its face on an event loop, where
all commands under way share one fdatasync; `verify` finds any line that was changed, removed or moved.

The file is never rewritten. When it is full it is renamed, and the chain goes on in a new one.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from gateway.commands import wire
from gateway.tags.command import Command, Outcome, Selected
from gateway.tags.sample import Value

FILE_BYTES = 16 << 20  # about 40,000 lines: a start reads the last two files in about a second
GENESIS = "0" * 64  # what the first line is chained to
_HEAD_BYTES = 128  # one sector holds it, so a disk writes it whole
_NUMBER_DIGITS = 12
MOST_OWED = 1_000  # lines that wait for a disk: 500 emergencies

Event = dict[str, Any]  # the fields of a line that the chain does not add: `event` and what belongs to it
log = logging.getLogger(__name__)


class AuditError(Exception):
    """The trail cannot be written or read now."""


@dataclass(frozen=True, slots=True)
class Link:
    """A line's number, from 1, and the SHA-256 (hex) of its bytes without the newline."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditFault:
    """A place where the trail is not what was written."""

    file: str
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found. ``torn_bytes`` is an incomplete last line of a run that was cut off: no fault."""

    lines: int
    files: int
    last: Link
    faults: tuple[AuditFault, ...]
    torn_bytes: int
    open_intents: tuple[str, ...]


@dataclass(slots=True)
class Past:
    """What the trail knows of earlier commands: outcomes by id, intents without one, and the last intent by tag."""

    outcomes: dict[str, tuple[Command, Outcome]] = field(default_factory=dict)
    intents: dict[str, Command] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)


def opened_event(site: str) -> Event:
    """The router began."""
    return {"event": "opened", "site": site, "pid": os.getpid()}


def reloaded_event(site: str, digest: str) -> Event:
    """Another site file is in force; ``digest`` is of its content."""
    return {"event": "reloaded", "site": site, "digest": digest}


def intent_event(command: Command, confirmed_by: str = "", *, is_emergency: bool = False) -> Event:
    """The command passed every check and is about to be sent to the device."""
    event: Event = {"event": "intent", "command": _strict(wire.command_fields(command))}
    if confirmed_by:
        event["confirmed_by"] = confirmed_by
    if is_emergency:
        event["emergency"] = True
    return event


def select_event(command: Command, selected: Selected) -> Event:
    """A point was selected, or a select given up."""
    return {
        "event": "select",
        "command": _strict(wire.command_fields(command)),
        "outcome": wire.outcome_fields(selected),
    }


def waiting_event(command: Command, until_ns: int) -> Event:
    """A command waits for a second person."""
    return {"event": "waiting", "command": _strict(wire.command_fields(command)), "until_ns": until_ns}


def confirmation_event(word: wire.Confirm, why: str) -> Event:
    """A second person's word; ``why`` it does not count, else empty."""
    return {"event": "confirmation", **wire.confirm_fields(word), "why": why}


def settled_event(id: str, outcome: Outcome) -> Event:
    """What became of a command whose outcome was not known."""
    return {"event": "settled", "id": id, "outcome": _strict(wire.outcome_fields(outcome))}


def outcome_event(id: str, outcome: Outcome) -> Event:
    """What became of an intent."""
    return {"event": "outcome", "id": id, "outcome": _strict(wire.outcome_fields(outcome))}


def refusal_event(command: Command, outcome: Outcome) -> Event:
    """A command that never became an intent."""
    return {
        "event": "refusal",
        "command": _strict(wire.command_fields(command)),
        "outcome": _strict(wire.outcome_fields(outcome)),
    }


def logic_event(tag: str, state: str, value: Value | None, changes: int) -> Event:
    """Who has the say over an output of the logic now; ``changes`` of that since the output's line before."""
    return {"event": "logic", "tag": tag, "state": state, "value": value, "changes": changes}


def by_hand_event(note: wire.Note, uid: int) -> Event:
    """Somebody does something to the running program; ``uid`` is who, as the operating system knows it."""
    return {"event": "by_hand", "uid": uid, **wire.note_fields(note)}


class AuditFile:
    """The trail as a file. One process has it open for writing; use it from one thread at a time."""

    def __init__(
        self, path: Path, *, now_ns: Callable[[], int] = time.time_ns, file_bytes: int = FILE_BYTES
    ) -> None:
        self._path = path
        self._now_ns = now_ns
        self._file_bytes = file_bytes
        self._file: BinaryIO | None = None
        self._size = 0
        self._last = Link(0, GENESIS)

    def open(self) -> Past:
        """Take the file for this process, cut off a line torn by a crash, and read what happened before.

        Where the chain is broken it goes on from the last line, after a line that says so. Raises AuditError.
        """
        try:
            return self._open()
        except OSError as error:
            self.close()
            raise AuditError(f"{self._path}: {error.strerror}") from error

    def append(self, events: Sequence[Event]) -> None:
        """Chain ``events`` on; they are durable when this returns.

        Raises AuditError, and then none of them counts.
        """
        try:
            if self._file is None:
                self._open()
            self._append(events)
        except OSError as error:
            self._undo()
            raise AuditError(f"{self._path}: {error.strerror}") from error

    def turn(self) -> None:
        """Begin a new file if this one is full; to be called when no intent waits for its outcome."""
        if self._file is None or self._size < self._file_bytes:
            return
        number = f"{self._last.number:0{_NUMBER_DIGITS}}"
        try:
            self._path.rename(self._path.with_stem(f"{self._path.stem}-{number}"))
            self._file.close()
            self._file = None
            self._create()
        except OSError as error:
            log.error("the audit file is full and a new one cannot be made: %s", error)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> Past:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        previous = finished_files(self._path)[-1:]
        head = read_head(self._path)
        if head is None and not previous and not self._path.exists():
            head = Link(0, GENESIS)
            self._write_head(head)
        past = Past()
        before = Link(0, GENESIS)
        for path in previous:
            reading = _Reading(path.name, past, None, head)
            with path.open("rb") as file:
                for line in file:
                    reading.take(line)
            before = reading.last
        self._create()
        assert self._file is not None
        reading = _Reading(self._path.name, past, before, head)
        keep = 0
        torn = b""
        for line in self._file:
            # What the note counts was durable, so a crash cannot have torn it.
            is_after_note = head is not None and reading.last.number >= head.number
            if not reading.take(line, may_be_torn=is_after_note or not line.endswith(b"\n")):
                torn = line + self._file.read()
                break
            keep += len(line)
        self._last = reading.last
        self._size = keep
        events: list[Event] = []
        if torn:
            self._set_aside(torn)
            self._file.truncate(keep)
            events.append({"event": "torn", "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()})
        faults = [*reading.faults, *_end_faults(self._path.name, head, reading.last)]
        if faults:
            log.error("the audit trail is not what was written: line %d: %s", faults[0].line, faults[0].why)
            events.append({"event": "broken", "line": faults[0].line, "why": faults[0].why})
        if events:
            self._append(events)
        return past

    def _set_aside(self, torn: bytes) -> None:
        """Keep what is cut off, for whoever wants to know: nothing of the trail is ever destroyed."""
        place = self._path.with_name(f"{self._path.stem}-torn-{self._last.number + 1:0{_NUMBER_DIGITS}}")
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(torn)
            file.flush()
            os.fsync(file.fileno())

    def _create(self) -> None:
        """Open the current file, made if it is not there, locked against a second writer."""
        is_new = not self._path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self._path, flags, 0o600), "r+b", buffering=1 << 16)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_new:
            self._size = 0
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _append(self, events: Sequence[Event]) -> None:
        assert self._file is not None
        last = self._last
        at = _iso(self._now_ns())
        lines: list[bytes] = []
        for event in events:
            line = encode_line(last, at, event)
            last = Link(last.number + 1, hashlib.sha256(line).hexdigest())
            lines.append(line + b"\n")
        block = b"".join(lines)
        descriptor = self._file.fileno()
        written = 0
        while written < len(block):
            written += os.write(descriptor, block[written:])
        os.fdatasync(descriptor)
        self._last = last
        self._size += len(block)
        self._write_head(last)

    def _undo(self) -> None:
        """After a failed append: what reached the file does not count. It is opened anew for the next append."""
        if self._file is not None:
            with suppress(
                OSError
            ):  # what stays behind is cut off or kept by the next `_open`, which reads it
                os.ftruncate(self._file.fileno(), self._size)
        self.close()

    def _write_head(self, last: Link) -> None:
        """Note the last line beside the file, so that lines removed at the end are missed.

        It is not synced, so after a power cut it may lag; it is never ahead, for the line itself was synced before.
        """
        content = f"{last.number} {last.hash}\n".encode().ljust(_HEAD_BYTES)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(head_path(self._path), flags, 0o600)
        try:
            os.pwrite(descriptor, content, 0)
        finally:
            os.close(descriptor)


class AuditTrail:
    """The trail on an event loop. Outcomes that could not be written are kept and go first with the next write."""

    def __init__(self, file: AuditFile) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._pending: list[tuple[Event, asyncio.Future[None]]] = []
        self._owed: list[Event] = []  # at most one for each command under way when the disk failed
        self._open_intents = 0
        self._flushing: asyncio.Task[None] | None = None
        self.is_open = False  # what was before is read: whoever does not need that may note from now on

    async def open(self) -> Past:
        """Raises AuditError."""
        past = await asyncio.get_running_loop().run_in_executor(self._thread, self._file.open)
        self.is_open = True
        return past

    async def note(self, event: Event) -> None:
        """Returns when ``event`` is durable. Raises AuditError."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((event, durable))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await durable

    async def begin(self, command: Command, confirmed_by: str = "") -> None:
        """The intent is durable when this returns. Raises AuditError: then nothing may be sent to the device."""
        self._open_intents += 1
        try:
            await self.note(intent_event(command, confirmed_by))
        except AuditError:
            self._open_intents -= 1
            raise

    async def begin_at_once(self, command: Command, patience_s: float) -> None:
        """The intent of an emergency: durable when this returns, or as soon as the disk can take it."""
        self._open_intents += 1
        await self._note_within(intent_event(command, is_emergency=True), patience_s)

    async def end_at_once(self, command: Command, outcome: Outcome, patience_s: float) -> None:
        """The outcome of an emergency, likewise."""
        self._open_intents -= 1
        await self._note_within(outcome_event(command.id, outcome), patience_s)

    async def _note_within(self, event: Event, patience_s: float) -> None:
        if len(self._owed) + len(self._pending) >= MOST_OWED:
            log.critical("the audit trail has not been written for too long; it lacks %s", event)
            return
        noting = asyncio.ensure_future(self.note(event))
        noting.add_done_callback(lambda ended: self._owe(event, ended))
        await asyncio.wait([noting], timeout=patience_s)
        if not noting.done():
            log.error("the disk is slow; an emergency goes before it is in the audit trail: %s", event)

    def _owe(self, event: Event, noting: asyncio.Future[None]) -> None:
        """What could not be written goes first with the next write."""
        if noting.cancelled() or noting.exception() is None:
            return
        log.error("an emergency is not in the audit trail yet: %s: %s", noting.exception(), event)
        self._owed.append(event)

    async def end(self, command: Command, outcome: Outcome) -> None:
        """The outcome is durable when this returns, or will be once the file can be written again."""
        event = outcome_event(command.id, outcome)
        try:
            await self.note(event)
        except AuditError as error:
            log.error("the outcome of command %s is not in the audit trail yet: %s", command.id, error)
            self._owed.append(event)
        finally:
            self._open_intents -= 1

    async def close(self) -> None:
        self.is_open = False
        while self._flushing is not None and not self._flushing.done():
            await self._flushing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while (
            self._pending
        ):  # asked again after each await: others note meanwhile, and see that this task runs
            await self._write()
            if not self._open_intents and not self._owed:
                await loop.run_in_executor(self._thread, self._file.turn)

    async def _write(self) -> None:
        """Everything pending, in one go."""
        batch, self._pending = self._pending, []
        owed, self._owed = self._owed, []
        events = [*owed, *(event for event, _ in batch)]
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._file.append, events)
        except AuditError as error:
            self._owed = [*owed, *self._owed]
            for _, durable in batch:
                if not durable.done():
                    durable.set_exception(AuditError(str(error)))
            return
        for _, durable in batch:
            if not durable.done():
                durable.set_result(None)


def verify(path: Path, known: Link | None = None) -> Verification:
    """Check the whole trail, oldest file first. It may be in use. Raises AuditError where it cannot be read.

    ``known`` is a line noted earlier in a safe place: whoever can write the files can also compute a new chain,
    but not one through that line.
    """
    past = Past()
    faults: list[AuditFault] = []
    last = Link(0, GENESIS)
    torn_bytes = 0
    known_hash = ""
    try:
        head = read_head(path)  # before the lines: a trail in use only grows meanwhile
        files = [*finished_files(path), *([path] if path.exists() else [])]
        for each in files:
            reading = _Reading(each.name, past, last, head)
            with each.open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        torn_bytes = len(line)
                        break
                    reading.take(line)
                    if known is not None and reading.last.number == known.number:
                        known_hash = reading.last.hash
            last = reading.last
            faults.extend([*reading.faults, *reading.faults_told])
            past.outcomes.clear()
    except OSError as error:
        raise AuditError(f"{error.filename}: {error.strerror}") from error
    faults.extend(_end_faults(path.name, head, last))
    if known is not None and known_hash != known.hash:
        faults.append(AuditFault(path.name, known.number, "the line is not the one that was noted"))
    return Verification(last.number, len(files), last, tuple(faults), torn_bytes, tuple(past.intents))


def encode_line(last: Link, at: str, event: Event) -> bytes:
    """The line after ``last``, without its newline."""
    whole = {"number": last.number + 1, "at": at, "prev": last.hash, **event}
    return json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()


def head_path(path: Path) -> Path:
    return path.with_suffix(".head")


def read_head(path: Path) -> Link | None:
    """The last line as noted beside the file; None where there is no note. Raises OSError but not for that."""
    try:
        number, hash = head_path(path).read_text("ascii").split()
        return Link(int(number), hash)
    except (FileNotFoundError, ValueError):  # ValueError: UnicodeDecodeError too
        return None


def finished_files(path: Path) -> list[Path]:
    """The full files before the current one, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}-{'[0-9]' * _NUMBER_DIGITS}{path.suffix}"))


class _Reading:
    """Goes through the lines of one file: follows the chain, and remembers commands."""

    def __init__(self, name: str, past: Past, last: Link | None, head: Link | None) -> None:
        """``last`` is the line before the first of this file; None where it is not known."""
        self.name = name
        self.past = past
        self.last = last or Link(0, GENESIS)
        self.faults: list[AuditFault] = []
        self.faults_told: list[AuditFault] = []  # found and written down by an earlier start
        self._head = head
        self._knows_before = last is not None

    def take(self, line: bytes, *, may_be_torn: bool = False) -> bool:
        """One more line, with its newline. False: it does not fit and may be torn, so it was not taken."""
        content = line.removesuffix(b"\n")
        fields = _fields(content)
        number = fields.get("number")
        prev = fields.get("prev")
        is_whole = line.endswith(b"\n") and isinstance(number, int) and isinstance(prev, str)
        fits = number == self.last.number + 1 and prev == self.last.hash
        if not (is_whole and (fits or not self._knows_before)):
            if may_be_torn:
                return False
            self.faults.append(self._fault(is_whole, number, prev))
        self._knows_before = True
        following = number if isinstance(number, int) else self.last.number + 1
        self.last = Link(following, hashlib.sha256(content).hexdigest())
        if self._head is not None and self._head.number == following and self._head.hash != self.last.hash:
            self.faults.append(AuditFault(self.name, following, _changed(following)))
        self._remember(fields)
        return True

    def _fault(self, is_whole: bool, number: Any, prev: Any) -> AuditFault:
        expected = self.last.number + 1
        if not is_whole:
            return AuditFault(self.name, expected, "not a line of the audit trail")
        if number > expected:
            return AuditFault(self.name, expected, f"lines {expected} to {number - 1} are missing")
        if number < expected:
            return AuditFault(self.name, number, f"line {number} stands where {expected} should")
        return AuditFault(self.name, self.last.number, _changed(self.last.number))

    def _remember(self, fields: Event) -> None:
        with suppress(wire.WireError, KeyError, TypeError, AttributeError):  # a changed line: `faults` has it
            match fields.get("event"):
                case "intent":
                    command = wire.command_of(fields["command"])
                    self.past.intents[command.id] = command
                    self.past.last[command.tag] = command.id
                case "outcome":
                    outcome = wire.outcome_of(fields["outcome"])
                    intent = self.past.intents.pop(fields["id"], None)
                    if intent is not None:
                        self.past.outcomes[intent.id] = (intent, outcome)
                case "settled":
                    known = self.past.outcomes.get(fields["id"])
                    if known is not None:
                        self.past.outcomes[fields["id"]] = known[0], wire.outcome_of(fields["outcome"])
                case "refusal":
                    command = wire.command_of(fields["command"])
                    self.past.outcomes.setdefault(command.id, (command, wire.outcome_of(fields["outcome"])))
                case "broken":
                    why = f"the router found the trail broken when it opened it: {fields['why']}"
                    self.faults_told.append(AuditFault(self.name, int(fields["line"]), why))


def _end_faults(name: str, head: Link | None, last: Link) -> Iterator[AuditFault]:
    """What the note beside the file says of lines that are not there."""
    if head is None:
        if last.number:
            why = "the note of the last line (.head) is missing: lines removed at the end would not be seen"
            yield AuditFault(name, last.number, why)
    elif last.number < head.number:
        yield AuditFault(name, last.number + 1, f"lines {last.number + 1} to {head.number} are missing")


def _changed(number: int) -> str:
    return f"line {number} was changed after it was written"


def _fields(content: bytes) -> Event:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _strict(fields: Event) -> Event:
    """JSON has no NaN or Infinity: such a value, always refused, is written as its name."""
    value = fields.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        return {**fields, "value": str(value)}
    return fields


def _iso(time_ns: int) -> str:
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"
