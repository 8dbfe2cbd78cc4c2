"""Meters' readings out of history: the registers' tags as they stood at an interval's end, with their quality."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gateway.tags.quality import is_good
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import MeterBinding, Reading, ReadingQuality
from historian.query.history import History

WH_OF_UNIT: Mapping[str, int] = {"Wh": 1, "kWh": 1_000, "MWh": 1_000_000}
NANOS = 1_000
# A register is polled at least every minute; one older than this at the interval's end does not tell of it.
OLDEST_US = 120 * 1_000_000


def reading(history: History, binding: MeterBinding, at_us: int) -> Reading:
    """The measured reading at an instant; ``Refused`` where history has none that is Good and fresh: estimate it."""
    return Reading(
        binding.meter,
        at_us,
        _register(history, binding.import_tag, at_us),
        _register(history, binding.export_tag, at_us) if binding.export_tag else 0,
        ReadingQuality.MEASURED,
    )


def _register(history: History, tag: str, at_us: int) -> int:
    unit = history.entry(tag).unit or ""
    factor = WH_OF_UNIT.get(unit)
    if factor is None:
        raise Refused(
            Reason.MIXED_UNITS, f"{tag} is in {unit or 'no unit'}: a register is in {', '.join(WH_OF_UNIT)}"
        )
    found = history.raw(tag, (at_us - OLDEST_US) * NANOS, at_us * NANOS + 1, limit=1, newest_first=True)
    if not len(found):
        raise Refused(Reason.UNKNOWN, f"{tag} has no sample within {OLDEST_US // 10**6} s before {at_us} µs")
    value, status = found.values[0], int(found.statuses[0])
    if not is_good(status):
        raise Refused(Reason.UNKNOWN, f"{tag} is not Good at {at_us} µs: status {status:#010x}")
    if found.values.dtype.kind in "iu":
        wh = int(value) * factor
    elif found.values.dtype.kind == "f" and math.isfinite(value):
        wh = round(float(value) * factor)  # to the nearest: 1.001 kWh are 1000.9999999999999 Wh
    else:
        raise Refused(Reason.MALFORMED, f"{tag} is {value}: no register's value")
    if wh < 0:
        raise Refused(Reason.NEGATIVE, f"{tag} is {value}: registers begin at 0")
    return wh
