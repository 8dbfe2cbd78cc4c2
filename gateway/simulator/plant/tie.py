"""The tie to the utility: breaker, its own protection, its synch-check, its synchroniser and its meter."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.simulator.plant.nominal import NOMINAL, SECONDS_PER_HOUR, Nominal, clamp
from gateway.simulator.plant.utility import Utility


@dataclass(frozen=True, slots=True)
class Contact:
    """How far apart the two sides were when the contacts met; None each where the bus was dead."""

    slip_hz: float | None
    volts: float | None
    angle_deg: float | None


@dataclass(frozen=True, slots=True)
class TripStage:
    """One stage of protection: outside ``low``..``high`` for ``delay_s`` the breaker is told to open."""

    low: float
    high: float
    delay_s: float


@dataclass(frozen=True, slots=True)
class TieRelay:
    """Setting of the tie's protection, per unit of nominal, seen on the utility's side (ANSI 27/59 and 81)."""

    voltage: tuple[TripStage, ...]
    frequency: tuple[TripStage, ...]


# Alone: fast where the utility is plainly gone, slow where it may come back.
ALONE = TieRelay((TripStage(0.50, 1.20, 0.05), TripStage(0.85, 1.10, 1.0)), (TripStage(0.95, 1.03, 0.1),))
# Below a controller: a backup, slower and wider than its stages.
BACKUP = TieRelay((TripStage(0.50, 1.20, 0.30), TripStage(0.80, 1.15, 2.5)), (TripStage(0.94, 1.04, 0.5),))
BREAKER_S = 0.04  # from trip coil to open contacts
CLOSING_S = 0.05  # from close command to contact
SYNC_HZ = 0.1  # synch-check (ANSI 25): closing is refused outside these
SYNC_DEGREES = 10.0
SYNC_PU = 0.05
DEAD_PU = 0.1  # below this the bus counts as dead, and closing a live utility on it is allowed
HEALTHY_S = 2.0  # the synchroniser starts to steer once the utility has been fit for so long
RETURN_S = 60.0  # after its own trip the tie closes by itself once the utility has been fit for so long
STEER_HZ_PER_DEGREE = 0.003
STEER_LIMIT_HZ = 0.15
TRIM_PER_S = 2.0
TRIM_LIMIT_HZ = 1.5


class Tie:
    """``close_command`` is what was last asked of the breaker; its own protection opens it without asking.

    A trip by protection leaves the command standing: the synchroniser brings the island in step once the utility
    is fit, and the tie comes back by itself. An opening by command stays, and leaves the island to its droop; a
    close that the synch-check refuses sets the synchroniser to work, so that a later one succeeds.

    On remote control it has no synchroniser and does not return by itself; after a trip (``tripped``) it refuses to
    close until it was told to open. ``jammed``: the breaker does not move. ``keeps_step``: also on remote control the
    synchroniser holds a live island in step with a fit utility; closing is left to who commands it.
    """

    __slots__ = (
        "_closing_s",
        "_nominal",
        "_opening_s",
        "_outside_s",
        "_relay",
        "_steers",
        "_step_s",
        "angle_deg",
        "breaker_closed",
        "close_command",
        "contact",
        "export_kwh",
        "fit_s",
        "import_kwh",
        "jammed",
        "keeps_step",
        "power_kw",
        "reactive_kvar",
        "trim_hz",
        "tripped",
    )

    def __init__(self, nominal: Nominal = NOMINAL) -> None:
        self._nominal = nominal
        self._step_s = nominal.step_s
        self._relay = BACKUP if nominal.remote else ALONE
        self.tripped = False
        self.jammed = False
        self.keeps_step = False
        self.contact: Contact | None = None  # of the last closing
        self.breaker_closed = True
        self.close_command = True
        self.power_kw = 0.0
        self.reactive_kvar = 0.0
        self.import_kwh = 48_211.0
        self.export_kwh = 9_876.0
        self.angle_deg = 0.0  # of the bus ahead of the utility, -180..180
        self.trim_hz = 0.0  # the synchroniser asks the island's sources to add it to their no-load frequency
        self.fit_s = HEALTHY_S
        self._steers = False
        self._outside_s = [0.0] * (len(self._relay.voltage) + len(self._relay.frequency))
        self._opening_s: float | None = None
        self._closing_s: float | None = None

    def command(self, close: bool, utility: Utility, bus_v: float, bus_hz: float) -> bool:
        """Open, or close if the synch-check permits. False: refused, the breaker and its command are as before."""
        if close and not self.breaker_closed:
            is_locked_out = self.tripped and self._nominal.remote
            if is_locked_out or not self.may_close(utility, bus_v, bus_hz):
                self._steers = not self._nominal.remote
                return False
            self._begin_closing()
        if not close:
            self._closing_s = None
            self._begin_opening()
            self._steers = False
            self.tripped = False
        self.close_command = close
        return True

    def may_close(self, utility: Utility, bus_v: float, bus_hz: float) -> bool:
        """The synch-check: both sides in step, or a live utility and a dead bus."""
        if self.fit_s <= 0.0:
            return False
        if bus_v < DEAD_PU * self._nominal.v:
            return True
        return (
            abs(bus_hz - utility.frequency_hz) < SYNC_HZ
            and abs(bus_v - utility.voltage_v) < SYNC_PU * self._nominal.v
            and abs(self.angle_deg) < SYNC_DEGREES
        )

    def step(self, utility: Utility, bus_v: float, bus_hz: float) -> None:
        """Protection, breaker, synchroniser and automatic return, for one step."""
        is_fit = self._watch(utility)
        self.fit_s = self.fit_s + self._step_s if is_fit else 0.0
        if self.breaker_closed:
            self.angle_deg = 0.0
            if self._opening_s is not None:
                self._opening_s -= self._step_s
                if self._opening_s <= 1e-9:
                    self._open()
            return
        slip_hz = bus_hz - utility.frequency_hz
        self.angle_deg = (self.angle_deg + 360.0 * slip_hz * self._step_s + 180.0) % 360.0 - 180.0
        steers = self._steers or self.keeps_step
        if steers and self.fit_s > HEALTHY_S and bus_v > DEAD_PU * self._nominal.v:
            steer_hz = clamp(-STEER_HZ_PER_DEGREE * self.angle_deg, -STEER_LIMIT_HZ, STEER_LIMIT_HZ)
            trim_hz = self.trim_hz + TRIM_PER_S * (steer_hz - slip_hz) * self._step_s
            self.trim_hz = clamp(trim_hz, -TRIM_LIMIT_HZ, TRIM_LIMIT_HZ)
        else:
            self.trim_hz -= (
                self.trim_hz * self._step_s
            )  # forgotten within seconds when there is nothing to meet
        returns = self.close_command and self.fit_s > RETURN_S and not self._nominal.remote
        if returns and self.may_close(utility, bus_v, bus_hz):
            self._begin_closing()
        if self._closing_s is not None:
            self._closing_s -= self._step_s
            if self._closing_s <= 1e-9:
                self._close(utility, bus_v, bus_hz)

    def meter(self, power_kw: float, reactive_kvar: float) -> None:
        """What flowed through the closed breaker for one step; import is positive."""
        self.power_kw = power_kw
        self.reactive_kvar = reactive_kvar
        energy_kwh = power_kw * self._step_s / SECONDS_PER_HOUR
        if energy_kwh > 0.0:
            self.import_kwh += energy_kwh
        else:
            self.export_kwh -= energy_kwh

    def _watch(self, utility: Utility) -> bool:
        """Count how long each stage has been outside its band, start a trip where too long; True: all inside."""
        volts_pu = utility.voltage_v / self._nominal.v
        hz_pu = utility.frequency_hz / self._nominal.hz
        is_fit = True
        place = 0
        for stages, value in ((self._relay.voltage, volts_pu), (self._relay.frequency, hz_pu)):
            for stage in stages:
                if stage.low <= value <= stage.high:
                    self._outside_s[place] = 0.0
                else:
                    is_fit = False
                    self._outside_s[place] += self._step_s
                    if self._outside_s[place] >= stage.delay_s and self.breaker_closed and not self.tripped:
                        self.tripped = True
                        self._steers = not self._nominal.remote
                        self._begin_opening()
                place += 1
        return is_fit

    def _begin_opening(self) -> None:
        if self.breaker_closed and self._opening_s is None and not self.jammed:
            self._opening_s = BREAKER_S

    def _begin_closing(self) -> None:
        if self._closing_s is None and not self.jammed:
            self._closing_s = CLOSING_S

    def _open(self) -> None:
        self.breaker_closed = False
        self._opening_s = None
        self.power_kw = 0.0
        self.reactive_kvar = 0.0
        self.trim_hz = 0.0

    def _close(self, utility: Utility, bus_v: float, bus_hz: float) -> None:
        self.contact = Contact(None, None, None)
        if bus_v >= DEAD_PU * self._nominal.v:
            self.contact = Contact(bus_hz - utility.frequency_hz, bus_v - utility.voltage_v, self.angle_deg)
        self.breaker_closed = True
        self.tripped = False
        self._opening_s = None
        self._closing_s = None
        self.angle_deg = 0.0
        self.trim_hz = 0.0
