"""A bill as a statement: CSV for programs, HTML for people and printers. Amounts in hundredths that add up."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, tzinfo
from html import escape

from historian.ledger.billing import Bill

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #1b1f24; }}
h1 {{ font-size: 1.5rem; margin: 0; }}
p {{ color: #57606a; margin: .2rem 0 1.5rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .35rem .5rem; border-bottom: 1px solid #d8dee4; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
tfoot th {{ border-bottom: 0; border-top: 2px solid #1b1f24; }}
code {{ font-size: .75rem; overflow-wrap: anywhere; }}
@media print {{ body {{ margin: 0; }} }}
</style>
<h1>{title}</h1>
<p>{period}, tariff {tariff}</p>
<table>
<thead><tr><th>For</th><th class="n">Quantity</th><th class="n">{currency}</th></tr></thead>
<tbody>
{rows}
</tbody>
<tfoot><tr><th>{total_is}</th><th></th><th class="n">{total}</th></tr></tfoot>
</table>
<p>Entry {entry} of the ledger <code>{ledger}</code><br>SHA-256 of this bill <code>{digest}</code></p>
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


def as_html(bill: Bill, currency: str, entry: int, ledger: bytes, zone: tzinfo = UTC) -> str:
    """A page of its own, for a screen or a printer."""
    rows = [
        f'<tr><td>{escape(line.what)}</td><td class="n">{_quantity(line.quantity, line.unit)}</td>'
        f'<td class="n">{_money(cents)}</td></tr>'
        for line, cents in zip(bill.lines, bill.cents(), strict=True)
    ]
    start, end = (
        datetime.fromtimestamp(at_us / 1e6, zone).strftime("%Y-%m-%d %H:%M")
        for at_us in (bill.from_us, bill.to_us)
    )
    return _PAGE.format(
        title=escape(f"Bill of {bill.participant}"),
        period=escape(f"{start} to {end} {zone.tzname(None) or ''}".strip()),
        tariff=escape(bill.tariff),
        currency=escape(currency),
        rows="\n".join(rows),
        total_is="To pay" if bill.amount >= 0 else "You get",
        total=_money(abs(sum(bill.cents()))),
        entry=entry,
        ledger=ledger.hex(),
        digest=bill.digest.hex(),
    )


def _money(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _quantity(quantity: int, unit: str) -> str:
    if unit in ("Wh", "W"):
        return f"{quantity / 1000:,.3f} k{unit}"
    return ""
