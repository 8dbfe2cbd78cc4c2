"""The rules: which statement counts after those before it. Pure: no file, no clock.

``apply`` changes the state or raises ``Refused`` and changes nothing; ``keep`` and ``undo`` make a batch of it
all-or-nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson

from historian.ledger.entry import (
    INT64_HIGH,
    INT64_LOW,
    NO_LEDGER,
    Account,
    Genesis,
    KeyAction,
    KeyChange,
    PeriodClose,
    Record,
    Role,
    Statement,
    Transfer,
)
from historian.ledger.errors import Reason, Refused
from historian.ledger.merkle import Peaks, grow, leaf_hash, root_of_peaks

MOST_SKEW_US = 5 * 60 * 1_000_000  # a clock ahead of the ledger's by more is wrong, not fast
MOST_VALIDITY_US = 7 * 86_400 * 1_000_000  # what may wait longer than a week is better said again

_ABSENT: Any = object()


class Author(NamedTuple):
    """Who may say something; ``key`` is None once revoked."""

    role: Role
    key: bytes | None
    number: int


class Balance(NamedTuple):
    """An account and what is on it."""

    unit: str
    owner: str
    may_be_negative: bool
    amount: int


class Placed(NamedTuple):
    """A statement at its place in the ledger."""

    sequence: int
    placed_at_us: int
    author: str
    is_operator: bool
    statement: Statement


@dataclass(slots=True)
class Head:
    """Where the ledger stands: its last entry, and the tree of the period under way. Only its state changes it."""

    sequence: int = -1
    placed_at_us: int = 0
    hash: bytes = bytes(32)
    period: int = 1
    first: int = 0
    count: int = 0
    peaks: Peaks = field(default_factory=list)

    def copy(self) -> Head:
        """One that does not change with this."""
        return replace(self, peaks=self.peaks.copy())


class State:
    """Authors, keys, accounts and the head, after some entries."""

    def __init__(self) -> None:
        self.ledger = NO_LEDGER
        self.authors: dict[str, Author] = {}
        self.keys: dict[bytes, str] = {}
        self.accounts: dict[str, Balance] = {}
        self.head = Head()
        self._before: list[tuple[dict[Any, Any], Any, Any]] = []
        self._kept = (self.ledger, self.head.copy())

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._before.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def keep(self) -> None:
        """What was applied stays."""
        self._before.clear()
        self._kept = (self.ledger, self.head.copy())

    def undo(self) -> None:
        """Back to where ``keep`` was called last."""
        for table, key, before in reversed(self._before):
            if before is _ABSENT:
                del table[key]
            else:
                table[key] = before
        self._before.clear()
        self.ledger, head = self._kept
        self.head = head.copy()

    # ------------------------------------------------------------ the rules

    def author_of(self, statement: Statement) -> str:
        """Whose key signed, valid or not; ``Refused`` where nobody's."""
        if isinstance(statement.body, Genesis) and self.head.sequence < 0:
            return statement.body.operator
        author = self.keys.get(statement.signer)
        if author is None:
            raise Refused(Reason.KEY_NOT_VALID, f"nobody has the key {statement.signer.hex()}")
        return author

    def apply(self, statement: Statement, encoded: bytes, placed_at_us: int) -> None:
        """Take a statement whose signature holds; ``take_entry`` follows with the entry's hash."""
        if self.head.sequence < 0:
            self._begin(statement, encoded)
            return
        if statement.ledger != self.ledger:
            raise Refused(Reason.WRONG_LEDGER, f"it is for the ledger {statement.ledger.hex()}")
        signer, number = statement.signer, statement.number
        name = self.keys.get(signer) or self.author_of(statement)
        author = self.authors[name]
        role, key, last_number = author
        if key != signer:
            raise Refused(Reason.KEY_NOT_VALID, f"the key {signer.hex()} of {name} is rotated or revoked")
        if number <= last_number:
            raise Refused(
                Reason.REORDERED, f"number {number} of {name} after {last_number}: replayed or reordered"
            )
        made_at_us, good_until_us = statement.made_at_us, statement.good_until_us
        if good_until_us < placed_at_us:
            late = (placed_at_us - good_until_us) / 1e6
            raise Refused(Reason.LATE, f"{late:.3f} s after the time it was good until")
        if made_at_us > placed_at_us + MOST_SKEW_US:
            ahead = (made_at_us - placed_at_us) / 1e6
            raise Refused(Reason.EARLY, f"made {ahead:.0f} s in the future: set the clock")
        if not 0 <= good_until_us - made_at_us <= MOST_VALIDITY_US:
            raise Refused(Reason.MALFORMED, "good for less than nothing, or for more than a week")
        match statement.body:
            case Transfer() as body:
                self._transfer(body, name, role)
            case Record():
                pass
            case Account() as body:
                self._open(body, name, role)
            case KeyChange() as body:
                self._change_key(body, name, role)
                author = self.authors[name]  # anew: its key may have changed
            case PeriodClose() as body:
                self._close(body, name, role)
            case Genesis():
                raise Refused(Reason.EXISTS, "the ledger has begun already")
        # As _set does: this is done for every entry.
        self._before.append((self.authors, name, author))
        self.authors[name] = Author(role, author.key, number)

    def take_entry(self, sequence: int, placed_at_us: int, entry_hash: bytes, *, is_close: bool) -> None:
        """The statement applied last is entry ``sequence``; one that closes a period is in the next."""
        head = self.head
        if is_close:
            head.period += 1
            head.first, head.count, head.peaks = sequence, 0, []
        head.sequence, head.placed_at_us, head.hash = sequence, placed_at_us, entry_hash
        grow(head.peaks, head.count, entry_hash)
        head.count += 1

    def _begin(self, statement: Statement, encoded: bytes) -> None:
        if not isinstance(statement.body, Genesis) or statement.ledger != NO_LEDGER:
            raise Refused(Reason.WRONG_LEDGER, "a ledger begins with a genesis")
        operator = statement.body.operator
        self.ledger = leaf_hash(encoded)
        self._set(self.keys, statement.signer, operator)
        self._set(self.authors, operator, Author(Role.OPERATOR, statement.signer, statement.number))

    def _transfer(self, body: Transfer, name: str, role: Role) -> None:
        accounts = self.accounts
        sums: dict[str, int] = {}
        before: list[tuple[dict[Any, Any], Any, Any]] = []
        after: list[Balance] = []
        for account, unit, amount in body.postings:
            balance = accounts.get(account)
            if balance is None:
                raise Refused(Reason.UNKNOWN, f"no account {account}")
            counted_in, owner, may_be_negative, left = balance
            if counted_in != unit:
                raise Refused(Reason.MIXED_UNITS, f"{account} is in {counted_in}, not in {unit}")
            left += amount
            if amount < 0:
                if role is not Role.OPERATOR and owner != name:
                    raise Refused(Reason.NOT_ALLOWED, f"{account} is {owner}'s: {name} takes nothing from it")
                if left < 0 and not may_be_negative:
                    raise Refused(
                        Reason.NEGATIVE, f"{account} has {balance.amount} {unit}, less than {-amount}"
                    )
            if not INT64_LOW <= left <= INT64_HIGH:
                raise Refused(Reason.OVERFLOW, f"{account} would have {left} {unit}: more than 64 bits")
            sums[unit] = sums.get(unit, 0) + amount
            before.append((accounts, account, balance))
            after.append(Balance(unit, owner, may_be_negative, left))
        for unit, total in sums.items():
            if total:
                raise Refused(Reason.NOT_CONSERVED, f"the postings in {unit} sum to {total}, not 0")
        self._before += before
        for (_, account, _), balance in zip(before, after, strict=True):
            accounts[account] = balance

    def _open(self, body: Account, name: str, role: Role) -> None:
        if role is not Role.OPERATOR:
            raise Refused(Reason.NOT_ALLOWED, f"{name} is no operator: only one opens accounts")
        if body.name in self.accounts:
            raise Refused(Reason.EXISTS, f"account {body.name} is open already")
        if body.owner not in self.authors:
            raise Refused(Reason.UNKNOWN, f"no author {body.owner}; enrol the key first")
        self._set(self.accounts, body.name, Balance(body.unit, body.owner, body.may_be_negative, 0))

    def _change_key(self, body: KeyChange, name: str, role: Role) -> None:
        if role is not Role.OPERATOR and (body.author != name or body.action is KeyAction.ENROL):
            raise Refused(
                Reason.NOT_ALLOWED, f"{name} is no operator: only its own key may it rotate or revoke"
            )
        author = self.authors.get(body.author)
        if body.action is KeyAction.ENROL:
            if author is not None and author.key is not None:
                raise Refused(Reason.EXISTS, f"{body.author} has a key already: rotate it")
        elif author is None or author.key is None:
            raise Refused(Reason.UNKNOWN, f"{body.author} has no valid key")
        if author is not None and author.role is not body.role:
            raise Refused(Reason.NOT_ALLOWED, f"{body.author} is {author.role.name.lower()} and stays it")
        if body.action is KeyAction.REVOKE:
            assert author is not None
            if author.key != body.key:
                raise Refused(Reason.UNKNOWN, f"{body.key.hex()} is not the valid key of {body.author}")
            if author.role is Role.OPERATOR and not self._has_other_operator(body.author):
                raise Refused(Reason.NOT_ALLOWED, "the last operator's key is rotated, not revoked")
            self._set(self.authors, body.author, author._replace(key=None))
            return
        if body.key in self.keys:
            raise Refused(Reason.EXISTS, f"the key {body.key.hex()} was in use before: make a new one")
        self._set(self.keys, body.key, body.author)
        self._set(self.authors, body.author, Author(body.role, body.key, author.number if author else 0))

    def _has_other_operator(self, name: str) -> bool:
        return any(
            author.role is Role.OPERATOR and author.key is not None and other != name
            for other, author in self.authors.items()
        )

    def _close(self, body: PeriodClose, name: str, role: Role) -> None:
        if role is not Role.OPERATOR:
            raise Refused(Reason.NOT_ALLOWED, f"{name} is no operator: only one closes a period")
        if body != self.close_now():
            raise Refused(Reason.WRONG_PERIOD, f"period {body.number} does not close as the ledger stands")

    # ------------------------------------------------------------ periods and snapshots

    def close_now(self) -> PeriodClose:
        """What closes the period under way after the head."""
        head = self.head
        digest = leaf_hash(self.encode())
        return PeriodClose(head.period, head.first, head.count, root_of_peaks(head.peaks), digest)

    def balances(self) -> dict[str, int]:
        """What is on each account, in its unit."""
        return {name: balance.amount for name, balance in sorted(self.accounts.items())}

    def encode(self) -> bytes:
        """The state as canonical JSON (docs/formats/ledger.md)."""
        head = self.head
        return orjson.dumps(
            {
                "accounts": {name: list(balance) for name, balance in self.accounts.items()},
                "authors": {
                    name: [int(author.role), author.key.hex() if author.key else None, author.number]
                    for name, author in self.authors.items()
                },
                "hash": head.hash.hex(),
                "keys": {key.hex(): author for key, author in self.keys.items()},
                "ledger": self.ledger.hex(),
                "period": [head.period, head.first, head.count, [peak.hex() for peak in head.peaks]],
                "placed_at_us": head.placed_at_us,
                "sequence": head.sequence,
            },
            option=orjson.OPT_SORT_KEYS,
        )

    @classmethod
    def decode(cls, content: bytes) -> State:
        """The state that ``encode`` wrote; its digest was compared before."""
        read = orjson.loads(content)
        state = cls()
        state.ledger = bytes.fromhex(read["ledger"])
        state.keys = {bytes.fromhex(key): author for key, author in read["keys"].items()}
        state.authors = {
            name: Author(Role(role), bytes.fromhex(key) if key else None, number)
            for name, (role, key, number) in read["authors"].items()
        }
        state.accounts = {name: Balance(*fields) for name, fields in read["accounts"].items()}
        number, first, count, peaks = read["period"]
        state.head = Head(
            read["sequence"],
            read["placed_at_us"],
            bytes.fromhex(read["hash"]),
            number,
            first,
            count,
            list(map(bytes.fromhex, peaks)),
        )
        state.keep()
        return state
