"""`tieline history backup`: all history, copied while it is written (docs/formats/history.md, "Backup").

A backup is a folder of its own in the target folder, or one tar file, and comes into being whole: it has another
name until all of it, its manifest last, is on the disk. Days that did not change since the backup before are hard
links to that one's files, which nobody ever writes again. A live day file is never linked: late samples go into it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from historian.errors import HistoryError
from historian.keeping import copying, manifest
from historian.keeping.manifest import Kept, Manifest, NotABackup
from historian.keeping.progress import Advance
from historian.store.durable import sync_directory
from historian.store.recorder import read_progress, read_status

DRAFT = ".draft"
_GENERATION = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?Z")


class BackupFailed(HistoryError):  # noqa: N818 - reads as the claim it makes
    """No backup was made; says why."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that is whole and durable.

    ``linked`` files are the same as in the one before; ``damaged`` ones are no databases, and copied as they lie.
    """

    path: Path
    manifest: Manifest
    linked: int
    copied_bytes: int
    damaged: tuple[str, ...] = ()
    removed: tuple[Path, ...] = ()


def generations(target: Path) -> list[Path]:
    """Whole backups in a folder, oldest first."""
    if not target.is_dir():
        return []
    found = [path for path in target.iterdir() if _GENERATION.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: path.name)


def work_of(history: Path, beside: Sequence[Path] = ()) -> int:
    """How many bytes there are to look at, for a progress bar."""
    files = [*copying.databases(history), *copying.other_files(history)]
    files += [path for one in beside for path in copying.files_beside(one)]
    return sum(path.stat().st_size for path in files if path.exists())


def back_up(
    history: Path, target: Path, advance: Advance, *, beside: Sequence[Path] = (), keep: int = 0
) -> Made:
    """Into a new folder in ``target``; of those there at the end only the newest ``keep`` stay, all where 0.

    ``beside`` are files and folders that are no history but go on from it, where they are there; of folders the
    databases and models. Raises BackupFailed, OSError.
    """
    _refuse_inside(history, target)
    target.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        for path in target.glob(f"*{DRAFT}"):
            shutil.rmtree(path)  # of a backup that was cut off
        older = generations(target)
        name = _name(time.time_ns(), older)
        draft = target / (name + DRAFT)
        draft.mkdir()
        try:
            made = _fill(history, beside, draft, older[-1] if older else None, advance)
            (draft / manifest.NAME).write_bytes(manifest.encode(made.manifest))
            _sync_all(draft)
            draft.rename(target / name)
            sync_directory(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        removed = tuple(generations(target)[:-keep]) if keep else ()
        for path in removed:
            shutil.rmtree(path)
        return replace(made, path=target / name, removed=removed)


def back_up_to_tar(history: Path, target: Path, advance: Advance, *, beside: Sequence[Path] = ()) -> Made:
    """Into one new file, the manifest its last member; as `back_up`. Raises BackupFailed, OSError."""
    _refuse_inside(history, target)
    if target.exists():
        raise BackupFailed(f"{target} is there already: name another file, or move it away")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(target.name + DRAFT)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=target.name) as stage:
        try:
            made = _fill(history, beside, Path(stage), None, advance)
            (Path(stage) / manifest.NAME).write_bytes(manifest.encode(made.manifest))
            with draft.open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
                for name in (*made.manifest.files, manifest.NAME):
                    tar.add(Path(stage) / name, name)
                    (Path(stage) / name).unlink()
            copying.sync_file(draft)
            draft.rename(target)
            sync_directory(target.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    return replace(made, path=target)


def _fill(history: Path, beside: Sequence[Path], into: Path, before: Path | None, advance: Advance) -> Made:
    """Copy or link everything into an empty folder. Readers' order: the journal first, then the day files."""
    begun_at = time.time_ns()
    acknowledged, progress = read_status(history), read_progress(history)
    known = _known(before)
    files: dict[str, Kept] = {}
    linked = copied = 0
    damaged: list[str] = []
    # Whatever says how far somebody got with the samples comes before them: a cursor that lags sends twice, a total
    # goes on with the first sample after it; one that leads would skip.
    others = [
        (f"{manifest.BESIDE}/{path.relative_to(one.parent)}", path)
        for one in beside
        for path in copying.files_beside(one)
    ]
    others += [(str(path.relative_to(history)), path) for path in copying.other_files(history)]
    for name, path in others:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            if path.suffix == ".sqlite":
                damaged += [name] * (not _copy_database(path, into / name))
                found = copying.measure(into / name)
            else:
                found = copying.copy_file(path, into / name)
        except FileNotFoundError:
            continue
        files[name] = Kept(found.size, found.sha256)
        copied += found.size
        advance(found.size)
    for path in copying.copy_segments(history, into / "journal"):
        found = copying.measure(path)
        files[f"journal/{path.name}"] = Kept(found.size, found.sha256)
        copied += found.size
    for path in copying.databases(history):
        try:
            name = str(path.relative_to(history))
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            stamp = copying.stamp_of(path)
            old = known.get(name)
            is_same = stamp is not None and old is not None and old.stamp == stamp
            if before and old and is_same and _link(before / name, into / name):
                files[name] = old
                linked += 1
                advance(old.size)
                continue
            if not _copy_database(path, into / name):
                stamp = None
                damaged.append(name)
        except FileNotFoundError:
            continue  # a day dropped meanwhile
        found = copying.measure(into / name)
        files[name] = Kept(found.size, found.sha256, stamp)
        copied += found.size
        advance(found.size)
    whole = Manifest(begun_at, progress.taken_at, acknowledged.instance, acknowledged.positions, files)
    return Made(into, whole, linked, copied, tuple(damaged))


def _copy_database(path: Path, to: Path) -> bool:
    """False where it is no sound database, and was copied as it lies. Raises BackupFailed, FileNotFoundError."""
    try:
        copying.copy_database(path, to)
    except sqlite3.OperationalError as error:
        raise BackupFailed(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError:
        # What is damaged is kept as it lies, for whoever can save something; it must not cost the other days.
        to.unlink(missing_ok=True)
        copying.copy_file(path, to)
        return False
    return True


def _known(before: Path | None) -> dict[str, Kept]:
    if before is None:
        return {}
    try:
        return dict(manifest.read(before).files)
    except NotABackup:
        return {}


def _link(old: Path, new: Path) -> bool:
    """Whether the older backup's file is now this one's too; not where the file system has no links."""
    try:
        os.link(old, new)
    except OSError:
        return False
    return True


def _name(now: int, older: list[Path]) -> str:
    """Later than every other, even where the clock went back."""
    seconds, rest = divmod(now, 10**9)
    name = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(seconds))
    chosen = f"{name}.{rest:09}Z"
    if older and older[-1].name >= chosen:
        raise BackupFailed(
            f"{older[-1]} is of a later time than now ({chosen}): put the clock right, or name another folder"
        )
    return chosen


def _refuse_inside(history: Path, target: Path) -> None:
    if not history.is_dir():
        raise BackupFailed(f"{history} is not there: no historian has run for this site")
    if target.resolve().is_relative_to(history.resolve()):
        raise BackupFailed(f"{target} lies in the history folder itself: name a place elsewhere")


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    file = os.open(target / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(f"another backup into {target} is being made") from None
        yield
    finally:
        os.close(file)


def _sync_all(directory: Path) -> None:
    for path in [directory, *directory.rglob("*")]:
        if path.is_dir():
            sync_directory(path)
    copying.sync_file(directory / manifest.NAME)
