"""Commands and outcomes as lines on the command socket, drawn in docs/formats/commands.md.

Pure: bytes in, values out. A line is one JSON object with one key, UTF-8, ended by a newline, at most
`LINE_BYTES` with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, assert_never

from gateway.tags.command import (
    Command,
    Done,
    Failed,
    Outcome,
    Refusal,
    Refused,
    Selected,
    Step,
    TimedOut,
)
from gateway.tags.sample import Value

LINE_BYTES = 65_536  # a 4,000-byte string is at most 24,000 bytes escaped; the rest is names and a reason
ID_CHARACTERS = 64  # a uuid4 hex has 32
NAME_CHARACTERS = 255
REASON_CHARACTERS = 500
LISTED_CHARACTERS = 100  # of a text in the list of what waits: twenty fit a line, whatever is in them
NOTE_VALUES = 256  # what a scan holds forced at most
_INT64_LOW, _INT64_HIGH = -(1 << 63), (1 << 63) - 1


class WireError(Exception):
    """A line that is not of this protocol. ``id`` is the command it was about, where it could be read."""

    def __init__(self, why: str, id: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.id = id


@dataclass(frozen=True, slots=True)
class SignIn:
    """Ask that this connection may send commands of a user who types them here (origin ``cli``)."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Note:
    """Ask that what is done to the running program by hand goes into the audit trail.

    ``values`` are texts by variable; ``outcome`` is empty before it is done, else why it failed.
    """

    user: str
    did: str
    values: dict[str, str]
    outcome: str


@dataclass(frozen=True, slots=True)
class Noted:
    """The note is durable, or ``why`` says why not."""

    why: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whether the password was right."""

    user: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of the command ``id``."""

    id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Fault:
    """The peer did not speak this protocol; the connection is closed after it."""

    why: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """A second person's word on the command ``id``: ``ok`` or not. It needs a sign-in unless a server vouches.

    ``origin`` names the door, as a command's.
    """

    id: str
    user: str
    origin: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The word counts, or ``why`` says why not."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class ListWaiting:
    """Ask what waits for a second person."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits, until ``until_ns`` (UTC ns). Long texts are cut."""

    id: str
    tag: str
    value: Value
    user: str
    origin: str
    reason: str
    until_ns: int


@dataclass(frozen=True, slots=True)
class WaitingList:
    """What waits."""

    commands: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask what became of the command ``id``."""

    id: str


Request = Command | SignIn | Note | Confirm | ListWaiting | Ask
Reply = Answer | SignedIn | Noted | Confirmed | WaitingList | Fault


def encode_request(request: Request) -> bytes:
    """Raises WireError where it would not fit a line."""
    if isinstance(request, SignIn):
        return _line("sign_in", {"user": request.user, "password": request.password})
    if isinstance(request, Note):
        return _line("note", note_fields(request))
    if isinstance(request, Confirm):
        return _line("confirm", confirm_fields(request))
    if isinstance(request, ListWaiting):
        return _line("list", {})
    if isinstance(request, Ask):
        return _line("ask", {"id": request.id})
    return _line("command", command_fields(request))


def decode_request(line: bytes) -> Request:
    """Raises WireError."""
    kind, fields = _object(line)
    if kind == "sign_in":
        return SignIn(_text(fields, "user", NAME_CHARACTERS), _text(fields, "password", LINE_BYTES))
    if kind == "command":
        return command_of(fields)
    if kind == "note":
        return _note_of(fields)
    if kind == "confirm":
        return Confirm(
            _text(fields, "id", ID_CHARACTERS),
            _text(fields, "user", NAME_CHARACTERS),
            _text(fields, "origin", NAME_CHARACTERS),
            _flag(fields, "ok"),
        )
    if kind == "list":
        return ListWaiting()
    if kind == "ask":
        return Ask(_text(fields, "id", ID_CHARACTERS))
    raise WireError(f"{kind!r} is not a request")


def encode_reply(reply: Reply) -> bytes:
    """Raises WireError where it would not fit a line."""
    if isinstance(reply, SignedIn):
        return _line("signed_in", {"user": reply.user, "ok": reply.ok})
    if isinstance(reply, Noted):
        return _line("noted", {"why": reply.why})
    if isinstance(reply, Confirmed):
        return _line("confirmed", {"id": reply.id, "why": reply.why})
    if isinstance(reply, WaitingList):
        return _line("waiting", {"commands": [asdict(each) for each in reply.commands]})
    if isinstance(reply, Fault):
        return _line("fault", {"why": reply.why})
    return _line("outcome", {"id": reply.id, **outcome_fields(reply.outcome)})


def decode_reply(line: bytes) -> Reply:
    """Raises WireError."""
    kind, fields = _object(line)
    if kind == "outcome":
        return Answer(_text(fields, "id", ID_CHARACTERS), outcome_of(fields))
    if kind == "signed_in":
        return SignedIn(_text(fields, "user", NAME_CHARACTERS), _flag(fields, "ok"))
    if kind == "noted":
        return Noted(_text(fields, "why", LINE_BYTES))
    if kind == "confirmed":
        return Confirmed(_text(fields, "id", ID_CHARACTERS), _text(fields, "why", LINE_BYTES))
    if kind == "waiting":
        return WaitingList(tuple(_waiting_list(fields)))
    if kind == "fault":
        return Fault(_text(fields, "why", LINE_BYTES))
    raise WireError(f"{kind!r} is not a reply")


def note_fields(note: Note) -> dict[str, Any]:
    """A note as JSON fields, as the socket and the audit trail write it."""
    return {"user": note.user, "did": note.did, "values": note.values, "outcome": note.outcome}


def _note_of(fields: dict[str, Any]) -> Note:
    values = fields.get("values")
    if not isinstance(values, dict) or len(values) > NOTE_VALUES:
        raise WireError(f"values is not an object of at most {NOTE_VALUES}")
    return Note(
        _text(fields, "user", NAME_CHARACTERS),
        _text(fields, "did", NAME_CHARACTERS),
        {name[:NAME_CHARACTERS]: _text(values, name, REASON_CHARACTERS) for name in values},
        _text(fields, "outcome", REASON_CHARACTERS),
    )


def command_fields(command: Command) -> dict[str, Any]:
    """A command as JSON fields, as the socket and the audit trail write it."""
    fields: dict[str, Any] = {
        "id": command.id,
        "tag": command.tag,
        "value": command.value,
        "user": command.user,
        "origin": command.origin,
        "deadline_ns": command.deadline_ns,
        "reason": command.reason,
    }
    if command.valid_until_ns:
        fields["valid_until_ns"] = command.valid_until_ns
    if command.step is not Step.OPERATE:
        fields["step"] = command.step.value
    if command.select:
        fields["select"] = command.select
    return fields


def command_of(fields: dict[str, Any]) -> Command:
    """Raises WireError."""
    id = _text(fields, "id", ID_CHARACTERS)
    if not id:
        raise WireError("id is empty")
    try:
        return Command(
            id=id,
            tag=_text(fields, "tag", NAME_CHARACTERS),
            value=_value(fields),
            user=_text(fields, "user", NAME_CHARACTERS),
            origin=_text(fields, "origin", NAME_CHARACTERS),
            deadline_ns=_time(fields, "deadline_ns"),
            reason=_text(fields, "reason", REASON_CHARACTERS),
            valid_until_ns=_time(fields, "valid_until_ns") if "valid_until_ns" in fields else 0,
            step=_step(fields),
            select=_text(fields, "select", ID_CHARACTERS) if "select" in fields else "",
        )
    except WireError as error:
        raise WireError(error.why, id) from error


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON fields, as the socket and the audit trail write it."""
    match outcome:
        case Done(value, at_ns):
            return {"kind": "done", "value": value, "at_ns": at_ns}
        case Selected(value, until_ns):
            return {"kind": "selected", "value": value, "until_ns": until_ns}
        case Refused(code, why):
            return {"kind": "refused", "code": code.value, "why": why}
        case TimedOut(why):
            return {"kind": "timed_out", "why": why}
        case Failed(why):
            return {"kind": "failed", "why": why}
        case _:
            assert_never(outcome)


def outcome_of(fields: dict[str, Any]) -> Outcome:
    """Raises WireError."""
    match fields.get("kind"):
        case "done":
            at_ns = fields.get("at_ns")
            if not isinstance(at_ns, int) or isinstance(at_ns, bool):
                raise WireError("at_ns is not a whole number")
            return Done(_value(fields), at_ns)
        case "selected":
            return Selected(_value(fields), _time(fields, "until_ns"))
        case "refused":
            try:
                code = Refusal(_text(fields, "code", NAME_CHARACTERS))
            except ValueError as error:
                raise WireError(f"{error}") from error
            return Refused(code, _text(fields, "why", LINE_BYTES))
        case "timed_out":
            return TimedOut(_text(fields, "why", LINE_BYTES))
        case "failed":
            return Failed(_text(fields, "why", LINE_BYTES))
        case other:
            raise WireError(f"{other!r} is not an outcome")


def _line(kind: str, fields: dict[str, Any]) -> bytes:
    # ASCII only: a lone surrogate in a name cannot break the line. NaN and Infinity are written as such, so
    # that the router, not the sender, refuses them and says so in the audit trail.
    line = json.dumps({kind: fields}, separators=(",", ":")).encode() + b"\n"
    if len(line) > LINE_BYTES:
        raise WireError(f"a line has at most {LINE_BYTES} bytes, this one {len(line)}")
    return line


def _object(line: bytes) -> tuple[str, dict[str, Any]]:
    if len(line) > LINE_BYTES:
        raise WireError(f"a line has at most {LINE_BYTES} bytes")
    try:
        whole = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WireError("not a JSON line") from error
    if not isinstance(whole, dict) or len(whole) != 1:
        raise WireError("not an object with one key")
    ((kind, fields),) = whole.items()
    if not isinstance(fields, dict):
        raise WireError(f"{kind!r} does not hold an object")
    return kind, fields


def _text(fields: dict[str, Any], key: str, most: int) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise WireError(f"{key} is not a string")
    if len(value) > most:
        raise WireError(f"{key} has more than {most} characters")
    return value


def _time(fields: dict[str, Any], key: str) -> int:
    time_ns = fields.get(key)
    if not isinstance(time_ns, int) or isinstance(time_ns, bool):
        raise WireError(f"{key} is not a whole number")
    if not _INT64_LOW <= time_ns <= _INT64_HIGH:
        raise WireError(f"{key} has more than 64 bits")
    return time_ns


def confirm_fields(word: Confirm) -> dict[str, Any]:
    """A second person's word as JSON fields, as the socket and the audit trail write it."""
    return {"id": word.id, "user": word.user, "origin": word.origin, "ok": word.ok}


def waiting_of(command: Command, until_ns: int) -> Waiting:
    """A command that waits, as it is listed."""
    value = command.value[:LISTED_CHARACTERS] if isinstance(command.value, str) else command.value
    return Waiting(
        command.id,
        command.tag,
        value,
        command.user,
        command.origin[:LISTED_CHARACTERS],
        command.reason[:LISTED_CHARACTERS],
        until_ns,
    )


def _waiting_list(fields: dict[str, Any]) -> Iterator[Waiting]:
    commands = fields.get("commands")
    if not isinstance(commands, list) or not all(isinstance(each, dict) for each in commands):
        raise WireError("commands is not a list of objects")
    for each in commands:
        yield Waiting(
            _text(each, "id", ID_CHARACTERS),
            _text(each, "tag", NAME_CHARACTERS),
            _value(each),
            _text(each, "user", NAME_CHARACTERS),
            _text(each, "origin", NAME_CHARACTERS),
            _text(each, "reason", REASON_CHARACTERS),
            _time(each, "until_ns"),
        )


def _flag(fields: dict[str, Any], key: str) -> bool:
    flag = fields.get(key)
    if not isinstance(flag, bool):
        raise WireError(f"{key} is not true or false")
    return flag


def _step(fields: dict[str, Any]) -> Step:
    try:
        return Step(fields.get("step", Step.OPERATE))
    except ValueError as error:
        raise WireError(str(error)) from error


def _value(fields: dict[str, Any]) -> Value:
    value = fields.get("value")
    if not isinstance(value, bool | int | float | str):
        raise WireError("value is not a bool, a number or a string")
    return value
