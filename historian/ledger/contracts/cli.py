"""``tieline ledger call``: call a contract by an entry, or ask it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from historian.ledger.book import Book
from historian.ledger.bundle import sign
from historian.ledger.coding import record_of
from historian.ledger.errors import LedgerError
from historian.ledger.facts import Call
from historian.ledger.market_cli import community_of
from historian.ledger.pen import Pen, now_us
from historian.signing import SigningKey

if TYPE_CHECKING:
    from historian.ledger.contracts.abi import Operation
    from historian.ledger.contracts.world import Returned

DONE, REFUSED, USAGE = 0, 1, 2
MICROS = 1_000_000


def add_call_verb(add: Any) -> None:
    """``add`` makes a verb's parser of its name, help and function."""
    call = add("call", "call a contract by an entry (with --key), or ask it", _call)
    call.add_argument("file", metavar="FILE", type=Path)
    call.add_argument("operation", metavar="CONTRACT.OPERATION", help="as EnergyProduction.registerSource")
    call.add_argument(
        "arguments",
        metavar="ARGUMENT",
        nargs="*",
        help="numbers, texts, true or false, 0x…; authors for addresses",
    )
    call.add_argument("--key", type=Path, metavar="KEYFILE", help="of the author who calls")
    call.add_argument("--value", type=int, default=0, metavar="MILLIONTHS", help="money of its deposit")


def _call(args: argparse.Namespace) -> int:
    from historian.ledger.contracts.world import operation

    contract, _, name = args.operation.partition(".")
    called = operation(contract, name)
    content = called.call(*_parsed(called, args.arguments))
    if args.key is None:
        if not called.is_view:
            print(f"tieline ledger: {args.operation} changes something: whose --key?", file=sys.stderr)
            return USAGE
        returned = _asked(args.file, contract, content)
    else:
        sequence = _placed(args.file, SigningKey.load(args.key), Call(contract, args.value, content))
        community = community_of(args.file)
        refused = community.voids.get(sequence)
        if refused is not None or community.calls is None:
            print(f"entry {sequence} is void: {refused}")
            return REFUSED
        returned = community.calls.returned[sequence]
        print(f"entry {sequence}", file=sys.stderr)
    _print(called, returned)
    return DONE


def _placed(file: Path, key: SigningKey, fact: Call) -> int:
    with Book.open(file) as book:
        pen = Pen(key, book.id)
        author = book.state.keys.get(key.public)
        if author is not None and author in book.state.authors:
            pen.follow(book.state.authors[author].number)
        (receipt,) = book.append([sign(key, [pen.statement(record_of(fact))])])
    return receipt.sequence


def _asked(file: Path, contract: str, content: bytes) -> Returned:
    from historian.ledger.contracts.abi import address_of
    from historian.ledger.contracts.contract import Message
    from historian.ledger.contracts.world import World

    community = community_of(file)
    asker = address_of(community.operator)
    world = community.calls.world if community.calls else World(asker)
    return world.call(contract, Message(asker, now_us() // MICROS), content)


def _parsed(operation: Operation, arguments: Sequence[str]) -> list[Any]:
    if len(arguments) != len(operation.inputs):
        raise LedgerError(f"{operation.name} has the arguments ({', '.join(operation.inputs)})")
    return [_value(of, text) for of, text in zip(operation.inputs, arguments, strict=True)]


def _value(of: str, text: str) -> Any:
    from historian.ledger.contracts.abi import address_of

    try:
        if of.startswith("uint"):
            return int(text)
        if of == "bool":
            return {"true": True, "false": False}[text]
        if of == "string":
            return text.encode()
        if text.startswith("0x"):
            return bytes.fromhex(text[2:])
    except (ValueError, KeyError):
        raise LedgerError(f"{text!r} is no {of}") from None
    if of == "address":
        return address_of(text)
    raise LedgerError(f"{text!r} is no {of}: 0x and hexadecimal digits")


def _print(operation: Operation, returned: Returned) -> None:
    from historian.ledger.contracts.abi import decode

    values = [_plain(value) for value in decode(operation.outputs, returned.content)]
    told = [{"event": event.name, "arguments": _plain(event.arguments)} for event in returned.events]
    print(json.dumps({"gives": values, "tells": told}, indent=1))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"0x{value.hex()}" if len(value) in (20, 32) else value.decode(errors="replace")
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
