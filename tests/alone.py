"""Run the last run's failed tests once more, alone, where they are few; ends with 0 where all pass now.

Many tests are about time, against real servers; beside two others on two cores one of thousands is late now and then.
What fails alone too has failed, and more than MOST are no accident. Who passes only alone is named, to be mended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
FAILED = Path(__file__).parents[1] / "build/pytest/v/cache/lastfailed"


def main() -> int:
    names = sorted(json.loads(FAILED.read_text())) if FAILED.exists() else []
    if not 1 <= len(names) <= MOST:
        print(f"{len(names)} failed: not run again")
        return 1
    ended = subprocess.run([sys.executable, "-m", "pytest", "-q", "-n0", *names], check=False)
    print(
        "\n".join(
            f"failed beside others, {'passed' if not ended.returncode else 'ran'} alone: {name}"
            for name in names
        )
    )
    return int(ended.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
