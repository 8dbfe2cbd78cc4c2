"""Who is signed in: random tokens, of which only the hashes are kept.

They are written to the runtime folder, which lasts as long as the run, so that a control room's screens come back by
themselves when this part is restarted.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

log = logging.getLogger(__name__)

TOKEN_BYTES = 32  # 256 bits
LIFETIME_S = 12 * 3600.0  # one shift
MAX_SESSIONS = 256  # the oldest ends when one more signs in


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in, until ``expires_at`` (UTC s) or ``ended`` is set; ``seal`` is of the password it rests on."""

    user: str
    expires_at: float
    seal: str
    ended: asyncio.Event = field(default_factory=asyncio.Event, compare=False)


class Sessions:
    """Open sessions by the SHA-256 of their token, in the order they were opened."""

    def __init__(self, file: Path, now: Callable[[], float], seal_of: Callable[[str], str]) -> None:
        self._file = file
        self._now = now
        self._seal_of = seal_of
        self._open: dict[str, Session] = {}

    def load(self, users: Collection[str]) -> None:
        """Take up the sessions of this run that are still good. Those of nobody in ``users`` are dropped."""
        try:
            kept = orjson.loads(self._file.read_bytes())
            found = {digest: Session(*fields) for digest, fields in kept.items()}
        except FileNotFoundError:
            return
        except (ValueError, TypeError, AttributeError):
            return  # replaced atomically, so never ours half written, but of another version: sign in again
        self._open = {
            digest: session
            for digest, session in found.items()
            if session.user in users and session.expires_at > self._now()
        }

    def keep(self, users: Collection[str]) -> None:
        """Close those of everybody else; their pages are cut off."""
        over = [digest for digest, session in self._open.items() if session.user not in users]
        for digest in over:
            self._open.pop(digest).ended.set()
        if over:
            self._save()

    def open(self, user: str) -> str:
        """A new session's token, for the cookie. On a full disk it lasts as long as this process."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self.sweep()
        while len(self._open) >= MAX_SESSIONS:
            self._open.pop(next(iter(self._open))).ended.set()
        self._open[_digest(token)] = Session(user, self._now() + LIFETIME_S, self._seal_of(user))
        self._save()
        return token

    def find(self, token: str | None) -> Session | None:
        """The session of this token, if it is open."""
        if token is None:
            return None
        session = self._open.get(_digest(token))
        return session if session is not None and self._is_good(session) else None

    def end(self, token: str) -> None:
        """Close it; its pages are cut off."""
        session = self._open.pop(_digest(token), None)
        if session is not None:
            session.ended.set()
            self._save()

    def sweep(self) -> None:
        """Cut off the pages of sessions that are over: their time is up, or their user's password was changed."""
        over = [digest for digest, session in self._open.items() if not self._is_good(session)]
        for digest in over:
            self._open.pop(digest).ended.set()
        if over:
            self._save()

    def _is_good(self, session: Session) -> bool:
        return session.expires_at > self._now() and session.seal == self._seal_of(session.user)

    def _save(self) -> None:
        try:
            self._write()
        except OSError as error:  # a full disk is the very time when an operator must be able to look
            log.error("sessions are not saved, they end when this part does: %s", error)
            with suppress(OSError):  # what it says is no longer so: an ended session must not come back
                self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        kept = {
            digest: [session.user, session.expires_at, session.seal] for digest, session in self._open.items()
        }
        fresh = self._file.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(kept))
        fresh.replace(self._file)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
