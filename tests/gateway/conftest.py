"""Certificates for tests of TLS, made by `cryptography`."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
ROLE = x509.ObjectIdentifier("1.3.6.1.4.1.50316.802.1")  # Modbus/TCP Security v21, 8


class Pki:
    """Authorities and what they signed, as ``name.pem`` and ``name.key`` in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, tuple[x509.Certificate, ec.EllipticCurvePrivateKey]] = {}

    def authority(self, name: str) -> Path:
        return self._make(name, None, [], None, x509.BasicConstraints(ca=True, path_length=None), False)

    def leaf(
        self,
        name: str,
        authority: str,
        *,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        role: str | bytes | None = None,
        is_expired: bool = False,
    ) -> Path:
        """``role`` as bytes is the extension as it stands."""
        der = None
        if role is not None:
            der = bytes([0x0C, len(role.encode())]) + role.encode() if isinstance(role, str) else role
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        return self._make(name, authority, list(names), der, constraints, is_expired)

    def _make(
        self,
        name: str,
        authority: str | None,
        names: list[str],
        role: bytes | None,
        constraints: x509.BasicConstraints,
        is_expired: bool,
    ) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer, signer = (subject, key) if authority is None else self._of(authority)
        now = datetime.datetime.now(datetime.UTC) - (10 * DAY if is_expired else 0 * DAY)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .add_extension(_usage(constraints.ca), critical=True)
        )
        if names:
            general = [_general_name(text) for text in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        if role is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(ROLE, role), critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        self._made[name] = (certificate, key)
        path = self.folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        path.with_suffix(".key").write_bytes(pem)
        return path

    def _of(self, authority: str) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
        certificate, key = self._made[authority]
        return certificate.subject, key


def _usage(is_authority: bool) -> x509.KeyUsage:
    """What newer versions of Python ask for (RFC 5280, 4.2.1)."""
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=is_authority, crl_sign=is_authority, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


@pytest.fixture
def new_pki() -> Callable[[Path], Pki]:
    """Make certificates in a folder."""
    return Pki
