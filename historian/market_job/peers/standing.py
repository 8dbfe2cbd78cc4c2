"""How a site's books and ours stand to each other: what it took, what is settled with it, what is disputed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from historian.ledger.community import Community
from historian.ledger.metering import MICROS
from historian.ledger.neighbours import Agreement, agreement
from historian.ledger.peer_facts import PeerFact, PeerStatement, RoamingRecord
from historian.ledger.pen import client_id
from historian.market_job.peers.work import Heard

WINDOW_US = 7 * 86_400 * MICROS  # of how long ago intervals are compared, told again, counted


@dataclass(frozen=True, slots=True)
class Count:
    """How a site's and our settlements of the last week stand to each other."""

    waiting: int = 0
    disputed: int = 0
    agreed_us: int | None = None
    agreed_wh: int | None = None


def traded_with(community: Community, name: str, now_us: int) -> Iterator[bytes]:
    """Ids of the offers that a site took, of intervals that are not over."""
    rules = community.market.in_force()
    step_us = rules.interval_s * MICROS
    first_us = now_us - now_us % step_us
    # By the calendar: intervals that are over are many.
    for at_us in range(first_us, now_us + rules.horizon_s * MICROS + step_us, step_us):
        interval = community.market.intervals.get(at_us)
        for trade in () if interval is None else interval.trades:
            if trade.buyer is None or trade.seller is None:
                continue
            sides = (trade.buyer, trade.seller)
            if any(author == name for author, _ in sides):
                yield from (client for author, client in sides if author != name)


def _recent(community: Community, name: str, now_us: int) -> Iterator[int]:
    """Intervals settled with a site in the window, the last first."""
    since_us = community.neighbours.since_us(name)
    if since_us is None:
        return
    for at_us in reversed(community.settled):
        if at_us < now_us - WINDOW_US:
            return
        if at_us >= since_us:
            yield at_us


def said_to(community: Community, name: str, heard: Heard, now_us: int) -> Iterator[tuple[bytes, PeerFact]]:
    """Statements of what is settled and roaming sessions that are done, as far as the site has not got them."""
    if heard.stated_us is None or heard.since_us is None:
        return
    for at_us in sorted(_recent(community, name, now_us)):
        version = community.settled[at_us].version
        client = client_id(f"statement {at_us} {version}")
        is_new = at_us >= heard.since_us and (at_us > heard.stated_us or version > 1)
        if is_new and client not in heard.done:
            own = community.settled_with(name, at_us)
            assert own is not None, at_us
            # Told as the site sees itself in our books: its own figures of us are these with the sign turned.
            yield client, PeerStatement(at_us, version, own.traded_wh, own.metered_wh, own.amount)
    for id, session in community.neighbours.opened.items():
        client = client_id(f"roaming {id.hex()}")
        if session.partner == name and session.amount is not None and client not in heard.done:
            yield client, RoamingRecord(id, session.wh, session.amount)


def count_of(community: Community, name: str, heard: Heard, now_us: int) -> Count:
    waiting = disputed = 0
    agreed_us = agreed_wh = None
    for at_us in _recent(community, name, now_us):
        if heard.since_us is not None and at_us < heard.since_us:
            continue  # it had no terms with us yet, and will say nothing of it
        own, terms = community.settled_with(name, at_us), community.neighbours.terms_at(name, at_us)
        assert own is not None, at_us
        assert terms is not None, at_us
        match agreement(own, community.neighbours.statements.get(name, {}).get(at_us), terms):
            case Agreement.WAITING:
                waiting += 1
            case Agreement.DISPUTED:
                disputed += 1
            case Agreement.AGREED if agreed_us is None:
                agreed_us, agreed_wh = at_us, own.metered_wh
    return Count(waiting, disputed, agreed_us, agreed_wh)


def disputes_with(community: Community, name: str, now_us: int) -> Iterator[dict[str, Any]]:
    for at_us in sorted(_recent(community, name, now_us)):
        own, terms = community.settled_with(name, at_us), community.neighbours.terms_at(name, at_us)
        told = community.neighbours.statements.get(name, {}).get(at_us)
        if (
            own is None
            or terms is None
            or told is None
            or agreement(own, told, terms) is not Agreement.DISPUTED
        ):
            continue
        yield {
            "interval_us": at_us,
            "here": [own.traded_wh, own.metered_wh, own.amount],
            "there": [-told.traded_wh, -told.metered_wh, -told.amount],
        }
