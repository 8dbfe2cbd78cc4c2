"""What the market's tags say, out of its office; None is Bad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from gateway.config.market import MarketSettings, MarketStatus, MarketTags
from gateway.config.market_agents import AgentState
from gateway.config.market_tags import TEXT_BYTES
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType
from historian.ledger.facts import Price, Side
from historian.ledger.market.exchange import Interval, Position
from historian.ledger.market.price import ONE
from historian.ledger.metering import HOUR_S, MICROS
from historian.market_job.agents.traders import Doing
from historian.market_job.office import Office
from historian.market_job.peers.peering import Peering
from historian.market_job.pricing import NoPrice
from historian.market_job.quotes import FeedQuotes, NoQuote, Quotes

WHOLE = frozenset({"status", "orders", "refused", "ledger_entries", "interval"})
_MONEY, _KILO = 1e6, 1e3


@dataclass(frozen=True, slots=True)
class Said:
    """A tag's value; None is Bad, whatever the quality."""

    value: float | int | str | None
    quality: Quality = Quality.GOOD


def types_of(settings: MarketSettings) -> dict[int, ValueType]:
    """Of all tags of the market."""
    found = {each: ValueType.DOUBLE for tags in settings.member_tags for each in _places(tags)}
    for feed in settings.feed_tags:
        found |= {feed.import_price: ValueType.DOUBLE, feed.export_price: ValueType.DOUBLE}
        found[feed.state] = ValueType.STRING
    for agent in settings.agent_tags:
        found |= {agent.state: ValueType.UINT64, agent.words: ValueType.STRING}
        found |= {agent.traded_kwh: ValueType.DOUBLE, agent.spent: ValueType.DOUBLE}
        found |= {agent.committed_kw: ValueType.DOUBLE, agent.next_committed_kw: ValueType.DOUBLE}
    for peer in settings.peer_tags:
        found |= {peer.link: ValueType.BOOL, peer.waiting: ValueType.UINT64, peer.disputed: ValueType.UINT64}
        found |= {peer.agreed_kwh: ValueType.DOUBLE, peer.state: ValueType.STRING}
    for field in fields(MarketTags):
        text = field.name in ("ledger_head", "last_error")
        type = ValueType.STRING if text else ValueType.UINT64 if field.name in WHOLE else ValueType.DOUBLE
        found[getattr(settings.tags, field.name)] = type
    return found


def told(
    settings: MarketSettings,
    office: Office | None,
    status: MarketStatus,
    refused: int,
    error: str,
    now_us: int,
) -> dict[int, Said]:
    """All tags. Without an office, or while nothing is traded, positions and prices are Bad."""
    tags = settings.tags
    said = dict.fromkeys(types_of(settings), Said(None))
    said[tags.status] = Said(status.value)
    said[tags.refused] = Said(refused)
    said[tags.last_error] = Said(_cut(error))
    if office is None:
        return said
    head = office.desk.book.state.head
    said[tags.ledger_entries] = Said(head.sequence + 1)
    said[tags.ledger_head] = Said(f"{head.sequence}:{head.hash.hex()}")
    said |= _accounts(settings, office)
    interval_us = settings.interval_s * MICROS
    now_at_us = now_us - now_us % interval_us
    said[tags.interval] = Said(now_at_us // MICROS)
    if status is not MarketStatus.OPEN:
        return said
    market = office.desk.community.market
    next_us = now_at_us + interval_us
    said |= _interval(
        settings, market.intervals.get(now_at_us), market.prices.get(now_at_us), Quality.GOOD, ""
    )
    price: Price | NoPrice | None = market.prices.get(next_us)
    quality = Quality.GOOD
    if price is None:
        price, quality = office.price_now(next_us), Quality.UNCERTAIN_DATA_SUB_NORMAL
    known = None if isinstance(price, NoPrice) else price
    said |= _interval(settings, market.intervals.get(next_us), known, quality, "next_")
    said[tags.orders] = Said(len(market.orders))
    traded = market.intervals.get(office.gate_us)
    if traded is not None:
        for side, tag in ((Side.BUY, tags.best_buy), (Side.SELL, tags.best_sell)):
            best = traded.book.halves[side].best()
            said[tag] = Said(None if best is None else best / _MONEY)
    return said


def told_feeds(settings: MarketSettings, quotes: Mapping[str, Quotes], now_us: int) -> dict[int, Said]:
    """What is known of prices from outside, as of now; they are told whether or not the market trades."""
    said: dict[int, Said] = {}
    for feed, tags in zip(settings.feeds, settings.feed_tags, strict=True):
        made = quotes[feed.name]
        quote = made.quote(now_us, now_us)
        if isinstance(quote, NoQuote):
            said |= {tags.import_price: Said(None), tags.export_price: Said(None)}
            said[tags.state] = Said(_cut(quote.why))
            continue
        said[tags.import_price] = Said(quote.import_price / _MONEY)
        said[tags.export_price] = Said(quote.export_price / _MONEY)
        trouble = made.trouble if isinstance(made, FeedQuotes) else ""
        said[tags.state] = Said(_cut(trouble or "used"))
    return said


def told_agents(settings: MarketSettings, doing: Mapping[str, Doing]) -> dict[int, Said]:
    """How each agent is."""
    said: dict[int, Said] = {}
    for agent, tags in zip(settings.agents, settings.agent_tags, strict=True):
        each = doing[agent.name]
        said[tags.state] = Said(each.state.value)
        said[tags.words] = Said(_cut(each.words))
        is_known = each.state is not AgentState.NOT_TRADING
        said[tags.traded_kwh] = Said(each.used.wh / _KILO if is_known else None)
        said[tags.spent] = Said(each.used.spent / _MONEY if is_known else None)
    return said


def told_commitments(settings: MarketSettings, office: Office | None, now_us: int) -> dict[int, Said]:
    """What each agent's devices are to give by their trades, as the power of the whole interval.

    Bad before the gate, when it may still change, and where nothing is traded: nothing is promised then.
    """
    said: dict[int, Said] = {}
    interval_us = settings.interval_s * MICROS
    now_at_us = now_us - now_us % interval_us
    for agent, tags in zip(settings.agents, settings.agent_tags, strict=True):
        for at_us, tag in ((now_at_us, tags.committed_kw), (now_at_us + interval_us, tags.next_committed_kw)):
            interval = None if office is None else office.desk.community.market.intervals.get(at_us)
            if office is None or interval is None or not interval.is_gated:
                said[tag] = Said(None)
                continue
            limits = office.desk.community.limits
            sold_wh, bought_wh = (
                sum(limits.promised(device, side, at_us) for device in agent.devices)
                for side in (Side.SELL, Side.BUY)
            )
            given_kw = (sold_wh - bought_wh) * HOUR_S / settings.interval_s / _KILO
            said[tag] = Said(given_kw if sold_wh or bought_wh else None)
    return said


def told_peers(settings: MarketSettings, peering: Peering) -> dict[int, Said]:
    """How the links to other sites are."""
    said: dict[int, Said] = {}
    for peer, tags in zip(settings.peers, settings.peer_tags, strict=True):
        heard, count = peering.heard[peer.name], peering.counts[peer.name]
        said |= {tags.link: Said(int(heard.is_up)), tags.state: Said(_cut(heard.state))}
        said |= {tags.waiting: Said(count.waiting), tags.disputed: Said(count.disputed)}
        said[tags.agreed_kwh] = Said(None if count.agreed_wh is None else count.agreed_wh / _KILO)
    return said


def _accounts(settings: MarketSettings, office: Office) -> dict[int, Said]:
    community = office.desk.community
    said = {}
    for member, tags in zip(settings.members, settings.member_tags, strict=True):
        if member.name in community.registry.participants:
            said[tags.deposit] = Said(community.market.available(member.name) / _MONEY)
            said[tags.owed] = Said(community.billing.owed(member.name) / _MONEY)
    return said


def _interval(
    settings: MarketSettings, interval: Interval | None, price: Price | None, quality: Quality, prefix: str
) -> dict[int, Said]:
    def at(name: str) -> int:
        place: int = getattr(settings.tags, prefix + name)
        return place

    said: dict[int, Said] = {}
    if price is not None:
        short, long = settings.short_share / ONE, settings.long_share / ONE
        said[at("price")] = Said(price.price / _MONEY, quality)
        said[at("price_buy")] = Said(price.price * short / _MONEY, quality)
        said[at("price_sell")] = Said(price.price * long / _MONEY, quality)
    clearing = None if interval is None else interval.clearing
    if clearing is not None and clearing.price is not None:
        said[at("cleared_price")] = Said(clearing.price / _MONEY)
    positions = {} if interval is None else interval.positions
    volume_wh = sum(position.bought_wh for position in positions.values())
    said[at("volume_kwh")] = Said(volume_wh / _KILO)
    for member, tags in zip(settings.members, settings.member_tags, strict=True):
        place: int = getattr(tags, f"{prefix}pos_kwh")
        said[place] = Said(positions.get(member.name, Position()).net_export_wh / _KILO)
    return said


def _places(tags: object) -> list[int]:
    return [getattr(tags, name) for name in tags.__dataclass_fields__]  # type: ignore[attr-defined]  # of one


def _cut(text: str) -> str:
    """As long as the tag bears, in bytes."""
    raw = text.encode()
    return text if len(raw) <= TEXT_BYTES else raw[: TEXT_BYTES - 3].decode(errors="ignore") + "..."
