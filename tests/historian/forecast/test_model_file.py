"""Model files: what a site's key signed comes back; nothing else is even unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from historian.forecast import model_file
from historian.forecast.forecaster import Forecaster
from historian.forecast.inputs import InputPlan
from historian.forecast.model_file import ModelFileError
from historian.signing import SigningKey


@pytest.fixture(scope="module")
def frame():
    steps = 24 * 7 * 6
    index = pandas.date_range("2026-07-06", periods=steps, freq="h", tz="Europe/Berlin")
    noise = np.random.default_rng(3).normal(size=steps)
    return pandas.DataFrame({"load_kw": 50 + 10 * np.sin(np.arange(steps) / 24 * 2 * np.pi) + noise}, index)


@pytest.fixture(scope="module")
def fitted(frame):
    return Forecaster(24, "1h", (0.05, 0.5, 0.95), model="seasonal-naive").fit(frame)


class Mine:
    """What an attacker's pickle would do: here it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_saved_forecaster_forecasts_the_same_bits(frame, fitted, tmp_path) -> None:
    key = SigningKey.generate()
    fitted.save(tmp_path / "load.model", key)
    loaded = Forecaster.load(tmp_path / "load.model", [key.public])
    assert loaded.predict(frame).to_numpy().tobytes() == fitted.predict(frame).to_numpy().tobytes()
    assert (loaded.scores_, loaded.trained_until_) == (fitted.scores_, frame.index[-1])
    assert [file.name for file in tmp_path.iterdir()] == ["load.model"]


def test_a_file_says_what_it_is_without_being_unpickled(frame, fitted, tmp_path) -> None:
    key = SigningKey.generate()
    fitted.save(tmp_path / "load.model", key)
    found = model_file.read(tmp_path / "load.model", [key.public])
    told = found.description
    assert (told["target"], told["digest"], found.signer) == ("load_kw", fitted.digest_, key.public)
    assert told["trained_from"] == frame.index[0].isoformat()
    assert told["scores"]["coverage90"] == pytest.approx(fitted.scores_["coverage90"])
    assert told["manifest"]["names"] == list(fitted.plan_.features.names)


def test_a_file_of_another_key_is_refused_and_nothing_of_it_runs(fitted, tmp_path) -> None:
    ours, theirs, mark = SigningKey.generate(), SigningKey.generate(), tmp_path / "ran"
    model_file.write(tmp_path / "evil.model", Mine(mark), fitted.describe(), theirs)
    with pytest.raises(ModelFileError, match="signed by none of the 1 trusted keys"):
        Forecaster.load(tmp_path / "evil.model", [ours.public])
    assert not mark.exists()
    with pytest.raises(ModelFileError, match="no key is trusted"):
        Forecaster.load(tmp_path / "evil.model", [])
    with pytest.raises(ModelFileError, match="another thing"):  # it would have run: the test can see it
        Forecaster.load(tmp_path / "evil.model", [theirs.public])
    assert mark.exists()


def test_a_pickle_is_no_model_file(fitted, tmp_path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "bare.model").write_bytes(pickle.dumps(Mine(mark)) + bytes(200))
    with pytest.raises(ModelFileError, match="no model file"):
        Forecaster.load(tmp_path / "bare.model", [SigningKey.generate().public])
    assert not mark.exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_changed_anywhere_or_cut_is_refused(fitted, tmp_path, data) -> None:
    key, file = SigningKey.generate(), tmp_path / "load.model"
    fitted.save(file, key)
    content = bytearray(file.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] ^= data.draw(st.integers(1, 255))
    other = data.draw(st.sampled_from([bytes(content), file.read_bytes()[:where], file.read_bytes() + b"\0"]))
    file.write_bytes(other)
    with pytest.raises(ModelFileError):
        Forecaster.load(file, [key.public])


def test_a_model_of_other_releases_is_refused(fitted, tmp_path, monkeypatch) -> None:
    key = SigningKey.generate()
    fitted.save(tmp_path / "load.model", key)
    monkeypatch.setattr(model_file, "libraries", lambda: {"numpy": "0.1"})
    with pytest.raises(ModelFileError, match=r"numpy .*train it anew"):
        Forecaster.load(tmp_path / "load.model", [key.public])


def test_a_model_that_learned_from_other_inputs_than_there_are_now_is_refused(
    fitted, tmp_path, monkeypatch
) -> None:
    key = SigningKey.generate()
    fitted.save(tmp_path / "load.model", key)
    now = InputPlan.names.fget
    monkeypatch.setattr(InputPlan, "names", property(lambda plan: (*now(plan), "another")))
    with pytest.raises(ModelFileError, match="other inputs: train it anew"):
        Forecaster.load(tmp_path / "load.model", [key.public])
