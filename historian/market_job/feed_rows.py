"""The bytes of a feed of prices, CSV or JSON, as rows. Pure; all of it is sound, or none of it is used.

CSV has a header with ``start`` and ``price``; JSON is ``{"prices": [{"start": …, "price": …}, …]}`` or the list
alone. A start is ISO 8601 with its offset; each price holds until the next start, the last as long as the one before.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise

import orjson

from historian.ledger.market.price import MOST_RATE

MOST_ROWS = 20_000  # half a year of quarter hours; one megabyte
MOST_BYTES = 1 << 20
LONGEST_S, SHORTEST_S, ALONE_S = 86_400, 60, 3_600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


class FeedError(Exception):
    """A feed that cannot be used; says where and what."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Prices in millionths a kWh by their starts, rising; ``end_us`` is where the last ends."""

    starts_us: tuple[int, ...]
    prices: tuple[int, ...]
    end_us: int

    def at(self, time_us: int) -> int | None:
        """The price that holds then; None where the feed says nothing of it."""
        if not self.starts_us or not self.starts_us[0] <= time_us < self.end_us:
            return None
        return self.prices[bisect_right(self.starts_us, time_us) - 1]


def parse(content: bytes, per_kwh: int) -> Rows:
    """The rows of a feed whose prices are of ``per_kwh`` kWh (1 or 1,000). Raises FeedError."""
    if len(content) > MOST_BYTES:
        raise FeedError(f"more than {MOST_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FeedError(f"byte {error.start} is no UTF-8") from None
    named = _json_rows(text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text)
    starts: list[int] = []
    prices: list[int] = []
    for where, start, price in named:
        if len(starts) >= MOST_ROWS:
            raise FeedError(f"more than {MOST_ROWS} rows")
        starts.append(_time(where, start))
        prices.append(_price(where, price, per_kwh))
        if len(starts) > 1 and not SHORTEST_S * 10**6 <= starts[-1] - starts[-2] <= LONGEST_S * 10**6:
            raise FeedError(f"{where}: starts rise by {SHORTEST_S} s to {LONGEST_S} s, not by"
                            f" {(starts[-1] - starts[-2]) / 1e6:g} s")  # fmt: skip
    if not starts:
        raise FeedError("no row")
    steps = [later - earlier for earlier, later in pairwise(starts)]
    return Rows(tuple(starts), tuple(prices), starts[-1] + (steps[-1] if steps else ALONE_S * 10**6))


def _csv_rows(text: str) -> Iterator[tuple[str, object, object]]:
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if "start" not in header or "price" not in header:
            raise FeedError(f"line 1: a header with 'start' and 'price', not {','.join(header)[:80]!r}")
        at_start, at_price = header.index("start"), header.index("price")
        for row in reader:
            where = f"line {reader.line_num}"
            if len(row) != len(header):
                raise FeedError(f"{where}: {len(row)} fields, the header has {len(header)}")
            yield where, row[at_start].strip(), row[at_price].strip()
    except csv.Error as error:
        raise FeedError(f"line {reader.line_num}: {error}") from None


def _json_rows(text: str) -> Iterator[tuple[str, object, object]]:
    try:
        read = orjson.loads(text)  # which bounds how deep it nests by itself
    except ValueError as error:
        raise FeedError(f"no JSON: {error}") from None
    rows = read.get("prices") if isinstance(read, dict) else read
    if not isinstance(rows, list):
        raise FeedError("'prices' is no list")
    for number, row in enumerate(rows):
        where = f"row {number}"
        if not isinstance(row, dict) or "start" not in row or "price" not in row:
            raise FeedError(f"{where}: no 'start' and 'price'")
        yield where, row["start"], row["price"]


def _time(where: str, value: object) -> int:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise FeedError(
            f"{where}: the start {str(value)[:40]!r} is no time with its offset: 2026-11-22T14:00:00+01:00"
        )
    return (time - _EPOCH) // _MICRO


def _price(where: str, value: object, per_kwh: int) -> int:
    try:
        # A float by its shortest form: 80.1 is meant, not the double beside it.
        price = None if isinstance(value, bool) or value is None else Decimal(str(value))
    except (InvalidOperation, TypeError, ValueError):
        price = None
    if price is None or not price.is_finite():
        raise FeedError(f"{where}: the price {str(value)[:40]!r} is no number")
    scaled = price * 1_000_000 / per_kwh
    if abs(scaled) > MOST_RATE:
        raise FeedError(f"{where}: a price of {str(value)[:40]}: is it of a kWh, and not of a MWh?")
    return round(scaled)
