"""A link to a site that lies: whatever it answers, the link goes on, and signs for that site's own ledger alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from historian.ledger.entry import decode_statement
from historian.ledger.facts import Side
from historian.ledger.peer_facts import PeerStatement
from historian.market_job import wire
from historian.market_job.client import MarketClient
from historian.market_job.peers.link import Link
from historian.market_job.peers.told import standing_from, terms_from
from historian.market_job.peers.work import Heard, Proposal, Wish, Work
from historian.signing import SigningKey

PATIENCE_S = 30.0
KEY = SigningKey.generate()
LEDGER = bytes(range(32))
RULES = {"currency": "EUR", "interval_s": 900, "gate_lead_s": 60}
DEVICE = {
    "device": "south_in",
    "kind": "source",
    "status": "active",
    "max_export_w": 1,
    "max_import_w": 1,
    "manifest": "00",
    "is_as_said": True,
}
TERMS: dict[str, Any] = {
    "ledger": LEDGER.hex(),
    "number": 7,
    "author": "south",
    "status": "active",
    "join": "00",
    "devices": [DEVICE],
    "rules": RULES,
    "trader": "home",
    "imbalance_price": 300_000,
    "stated_us": 0,
    "since_us": 0,
}
ORDERS: dict[str, Any] = {
    "orders": [{"id": "11" * 16, "venue": "bilateral"}],
    "offers": [{"id": "22" * 16, "from": "home"}],
    "taken": [],
}
WORK = Work(
    KEY,
    LEDGER,
    "EUR",
    900,
    60,
    300_000,
    (Proposal(b"p" * 16, Side.SELL, 0, 1, 1, 1),),
    frozenset(),
    (Wish(bytes.fromhex("22" * 16), Side.BUY, 1, 1, 1 << 60),),
    ((b"s" * 16, PeerStatement(0, 1, 0, 0, 0)),),
)

KEYS = st.sampled_from([*TERMS, *DEVICE, *RULES, *ORDERS, "id", "venue", "from"])
SIMPLE = st.sampled_from([None, True, 0, -1, 1 << 70, 0.5, "", "ff", "ff" * 16, "ü"])
ANYTHING = SIMPLE | st.lists(SIMPLE | st.dictionaries(KEYS, SIMPLE, max_size=3), max_size=2)


class Liar(MarketClient):
    """Another site's market, as far as the wire: it says what it was told to say."""

    def __init__(self, terms: Any, orders: Any, outcome: dict[str, Any] | None = None) -> None:
        super().__init__(Path("liar"))
        self.terms_said, self.orders_said = terms, orders
        self.outcome = outcome or {"sequence": 1, "hash": "", "placed_at_us": 0, "reason": "", "why": ""}
        self.signed: list[Any] = []
        self.rounds = 0

    def _ask(self, request: wire.Request) -> Any:
        match request:
            case wire.Submit(_, bundle):
                self.signed += map(decode_statement, bundle.statements)
                outcomes = [wire.Judged(**self.outcome) for _ in bundle.statements]
                return wire.Placed("1", tuple(outcomes))
            case wire.AskTerms():
                self.rounds += 1
                return wire.Told("1", self.terms_said)
            case _:
                return wire.Told("1", self.orders_said)


@contextmanager
def linked(liar: MarketClient, work: Work = WORK) -> Iterator[Link]:
    """A link at work; it ends when it is told to, whatever it heard."""
    link, stop = Link("liar", lambda: liar, every_s=0.001, pause_s=0.001), threading.Event()
    link.give(work)
    thread = threading.Thread(target=link.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield link
        assert thread.is_alive(), "a link ends by its own stop alone"
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def until(link: Link, is_so: Any) -> Heard:
    give_up = time.monotonic() + PATIENCE_S
    heard = link.heard()
    takes = heard.takes
    while not is_so(heard):
        assert time.monotonic() < give_up, heard
        time.sleep(0.001)
        heard = link.heard()
        takes |= heard.takes
    heard.takes = takes
    return heard


@given(st.dictionaries(KEYS, ANYTHING), st.data())
def test_whatever_is_answered_is_a_value_or_a_value_error(said: dict[str, Any], data: st.DataObject) -> None:
    for read, good in ((terms_from, TERMS), (standing_from, ORDERS)):
        name = data.draw(st.sampled_from(list(good)))
        for lie in (said, good | {name: data.draw(ANYTHING)}):
            try:
                read(lie)
            except ValueError:
                continue


def test_a_link_says_all_of_its_work_once() -> None:
    with linked(liar := Liar(TERMS, ORDERS)) as link:
        heard = until(link, lambda heard: heard.state == "connected" and liar.rounds > 3)
    said = [statement.body.topic for statement in liar.signed]
    assert said[:3] == ["peer.statement", "market.acceptance", "market.cancellation"], (
        "what is not ours is ended"
    )
    assert said.count("market.offer") == said.count("peer.statement") == 1
    assert heard.takes == {bytes.fromhex("22" * 16): ""}


def test_a_site_that_lies_ends_the_round_and_not_the_link() -> None:
    for terms, orders in (
        (TERMS | {"trader": 5}, ORDERS),
        (TERMS | {"number": 1 << 70}, ORDERS),
        (TERMS | {"devices": [DEVICE | {"device": None}]}, ORDERS),
        (TERMS | {"rules": "EUR"}, ORDERS),
        (TERMS | {"ledger": "00"}, ORDERS),
        (TERMS, {"orders": 1}),
        (TERMS, ORDERS | {"offers": [{"id": "22" * 16, "from": "not a name"}]}),
        (TERMS, ORDERS | {"taken": [None]}),
    ):
        with linked(Liar(terms, orders)) as link:
            assert not until(link, lambda heard: heard.state != "not connected yet").is_up


def test_nothing_is_signed_for_a_ledger_that_was_not_noted_as_the_sites_own() -> None:
    """Else it could name ours, or a third site's, and hand in there what we signed."""
    for work, said in (
        (WORK, "and was"),
        (replace(WORK, ledger=None), "not noted"),
    ):
        liar = Liar(TERMS | {"ledger": "ee" * 32}, ORDERS)
        with linked(liar, work) as link:
            heard = until(link, lambda heard, said=said: said in heard.state)
        assert heard.ledger == b"\xee" * 32
        assert not liar.signed


def test_what_the_other_ledger_did_not_place_is_said_again() -> None:
    """Its clock, or a number that something overtook: nothing of it is on the record there."""
    refused = {"sequence": None, "hash": "", "placed_at_us": 0, "reason": "reordered", "why": "7 after 8"}
    liar = Liar(TERMS, ORDERS, refused)
    with linked(liar) as link:
        heard = until(link, lambda heard: "7 after 8" in heard.state and liar.rounds > 2)
        assert not heard.done
        assert not heard.takes
        liar.outcome = {**refused, "sequence": 1, "reason": ""}
        heard = until(link, lambda heard: heard.state == "connected" and heard.done)
        assert heard.takes == {bytes.fromhex("22" * 16): ""}
    assert {"peer.statement", "market.acceptance", "market.offer"} <= {
        statement.body.topic for statement in liar.signed
    }


def test_a_ledger_that_was_brought_back_from_a_backup_is_told_again() -> None:
    liar = Liar(TERMS | {"stated_us": 900}, ORDERS)
    with linked(liar) as link:
        assert until(link, lambda heard: heard.state == "connected").done
        liar.terms_said = TERMS
        before = len(liar.signed)
        until(link, lambda heard: heard.stated_us == 0 and liar.rounds > 2)
        until(link, lambda heard: bool(heard.done))
    assert "peer.statement" in {statement.body.topic for statement in liar.signed[before:]}


def test_an_acceptance_is_not_said_when_the_gate_is_near() -> None:
    near = Wish(WORK.wishes[0].id, Side.BUY, 1, 1, 1)
    liar = Liar(TERMS, ORDERS)
    with linked(liar, replace(WORK, wishes=(near,))) as link:
        heard = until(link, lambda heard: heard.takes)
    assert "gate" in heard.takes[near.id]
    assert "market.acceptance" not in {statement.body.topic for statement in liar.signed}
