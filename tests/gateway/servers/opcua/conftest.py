"""Fixtures: the plant with its server, and clients of the library's for it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.server.address_space import NodeData
from asyncua.server.internal_server import InternalServer
from asyncua.ua.object_ids import ObjectIds


def _load(name: str) -> ModuleType:
    """A module of this folder, which is no package, under a name that tests may import."""
    spec = importlib.util.spec_from_file_location(f"opcua_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


plants = _load("plant")
_load("wire")


_standard: dict[ua.NodeId, NodeData] = {}
_references: list[ua.ReferenceDescription] = []


@pytest.fixture(autouse=True)
def standard_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the standard's 6,000 nodes once, not for each server: it takes the library 2 s.

    The folder that each server hangs its site in is copied; the rest they leave alone, or write at their start.
    """
    load = InternalServer.load_standard_address_space

    async def load_once(self: InternalServer, shelf_file: Any = None) -> None:
        if not _standard:
            await load(self, shelf_file)
            _standard.update(self.aspace._nodes)
            _references.extend(self.aspace._nodes[ua.NodeId(ObjectIds.ObjectsFolder)].references)
        objects = _standard[ua.NodeId(ObjectIds.ObjectsFolder)]
        own = NodeData(objects.nodeid)
        own.attributes, own.references = objects.attributes, list(_references)
        self.aspace._nodes = {**_standard, own.nodeid: own}

    monkeypatch.setattr(InternalServer, "load_standard_address_space", load_once)


@pytest.fixture
def make_plant(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(site: Any = None) -> Any:
        plant = plants.Plant(site or plants.site_of(), tmp_path / str(len(made)))
        made.append(plant)
        return plant

    yield make
    for plant in made:
        plant.close()


@pytest.fixture
async def plant(make_plant: Callable[..., Any]) -> AsyncIterator[Any]:
    """The plant with its server running."""
    made = make_plant()
    async with made.running():
        yield made


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return plants.make_identity(tmp_path_factory.mktemp("client"))


@pytest.fixture
def client_of(identity: Any) -> Callable[..., Awaitable[Client]]:
    """A client of the library's, not connected yet: signed, encrypted, and with a user."""

    async def make(
        plant: Any,
        user: str = "operator",
        password: str = plants.PASSWORD,
        mode: ua.MessageSecurityMode = ua.MessageSecurityMode.SignAndEncrypt,
        policy: type = SecurityPolicyBasic256Sha256,
        files: Any = identity,
    ) -> Client:
        client = Client(plant.url, timeout=5)
        client.application_uri = plants.APPLICATION_URI
        client.set_user(user)
        client.set_password(password)
        own = plant.pki / "own" / "certificate.der"
        await client.set_security(policy, files.certificate, files.key, None, own, mode)
        return client

    return make
