"""Targets behind TLS and a password: a real VictoriaMetrics with both, by the v2 API and by plain HTTP requests."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from forward_stores import Victoria, running
from historian_folder import Clock, Folder

from gateway.config.forward import ForwardKind, ForwardTarget, Secret
from historian.forward.influx1 import InfluxDb1
from historian.forward.target import Misconfigured, Refused, Taken, Unreachable


def certify(folder: Path, address: str) -> Path:
    """A certificate that signs itself, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{address}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


class Guarded(Victoria):
    """With TLS, a user and a password."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.certificate = certify(directory, "127.0.0.1")
        headers = urllib3.make_headers(basic_auth="tieline:s3cret")
        self.pool = urllib3.PoolManager(ca_certs=str(self.certificate), headers=headers)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [
            *super().command(),
            "-tls",
            f"-tlsCertFile={self.certificate}",
            f"-tlsKeyFile={self.certificate.with_suffix('.key')}",
            "-httpAuth.username=tieline",
            "-httpAuth.password=s3cret",
        ]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with running(Guarded(tmp_path_factory.mktemp("guarded"))) as store:
        yield store


def secret_in(folder: Path, text: str) -> Secret:
    path = folder / "password"
    path.write_text(text)
    return Secret(file=path)


def test_history_is_sent_by_tls_with_a_password_that_may_be_mended_while_it_runs(
    guarded: Guarded, folder: Folder, clock: Clock, make_lane: Callable[..., Any], tmp_path: Path
) -> None:
    at = clock.now
    folder.write("a.power_kw", [at], [1.5])
    lane = make_lane(
        kind="victoriametrics",
        url=guarded.url,
        username="tieline",
        secret=secret_in(tmp_path, "wrong"),
        authorities=guarded.certificate,
    )
    said: list[str] = []

    def mend() -> bool:
        said.append(lane.sender.link.last_error)
        secret_in(tmp_path, "s3cret")
        return False

    lane.meanwhile = mend
    lane.drain()
    assert len(said) == 1
    assert said[0].startswith("401")
    assert "s3cret" not in said[0] + str(lane.settings)
    assert guarded.samples("a.power_kw_value") == [(at // 10**6, 1.5)]
    assert lane.target.incarnation(), "it is asked since when it runs over the same connection"


def test_who_is_not_known_is_not_spoken_to(guarded: Guarded, tmp_path: Path) -> None:
    stranger = certify(tmp_path, "127.0.0.1")
    secret = secret_in(tmp_path, "s3cret")

    def answer(url: str, authorities: Path | None) -> Any:
        target = ForwardTarget(
            "x", ForwardKind.INFLUXDB1, url, "x", username="tieline", secret=secret, authorities=authorities
        )
        sender = InfluxDb1(target)
        try:
            return sender.write("m value=1 1\n")
        finally:
            sender.close()

    assert isinstance(answer(guarded.url, guarded.certificate), Taken | Refused)
    assert "certificate verify failed" in answer(guarded.url, stranger).why
    assert isinstance(answer(guarded.url, None), Unreachable), "the machine's authorities do not know it"
    assert "no such file" in answer(guarded.url, tmp_path / "none.pem").why.lower()
    assert isinstance(answer(guarded.url, tmp_path / "none.pem"), Misconfigured)
