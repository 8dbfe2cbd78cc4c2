"""TLS 1.3 between two sites, each of which knows the other's very certificate.

No authority vouches for anybody: a site's certificate is copied to the other by hand, as its public key is, and no
other certificate of whatever authority opens the door.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.tls import TlsError, TlsFiles, client_context, server_context


def fingerprint(file: Path) -> bytes:
    """SHA-256 of the certificate in a PEM file. Raises TlsError."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except OSError as error:
        raise TlsError(f"the certificate {file}: {error.strerror}") from None
    except ValueError:
        raise TlsError(f"{file} holds no certificate in PEM") from None
    return sha256(certificate.public_bytes(Encoding.DER)).digest()


def caller(certificate: Path, key: Path, pinned: Path) -> ssl.SSLContext:
    """For who connects to the site with the ``pinned`` certificate. Raises TlsError."""
    return _only_13(client_context(TlsFiles(certificate, key, pinned)))


def door(certificate: Path, key: Path, pinned: Iterable[Path]) -> ssl.SSLContext:
    """For who is connected to by the sites with these. Raises TlsError."""
    first, *others = pinned
    context = _only_13(server_context(TlsFiles(certificate, key, first)))
    for other in others:
        try:
            context.load_verify_locations(other)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"the certificate {other}: {error}") from None
    return context


def _only_13(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # A pinned certificate is trusted as it stands, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def shown(connection: ssl.SSLObject | ssl.SSLSocket) -> bytes:
    """SHA-256 of the certificate that the other side showed; empty where it showed none."""
    certificate = connection.getpeercert(binary_form=True)
    return sha256(certificate).digest() if certificate else b""
