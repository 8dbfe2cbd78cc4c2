"""Where log lines go: one bounded file a process, in the state folder."""

from __future__ import annotations

import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

FILE_BYTES = 5 << 20  # some 50,000 lines: weeks of a quiet plant, an hour of a part that fails in a loop
OLD_FILES = 3
FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
# Libraries that say at INFO what every request did, or at WARNING what a client's own fault is.
_QUIET = {"asyncua": logging.ERROR, "pymodbus": logging.CRITICAL, "uvicorn.access": logging.WARNING}


def log_to(folder: Path, name: str) -> None:
    """Send this process's log to ``folder/name.log``; at most `FILE_BYTES` x (1 + `OLD_FILES`) are kept."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = RotatingFileHandler(
        folder / f"{name}.log", maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8"
    )
    formatter = logging.Formatter(FORMAT, TIME_FORMAT)
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # On a full disk each line would print a traceback; a part's is logged by the root, which would print two more.
    logging.raiseExceptions = False
    for library, level in _QUIET.items():
        logging.getLogger(library).setLevel(level)
