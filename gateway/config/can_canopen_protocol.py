"""CANopen devices of a site file: points are objects of a node, read and written by SDO or in PDOs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.config.can import (
    REPLAY,
    CanDevice,
    CanMessage,
    CanPoint,
    CanSignal,
    CanSystemTags,
    CanTransmit,
    Checksum,
)
from gateway.config.can_bits import insert, raw_limits
from gateway.config.can_canopen import (
    BITS,
    COB_INVALID,
    COB_MASK,
    MAX_PDOS,
    PDO_BITS,
    RPDO_COBS,
    RPDO_MAPPING,
    RPDO_SETTINGS,
    TPDO_COBS,
    TPDO_MAPPING,
    TPDO_SETTINGS,
    CanopenLink,
    CanopenSystemTags,
    ObjectType,
    ObjectWrite,
    SdoObject,
)
from gateway.config.can_database import signal_of
from gateway.config.can_eds import DataSheet, EdsError, ObjectInfo, load_sheet
from gateway.config.can_protocol import CanProtocol, bus_of
from gateway.config.common_point import CommonCheck, CommonShape
from gateway.config.document import Hole, Node, ScalarNode
from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.kinds import Reading, Settings
from gateway.config.modbus import ModbusSystemTags, PollGroup
from gateway.config.protocol import DeviceProtocol, Placed
from gateway.config.site_keys.devices.canopen import CANOPEN_POINT
from gateway.config.system import SystemRow
from gateway.tags.tag import ValueType

HEARTBEATS_MISSED = 3
LIMIT_SLACK = 1e-9  # of a step
_FLOATS = (ObjectType.FLOAT32, ObjectType.FLOAT64)


@dataclass(frozen=True, slots=True)
class Pdo:
    """A PDO of a device. ``mapped`` None: the points say what is in it, and it is written so."""

    name: str
    is_sent_by_node: bool
    number: int
    cob_id: int
    mapped: tuple[tuple[int, int, int], ...] | None
    transmission: int
    event_ms: int
    inhibit_ms: int
    cycle_ms: int
    hold_ms: int


@dataclass(frozen=True, slots=True)
class CanopenBody:
    """What all points of a device share. A sheet is compared by identity."""

    sheet: DataSheet | None
    node: int | None
    groups: tuple[PollGroup, ...] | None
    pdos: tuple[Pdo, ...] | None  # None: not known for sure


@dataclass(frozen=True, slots=True)
class CanopenShape(CommonShape):
    """A point as every copy of its device has it. The signal of one in a PDO that we write has no place yet."""

    signal: CanSignal
    index: int
    subindex: int
    pdo: str | None
    feedback: str | None
    not_implemented: tuple[int, ...]


class CanopenProtocol(DeviceProtocol[CanopenBody, CanopenShape]):
    """``protocol: canopen``."""

    name = "canopen"
    system: tuple[SystemRow, ...] = (
        *CanProtocol.system,
        ("node_state", ValueType.UINT64, "", None, "0 boots, 4 stopped, 5 works, 127 pre-operational, 255 unknown"),
        ("boots", ValueType.UINT64, "", 0, "How often it said that it booted"),
        ("heartbeats_lost", ValueType.UINT64, "", 0, "How often its heartbeat was missing for too long"),
        ("emergencies", ValueType.UINT64, "", 0, "Emergencies that it told"),
        ("emergency_code", ValueType.UINT64, "", None, "Code of the last one; 0: it is over"),
        ("error_register", ValueType.UINT64, "", None, "Its error register then (object 0x1001)"),
        ("emergency_text", ValueType.STRING, "", None, "The last emergency in words, with its own five bytes"),
    )  # fmt: skip

    def body(
        self,
        settings: Settings,
        connection: Settings | None,
        groups: tuple[PollGroup, ...] | None,
        faults: FaultLog,
    ) -> CanopenBody:
        sheet: DataSheet | None = None
        node: int | None = None
        is_sure = connection is not None
        if connection is not None:
            if connection["interface"] == REPLAY:
                faults.add(
                    connection.at("interface"), "a replay of CANopen", "write 'protocol: can' for a log"
                )
            node = connection["node_id"]
            is_sure = node is not None and connection.is_sound("eds")
            if connection["eds"] is not None and node is not None:
                place = connection.at("eds")
                try:
                    sheet = load_sheet(place.file.parent / connection["eds"], node)
                except EdsError as error:
                    faults.add(
                        place,
                        f"the sheet {quote(connection['eds'])} {error}",
                        "mend the file, or its path; it is relative to this file",
                    )
                    is_sure = False
        pdos = self._pdos(settings, sheet, node, faults) if is_sure else None
        return CanopenBody(sheet, node, groups, pdos)

    def _pdos(
        self, settings: Settings, sheet: DataSheet | None, node: int | None, faults: FaultLog
    ) -> tuple[Pdo, ...] | None:
        read: dict[str, Settings | Hole] | None = settings["pdos"]
        if read is None:
            return None if "pdos" in settings else ()
        assert node is not None
        pdos: list[Pdo] = []
        is_sure = True
        for name, one in read.items():
            pdo = None if isinstance(one, Hole) else self._pdo(name, one, sheet, node, faults)
            is_sure &= pdo is not None
            if pdo is not None:
                pdos.append(pdo)
        return tuple(pdos) if is_sure else None

    def _pdo(
        self, name: str, s: Settings, sheet: DataSheet | None, node: int, faults: FaultLog
    ) -> Pdo | None:
        keys = ("configure", "transmission", "event_ms", "inhibit_ms", "cycle_ms", "hold_ms")
        if not s.is_sound(*keys) or ("cob_id" in s and s["cob_id"] is None):
            return None
        is_sent, number = name[0] == "t", int(name[4:])
        if number > MAX_PDOS:
            faults.add(s.place, f"the PDO {quote(name)}", f"number PDOs from 1 to {MAX_PDOS}")
            return None
        for key in ("cycle_ms", "hold_ms") if is_sent else ("event_ms", "inhibit_ms"):
            if key in s:
                faults.add(s.key_at(key), f"{quote(key)} of {name}", f"remove '{key}'")
                return None
        known = None if sheet is None else sheet.pdo(is_sent, number)
        usual = TPDO_COBS if is_sent else RPDO_COBS
        cob_id: int | None = s["cob_id"]
        if cob_id is None and known is not None and known.cob_id is not None and known.cob_id & COB_MASK:
            cob_id = known.cob_id & COB_MASK
        if cob_id is None and number <= len(usual):
            cob_id = usual[number - 1] + node
        if cob_id is None:
            faults.add(s.place, f"{name} without an identifier", "add 'cob_id: ...'")
            return None
        if not s["configure"]:
            for key in ("transmission", "event_ms", "inhibit_ms"):
                if key in s:
                    faults.add(s.key_at(key), f"{quote(key)} without 'configure'", "add 'configure: true'")
                    return None
            if known is None or not known.mapped:
                what = "no EDS says" if sheet is None else "the EDS does not say"
                faults.add(
                    s.place,
                    f"{name}, of which {what} what is in it",
                    "add 'configure: true', or a DCF that says it",
                )
                return None
            if not known.is_valid and s["cob_id"] is None:
                faults.add(s.place, f"{name}, which the EDS has switched off", "add 'configure: true'")
                return None
        return Pdo(
            name,
            is_sent,
            number,
            cob_id,
            None if s["configure"] or known is None else known.mapped,
            s["transmission"],
            s["event_ms"],
            s["inhibit_ms"],
            s["cycle_ms"],
            s["hold_ms"],
        )

    def point(self, name: ScalarNode, node: Node, body: CanopenBody, reading: Reading) -> CanopenShape | None:
        s = CANOPEN_POINT.read(node, name.text, reading)
        if not isinstance(s, Settings):
            return None
        faults = reading.faults
        check = CommonCheck(name, s, body.groups, faults)
        check.is_sound = s.is_sound(*(key.name for key in CANOPEN_POINT.keys))
        found = self._object(s, body, faults)
        if found is None or not s.is_sound("scale", "offset", "pdo"):
            return None
        index, subindex, kind, info = found
        pdo: Pdo | None = None
        if s["pdo"] is not None:
            if body.pdos is None:
                return None
            pdo = next((one for one in body.pdos if one.name == s["pdo"]), None)
            if pdo is None:
                faults.add(
                    s.at("pdo"),
                    f"{quote(s['pdo'])}, which is not under 'pdos'",
                    f"add it to the device: 'pdos: {{{s['pdo']}: {{}}}}'",
                )
                return None
        signal = signal_of(
            start=0,
            length=BITS[kind],
            scale=s["scale"],
            offset=s["offset"],
            is_signed=kind.value.startswith("int"),
            is_float=kind in _FLOATS,
        )
        if pdo is not None and pdo.mapped is not None:
            placed = _placed(signal, index, subindex, pdo)
            if placed is None:
                faults.add(
                    s.at("pdo"),
                    f"0x{index:04X}.{subindex}, which {pdo.name} has not",
                    "name another PDO, or none, or add 'configure: true' to it",
                )
                return None
            signal = placed
        self._check_access(check, s, info, pdo)
        for raw in s["not_implemented"] or ():
            if raw >= 1 << signal.length:
                check.add(
                    "not_implemented", f"the raw value 0x{raw:X} of {kind}", "write one that it can have"
                )
        is_whole = signal.type is not ValueType.DOUBLE
        common = check.shape(
            signal.type,
            f"a {kind} object",
            is_writable=True,
            step=0.0 if is_whole or signal.is_float else abs(signal.scale) / 2,
        )
        if common is None:
            return None
        if common.write is not None and signal.type is not ValueType.BOOL and not signal.is_float:
            ends = sorted(raw * signal.scale + signal.offset for raw in raw_limits(signal))
            slack = abs(signal.scale) * LIMIT_SLACK
            for limit in (common.write.low, common.write.high):
                if limit is not None and not ends[0] - slack <= limit <= ends[1] + slack:
                    check.add(
                        "write",
                        f"a write limit of {limit:g}, but the object holds {ends[0]:g}..{ends[1]:g}",
                        "write limits within that",
                    )
            if not check.is_sound:
                return None
        return CanopenShape(
            **{field: getattr(common, field) for field in CommonShape.__dataclass_fields__},
            signal=signal,
            index=index,
            subindex=subindex,
            pdo=s["pdo"],
            feedback=s["feedback"],
            not_implemented=s["not_implemented"],
        )

    @staticmethod
    def _check_access(check: CommonCheck, s: Settings, info: ObjectInfo | None, pdo: Pdo | None) -> None:
        if s["write"] is None:
            check.refuse("feedback", "a point without 'write'")
            if pdo is not None and not pdo.is_sent_by_node:
                check.add("pdo", f"a point of {pdo.name} without 'write'", "add 'write: ...', or name a tpdo")
            elif pdo is None and info is not None and not info.is_readable:
                check.add("object" if "object" in s else "index", f"{info.name!r}, which can only be written",
                          "name another object")  # fmt: skip
        elif pdo is not None and pdo.is_sent_by_node:
            check.add("write", f"'write' of a point of {pdo.name}, which the node sends", "remove it")
        elif info is not None and not info.is_writable:
            check.add("write", f"'write' of {quote(info.name)}, which is read-only", "remove it")

    @staticmethod
    def _object(
        s: Settings, body: CanopenBody, faults: FaultLog
    ) -> tuple[int, int, ObjectType, ObjectInfo | None] | None:
        """Index, subindex, type, and what the sheet says of it."""
        if any(key in s and s[key] is None for key in ("object", "index", "type")) or not s.is_sound(
            "subindex"
        ):
            return None
        info: ObjectInfo | None = None
        sheet = body.sheet
        if s["object"] is not None:
            for key in ("index", "subindex"):
                if key in s:
                    faults.add(s.key_at(key), f"{quote(key)} beside 'object'", "remove one of the two")
                    return None
            if sheet is None:
                if body.pdos is not None:  # else that it cannot be read is told
                    faults.add(
                        s.at("object"), "an 'object' without an EDS", "add 'eds: ...', or write 'index: ...'"
                    )
                return None
            info = sheet.named(s["object"])
            if info is None:
                faults.add(
                    s.at("object"),
                    f"the object {quote(s['object'])}, which the EDS has not",
                    suggestion(s["object"], sheet.names(), "name an object of the EDS"),
                )
                return None
            index, subindex = info.index, info.subindex
        elif s["index"] is None:
            faults.add(s.place, "a CANopen point without 'object' and 'index'", "add one of them")
            return None
        else:
            index, subindex = s["index"], s["subindex"]
            if sheet is not None:
                info = sheet.placed(index, subindex)
                if info is None and s["type"] is None:
                    place = s.at("subindex" if "subindex" in s else "index")
                    faults.add(
                        place,
                        f"0x{index:04X}.{subindex}, which the EDS has not",
                        "mend it, or add 'type: ...'",
                    )
                    return None
        kind: ObjectType | None = s["type"] or (None if info is None else info.type)
        if kind is None:
            if info is None:
                faults.add(
                    s.place, "a CANopen point without 'type'", "add 'type: ...', or the device's 'eds'"
                )
            else:
                at = s.at("object" if "object" in s else "index")
                faults.add(at, f"{quote(info.name)}, of a type that no tag can hold", "name another object")
            return None
        return index, subindex, kind, info

    def check(self, shapes: Sequence[CanopenShape], faults: FaultLog) -> None:
        by_name = {shape.name: shape for shape in shapes}
        for shape in shapes:
            if shape.feedback is None:
                continue
            other = by_name.get(shape.feedback)
            if other is None or other is shape:
                faults.add(
                    shape.place,
                    f"{quote(shape.name)} has the feedback {quote(shape.feedback)}, which is no other point",
                    suggestion(
                        shape.feedback, [name for name in by_name if name != shape.name], "name a point"
                    ),
                )
        filled: dict[str, int] = {}
        for shape in shapes:
            if shape.pdo is None:
                continue
            filled[shape.pdo] = filled.get(shape.pdo, 0) + shape.signal.length
            if filled[shape.pdo] > PDO_BITS:
                faults.add(
                    shape.place,
                    f"{filled[shape.pdo]} bits in {shape.pdo}, which has {PDO_BITS}",
                    "put some points into another PDO",
                )
                return

    def device(
        self,
        name: str,
        settings: Settings,
        connection: Settings,
        groups: tuple[PollGroup, ...],
        points: Sequence[Placed[CanopenShape]],
        system: ModbusSystemTags,
    ) -> CanDevice:
        body = self.body(settings, connection, groups, FaultLog())
        node: int = connection["node_id"]
        first = system.last_error + 1
        plain = len(CanProtocol.system)
        tags = {placed.shape.name: placed.tag for placed in points}
        pdos = {pdo.name: pdo for pdo in body.pdos or ()}
        signals = _laid_out(points, pdos)
        messages = {one.name: _message(one, points, signals, body.sheet) for one in pdos.values()}
        heartbeat_ms: int = connection["heartbeat_ms"]
        lost_ms: int | None = connection["lost_after_ms"]
        return CanDevice(
            name=name,
            bus=bus_of(connection),
            database_digest="" if body.sheet is None else body.sheet.digest,
            groups=groups,
            points=tuple(_point(one, signals[one.tag], messages, node, tags) for one in points),
            transmits=tuple(
                CanTransmit(messages[pdo.name], pdo.cycle_ms, pdo.hold_ms, None, None, Checksum.SUM8)
                for pdo in pdos.values()
                if not pdo.is_sent_by_node and any(one.shape.pdo == pdo.name for one in points)
            ),
            system=system,
            bus_system=CanSystemTags(*range(first, first + plain)),
            canopen=CanopenLink(
                node,
                heartbeat_ms,
                HEARTBEATS_MISSED * heartbeat_ms if lost_ms is None else lost_ms,
                connection["timeout_ms"],
                connection["start"],
                tuple(write for pdo in pdos.values() for write in _writes(pdo, points)),
                CanopenSystemTags(*range(first + plain, first + len(self.system))),
            ),
        )


def _placed(signal: CanSignal, index: int, subindex: int, pdo: Pdo) -> CanSignal | None:
    """Where the object is in a PDO that the sheet describes; as long as it is there."""
    assert pdo.mapped is not None
    start = 0
    for mapped_index, mapped_subindex, bits in pdo.mapped:
        if (mapped_index, mapped_subindex) == (index, subindex) and _fits(signal, bits):
            return replace(signal, start=start)
        start += bits
    return None


def _fits(signal: CanSignal, bits: int) -> bool:
    """As long as it is; a boolean may be mapped as a whole byte."""
    return bits == signal.length or (signal.length == 1 and bits == 8)


def _laid_out(points: Sequence[Placed[CanopenShape]], pdos: Mapping[str, Pdo]) -> dict[int, CanSignal]:
    """The signal of each tag; those of a PDO that we write follow one another as the points do."""
    filled: dict[str, int] = {}
    signals: dict[int, CanSignal] = {}
    for placed in points:
        shape = placed.shape
        signals[placed.tag] = shape.signal
        pdo = None if shape.pdo is None else pdos.get(shape.pdo)
        if pdo is not None and pdo.mapped is None:
            start = filled.get(pdo.name, 0)
            signals[placed.tag] = replace(shape.signal, start=start)
            filled[pdo.name] = start + shape.signal.length
    return signals


def _message(
    pdo: Pdo,
    points: Sequence[Placed[CanopenShape]],
    signals: Mapping[int, CanSignal],
    sheet: DataSheet | None,
) -> CanMessage:
    """A PDO as a message; what nobody commands has the sheet's default."""
    mine = [placed for placed in points if placed.shape.pdo == pdo.name]
    if pdo.mapped is None:
        layout = [(one.shape.index, one.shape.subindex, one.shape.signal.length) for one in mine]
    else:
        layout = list(pdo.mapped)
    payload = bytes((sum(bits for _, _, bits in layout) + 7) // 8)
    start = 0
    for index, subindex, bits in layout:
        info = None if sheet is None else sheet.placed(index, subindex)
        if info is not None and isinstance(info.default, int) and bits:
            signal = signal_of(start=start, length=bits, scale=1, offset=0)
            payload = insert(payload, signal, info.default)
        start += bits
    return CanMessage(pdo.name, pdo.cob_id, False, False, payload)


def _writes(pdo: Pdo, points: Sequence[Placed[CanopenShape]]) -> tuple[ObjectWrite, ...]:
    """How a PDO is set up (CiA 301 7.5.2.36): switched off, emptied, filled, switched on."""
    if pdo.mapped is not None:
        return ()
    settings, mapping = (
        (TPDO_SETTINGS, TPDO_MAPPING) if pdo.is_sent_by_node else (RPDO_SETTINGS, RPDO_MAPPING)
    )
    settings, mapping = settings + pdo.number - 1, mapping + pdo.number - 1
    mine = [placed.shape for placed in points if placed.shape.pdo == pdo.name]
    words = [shape.index << 16 | shape.subindex << 8 | shape.signal.length for shape in mine]
    writes = [
        ObjectWrite(settings, 1, (pdo.cob_id | COB_INVALID).to_bytes(4, "little")),
        ObjectWrite(mapping, 0, b"\0"),
        *(ObjectWrite(mapping, place, word.to_bytes(4, "little")) for place, word in enumerate(words, 1)),
        ObjectWrite(mapping, 0, bytes((len(words),))),
        ObjectWrite(settings, 2, bytes((pdo.transmission,))),
    ]
    if pdo.inhibit_ms:
        writes.append(ObjectWrite(settings, 3, (10 * pdo.inhibit_ms).to_bytes(2, "little")))  # of 100 µs
    if pdo.event_ms:
        writes.append(ObjectWrite(settings, 5, pdo.event_ms.to_bytes(2, "little")))
    return (*writes, ObjectWrite(settings, 1, pdo.cob_id.to_bytes(4, "little")))


def _point(
    placed: Placed[CanopenShape],
    signal: CanSignal,
    messages: Mapping[str, CanMessage],
    node: int,
    tags: Mapping[str, int],
) -> CanPoint:
    shape = placed.shape
    message = None if shape.pdo is None else messages.get(shape.pdo)
    if message is None:
        size = (shape.signal.length + 7) // 8
        place = SdoObject(node, shape.index, shape.subindex, size)
        message = CanMessage(
            f"0x{shape.index:04X}.{shape.subindex}", 0, False, False, bytes(size), None, place
        )
    return CanPoint(
        name=placed.name,
        tag=placed.tag,
        message=message,
        signal=signal,
        selectors=(),
        low=shape.low,
        high=shape.high,
        group=shape.group,
        writable=shape.write is not None,
        feedback=None if shape.feedback is None else tags.get(shape.feedback),
        not_implemented=shape.not_implemented,
    )
