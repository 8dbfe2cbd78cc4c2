"""One target kept up to date: the journal in order, between its batches what was asked for again, and the place.

`Sender.turn` does one piece of each, and nothing later is sent before it is taken. So the target is told of a time
what counts last: what is read from stored history is never older than what the journal has brought by then, and what
the journal brings after it comes after it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.config.forward import ForwardTarget
from gateway.config.series import is_forwarded
from gateway.config.site import Tag
from historian.errors import HistoryError
from historian.forward import state as states
from historian.forward.delivery import ConnectionLost, Delivery, Link, Stopped, Wait
from historian.forward.journal_feed import JournalFeed, Missing, Piece, cut
from historian.forward.lines import DIALECTS, Series, encode, series_of
from historian.forward.set_aside import SetAside
from historian.forward.spool import Spool
from historian.forward.state import Range, State
from historian.forward.stored_feed import StoredFeed, stretches
from historian.forward.target import Target
from historian.query.history import History
from historian.store.catalogue import COLUMNS, Entry, entry_of
from historian.store.database import connect_to_read
from historian.store.layout import catalogue_path
from historian.store.rows import Rows

log = logging.getLogger(__name__)

SAVE_NS = 10**9  # how often the place is written down: so much is sent again after a kill
LOOK_NS = 5 * 10**9  # how often a target that forgets is asked since when it runs
TROUBLE_S = 5.0  # between tries to read history, or to write down the place
MAX_TRAIL = 100_000  # places not settled yet: hours, one a second


@dataclass(frozen=True, slots=True)
class Folder:
    """Where things of forwarding lie in a history folder."""

    directory: Path

    @property
    def own(self) -> Path:
        return self.directory / "forward"

    def state(self, name: str) -> Path:
        return self.own / f"{name}.json"

    def set_aside(self, name: str) -> Path:
        return self.own / f"{name}.aside.lp"


class Catalogue:
    """Which number is which tag, and how the target calls it; read anew where a number is unknown."""

    def __init__(self, directory: Path, target: ForwardTarget, site: str, tags: Mapping[str, Tag]) -> None:
        self._path = catalogue_path(directory)
        self._target = target
        self._site = site
        self._tags = tags
        self._known: set[int] = set()
        self.series: dict[int, Series] = {}

    def wants(self, path: str) -> bool:
        """Whether a tag is forwarded."""
        return is_forwarded(path, self._target)

    def learn(self, rows: Rows) -> None:
        """Know all tags of these rows. Raises HistoryError."""
        if self._known.issuperset(rows.tags.tolist()):
            return
        try:
            with connect_to_read(self._path) as database:
                found = database.execute(f"SELECT {COLUMNS} FROM tags").fetchall()  # noqa: S608 - a constant
        except (FileNotFoundError, sqlite3.Error) as error:
            raise HistoryError(f"{self._path}: {error}") from error
        for entry in map(entry_of, found):
            self._known.add(entry.id)
            if self.wants(entry.path):
                self.series[entry.id] = series_of(self._tag(entry), self._target.names, self._site)
        self._known.update(rows.tags.tolist())

    def _tag(self, entry: Entry) -> Tag:
        """As the site has it, else (it has it no more, or with another type) as far as history knows."""
        known = self._tags.get(entry.path)
        if known is not None:
            return replace(known, type=entry.type)
        device = entry.path.rpartition(".")[0]
        return Tag(entry.path, entry.type, owner="", area="", device=device, unit=entry.unit)


class Sender:
    """All that is sent to one target; one thread's. What is said of it may be read from others."""

    def __init__(
        self,
        target: Target,
        settings: ForwardTarget,
        folder: Folder,
        spool: Spool,
        catalogue: Catalogue,
        clock: Callable[[], int],
        wait: Wait,
    ) -> None:
        self._target = target
        self._settings = settings
        self._folder = folder
        self._catalogue = catalogue
        self._clock = clock
        self._wait = wait
        self._dialect = DIALECTS[settings.kind]
        self._history = History(folder.directory, clock=clock)
        self._stored = StoredFeed(folder.directory, self._history, lambda entry: catalogue.wants(entry.path))
        self._journal = JournalFeed(spool, states.BEGINNING)
        self._aside = SetAside(folder.set_aside(settings.name))
        self._state = State()
        self._settled = self._saved = State()
        self._saved_at = 0
        self._trail: deque[tuple[int, State]] = deque()
        self._incarnation = ""
        self._looked_at = 0
        self._pieces: Iterator[tuple[Rows, int]] | None = None
        self._allowance = float(settings.batch_samples)
        self._allowed_at = 0
        self.link = Link()
        self.waits_since = 0  # when the oldest sample was taken into history that is not sent, 0: all are
        self.set_aside = 0
        self._delivery = Delivery(
            target, self.link, self._put_aside, clock, wait, forgets=self._dialect.settle_s > 0
        )

    @property
    def needed(self) -> int:
        """The oldest segment that may have to be sent from."""
        return self._settled.cursor.segment

    def open(self) -> None:
        """Take up where it was left. Raises OSError."""
        self._folder.own.mkdir(parents=True, exist_ok=True)
        path = self._folder.state(self._settings.name)
        try:
            self._state = states.load(path)
        except states.StateError as error:
            log.error("%s: set aside as it is; forwarding begins with what the journal holds", error)
            path.replace(path.with_name(path.name + ".damaged"))
        if not path.exists():  # from now on the target is known (`tieline history forward`)
            states.save(path, self._state)
        self._settled = self._saved = self._state
        self.set_aside = self._state.set_aside
        self._journal.go_to(self._state.cursor)

    def close(self) -> None:
        """Write down the place and let go."""
        try:
            self._save(now=True)
        except OSError as error:
            log.warning("%s: its place is not written down: %s", self._settings.name, error)
        self._history.close()
        self._target.close()

    def run(self) -> None:
        """Until the wait is ended."""
        while True:
            try:
                worked = self.turn()
            except Stopped:
                return
            except (OSError, HistoryError, sqlite3.Error) as error:
                self.link.last_error = str(error)
                log.warning("forwarding to %s: %s", self._settings.name, error)
                worked = False
                if self._wait(TROUBLE_S):
                    return
            if self._wait(0.0 if worked else self._settings.interval_ms / 1000):
                return

    def turn(self) -> bool:
        """Send a batch of the journal and a piece of what was asked for again; False where there was neither.

        Raises Stopped; OSError, HistoryError, sqlite3.Error where history cannot be read or the place not be saved.
        """
        try:
            self._take_requests()
            self._look()
            worked = self._from_journal()
            if self._state.ranges:
                self._from_stored()
                worked = True
            self._save(now=not worked)
        except ConnectionLost as lost:
            self._go_back_to(self._settled)
            if self._wait(lost.after_s):
                raise Stopped from None
            return True
        except (OSError, HistoryError, sqlite3.Error):
            self._go_back_to(self._state)
            raise
        return worked

    def _from_journal(self) -> bool:
        piece = self._journal.next(self._settings.batch_samples)
        match piece:
            case None:
                self.waits_since = 0
                return False
            case Missing():
                found = stretches(self._folder.directory, piece.segment)
                log.warning(
                    "forwarding to %s: the journal is gone from segment %d on; %d days are sent from what is stored",
                    self._settings.name,
                    piece.segment,
                    len(found),
                )
                self._pieces = None
                self._advance(states.with_ranges(replace(self._state, cursor=piece.go_on), found))
            case Piece():
                self.waits_since = piece.taken_at
                self._send(piece.rows)
                self._advance(replace(self._state, cursor=piece.after))
        return True

    def _from_stored(self) -> None:
        what, *rest = self._state.ranges
        if self._pieces is None:
            self._pieces = self._stored.pieces(what, self._settings.batch_samples)
        piece = next(self._pieces, None)
        if piece is None:
            self._pieces = None
            self._advance(replace(self._state, ranges=tuple(rest)))
            return
        rows, at = piece
        most = self._settings.batch_samples
        for start in range(0, len(rows), most):
            self._send(cut(rows, start, start + most))
        if at != what.at_ns:
            self._advance(replace(self._state, ranges=(Range(what.start_ns, what.end_ns, at), *rest)))

    def _send(self, rows: Rows) -> None:
        self._catalogue.learn(rows)
        batch = encode(rows, self._catalogue.series, self._dialect)
        self._spend(len(batch.lines))
        self._delivery.deliver(batch)

    def _spend(self, samples: int) -> None:
        """Wait as long as the rate asks for."""
        rate = self._settings.samples_per_s
        if not rate:
            return
        now = self._clock()
        earned = (now - self._allowed_at) * 1e-9 * rate
        self._allowed_at = now
        self._allowance = min(max(self._allowance + earned, 0.0), max(rate, samples)) - samples
        if self._allowance < 0 and self._wait(-self._allowance / rate):
            raise Stopped

    def _advance(self, state: State) -> None:
        """That is taken. Of a target that forgets it is only sure after a while."""
        self._state = replace(state, set_aside=self.set_aside)
        if self._dialect.settle_s and len(self._trail) < MAX_TRAIL:
            self._trail.append((self._clock(), self._state))
        elif not self._dialect.settle_s:
            self._settled = self._state

    def _look(self) -> None:
        """Settle what a target that forgets has had for long enough; go back where it was started anew."""
        now = self._clock()
        if not self._dialect.settle_s or now - self._looked_at < LOOK_NS:
            return
        self._looked_at = now
        found = self._target.incarnation()
        if found is None:
            return
        if self._incarnation not in ("", found):
            log.warning("%s was started anew", self._settings.name)
            self._incarnation = found
            self._go_back_to(self._settled)
            return
        self._incarnation = found
        sure = now - int(self._dialect.settle_s * 10**9)
        while self._trail and self._trail[0][0] <= sure:
            _, self._settled = self._trail.popleft()

    def _go_back_to(self, state: State) -> None:
        """Go on there; what was read since then is read again."""
        if state is self._settled:
            self._trail.clear()
        self._state = state
        self._journal.go_to(state.cursor)
        self._pieces = None

    def _take_requests(self) -> None:
        found = states.requests(self._folder.own, self._settings.name)
        if not found:
            return
        more = tuple(found.values())
        self._state = states.with_ranges(self._state, more)
        self._settled = states.with_ranges(self._settled, more)
        self._trail = deque((at, states.with_ranges(state, more)) for at, state in self._trail)
        self._pieces = None
        self._save(now=True)
        for path in found:
            path.unlink(missing_ok=True)

    def _save(self, *, now: bool) -> None:
        at = self._clock()
        if self._settled != self._saved and (now or abs(at - self._saved_at) >= SAVE_NS):
            states.save(
                self._folder.state(self._settings.name), replace(self._settled, set_aside=self.set_aside)
            )
            self._saved, self._saved_at = self._settled, at

    def _put_aside(self, lines: list[str], why: str) -> None:
        self._aside.add(lines, why, self._clock())
        self.set_aside += len(lines)
        self.link.last_error = f"{len(lines)} points set aside: {why}"
        log.warning("forwarding to %s: %s", self._settings.name, self.link.last_error)
