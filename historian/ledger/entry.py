"""The bytes of entries and statements (docs/formats/ledger.md): one encoding for one value, all others refused."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, TypeVar

from historian.ledger.errors import Reason, Refused

VERSION = 1
MOST_IN_BUNDLE = 1024
MOST_STATEMENT_BYTES = 65_536  # a record of a day's 15-minute readings has about 2 KiB
MOST_POSTINGS = 1024
INT64_LOW, INT64_HIGH = -(2**63), 2**63 - 1
NO_LEDGER = bytes(32)
NAMES_REMEMBERED = 65_536  # the same accounts come again and again; about 10 MB
_Choice = TypeVar("_Choice", bound=IntEnum)

_STATEMENT = struct.Struct(">BB32s32sQ16sqq")
_ENTRY = struct.Struct(">BQq32sHH64s")
_U16 = struct.Struct(">H")
_I64 = struct.Struct(">q")
_PERIOD = struct.Struct(">QQQ32s32s")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", re.ASCII)
_NAME_BYTES = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")


class Kind(IntEnum):
    """What a statement is about."""

    GENESIS = 0
    KEY = 1
    ACCOUNT = 2
    TRANSFER = 3
    RECORD = 4
    PERIOD = 5


class KeyAction(IntEnum):
    """What is done with a key."""

    ENROL = 1
    ROTATE = 2
    REVOKE = 3


class Role(IntEnum):
    """What an author may do."""

    OPERATOR = 1
    MEMBER = 2


@dataclass(frozen=True, slots=True)
class Genesis:
    """A ledger begins; its operator's first key is the signer's."""

    name: str
    operator: str


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key begins (enrol, rotate) or ends (revoke)."""

    action: KeyAction
    author: str
    role: Role
    key: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """An account opens. Its unit is millionths of money (EUR), watt-hours (Wh), or what else the site counts."""

    name: str
    unit: str
    owner: str
    may_be_negative: bool = False


class Posting(NamedTuple):
    """An amount that an account gets, or (negative) gives. A tuple: they come by the thousand."""

    account: str
    unit: str
    amount: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Postings that sum to zero in each unit; accounts ascend strictly."""

    reference: str
    postings: tuple[Posting, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes that the ledger orders and keeps, and does not read."""

    topic: str
    content: bytes


@dataclass(frozen=True, slots=True)
class PeriodClose:
    """A settlement period ends: its tree's root, and the digest of the state after its last entry."""

    number: int
    first: int
    count: int
    root: bytes
    state: bytes


Body = Genesis | KeyChange | Account | Transfer | Record | PeriodClose


@dataclass(frozen=True, slots=True)
class Statement:
    """What an author says; times in µs UTC."""

    ledger: bytes
    signer: bytes
    number: int
    client: bytes
    made_at_us: int
    good_until_us: int
    body: Body


@dataclass(frozen=True, slots=True)
class Entry:
    """A statement at its place."""

    sequence: int
    placed_at_us: int
    previous: bytes
    index: int
    size: int
    signature: bytes
    statement: bytes


def transfer(reference: str, source: str, target: str, unit: str, amount: int) -> Transfer:
    """``amount`` (more than 0) from one account to another."""
    if amount <= 0:
        raise Refused(Reason.NEGATIVE, f"a transfer of {amount} {unit}: an amount is more than 0")
    return balanced(reference, [Posting(source, unit, -amount), Posting(target, unit, amount)])


def balanced(reference: str, postings: list[Posting]) -> Transfer:
    """A transfer of these postings, in the order that its bytes have."""
    return Transfer(reference, tuple(sorted(postings)))


# ---------------------------------------------------------------- encoding


@lru_cache(NAMES_REMEMBERED)
def encode_name(name: str) -> bytes:
    """A name, its length before it."""
    if not _NAME.fullmatch(name):
        raise Refused(
            Reason.MALFORMED,
            f"{name[:80]!r} is no name: 1 to 64 of a-z A-Z 0-9 . _ : / -",
        )
    return bytes((len(name),)) + name.encode("ascii")


def _exactly(value: bytes, size: int, what: str) -> bytes:
    if len(value) != size:
        raise Refused(Reason.MALFORMED, f"{what} has {len(value)} bytes, not {size}")
    return value


def _integer(form: str, value: int, what: str) -> bytes:
    try:
        return struct.pack(form, value)
    except struct.error:
        raise Refused(Reason.OVERFLOW, f"{what} {value} does not fit its 64 bits") from None


def encode_body(body: Body) -> tuple[Kind, bytes]:
    """Kind and bytes; ``Refused`` where a value has no encoding."""
    match body:
        case Transfer(reference, postings):
            text = reference.encode()
            if len(text) > 0xFFFF or len(postings) > MOST_POSTINGS:
                raise Refused(Reason.OVERSIZED, f"a reference of {len(text)} bytes, {len(postings)} postings")
            parts = [struct.pack(">H", len(text)), text, struct.pack(">H", len(postings))]
            for posting in postings:
                parts += (
                    encode_name(posting.account),
                    encode_name(posting.unit),
                    _integer(">q", posting.amount, "amount"),
                )
            return Kind.TRANSFER, b"".join(parts)
        case Record(topic, content):
            return Kind.RECORD, encode_name(topic) + content
        case Genesis(name, operator):
            return Kind.GENESIS, encode_name(name) + encode_name(operator)
        case KeyChange(action, author, role, key):
            head = bytes((action,)) + encode_name(author) + bytes((role,))
            return Kind.KEY, head + _exactly(key, 32, "a key")
        case Account(name, unit, owner, may_be_negative):
            return Kind.ACCOUNT, encode_name(name) + encode_name(unit) + encode_name(owner) + bytes(
                (may_be_negative,)
            )
        case PeriodClose(number, first, count, root, state):
            return Kind.PERIOD, _PERIOD.pack(
                number, first, count, _exactly(root, 32, "a root"), _exactly(state, 32, "a digest")
            )


def encode_statement(statement: Statement) -> bytes:
    """The bytes; ``Refused`` where a value has no encoding or they are too many."""
    kind, body = encode_body(statement.body)
    try:
        head = _STATEMENT.pack(
            VERSION,
            kind,
            _exactly(statement.ledger, 32, "a ledger's id"),
            _exactly(statement.signer, 32, "a key"),
            statement.number,
            _exactly(statement.client, 16, "a client id"),
            statement.made_at_us,
            statement.good_until_us,
        )
    except struct.error:
        raise Refused(Reason.OVERFLOW, "the number or a time does not fit its 64 bits") from None
    if len(head) + len(body) > MOST_STATEMENT_BYTES:
        raise Refused(Reason.OVERSIZED, f"{len(head) + len(body)} bytes: {MOST_STATEMENT_BYTES} at most")
    return head + body


def encode_entry(entry: Entry) -> bytes:
    """The bytes that are hashed and kept."""
    return place_statement(
        entry.sequence,
        entry.placed_at_us,
        entry.previous,
        entry.index,
        entry.size,
        entry.signature,
        entry.statement,
    )


def place_statement(
    sequence: int,
    placed_at_us: int,
    previous: bytes,
    index: int,
    size: int,
    signature: bytes,
    statement: bytes,
) -> bytes:
    """``encode_entry`` of the entry with these fields, which is not made: a writer places thousands."""
    return _ENTRY.pack(VERSION, sequence, placed_at_us, previous, index, size, signature) + statement


# ---------------------------------------------------------------- decoding


@lru_cache(NAMES_REMEMBERED)
def decode_name(name: bytes) -> str:
    """The name of these bytes, without the length."""
    if not _NAME_BYTES.fullmatch(name):
        raise Refused(Reason.MALFORMED, f"{name!r} is no name")
    return name.decode("ascii")


@lru_cache(NAMES_REMEMBERED)
def _decode_two_names(names: bytes) -> tuple[str, str]:
    """An account and its unit, each with its length."""
    middle = 1 + names[0]
    return decode_name(names[1:middle]), decode_name(names[middle + 1 :])


class _Reader:
    """Fields of a body one after the other; ``Refused`` where one is cut off."""

    __slots__ = ("_at", "_bytes")

    def __init__(self, content: bytes) -> None:
        self._bytes = content
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._bytes):
            raise Refused(Reason.MALFORMED, f"cut off: {size} bytes from {self._at} of {len(self._bytes)}")
        part = self._bytes[self._at : end]
        self._at = end
        return part

    def name(self) -> str:
        return decode_name(self.take(self.take(1)[0]))

    def end(self) -> None:
        if self._at != len(self._bytes):
            raise Refused(Reason.MALFORMED, f"{len(self._bytes) - self._at} bytes follow the last field")


def _choice(choices: type[_Choice], value: int) -> _Choice:
    try:
        return choices(value)
    except ValueError:
        raise Refused(Reason.MALFORMED, f"{value} is no {choices.__name__}") from None


# Two without a reader: these are the kinds that come by the thousand.


def _decode_record(content: bytes) -> Record:
    end = 1 + content[0] if content else 1
    if end > len(content):
        raise Refused(Reason.MALFORMED, f"a record that is cut off after {len(content)} bytes")
    return Record(decode_name(content[1:end]), content[end:])


def _decode_transfer(content: bytes) -> Transfer:
    try:
        (length,) = _U16.unpack_from(content)
        reference = content[2 : 2 + length].decode()
        at = 2 + length
        (count,) = _U16.unpack_from(content, at)
        at += 2
        if not 2 <= count <= MOST_POSTINGS:
            raise Refused(Reason.MALFORMED, f"{count} postings: 2 to {MOST_POSTINGS}")
        postings = []
        last = ""
        for _ in range(count):
            end = at + 2 + content[at]
            end += content[end - 1]
            account, unit = _decode_two_names(content[at:end])
            (amount,) = _I64.unpack_from(content, end)
            at = end + 8
            if account <= last:
                raise Refused(Reason.MALFORMED, f"account {account} after {last}: accounts ascend, each once")
            if not amount:
                raise Refused(Reason.MALFORMED, f"an amount of 0 for {account}")
            last = account
            postings.append(Posting(account, unit, amount))
    except UnicodeDecodeError:
        raise Refused(Reason.MALFORMED, "the reference is no UTF-8") from None
    except (struct.error, IndexError):
        raise Refused(Reason.MALFORMED, f"a transfer that is cut off after {len(content)} bytes") from None
    if at != len(content):
        raise Refused(Reason.MALFORMED, f"{len(content) - at} bytes follow the last field")
    return Transfer(reference, tuple(postings))


def _decode_body(kind: int, content: bytes) -> Body:
    if kind == Kind.RECORD:
        return _decode_record(content)
    if kind == Kind.TRANSFER:
        return _decode_transfer(content)
    reader = _Reader(content)
    body: Body
    match _choice(Kind, kind):
        case Kind.GENESIS:
            body = Genesis(reader.name(), reader.name())
        case Kind.KEY:
            action = _choice(KeyAction, reader.take(1)[0])
            author, role = reader.name(), _choice(Role, reader.take(1)[0])
            body = KeyChange(action, author, role, reader.take(32))
        case Kind.ACCOUNT:
            name, unit, owner, flag = reader.name(), reader.name(), reader.name(), reader.take(1)[0]
            if flag > 1:
                raise Refused(Reason.MALFORMED, f"{flag} is neither 0 nor 1")
            body = Account(name, unit, owner, bool(flag))
        case Kind.PERIOD:
            body = PeriodClose(*_PERIOD.unpack(reader.take(_PERIOD.size)))
        case _:
            raise AssertionError(kind)
    reader.end()
    return body


def decode_statement(content: bytes) -> Statement:
    """The statement; ``Refused`` for any bytes that ``encode_statement`` does not make."""
    if len(content) > MOST_STATEMENT_BYTES:
        raise Refused(
            Reason.OVERSIZED, f"a statement of {len(content)} bytes: {MOST_STATEMENT_BYTES} at most"
        )
    if len(content) < _STATEMENT.size:
        raise Refused(Reason.MALFORMED, f"a statement of {len(content)} bytes: {_STATEMENT.size} at least")
    version, kind, ledger, signer, number, client, made_at_us, good_until_us = _STATEMENT.unpack_from(content)
    if version != VERSION:
        raise Refused(Reason.MALFORMED, f"a statement of version {version}; this is version {VERSION}")
    body = _decode_body(kind, content[_STATEMENT.size :])
    return Statement(ledger, signer, number, client, made_at_us, good_until_us, body)


def signer_of(statement: bytes) -> bytes:
    """The signer's key, with no look at the rest."""
    return statement[34:66]


def decode_entry(content: bytes) -> Entry:
    """The entry, its statement not looked into; ``Refused`` where these are no bytes of one."""
    if len(content) < _ENTRY.size:
        raise Refused(Reason.MALFORMED, f"an entry of {len(content)} bytes")
    version, sequence, placed_at_us, previous, index, size, signature = _ENTRY.unpack_from(content)
    if version != VERSION:
        raise Refused(Reason.MALFORMED, f"an entry of version {version}; this is version {VERSION}")
    if not index < size <= MOST_IN_BUNDLE:
        raise Refused(Reason.MALFORMED, f"statement {index} of a bundle of {size}")
    return Entry(sequence, placed_at_us, previous, index, size, signature, content[_ENTRY.size :])
