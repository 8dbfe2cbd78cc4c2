"""The role that a client's certificate says. Pure.

Modbus/TCP Security v21, 8: extension 1.3.6.1.4.1.50316.802.1, one ASN.1 UTF8String:

    0c len text        worked: 0c 08 4f 70 65 72 61 74 6f 72 is the role Operator
"""

from __future__ import annotations

from cryptography import x509

ROLE = x509.ObjectIdentifier("1.3.6.1.4.1.50316.802.1")
LONGEST_ROLE = 127  # octets: a length of one octet; the roles that sites have are words
_UTF8_STRING = 0x0C


class RoleError(ValueError):
    """A certificate whose role cannot be read; the text is for an operator."""


def role_of(certificate: bytes) -> str | None:
    """The role in a certificate (DER); None where it says none. Raises RoleError."""
    try:
        extension = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_oid(ROLE)
    except x509.ExtensionNotFound:
        return None
    except (
        ValueError
    ) as error:  # a certificate that OpenSSL took and this does not, or an extension given twice
        raise RoleError(f"its certificate cannot be read: {error}") from None
    except x509.DuplicateExtension:
        raise RoleError("its certificate says a role twice") from None
    assert isinstance(extension.value, x509.UnrecognizedExtension), extension
    return text_of(extension.value.value)


def text_of(der: bytes) -> str:
    """The role in an extension. Raises RoleError."""
    if len(der) < 2 or der[0] != _UTF8_STRING or der[1] != len(der) - 2 or not 0 < der[1] <= LONGEST_ROLE:
        raise RoleError("the role in its certificate is no UTF8String of 1 to 127 octets")
    try:
        return der[2:].decode()
    except UnicodeDecodeError:
        raise RoleError("the role in its certificate is no UTF-8") from None
