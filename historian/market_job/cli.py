"""``tieline market``: join a site's market, trade in it with one's own key, and look at it."""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gateway.config.paths import owner_of
from gateway.config.place import add_place, place_of
from historian.ledger.coding import fact_of, record_of
from historian.ledger.entry import Record
from historian.ledger.errors import LedgerError
from historian.ledger.facts import (
    Acceptance,
    Amendment,
    Approval,
    Cancellation,
    Fact,
    Offer,
    Order,
    Side,
    Status,
    StatusChange,
    Venue,
)
from historian.ledger.pen import VALIDITY_US, client_id, now_us
from historian.ledger.state import MOST_VALIDITY_US
from historian.market_job.client import Hand, MarketClient, MarketError, TurnedAway, order_id
from historian.market_job.peers.cli import add_peers
from historian.market_job.wire import Judged
from historian.signing import KeyFileError, SigningKey
from historian.times import parse_time

DONE, REFUSED, USAGE = 0, 1, 2  # exit statuses
MICROS = 1_000_000
NEXT = "next"
# How long an offer of another site's market waits for its answer, and how often it is asked for.
PENDING_S, PENDING_PAUSE_S = 30.0, 0.5


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``tieline``'s parser."""
    market = subparsers.add_parser("market", help="trade in a site's market, and look at it")
    verbs = market.add_subparsers(required=True, metavar="VERB")

    def add(
        name: str, help: str, run: Callable[[argparse.Namespace, MarketClient], int]
    ) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=help, description=help)
        add_place(verb)
        verb.set_defaults(run=lambda args: _explained(run, args))
        return verb

    status = add("status", "how the market is; exit status 1 where it does not trade", _status)
    status.add_argument("--format", choices=("text", "json"), default="text", help="how it is printed")

    agents = add(
        "agents", "how the agents are that trade by themselves; stop one, or start it again", _agents
    )
    agents.add_argument(
        "what", choices=("list", "stop", "start"), nargs="?", default="list", help="what is done"
    )
    agents.add_argument("name", metavar="NAME", nargs="?", help="the agent that is stopped or started")
    agents.add_argument("--format", choices=("text", "json"), default="text", help="how they are printed")

    join = add(
        "join", "apply with what the site's section says of this key: itself, its devices and meters", _join
    )
    _add_key(join)

    for name, help, run in (
        ("approve", "let in who applied, or a device, by the operator's key", _approve),
        ("suspend", "keep a participant or device out until `resume`, by the operator's key", _suspend),
        ("resume", "let it trade again", _resume),
    ):
        verb = add(name, help, run)
        verb.add_argument("name", metavar="NAME", help="the participant, or with --device the device")
        verb.add_argument("--device", action="store_true", help="NAME is a device or meter")
        _add_key(verb)

    bill = add(
        "bill",
        "bill a participant up to what is settled now, before its period is over, by the operator's key",
        _bill,
    )
    bill.add_argument("name", metavar="NAME", help="the participant")
    _add_key(bill)

    order = add("order", "buy or sell energy of an interval; prints the order's id", _order)
    offer = add("offer", "offer one other to buy or sell energy; prints the offer's id", _offer)
    offer.add_argument("--to", metavar="NAME", required=True, help="the participant to whom it is made")
    for verb in (order, offer):
        _add_key(verb)
        side = verb.add_mutually_exclusive_group(required=True)
        side.add_argument("--buy", metavar="KWH", type=_wh, help="how much is bought")
        side.add_argument("--sell", metavar="KWH", type=_wh, help="how much is sold")
        verb.add_argument(
            "--price", metavar="PRICE", type=_millionths, required=True, help="the limit, a kWh"
        )
        verb.add_argument("--device", metavar="NAME", required=True, help="the device that takes or gives it")
        verb.add_argument(
            "--interval", metavar="TIME", default=NEXT, help="its start (default: the one traded next)"
        )
        verb.add_argument("--good-until", metavar="TIME", help="when it ends (default: with its trading)")
        verb.add_argument("--id", metavar="NAME", help="your own name for it: asked again, it is made once")
    order.add_argument("--auction", action="store_true", help="in the auction instead of continuous trading")
    order.add_argument(
        "--min-fill", metavar="KWH", type=_wh, default=0, help="the least that it trades at once"
    )

    accept = add("accept", "take an offer that was made to you, whole and at its price", _accept)
    accept.add_argument("order", metavar="ID", help="the offer's id, as `orders` tells it")
    _add_key(accept)
    accept.add_argument("--device", metavar="NAME", required=True, help="the device that takes or gives it")

    amend = add("amend", "change an open order; what is not given stays", _amend)
    amend.add_argument("order", metavar="ID", help="its id, or your own name for it")
    _add_key(amend)
    amend.add_argument("--kwh", metavar="KWH", type=_wh, help="what is still open of it")
    amend.add_argument("--price", metavar="PRICE", type=_millionths, help="the limit, a kWh")
    amend.add_argument("--min-fill", metavar="KWH", type=_wh, help="the least that it trades at once")
    amend.add_argument("--good-until", metavar="TIME", help="when it ends")

    cancel = add("cancel", "end an open order", _cancel)
    cancel.add_argument("order", metavar="ID", help="its id, or your own name for it")
    _add_key(cancel)

    orders = add("orders", "your open orders", _orders)
    _add_key(orders)
    orders.add_argument("--format", choices=("text", "json"), default="text", help="how they are printed")

    add_peers(add, _add_key)


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key", metavar="KEYFILE", type=Path, required=True, help="the file with the key that signs"
    )


def _wh(text: str) -> int:
    return _scaled(text, 1_000, "kWh with at most 3 decimals")


def _millionths(text: str) -> int:
    return _scaled(text, MICROS, "a price with at most 6 decimals")


def _scaled(text: str, scale: int, what: str) -> int:
    try:
        value = Decimal(text) * scale
        whole = int(value)
    except (InvalidOperation, OverflowError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if value != whole:
        raise argparse.ArgumentTypeError(f"{text!r} is finer than can be traded: {what}")
    return whole


def _explained(run: Callable[[argparse.Namespace, MarketClient], int], args: argparse.Namespace) -> int:
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    try:
        with MarketClient(paths.market_socket, server_uid=owner_of(paths.state)) as client:
            return run(args, client)
    except (MarketError, KeyFileError) as error:
        print(f"tieline market: {error}", file=sys.stderr)
        return REFUSED
    except (ValueError, LedgerError) as error:
        print(f"tieline market: {error}", file=sys.stderr)
        return USAGE


def _hand(args: argparse.Namespace, client: MarketClient) -> Hand:
    hand = Hand(client, SigningKey.load(args.key))
    if not hand.terms["author"]:
        raise MarketError(
            f"the market does not know the key {hand.key.public.hex()}: the site names it as"
            " `market: participants: NAME: public_key`"
        )
    return hand


def _told(outcomes: Iterable[tuple[str, Judged]]) -> int:
    status = DONE
    for what, outcome in outcomes:
        if outcome.reason:
            status = REFUSED
            print(f"{what}: refused ({outcome.reason}): {outcome.why}", file=sys.stderr)
        else:
            print(f"{what}: receipt {outcome.sequence}:{outcome.hash}")
    return status


def _status(args: argparse.Namespace, client: MarketClient) -> int:
    said = client.status()
    is_open = said["status"] == "open"
    if args.format == "json":
        print(json.dumps(said, indent=1))
        return DONE if is_open else REFUSED
    print(f"the market is {said['status']}" + (f": {said['error']}" if said["error"] else ""))
    if "head" in said:
        print(f"ledger {said['ledger']}, {said['entries']} entries, receipt {said['head']}")
        print(f"traded next: {_iso(said['trades_next_us'])}, its gate closes {_iso(said['gate_us'])}")
        price = "none" if said["price"] is None else f"{_money(said['price'])} {said['currency']}/kWh"
        print(f"price now: {price}; {said['orders']} open orders")
        for name, who in said["participants"].items():
            print(
                f"{name:<24} {who['status']:<12} free {_money(who['free']):>14} owed {_money(who['owed']):>14}"
            )
    return DONE if is_open else REFUSED


def _agents(args: argparse.Namespace, client: MarketClient) -> int:
    if (args.what == "list") != (args.name is None):
        raise ValueError("write `agents stop NAME` or `agents start NAME`")
    stop = args.what == "stop"
    said = client.agents() if args.name is None else client.stop_agent(args.name, is_stopped=stop)
    if args.format == "json":
        print(json.dumps(said, indent=1))
        return DONE
    for name, agent in said.items():
        state = "stopped by an operator" if agent["stopped"] else agent["state"]
        traded = f"today {agent['traded_wh'] / 1_000:.3f} kWh, {_money(agent['spent'])} spent"
        print(f"{name:<24} {state:<26} {traded}; {agent['words']}")
    return DONE


def _join(args: argparse.Namespace, client: MarketClient) -> int:
    hand = _hand(args, client)
    terms = hand.terms
    asked: list[tuple[str, Record]] = []
    if terms["status"] in ("", "retired"):
        asked.append((terms["author"], Record("registry.join", bytes.fromhex(terms["join"]))))
    for device in terms["devices"]:
        if not device["is_as_said"]:
            asked.append((device["device"], Record("registry.device", bytes.fromhex(device["manifest"]))))
    if not asked:
        print(f"{terms['author']} is {terms['status']}: nothing to apply for")
        return DONE
    for _, record in asked:
        print(f"signing {fact_of(record)}")
    outcomes = hand.say([record for _, record in asked])
    return _told(zip((what for what, _ in asked), outcomes, strict=True))


def _by_operator(args: argparse.Namespace, client: MarketClient, fact: Fact) -> int:
    hand = _hand(args, client)
    return _told([(args.name, hand.say([record_of(fact)])[0])])


def _approve(args: argparse.Namespace, client: MarketClient) -> int:
    return _by_operator(args, client, Approval(args.name, args.device))


def _suspend(args: argparse.Namespace, client: MarketClient) -> int:
    return _by_operator(
        args, client, StatusChange(args.name, args.device, Status.SUSPENDED, 0, "by the operator")
    )


def _resume(args: argparse.Namespace, client: MarketClient) -> int:
    return _by_operator(
        args, client, StatusChange(args.name, args.device, Status.ACTIVE, 0, "by the operator")
    )


def _bill(args: argparse.Namespace, client: MarketClient) -> int:
    hand = _hand(args, client)
    made = client.bill(args.name)
    period = f"{_iso(made['from_us'])} to {_iso(made['to_us'])}"
    print(f"signing a bill of {_money(made['amount'])} {made['currency']} for {period}")
    outcome = hand.say([Record("billing.bill", bytes.fromhex(made["record"]))])[0]
    return _told([(f"bill of {args.name}", outcome)])


def _order(args: argparse.Namespace, client: MarketClient) -> int:
    hand = _hand(args, client)
    order = _order_of(args, hand)
    client_of = client_id(args.id) if args.id else uuid.uuid4().bytes
    outcome = hand.request(client_of, record_of(order))
    return _told([(f"order {client_of.hex()} for {_iso(order.interval_us)}", outcome)])


def _order_of(args: argparse.Namespace, hand: Hand) -> Order:
    rules = hand.terms["rules"]
    if rules is None:
        raise MarketError("the market has no rules yet")
    interval_us = _time(args.interval) if args.interval != NEXT else int(hand.terms["trades_next_us"])
    return Order(
        venue=Venue.AUCTION if getattr(args, "auction", False) else Venue.CONTINUOUS,
        side=Side.BUY if args.buy is not None else Side.SELL,
        interval_us=interval_us,
        device=args.device,
        wh=args.buy if args.buy is not None else args.sell,
        price=args.price,
        currency=rules["currency"],
        min_fill_wh=getattr(args, "min_fill", 0),
        good_until_us=interval_us if args.good_until is None else _time(args.good_until),
    )


def _find(orders: list[dict[str, Any]], wanted: bytes) -> dict[str, Any]:
    found = next((order for order in orders if order["id"] == wanted.hex()), None)
    if found is None:
        raise MarketError(f"there is no {wanted.hex()} that is open: see `tieline market orders`")
    return found


def _offer(args: argparse.Namespace, client: MarketClient) -> int:
    hand = _hand(args, client)
    order = _order_of(args, hand)
    client_of = client_id(args.id) if args.id else uuid.uuid4().bytes
    offer = Offer(
        args.to,
        order.side,
        order.interval_us,
        order.device,
        order.wh,
        order.price,
        order.currency,
        order.good_until_us,
    )
    return _told([(f"offer {client_of.hex()} to {args.to}", hand.request(client_of, record_of(offer)))])


def _accept(args: argparse.Namespace, client: MarketClient) -> int:
    hand = _hand(args, client)
    wanted = order_id(args.order)
    found = _find(client.orders(hand.key.public)["offers"], wanted)
    print(f"signing that {found['from']}'s offer is taken: {_line(found)}")
    fact = Acceptance(found["from"], wanted, args.device, found["wh"], found["price"])
    # By the offer's own id: asked again, it is accepted once.
    client_of = client_id(f"acceptance {found['from']} {wanted.hex()}")
    outcome = _until_judged(hand, client_of, record_of(fact), found["interval_us"])
    return _told([(f"acceptance of {wanted.hex()}", outcome)])


def _until_judged(hand: Hand, client_of: bytes, record: Record, interval_us: int) -> Judged:
    """The outcome, which another site's answer may have to come before: until then it is good."""
    give_up = time.monotonic() + PENDING_S
    while True:
        validity_us = min(max(interval_us - now_us(), VALIDITY_US), MOST_VALIDITY_US)
        try:
            return hand.request(client_of, record, validity_us)
        except TurnedAway as turned:
            if turned.reason != "pending" or time.monotonic() > give_up:
                raise
        time.sleep(PENDING_PAUSE_S)


def _amend(args: argparse.Namespace, client: MarketClient) -> int:
    hand = _hand(args, client)
    wanted = order_id(args.order)
    found = _find(client.orders(hand.key.public)["orders"], wanted)
    amendment = Amendment(
        wanted,
        found["wh"] if args.kwh is None else args.kwh,
        found["price"] if args.price is None else args.price,
        found["min_fill_wh"] if args.min_fill is None else args.min_fill,
        found["good_until_us"] if args.good_until is None else _time(args.good_until),
    )
    return _told([(f"order {wanted.hex()}", hand.say([record_of(amendment)])[0])])


def _cancel(args: argparse.Namespace, client: MarketClient) -> int:
    hand = _hand(args, client)
    wanted = order_id(args.order)
    return _told([(f"order {wanted.hex()}", hand.say([record_of(Cancellation(wanted))])[0])])


def _orders(args: argparse.Namespace, client: MarketClient) -> int:
    found = client.orders(_hand(args, client).key.public)
    if args.format == "json":
        print(json.dumps(found, indent=1))
        return DONE
    for order in found["orders"]:
        print(_line(order))
    for order in found["offers"]:
        print(f"{_line(order)}: offered to you by {order['from']}")
    print(f"{len(found['orders'])} open orders, {len(found['offers'])} offers to you")
    return DONE


def _line(order: dict[str, Any]) -> str:
    return (
        f"{order['id']} {order['side']} {order['wh'] / 1_000:.3f} kWh of {_iso(order['interval_us'])}"
        f" at {_money(order['price'])}, {order['venue']}, by {order['device']}"
    )


def _time(text: str) -> int:
    return parse_time(text, round(datetime.now(UTC).timestamp() * 1e9), UTC) // 1_000


def _iso(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / MICROS, UTC).isoformat().replace("+00:00", "Z")


def _money(millionths: int) -> str:
    return f"{Decimal(millionths) / MICROS:f}"
