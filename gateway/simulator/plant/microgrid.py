"""The whole plant, one step at a time: who holds the bus, what everybody feeds and draws, where the rest goes.

Each step: states are chosen, converters move, then the bus is solved in one of three ways.

- TIED: the utility holds frequency and voltage; the tie carries what is missing.
- ISLANDED: battery and genset hold the bus. Both are one mass (centre of inertia) with
  ``M df/dt = sum of prime powers - demand``, M in kW s/Hz; each gives its prime power less its own ``M df/dt``,
  so the powers at the terminals balance exactly, and the rest of the prime power is in the rotor.
- DEAD: nobody holds the bus; nothing flows.

Always: tie + PV + wind + battery + genset + chargers = feeders + ``losses_kw``.
"""

from __future__ import annotations

from enum import Enum

from gateway.simulator.plant import battery as storage
from gateway.simulator.plant import genset as diesel
from gateway.simulator.plant.battery import Battery
from gateway.simulator.plant.charger import Charger
from gateway.simulator.plant.feeder import CABLE_LOSS_PER_KW, Feeder, frequency_slope
from gateway.simulator.plant.genset import Genset
from gateway.simulator.plant.nominal import (
    BLOCKED_BELOW_PU,
    NOMINAL,
    SECONDS_PER_HOUR,
    SWING_S,
    Nominal,
    lag,
)
from gateway.simulator.plant.solar import Solar
from gateway.simulator.plant.tie import Tie
from gateway.simulator.plant.utility import Utility
from gateway.simulator.plant.wind import Wind

TIE_OHM = (0.008, 0.016)  # resistance and reactance of transformer and cable to the utility
IDLE_LOSS_KW = 0.4  # iron and switchgear, at nominal voltage; goes with its square
VOLTAGE_DROOP = 0.02  # of nominal, at rated reactive power of those that form
REACTANCE = 0.08  # per unit, behind the regulated voltage
EXCITATION_S = 0.05
STORAGE_KVA = 280.0
LIVE_PU = 0.1
COLLAPSED_PU = 0.9  # of frequency; below this no source of the island stays on


class BusMode(Enum):
    TIED = "tied"
    ISLANDED = "islanded"
    DEAD = "dead"


class Microgrid:
    """``seed`` fixes sun, wind, loads and vehicles; ``start_hour`` is the solar time at which it begins.

    ``nominal`` is what it is built for, and whether its relays stand on remote control.
    """

    __slots__ = (
        "_excitation_share",
        "_excitation_v",
        "_step_s",
        "_swing_steps",
        "_weather_steps",
        "battery",
        "chargers",
        "feeders",
        "frequency_hz",
        "genset",
        "losses_kw",
        "mode",
        "nominal",
        "solar",
        "start_hour",
        "steps",
        "tie",
        "utility",
        "voltage_v",
        "wind",
    )

    def __init__(
        self,
        seed: int = 1,
        chargers: int = 12,
        feeders: int = 4,
        start_hour: float = 10.0,
        nominal: Nominal = NOMINAL,
        ev_stay_h: float | None = None,
    ) -> None:
        self.nominal = nominal
        self._step_s = nominal.step_s
        self._swing_steps, self._weather_steps = nominal.swing_steps, nominal.weather_steps
        self._excitation_share = lag(nominal.step_s, EXCITATION_S)
        self.start_hour = start_hour
        self.steps = 0
        self.utility = Utility(seed, nominal)
        self.tie = Tie(nominal)
        self.solar = Solar(seed, start_hour, nominal)
        self.wind = Wind(seed, nominal)
        self.battery = Battery(nominal)
        self.genset = Genset(nominal)
        self.chargers = [Charger(seed, number, nominal, ev_stay_h) for number in range(1, chargers + 1)]
        self.feeders = [Feeder(seed, number, start_hour, nominal) for number in range(1, feeders + 1)]
        self.mode = BusMode.TIED
        self.frequency_hz = nominal.hz
        self.voltage_v = nominal.v
        self.losses_kw = 0.0
        self._excitation_v = nominal.v

    @property
    def seconds(self) -> float:
        """Simulated since the start."""
        return self.steps * self._step_s

    @property
    def hour(self) -> float:
        """Of the solar day, 24 and more on the days after the first."""
        return self.start_hour + self.seconds / SECONDS_PER_HOUR

    def set_hour(self, hour: float) -> None:
        """Go on at another hour of the day; all else stays as it is."""
        self.start_hour = hour - self.seconds / SECONDS_PER_HOUR

    def command_tie(self, close: bool) -> bool:
        """Open or close the tie breaker; False where the synch-check refuses."""
        return self.tie.command(close, self.utility, self.voltage_v, self.frequency_hz)

    def step(self) -> None:
        """Advance by a step."""
        if self.steps % self._weather_steps == 0:
            self._weather()
        self.steps += 1
        self.utility.step(self.tie.breaker_closed)
        self.tie.step(self.utility, self.voltage_v, self.frequency_hz)
        self._choose()
        nominal_hz = self.nominal.hz
        voltage_pu = self.voltage_v / self.nominal.v
        hz = self.frequency_hz
        self.solar.step(hz, voltage_pu)
        self.wind.step(hz, voltage_pu)
        fed_kw = self.solar.power_kw + self.wind.power_kw
        for charger in self.chargers:
            charger.step(hz, voltage_pu)
            fed_kw += charger.power_kw
        demands_kw = [feeder.demand_at_nominal_hz(voltage_pu) for feeder in self.feeders]
        if self.mode is BusMode.DEAD:
            mean_hz = nominal_hz
            self.losses_kw = self.battery.power_kw = self.genset.power_kw = 0.0
        else:
            self._lose(demands_kw, voltage_pu)
            mean_hz = self._hold(fed_kw, demands_kw, voltage_pu)
        factor = 1.0 + frequency_slope(1.0, nominal_hz) * (mean_hz - nominal_hz)
        reactive_kvar = 0.0
        for feeder, demand_kw in zip(self.feeders, demands_kw, strict=True):
            feeder.account(demand_kw * factor, voltage_pu)
            reactive_kvar += feeder.reactive_kvar
        self._settle_voltage(reactive_kvar)
        self._account()

    def _weather(self) -> None:
        hour = self.hour
        self.utility.weather()
        self.solar.weather(hour)
        self.wind.weather()
        for charger in self.chargers:
            charger.weather()
        for feeder in self.feeders:
            feeder.weather(hour)

    def _choose(self) -> None:
        """Who holds the bus in this step."""
        tied = self.tie.breaker_closed
        is_live = self.mode is not BusMode.DEAD
        self.battery.choose(tied, is_live)
        self.genset.choose(self.voltage_v > LIVE_PU * self.nominal.v)
        if tied:
            self.mode = BusMode.TIED
        elif self.battery.is_forming or self.genset.is_on_line:
            if not is_live:
                self.frequency_hz = self.nominal.hz
                self._excitation_v = 0.0
            self.mode = BusMode.ISLANDED
        else:
            self._collapse()

    def _collapse(self) -> None:
        """The island is lost: all that held it lets go."""
        self.mode = BusMode.DEAD
        self.frequency_hz = 0.0
        self.voltage_v = 0.0
        self._excitation_v = 0.0
        if self.genset.is_on_line:
            self.genset.trip()
        if self.battery.is_forming:
            self.battery.trip()

    def _lose(self, demands_kw: list[float], voltage_pu: float) -> None:
        """The stated losses of the step: iron, and copper of each feeder's cable."""
        copper_kw = 0.0
        for demand_kw in demands_kw:
            copper_kw += demand_kw * demand_kw
        if voltage_pu > LIVE_PU:
            copper_kw *= CABLE_LOSS_PER_KW / (voltage_pu * voltage_pu)
        else:
            copper_kw = 0.0
        self.losses_kw = IDLE_LOSS_KW * voltage_pu * voltage_pu + copper_kw

    def _hold(self, fed_kw: float, demands_kw: list[float], voltage_pu: float) -> float:
        """Power of tie, battery and genset in this step; returns the mean frequency that demand follows."""
        if self.mode is BusMode.ISLANDED:
            return self._swing(fed_kw, sum(demands_kw))
        before_hz, self.frequency_hz = self.frequency_hz, self.utility.frequency_hz
        self.battery.follow(voltage_pu)
        self._drive_tied(voltage_pu, (self.frequency_hz - before_hz) / self._step_s)
        nominal_hz = self.nominal.hz
        factor = 1.0 + frequency_slope(1.0, nominal_hz) * (self.frequency_hz - nominal_hz)
        demand_kw = sum(demands_kw) * factor
        power_kw = demand_kw + self.losses_kw - fed_kw - self.battery.power_kw - self.genset.power_kw
        self.tie.meter(power_kw, self.tie.reactive_kvar)
        return self.frequency_hz

    def _drive_tied(self, voltage_pu: float, rocof_hz_s: float) -> None:
        """The genset beside the utility, which imposes the speed."""
        genset = self.genset
        if not genset.is_on_line:
            genset.power_kw = genset.engine_kw = 0.0
            return
        wanted_kw = genset.reference_kw(0.0) - genset.droop_kw_per_hz * self.frequency_hz
        wanted_kw = min(max(wanted_kw, 0.0), diesel.MOST_KW)
        if voltage_pu < BLOCKED_BELOW_PU:
            wanted_kw = genset.engine_kw = 0.0  # nothing can be fed into a collapsed bus: the rack closes
        genset.engine_kw += (wanted_kw - genset.engine_kw) * genset.engine_share
        genset.power_kw = genset.engine_kw - genset.inertia_kw_s_per_hz * rocof_hz_s

    def _swing(self, fed_kw: float, demand_kw: float) -> float:
        """A step of the island's one mass; semi-implicit Euler, 1 ms against time constants of 200 ms."""
        battery, genset, trim_hz = self.battery, self.genset, self.tie.trim_hz
        forming, on_line = battery.is_forming, genset.is_on_line
        most_kw, least_kw = (
            (battery.most_discharge_kw(), -battery.most_charge_kw()) if forming else (0.0, 0.0)
        )
        battery_ref_kw = battery.reference_kw(trim_hz)
        genset_ref_kw = genset.reference_kw(trim_hz) if on_line else 0.0
        inertia = (battery.inertia_kw_s_per_hz if forming else 0.0) + (
            genset.inertia_kw_s_per_hz if on_line else 0.0
        )
        battery_droop, genset_droop = battery.droop_kw_per_hz, genset.droop_kw_per_hz
        engine_kw = genset.engine_kw if on_line else 0.0
        slope = frequency_slope(demand_kw, self.nominal.hz)
        drawn_kw = demand_kw - slope * self.nominal.hz + self.losses_kw - fed_kw
        start_hz = hz = self.frequency_hz
        battery_sum = engine_sum = hz_sum = 0.0
        battery_kw = 0.0
        for _ in range(self._swing_steps):
            if forming:
                battery_kw = battery_ref_kw - battery_droop * hz
                if battery_kw > most_kw:
                    battery_kw = most_kw
                elif battery_kw < least_kw:
                    battery_kw = least_kw
            if on_line:
                wanted_kw = genset_ref_kw - genset_droop * hz
                if wanted_kw > diesel.MOST_KW:
                    wanted_kw = diesel.MOST_KW
                elif wanted_kw < 0.0:
                    wanted_kw = 0.0
                engine_kw += (wanted_kw - engine_kw) * (SWING_S / diesel.ENGINE_S)
            battery_sum += battery_kw
            engine_sum += engine_kw
            hz_sum += hz
            hz += (battery_kw + engine_kw - drawn_kw - slope * hz) * (SWING_S / inertia)
        rocof_hz_s = (hz - start_hz) / self._step_s
        self.frequency_hz = hz
        if forming:
            battery.power_kw = battery_sum / self._swing_steps - battery.inertia_kw_s_per_hz * rocof_hz_s
        else:
            battery.power_kw = 0.0
        if on_line:
            genset.engine_kw = engine_kw
            genset.power_kw = engine_sum / self._swing_steps - genset.inertia_kw_s_per_hz * rocof_hz_s
        return hz_sum / self._swing_steps

    def _settle_voltage(self, reactive_kvar: float) -> None:
        """The bus voltage that the next step starts from."""
        if self.mode is BusMode.TIED:
            self.tie.reactive_kvar = reactive_kvar
            utility_v = self.utility.voltage_v
            if utility_v > LIVE_PU * self.nominal.v:
                ohm, reactance = TIE_OHM
                drop_v = 1000.0 * (ohm * self.tie.power_kw + reactance * reactive_kvar) / utility_v
                utility_v -= drop_v
            self.voltage_v = utility_v
            self._excitation_v = utility_v
        elif self.mode is BusMode.ISLANDED:
            rated_kva = (STORAGE_KVA if self.battery.is_forming else 0.0) + (
                diesel.RATED_KVA if self.genset.is_on_line else 0.0
            )
            loading = reactive_kvar / rated_kva
            target_v = self.nominal.v * (1.0 + (REACTANCE - VOLTAGE_DROOP) * loading)
            if self.battery.state is storage.State.BLACK_START and not self.genset.is_on_line:
                target_v *= min(1.0, self.battery.start_s / storage.START_RAMP_S)
            self._excitation_v += (target_v - self._excitation_v) * self._excitation_share
            self.voltage_v = max(0.0, self._excitation_v - self.nominal.v * REACTANCE * loading)

    def _account(self) -> None:
        """Meters and relays, after the step's powers are known; what a relay does shows in the next step."""
        voltage_pu = self.voltage_v / self.nominal.v
        for feeder in self.feeders:
            feeder.watch(self.frequency_hz, voltage_pu)
        self.battery.account()
        self.genset.account(self.frequency_hz)
        if self.mode is BusMode.ISLANDED:
            if self.battery.is_forming:
                self.battery.watch(self.frequency_hz)
            if self.genset.is_on_line and self.frequency_hz < diesel.LOW_PU * self.nominal.hz:
                self.genset.trip()
            if self.frequency_hz < COLLAPSED_PU * self.nominal.hz:
                self._collapse()
