"""``tieline ledger``: make keys and a ledger, verify it, prove what is in it, show and export it."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from historian.ledger.anchoring.cli import add_anchor_verbs, add_chain_check, faults_on_chain
from historian.ledger.billing_cli import add_billing_verbs
from historian.ledger.book import Book
from historian.ledger.contracts.cli import add_call_verb
from historian.ledger.entry import (
    Account,
    Body,
    Genesis,
    KeyChange,
    PeriodClose,
    Record,
    Transfer,
    decode_entry,
    decode_statement,
)
from historian.ledger.errors import LedgerError
from historian.ledger.market_cli import add_verbs, record_as_json
from historian.ledger.merkle import leaf_hash
from historian.ledger.page_cli import add_page_verb
from historian.ledger.proof import Inclusion, from_json, prove_consistency, prove_inclusion, to_json
from historian.ledger.rows import Rows
from historian.ledger.verify import verify
from historian.signing import KeyFileError, SigningKey

SOUND, FAULTY, USAGE = 0, 1, 2  # exit statuses
MOST_PROOF_BYTES = 1_000_000  # an entry of 64 KiB in hex, and two paths


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``tieline``'s parser."""
    ledger = subparsers.add_parser("ledger", help="verify the ledger, prove and show what is in it")
    verbs = ledger.add_subparsers(required=True, metavar="VERB")

    def add(name: str, help: str, run: Any) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=help, description=help)
        verb.set_defaults(run=lambda args: _explained(run, args))
        return verb

    key = add("key", "make a new key in a file that only its owner may read; prints the public key", _key)
    key.add_argument("file", metavar="KEYFILE", type=Path)

    create = add("create", "begin a ledger; prints its id, which its authors need", _create)
    create.add_argument("file", metavar="FILE", type=Path)
    create.add_argument("--name", required=True, help="what the ledger is called")
    create.add_argument("--operator", required=True, metavar="AUTHOR", help="who runs it")
    create.add_argument("--key", required=True, type=Path, metavar="KEYFILE", help="the operator's key")

    checks = add("verify", "check every byte, signature and rule of a ledger", _verify)
    checks.add_argument("file", metavar="FILE", type=Path)
    checks.add_argument("--ledger", type=_hash, metavar="ID", help="the id that the ledger must have")
    checks.add_argument(
        "--receipt", type=_receipt, metavar="SEQUENCE:HASH", help="an entry that must be in it as it was then"
    )
    checks.add_argument("--processes", type=int, metavar="N", help="at once (default: one a core)")

    prove = add("prove", "print a proof that needs no ledger to be checked", _prove)
    prove.add_argument("file", metavar="FILE", type=Path)
    prove.add_argument(
        "sequence", metavar="SEQUENCE", type=int, nargs="?", help="that this entry is in its period"
    )
    prove.add_argument("--period", type=int, metavar="N", help="instead: that this period only grew")
    prove.add_argument("--from", dest="old", type=int, metavar="SIZE", help="since it had so many entries")
    prove.add_argument("--size", type=int, metavar="SIZE", help="to when it had so many (default: all)")

    check = add("check", "check a proof against a root that you trust", _check)
    check.add_argument(
        "proof", metavar="PROOF", type=Path, help="the file of the proof; - reads standard input"
    )
    check.add_argument("--root", type=_hash, metavar="HASH", help="the (new) root")
    check.add_argument("--old-root", type=_hash, metavar="HASH", help="of a proof that a period only grew")
    add_chain_check(check)

    show = add("show", "print an entry; without one the balances", _show)
    show.add_argument("file", metavar="FILE", type=Path)
    show.add_argument("sequence", metavar="SEQUENCE", type=int, nargs="?")

    export = add("export", "print all entries, one JSON object a line", _export)
    export.add_argument("file", metavar="FILE", type=Path)
    export.add_argument("--from", dest="first", type=int, default=0, metavar="SEQUENCE")
    export.add_argument("--to", dest="last", type=int, metavar="SEQUENCE")
    export.add_argument("--output", type=Path, metavar="NEWFILE", help="write there instead of printing")

    add_verbs(add)
    add_billing_verbs(add)
    add_page_verb(add)
    add_call_verb(add)
    add_anchor_verbs(add)


def _explained(run: Any, args: argparse.Namespace) -> int:
    try:
        return int(run(args))
    except (LedgerError, KeyFileError, OSError, ImportError) as error:
        print(f"tieline ledger: {error}", file=sys.stderr)
        return USAGE


def _hash(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise argparse.ArgumentTypeError(f"{text!r} is no hash: 64 hexadecimal digits")
    return value


def _receipt(text: str) -> tuple[int, bytes]:
    sequence, _, kept = text.partition(":")
    if not sequence.isascii() or not sequence.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no SEQUENCE:HASH")
    return int(sequence), _hash(kept)


def _key(args: argparse.Namespace) -> int:
    key = SigningKey.generate()
    key.save(args.file)
    print(key.public.hex())
    return SOUND


def _create(args: argparse.Namespace) -> int:
    with Book.create(args.file, args.name, args.operator, SigningKey.load(args.key)) as book:
        print(book.id.hex())
    return SOUND


def _verify(args: argparse.Namespace) -> int:
    if args.processes is not None and args.processes < 1:
        print("tieline ledger: --processes is 1 or more", file=sys.stderr)
        return USAGE
    verdict = verify(args.file, ledger=args.ledger, receipt=args.receipt, processes=args.processes)
    for fault in verdict.faults:
        print(f"entry {fault.sequence}: {fault.why}")
    head = verdict.state.head
    if not verdict.is_sound:
        print(
            f"{args.file} is NOT sound: {verdict.entries} entries, those before {verdict.faults[0].sequence} hold"
        )
        return FAULTY
    print(f"{args.file} is sound: {verdict.entries} entries, {head.period - 1} periods closed")
    print(f"ledger  {verdict.state.ledger.hex()}")
    print(f"receipt {head.sequence}:{head.hash.hex()}")
    if args.ledger is None:
        print("whose ledger it is was not checked: --ledger ID")
    if args.receipt is None:
        print("whether entries were cut off its end was not checked: --receipt SEQUENCE:HASH")
    return SOUND


def _prove(args: argparse.Namespace) -> int:
    with Rows(args.file) as rows:
        if args.sequence is not None and args.period is None and args.old is None:
            proof = to_json(prove_inclusion(rows, args.sequence, args.size))
        elif args.sequence is None and args.period is not None and args.old is not None:
            proof = to_json(prove_consistency(rows, args.period, args.old, args.size))
        else:
            print("tieline ledger: prove FILE SEQUENCE, or FILE --period N --from SIZE", file=sys.stderr)
            return USAGE
    print(json.dumps(proof, indent=1))
    return SOUND


def _check(args: argparse.Namespace) -> int:
    if (args.chain is None) == (args.root is None) or (args.chain is None) != (args.contract is None):
        print("tieline ledger: check needs --root, or --chain and --contract", file=sys.stderr)
        return USAGE
    with ExitStack() as stack:
        source: TextIO = sys.stdin if str(args.proof) == "-" else stack.enter_context(args.proof.open())
        text = source.read(MOST_PROOF_BYTES)
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"{args.proof} is no JSON: {error}") from error
    proof = from_json(read)
    faults = []
    if isinstance(proof, Inclusion):
        if args.chain is not None:
            faults += faults_on_chain(proof, args.chain, args.contract)
        elif proof.root() != args.root:
            faults.append("the entry is not in the tree of this root")
        if not proof.is_signed():
            faults.append("the entry is not signed by its signer")
    else:
        if args.old_root is None or args.root is None:
            print("tieline ledger: this proof is of two trees: give --root and --old-root", file=sys.stderr)
            return USAGE
        if not proof.holds() or (proof.old_root, proof.new_root) != (args.old_root, args.root):
            faults.append("the old tree is not the beginning of the new one")
    for fault in faults:
        print(fault)
    if not faults:
        print("the proof holds")
        if isinstance(proof, Inclusion):
            print(json.dumps(entry_as_json(proof.entry), indent=1))
    return FAULTY if faults else SOUND


def _show(args: argparse.Namespace) -> int:
    if args.sequence is not None:
        with Rows(args.file) as rows:
            rows.entry(args.sequence)  # says which there are
            ((_, content, _),) = rows.raw(args.sequence, args.sequence)
        print(json.dumps(entry_as_json(content), indent=1))
        return SOUND
    verdict = verify(args.file, processes=1)
    for name, balance in sorted(verdict.state.accounts.items()):
        print(f"{name:<32} {balance.amount:>22} {balance.unit:<8} {balance.owner}")
    if not verdict.is_sound:
        print(f"NOT sound at entry {verdict.faults[0].sequence}: {verdict.faults[0].why}", file=sys.stderr)
    return SOUND if verdict.is_sound else FAULTY


def _export(args: argparse.Namespace) -> int:
    with ExitStack() as stack:
        rows = stack.enter_context(Rows(args.file))
        last = rows.last() if args.last is None else args.last
        output: TextIO = stack.enter_context(args.output.open("x")) if args.output else sys.stdout
        for _, content, _ in rows.raw(args.first, last):
            print(json.dumps({**entry_as_json(content), "entry": content.hex()}), file=output)
    return SOUND


def entry_as_json(content: bytes) -> dict[str, Any]:
    """An entry in words; bytes in hex, times in ISO 8601."""
    entry = decode_entry(content)
    statement = decode_statement(entry.statement)
    return {
        "sequence": entry.sequence,
        "hash": leaf_hash(content).hex(),
        "placed_at": _iso(entry.placed_at_us),
        "signer": statement.signer.hex(),
        "number": statement.number,
        "client": statement.client.hex(),
        "made_at": _iso(statement.made_at_us),
        "good_until": _iso(statement.good_until_us),
        **_body_as_json(statement.body),
    }


def _iso(time_us: int) -> str | int:
    try:
        return (
            datetime.fromtimestamp(time_us // 1_000_000, UTC)
            .replace(microsecond=time_us % 1_000_000)
            .isoformat()
        )
    except (OverflowError, ValueError, OSError):
        return time_us  # beyond the years that have a name


def _body_as_json(body: Body) -> dict[str, Any]:
    match body:
        case Transfer(reference, postings):
            lines = [{"account": p.account, "unit": p.unit, "amount": p.amount} for p in postings]
            return {"kind": "transfer", "reference": reference, "postings": lines}
        case Record():
            return record_as_json(body)
        case Account(name, unit, owner, may_be_negative):
            return {
                "kind": "account",
                "name": name,
                "unit": unit,
                "owner": owner,
                "may_be_negative": may_be_negative,
            }
        case KeyChange(action, author, role, key):
            change = {"kind": "key", "action": action.name.lower(), "author": author}
            return {**change, "role": role.name.lower(), "key": key.hex()}
        case Genesis(name, operator):
            return {"kind": "genesis", "name": name, "operator": operator}
        case PeriodClose(number, first, count, root, state):
            close = {"kind": "period", "period": number, "first": first, "count": count}
            return {**close, "root": root.hex(), "state": state.hex()}
