"""What members and the market say to each other on the market's socket, drawn in docs/formats/market.md.

Pure: bytes in, values out. A line is one JSON object with one key, UTF-8, ended by a newline, at most `LINE_BYTES`
with it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import orjson

from historian.ledger.bundle import Bundle
from historian.ledger.entry import MOST_STATEMENT_BYTES

LINE_BYTES = 1 << 17
# As many as fit a line: an order is about 230 bytes, 310 in base 64.
MOST_STATEMENTS = 256
# Of one request's answer: terms of a participant with a hundred devices are 20 KB.
ANSWER_BYTES = 1 << 20
ID_CHARACTERS = 64
KEY_BYTES = 32
_SIGNATURE_BYTES = 64


class WireError(Exception):
    """A line that is not of this protocol. ``id`` is the request it was about, where it could be read."""

    def __init__(self, why: str, id: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.id = id


@dataclass(frozen=True, slots=True)
class Submit:
    """Place this bundle."""

    id: str
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class AskTerms:
    """Ask what the holder of a public key needs to know to sign."""

    id: str
    key: bytes


@dataclass(frozen=True, slots=True)
class AskStatus:
    """Ask how the market is."""

    id: str


@dataclass(frozen=True, slots=True)
class AskOrders:
    """Ask for the open orders of the holder of a public key."""

    id: str
    key: bytes


@dataclass(frozen=True, slots=True)
class AskBook:
    """Ask what is bid and offered of an interval, in sum by price."""

    id: str
    interval_us: int


@dataclass(frozen=True, slots=True)
class AskAgents:
    """Ask how the site's agents are."""

    id: str


@dataclass(frozen=True, slots=True)
class StopAgent:
    """Stop an agent, or start it again."""

    id: str
    name: str
    is_stopped: bool


@dataclass(frozen=True, slots=True)
class AskBill:
    """Ask for the bill of a participant up to what is settled now, for the operator to sign."""

    id: str
    participant: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one statement: on the record where it has a ``sequence``, in force where ``reason`` is empty."""

    sequence: int | None
    hash: str
    placed_at_us: int
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of a bundle, statement by statement."""

    id: str
    outcomes: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class Turned:
    """The request was not looked at, or not understood: nothing of it is on the record."""

    id: str
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a question."""

    id: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """The peer did not speak this protocol; the connection is closed after it."""

    why: str


@dataclass(frozen=True, slots=True)
class AskPeers:
    """Ask how the links to other sites are, and which vehicles roam."""

    id: str


Request = Submit | AskTerms | AskStatus | AskOrders | AskBook | AskAgents | StopAgent | AskPeers | AskBill
Reply = Placed | Turned | Told | Fault
_ASKED: dict[str, type[Any]] = {
    "terms": AskTerms,
    "status": AskStatus,
    "orders": AskOrders,
    "book": AskBook,
    "agents": AskAgents,
    "agent": StopAgent,
    "peers": AskPeers,
    "bill": AskBill,
}
_Value = TypeVar("_Value")


def encode_request(request: Request) -> bytes:
    """A request as a line."""
    match request:
        case Submit(id, bundle):
            statements = [b64encode(statement).decode() for statement in bundle.statements]
            said: dict[str, Any] = {
                "submit": {
                    "id": id,
                    "statements": statements,
                    "signature": b64encode(bundle.signature).decode(),
                }
            }
        case AskTerms(id, key):
            said = {"terms": {"id": id, "key": key.hex()}}
        case AskOrders(id, key):
            said = {"orders": {"id": id, "key": key.hex()}}
        case AskStatus(id):
            said = {"status": {"id": id}}
        case AskPeers(id):
            said = {"peers": {"id": id}}
        case AskBill(id, participant):
            said = {"bill": {"id": id, "participant": participant}}
        case AskBook(id, interval_us):
            said = {"book": {"id": id, "interval_us": interval_us}}
        case AskAgents(id):
            said = {"agents": {"id": id}}
        case StopAgent(id, name, is_stopped):
            said = {"agent": {"id": id, "name": name, "stopped": int(is_stopped)}}
    line = _line(said)
    if len(line) > LINE_BYTES:
        raise WireError(
            f"a request of {len(line)} bytes: {LINE_BYTES} at most; send less at once", request.id
        )
    return line


def decode_request(line: bytes) -> Request:
    """What a member asks. Raises `WireError`."""
    what, said = _opened(line)
    id = _field(said, "id", str, "")
    if not 0 < len(id) <= ID_CHARACTERS:
        raise WireError(f"an id of {len(id)} characters: 1 to {ID_CHARACTERS}")
    if what == "submit":
        _only(said, {"id", "statements", "signature"}, id)
        return Submit(id, _bundle(said, id))
    if what in ("terms", "orders"):
        _only(said, {"id", "key"}, id)
        try:
            key = bytes.fromhex(_field(said, "key", str, id))
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise WireError("'key' is no public key: 64 hexadecimal digits", id)
        return AskTerms(id, key) if what == "terms" else AskOrders(id, key)
    if what == "book":
        _only(said, {"id", "interval_us"}, id)
        return AskBook(id, _field(said, "interval_us", int, id))
    if what == "bill":
        _only(said, {"id", "participant"}, id)
        return AskBill(id, _field(said, "participant", str, id))
    if what in ("status", "peers"):
        _only(said, {"id"}, id)
        return AskStatus(id) if what == "status" else AskPeers(id)
    if what == "agents":
        _only(said, {"id"}, id)
        return AskAgents(id)
    if what == "agent":
        _only(said, {"id", "name", "stopped"}, id)
        stopped = _field(said, "stopped", int, id)
        if stopped not in (0, 1):
            raise WireError("'stopped' is 1 or 0", id)
        return StopAgent(id, _field(said, "name", str, id), stopped == 1)
    raise WireError(f"{what[:40]!r} is asked for; known are submit, {', '.join(_ASKED)}", id)


def _bundle(said: dict[str, Any], id: str) -> Bundle:
    encoded = _field(said, "statements", list, id)
    if not 1 <= len(encoded) <= MOST_STATEMENTS:
        raise WireError(f"{len(encoded)} statements: 1 to {MOST_STATEMENTS}", id)
    statements = tuple(_bytes(each, "a statement", id) for each in encoded)
    for statement in statements:
        if not KEY_BYTES < len(statement) <= MOST_STATEMENT_BYTES:
            raise WireError(f"a statement of {len(statement)} bytes: {MOST_STATEMENT_BYTES} at most", id)
    signature = _bytes(_field(said, "signature", str, id), "the signature", id)
    if len(signature) != _SIGNATURE_BYTES:
        raise WireError(f"a signature of {len(signature)} bytes: {_SIGNATURE_BYTES}", id)
    return Bundle(statements, signature)


def _bytes(value: object, what: str, id: str) -> bytes:
    if not isinstance(value, str):
        raise WireError(f"{what} is no text in base 64", id)
    try:
        return b64decode(value, validate=True)
    except ValueError:
        raise WireError(f"{what} is no base 64", id) from None


def encode_reply(reply: Reply) -> bytes:
    """A reply as a line."""
    match reply:
        case Placed(id, outcomes):
            return _line({"placed": {"id": id, "outcomes": [asdict(outcome) for outcome in outcomes]}})
        case Turned(id, reason, why):
            return _line({"turned": {"id": id, "reason": reason, "why": why}})
        case Told(id, content):
            return _line({"told": {"id": id, "content": content}})
        case Fault(why):
            return _line({"fault": {"why": why}})


def decode_reply(line: bytes) -> Reply:
    """What the market says. Raises `WireError`."""
    what, said = _opened(line)
    if what == "fault":
        return Fault(_field(said, "why", str, ""))
    id = _field(said, "id", str, "")
    if what == "turned":
        return Turned(id, _field(said, "reason", str, id), _field(said, "why", str, id))
    if what == "told":
        return Told(id, _field(said, "content", dict, id))
    if what == "placed":
        return Placed(id, tuple(_judged(each, id) for each in _field(said, "outcomes", list, id)))
    raise WireError(f"the market says {what[:40]!r}, which is not of this protocol")


def _judged(said: object, id: str) -> Judged:
    if not isinstance(said, dict):
        raise WireError("an outcome is no mapping", id)
    sequence = None if said.get("sequence") is None else _field(said, "sequence", int, id)
    return Judged(
        sequence,
        _field(said, "hash", str, id),
        _field(said, "placed_at_us", int, id),
        _field(said, "reason", str, id),
        _field(said, "why", str, id),
    )


def _line(said: dict[str, Any]) -> bytes:
    return orjson.dumps(said) + b"\n"


def _opened(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        read = orjson.loads(line)  # which bounds how deep it nests by itself
    except ValueError as error:
        raise WireError(f"a line that is no JSON: {error}"[:200]) from None
    if not isinstance(read, dict) or len(read) != 1:
        raise WireError("a line is one JSON object with one key")
    ((what, said),) = read.items()
    if not isinstance(said, dict):
        raise WireError(f"{what[:40]!r} is no mapping")
    return what, said


def _field(said: dict[str, Any], name: str, type: type[_Value], id: str) -> _Value:
    value = said.get(name)
    if not isinstance(value, type) or isinstance(value, bool):
        raise WireError(f"{name!r} is missing, or of the wrong kind", id)
    return value


def _only(said: dict[str, Any], known: set[str], id: str) -> None:
    if more := said.keys() - known:
        raise WireError(f"unknown field {min(more)[:40]!r}", id)
