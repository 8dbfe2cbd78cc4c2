"""TLS with certificates on both sides: the files of a site that it needs, and contexts made of them.

Certificates are read anew with each context, so that renewed files are used by the next connection (of a client) or
the next start (of a server).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gateway.config.fault import FaultLog
from gateway.config.file_setting import file_of, path_of
from gateway.config.kinds import Settings

_FILES = ("certificate", "key", "authorities")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Our certificate (with the chain to its authority) and key, and whom the other side must be signed by; PEM."""

    certificate: Path
    key: Path
    authorities: Path


class TlsError(Exception):
    """Files that no connection can be made with; the text is for an operator."""


def read_tls(settings: Settings, faults: FaultLog) -> TlsFiles | None:
    """The files that a section names, which are there and fit each other; None where they do not or are faulty."""
    if not settings.is_sound(*_FILES):
        return None
    paths = [file_of(settings, name, faults) for name in _FILES]  # each that is missing is told of
    if not all(path.is_file() for path in paths):
        return None
    files = files_of(settings)
    assert files is not None, "all of them are sound"
    try:
        client_context(files)
    except TlsError as error:
        mend = "name PEM files: a certificate, its own key without a password, authorities"
        faults.add(settings.at("certificate"), str(error), mend)
        return None
    return files


def files_of(settings: Settings) -> TlsFiles | None:
    """The files that a section names, there or not; None where it does not."""
    if not settings.is_sound(*_FILES):
        return None
    return TlsFiles(*(path_of(settings, name) for name in _FILES))


def bears(certificate: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether a certificate, as `ssl` tells it, is of one of ``names`` or addresses (RFC 6125, 6.4).

    Only where it has no alternative names at all, its common name counts: many devices have nothing else.
    """
    alternatives = certificate.get("subjectAltName", ())
    borne = [(kind, text.lower()) for kind, text in alternatives if kind in ("DNS", "IP Address")]
    if not alternatives:
        subject = [pair for part in certificate.get("subject", ()) for pair in part]
        borne = [("DNS", text.lower()) for kind, text in subject if kind == "commonName"]
    return any(_is_of(name.lower(), kind, text) for name in names for kind, text in borne)


def _is_of(name: str, kind: str, text: str) -> bool:
    if kind == "IP Address":
        try:
            return ip_address(name) == ip_address(text)
        except ValueError:
            return False
    label, _, rest = name.partition(".")
    return name == text or (text == f"*.{rest}" and "." in rest and bool(label))


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For one who connects: TLS 1.2 and later; whose certificate it is, is left to `bears`. Raises TlsError."""
    context = _context(files, ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return context


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """For one who is connected to: TLS 1.2 and later, a certificate is asked for. Raises TlsError.

    No session is taken up again: each connection shows its certificate anew.
    """
    context = _context(files, ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def tls_trouble(error: ssl.SSLError) -> str:
    """Why there is no connection, for an operator."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return (error.reason or str(error)).lower().replace("_", " ")


def _context(files: TlsFiles, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # An empty password: else OpenSSL asks for that of an encrypted key on the terminal, and waits.
        context.load_cert_chain(files.certificate, files.key, password="")
    except ssl.SSLError as error:
        why = tls_trouble(error) if error.reason else "one of them is no PEM, or encrypted"
        raise TlsError(f"the certificate {files.certificate.name} with {files.key.name}: {why}") from None
    except OSError as error:
        raise TlsError(f"the certificate {files.certificate.name}: {error.strerror}") from None
    try:
        context.load_verify_locations(files.authorities)
    except ssl.SSLError as error:
        raise TlsError(f"the authorities {files.authorities.name}: {tls_trouble(error)}") from None
    except OSError as error:
        raise TlsError(f"the authorities {files.authorities.name}: {error.strerror}") from None
    return context
