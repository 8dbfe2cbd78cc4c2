"""Volume and range of prices by day as SVG, without text in it: labels stand beside it and keep their size. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from historian.ledger.overview import Day

_HIGH = 100  # of the drawing, in its own units; a day is 10 wide
_WIDE = 10


def price_chart(days: Sequence[Day], currency: str) -> str:
    """Two plots under each other; nothing where nothing was traded."""
    priced = [day for day in days if day.least_price is not None and day.most_price is not None]
    if not priced:
        return ""
    low = min(day.least_price or 0 for day in priced)
    high = max(day.most_price or 0 for day in priced)
    most = max(day.traded_wh for day in days)
    ends = f'<div class="days"><span>{days[0].label}</span><span>{days[-1].label}</span></div>'
    money = escape(currency)
    return (
        '<figure>\n<div class="plot">\n'
        f'<div class="axis"><span>{most / 1000:,.0f} kWh</span><span>0</span></div>\n'
        f"{_svg('Traded by day, kWh', _bars(days, most), len(days))}\n{ends}\n"
        f'<div class="axis"><span>{high / 1e6:.4f}</span><span>{low / 1e6:.4f}</span></div>\n'
        f"{_svg(f'Prices by day, {money} a kWh', _ranges(days, low, high), len(days))}\n{ends}\n"
        "</div>\n<figcaption>Above, what was traded; below, from the lowest to the highest price"
        f" ({money} a kWh), and the mean as a line across.</figcaption>\n</figure>\n"
    )


def _svg(title: str, content: str, days: int) -> str:
    return (
        f'<svg viewBox="0 0 {days * _WIDE} {_HIGH}" preserveAspectRatio="none" role="img"'
        f' aria-label="{title}"><title>{title}</title>{content}</svg>'
    )


def _bars(days: Sequence[Day], most: int) -> str:
    return "".join(
        _box(place, _HIGH - _HIGH * day.traded_wh / most, _HIGH, "#0969da")
        for place, day in enumerate(days)
        if day.traded_wh
    )


def _ranges(days: Sequence[Day], low: int, high: int) -> str:
    span = max(1, high - low)

    def at(price: int) -> float:
        return _HIGH - 2 - (_HIGH - 4) * (price - low) / span

    drawn = []
    for place, day in enumerate(days):
        if day.least_price is None or day.most_price is None or day.mean_price is None:
            continue
        drawn.append(_box(place, at(day.most_price) - 1, at(day.least_price) + 1, "#9ec5f8"))
        drawn.append(_box(place, at(day.mean_price) - 1, at(day.mean_price) + 1, "#0a3069"))
    return "".join(drawn)


def _box(place: int, top: float, bottom: float, colour: str) -> str:
    left, wide = place * _WIDE + 1, _WIDE - 2
    return f'<rect x="{left}" y="{top:.1f}" width="{wide}" height="{max(0.5, bottom - top):.1f}" fill="{colour}"/>'
