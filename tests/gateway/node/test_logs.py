"""Logs on a disk that takes nothing."""

import subprocess
import sys

PROGRAM = """
import logging, pathlib, resource, sys
from gateway.node.logs import log_to
log_to(pathlib.Path(sys.argv[1]), "node")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
logging.getLogger("x").info("nobody hears this")
print("goes on")
"""


def test_a_log_that_cannot_be_written_is_no_news_on_the_terminal(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("goes on\n", "", 0)
