"""Meters: registers that only go up, estimates that are replaced, mistakes that are reversed. Pure.

A register's reading belongs to an instant; an interval's energy is the difference of two. So an estimate in the
middle moves energy between intervals and never makes any.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import Reading, ReadingQuality, Reversal, Status
from historian.ledger.registry import Author, Registry, needs_operator

MARGIN = 2  # a meter's maximum power is a mean's; within an interval twice as much is no proof of a mistake
HOUR_S = 3600
MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A reading and the entry that said it."""

    entry: int
    import_wh: int
    export_wh: int
    quality: ReadingQuality


@dataclass(frozen=True, slots=True)
class Energy:
    """What went through a meter in an interval, and whether an estimate is in it."""

    import_wh: int
    export_wh: int
    is_estimated: bool

    @property
    def net_export_wh(self) -> int:
        """What was given more than taken."""
        return self.export_wh - self.import_wh


class Meters:
    """The readings that count, after some facts."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._times: dict[str, list[int]] = {}
        self._kept: dict[tuple[str, int], Kept] = {}
        self.most_import_wh: dict[
            str, int
        ] = {}  # of any interval, by participant: what its meters have shown
        self.most_export_wh: dict[str, int] = {}
        self.proofs: dict[str, int] = {}  # intervals that were measured, by participant

    def read(self, author: Author, fact: Reading, entry: int, now_us: int, interval_us: int) -> None:
        """Registers as they stood; a measured value replaces an estimate."""
        binding = self._registry.meters.get(fact.meter)
        if binding is None:
            raise Refused(Reason.UNKNOWN, f"{fact.meter} is bound to no tags")
        if author.name != binding.reader and not author.is_operator:
            raise Refused(
                Reason.NOT_ALLOWED, f"{fact.meter} is read by {binding.reader}, not by {author.name}"
            )
        device = self._registry.devices[fact.meter]
        if device.status in (Status.APPLIED, Status.RETIRED):
            raise Refused(Reason.NOT_ALLOWED, f"{fact.meter} is {device.status.name.lower()}")
        if fact.at_us % interval_us:
            raise Refused(Reason.MALFORMED, f"{fact.meter}: {fact.at_us} µs is no end of an interval")
        if fact.at_us > now_us:
            raise Refused(Reason.EARLY, f"{fact.meter}: a reading of the future")
        if fact.import_wh < 0 or fact.export_wh < 0:
            raise Refused(Reason.NEGATIVE, f"{fact.meter}: registers begin at 0")
        known = self._kept.get((fact.meter, fact.at_us))
        if known is not None and not (
            known.quality is ReadingQuality.ESTIMATED and fact.quality is ReadingQuality.MEASURED
        ):
            raise Refused(
                Reason.EXISTS, f"{fact.meter} has a reading there, entry {known.entry}: reverse it first"
            )
        self._check_neighbours(fact, device.manifest.max_import_w, device.manifest.max_export_w)
        if known is None:
            insort(self._times.setdefault(fact.meter, []), fact.at_us)
        self._kept[fact.meter, fact.at_us] = Kept(entry, fact.import_wh, fact.export_wh, fact.quality)
        if binding.is_main:
            self._prove(device.owner, fact.meter, fact.at_us - interval_us, fact.at_us)
            self._prove(device.owner, fact.meter, fact.at_us, fact.at_us + interval_us)

    def _check_neighbours(self, fact: Reading, max_import_w: int, max_export_w: int) -> None:
        times = self._times.get(fact.meter, [])
        place = bisect_left(times, fact.at_us)
        after = place + (place < len(times) and times[place] == fact.at_us)
        for at_us, sign in (
            *((times[place - 1], 1) for _ in range(place > 0)),
            *((times[after], -1) for _ in range(after < len(times))),
        ):
            other = self._kept[fact.meter, at_us]
            seconds = abs(fact.at_us - at_us) // MICROS
            for what, here, there, most_w in (
                ("import", fact.import_wh, other.import_wh, max_import_w),
                ("export", fact.export_wh, other.export_wh, max_export_w),
            ):
                step = (here - there) * sign
                if step < 0:
                    raise Refused(
                        Reason.NEGATIVE,
                        f"{fact.meter} runs backwards: {what} {here} Wh beside {there} Wh of entry {other.entry}",
                    )
                if step * HOUR_S > MARGIN * most_w * seconds:
                    raise Refused(
                        Reason.OVERFLOW,
                        f"{fact.meter}: {what} of {step} Wh in {seconds} s, and it carries {most_w} W",
                    )

    def _prove(self, owner: str, meter: str, from_us: int, to_us: int) -> None:
        energy = self.energy(meter, from_us, to_us)
        if energy is None or energy.is_estimated:
            return
        self.proofs[owner] = self.proofs.get(owner, 0) + 1
        self.most_import_wh[owner] = max(self.most_import_wh.get(owner, 0), energy.import_wh)
        self.most_export_wh[owner] = max(self.most_export_wh.get(owner, 0), energy.export_wh)

    def reverse(self, author: Author, fact: Reversal, interval_us: int) -> None:
        """The reading of an entry is taken back; what it was stays in the ledger."""
        needs_operator(author, "reverses readings")
        known = self._kept.get((fact.meter, fact.at_us))
        if known is None or known.entry != fact.entry:
            raise Refused(
                Reason.UNKNOWN, f"entry {fact.entry} is not what {fact.meter} read at {fact.at_us} µs"
            )
        if not fact.reason:
            raise Refused(Reason.MALFORMED, "a reversal has a reason")
        del self._kept[fact.meter, fact.at_us]
        times = self._times[fact.meter]
        del times[bisect_left(times, fact.at_us)]
        if self._registry.meters[fact.meter].is_main:
            self._prove_again(self._registry.devices[fact.meter].owner, interval_us)

    def _prove_again(self, owner: str, interval_us: int) -> None:
        """What the reading showed is shown no more."""
        for table in (self.proofs, self.most_import_wh, self.most_export_wh):
            table.pop(owner, None)
        for meter in self._registry.mains[owner]:
            for at_us in self._times.get(meter, ()):
                self._prove(owner, meter, at_us - interval_us, at_us)

    def is_read_before(self, meter: str, at_us: int) -> bool:
        """Whether it has a reading of then or earlier."""
        times = self._times.get(meter, [])
        return bool(times) and times[0] <= at_us

    def last_us(self, meter: str) -> int | None:
        """When its last reading is of; None where it has none."""
        times = self._times.get(meter, [])
        return times[-1] if times else None

    def estimates(self, meter: str, from_us: int) -> list[int]:
        """When its readings from then on are estimates."""
        times = self._times.get(meter, [])
        return [
            at_us
            for at_us in times[bisect_left(times, from_us) :]
            if self._kept[meter, at_us].quality is ReadingQuality.ESTIMATED
        ]

    def times(self, meter: str) -> tuple[int, ...]:
        """When it was read, ascending."""
        return tuple(self._times.get(meter, ()))

    def reading(self, meter: str, at_us: int) -> Kept | None:
        """What counts there."""
        return self._kept.get((meter, at_us))

    def energy(self, meter: str, from_us: int, to_us: int) -> Energy | None:
        """What went through between two readings; None where one is missing."""
        first, last = self._kept.get((meter, from_us)), self._kept.get((meter, to_us))
        if first is None or last is None:
            return None
        is_estimated = ReadingQuality.ESTIMATED in (first.quality, last.quality)
        return Energy(last.import_wh - first.import_wh, last.export_wh - first.export_wh, is_estimated)

    def of_participant(self, name: str, from_us: int, to_us: int, *, may_be_new: bool) -> Energy | None:
        """Through all of its connections that are there; None where one has no reading."""
        total = Energy(0, 0, is_estimated=False)
        for meter in self._registry.mains.get(name, ()):
            energy = self.energy(meter, from_us, to_us)
            if energy is None:
                is_gone = self._registry.devices[meter].status is Status.RETIRED
                if is_gone or (may_be_new and not self.is_read_before(meter, from_us)):
                    continue
                return None
            total = Energy(
                total.import_wh + energy.import_wh,
                total.export_wh + energy.export_wh,
                total.is_estimated or energy.is_estimated,
            )
        return total

    def estimate(self, meter: str, at_us: int) -> Reading:
        """A reading on the straight line between its neighbours, or as the last; ``Refused`` where there is none."""
        times = self._times.get(meter, [])
        place = bisect_left(times, at_us)
        if place < len(times) and times[place] == at_us:
            raise Refused(Reason.EXISTS, f"{meter} has a reading there")
        if not place:
            raise Refused(Reason.UNKNOWN, f"{meter} has no reading before {at_us} µs")
        before = self._kept[meter, times[place - 1]]
        after, part, whole = before, 0, 1
        if place < len(times):
            after = self._kept[meter, times[place]]
            part, whole = at_us - times[place - 1], times[place] - times[place - 1]
        return Reading(
            meter,
            at_us,
            before.import_wh + (after.import_wh - before.import_wh) * part // whole,
            before.export_wh + (after.export_wh - before.export_wh) * part // whole,
            ReadingQuality.ESTIMATED,
        )
