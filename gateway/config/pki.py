"""Certificates of OPC UA applications (OPC 10000-6, 6.2.2): our own, made at first start, and those that we trust.

::

    PKI/own/certificate.der       give this to the others
    PKI/own/private_key.pem       mode 0600
    PKI/trusted/*.der *.pem       others that are trusted
    PKI/rejected/*.der            others that were met; one that is moved to trusted/ is trusted

Errors: `Untrusted`, for a certificate of somebody else.
"""

from __future__ import annotations

import fcntl
import ipaddress
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

log = logging.getLogger(__name__)

KEY_BITS = 2048  # what all policies offered allow (OPC 10000-7), and every client takes
TAKEN_KEY_BITS = (2048, 4096)
CERTIFICATE_BYTES = 16 << 10
REJECTED_CERTIFICATES = 100  # files kept for the integrator; anybody can present one
VALID_DAYS = (
    10 * 365
)  # a gateway outlives shorter ones unattended, and a dead certificate stops the plant's clients
WARN_DAYS = 90
_WEAK_HASHES = ("md5", "sha1")


class Doubt(Enum):
    """What is wrong with a certificate."""

    UNSOUND = auto()  # no certificate, or one that is too weak
    STRANGE = auto()
    OUT_OF_TIME = auto()


class Usage(Enum):
    """What our own certificate is for."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class Untrusted(Exception):  # noqa: N818 - it is somebody else's trouble, and expected
    """A certificate is not taken; the text is for our log."""

    def __init__(self, doubt: Doubt, why: str) -> None:
        super().__init__(why)
        self.doubt = doubt


@dataclass(frozen=True, slots=True)
class Identity:
    """Our certificate, its key, and the application URI that the certificate names."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    application_uri: str


def own_identity(pki: Path, site: str, host: str, usage: Usage) -> Identity:
    """The identity kept in ``pki``, made where there is none. Raises ValueError for unfit files, OSError."""
    folder = pki / "own"
    certificate_path, key_path = folder / "certificate.der", folder / "private_key.pem"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(folder):
        return _own_identity(certificate_path, key_path, site, host, usage)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No two make an identity at once: a key of one with the certificate of the other would stay."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _own_identity(certificate_path: Path, key_path: Path, site: str, host: str, usage: Usage) -> Identity:
    if not certificate_path.exists():
        # The certificate is put in place last: without it, a key left by a crash is made anew.
        key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _put(key_path, pem, 0o600)
        made = _self_signed(key, site, host, usage)
        _put(certificate_path, made.public_bytes(serialization.Encoding.DER), 0o644)
        log.info("made the certificate %s, valid until %s", certificate_path, made.not_valid_after_utc.date())
    certificate = x509.load_der_x509_certificate(certificate_path.read_bytes())
    loaded = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    if not isinstance(loaded, rsa.RSAPrivateKey) or loaded.public_key() != certificate.public_key():
        raise ValueError(f"{key_path} is not the RSA key of {certificate_path}")
    uris = _names(certificate).get_values_for_type(x509.UniformResourceIdentifier)
    if not uris:
        raise ValueError(f"{certificate_path} names no application URI in its SubjectAlternativeName")
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    if left < timedelta(days=WARN_DAYS):
        log.warning(
            "%s ends on %s; remove it to have a new one made at the next start, and give that to the others",
            certificate_path,
            certificate.not_valid_after_utc.date(),
        )
    return Identity(certificate, loaded, uris[0])


class TrustList:
    """Whose certificates are taken: those in ``pki/trusted``, or, with ``trusts_all``, every sound one.

    ``remedy`` says what to do about a stranger, of whom ``{kept}`` and ``{trusted}`` are the paths.
    """

    def __init__(self, pki: Path, trusts_all: bool, remedy: str) -> None:
        self._trusted = pki / "trusted"
        self._rejected = pki / "rejected"
        self._trusts_all = trusts_all
        self._remedy = remedy

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self._trusted, self._rejected):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def judge(self, der: bytes, now: datetime) -> x509.Certificate:
        """The certificate, if it is taken. Raises Untrusted; OPC 10000-4, 6.1.3 orders the steps.

        A stranger's certificate is kept in ``rejected``, for the integrator to judge.
        """
        if len(der) > CERTIFICATE_BYTES:
            raise Untrusted(Doubt.UNSOUND, "a certificate too long to be one")
        try:
            certificate = x509.load_der_x509_certificate(first_of_chain(der))
            key = certificate.public_key()
            hash = certificate.signature_hash_algorithm
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Untrusted(Doubt.UNSOUND, f"no certificate: {error}") from error
        name = common_name(certificate)
        if not isinstance(key, rsa.RSAPublicKey) or not (
            TAKEN_KEY_BITS[0] <= key.key_size <= TAKEN_KEY_BITS[1]
        ):
            raise Untrusted(Doubt.UNSOUND, f"the key of {name!r} is not RSA of 2048 to 4096 bits")
        if hash is None or hash.name in _WEAK_HASHES:
            raise Untrusted(Doubt.UNSOUND, f"the certificate of {name!r} is signed with a weak hash")
        if not self._trusts_all and certificate.fingerprint(hashes.SHA256()) not in self._fingerprints():
            remedy = self._remedy.format(kept=self._keep(certificate), trusted=self._trusted)
            raise Untrusted(Doubt.STRANGE, f"the certificate of {name!r} is not trusted; {remedy}")
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise Untrusted(
                Doubt.OUT_OF_TIME,
                f"the certificate of {name!r} is valid from {certificate.not_valid_before_utc} "
                f"to {certificate.not_valid_after_utc}",
            )
        return certificate

    def _fingerprints(self) -> set[bytes]:
        """Of what lies in the folder now: a change needs no restart."""
        found = set()
        for path in self._trusted.iterdir():
            if path.suffix.lower() not in (".der", ".crt", ".cer", ".pem"):
                continue
            try:
                raw = path.read_bytes()
                load = (
                    x509.load_pem_x509_certificate
                    if raw.startswith(b"-----")
                    else x509.load_der_x509_certificate
                )
                found.add(load(raw).fingerprint(hashes.SHA256()))
            except (OSError, ValueError) as error:
                log.warning("%s is no certificate: %s", path, error)
        return found

    def _keep(self, certificate: x509.Certificate) -> Path:
        thumbprint = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - what is shown as the thumbprint everywhere
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", common_name(certificate))[:40]
        path = self._rejected / f"{name}_{thumbprint.hex()[:16]}.der"
        if not path.exists():
            kept = sorted(self._rejected.iterdir(), key=lambda found: found.stat().st_mtime_ns)
            for old in kept[: max(0, len(kept) + 1 - REJECTED_CERTIFICATES)]:
                old.unlink()
            _put(path, certificate.public_bytes(serialization.Encoding.DER), 0o600)
        return path


def common_name(certificate: x509.Certificate) -> str:
    """What the certificate calls its owner; empty where nothing."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def application_uris(certificate: x509.Certificate) -> list[str]:
    """The application URIs that a certificate names (OPC 10000-6, 6.2.2)."""
    try:
        return _names(certificate).get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return []


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def _self_signed(key: rsa.RSAPrivateKey, site: str, host: str, usage: Usage) -> x509.Certificate:
    """An application instance certificate (OPC 10000-6, 6.2.2), which signs itself and nothing else."""
    machine = socket.gethostname()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Tieline {site}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tieline"),
        ]
    )
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(f"urn:{machine}:tieline:{site}"),
        *(x509.DNSName(name) for name in dict.fromkeys((machine, "localhost"))),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host not in (machine, "localhost"):
            names.append(x509.DNSName(host))
    else:
        if not address.is_unspecified and not address.is_loopback:
            names.append(x509.IPAddress(address))
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    serial = x509.random_serial_number()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=1))  # a client's clock may be behind ours
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier(identifier.digest, [x509.DirectoryName(subject)], serial),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=True,
                data_encipherment=True,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([usage.value]), critical=False)
        .sign(key, hashes.SHA256())
    )


def first_of_chain(der: bytes) -> bytes:
    """The first of a chain: an application may send its issuers behind its own certificate (OPC 10000-6, 6.7.2.3)."""
    if len(der) < 4 or der[0] != 0x30:
        return der
    if der[1] < 0x80:
        return der[: 2 + der[1]]
    octets = der[1] & 0x7F
    return der[: 2 + octets + int.from_bytes(der[2 : 2 + octets], "big")]


def _put(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
