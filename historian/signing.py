"""Ed25519 keys in files that only their owner reads: authors of a ledger and models of forecasts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from historian.store.durable import sync_directory

_LEAST_PURPOSE = 4  # characters: it cannot be left out


class KeyFileError(Exception):
    """A file of a key that cannot be used."""


class SigningKey:
    """A private key in memory; ``public`` is its 32 bytes."""

    __slots__ = ("_private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key from the system's random numbers."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, file: Path) -> SigningKey:
        """The key in a file that nobody else may read; ``KeyFileError`` otherwise."""
        try:
            with file.open("rb") as opened:
                mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
                content = opened.read(65_536)
        except OSError as error:
            raise KeyFileError(f"{file}: {error.strerror}") from error
        if mode & 0o077:
            raise KeyFileError(
                f"{file} has mode {mode:04o}: others may reach it; chmod 600, and rotate the key"
            )
        try:
            private = serialization.load_pem_private_key(content, password=None)
        except (ValueError, TypeError) as error:
            raise KeyFileError(f"{file} holds no unencrypted private key in PEM") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileError(f"{file} holds a key of another kind; make one with `tieline ledger key`")
        return cls(private)

    def save(self, file: Path) -> None:
        """Into a new file of mode 0600, on disk when this returns; ``KeyFileError`` where it exists."""
        content = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(file, content)

    def sign_content(self, content: bytes) -> bytes:
        """The signature of ``content``, whose first bytes say what it is: it must fit nothing else."""
        return self._private.sign(content)

    def sign_digest(self, purpose: str, digest: bytes) -> bytes:
        """The signature of a SHA-256 ``digest`` for a ``purpose``: it fits no other purpose and no bundle."""
        return self._private.sign(_purpose_bytes(purpose, digest))


def write_private(file: Path, content: bytes) -> None:
    """A new file of mode 0600, whole and on disk when this returns, or none; ``KeyFileError`` where it exists.

    Half a key would keep its place from a whole one at each start from then on.
    """
    draft = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            os.link(draft, file)  # not a rename, which would take the place of another key
        finally:
            draft.unlink()
        sync_directory(file.parent)
    except OSError as error:
        raise KeyFileError(f"{file}: {error.strerror}") from error


def is_signed_content(key: bytes, content: bytes, signature: bytes) -> bool:
    """Whether ``key`` signed ``content``."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_signed_digest(key: bytes, purpose: str, digest: bytes, signature: bytes) -> bool:
    """Whether ``key`` signed this digest for this purpose."""
    return is_signed_content(key, _purpose_bytes(purpose, digest), signature)


def _purpose_bytes(purpose: str, digest: bytes) -> bytes:
    assert len(purpose) >= _LEAST_PURPOSE, purpose
    assert len(digest) == 32, digest
    return b"tieline " + purpose.encode() + b"\0" + digest
