"""Renewable certificates: one for each MWh that a certified source's meter has measured, in batches. Pure.

A certificate is a source's device and a serial from 1. It is bound to the batches whose Wh it stands for; each Wh of
a batch stands for one certificate at most, so that of a source

    issued × 1 MWh + what is left of its batches = what its batches are, all together

also after a batch was restated: what is then missing is made up by later production before anything is issued.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from historian.ledger.chart import (
    CERTIFICATES,
    CERTIFICATES_ISSUED,
    CERTIFICATES_RETIRED,
    Chart,
    moved,
)
from historian.ledger.entry import Body
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import DeviceKind, Status
from historian.ledger.metering import HOUR_S, MICROS, Meters
from historian.ledger.registry import Author, Registered, Registry, needs_operator
from historian.ledger.reward_facts import Batch, CertificateTransfer, CertifiedSource, Retirement
from historian.ledger.settlement import account_of

MWH = 1_000_000  # Wh
MOST_AT_ONCE = 10_000  # certificates of one fact: 10 GWh
LONGEST_BATCH_US = 366 * 86_400 * MICROS
LEAST_VALID_S, MOST_VALID_S = 86_400, 10 * 366 * 86_400


@dataclass(frozen=True, slots=True)
class Certificate:
    """One MWh, of which batches, whose, until when; ``retired`` is the entry that used it up, 0 before."""

    device: str
    serial: int
    owner: str
    parts: tuple[tuple[str, int], ...]  # batch, Wh
    expires_us: int
    retired: int = 0
    beneficiary: str = ""


class Certificates:
    """Sources, batches, certificates, after some facts. Each method refuses, or changes, never half."""

    def __init__(self, registry: Registry, meters: Meters, chart: Chart) -> None:
        self._registry = registry
        self._meters = meters
        self._chart = chart
        self.sources: dict[str, CertifiedSource] = {}
        self.since_us: dict[str, int] = {}  # when a source was certified, or got another meter
        self.batches: dict[str, tuple[int, Batch]] = {}  # with the entry that said it last
        self.issued: defaultdict[str, int] = defaultdict(int)  # the last serial of each source
        self.held: dict[tuple[str, int], Certificate] = {}
        # Wh of a source's batches that stand for no certificate yet, the oldest first; below 0: restated.
        self.left: defaultdict[str, dict[str, int]] = defaultdict(dict)

    # ------------------------------------------------------------ production

    def certify(self, author: Author, fact: CertifiedSource, now_us: int) -> list[Body]:
        """A source and the meter that counts nothing else; said again, another meter or validity from here on."""
        needs_operator(author, "certifies sources")
        source = self._source(fact.device)
        binding = self._registry.meters.get(fact.meter)
        if binding is None:
            raise Refused(Reason.UNKNOWN, f"{fact.meter} is bound to no tags")
        if self._registry.devices[fact.meter].owner != source.owner:
            raise Refused(Reason.NOT_ALLOWED, f"{fact.meter} is not {source.owner}'s, who has {fact.device}")
        other = next((known for known in self.sources.values() if known.meter == fact.meter), None)
        if other is not None and other.device != fact.device:
            raise Refused(Reason.EXISTS, f"{fact.meter} counts what {other.device} gives")
        if not fact.technology:
            raise Refused(Reason.MALFORMED, "a source is of some technology")
        if not LEAST_VALID_S <= fact.valid_s <= MOST_VALID_S:
            raise Refused(Reason.OVERFLOW, f"valid_s is {fact.valid_s}: {LEAST_VALID_S} to {MOST_VALID_S}")
        known = self.sources.get(fact.device)
        if known is None or known.meter != fact.meter:
            self.since_us[fact.device] = now_us
        self.sources[fact.device] = fact
        return []

    def add_batch(self, author: Author, fact: Batch, entry: int, now_us: int) -> list[Body]:
        """A source's production of a time, and the certificates that it makes full."""
        needs_operator(author, "tells production")
        source = self.sources.get(fact.device)
        if source is None:
            raise Refused(Reason.UNKNOWN, f"{fact.device} is no certified source")
        known = self.batches.get(fact.batch)
        if known is not None and known[1] == fact:
            raise Refused(Reason.EXISTS, f"batch {fact.batch} is there already, entry {known[0]}")
        if known is not None and replace(known[1], wh=fact.wh) != fact:
            raise Refused(Reason.CONFLICT, f"batch {fact.batch} is of another source or time")
        self._check_batch(fact, source, now_us)
        before = known[1].wh if known else 0
        owner = self._registry.devices[fact.device].owner
        left = dict(self.left[fact.device])
        left[fact.batch] = left.get(fact.batch, 0) + fact.wh - before
        count = max(0, sum(left.values())) // MWH
        if count > MOST_AT_ONCE:
            raise Refused(Reason.OVERSIZED, f"a batch of {count} certificates: {MOST_AT_ONCE} at most")
        bodies = self._post(f"batch {entry}", CERTIFICATES_ISSUED, self._account(owner), count)
        self.batches[fact.batch] = (entry, fact)
        for _ in range(count):
            serial = self.issued[fact.device] = self.issued[fact.device] + 1
            parts = tuple(_take(left, MWH).items())
            made_us = max(self.batches[batch][1].to_us for batch, _ in parts)
            expires_us = made_us + source.valid_s * MICROS
            certificate = Certificate(fact.device, serial, owner, parts, expires_us)
            self.held[fact.device, serial] = certificate
        self.left[fact.device] = {batch: wh for batch, wh in left.items() if wh}
        return bodies

    def _check_batch(self, fact: Batch, source: CertifiedSource, now_us: int) -> None:
        span_us = fact.to_us - fact.from_us
        if not 0 < span_us <= LONGEST_BATCH_US:
            raise Refused(Reason.MALFORMED, "a batch ends after it begins, a year at most")
        if fact.to_us > now_us:
            raise Refused(Reason.EARLY, f"batch {fact.batch} is not over")
        if fact.wh < 0:
            raise Refused(Reason.NEGATIVE, f"a batch of {fact.wh} Wh")
        for _, other in self.batches.values():
            is_same = other.batch == fact.batch or other.device != fact.device
            if not is_same and other.from_us < fact.to_us and fact.from_us < other.to_us:
                raise Refused(Reason.EXISTS, f"batch {other.batch} has a part of that time already")
        energy = self._meters.energy(source.meter, fact.from_us, fact.to_us)
        if energy is None:
            raise Refused(Reason.UNKNOWN, f"{source.meter} has no reading where the batch begins or ends")
        if energy.is_estimated:
            raise Refused(Reason.CONFLICT, f"{source.meter} is estimated there: that proves nothing")
        if energy.export_wh != fact.wh:
            raise Refused(Reason.CONFLICT, f"{source.meter} measured {energy.export_wh} Wh, not {fact.wh}")
        most_w = self._registry.devices[fact.device].manifest.max_export_w
        if fact.wh * HOUR_S * MICROS > most_w * span_us:
            raise Refused(Reason.OVERFLOW, f"{fact.device} gives {most_w} W at most: {fact.wh} Wh are more")

    # ------------------------------------------------------------ certificates

    def give(self, author: Author, fact: CertificateTransfer, entry: int, now_us: int) -> list[Body]:
        """Certificates change hands."""
        mine = self._mine(author, fact.device, fact.first, fact.last, now_us)
        self._registry.trader(fact.to)
        if fact.to == author.name:
            raise Refused(Reason.CONFLICT, f"{author.name} has them already")
        bodies = self._post(
            f"certificates {entry}", account_of(author.name, CERTIFICATES), self._account(fact.to), len(mine)
        )
        for certificate in mine:
            self._set(replace(certificate, owner=fact.to))
        return bodies

    def retire(self, author: Author, fact: Retirement, entry: int, now_us: int) -> list[Body]:
        """Certificates are used up, once and for all."""
        mine = self._mine(author, fact.device, fact.first, fact.last, now_us)
        if not fact.beneficiary:
            raise Refused(Reason.MALFORMED, "certificates are retired for somebody")
        source = account_of(author.name, CERTIFICATES)
        bodies = self._post(f"retirement {entry}", source, CERTIFICATES_RETIRED, len(mine))
        for certificate in mine:
            self._set(replace(certificate, retired=entry, beneficiary=fact.beneficiary))
        return bodies

    def _mine(self, author: Author, device: str, first: int, last: int, now_us: int) -> list[Certificate]:
        self._registry.trader(author.name)
        if not 0 < first <= last:
            raise Refused(Reason.MALFORMED, f"serials {first} to {last}")
        if last - first >= MOST_AT_ONCE:
            raise Refused(Reason.OVERSIZED, f"{last - first + 1} certificates: {MOST_AT_ONCE} at most")
        found = []
        for serial in range(first, last + 1):
            certificate = self.held.get((device, serial))
            name = f"certificate {device}/{serial}"
            if certificate is None:
                raise Refused(Reason.UNKNOWN, f"no {name}")
            if certificate.owner != author.name:
                raise Refused(Reason.NOT_ALLOWED, f"{name} is {certificate.owner}'s")
            if certificate.retired:
                raise Refused(Reason.EXISTS, f"{name} is retired by entry {certificate.retired}")
            if certificate.expires_us <= now_us:
                raise Refused(Reason.LATE, f"{name} has expired at {certificate.expires_us} µs")
            found.append(certificate)
        return found

    def _set(self, certificate: Certificate) -> None:
        self.held[certificate.device, certificate.serial] = certificate

    def _source(self, device: str) -> Registered:
        found = self._registry.devices.get(device)
        if found is None or found.manifest.kind is not DeviceKind.SOURCE:
            raise Refused(Reason.UNKNOWN, f"{device} is no registered source")
        if found.status is not Status.ACTIVE:
            raise Refused(Reason.NOT_ALLOWED, f"{device} is {found.status.name.lower()}")
        return found

    def _account(self, participant: str) -> str:
        return account_of(participant, CERTIFICATES)

    def _post(self, reference: str, source: str, target: str, count: int) -> list[Body]:
        if not count:
            return []
        opening = self._chart.opening(
            *((name, CERTIFICATES, name == CERTIFICATES_ISSUED) for name in (source, target))
        )
        return [*opening, moved(reference, CERTIFICATES, {source: -count, target: count})]


def _take(left: dict[str, int], wh: int) -> dict[str, int]:
    """``wh`` out of what is left, the oldest first; what was restated below 0 is made up for before."""
    for short in [batch for batch, rest in left.items() if rest < 0]:
        for batch in left:
            made_up = min(max(0, left[batch]), -left[short])
            left[batch] -= made_up
            left[short] += made_up
    parts: dict[str, int] = {}
    for batch, rest in left.items():
        part = min(max(0, rest), wh - sum(parts.values()))
        if part:
            parts[batch] = part
            left[batch] -= part
    assert sum(parts.values()) == wh, (parts, wh)
    return parts
