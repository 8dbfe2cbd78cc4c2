"""``python -m historian.forecast_job.train_process``: one training, told on standard input by the forecast part."""

from __future__ import annotations

import ctypes
import math
import os
import pickle
import signal
import sqlite3
import sys
from typing import Final

from historian.errors import HistoryError
from historian.forecast_job import patterns
from historian.forecast_job.library import ModelError
from historian.forecast_job.trainer import Request
from historian.forecast_job.training import train_all
from historian.query.plant import open_history

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def main() -> int:
    """Exit status 0 where training ran to its end; 1 where it could not, and why is on standard error."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    request = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our parent, over a pipe that it made
    assert isinstance(request, Request)
    os.nice(request.niceness)
    # Whoever started this may be gone without a trace: the kernel ends it then, even in the middle of a fit.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(request.deadline_s) + 1)
    try:
        history = open_history(request.history, request.plant)
        clock = request.plant.clock()
        found = train_all(history, request.folder, request.plans, request.zone, tell, clock)
        for forecast in dict.fromkeys(plan.forecast for plan in request.plans):
            for line in patterns.learn(history, request.folder, forecast, request.zone, clock()):
                tell(line)
    except (OSError, HistoryError, ModelError, ImportError, sqlite3.Error) as error:
        print(error, file=sys.stderr)
        return 1
    for training in found:
        tell(f"{training.forecast} {training.track}: {training.outcome}")
    return 0


def tell(text: str) -> None:
    """One line of the log."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
