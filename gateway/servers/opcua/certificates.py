"""The server's own certificate, made at first start, and whose certificates it trusts.

::

    pki/own/certificate.der       give this to clients
    pki/own/private_key.pem       mode 0600
    pki/trusted/*.der *.pem       clients that may connect
    pki/rejected/*.der            clients that tried; move one to trusted/ to let it in

Errors: `Untrusted`, for a client's certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from asyncua.ua.status_codes import StatusCodes
from cryptography import x509

from gateway.config import pki as applications
from gateway.config.pki import Doubt, Identity, Usage

_CODES: Mapping[Doubt, int] = {
    Doubt.UNSOUND: StatusCodes.BadSecurityChecksFailed,
    Doubt.STRANGE: StatusCodes.BadSecurityChecksFailed,  # not BadCertificateUntrusted: a stranger learns no more
    Doubt.OUT_OF_TIME: StatusCodes.BadCertificateTimeInvalid,
}


class Untrusted(Exception):  # noqa: N818 - it is the client's trouble, and expected
    """A client's certificate is not taken. ``code`` is what the client is told, the text is for our log."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def own_identity(pki: Path, site: str, host: str) -> Identity:
    """The identity kept in ``pki``, made where there is none. Raises ValueError for unfit files, OSError."""
    return applications.own_identity(pki, site, host, Usage.SERVER)


class TrustList(applications.TrustList):
    """Which clients' certificates are taken: those in ``pki/trusted``, or, with ``trusts_all``, every sound one."""

    def __init__(self, pki: Path, trusts_all: bool) -> None:
        super().__init__(pki, trusts_all, "to let this client in, move {kept} to {trusted}")

    def demand(self, der: bytes, now: datetime) -> x509.Certificate:
        """The certificate, if it is taken. Raises Untrusted; OPC 10000-4, 6.1.3 orders the steps and their codes."""
        try:
            return self.judge(der, now)
        except applications.Untrusted as error:
            raise Untrusted(_CODES[error.doubt], str(error)) from error
