"""Which server is trusted, and what it is told of us."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from opcua_genset import Genset, free_port, running, until

from gateway.config import pki
from gateway.config.pki import Usage, own_identity

POINTS = """
      power_kw: {node: "nsu=urn:maker:genset;s=Power", unit: kW}
"""
PASSWORD = "Öl & Wasser"
SECURE = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt, ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign]


class Users:
    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        return User(role=UserRole.User) if (username, password) == ("tieline", PASSWORD) else None


@pytest.fixture(scope="module")
def server_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    own_identity(folder, "genset", "127.0.0.1", Usage.SERVER)
    return folder / "own"


@pytest.fixture
async def make_secure(server_files: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Genset] = []

    async def make(
        policies: list[ua.SecurityPolicyType] = SECURE, files: Path = server_files, users: bool = False
    ) -> Genset:
        async def prepare(server: Server) -> None:
            identity = own_identity(files.parent, "genset", "127.0.0.1", Usage.SERVER)
            await server.set_application_uri(identity.application_uri)
            await server.load_certificate(str(files / "certificate.der"))
            await server.load_private_key(str(files / "private_key.pem"))
            server.set_security_policy(policies)
            if users:
                server.iserver.user_manager = Users()
                server.set_identity_tokens([ua.UserNameIdentityToken])

        genset = Genset(free_port(), prepare)
        await genset.up()
        made.append(genset)
        return genset

    yield make
    for one in made:
        await one.down()


def trust(folder: Path, files: Path) -> None:
    trusted = folder / "pki" / "servers" / "trusted"
    trusted.mkdir(parents=True)
    shutil.copy(files / "certificate.der", trusted)


@pytest.mark.parametrize("security", ["Basic256Sha256:SignAndEncrypt", "Aes256_Sha256_RsaPss:Sign"])
async def test_a_strange_server_is_kept_and_the_command_that_is_told_lets_it_be_read(
    make_secure: Any, tmp_path: Path, security: str, caplog: pytest.LogCaptureFixture
) -> None:
    genset = await make_secure()
    async with running(tmp_path, genset.url, POINTS, security=security) as plant:
        await until(lambda: "is not trusted" in plant.last_error, "the refusal")
        match = re.search(r"if it is the right one: (cd \S+ && mv \S+ \S+)$", caplog.text, re.MULTILINE)
        assert match is not None, caplog.text
        await asyncio.to_thread(subprocess.run, ["sh", "-c", match[1]], check=True)
        await plant.becomes("power_kw", 42.5)
        assert (tmp_path / "pki/servers/own/private_key.pem").stat().st_mode & 0o777 == 0o600


async def test_another_server_at_the_same_address_is_not_read(
    make_secure: Any, tmp_path: Path, server_files: Path
) -> None:
    trust(tmp_path, server_files)
    own_identity(tmp_path / "other", "genset", "127.0.0.1", Usage.SERVER)
    genset = await make_secure(files=tmp_path / "other" / "own")
    async with running(tmp_path, genset.url, POINTS, security="Basic256Sha256:SignAndEncrypt") as plant:
        await until(lambda: "is not trusted" in plant.last_error, "the refusal")
        assert not plant.told("connected")


async def test_a_certificate_out_of_its_time_is_refused_even_when_all_are_trusted(
    make_secure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as past:
        past.setattr(pki, "VALID_DAYS", 0)  # from yesterday until now
        own_identity(tmp_path / "old", "genset", "127.0.0.1", Usage.SERVER)
    genset = await make_secure(files=tmp_path / "old" / "own")
    options = {"security": "Basic256Sha256:SignAndEncrypt", "more": "trust: all"}
    async with running(tmp_path, genset.url, POINTS, **options) as plant:
        await until(lambda: "is valid from" in plant.last_error, "the refusal")


async def test_what_the_server_does_not_offer_is_told_with_what_it_does(
    make_secure: Any, tmp_path: Path
) -> None:
    genset = await make_secure()
    async with running(tmp_path, genset.url, POINTS, security="Aes128_Sha256_RsaOaep:Sign") as plant:
        await until(lambda: "does not offer" in plant.last_error, "the refusal")
        assert "it offers Aes256_Sha256_RsaPss:Sign, Basic256Sha256:SignAndEncrypt" in plant.last_error


async def test_a_user_signs_in_with_the_password_of_a_file(
    make_secure: Any, tmp_path: Path, server_files: Path
) -> None:
    trust(tmp_path, server_files)
    (tmp_path / "genset.password").write_text("wrong\n")
    genset = await make_secure(users=True)
    options = {
        "security": "Basic256Sha256:SignAndEncrypt",
        "more": "user: tieline, password_file: genset.password",
    }
    async with running(tmp_path, genset.url, POINTS, **options) as plant:
        await until(lambda: "BadUserAccessDenied" in plant.last_error, "the refusal")
        (tmp_path / "genset.password").unlink()
        await until(lambda: "No such file" in plant.last_error, "the missing file")
        (tmp_path / "genset.password").write_text(PASSWORD + "\n")
        await plant.becomes("power_kw", 42.5)


async def test_a_password_comes_from_the_environment_and_goes_to_no_stranger_without_security(
    make_secure: Any, tmp_path: Path, server_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENSET_PASSWORD", PASSWORD)
    genset = await make_secure([ua.SecurityPolicyType.NoSecurity, *SECURE], users=True)
    more = "user: tieline, password_variable: GENSET_PASSWORD"
    async with running(tmp_path, genset.url, POINTS, more=more) as plant:
        await until(
            lambda: "is not trusted" in plant.last_error or "in the clear" in plant.last_error, "the refusal"
        )
        assert not plant.told("connected")
        if "in the clear" not in plant.last_error:
            shutil.copy(server_files / "certificate.der", tmp_path / "pki" / "servers" / "trusted")
            await plant.becomes("power_kw", 42.5)
    monkeypatch.delenv("GENSET_PASSWORD")
    async with running(tmp_path, genset.url, POINTS, more=more) as plant:
        await until(lambda: "the environment has no GENSET_PASSWORD" in plant.last_error, "the refusal")
