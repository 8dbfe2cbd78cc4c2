"""An exported forecaster, in C, says what the forecaster says: here, and on a Cortex-M4F under qemu."""

from __future__ import annotations

import copy
import importlib.util
import math
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas
import pytest
from sklearn.exceptions import NotFittedError

from historian.forecast.export_c import ExportError, export_c
from historian.forecast.export_c_inputs import recipe
from historian.forecast.export_c_tables import Trees, tables_of
from historian.forecast.forecaster import Forecaster
from historian.forecast.inputs import pairs
from historian.forecast.learners import GradientBoosting

ROOT = Path(__file__).parents[3]
FIRMWARE = ROOT / "firmware"
HORIZON, STEP_S = 24, 3600
HOURS = 24 * 7 * 6
MODELS = ["linear", "gradient-boosting"]
STRICT = ("-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def thumb() -> ModuleType:
    """benchmarks/thumb.py: flags, and how an image is run."""
    spec = importlib.util.spec_from_file_location("thumb", ROOT / "benchmarks" / "thumb.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def frame() -> pandas.DataFrame:
    """Power that follows the sun, over a change to winter time; holes, and a signal whose absence says something."""
    random = np.random.default_rng(5)
    index = pandas.date_range("2026-09-21", periods=HOURS + HORIZON, freq="h", tz="Europe/Berlin")
    hour = index.hour.to_numpy()
    sun = 800 * np.maximum(0.0, np.sin((hour - 6) / 12 * math.pi))
    is_dark = np.repeat(random.random(len(index) // 12) < 0.4, 12)
    lamp = np.where(is_dark, np.nan, random.normal(size=len(index)))
    power = sun * random.uniform(0.4, 1.0, len(index)) + 500 * is_dark + random.normal(size=len(index))
    power[[100, *range(300, 306), HOURS - 180, HOURS - 4]] = np.nan
    return pandas.DataFrame({"power_kw": power, "lamp": lamp, "clear_sky_w_m2": sun}, index)


@pytest.fixture(scope="module")
def fitted(frame: pandas.DataFrame) -> dict[str, Forecaster]:
    made = {
        # With a median and a lower bound; without.
        "linear": Forecaster(HORIZON, "1h", (0.1, 0.5, 0.9), model="linear", calibration=0, bounds=(0, None)),
        "gradient-boosting": Forecaster(HORIZON, "1h", (0.2, 0.8), season="1D", max_rows=700, calibration=0),
    }
    known = ["clear_sky_w_m2"]
    past = frame.iloc[:HOURS]
    # What comes after the training calibrates, without a second training.
    trained = {name: one.fit(past.iloc[: -24 * 7], "power_kw", known) for name, one in made.items()}
    return {name: one.observe(past) for name, one in trained.items()}


@dataclass(frozen=True)
class Case:
    """An export, rows of inputs with what is to come of them, and the forecast issued at the end of history."""

    folder: Path
    inputs: int
    rows: np.ndarray
    targets_s: np.ndarray
    expected: np.ndarray
    issue_inputs: np.ndarray
    forecast: np.ndarray

    def said(self, thumb: ModuleType, on_board: bool) -> dict[str, np.ndarray]:
        """What the program says, built with warnings as errors."""
        sources = [
            *(self.folder / "model.c", Path(__file__).with_name("forecast_program.c")),
            *(FIRMWARE / "forecast" / "forecast_inputs.c", FIRMWARE / "features" / "feature_vectors.c"),
        ]
        folders = [f"-I{path}" for path in (self.folder, FIRMWARE / "forecast", FIRMWARE / "features")]
        if on_board:
            board = FIRMWARE / "port" / "qemu"
            command = [
                *("arm-none-eabi-gcc", *thumb.THUMB, *thumb.FLAGS, *STRICT, *folders, f"-I{board}"),
                *map(str, (*sources, board / "start.c")),
                *("-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", f"-T{board / 'memory.ld'}"),
                *("-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments"),
            ]
        else:
            sanitized = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
            command = ["cc", *thumb.FLAGS, *STRICT, "-O0", *sanitized, *folders, *map(str, sources)]
        program = self.folder / ("board.elf" if on_board else "host")
        subprocess.run([*command, "-lm", "-o", str(program)], check=True)
        said = (thumb.run_on_board if on_board else thumb.run_on_host)(program)
        found = {name: self._numbers(said, name) for name in ("row", "input", "forecast")}
        for name in ("given", "issued"):
            found[name] = np.array([value for key, value in said.items() if key.startswith(name)], dtype=bool)
        return found

    def _numbers(self, said: dict[str, int], name: str) -> np.ndarray:
        high = [value for key, value in said.items() if key.startswith(f"{name}-high")]
        low = [value for key, value in said.items() if key.startswith(f"{name}-low")]
        width = self.inputs if name == "input" else self.expected.shape[1]
        bits = np.array(high, dtype=np.uint64) << np.uint64(32) | np.array(low, dtype=np.uint64)
        return bits.view(np.float64).reshape(-1, width)


@pytest.fixture(scope="module", params=MODELS)
def case(
    request: pytest.FixtureRequest,
    frame: pandas.DataFrame,
    fitted: dict[str, Forecaster],
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    forecaster = fitted[request.param]
    folder = tmp_path_factory.mktemp("export")
    export_c(forecaster, folder / "model.c", "model")
    plan = forecaster.plan_
    past, ahead = frame.iloc[:HOURS], frame.iloc[HOURS:]
    # Real rows of some issues, each forecast at all its leads; then the same with much missing and much changed.
    grid = plan.grid(past)
    issues, vectors = plan.issues(grid)
    chosen = np.arange(len(issues) - 250, len(issues) - HORIZON, 50)
    position, at, leads = pairs(issues[chosen], HORIZON)
    real = plan.table(grid, at, leads, vectors[chosen][position])
    random = np.random.default_rng(3)
    strange = real * random.choice([1.0, 1.0, -1.0, 0.0, 3.0], real.shape)
    strange[random.random(real.shape) < 0.15] = np.nan
    strange[:, plan.names.index("lead")] = leads
    first = plan.step_of(grid)
    expected = [
        forecaster._bounded(forecaster.calibrator_.calibrate(int(first + issue), raw))
        for rows in (real, strange)
        for issue, raw in zip(issues[chosen], _raw(forecaster, rows), strict=True)
    ]
    rows = np.concatenate((real, strange))
    targets_s = np.tile((first + at + leads) * STEP_S, 2)
    longer = plan.grid(past, HORIZON, ahead)
    issue = np.full(HORIZON, HOURS - 1)
    ready, vectors = plan.issues(grid)
    every = np.arange(1, HORIZON + 1)
    at_end = np.repeat(vectors[[np.searchsorted(ready, HOURS - 1)]], HORIZON, axis=0)
    issue_inputs = plan.table(longer, issue, every, at_end)
    _write_given(folder / "given.h", rows, targets_s, longer, past, ahead, plan.steps_wanted)
    forecast = forecaster.predict(past, known=ahead).to_numpy()
    return Case(folder, len(plan.names), rows, targets_s, np.concatenate(expected), issue_inputs, forecast)


def _raw(forecaster: Forecaster, rows: np.ndarray) -> np.ndarray:
    raw = forecaster._bounded(np.sort(forecaster.model_.predict(rows), axis=1))
    return raw.reshape(-1, HORIZON, len(forecaster.quantiles))


def _write_given(file, rows, targets_s, grid, past, ahead, steps) -> None:
    signals = grid.signals[:HOURS][-steps:]
    known = grid.known[HOURS - len(signals) :]
    offsets = [int(time.utcoffset().total_seconds()) for time in ahead.index]
    lines = [
        "#include <math.h>",
        "#include <stdint.h>",
        f"#define ROWS {len(rows)}",
        f"#define STEPS {len(signals)}",
        f"#define ISSUE_S {int(past.index[-1].timestamp())}",
        _array("double rows[ROWS][]".replace("[]", f"[{rows.shape[1]}]"), rows),
        _array("int64_t row_targets[ROWS]", targets_s),
        _array(f"double signals[STEPS][{signals.shape[1]}]", signals),
        _array(f"double known[][{known.shape[1]}]", known),
        _array("int64_t offsets_s[]", np.array(offsets)),
    ]
    file.write_text("\n".join(lines) + "\n")


def _array(declared: str, values: np.ndarray) -> str:
    told = [["NAN" if np.isnan(one) else repr(one) for one in row] for row in np.atleast_2d(values).tolist()]
    rows = [", ".join(row) for row in told]
    inner = ",\n".join(f"{{{row}}}" for row in rows) if values.ndim == 2 else rows[0]
    return f"static const {declared} = {{{inner}}};"


def test_c_says_what_the_forecaster_does_of_rows_at_all_leads(thumb: ModuleType, case: Case) -> None:
    said = case.said(thumb, on_board=False)
    assert len(case.rows) >= 200
    assert (said["given"] == np.isfinite(case.expected).all(axis=1)).all()
    assert 0.5 < said["given"].mean() < 1
    np.testing.assert_allclose(said["row"], case.expected, rtol=1e-12, atol=1e-9)
    # Out of history and what is known ahead, all of it in C.
    assert said["issued"].all()
    np.testing.assert_allclose(said["input"], case.issue_inputs, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(said["forecast"], case.forecast, rtol=1e-9)


def test_a_board_says_the_same(thumb: ModuleType, case: Case) -> None:
    said = case.said(thumb, on_board=True)
    assert (said["given"] == np.isfinite(case.expected).all(axis=1)).all()
    np.testing.assert_allclose(said["row"], case.expected, rtol=1e-12, atol=1e-9)
    assert said["issued"].all()
    np.testing.assert_allclose(said["input"], case.issue_inputs, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(said["forecast"], case.forecast, rtol=1e-9)


def test_what_is_tried_here_has_all_that_trees_ask_for(fitted: dict[str, Forecaster]) -> None:
    trees = tables_of(fitted["gradient-boosting"]).beside
    assert isinstance(trees, Trees)
    every = [tree for forest in trees.forests for tree in forest.trees]
    assert {len(forest.trees) for forest in trees.forests} == {100}
    assert any(np.isinf(tree.thresholds).any() for tree in every)  # missing or not
    assert {True, False} <= {bool(one) for tree in every for one in tree.missing_below}


def test_every_input_has_its_way_of_being_computed_on_a_board(fitted: dict[str, Forecaster]) -> None:
    """Who adds an input adds it to firmware/forecast and its name to export_c_inputs."""
    plan = fitted["linear"].plan_
    assert [name for name, how in zip(plan.names, recipe(plan), strict=True) if how is None] == []


def test_the_header_says_what_the_model_is(fitted: dict[str, Forecaster], tmp_path: Path) -> None:
    forecaster = fitted["linear"]
    found = export_c(forecaster, tmp_path / "sun.c", "sun")
    assert (found.source, found.header) == (tmp_path / "sun.c", tmp_path / "sun.h")
    header, source = found.header.read_text(), found.source.read_text()
    told = [forecaster.digest_, forecaster.plan_.features.digest, found.digest, "power_kw", "linear"]
    told += [forecaster.trained_from_.isoformat(), forecaster.trained_until_.isoformat()]
    assert all(one in header for one in told)
    assert all(f" {place}  {name}\n" in header for place, name in enumerate(forecaster.plan_.names))
    assert all(f'"{one}";' in source for one in told[:3])
    assert export_c(forecaster, tmp_path / "again.c", "sun").digest == found.digest


class Otherwise(GradientBoosting):
    """A model that reads its trees otherwise than they are read for the export."""

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return super().predict(inputs) * np.where(inputs[:, [0]] == 7, 1.001, 1.0)


def test_an_export_that_says_otherwise_than_its_model_is_refused(
    fitted: dict[str, Forecaster], tmp_path: Path
) -> None:
    forecaster = copy.deepcopy(fitted["gradient-boosting"])
    forecaster.model_.__class__ = Otherwise
    with pytest.raises(ExportError, match=r"give another forecast than the model in .* nothing was exported"):
        export_c(forecaster, tmp_path / "load.c")
    assert list(tmp_path.iterdir()) == []


def test_trees_that_are_kept_otherwise_are_refused(fitted: dict[str, Forecaster], tmp_path: Path) -> None:
    forecaster = copy.deepcopy(fitted["gradient-boosting"])
    del forecaster.model_._forests[1]._predictors
    with pytest.raises(ExportError, match=r"keeps its trees otherwise: .*_predictors"):
        export_c(forecaster, tmp_path / "load.c")


def test_other_models_and_names_are_refused_with_what_there_is(
    frame: pandas.DataFrame, fitted: dict[str, Forecaster], tmp_path: Path
) -> None:
    naive = Forecaster(HORIZON, "1h", model="seasonal-naive", calibration=0).fit(
        frame[["power_kw"]], "power_kw"
    )
    with pytest.raises(
        ExportError, match="'seasonal-naive' cannot be exported, only 'linear' and 'gradient-b"
    ):
        export_c(naive, tmp_path / "load.c")
    with pytest.raises(ValueError, match="'2nd load' cannot begin names in C"):
        export_c(fitted["linear"], tmp_path / "load.c", "2nd load")
    with pytest.raises(ValueError, match=r"end it in \.c"):
        export_c(fitted["linear"], tmp_path / "load.h")
    with pytest.raises(NotFittedError):
        export_c(Forecaster(), tmp_path / "load.c")
    assert list(tmp_path.iterdir()) == []


def test_names_of_columns_end_no_comment_and_no_string(frame: pandas.DataFrame, tmp_path: Path) -> None:
    target = '*/ "load" \\n /* ??/ größe \n now'
    forecaster = Forecaster(1, "1h", (0.5,), model="linear", calibration=0)
    forecaster.fit(frame[["power_kw"]].rename(columns={"power_kw": target}), target)
    export_c(forecaster, tmp_path / "load.c")
    told = subprocess.run(
        ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", str(tmp_path / "load.c")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")
