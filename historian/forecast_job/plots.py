"""Pictures of forecasts: PNG, and one HTML file with pictures and tables that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from historian.libraries import load

DPI: Final = 110
_MEDIAN, _ACTUAL = "#1f4e79", "#222222"
_PALEST, _DEEPEST = 0.15, 0.42  # of the colour map, so that median and outcome stand out on all bands
_HEADS: Final = {"mape": "MAPE %", "mase": "MASE", "rcrps": "rCRPS", "coverage90": "coverage of 90 %"}


@dataclass(frozen=True, slots=True)
class Table:
    """``rows`` are texts, the first column a head."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def score_heads(names: Sequence[str], unit: str) -> list[str]:
    """What people call them."""
    heads = {**_HEADS, "pinball": f"pinball {unit}".rstrip()}
    return [heads.get(name, name) for name in names]


def fan(frame: Any, title: str, unit: str, actual: Any = None) -> bytes:
    """A PNG: quantiles as bands, the median as a line, and what came, where it is known. ``frame``: a column a
    quantile, indexed by time.
    """
    figure, axes = _figure(title)
    quantiles = sorted(frame.columns)
    bands = [(low, high) for low, high in zip(quantiles, reversed(quantiles), strict=True) if low < high]
    shades = load("matplotlib", "a picture").colormaps["Blues"]
    for at, (low, high) in enumerate(bands):
        axes.fill_between(
            frame.index,
            frame[low].to_numpy(),
            frame[high].to_numpy(),
            step="post",
            color=shades(_PALEST + (_DEEPEST - _PALEST) * at / max(len(bands) - 1, 1)),
            linewidth=0,
            label=f"{100 * low:g} to {100 * high:g} %",
        )
    axes.step(frame.index, frame[0.5].to_numpy(), where="post", color=_MEDIAN, label="median")
    if actual is not None:
        axes.step(actual.index, actual.to_numpy(), where="post", color=_ACTUAL, linewidth=1, label="came")
    axes.set_ylabel(unit)
    dates = load("matplotlib.dates", "a picture")
    locator = dates.AutoDateLocator(tz=frame.index.tz)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=frame.index.tz))
    axes.margins(x=0.01)
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(bands) + 2, frameon=False)
    return _png(figure)


def lines(columns: Any, title: str, label_x: str, label_y: str) -> bytes:
    """A PNG: each column of a DataFrame over its index."""
    figure, axes = _figure(title)
    for name in columns.columns:
        axes.plot(columns.index, columns[name].to_numpy(), label=str(name))
    axes.set_xlabel(label_x)
    axes.set_ylabel(label_y)
    if not (columns < 0).any(axis=None):
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(
        load("matplotlib.ticker", "a picture").MaxNLocator(9, steps=[1, 1.2, 2, 3, 6, 10])
    )
    axes.legend(fontsize=8)
    return _png(figure)


def page(title: str, pictures: Sequence[tuple[str, bytes]], tables: Sequence[Table]) -> str:
    """HTML that stands by itself: pictures are in it, and it runs no script."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        f"<title>{html.escape(title)}</title>",
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.2em .7em;text-align:right}"
        "td:first-child,th:first-child{text-align:left}img{max-width:100%}caption{text-align:left;font-weight:600}"
        "</style>",
        f"<h1>{html.escape(title)}</h1>",
    ]
    for table in tables:
        heads = "".join(f"<th>{html.escape(head)}</th>" for head in table.heads)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
        )
        parts.append(f"<table><caption>{html.escape(table.title)}</caption><tr>{heads}</tr>{rows}</table>")
    for text, picture in pictures:
        source = base64.b64encode(picture).decode()
        parts.append(f'<img alt="{html.escape(text)}" src="data:image/png;base64,{source}">')
    return "\n".join(parts) + "</html>\n"


def _figure(title: str) -> tuple[Any, Any]:
    # Without pyplot: it asks for a display, and keeps every figure.
    figure = load("matplotlib.figure", "a picture").Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _png(figure: Any) -> bytes:
    octets = io.BytesIO()
    figure.savefig(octets, format="png", dpi=DPI)
    return octets.getvalue()
