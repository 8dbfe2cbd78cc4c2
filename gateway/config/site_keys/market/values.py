"""Values that the keys of a market share: prices, shares, powers, files of the state folder."""

from __future__ import annotations

from gateway.config.kinds import Number, Text

STATE_FILE = Text("the path of a file", r"[^\u0000-\u001f\u007f]+", 255)
PRICE = Number(low=0, high=1_000)  # of money a kWh, as historian.ledger's MOST_RATE
SHARE = Number(low=0, high=10)
KW = Number(low=0, high=1_000_000)
WHOLE_DAY_MIN = 1_440
