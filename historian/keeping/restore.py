"""`tieline history restore`: a backup becomes a site's history, all of it or nothing."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from historian.errors import DirectoryInUse, HistoryError
from historian.keeping import copying, manifest
from historian.keeping.backup import DRAFT, generations
from historian.keeping.copying import PIECE_BYTES
from historian.keeping.manifest import Manifest, NotABackup
from historian.keeping.progress import Advance
from historian.store.durable import sync_directory
from historian.store.layout import lock_path

_NO_HISTORY = frozenset({"lock", "status.json"})  # what an empty history folder may hold


class NotEmpty(HistoryError):  # noqa: N818 - reads as the claim it makes
    """There is history already where a backup was to be restored."""


class Source(Protocol):
    """A backup, wherever it lies."""

    manifest: Manifest

    def open(self, name: str) -> IO[bytes]:
        """One of its files. Raises NotABackup where it is missing."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class FolderSource:
    """A backup that is a folder."""

    directory: Path
    manifest: Manifest

    def open(self, name: str) -> IO[bytes]:
        try:
            return (self.directory / name).open("rb")
        except FileNotFoundError:
            raise NotABackup(f"{self.directory} lacks {name}") from None

    def close(self) -> None:
        return


@dataclass(slots=True)
class TarSource:
    """A backup that is a tar file."""

    path: Path
    tar: tarfile.TarFile
    manifest: Manifest

    def open(self, name: str) -> IO[bytes]:
        return _member(self.path, self.tar, name)

    def close(self) -> None:
        self.tar.close()


def open_backup(path: Path) -> Source:
    """A tar file, a backup's folder, or the newest of a folder of backups. Raises NotABackup, OSError."""
    if path.is_file():
        try:
            tar = tarfile.open(path)  # noqa: SIM115 - it stays open until close()
        except tarfile.TarError as error:
            raise NotABackup(f"{path} is no tar file: {error}") from error
        try:
            with _member(path, tar, manifest.NAME) as file:
                return TarSource(path, tar, manifest.decode(file.read(), f"{path}: {manifest.NAME}"))
        except BaseException:
            tar.close()
            raise
    if not path.exists():
        raise NotABackup(f"{path} is not there")
    if not (path / manifest.NAME).exists() and (found := generations(path)):
        path = found[-1]
    return FolderSource(path, manifest.read(path))


def faults_of(source: Source, advance: Advance) -> list[str]:
    """What differs from its manifest, a sentence each."""
    faults = []
    for name, kept in source.manifest.files.items():
        try:
            with source.open(name) as file:
                faults += _compared(name, file, kept.size, kept.sha256, None, advance)
        except (NotABackup, OSError, tarfile.TarError) as error:
            faults.append(str(error))
    return faults


def restore(source: Source, history: Path, advance: Advance, *, beside: Sequence[Path] = ()) -> list[Path]:
    """Put a backup's files where ``history`` is to be, which must be empty and nobody's.

    Every file is compared with the manifest as it is copied; what is not the same, and everything with it, is taken
    away again. Of ``beside`` (`back_up`) only what is not there is restored: what is there is newer than any backup.
    Returns those of the backup that were left out for that. Raises NotEmpty, DirectoryInUse, NotABackup, OSError.
    """
    _refuse_history(history)
    history.parent.mkdir(parents=True, exist_ok=True)
    draft = history.with_name(history.name + DRAFT)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o750)
    try:
        (draft / "journal").mkdir()
        for name, kept in source.manifest.files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            with source.open(name) as file, (draft / name).open("xb") as to:
                faults = _compared(name, file, kept.size, kept.sha256, to, advance)
                to.flush()
                os.fsync(to.fileno())
            if faults:
                raise NotABackup(f"{faults[0]}; nothing was restored")
        for path in [draft, *draft.rglob("*")]:
            if path.is_dir():
                sync_directory(path)
        with _unheld(history):
            # First what stands beside: cut off between the two, it is there, and the next try leaves it as it is.
            left = _put_beside(draft / manifest.BESIDE, beside)
            if history.exists():
                shutil.rmtree(history)  # empty, as was seen, but for a lock nobody holds
            draft.rename(history)
        sync_directory(history.parent)
        return left
    except tarfile.TarError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise NotABackup(f"the tar file is damaged: {error}; nothing was restored") from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _put_beside(found: Path, beside: Sequence[Path]) -> list[Path]:
    """Move a backup's files to where they belong, durably; which of them were there already."""
    left = []
    for one in beside:
        for source in copying.files_beside(found / one.name):
            path = one.parent / source.relative_to(found)
            if not source.exists():
                continue
            # A log without its database would be taken for that of the one that comes.
            if path.exists() or path.with_name(path.name + "-wal").exists():
                left.append(path)
            else:
                path.parent.mkdir(mode=0o750, exist_ok=True)
                source.rename(path)
                sync_directory(path.parent)
    shutil.rmtree(found, ignore_errors=True)
    return left


@contextmanager
def _unheld(history: Path) -> Iterator[None]:
    """Hold a history folder's lock for a moment, where there is one. Raises DirectoryInUse."""
    try:
        file = os.open(lock_path(history), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(history, os.read(file, 32).decode(errors="replace").strip()) from None
        yield
    finally:
        os.close(file)


def _refuse_history(history: Path) -> None:
    with _unheld(history):
        if not history.exists():
            return
        held = [
            path
            for path in history.rglob("*")
            if path.is_file() and str(path.relative_to(history)) not in _NO_HISTORY
        ]
        if held:
            raise NotEmpty(
                f"{history} holds history already ({len(held)} files, {held[0].name} among them):"
                " move it away, or restore into another state folder"
            )


def _member(path: Path, tar: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        file = tar.extractfile(name)
    except KeyError:
        raise NotABackup(f"{path} lacks {name}") from None
    if file is None:
        raise NotABackup(f"{path}: {name} is no file")
    return file


def _compared(
    name: str, file: IO[bytes], size: int, sha256: str, to: IO[bytes] | None, advance: Advance
) -> list[str]:
    """Read all of a file, and write it to ``to`` if there is one; what differs from what it should be."""
    digest = hashlib.sha256()
    found = 0
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
        found += len(piece)
        if to is not None:
            to.write(piece)
        advance(len(piece))
    if found != size:
        return [f"{name} has {found:,} bytes instead of {size:,}"]
    if digest.hexdigest() != sha256:
        return [f"{name} is not what was backed up: its SHA-256 differs"]
    return []
