"""Keys of ``historian``."""

from __future__ import annotations

from gateway.config.kinds import Integer, Key, Later, Section
from gateway.config.site import HistorianSettings
from gateway.config.site_keys.forward import FORWARD
from gateway.config.sizes import Size

_HISTORIAN = HistorianSettings()
HISTORIAN = Section(
    "the historian",
    (
        Key("flush_ms", Integer(10, 60_000, "ms"), "Samples are on disk so soon.", _HISTORIAN.flush_ms),
        Key("block_s", Integer(1, 3_600, "s"), "Length of a compressed block.", _HISTORIAN.block_s),
        Key("keep_days", Integer(0, 36_500, "days"), "Days kept; 0 for ever.", _HISTORIAN.keep_days),
        Key(
            "max_disk",
            Size(),
            "Most that history takes on the disk, as in 50GB; beyond it the oldest days are dropped. 0: no limit.",
            _HISTORIAN.max_disk,
        ),
        Key(
            "min_free",
            Size(),
            "Least that stays free on history's disk, as in 2GB; below it the oldest days are dropped, never today, "
            "and then nothing is written until there is room. 0: no limit.",
            _HISTORIAN.min_free,
        ),
        Key(
            "max_ahead_s",
            Integer(1, 3_153_600_000, "s"),
            "A sample whose time lies further in the future is quarantined: kept apart and counted.",
            _HISTORIAN.max_ahead_s,
        ),
        Key("forward", Later(FORWARD), "Stores that history is forwarded to, by name.", None),
    ),
)
