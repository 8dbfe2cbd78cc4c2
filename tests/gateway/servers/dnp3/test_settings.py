"""What masters of level 2 and 3 expect beyond values: deadbands, classes they assign, attributes, relative times."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import opendnp3
import pytest
from dnp3_masters import Master
from dnp3_outstations import T0, Running, until, update
from dnp3_talk import READ_EVENTS, indications, quiet, quiet_for

from gateway.servers.dnp3.application import Function, Indication
from gateway.servers.dnp3.objects import Kind

CLASS_1 = bytes.fromhex("3c0206")


def test_deadbands_are_read_in_every_form() -> None:
    talk = quiet()
    floats = talk.one(Function.READ, bytes.fromhex("220006"))[4:]
    assert floats == bytes.fromhex("220301 00000000 0000803f 220301 2c012c01 00000000")
    assert talk.one(Function.READ, bytes.fromhex("2201000000"))[4:] == bytes.fromhex("220101 00000000 0100")
    assert talk.one(Function.READ, bytes.fromhex("2202000000"))[4:] == bytes.fromhex(
        "220201 00000000 01000000"
    )
    assert Indication.PARAMETER_ERROR in indications(talk.one(Function.READ, bytes.fromhex("2203000909")))
    assert Indication.OBJECT_UNKNOWN in indications(talk.one(Function.READ, bytes.fromhex("220406")))


@pytest.mark.parametrize(
    "objects",
    [
        bytes.fromhex("220117 01 00 0a00"),
        bytes.fromhex("220200 00 00 0a000000"),
        bytes.fromhex("220328 0100 0000") + struct.pack("<f", 10.0),
    ],
)
def test_a_written_deadband_holds(objects: bytes) -> None:
    talk = quiet()
    assert indications(talk.one(Function.WRITE, objects)) == Indication.DEVICE_RESTART
    assert not update(talk.database, Kind.ANALOG, 0, 52.0, T0), "a change of 9.5"
    assert update(talk.database, Kind.ANALOG, 0, 53.0, T0), "a change of 10.5"


@pytest.mark.parametrize(
    "objects",
    [
        bytes.fromhex("220117 01 07 0a00"),  # no such analog
        bytes.fromhex("220117 02 00 0a00 07 0a00"),  # the second is none: the first does not hold either
        bytes.fromhex("220117 01 00 0a"),  # cut off
        bytes.fromhex("220100 00 01 0a00"),
        bytes.fromhex("220106"),
        bytes.fromhex("220328 0100 0000") + struct.pack("<f", -1.0),
        bytes.fromhex("220328 0100 0000") + struct.pack("<f", float("nan")),
    ],
)
def test_a_deadband_that_is_none_changes_nothing(objects: bytes) -> None:
    talk = quiet()
    assert Indication.PARAMETER_ERROR in indications(talk.one(Function.WRITE, objects))
    assert update(talk.database, Kind.ANALOG, 0, 44.0, T0), "by the deadband of the site"


def test_a_master_that_may_command_nothing_sets_no_deadband() -> None:
    talk = quiet_for(None)
    answer = talk.one(Function.WRITE, bytes.fromhex("220117 01 00 0a00"))
    assert Indication.PARAMETER_ERROR in indications(answer)
    assert update(talk.database, Kind.ANALOG, 0, 44.0, T0)


def test_assigned_classes_hold_for_this_master() -> None:
    """Analogs into class 1, the counter into none, a string that had class 3 stays."""
    talk = quiet()
    objects = bytes.fromhex("3c0206 1e0006 3c0106 1400000000")
    assert indications(talk.one(Function.ASSIGN_CLASS, objects)) == Indication.DEVICE_RESTART
    update(talk.database, Kind.ANALOG, 0, 99.0, T0)
    update(talk.database, Kind.COUNTER, 0, 78, T0)
    update(talk.database, Kind.OCTET_STRING, 0, b"other", T0)
    answer = talk.one(Function.READ, CLASS_1, 1)
    assert answer[4:7] == bytes.fromhex("200717")
    assert indications(answer) & Indication.CLASS_3_EVENTS
    assert talk.association.events.pending((3,)) == 1


def test_a_point_without_events_gets_a_class() -> None:
    talk = quiet()
    talk.one(Function.ASSIGN_CLASS, bytes.fromhex("3c0106 010006"))
    update(talk.database, Kind.BINARY, 0, False, T0)
    assert len(talk.association.events) == 0
    talk.one(Function.ASSIGN_CLASS, bytes.fromhex("3c0406 010006"), 1)
    update(talk.database, Kind.BINARY, 0, True, T0 + 1)
    assert talk.association.events.pending((3,)) == 1


@pytest.mark.parametrize(
    ("objects", "indication"),
    [
        (b"", Indication.PARAMETER_ERROR),
        (bytes.fromhex("1e0006"), Indication.PARAMETER_ERROR),  # no class before it
        (bytes.fromhex("3c0606 1e0006"), Indication.PARAMETER_ERROR),
        (bytes.fromhex("3c0206 1e00000909"), Indication.PARAMETER_ERROR),  # no such analog
        (bytes.fromhex("3c0206 1e000701"), Indication.PARAMETER_ERROR),
        (bytes.fromhex("3c0206 1e0206"), Indication.OBJECT_UNKNOWN),
        (bytes.fromhex("3c0206 320106"), Indication.OBJECT_UNKNOWN),
        (bytes.fromhex("3c0206 1e0006 32"), Indication.PARAMETER_ERROR),
    ],
)
def test_an_assignment_with_a_fault_assigns_nothing(objects: bytes, indication: Indication) -> None:
    talk = quiet()
    assert indication in indications(talk.one(Function.ASSIGN_CLASS, objects))
    update(talk.database, Kind.ANALOG, 0, 99.0, T0)
    assert talk.association.events.pending((2,)) == 1


def test_attributes_are_told_alone_as_a_list_and_all_at_once() -> None:
    talk = quiet()
    assert (
        talk.one(Function.READ, bytes.fromhex("00fc000000"))[4:]
        == bytes.fromhex("00fc000000 0107") + b"Tieline"
    )
    assert talk.one(Function.READ, bytes.fromhex("00e906"))[4:] == bytes.fromhex("00e9000000 0201 02")
    assert talk.one(Function.READ, bytes.fromhex("00e806"))[4:] == bytes.fromhex("00e8000000 0202 2c01")
    listed = talk.one(Function.READ, bytes.fromhex("00ff06"))[4:]
    assert listed[:6] == bytes.fromhex("00ff000000 fe")
    variations = listed[7::2]
    assert len(listed) == 7 + listed[6]
    everything = talk.one(Function.READ, bytes.fromhex("00fe06"))[4:]
    for variation in variations:
        assert talk.one(Function.READ, bytes((0, variation, 6)))[4:] in everything
    assert Indication.OBJECT_UNKNOWN in indications(talk.one(Function.READ, bytes.fromhex("00c406")))
    assert Indication.PARAMETER_ERROR in indications(talk.one(Function.READ, bytes.fromhex("00fc000101")))


def test_relative_times_count_from_a_common_time() -> None:
    talk = quiet()
    for place, at in enumerate((T0, T0 + 65_535, T0 + 65_536, T0 + 10)):
        update(talk.database, Kind.BINARY, 0, place % 2 == 1, at)
    answer = talk.one(Function.READ, bytes.fromhex("020306"))[4:]

    def common(at: int) -> bytes:
        return bytes.fromhex("33010701") + at.to_bytes(6, "little")

    assert answer == (
        common(T0)
        + bytes.fromhex("02031702 00 01 0000 00 81 ffff")
        + common(T0 + 65_536)
        + bytes.fromhex("02031701 00 01 0000")
        + common(T0 + 10)
        + bytes.fromhex("02031701 00 81 0000")
    )


@pytest.fixture
async def master(running: Running) -> AsyncIterator[Master]:
    found = Master(running.server.port)
    await until(lambda: ("ENABLE_UNSOLICITED", "SUCCESS") in found.application.done, "the start-up")
    yield found
    await asyncio.to_thread(found.close)


async def test_opendnp3_sets_deadbands_and_classes(running: Running, master: Master) -> None:
    point = running.database.find(Kind.ANALOG, 0)
    assert point is not None
    wish = opendnp3.IndexedAnalogInputDeadband(opendnp3.AnalogInputDeadband(7.5), 0)
    master.master.WriteDeadBands([wish], lambda *told: None)
    await until(lambda: point.deadband == 7.5, "the deadband")
    headers = [opendnp3.Header.AllObjects(60, 4), opendnp3.Header.AllObjects(30, 0)]
    master.master.PerformFunction("classes", opendnp3.FunctionCode.ASSIGN_CLASS, headers)
    association = running.server.associations[1]
    await until(lambda: association.written.classes.get((Kind.ANALOG, 300)) == 3, "the classes")


async def test_opendnp3_reads_relative_times(running: Running, master: Master) -> None:
    headers = [opendnp3.Header.AllObjects(60, variation) for variation in (2, 3, 4)]
    master.master.PerformFunction("quiet", opendnp3.FunctionCode.DISABLE_UNSOLICITED, headers)
    await until(lambda: not running.server.associations[1]._enabled, "unsolicited responses off")
    running.tell(Kind.BINARY, 0, False, T0)
    running.tell(Kind.BINARY, 0, True, T0 + 1_234)
    master.master.ScanAllObjects(opendnp3.GroupVariationID(2, 3), master.heard)

    def events() -> list[object]:
        return [row for row in master.heard.rows if row[0] == "Group2Var3"]

    await until(lambda: len(events()) == 2, "the events")
    assert events() == [("Group2Var3", 0, False, 1, T0), ("Group2Var3", 0, True, 0x81, T0 + 1_234)]


def test_events_of_all_classes_are_read_after_an_assignment() -> None:
    talk = quiet()
    talk.one(Function.ASSIGN_CLASS, bytes.fromhex("3c0306 010006"))
    update(talk.database, Kind.BINARY, 0, False, T0)
    assert talk.one(Function.READ, READ_EVENTS, 1)[4:6] == bytes.fromhex("0202")
