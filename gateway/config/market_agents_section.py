"""The agents of the `market` section of a site file: who they trade for, by what, and their tags."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields

from gateway.config.dispatch import (
    DispatchSettings,
    PlannedBattery,
    PlannedLoad,
    PlannedRenewable,
    PlannedTie,
)
from gateway.config.document import ScalarNode
from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.kinds import Reading, Settings
from gateway.config.market import MarketDevice, MarketFeed, MarketMember, TradedKind
from gateway.config.market_agents import (
    AgentKind,
    AgentLimits,
    AgentState,
    AgentTags,
    Arbitrage,
    ByPlan,
    MarketAgent,
    Prosumer,
    TradedAsset,
)
from gateway.config.site import Tag
from gateway.config.site_keys.market.agents import MARKET_AGENTS
from gateway.tags.tag import ValueType

MICRO = 1_000_000
# name, type, unit, decimals, description; "money" is the currency
AGENT_TAGS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("state", ValueType.UINT64, None, None, "whether it bids, or why not"),
    ("words", ValueType.STRING, None, None, "its last bid, or what keeps it from bidding"),
    ("traded_kwh", ValueType.DOUBLE, "kWh", 3, "what it has open and traded of today's intervals"),
    ("spent", ValueType.DOUBLE, None, 2, "what it pays for its purchases of today's intervals, {money}"),
    (
        "committed_kw",
        ValueType.DOUBLE,
        "kW",
        3,
        "what its devices are to give now by their trades; negative: take",
    ),
    (
        "next_committed_kw",
        ValueType.DOUBLE,
        "kW",
        3,
        "the same of the next interval, once its gate is closed",
    ),
)
assert [name for name, *_ in AGENT_TAGS] == [field.name for field in fields(AgentTags)]
_BID = (PlannedTie, PlannedBattery, PlannedLoad, PlannedRenewable)
# What the plan of an asset is of, and by which of an agent's devices it can be traded.
_TRADED_BY: Mapping[type[object], tuple[str, tuple[str, ...]]] = {
    PlannedTie: ("a tie", ("source", "consumer")),
    PlannedBattery: ("a battery", ("storage",)),
    PlannedLoad: ("a load", ("consumer",)),
    PlannedRenewable: ("a renewable", ("source",)),
}
_TRADED_TOGETHER = ("several assets", ("source", "consumer"))
AGENT_STATES = {state.value: state.text for state in AgentState}
_ONLY: Mapping[AgentKind, tuple[str, ...]] = {
    AgentKind.PROSUMER: (
        "production_share",
        "consumption_share",
        "quantile",
        "max_age_min",
        "edge",
        "quotes",
    ),
    AgentKind.ARBITRAGE: (
        "storage",
        "efficiency",
        "wear_per_kwh",
        "profit_per_kwh",
        "level_pct",
        "look_ahead_h",
    ),
    AgentKind.PLAN: ("asset", "assets", "followed", "max_age_min", "edge", "quotes"),
}


def read_agents(
    s: Settings,
    members: Sequence[MarketMember],
    feeds: Sequence[MarketFeed],
    forecasts: Collection[str],
    dispatch: DispatchSettings | None,
    tags: Sequence[Tag],
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> tuple[MarketAgent, ...]:
    """Those without a fault. ``tags`` are all of the site, those of its logic too."""
    return tuple(_Agents(s, members, feeds, forecasts, dispatch, tags, faults, is_unsure).read())


class _Agents:
    def __init__(
        self,
        s: Settings,
        members: Sequence[MarketMember],
        feeds: Sequence[MarketFeed],
        forecasts: Collection[str],
        dispatch: DispatchSettings | None,
        tags: Sequence[Tag],
        faults: FaultLog,
        is_unsure: bool,
    ) -> None:
        self._s = s
        self._members = {member.name: member for member in members}
        self._feeds = dict.fromkeys(feed.name for feed in feeds)
        self._forecasts = dict.fromkeys(forecasts)
        self._dispatch = dispatch
        self._tags = tags
        self._index = {tag.name: place for place, tag in enumerate(tags) if tag.name}
        self._faults = faults
        self._is_unsure = is_unsure
        self._taken: dict[str, str] = {}  # devices: whose

    def read(self) -> Iterator[MarketAgent]:
        """Each that is sound."""
        if self._s["agents"] is None:
            return
        reading = Reading(self._faults)
        for key, item in MARKET_AGENTS.entries(self._s["agents"], "agents", reading):
            each = MARKET_AGENTS.value.read(item, key.text, reading)
            if isinstance(each, Settings) and (agent := self._agent(key, each)) is not None:
                yield agent

    def _agent(self, key: ScalarNode, s: Settings) -> MarketAgent | None:
        before = len(self._faults)
        member = self._member(s)
        enable = self._bool(s, "enable")
        limits = self._limits(s)
        kind = s["kind"]
        if kind is None:
            return None
        by: Prosumer | Arbitrage | ByPlan | None
        match kind:
            case AgentKind.PROSUMER:
                by = self._prosumer(key, s, member)
            case AgentKind.ARBITRAGE:
                by = self._arbitrage(key, s, member)
            case _:
                by = self._by_plan(key, s, member)
        sound = s.is_sound("member", "venue", "lead_min", *_ONLY[kind])
        if not sound or by is None or limits is None or member is None or len(self._faults) > before:
            return None
        return MarketAgent(
            key.text, member.name, s["venue"] == "auction", round(s["lead_min"] * 60), enable, limits, by
        )

    def _member(self, s: Settings) -> MarketMember | None:
        name: str | None = s["member"]
        self._known(s, "member", self._members, "participant")
        member = self._members.get(name or "")
        if member is not None and not member.key:
            found = f"{quote(member.name)} signs for itself"
            self._faults.add(s.at("member"), found, "name a participant whose 'key' the site holds")
            return None
        return member

    def _bool(self, s: Settings, key: str) -> int | None:
        self._known(s, key, self._index, "tag", "see `tieline tags`")
        place = self._index.get(s[key] or "")
        if place is not None and self._tags[place].type is not ValueType.BOOL:
            self._faults.add(s.at(key), f"{quote(s[key])} is no bool", "name a tag that is true or false")
        return place

    def _limits(self, s: Settings) -> AgentLimits | None:
        limits = s["limits"]
        names = ("order_kwh", "kwh_a_day", "spend_a_day", "price_low", "price_high")
        if not isinstance(limits, Settings) or not limits.is_sound(*names):
            return None
        low, high = limits["price_low"], limits["price_high"]
        if low > high:
            found = f"'price_low' {low:g} is above 'price_high' {high:g}"
            self._faults.add(limits.at("price_low"), found, "write the lower one there")
        return AgentLimits(
            round(limits["order_kwh"] * 1_000),
            round(limits["kwh_a_day"] * 1_000),
            round(limits["spend_a_day"] * MICRO),
            round(low * MICRO),
            round(high * MICRO),
        )

    def _prosumer(self, key: ScalarNode, s: Settings, member: MarketMember | None) -> Prosumer | None:
        self._quotes(key, s)
        for which in ("production", "consumption"):
            self._known(s, which, self._forecasts, "forecast")
        if s["source"] is None and s["consumer"] is None:
            found = f"{quote(key.text)} with neither 'source' nor 'consumer'"
            self._faults.add(s.place, found, "name the device that it sells from, or buys for")
        for device, forecast in (("source", "production"), ("consumer", "consumption")):
            if s[device] is not None and s[forecast] is None and forecast not in s:
                found = f"{quote(key.text)} with {quote(device)} and without {quote(forecast)}"
                self._faults.add(s.at(device), found, "name the forecast of it")
        self._device(key, s, "source", member, TradedKind.SOURCE)
        self._device(key, s, "consumer", member, TradedKind.CONSUMER)
        if not s.is_sound(*_ONLY[AgentKind.PROSUMER]) or s["quotes"] is None:
            return None
        return Prosumer(
            source=s["source"],
            consumer=s["consumer"],
            production=s["production"],
            consumption=s["consumption"],
            production_share=s["production_share"],
            consumption_share=s["consumption_share"],
            quantile=s["quantile"],
            max_age_s=round(s["max_age_min"] * 60),
            quotes=s["quotes"],
            edge=round(s["edge"] * MICRO),
        )

    def _quotes(self, key: ScalarNode, s: Settings) -> None:
        self._known(s, "quotes", self._feeds, "feed")
        if "quotes" not in s:
            found = f"{quote(key.text)} without 'quotes'"
            self._faults.add(s.place, found, "name the feed between whose prices it bids")

    def _by_plan(self, key: ScalarNode, s: Settings, member: MarketMember | None) -> ByPlan | None:
        self._quotes(key, s)
        followed = self._bool(s, "followed")
        if self._dispatch is None:
            if not self._is_unsure:
                found = f"{quote(key.text)} goes by a plan, and nothing is planned"
                self._faults.add(
                    s.at("assets" if "assets" in s else "asset"), found, "add the site's 'dispatch'"
                )
            return None
        planned = self._planned(key, s, self._dispatch)
        if not planned:
            return None
        is_battery = isinstance(planned[0], PlannedBattery)
        what, roles = _TRADED_BY[type(planned[0])] if len(planned) == 1 else _TRADED_TOGETHER
        others = [role for role in ("source", "consumer", "storage") if role not in roles]
        for role in others:
            if s[role] is not None:
                found = f"{quote(key.text)} bids the plan of {what} for {quote(role)}"
                mend = f"name what trades it by {' and '.join(map(quote, roles))}"
                self._faults.add(s.at(role), found, mend)
        if all(s[role] is None for role in roles):
            found = f"{quote(key.text)} bids the plan of {what} without {' or '.join(map(quote, roles))}"
            self._faults.add(s.place, found, "name the device that trades it")
        if is_battery:
            source = consumer = self._device(key, s, "storage", member, TradedKind.STORAGE)
        else:
            source = self._device(key, s, "source", member, TradedKind.SOURCE)
            consumer = self._device(key, s, "consumer", member, TradedKind.CONSUMER)
        if followed is None or not s.is_sound(*_ONLY[AgentKind.PLAN]) or s["quotes"] is None:
            return None
        assets = tuple(
            TradedAsset(each.name, each.planned_kw, isinstance(each, PlannedTie | PlannedLoad))
            for each in planned
        )
        return ByPlan(
            assets=assets,
            steered=assets[0] if isinstance(planned[0], PlannedTie | PlannedBattery) else None,
            source=None if source is None else source.name,
            consumer=None if consumer is None else consumer.name,
            status=self._dispatch.tags.status,
            followed=followed,
            max_age_s=round(s["max_age_min"] * 60),
            quotes=s["quotes"],
            edge=round(s["edge"] * MICRO),
        )

    def _planned(
        self, key: ScalarNode, s: Settings, dispatch: DispatchSettings
    ) -> list[PlannedTie | PlannedBattery | PlannedLoad | PlannedRenewable]:
        """What of dispatch an agent bids the plan of, if it can be bid."""
        if "asset" in s and "assets" in s:
            self._faults.add(s.key_at("assets"), "both 'asset' and 'assets'", "remove one of them")
            return []
        if "asset" not in s and "assets" not in s:
            mend = "name the 'asset' of dispatch, or 'assets'"
            self._faults.add(s.place, f"{quote(key.text)} without an asset whose plan it bids", mend)
            return []
        mend = "name an asset of 'dispatch'"
        if "asset" in s:
            one = {a.name: a for a in dispatch.assets if isinstance(a, _BID)}
            self._known(s, "asset", one, "tie, battery, load or renewable of dispatch", mend)
            return [one[s["asset"]]] if s["asset"] in one else []
        known = {a.name: a for a in dispatch.assets if isinstance(a, PlannedLoad | PlannedRenewable)}
        names = s["assets"] or ()
        for name in names:
            if name not in known and not self._is_unsure:
                found = f"the unknown load or renewable of dispatch {quote(name)}"
                self._faults.add(s.at("assets"), found, suggestion(name, known, mend))
        if len(set(names)) != len(names) or not names:
            found = "an asset twice in 'assets'" if names else "an empty list of 'assets'"
            self._faults.add(s.at("assets"), found, "name each once, and one at least")
            return []
        return [known[name] for name in names] if all(name in known for name in names) else []

    def _arbitrage(self, key: ScalarNode, s: Settings, member: MarketMember | None) -> Arbitrage | None:
        self._known(s, "quotes", self._feeds, "feed")
        device = self._device(key, s, "storage", member, TradedKind.STORAGE)
        if s["storage"] is None and "storage" not in s:
            self._faults.add(
                s.place, f"{quote(key.text)} without 'storage'", "name the storage that it trades"
            )
        if device is not None and device.level is None:
            found = f"{quote(device.name)} has no 'level'"
            self._faults.add(s.at("storage"), found, "name the tag of what is in it")
        if not s.is_sound(*_ONLY[AgentKind.ARBITRAGE]):
            return None
        low, high = s["level_pct"]
        if not 0 <= low < high <= 100:
            found = f"'level_pct' goes from {low:g} to {high:g}"
            self._faults.add(s.at("level_pct"), found, "keep it within 0..100, the lower first")
        if device is None:
            return None
        return Arbitrage(
            storage=device.name,
            quotes=s["quotes"],
            efficiency=round(s["efficiency"] * MICRO),
            wear=round(s["wear_per_kwh"] * MICRO),
            profit=round(s["profit_per_kwh"] * MICRO),
            low=round(device.storage_wh * low / 100),
            high=round(device.storage_wh * high / 100),
            look_ahead_s=round(s["look_ahead_h"] * 3_600),
        )

    def _device(
        self, key: ScalarNode, s: Settings, role: str, member: MarketMember | None, kind: TradedKind
    ) -> MarketDevice | None:
        """A device of this kind of the member's, that no other agent trades."""
        name: str | None = s[role]
        if name is None or member is None:
            return None
        known = {device.name: device for device in member.devices if device.kind is kind}
        if name not in known:
            if not self._is_unsure:
                found = f"{quote(name)} is no {kind.value} of {quote(member.name)}"
                self._faults.add(s.at(role), found, suggestion(name, known, "name one of its devices"))
            return None
        if name in self._taken:
            found = f"{quote(name)} is traded by {quote(self._taken[name])} already"
            self._faults.add(s.at(role), found, "give each agent devices of its own")
        self._taken[name] = key.text
        return known[name]

    def _known(self, s: Settings, key: str, known: Mapping[str, object], what: str, mend: str = "") -> None:
        name = s[key]
        if name is not None and name not in known and not self._is_unsure:
            found = f"the unknown {what} {quote(name)}"
            self._faults.add(s.at(key), found, suggestion(name, known, mend or f"add it under '{what}s'"))
