"""The `market` section of a site file: who trades what, and the tags by which the market tells of itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from gateway.config.calculated_section import check_area
from gateway.config.demand_response import DemandResponseSettings
from gateway.config.dispatch import DispatchSettings
from gateway.config.document import ScalarNode
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.kinds import Named, Reading, Settings
from gateway.config.market import (
    FeedKind,
    FeedTags,
    MarketAnchor,
    MarketDevice,
    MarketDunning,
    MarketFeed,
    MarketFeeder,
    MarketHours,
    MarketListen,
    MarketMember,
    MarketMeter,
    MarketPeer,
    MarketRenewable,
    MarketReward,
    MarketSettings,
    MarketStatus,
    MarketTags,
    MarketTariff,
    MarketWindow,
    MemberKind,
    MemberTags,
    PeerTags,
    PriceFormula,
    RewardedKind,
)
from gateway.config.market_agents import AgentTags
from gateway.config.market_agents_section import AGENT_STATES, AGENT_TAGS, read_agents
from gateway.config.market_alerts import alert_of_market
from gateway.config.site import Tag
from gateway.config.site_keys.market.agents import MARKET_AGENTS
from gateway.config.site_keys.market.feeds import MARKET_FEEDS
from gateway.config.site_keys.market.links import MARKET_PEERS
from gateway.config.site_keys.market.members import (
    MARKET_DEVICES,
    MARKET_FEEDERS,
    MARKET_METERS,
    MARKET_PARTICIPANTS,
)
from gateway.config.site_keys.market.prices import MARKET_HOURS, MARKET_TARIFFS, MARKET_WINDOWS
from gateway.config.system import MARKET_OWNER
from gateway.tags.tag import ValueType

FOLDER, LEDGER_FOLDER = "market", "ledger"
TEXT_BYTES = 200  # of the head: a sequence and 64 digits; of an error: one line
# Told when they change, and every 20 s; three missed, and the part is taken for hung by who uses them.
STALE_AFTER_MS = 60_000
LEAST_INTERVAL_MIN = 1
MICRO, WATTS = 1_000_000, 1_000
_DAY_S = 86_400
WH_OF_UNIT: Mapping[str, int] = {"Wh": 1, "kWh": 1_000, "MWh": 1_000_000}
W_OF_UNIT: Mapping[str, float] = {"W": 1.0, "kW": 1e3, "MW": 1e6}
_DAY_MIN = 1_440
_GWEI = 10**9
_MOST_FACTOR = 10

# name, type, unit, decimals, description; "money" is the currency
_TAGS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("market.status", ValueType.UINT64, None, None, "Whether the market trades"),
    ("market.price", ValueType.DOUBLE, None, 4, "The tariff's price of this interval, {money} a kWh"),
    ("market.price_buy", ValueType.DOUBLE, None, 4, "What a kWh taken unplanned costs now, {money}"),
    ("market.price_sell", ValueType.DOUBLE, None, 4, "What a kWh given unplanned brings now, {money}"),
    (
        "market.cleared_price",
        ValueType.DOUBLE,
        None,
        4,
        "The auction's price of this interval, {money} a kWh",
    ),
    ("market.volume_kwh", ValueType.DOUBLE, "kWh", 3, "What was traded of this interval"),
    (
        "market.next_price",
        ValueType.DOUBLE,
        None,
        4,
        "The same as market.price of the next interval; Uncertain until its gate",
    ),
    ("market.next_price_buy", ValueType.DOUBLE, None, 4, "market.price_buy of the next interval"),
    ("market.next_price_sell", ValueType.DOUBLE, None, 4, "market.price_sell of the next interval"),
    ("market.next_cleared_price", ValueType.DOUBLE, None, 4, "market.cleared_price of the next interval"),
    ("market.next_volume_kwh", ValueType.DOUBLE, "kWh", 3, "market.volume_kwh of the next interval"),
    ("market.best_buy", ValueType.DOUBLE, None, 4, "Best bid of the interval traded next, {money} a kWh"),
    ("market.best_sell", ValueType.DOUBLE, None, 4, "Best offer of the interval traded next, {money} a kWh"),
    ("market.orders", ValueType.UINT64, None, 0, "Open orders"),
    ("market.refused", ValueType.UINT64, None, 0, "Requests that were refused since the start"),
    ("ledger.entries", ValueType.UINT64, None, 0, "Entries in the ledger"),
    ("ledger.head", ValueType.STRING, None, None, "Number and hash of its last entry"),
    ("market.last_error", ValueType.STRING, None, None, "What went wrong last"),
)
_MEMBER_TAGS: tuple[tuple[str, str | None, int, str], ...] = (
    ("pos_kwh", "kWh", 3, "What it is to give of this interval, by its trades; negative: to take"),
    ("next_pos_kwh", "kWh", 3, "The same of the next interval"),
    ("deposit", None, 2, "What of its deposit is free, {money}"),
    ("owed", None, 2, "What it owes that is not billed yet or not paid, {money}"),
)
assert [name.rpartition(".")[2] for name, *_ in _TAGS[:15]] == [field.name for field in fields(MarketTags)][
    :15
]
_FEED_TAGS: tuple[tuple[str, ValueType, int | None, str], ...] = (
    ("import_price", ValueType.DOUBLE, 4, "what a kWh taken costs now, {money}"),
    ("export_price", ValueType.DOUBLE, 4, "what a kWh given brings now, {money}"),
    ("state", ValueType.STRING, None, "whether it is used, or why not"),
)
_PEER_TAGS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("link", ValueType.BOOL, None, None, "whether it can be reached"),
    ("waiting", ValueType.UINT64, None, 0, "settled intervals that it has not told yet"),
    ("disputed", ValueType.UINT64, None, 0, "intervals that it settled in another way"),
    ("agreed_kwh", ValueType.DOUBLE, "kWh", 3, "what it gave of the last interval agreed on; negative: took"),
    ("state", ValueType.STRING, None, None, "how the link is, or what is wrong"),
)
assert [name for name, *_ in _PEER_TAGS] == [field.name for field in fields(PeerTags)]
_SOURCES = {FeedKind.TARIFF: "tariff", FeedKind.FILE: "file", FeedKind.HTTP: "url"}
assert [name for name, *_ in _FEED_TAGS] == [field.name for field in fields(FeedTags)]
assert [name for name, *_ in _MEMBER_TAGS] == [field.name for field in fields(MemberTags)]


@dataclass(frozen=True, slots=True)
class _Unit:
    """What a role's tag must be in."""

    units: tuple[str, ...]
    has_history: bool = False


_LOAD, _HERTZ, _VOLT, _PERCENT = _Unit(("kW", "W", "MW")), _Unit(("Hz",)), _Unit(("V", "kV")), _Unit(("%",))
_LEVEL, _REGISTER = _Unit(("kWh", "Wh", "MWh", "%")), _Unit(tuple(WH_OF_UNIT), has_history=True)


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
        section = _Section(settings, tags, forecasts, faults, is_unsure)
        price = section.price()
        feeders = tuple(section.feeders())
        tariffs = tuple(section.tariffs())
        members = tuple(section.members())
        anchor = section.anchor()
        dunning = section.dunning()
        rewards = tuple(section.rewards())
        listen, peers = section.listen(), tuple(section.peers(members))
        section.check()
        feeds = tuple(section.feeds())
        agents = section.agent_names()
        own, member_tags = section.declare([member.name for member in members])
        feed_tags = section.declare_feeds([feed.name for feed in feeds])
        agent_tags = section.declare_agents(agents)
        peer_tags = section.declare_peers([peer.name for peer in peers])
    s = settings
    if len(faults) > before or price is None:
        return DeclaredMarket(s, None, members, feeds)
    market = MarketSettings(
        ledger=s["ledger"],
        operator=s["operator"],
        key=s["key"],
        currency=s["currency"],
        interval_s=s["interval_min"] * 60,
        gate_lead_s=s["gate_lead_min"] * 60,
        horizon_s=s["horizon_h"] * 3_600,
        price_low=_micro(s["price_low_per_kwh"]),
        price_high=_micro(s["price_high_per_kwh"]),
        max_order_wh=round(s["order_max_kwh"] * 1_000),
        proven_share=_micro(s["proven_share"]),
        proven_after=s["proven_after"],
        cover=_micro(s["cover_per_kwh"]),
        community_fee=_micro(s["community_fee_per_kwh"]),
        grid_fee=_micro(s["grid_fee_per_kwh"]),
        loss_share=_micro(s["loss_share"]),
        short_share=_micro(s["short_share"]),
        long_share=_micro(s["long_share"]),
        pay_as_bid=s["pay_as_bid"],
        settle_delay_s=s["settle_delay_min"] * 60,
        correct_s=s["correct_h"] * 3_600,
        bill=s["bill"],
        price=price,
        feeders=feeders,
        members=members,
        tariffs=tariffs,
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


class _Section:
    def __init__(
        self, s: Settings, tags: list[Tag], forecasts: Collection[str], faults: FaultLog, is_unsure: bool
    ) -> None:
        self._s = s
        self._tags = tags
        self._forecasts = dict.fromkeys(forecasts)
        self._faults = faults
        self._is_unsure = is_unsure
        self._index = {tag.name: place for place, tag in enumerate(tags) if tag.name}
        self._feeders: dict[str, MarketFeeder] = {}
        self._tariffs: dict[str, MarketTariff] = {}
        self._names: dict[str, str] = {}  # devices and meters: whose
        self._registers: dict[str, str] = {}  # tags of registers: of which meter

    # ------------------------------------------------------------ the market itself

    def check(self) -> None:
        """What keys say together."""
        s, faults = self._s, self._faults
        if s.is_sound("interval_min") and _DAY_MIN % s["interval_min"]:
            faults.add(
                s.at("interval_min"),
                f"'interval_min' is {s['interval_min']}",
                "write a divisor of 1440: 5, 15, 60",
            )
        if s.is_sound("interval_min", "horizon_h") and s["horizon_h"] * 60 < s["interval_min"]:
            faults.add(s.at("horizon_h"), "a horizon of less than an interval", "look further ahead")
        low, high = "price_low_per_kwh", "price_high_per_kwh"
        if s.is_sound(low, high) and s[low] > s[high]:
            faults.add(
                s.at(low if low in s else high),
                f"{quote(low)} {s[low]:g} is above {quote(high)} {s[high]:g}",
                "write the lower one there",
            )

    def anchor(self) -> MarketAnchor | None:
        """The chain that keeps the ledger's roots."""
        s = self._s["anchor"]
        if not isinstance(s, Settings) or not s.is_sound(
            "url", "contract", "key", "confirmations", "most_fee_gwei"
        ):
            return None
        fee = round(s["most_fee_gwei"] * _GWEI)
        return MarketAnchor(s["url"], s["contract"], s["key"], s["confirmations"], fee)

    def dunning(self) -> MarketDunning | None:
        """What is done about bills that are not paid."""
        s = self._s["dunning"]
        keys = (
            *("due_days", "warn_after_days", "collect_after_days"),
            *("reminder_fee", "warning_fee", "least_amount"),
        )
        if not isinstance(s, Settings) or not s.is_sound(*keys):
            return None
        return MarketDunning(
            *(s[key] * _DAY_S for key in keys[:3]),
            *(_micro(s[key]) for key in keys[3:]),
        )

    def rewards(self) -> Iterator[MarketReward]:
        """What earns points."""
        s = self._s["rewards"]
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
                    period_s=each["period_days"] * _DAY_S,
                    valid_s=each["valid_days"] * _DAY_S,
                    most_adjustment=_micro(each["most_adjustment"]),
                )

    def agent_names(self) -> list[str]:
        """All else of them is read when all tags are known."""
        node = self._s["agents"]
        if node is None:
            return []
        return [key.text for key, _ in MARKET_AGENTS.entries(node, "agents", Reading(self._faults))]

    def listen(self) -> MarketListen | None:
        """Where other sites reach this one."""
        s = self._s["listen"]
        if not isinstance(s, Settings) or not s.is_sound("host", "port", "certificate", "key"):
            return None
        return MarketListen(s["host"], s["port"], s["certificate"], s["key"])

    def peers(self, members: Sequence[MarketMember]) -> Iterator[MarketPeer]:
        """Other sites: each a participant with a key of its own."""
        if self._s["peers"] is not None and self._s["listen"] is None:
            self._faults.add(
                self._s.at("peers"), "'peers' without 'listen'", "say where they reach this site"
            )
        by_name = {member.name: member for member in members}
        for key, s in self._entries(self._s, "peers", MARKET_PEERS):
            member = by_name.get(key.text)
            if member is None or member.kind is not MemberKind.MICROGRID or not member.public_key:
                self._faults.add(
                    key.place,
                    f"{quote(key.text)} is no participant of kind microgrid with a public key",
                    "add it under 'participants', with the public key of its site's market",
                )
                continue
            if not any(meter.is_main for meter in member.meters):
                self._faults.add(
                    key.place, f"{quote(key.text)} has no meter", "name the meter of the tie there"
                )
            trader = by_name.get(s["trader"]) if s["trader"] is not None else None
            if s["trader"] is not None:
                self._known(s, "trader", {name: None for name in by_name if name != key.text}, "participant")
            if s.is_sound("host", "port", "certificate", "imbalance_price_per_kwh", "tolerance_kwh"):
                yield MarketPeer(
                    name=key.text,
                    host=s["host"],
                    port=s["port"],
                    certificate=s["certificate"],
                    public_key=bytes.fromhex(member.public_key),
                    trader=trader.name if trader is not None else "",
                    imbalance_price=_micro(s["imbalance_price_per_kwh"]),
                    tolerance_wh=round(s["tolerance_kwh"] * 1_000),
                )

    def declare_peers(self, peers: Sequence[str]) -> tuple[PeerTags, ...]:
        """Put the other sites' tags behind the others."""
        return tuple(
            PeerTags(
                *(
                    self._put((f"{FOLDER}.peers.{peer}.{name}", type, unit, decimals, f"{peer}: {text}"), "")
                    for name, type, unit, decimals, text in _PEER_TAGS
                )
            )
            for peer in peers
        )

    def price(self) -> PriceFormula | None:
        """The formula of the price."""
        s = self._s["price"]
        if not isinstance(s, Settings):
            return None
        for name in ("demand", "stress"):
            if s.is_sound(name) and not (s[name][0] >= 0 and s[name][1] <= _MOST_FACTOR):
                low, high = s[name]
                self._faults.add(
                    s.at(name), f"{quote(name)} goes from {low:g} to {high:g}", "keep it within 0..10"
                )
        load = self._tag(s, "load", _LOAD)
        hours = []
        for _, each in self._entries(s, "hours", MARKET_HOURS):
            if each.is_sound("from_h", "to_h", "multiplier", "days"):
                days = frozenset(day.number for day in each["days"])
                hours.append(MarketHours(each["from_h"], each["to_h"], days, _micro(each["multiplier"])))
        frequency, loading = self._tag(s, "frequency", _HERTZ), self._tag(s, "line_loading", _PERCENT)
        voltage = self._tag(s, "voltage", _VOLT)
        if load is None or not s.is_sound(
            "base_rate_per_kwh", "rated_kw", "nominal_hz", "nominal_v", "demand", "stress"
        ):
            return None
        # A voltage in kV has its nominal value in V all the same.
        kilo = 1e3 if voltage is not None and self._tags[voltage].unit == "kV" else 1.0
        return PriceFormula(
            base_rate=_micro(s["base_rate_per_kwh"]),
            feed=s["base_rate_feed"],
            load=load,
            load_w=W_OF_UNIT[self._tags[load].unit or "kW"],
            rated_w=round(s["rated_kw"] * WATTS),
            frequency=frequency,
            nominal_hz=s["nominal_hz"],
            voltage=voltage,
            nominal_v=s["nominal_v"] / kilo,
            line_loading=loading,
            demand=(_micro(s["demand"][0]), _micro(s["demand"][1])),
            stress=(_micro(s["stress"][0]), _micro(s["stress"][1])),
            hours=tuple(hours),
        )

    def feeders(self) -> Iterator[MarketFeeder]:
        """What carries the energy."""
        for key, s in self._entries(self._s, "feeders", MARKET_FEEDERS):
            self._feeders[key.text] = MarketFeeder(key.text, 0, 0)
            if s.is_sound("export_max_kw", "import_max_kw"):
                yield MarketFeeder(key.text, _watts(s["export_max_kw"]), _watts(s["import_max_kw"]))

    def tariffs(self) -> Iterator[MarketTariff]:
        """What is billed."""
        for key, s in self._entries(self._s, "tariffs", MARKET_TARIFFS):
            self._tariffs[key.text] = MarketTariff(key.text, 0, 0, 0, 0, 0, ())
            windows = tuple(self._windows(s))
            if s.is_sound("base_rate_per_kwh"):
                yield MarketTariff(
                    name=key.text,
                    base_rate=_micro(s["base_rate_per_kwh"]),
                    export_credit=_micro(s["export_credit_per_kwh"] or 0),
                    demand_charge=_micro(s["demand_charge_per_kw"] or 0),
                    standing_charge=_micro(s["standing_charge"] or 0),
                    incentive_rate=_micro(s["incentive_per_kwh"] or 0),
                    windows=windows,
                )

    def feeds(self) -> Iterator[MarketFeed]:
        """Prices from outside; and whether the price's own feed is one of them."""
        known: dict[str, None] = {}
        for key, s in self._entries(self._s, "feeds", MARKET_FEEDS):
            known[key.text] = None
            self._known(s, "tariff", self._tariffs, "tariff")
            kind = s["kind"]
            if kind is None or not s.is_sound(_SOURCES[kind]):
                continue
            yield MarketFeed(
                name=key.text,
                kind=kind,
                source=s[_SOURCES[kind]],
                per_kwh=1_000 if s["unit"] == "MWh" else 1,
                every_s=s["every_s"] or 0,
                max_age_s=round((s["max_age_h"] or 0) * 3_600),
                import_fee=_micro(s["import_fee_per_kwh"]),
                export_fee=_micro(s["export_fee_per_kwh"]),
                capacity=_micro(s["capacity_per_kw"]),
            )
        if isinstance(self._s["price"], Settings):
            self._known(self._s["price"], "base_rate_feed", known, "feed")

    def declare_feeds(self, feeds: Sequence[str]) -> tuple[FeedTags, ...]:
        """Put the feeds' tags behind the others."""
        money = self._s["currency"] or ""
        return tuple(
            FeedTags(
                *(
                    self._put(
                        (f"{FOLDER}.feeds.{feed}.{name}", type, None, decimals, f"{feed}: {text}"), money
                    )
                    for name, type, decimals, text in _FEED_TAGS
                )
            )
            for feed in feeds
        )

    def declare_agents(self, agents: Sequence[str]) -> tuple[AgentTags, ...]:
        """Put the agents' tags behind the others."""
        money = self._s["currency"] or ""
        return tuple(
            AgentTags(
                *(
                    self._put(
                        (f"{FOLDER}.agent.{agent}.{name}", type, unit, decimals, f"{agent}: {text}"), money
                    )
                    for name, type, unit, decimals, text in AGENT_TAGS
                )
            )
            for agent in agents
        )

    def _windows(self, s: Settings) -> Iterator[MarketWindow]:
        for _, each in self._entries(s, "windows", MARKET_WINDOWS):
            if not each.is_sound("from_h", "to_h", "multiplier", "days", "months"):
                continue
            minutes = [each["from_h"] * 60, each["to_h"] * 60]
            if minutes[0] >= minutes[1] or any(minute != round(minute) for minute in minutes):
                self._faults.add(
                    each.at("to_h"),
                    f"a window from {each['from_h']:g} to {each['to_h']:g} h",
                    "write whole minutes, the lower first; one over midnight is two",
                )
            elif not each["days"] or not each["months"]:
                self._faults.add(each.place, "a window of no day", "name days and months")
            else:
                yield MarketWindow(
                    months=sum(1 << (month - 1) for month in set(each["months"])),
                    weekdays=sum(1 << day.number for day in set(each["days"])),
                    from_minute=round(minutes[0]),
                    to_minute=round(minutes[1]),
                    multiplier=_micro(each["multiplier"]),
                )

    # ------------------------------------------------------------ who trades

    def members(self) -> Iterator[MarketMember]:
        """The participants."""
        keys: dict[str, str] = {}
        for key, s in self._entries(self._s, "participants", MARKET_PARTICIPANTS):
            name = key.text
            if name in (self._s["operator"], FOLDER):
                self._faults.add(
                    key.place, f"a participant {quote(name)}", "the operator has that name; rename it"
                )
            if ("public_key" in s) == ("key" in s):
                found = "both 'public_key' and 'key'" if "key" in s else "neither 'public_key' nor 'key'"
                self._faults.add(
                    s.place,
                    f"{quote(name)} with {found}",
                    "name its public key, or a file that holds its key",
                )
            for which in ("public_key", "key"):
                if which in s and s.is_sound(which):
                    if s[which] in keys or s[which] == self._s["key"]:
                        other = keys.get(s[which], "the operator")
                        found = f"{quote(which)} is that of {other}"
                        self._faults.add(s.at(which), found, "give each a key of its own")
                    keys[s[which]] = name
            self._known(s, "tariff", self._tariffs, "tariff")
            devices = tuple(self._devices(name, s))
            meters = tuple(self._meters(name, s))
            self._check_renewables(s, meters)
            if s.is_sound("kind"):
                yield MarketMember(
                    name=name,
                    kind=s["kind"],
                    location=s["location"] or "",
                    public_key=s["public_key"] or "",
                    key=s["key"] or "",
                    credit=_micro(s["credit"] or 0),
                    tariff=s["tariff"] or "",
                    devices=devices,
                    meters=meters,
                )

    def _devices(self, owner: str, s: Settings) -> Iterator[MarketDevice]:
        for key, each in self._entries(s, "devices", MARKET_DEVICES):
            self._name(owner, key)
            self._known(each, "feeder", self._feeders, "feeder")
            self._known(each, "forecast", self._forecasts, "forecast")
            level = self._tag(each, "level", _LEVEL)
            connected = self._tag(each, "connected", None)
            if not each.is_sound("kind", "feeder"):
                continue
            storage_wh = round((each["storage_kwh"] or 0) * 1_000)
            unit = "" if level is None else self._tags[level].unit or ""
            level_wh = storage_wh / 100 if unit == "%" else float(WH_OF_UNIT.get(unit, 0))
            yield MarketDevice(
                name=key.text,
                kind=each["kind"],
                feeder=each["feeder"],
                export_w=_watts(each["export_max_kw"] or 0),
                import_w=_watts(each["import_max_kw"] or 0),
                storage_wh=storage_wh,
                model=each["model"] or "",
                level=level,
                level_wh=level_wh,
                connected=connected,
                stay_s=round((each["stay_h"] or 0) * 3_600),
                keep_wh=round((each["keep_kwh"] or 0) * 1_000),
                forecast=each["forecast"],
                forecast_share=each["forecast_share"] or 0.0,
                renewable=self._renewable(each),
            )

    def _renewable(self, s: Settings) -> MarketRenewable | None:
        each = s["renewable"]
        if not isinstance(each, Settings) or not each.is_sound("technology", "meter", "valid_days"):
            return None
        return MarketRenewable(each["technology"], each["meter"], each["valid_days"] * _DAY_S)

    def _check_renewables(self, s: Settings, meters: Sequence[MarketMeter]) -> None:
        """Each has a meter of its owner, and of its own."""
        counted: dict[str, str] = {}
        known = {meter.name: None for meter in meters}
        for key, each in self._entries(s, "devices", MARKET_DEVICES):
            renewable = each["renewable"]
            meter = renewable["meter"] if isinstance(renewable, Settings) else None
            if meter is None:
                continue
            self._known(renewable, "meter", known, "meter")
            if meter in counted:
                found = f"{quote(meter)} counts what {quote(counted[meter])} gives already"
                self._faults.add(
                    renewable.at("meter"), found, "give each renewable source a meter of its own"
                )
            counted[meter] = key.text

    def _meters(self, owner: str, s: Settings) -> Iterator[MarketMeter]:
        for key, each in self._entries(s, "meters", MARKET_METERS):
            self._name(owner, key)
            self._known(each, "feeder", self._feeders, "feeder")
            registers = [self._tag(each, role, _REGISTER) for role in ("import", "export")]
            for role in ("import", "export"):
                tag = each[role]
                if tag in self._registers:
                    self._faults.add(
                        each.at(role),
                        f"{quote(tag)} is a register of {quote(self._registers[tag])} already",
                        "name the register of this meter and this direction",
                    )
                elif tag is not None:
                    self._registers[tag] = key.text
            if None in registers or not each.is_sound("feeder", "export_max_kw", "import_max_kw"):
                continue
            yield MarketMeter(
                name=key.text,
                import_tag=each["import"],
                export_tag=each["export"],
                feeder=each["feeder"],
                export_w=_watts(each["export_max_kw"]),
                import_w=_watts(each["import_max_kw"]),
                is_main=each["main"] is not False,
            )

    # ------------------------------------------------------------ what both need

    def _entries(self, s: Settings, section: str, kind: Named) -> Iterator[tuple[ScalarNode, Settings]]:
        node = s[section]
        if node is None:
            return
        reading = Reading(self._faults)
        for key, item in kind.entries(node, section, reading):
            read = kind.value.read(item, key.text, reading)
            if isinstance(read, Settings):
                yield key, read

    def _name(self, owner: str, key: ScalarNode) -> None:
        if key.text in self._names:
            self._faults.add(
                key.place,
                f"{quote(key.text)} a second time (of {quote(self._names[key.text])})",
                "give each device and meter a name of its own",
            )
        self._names[key.text] = owner

    def _known(self, s: Settings, key: str, known: Mapping[str, object], what: str) -> None:
        name = s[key]
        if name is not None and name not in known and not self._is_unsure:
            self._faults.add(
                s.at(key),
                f"the unknown {what} {quote(name)}",
                suggestion(name, known, f"add it under '{what}s'"),
            )

    def _tag(self, s: Settings, role: str, unit: _Unit | None) -> int | None:
        """The place of a number in one of these units, or of a bool."""
        name: str | None = s[role]
        if name is None:
            return None
        index = self._index.get(name)
        if index is None:
            if not self._is_unsure:
                self._faults.add(
                    s.at(role),
                    f"the unknown tag {quote(name)}",
                    suggestion(name, self._index, "see `tieline tags`"),
                )
            return None
        tag = self._tags[index]
        if unit is None:
            if tag.type is not ValueType.BOOL:
                self._faults.add(s.at(role), f"{quote(name)} is no bool", "name a tag that is true or false")
            return index
        if tag.unit not in unit.units or tag.type in (ValueType.BOOL, ValueType.STRING):
            has = f"is in '{tag.unit}'" if tag.unit else "has no unit"
            self._faults.add(s.at(role), f"{quote(name)} {has}", f"name a tag in {' or '.join(unit.units)}")
            return None
        if unit.has_history and not tag.history:
            self._faults.add(
                s.at(role), f"{quote(name)} has no history", "name a register that history keeps"
            )
        return index

    def declare(self, members: Sequence[str]) -> tuple[MarketTags, tuple[MemberTags, ...]]:
        """Put the market's tags behind the others."""
        money = self._s["currency"] or ""
        own = [self._put(row, money) for row in _TAGS]
        each = tuple(
            MemberTags(
                *(
                    self._put(
                        (f"{FOLDER}.{member}.{name}", ValueType.DOUBLE, unit, decimals, f"{member}: {text}"),
                        money,
                    )
                    for name, unit, decimals, text in _MEMBER_TAGS
                )
            )
            for member in members
        )
        return MarketTags(*own), each

    def _put(self, row: tuple[str, ValueType, str | None, int | None, str], money: str) -> int:
        name, type, unit, decimals, text = row
        if name in self._index:
            found = f"the tag {quote(name)} is there already, and Tieline makes it"
            self._faults.add(self._s.place, found, "rename yours")
        self._tags.append(
            Tag(
                name=name,
                type=type,
                owner=MARKET_OWNER,
                area=self._s["area"] or "",
                device=name.partition(".")[0],
                description=text.format(money=money),
                unit=unit,
                decimals=decimals,
                stale_after_ms=STALE_AFTER_MS,
                string_bytes=TEXT_BYTES if type is ValueType.STRING else 0,
                states={status.value: status.text for status in MarketStatus}
                if name == "market.status"
                else AGENT_STATES
                if name.startswith(f"{FOLDER}.agent.") and name.endswith(".state")
                else {},
                alert=alert_of_market(name),
            )
        )
        return len(self._tags) - 1


def _micro(value: Any) -> int:
    """Money or a share in millionths; to the nearest, as a float is not quite what was written."""
    return round(float(value or 0) * MICRO)


def _watts(kilowatts: float) -> int:
    return round(kilowatts * WATTS)
