"""A community's weeks at speed: 12 prosumers, 8 vehicles and a utility; two weeks of meters, and one that is told of.

    python benchmarks/ledger_week.py [--out DIR] [--weeks 3] [--seed 1]

Registers of a simulated community (houses with roofs, one of them a farm's; vehicles that come home in the
evening) go into a real history through the historian's inbox, a sample a minute. The market's own office, as in
a site, works on it with a clock that is turned: members' signed orders, gates, prices, readings, settlements.
In the last week, which has the end of summer time in it, there is an event of demand response. What follows of
it the office says by itself, as of the farm's sun: event and awards, production batches with certificates. All
are billed; then a meter is corrected, what it had told settled anew, and everything verified again from the
file. Exit status 1 where a claim does not hold.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gateway.config.load import load_site
from gateway.config.site import HistorianSettings, Site
from historian.demand_response import Level
from historian.demand_response_job.store import Call, Calls
from historian.dispatch.axis import Axis
from historian.keeping.importing.inbox import Parcel, reason_of, take_alone
from historian.ledger.bundle import Bundle, sign
from historian.ledger.coding import record_of
from historian.ledger.evidence import award_for
from historian.ledger.facts import Fact, Order, Reading, ReadingQuality, Reversal, Side, Venue
from historian.ledger.metering import MICROS
from historian.ledger.pen import Pen, client_id
from historian.ledger.reward_facts import Retirement, RewardKind
from historian.ledger.statement import as_html, statement_of
from historian.ledger.statement_pdf import as_pdf
from historian.market_job.office import Office, open_office
from historian.query.history import History
from historian.signing import SigningKey
from historian.store.recorder import Recorder
from historian.store.rows import Rows

ZONE = ZoneInfo("Europe/Vienna")
BEGIN = datetime(2026, 10, 5, tzinfo=ZONE)  # a Monday; its third week ends with 25 hours of a Sunday
MINUTE_US, QUARTER_US = 60 * MICROS, 900 * MICROS
HOMES = tuple(f"home{n}" for n in range(1, 13))
CARS = tuple(f"car{n}" for n in range(1, 9))
FARM = HOMES[-1]
GRID = "grid"
MEMBERS = (*HOMES, *CARS, GRID)
SAVERS = HOMES[:4]  # take less in the event
CALLED = HOMES[:6]  # who is asked in the event
GAMBLER, TWIN = HOMES[4:6]  # alike, but that the first takes more between the notice and the event
FARM_KW = 60.0
EVENT, CALLS = "evening", "demand_response.sqlite"
EVENT_DAY, CORRECTED_HOME = 3, HOMES[2]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Days:
    """What the community does by the minute; energy in kWh of that minute."""

    minutes: Floats  # local hour of the day at each
    load: dict[str, Floats]
    sun: dict[str, Floats]
    car: dict[str, Floats]
    connected: dict[str, Floats]
    level: dict[str, Floats]  # kWh in a vehicle

    def net(self, name: str) -> Floats:
        """What a member gives (negative: takes); the grid gives what the others take."""
        if name == GRID:
            return -sum((self.net(other) for other in MEMBERS if other != GRID), np.zeros(len(self.minutes)))
        return -self.car[name] if name in self.car else self.sun[name] - self.load[name]


def simulate(weeks: int, seed: int, event: tuple[int, int, int]) -> Days:
    """``event``: minutes of its announcement, beginning and end."""
    rng = np.random.default_rng(seed)
    begin = BEGIN.astimezone(UTC)
    end = (BEGIN + timedelta(weeks=weeks)).astimezone(UTC)
    count = round((end - begin).total_seconds() / 60)
    local = [begin + timedelta(minutes=minute) for minute in range(count)]
    hours = np.array([(at := when.astimezone(ZONE)).hour + at.minute / 60 for when in local])
    cloud = np.repeat(np.clip(0.6 + np.cumsum(rng.normal(0, 0.08, count // 15)) % 0.5 - 0.25, 0.1, 1), 15)
    load, sun = {}, {}
    for name in HOMES:
        rated = FARM_KW if name == FARM else rng.uniform(3, 9)
        height = np.clip(np.sin((hours - 7.2) / 10.6 * math.pi), 0, None) * ((hours > 7.2) & (hours < 17.8))
        sun[name] = rated * height * cloud * rng.uniform(0.9, 1.0, count) / 60
        shape = (
            0.25 + 0.6 * np.exp(-(((hours - 7.5) / 1.2) ** 2)) + 1.3 * np.exp(-(((hours - 19) / 2.0) ** 2))
        )
        size = rng.uniform(0.7, 1.5) * (4 if name == FARM else 1)
        load[name] = size * shape * rng.lognormal(0, 0.25, count // 15).repeat(15)[:count] / 60
        if name in SAVERS:
            load[name][event[1] : event[2]] *= 0.35
    sun[TWIN], load[TWIN] = sun[GAMBLER].copy(), load[GAMBLER].copy()
    load[GAMBLER][event[0] : event[1]] *= 2.5
    car, connected, level = {}, {}, {}
    for name in CARS:
        taken, there, held = np.zeros(count), np.zeros(count), np.zeros(count)
        kwh, came, leaves = 45.0, rng.uniform(16.5, 18.5), rng.uniform(6.2, 7.8)
        for minute in range(count):
            is_there = hours[minute] >= came or hours[minute] < leaves
            if is_there and not there[minute - 1]:
                kwh = max(kwh - rng.uniform(8, 18), 8.0) if minute else kwh
            if is_there and hours[minute] < leaves and kwh < 55:  # it charges after midnight
                taken[minute] = 7.0 / 60
                kwh += 0.92 * taken[minute]
            there[minute], held[minute] = is_there, kwh
        car[name], connected[name], level[name] = taken, there, held
    return Days(hours, load, sun, car, connected, level)


def site_text() -> str:
    """Of 21 members; nothing of it is started, so its devices are nowhere."""
    points: list[str] = []
    participants: list[str] = []

    def point(name: str, unit: str) -> None:
        points.append(
            f"      {name}: {{table: input, address: {2 * len(points)}, type: uint32, unit: {unit}}}"
        )

    for name in MEMBERS:
        most_kw = 400 if name == GRID else 80 if name == FARM else 22
        for way in ("in", "out"):
            point(f"{name}_{way}_wh", "Wh")
        bounds = f"feeder: f1, export_max_kw: {most_kw}, import_max_kw: {most_kw}"
        devices = {
            f"{name}_source": f"kind: source, feeder: f1, export_max_kw: {most_kw}"
            + (", renewable: {technology: solar, meter: sun_meter}" if name == FARM else ""),
            f"{name}_load": f"kind: consumer, feeder: f1, import_max_kw: {most_kw}",
        }
        meters = {f"{name}_meter": f"import: d.{name}_in_wh, export: d.{name}_out_wh, {bounds}"}
        if name in CARS:
            point(f"{name}_kwh", "kWh")
            points.append(f"      {name}_is_there: {{table: discrete, address: {len(points)}}}")
            devices = {
                f"{name}_pack": f"kind: vehicle, {bounds}, storage_kwh: 60, keep_kwh: 20,"
                f" level: d.{name}_kwh, connected: d.{name}_is_there, stay_h: 12"
            }
        if name == FARM:
            for part in ("sun", "use"):  # behind its connection, each with a meter of its own
                for way in ("in", "out"):
                    point(f"{part}_{way}_wh", "Wh")
                meters[f"{part}_meter"] = (
                    f"import: d.{part}_in_wh, export: d.{part}_out_wh, {bounds}, main: false"
                )
        kind = "utility" if name == GRID else "vehicle" if name in CARS else "prosumer"
        participants.append(
            f"    {name}:\n      kind: {kind}\n      key: keys/{name}.pem\n"
            f"      credit: {2000 if name == GRID else 600}\n"
            f"      tariff: {'utility' if name == GRID else 'home'}\n      devices:\n"
            + "".join(f"        {device}: {{{text}}}\n" for device, text in devices.items())
            + "      meters:\n"
            + "".join(f"        {meter}: {{{text}}}\n" for meter, text in meters.items())
        )
    return (
        "site: {name: community, time_zone: Europe/Vienna}\nareas: {grid: All}\ndevices:\n  d:\n    area: grid\n"
        "    protocol: modbus\n    connection: {host: 192.0.2.1, port: 502}\n    groups: {fast: {period_ms: 1000}}\n"
        "    points:\n      load_kw: {table: input, address: 5000, type: int16, unit: kW}\n"
        + "\n".join(points)
        + "\nmarket:\n  area: grid\n  price_low_per_kwh: 0.01\n  price_high_per_kwh: 1\n  order_max_kwh: 120\n"
        "  settle_delay_min: 10\n  short_share: 1.1\n  long_share: 0.9\n  bill: never\n  cover_per_kwh: 0.1\n"
        "  price: {base_rate_per_kwh: 0.2, load: d.load_kw, rated_kw: 150,\n"
        "    hours: {evening: {from_h: 17, to_h: 21, multiplier: 1.4}}}\n"
        "  feeders: {f1: {export_max_kw: 500, import_max_kw: 500}}\n"
        "  tariffs:\n    home: {base_rate_per_kwh: 0.05, standing_charge: 1}\n    utility: {base_rate_per_kwh: 0}\n"
        "  rewards:\n"
        "    saving: {points: 10, most_each: 500, most_in_period: 1000, period_days: 28}\n"
        "    peak: {points: 5, most_each: 500, most_in_period: 1000, period_days: 28}\n"
        "    participation: {points: 3, most_each: 500, most_in_period: 1000, period_days: 28}\n"
        "    renewable: {points: 1, most_each: 5000, most_in_period: 5000, period_days: 28}\n"
        "  participants:\n"
        + "".join(participants)
        + "demand_response:\n  area: grid\n  participants:\n"
        + "".join(f"    {name}: {{power: d.load_kw, committed_kw: 0.5}}\n" for name in CALLED)
        + f"  programmes: {{less: {{participants: [{', '.join(CALLED)}]}}}}\n"
    )


def registers(days: Days) -> dict[str, NDArray[np.uint64]]:
    """Of each meter, in Wh at the end of each minute: a house's two registers count what it takes and gives."""
    counted = {}
    behind = ("sun", days.sun[FARM]), ("use", -days.load[FARM])
    for name, kwh in [*((name, days.net(name)) for name in MEMBERS), *behind]:
        for way, part in (("in", np.clip(-kwh, 0, None)), ("out", np.clip(kwh, 0, None))):
            counted[f"d.{name}_{way}_wh"] = (5_000 + np.cumsum(part) * 1_000).astype(np.uint64)
    return counted


def keep(site: Site, folder: Path, counted: dict[str, NDArray[np.uint64]]) -> int:
    """Into a history, stamped at the ends of minutes; how many samples."""
    index = {tag.name: place for place, tag in enumerate(site.tags)}
    recorder = Recorder(folder, HistorianSettings(), time.time_ns)
    recorder.open()
    recorder.catalogue.register([site.tags[index[name]] for name in counted], time.time_ns())
    recorder.close()  # as a first start leaves it: tags with their units
    begin_ns = round(BEGIN.timestamp()) * 10**9
    with Parcel(folder, time.time_ns()) as parcel:
        for name, values in counted.items():
            times = begin_ns + (np.arange(len(values), dtype=np.int64) + 1) * 60 * 10**9
            tags = np.full(len(values), index[name], np.uint32)
            parcel.add(
                Rows(tags, np.zeros(len(values), np.uint32), times, values, np.zeros(0, np.uint32), ())
            )
        handed_in = parcel.hand_in({index[name]: (name, site.tags[index[name]].type) for name in counted})
    take_alone(folder)
    if (reason := reason_of(handed_in)) is not None:
        raise SystemExit(f"history did not take the meters: {reason}")
    return sum(map(len, counted.values()))


class NoForecasts:
    """Nobody forecasts here."""

    def ahead(self, forecast: str, axis: Axis) -> None:
        """Nothing."""


class Community:
    """The office, the members' keys, and the clock."""

    def __init__(self, site: Site, state: Path, days: Days) -> None:
        assert site.market is not None
        self.begin_us = round(BEGIN.timestamp()) * MICROS
        self.now_us = self.begin_us + MINUTE_US
        self.days = days
        self.site = site
        names = {tag: site.tags[tag].name for tag in site.market.inputs}
        self.history = History(state / "history")
        self.office: Office = open_office(
            site.market, state, "community", self.history, lambda tag: self.read(names[tag]), names, NoForecasts(),
            ZONE, self.clock, {}, site.demand_response, state / CALLS,
        )  # fmt: skip
        self.keys = {name: SigningKey.load(state / "keys" / f"{name}.pem") for name in MEMBERS}
        book = self.office.desk.book
        self.pens = {name: Pen(key, book.id, self.clock) for name, key in self.keys.items()}
        self.refused: list[str] = []
        self.notice: Call | None = None  # an event that is given when its notice is due
        self.calls = state / CALLS
        self.orders = 0

    def clock(self) -> int:
        self.now_us += 1
        return self.now_us

    @property
    def minute(self) -> int:
        return min((self.now_us - self.begin_us) // MINUTE_US, len(self.days.minutes) - 1)

    def read(self, tag: str) -> float:
        """As the image has it."""
        name = tag.removeprefix("d.")
        if name == "load_kw":
            return float(sum(self.days.load[home][self.minute] for home in HOMES) * 60)
        car, _, what = name.partition("_")
        return float((self.days.level if what == "kwh" else self.days.connected)[car][self.minute])

    def at(self, at_us: int) -> None:
        """Let it be so late, and the office look."""
        self.now_us = max(self.now_us, at_us)
        if self.notice is not None and self.now_us * 1_000 >= self.notice.announced:
            assert self.site.demand_response is not None
            with Calls.to_write(self.calls) as calls:
                calls.add(self.notice, self.site.demand_response.programmes[0])
            self.notice = None
        self.office.look()

    def sign(self, name: str, client: str, *facts: Fact) -> Bundle:
        state = self.office.desk.book.state
        pen = self.pens[name]
        pen.follow(state.authors[state.keys[self.keys[name].public]].number)
        return sign(
            self.keys[name],
            [pen.statement(record_of(fact), client_id(f"{client}/{n}")) for n, fact in enumerate(facts)],
        )

    def trade(self, at_us: int) -> None:
        """Everybody's orders for an interval: by what it was a day ago at this hour, at a limit of its own."""
        first = (at_us - self.begin_us) // MINUTE_US
        bundles = [
            self.sign(name, f"{at_us}", *orders)
            for name in MEMBERS
            if (orders := list(self.bids(name, at_us, first)))
        ]
        for outcomes in self.office.desk.submit(bundles):
            self.orders += len(outcomes)
            self.refused += [str(outcome.refused) for outcome in outcomes if outcome.refused is not None]

    def bids(self, name: str, at_us: int, first: int) -> Iterator[Order]:
        def order(side: Side, device: str, wh: int, price: int) -> Order:
            until_us = at_us - 60 * MICROS
            return Order(Venue.AUCTION, side, at_us, device, wh, price, "EUR", 0, until_us)

        if name == GRID:
            yield order(Side.SELL, f"{name}_source", 60_000, 300_000)
            yield order(Side.BUY, f"{name}_load", 60_000, 80_000)
            return
        day_ago = first - 1_440
        wh = round(float(self.days.net(name)[day_ago : day_ago + 15].sum()) * 1_000) if day_ago >= 0 else 0
        spread = 1_000 * (MEMBERS.index(name) % 7)
        if name in CARS:
            if wh < 0 and self.days.connected[name][self.minute]:
                yield order(Side.BUY, f"{name}_pack", -wh, 310_000 + spread)
        elif wh > 0:
            yield order(Side.SELL, f"{name}_source", wh, 60_000 + spread)
        elif wh < 0:
            yield order(Side.BUY, f"{name}_load", -wh, 320_000 + spread)


class Claims:
    """What is claimed, told as it is found."""

    def __init__(self) -> None:
        self.failed = 0

    def __call__(self, what: str, holds: bool) -> None:
        self.failed += not holds
        print(f"{'holds' if holds else 'FAILS':<6} {what}", flush=True)


def euro(millionths: int) -> str:
    return f"{millionths / 1e6:,.2f} EUR"


def tieline(*words: str) -> tuple[int, str]:
    """The command, as anybody with the file would say it."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.node", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def run(community: Community, edges: list[int]) -> None:
    """Each interval: orders, its gate, its readings and settlement; bills at each edge after the first."""
    for at_us in range(edges[0], edges[-1], QUARTER_US):
        community.at(at_us - 6 * MINUTE_US)
        community.trade(at_us)
        community.at(at_us - 5 * MINUTE_US + MICROS)
        community.at(at_us + 2 * MICROS)
        if at_us in edges[1:]:
            bill_all(community, edges[0], at_us)
        if (at_us - community.begin_us) % (86_400 * MICROS) == 0:
            day = datetime.fromtimestamp(at_us / MICROS, ZONE)
            print(f"  {day:%a %Y-%m-%d}", file=sys.stderr, flush=True)
    community.at(edges[-1] + 2 * MICROS)
    bill_all(community, edges[-2], edges[-1])
    community.at(edges[-1] + 2 * MINUTE_US)  # the last day's sun, and what it earns
    community.at(edges[-1] + 3 * MINUTE_US)


def bill_all(community: Community, from_us: int, to_us: int) -> None:
    """All members and the utility, once the period is settled."""
    for name in MEMBERS:
        outcome = community.office.desk.bill(name, "utility" if name == GRID else "home", from_us, to_us)
        if outcome.refused is not None:
            raise SystemExit(f"{name} is not billed: {outcome.refused}")


def check_trades(community: Community, claim: Claims, week: tuple[int, int]) -> None:
    ledger = community.office.desk.community
    of_week = [trade for trade in ledger.trades if week[0] <= trade.interval_us < week[1]]
    settled = [at for at in ledger.settled if week[0] <= at < week[1]]
    mwh = sum(trade.wh for trade in of_week if trade.buyer) / 1e6
    asked = (week[1] - week[0]) // QUARTER_US
    claim(
        f"{len(settled)} of {asked} intervals settled, {len(of_week):,} trades, {mwh:.2f} MWh",
        len(settled) == asked,
    )
    reasons = Counter(why.partition(":")[0] + ": " + why.split(" ", 1)[1][:60] for why in community.refused)
    print("       refused: " + "; ".join(f"{count} {why}" for why, count in reasons.most_common(3)))
    # A vehicle asks for what it took a day ago: not always what its session still has room for.
    beyond = sum("the session of" in why for why in community.refused)
    claim(
        f"{community.orders:,} orders; {beyond} were refused as beyond their vehicle's session, none else",
        beyond == len(community.refused),
    )
    wrong = 0
    for at_us in settled:
        lines = ledger.settled[at_us].lines
        first = (at_us - community.begin_us) // MINUTE_US
        for name, line in lines.items():
            # against the community as it was simulated, not as the ledger says: both registers round down
            truth = float(community.days.net(name)[first : first + 15].sum()) * 1_000
            wrong += abs(line.metered_wh - truth) > 2
    claim("each line of each settlement is what the meters showed, to 2 Wh", not wrong)
    claim("what members gave and took, with the utility, is 0 to the registers' rounding", all(
        abs(sum(line.metered_wh for line in ledger.settled[at].lines.values())) <= 2 * len(MEMBERS) for at in settled
    ))  # fmt: skip


def check_bills(community: Community, claim: Claims, out: Path) -> None:
    desk = community.office.desk
    bills = desk.community.billing.bills
    accounts = desk.book.state.accounts
    income = {
        account: balance.amount
        for account, balance in accounts.items()
        if account.startswith(("fees.", "market.imbalance", "market.surplus"))
    }
    paid = {  # at the gates, out of deposits
        name: sum(trade.amount for trade in desk.community.trades if trade.buyer and trade.buyer[0] == name)
        for name in MEMBERS
    }
    owed = {name: sum(bill.own for _, bill in bills if bill.participant == name) for name in MEMBERS}
    members = sum(paid[name] + owed[name] for name in MEMBERS if name != GRID)
    kept = ", ".join(f"{account} {euro(amount)}" for account, amount in income.items() if amount)
    print(f"       members paid and owe {euro(members)}, the utility {euro(paid[GRID] + owed[GRID])}; {kept}")
    claim(
        "what members paid and are billed is, to the millionth, what the utility and the community get",
        members == -(paid[GRID] + owed[GRID]) + sum(income.values()),
    )
    claim("deposits went down by just what was bought", all(
        accounts[f"{name}.deposit"].amount == -accounts[f"credit.{name}"].amount - paid[name] for name in MEMBERS
    ))  # fmt: skip
    claim("each statement's lines in cents add up to its total", all(
        sum(bill.cents()) == (bill.amount + 5_000) // 10_000 for _, bill in bills
    ))  # fmt: skip
    claim(
        "every account is even: units of money sum to 0",
        not sum(b.amount for b in accounts.values() if b.unit == "EUR"),
    )
    for entry, bill in bills[-len(MEMBERS) :]:
        if bill.participant in (HOMES[0], FARM, GRID):
            statement = statement_of(bill, "EUR", entry, desk.book.id, ZONE)
            (out / f"{bill.participant}.html").write_text(as_html(statement))
            (out / f"{bill.participant}.pdf").write_bytes(as_pdf(statement))


def check_rewards(community: Community, claim: Claims) -> None:
    """What the office has put on record by itself."""
    desk = community.office.desk
    treasury = desk.community.treasury
    now_us = desk.community.now_us
    points = {name: treasury.rewards.available(name, now_us) for name in SAVERS}
    claim(f"who took less in the event has points: {points}", all(points.values()))
    awards = [award_for(desk.community, name, RewardKind.SAVING, EVENT) for name in (GAMBLER, TWIN)]
    claim(
        f"who took more between notice and event has the same baseline as its twin: {awards[0].baseline:,} Wh",
        awards[0].baseline == awards[1].baseline,
    )
    batches = [batch for _, batch in treasury.certificates.batches.values()]
    wh = sum(batch.wh for batch in batches)
    edges = min(batch.from_us for batch in batches), max(batch.to_us for batch in batches)
    energy = desk.community.meters.energy("sun_meter", *edges)
    assert energy is not None
    claim(f"{len(batches)} days of sun are what its meter shows: {wh:,} Wh", wh == energy.export_wh)
    held = desk.book.state.accounts[f"{FARM}.certificates"].amount
    earned = treasury.rewards.available(FARM, now_us)
    claim(
        f"{wh / 1e6:.3f} MWh of sun are {held} certificates, and {earned} points",
        held == wh // 10**6 > 0 < earned,
    )
    retire = Retirement(f"{FARM}_source", 1, 1, "home1")
    first, again = (
        desk.submit([community.sign(FARM, f"retire-{n}", retire)])[0][0].refused for n in range(2)
    )
    claim(f"one is retired, and not again ({again})", first is None and again is not None)


def correct(community: Community, claim: Claims, noon_us: int) -> None:
    """A meter is found to have counted 400 Wh too many at an instant."""
    desk = community.office.desk
    meter = f"{CORRECTED_HOME}_meter"
    kept = desk.community.meters.reading(meter, noon_us)
    assert kept is not None
    before = desk.community.meters.reading(meter, noon_us - QUARTER_US)
    assert before is not None
    spare = min(400, kept.export_wh - before.export_wh)
    outcomes = desk.say(
        Reversal(meter, noon_us, kept.entry, "the register was read a minute late"),
        Reading(meter, noon_us, kept.import_wh, kept.export_wh - spare, ReadingQuality.MEASURED),
    )
    refused = [str(outcome.refused) for outcome in outcomes if outcome.refused is not None]
    claim(f"the meter is corrected by {spare} Wh {refused or ''}", not refused and spare > 0)
    owed = desk.book.state.accounts[f"{CORRECTED_HOME}.current"].amount
    for at_us in (noon_us - QUARTER_US, noon_us):
        outcome = desk.settle(at_us)
        settled = desk.community.settled[at_us]
        is_again = outcome.refused is None and settled.version == 2
        claim(f"its interval is settled again: version {settled.version}", is_again)
    after = desk.book.state.accounts[f"{CORRECTED_HOME}.current"].amount
    claim(f"its account moved by {after - owed:+,} millionths", after != owed)


def receipt(community: Community) -> str:
    """Of the last entry."""
    head = community.office.desk.book.state.head
    return f"{head.sequence}:{head.hash.hex()}"


def verify(claim: Claims, file: Path, receipt: str, when: str) -> None:
    """By the command line, from the file and the last entry's receipt alone."""
    for words in (("verify", "--receipt", receipt), ("audit",), ("reconcile",), ("rewards", "--check")):
        began = time.perf_counter()
        status, told = tieline("ledger", words[0], str(file), *words[1:])
        last = told.splitlines()[-1] if told else ""
        claim(
            f"{when}: tieline ledger {words[0]} ({time.perf_counter() - began:.0f} s): {last[:110]}",
            status == 0,
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, help="where statements and the ledger are left (default: nowhere)"
    )
    parser.add_argument(
        "--weeks", type=int, default=3, help="the last is told of; baselines need two before it"
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = args.out or Path(folder)
        state.mkdir(parents=True, exist_ok=True)
        return tell(state, args.weeks, args.seed)


def tell(state: Path, weeks: int, seed: int) -> int:
    claim = Claims()
    week_begin = BEGIN + timedelta(weeks=weeks - 1)
    event_day = week_begin + timedelta(days=EVENT_DAY)
    event_us = [round(event_day.replace(hour=hour).timestamp()) * MICROS for hour in (8, 18, 19)]
    begin_us = round(BEGIN.timestamp()) * MICROS
    notice, begins, ends = ((at - begin_us) // MINUTE_US for at in event_us)
    began = time.perf_counter()
    days = simulate(weeks, seed, (notice, begins, ends))
    (state / "site.yaml").write_text(site_text())
    site = load_site(state / "site.yaml")
    count = keep(site, state / "history", registers(days))
    print(f"{count:,} samples of meters in history after {time.perf_counter() - began:.0f} s")
    community = Community(site, state, days)
    community.at(community.now_us)  # members, devices and meters are brought into the ledger
    desk = community.office.desk
    announced, start, until = (at_us * 1_000 for at_us in event_us)
    community.notice = Call(EVENT, "less", start, until, Level.MODERATE, announced, "operator")
    began = time.perf_counter()
    week = (
        round(week_begin.timestamp()) * MICROS,
        round((BEGIN + timedelta(weeks=weeks)).timestamp()) * MICROS,
    )
    edges = [begin_us + QUARTER_US, *((week[0],) if weeks > 1 else ()), week[1]]
    run(community, edges)
    for trouble in community.office.troubles():
        print("       " + trouble)
    print(f"{weeks} weeks, {desk.book.state.head.sequence:,} entries in {time.perf_counter() - began:.0f} s")
    check_trades(community, claim, week)
    check_bills(community, claim, state)
    check_rewards(community, claim)
    file = state / "market.ledger"
    verify(claim, file, receipt(community), "after the week")
    correct(community, claim, round((week_begin + timedelta(days=2, hours=12)).timestamp()) * MICROS)
    last = receipt(community)
    community.office.close()
    verify(claim, file, last, "after the correction")
    print(f"{claim.failed} of the claims fail" if claim.failed else "all hold")
    return 1 if claim.failed else 0


if __name__ == "__main__":
    sys.exit(main())
