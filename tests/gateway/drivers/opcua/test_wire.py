"""Values from the wire: as the library writes them, and out of anything at all."""

from __future__ import annotations

import contextlib
import math
import struct
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary, variant_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.drivers.opcua import wire
from gateway.drivers.opcua.structures import (
    Definitions,
    FieldError,
    Structure,
    StructureField,
    StructureKind,
    part_of,
)
from gateway.drivers.opcua.wire import Moment, Published, Raw, Reading, WireError

T0 = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
T0_NS = int(T0.timestamp()) * 10**9 + 123_456_000
MAKER = (2, 3001)

WHOLE = {
    ua.VariantType.SByte: (-(2**7), 2**7 - 1),
    ua.VariantType.Byte: (0, 2**8 - 1),
    ua.VariantType.Int16: (-(2**15), 2**15 - 1),
    ua.VariantType.UInt16: (0, 2**16 - 1),
    ua.VariantType.Int32: (-(2**31), 2**31 - 1),
    ua.VariantType.UInt32: (0, 2**32 - 1),
    ua.VariantType.Int64: (-(2**63), 2**63 - 1),
    ua.VariantType.UInt64: (0, 2**64 - 1),
}
SCALARS = st.one_of(
    *(st.tuples(st.just(kind), st.integers(low, high)) for kind, (low, high) in WHOLE.items()),
    st.tuples(st.just(ua.VariantType.Boolean), st.booleans()),
    st.tuples(st.just(ua.VariantType.Double), st.floats()),
    st.tuples(st.just(ua.VariantType.Float), st.floats(width=32)),
    st.tuples(st.just(ua.VariantType.String), st.text(st.characters(exclude_categories=["Cs"]))),
    st.tuples(st.just(ua.VariantType.ByteString), st.binary()),
    st.tuples(st.just(ua.VariantType.Guid), st.uuids()),
)


def published(changes: list[tuple[int, ua.DataValue]], *, ended: int | None = None) -> bytes:
    """An answer to Publish as the library writes it."""
    response = ua.PublishResponse()
    result = response.Parameters
    result.SubscriptionId, result.AvailableSequenceNumbers, result.MoreNotifications = 7, [1, 2, 3], False
    message = result.NotificationMessage
    message.SequenceNumber, message.PublishTime = 41, T0
    if changes:
        items = [ua.MonitoredItemNotification(handle, value) for handle, value in changes]
        message.NotificationData.append(ua.DataChangeNotification(items, []))
    if ended is not None:
        message.NotificationData.append(ua.StatusChangeNotification(ua.StatusCode(ended)))
    return struct_to_binary(response)


def answer(values: list[ua.DataValue]) -> bytes:
    response = ua.ReadResponse()
    response.Results = values
    return struct_to_binary(response)


def same(one: object, other: object) -> bool:
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(float(str(other))))


@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), SCALARS, st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
    )
)
def test_notifications_are_read_as_the_library_writes_them(changes: list[Any]) -> None:
    values = [
        (
            handle,
            ua.DataValue(
                ua.Variant(value, kind),
                ua.StatusCode(status),
                T0 if has_source else None,
                T0 if has_server else None,
            ),
        )
        for handle, (kind, value), status, has_source, has_server in changes
    ]
    result, found = wire.publish_response(published(values))
    assert result == 0
    assert found is not None
    assert (found.subscription, found.sequence, found.has_data) == (7, 41, bool(values))
    for (handle, reading), (wanted, (kind, value), status, has_source, has_server) in zip(
        found.changes, changes, strict=True
    ):
        assert handle == wanted
        assert reading.type == kind.value
        assert same(reading.value, value)
        assert reading.status == status
        assert reading.source_ns == (T0_NS if has_source else None)
        assert reading.server_ns == (T0_NS if has_server else None)


@given(SCALARS.flatmap(lambda one: st.tuples(st.just(one[0]), st.lists(st.just(one[1]), max_size=5))))
def test_arrays_are_lists(case: Any) -> None:
    kind, items = case
    variant = ua.Variant(items, kind, is_array=True)
    _, (reading,) = wire.read_response(answer([ua.DataValue(variant)]))
    assert isinstance(reading.value, list)
    assert len(reading.value) == len(items)
    assert all(same(one, other) for one, other in zip(reading.value, items, strict=True))


def test_matrices_are_rows_and_one_whose_sizes_do_not_fit_stays_flat() -> None:
    _, (reading,) = wire.read_response(
        answer([ua.DataValue(ua.Variant([[1, 2, 3], [4, 5, 6]], ua.VariantType.Int32))])
    )
    assert reading.value == [[1, 2, 3], [4, 5, 6]]
    raw = variant_to_binary(ua.Variant([1, 2, 3], ua.VariantType.Int32, Dimensions=[2, 2], is_array=True))
    assert wire.Cursor(raw).variant(0)[0] == [1, 2, 3]


def test_what_is_no_number_is_a_value_too() -> None:
    node = ua.NodeId("Power", 2)
    cases: list[tuple[ua.Variant, object]] = [
        (ua.Variant(T0, ua.VariantType.DateTime), Moment(T0_NS)),
        (ua.Variant(ua.LocalizedText("Öl", "de"), ua.VariantType.LocalizedText), "Öl"),
        (ua.Variant(ua.QualifiedName("a", 1), ua.VariantType.QualifiedName), "a"),
        (ua.Variant(node, ua.VariantType.NodeId), (2, "Power")),
        (ua.Variant(ua.StatusCode(0x80340000), ua.VariantType.StatusCode), 0x80340000),
        (ua.Variant(None, ua.VariantType.String), None),
        (ua.Variant(), None),
        (ua.Variant([ua.Variant(1.5), ua.Variant("x")], ua.VariantType.Variant), [1.5, "x"]),
        (
            ua.Variant(ua.Range(1.0, 2.0), ua.VariantType.ExtensionObject),
            Raw((0, 886), struct.pack("<dd", 1, 2)),
        ),
    ]
    _, readings = wire.read_response(answer([ua.DataValue(variant) for variant, _ in cases]))
    assert [reading.value for reading in readings] == [value for _, value in cases]


def test_nodes_of_every_kind() -> None:
    guid = uuid.uuid4()
    nodes = [ua.NodeId(7), ua.NodeId(70_000, 3), ua.NodeId("x", 2), ua.NodeId(guid, 2), ua.NodeId(b"\x01", 2)]
    readings = wire.read_response(
        answer([ua.DataValue(ua.Variant(one, ua.VariantType.NodeId)) for one in nodes])
    )[1]
    assert [reading.value for reading in readings] == [(0, 7), (3, 70_000), (2, "x"), (2, guid), (2, b"\x01")]
    shown = [wire.node_text(reading.value) for reading in readings]  # type: ignore[arg-type]  # all are NodeIds
    assert shown == ["i=7", "ns=3;i=70000", "ns=2;s=x", f"ns=2;g={guid}", "ns=2;b=AQ=="]


@pytest.mark.parametrize("ticks", [0, -1, 2_650_467_744_000_000_000, 2**63 - 1])
def test_the_ends_of_the_scale_are_no_times(ticks: int) -> None:
    raw = struct.pack("<Bq", 0x04, ticks)
    assert wire.Cursor(raw).data_value(0) == Reading(None, 0, 0, None, None)


def test_a_keep_alive_and_the_end_of_a_subscription() -> None:
    _, alive = wire.publish_response(published([]))
    assert alive == Published(7, 41, False, [], False, None)
    _, ended = wire.publish_response(published([], ended=0x800A0000))
    assert ended is not None
    assert ended.ended == 0x800A0000


def test_a_fault_has_the_services_status() -> None:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(0x80250000)
    assert wire.read_response(struct_to_binary(fault)) == (0x80250000, [])
    assert wire.publish_response(struct_to_binary(fault)) == (0x80250000, None)
    with pytest.raises(WireError, match="instead of"):
        wire.read_response(published([]))


WHOLE_ANSWERS = [
    published(
        [(1, ua.DataValue(ua.Variant(42.0), ua.StatusCode(0), T0, T0)), (2, ua.DataValue(ua.Variant("x")))]
    ),
    answer([ua.DataValue(ua.Variant([1.0, 2.0])), ua.DataValue(ua.Variant(ua.Range(1.0, 2.0)))]),
]


@pytest.mark.parametrize("whole", WHOLE_ANSWERS, ids=["publish", "read"])
def test_an_answer_cut_short_is_an_error(whole: bytes) -> None:
    read = wire.publish_response if whole is WHOLE_ANSWERS[0] else wire.read_response
    for length in range(len(whole) - 8):
        with pytest.raises(WireError):
            read(whole[:length])


@settings(max_examples=300)
@given(st.binary(max_size=400), st.integers(0, 200), st.sampled_from(WHOLE_ANSWERS))
def test_anything_is_an_answer_or_the_one_error(garbage: bytes, at: int, whole: bytes) -> None:
    for body in (garbage, whole[:at] + garbage, whole[:at] + garbage + whole[at + len(garbage) :]):
        for read in (wire.publish_response, wire.read_response):
            with contextlib.suppress(WireError):
                read(body)
        for parse in (wire.argument, wire.structure_definition):
            for kind in ((0, 298), (0, 122)):
                with contextlib.suppress(WireError):
                    parse(Raw(kind, body))


def test_counts_beyond_the_answer_take_no_memory() -> None:
    with pytest.raises(WireError, match="2147483647 elements"):
        wire.Cursor(bytes([0x86]) + struct.pack("<i", 2**31 - 1)).variant(0)
    with pytest.raises(WireError, match="nested too deep"):
        wire.Cursor(bytes([24]) * 200).variant(0)
    with pytest.raises(WireError, match="nested too deep"):
        wire.Cursor(bytes([64]) * 200).diagnostics(0)


# ── structures ─────────────────────────────────────────────────────────────────────────────────────────────────────
OIL = Structure(StructureKind.PLAIN, (StructureField("pressure", wire.FLOAT, None, False, False),))
STATE = Structure(
    StructureKind.OPTIONAL_FIELDS,
    (
        StructureField("name", wire.STRING, None, False, False),
        StructureField("limit", wire.DOUBLE, None, False, True),
        StructureField("tanks", wire.EXTENSION_OBJECT, (2, 1), True, True),
    ),
)
EITHER = Structure(
    StructureKind.UNION,
    (
        StructureField("number", wire.INT32, None, False, False),
        StructureField("text", wire.STRING, None, False, False),
    ),
)
KNOWN = Definitions(
    {(2, 1): OIL, (2, 2): STATE, (2, 3): EITHER}, {(2, 11): (2, 1), (2, 12): (2, 2), (2, 13): (2, 3)}
)


def test_optional_fields_and_structures_in_arrays() -> None:
    tanks = struct.pack("<Ii1sIff", 2, 1, b"x", 2, 1.5, 2.5)
    whole = Raw((2, 12), tanks)
    assert part_of(whole, ("tanks", 1, "pressure"), KNOWN) == 2.5
    assert part_of(whole, ("limit",), KNOWN) is None
    assert part_of([whole, whole], (1, "name"), KNOWN) == "x"


def test_a_union_has_the_field_that_it_says() -> None:
    one = Raw((2, 13), struct.pack("<Ii", 1, -5))
    assert part_of(one, ("number",), KNOWN) == -5
    assert part_of(one, ("text",), KNOWN) is None
    assert part_of(Raw((2, 13), struct.pack("<I", 0)), ("number",), KNOWN) is None


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        (1.5, ("a",), "a: it is no structure"),
        (1.5, (0,), r"\[0\]: it is no array"),
        ([1.5], (3,), r"\[3\]: the array has 1 elements"),
        (
            Raw((2, 11), struct.pack("<f", 1)),
            ("level",),
            "level: there is no such field; there are: pressure",
        ),
        (Raw((2, 99), b""), ("level",), "does not tell how"),
        (Raw((2, 11), b"\x01"), ("pressure",), "not as its server defines it"),
        (Raw((2, 13), struct.pack("<I", 9)), ("number",), "the field 9 of a union of 2"),
    ],
)
def test_a_path_that_leads_nowhere_says_why(value: object, path: tuple[str | int, ...], why: str) -> None:
    with pytest.raises(FieldError, match=why):
        part_of(value, path, KNOWN)


@given(st.sampled_from([(2, 11), (2, 12), (2, 13)]), st.binary(max_size=100))
def test_any_body_of_a_structure_is_a_value_or_the_one_error(kind: wire.NodeKey, body: bytes) -> None:
    for path in (("pressure",), ("tanks", 0, "pressure"), ("text",)):
        with contextlib.suppress(FieldError):
            part_of(Raw(kind, body), path, KNOWN)


def test_a_time_of_another_century_is_a_time() -> None:
    old = datetime(1900, 1, 1, tzinfo=UTC)
    _, (reading,) = wire.read_response(answer([ua.DataValue(ua.Variant(old, ua.VariantType.DateTime))]))
    assert isinstance(reading.value, Moment)
    assert reading.value.ns is not None
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=reading.value.ns // 1000) == old
