"""The targets under a coverage-guided fuzzer: ``fuzz.py [--seconds 60] [TARGET ...]``.

Each runs in a process of its own for so long; the corpus that it learns stays in build/fuzz/. What makes a target
fail, take a second of the processor, hang or take 1 GiB is kept as found/TARGET.HASH.bin, where the tests look.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = ROOT / "build" / "fuzz"
FOUND = HERE / "found"
LONGEST_BYTES = 4096
LONGEST_S = 1.0  # of the processor: on a busy machine the clock on the wall tells nothing
HUNG_S = 60  # on that clock
INSTRUMENTED = ["gateway", "historian", "py1815", "pymodbus"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="which; all if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--one", nargs=2, metavar=("TARGET", "CORPUS"), help=argparse.SUPPRESS)
    arguments, rest = parser.parse_known_args()
    if arguments.one:
        _fuzz(*arguments.one, rest)
    names = arguments.targets or _names()
    unknown = sorted(set(names) - set(_names()))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(_names())}")
    failed = [name for name in names if not _run(name, arguments.seconds)]
    print(
        f"{len(names) - len(failed)} of {len(names)} targets held" + ("".join(f"\n  {one}" for one in failed))
    )
    return 1 if failed else 0


def _names() -> list[str]:
    sys.path.insert(0, str(HERE))
    from targets import TARGETS

    return list(TARGETS)


def _run(name: str, seconds: int) -> bool:
    """Whether it held."""
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    bad = CORPUS / f"{name}.bad"
    bad.unlink(missing_ok=True)
    limits = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_BYTES}",
        f"-timeout={HUNG_S}",
        "-rss_limit_mb=1024",
    ]
    command = [sys.executable, __file__, "--one", name, str(corpus), f"-exact_artifact_path={bad}", *limits]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    lines = done.stdout.splitlines()
    last = next((line for line in reversed(lines) if "cov:" in line), "")
    print(f"{name:24} {last.strip() or 'no coverage was told'}", flush=True)
    if done.returncode == 0:
        return True
    print("\n".join(lines[-40:]), flush=True)
    if bad.exists():
        octets = bad.read_bytes()
        kept = FOUND / f"{name}.{hashlib.sha256(octets).hexdigest()[:12]}.bin"
        kept.write_bytes(octets)
        print(f"kept as {kept.relative_to(ROOT)}", flush=True)
    return False


def _fuzz(name: str, corpus: str, rest: list[str]) -> None:
    """In the process of one target; does not return."""
    import atheris

    _leave_editable_install()
    sys.path[:0] = [str(HERE), str(ROOT)]
    with atheris.instrument_imports(include=INSTRUMENTED):
        from targets import TARGETS
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds):
        Path(corpus, f"seed{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], corpus, *rest], _in_time(target))
    atheris.Fuzz()


def _in_time(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A target that fails where it takes too long."""

    def timed(octets: bytes) -> None:
        began = time.process_time()
        target(octets)
        took = time.process_time() - began
        if took > LONGEST_S:
            raise AssertionError(f"{len(octets)} octets took {took:.1f} s of the processor")

    return timed


def _leave_editable_install() -> None:
    """Its loader gives code that is not instrumented. The compiled kernel is found by it only, and is kept."""
    import gateway.tags._kernel

    for name in [name for name in sys.modules if name.split(".")[0] == "gateway"]:
        if sys.modules[name] is not gateway.tags._kernel:
            del sys.modules[name]
    sys.meta_path[:] = [one for one in sys.meta_path if not type(one).__module__.startswith("_editable_")]


if __name__ == "__main__":
    sys.exit(main())
