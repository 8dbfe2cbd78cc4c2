"""Passwords of the site's users: scrypt hashes in the state folder, never in the site file.

The file is JSON, mode 0600, replaced whole::

    {"version": 1,
     "users": {"operator": {"scheme": "scrypt", "n": 32768, "r": 8, "p": 1, "salt": BASE64, "hash": BASE64}}}

Errors: `AccountsError` where the file is unreadable, ValueError where a password is unfit.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# RFC 7914, 2: N = 2^15, r = 8, p = 1 costs 128 * r * N = 32 MiB and 50 to 100 ms of one core, which a person
# does not feel and a guesser does.
SCRYPT_N = 1 << 15
SCRYPT_R = 8
SCRYPT_P = 1
_SALT_BYTES = 16
_HASH_BYTES = 32
_MEMORY_LIMIT = 256 << 20  # of one hash: a file may ask for stronger hashes than ours, but not for all memory
MIN_PASSWORD_CHARACTERS = 8  # NIST SP 800-63B-4, 3.1.1.2; the ones made here have 80 bits
MAX_PASSWORD_BYTES = 1024  # hashing time must not depend on what a stranger sends
_CONCURRENT_HASHES = 2  # 32 MiB each: strangers at the door must not take the machine's memory

# 31 letters and digits that nobody mixes up (no 0 o 1 l i). 20 of them are 20 * log2(31) = 99 bits.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_GROUPS = 5
_GROUP_CHARACTERS = 4


class AccountsError(Exception):
    """The accounts file cannot be read, or does not hold what it should."""


@dataclass(frozen=True, slots=True)
class _Hash:
    """What is kept of a password."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def matches(self, password: bytes) -> bool:
        memory = 128 * self.r * (self.n + self.p + 2)
        found = hashlib.scrypt(
            password,
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            dklen=len(self.digest),
            maxmem=memory + (1 << 20),
        )
        return hmac.compare_digest(found, self.digest)


# Verified against where the user is unknown, so that the answer takes as long as for one who is not.
_NOBODY = _Hash(SCRYPT_N, SCRYPT_R, SCRYPT_P, bytes(_SALT_BYTES), bytes(_HASH_BYTES))


class Accounts:
    """The accounts file of one state folder. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._hashing = threading.BoundedSemaphore(_CONCURRENT_HASHES)
        self._version: tuple[int, int, int] | None = None
        self._users: dict[str, _Hash] = {}

    def verify(self, user: str, password: str) -> bool:
        """True if this is the user's password. Blocks for one scrypt, whether or not the user exists.

        A change of the file by another process counts at once. Raises AccountsError.
        """
        kept = self._read().get(user)
        raw = _prepared(password)
        fits = len(raw) <= MAX_PASSWORD_BYTES
        with self._hashing:
            same = (kept or _NOBODY).matches(raw if fits else b"")
        return same and fits and kept is not None

    def seal(self, user: str) -> str:
        """A word that changes whenever the user's password does; empty where there is none. Raises AccountsError.

        What was granted on a password (a session) is good for as long as its seal is this one.
        """
        kept = self._read().get(user)
        return "" if kept is None else hashlib.sha256(kept.salt + kept.digest).hexdigest()

    def set_password(self, user: str, password: str) -> None:
        """Keep a new password; durable when this returns. Raises ValueError, AccountsError, OSError."""
        raw = _prepared(password)
        if len(password) < MIN_PASSWORD_CHARACTERS:
            raise ValueError(f"a password has at least {MIN_PASSWORD_CHARACTERS} characters")
        if len(raw) > MAX_PASSWORD_BYTES:
            raise ValueError(f"a password has at most {MAX_PASSWORD_BYTES} bytes")
        salt = secrets.token_bytes(_SALT_BYTES)
        with self._hashing:
            digest = hashlib.scrypt(
                raw, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=_HASH_BYTES, maxmem=64 << 20
            )
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._changing():
            users = {**self._read(), user: _Hash(SCRYPT_N, SCRYPT_R, SCRYPT_P, salt, digest)}
            self._replace(users)

    def users_without_password(self, users: Iterable[str]) -> list[str]:
        """Those of ``users`` who cannot sign in yet, in the order given. Raises AccountsError."""
        known = self._read()
        return [user for user in users if user not in known]

    def _read(self) -> dict[str, _Hash]:
        """The users of the file as it is now; it is parsed again only when it changed."""
        with self._lock:
            try:
                found = self._path.stat()
            except FileNotFoundError:
                self._version, self._users = None, {}
                return self._users
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            if version != self._version:
                self._users = _parsed(self._path)
                self._version = version
            return self._users

    def _changing(self) -> _FileLock:
        return _FileLock(self._path.with_suffix(".lock"))

    def _replace(self, users: dict[str, _Hash]) -> None:
        """Write the file beside the old one, then put it in its place: a crash leaves one or the other."""
        content = {
            "version": 1,
            "users": {
                name: {
                    "scheme": "scrypt",
                    "n": kept.n,
                    "r": kept.r,
                    "p": kept.p,
                    "salt": base64.b64encode(kept.salt).decode(),
                    "hash": base64.b64encode(kept.digest).decode(),
                }
                for name, kept in sorted(users.items())
            },
        }
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)  # of a run that died here; we hold the lock
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _FileLock:
    """One changer of the file at a time, among all processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def new_password() -> str:
    """A random password of 99 bits that can be read aloud: ``k7mq-2dxa-9pwe-hr4t-c6ns``."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_CHARACTERS)) for _ in range(_GROUPS))
    return "-".join(groups)


def _prepared(password: str) -> bytes:
    """One form for what different keyboards send for one text (NIST SP 800-63B-4, 3.1.1.2: NFKC)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _parsed(path: Path) -> dict[str, _Hash]:
    try:
        content = json.loads(path.read_bytes())
        if content["version"] != 1:
            raise AccountsError(f"{path}: version {content['version']!r} is not one this program knows")
        return {str(name): _parsed_hash(path, str(name), kept) for name, kept in content["users"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AccountsError(f"{path}: not an accounts file ({error!r})") from error


def _parsed_hash(path: Path, name: str, kept: dict[str, object]) -> _Hash:
    try:
        n, r, p = (_count(kept[key]) for key in ("n", "r", "p"))
        salt, digest = (base64.b64decode(str(kept[key]), validate=True) for key in ("salt", "hash"))
    except (KeyError, TypeError, binascii.Error) as error:
        raise AccountsError(f"{path}: user {name}: {error!r}") from error
    power_of_two = n >= 2 and n & (n - 1) == 0
    if (
        kept.get("scheme") != "scrypt"
        or not power_of_two
        or r < 1
        or p < 1
        or len(digest) < 16
        or len(salt) < 8
    ):
        raise AccountsError(f"{path}: user {name}: not a scrypt hash this program takes")
    if 128 * r * (n + p + 2) > _MEMORY_LIMIT:
        raise AccountsError(f"{path}: user {name}: the hash asks for more than {_MEMORY_LIMIT >> 20} MiB")
    return _Hash(n, r, p, salt, digest)


def _count(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value
