"""What a client reads: every type and order, quality, and nothing that is not there. Requests as in the standard."""

from __future__ import annotations

import asyncio
import struct

import pytest

from gateway.tags.quality import Quality

COMM_LOST = Quality.BAD_COMMUNICATION_ERROR


@pytest.mark.parametrize(
    ("unit", "request_pdu", "response"),
    [
        (1, "04 0000 0001", "04 02 ff85"),  # -12.3 kW in tenths
        (1, "04 0001 0004", "04 08 cdef 89ab 4567 0123"),  # little word order
        (1, "04 0005 0002", "04 04" + struct.pack(">f", 231.4).hex()),
        (1, "04 0007 0002", "04 04 00123456"),  # BCD
        (1, "04 0014 0004", "04 08 6f4e 6472 3320 0000"),  # "Nord 3", bytes exchanged
        (1, "04 0015 0002", "04 04 6472 3320"),  # a text may be read in pieces
        (1, "04 0000 0005", "04 0a ff85 cdef 89ab 4567 0123"),
        (1, "02 0000 0002", "02 01 01"),
        (1, "01 0000 0003", "01 01 02"),
        (2, "03 0064 0002", "03 04 0000 422a"),  # 42.5, the unit's word order
        (2, "03 0066 0002", "03 04 0001e240"),  # the point's own
        (2, "03 006d 0001", "03 02 0210"),  # three bits of one register
        (2, "03 0069 0004", "03 08 6772696400000000"),
        (3, "03 0000 0001", "03 02 00e7"),  # 231.4 rounded; 40001 is address 0
        (3, "03 0001 0004", "03 08" + struct.pack(">d", -12.3).hex()),
    ],
)
async def test_values(served, unit: int, request_pdu: str, response: str) -> None:
    assert await served.ask(unit, request_pdu) == response.replace(" ", "")


@pytest.mark.parametrize(
    ("unit", "request_pdu", "code"),
    [
        (1, "07", 1),  # a function that we have not
        (1, "83 0000 0001", 1),
        (1, "2b 0d 00 00", 1),  # another encapsulated interface
        (1, "03 0000 0001", 2),  # no holding registers in this unit
        (1, "04 0013 0001", 2),  # nothing there
        (1, "04 0008 0002", 2),  # half a number
        (1, "04 0001 0003", 2),
        (1, "04 0007 0003", 2),  # beyond the last
        (1, "01 0000 0004", 2),
        (1, "04 ffff 0002", 2),  # past the table
        (1, "04 0000 0000", 3),
        (1, "04 0000 007e", 3),
        (1, "01 0000 07d1", 3),
        (1, "04 0000", 3),  # cut off
        (1, "04 0000 0001 00", 3),  # too long
        (9, "04 0000 0001", 0x0B),  # no such unit
        (255, "04 0000 0001", 0x0B),
    ],
)
async def test_exceptions(served, unit: int, request_pdu: str, code: int) -> None:
    function = int(request_pdu[:2], 16) | 0x80
    assert await served.ask(unit, request_pdu) == f"{function:02x}{code:02x}"


async def test_bad_quality_is_the_pattern_in_the_values_place(served) -> None:
    for name in ("d.power_kw", "d.energy_kwh", "d.voltage_v", "d.count", "d.name", "d.alarm"):
        served.write(name, "x" if name == "d.name" else 1, COMM_LOST)
    assert await served.ask(1, "04 0000 0009") == "0412" + "8000" + "ffff" * 4 + "7fc00000" + "ffffffff"
    assert await served.ask(1, "04 0014 0004") == "0408" + "0000" * 4
    assert await served.ask(1, "02 0001 0001") == "020101", "its own pattern"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (COMM_LOST, 0x0B),
        (Quality.BAD_NO_COMMUNICATION, 0x0B),
        (Quality.BAD_SENSOR_FAILURE, 4),
        (Quality.BAD_WAITING_FOR_INITIAL_DATA, 4),
    ],
)
async def test_bad_quality_as_an_exception_says_why(served, status: int, code: int) -> None:
    served.write("d.voltage_v", 231.4, status)
    assert await served.ask(3, "03 0000 0001") == f"83{code:02x}"
    served.write("d.closed", True, status)
    assert await served.ask(1, "02 0000 0001") == f"82{code:02x}", "a bool has no room for a pattern"
    assert await served.ask(2, "03 006d 0001") == "03020200", "unless it is given one"


async def test_uncertain_is_told_as_it_is(served) -> None:
    served.write("d.power_kw", 100.0, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
    assert await served.ask(1, "04 0000 0001") == "040203e8"


@pytest.mark.parametrize("value", [4000.0, -4000.0, float("nan"), float("inf")])
async def test_what_the_registers_cannot_hold_is_told_as_bad(served, value: float) -> None:
    served.write("d.power_kw", value)
    assert await served.ask(1, "04 0000 0001") == "04028000"
    served.write("d.voltage_v", value * 100)
    assert await served.ask(3, "03 0000 0001") == "8304"


async def test_a_text_that_is_too_long_is_cut_between_characters(served) -> None:
    served.write("d.name", "seven7ü and more")
    assert await served.ask(1, "04 0014 0004") == "0408" + "6573" + "6576" + "376e" + "bcc3"
    served.write("d.name", "sevens7ü and more")
    assert await served.ask(1, "04 0014 0004") == "0408" + "6573" + "6576" + "736e" + "0037"


async def test_a_tag_that_is_no_longer_refreshed_is_bad(served) -> None:
    served.view.look(3_400_000_000)
    assert await served.ask(1, "04 0000 0001") == "0402ff85"
    served.view.look(3_600_000_000)
    assert await served.ask(1, "04 0000 0001") == "04028000"
    served.write("d.power_kw", 1.0)
    assert await served.ask(1, "04 0000 0001") == "0402000a", "fresh again before the next look"


async def test_a_value_of_several_registers_is_never_torn(served, wire) -> None:
    frame, answer = wire
    is_over = asyncio.Event()

    async def change() -> None:
        turn = 0
        while not is_over.is_set():
            turn = (turn + 1) % 65_536
            served.write("d.energy_kwh", turn * 0x0001_0001_0001_0001)
            await asyncio.sleep(0)

    changing = asyncio.create_task(change())
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    seen: set[str] = set()
    for transaction in range(500):
        writer.write(frame(transaction, 1, "04 0001 0004"))
        words = (await answer(reader, transaction, 1))[4:]
        assert words == words[:4] * 4 or words == "cdef89ab45670123"
        seen.add(words)
    is_over.set()
    await changing
    writer.close()
    assert len(seen) > 50


@pytest.mark.parametrize(
    ("request_pdu", "objects"),
    [
        ("2b 0e 01 00", {0: "Tieline", 1: "tieline"}),
        ("2b 0e 02 00", {0: "Tieline", 1: "tieline", 4: "Tieline gateway", 5: "served"}),
        ("2b 0e 03 00", {0: "Tieline", 5: "served", 6: "The grid connection"}),
        ("2b 0e 02 05", {5: "served", 6: "The grid connection"}),
        ("2b 0e 04 05", {5: "served"}),
        ("2b 0e 01 63", {0: "Tieline"}),  # an object that is not there starts from the first
    ],
)
async def test_device_identification(served, request_pdu: str, objects: dict[int, str]) -> None:
    response = bytes.fromhex(await served.ask(1, request_pdu))
    assert response[:2] == b"\x2b\x0e"
    assert response[3:6] == b"\x82\x00\x00"
    told: dict[int, str] = {}
    at = 7
    for _ in range(response[6]):
        number, size = response[at : at + 2]
        told[number] = response[at + 2 : at + 2 + size].decode()
        at += 2 + size
    assert at == len(response)
    assert objects.items() <= told.items()


@pytest.mark.parametrize(
    ("request_pdu", "code"), [("2b 0e 04 30", 2), ("2b 0e 05 00", 3), ("2b 0e 00 00", 3)]
)
async def test_device_identification_that_there_is_not(served, request_pdu: str, code: int) -> None:
    assert await served.ask(1, request_pdu) == f"ab{code:02x}"
