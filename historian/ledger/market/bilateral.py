"""Trades between two who agreed: an offer signed by one, an acceptance of the same terms by the other.

Both are judged as orders are: meters, collar, device, storage, session, feeder, deposit. What is offered is promised
and reserved until it is accepted, cancelled, or over.
"""

from __future__ import annotations

from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import Acceptance, Offer, Order, Side, Venue
from historian.ledger.market.book import OpenOrder
from historian.ledger.market.exchange import Exchange, Trade


def offer(market: Exchange, author: str, client: bytes, fact: Offer, entry: int, now_us: int) -> None:
    """An offer to one other; ``Refused`` where an order of it would be."""
    if fact.counterparty == author:
        raise Refused(Reason.CONFLICT, f"{author} would trade with itself")
    market.trader(fact.counterparty)
    order = Order(
        Venue.BILATERAL,
        fact.side,
        fact.interval_us,
        fact.device,
        fact.wh,
        fact.price,
        fact.currency,
        fact.wh,
        fact.good_until_us,
    )
    market.enter(market.judged(author, client, order, entry, now_us), entry, now_us)
    market.partners[author, client] = fact.counterparty


def _taking(market: Exchange, author: str, fact: Acceptance) -> tuple[Order, OpenOrder]:
    """The order that meets an offer, and the offer."""
    offered = market.orders.get((fact.offerer, fact.offer))
    if offered is None or market.partners.get((fact.offerer, fact.offer)) != author:
        raise Refused(Reason.UNKNOWN, f"{fact.offerer} has no open offer {fact.offer.hex()} to {author}")
    if (fact.wh, fact.price) != (offered.open_wh, offered.price):
        raise Refused(
            Reason.CONFLICT,
            f"offered are {offered.open_wh} Wh at {offered.price}, not {fact.wh} Wh at {fact.price}",
        )
    market.trader(fact.offerer)
    order = Order(
        Venue.BILATERAL,
        Side.SELL if offered.side is Side.BUY else Side.BUY,
        offered.interval_us,
        fact.device,
        fact.wh,
        fact.price,
        market.in_force().currency,
        fact.wh,
        offered.good_until_us,
    )
    return order, offered


def accept(
    market: Exchange, author: str, client: bytes, fact: Acceptance, entry: int, now_us: int
) -> list[Trade]:
    """The trade of an offer; whoever accepts says what it accepts."""
    order, offered = _taking(market, author, fact)
    taking = market.judged(author, client, order, entry, now_us)
    market.enter(taking, entry, now_us)
    return [market.trade(taking, offered, fact.wh, entry, now_us)]


def check_acceptance(market: Exchange, author: str, fact: Acceptance, now_us: int) -> OpenOrder:
    """The offer, where an acceptance of it would count now; nothing is changed. ``Refused`` otherwise."""
    order, offered = _taking(market, author, fact)
    judged = market.judged(author, bytes(16), order, 0, now_us)
    # What is judged is promised; this was a question.
    market.limits.promise(
        author, judged.device, judged.feeder, judged.side, judged.interval_us, -judged.open_wh
    )
    return offered
