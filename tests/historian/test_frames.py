"""History as other libraries' tables says what history says, in times that know they are UTC."""

from __future__ import annotations

import builtins
import importlib

import duckdb
import numpy as np
import pandas as pd
import pyarrow as arrow
import pytest
from historian_folder import NOON, SECOND

from gateway.tags.quality import Quality
from historian.query import frames

BAD = int(Quality.BAD_COMMUNICATION_ERROR)
END = NOON + 60 * SECOND
TIMES = [NOON, NOON + SECOND, NOON + 2 * SECOND]
ALL = ["a.power_kw", "a.count", "a.energy_wh", "a.on", "a.name", "b.power_kw"]
LARGE = 2**53 + 1


@pytest.fixture
def history(folder):
    folder.write("a.power_kw", TIMES, [1.5, 2.5, 3.5], [0, BAD, 0])
    folder.write("a.count", TIMES, [LARGE, -1, 7])
    folder.write("a.energy_wh", TIMES[:2], [2**64 - 1, 5])
    folder.write("a.on", TIMES[1:], [True, False])
    folder.write("a.name", [NOON + SECOND // 2], ["ä"])
    history = folder.history()
    yield history
    history.close()


def test_a_wide_frame_has_a_row_a_time_and_exact_integers(history):
    frame = frames.to_pandas(history, ALL, NOON, END)
    assert str(frame.index.tz) == "UTC"
    assert frame.index.asi8.tolist() == sorted([*TIMES, NOON + SECOND // 2])
    assert frame["a.count"].dropna().tolist() == [LARGE, -1, 7]
    assert frame["a.energy_wh"].dropna().tolist() == [2**64 - 1, 5]
    assert frame["a.on"].dropna().tolist() == [True, False]
    assert frame["a.name"].dropna().tolist() == ["ä"]
    assert frame["b.power_kw"].isna().all()


def test_a_bad_value_is_missing_unless_its_status_stands_beside_it(history):
    bare = frames.to_pandas(history, ["a.power_kw"], NOON, END)["a.power_kw"]
    assert bare.isna().tolist() == [False, True, False]
    beside = frames.to_pandas(history, ["a.power_kw"], NOON, END, quality=True)
    assert beside["a.power_kw"].tolist() == [1.5, 2.5, 3.5]
    assert beside["a.power_kw status"].tolist() == [0, BAD, 0]


def test_a_long_frame_has_a_row_a_sample(history):
    frame = frames.to_pandas(history, ["a.power_kw", "a.on", "a.name"], NOON, END, wide=False, quality=True)
    assert frame["tag"].tolist() == ["a.power_kw"] * 3 + ["a.on"] * 2 + ["a.name"]
    assert frame["value"].tolist()[:5] == [1.5, 2.5, 3.5, 1.0, 0.0]
    assert frame["text"].tolist()[-1] == "ä"
    assert frame["status"].tolist() == [0, BAD, 0, 0, 0, 0]
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"


def test_a_long_table_refuses_integers_that_its_doubles_cannot_say(history):
    with pytest.raises(ValueError, match=r"a\.count has integers beyond 2\^53"):
        frames.to_arrow(history, ["a.count"], NOON, END)


def test_wide_arrow_keeps_the_types_of_tags(history):
    table = frames.to_arrow(history, ALL, NOON, END, wide=True)
    assert table.schema.field("time").type == arrow.timestamp("ns", tz="UTC")
    kinds = ["double", "int64", "uint64", "bool", "string", "double"]
    assert [str(table.schema.field(tag).type) for tag in ALL] == kinds
    assert table["a.count"].drop_null().to_pylist() == [LARGE, -1, 7]
    assert table["a.power_kw status"].to_pylist() == [0, None, BAD, 0]


def test_a_tag_without_samples_is_an_empty_table(history):
    assert frames.to_arrow(history, ["b.power_kw"], NOON, END).num_rows == 0
    assert frames.to_pandas(history, ["b.power_kw"], NOON, END).empty
    assert frames.to_pandas(history, [], NOON, END).empty


def test_frames_of_tags_polled_together_share_their_times(folder):
    times = NOON + SECOND * np.arange(500)
    for name in ("a.power_kw", "b.power_kw"):
        folder.write(name, times, np.arange(500) / 10)
    folder.pack()
    history = folder.history()
    frame = frames.to_pandas(history, ["a.power_kw", "b.power_kw"], NOON, NOON + 500 * SECOND)
    history.close()
    expected = pd.DataFrame(
        {"a.power_kw": np.arange(500) / 10, "b.power_kw": np.arange(500) / 10},
        index=pd.DatetimeIndex(times.view("M8[ns]"), name="time").tz_localize("UTC"),
    )
    pd.testing.assert_frame_equal(frame, expected)


def test_duckdb_sees_history_long_and_wide(history):
    tags = ["a.power_kw", "a.on", "a.name"]
    with duckdb.connect() as connection:
        frames.register(connection, history, tags, NOON, END, "demo")
        good = "SELECT tag, avg(value) FROM demo WHERE status = 0 AND value IS NOT NULL GROUP BY tag ORDER BY tag"
        assert connection.sql(good).fetchall() == [("a.on", 0.5), ("a.power_kw", 2.5)]
        wide = 'SELECT "a.power_kw", "a.on" FROM demo_wide ORDER BY time'
        assert connection.sql(wide).fetchall() == [(1.5, None), (None, None), (2.5, True), (3.5, False)]


def test_without_the_analytics_libraries_the_error_says_how_to_get_them(history, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **more):
        if name.split(".")[0] in ("pandas", "pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'tieline\[analytics\]'"):
        frames.to_pandas(history, ["a.power_kw"], NOON, END)
