"""What is known of assets as a table for people, CSV, JSON, or a page of its own."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

import orjson

from historian.health_job.assess import Assessment
from historian.health_job.store import KeptItem
from historian.times import iso_of

FORMATS: Final = ("table", "csv", "json", "html")
_COLUMNS: Final = ("asset", "name", "value", "unit", "by")
_ITEM: Final = ("id", "asset", "work", "urgency", "due", "evidence", "since", "seen by", "note", "closed")
_STYLE: Final = (
    "body{font:15px/1.4 sans-serif;margin:2em}table{border-collapse:collapse;margin-bottom:2em}"
    "td,th{border:1px solid #bbb;padding:.3em .6em;text-align:left;vertical-align:top}"
)


@dataclass(frozen=True, slots=True)
class Report:
    """``items`` are None where none are asked for; ``units`` are by asset and name of a reading."""

    site: str
    found: Sequence[Assessment]
    items: Sequence[KeptItem] | None
    units: Mapping[tuple[str, str], str]
    zone: tzinfo

    def text(self, format: str) -> str:
        match format:
            case "json":
                return self._json()
            case "csv":
                return self._csv()
            case "html":
                return self._html()
            case _:
                return self._table()

    def _rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        for one in self.found:
            for each in one.readings:
                value = "-" if each.value is None else f"{each.value:.6g}"
                unit = self.units.get((one.asset, each.name), "")
                yield one.asset, each.name, value, unit, each.words

    def _item_rows(self) -> Iterator[tuple[str, ...]]:
        for kept in self.items or self._found_items():
            item = kept.item
            closed = (
                "" if kept.closed is None else f"{self._time(kept.closed)} {kept.closed_by}: {kept.closing}"
            )
            yield (
                *(
                    str(kept.id) if kept.id else "",
                    item.asset,
                    item.work,
                    item.urgency.value,
                    self._due(kept),
                ),
                *("; ".join(_said(each) for each in item.evidence), self._time(kept.opened)),
                *(kept.acknowledged_by, kept.note, closed),
            )

    def _found_items(self) -> Iterator[KeptItem]:
        """Of a report: what it found, which nobody keeps."""
        if self.items is not None:
            return
        for one in self.found:
            for item in one.items:
                yield KeptItem(0, item, 0, None, "", None, "", None, "", "")

    def _due(self, kept: KeptItem) -> str:
        item = kept.item
        if item.due is None:
            return "-"
        band = [each for each in (item.earliest, item.latest) if each is not None]
        said = f"{item.due.astimezone(self.zone):%Y-%m-%d}"
        return (
            f"{said} ({' to '.join(f'{each.astimezone(self.zone):%Y-%m-%d}' for each in band)})"
            if band
            else said
        )

    def _time(self, time_ns: int) -> str:
        return iso_of(time_ns // 10**9 * 10**9, self.zone) if time_ns else ""

    def _table(self) -> str:
        text = _aligned([_COLUMNS, *self._rows()])
        items = list(self._item_rows())
        if not items:
            return text + "\nnothing is to be maintained\n"
        lines = ["", "maintenance:"]
        for id, asset, work, urgency, due, evidence, since, seen, note, closed in items:
            lines.append(f"{id:>4}  {urgency.upper():<8} {asset}: {work}; due {due}")
            lines.append(f"      because of {evidence}")
            if since:
                seen_by = (
                    f", seen by {seen}{f' ({note})' if note else ''}" if seen else ", not seen by anybody"
                )
                lines.append(f"      since {since}{seen_by}")
            if closed:
                lines.append(f"      closed {closed}")
        return text + "\n".join(lines) + "\n"

    def _csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("asset", "name", "value", "unit", "by", "due", "since", "seen by"))
        for row in self._rows():
            writer.writerow((*row[:2], "" if row[2] == "-" else row[2], *row[3:], "", "", ""))
        for _, asset, work, urgency, due, evidence, since, seen, *_rest in self._item_rows():
            writer.writerow((asset, work, urgency, "", evidence, due, since, seen))
        return out.getvalue()

    def _json(self) -> str:
        told: dict[str, Any] = {"site": self.site, "assets": {}, "items": []}
        for one in self.found:
            told["assets"][one.asset] = {
                each.name: {
                    "value": each.value,
                    "unit": self.units.get((one.asset, each.name), ""),
                    "by": each.words,
                }
                for each in one.readings
            }
        for kept in self.items or self._found_items():
            item = kept.item
            told["items"].append(
                {
                    "id": kept.id or None,
                    "asset": item.asset,
                    "work": item.work,
                    "urgency": item.urgency.value,
                    **{name: _iso(getattr(item, name)) for name in ("due", "earliest", "latest")},
                    "evidence": [
                        {name: getattr(each, name) for name in ("what", "value", "limit", "unit", "source")}
                        for each in item.evidence
                    ],
                    "since": self._time(kept.opened) or None,
                    "seen_by": kept.acknowledged_by or None,
                    "note": kept.note,
                    "closed": None if kept.closed is None else self._time(kept.closed),
                    "closed_by": kept.closed_by or None,
                    "closing": kept.closing,
                }
            )
        return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()

    def _html(self) -> str:
        title = html.escape(f"Health of {self.site}")
        tables = (
            _html_table(_COLUMNS, self._rows())
            + "<h2>Maintenance</h2>"
            + _html_table(_ITEM, self._item_rows())
        )
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
            f"<h1>{title}</h1>{tables}</html>\n"
        )


def _said(evidence: Any) -> str:
    unit = f" {evidence.unit}" if evidence.unit else ""
    return f"{evidence.what} {evidence.value:.4g} of {evidence.limit:.4g}{unit} ({evidence.source})"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(lines) + "\n"


def _html_table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    def line(cells: Sequence[str], mark: str) -> str:
        return "<tr>" + "".join(f"<{mark}>{html.escape(cell)}</{mark}>" for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
