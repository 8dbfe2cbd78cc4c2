"""One run of the solver in a process of its own, watched from outside: it may die, hang or be late."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO

from historian.dispatch_job.solver import START_S, Job, Solved

# Not -m: what it pickles must be of the module, not of __main__.
_COMMAND = (sys.executable, "-P", "-c", "from historian.dispatch_job.solver import main; main()")
LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer, and why. ``is_late``: it was killed as its time was over."""

    words: str
    is_late: bool = False


class Child:
    """A solver at work. Files, not pipes: nobody has to read for it to get on."""

    def __init__(self, job: Job, *, start_s: float = START_S) -> None:
        """``start_s`` is what it has beyond its deadline. Raises OSError where no process can be had."""
        self.job = job
        self._given_up = time.monotonic() + job.deadline_s + start_s
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `_close` does
        self._err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with tempfile.TemporaryFile() as question:
                pickle.dump(job, question)
                question.seek(0)
                self._process = subprocess.Popen(
                    _COMMAND, stdin=question, stdout=self._out, stderr=self._err, close_fds=True
                )
        except OSError:
            self._close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> Solved | Failure | None:
        """What came of it; None while it is at work. It is killed where its time is over."""
        code = self._process.poll()
        if code is None:
            if time.monotonic() < self._given_up:
                return None
            self.end()
            return Failure(f"the solver did not answer within {self.job.deadline_s:g} s and was killed", True)
        try:
            if code < 0:
                return Failure(f"the solver was killed by signal {-code}")
            if code:
                return Failure(f"the solver ended with {code}: {_last_line(self._err)}")
            self._out.seek(0)
            try:
                solved: Solved = pickle.load(self._out)  # noqa: S301 - from a process that we started
            except (EOFError, pickle.UnpicklingError):
                return Failure("the solver's answer is torn: is the disk for temporary files full?")
            return solved
        finally:
            self._close()

    def end(self) -> None:
        """Kill it where it is still at work."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        self._out.close()
        self._err.close()


def _last_line(file: IO[bytes]) -> str:
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:LONGEST_WORDS] if lines else "it said nothing"
