"""The `market` section of a site file: who trades what, and by what rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.config.calculated_section import check_area
from gateway.config.demand_response import DemandResponseSettings
from gateway.config.dispatch import DispatchSettings
from gateway.config.fault import FaultLog, Place, quote
from gateway.config.kinds import Reading, Settings
from gateway.config.market import (
    MarketAnchor,
    MarketDunning,
    MarketFeed,
    MarketListen,
    MarketMember,
    MarketPeer,
    MarketReward,
    MarketSettings,
    MemberKind,
    RewardedKind,
)
from gateway.config.market_agents_section import read_agents
from gateway.config.market_members_section import MarketMembers, read_feeders
from gateway.config.market_prices_section import read_feeds, read_price, read_tariffs
from gateway.config.market_reading import DAY_S, MarketReading, micro
from gateway.config.market_tags import DeclaringMarket
from gateway.config.site import Tag
from gateway.config.site_keys.market.agents import MARKET_AGENTS
from gateway.config.site_keys.market.links import MARKET_PEERS

_DAY_MIN = 1_440
_GWEI = 10**9


@dataclass(frozen=True, slots=True)
class DeclaredMarket:
    """The section, without what goes by tags that come after its own: its agents. ``market`` None: it has faults."""

    settings: Settings
    market: MarketSettings | None
    members: tuple[MarketMember, ...]
    feeds: tuple[MarketFeed, ...]


def finish_market(
    declared: DeclaredMarket | None,
    tags: Sequence[Tag],
    forecasts: Collection[str],
    dispatch: DispatchSettings | None,
    demand_response: DemandResponseSettings | None,
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> MarketSettings | None:
    """The whole section, when all tags are known; of no use where faults were added."""
    if declared is None:
        return None
    with faults.within("market"):
        s = declared.settings
        agents = read_agents(
            s, declared.members, declared.feeds, forecasts, dispatch, tags, faults, is_unsure=is_unsure
        )
        _check_events(declared, demand_response, faults, is_unsure=is_unsure)
    return None if declared.market is None else replace(declared.market, agents=agents)


def _check_events(
    declared: DeclaredMarket,
    demand_response: DemandResponseSettings | None,
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> None:
    """Whether what is rewarded in events can ever be earned."""
    s = declared.settings["rewards"]
    if not isinstance(s, Settings) or is_unsure:
        return
    kinds = [
        kind.value
        for kind in RewardedKind
        if kind is not RewardedKind.RENEWABLE and s[kind.value] is not None
    ]
    if not kinds:
        return
    if demand_response is None:
        found = f"a reward for {quote(kinds[0])} without events"
        faults.add(s.at(kinds[0]), found, "add the site's 'demand_response', which calls them")
    elif not {each.name for each in demand_response.participants} & {each.name for each in declared.members}:
        found = f"a reward for {quote(kinds[0])} that nobody can earn"
        faults.add(s.at(kinds[0]), found, "name participants here as in 'demand_response'")


def read_market(
    settings: Settings | None,
    tags: list[Tag],
    areas: Mapping[str, Place],
    forecasts: Collection[str],
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> DeclaredMarket | None:
    """The section, whose tags are added to ``tags``, so that the logic may take them."""
    if settings is None:
        return None
    before = len(faults)
    with faults.within("market"):
        check_area(settings, areas, faults)
        reading = MarketReading(settings, tags, faults, is_unsure)
        price = read_price(reading)
        feeders = dict(read_feeders(reading))
        tariffs = dict(read_tariffs(reading))
        members = tuple(MarketMembers(reading, feeders, tariffs, forecasts).read())
        anchor = _anchor(reading)
        dunning = _dunning(reading)
        rewards = tuple(_rewards(reading))
        listen, peers = _listen(reading), tuple(_peers(reading, members))
        _check(reading)
        feeds = tuple(read_feeds(reading, tariffs))
        agents = _agent_names(reading)
        declaring = DeclaringMarket(settings, tags, faults)
        own, member_tags = declaring.market([member.name for member in members])
        feed_tags = declaring.feeds([feed.name for feed in feeds])
        agent_tags = declaring.agents(agents)
        peer_tags = declaring.peers([peer.name for peer in peers])
    s = settings
    if len(faults) > before or price is None:
        return DeclaredMarket(s, None, members, feeds)
    market = MarketSettings(
        ledger=s["ledger"],
        operator=s["operator"],
        key=s["key"],
        currency=s["currency"],
        interval_s=s["interval_s"] or s["interval_min"] * 60,
        gate_lead_s=s["gate_lead_min"] * 60 if s["gate_lead_s"] is None else s["gate_lead_s"],
        horizon_s=s["horizon_h"] * 3_600,
        price_low=micro(s["price_low_per_kwh"]),
        price_high=micro(s["price_high_per_kwh"]),
        max_order_wh=round(s["order_max_kwh"] * 1_000),
        proven_share=micro(s["proven_share"]),
        proven_after=s["proven_after"],
        cover=micro(s["cover_per_kwh"]),
        community_fee=micro(s["community_fee_per_kwh"]),
        grid_fee=micro(s["grid_fee_per_kwh"]),
        loss_share=micro(s["loss_share"]),
        short_share=micro(s["short_share"]),
        long_share=micro(s["long_share"]),
        pay_as_bid=s["pay_as_bid"],
        settle_delay_s=s["settle_delay_min"] * 60,
        correct_s=s["correct_h"] * 3_600,
        bill=s["bill"],
        price=price,
        feeders=tuple(each for each in feeders.values() if each is not None),
        members=members,
        tariffs=tuple(each for each in tariffs.values() if each is not None),
        tags=own,
        member_tags=member_tags,
        feeds=feeds,
        feed_tags=feed_tags,
        anchor=anchor,
        dunning=dunning,
        agent_tags=agent_tags,
        listen=listen,
        peers=peers,
        peer_tags=peer_tags,
        rewards=rewards,
    )
    return DeclaredMarket(s, market, members, feeds)


def _check(reading: MarketReading) -> None:
    """What keys say together."""
    s, faults = reading.settings, reading.faults
    if s.is_sound("interval_min") and _DAY_MIN % s["interval_min"]:
        faults.add(
            s.at("interval_min"),
            f"'interval_min' is {s['interval_min']}",
            "write a divisor of 1440: 5, 15, 60",
        )
    if s["interval_s"] and DAY_S % s["interval_s"]:
        faults.add(
            s.at("interval_s"),
            f"'interval_s' is {s['interval_s']}",
            "write a divisor of 86400: 5, 10, 60, 900",
        )
    for seconds, minutes in (("interval_s", "interval_min"), ("gate_lead_s", "gate_lead_min")):
        if seconds in s and minutes in s:
            faults.add(s.key_at(seconds), f"both {quote(seconds)} and {quote(minutes)}", "remove one of them")
    is_sound = s.is_sound("interval_min", "interval_s", "horizon_h")
    if is_sound and s["horizon_h"] * 3_600 < (s["interval_s"] or s["interval_min"] * 60):
        faults.add(s.at("horizon_h"), "a horizon of less than an interval", "look further ahead")
    low, high = "price_low_per_kwh", "price_high_per_kwh"
    if s.is_sound(low, high) and s[low] > s[high]:
        faults.add(
            s.at(low if low in s else high),
            f"{quote(low)} {s[low]:g} is above {quote(high)} {s[high]:g}",
            "write the lower one there",
        )


def _anchor(reading: MarketReading) -> MarketAnchor | None:
    """The chain that keeps the ledger's roots."""
    s = reading.settings["anchor"]
    if not isinstance(s, Settings) or not s.is_sound(
        "url", "contract", "key", "confirmations", "most_fee_gwei"
    ):
        return None
    fee = round(s["most_fee_gwei"] * _GWEI)
    return MarketAnchor(s["url"], s["contract"], s["key"], s["confirmations"], fee)


def _dunning(reading: MarketReading) -> MarketDunning | None:
    """What is done about bills that are not paid."""
    s = reading.settings["dunning"]
    keys = (
        *("due_days", "warn_after_days", "collect_after_days"),
        *("reminder_fee", "warning_fee", "least_amount"),
    )
    if not isinstance(s, Settings) or not s.is_sound(*keys):
        return None
    return MarketDunning(
        *(s[key] * DAY_S for key in keys[:3]),
        *(micro(s[key]) for key in keys[3:]),
    )


def _rewards(reading: MarketReading) -> Iterator[MarketReward]:
    """What earns points."""
    s = reading.settings["rewards"]
    if not isinstance(s, Settings):
        return
    for kind in RewardedKind:
        each = s[kind.value]
        if isinstance(each, Settings) and each.is_sound(
            *("points", "most_each", "most_in_period", "period_days", "valid_days", "most_adjustment")
        ):
            yield MarketReward(
                kind=kind,
                points=each["points"],
                most_each=each["most_each"],
                most_in_period=each["most_in_period"],
                period_s=each["period_days"] * DAY_S,
                valid_s=each["valid_days"] * DAY_S,
                most_adjustment=micro(each["most_adjustment"]),
            )


def _agent_names(reading: MarketReading) -> list[str]:
    """All else of them is read when all tags are known."""
    node = reading.settings["agents"]
    if node is None:
        return []
    return [key.text for key, _ in MARKET_AGENTS.entries(node, "agents", Reading(reading.faults))]


def _listen(reading: MarketReading) -> MarketListen | None:
    """Where other sites reach this one."""
    s = reading.settings["listen"]
    if not isinstance(s, Settings) or not s.is_sound("host", "port", "certificate", "key"):
        return None
    return MarketListen(s["host"], s["port"], s["certificate"], s["key"])


def _peers(reading: MarketReading, members: Sequence[MarketMember]) -> Iterator[MarketPeer]:
    """Other sites: each a participant with a key of its own."""
    if reading.settings["peers"] is not None and reading.settings["listen"] is None:
        reading.faults.add(
            reading.settings.at("peers"), "'peers' without 'listen'", "say where they reach this site"
        )
    by_name = {member.name: member for member in members}
    for key, s in reading.entries(reading.settings, "peers", MARKET_PEERS):
        member = by_name.get(key.text)
        if member is None or member.kind is not MemberKind.MICROGRID or not member.public_key:
            reading.faults.add(
                key.place,
                f"{quote(key.text)} is no participant of kind microgrid with a public key",
                "add it under 'participants', with the public key of its site's market",
            )
            continue
        if not any(meter.is_main for meter in member.meters):
            reading.faults.add(
                key.place, f"{quote(key.text)} has no meter", "name the meter of the tie there"
            )
        trader = by_name.get(s["trader"]) if s["trader"] is not None else None
        if s["trader"] is not None:
            reading.known(s, "trader", {name: None for name in by_name if name != key.text}, "participant")
        if s.is_sound("host", "port", "certificate", "imbalance_price_per_kwh", "tolerance_kwh"):
            yield MarketPeer(
                name=key.text,
                host=s["host"],
                port=s["port"],
                certificate=s["certificate"],
                public_key=bytes.fromhex(member.public_key),
                trader=trader.name if trader is not None else "",
                imbalance_price=micro(s["imbalance_price_per_kwh"]),
                tolerance_wh=round(s["tolerance_kwh"] * 1_000),
            )
