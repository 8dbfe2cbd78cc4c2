"""Rows over several assets: the bus, the groups, the reserve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from historian.dispatch.formulation import Flow, Formulation
from historian.dispatch.matrix import Family, Index
from historian.dispatch.model import PHASES, PRIORITIES, Battery, ElectricVehicle, Genset, GridTie, Group
from historian.dispatch.needs import reserve_need

BALANCE = "power balance"


def add_flows(f: Formulation, rows: Index, flows: list[Flow], shares: Sequence[float] | None = None) -> None:
    """Each whole, or by its share of it."""
    for flow, share in zip(flows, shares or [1.0] * len(flows), strict=True):
        for sign, columns in flow.terms:
            f.matrix.add(rows, columns, share * sign)


def add_balance(f: Formulation, nothing: Index) -> None:
    constant = np.zeros(f.axis.horizon)
    constant -= sum((flow.constant for flow in f.flows), np.zeros(f.axis.horizon))
    rows = f.matrix.rows(constant, constant, f.axis.horizon, Family("bus", BALANCE, "kW"))
    f.matrix.add(rows, nothing, 1.0)
    add_flows(f, rows, f.flows)


def add_groups(f: Formulation) -> None:
    for group in f.site.groups:
        flows = [flow for flow in f.flows if group.name in f.site.groups_above(flow.asset)]
        words = f"draws at most {group.draw_max_kw:g} kW and feeds at most {group.feed_max_kw:g} kW"
        _add_limit(f, group, words, flows, group.draw_max_kw, group.feed_max_kw)
        if group.kept_kw:
            words = f"keeps {group.kept_kw:g} kW for vehicles of priority {PRIORITIES[-1]}"
            others = [flow for flow in flows if not _is_urgent(flow)]
            _add_limit(f, group, words, others, group.draw_max_kw - group.kept_kw, np.inf)
        if group.phase_max_kw is None:
            continue
        for phase in PHASES:
            loaded = [flow for flow in flows if _share_of(flow, phase)]
            words = f"loads phase {phase} with at most {group.phase_max_kw:g} kW"
            shares = [_share_of(flow, phase) for flow in loaded]
            _add_limit(f, group, words, loaded, group.phase_max_kw, group.phase_max_kw, shares)


def _add_limit(
    f: Formulation,
    group: Group,
    words: str,
    flows: list[Flow],
    draw_max: float,
    feed_max: float,
    shares: Sequence[float] | None = None,
) -> None:
    constant = np.zeros(f.axis.horizon)
    for flow, share in zip(flows, shares or [1.0] * len(flows), strict=True):
        constant += share * flow.constant
    family = Family(group.name, words, "kW")
    rows = f.matrix.rows(-draw_max - constant, feed_max - constant, f.axis.horizon, family)
    add_flows(f, rows, flows, shares)


def _is_urgent(flow: Flow) -> bool:
    return isinstance(flow.asset, ElectricVehicle) and flow.asset.priority == PRIORITIES[-1]


def _share_of(flow: Flow, phase: int) -> float:
    own = None if isinstance(flow.asset, Genset | GridTie) else flow.asset.phase
    return 1.0 / len(PHASES) if own is None else float(own == phase)


def add_reserve(f: Formulation) -> None:
    reserve = f.site.reserve
    if reserve is None:
        return
    m, count = f.matrix, f.axis.horizon
    need = reserve_need(f.site, f.axis)
    batteries = [asset for asset in f.site.assets if isinstance(asset, Battery)]
    floor = sum(b.energy_min_kwh * b.discharge_efficiency for b in batteries)
    hours = reserve.ride_through.total_seconds() / 3600
    words = f"energy to ride {hours:g} h without the grid"
    energy = m.rows(
        *(need.energy_kwh + floor, np.inf, count),
        Family(reserve.name, words, "kWh") if reserve.firm else None,
    )
    for battery in batteries:
        m.add(energy, f.energy[battery.name], battery.discharge_efficiency)
    give = sum(b.discharge_max_kw for b in batteries)
    power = m.rows(
        *(need.power_kw - give, np.inf, count),
        Family(reserve.name, "power to carry the critical loads without the grid", "kW")
        if reserve.firm
        else None,
    )
    for asset in f.site.assets:
        if isinstance(asset, Genset):
            m.add(power, f.running[asset.name], asset.power_max_kw)
    if not reserve.firm:
        cost = f.site.shortfall_cost_per_kwh * f.axis.step_h
        short = m.columns(count, cost=cost), m.columns(count, cost=cost)
        m.add(energy, short[0], 1.0)
        m.add(power, short[1], 1.0)
        f.reserve_short = short
