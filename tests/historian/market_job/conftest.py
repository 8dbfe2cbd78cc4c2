"""A small community: sun (its key in the site's hands), home (its own key), a vehicle; history that can be away."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from historian_folder import SECOND

from gateway.config.load import load_site
from gateway.config.market import MarketStatus
from gateway.config.site import Site
from historian.dispatch.axis import Axis
from historian.ledger.bundle import Bundle
from historian.ledger.coding import record_of
from historian.ledger.community import Community
from historian.ledger.entry import Body, Record
from historian.ledger.facts import Fact, Order, Side, Venue
from historian.ledger.pen import Pen
from historian.market_job import wire
from historian.market_job.answers import Answers
from historian.market_job.office import Office, open_office
from historian.market_job.quotes import Quotes
from historian.market_job.wire import Judged
from historian.signing import SigningKey

QUARTER_US = 900 * 1_000_000
START_US = 1_795_262_400 * 1_000_000 + 60 * 1_000_000  # 2026-11-21T12:01:00Z
FIRST_US = START_US - 60 * 1_000_000 + QUARTER_US  # the first interval that can be traded
HOME = SigningKey.generate()

SITE = f"""
site: {{name: town, time_zone: Europe/Berlin}}
areas: {{grid: All}}
devices:
  d:
    area: grid
    protocol: modbus
    connection: {{host: 192.0.2.1, port: 502}}
    groups: {{fast: {{period_ms: 100}}}}
    points:
      load_kw: {{table: input, address: 0, type: int16, unit: kW}}
      hz: {{table: input, address: 1, type: int16, unit: Hz, scale: 0.01}}
      soc_pct: {{table: input, address: 2, type: int16, unit: "%"}}
      connected: {{table: discrete, address: 0}}
      sun_in_wh: {{table: input, address: 10, type: uint32, unit: Wh}}
      sun_out_wh: {{table: input, address: 12, type: uint32, unit: Wh}}
      home_in_wh: {{table: input, address: 14, type: uint32, unit: Wh}}
      home_out_wh: {{table: input, address: 16, type: uint32, unit: Wh}}
      car_in_wh: {{table: input, address: 18, type: uint32, unit: Wh}}
      car_out_wh: {{table: input, address: 20, type: uint32, unit: Wh}}
market:
  area: grid
  price_low_per_kwh: 0.01
  price_high_per_kwh: 1
  order_max_kwh: 50
  cover_per_kwh: 0.1
  settle_delay_min: 10
  bill: day
  price:
    base_rate_per_kwh: 0.2
    load: d.load_kw
    rated_kw: 100
    frequency: d.hz
    hours: {{noon: {{from_h: 13, to_h: 14, multiplier: 1.5}}}}
  feeders: {{f1: {{export_max_kw: 60, import_max_kw: 60}}}}
  tariffs: {{all: {{base_rate_per_kwh: 0.25, standing_charge: 1}}}}
  participants:
    sun:
      kind: producer
      key: keys/sun.pem
      credit: 100
      tariff: all
      devices: {{roof: {{kind: source, feeder: f1, export_max_kw: 20}}}}
      meters: {{sun_m: {{import: d.sun_in_wh, export: d.sun_out_wh, feeder: f1, export_max_kw: 20,
              import_max_kw: 20}}}}
    home:
      kind: consumer
      public_key: "{HOME.public.hex()}"
      credit: 50.5
      devices: {{house: {{kind: consumer, feeder: f1, import_max_kw: 20}}}}
      meters: {{home_m: {{import: d.home_in_wh, export: d.home_out_wh, feeder: f1, export_max_kw: 20,
              import_max_kw: 20}}}}
    car:
      kind: vehicle
      key: keys/car.pem
      credit: 20
      devices:
        pack: {{kind: vehicle, feeder: f1, export_max_kw: 10, import_max_kw: 10, storage_kwh: 60, keep_kwh: 20,
               level: d.soc_pct, connected: d.connected, stay_h: 4}}
      meters: {{car_m: {{import: d.car_in_wh, export: d.car_out_wh, feeder: f1, export_max_kw: 20,
              import_max_kw: 20}}}}
"""
REGISTERS = ("sun_in_wh", "sun_out_wh", "home_in_wh", "home_out_wh", "car_in_wh", "car_out_wh")


class NoForecast:
    """Forecasts of one value, where there is one."""

    def __init__(self) -> None:
        self.kilowatts: float | None = None

    def ahead(self, forecast: str, axis: Axis) -> tuple[Any, datetime] | None:
        if self.kilowatts is None:
            return None
        return np.full(axis.horizon, self.kilowatts), datetime.now(UTC)


class Bench:
    """A market without its process: time, tags and registers are the test's."""

    first_wh = 1_000

    def __init__(self, site: Site, state: Path, folder: Any) -> None:
        assert site.market is not None
        self.site, self.state, self.folder = site, state, folder
        self.settings = site.market
        self.now_us = START_US
        self.values: dict[str, float | None] = {
            "d.load_kw": 50.0, "d.hz": 50.0, "d.soc_pct": 50.0, "d.connected": 0.0
        }  # fmt: skip
        self.registers = dict.fromkeys(REGISTERS, self.first_wh)
        self.forecasts = NoForecast()
        self.quotes: dict[str, Quotes] = {}
        self.answers = Answers()
        self.office: Office | None = None
        tags = [tag for tag in site.tags if tag.name.removeprefix("d.") in REGISTERS]
        for entry in folder.recorder.catalogue.register(tags, folder.clock()):
            folder.entries[entry.path] = entry
        self.history = folder.history()
        self.meter(at_us=START_US - 60_000_000)
        self.meter()
        self.open()

    def clock(self) -> int:
        self.now_us += 1
        return self.now_us

    def open(self) -> None:
        """As the part does at its start."""
        names = {tag: self.site.tags[tag].name for tag in self.settings.inputs}
        self.office = open_office(
            self.settings, self.state, self.site.name, self.history,
            lambda tag: self.values[names[tag]], names, self.forecasts, ZoneInfo(self.site.time_zone), self.clock,
            self.quotes, self.site.demand_response, self.state / "demand_response.sqlite",
        )  # fmt: skip
        self.answers.office = self.office

    def close(self) -> None:
        if self.office is not None:
            self.office.close()

    def restart(self, **settings: Any) -> None:
        """The part killed and started again, with another section perhaps."""
        self.close()
        self.settings = replace(self.settings, **settings)
        self.open()

    @property
    def community(self) -> Community:
        assert self.office is not None
        return self.office.desk.community

    def look(self) -> None:
        assert self.office is not None
        self.office.look()
        self.answers.status = MarketStatus.OPEN if self.office.can_trade else MarketStatus.NO_HISTORY

    def meter(self, *missing: str, at_us: int | None = None) -> None:
        """What history gets of the registers now."""
        at_us = self.now_us if at_us is None else at_us
        self.folder.clock.now = self.now_us * 1_000
        for name in REGISTERS:
            if name not in missing:
                self.folder.write(f"d.{name}", [at_us * 1_000], [self.registers[name]], flush=False)
        assert self.folder.recorder.flush()

    def until(self, at_us: int, *missing: str) -> None:
        """Time goes on by minutes, with the registers read and a look at each."""
        while self.now_us < at_us:
            self.now_us = min(self.now_us // 60_000_000 * 60_000_000 + 60_000_000, at_us)
            self.meter(*missing)
            self.look()

    # ------------------------------------------------------------ members

    def key(self, name: str) -> SigningKey:
        return HOME if name == "home" else SigningKey.load(self.state / "keys" / f"{name}.pem")

    def pen(self, key: SigningKey) -> Pen:
        assert self.office is not None
        state = self.office.desk.book.state
        pen = Pen(key, state.ledger, self.clock)
        pen.follow(state.authors[state.keys[key.public]].number if key.public in state.keys else 0)
        return pen

    def ask(self, request: wire.Request) -> wire.Reply:
        """Over the wire's bytes, without a socket."""
        assert wire.decode_request(wire.encode_request(request)) == request
        reply = self.answers.answer(request, self.now_us)
        assert wire.decode_reply(wire.encode_reply(reply)) == reply
        return reply

    def submit(self, bundle: Bundle) -> tuple[Judged, ...]:
        reply = self.ask(wire.Submit("1", bundle))
        assert isinstance(reply, wire.Placed), reply
        return reply.outcomes

    def say(self, name: str, *facts: Fact) -> tuple[Judged, ...]:
        bodies: list[Body] = [record_of(fact) for fact in facts]
        return self.submit(self.pen(self.key(name)).sign(bodies))

    def join_home(self) -> None:
        """As `tieline market join` does it."""
        told = self.ask(wire.AskTerms("1", HOME.public))
        assert isinstance(told, wire.Told)
        bodies = [Record("registry.join", bytes.fromhex(told.content["join"]))]
        bodies += [
            Record("registry.device", bytes.fromhex(each["manifest"])) for each in told.content["devices"]
        ]
        assert not any(outcome.reason for outcome in self.submit(self.pen(HOME).sign(bodies)))
        self.look()

    def order(self, side: Side, wh: int, price: int, **more: Any) -> Order:
        device = "house" if side is Side.BUY else "roof"
        made = Order(Venue.AUCTION, side, FIRST_US, device, wh, price, "EUR", 0, FIRST_US)
        return replace(made, **more)


sys.modules["market_bench"] = sys.modules[
    __name__
]  # so that tests import it, whatever their folder is called
_SPEC = importlib.util.spec_from_file_location("market_town", Path(__file__).with_name("town.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
_TOWN = sys.modules["market_town"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_TOWN)


@pytest.fixture(scope="session")
def market_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    path = tmp_path_factory.mktemp("site") / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    return load_site(path)


@pytest.fixture
def bench(market_site: Site, tmp_path: Path, folder: Any) -> Iterator[Bench]:
    folder.clock.now = START_US * 1_000 - SECOND
    made = Bench(market_site, tmp_path, folder)
    yield made
    made.close()
    made.history.close()


@pytest.fixture
def town(market_site: Site, tmp_path: Path, folder: Any) -> Iterator[Any]:
    """The part itself, in a thread (`town.Town`)."""
    made = _TOWN.Town(market_site, tmp_path, folder)
    with made.region:
        yield made
