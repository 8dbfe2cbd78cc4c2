"""``tieline ledger audit`` and ``market``: what the community's entries make, from the file alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from historian.ledger.book import replay
from historian.ledger.coding import fact_of
from historian.ledger.community import Community
from historian.ledger.entry import Record, Role, decode_entry
from historian.ledger.errors import NotALedger, Refused
from historian.ledger.market.exchange import OrderId
from historian.ledger.merkle import leaf_hash
from historian.ledger.rows import Rows
from historian.ledger.state import Placed, State
from historian.ledger.statement import as_csv, as_html, statement_of
from historian.ledger.statement_pdf import as_pdf

SOUND, FAULTY = 0, 1


def add_verbs(add: Any) -> None:
    """``add`` makes a verb's parser of its name, help and function."""
    audit = add("audit", "follow every fact again: what is void, owed, or posted without a reason", _audit)
    audit.add_argument("file", metavar="FILE", type=Path)
    audit.add_argument("--void", action="store_true", help="also print each void fact and each refusal")

    market = add("market", "print trades, prices and settlements", _market)
    market.add_argument("file", metavar="FILE", type=Path)
    market.add_argument(
        "what",
        choices=("trades", "clearings", "settlements", "participants", "bills"),
        nargs="?",
        default="trades",
        help="which of them, as CSV (default: trades)",
    )

    statement = add("statement", "print a bill", _statement)
    statement.add_argument("file", metavar="FILE", type=Path)
    statement.add_argument("entry", metavar="ENTRY", type=int, help="the entry that issued it")
    form = statement.add_mutually_exclusive_group()
    form.add_argument("--html", action="store_true", help="as a page instead of CSV")
    form.add_argument("--pdf", metavar="NEWFILE", type=Path, help="write it as PDF there; prints its SHA-256")


def community_of(file: Path) -> Community:
    """The community that a ledger's entries make; ``NotALedger`` at the first that breaks a rule of the ledger."""
    community = Community()
    for placed in entries_of(file):
        community.take(placed)
    return community


def entries_of(file: Path) -> Iterator[Placed]:
    """A ledger's entries, each once it was found to keep the ledger's rules; ``NotALedger`` at one that does not."""
    state = State()
    with Rows(file) as rows:
        for _, content, kept in rows.raw(0, rows.last()):
            statement = replay(state, content, kept)
            state.keep()
            author = state.keys[statement.signer]
            is_operator = state.authors[author].role is Role.OPERATOR
            at_us = decode_entry(content).placed_at_us
            yield Placed(state.head.sequence, at_us, author, is_operator, statement)


def record_as_json(record: Record) -> dict[str, Any]:
    """A record in words where it says a fact, its bytes in hex where not."""
    try:
        fact = fact_of(record)
    except Refused as refused:
        return {
            "kind": "record",
            "topic": record.topic,
            "content": record.content.hex(),
            "void": str(refused),
        }
    if fact is None:
        return {"kind": "record", "topic": record.topic, "content": record.content.hex()}
    said: dict[str, Any] = {}
    for field in fields(fact):
        value = getattr(fact, field.name)
        if isinstance(value, bytes):
            value = value.hex()
        elif hasattr(value, "name"):
            value = value.name.lower()
        said[field.name] = value
    return {"kind": "record", "topic": record.topic, "fact": said}


def _audit(args: argparse.Namespace) -> int:
    community = community_of(args.file)
    print(
        f"{args.file}: {community.sequence + 1} entries, {len(community.registry.participants)} participants,"
        f" {len(community.trades)} trades, {len(community.settled)} intervals settled,"
        f" {len(community.voids)} void facts, {len(community.refusals)} refusals"
    )
    if args.void:
        for sequence, refused in community.voids.items():
            print(f"entry {sequence} is void: {refused}")
        for sequence, refusal in community.refusals:
            print(f"entry {sequence} notes a refusal: {refusal.reason}: {refusal.why}")
    for sequence, why in community.strays:
        print(f"entry {sequence} is posted without a reason: {why}")
    if community.owed:
        print(f"{len(community.owed)} postings are owed: the operator's desk posts them when it starts")
    return FAULTY if community.strays or community.owed else SOUND


def _market(args: argparse.Namespace) -> int:
    rows = {
        "trades": _trades,
        "clearings": _clearings,
        "settlements": _settlements,
        "participants": _participants,
        "bills": _bills,
    }[args.what](community_of(args.file))
    for row in rows:
        sys.stdout.write(",".join(map(str, row)) + "\n")
    return SOUND


def _trades(community: Community) -> Iterator[tuple[Any, ...]]:
    yield "entry", "at", "interval", "buyer", "seller", "wh", "price", "amount"
    for trade in community.trades:
        at, interval = iso(trade.at_us), iso(trade.interval_us)
        buyer, seller = _party(trade.buyer), _party(trade.seller)
        yield trade.entry, at, interval, buyer, seller, trade.wh, trade.price, trade.amount


def _clearings(community: Community) -> Iterator[tuple[Any, ...]]:
    yield "interval", "auction_price", "auction_wh", "continuous_wh", "tariff_price"
    for at_us, interval in sorted(community.market.intervals.items()):
        if interval.clearing is None:
            continue
        continuous = sum(trade.wh for trade in interval.trades if trade.buyer and trade.seller)
        price = community.market.prices.get(at_us)
        clearing = interval.clearing
        own = "" if clearing.price is None else clearing.price
        yield iso(at_us), own, clearing.volume_wh, continuous, price.price if price else ""


def _settlements(community: Community) -> Iterator[tuple[Any, ...]]:
    is_first = True
    for at_us, settled in sorted(community.settled.items()):
        for line in settled.lines.values():
            row = asdict(line)
            if is_first:
                yield "interval", "version", *row, "current"
                is_first = False
            yield iso(at_us), settled.version, *row.values(), line.current


def _participants(community: Community) -> Iterator[tuple[Any, ...]]:
    yield "participant", "kind", "status", "devices", "meters", "deposit", "reserved"
    registry, market = community.registry, community.market
    for name, who in sorted(registry.participants.items()):
        devices = sum(device.owner == name for device in registry.devices.values())
        meters = len(registry.mains.get(name, ()))
        deposit, reserved = market.deposits.get(name, 0), market.reserved.get(name, 0)
        yield name, who.kind.name.lower(), who.status.name.lower(), devices, meters, deposit, reserved


def _bills(community: Community) -> Iterator[tuple[Any, ...]]:
    yield "entry", "participant", "tariff", "from", "to", "amount", "digest"
    for entry, bill in community.billing.bills:
        period = iso(bill.from_us), iso(bill.to_us)
        yield entry, bill.participant, bill.tariff, *period, bill.amount, bill.digest.hex()


def _statement(args: argparse.Namespace) -> int:
    community = community_of(args.file)
    bill = next((bill for entry, bill in community.billing.bills if entry == args.entry), None)
    if bill is None:
        raise NotALedger(
            f"entry {args.entry} of {args.file} issues no bill: `tieline ledger market FILE bills`"
        )
    currency = community.market.in_force().currency
    with Rows(args.file) as rows:
        ledger = leaf_hash(rows.entry(0).statement)
    statement = statement_of(bill, currency, args.entry, ledger)
    if args.pdf:
        content = as_pdf(statement)
        with args.pdf.open("xb") as output:
            output.write(content)
        print(sha256(content).hexdigest())
    else:
        sys.stdout.write(as_html(statement) if args.html else as_csv(bill, currency))
    return SOUND


def _party(order: OrderId | None) -> str:
    return order[0] if order else "auction"


def iso(time_us: int) -> str:
    """A time in UTC, to the second where it has no more."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat().replace("+00:00", "Z")
