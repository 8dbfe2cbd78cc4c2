"""A site as typed values: what every other part reads, and no part changes.

`gateway.config.load` makes it from YAML; after that there are no strings left to parse. Powers follow the house
convention: sources are positive when they feed the bus, loads are demand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gateway.config.alert import Alert, alert_of_point
from gateway.config.anomaly import Anomaly
from gateway.config.calculated import Calculated
from gateway.config.can import CanDevice
from gateway.config.control import ControlSettings
from gateway.config.demand_response import DemandResponseSettings
from gateway.config.deviation import Deviation
from gateway.config.dispatch import DispatchSettings
from gateway.config.dnp3 import Outstation
from gateway.config.dnp3_device import Dnp3Device
from gateway.config.events import Event
from gateway.config.forecasts import Forecast
from gateway.config.forward import ForwardTarget
from gateway.config.health import HealthAsset
from gateway.config.logic import LogicSettings
from gateway.config.market import MarketSettings
from gateway.config.modbus import ModbusDevice
from gateway.config.modbus_server import ModbusServer
from gateway.config.opcua_device import OpcUaDevice
from gateway.config.totals import Total
from gateway.tags.tag import TagSpec, ValueType

LONGEST_COMMAND_MS = 600_000  # how far ahead a command's deadline may be


class TimeResolution(StrEnum):
    """What the site's source times are multiples of."""

    MILLISECOND = "1ms"
    MICROSECOND = "1us"
    OPC_UA_TICK = "100ns"

    @property
    def ns(self) -> int:
        return {"1ms": 1_000_000, "1us": 1_000, "100ns": 100}[self.value]


class Role(StrEnum):
    """What a user may do; each role may do all that the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in; the password is not in the site file (gateway.config.accounts keeps it).

    ``areas`` are those whose points the user may command, with all below them; empty: all.
    """

    name: str
    role: Role
    areas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Handling:
    """What a point asks of a command besides role and limits (docs/commands.md).

    ``select_ms``: it is selected first, and operated within that time; 0: no select. ``confirm_ms``: a second person
    confirms within that time; 0: none is asked. ``interval_ms`` is the least time between two commands.
    ``settle_ms``: for so long after its deadline a command of unknown outcome is looked at again.
    ``is_emergency``: never locked out; ``emergency_value``: only this value, None: any.
    """

    select_ms: int = 0
    confirm_ms: int = 0
    interval_ms: int = 0
    settle_ms: int = 300_000
    is_emergency: bool = False
    emergency_value: bool | int | float | None = None

    def is_emergency_of(self, value: bool | int | float | str) -> bool:
        """Whether a command of this value is never locked out."""
        return self.is_emergency and (self.emergency_value is None or value == self.emergency_value)


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """How a command may change a tag. ``low`` and ``high`` are in the tag's unit, None for BOOL and STRING.

    ``tolerance`` is the largest difference between the value asked and the value read back that still counts
    as done. ``role`` is the least role that may write. ``timeout_ms`` bounds operate plus read back.
    """

    role: Role
    low: float | None
    high: float | None
    tolerance: float
    timeout_ms: int
    handling: Handling = Handling()

    @property
    def patience_ms(self) -> int:
        """How long a command may take from asking to the outcome, a second person's word included."""
        return min(self.timeout_ms + self.handling.confirm_ms, LONGEST_COMMAND_MS)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of the site. Its place in `Site.tags` is its index in the image.

    ``area`` is a path such as ``storage`` or ``grid/feeders``. ``device`` is the folder below it. ``low``/``high``
    are the instrument's range in ``unit`` (EURange); a value outside is Uncertain_EngineeringUnitsExceeded.
    ``deadband`` is in ``unit``; ``decimals`` is how many the operator sees. ``stale_after_ms``: a value not
    refreshed for so long is not current. ``states`` names the values of an enumerated integer or bool.
    ``sloped``: its history runs straight from one sample to the next, rather than hold. ``deviation``: by how much
    history may differ from what was measured. ``alert``: which of its values an operator should see first.
    """

    name: str
    type: ValueType
    owner: str
    area: str
    device: str
    description: str = ""
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    deadband: float = 0.0
    decimals: int | None = None
    stale_after_ms: int = 3000
    string_bytes: int = 0
    history: bool = True
    sloped: bool = False
    deviation: Deviation | None = None
    write: WriteLimits | None = None
    states: Mapping[int, str] = field(default_factory=dict)
    alert: Alert | None = None

    @property
    def attention(self) -> Alert | None:
        """What its declaration says of that; else what its name and the names of its states do."""
        return self.alert or alert_of_point(self.name, self.type is ValueType.BOOL, self.states)

    def spec(self) -> TagSpec:
        """The kernel's view of this tag."""
        return TagSpec(self.name, self.type, self.owner, self.string_bytes)


# A place of the image without a tag, known by its empty name: there was one until a reload took it away.
NO_TAG = Tag("", ValueType.BOOL, "", "", "", history=False)


@dataclass(frozen=True, slots=True)
class Area:
    """A folder of devices."""

    path: str
    description: str


@dataclass(frozen=True, slots=True)
class HistorianSettings:
    """What history promises: durable within ``flush_ms`` of the sample, kept for ``keep_days`` (0: for ever).

    The oldest days go where there is more than ``max_disk`` bytes of history, or less than ``min_free`` bytes of the
    disk are free (0: no such limit). A sample whose time lies over ``max_ahead_s`` in the future is quarantined.
    """

    flush_ms: int = 250
    block_s: int = 300
    keep_days: int = 0
    max_disk: int = 0
    min_free: int = 0
    max_ahead_s: int = 86_400


class Trust(StrEnum):
    """Whose certificate opens a secure channel of the OPC UA server; a user has to sign in whichever it is."""

    LIST = "list"  # those in the state folder's pki/trusted
    ALL = "all"


@dataclass(frozen=True, slots=True)
class OpcUaSettings:
    """The OPC UA server's door. Policies and modes not listed are refused."""

    host: str = "127.0.0.1"
    port: int = 4840
    security: tuple[str, ...] = ("Basic256Sha256:SignAndEncrypt",)
    trust: Trust = Trust.LIST


@dataclass(frozen=True, slots=True)
class HmiSettings:
    """The page's door."""

    host: str = "127.0.0.1"
    port: int = 8080


class SimulatedPlant(StrEnum):
    """What the simulator is."""

    MICROGRID = "microgrid"
    IMPERIAL60 = "imperial60"


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """The simulated plant of this site: device servers on ``host`` from ``base_port`` upwards.

    From ``ev_chargers`` on all is of the microgrid only.
    """

    plant: SimulatedPlant = SimulatedPlant.MICROGRID
    seed: int = 1
    speed: float = 1.0
    host: str = "127.0.0.1"
    base_port: int = 15020
    ev_chargers: int = 12
    ev_stay_h: float | None = None  # all alike; None: half an hour to three
    feeders: int = 4
    start_hour: float = 10.0
    nominal_hz: float = 50.0
    nominal_v: float = 400.0  # line to line
    remote: bool = False  # its relays and inverter stand on remote control: they wait to be told to return


@dataclass(frozen=True, slots=True)
class Site:
    """Everything a site file says, expanded and checked.

    ``tags`` holds every tag, the ``_system`` ones included, in image order; NO_TAG where there is none any more.
    ``digest`` is the SHA-256 (hex) over all files read, so that parts can tell they run the same site; the programs
    of ``logic`` are not among them, CAN databases are.
    """

    name: str
    description: str
    areas: tuple[Area, ...]
    tags: tuple[Tag, ...]
    modbus: tuple[ModbusDevice, ...]
    users: tuple[User, ...]
    historian: HistorianSettings
    opcua: OpcUaSettings | None
    hmi: HmiSettings | None
    simulator: SimulatorSettings | None
    journal_records: int
    files: tuple[Path, ...]
    digest: str
    logic: LogicSettings | None = None
    dnp3: Outstation | None = None
    dnp3_devices: tuple[Dnp3Device, ...] = ()
    can_devices: tuple[CanDevice, ...] = ()
    modbus_server: ModbusServer | None = None
    control: ControlSettings | None = None
    opcua_devices: tuple[OpcUaDevice, ...] = ()
    calculated: Calculated | None = None
    events: tuple[Event, ...] = ()
    totals: tuple[Total, ...] = ()
    forward: tuple[ForwardTarget, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    dispatch: DispatchSettings | None = None
    anomalies: tuple[Anomaly, ...] = ()
    health: tuple[HealthAsset, ...] = ()
    demand_response: DemandResponseSettings | None = None
    market: MarketSettings | None = None
    time_resolution: TimeResolution = TimeResolution.MICROSECOND
    time_zone: str = "UTC"

    @property
    def device_count(self) -> int:
        """Devices of all protocols."""
        return len(self.modbus) + len(self.dnp3_devices) + len(self.can_devices) + len(self.opcua_devices)
