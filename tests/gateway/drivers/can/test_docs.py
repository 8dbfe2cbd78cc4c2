"""The pages of J1939 and CANopen: their examples load, and they name every tag that their devices tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.can_canopen_protocol import CanopenProtocol
from gateway.config.can_j1939_protocol import J1939Protocol
from gateway.config.can_protocol import CanProtocol
from gateway.config.load import load_site

DOCS = Path(__file__).parents[4] / "docs"
HEADER = "site: {name: example}\nareas: {generation: Generation, storage: Battery}\n"
SHEET = """[DeviceInfo]
ProductName=Inverter
[MandatoryObjects]
SupportedObjects=0
[ManufacturerObjects]
SupportedObjects=8
1=0x1800
2=0x1A00
3=0x2000
4=0x2001
5=0x2002
6=0x2100
7=0x1400
8=0x1600
"""


def section(number: str, name: str, kind: str, default: str = "") -> str:
    return (
        f"[{number}]\nParameterName={name}\nObjectType=0x7\nDataType={kind}\nAccessType=rw\n"
        f"DefaultValue={default}\nPDOMapping=1\n"
    )


def record(number: str, name: str, count: int) -> str:
    return f"[{number}]\nParameterName={name}\nObjectType=0x9\nSubNumber={count}\n"


OBJECTS = (
    record("1800", "TPDO1", 2) + section("1800sub0", "Count", "0x5", "1")
    + section("1800sub1", "COB-ID", "0x7", "$NODEID+0x180") + record("1A00", "Mapping", 2)
    + section("1A00sub0", "Count", "0x5", "1") + section("1A00sub1", "First", "0x7", "0x20000020")
    + record("1400", "RPDO1", 2) + section("1400sub0", "Count", "0x5", "1")
    + section("1400sub1", "COB-ID", "0x7", "$NODEID+0x200") + record("1600", "Mapping", 2)
    + section("1600sub0", "Count", "0x5", "1") + section("1600sub1", "First", "0x7", "0x20020020")
    + section("2000", "Power", "0x4") + section("2001", "Power limit", "0x4")
    + section("2002", "Power setpoint", "0x4") + record("2100", "Battery", 2)
    + section("2100sub0", "Count", "0x5", "1") + section("2100sub1", "Voltage", "0x6")
)  # fmt: skip


@pytest.mark.parametrize("page", ["j1939.md", "canopen.md"])
def test_the_example_of_a_page_is_a_site(tmp_path: Path, page: str) -> None:
    example = re.search(r"```yaml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    (tmp_path / "inverter.eds").write_text(SHEET + OBJECTS)
    (tmp_path / "site.yaml").write_text(HEADER + example[1])
    site = load_site(tmp_path / "site.yaml")
    assert len(site.can_devices) == 1
    assert len(site.can_devices[0].points) >= 5


@pytest.mark.parametrize(("page", "protocol"), [("j1939.md", J1939Protocol), ("canopen.md", CanopenProtocol)])
def test_every_tag_of_a_device_is_on_its_page(
    page: str, protocol: type[J1939Protocol | CanopenProtocol]
) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    rows = protocol.system[len(CanProtocol.system) :]
    assert [name for name, *_ in rows if f"`{name}`" not in text] == []
