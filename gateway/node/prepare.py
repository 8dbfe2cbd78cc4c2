"""A site file made ready to take the place of the site that runs: read, checked, compared; in a process of its own.

The root starts this, so that reading a large site never keeps it from its parts. What comes back, in memory that
both share, is what the root acts on; the new site lies ready beside it, for the parts.
"""

from __future__ import annotations

import argparse
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config.accounts import Accounts, AccountsError
from gateway.config.cli import report_of
from gateway.config.fault import SiteFaults
from gateway.config.plan import Difference, difference
from gateway.config.renumber import Loaded, NotReproducibleError, load_shifted, numbering, renumbered
from gateway.config.site import Site
from gateway.node.addresses import addresses_of
from gateway.node.effects import Effect, effects, impossible
from gateway.node.launch import fill_site, shared_site
from gateway.node.logic_check import checked_logic
from gateway.node.parts import parts_of
from gateway.node.supervisor import Part
from gateway.node.watched import Watched, watched_of
from gateway.tags.tag import TagSpec

NICENESS = 10  # it must not take the processor from those who poll


@dataclass(frozen=True, slots=True)
class Change:
    """What a reload does. ``retired`` are indexes; ``added`` get those after the last."""

    digest: str
    found: Difference
    effects: tuple[Effect, ...]
    impossible: tuple[str, ...]
    added: tuple[TagSpec, ...]
    retired: tuple[int, ...]
    parts: tuple[Part, ...]
    addresses: tuple[str, ...]
    without_password: tuple[str, ...]
    watched: tuple[Watched, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file as `tieline check` tells of it, and what it would change; None where it has faults."""

    text: str
    json: dict[str, Any]
    change: Change | None


def prepare(path: Path, running: Site, accounts: Path) -> tuple[Prepared, Site | None]:
    """Read and check ``path`` in full, and compare it. Nothing is changed anywhere."""
    report = report_of(path, checked_logic)
    if report.site is None:
        return Prepared(report.text, report.json, None), None
    try:
        where = numbering(running, report.site)
        site = renumbered(Loaded(report.site, load_shifted(path)), running, where)
    except (NotReproducibleError, SiteFaults, OSError) as error:
        why = (
            str(error)
            if isinstance(error, NotReproducibleError)
            else "was changed while it was read; try again"
        )
        return Prepared(f"{path}: {why}\n", {**report.json, "error": why}, None), None
    try:
        users = [user.name for user in site.users]
        without_password = tuple(Accounts(accounts).users_without_password(users))
    except AccountsError:
        without_password = ()
    change = Change(
        digest=site.digest,
        found=difference(running, site),
        effects=tuple(effects(running, site)),
        impossible=tuple(impossible(running, site)),
        added=tuple(tag.spec() for tag in where.added),
        retired=where.retired,
        parts=tuple(parts_of(site)),
        addresses=addresses_of(site),
        without_password=without_password,
        watched=watched_of(site),
    )
    return Prepared(report.text, report.json, change), site


def main(arguments: list[str]) -> int:
    """The process: its result and the new site go into the memory it inherits."""
    parser = argparse.ArgumentParser("tieline prepare", description="`tieline reload` starts this.")
    parser.add_argument("site", type=Path)
    parser.add_argument("--accounts", type=Path, required=True)
    for name in ("--running-fd", "--site-fd", "--result-fd"):
        parser.add_argument(name, type=int, required=True)
    parsed = parser.parse_args(arguments)
    os.nice(NICENESS)
    prepared, site = prepare(parsed.site, shared_site(parsed.running_fd), parsed.accounts)
    if site is not None:
        fill_site(parsed.site_fd, site)
    with os.fdopen(parsed.result_fd, "wb") as file:
        pickle.dump(prepared, file, pickle.HIGHEST_PROTOCOL)
    return 0
