"""Values of literals (IEC 61131-3 6.3), worked out by hand."""

from __future__ import annotations

import pytest

from plc.language import literals

DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1_000", 1000), ("2#1010_1010", 170), ("8#377", 255), ("16#ff_ff", 65535), ("10#12", 12)],
)
def test_6_3_2_integers(text: str, value: int) -> None:
    assert literals.integer(text)[0] == value


@pytest.mark.parametrize("text", ["1__0", "1_", "3#12", "2#12", "16#", "5abc", "16#G", "99999#1"])
def test_6_3_2_malformed_integers(text: str) -> None:
    with pytest.raises(literals.Malformed):
        literals.integer(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5s", 5 * 10**9),
        ("1d2h3m4s5ms6us7ns", ((26 * 60 + 3) * 60 + 4) * 10**9 + 5_006_007),
        ("1h_30m", 5400 * 10**9),
        ("25h", 25 * 3600 * 10**9),
        ("14.7s", 14_700_000_000),
        ("-1.5ms", -1_500_000),
        ("1M30S", 90 * 10**9),
    ],
)
def test_6_3_4_durations_are_exact(text: str, value: int) -> None:
    assert literals.duration_ns(text) == value


@pytest.mark.parametrize("text", ["", "5", "5x", "1s2m", "1.5h3m", "1s1s", "300000d"])
def test_6_3_4_malformed_durations(text: str) -> None:
    with pytest.raises(literals.Malformed):
        literals.duration_ns(text)


def test_6_3_5_dates_count_from_1970() -> None:
    assert literals.date_ns("1970-01-02") == DAY_NS
    assert literals.date_ns("1969-12-31") == -DAY_NS
    assert literals.date_ns("2000-03-01") == (30 * 365 + 7 + 31 + 29) * DAY_NS
    assert literals.time_of_day_ns("15:36:55.36") == 56_215_360_000_000
    assert literals.date_and_time_ns("1970-01-02-00:00:01") == DAY_NS + 10**9


@pytest.mark.parametrize("text", ["2026-02-29", "2026-13-01", "1000-01-01"])
def test_6_3_5_days_that_are_not(text: str) -> None:
    with pytest.raises(literals.Malformed):
        literals.date_ns(text)


@pytest.mark.parametrize(
    ("text", "is_wide", "value"),
    [
        ("$$5", False, "$5"),
        ("$'$\"", False, "'\""),
        ("$L$n$R$T$P", False, "\n\n\r\t\f"),
        ("$41$6a", False, "Aj"),
        ("$0041", True, "A"),
    ],
)
def test_6_3_3_escapes(text: str, is_wide: bool, value: str) -> None:
    assert literals.string(text, is_wide=is_wide) == value


@pytest.mark.parametrize("text", ["$", "$G", "$4"])
def test_6_3_3_malformed_escapes(text: str) -> None:
    with pytest.raises(literals.Malformed):
        literals.string(text, is_wide=False)
