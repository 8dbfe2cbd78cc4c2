"""Production batches of renewable sources: one for each local day that is over, said again where it was corrected.

What is on record is asked of the ledger, and each batch has a client id of its own: neither restarts nor a part that
was killed between two of them say one twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from gateway.config.market import MarketSettings
from historian.ledger.desk import Desk
from historian.ledger.errors import Refused
from historian.ledger.facts import ReadingQuality
from historian.ledger.metering import MICROS
from historian.ledger.reward_facts import Batch, CertifiedSource

PAUSE_US = 60 * MICROS
MOST_BATCHES = 40  # of a source and a look: a month that the part was away


class Production:
    """Tells what each certified source gave, from one measured reading to another."""

    def __init__(self, settings: MarketSettings, desk: Desk, zone: tzinfo) -> None:
        self._desk = desk
        self._zone = zone
        self._interval_us = settings.interval_s * MICROS
        self._correct_us = settings.correct_s * MICROS
        self._devices = [
            device.name for member in settings.members for device in member.devices if device.renewable
        ]
        self._looked_us = -PAUSE_US
        self._not_said: dict[str, str] = {}  # by batch: why it is not on record, in this life
        self.troubles: list[str] = []

    def look(self, now_us: int) -> None:
        """Say what is due. Raises LedgerError."""
        if not self._devices or 0 <= now_us - self._looked_us < PAUSE_US:
            return
        self._looked_us = now_us
        for device in self._devices:
            source = self._desk.community.treasury.certificates.sources.get(device)
            if source is not None:
                self._restate(source)
                self._tell(source, now_us)
        self.troubles = list(self._not_said.values())

    def _tell(self, source: CertifiedSource, now_us: int) -> None:
        for _ in range(MOST_BATCHES):
            from_us = self._from(source)
            to_us = None if from_us is None else self._to(source, from_us, now_us)
            if from_us is None or to_us is None:
                return
            energy = self._desk.community.meters.energy(source.meter, from_us, to_us)
            assert energy is not None, "both readings are there"
            day = self._local(from_us).date().isoformat()
            if not self._say(
                Batch(f"{source.device}/{day}", source.device, from_us, to_us, energy.export_wh)
            ):
                return

    def _restate(self, source: CertifiedSource) -> None:
        """Batches whose readings were corrected since; while one is missing or estimated, it stays."""
        certificates = self._desk.community.treasury.certificates
        since_us = certificates.since_us[source.device]  # before, another meter counted
        for _, batch in list(certificates.batches.values()):
            if batch.device != source.device or batch.from_us < since_us:
                continue
            energy = self._desk.community.meters.energy(source.meter, batch.from_us, batch.to_us)
            if energy is None or energy.is_estimated or energy.export_wh == batch.wh:
                continue
            self._say(Batch(batch.batch, batch.device, batch.from_us, batch.to_us, energy.export_wh))

    def _say(self, batch: Batch) -> bool:
        """Whether it is in force now."""
        known = self._desk.community.treasury.certificates.batches.get(batch.batch)
        entry = 0 if known is None else known[0]
        try:
            refused = self._desk.say_once(
                f"batch {batch.batch} {batch.to_us} {batch.wh} after {entry}", batch
            )
        except Refused as malformed:
            refused = malformed
        if refused is not None:
            self._not_said[batch.batch] = f"production {batch.batch} is not on record: {refused.why}"
            return False
        self._not_said.pop(batch.batch, None)
        return True

    def _from(self, source: CertifiedSource) -> int | None:
        """Where the last batch ended; else its first measured reading since it was certified."""
        community = self._desk.community
        certificates = community.treasury.certificates
        since_us = certificates.since_us[source.device]
        ends = [batch.to_us for _, batch in certificates.batches.values() if batch.device == source.device]
        if ends and max(ends) >= since_us:
            return max(ends)
        times = (at_us for at_us in community.meters.times(source.meter) if at_us >= since_us)
        return next((at_us for at_us in times if self._is_measured(source.meter, at_us)), None)

    def _to(self, source: CertifiedSource, from_us: int, now_us: int) -> int | None:
        """The first midnight after it that was measured; one that still may be is waited for."""
        edge_us = self._midnight_after(from_us)
        while edge_us <= now_us:
            if self._is_measured(source.meter, edge_us):
                return edge_us if self._is_measured(source.meter, from_us) else None
            if now_us < edge_us + self._correct_us:
                return None
            edge_us = self._midnight_after(edge_us)
        return None

    def _is_measured(self, meter: str, at_us: int) -> bool:
        kept = self._desk.community.meters.reading(meter, at_us)
        return kept is not None and kept.quality is ReadingQuality.MEASURED

    def _midnight_after(self, at_us: int) -> int:
        """In whole intervals: one that midnight is within, as a zone is off by part of it, belongs to the day."""
        midnight = self._local(at_us).replace(hour=0, minute=0, second=0, microsecond=0)
        edge_us = at_us
        while edge_us <= at_us:
            midnight += timedelta(days=1)
            edge_us = -(-round(midnight.timestamp() * MICROS) // self._interval_us) * self._interval_us
        return edge_us

    def _local(self, at_us: int) -> datetime:
        return datetime.fromtimestamp(at_us / MICROS, UTC).astimezone(self._zone)
