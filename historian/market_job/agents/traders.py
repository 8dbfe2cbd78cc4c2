"""The agents at work: each gathers what its strategy asks, keeps to its limits, signs with its member's key.

What an agent does goes in as any member's bundle does, and is refused as any member's is. For an interval it orders
once: the order's client id is made of agent and interval, so that after a restart the ledger tells what was ordered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.config.market import MarketDevice, MarketSettings
from gateway.config.market_agents import AgentState, Arbitrage, ByPlan, MarketAgent, Prosumer
from historian.ledger.bundle import Bundle, sign
from historian.ledger.coding import record_of
from historian.ledger.entry import Body
from historian.ledger.facts import Cancellation, Order, Side, Venue
from historian.ledger.metering import HOUR_S, MICROS
from historian.ledger.pen import Pen
from historian.market_job import wire
from historian.market_job.agents.foreseen import Bands
from historian.market_job.agents.kept import FILE, keep, recall
from historian.market_job.agents.limits import Used, allowed, total, used_of
from historian.market_job.agents.planned import Plans, StoredPlan, planned_wh
from historian.market_job.agents.strategy import (
    Bid,
    Expected,
    NoBid,
    Store,
    arbitrage,
    follow_plan,
    kwh,
    money,
    prosume,
)
from historian.market_job.office import Office
from historian.market_job.quotes import NoQuote

_NOT_YET = frozenset(
    {"stopped", "not_ready"}
)  # what a market turns away that does not trade, with this member at least
RETRY_US = 10 * MICROS  # who could not bid looks again so often until the gate: each look may read a file
DAY_US = 86_400 * MICROS
_NEVER_US = 2**63
_OWN_BYTES = 8
_NONE = Used()


@dataclass(frozen=True, slots=True)
class Doing:
    """How an agent is, for tags and people."""

    state: AgentState
    words: str
    used: Used = _NONE


def own_ids(name: str) -> bytes:
    """How the client ids of an agent's orders begin."""
    return sha256(f"agent {name}".encode()).digest()[:_OWN_BYTES]


class Traders:
    """All agents of a section. ``submit`` is the market's answer to a request; ``read`` a tag, None unless Good."""

    def __init__(
        self,
        settings: MarketSettings,
        submit: Callable[[wire.Request, int], wire.Reply],
        read: Callable[[int], float | None],
        bands: Bands,
        zone: tzinfo,
        state: Path,
        clock: Callable[[], int],
        plans: Plans | None = None,
    ) -> None:
        self._settings = settings
        self._submit = submit
        self._read = read
        self._bands = bands
        self._zone = zone
        self._file = state / FILE
        self._clock = clock
        self._plans = plans or StoredPlan(state)
        self._interval_us = settings.interval_s * MICROS
        self._devices = {device.name: device for member in settings.members for device in member.devices}
        self._agents = {agent.name: agent for agent in settings.agents}
        self._stopped: set[str] | None = None
        self._tried: dict[str, tuple[int, int]] = {}  # for which interval, and when
        self._gated: dict[tuple[str, int], Used] = {}  # of intervals whose trading is over
        self._of: Office | None = None
        self.doing = {name: Doing(AgentState.NOT_TRADING, "it starts") for name in self._agents}

    # ------------------------------------------------------------ by people

    def stop(self, name: str, *, is_stopped: bool) -> None:
        """Stop or start an agent; kept over restarts, before it is told. Raises KeyError.

        Raises OSError where that cannot be kept: it is stopped then, whatever was asked.
        """
        if name not in self._agents:
            raise KeyError(name)
        stopped = self._now_stopped()
        changed = stopped | {name} if is_stopped else stopped - {name}
        self._stopped = stopped | {name}
        keep(self._file, changed & self._agents.keys())
        self._stopped = changed
        self._tried.pop(name, None)

    def told(self) -> dict[str, Any]:
        """Each by its name."""
        return {
            name: {
                "state": doing.state.text,
                "words": doing.words,
                "traded_wh": doing.used.wh,
                "spent": doing.used.spent,
                "stopped": name in self._now_stopped(),
            }
            for name, doing in self.doing.items()
        }

    def _now_stopped(self) -> set[str]:
        if self._stopped is None:
            self._stopped = recall(self._file, self._agents)
        return self._stopped

    # ------------------------------------------------------------ a look

    def pause(self) -> None:
        """There is no ledger: what was ordered is asked of it once it is there again."""
        self._of = None
        self.doing = {
            name: Doing(AgentState.NOT_TRADING, "the market has no ledger") for name in self._agents
        }

    def look(self, office: Office, now_us: int) -> None:
        """Bid where it is time. Raises LedgerError where the ledger cannot be written, OSError."""
        if office is not self._of:  # its ledger was read anew
            self._of = office
            self._gated.clear()
            self._tried.clear()
        for agent in self._agents.values():
            self._look(agent, office, now_us)
        for key in [key for key in self._gated if key[1] < office.gate_us - 2 * DAY_US]:
            del self._gated[key]

    def _look(self, agent: MarketAgent, office: Office, now_us: int) -> None:
        at_us = office.gate_us
        used = self._used(agent, office, at_us)
        stopped = self._why_stopped(agent)
        if stopped:
            self._withdraw(agent, office, now_us)
            self._tried.pop(agent.name, None)
            self.doing[agent.name] = Doing(AgentState.STOPPED, stopped, self._used(agent, office, at_us))
            return
        if not office.can_trade:
            self.doing[agent.name] = Doing(AgentState.NOT_TRADING, "the market does not trade", used)
            return
        before = self.doing[agent.name]
        if now_us < at_us - (self._settings.gate_lead_s + agent.lead_s) * MICROS:
            is_back = before.state in (AgentState.STOPPED, AgentState.NOT_TRADING)
            self.doing[agent.name] = Doing(
                AgentState.BIDS if is_back else before.state,
                "it waits for its time before the gate" if is_back else before.words,
                used,
            )
            return
        is_new = agent.name not in self._tried  # to this process, or since it was stopped
        if is_new and office.desk.book.has_request(agent.member, self._client(agent, at_us)):
            self._tried[agent.name] = (at_us, _NEVER_US)
            self.doing[agent.name] = Doing(AgentState.BIDS, f"it has ordered for {_iso(at_us)}", used)
            return
        for_us, next_us = self._tried.get(agent.name, (0, 0))
        if for_us == at_us and now_us < next_us:
            self.doing[agent.name] = Doing(before.state, before.words, used)
            return
        self._tried[agent.name] = (at_us, now_us + RETRY_US)
        state, words = self._try(agent, office, used, now_us)
        self.doing[agent.name] = Doing(state, words, self._used(agent, office, at_us))

    def _why_stopped(self, agent: MarketAgent) -> str:
        if agent.name in self._now_stopped():
            return "stopped by an operator"
        if agent.enable is not None and not self._read(agent.enable):
            return "its enabling tag is false, or not Good"
        return ""

    def _try(self, agent: MarketAgent, office: Office, used: Used, now_us: int) -> tuple[AgentState, str]:
        at_us = office.gate_us
        rules = office.desk.community.market.in_force()
        bid = self.bid(agent, office, now_us)
        if isinstance(bid, Bid):
            free = office.desk.community.market.available(agent.member)
            bid = allowed(bid, agent.limits, used, rules, free)
        if isinstance(bid, NoBid):
            return bid.state, f"{_iso(at_us)}: {bid.why}"
        if self._clock() >= at_us - self._settings.gate_lead_s * MICROS:
            return AgentState.REFUSED, f"{_iso(at_us)}: too late, its gate has passed"
        order = Order(
            venue=Venue.AUCTION if agent.is_auction else Venue.CONTINUOUS,
            side=bid.side,
            interval_us=at_us,
            device=bid.device,
            wh=bid.wh,
            price=bid.price,
            currency=rules.currency,
            min_fill_wh=0,
            good_until_us=at_us,
        )
        words = f"{_iso(at_us)}: {bid.side.name.lower()} {kwh(bid.wh)} kWh at {money(bid.price)}"
        reply = self._submit(self._signed(agent, office, order, now_us), now_us)
        if isinstance(reply, wire.Turned) and reply.reason in _NOT_YET:
            return AgentState.NOT_TRADING, f"{words}: {reply.why}"
        if isinstance(reply, wire.Turned):
            return AgentState.REFUSED, f"{words}: turned away ({reply.reason}): {reply.why}"
        assert isinstance(reply, wire.Placed), reply
        (outcome,) = reply.outcomes
        # On the record, in force or void: for this interval nothing more is ordered.
        self._tried[agent.name] = (at_us, _NEVER_US)
        if outcome.reason:
            return AgentState.REFUSED, f"{words}: refused ({outcome.reason}): {outcome.why}"
        return AgentState.BIDS, words

    def _signed(self, agent: MarketAgent, office: Office, order: Order, now_us: int) -> wire.Submit:
        statement = self._pen(agent, office).statement(
            record_of(order), self._client(agent, order.interval_us)
        )
        return wire.Submit(agent.name[: wire.ID_CHARACTERS], sign(office.held[agent.member], [statement]))

    def _withdraw(self, agent: MarketAgent, office: Office, now_us: int) -> None:
        """End what is open of a stopped agent."""
        own = own_ids(agent.name)
        orders = office.desk.community.market.orders
        bodies: list[Body] = [
            record_of(Cancellation(client))
            for author, client in orders
            if author == agent.member and client.startswith(own)
        ]
        if bodies:
            bundle: Bundle = self._pen(agent, office).sign(bodies)
            self._submit(wire.Submit(agent.name[: wire.ID_CHARACTERS], bundle), now_us)

    def _pen(self, agent: MarketAgent, office: Office) -> Pen:
        """Anew each time: people may sign with the same key beside it."""
        pen = Pen(office.held[agent.member], office.desk.book.id, self._clock)
        author = office.desk.book.state.authors.get(agent.member)
        pen.follow(0 if author is None else author.number)
        return pen

    @staticmethod
    def _client(agent: MarketAgent, at_us: int) -> bytes:
        return own_ids(agent.name) + at_us.to_bytes(8, "big")

    # ------------------------------------------------------------ what it knows

    def bid(self, agent: MarketAgent, office: Office, now_us: int) -> Bid | NoBid:
        """What its strategy says of the interval that is traded next."""
        if isinstance(agent.by, Prosumer):
            return self._prosume(agent.by, office, now_us)
        if isinstance(agent.by, ByPlan):
            return self._follow(agent.by, office, now_us)
        return self._arbitrage(agent.by, office, now_us)

    def _prosume(self, by: Prosumer, office: Office, now_us: int) -> Bid | NoBid:
        quote = office.quotes[by.quotes].quote(office.gate_us, now_us)
        if isinstance(quote, NoQuote):
            return NoBid(AgentState.NO_PRICE, quote.why)
        gives = self._expected(by.production, by.production_share, by, office.gate_us, now_us)
        if isinstance(gives, NoBid):
            return gives
        takes = self._expected(by.consumption, by.consumption_share, by, office.gate_us, now_us)
        if isinstance(takes, NoBid):
            return takes
        promised_wh = self._promised(by, office)
        return prosume(by, gives, takes, quote.import_price, quote.export_price, *promised_wh)

    def _follow(self, by: ByPlan, office: Office, now_us: int) -> Bid | NoBid:
        given_wh = planned_wh(by, self._plans, self._read, office.gate_us, self._settings.interval_s, now_us)
        if isinstance(given_wh, str):
            return NoBid(AgentState.NO_PLAN, given_wh)
        quote = office.quotes[by.quotes].quote(office.gate_us, now_us)
        if isinstance(quote, NoQuote):
            return NoBid(AgentState.NO_PRICE, quote.why)
        return follow_plan(by, given_wh, quote.import_price, quote.export_price, *self._promised(by, office))

    @staticmethod
    def _promised(by: Prosumer | ByPlan, office: Office) -> tuple[int, int]:
        """What is sold and bought of its devices for the interval that is traded next."""
        limits = office.desk.community.limits
        sold_wh, bought_wh = (
            0 if device is None else limits.promised(device, side, office.gate_us)
            for device, side in ((by.source, Side.SELL), (by.consumer, Side.BUY))
        )
        return sold_wh, bought_wh

    def _expected(
        self, forecast: str | None, share: float, by: Prosumer, at_us: int, now_us: int
    ) -> Expected | NoBid:
        if forecast is None:
            return Expected()
        interval_s = self._settings.interval_s
        band = self._bands.band(forecast, at_us, interval_s, now_us)
        if band is None:
            return NoBid(AgentState.NO_FORECAST, f"forecast {forecast} says nothing of that time")
        age_us = now_us - band.issued_us
        if not 0 <= age_us <= by.max_age_s * MICROS:
            return NoBid(
                AgentState.NO_FORECAST, f"forecast {forecast} is stale: {age_us / 60 / MICROS:.0f} min old"
            )
        if band.is_doubtful:
            return NoBid(AgentState.NO_FORECAST, f"forecast {forecast} was made without all of its inputs")
        return Expected(
            band.wh(by.quantile, share, interval_s), band.wh(1.0 - by.quantile, share, interval_s)
        )

    def _arbitrage(self, by: Arbitrage, office: Office, now_us: int) -> Bid | NoBid:
        device = self._devices[by.storage]
        assert device.level is not None, "the section has it named"
        level = self._read(device.level)
        if level is None:
            return NoBid(AgentState.NO_LEVEL, f"the level of {device.name} is not Good")
        prices = list(self._prices(by, office, now_us))
        if not prices or prices[0] is None:
            why = (
                "no price is known of the interval"
                if by.quotes is None
                else self._no_quote(by, office, now_us)
            )
            return NoBid(AgentState.NO_PRICE, why)
        return arbitrage(
            by, [price for price in prices if price is not None], self._store(office, device, level, now_us)
        )

    def _prices(self, by: Arbitrage, office: Office, now_us: int) -> Iterator[int | None]:
        """Of the interval traded next and of those after it: by its feed, or as the day before was cleared."""
        start_us = office.gate_us
        intervals = office.desk.community.market.intervals
        for at_us in range(start_us, start_us + by.look_ahead_s * MICROS, self._interval_us):
            if by.quotes is not None:
                quote = office.quotes[by.quotes].quote(at_us, now_us)
                yield None if isinstance(quote, NoQuote) else (quote.import_price + quote.export_price) // 2
            elif at_us < start_us + DAY_US:
                before = intervals.get(at_us - DAY_US)
                yield None if before is None or before.clearing is None else before.clearing.price

    def _no_quote(self, by: Arbitrage, office: Office, now_us: int) -> str:
        assert by.quotes is not None
        quote = office.quotes[by.quotes].quote(office.gate_us, now_us)
        return quote.why if isinstance(quote, NoQuote) else "no price is known of the interval"

    def _store(self, office: Office, device: MarketDevice, level: float, now_us: int) -> Store:
        """With all that is open and traded of it from now on, by whomever: people may trade it too.

        Of the interval under way as much as there is left of it: the rest is in the level.
        """
        limits = office.desk.community.limits
        first_us = now_us - now_us % self._interval_us
        left_us = first_us + self._interval_us - now_us
        starts = range(first_us + self._interval_us, office.gate_us + self._interval_us, self._interval_us)

        def due(side: Side) -> int:
            under_way_wh = limits.promised(device.name, side, first_us)
            ahead_wh = sum(limits.promised(device.name, side, at_us) for at_us in starts)
            return ahead_wh - (-under_way_wh * left_us // self._interval_us)

        interval_s = self._settings.interval_s
        return Store(
            level_wh=min(max(round(level * device.level_wh), 0), device.storage_wh),
            sold_wh=due(Side.SELL),
            bought_wh=due(Side.BUY),
            gives_wh=device.export_w * interval_s // HOUR_S,
            takes_wh=device.import_w * interval_s // HOUR_S,
            is_sold=limits.promised(device.name, Side.SELL, office.gate_us) > 0,
            is_bought=limits.promised(device.name, Side.BUY, office.gate_us) > 0,
        )

    def _used(self, agent: MarketAgent, office: Office, at_us: int) -> Used:
        """Of all intervals of the local day that an interval is of, out of the ledger."""
        day = datetime.fromtimestamp(at_us / MICROS, UTC).astimezone(self._zone).date()
        edges = [datetime.combine(each, time(), self._zone) for each in (day, day + timedelta(days=1))]
        from_us, to_us = (round(edge.timestamp()) * MICROS for edge in edges)
        first_us = from_us + -from_us % self._interval_us
        return total(
            self._used_of(agent, office, each_us) for each_us in range(first_us, to_us, self._interval_us)
        )

    def _used_of(self, agent: MarketAgent, office: Office, at_us: int) -> Used:
        known = self._gated.get((agent.name, at_us))
        if known is not None:
            return known
        interval = office.desk.community.market.intervals.get(at_us)
        if interval is None:
            return _NONE
        used = used_of(interval, own_ids(agent.name), agent.member)
        if interval.is_gated:
            self._gated[agent.name, at_us] = used
        return used


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / MICROS, UTC).strftime("%Y-%m-%dT%H:%MZ")
