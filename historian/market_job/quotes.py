"""What energy costs and brings outside the community: one interface over tariffs and feeds of wholesale prices."""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from gateway.config.market import FeedKind, MarketFeed, MarketTariff
from historian.ledger.market.price import ONE
from historian.ledger.metering import MICROS
from historian.market_job.feed_rows import MOST_BYTES, FeedError, Rows, parse

FETCH_S = 20.0  # of one fetch as a whole, however slowly it drips
SOCKET_S = 5.0
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Quote:
    """Of a time: a kWh taken, a kWh given, in millionths; and a kW of the greatest interval of a bill."""

    import_price: int
    export_price: int
    capacity_price: int


@dataclass(frozen=True, slots=True)
class NoQuote:
    """Nothing is known of that time, and why."""

    why: str


class Quotes(Protocol):
    """Where prices come from."""

    def quote(self, time_us: int, now_us: int) -> Quote | NoQuote:
        """What holds at a time, as it is known now."""
        ...


class TariffQuotes:
    """A tariff of the site's section."""

    def __init__(self, tariff: MarketTariff, zone: tzinfo) -> None:
        self._tariff = tariff
        self._zone = zone

    def quote(self, time_us: int, now_us: int) -> Quote | NoQuote:
        """Its windows go by the local clock."""
        local = datetime.fromtimestamp(time_us / MICROS, UTC).astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        multiplier = next(
            (
                window.multiplier
                for window in self._tariff.windows
                if window.months >> (local.month - 1) & 1
                and window.weekdays >> local.weekday() & 1
                and window.from_minute <= minute < window.to_minute
            ),
            ONE,
        )
        tariff = self._tariff
        return Quote(tariff.base_rate * multiplier // ONE, tariff.export_credit, tariff.demand_charge)


class FeedQuotes:
    """A feed in a file or at an address. `refresh` fetches, from a thread of its own; `quote` only looks."""

    def __init__(self, feed: MarketFeed, fetch: Callable[[], bytes]) -> None:
        self._feed = feed
        self._fetch = fetch
        self._lock = threading.Lock()
        self._rows: Rows | None = None
        self._as_of_us = 0
        self._why = "it was not fetched yet"

    def refresh(self, now_us: int) -> None:
        """Fetch it. What is malformed is told, and the last sound one stays until it is too old."""
        try:
            rows = parse(self._fetch(), self._feed.per_kwh)
        except (FeedError, OSError, HTTPException, ValueError) as error:
            with self._lock:
                self._why = (
                    f"{type(error).__name__}: {error}" if not isinstance(error, FeedError) else str(error)
                )
            return
        with self._lock:
            self._rows, self._as_of_us, self._why = rows, now_us, ""

    @property
    def trouble(self) -> str:
        """Why the last fetch gave nothing; empty where it did."""
        with self._lock:
            return f"feed {self._feed.name}: {self._why}" if self._why else ""

    def quote(self, time_us: int, now_us: int) -> Quote | NoQuote:
        """The feed's price with what its use costs on top."""
        with self._lock:
            rows, as_of_us, why = self._rows, self._as_of_us, self._why
        name = self._feed.name
        if rows is None:
            return NoQuote(f"feed {name}: {why}")
        if not 0 <= now_us - as_of_us <= self._feed.max_age_s * MICROS:
            hours = (now_us - as_of_us) / MICROS / 3_600
            return NoQuote(f"feed {name} is stale: {hours:.1f} h old" + (f", since {why}" if why else ""))
        price = rows.at(time_us)
        if price is None:
            return NoQuote(f"feed {name} says nothing of that time")
        return Quote(price + self._feed.import_fee, price - self._feed.export_fee, self._feed.capacity)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An address that sends elsewhere is not followed: the section names where prices come from."""

    def redirect_request(self, *_: object) -> None:
        return None


def fetch_http(url: str, fetch_s: float = FETCH_S) -> bytes:
    """What is at an address. Raises OSError, FeedError."""
    opener = urllib.request.build_opener(_NoRedirect)
    until = time.monotonic() + fetch_s
    request = urllib.request.Request(url, headers={"Accept": "application/json, text/csv"})  # noqa: S310 - http(s) by the section's pattern
    parts: list[bytes] = []
    size = 0
    with opener.open(request, timeout=min(SOCKET_S, fetch_s)) as answer:
        # Not read(): it would wait for a server that sends a byte a second.
        while more := answer.read1(65_536):
            parts.append(more)
            size += len(more)
            if size > MOST_BYTES:
                raise FeedError(f"more than {MOST_BYTES} bytes")
            if time.monotonic() > until:
                raise FeedError(f"not all there after {fetch_s:g} s")
        if answer.length:  # read1() says nothing of it, and half a feed may look whole
            raise FeedError(f"cut off: {answer.length} bytes are missing")
    return b"".join(parts)


def fetch_file(file: Path) -> bytes:
    """What is in a file. Raises OSError."""
    number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would hold us for ever
    with os.fdopen(number, "rb") as opened:
        return opened.read(MOST_BYTES + 1)


def quotes_of(
    feeds: tuple[MarketFeed, ...], tariffs: tuple[MarketTariff, ...], state: Path, zone: tzinfo
) -> dict[str, Quotes]:
    """Each feed of a section by its name."""
    by_name = {tariff.name: tariff for tariff in tariffs}
    made: dict[str, Quotes] = {}
    for feed in feeds:
        if feed.kind is FeedKind.TARIFF:
            made[feed.name] = TariffQuotes(by_name[feed.source], zone)
        elif feed.kind is FeedKind.FILE:
            made[feed.name] = FeedQuotes(feed, partial(fetch_file, state / feed.source))
        else:
            made[feed.name] = FeedQuotes(feed, partial(fetch_http, feed.source))
    return made


def keep_fetching(
    feeds: tuple[MarketFeed, ...],
    quotes: dict[str, Quotes],
    stop: threading.Event,
    clock: Callable[[], int],
) -> None:
    """Fetch each feed as often as it says, until ``stop``: the thread beside the market's."""
    due = {feed.name: 0.0 for feed in feeds}
    while not stop.is_set():
        for feed in feeds:
            made = quotes[feed.name]
            if isinstance(made, FeedQuotes) and time.monotonic() >= due[feed.name] and not stop.is_set():
                made.refresh(clock())
                due[feed.name] = time.monotonic() + feed.every_s
        stop.wait(LOOK_S)
