"""The server's own certificate, and the judgement of others'."""

from __future__ import annotations

import logging
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asyncua.ua.status_codes import StatusCodes
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import pki
from gateway.servers.opcua.certificates import TrustList, Untrusted, own_identity

NOW = datetime.now(UTC)


def certificate(name: str = "client", bits: int = 2048, days: int = 30) -> x509.Certificate:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
    )
    return builder.sign(key, hashes.SHA256())


def der(found: x509.Certificate) -> bytes:
    return found.public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="module")
def client() -> x509.Certificate:
    return certificate()


@pytest.fixture
def trust(tmp_path: Path) -> TrustList:
    found = TrustList(tmp_path, trusts_all=False)
    found.prepare()
    return found


def test_the_identity_is_made_once_and_names_the_application(tmp_path: Path) -> None:
    made = own_identity(tmp_path, "plant", "192.0.2.7")
    names = made.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [made.application_uri]
    assert made.application_uri.endswith(":tieline:plant")
    assert "192.0.2.7" in [str(found) for found in names.get_values_for_type(x509.IPAddress)]
    assert made.key.key_size >= 2048
    assert stat.S_IMODE((tmp_path / "own" / "private_key.pem").stat().st_mode) == 0o600
    again = own_identity(tmp_path, "another name", "127.0.0.1")
    assert again.certificate == made.certificate
    assert again.application_uri == made.application_uri


def test_a_key_left_by_a_crash_is_made_anew(tmp_path: Path) -> None:
    own_identity(tmp_path, "plant", "127.0.0.1")
    (tmp_path / "own" / "certificate.der").unlink()
    made = own_identity(tmp_path, "plant", "127.0.0.1")
    assert made.key.public_key() == made.certificate.public_key()


def test_a_key_of_another_certificate_is_a_fault_and_not_used(tmp_path: Path) -> None:
    own_identity(tmp_path / "one", "plant", "127.0.0.1")
    own_identity(tmp_path / "two", "plant", "127.0.0.1")
    (tmp_path / "one/own/private_key.pem").write_bytes((tmp_path / "two/own/private_key.pem").read_bytes())
    with pytest.raises(ValueError, match="is not the RSA key of"):
        own_identity(tmp_path / "one", "plant", "127.0.0.1")


def test_the_end_of_the_own_certificate_is_told_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.config.pki.VALID_DAYS", 30)
    own_identity(tmp_path, "plant", "127.0.0.1")
    assert "have a new one made" in caplog.text


@pytest.mark.parametrize("suffix", [".der", ".crt", ".pem"])
def test_a_certificate_in_trusted_is_taken_at_once(
    trust: TrustList, client: x509.Certificate, tmp_path: Path, suffix: str
) -> None:
    with pytest.raises(Untrusted, match="to let this client in, move") as caught:
        trust.demand(der(client), NOW)
    assert caught.value.code == StatusCodes.BadSecurityChecksFailed
    encoding = serialization.Encoding.PEM if suffix == ".pem" else serialization.Encoding.DER
    (tmp_path / "trusted" / f"c{suffix}").write_bytes(client.public_bytes(encoding))
    assert trust.demand(der(client), NOW) == client
    assert trust.demand(der(client) + der(certificate("issuer")), NOW) == client, "of a chain, the first"


def test_a_broken_file_in_trusted_is_told_and_passed_over(
    trust: TrustList, client: x509.Certificate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "trusted" / "a.der").write_bytes(b"broken")
    (tmp_path / "trusted" / "readme.txt").write_bytes(b"nothing to see")
    (tmp_path / "trusted" / "b.der").write_bytes(der(client))
    assert trust.demand(der(client), NOW) == client
    assert "a.der" in caplog.text
    assert "readme" not in caplog.text


def test_rejected_is_bounded_and_its_names_are_harmless(
    trust: TrustList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pki, "REJECTED_CERTIFICATES", 3)
    for name in ("../../etc/passwd", "a b\n", "Ä", "", "last"):
        with pytest.raises(Untrusted):
            trust.demand(der(certificate(name or "x")), NOW)
    kept = sorted(path.name for path in (tmp_path / "rejected").iterdir())
    assert len(kept) == 3
    assert any(name.startswith("last_") for name in kept)


@pytest.mark.parametrize("trusts_all", [True, False])
def test_weak_or_foreign_keys_are_refused_whoever_is_trusted(tmp_path: Path, trusts_all: bool) -> None:
    trust = TrustList(tmp_path, trusts_all)
    trust.prepare()
    with pytest.raises(Untrusted, match="not RSA of 2048 to 4096"):
        trust.demand(der(certificate(bits=1024)), NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "curve")])
    curve = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(Untrusted, match="not RSA"):
        trust.demand(der(curve), NOW)
    with pytest.raises(Untrusted) as caught:
        trust.demand(der(certificate(days=-1)), NOW)
    assert caught.value.code == (
        StatusCodes.BadCertificateTimeInvalid if trusts_all else StatusCodes.BadSecurityChecksFailed
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_judged(trust: TrustList, raw: bytes) -> None:
    with pytest.raises(Untrusted):
        trust.demand(raw, NOW)
    with pytest.raises(Untrusted):
        trust.demand(b"\x30" + raw, NOW)


def test_two_that_make_the_identity_at_once_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: own_identity(tmp_path, "plant", "127.0.0.1"), range(4)))
    assert len({one.application_uri for one in made}) == 1
    assert all(one.certificate == made[0].certificate for one in made)
    assert own_identity(tmp_path, "plant", "127.0.0.1").key.public_key() == made[0].certificate.public_key()
