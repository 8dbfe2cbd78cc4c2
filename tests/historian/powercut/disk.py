"""A disk that is replayed from a recording, and the power cut: what may be on it then, by POSIX and no more.

Data that was not synced may be there, whole, torn or not at all; a name that was made, changed or removed is safe
only when its folder was synced.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<IIqc")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to the disk."""

    kind: str
    path: str
    offset: int
    data: bytes


def steps_of(recording: Path, below: Path) -> list[Step]:
    """Everything recorded, with paths below ``below``; maps of shared memory are left out."""
    data, at, found = recording.read_bytes(), 0, []
    while at < len(data):
        path_bytes, data_bytes, offset, kind = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        path = data[at : at + path_bytes].decode()
        at += path_bytes
        step = Step(kind.decode(), str(Path(path).relative_to(below)), offset, data[at : at + data_bytes])
        at += data_bytes
        if step.kind == "R":
            target = str(Path(step.data.decode()).relative_to(below))
            step = Step("R", step.path, 0, target.encode())
        if not path.endswith("-shm"):
            found.append(step)
    return found


@dataclass(slots=True)
class File:
    """What is surely there, and what was done since; ``None`` as data is a truncation to the offset."""

    safe: bytearray = field(default_factory=bytearray)
    loose: list[tuple[int, bytes | None]] = field(default_factory=list)

    def with_loose(self, done: list[tuple[int, bytes | None]]) -> bytes:
        content = bytearray(self.safe)
        for offset, data in done:
            if data is None:
                content[offset:] = bytes(max(0, offset - len(content)))
            else:
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
        return bytes(content)


Names = dict[str, File | None]  # by path; None is a folder


@dataclass(slots=True)
class Disk:
    """Files and names, as the running system sees them and as they surely are."""

    names: Names = field(default_factory=dict)
    safe_names: Names = field(default_factory=dict)
    loose_names: list[tuple[str, Names]] = field(
        default_factory=list
    )  # folder, names as they were after the change

    def do(self, step: Step) -> None:
        match step.kind:
            case "C":
                self._rename({step.path: File()}, step.path)
            case "D":
                self._rename({step.path: None}, step.path)
            case "U":
                del self.names[step.path]
                self.loose_names.append((_folder(step.path), dict(self.names)))
            case "R":
                target = step.data.decode()
                self.names[target] = self.names.pop(step.path)
                self.loose_names.append((_folder(target), dict(self.names)))
            case "W" | "T":
                file = self.names[step.path]
                assert file is not None
                file.loose.append((step.offset, step.data if step.kind == "W" else None))
            case "S":
                self._sync(step.path)

    def _rename(self, new: Names, path: str) -> None:
        self.names.update(new)
        self.loose_names.append((_folder(path), dict(self.names)))

    def _sync(self, path: str) -> None:
        file = self.names.get(path)
        if file is not None:
            file.safe = bytearray(file.with_loose(file.loose))
            file.loose = []
            return
        # A folder: its own names are safe now; those of other folders as they were.
        folder = "" if path == "." else path
        kept = {name: file for name, file in self.safe_names.items() if _folder(name) != folder}
        self.safe_names = kept | {name: file for name, file in self.names.items() if _folder(name) == folder}
        self.loose_names = [change for change in self.loose_names if change[0] != folder]

    def all_kept(self) -> dict[str, bytes | None]:
        """The power went, and all that was written is there."""
        return {
            name: None if file is None else file.with_loose(file.loose) for name, file in self.names.items()
        }

    def all_dropped(self) -> dict[str, bytes | None]:
        """Nothing that was not synced is there."""
        return {
            name: None if file is None else bytes(file.safe) for name, file in _reachable(self.safe_names)
        }

    def torn(self, chance: random.Random) -> dict[str, bytes | None]:
        """Names up to some change, and of each file any part of what was not synced."""
        names = self.safe_names
        if self.loose_names:
            place = chance.randrange(-1, len(self.loose_names))
            if place >= 0:
                names = self.loose_names[place][1]
        found: dict[str, bytes | None] = {}
        for name, file in _reachable(names):
            if file is None:
                found[name] = None
                continue
            done: list[tuple[int, bytes | None]] = []
            for offset, data in file.loose:
                match chance.randrange(3):
                    case 0:
                        done.append((offset, data))
                    case 1 if data is not None:
                        done.append((offset, data[: chance.randrange(len(data) + 1)]))
            found[name] = file.with_loose(done)
        return found


def _folder(path: str) -> str:
    parent = str(Path(path).parent)
    return "" if parent == "." else parent


def _reachable(names: Names) -> list[tuple[str, File | None]]:
    """A name in a folder that is not there is lost with it."""
    return [
        (name, file)
        for name, file in names.items()
        if all(str(parent) == "." or str(parent) in names for parent in Path(name).parents)
    ]


def lay_out(found: dict[str, bytes | None], to: Path) -> None:
    """The files of a disk in a folder."""
    for name, content in sorted(found.items()):
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)
