"""Which agents an operator has stopped: one JSON file, replaced whole, ``{"format": 1, "stopped": [NAME, …]}``.

Where it cannot be read, nobody knows who was stopped: then all are, until they are started again by name.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from pathlib import Path

from historian.store.durable import set_aside

log = logging.getLogger(__name__)

FILE = "market-agents.json"  # in the state folder
FORMAT = 1


def recall(path: Path, agents: Collection[str]) -> set[str]:
    """Who is stopped."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or not all(isinstance(name, str) for name in content["stopped"]):
            raise ValueError(f"it is no list of stopped agents of format {FORMAT}")
        return set(content["stopped"])
    except FileNotFoundError:
        return set()
    except OSError as error:
        log.error("%s cannot be read (%s): all agents are stopped", path, error)
        return set(agents)
    except (ValueError, KeyError, TypeError) as error:
        log.error("%s cannot be read (%s): it is set aside, and all agents are stopped", path, error)
        set_aside(path)
        keep(path, set(agents))
        return set(agents)


def keep(path: Path, stopped: Collection[str]) -> None:
    """Replace the file; it is on the disk when this returns. Raises OSError."""
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as opened:
        json.dump({"format": FORMAT, "stopped": sorted(stopped)}, opened)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(path)
