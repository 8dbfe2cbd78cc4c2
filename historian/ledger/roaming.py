"""Tokens by which a vehicle charges at another site: its home's signed statement, verified without asking home. Pure.

A token is the Ed25519 signature (64 bytes) of a bundle of one statement, and that statement, whose record is a
`roaming.token`; as text, ``roam.`` and base 64 (RFC 4648, 5: it goes into a QR code or a link). Without a word before
it one token in 64 would begin with a dash, and be an option to a command line.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from historian.ledger.bundle import Bundle, is_signed_by_its_signer
from historian.ledger.coding import fact_of
from historian.ledger.entry import Record, decode_statement, signer_of
from historian.ledger.errors import Reason, Refused
from historian.ledger.peer_facts import RoamingToken

_SIGNATURE_BYTES = 64
_LEAST_BYTES = _SIGNATURE_BYTES + 106
MOST_TOKEN_BYTES = 1_024
_MARK = "roam."


def token_of(bundle: Bundle) -> bytes:
    """The token that a home's bundle is."""
    (statement,) = bundle.statements
    return bundle.signature + statement


def read_token(token: bytes, key: bytes) -> tuple[bytes, RoamingToken]:
    """Its id and what it allows; ``Refused`` where the home with this key did not sign it."""
    if not _LEAST_BYTES < len(token) <= MOST_TOKEN_BYTES:
        raise Refused(
            Reason.MALFORMED, f"a token of {len(token)} bytes: {_LEAST_BYTES} to {MOST_TOKEN_BYTES}"
        )
    bundle = Bundle((token[_SIGNATURE_BYTES:],), token[:_SIGNATURE_BYTES])
    if signer_of(bundle.statements[0]) != key:
        raise Refused(Reason.KEY_NOT_VALID, "the token is signed by another key than its home's")
    if not is_signed_by_its_signer(bundle):
        raise Refused(Reason.FORGED, "the token's signature is not its home's")
    statement = decode_statement(bundle.statements[0])
    fact = fact_of(statement.body) if isinstance(statement.body, Record) else None
    if not isinstance(fact, RoamingToken):
        raise Refused(Reason.MALFORMED, "what is signed is no token")
    return statement.client, fact


def text_of(token: bytes) -> str:
    """As it is handed on."""
    return _MARK + urlsafe_b64encode(token).decode().rstrip("=")


def token_from(text: str) -> bytes:
    """The token of a text; ``Refused`` where it is none."""
    mark, found, encoded = text.strip().partition(".")
    try:
        if mark + found == _MARK:
            return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        pass
    raise Refused(
        Reason.MALFORMED, f"a token is {_MARK!r} and base 64, as `tieline market roam-issue` prints it"
    )
