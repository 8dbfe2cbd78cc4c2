"""A plan looked at with nothing of ours but the model's words: every constraint broken, and what it costs.

Steps, windows and limits are computed from times here, step by step and in plain Python.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from historian.dispatch import (
    Battery,
    Deferrable,
    ElectricVehicle,
    Genset,
    GridTie,
    Load,
    Plan,
    Renewable,
    Site,
)

TOLERANCE = 1e-6


def at(series: object, k: int) -> float:
    values = np.asarray(series, dtype=float)
    return float(values) if values.ndim == 0 else float(values[k])


def is_urgent(asset: object) -> bool:
    return isinstance(asset, ElectricVehicle) and asset.priority == 3


class Checker:
    def __init__(self, site: Site, plan: Plan) -> None:
        self.site, self.plan = site, plan
        self.hours = plan.step.total_seconds() / 3600
        self.steps = range(plan.horizon)
        self.end = plan.start + plan.horizon * plan.step
        self.broken: list[str] = []
        self.total = 0.0
        self.energy: dict[str, list[float]] = {}
        for asset in site.assets:
            getattr(self, f"check_{type(asset).__name__.lower()}")(asset)
        self.check_bus()
        self.check_groups()
        self.check_events()
        self.check_reserve()

    def begins(self, k: int):
        return self.plan.start + k * self.plan.step

    def ends(self, k: int):
        return self.plan.start + (k + 1) * self.plan.step

    def within(self, name: str, k: int, value: float, low: float, high: float, what: str) -> None:
        if value < low - TOLERANCE or value > high + TOLERANCE:
            self.broken.append(f"{name} at {k}: {what} is {value!r}, not {low} to {high}")

    def store(self, asset: Battery | ElectricVehicle, low: float, high: float, is_here) -> list[float]:
        energy, energies = asset.energy_kwh, []
        low, high = min(low, energy), max(high, energy)
        for k in self.steps:
            power = float(self.plan.powers_kw[asset.name][k])
            most = (asset.charge_max_kw, asset.discharge_max_kw) if is_here(k) else (0.0, 0.0)
            self.within(asset.name, k, power, -most[0], most[1], "power")
            energy += (
                -power * asset.charge_efficiency if power < 0 else -power / asset.discharge_efficiency
            ) * self.hours
            self.within(asset.name, k, energy, low, high, "energy")
            self.within(
                asset.name, k, float(self.plan.energies_kwh[asset.name][k]), energy, energy, "told energy"
            )
            self.total += max(power, 0.0) * self.hours * asset.wear_cost_per_kwh
            energies.append(energy)
        self.energy[asset.name] = energies
        return energies

    def check_battery(self, battery: Battery) -> None:
        top = battery.capacity_kwh if battery.energy_max_kwh is None else battery.energy_max_kwh
        energies = self.store(battery, battery.energy_min_kwh, top, lambda k: True)
        if battery.end_energy_min_kwh is not None:
            self.within(
                battery.name, -1, energies[-1], battery.end_energy_min_kwh, np.inf, "energy at the end"
            )
        self.total -= battery.end_value_per_kwh * (energies[-1] - battery.energy_kwh)

    def check_electricvehicle(self, vehicle: ElectricVehicle) -> None:
        energies = self.store(
            vehicle,
            vehicle.energy_min_kwh,
            vehicle.capacity_kwh,
            lambda k: vehicle.arrival <= self.begins(k) and self.ends(k) <= vehicle.departure,
        )
        if vehicle.departure < self.plan.start + self.plan.step or vehicle.arrival > self.begins(
            self.plan.horizon - 1
        ):
            return
        after = max((vehicle.departure - self.end) / timedelta(hours=1), 0.0)
        need = vehicle.need_kwh - after * vehicle.charge_max_kw * vehicle.charge_efficiency
        self.missed(vehicle, need - energies[-1])  # nothing flows after it left

    def missed(self, asset: ElectricVehicle | Deferrable, kwh: float) -> None:
        kwh = max(kwh, 0.0)
        told = self.plan.shortfall_kwh.get(asset.name, 0.0)
        self.within(asset.name, -1, told, kwh, kwh, "told shortfall")
        if asset.firm and kwh > TOLERANCE:
            self.broken.append(f"{asset.name}: firm, but {kwh} kWh are missing")
        self.total += kwh * self.site.shortfall_cost_per_kwh * 5 ** (asset.priority - 1)

    def check_genset(self, genset: Genset) -> None:
        was, since = genset.running, genset.unchanged_for
        for k in self.steps:
            power, on = float(self.plan.powers_kw[genset.name][k]), bool(self.plan.running[genset.name][k])
            if on:
                self.within(genset.name, k, power, genset.power_min_kw, genset.power_max_kw, "power")
                self.total += genset.no_load_cost_per_h * self.hours
            else:
                self.within(genset.name, k, power, 0.0, 0.0, "power while off")
            if on != was:
                least = genset.min_up if was else genset.min_down
                if since < least:
                    self.broken.append(f"{genset.name} at {k}: changes after {since}, before {least}")
                self.total += genset.start_cost if on else 0.0
                since = timedelta(0)
            was, since = on, since + self.plan.step
            self.total += power * self.hours * genset.fuel_cost_per_kwh

    def check_gridtie(self, tie: GridTie) -> None:
        peak = tie.peak_so_far_kw
        for k in self.steps:
            power = float(self.plan.powers_kw[tie.name][k])
            self.within(tie.name, k, power, -at(tie.export_max_kw, k), at(tie.import_max_kw, k), "power")
            price = at(tie.import_price_per_kwh if power > 0 else tie.export_price_per_kwh, k)
            self.total += price * power * self.hours
            peak = max(peak, power)
        self.total += tie.demand_charge_per_kw * (peak - tie.peak_so_far_kw)

    def check_load(self, load: Load) -> None:
        for k in self.steps:
            wanted, power = at(load.power_kw, k), float(self.plan.powers_kw[load.name][k])
            self.within(
                load.name, k, power, wanted if load.shed_cost_per_kwh is None else 0.0, wanted, "power"
            )
            self.total += (wanted - power) * self.hours * (load.shed_cost_per_kwh or 0.0)

    def check_renewable(self, source: Renewable) -> None:
        for k in self.steps:
            most, power = at(source.power_kw, k), float(self.plan.powers_kw[source.name][k])
            self.within(source.name, k, power, 0.0 if source.curtailable else most, most, "power")

    def check_deferrable(self, load: Deferrable) -> None:
        power = self.plan.powers_kw[load.name]
        inside = [load.start <= self.begins(k) and self.ends(k) <= load.end for k in self.steps]
        if load.block_kw is not None:
            self.check_block(load, np.asarray(load.block_kw), power, inside)
            return
        for k in self.steps:
            self.within(load.name, k, float(power[k]), 0.0, load.power_max_kw if inside[k] else 0.0, "power")
        taken = float(power.sum()) * self.hours
        self.within(load.name, -1, taken, 0.0, load.energy_kwh, "energy")
        if load.end >= self.plan.start + self.plan.step and load.start <= self.begins(self.plan.horizon - 1):
            after = max((load.end - self.end) / timedelta(hours=1), 0.0)
            self.missed(load, load.energy_kwh - after * load.power_max_kw - taken)

    def check_block(self, load: Deferrable, block: np.ndarray, power: np.ndarray, inside: list[bool]) -> None:
        length = len(block)
        if not power.any():
            last_start = load.end - length * self.plan.step
            can_wait = last_start >= self.end
            self.missed(load, 0.0 if can_wait else float(block.sum()) * self.hours)
            return
        first = int(np.flatnonzero(power > TOLERANCE)[0])
        expected = np.zeros(self.plan.horizon)
        expected[first : first + length] = block[: self.plan.horizon - first]
        if np.abs(expected - power).max() > TOLERANCE or not inside[first]:
            self.broken.append(f"{load.name}: {power} is not its block from {first}")
        if self.begins(first) + length * self.plan.step > load.end:
            self.broken.append(f"{load.name}: its block ends after its window")

    def fed_in(self, k: int, group: str | None = None, share=lambda asset: 1.0) -> float:
        parents = {known.name: known.parent for known in self.site.groups}
        total = 0.0
        for asset in self.site.assets:
            above = asset.group
            while group is not None and above is not None and above != group:
                above = parents[above]
            if group is None or above == group:
                sign = -1.0 if isinstance(asset, Load | Deferrable) else 1.0
                total += sign * share(asset) * float(self.plan.powers_kw[asset.name][k])
        return total

    def check_bus(self) -> None:
        for k in self.steps:
            self.within("bus", k, self.fed_in(k), 0.0, 0.0, "sum of powers")

    def check_groups(self) -> None:
        for group in self.site.groups:
            for k in self.steps:
                self.within(
                    group.name, k, self.fed_in(k, group.name), -group.draw_max_kw, group.feed_max_kw, "sum"
                )
                if group.kept_kw:
                    others = self.fed_in(k, group.name, lambda asset: not is_urgent(asset))
                    self.within(
                        group.name, k, others, group.kept_kw - group.draw_max_kw, np.inf, "others' sum"
                    )
                for phase in (1, 2, 3):
                    most = np.inf if group.phase_max_kw is None else group.phase_max_kw

                    def share(asset, phase=phase) -> float:
                        own = getattr(asset, "phase", None)
                        return 1 / 3 if own is None else float(own == phase)

                    sum_kw = self.fed_in(k, group.name, share)
                    self.within(group.name, k, sum_kw, -most, most, f"phase {phase}")

    def check_events(self) -> None:
        for event in self.site.events:
            over = [
                k
                for k in self.steps
                if self.ends(k) > event.start
                and self.begins(k) < event.end
                and self.plan.powers_kw[event.tie][k] > event.import_max_kw + TOLERANCE
            ]
            if over and event.opt_out_cost is None:
                self.broken.append(f"event {event.name} at {over}")
            if bool(over) != (event.name in self.plan.opted_out):
                self.broken.append(f"event {event.name}: told {self.plan.opted_out}, but above at {over}")
            self.total += (event.opt_out_cost or 0.0) if over else 0.0

    def check_reserve(self) -> None:
        reserve = self.site.reserve
        if reserve is None:
            return
        batteries = [asset for asset in self.site.assets if isinstance(asset, Battery)]
        gensets = [asset for asset in self.site.assets if isinstance(asset, Genset)]

        def critical(k: int) -> float:
            k = min(k, self.plan.horizon - 1)
            demand = sum(at(a.power_kw, k) for a in self.site.assets if isinstance(a, Load) and a.critical)
            sun = sum(at(a.power_kw, k) for a in self.site.assets if isinstance(a, Renewable))
            return demand - reserve.renewable_share * sun

        fuelled = sum(genset.power_max_kw for genset in gensets) if reserve.count_gensets else 0.0
        ahead = int(np.ceil(reserve.ride_through / self.plan.step))
        for k in self.steps:
            need = sum(max(critical(j) - fuelled, 0.0) * self.hours for j in range(k + 1, k + 1 + ahead))
            have = sum(
                (self.energy[b.name][k] - b.energy_min_kwh) * b.discharge_efficiency for b in batteries
            )
            power = sum(b.discharge_max_kw for b in batteries)
            power += sum(g.power_max_kw for g in gensets if self.plan.running[g.name][k])
            needed_kw = max(critical(k) + reserve.margin_kw, 0.0)
            short = max(need - have, 0.0) + max(needed_kw - power, 0.0)
            if reserve.firm and short > TOLERANCE:
                self.broken.append(f"reserve at {k}: short by {short}")
            self.total += short * self.hours * self.site.shortfall_cost_per_kwh
