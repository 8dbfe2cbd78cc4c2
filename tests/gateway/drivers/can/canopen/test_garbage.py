"""Data sheets that are torn, and nodes that send anything."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.can_canopen import CanopenLink, CanopenSystemTags
from gateway.config.can_eds import DataSheet, EdsError, load_sheet
from gateway.drivers.can.canopen.node import Node
from gateway.drivers.can.canopen.services import NodeState

UNHURRIED = settings(  # a loaded machine is no failure
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)

SHEET = """[FileInfo]
FileName=a.eds
[DeviceInfo]
ProductName=Inverter
BaudRate_250=1
[DeviceComissioning]
NodeID=0x5
Baudrate=250
[DummyUsage]
Dummy0001=1
[MandatoryObjects]
SupportedObjects=1
1=0x1001
[OptionalObjects]
SupportedObjects=2
1=0x1800
2=0x1A00
[ManufacturerObjects]
SupportedObjects=2
1=0x2001
2=0x2100
[1001]
ParameterName=Error register
ObjectType=0x7
DataType=0x0005
AccessType=ro
DefaultValue=0
[1800]
ParameterName=TPDO1 settings
ObjectType=0x9
SubNumber=1
[1800sub1]
ParameterName=COB-ID
ObjectType=0x7
DataType=0x0007
AccessType=rw
DefaultValue=$NODEID+0x180
[1A00]
ParameterName=TPDO1 mapping
ObjectType=0x9
SubNumber=2
[1A00sub0]
ParameterName=Count
DataType=0x0005
AccessType=rw
DefaultValue=200
[1A00sub1]
ParameterName=First
DataType=0x0007
AccessType=rw
DefaultValue=0x20010010
[2001]
ParameterName=Power
ObjectType=0x7
DataType=0x0003
AccessType=ro
LowLimit=-100
HighLimit=100
[2100]
ParameterName=Names
ObjectType=0x8
CompactSubObj=3
DataType=0x0009
AccessType=const
"""
BITS = st.sampled_from(
    [
        "=",
        "[",
        "]",
        "0x",
        "-",
        "$NODEID",
        "+",
        "sub",
        "\n",
        "",
        "%",
        "FFFF",
        "x",
        "1A00",
        "DataType",
        "\0",
        "é",
    ]
)


def read_all(sheet: DataSheet) -> None:
    for name in sheet.names():
        info = sheet.named(name)
        assert info is not None
        sheet.placed(info.index, info.subindex)
    for number in (1, 2, 512):
        for is_sent in (True, False):
            pdo = sheet.pdo(is_sent, number)
            assert pdo is None or len(pdo.mapped) <= 64


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, len(SHEET)), st.integers(0, 12), BITS), max_size=6))
def test_a_torn_sheet_is_read_or_refused_in_words(cuts: list[tuple[int, int, str]]) -> None:
    text = SHEET
    for at, length, put in cuts:
        text = text[:at] + put + text[at + length :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{random.randbytes(8).hex()}.eds"
        path.write_text(text, encoding="utf-8")
        with suppress(EdsError):
            read_all(load_sheet(path, 5))


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe\x00", b"[", b"[A]\nx=1\n", b"[1001]\n", bytes(range(256))], ids=range(6)
)
def test_bytes_that_are_no_sheet_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.eds"
    path.write_bytes(raw)
    with pytest.raises(EdsError, match=r"cannot be read: .|has no objects"):
        load_sheet(path, 5)


@pytest.mark.parametrize(
    ("name", "why"),
    [("no.eds", "does not exist"), ("a.dbc", "is none of: eds, dcf"), ("a\0.eds", "is no path")],
)
def test_what_is_no_file_of_a_sheet_is_refused(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "a.dbc").touch()
    with pytest.raises(EdsError, match=why):
        load_sheet(tmp_path / name, 5)


METHODS = st.sampled_from(("on_heartbeat", "on_emergency", "on_answer"))


@UNHURRIED
@given(
    st.lists(
        st.tuples(METHODS, st.binary(max_size=9), st.floats(0, 2)),
        max_size=40,
    )
)  # fmt: skip
def test_a_node_may_say_anything(events: list[tuple[str, bytes, float]]) -> None:
    link = CanopenLink(5, 0, 1000, 500, True, (), CanopenSystemTags(*range(7)))
    node = Node(link, (), None, None)  # type: ignore[arg-type] # nothing is sent or counted here
    now_s = 0.0
    for what, data, later_s in events:
        now_s += later_s
        getattr(node, what)(data, now_s, 0)
        node.expire(now_s)
    node.expire(now_s + 10)
    assert (node.state, node.is_there) == (NodeState.UNKNOWN, False)
