"""Tables of a page: cells of words, numbers, energy, money and prices. Pure.

Exact amounts stand in ``<data value>``: millionths of money, Wh, units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from html import escape

from historian.ledger.billing import CENT

MICROS = 1_000_000
Cell = str  # of HTML, whole with its td
NOTHING = '<td class="n">-</td>'


def section(title: str, words: str, content: str = "") -> str:
    """A heading, what is to be known (HTML), and a table or more."""
    return f"<h2>{title}</h2>\n<p>{words}</p>\n{content}"


def left_out(rest: Sequence[object], what: str) -> str:
    """Words for what is not on the page."""
    return f" {len(rest):,} {what} are left out here, and counted." if rest else ""


def table(name: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]], total: Sequence[Cell] = ()) -> str:
    """``name`` is its id; a head with # before it is of numbers; ``total`` is empty where nothing adds up."""
    head = "".join(
        f'<th class="n">{each[1:]}</th>' if each.startswith("#") else f"<th>{each}</th>" for each in heads
    )
    body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    foot = ""
    if total:
        empty = next(place for place, cell in enumerate(total) if cell)
        sums = "".join(
            cell.replace("<td", "<th").replace("</td>", "</th>") or "<th></th>" for cell in total[empty:]
        )
        foot = f'<tfoot><tr><th colspan="{empty}">All</th>{sums}</tr></tfoot>\n'
    return (
        f'<div class="scroll"><table id="{name}">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n{foot}</table></div>\n"
    )


def words(text: str) -> Cell:
    """A few of them."""
    return f"<td>{escape(text)}</td>"


def when(at_us: int | None, zone: tzinfo) -> Cell:
    """A time to the minute; empty where there is none."""
    return day(time_of(at_us, zone) if at_us is not None else "")


def day(label: str) -> Cell:
    """A time as it is written, in one line."""
    return f'<td class="t">{label}</td>'


def sentence(text: str) -> Cell:
    """As long as it is."""
    return f'<td class="long">{escape(text)}</td>'


def number(value: int) -> Cell:
    """A count."""
    return f'<td class="n"><data value="{value}">{value:,}</data></td>'


def kwh(wh: int) -> Cell:
    """Energy, exact."""
    return f'<td class="n"><data value="{wh}">{wh / 1000:,.3f}</data></td>'


def money(amount: int) -> Cell:
    """An amount by itself to the nearest hundredth, as the statement of a bill has its total."""
    cents = (amount + CENT // 2) // CENT
    shown = f"{'-' if cents < 0 else ''}{abs(cents) // 100:,}.{abs(cents) % 100:02}"
    return f'<td class="n"><data value="{amount}">{shown}</data></td>'


def price(value: int | None) -> Cell:
    """Money a kWh, to a hundredth of a hundredth."""
    if value is None:
        return NOTHING
    return f'<td class="n"><data value="{value}">{value / MICROS:.4f}</data></td>'


def time_of(at_us: int, zone: tzinfo) -> str:
    """To the minute."""
    return datetime.fromtimestamp(at_us // MICROS, zone).strftime("%Y-%m-%d %H:%M")
