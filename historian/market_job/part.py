"""The part that runs the market. It reads tags and history, writes tags of its own, and touches no device."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from gateway.config.market import MarketSettings, MarketStatus
from gateway.config.part import PartContext, work_in_thread
from gateway.config.paths import run_paths
from gateway.config.plant_time import speed_of
from gateway.config.site import Site
from gateway.config.system import MARKET_OWNER
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality, is_good
from gateway.tags.sample import to_bits, value_from_bits
from gateway.tags.tag import ValueType
from historian.dispatch_job.foresight import NoForecasts, StoredForecasts
from historian.errors import HistoryError
from historian.keeping.clock import ClockWatch, since_boot
from historian.ledger.errors import LedgerError
from historian.ledger.pen import now_us
from historian.market_job.agents.foreseen import StoredBands
from historian.market_job.agents.planned import StoredPlan
from historian.market_job.agents.traders import Traders
from historian.market_job.anchor import start_anchoring
from historian.market_job.answers import Answers
from historian.market_job.door import Door, Inbox, make_inbox
from historian.market_job.office import Office, open_office
from historian.market_job.opening import check_room
from historian.market_job.peers.door import PeerDoor
from historian.market_job.peers.link import links_of
from historian.market_job.peers.peering import Peering
from historian.market_job.quotes import Quotes, keep_fetching, quotes_of
from historian.market_job.tags import (
    Said,
    told,
    told_agents,
    told_commitments,
    told_feeds,
    told_peers,
    types_of,
)
from historian.query.history import History
from historian.signing import KeyFileError

log = logging.getLogger(__name__)

LOOK_S = 1.0
REOPEN_S = 10.0  # a ledger that cannot be opened, or be written, is tried again so often
ANCHOR_END_S = 1.0
MOST_TROUBLES = 3  # of those that are told, the gravest
LEAST_LEAP_NS = 10**9
LEAP_TOLD_S = 900.0  # that the clock was put ahead or back: as long as an interval mostly is
REFRESH_S = 20.0  # what stays is told again so often: every second would be kept for years
_AWAY = (LedgerError, KeyFileError, OSError, sqlite3.Error)


async def run(context: PartContext) -> None:
    """Trade until stopped. Raises RegionError where there is no region, or somebody else trades; OSError."""
    inbox = make_inbox()
    door = Door(context.paths.market_socket, inbox)
    others = _peer_door(context, door)

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        trade_on(
            context.region_name, context.site, context.paths.state, context.paths.history, inbox, stop, ready
        )

    await door.start()
    if others is not None:
        others.start()
    try:
        await work_in_thread(context, work)
    finally:
        if others is not None:
            await others.stop()
        await door.stop()


def _peer_door(context: PartContext, door: Door) -> PeerDoor | None:
    settings = context.site.market
    if settings is None or settings.listen is None or not settings.peers:
        return None
    return PeerDoor(settings.listen, settings.peers, context.paths.state, door)


def trade_on(
    region_name: str,
    site: Site,
    state: Path,
    history_folder: Path,
    inbox: Inbox,
    stop: threading.Event,
    ready: Callable[[], object],
    *,
    clock: Callable[[], int] = now_us,
    steady: Callable[[], int] = since_boot,
    look_s: float = LOOK_S,
    reopen_s: float = REOPEN_S,
) -> None:
    """Trade until ``stop``: requests as they come, and what is due once every ``look_s``."""
    settings = site.market
    assert settings is not None, "the site has a section `market`"
    history = History(history_folder)
    try:
        with Region.attach(region_name) as region:
            quotes = quotes_of(settings.feeds, settings.tariffs, state, ZoneInfo(site.time_zone))
            links = links_of(settings, state)
            peering = Peering(settings, links)
            leaps = _Leaps(ClockWatch(lambda: clock() * 1_000, steady))
            market = _Market(site, settings, state, history, region, clock, quotes, peering, reopen_s, leaps)
            for link in links.values():
                # A daemon too: it may be waiting for another site.
                threading.Thread(target=link.run, args=(stop,), name=f"peer {link.name}", daemon=True).start()
            # A daemon: it may be waiting for a server of prices when the part ends.
            fetching = (settings.feeds, quotes, stop, clock)
            threading.Thread(target=keep_fetching, args=fetching, name="feeds", daemon=True).start()
            anchoring = start_anchoring(settings, state, stop)
            try:
                ready()
                while not stop.is_set():
                    assert anchoring is None or anchoring.is_alive(), "anchoring has ended by itself"
                    market.look()
                    until = time.monotonic() + look_s
                    while (left := until - time.monotonic()) > 0 and not stop.is_set():
                        market.serve(inbox, min(left, LOOK_S))
            finally:
                market.close()
                if anchoring is not None:
                    # It may be waiting for a node; what it has sent is asked of the chain at the next start.
                    stop.set()
                    anchoring.join(ANCHOR_END_S)
    finally:
        history.close()


class _Leaps:
    """What is told of the clock's last leap, for a while. What follows of one is the office's and the ledger's."""

    def __init__(self, watch: ClockWatch) -> None:
        self._watch = watch
        self._told: list[str] = []
        self._until = 0.0

    def look(self) -> list[str]:
        """One line while there is something to tell."""
        jump = self._watch.look()
        if jump is not None and abs(jump.size) >= LEAST_LEAP_NS:
            size = timedelta(seconds=round(abs(jump.size) / 1e9))
            way = "ahead by" if jump.size > 0 else "back by"
            left_out = ": gates that lay between have no auction" if jump.size > 0 else ""
            self._told = [f"the clock was put {way} {size}{left_out}"]
            self._until = time.monotonic() + LEAP_TOLD_S
        elif time.monotonic() >= self._until:
            self._told = []
        return self._told


class _Market:
    """The office while its ledger is well, and what the tags and the door tell while it is not."""

    def __init__(
        self,
        site: Site,
        settings: MarketSettings,
        state: Path,
        history: History,
        region: Region,
        clock: Callable[[], int],
        quotes: dict[str, Quotes],
        peering: Peering,
        reopen_s: float,
        leaps: _Leaps,
    ) -> None:
        self._leaps = leaps
        self._peering = peering
        self._reopen_s = reopen_s
        self._site = site
        self._quotes = quotes
        self._settings = settings
        self._state = state
        self._history = history
        self._clock = clock
        self._answers = Answers()
        self._answers.peering = peering
        self._publisher = _Publisher(settings, region.claim(MARKET_OWNER))
        self._read = _reader(region, settings)
        self._traders = Traders(
            settings,
            self._answers.answer,
            self._read,
            StoredBands(state),
            ZoneInfo(site.time_zone),
            state,
            clock,
            StoredPlan(state, speed_of(site)),
        )
        self._answers.traders = self._traders
        self._office: Office | None = None
        self._reopen_at = 0.0
        self._was_lost = False  # while it was open: then it is opened again where there is room to write
        self._troubles: tuple[str, ...] = ()

    def look(self) -> None:
        """One look of the office, and the tags told."""
        leapt = self._leaps.look()
        status = MarketStatus.NO_LEDGER
        if self._office is None and time.monotonic() >= self._reopen_at:
            self._open()
        office = self._office
        if office is not None:
            try:
                office.look()
                self._traders.look(office, self._clock())
                self._peering.look(office, self._clock())
                status = MarketStatus.OPEN if office.can_trade else MarketStatus.NO_HISTORY
                self._complain([*leapt, *office.troubles(), *self._peering.troubles][:MOST_TROUBLES])
            except HistoryError as error:
                office.can_trade = False
                status = MarketStatus.NO_HISTORY
                self._complain([f"no history: {error}"])
            except _AWAY as error:
                self._lose(error)
                status = MarketStatus.NO_LEDGER
        self._answers.status = status
        self._tell()

    def serve(self, inbox: Inbox, patience_s: float) -> None:
        """Answer what comes within so long; all of it, one by one."""
        try:
            asked = inbox.get(timeout=patience_s)
        except queue.Empty:
            return
        try:
            asked.reply(self._answers.answer(asked.request, self._clock()))
        except _AWAY as error:
            # Whether it is on the record is known once the ledger was read again: by the same client id.
            self._lose(error)
            self._answers.status = MarketStatus.NO_LEDGER
            asked.reply(self._answers.answer(asked.request, self._clock()))

    def close(self) -> None:
        """Let go of the ledger."""
        if self._office is not None:
            self._office.close()
            self._office = None

    def _open(self) -> None:
        if self._was_lost:
            try:
                check_room(self._settings, self._state)
            except OSError:  # it stays as it was told when it was lost
                self._reopen_at = time.monotonic() + self._reopen_s
                return
        zone = ZoneInfo(self._site.time_zone)
        names = {tag: self._site.tags[tag].name for tag in self._settings.inputs}
        forecasts = StoredForecasts(self._state) if self._site.forecasts else NoForecasts()
        try:
            self._office = open_office(
                self._settings,
                self._state,
                self._site.name,
                self._history,
                self._read,
                names,
                forecasts,
                zone,
                self._clock,
                self._quotes,
                self._site.demand_response,
                run_paths(self._site.name, self._state).demand_response,
            )
        except _AWAY as error:
            self._lose(error)
        self._answers.office = self._office

    def _lose(self, error: Exception) -> None:
        self._was_lost |= self._office is not None
        self.close()
        self._answers.office = None
        self._traders.pause()
        self._reopen_at = time.monotonic() + self._reopen_s
        self._complain([str(error)])

    def _complain(self, troubles: Sequence[str]) -> None:
        """Each is logged when it comes; the tag tells all."""
        if self._was_lost and self._office is not None:
            self._was_lost = False
            log.info("the market goes on")
        for trouble in troubles:
            if trouble not in self._troubles:
                log.error("THE MARKET: %s", trouble)
        self._troubles = tuple(troubles)
        self._answers.error = "; ".join(troubles)

    def _tell(self) -> None:
        answers = self._answers
        now_us = self._clock()
        said = told(self._settings, self._office, answers.status, answers.refused, answers.error, now_us)
        said |= told_feeds(self._settings, self._quotes, now_us)
        said |= told_agents(self._settings, self._traders.doing)
        said |= told_commitments(self._settings, self._office, now_us)
        self._publisher.tell(said | told_peers(self._settings, self._peering))


def _reader(region: Region, settings: MarketSettings) -> Callable[[int], float | None]:
    """A tag's value now; None where it is not Good."""
    types = {tag: region.type_of(tag) for tag in settings.inputs}

    def read(tag: int) -> float | None:
        (row,) = region.read(np.array([tag], np.uint32))
        if not is_good(int(row["status"])):
            return None
        return float(value_from_bits(int(row["value"]), types[tag]))

    return read


class _Publisher:
    """Writes what changed at once, and what stays now and then."""

    def __init__(self, settings: MarketSettings, writer: Writer) -> None:
        self._writer = writer
        self._types = types_of(settings)
        self._told: dict[int, Said] = {}
        self._refreshed = -REFRESH_S

    def tell(self, said: dict[int, Said]) -> None:
        """Everything, of which is written what is due."""
        now_ns = time.time_ns()
        is_refresh = time.monotonic() - self._refreshed >= REFRESH_S
        if is_refresh:
            self._refreshed = time.monotonic()
        for tag, each in said.items():
            if not is_refresh and self._told.get(tag) == each:
                continue
            self._told[tag] = each
            at = np.array([tag], np.uint32)
            if each.value is None:
                self._writer.invalidate(Quality.BAD_NO_DATA, now_ns, at)
            elif isinstance(each.value, str):
                self._writer.write_texts(at, [each.value], each.quality, now_ns, now_ns)
            else:
                type: ValueType = self._types[tag]
                self._writer.write(at, to_bits(np.array([each.value]), type), each.quality, now_ns, now_ns)
