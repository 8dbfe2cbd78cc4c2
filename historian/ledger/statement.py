"""A bill as a statement: CSV for programs, HTML for people and printers. Amounts in hundredths that add up."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from html import escape

from historian.ledger.billing import CENT, Bill

# Of statements and of the pages of a ledger (page.py).
STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #1b1f24; }
h1 { font-size: 1.5rem; margin: 0; }
p { color: #57606a; margin: .2rem 0 1.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .5rem; border-bottom: 1px solid #d8dee4; }
td { overflow-wrap: anywhere; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tfoot th { border-bottom: 0; border-top: 2px solid #1b1f24; }
code { font-size: .75rem; overflow-wrap: anywhere; }
@media print { body { margin: 0; } }
"""
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
{style}</style>
<h1>{title}</h1>
<p>{period}</p>
<table>
<thead><tr><th>For</th><th class="n">Quantity</th><th class="n">{currency}</th></tr></thead>
<tbody>
{rows}
</tbody>
<tfoot><tr><th>{total_is}</th><th></th><th class="n">{total}</th></tr></tfoot>
</table>
<p>{entry}<br>{digest}</p>
</html>
"""


def as_csv(bill: Bill, currency: str) -> str:
    """A line each, and the sum; amounts as whole millionths and as money."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["for", "quantity", "unit", f"{currency}_millionths", currency])
    for line, cents in zip(bill.lines, bill.cents(), strict=True):
        writer.writerow(
            [line.what, line.quantity if line.unit else "", line.unit, line.amount, _money(cents)]
        )
    writer.writerow(["total", "", "", bill.amount, _money(sum(bill.cents()))])
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement says, whatever it is drawn on; each row is what for, how much of it, and money."""

    title: str
    period: str
    currency: str
    rows: tuple[tuple[str, str, str], ...]
    total_is: str
    total: str
    entry: str
    digest: str


def statement_of(bill: Bill, currency: str, entry: int, ledger: bytes, zone: tzinfo = UTC) -> Statement:
    """A bill in words; times in ``zone``."""
    start, end = (
        datetime.fromtimestamp(at_us / 1e6, zone).strftime("%Y-%m-%d %H:%M")
        for at_us in (bill.from_us, bill.to_us)
    )
    period = f"{start} to {end} {zone.tzname(None) or ''}".strip()
    return Statement(
        title=f"Bill of {bill.participant}",
        period=f"{period}, tariff {bill.tariff}",
        currency=currency,
        rows=tuple(
            (line.what, _quantity(line.quantity, line.unit), _money(cents))
            for line, cents in zip(bill.lines, bill.cents(), strict=True)
        ),
        total_is="To pay" if bill.amount >= 0 else "You get",
        total=_money(abs(sum(bill.cents()))),
        entry=f"Entry {entry} of the ledger {ledger.hex()}",
        digest=f"SHA-256 of this bill {bill.digest.hex()}",
    )


def as_html(statement: Statement) -> str:
    """A page of its own, for a screen or a printer."""
    rows = [
        f'<tr><td>{escape(what)}</td><td class="n">{quantity}</td><td class="n">{money}</td></tr>'
        for what, quantity, money in statement.rows
    ]
    return _PAGE.format(
        style=STYLE,
        title=escape(statement.title),
        period=escape(statement.period),
        currency=escape(statement.currency),
        rows="\n".join(rows),
        total_is=statement.total_is,
        total=statement.total,
        entry=_with_code(statement.entry),
        digest=_with_code(statement.digest),
    )


def _with_code(text: str) -> str:
    words, _, code = text.rpartition(" ")
    return f"{escape(words)} <code>{escape(code)}</code>"


def money_of(amount: int) -> str:
    """Millionths as money, to the nearest hundredth."""
    return _money((amount + CENT // 2) // CENT)


def _money(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _quantity(quantity: int, unit: str) -> str:
    if unit in ("Wh", "W"):
        return f"{quantity / 1000:,.3f} k{unit}"
    return ""
