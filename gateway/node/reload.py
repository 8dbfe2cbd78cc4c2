"""`tieline reload`, in the root: another site for the parts that run, whole or not at all.

A request is one line of JSON on the socket ``node.sock`` of the runtime folder, of this user only: ``{"site": PATH,
"dry_run": BOOL}``; the answer is one line too. One at a time: a second is refused as long as the first is at work.

1. A process of its own reads, checks and compares the file (gateway.node.prepare). Nothing is touched.
2. Where it has no faults and nothing in it is impossible, the record of the run names it, the region gets the new
   tags, and the new site is the one that parts are started with. From then on it holds: these steps do not wait for
   anything, so that there is no between.
3. Each part that is concerned takes the new site in place, or is started again with it. One that fails there, or is
   killed, is started again by the supervisor, with the new site: there is no way back, and none is needed.

If the root itself is killed at any point, all parts end, and the next start reads the site file as any start does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gateway.config.paths import RunPaths
from gateway.config.plan import difference_text
from gateway.node.effects import Act
from gateway.node.health import Health
from gateway.node.prepare import Change, Prepared
from gateway.node.state import RunRecord, StateLock
from gateway.node.supervisor import Supervisor
from gateway.tags.image import Region
from gateway.unix_door import UnixDoor

REQUEST_BYTES = 65_536  # a path, which the kernel bounds at 4,096, each byte escaped
CONNECTIONS = 8  # one is at work, the others are told so
CHECK_PATIENCE_S = 300.0  # a million tags, on a small machine
REQUEST_PATIENCE_S = 5.0

DONE, UNCHANGED, PLANNED, FAULTY, IMPOSSIBLE, BUSY, FAILED = (
    "done",
    "unchanged",
    "planned",
    "faulty",
    "impossible",
    "busy",
    "failed",
)

_BUSY = {"is": BUSY, "text": "another reload is at work; try again when it is done\n"}

log = logging.getLogger(__name__)


class Reloads:
    """Serves the socket as long as the site runs. It owns the descriptor of the present site."""

    def __init__(
        self,
        paths: RunPaths,
        region: Region,
        supervisor: Supervisor,
        health: Health,
        lock: StateLock,
        record: RunRecord,
        site: int,
        say: Callable[[str], None],
    ) -> None:
        self._paths = paths
        self._region = region
        self._supervisor = supervisor
        self._health = health
        self._lock = lock
        self._record = record
        self._site = site
        self._say = say
        self._is_busy = False
        self._door = UnixDoor(
            paths.node_socket,
            "the socket of reloads",
            self._serve,
            line_bytes=REQUEST_BYTES,
            most=CONNECTIONS,
            full=_line(_BUSY),
        )

    async def open(self) -> None:
        """Take requests. Raises OSError."""
        await self._door.start()

    async def close(self) -> None:
        """Take no more; what is at work is cut off."""
        await self._door.stop()

    @property
    def site(self) -> int:
        """The descriptor of the site that runs, for whoever closes it at the end."""
        return self._site

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_PATIENCE_S):
                request = await _request(reader)
            if isinstance(request, str):
                answer = {"is": FAILED, "text": f"{request}\n"}
            else:
                path, dry_run = request
                answer = await self.reload(path, dry_run=dry_run)
            writer.write(_line(answer))
            await writer.drain()
        except (OSError, TimeoutError) as error:
            log.warning("a request to reload broke: %r", error)
        finally:
            writer.close()

    async def reload(self, path: Path, *, dry_run: bool) -> dict[str, Any]:
        """Make the site in ``path`` the one that runs, or tell what that would do."""
        if self._is_busy:
            return _BUSY
        self._is_busy = True
        site = os.memfd_create("tieline-site")
        try:
            prepared = await self._prepare(path, site)
            if isinstance(prepared, str):
                return {"is": FAILED, "text": f"{path}: {prepared}\n"}
            change = prepared.change
            if change is None:
                return {"is": FAULTY, "text": prepared.text, "check": prepared.json}
            impossible = list(change.impossible)
            if (why := self._region.room_for(change.added)) is not None:
                impossible.append(why)
            answer = {"check": prepared.json, "plan": _plan(change, impossible)}
            lines = plan_lines(change, impossible)
            if impossible:
                lines.append("nothing was changed: stop the site and run it again to have all of it")
                return {"is": IMPOSSIBLE, "text": _text(lines), **answer}
            if dry_run:
                return {"is": PLANNED, "text": _text(lines), **answer}
            try:
                self._commit(path, site, change)
            except OSError as error:
                return {"is": FAILED, "text": f"nothing was changed: {error}\n", **answer}
            site = -1
            if not change.effects:
                return {"is": UNCHANGED, "text": _text(lines), **answer}
            self._say(f"reload of {path}: {_short(change)}")
            begun = time.monotonic()
            restarted = await self._carry_out(change)
            took = f"reloaded ({time.monotonic() - begun:.1f} s)"
            self._say(took)
            lines += [f"{part} had to be started again" for part in restarted]
            return {"is": DONE, "text": _text([*lines, took]), "restarted": restarted, **answer}
        finally:
            if site >= 0:
                os.close(site)
            self._is_busy = False

    async def _prepare(self, path: Path, site: int) -> Prepared | str:
        """Let another process read, check and compare; why not, where it fails."""
        result = os.memfd_create("tieline-reload")
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "gateway.node", "prepare", str(path)),
                *("--accounts", str(self._paths.accounts), "--running-fd", str(self._site)),
                *("--site-fd", str(site), "--result-fd", str(result)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(self._site, site, result),
            )
            try:
                async with asyncio.timeout(CHECK_PATIENCE_S):
                    _, said = await process.communicate()
            except TimeoutError:
                return f"reading and checking it took more than {CHECK_PATIENCE_S:.0f} s"
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            if process.returncode:
                log.error("reading %s failed: %s", path, said.decode("utf-8", "replace"))
                last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
                return f"it could not be read (exit {process.returncode}: {last})"
            content = os.pread(result, os.fstat(result).st_size, 0)
        finally:
            os.close(result)
        prepared = pickle.loads(content)  # noqa: S301 - memory of our own child, which no one else can reach
        assert isinstance(prepared, Prepared), type(prepared)
        return prepared

    def _commit(self, path: Path, site: int, change: Change) -> None:
        """From here on, the new site is the one that runs. Raises OSError before anything was changed."""
        record = replace(
            self._record,
            parts=tuple(part.name for part in change.parts),
            addresses=change.addresses,
            file=str(path),
            digest=change.digest,
            applied_ns=time.time_ns(),
            reloads=self._record.reloads + 1,
            watched=change.watched,
        )
        self._lock.record(record)
        self._record = record
        self._region.change(change.added, change.retired)
        before = self._supervisor.run_site_from(site, change.parts)
        self._site = site
        os.close(before)

    async def _carry_out(self, change: Change) -> list[str]:
        """Bring each part to the new site; the names of those that were to take it in place and could not."""
        parts = {part.name: part for part in change.parts}
        restarted = []
        for effect in change.effects:
            match effect.act:
                case Act.ENDS:
                    await self._supervisor.remove(effect.part)
                    self._health.follow(self._supervisor.lives)
                case Act.STARTS:
                    await self._supervisor.add(parts[effect.part])
                    self._health.follow(self._supervisor.lives)
                case Act.RESTARTS:
                    await self._supervisor.restart(effect.part)
                case Act.TAKES:
                    if not await self._supervisor.hand_over(effect.part):
                        restarted.append(effect.part)
        return restarted


async def _request(reader: asyncio.StreamReader) -> tuple[Path, bool] | str:
    """The site file and whether it is a dry run; or what is wrong with the request."""
    try:
        asked = json.loads(await reader.readline())
    except (ValueError, RecursionError):  # ValueError: of a line without an end, too
        return "a request is one line of JSON"
    match asked:
        case {"site": str(site), "dry_run": bool(dry_run)} if _is_path(site):
            return Path(site), dry_run
    return 'a request is {"site": PATH, "dry_run": true or false}'


def _is_path(text: str) -> bool:
    """Whether the kernel can be given it."""
    try:
        return bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def plan_lines(change: Change, impossible: list[str]) -> list[str]:
    """A plan for people."""
    lines = difference_text(change.found) or ["no difference to the site that runs"]
    for effect in change.effects:
        costs = f" ({effect.costs})" if effect.costs and effect.act is Act.RESTARTS else ""
        lines.append(f"part {effect.part} {effect.act.value}: {'; '.join(effect.why)}{costs}")
    others = [part.name for part in change.parts if part.name not in {each.part for each in change.effects}]
    if change.effects and others:
        lines.append(f"not touched: {', '.join(others)}")
    lines += [f"user {name} has no password yet: tieline passwd" for name in change.without_password]
    lines += [f"not without a restart of the site: {why}" for why in impossible]
    return lines


def _plan(change: Change, impossible: list[str]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "digest": change.digest,
        **change.found.as_json(),
        "parts": [asdict(each) for each in change.effects],
        "impossible": impossible,
        "without_password": list(change.without_password),
    }


def _short(change: Change) -> str:
    found = change.found
    counts = (
        (len(found.devices_added), "devices new"),
        (len(found.devices_removed), "devices gone"),
        (len(found.devices_changed), "devices changed"),
        (len(found.added), "tags new"),
        (len(found.removed), "tags gone"),
    )
    told = [f"{count} {what}" for count, what in counts if count]
    restarts = [each.part for each in change.effects if each.act is Act.RESTARTS]
    if restarts:
        told.append(f"{', '.join(restarts)} restart")
    return ", ".join(told) or "settings changed"


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
