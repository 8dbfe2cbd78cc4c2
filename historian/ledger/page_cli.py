"""``tieline ledger page``: a ledger as one page, written whole or not at all."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from historian.ledger.billing_cli import zone_named
from historian.ledger.errors import LedgerError
from historian.ledger.market_cli import entries_of
from historian.ledger.merkle import leaf_hash
from historian.ledger.overview import gather
from historian.ledger.page import page_of
from historian.ledger.rows import Rows

SOUND = 0


def add_page_verb(add: Any) -> None:
    """``add`` makes a verb's parser of its name, help and function."""
    page = add("page", "write a page about a ledger: participants, market, bills, roots", _page)
    page.add_argument("file", metavar="FILE", type=Path)
    page.add_argument(
        "--output",
        metavar="DIR|FILE.html",
        type=Path,
        required=True,
        help="where it is written, over an earlier one",
    )
    page.add_argument(
        "--zone", type=zone_named, default=ZoneInfo("UTC"), help="of days and times (default: UTC)"
    )


def page_of_file(file: Path, zone: tzinfo = UTC) -> str:
    """A ledger's page; ``NotALedger`` where an entry breaks a rule of the ledger."""
    gathered = gather(entries_of(file))
    if not gathered.entries:
        raise LedgerError(f"{file} has no entries")
    with Rows(file) as rows:
        # A writer may have gone on: the head is that of what was read.
        ((_, _, head),) = rows.raw(gathered.community.sequence, gathered.community.sequence)
        ledger = leaf_hash(rows.entry(0).statement)
    return page_of(gathered, file=file.name, ledger=ledger, head=head, zone=zone)


def _page(args: argparse.Namespace) -> int:
    target: Path = args.output
    if target.is_dir():
        target = target / f"{args.file.stem}.html"
    elif target.suffix != ".html":
        raise LedgerError(f"{target} is no folder and no name of a page: DIR or FILE.html")
    content = page_of_file(args.file, args.zone)
    beside = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        beside.write_text(content, encoding="utf-8")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    print(target)
    return SOUND
