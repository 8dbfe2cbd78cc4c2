"""Agents that bid what the plan of dispatch has for the tie and for a battery, while it lives and is followed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from historian_folder import SECOND
from market_bench import FIRST_US, QUARTER_US, SITE, START_US, Bench

from gateway.config.dispatch import Course
from gateway.config.load import load_site
from gateway.config.market import MarketStatus
from gateway.config.market_agents import AgentState
from gateway.config.site import Site
from historian.dispatch.plan import Plan, Status
from historian.dispatch_job.course import Followed
from historian.dispatch_job.kept import FILE, Kept, keep
from historian.ledger.facts import Side
from historian.market_job.agents.planned import StoredPlan
from historian.market_job.agents.traders import Traders, own_ids
from historian.market_job.quotes import quotes_of
from historian.market_job.tags import told_commitments, types_of

MINUTE_US = 60 * 10**6
STEP = timedelta(minutes=10)
LIMITS = "limits: {order_kwh: 4, kwh_a_day: 60, spend_a_day: 5, price_low: 0.05, price_high: 0.9}"
HUB = f"""
    hub:
      kind: prosumer
      key: keys/hub.pem
      credit: 20
      devices:
        out: {{kind: source, feeder: f1, export_max_kw: 20}}
        in: {{kind: consumer, feeder: f1, import_max_kw: 20}}
        attic: {{kind: source, feeder: f1, export_max_kw: 20}}
        rooms: {{kind: consumer, feeder: f1, import_max_kw: 20}}
        cell: {{kind: storage, feeder: f1, export_max_kw: 4, import_max_kw: 4, storage_kwh: 10, level: d.soc_pct}}
      meters: {{hub_m: {{import: d.car_in_wh, export: d.car_out_wh, feeder: f1, export_max_kw: 20,
              import_max_kw: 20}}}}
  feeds: {{retail: {{kind: tariff, tariff: all}}}}
  agents:
    trade: {{kind: plan, member: hub, asset: pcc, source: out, consumer: in, quotes: retail, followed: d.connected,
             max_age_min: 30, {LIMITS}}}
    store: {{kind: plan, member: hub, asset: bat, storage: cell, quotes: retail, followed: d.connected, {LIMITS}}}
    house: {{kind: plan, member: hub, assets: [use, sun], source: attic, consumer: rooms, quotes: retail,
             followed: d.connected, max_age_min: 30, {LIMITS}}}
dispatch:
  area: grid
  currency: EUR
  tariffs: {{day: {{price_per_kwh: 0.3}}}}
  assets:
    pcc: {{kind: tie, power: d.load_kw, import_max_kw: 100, export_max_kw: 50, import_tariff: day}}
    bat: {{kind: battery, power: d.load_kw, state_of_charge: d.soc_pct, capacity_kwh: 10, charge_max_kw: 5,
           discharge_max_kw: 5}}
    sun: {{kind: renewable, power: d.load_kw}}
    use: {{kind: load, power: d.load_kw}}
"""
TEXT = SITE[: SITE.index("    car:\n")] + HUB[1:]


class PlanBench(Bench):
    """A market whose hub trades as is planned; what dispatch tells and keeps is the test's."""

    def __init__(self, site: Site, state: Path, folder: Any) -> None:
        self.traders: Traders | None = None
        self.speed = 1.0
        self.told: dict[str, float | None] = {
            "d.connected": 1.0, "dispatch.status": float(Course.OPTIMAL),
            "dispatch.pcc_kw": 0.0, "dispatch.bat_kw": 0.0, "dispatch.use_kw": 0.0, "dispatch.sun_kw": 0.0,
        }  # fmt: skip
        super().__init__(site, state, folder)

    def open(self) -> None:
        zone = ZoneInfo(self.site.time_zone)
        self.quotes = quotes_of(self.settings.feeds, self.settings.tariffs, self.state, zone)
        self.values |= self.told
        super().open()
        names = {tag: self.site.tags[tag].name for tag in self.settings.inputs}
        self.traders = Traders(
            self.settings, self.answers.answer, lambda tag: self.values[names[tag]], NoBands(), zone, self.state,
            self.clock, StoredPlan(self.state, self.speed),
        )  # fmt: skip
        self.answers.traders = self.traders

    def look(self) -> None:
        super().look()
        assert self.office is not None
        assert self.traders is not None
        self.traders.look(self.office, self.now_us)

    def at(self, at_us: int) -> None:
        self.now_us = at_us
        self.meter()
        self.look()

    def before_the_gate(self) -> None:
        self.at(FIRST_US - self.settings.gate_lead_s * 10**6 - MINUTE_US)

    def plan(
        self,
        tie_kw: tuple[float, ...],
        battery_kw: tuple[float, ...] = (),
        age_us: int = 0,
        *,
        use_kw: tuple[float, ...] = (),
        sun_kw: tuple[float, ...] = (),
    ) -> None:
        """By steps of ten minutes from 12:00, as dispatch keeps it; the first of them is told by its tags."""
        none = (0.0,) * len(tie_kw)
        planned = {"pcc": tie_kw, "bat": battery_kw or none, "use": use_kw or none, "sun": sun_kw or none}
        powers = {name: np.array(each) for name, each in planned.items()}
        start, made = (
            datetime.fromtimestamp(at / 1e6, UTC) for at in (START_US - MINUTE_US, START_US - age_us)
        )
        plan = Plan(start, STEP, len(tie_kw), Status.OPTIMAL, powers_kw=powers)
        keep(self.state / FILE, Kept(1, Followed(plan, made, 0.0)))
        self.values |= {f"dispatch.{name}_kw": each[0] for name, each in planned.items()}

    def orders(self, name: str) -> list[tuple[Side, str, int, int]]:
        own = own_ids(name)
        return [
            (order.side, order.device, order.open_wh, order.price)
            for (_, client), order in self.community.market.orders.items()
            if client.startswith(own)
        ]

    def doing(self, name: str) -> tuple[AgentState, str]:
        assert self.traders is not None
        return self.traders.doing[name].state, self.traders.doing[name].words

    def commitments(self, agent: int) -> tuple[Any, Any]:
        tags = self.settings.agent_tags[agent]
        said = told_commitments(self.settings, self.office, self.now_us)
        assert types_of(self.settings).keys() >= said.keys()
        return said[tags.committed_kw].value, said[tags.next_committed_kw].value


class NoBands:
    """No forecasts."""

    def band(self, forecast: str, start_us: int, interval_s: int, now_us: int) -> None:
        return None


@pytest.fixture(scope="session")
def plan_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    path = tmp_path_factory.mktemp("plans") / "site.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return load_site(path)


@pytest.fixture
def hub(plan_site: Site, tmp_path: Path, folder: Any) -> Iterator[PlanBench]:
    folder.clock.now = START_US * 1_000 - SECOND
    made = PlanBench(plan_site, tmp_path, folder)
    made.look()
    made.join_home()
    yield made
    made.close()
    made.history.close()


def test_what_the_tie_is_planned_to_import_is_bought_and_what_it_exports_sold(hub: PlanBench) -> None:
    # 12:15 to 12:30 is five minutes of the second step and ten of the third: 8 kW, 2 kWh.
    hub.plan((0.0, 12.0, 6.0, 0.0))
    hub.before_the_gate()
    assert hub.orders("trade") == [(Side.BUY, "in", 2_000, 237_500)]
    assert hub.doing("trade") == (AgentState.BIDS, "2026-11-21T12:15Z: buy 2 kWh at 0.2375")
    assert hub.doing("store") == (
        AgentState.BIDS,
        "2026-11-21T12:15Z: the plan neither gives nor takes then",
    )
    hub.plan((0.0, -12.0, -6.0, 0.0))
    hub.restart()
    hub.at(hub.now_us + 20 * 10**6)
    assert hub.orders("trade") == [(Side.BUY, "in", 2_000, 237_500)], (
        "once for an interval, whatever is planned now"
    )
    hub.at(FIRST_US)
    hub.plan((0.0, -12.0, -6.0, -6.0, -6.0, -6.0))
    hub.values["dispatch.pcc_kw"] = -12.0
    hub.at(FIRST_US + QUARTER_US - hub.settings.gate_lead_s * 10**6 - MINUTE_US)
    assert hub.doing("trade")[0] is AgentState.NO_PLAN, "it is of another step than dispatch tells"
    hub.values["dispatch.pcc_kw"] = -6.0
    hub.at(hub.now_us + 11 * 10**6)
    assert hub.orders("trade") == [(Side.SELL, "out", 1_500, 50_000)], "its limit; retail gives nothing"


class LateBench(PlanBench):
    """Of which history has nothing before it began."""

    def meter(self, *missing: str, at_us: int | None = None) -> None:
        if at_us is None:
            super().meter(*missing)


def test_until_its_members_meters_were_read_an_agent_waits_and_says_so(
    plan_site: Site, tmp_path: Path, folder: Any
) -> None:
    folder.clock.now = START_US * 1_000 - SECOND
    hub = LateBench(plan_site, tmp_path, folder)
    hub.look()
    hub.plan((12.0,) * 6)
    hub.before_the_gate()
    state, words = hub.doing("trade")
    assert state is AgentState.NOT_TRADING
    assert words.endswith("a meter of hub has not been read yet: wait for it")
    hub.at(FIRST_US)
    hub.plan((12.0,) * 6)
    hub.at(FIRST_US + QUARTER_US - hub.settings.gate_lead_s * 10**6 - MINUTE_US)
    assert hub.doing("trade")[0] is AgentState.BIDS
    hub.close()
    hub.history.close()


def test_what_loads_and_sun_are_foreseen_to_be_is_bid_together(hub: PlanBench) -> None:
    hub.plan((0.0, 0.0, 0.0), use_kw=(9.0, 9.0, 9.0), sun_kw=(1.0, 1.0, 1.0))
    hub.before_the_gate()
    assert hub.orders("house") == [(Side.BUY, "rooms", 2_000, 237_500)], "8 kW are missing"
    hub.at(FIRST_US)
    hub.plan((0.0,) * 6, use_kw=(2.0,) * 6, sun_kw=(8.0,) * 6)
    hub.values["dispatch.use_kw"] = 3.0
    hub.at(FIRST_US + QUARTER_US - hub.settings.gate_lead_s * 10**6 - MINUTE_US)
    assert hub.doing("house")[1].endswith("the plan that is kept is not what dispatch tells of use now")
    hub.values["dispatch.use_kw"] = 2.0
    hub.at(hub.now_us + 11 * 10**6)
    assert hub.orders("house") == [(Side.SELL, "attic", 1_500, 50_000)]


def test_a_plan_that_does_not_live_or_is_not_followed_is_not_bid_until_it_is(hub: PlanBench) -> None:
    hub.plan((0.0, 12.0, 6.0))
    sound = dict(hub.values)
    hub.now_us = FIRST_US - hub.settings.gate_lead_s * 10**6 - 4 * MINUTE_US
    not_followed = "the plan is not followed: the tag that says so is false, or not Good"
    another = "the plan that is kept is not what dispatch tells of pcc now"
    for tag, value, why in (
        ("dispatch.status", None, "nobody plans: dispatch's status is not Good"),
        ("dispatch.status", float(Course.KEPT), "the plan does not live: last plan kept"),
        ("dispatch.status", float(Course.RULE), "the plan does not live: by rule"),
        ("d.connected", 0.0, not_followed),
        ("d.connected", None, not_followed),
        ("dispatch.pcc_kw", None, another),
        ("dispatch.pcc_kw", 1.0, another),
    ):
        hub.values = sound | {tag: value}
        hub.at(hub.now_us + 11 * 10**6)
        assert hub.doing("trade") == (AgentState.NO_PLAN, f"2026-11-21T12:15Z: {why}")
        assert hub.orders("trade") == []
    hub.values = sound
    hub.at(hub.now_us + 11 * 10**6)
    assert hub.orders("trade") == [(Side.BUY, "in", 2_000, 237_500)]


def test_without_a_plan_that_is_fresh_and_reaches_so_far_nothing_is_bid(hub: PlanBench) -> None:
    hub.before_the_gate()
    assert hub.doing("trade") == (AgentState.NO_PLAN, "2026-11-21T12:15Z: there is no plan yet")
    hub.plan((0.0, 12.0, 6.0), age_us=40 * MINUTE_US)
    hub.at(hub.now_us + 11 * 10**6)
    assert "the plan is stale: " in hub.doing("trade")[1]
    hub.plan((0.0, 12.0))
    hub.at(hub.now_us + 11 * 10**6)
    assert "the plan does not reach so far" in hub.doing("trade")[1]
    (hub.state / FILE).write_text('{"format": 9}')
    hub.at(hub.now_us + 11 * 10**6)
    assert "the plan cannot be read: its format is 9" in hub.doing("trade")[1]
    (hub.state / FILE).write_bytes(b"\0" * 10)
    hub.at(hub.now_us + 11 * 10**6)
    assert "the plan cannot be read: " in hub.doing("trade")[1]
    assert (hub.state / FILE).exists(), "who only looks sets nothing aside"
    hub.plan((0.0, 12.0, 6.0))
    hub.speed = 60.0
    hub.restart()
    hub.at(hub.now_us + 11 * 10**6)
    assert "which goes 60 times as fast as the market's" in hub.doing("trade")[1]
    assert hub.orders("trade") == []


def test_what_was_traded_is_a_commitment_from_the_gate_to_the_end_of_the_interval(hub: PlanBench) -> None:
    hub.plan((0.0, 12.0, 6.0), (0.0, -2.0, -2.0))
    hub.values["d.soc_pct"] = 50.0
    hub.before_the_gate()
    assert hub.orders("store") == [(Side.BUY, "cell", 500, 237_500)]
    (outcome,) = hub.say("sun", hub.order(Side.SELL, 2_100, 60_000))
    assert not outcome.reason, outcome
    assert hub.commitments(0) == (None, None), "until the gate it may change"
    hub.at(FIRST_US - hub.settings.gate_lead_s * 10**6)
    assert hub.answers.status is MarketStatus.OPEN
    position = hub.community.market.intervals[FIRST_US].positions["hub"]
    assert position.bought_wh == 2_100
    now, ahead = zip(hub.commitments(0), hub.commitments(1), strict=True)
    assert now == (None, None)
    assert sum(ahead) * 250 == -2_100, "of 15 minutes: what both take, as power"
    hub.at(FIRST_US + MINUTE_US)
    now, later = zip(hub.commitments(0), hub.commitments(1), strict=True)
    assert (now, later) == (ahead, (None, None))
    hub.restart()
    assert (hub.commitments(0)[0], hub.commitments(1)[0]) == ahead, "by the ledger"
