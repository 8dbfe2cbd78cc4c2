"""Intervals settled and settled anew: each participant's line by the meters as they stand, and what is posted of it.

Pure. A restatement takes back what was posted of a line that changed, and posts the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from historian.ledger.billing import Billing
from historian.ledger.entry import Body, Transfer
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import Price, Settlement
from historian.ledger.market.exchange import Exchange, Interval, Position
from historian.ledger.metering import MICROS, Meters
from historian.ledger.neighbours import Neighbours, SettledBetween
from historian.ledger.registry import Author, Registry, needs_operator
from historian.ledger.settlement import (
    Line,
    between_sites,
    line_transfer,
    owed_by,
    reversed_transfer,
    settle,
)

MOST_AMOUNT = 10**15  # of one posting; a thousand of them do not overflow an account


@dataclass(slots=True)
class Settled:
    """How an interval is settled now."""

    version: int
    lines: dict[str, Line]
    transfers: dict[str, Transfer]


class Settling:
    """All intervals that were settled, after some facts."""

    def __init__(
        self, registry: Registry, meters: Meters, market: Exchange, billing: Billing, neighbours: Neighbours
    ) -> None:
        self._registry = registry
        self._meters = meters
        self._market = market
        self._billing = billing
        self._neighbours = neighbours
        self.settled: dict[int, Settled] = {}

    def _interval_us(self) -> int:
        return self._market.in_force().interval_s * MICROS

    def settle(self, author: Author, fact: Settlement, now_us: int) -> list[Body]:
        """Of an interval that is over: what is to be posted, of a restatement too. ``Refused`` where it is void."""
        needs_operator(author, "settles")
        at_us = fact.interval_us
        interval = self._market.intervals.get(at_us)
        if interval is None or not interval.is_gated or interval.rules is None:
            raise Refused(Reason.EARLY, f"the gate of {at_us} µs is not closed")
        if now_us < at_us + self._interval_us():
            raise Refused(Reason.EARLY, f"the interval {at_us} µs is not over")
        price = self._market.prices.get(at_us)
        if price is None:
            raise Refused(Reason.UNKNOWN, f"the interval {at_us} µs has no price")
        lines = dict(self._lines(at_us, interval, price))
        known = self.settled.get(at_us)
        if known is not None and lines == known.lines:
            raise Refused(Reason.EXISTS, f"the interval {at_us} µs is settled like this already")
        version = known.version + 1 if known else 1
        currency = interval.rules.currency
        transfers: dict[str, Transfer] = {}
        bodies: list[Body] = []
        for name in sorted(lines if known is None else {*lines, *known.lines}):
            line = lines.get(name)
            if known is not None:
                if line == known.lines.get(name):
                    if name in known.transfers:
                        transfers[name] = known.transfers[name]
                    continue
                if name in known.transfers:
                    reference = f"settlement {at_us} v{version} takes back v{known.version}"
                    bodies.append(reversed_transfer(known.transfers[name], reference))
            if line and (made := line_transfer(line, currency, f"settlement {at_us} v{version}")):
                if max(abs(posting.amount) for posting in made.postings) > MOST_AMOUNT:
                    raise Refused(Reason.OVERFLOW, f"a settlement of {name} of more than {MOST_AMOUNT}")
                transfers[name] = made
                bodies.append(made)
        for name in {*lines, *(known.lines if known else ())}:
            self._note_line(name, lines.get(name), known.lines.get(name) if known else None)
        self.settled[at_us] = Settled(version, lines, transfers)
        self._market.release_cover(at_us)
        return bodies

    def _note_line(self, name: str, line: Line | None, before: Line | None) -> None:
        for what, owed in owed_by(before).items() if before else ():
            self._billing.note(name, what, -owed)
        for what, owed in owed_by(line).items() if line else ():
            self._billing.note(name, what, owed)

    def lines_now(self, at_us: int) -> dict[str, Line] | None:
        """An interval's settlement as its meters stand now; None where it cannot be made."""
        interval, price = self._market.intervals.get(at_us), self._market.prices.get(at_us)
        if interval is None or not interval.is_gated or price is None:
            return None
        try:
            return dict(self._lines(at_us, interval, price))
        except Refused:
            return None

    def _lines(self, at_us: int, interval: Interval, price: Price) -> Iterator[tuple[str, Line]]:
        assert interval.rules is not None
        end_us = at_us + self._interval_us()
        for name in sorted({*interval.positions, *self._registry.mains}):
            position = interval.positions.get(name, Position())
            is_idle = not (position.bought_wh or position.sold_wh)
            energy = self._meters.of_participant(name, at_us, end_us, may_be_new=is_idle)
            if energy is None:
                raise Refused(Reason.UNKNOWN, f"a meter of {name} has no reading: read or estimate it")
            if not is_idle or energy.import_wh or energy.export_wh:
                line = settle(name, position, energy, price, interval.rules)
                terms = self._neighbours.terms_at(name, at_us)
                yield name, line if terms is None else between_sites(line, terms.imbalance_price)

    def settled_with(self, name: str, at_us: int) -> SettledBetween | None:
        """What was booked of another site for an interval; None before it is settled."""
        settled = self.settled.get(at_us)
        if settled is None:
            return None
        line = settled.lines.get(name)
        paid = self._market.intervals[at_us].positions.get(name, Position()).pays
        if line is None:
            return SettledBetween(0, 0, -paid)
        return SettledBetween(line.traded_wh, line.metered_wh, line.current - paid)
