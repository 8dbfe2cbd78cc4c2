"""What a master has written: its time, its classes, deadbands, and the restart bit that it clears."""

from __future__ import annotations

from collections.abc import Callable

from gateway.config.dnp3 import Outstation, OutstationMaster
from gateway.servers.dnp3.application import (
    Function,
    Header,
    HeaderError,
    Indication,
    Qualifier,
    read_header,
    read_headers,
)
from gateway.servers.dnp3.database import Database, Point
from gateway.servers.dnp3.objects import Kind, decode_time
from gateway.servers.dnp3.settings import DEADBAND_GROUP, read_classes, read_deadbands

_RESTART_BIT = 7  # index in g80v1
_COUNTS = frozenset({int(Qualifier.COUNT_8), int(Qualifier.COUNT_16)})


class Written:
    """``wall_ms`` is the UTC clock in ms."""

    def __init__(
        self,
        config: Outstation,
        master: OutstationMaster,
        database: Database,
        wall_ms: Callable[[], int],
    ) -> None:
        self._master = master
        self._database = database
        self._wall_ms = wall_ms
        self._recorded_ms: int | None = None  # of RECORD_CURRENT_TIME
        self.is_restarted = True
        self.needs_time = config.needs_time
        self.clock_offset_ms: int | None = None  # what the master's last time says of ours
        self.classes: dict[tuple[Kind, int], int] = {}  # that this master has assigned

    def record_time(self) -> None:
        """RECORD_CURRENT_TIME: the moment that the time written next is of."""
        self._recorded_ms = self._wall_ms()

    def forget_time(self) -> None:
        """The link on which it was recorded is gone."""
        self._recorded_ms = None

    def write(self, objects: bytes) -> None:
        """A WRITE; of deadbands all or none. Raises HeaderError for what is not written."""
        deadbands: list[tuple[Point, float]] = []
        at = 0
        while at < len(objects):
            header, at = read_header(objects, at)
            if (header.group, header.variation) == (80, 1):
                at = self._write_indications(header, objects, at)
            elif header.group == 50 and header.variation in (1, 3):
                at = self._write_time(header, objects, at)
            elif header.group == DEADBAND_GROUP:
                if self._master.user is None:  # they are all masters' deadbands
                    raise HeaderError("a master that may change nothing")
                found, at = read_deadbands(header, objects, at, self._database)
                deadbands += found
            else:
                raise HeaderError(
                    f"g{header.group}v{header.variation} is not written", Indication.OBJECT_UNKNOWN
                )

        for point, deadband in deadbands:
            point.deadband = deadband

    def assign(self, objects: bytes) -> None:
        """An ASSIGN_CLASS. Raises HeaderError."""
        wanted = read_classes(objects, self._database)
        self.classes |= wanted
        for (kind, index), event_class in wanted.items():
            if event_class:
                self._database.follow_point(kind, index)

    def _write_indications(self, header: Header, objects: bytes, at: int) -> int:
        """Only the restart bit is for the master to clear."""
        if header.start is None or header.stop is None:
            raise HeaderError("indications are written by their range")
        end = at + (header.stop - header.start) // 8 + 1
        if (
            end > len(objects)
            or (header.start, header.stop) != (_RESTART_BIT, _RESTART_BIT)
            or objects[at] & 1
        ):
            raise HeaderError("of the indications only IIN1.7 is written, with 0")
        self.is_restarted = False
        return end

    def _write_time(self, header: Header, objects: bytes, at: int) -> int:
        if header.count != 1 or at + 6 > len(objects):
            raise HeaderError("one time is written at once")
        theirs_ms = decode_time(objects[at:])
        if header.variation == 1:
            ours_ms = self._wall_ms()
        elif self._recorded_ms is None:
            raise HeaderError("no time was recorded to set")
        else:
            ours_ms = self._recorded_ms
        self.clock_offset_ms = theirs_ms - ours_ms
        self.needs_time = False
        return at + 6

    def freeze(self, function: Function, objects: bytes) -> None:
        """Raises HeaderError for what is no counter, and where they were to be cleared."""
        points: list[Point] = []
        for header in read_headers(objects):
            if header.group != 20 or header.variation != 0 or header.qualifier in _COUNTS:
                raise HeaderError("only counters are frozen", Indication.OBJECT_UNKNOWN)
            points += self._database.between(Kind.COUNTER, header.start, header.stop)
        if function in (Function.FREEZE_CLEAR, Function.FREEZE_CLEAR_NR):
            raise HeaderError(
                "counters are the site's own and are not cleared", Indication.NO_FUNC_CODE_SUPPORT
            )
        self._database.freeze(points, self._wall_ms())
