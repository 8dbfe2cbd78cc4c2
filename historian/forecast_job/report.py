"""A backtest as a picture and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from historian.forecast_job.cli import number, rows_of, score_names, shown_leads
from historian.forecast_job.plan import Plan
from historian.forecast_job.plots import Table, fan, lines, page, score_heads
from historian.forecast_job.training import Trained
from historian.libraries import load


def write_backtest(plan: Plan, compared: Trained, unit: str, png: Path | None, html: Path | None) -> None:
    """The picture of the last forecast that was tested, and the page with all scores. Raises OSError."""
    if png is None and html is None:
        return
    last = _last(compared, unit, plan)
    if png is not None:
        png.write_bytes(last)
    if html is not None:
        title = f"Backtest of {plan.forecast.name} ({plan.forecast.target}), steps of {plan.track}"
        names = score_names(compared.scores)
        heads = ["model", *score_heads(names, unit)]
        rows = [
            [model, *(number(found.get(name, float("nan"))) for name in names)]
            for model, found in compared.scores.items()
        ]
        leads = compared.tests[compared.model].by_lead()
        tables = [
            Table("All leads", heads, rows),
            Table(
                f"{compared.model}, by how far ahead",
                ["lead", *score_heads(list(leads.columns), unit)],
                rows_of(leads, shown_leads(len(leads))),
            ),
        ]
        pictures = [("the last forecast and what came", last), ("error by lead", _by_lead(compared))]
        html.write_text(page(title, pictures, tables), encoding="utf-8")


def _last(compared: Trained, unit: str, plan: Plan) -> bytes:
    table = compared.tests[compared.model].forecasts
    issue = table.index.get_level_values("issue")[-1]
    one = table.xs(issue, level="issue")
    title = f"{plan.forecast.name} by {compared.model}, issued {issue:%Y-%m-%d %H:%M}"
    return fan(one.drop(columns="actual"), title, unit, one["actual"])


def _by_lead(compared: Trained) -> bytes:
    pandas: Any = load("pandas", "a report")
    columns = pandas.DataFrame({model: tested.by_lead()["mase"] for model, tested in compared.tests.items()})
    columns.index = columns.index.total_seconds() / 3600
    return lines(columns, "MASE by how far ahead", "h ahead", "MASE")
