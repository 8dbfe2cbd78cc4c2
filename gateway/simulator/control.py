"""The simulator's control socket: faults and the utility, one line of JSON for a request and one for its answer.

    {"do": "list"}                                    -> {"ok": true, "utility": "live", "devices": {...}}
    {"do": "set", "device": "ev3", "fault": {...}}    -> {"ok": true}     a fault as `Fault.as_json` has it
    {"do": "clear", "device": "ev3"}                  -> {"ok": true}
    {"do": "clear"}                                   -> {"ok": true}     all devices, and the utility
    {"do": "utility", "live": false}                  -> {"ok": true}     its voltage collapses
    {"do": "utility", "live": false, "drift_hz_s": -4}-> {"ok": true}     its frequency runs away

A request that makes no sense is answered {"ok": false, "why": "..."}; docs/simulator.md shows them.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.simulator.door import Device
from gateway.simulator.faults import Fault, FaultError, parse_fault
from gateway.simulator.plant.utility import Utility
from gateway.unix_door import UnixDoor

LINE_BYTES = 65_536  # an answer to "list" of 220 devices has some 10,000
CONNECTIONS = 16  # people at terminals, and tests
TIMEOUT_S = 5.0  # for a client
MOST_DRIFT_HZ_S = 40.0  # of the small islands that the literature has


class Control:
    """Lets whoever may open the socket at ``path`` (mode 0600) set and clear faults."""

    def __init__(self, path: Path, devices: Mapping[str, Device], utility: Utility | None) -> None:
        self._devices = devices
        self._utility = utility
        self._door = UnixDoor(
            path,
            "the simulator's socket",
            self._serve,
            line_bytes=LINE_BYTES,
            most=CONNECTIONS,
            full=_line(_refusal(f"{CONNECTIONS} connections are open")),
        )

    async def start(self) -> None:
        """Raises OSError."""
        await self._door.start()

    async def stop(self) -> None:
        """Close the socket and all connections."""
        await self._door.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                writer.write(_line(await self._obey(line)))
                await writer.drain()
        except ValueError:  # StreamReader's word for a line beyond its limit
            writer.write(_line(_refusal("the line is too long")))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the peer is gone, or `stop`: nobody else waits for this task
        finally:
            writer.close()

    async def _obey(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _refusal("a request is one line of JSON")
        if not isinstance(request, dict):
            return _refusal("a request is an object")
        try:
            match request:
                case {"do": "list"}:
                    return self._list()
                case {"do": "set", "device": str(name), "fault": said}:
                    await self._device(name).suffer(parse_fault(said))
                case {"do": "clear", "device": str(name)}:
                    await self._device(name).suffer(None)
                case {"do": "clear", **rest} if not rest:
                    if self._utility is not None:
                        self._utility.lose(False)
                    for device in self._devices.values():
                        await device.suffer(None)
                case {"do": "utility", "live": bool(live), **rest} if set(rest) <= {"drift_hz_s"}:
                    if self._utility is None:
                        return _refusal("this plant's utility is never lost")
                    self._utility.lose(not live, _drift(rest.get("drift_hz_s", 0.0)))
                case _:
                    return _refusal("do is list, set (device, fault), clear (device) or utility (live)")
        except (FaultError, OSError) as error:
            return _refusal(str(error))
        return {"ok": True}

    def _list(self) -> dict[str, Any]:
        return {
            "ok": True,
            "utility": "lost" if self._utility is not None and self._utility.lost else "live",
            "devices": {
                name: {"port": device.port, "fault": device.fault and device.fault.as_json()}
                for name, device in self._devices.items()
            },
        }

    def _device(self, name: str) -> Device:
        device = self._devices.get(name)
        if device is None:
            raise FaultError(f"there is no device {name!r}; there are {', '.join(self._devices)}")
        return device


class ControlClient:
    """Blocking face of the socket, for the command line and tests. Raises OSError where nobody listens."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, device: str, fault: Fault) -> None:
        """Raises FaultError where the simulator refuses; so do the others."""
        self._ask({"do": "set", "device": device, "fault": fault.as_json()})

    def clear(self, device: str | None = None) -> None:
        self._ask({"do": "clear"} if device is None else {"do": "clear", "device": device})

    def utility(self, live: bool, drift_hz_s: float = 0.0) -> None:
        drift = {} if live or not drift_hz_s else {"drift_hz_s": drift_hz_s}
        self._ask({"do": "utility", "live": live, **drift})

    def list(self) -> dict[str, Any]:
        return self._ask({"do": "list"})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(TIMEOUT_S)
            door.connect(os.fspath(self._path))
            with door.makefile("rwb") as lines:
                lines.write(json.dumps(request).encode() + b"\n")
                lines.flush()
                line = lines.readline(LINE_BYTES)
        if not line.endswith(b"\n"):
            raise ConnectionError("the simulator closed the connection")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise FaultError(answer["why"])
        return answer


def _drift(said: object) -> float:
    if (
        isinstance(said, bool)
        or not isinstance(said, int | float)
        or not -MOST_DRIFT_HZ_S <= said <= MOST_DRIFT_HZ_S
    ):
        raise FaultError(
            f"drift_hz_s is a number from {-MOST_DRIFT_HZ_S:g} to {MOST_DRIFT_HZ_S:g}, not {said!r}"
        )
    return float(said)


def _refusal(why: str) -> dict[str, Any]:
    return {"ok": False, "why": why}


def _line(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
