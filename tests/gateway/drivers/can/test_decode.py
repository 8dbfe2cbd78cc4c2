"""Decoded values are cantools' values: random frames for every database that ships with its source distribution."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal
from uuid import uuid4

import can
import cantools
import numpy as np
import pytest
from cantools.database.can import Message, Signal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.can import INTERFACES, REPLAY, CanMessage, CanPoint, CanSelector, CanSignal, Checksum
from gateway.config.can_bits import extract, insert, raw_limits
from gateway.config.can_database import Database, DatabaseError, load_database
from gateway.drivers.can.decode import Decoder, Frame, key_of
from gateway.drivers.can.encode import checksum_of, raw_of, value_of
from gateway.tags.quality import Quality
from gateway.tags.sample import value_from_bits
from gateway.tags.tag import ValueType

# What cannot be imported, and why: nothing else may fail.
UNREADABLE = {
    "BU_EV_REL_.dbc": "has no messages",
    "bus_comment_bare.dbc": "has no messages",
    "bus_comment_bare_out.dbc": "has no messages",
    "cp1252.dbc": "has no messages",
    "empty_ns.dbc": "has no messages",
    "environment_variable_data.dbc": "has no messages",
    "environment_variable_multiple_access_nodes.dbc": "has no messages",
    "issue_62.dbc": "has no messages",
    "empty.kcd": "has no messages",
    "empty-6.0.sym": "has no messages",
    "system-DAI-3.1.2.arxml": "has no messages",
    "incorrect-sig_valtype.dbc": "unused SIG_VALTYPE_ entries",
    "incorrect-val.dbc": "unused VAL_ entries",
    "issue_199.dbc": "more than 11 bits in message DriverDoorStatus",
    "issue_199_extended.dbc": "more than 29 bits in message DriverDoorStatus",
    "issue_138.sym": "length 0 is not greater than 0 in message Status",
    "jopp-5.0.sym": "Only SYM version 6.0 is supported",
    "system-bad-root-tag-4.2.arxml": "illegal root tag name",
    "system-dangling-reference-4.2.arxml": "dangling reference",
    "system-illegal-namespace-4.2.arxml": "Unrecognized XML namespace",
    "system-illegal-root-4.2.arxml": "illegal root tag name",
    "system-illegal-version-4.2.2.1.0.arxml": "Could not parse AUTOSAR version",
    "system-missing-denominator-4.2.arxml": "Expected 1 denominator value",
    "system-missing-factor-4.2.arxml": "Expected 2 numerator values",
}
KINDS = ("dbc", "kcd", "arxml", "sym")


def points_of(database: Database, message: str) -> list[CanPoint]:
    """A point for each signal that can be a tag."""
    try:
        layout = database.message(message)
    except DatabaseError:
        return []
    points: list[CanPoint] = []
    for name in dict.fromkeys(database.signals(message)):
        try:
            info = database.signal(message, name)
        except DatabaseError:
            continue
        points.append(
            CanPoint(name, len(points), layout, info.signal, info.selectors, None, None, 0, False, None)
        )
    return points


def decoded(points: list[CanPoint], data: bytes) -> dict[str, float]:
    message = points[0].message
    result = Decoder(points).decode([Frame(key_of(message.id, message.is_extended), data, 0)])
    return {
        points[place].name: value_from_bits(int(bits), points[place].signal.type)
        for place, bits in zip(result.point, result.bits, strict=True)
    }


def by_cantools(message: Message, data: bytes) -> dict[str, float] | None:
    """None where the multiplexer has a value that the database does not know: cantools gives nothing then."""
    try:
        return dict(message.decode_simple(data, decode_choices=False))  # type: ignore[arg-type] # no choices
    except cantools.database.DecodeError:
        return None


def same(ours: float, theirs: float) -> bool:
    return ours == theirs or (math.isnan(ours) and math.isnan(theirs))


# cantools says so of messages of one name, some of whose databases have them
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.timeout(600)
def test_every_database_imports_and_decodes_as_cantools_does(databases: Path) -> None:
    files = sorted(path for path in databases.rglob("*") if path.suffix[1:] in KINDS)
    assert len(files) >= 120
    refused: dict[str, str] = {}
    compared = 0
    for file in files:
        try:
            database = load_database(file)
        except DatabaseError as error:
            refused[file.name] = str(error)
            continue
        theirs: dict[str, Message] = {}
        for message in cantools.database.load_file(file, strict=False).messages:  # type: ignore[union-attr] # no CDD
            theirs.setdefault(message.name, message)
        for name in database.messages():
            points = points_of(database, name)
            if points:
                compared += compare(points, theirs[name])
    assert refused.keys() == UNREADABLE.keys()
    assert [name for name, why in refused.items() if UNREADABLE[name] not in why] == []
    assert compared > 10_000


def compare(points: list[CanPoint], message: Message) -> int:
    """Random frames, and those of all zeros and all ones; how many values were equal."""
    decoder = Decoder(points)
    names = {point.name for point in points}
    key = key_of(points[0].message.id, points[0].message.is_extended)
    equal = 0

    @settings(
        max_examples=8,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=message.length, max_size=message.length))
    def check(data: bytes) -> None:
        nonlocal equal
        # the frame twice in a batch, with one of another message between: rows must not run into one another
        frames = [Frame(key, data, 0), Frame(key ^ 1, data, 0), Frame(key, data, 0)]
        result = decoder.decode(frames)
        for position in (0, 2):
            ours = {
                points[place].name: value_from_bits(int(bits), points[place].signal.type)
                for place, bits, frame in zip(result.point, result.bits, result.frame, strict=True)
                if frame == position
            }
            wanted = by_cantools(message, data)
            if wanted is None:
                continue
            wanted = {name: value for name, value in wanted.items() if name in names}
            assert ours.keys() == wanted.keys(), (message.name, data.hex())
            for name, value in wanted.items():
                assert same(ours[name], value), (message.name, name, data.hex(), ours[name], value)
                equal += 1
        assert set(result.frame.tolist()) <= {0, 2}

    check()
    return equal


@st.composite
def signals(draw: st.DrawFn) -> CanSignal:
    """A signal anywhere in ten bytes, so that some lie in nine of them."""
    length = draw(st.integers(1, 64))
    first = draw(st.integers(0, 80 - length))
    is_big = draw(st.booleans())
    start = first // 8 * 8 + 7 - first % 8 if is_big else first
    return CanSignal(start, length, is_big, draw(st.booleans()), False, 1, 0, ValueType.DOUBLE)


@given(signals(), st.binary(min_size=10, max_size=10), st.integers(0, 2**64 - 1))
def test_inserted_bits_are_extracted_and_the_others_stay(signal: CanSignal, data: bytes, raw: int) -> None:
    raw &= (1 << signal.length) - 1
    changed = insert(data, signal, raw)
    assert extract(changed, signal) == raw
    assert insert(changed, signal, extract(data, signal)) == data


@given(signals(), st.integers(-(2**63), 2**64 - 1))
def test_an_encoded_value_is_decoded(signal: CanSignal, value: int) -> None:
    low, high = raw_limits(signal)
    value = min(max(value, low), high)
    message = CanMessage("m", 1, False, True, bytes(10))
    data = insert(bytes(10), signal, raw_of(signal, value))
    order: Literal["big_endian", "little_endian"] = "big_endian" if signal.is_big_endian else "little_endian"
    theirs = Signal("p", signal.start, signal.length, order, signal.is_signed)
    assert Message(1, "m", 10, [theirs], is_fd=True).decode(data) == {"p": value}
    kind = ValueType.INT64 if signal.is_signed else ValueType.UINT64
    whole = replace(signal, type=kind)
    point = CanPoint("p", 0, message, whole, (), None, None, 0, False, None)
    assert decoded([point], data) == {"p": value}
    assert value_of(whole, extract(data, whole)) == value


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=64)), max_size=20))
def test_garbage_gives_values_or_short_points(frames: list[tuple[int, bytes]]) -> None:
    message = CanMessage("m", 5, False, True, bytes(64))
    selector = CanSelector(CanSignal(0, 8, False, False, False, 1, 0, ValueType.UINT64), (1, 2))
    wide = CanSignal(9, 64, False, True, True, 2.0, 1.0, ValueType.DOUBLE)
    last = CanSignal(511 - 7, 1, False, False, False, 1, 0, ValueType.BOOL)
    points = [
        CanPoint("a", 0, message, wide, (), 0.0, 1.0, 0, False, None),
        CanPoint("b", 1, message, last, (selector,), None, None, 0, False, None),
    ]
    result = Decoder(points).decode([Frame(key % 7, data, 0) for key, data in frames])
    mine = [data for key, data in frames if key % 7 == 5]
    assert np.count_nonzero(result.point == 0) == sum(len(data) >= 10 for data in mine)
    assert np.count_nonzero(result.short == 0) == sum(len(data) < 10 for data in mine)
    assert np.count_nonzero(result.point == 1) == sum(len(data) == 64 and data[0] in (1, 2) for data in mine)


def test_a_float_that_is_no_number_is_bad() -> None:
    signal = CanSignal(0, 32, False, False, True, 1.0, 0.0, ValueType.DOUBLE)
    point = CanPoint("p", 0, CanMessage("m", 1, True, False, bytes(4)), signal, (), 0.0, 1.0, 0, False, None)
    frames = [Frame(key_of(1, True), data, 0) for data in (b"\0\0\xc0\x7f", b"\0\0\x80?", b"\0\0\0@")]
    status = Decoder([point]).decode(frames).status.tolist()
    wanted = [Quality.BAD_SENSOR_FAILURE, Quality.GOOD, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED]
    assert status == wanted
    assert not len(Decoder([point]).decode([Frame(1, b"\0\0\0@", 0)]).point), (
        "an 11-bit identifier is another"
    )


def test_a_raw_value_that_says_not_there_is_bad_whatever_its_sign() -> None:
    message = CanMessage("m", 1, False, False, bytes(4))
    signed = CanSignal(0, 16, False, True, False, 0.1, 0.0, ValueType.DOUBLE)
    flag = CanSignal(16, 2, False, False, False, 1, 0, ValueType.UINT64)
    points = [
        CanPoint("p", 0, message, signed, (), -100.0, 100.0, 0, False, None, (0x8000, 0xFFFF)),
        CanPoint("q", 1, message, flag, (), None, None, 0, False, None, (3,)),
        CanPoint("r", 2, message, flag, (), None, None, 0, False, None),
    ]
    absent, good = Quality.BAD_NOT_SUPPORTED, Quality.GOOD
    for data, wanted in (
        (b"\0\x80\x02\0", [absent, good, good]),
        (b"\xff\xff\x03\0", [absent, absent, good]),
        (b"\xfe\xff\xff\xff", [good, absent, good]),
    ):
        decoded = Decoder(points).decode([Frame(1, data, 0)])
        assert dict(zip(decoded.point.tolist(), decoded.status.tolist(), strict=True)) == dict(
            enumerate(wanted)
        )


def test_the_checks_of_other_peoples_catalogues() -> None:
    # the check value of CRC-8/SAE-J1850 in the catalogue of parametrised CRC algorithms
    assert checksum_of(b"123456789", Checksum.CRC8_J1850) == 0x4B
    assert checksum_of(b"\xff\x02\x03", Checksum.SUM8) == 0x04
    assert checksum_of(b"\xff\x0f\x01", Checksum.XOR8) == 0xF1


@given(st.binary(max_size=300), st.sampled_from(KINDS))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_garbage_database_is_refused(tmp_path: Path, octets: bytes, kind: str) -> None:
    file = tmp_path / f"garbage-{uuid4().hex}.{kind}"
    file.write_bytes(octets)
    with pytest.raises(DatabaseError):
        load_database(file)


def test_interfaces_are_those_that_python_can_knows() -> None:
    assert set(INTERFACES) == {*can.VALID_INTERFACES, REPLAY}
