"""Meters against sub-meters, traded positions and what was settled: where they do not agree. Pure.

Of each participant and interval, in this order, the first that holds:

    unread        it traded or was settled, and a meter has no reading now
    restate       it was settled by other readings, or by another position, than there are now
    sub-meters    its connections show other than its sub-meters together, by more than the tolerance
    unsettled     it traded, the gate is closed, and the interval is over
    estimated     a reading is no measurement
    agreed
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from historian.ledger.community import Community
from historian.ledger.facts import Status
from historian.ledger.market.price import ONE
from historian.ledger.metering import MICROS, Energy

AGREED, ESTIMATED = "agreed", "estimated"
LEAST_TOLERANCE_WH = 10  # registers in whole Wh are read at times that differ by seconds


@dataclass(frozen=True, slots=True)
class Compared:
    """Energies in Wh, given less taken; None where there is none to tell."""

    interval_us: int
    participant: str
    main_wh: int | None
    sub_wh: int | None
    traded_wh: int | None
    settled_wh: int | None
    verdict: str


def reconcile(
    community: Community, from_us: int, to_us: int, tolerance: int = ONE // 50
) -> Iterator[Compared]:
    """Each participant and interval that begins in [from, to) and was read, traded or settled.

    ``tolerance``: of what went through the connections, either way, in ppm; the default is 2 %, the error of two
    meters of class B (EN 50470-3) of 1 % each.
    """
    interval_us = community.market.in_force().interval_s * MICROS
    for name in sorted(community.registry.participants):
        mains = community.registry.mains.get(name, [])
        times = {at_us for meter in mains for at_us in community.meters.times(meter)}
        starts = {at_us for at_us in times if at_us + interval_us in times}
        starts |= {at_us for at_us, settled in community.settled.items() if name in settled.lines}
        starts |= {
            at_us for at_us, interval in community.market.intervals.items() if name in interval.positions
        }
        for at_us in sorted(start for start in starts if from_us <= start < to_us):
            yield _compare(community, name, at_us, at_us + interval_us, tolerance)


def _compare(community: Community, name: str, at_us: int, end_us: int, tolerance: int) -> Compared:
    interval = community.market.intervals.get(at_us)
    position = interval.positions.get(name) if interval else None
    settled = community.settled.get(at_us)
    line = settled.lines.get(name) if settled else None
    main = community.meters.of_participant(name, at_us, end_us, may_be_new=position is None and line is None)
    sub = _sub_metered(community, name, at_us, end_us)
    traded_wh = position.net_export_wh if position else 0
    is_over = bool(interval and interval.is_gated and end_us <= community.now_us)

    def verdict() -> str:
        if main is None:
            return "unread"
        if settled is not None:
            now = (main.net_export_wh, main.import_wh, traded_wh)
            then = (line.metered_wh, line.imported_wh, line.traded_wh) if line else (0, 0, 0)
            if now != then:
                return "restate"
        if sub is not None:
            most = max(LEAST_TOLERANCE_WH, (main.import_wh + main.export_wh) * tolerance // ONE)
            if abs(main.net_export_wh - sub.net_export_wh) > most:
                return "sub-meters"
        if settled is None and traded_wh and is_over:
            return "unsettled"
        return ESTIMATED if main.is_estimated or (sub and sub.is_estimated) else AGREED

    return Compared(
        at_us,
        name,
        main.net_export_wh if main else None,
        sub.net_export_wh if sub else None,
        traded_wh if position else None,
        line.metered_wh if line else None,
        verdict(),
    )


def _sub_metered(community: Community, name: str, from_us: int, to_us: int) -> Energy | None:
    """Through all of its meters that are no connection; None where it has none, or one was not read."""
    total: Energy | None = None
    for meter, binding in sorted(community.registry.meters.items()):
        device = community.registry.devices[meter]
        if binding.is_main or device.owner != name or device.status is Status.RETIRED:
            continue
        energy = community.meters.energy(meter, from_us, to_us)
        if energy is None:
            return None
        total = Energy(
            energy.import_wh + (total.import_wh if total else 0),
            energy.export_wh + (total.export_wh if total else 0),
            energy.is_estimated or bool(total and total.is_estimated),
        )
    return total
