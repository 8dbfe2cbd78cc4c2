"""The part from start to stop, with the accounts of a real site."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from opcua_plant import APPLICATION_URI, Plant, node_id

from gateway.config.accounts import Accounts
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.servers.opcua.part import LineLimit, run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def keep_collecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The part freezes what it loads; a test's process goes on after it."""
    monkeypatch.setattr("gc.freeze", lambda: None)


async def test_a_part_serves_until_it_is_stopped(
    make_plant: Callable[..., Plant], identity: Any, tmp_path: Path
) -> None:
    plant = make_plant()
    port = free_port()
    site = replace(plant.site, opcua=replace(plant.site.opcua, port=port))
    paths = RunPaths(tmp_path / "state", tmp_path / "run")
    Accounts(paths.accounts).set_password("operator", "a password of ours")
    context = PartContext(site, paths, plant.region.name, asyncio.Event(), asyncio.Event())
    part = asyncio.create_task(run(context, plant.devices, plant.history))
    async with asyncio.timeout(20):
        await context.ready.wait()
    client = Client(f"opc.tcp://127.0.0.1:{port}/", timeout=5)
    client.application_uri = APPLICATION_URI
    client.set_user("operator")
    client.set_password("a password of ours")
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        identity.certificate,
        identity.key,
        None,
        paths.pki / "own" / "certificate.der",
        ua.MessageSecurityMode.SignAndEncrypt,
    )
    async with client:
        plant.write("battery1.power_kw", 4.5)
        assert await client.get_node(node_id("battery1.power_kw")).read_value() == 4.5
        assert await client.get_namespace_array() == [
            "http://opcfoundation.org/UA/",
            plant_uri(paths),
            "urn:tieline:testbed",
        ]
    start = time.monotonic()
    context.stop.set()
    await part
    assert time.monotonic() - start < 3.0


def plant_uri(paths: RunPaths) -> str:
    from gateway.servers.opcua.certificates import own_identity

    return own_identity(paths.pki, "", "").application_uri


async def test_a_taken_port_ends_the_part(make_plant: Callable[..., Plant], tmp_path: Path) -> None:
    plant = make_plant()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        site = replace(plant.site, opcua=replace(plant.site.opcua, port=taken.getsockname()[1]))
        paths = RunPaths(tmp_path / "state", tmp_path / "run")
        context = PartContext(site, paths, plant.region.name, asyncio.Event(), asyncio.Event())
        with pytest.raises(OSError, match="address already in use"):
            await run(context, plant.devices, plant.history)
        assert not context.ready.is_set()


def test_the_library_cannot_fill_the_disk_with_its_log() -> None:
    limit = LineLimit(3)
    record = logging.LogRecord("x", logging.WARNING, "", 0, "", None, None)
    assert [limit.filter(record) for _ in range(5)] == [True, True, True, False, False]
