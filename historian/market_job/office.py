"""What the market does by itself, one look at a time: gates, readings, prices, settlement, bills, periods.

Everything it decides by is in the ledger: after a restart it goes on where it was and does nothing twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.config.demand_response import DemandResponseSettings
from gateway.config.market import MarketSettings
from historian.dispatch_job.foresight import Source
from historian.ledger.desk import Desk
from historian.ledger.errors import Refused
from historian.ledger.facts import BillIssue, Gate, Halt, Price, Status
from historian.ledger.market.price import MOST_RATE
from historian.ledger.metering import MICROS
from historian.market_job.bills import Biller
from historian.market_job.opening import Opened, open_market
from historian.market_job.plugs import Plugs
from historian.market_job.pricing import NoPrice, means, price_again, price_now
from historian.market_job.production import Production
from historian.market_job.quotes import NoQuote, Quotes
from historian.market_job.readings import MeterReader
from historian.market_job.registrar import Registrar
from historian.market_job.rewarding import Rewarding
from historian.query.history import History
from historian.signing import SigningKey

# A gate that is closed so long after its interval began, or later, has no auction: nobody could follow it any more.
LATE_US = 15 * MICROS
BEHIND_US = MICROS  # what a time daemon steps now and then is not worth a word
MOST_GATES = 100  # of one look: a day's after an outage; the door is served between looks
MOST_SETTLED = 20
REGISTER_PAUSE_US = 60 * MICROS
PERIOD_US = 86_400 * MICROS  # a period of the ledger is closed each day
AWAY, NO_HISTORY = "the market was away", "no history to settle by"


class Office:
    """A market that is open; made anew where its ledger failed."""

    def __init__(
        self,
        settings: MarketSettings,
        opened: Opened,
        history: History,
        read: Callable[[int], float | None],
        names: Mapping[int, str],
        forecasts: Source,
        zone: ZoneInfo,
        clock: Callable[[], int],
        quotes: Mapping[str, Quotes],
        events: DemandResponseSettings | None = None,
        calls: Path | None = None,
    ) -> None:
        self.settings = settings
        self.desk = Desk(opened.book, opened.key, clock)
        self.held = opened.held
        self.zone = zone
        self._opened = opened
        self._clock = clock
        self.quotes = quotes
        self._history = history
        self._read = read
        self._names = names
        self._interval_us = settings.interval_s * MICROS
        self._lead_us = settings.gate_lead_s * MICROS
        self._registrar = Registrar(settings, self.desk, opened.held, zone, clock)
        self.reader = MeterReader(settings, self.desk, history)
        self.plugs = Plugs(settings, self.desk, read, forecasts)
        self._biller = Biller(settings, self.desk, zone)
        self._production = Production(settings, self.desk, zone)
        self._rewarding = Rewarding(settings, self.desk, zone, events, calls)
        self._registered_us = -REGISTER_PAUSE_US
        self._gate_us = 0
        self._open: deque[int] = deque()  # gated, and not settled yet
        self._refused: dict[int, str] = {}  # intervals that could not be settled, and why
        self._closed_at_us = opened.closed_at_us
        self._price_trouble = self._feed_trouble = ""
        self.can_trade = False
        self.must_register = True

    @property
    def key(self) -> bytes:
        """The operator's public key."""
        return self._opened.key.public

    @property
    def signing(self) -> SigningKey:
        """The operator's key: other sites know ours by it."""
        return self._opened.key

    def start(self) -> None:
        """Read the ledger, and post what is owed. Raises LedgerError."""
        self.desk.start()
        self._register(self._clock())
        market = self.desk.community.market
        gated = [at for at, interval in market.intervals.items() if interval.is_gated]
        self._open = deque(sorted(at for at in gated if at not in self.desk.community.settled))
        now_us = self._clock()
        current_us = now_us - now_us % self._interval_us
        # A market that begins has its first gate with the first interval that can still be traded.
        first_us = current_us + self._interval_us
        while first_us - self._lead_us <= now_us:
            first_us += self._interval_us
        first_us = min([first_us, *market.intervals])  # orders may stand from before, and none was gated yet
        self._gate_us = max(gated) + self._interval_us if gated else first_us

    def close(self) -> None:
        """Let go of the ledger."""
        self._opened.book.close()

    @property
    def gate_us(self) -> int:
        """The interval that is traded next."""
        return self._gate_us

    def troubles(self) -> list[str]:
        """What is the matter, the gravest first."""
        told = [why for why in (self._clock_trouble(), self._price_trouble, self._feed_trouble) if why]
        told += [why for _, why in sorted(self._refused.items())][:1]
        told += [*self._registrar.troubles, *self._biller.troubles, *self.reader.troubles.values()]
        return [*told, *self._production.troubles, *self._rewarding.troubles]

    def _clock_trouble(self) -> str:
        """The ledger's time does not go back: the last entry's holds until the clock has come there."""
        last_us = self.desk.book.state.head.placed_at_us
        if self._clock() >= last_us - BEHIND_US:
            return ""
        last = datetime.fromtimestamp(last_us // MICROS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"the clock is behind the ledger, whose last entry is of {last}: entries bear that time until then, and"
            " no interval is traded or settled again"
        )

    # ------------------------------------------------------------ a look

    def look(self) -> None:
        """Do what is due. Raises LedgerError where the ledger cannot be written, HistoryError, OSError."""
        now_us = self._clock()
        if self.must_register or not 0 <= now_us - self._registered_us < REGISTER_PAUSE_US:
            self._register(now_us)
        self.can_trade = self.desk.community.market.rules is not None and self.reader.is_history_there(now_us)
        if self.desk.community.market.rules is None:
            return
        self.plugs.look(now_us)
        self._close_gates(now_us)
        self.reader.look(self._edges(now_us), now_us)
        self._settle(now_us)
        settled_to_us = self._open[0] if self._open else self._gate_us
        self._biller.look(now_us, settled_to_us)
        self._production.look(now_us)
        self._rewarding.look(now_us, settled_to_us)
        if now_us - self._closed_at_us >= PERIOD_US:
            self._opened.book.close_period(self._opened.key)
            self._closed_at_us = now_us

    def _register(self, now_us: int) -> None:
        self._registrar.bring_up()
        self._registered_us = now_us
        self.must_register = False

    def _close_gates(self, now_us: int) -> None:
        for _ in range(MOST_GATES):
            at_us = self._gate_us
            if at_us - self._lead_us > now_us:
                return
            is_late = now_us >= at_us + LATE_US
            if is_late or not self.can_trade:
                self.desk.demand(Halt(at_us, AWAY if is_late else NO_HISTORY))
            else:
                self.desk.demand(Gate(at_us))
            self._open.append(at_us)
            self._gate_us += self._interval_us
            if not is_late:
                self._tell_price(at_us)

    def _tell_price(self, at_us: int) -> None:
        """By the tags as they are at the gate."""
        price = self.price_now(at_us)
        self._price_trouble = price.why if isinstance(price, NoPrice) else ""
        if not isinstance(price, NoPrice):
            self.desk.demand(price)

    def price_now(self, at_us: int) -> Price | NoPrice:
        """An interval's price as the tags are now."""
        rules = self.desk.community.market.in_force()
        try:
            return price_now(
                self.settings.price, rules, self._read, self._names, at_us, self.zone, self._base_rate(at_us)
            )
        except Refused as refused:
            return NoPrice(f"no price: {refused.why}")

    def _base_rate(self, at_us: int) -> int | None:
        """By the feed that the section names; None where it has none that can be used: then the section's own."""
        name = self.settings.price.feed
        if name is None:
            return None
        quote = self.quotes[name].quote(at_us, self._clock())
        self._feed_trouble = quote.why if isinstance(quote, NoQuote) else ""
        return None if isinstance(quote, NoQuote) else min(max(quote.import_price, 0), MOST_RATE)

    def _edges(self, now_us: int) -> Iterator[int]:
        """Ends of intervals at which readings are needed and may be there, the oldest first."""
        told: set[int] = set()
        current_us = now_us - now_us % self._interval_us
        for at_us in [*self._open, current_us]:
            for edge_us in (at_us, at_us + self._interval_us):
                if edge_us <= now_us and edge_us not in told:
                    told.add(edge_us)
                    yield edge_us

    # ------------------------------------------------------------ settlement

    def _settle(self, now_us: int) -> None:
        for at_us in list(self._open)[:MOST_SETTLED]:
            end_us = at_us + self._interval_us
            if end_us > now_us or not self.reader.has_all(at_us) or not self._has_price(at_us, now_us):
                break  # in their order: members' current accounts follow the days
            self._settle_one(at_us)
            self._open.popleft()
        settled = self.desk.community.settled
        for at_us in sorted(self.reader.restated):
            if at_us in settled and self._is_changed(at_us):
                self._settle_one(at_us)
        self.reader.restated.clear()

    def _settle_one(self, at_us: int) -> None:
        outcome = self.desk.settle(at_us)
        if outcome.refused is not None:
            self._refused[at_us] = f"the interval {at_us} µs is not settled: {outcome.refused.why}"
        else:
            self._refused.pop(at_us, None)

    def _is_changed(self, at_us: int) -> bool:
        """Whether settling it again would say anything else: to say the same would be a void entry."""
        lines = self.desk.community.lines_now(at_us)
        return lines is not None and lines != self.desk.community.settled[at_us].lines

    def _has_price(self, at_us: int, now_us: int) -> bool:
        """Whether it has one, told now by history where the gate's could not be; at last as the one before."""
        market = self.desk.community.market
        if at_us in market.prices:
            return True
        rules = market.in_force()
        end_us = at_us + self._interval_us
        read = means(self._history, self._names, at_us, end_us)
        price = price_now(
            self.settings.price, rules, read, self._names, at_us, self.zone, self._base_rate(at_us)
        )
        if isinstance(price, NoPrice):
            self._price_trouble = price.why
            if now_us < end_us + self.settings.settle_delay_s * MICROS:
                return False
            if not market.prices:
                return False
            near = max((told for told in market.prices if told < at_us), default=min(market.prices))
            price = price_again(market.prices[near], rules, self.settings.price, at_us, self.zone)
        else:
            self._price_trouble = ""
        self.desk.demand(price)
        return True

    def bill_now(self, name: str) -> BillIssue:
        """A bill of all that is settled and not billed, before its period ends; ``Refused`` where there is none."""
        settled_to_us = self._open[0] if self._open else self._gate_us
        return self._biller.bill_to(name, min(settled_to_us, self._clock()))

    def is_member_ready(self, name: str) -> bool:
        """Whether what it trades could be settled."""
        participant = self.desk.community.registry.participants.get(name)
        return participant is None or participant.status is not Status.ACTIVE or self.reader.is_ready(name)


def open_office(
    settings: MarketSettings,
    state: Path,
    site: str,
    history: History,
    read: Callable[[int], float | None],
    names: Mapping[int, str],
    forecasts: Source,
    zone: ZoneInfo,
    clock: Callable[[], int],
    quotes: Mapping[str, Quotes],
    events: DemandResponseSettings | None = None,
    calls: Path | None = None,
) -> Office:
    """A market at work; ``calls`` is the file of the ``events`` that were given.

    Raises LedgerError, KeyFileError, OSError, sqlite3.Error.
    """
    opened = open_market(settings, state, site, clock)
    office = Office(settings, opened, history, read, names, forecasts, zone, clock, quotes, events, calls)
    try:
        office.start()
    except BaseException:
        office.close()
        raise
    return office
