"""Prices from outside: tariffs, files, and a real HTTP server; what is stale or malformed is told and not used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from market_bench import FIRST_US, QUARTER_US, START_US, Bench

from gateway.config.market import FeedKind, MarketFeed, MarketTariff, MarketWindow
from historian.market_job.feed_rows import MOST_BYTES, FeedError, parse
from historian.market_job.quotes import FeedQuotes, NoQuote, Quote, TariffQuotes, fetch_http, quotes_of

FEED = MarketFeed("spot", FeedKind.FILE, "spot.csv", 1_000, 60, 3_600, 30_000, 10_000, 5)
CSV = b"start,price\n2026-11-21T12:00:00Z,80.5\n2026-11-21T14:15:00+01:00,-12\n"
NOON_US = START_US - 60_000_000
HOUR_US = 3_600_000_000


class Server:
    """Answers with what the test says."""

    def __init__(self) -> None:
        self.body, self.status, self.headers = CSV, 200, [("Content-Type", "text/csv")]
        self.drips = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.status)
                for name, value in outer.headers:
                    self.send_header(name, value)
                self.end_headers()
                while outer.drips:
                    try:
                        self.wfile.write(b"x")
                        self.wfile.flush()
                    except OSError:
                        return
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/prices"


@pytest.fixture
def served() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.drips = False
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_file_is_used_until_it_is_stale(tmp_path: Path) -> None:
    (quotes,) = quotes_of((FEED,), (), tmp_path, ZoneInfo("UTC")).values()
    assert isinstance(quotes, FeedQuotes)
    assert quotes.quote(NOON_US, NOON_US) == NoQuote("feed spot: it was not fetched yet")
    (tmp_path / "spot.csv").write_bytes(CSV)
    quotes.refresh(NOON_US)
    assert quotes.trouble == ""
    assert quotes.quote(NOON_US + 5, NOON_US) == Quote(80_500 + 30_000, 80_500 - 10_000, 5)
    assert quotes.quote(NOON_US + 5 * QUARTER_US, NOON_US) == Quote(18_000, -22_000, 5)
    assert quotes.quote(NOON_US + 10 * QUARTER_US, NOON_US) == NoQuote("feed spot says nothing of that time")
    (tmp_path / "spot.csv").write_bytes(b"start,price\n2026-11-21T12:00:00Z,cheap\n")
    quotes.refresh(NOON_US + HOUR_US)
    assert "line 2: the price 'cheap' is no number" in quotes.trouble
    assert isinstance(quotes.quote(NOON_US + 5, NOON_US + HOUR_US), Quote), "the last sound one stays"
    stale = quotes.quote(NOON_US + 5, NOON_US + HOUR_US + 1)
    assert isinstance(stale, NoQuote)
    assert stale.why.startswith("feed spot is stale: 1.0 h old, since line 2")
    assert isinstance(quotes.quote(NOON_US, NOON_US - 1), NoQuote), "a clock set back knows no future feed"


def test_an_address_is_fetched_and_what_it_should_not_send_is_refused(served: Server) -> None:
    quotes = FeedQuotes(replace(FEED, kind=FeedKind.HTTP), lambda: fetch_http(served.url, 3.0))
    quotes.refresh(NOON_US)
    assert quotes.quote(NOON_US, NOON_US) == Quote(110_500, 70_500, 5)
    served.body = b'{"prices": [{"start": "2026-11-21T12:00:00Z", "price": 90}]}'
    quotes.refresh(NOON_US)
    assert quotes.quote(NOON_US, NOON_US) == Quote(120_000, 80_000, 5)
    for status, headers, body, told in (
        (500, [], CSV, "500"),
        (302, [("Location", "http://127.0.0.1:1/")], CSV, "302"),
        (200, [], b"x" * (MOST_BYTES + 1), "more than"),
        (200, [], b"<html>", "a header with"),
        (200, [("Content-Length", "500")], CSV, "cut off"),
    ):
        served.status, served.headers, served.body = status, headers, body
        quotes.refresh(NOON_US)
        assert told in quotes.trouble, told
    served.status, served.headers, served.drips = 200, [], True
    quotes.refresh(NOON_US)
    assert "more than" in quotes.trouble or "not all there" in quotes.trouble
    assert quotes.quote(NOON_US, NOON_US) == Quote(120_000, 80_000, 5), "it goes by the last sound one"


def test_nobody_at_the_address_is_told() -> None:
    quotes = FeedQuotes(FEED, lambda: fetch_http("http://127.0.0.1:9/", 3.0))
    quotes.refresh(NOON_US)
    assert "refused" in quotes.trouble
    assert isinstance(quotes.quote(NOON_US, NOON_US), NoQuote)


def test_a_tariff_speaks_the_same_language() -> None:
    night = MarketWindow(0xFFF, 0x7F, 0, 13 * 60, 500_000)
    quotes = TariffQuotes(MarketTariff("t", 200_000, 80_000, 7, 0, 0, (night,)), ZoneInfo("Europe/Berlin"))
    assert quotes.quote(NOON_US - 1, 0) == Quote(100_000, 80_000, 7)
    assert quotes.quote(NOON_US, 0) == Quote(200_000, 80_000, 7)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "a header"),
        (b"start,price\n", "no row"),
        (b"start,price\n2026-11-21T12:00:00,5\n", "no time with its offset"),
        (b"start,price\n2026-11-21T12:00:00Z,NaN\n", "is no number"),
        (b"start,price\n2026-11-21T12:00:00Z,99999999999\n", "is it of a kWh"),
        (b"start,price\n2026-11-21T12:00:00Z,5\n2026-11-21T12:00:00Z,5\n", "line 3: starts rise"),
        (b"start,price\n2026-11-21T12:00:00Z,5\n2026-11-23T12:00:00Z,5\n", "line 3: starts rise"),
        (b"start,price\n2026-11-21T12:00:00Z\n", "line 2: 1 fields"),
        (b"\xff\xfe", "no UTF-8"),
        (b'{"prices": 5}', "no list"),
        (b"[5]", "row 0"),
        (b'[{"start": "2026-11-21T12:00:00Z", "price": true}]', "is no number"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_a_malformed_feed_is_refused_whole_with_its_place(content: bytes, told: str) -> None:
    with pytest.raises(FeedError) as error:
        parse(content, 1_000)
    assert told in str(error.value)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: b"start,price\n" + text.encode()))
def test_garbage_gives_rows_or_the_one_error(content: bytes) -> None:
    try:
        rows = parse(content, 1)
    except FeedError:
        return
    assert list(rows.starts_us) == sorted(rows.starts_us)


def test_the_price_follows_a_feed_and_goes_by_the_section_without_it(bench: Bench) -> None:
    quotes = FeedQuotes(FEED, lambda: CSV)
    bench.quotes = {"spot": quotes}
    bench.restart(price=replace(bench.settings.price, feed="spot"), feeds=(FEED,))
    bench.look()
    bench.until(FIRST_US)
    assert bench.community.market.prices[FIRST_US].base_rate == 200_000
    assert bench.office is not None
    assert bench.office.troubles() == ["feed spot: it was not fetched yet"]
    quotes.refresh(bench.now_us)
    bench.until(FIRST_US + QUARTER_US)
    assert bench.community.market.prices[FIRST_US + QUARTER_US].base_rate == 110_500
    assert bench.office.troubles() == []
