"""``tieline ledger``: open bills, profit and loss, earnings, reconciliation, points, certificates, from the file."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from historian.ledger.certificates import Certificate
from historian.ledger.dunning import State, earliest_us
from historian.ledger.earnings import by_week, compared
from historian.ledger.evidence import check_awards
from historian.ledger.market.price import ONE
from historian.ledger.market_cli import community_of, entries_of, iso
from historian.ledger.pnl import COST, INCOME, month_of, profit_and_loss, week_of
from historian.ledger.reconciliation import AGREED, ESTIMATED, Compared, reconcile
from historian.ledger.statement import money_of

SOUND, FAULTY = 0, 1
_ALWAYS = (-(2**63), 2**63 - 1)
_MICROS = 1_000_000
_Row = tuple[Any, ...]


def add_billing_verbs(add: Any) -> None:
    """``add`` makes a verb's parser of its name, help and function."""
    receivables = add(
        "receivables", "print what is open of each bill, and where its dunning stands", _receivables
    )
    receivables.add_argument("--all", action="store_true", help="also bills that are paid")

    pnl = add("pnl", "print income, costs and the result, as posted", _pnl)
    pnl.add_argument(
        "--by", choices=("total", "month", "week"), default="total", help="periods (default: one, all of it)"
    )

    finance = add("finance", "print what each participant earned, week by week", _finance)

    compares = add("reconcile", "compare meters, sub-meters, positions and settlements", _reconcile)
    compares.add_argument("--all", action="store_true", help="also intervals that agree or are estimated")
    compares.add_argument(
        "--tolerance",
        type=_percent,
        default=ONE // 50,
        metavar="PERCENT",
        help="by which sub-meters may differ (default: 2)",
    )

    rewards = add("rewards", "print points by participant", _rewards)
    rewards.add_argument("--awards", action="store_true", help="instead: what they were earned by")
    rewards.add_argument(
        "--check", action="store_true", help="instead: make each award's baseline again from the readings"
    )

    certificates = add("certificates", "print renewable certificates by owner", _certificates)
    certificates.add_argument("--batches", action="store_true", help="instead: the production they are of")

    for verb in (receivables, pnl, finance, compares, rewards, certificates):
        verb.add_argument("file", metavar="FILE", type=Path)
    for verb in (pnl, finance, compares):
        verb.add_argument(
            "--zone", type=zone_named, default=ZoneInfo("UTC"), help="of days and weeks (default: UTC)"
        )
    for verb in (pnl, compares):
        verb.add_argument("--from", dest="first", type=_day, metavar="DATE", help="from this day on")
        verb.add_argument("--to", dest="last", type=_day, metavar="DATE", help="before this day")


# ---------------------------------------------------------------- money


def _receivables(args: argparse.Namespace) -> int:
    community = community_of(args.file)
    payments, now_us = community.treasury.payments, community.now_us
    bills = dict(community.billing.bills)

    def rows() -> Iterator[_Row]:
        yield "bill", "participant", "from", "to", "amount", "own", "open", "state", "since", "due"
        for entry, claim in payments.claims.items():
            state = payments.state(claim, now_us)
            if state is State.PAID and not args.all:
                continue
            bill = bills[entry]
            due = iso(earliest_us(State.OPEN, claim.since_us, claim.terms)) if claim.terms else ""
            yield (
                *(entry, claim.participant, iso(bill.from_us), iso(bill.to_us), bill.amount),
                *(claim.own, claim.open, state.value, iso(claim.since_us)),
                due if claim.state is State.OPEN else "",
            )

    return _printed(rows())


def _pnl(args: argparse.Namespace) -> int:
    community = community_of(args.file)
    from_us, to_us = _span(args)

    def period_of(at_us: int) -> str | None:
        if not from_us <= at_us < to_us:
            return None
        if args.by == "total":
            return "total"
        return (month_of if args.by == "month" else week_of)(at_us, args.zone)

    currency = community.market.in_force().currency
    lines = list(profit_and_loss(entries_of(args.file), community.registry.participants, currency, period_of))

    def rows() -> Iterator[_Row]:
        yield "period", "section", "account", f"{currency}_millionths", currency
        for period, some in groupby(lines, key=lambda line: line.period):
            found = list(some)
            for section in (INCOME, COST):
                of = [line for line in found if line.section == section]
                for line in of:
                    yield period, section, line.account, line.amount, money_of(line.amount)
                total = sum(line.amount for line in of)
                yield period, section, "total", total, money_of(total)
            result = sum(line.amount for line in found)
            yield period, "result", "", result, money_of(result)

    return _printed(rows())


def _finance(args: argparse.Namespace) -> int:
    community = community_of(args.file)

    def rows() -> Iterator[_Row]:
        yield (
            *("participant", "week", "sold_wh", "bought_wh", "sales", "purchases", "imbalance", "fees"),
            *("earned", "week_before", "change", "points"),
        )
        for name, label, week, before in compared(by_week(community, args.zone)):
            yield (
                *(name, label, week.sold_wh, week.bought_wh, week.sales, week.purchases),
                *(week.imbalance, week.fees, week.earned),
                "" if before is None else before.earned,
                "" if before is None else week.earned - before.earned,
                week.points,
            )

    return _printed(rows())


def _reconcile(args: argparse.Namespace) -> int:
    community = community_of(args.file)
    found = list(reconcile(community, *_span(args), args.tolerance))
    faults = [each for each in found if each.verdict not in (AGREED, ESTIMATED)]

    def rows(some: Iterable[Compared]) -> Iterator[_Row]:
        yield "interval", "participant", "main_wh", "sub_wh", "traded_wh", "settled_wh", "verdict"
        for each in some:
            energies = (each.main_wh, each.sub_wh, each.traded_wh, each.settled_wh)
            yield (
                iso(each.interval_us),
                each.participant,
                *("" if wh is None else wh for wh in energies),
                each.verdict,
            )

    _printed(rows(found if args.all else faults))
    print(f"{len(found)} compared, {len(faults)} do not agree", file=sys.stderr)
    return FAULTY if faults else SOUND


# ---------------------------------------------------------------- points and certificates


def _rewards(args: argparse.Namespace) -> int:
    community = community_of(args.file)
    rewards, now_us = community.treasury.rewards, community.now_us
    if args.check:
        faults = list(check_awards(community))
        for entry, why in faults:
            print(f"entry {entry}: {why}")
        print(f"{len(rewards.awards)} awards, {len(faults)} that the readings do not give", file=sys.stderr)
        return FAULTY if faults else SOUND

    def points() -> Iterator[_Row]:
        yield "participant", "points", "expired", "staked", "next_expiry"
        for name in sorted({*rewards.lots, *(stake.owner for stake in rewards.stakes.values())}):
            coming = [lot.expires_us for lot in rewards.lots[name] if lot.expires_us > now_us]
            yield (
                *(name, rewards.available(name, now_us), rewards.expired(name, now_us), rewards.staked(name)),
                iso(min(coming)) if coming else "",
            )

    def awards() -> Iterator[_Row]:
        yield (
            "entry",
            "participant",
            "kind",
            "event",
            "from",
            "to",
            "baseline",
            "measured",
            "points",
            "evidence",
        )
        for each in rewards.awards:
            said = each.award
            yield (
                *(each.entry, said.participant, said.kind.name.lower(), said.event),
                *(iso(each.from_us), iso(each.to_us), said.baseline, said.measured, each.points),
                said.evidence.hex(),
            )

    return _printed(awards() if args.awards else points())


def _certificates(args: argparse.Namespace) -> int:
    community = community_of(args.file)
    known = community.treasury.certificates

    def batches() -> Iterator[_Row]:
        yield "batch", "entry", "device", "from", "to", "wh", "left_wh"
        for name, (entry, batch) in known.batches.items():
            left = known.left[batch.device].get(name, 0)
            yield name, entry, batch.device, iso(batch.from_us), iso(batch.to_us), batch.wh, left

    def ranges() -> Iterator[_Row]:
        yield "device", "first", "last", "owner", "status", "expires", "retired_by", "beneficiary", "batches"
        for device, some in groupby(known.held.values(), key=lambda each: each.device):
            for alike, run in groupby(some, key=lambda each: _alike(each, community.now_us)):
                found = list(run)
                of = dict.fromkeys(batch for each in found for batch, _ in each.parts)
                yield device, found[0].serial, found[-1].serial, *alike, " ".join(of)

    return _printed(batches() if args.batches else ranges())


def _alike(certificate: Certificate, now_us: int) -> _Row:
    status = "retired" if certificate.retired else "expired" if certificate.expires_us <= now_us else "valid"
    return (
        *(certificate.owner, status, iso(certificate.expires_us)),
        *(certificate.retired or "", certificate.beneficiary),
    )


# ---------------------------------------------------------------- what all of these need


def _printed(rows: Iterable[_Row]) -> int:
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
    return SOUND


def _span(args: argparse.Namespace) -> tuple[int, int]:
    first, last = _ALWAYS
    return (
        _start_us(args.first, args.zone) if args.first else first,
        _start_us(args.last, args.zone) if args.last else last,
    )


def _start_us(day: datetime, zone: tzinfo) -> int:
    return int(day.replace(tzinfo=zone).timestamp()) * _MICROS


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: YYYY-MM-DD") from None


def zone_named(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"no time zone {text!r}, as Europe/Vienna") from None


def _percent(text: str) -> int:
    try:
        share = round(float(text) * ONE / 100)
    except (ValueError, OverflowError):
        share = -1
    if not 0 <= share <= ONE:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: 0 to 100")
    return share
