"""Meters' readings brought into the ledger: measured where history has them, estimated once they are overdue.

A reading that is missing is looked for at growing intervals, the longer the older it is: what history has not after
an hour it rarely gets.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.market import MarketSettings
from historian.ledger.desk import Desk
from historian.ledger.errors import Refused
from historian.ledger.facts import MeterBinding, Reading, ReadingQuality, Status
from historian.ledger.from_history import OLDEST_US, reading
from historian.ledger.metering import MICROS
from historian.query.history import History

LEAST_PAUSE_US = 2 * MICROS
MOST_AT_ONCE = 200  # readings of one look: half a second of a processor
MOST_REMEMBERED = 20_000  # of readings that are looked for again
HISTORY_PAUSE_US = 5 * MICROS  # how often is looked whether there is a history


class MeterReader:
    """Reads the meters of a desk's ledger out of history."""

    def __init__(self, settings: MarketSettings, desk: Desk, history: History) -> None:
        self._desk = desk
        self._history = history
        self._interval_us = settings.interval_s * MICROS
        self._delay_us = settings.settle_delay_s * MICROS
        self._correct_us = settings.correct_s * MICROS
        self._again_us: dict[tuple[str, int], int] = {}  # when a reading is looked for again
        self._refused: set[tuple[str, int]] = set()
        self._looked_us = -HISTORY_PAUSE_US
        self._last_look_us = 0
        self._began_us: int | None = None
        self._is_there = False
        self.restated: set[int] = set()  # intervals of which a reading has changed
        self.troubles: dict[str, str] = {}  # by meter

    def is_history_there(self, now_us: int) -> bool:
        """Whether it has a register's sample of the last two minutes: else nothing that is traded can be settled."""
        if 0 <= now_us - self._looked_us < HISTORY_PAUSE_US:
            return self._is_there
        self._looked_us = now_us
        self._is_there = any(self._is_fresh(tag, now_us) for tag in self._registers())
        return self._is_there

    def _registers(self) -> Iterator[str]:
        for meter in self._desk.community.registry.meters.values():
            yield from filter(None, (meter.import_tag, meter.export_tag))

    def _is_fresh(self, tag: str, now_us: int) -> bool:
        try:
            found = self._history.raw(tag, (now_us - OLDEST_US) * 1000, now_us * 1000 + 1, limit=1)
        except KeyError:
            return False  # history does not know it yet
        return len(found) > 0

    def look(self, edges: Iterator[int], now_us: int) -> None:
        """Read what is missing at ``edges`` of intervals, and what may take an estimate's place."""
        if now_us < self._last_look_us:
            self._again_us.clear()  # times of a clock that was put back since
        self._last_look_us = now_us
        if self._began_us is None:
            self._began_us = now_us
        registry = self._desk.community.registry
        bound = [
            binding
            for binding in registry.meters.values()
            if registry.devices[binding.meter].status not in (Status.APPLIED, Status.RETIRED)
        ]
        if len(self._again_us) > MOST_REMEMBERED:
            oldest_us = now_us - self._correct_us
            self._again_us = {key: at for key, at in self._again_us.items() if key[1] >= oldest_us}
            self._refused = {key for key in self._refused if key[1] >= oldest_us}
        found: list[Reading] = []
        for at_us in edges:
            for binding in bound:
                if len(found) >= MOST_AT_ONCE:
                    break
                found += self._missing(binding, at_us, now_us)
        for binding in bound:
            found += self._better(binding, now_us, MOST_AT_ONCE - len(found))
        if found:
            self._say(found)

    def is_ready(self, name: str) -> bool:
        """Whether all meters of a participant were read once: only then can what it trades be settled."""
        community = self._desk.community
        mains = community.registry.mains.get(name, [])
        return all(community.meters.last_us(meter) is not None for meter in mains)

    def has_all(self, from_us: int) -> bool:
        """Whether an interval's meters are read at both ends, but for those that were not there."""
        community = self._desk.community
        end_us = from_us + self._interval_us
        for meters in community.registry.mains.values():
            for meter in meters:
                if community.registry.devices[meter].status is Status.RETIRED:
                    continue
                is_old = community.meters.is_read_before(meter, from_us)
                if is_old and community.meters.energy(meter, from_us, end_us) is None:
                    return False
        return True

    def _missing(self, binding: MeterBinding, at_us: int, now_us: int) -> Iterator[Reading]:
        meter, meters = binding.meter, self._desk.community.meters
        if meters.reading(meter, at_us) is not None:
            return
        can_wait = now_us < at_us + self._delay_us or not meters.is_read_before(meter, at_us)
        if can_wait and not self._is_due(meter, at_us, now_us):
            return
        measured = self._measured(binding, at_us)
        if measured is not None:
            yield measured
        elif not can_wait:
            yield meters.estimate(meter, at_us)

    def _better(self, binding: MeterBinding, now_us: int, most: int) -> Iterator[Reading]:
        """Measured readings for estimates."""
        for at_us in self._desk.community.meters.estimates(binding.meter, now_us - self._correct_us):
            if most <= 0:
                return
            if self._is_due(binding.meter, at_us, now_us):
                measured = self._measured(binding, at_us)
                if measured is not None:
                    most -= 1
                    yield measured

    def _is_due(self, meter: str, at_us: int, now_us: int) -> bool:
        if self._again_us.get((meter, at_us), 0) > now_us:
            return False
        self._again_us[meter, at_us] = now_us + max(LEAST_PAUSE_US, (now_us - at_us) // 4)
        return True

    def _measured(self, binding: MeterBinding, at_us: int) -> Reading | None:
        if (binding.meter, at_us) in self._refused:
            return None
        try:
            measured = reading(self._history, binding, at_us)
        except KeyError as unknown:
            self._miss(binding.meter, at_us, f"history does not know {unknown}")
            return None
        except Refused as refused:
            self._miss(binding.meter, at_us, refused.why)
            return None
        self.troubles.pop(binding.meter, None)
        return measured

    def _miss(self, meter: str, at_us: int, why: str) -> None:
        """A meter that was never read is no trouble yet for an instant before there was anybody to read it."""
        is_before = self._began_us is not None and at_us < self._began_us
        if not is_before or self._desk.community.meters.last_us(meter) is not None:
            self.troubles[meter] = f"{meter}: {why}"

    def _say(self, found: list[Reading]) -> None:
        outcomes = self._desk.say(*found)
        for said, outcome in zip(found, outcomes, strict=True):
            if outcome.refused is not None:
                # It would be refused again, and each try is an entry: an estimate stands in for it.
                self._refused.add((said.meter, said.at_us))
                self.troubles[said.meter] = f"{said.meter}: {outcome.refused.why}"
                continue
            self._again_us.pop((said.meter, said.at_us), None)
            if said.quality is ReadingQuality.MEASURED:
                self.restated |= {said.at_us - self._interval_us, said.at_us}
