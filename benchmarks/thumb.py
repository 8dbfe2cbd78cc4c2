"""The program of benchmarks/plc.py on a Cortex-M4F: instructions a scan, compiled and by hand, counted by qemu.

    python benchmarks/thumb.py

Both are built by ``arm-none-eabi-gcc`` with the same flags, warnings as errors, and run without an operating system
on qemu's mps2-an386 with ``-icount``, where an instruction takes one nanosecond. The functions here serve
tests/plc/thumb too.
"""

from __future__ import annotations

import importlib.util
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from plc.compiler.build import Options, compiler, include_flags, run_time_sources, translate
from plc.language.source import Source

ROOT = Path(__file__).resolve().parent.parent
BOARD = ROOT / "firmware" / "port" / "qemu"
FLAGS = (
    *("-std=c11", "-O2", "-g1", "-fno-strict-aliasing", "-ffp-contract=off", "-fno-math-errno"),
    *("-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections"),
)
THUMB = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
RUN_TIMEOUT_S = 120  # a test runs for two seconds; a machine that is busy takes longer


def build_for_board(sources: Iterable[Path], elf: Path, *defines: str) -> None:
    """An image of C sources, what they call of ``firmware/blocks``, and the board's start."""
    subprocess.run(
        [
            *("arm-none-eabi-gcc", *THUMB, *FLAGS, *include_flags(), f"-I{BOARD}", *defines),
            *map(str, (*sources, *run_time_sources(), BOARD / "run_program.c", BOARD / "start.c")),
            *("-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", f"-T{BOARD / 'memory.ld'}"),
            *("-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", "-lm", "-o", str(elf)),
        ],
        check=True,
    )


def build_for_host(sources: Iterable[Path], program: Path, *defines: str) -> None:
    """The same for the machine that this runs on."""
    subprocess.run(
        [
            *(
                *compiler(),
                *FLAGS,
                "-O1",
                *include_flags(),
                *defines,
            ),  # for what it computes, not for how fast
            *map(str, (*sources, *run_time_sources(), BOARD / "run_program.c")),
            *("-lm", "-o", str(program)),
        ],
        check=True,
    )


def run_on_board(elf: Path) -> dict[str, int]:
    """What the image says, by name; raises CalledProcessError where it ends with a fault."""
    return _said(
        [
            *("qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"),
            *("-chardev", "stdio,id=out"),
            *(
                "-semihosting-config",
                "enable=on,target=native,chardev=out",
                "-icount",
                "shift=0",
                "-kernel",
                str(elf),
            ),
        ]
    )


def run_on_host(program: Path) -> dict[str, int]:
    """The same of a program of this machine."""
    return _said([str(program)])


def _said(command: list[str]) -> dict[str, int]:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    lines = (line.rpartition(" ") for line in done.stdout.splitlines())
    return {name: int(number) for name, _, number in lines}


def sources_of(sources: Iterable[Source], folder: Path) -> list[Path]:
    """A program's C in a file."""
    path = folder / "program.c"
    path.write_text(translate(tuple(sources), Options()).c)
    return [path]


def host_benchmark() -> ModuleType:
    """benchmarks/plc.py; its name is that of a package, so it can not be imported by it."""
    spec = importlib.util.spec_from_file_location("plc_benchmark", ROOT / "benchmarks" / "plc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def benchmark_sources(folder: Path) -> list[Path]:
    """The benchmark's program, compiled and by hand."""
    written = host_benchmark()
    lines = written.make_lines(random.Random(written.SEED))
    hand = folder / "hand.c"
    hand.write_text(written.by_hand(lines))
    return [*sources_of([Source("benchmark.st", written.structured_text(lines))], folder), hand]


def main() -> int:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            print(f"{tool} is missing: .ci/system-packages installs it", file=sys.stderr)
            return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = benchmark_sources(folder)
        counted: dict[bool, dict[str, int]] = {}
        for checks in (True, False):
            elf = folder / f"checks{int(checks)}.elf"
            build_for_board(sources, elf, "-DBY_HAND", f"-DTL_CHECKS={int(checks)}")
            counted[checks] = run_on_board(elf)
    hand = counted[True]["hand"]
    print(f"by hand in C     {hand:8} instructions a scan")
    for checks, goal in ((True, 1.25), (False, 1.10)):
        found = counted[checks]["program"]
        what = "with checks   " if checks else "without checks"
        print(f"{what}   {found:8} instructions a scan   {found / hand:.2f} x (goal {goal:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
