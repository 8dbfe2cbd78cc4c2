"""A ledger as one page for members and operators: no script, nothing from elsewhere, for a screen or a printer. Pure.

Tables are of days and participants, or of the latest of what is rare, so that a ledger of years stays a page; what
is left out is counted.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from html import escape

from historian.ledger.errors import Refused
from historian.ledger.facts import Refusal
from historian.ledger.overview import (
    Day,
    Gathered,
    bills_by_participant,
    by_day,
    members,
    open_bills,
    other_accounts,
    rewards,
)
from historian.ledger.page_table import (
    Cell,
    kwh,
    left_out,
    money,
    number,
    price,
    section,
    sentence,
    table,
    time_of,
    when,
    words,
)
from historian.ledger.page_table import day as of_day
from historian.ledger.price_chart import price_chart
from historian.ledger.statement import STYLE

MOST_DAYS = 400  # a year, and the month before it; of periods too
MOST_PARTICIPANTS = 500
MOST_OF_RARE = 100  # restated lines, readings taken back, void facts and refusals: of each, the latest
MOST_OPEN_BILLS = 200

_STYLE = """\
body { max-width: 64rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .4rem; }
p { margin: .2rem 0 .8rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1rem 0; }
dt { color: #57606a; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f8fa; padding: .6rem .8rem; font-size: .75rem; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
table { font-size: .85rem; }
th { vertical-align: bottom; }
td { vertical-align: top; overflow-wrap: normal; }
td.long { overflow-wrap: anywhere; min-width: 9rem; }
td.t, tfoot th { white-space: nowrap; }
.bad { color: #b42318; font-weight: 600; }
figure { margin: .8rem 0 1.2rem; }
figcaption { color: #57606a; font-size: .8rem; }
.plot { display: grid; grid-template-columns: 4.5rem 1fr; gap: 0 .4rem; font-size: .75rem; color: #57606a; }
.plot svg { width: 100%; height: 6rem; display: block; border: solid #d8dee4; border-width: 0 0 1px 1px; }
.plot .axis { display: flex; flex-direction: column; justify-content: space-between; text-align: right; }
.plot .days { grid-column: 2; display: flex; justify-content: space-between; margin-bottom: .7rem; }
@media (max-width: 30rem) {
  body { margin: 1.2rem auto; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
}
@media print {
  @page { margin: 14mm; }
  html { font-size: 10px; }
  body { font-size: 10px; max-width: none; padding: 0; }
  table { font-size: 8px; }
  th, td { padding: .2rem .25rem; }
  .scroll { overflow: visible; }
  h2 { break-after: avoid; }
  tr, figure, pre { break-inside: avoid; }
  thead { display: table-header-group; }
  tfoot { display: table-row-group; }
}
"""


def page_of(gathered: Gathered, *, file: str, ledger: bytes, head: bytes, zone: tzinfo = UTC) -> str:
    """The page; ``head`` is the hash of the last entry, days are of ``zone``."""
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>Ledger {escape(gathered.name)}</title>\n<style>\n{STYLE}{_STYLE}</style>\n",
            _head(gathered, file, ledger, head, zone),
            _participants(gathered),
            _market(gathered, zone),
            _settlements(gathered, zone),
            _bills(gathered, zone),
            _rewards(gathered),
            _accounts(gathered),
            _periods(gathered, zone),
            _refusals(gathered, zone),
            "</html>\n",
        )
    )


def _head(gathered: Gathered, file: str, ledger: bytes, head: bytes, zone: tzinfo) -> str:
    community = gathered.community
    faults = []
    if community.strays:
        faults.append(f"{len(community.strays)} postings without a reason")
    if community.owed:
        faults.append(f"{len(community.owed)} postings are owed")
    audit = (
        f'<span class="bad">{", ".join(faults)}</span>: <code>tieline ledger audit</code> says which'
        if faults
        else "every posting follows from a fact"
    )
    times = f"{time_of(gathered.began_us, zone)} to {time_of(community.now_us, zone)}"
    rows = (
        ("Ledger", f"<code>{ledger.hex()}</code>"),
        ("Entries", f'<data value="{gathered.entries}">{gathered.entries:,}</data>'),
        ("Last entry", f"<code>{head.hex()}</code>"),
        ("Times", f"{times}, {escape(str(zone))}"),
        ("Operator", escape(community.operator)),
        ("Periods", f"{len(gathered.closes)} closed"),
        ("Audit", audit),
    )
    said = "".join(f"<dt>{name}</dt><dd>{value}</dd>\n" for name, value in rows)
    receipt = f"{community.sequence}:{head.hex()}"
    command = f"tieline ledger verify {file} --ledger {ledger.hex()} --receipt {receipt}"
    return (
        f"<h1>Ledger {escape(gathered.name)}</h1>\n<dl>\n{said}</dl>\n"
        "<p>This page is a reading of the ledger, made without checking signatures: by itself it proves nothing."
        " Whoever has the file checks every byte, signature and rule of it, and that it is this ledger, by</p>\n"
        f"<pre>{escape(command)}</pre>\n"
    )


def _participants(gathered: Gathered) -> str:
    found = members(gathered)
    if not found:
        return ""
    energies = ("open_wh", "bought_wh", "sold_wh", "taken_wh", "given_wh")
    rows = [
        (
            *(words(each.name), words(each.kind), words(each.status)),
            *(money(each.deposit), money(each.current)),
            *(kwh(getattr(each, energy)) for energy in energies),
        )
        for each in found[:MOST_PARTICIPANTS]
    ]
    total = (
        *("", "", ""),
        money(sum(each.deposit for each in found)),
        money(sum(each.current for each in found)),
        *(kwh(sum(getattr(each, energy) for each in found)) for energy in energies),
    )
    return section(
        "Participants",
        f"Money in {escape(gathered.currency)}, each amount rounded by itself; energy in kWh. Current: what the"
        " community owes it (below 0: it owes) beside its deposit. Open: what it is still to be settled for, bought"
        " less sold. Taken and given: what its meters showed in settled intervals."
        + left_out(found[MOST_PARTICIPANTS:], "participants"),
        table(
            "participants",
            (
                *("Participant", "Kind", "Status", "#Deposit", "#Current"),
                *("#Open", "#Bought", "#Sold", "#Taken", "#Given"),
            ),
            rows,
            total,
        ),
    )


def _market(gathered: Gathered, zone: tzinfo) -> str:
    days = by_day(gathered.community, zone)
    if not days:
        return ""
    everything = Day("")
    for day in days:
        everything.add(day)
    shown = days[-MOST_DAYS:]
    return section(
        "Market by day",
        f"Energy in kWh, prices in {escape(gathered.currency)} a kWh; the mean is what buyers paid. Unplanned: how"
        " far meters were from what was traded, either way. Estimated: lines settled by a reading that is no"
        " measurement." + left_out(days[:-MOST_DAYS], "earlier days"),
        price_chart(shown, gathered.currency)
        + table(
            "days",
            (
                *("Day", "#Trades", "#Traded", "#Lowest", "#Mean", "#Highest"),
                *("#Taken", "#Given", "#Unplanned", "#Intervals", "#Estimated"),
            ),
            [(of_day(day.label), *_day(day)) for day in reversed(shown)],
            ("", *_day(everything)),
        ),
    )


def _day(day: Day) -> tuple[Cell, ...]:
    return (
        *(number(day.trades), kwh(day.traded_wh)),
        *map(price, (day.least_price, day.mean_price, day.most_price)),
        *map(kwh, (day.taken_wh, day.given_wh, day.unplanned_wh)),
        *map(number, (day.intervals, day.estimated)),
    )


def _settlements(gathered: Gathered, zone: tzinfo) -> str:
    intervals, settled = gathered.community.market.intervals, gathered.community.settled
    if not intervals:
        return ""
    waiting = sum(interval.is_gated and at_us not in settled for at_us, interval in intervals.items())
    again = sum(each.version > 1 for each in settled.values())
    said = (
        f"{len(settled):,} intervals are settled, {again:,} of them more than once. Closed and not settled yet:"
        f" {waiting:,}."
    )
    rows = [
        (
            *(number(each.entry), when(each.at_us, zone), when(each.interval_us, zone)),
            *(number(each.version), words(each.participant)),
            *map(kwh, each.metered_wh),
            *map(money, each.current),
            money(each.current[1] - each.current[0]),
        )
        for each in gathered.restated[-MOST_OF_RARE:][::-1]
    ]
    heads = (
        *("#Entry", "Placed", "Interval", "#Version", "Participant"),
        *("#Metered before", "#after", "#Money before", "#after", "#Change"),
    )
    content = table("restated", heads, rows) if rows else ""
    if rows:
        said += (
            " Lines that a later settlement changed, the latest first, in kWh given less taken and in"
            f" {escape(gathered.currency)}: the old posting was taken back and the new one made, by an entry each."
        )
    taken_back = [
        (number(entry), words(fact.meter), when(fact.at_us, zone), sentence(fact.reason))
        for entry, fact in gathered.reversals[-MOST_OF_RARE:][::-1]
    ]
    if taken_back:
        content += "<p>Readings that were taken back"
        content += f"{left_out(gathered.reversals[:-MOST_OF_RARE], 'earlier ones')}:</p>\n"
        content += table("reversals", ("#Entry", "Meter", "Reading of", "Reason"), taken_back)
    return section(
        "Settlements and restatements",
        said + left_out(gathered.restated[:-MOST_OF_RARE], "earlier changes"),
        content,
    )


def _bills(gathered: Gathered, zone: tzinfo) -> str:
    community = gathered.community
    found = bills_by_participant(community)
    if not found:
        return ""
    rows = [
        (
            *(words(each.participant), number(each.bills), number(each.last_entry)),
            *(money(each.own), money(each.open)),
            sentence(
                ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in each.states.items())
            ),
        )
        for each in found[:MOST_PARTICIPANTS]
    ]
    total = (
        *("", number(sum(each.bills for each in found)), ""),
        *(money(sum(each.own for each in found)), money(sum(each.open for each in found)), ""),
    )
    waiting = open_bills(community)
    bills = dict(community.billing.bills)
    listed = [
        (
            *(number(claim.entry), words(claim.participant)),
            when(bills[claim.entry].from_us, zone),
            when(bills[claim.entry].to_us, zone),
            *(money(bills[claim.entry].amount), money(claim.open), words(state.value.replace("_", " "))),
            when(due_us, zone),
        )
        for claim, state, due_us in waiting[:MOST_OPEN_BILLS]
    ]
    heads = ("#Entry", "Participant", "From", "To", "#Amount", "#Open", "State", "Due")
    listing = "<p>Nothing of them is open.</p>\n"
    if listed:
        listing = f"<p>What is open, the oldest first.{left_out(waiting[MOST_OPEN_BILLS:], 'bills')}</p>\n"
        listing += table("open-bills", heads, listed)
    return section(
        "Bills",
        f"In {escape(gathered.currency)}. Billed: what bills added to what was owed before; below 0 it is to the"
        " participant's credit. One as a statement: <code>tieline ledger statement FILE ENTRY --html</code>."
        + left_out(found[MOST_PARTICIPANTS:], "participants"),
        table(
            "bills",
            ("Participant", "#Bills", "#Last, entry", "#Billed", "#Open", "State"),
            rows,
            total,
        )
        + listing,
    )


def _rewards(gathered: Gathered) -> str:
    found = rewards(gathered.community)
    if not found:
        return ""
    names = ("points", "staked", "expired", "certificates", "retired", "lapsed")
    rows = [
        (words(each.participant), *(number(getattr(each, name)) for name in names))
        for each in found[:MOST_PARTICIPANTS]
    ]
    issued = gathered.community.treasury.certificates.issued
    sources = ", ".join(
        f"{device} 1 to {last}" for device, last in sorted(issued.items())[:MOST_OF_RARE] if last
    )
    return section(
        "Points and certificates",
        "A certificate stands for a MWh."
        + (f" Serials issued, by source: {escape(sources)}." if sources else "")
        + left_out(found[MOST_PARTICIPANTS:], "participants"),
        table(
            "rewards",
            (
                *("Participant", "#Points", "#Points staked", "#Points expired"),
                *("#Certificates", "#Certificates retired", "#Certificates expired"),
            ),
            rows,
            ("", *(number(sum(getattr(each, name) for each in found)) for name in names)),
        ),
    )


def _accounts(gathered: Gathered) -> str:
    found = [each for each in other_accounts(gathered) if each[2]]
    cells = {gathered.currency: money, "Wh": kwh}
    shown = {"Wh": "kWh"}
    rows = [
        (words(name), words(shown.get(unit, unit)), cells.get(unit, number)(amount))
        for name, unit, amount in found[:MOST_PARTICIPANTS]
    ]
    sums: dict[str, int] = {}
    for name, account in gathered.accounts.items():
        sums[account.unit] = sums.get(account.unit, 0) + gathered.balances.get(name, 0)
    off = sorted(unit for unit, left in sums.items() if left)
    said = f"All {len(gathered.accounts):,} accounts of the ledger together sum to 0 in each unit."
    if off:
        said = f'<span class="bad">The accounts in {escape(", ".join(off))} do not sum to 0.</span>'
    return section(
        "Other accounts",
        f"{said} Income is above 0, costs are below; what stands for the world outside is below 0 by what came from"
        f" there. Empty ones are left out.{left_out(found[MOST_PARTICIPANTS:], 'accounts')}",
        table("accounts", ("Account", "Unit", "#Balance"), rows) if rows else "",
    )


def _periods(gathered: Gathered, zone: tzinfo) -> str:
    if not gathered.closes:
        return section("Periods", "No period is closed yet: there is no signed root.")
    rows = [
        (
            *(number(each.close.number), when(each.at_us, zone)),
            *(number(each.close.first), number(each.close.count)),
            f'<td class="long"><code>{each.close.root.hex()}</code></td>',
        )
        for each in gathered.closes[-MOST_DAYS:][::-1]
    ]
    return section(
        "Periods",
        "With a period's root one checks that an entry is in it, without the ledger: <code>tieline ledger prove FILE"
        " ENTRY</code>, then <code>tieline ledger check PROOF --root HASH</code>."
        + left_out(gathered.closes[:-MOST_DAYS], "earlier periods"),
        table("periods", ("#Period", "Closed", "#First entry", "#Entries", "Merkle root"), rows),
    )


def _refusals(gathered: Gathered, zone: tzinfo) -> str:
    community = gathered.community
    told: list[tuple[int, Refused | Refusal]] = [*community.voids.items(), *community.refusals]
    told.sort(key=lambda each: -each[0])
    if not told:
        return section("Void facts and refusals", "None: all that was handed in holds.")
    rows = [
        (
            *(number(entry), when(gathered.placed_us[entry], zone)),
            words("void" if isinstance(why, Refused) else "refused"),
            sentence(str(why) if isinstance(why, Refused) else f"{why.reason}: {why.why}"),
        )
        for entry, why in told[:MOST_OF_RARE]
    ]
    untold = sum(refusal.untold for _, refusal in community.refusals)
    more = f" {untold:,} more were counted and not told." if untold else ""
    return section(
        "Void facts and refusals",
        f"{len(community.voids):,} facts are void: on the record, and without effect. {len(community.refusals):,}"
        f" times the ledger took nothing of what was handed in.{more}"
        + left_out(told[MOST_OF_RARE:], "earlier ones"),
        table("refusals", ("#Entry", "Placed", "What", "Why"), rows),
    )
