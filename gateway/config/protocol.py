"""What a protocol brings to devices of a site file: its keys, its points, and the typed device made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from gateway.config.deviation import Deviation
from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog, Place
from gateway.config.kinds import Reading, Settings
from gateway.config.modbus import ModbusSystemTags, PollGroup
from gateway.config.site import WriteLimits
from gateway.config.system import DRIVERS_OWNER, SystemRow
from gateway.tags.tag import ValueType


class TagShape(Protocol):
    """A point as every copy of its device has it: what its tag is made of. A protocol adds its own."""

    @property
    def name(self) -> str: ...
    @property
    def place(self) -> Place: ...
    @property
    def value_type(self) -> ValueType: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def deadband(self) -> float: ...
    @property
    def decimals(self) -> int | None: ...
    @property
    def string_bytes(self) -> int: ...
    @property
    def history(self) -> bool: ...
    @property
    def sloped(self) -> bool: ...
    @property
    def deviation(self) -> Deviation | None: ...
    @property
    def states(self) -> Mapping[int, str]: ...
    @property
    def stale_after_ms(self) -> int: ...
    @property
    def write(self) -> WriteLimits | None: ...
    @property
    def description(self) -> str: ...


Shape = TypeVar("Shape", bound=TagShape)
Body = TypeVar("Body", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Placed(Generic[Shape]):
    """A point of one device: ``tag`` is its place in the image, ``name`` the tag's."""

    name: str
    tag: int
    shape: Shape


class DeviceProtocol(ABC, Generic[Body, Shape]):
    """One way to speak to devices. Its keys are in gateway.config.site_keys.devices, under its ``name``."""

    name: str
    owner: str = DRIVERS_OWNER  # who writes its tags: the process that speaks to the devices
    system: tuple[
        SystemRow, ...
    ] = ()  # what its devices tell beyond the tags of every protocol, and after them

    @abstractmethod
    def body(
        self,
        settings: Settings,
        connection: Settings | None,
        groups: tuple[PollGroup, ...] | None,
        faults: FaultLog,
    ) -> Body:
        """What a device says for all its points; equal for copies whose points may be shared. It may add faults."""

    @abstractmethod
    def point(self, name: ScalarNode, node: Node, body: Body, reading: Reading) -> Shape | None:
        """A point, or None where a fault was reported or a parameter is not known yet."""

    def check(self, shapes: Sequence[Shape], faults: FaultLog) -> None:
        """What can only be seen of all points together."""

    @abstractmethod
    def device(
        self,
        name: str,
        settings: Settings,
        connection: Settings,
        groups: tuple[PollGroup, ...],
        points: Sequence[Placed[Shape]],
        system: ModbusSystemTags,
    ) -> Any:
        """The typed device; only asked for where there are no faults."""
