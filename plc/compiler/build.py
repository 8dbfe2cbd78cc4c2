"""From sources to a shared object, by the machine's C compiler, with what was built before kept by its content.

The C compiler is ``$TIELINE_CC``, else ``cc``, else the ``ziglang`` package. Why these flags:
``-fno-strict-aliasing``: strings of every length are passed as one C type, and references may be cast as ST allows.
``-ffp-contract=off``: the same sums on every machine. ``-fno-math-errno``: SQRT is one instruction.
Integer arithmetic needs no flag: it is made in unsigned words, where C defines the wrap.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from plc.compiler.generate import Generated, generate
from plc.compiler.refusals import CompileFault
from plc.compiler.symbols import Symbols
from plc.language.analysis import analyse
from plc.language.source import Source

FLAGS = (
    "-std=c11",
    "-O2",
    "-g1",  # lines only: gdb finds its way, the file stays small
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-Werror=implicit-function-declaration",
    "-Werror=incompatible-pointer-types",
    "-Werror=int-conversion",
)
MOST_CACHED = 200  # programs; about 50 KB each
COMPILER_TIMEOUT_S = 300
_PACKAGE = Path(__file__).resolve().parent


class NoCompilerError(RuntimeError):
    """There is no C compiler on this machine, or it failed on what we generated, which is our defect."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a program is compiled. ``checks`` off is for measuring what they cost; ``flags`` come after our own.

    ``with_calls`` and ``with_tests`` are for the test bench, ``coverage`` counts what runs.
    """

    checks: bool = True
    with_calls: bool = False
    with_tests: bool = False
    coverage: bool = False
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """A program ready to run."""

    shared_object: Path
    c: Path
    symbols: Symbols
    digest: str = field(default="")


def build(
    sources: Iterable[Source], options: Options | None = None, cache_folder: Path | None = None
) -> Built:
    """The shared object and symbols of sources, from the cache where they were built before.

    Raises CompileFault with every diagnostic, NoCompilerError without a C compiler.
    """
    options = options or Options()
    texts = tuple(sources)
    folder = cache_folder or default_cache()
    key = _key(texts, options)
    home = folder / key
    if not (home / "symbols.json").exists():
        generated = translate(texts, options)
        _make(folder, home, generated.c, generated.symbols.to_json(), options)
        _prune(folder, keep=home)
    with contextlib.suppress(OSError):
        os.utime(home)  # what is used stays longest
    symbols = Symbols.from_json((home / "symbols.json").read_text())
    return Built(home / "program.so", home / "program.c", symbols, symbols.digest)


def translate(sources: tuple[Source, ...], options: Options) -> Generated:
    """C and symbols, no more. Trees are all growth and no garbage: the collector would walk them for nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        program = analyse(sources)
        if program.has_errors:
            raise CompileFault(program.diagnostics)
        return generate(
            program,
            with_calls=options.with_calls,
            with_tests=options.with_tests,
            coverage=options.coverage,
        )
    finally:
        if was_enabled:
            gc.enable()


def default_cache() -> Path:
    """Where built programs are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tieline" / "plc"


# ── the C compiler ─────────────────────────────────────────────────────────────────────────────────────────────────
@cache
def compiler() -> tuple[str, ...]:
    """The command that compiles C."""
    chosen = os.environ.get("TIELINE_CC")
    if chosen:
        return tuple(shlex.split(chosen))
    found = shutil.which("cc")
    if found:
        return (found,)
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    raise NoCompilerError("there is no C compiler: install cc, or Tieline's extra [compiler]")


@cache
def _compiler_identity(command: tuple[str, ...]) -> bytes:
    version = subprocess.run(
        [*command, "--version"], capture_output=True, check=False, timeout=COMPILER_TIMEOUT_S
    )
    return " ".join(command).encode() + version.stdout


@cache
def run_time() -> Path:
    """The folder with the C of ``firmware/``: beside this package when installed, else of the source tree."""
    installed = _PACKAGE / "firmware"
    return installed if installed.is_dir() else _PACKAGE.parent.parent / "firmware"


def include_flags() -> tuple[str, ...]:
    """Where generated C finds its headers."""
    return (f"-I{run_time() / 'scan'}", f"-I{run_time() / 'blocks'}")


def run_time_sources() -> list[Path]:
    """What is linked into every program; blocks.c is part of the generated file."""
    return [path for path in sorted((run_time() / "blocks").glob("*.c")) if path.name != "blocks.c"]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMPILER_TIMEOUT_S)
    if done.returncode != 0:
        raise NoCompilerError(f"{' '.join(command)}\n{done.stderr}")


# ── the cache ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _key(sources: tuple[Source, ...], options: Options) -> str:
    hash_ = hashlib.sha256(_tool_identity())
    hash_.update(_compiler_identity(compiler()))
    hash_.update(repr((options, FLAGS)).encode())
    for source in sources:
        hash_.update(f"{source.path}\0{len(source.text)}\0{source.text}".encode())
    return hash_.hexdigest()


@cache
def _tool_identity() -> bytes:
    """Everything of ours that decides what comes out."""
    hash_ = hashlib.sha256()
    languages = sorted((_PACKAGE.parent / "language").glob("*.py"))
    headers = [*sorted((run_time() / "blocks").glob("*.[ch]")), run_time() / "scan" / "program.h"]
    for path in (*languages, *sorted(_PACKAGE.glob("*.py")), *headers):
        hash_.update(path.name.encode() + b"\0" + path.read_bytes())
    return hash_.digest()


def _make(folder: Path, home: Path, c: str, symbols: str, options: Options) -> None:
    """Built aside and moved into place whole: another process may build the same."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="new-") as name:
        new = Path(name)
        (new / "program.c").write_text(c)
        (new / "symbols.json").write_text(symbols)
        command = [
            *compiler(),
            *FLAGS,
            *include_flags(),
            f"-DTL_CHECKS={int(options.checks)}",
            *options.flags,
        ]
        objects = _run_time_objects(folder, options)
        output = str(new / "program.so")
        _run([*command, "-shared", str(new / "program.c"), *map(str, objects), "-lm", "-o", output])
        made = new.with_name(f"made-{new.name}")
        new.rename(made)
        new.mkdir()  # for the context manager to remove
        try:
            made.rename(home)
        except OSError:  # another process was first
            shutil.rmtree(made, ignore_errors=True)


def _run_time_objects(folder: Path, options: Options) -> list[Path]:
    hash_ = hashlib.sha256(_tool_identity() + _compiler_identity(compiler()))
    hash_.update(repr((options.checks, FLAGS, options.flags)).encode())
    home = folder / f"blocks-{hash_.hexdigest()}"
    names = [path.with_suffix(".o").name for path in run_time_sources()]
    if not home.is_dir():
        with tempfile.TemporaryDirectory(dir=folder, prefix="new-") as name:
            command = [
                *compiler(),
                *FLAGS,
                *include_flags(),
                f"-DTL_CHECKS={int(options.checks)}",
                *options.flags,
            ]
            for path in run_time_sources():
                _run([*command, "-c", str(path), "-o", str(Path(name) / path.with_suffix(".o").name)])
            made = Path(name).with_name(f"made-{Path(name).name}")
            Path(name).rename(made)
            Path(name).mkdir()
            try:
                made.rename(home)
            except OSError:
                shutil.rmtree(made, ignore_errors=True)
    return [home / name for name in names]


def _prune(folder: Path, keep: Path) -> None:
    homes = [
        one for one in folder.iterdir() if one.is_dir() and one != keep and len(one.name) == len(keep.name)
    ]
    homes.sort(key=_age)
    for old in homes[: max(0, len(homes) + 1 - MOST_CACHED)]:
        shutil.rmtree(old, ignore_errors=True)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process removed it
        return 0.0
