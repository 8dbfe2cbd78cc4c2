"""Where a running program is, and a connection to it with its table of symbols."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.config.paths import RunPaths, run_paths
from gateway.config.place import complete_place, place_of
from plc.compiler.build import Built
from plc.compiler.symbols import Symbols, UnknownPathError
from plc.runtime.client import Changed, Reading, ScanClient, ScanError, ScanGoneError, ScanStaleError
from plc.runtime.variables import moves_between

SCRATCH = "plc-run"  # the state folder of `tieline plc run`, where nothing else is said
SYMBOLS = "symbols.json"


class NoTableError(ScanError):
    """The running program's table of symbols is not where its shared object is."""


@dataclass(slots=True)
class Online:
    """A running program."""

    paths: RunPaths
    client: ScanClient
    table: Symbols

    def renew(self) -> None:
        """Take the table of the program that runs now. Raises ScanError."""
        self.table = table_of(self.client)
        self.client.use(self.table)

    def read(self, paths: list[str]) -> Reading:
        """Present values; after an online change by others, of those that are still there. Raises ScanError."""
        try:
            return self.client.read(paths)
        except ScanStaleError:
            self.renew()
            return self.client.read([path for path in paths if self._has(path)])

    def _has(self, path: str) -> bool:
        try:
            self.table.find(path)
        except UnknownPathError:
            return False
        return True

    def go_over(self, built: Built, wiring: Path) -> Changed:
        """An online change to another program. Raises ScanError."""
        return self.change_to(built.shared_object, wiring, built.symbols)

    def change_to(self, program: Path, wiring: Path, table: Symbols) -> Changed:
        """The same by its files. Raises ScanError."""
        changed = self.client.change(program, wiring, moves_between(self.table, table))
        self.table = table
        self.client.use(table)
        return changed


def where(args: argparse.Namespace) -> RunPaths | int:
    """The folders of the run that is meant, or an exit status where the site is faulty, which is said."""
    complete_place(args)
    if args.site is None and args.state is None:
        return run_paths(SCRATCH)
    return place_of(args)


@contextmanager
def online(paths: RunPaths) -> Iterator[Online]:
    """Raises ScanGoneError with how to start one, NoTableError."""
    try:
        client = ScanClient.connect(paths.scan_socket)
    except ScanGoneError:
        raise ScanGoneError(f"no program runs in {paths.state}") from None
    with client:
        table = table_of(client)
        client.use(table)
        yield Online(paths, client, table)


def table_of(client: ScanClient) -> Symbols:
    """The table of symbols beside the shared object that a scan runs. Raises ScanError."""
    status = client.status()
    path = status.program.with_name(SYMBOLS)
    try:
        table = Symbols.from_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NoTableError(f"{path}: {error}") from None
    if table.digest != status.digest:
        raise NoTableError(f"{path} is of another program than the one that runs")
    return table
