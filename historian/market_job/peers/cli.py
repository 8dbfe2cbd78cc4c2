"""``tieline market peers`` and ``tieline market roam-…``: other sites, and vehicles that charge there."""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from historian.ledger.coding import record_of
from historian.ledger.entry import Body
from historian.ledger.peer_facts import RoamingClosing, RoamingOpening, RoamingToken
from historian.ledger.pen import client_id
from historian.ledger.roaming import text_of, token_from, token_of
from historian.market_job.client import Hand, MarketClient, MarketError
from historian.market_job.wire import Judged
from historian.signing import SigningKey

DONE, REFUSED = 0, 1
MICROS = 1_000_000
HOUR_US = 3_600 * MICROS
_Add = Callable[
    [str, str, Callable[[argparse.Namespace, MarketClient], int]],
    argparse.ArgumentParser,
]


def add_peers(add: _Add, add_key: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the verbs."""
    peers = add(
        "peers", "the links to other sites; exit status 1 where one is down or disputes an interval", _peers
    )
    peers.add_argument("--format", choices=("text", "json"), default="text", help="how it is printed")

    issue = add("roam-issue", "let a vehicle charge at another site; prints its token", _issue)
    issue.add_argument("--vehicle", metavar="NAME", required=True, help="the participant that pays for it")
    issue.add_argument("--to", metavar="SITE", required=True, help="the site where it may charge")
    issue.add_argument("--kwh", metavar="KWH", type=_number(1_000), required=True, help="at most so much")
    issue.add_argument(
        "--money", metavar="AMOUNT", type=_number(MICROS), required=True, help="for at most so much"
    )
    issue.add_argument(
        "--hours", metavar="H", type=_number(1), default=24, help="how long it is good (default: 24)"
    )

    begin = add("roam-open", "begin the session of another site's vehicle; prints its id", _open)
    begin.add_argument("token", metavar="TOKEN", help="as its home printed it")
    begin.add_argument("--home", metavar="SITE", required=True, help="the vehicle's site")
    begin.add_argument(
        "--host", metavar="NAME", required=True, help="the participant at whose point it charges"
    )

    end = add("roam-close", "end the session; its home gets the record by the link", _close)
    end.add_argument("id", metavar="ID", help="as `roam-open` printed it")
    end.add_argument("--home", metavar="SITE", required=True, help="the vehicle's site")
    end.add_argument("--kwh", metavar="KWH", type=_number(1_000), required=True, help="what it took")
    end.add_argument(
        "--money", metavar="AMOUNT", type=_number(MICROS), required=True, help="what its home owes"
    )
    for verb in (issue, begin, end):
        add_key(verb)


def _number(scale: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = Decimal(text) * scale
            whole = int(value)
        except (InvalidOperation, OverflowError, ValueError):
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
        if value != whole:
            raise argparse.ArgumentTypeError(f"{text!r} is finer than 1/{scale}")
        return whole

    return parse


def _peers(args: argparse.Namespace, client: MarketClient) -> int:
    said = client.peers()
    if args.format == "json":
        print(json.dumps(said, indent=1))
    else:
        _print(said)
    is_well = all(peer["up"] and not peer["disputed"] for peer in said["peers"].values())
    return DONE if is_well else REFUSED


def _print(said: dict[str, Any]) -> None:
    for name, peer in said["peers"].items():
        agreed = "never" if peer["agreed_us"] is None else _iso(peer["agreed_us"])
        print(f"{name}: {'up' if peer['up'] else 'DOWN'}, {peer['state']}")
        print(f"  agreed last: {agreed}; {peer['waiting']} intervals wait, {peer['disputed']} are disputed")
        for each in peer["disputes"]:
            here, there = (
                "{} Wh traded, {} Wh metered, {} µ".format(*each[side]) for side in ("here", "there")
            )
            print(f"  {_iso(each['interval_us'])}: here {here}; there {there}")
    for each in said["roaming"]:
        done = "open" if each["amount"] is None else f"{each['wh'] / 1_000:.3f} kWh, {_money(each['amount'])}"
        print(f"{each['id']} {each['vehicle']} ({each['role']}, {each['site']}): {done}")


def _hand(args: argparse.Namespace, client: MarketClient) -> Hand:
    return Hand(client, SigningKey.load(args.key))


def _issue(args: argparse.Namespace, client: MarketClient) -> int:
    hand = _hand(args, client)
    site = client.peers()["peers"].get(args.to)
    if site is None or hand.terms["rules"] is None:
        raise MarketError(f"there is no other site {args.to}: see `tieline market peers`")
    until_us = round(datetime.now(UTC).timestamp() * MICROS) + args.hours * HOUR_US
    fact = RoamingToken(
        site=args.to,
        site_key=bytes.fromhex(site["public_key"]),
        vehicle=args.vehicle,
        valid_until_us=until_us,
        most_wh=args.kwh,
        most_amount=args.money,
        currency=hand.terms["rules"]["currency"],
    )
    outcome, bundle = hand.place(uuid.uuid4().bytes, record_of(fact))
    return _told(outcome, text_of(token_of(bundle)))


def _open(args: argparse.Namespace, client: MarketClient) -> int:
    token = token_from(args.token)
    fact = RoamingOpening(args.home, args.host, token)
    before = {each["id"] for each in client.peers()["roaming"]}
    status = _said(args, client, record_of(fact))
    for each in client.peers()["roaming"]:
        if status == DONE and each["role"] == "host" and each["id"] not in before:
            print(f"session {each['id']} of {each['vehicle']}: {each['most_wh'] / 1_000:g} kWh at most")
    return status


def _close(args: argparse.Namespace, client: MarketClient) -> int:
    try:
        id = bytes.fromhex(args.id)
    except ValueError:
        id = b""
    if len(id) != 16:
        raise MarketError(f"{args.id!r} is no id: 32 hexadecimal digits")
    return _said(
        args,
        client,
        record_of(RoamingClosing(args.home, id, args.kwh, args.money)),
        f"close {args.id} {args.kwh} {args.money}",
    )


def _said(args: argparse.Namespace, client: MarketClient, body: Body, name: str | None = None) -> int:
    client_of = uuid.uuid4().bytes if name is None else client_id(name)
    outcome = _hand(args, client).request(client_of, body)
    return _told(outcome, f"receipt {outcome.sequence}:{outcome.hash}")


def _told(outcome: Judged, text: str) -> int:
    if outcome.reason:
        raise MarketError(f"refused ({outcome.reason}): {outcome.why}")
    print(text)
    return DONE


def _iso(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / MICROS, UTC).isoformat().replace("+00:00", "Z")


def _money(millionths: int) -> str:
    return f"{Decimal(millionths) / MICROS:f}"
