"""How commands about history end: expected trouble as one line and a status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from historian.errors import HistoryError
from historian.export import MissingLibrary

Run = Callable[[argparse.Namespace], int]

ANSWERED, INCOMPLETE, USAGE = 0, 1, 2  # exit statuses


def answered(command: str, run: Run) -> Run:
    """``run`` with exit status 1 where something is missing or damaged, 2 where the question is wrong.

    A reader of the pipe (head, less) that has seen enough ends it in peace.
    """

    def answer(args: argparse.Namespace) -> int:
        try:
            status = run(args)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is left in the buffer must not be tried again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ANSWERED
        except (ValueError, MissingLibrary) as error:
            print(f"tieline {command}: {error}", file=sys.stderr)
            return USAGE
        except (OSError, HistoryError) as error:
            print(f"tieline {command}: {error}", file=sys.stderr)
            return INCOMPLETE
        return status

    return answer
