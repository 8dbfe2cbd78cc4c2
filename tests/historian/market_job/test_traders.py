"""Agents at work in a market: a day of arbitrage by the ledger, restarts, a kill switch, forecasts that are away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from historian_folder import SECOND
from market_bench import SITE, START_US, Bench

from gateway.config.load import load_site
from gateway.config.market_agents import AgentState
from gateway.config.site import Site
from historian.ledger.facts import Side
from historian.ledger.market_cli import community_of
from historian.ledger.verify import verify
from historian.market_job import wire
from historian.market_job.agents.foreseen import Band
from historian.market_job.agents.limits import used_of
from historian.market_job.agents.traders import Traders, own_ids
from historian.market_job.quotes import FeedQuotes, quotes_of
from historian.market_job.tags import told_agents, types_of

HOUR_US = 3_600 * 10**6
MINUTE_US = 60 * 10**6
LIMITS = "limits: {order_kwh: 4, kwh_a_day: 60, spend_a_day: 5, price_low: 0.05, price_high: 0.9}"
BATTERY = f"""
    bat:
      kind: prosumer
      key: keys/bat.pem
      credit: 20
      devices:
        cell: {{kind: storage, feeder: f1, export_max_kw: 4, import_max_kw: 4, storage_kwh: 10, level: d.soc_pct}}
      meters: {{bat_m: {{import: d.car_in_wh, export: d.car_out_wh, feeder: f1, export_max_kw: 20,
              import_max_kw: 20}}}}
  feeds:
    spot: {{kind: file, file: spot.csv, unit: kWh}}
    retail: {{kind: tariff, tariff: all}}
  agents:
    trader: {{kind: arbitrage, member: bat, storage: cell, quotes: spot, {LIMITS}}}
    seller: {{kind: prosumer, member: sun, source: roof, production: sun, quotes: retail, quantile: 0.1,
              enable: d.connected, {LIMITS}}}
forecasts: {{sun: {{area: grid, kind: load, target: d.load_kw}}}}
"""
TEXT = (
    SITE[: SITE.index("    car:\n")].replace(
        "  area: grid\n  price_low", "  area: grid\n  interval_min: 60\n  price_low"
    )
    + BATTERY[1:]
)
DAY = (
    12,
    12,
    12,
    12,
    14,
    18,
    22,
    30,
    35,
    30,
    20,
    16,
    12,
    10,
    10,
    10,
    18,
    30,
    40,
    44,
    38,
    30,
    20,
    14,
)  # cents by hour, UTC
FIRST_HOUR_US = START_US - MINUTE_US + HOUR_US


class Foreseen:
    """Forecasts of one band, where there is one."""

    def __init__(self) -> None:
        self.kilowatts: tuple[float, ...] | None = (2.0, 3.0, 4.0)
        self.age_us = 0
        self.is_doubtful = False

    def band(self, forecast: str, start_us: int, interval_s: int, now_us: int) -> Band | None:
        if self.kilowatts is None:
            return None
        return Band((0.1, 0.5, 0.9), self.kilowatts, now_us - self.age_us, self.is_doubtful)


class AgentBench(Bench):
    """A market whose battery and roof have agents; the part's looks are the test's."""

    def __init__(self, site: Site, state: Path, folder: Any) -> None:
        self.bands = Foreseen()
        self.traders: Traders | None = None
        super().__init__(site, state, folder)

    def open(self) -> None:
        zone = ZoneInfo(self.site.time_zone)
        (self.state / "spot.csv").write_text(
            "start,price\n"
            + "".join(
                f"{_time(FIRST_HOUR_US + n * HOUR_US)},{spot(FIRST_HOUR_US + n * HOUR_US) / 1e6}\n"
                for n in range(60)
            ),
            encoding="utf-8",
        )
        self.quotes = quotes_of(self.settings.feeds, self.settings.tariffs, self.state, zone)
        feed = self.quotes["spot"]
        assert isinstance(feed, FeedQuotes)
        feed.refresh(self.now_us)
        super().open()
        names = {tag: self.site.tags[tag].name for tag in self.settings.inputs}
        self.traders = Traders(
            self.settings, self.answers.answer, lambda tag: self.values[names[tag]], self.bands, zone, self.state,
            self.clock,
        )  # fmt: skip
        self.answers.traders = self.traders

    def look(self) -> None:
        super().look()
        assert self.office is not None
        assert self.traders is not None
        self.traders.look(self.office, self.now_us)

    def at(self, at_us: int) -> None:
        """A time, with the registers read and a look."""
        self.now_us = at_us
        self.meter()
        self.look()

    def doing(self, name: str) -> tuple[AgentState, str]:
        assert self.traders is not None
        return self.traders.doing[name].state, self.traders.doing[name].words

    def steer(self, name: str, *, is_stopped: bool) -> dict[str, Any]:
        reply = self.ask(wire.StopAgent("1", name, is_stopped))
        assert isinstance(reply, wire.Told), reply
        return reply.content

    def orders(self, name: str) -> list[tuple[Side, int, int]]:
        """What an agent has open."""
        own = own_ids(name)
        market = self.community.market
        return [
            (order.side, order.open_wh, order.price)
            for (_, client), order in market.orders.items()
            if client.startswith(own)
        ]

    def flow(self, hour_us: int) -> None:
        """Registers and the battery's level as an interval's trades have it."""
        interval = self.community.market.intervals[hour_us]
        for member, meter in (("sun", "sun"), ("home", "home"), ("bat", "car")):
            wh = interval.positions[member].net_export_wh
            self.registers[f"{meter}_{'out' if wh > 0 else 'in'}_wh"] += abs(wh)
        position, level = interval.positions["bat"], self.values["d.soc_pct"]
        assert level is not None
        assert self.now_us < hour_us + HOUR_US
        way = 0.9**0.5
        self.values["d.soc_pct"] = level + (position.bought_wh * way - position.sold_wh / way) / 100


def spot(at_us: int) -> int:
    return DAY[at_us // HOUR_US % 24] * 10_000


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()


@pytest.fixture(scope="session")
def agent_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    path = tmp_path_factory.mktemp("agents") / "site.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return load_site(path)


@pytest.fixture
def town(agent_site: Site, tmp_path: Path, folder: Any) -> Iterator[AgentBench]:
    folder.clock.now = START_US * 1_000 - SECOND
    made = AgentBench(agent_site, tmp_path, folder)
    made.look()
    made.join_home()
    yield made
    made.close()
    made.history.close()


def traded_day(town: AgentBench, *, is_restarted: bool) -> None:
    """Twelve hours; sun and home trade at the spot price and leave room for the battery."""
    town.values["d.soc_pct"] = 15.0
    for hour_us in range(FIRST_HOUR_US, FIRST_HOUR_US + 12 * HOUR_US, HOUR_US):
        is_cheap = spot(hour_us) < 200_000
        for name, side, wh in (
            ("sun", Side.SELL, 7_000 if is_cheap else 1_000),
            ("home", Side.BUY, 1_000 if is_cheap else 7_000),
        ):
            order = town.order(side, wh, spot(hour_us), interval_us=hour_us, good_until_us=hour_us)
            (outcome,) = town.say(name, order)
            assert not outcome.reason, outcome
        gate_us = hour_us - town.settings.gate_lead_s * 10**6
        for at_us in (gate_us - 2 * MINUTE_US, gate_us):
            town.at(max(at_us, town.now_us + 1))
            if is_restarted and hour_us // HOUR_US % 4 == 2:
                town.restart()
                town.at(town.now_us + 1)
        town.at(hour_us)
        town.flow(hour_us)  # all of it early in the interval
    town.at(FIRST_HOUR_US + 12 * HOUR_US)
    town.at(FIRST_HOUR_US + 12 * HOUR_US + MINUTE_US)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_day_of_arbitrage_earns_what_its_trades_say(town: AgentBench, is_restarted: bool) -> None:
    traded_day(town, is_restarted=is_restarted)
    community = town.community
    own = own_ids("trader")
    bought: dict[int, int] = {}
    sold: dict[int, int] = {}
    for trade in community.trades:
        for side, order in ((bought, trade.buyer), (sold, trade.seller)):
            if order is not None and order[1].startswith(own):
                assert trade.price == spot(trade.interval_us)
                side[trade.interval_us] = side.get(trade.interval_us, 0) + trade.wh
    assert not bought.keys() & sold.keys(), "never both sides of an interval"
    hours = [
        {(at_us - FIRST_HOUR_US) // HOUR_US: wh for at_us, wh in side.items()} for side in (bought, sold)
    ]
    assert hours == [{0: 4_000, 1: 3_438, 2: 66}, {5: 4_000, 6: 2_761}], "restarted or not"
    cost = sum(wh * spot(at_us) // 1_000 for at_us, wh in bought.items())
    income = sum(wh * spot(at_us) // 1_000 for at_us, wh in sold.items())
    lines = [done.lines["bat"] for done in community.settled.values() if "bat" in done.lines]
    assert sum(line.sale for line in lines) == income
    assert sum(line.imbalance for line in lines) == 0, "it was metered as it traded"
    assert community.market.deposits["bat"] == 20_000_000 - cost
    assert income - cost > 1_000_000, "more than 1 EUR of a 10 kWh battery"
    assert not community.voids
    assert town.values["d.soc_pct"] == pytest.approx(14.92, abs=0.01)
    file = town.state / "market.ledger"
    town.close()
    assert verify(file, processes=1).is_sound
    audited = community_of(file)
    assert not audited.strays
    assert not audited.owed
    town.open()


def before_the_gate(town: AgentBench, hour_us: int = FIRST_HOUR_US) -> None:
    town.at(max(hour_us - town.settings.gate_lead_s * 10**6 - 3 * MINUTE_US, town.now_us + 1))


def test_a_prosumer_sells_what_its_forecast_says_for_sure_once(town: AgentBench) -> None:
    town.values["d.connected"] = 1.0
    town.at(town.now_us + 1)
    assert town.doing("seller") == (AgentState.BIDS, "it waits for its time before the gate")
    before_the_gate(town)
    assert town.orders("seller") == [(Side.SELL, 2_000, 50_000)], (
        "2 kW for sure; retail brings nothing: its limit"
    )
    state, words = town.doing("seller")
    assert state is AgentState.BIDS
    assert words == "2026-11-21T13:00Z: sell 2 kWh at 0.05"
    town.bands.kilowatts = (3.0, 3.0, 3.0)
    for _ in range(3):
        town.restart()
        town.at(town.now_us + 20 * 10**6)
    assert town.orders("seller") == [(Side.SELL, 2_000, 50_000)], (
        "ordered once, whatever the forecast says now"
    )
    assert town.doing("seller") == (AgentState.BIDS, "it has ordered for 2026-11-21T13:00Z")
    assert not town.community.refusals


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"kilowatts": None}, AgentState.NO_FORECAST),
        ({"age_us": 3 * HOUR_US}, AgentState.NO_FORECAST),
        ({"age_us": -HOUR_US}, AgentState.NO_FORECAST),
        ({"is_doubtful": True}, AgentState.NO_FORECAST),
        ({"kilowatts": (0.0, 3.0, 4.0)}, AgentState.BIDS),
    ],
)
def test_without_a_sound_forecast_nothing_is_bid_until_there_is_one(
    town: AgentBench, change: dict[str, Any], state: AgentState
) -> None:
    town.values["d.connected"] = 1.0
    for name, value in change.items():
        setattr(town.bands, name, value)
    before_the_gate(town)
    assert town.doing("seller")[0] is state
    assert town.orders("seller") == []
    town.bands = town.traders._bands = Foreseen()  # type: ignore[union-attr]  # the next issue
    town.at(town.now_us + 1_000)
    assert town.orders("seller") == [], "not asked each second"
    town.at(town.now_us + 11 * 10**6)
    assert town.orders("seller") == [(Side.SELL, 2_000, 50_000)]


def test_without_a_price_or_a_level_nothing_is_traded(town: AgentBench) -> None:
    town.values["d.soc_pct"] = None
    before_the_gate(town)
    assert town.doing("trader") == (AgentState.NO_LEVEL, "2026-11-21T13:00Z: the level of cell is not Good")
    town.values["d.soc_pct"] = 50.0
    town.quotes["spot"] = FeedQuotes(town.settings.feeds[0], lambda: b"")
    town.at(town.now_us + 11 * 10**6)
    assert town.doing("trader")[0] is AgentState.NO_PRICE
    assert "not fetched" in town.doing("trader")[1]
    assert town.orders("trader") == []


def test_a_stopped_agent_has_nothing_open_and_stays_stopped_over_a_restart(town: AgentBench) -> None:
    before_the_gate(town)
    assert town.orders("trader") == [(Side.BUY, 4_000, 100_000)], town.doing("trader")
    assert town.steer("trader", is_stopped=True)["trader"]["stopped"]
    town.at(town.now_us + 1)
    assert town.orders("trader") == []
    assert town.doing("trader") == (AgentState.STOPPED, "stopped by an operator")
    town.restart()
    town.at(town.now_us + 1)
    assert town.doing("trader")[0] is AgentState.STOPPED
    before_the_gate(town, FIRST_HOUR_US + HOUR_US)
    assert town.orders("trader") == []
    assert not town.steer("trader", is_stopped=False)["trader"]["stopped"]
    town.at(town.now_us + 1)
    assert [side for side, *_ in town.orders("trader")] == [Side.BUY]
    reply = town.ask(wire.StopAgent("1", "trade", True))
    assert isinstance(reply, wire.Turned)
    assert reply.why == "no agent 'trade'; there are: trader, seller"


def test_a_stop_that_cannot_be_kept_is_told_and_holds_until_a_restart(town: AgentBench) -> None:
    (town.state / "market-agents.new").mkdir()
    for is_stopped in (True, False):
        reply = town.ask(wire.StopAgent("1", "trader", is_stopped))
        assert isinstance(reply, wire.Turned)
        assert (reply.reason, "trader is stopped" in reply.why) == ("not_kept", True)
    town.at(town.now_us + 1)
    assert town.doing("trader")[0] is AgentState.STOPPED


def test_an_enabling_tag_stops_an_agent_and_takes_back_what_is_open(town: AgentBench) -> None:
    before_the_gate(town)
    assert town.doing("seller") == (AgentState.STOPPED, "its enabling tag is false, or not Good")
    town.values["d.connected"] = 1.0
    town.at(town.now_us + 1)
    assert len(town.orders("seller")) == 1
    town.values["d.connected"] = None
    town.at(town.now_us + 1)
    assert town.orders("seller") == []
    town.values["d.connected"] = 1.0
    town.at(town.now_us + 1)
    assert town.orders("seller") == [], "it has ordered for this interval: not a second time"


def test_what_was_used_of_a_day_is_known_after_a_restart(town: AgentBench) -> None:
    agents = tuple(
        replace(agent, limits=replace(agent.limits, day_wh=6_000)) for agent in town.settings.agents
    )
    town.restart(agents=agents)
    town.values["d.soc_pct"] = 10.0
    town.at(town.now_us + 1)
    used = []
    for hour_us in range(FIRST_HOUR_US, FIRST_HOUR_US + 3 * HOUR_US, HOUR_US):
        order = town.order(Side.SELL, 5_000, 60_000, interval_us=hour_us, good_until_us=hour_us)
        (outcome,) = town.say("sun", order)
        assert not outcome.reason
        before_the_gate(town, hour_us)
        town.restart()
        town.at(town.now_us + 1)
        town.at(hour_us - town.settings.gate_lead_s * 10**6)
        assert town.traders is not None
        used.append(town.traders.doing["trader"].used)
    assert [each.bought_wh for each in used] == [4_000, 6_000, 6_000]
    assert used[-1].spent == sum(
        used_of(each, own_ids("trader"), "bat").spent for each in town.community.market.intervals.values()
    )
    assert town.community.market.deposits["bat"] == 20_000_000 - used[-1].spent
    town.values["d.soc_pct"] = 50.0
    said = told_agents(town.settings, town.traders.doing)
    tags = town.settings.agent_tags[0]
    assert (said[tags.traded_kwh].value, said[tags.spent].value) == (6.0, used[-1].spent / 1e6)
    assert types_of(town.settings).keys() >= said.keys()


def test_what_the_market_refuses_an_agent_is_told_and_not_tried_again(town: AgentBench) -> None:
    town.values["d.connected"] = 1.0
    hour_us = FIRST_HOUR_US
    order = town.order(Side.BUY, 1_000, 500_000, device="house", interval_us=hour_us, good_until_us=hour_us)
    assert not town.say("home", order)[0].reason
    town.bands.kilowatts = (30.0, 30.0, 30.0)
    agents = tuple(
        replace(each, limits=replace(each.limits, order_wh=30_000)) for each in town.settings.agents
    )
    town.restart(agents=agents)
    before_the_gate(town)
    state, words = town.doing("seller")
    assert state is AgentState.REFUSED
    assert "roof gives 20000 Wh an interval at most" in words
    voids = len(town.community.voids)
    town.restart()
    town.at(town.now_us + 30 * 10**6)
    assert len(town.community.voids) == voids == 1


def test_agents_wait_while_the_market_does_not_trade(town: AgentBench) -> None:
    town.values["d.connected"] = 1.0
    town.now_us = FIRST_HOUR_US - town.settings.gate_lead_s * 10**6 - 3 * MINUTE_US
    town.look()  # no register was read for long
    assert town.doing("seller") == (AgentState.NOT_TRADING, "the market does not trade")
    assert town.orders("seller") == []
    town.at(town.now_us + 60 * 10**6)
    assert len(town.orders("seller")) == 1, town.doing("seller")
