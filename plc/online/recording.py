"""A trace as a file: CSV, Parquet, or a picture of its curves."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from plc.runtime.client import Trace

NS_PER_MS = 1_000_000
NEEDS = {".parquet": ("pyarrow", "analytics"), ".png": ("PIL", "analytics")}
SUFFIXES = (".csv", ".parquet", ".png")
_WIDTH, _LANE, _MARGIN, _LEFT, _TOP = 1000, 130, 22, 200, 44  # pixels at the size that is seen
_SCALE = 2  # drawn larger, so that it is sharp on fine screens
_INK, _FAINT, _RULE, _PAPER, _MARK = "#1d2329", "#5b6570", "#dfe3e8", "#ffffff", "#a8201a"
_CURVES = ("#0b4f9e", "#1a6b2e", "#7a5600", "#7b2d8b", "#00696b", "#a8201a")
_TICKS = 6
_TICK_STEPS = (1, 2, 5, 10)


class RecordingError(ValueError):
    """A file that can not be written so; the message says how to mend it."""


def check_target(path: Path) -> None:
    """Whether a trace can be written there, before it is taken. Raises RecordingError."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise RecordingError(f"{path}: a trace goes to {', '.join(SUFFIXES)}")
    package, extra = NEEDS.get(suffix, ("", ""))
    if package and find_spec(package) is None:
        raise RecordingError(f'{path}: this needs more: pip install "tieline[{extra}]"')
    if not path.parent.is_dir():
        raise RecordingError(f"{path.parent}: there is no such folder")


def write_trace(trace: Trace, path: Path, names: dict[str, dict[int, str]]) -> None:
    """Write a trace; ``names`` are enumerations' values by path. Raises OSError."""
    match path.suffix.lower():
        case ".csv":
            _write_csv(trace, path)
        case ".parquet":
            _write_parquet(trace, path)
        case _:
            _write_png(trace, path, names)


def times_ms(trace: Trace) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Milliseconds from the trigger on, else from the first row."""
    if not len(trace.times_ns):
        return np.empty(0, np.float64)
    zero = trace.times_ns[trace.trigger_row or 0]
    milliseconds: np.ndarray[Any, np.dtype[np.float64]] = (trace.times_ns - zero) / NS_PER_MS
    return milliseconds


def _write_csv(trace: Trace, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clock_ns", "ms", *trace.columns])
        columns = [
            column.astype(int) if column.dtype == bool else column for column in trace.columns.values()
        ]
        writer.writerows(
            zip(
                trace.times_ns.tolist(),
                times_ms(trace).tolist(),
                *(one.tolist() for one in columns),
                strict=True,
            )
        )


def _write_parquet(trace: Trace, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    columns = {"clock_ns": trace.times_ns, "ms": times_ms(trace), **trace.columns}
    pyarrow.parquet.write_table(
        pa.table({name: np.asarray(column) for name, column in columns.items()}), path
    )


# ── the picture ──────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class _Frame:
    """The rectangle of one curve and what its edges stand for."""

    left: float
    top: float
    right: float
    bottom: float
    low: float
    high: float


def _write_png(trace: Trace, path: Path, names: dict[str, dict[int, str]]) -> None:
    from PIL import Image, ImageDraw, ImageFont

    count = max(1, len(trace.columns))
    width, height = _WIDTH * _SCALE, (_TOP + count * _LANE + 2 * _MARGIN) * _SCALE
    image = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13 * _SCALE)
    small = ImageFont.load_default(11 * _SCALE)
    times = times_ms(trace)
    first, last = (float(times[0]), float(times[-1])) if len(times) else (0.0, 1.0)
    span = (last - first) or 1.0
    left, right = _LEFT * _SCALE, width - _MARGIN * _SCALE
    bottom_of_all = (_TOP + count * _LANE) * _SCALE

    def x_of(ms: float) -> float:
        return left + (ms - first) / span * (right - left)

    for tick in ticks(first, last):
        x = x_of(tick)
        draw.line([(x, _TOP * _SCALE), (x, bottom_of_all)], fill=_RULE, width=_SCALE)
        draw.text((x, bottom_of_all + 6 * _SCALE), f"{tick:g}", fill=_FAINT, font=small, anchor="mt")
    draw.text((left - 60 * _SCALE, bottom_of_all + 6 * _SCALE), "ms", fill=_FAINT, font=small, anchor="rt")
    for number, (name, column) in enumerate(trace.columns.items()):
        top = (_TOP + number * _LANE + 12) * _SCALE
        bottom = (_TOP + (number + 1) * _LANE - 12) * _SCALE
        values = column.astype(np.float64)
        low, high = _range(values, is_bool=column.dtype == bool)
        frame = _Frame(left, top, right, bottom, low, high)
        colour = _CURVES[number % len(_CURVES)]
        draw.line([(left, bottom), (right, bottom)], fill=_RULE, width=_SCALE)
        draw.text((left - 60 * _SCALE, (top + bottom) / 2), name, fill=_INK, font=font, anchor="rm")
        for level in (low, high):
            text = _level_text(level, column.dtype == bool, names.get(name))
            y = _y_of(frame, level)
            draw.text((left - 8 * _SCALE, y), text, fill=_FAINT, font=small, anchor="rm")
        is_stepped = column.dtype.kind != "f"
        points = _points(
            [x_of(float(one)) for one in times], [_y_of(frame, float(one)) for one in values], is_stepped
        )
        if len(points) > 1:
            draw.line(points, fill=colour, width=2 * _SCALE, joint="curve")
    if trace.trigger_row is not None and len(times):
        x = x_of(float(times[trace.trigger_row]))
        draw.line([(x, (_TOP - 8) * _SCALE), (x, bottom_of_all)], fill=_MARK, width=_SCALE)
        draw.text((x, (_TOP - 10) * _SCALE), "trigger", fill=_MARK, font=small, anchor="mb")
    image.save(path)


def ticks(first: float, last: float) -> list[float]:
    """Round numbers between two, some six of them."""
    span = last - first
    if span <= 0:
        return [first]
    power = 10.0 ** np.floor(np.log10(span / _TICKS))
    step = next(power * one for one in _TICK_STEPS if span / (power * one) <= _TICKS)
    start = int(np.ceil(first / step))
    return [round(number * step, 9) for number in range(start, int(np.floor(last / step)) + 1)]


def _range(values: np.ndarray[Any, np.dtype[np.float64]], *, is_bool: bool) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if is_bool or not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _y_of(frame: _Frame, value: float) -> float:
    if not np.isfinite(value):
        value = frame.low
    return frame.bottom - (value - frame.low) / (frame.high - frame.low) * (frame.bottom - frame.top)


def _points(xs: list[float], ys: list[float], is_stepped: bool) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for x, y in zip(xs, ys, strict=True):
        if is_stepped and points:
            points.append((x, points[-1][1]))
        points.append((x, y))
    return points


def _level_text(level: float, is_bool: bool, names: dict[int, str] | None) -> str:
    if is_bool:
        return "TRUE" if level else "FALSE"
    if names and level in names:
        return names[int(level)]
    return f"{level:.5g}"
