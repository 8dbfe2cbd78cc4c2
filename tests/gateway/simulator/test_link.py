"""The link to a device that listens on a port of its own, and what it does to what is said over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.garbled import EVERY
from gateway.simulator.link import Link

ASKED = bytes(range(64))


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """Before a device that says back what it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    device = await asyncio.start_server(echo, "127.0.0.1", 0)
    made = Link("127.0.0.1", 0, device.sockets[0].getsockname()[1])
    await made.open()
    yield made
    await made.close()
    device.close()


async def said(link: Link) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(ASKED)
    answer = await asyncio.wait_for(reader.readexactly(len(ASKED)), 10)
    writer.close()
    return answer


async def test_a_garbled_link_changes_one_octet_in_eight_of_the_answers_until_it_is_mended(
    link: Link,
) -> None:
    assert await said(link) == ASKED
    await link.suffer(Fault(FaultKind.GARBLED))
    answer = await said(link)
    for start in range(0, len(ASKED), EVERY):
        there, was = answer[start : start + EVERY], ASKED[start : start + EVERY]
        assert sum(a != b for a, b in zip(there, was, strict=True)) == 1
    await link.suffer(None)
    assert await said(link) == ASKED
