"""Rows over several assets, or beside them: the bus, the groups, the reserve, commitments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from historian.dispatch.formulation import Flow, Formulation
from historian.dispatch.matrix import Family, Index
from historian.dispatch.model import (
    PHASES,
    PRIORITIES,
    Asset,
    Battery,
    ElectricVehicle,
    Genset,
    GridTie,
    Site,
)
from historian.dispatch.needs import reserve_need

BALANCE = "power balance"


def add_flows(f: Formulation, rows: Index, flows: Sequence[tuple[Flow, float]]) -> None:
    """Each by its share."""
    for flow, share in flows:
        for sign, columns in flow.terms:
            f.matrix.add(rows, columns, share * sign)


def add_balance(f: Formulation, nothing: Index) -> None:
    constant = np.zeros(f.axis.horizon)
    constant -= sum((flow.constant for flow in f.flows), np.zeros(f.axis.horizon))
    rows = f.matrix.rows(constant, constant, f.axis.horizon, Family("bus", BALANCE, "kW"))
    f.matrix.add(rows, nothing, 1.0)
    add_flows(f, rows, [(flow, 1.0) for flow in f.flows])


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """Of what a group's assets feed in together, each by its share."""

    group: str
    words: str
    shares: Mapping[str, float]
    draw_max: float
    feed_max: float


def shared_limits(site: Site) -> list[SharedLimit]:
    found = []
    for group in site.groups:
        members = [asset for asset in site.assets if group.name in site.groups_above(asset)]
        words = f"draws at most {group.draw_max_kw:g} kW and feeds at most {group.feed_max_kw:g} kW"
        all_of_them = {asset.name: 1.0 for asset in members}
        found.append(SharedLimit(group.name, words, all_of_them, group.draw_max_kw, group.feed_max_kw))
        if group.kept_kw:
            words = f"keeps {group.kept_kw:g} kW for vehicles of priority {PRIORITIES[-1]}"
            others = {asset.name: 1.0 for asset in members if not _is_urgent(asset)}
            found.append(SharedLimit(group.name, words, others, group.draw_max_kw - group.kept_kw, np.inf))
        if group.phase_max_kw is None:
            continue
        for phase in PHASES:
            words = f"loads phase {phase} with at most {group.phase_max_kw:g} kW"
            shares = {asset.name: share for asset in members if (share := _share_of(asset, phase))}
            found.append(SharedLimit(group.name, words, shares, group.phase_max_kw, group.phase_max_kw))
    return found


def add_groups(f: Formulation) -> None:
    flows = {flow.asset.name: flow for flow in f.flows}
    for limit in shared_limits(f.site):
        shared = [(flows[name], share) for name, share in limit.shares.items()]
        constant = np.zeros(f.axis.horizon)
        for flow, share in shared:
            constant += share * flow.constant
        family = Family(limit.group, limit.words, "kW")
        rows = f.matrix.rows(-limit.draw_max - constant, limit.feed_max - constant, f.axis.horizon, family)
        add_flows(f, rows, shared)


def _is_urgent(asset: Asset) -> bool:
    return isinstance(asset, ElectricVehicle) and asset.priority == PRIORITIES[-1]


def _share_of(asset: Asset, phase: int) -> float:
    own = None if isinstance(asset, Genset | GridTie) else asset.phase
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


def add_commitments(f: Formulation) -> None:
    """Σ terms − above + below = power_kw − constant, of each step that lies wholly in the time."""
    m, hours = f.matrix, f.axis.step_h
    flows = {flow.asset.name: flow for flow in f.flows}
    for commitment in f.site.commitments:
        window = f.axis.inside(commitment.start, commitment.end)
        steps = np.arange(window.start, window.stop)
        if not len(steps):
            continue
        flow = flows[commitment.asset]
        promised = commitment.power_kw - flow.constant[steps]
        rows = m.rows(promised, promised, len(steps), None, steps.astype(np.int32))
        for sign, columns in flow.terms:
            m.add(rows, columns[steps], sign)
        m.add(rows, m.columns(len(steps), cost=commitment.above_cost * hours), -1.0)
        m.add(rows, m.columns(len(steps), cost=commitment.below_cost * hours), 1.0)
