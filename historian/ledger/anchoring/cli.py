"""``tieline ledger anchor`` and what belongs to it: keys and a contract on a chain, roots that go there."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SOUND, FAULTY, USAGE = 0, 1, 2
DEFAULT_CONFIRMATIONS = 12
DEFAULT_WITHIN_S = 600.0
LOOK_S = 0.2


def add_anchor_verbs(add: Any) -> None:
    """``add`` makes a verb's parser of its name, help and function."""
    key = add("anchor-key", "make a key of a chain in a new file; prints its account's address", _key)
    key.add_argument("file", metavar="KEYFILE", type=Path)

    create = add("anchor-create", "make a contract that anchors a ledger; prints its address", _create)
    _add_chain(create)
    create.add_argument("file", metavar="FILE", type=Path)

    anchor = add("anchor", "anchor the roots of closed periods on a chain, each once", _anchor)
    _add_chain(anchor)
    anchor.add_argument("file", metavar="FILE", type=Path)
    anchor.add_argument("--contract", required=True, metavar="ADDRESS", help="what `anchor-create` printed")
    anchor.add_argument(
        "--confirmations",
        type=_count,
        default=DEFAULT_CONFIRMATIONS,
        metavar="BLOCKS",
        help=f"on top of a block that make it sure (default: {DEFAULT_CONFIRMATIONS})",
    )
    anchor.add_argument(
        "--follow", action="store_true", help="go on until stopped, also while the chain is away"
    )


def add_chain_check(check: argparse.ArgumentParser) -> None:
    """What `check` needs to ask a chain for the root."""
    check.add_argument(
        "--chain", type=_url, metavar="URL", help="instead of --root: the root that is anchored there"
    )
    check.add_argument("--contract", metavar="ADDRESS", help="with --chain")


def faults_on_chain(proof: Any, url: str, address: str) -> list[str]:
    """What speaks against an inclusion proof: by the anchored root, and by the chain's own look at it."""
    from historian.ledger.anchoring.contract import AnchorContract
    from historian.ledger.anchoring.rpc import Node

    contract = AnchorContract(Node(url), address)
    root = contract.anchored(proof.period)
    if root is None:
        return [f"period {proof.period} is not anchored in {address}"]
    faults = []
    if (proof.root(), proof.size) != (root.root, root.size):
        faults.append("the entry is not in the tree of the anchored root")
    if not contract.is_included(proof.period, proof.entry, proof.index, proof.path):
        faults.append("the contract does not find the entry in its root")
    return faults


def _add_chain(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--chain", required=True, type=_url, metavar="URL", help="a node's JSON-RPC, http or https"
    )
    verb.add_argument("--key", required=True, type=Path, metavar="KEYFILE", help="what `anchor-key` made")
    verb.add_argument(
        "--within",
        type=float,
        default=DEFAULT_WITHIN_S,
        metavar="SECONDS",
        help=f"give up after (default: {DEFAULT_WITHIN_S:.0f})",
    )


def _key(args: argparse.Namespace) -> int:
    from historian.ledger.anchoring.keys import ChainKey

    key = ChainKey.generate()
    key.save(args.file)
    print(key.address)
    return SOUND


def _create(args: argparse.Namespace) -> int:
    from historian.ledger.anchoring.catching_up import ledger_id
    from historian.ledger.anchoring.contract import Account, deployment
    from historian.ledger.anchoring.keys import ChainKey
    from historian.ledger.anchoring.rpc import Node

    key = ChainKey.load(args.key)
    content = deployment(key.address, ledger_id(args.file))
    account = Account(Node(args.chain), key)
    in_blocks, with_waiting = account.counts()
    if with_waiting > in_blocks:
        print(f"tieline ledger: {key.address} has a transaction under way: wait for it", file=sys.stderr)
        return FAULTY
    sent = account.send(None, content, in_blocks)
    end = time.monotonic() + args.within
    while (receipt := account.node.ask("eth_getTransactionReceipt", sent)) is None:
        if time.monotonic() > end:
            print(f"tieline ledger: {sent} is in no block after {args.within:.0f} s", file=sys.stderr)
            return FAULTY
        time.sleep(LOOK_S)
    if receipt["status"] != "0x1":
        print(f"tieline ledger: the chain refused {sent}", file=sys.stderr)
        return FAULTY
    print(receipt["contractAddress"])
    return SOUND


def _anchor(args: argparse.Namespace) -> int:
    from historian.ledger.anchoring.catching_up import Stage
    from historian.ledger.anchoring.following import AnchorSettings, begin, follow, in_words, until_sure

    settings = AnchorSettings(args.chain, args.contract, args.key, args.confirmations)
    if args.follow:
        stop = threading.Event()
        for ends in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ends, lambda *_: stop.set())
        follow(args.file, settings, stop, lambda said: print(said, flush=True))
        return SOUND
    progress = until_sure(begin(args.file, settings), args.file, args.within, LOOK_S)
    print(in_words(progress))
    return SOUND if progress.stage is Stage.SURE else FAULTY


def _url(text: str) -> str:
    if urlsplit(text).scheme not in ("http", "https"):
        raise argparse.ArgumentTypeError(f"{text!r} is no address of a node: http:// or https://")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of blocks")
    return int(text)
