"""How a board computes the inputs of an exported model by itself: a plan for ``firmware/forecast``, as a macro."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from historian.forecast.calendar import calendar_terms
from historian.forecast.feature_set import NS_PER_S
from historian.forecast.inputs import DAY_S, InputPlan

_CALENDAR: Final = ("hour", "weekday", "is_weekend", "hour_sin", "hour_cos", "year_sin", "year_cos")
_HOUR_S: Final = 3600
_CLEAR_SKY: Final = "clear_sky_w_m2"  # as `known.clear_sky` calls it
_OF_LEAD: Final = {
    "lead": "LEAD, 0, 0",
    "seasonal": "SEASONAL, 0, 0",
    "season_before.rise": "SEASON_RISE, 1, 0",
    "second_season_before.rise": "SEASON_RISE, 2, 0",
    "seasons_mean.rise": "SEASONS_RISE, 0, 0",
    "usual_0.25.rise": "USUAL_RISE, 25, 0",
    "usual_0.5.rise": "USUAL_RISE, 50, 0",
    "usual_0.75.rise": "USUAL_RISE, 75, 0",
    "day_before.away_rise": "DAY_AWAY_RISE, 0, 0",
    "day_before.rise": "DAY_RISE, 0, 0",
    **{f"target.{term}": f"CALENDAR, {place}, 0" for place, term in enumerate(_CALENDAR)},
}


def recipe(plan: InputPlan) -> list[str | None]:
    """Of each input how ``firmware/forecast`` computes it, None where it does not know it."""
    day, hour = plan.day, max(1, _HOUR_S // plan.step_s)
    known = {
        **_OF_LEAD,
        "now.rise": "SIGNAL_RISE, 0, 0",
        "step_before.rise": "SIGNAL_RISE, 0, 1",
        "yesterday.rise": f"SIGNAL_RISE, 0, {day}",
        "hour_now.rise": f"MEAN_RISE, {hour}, 0",
        "day_mean.rise": f"MEAN_RISE, {day}, 0",
        "yesterday_mean.rise": f"MEAN_RISE, {day}, {day}",
        "clearness_hour.rise": f"CLEAR_RISE, {hour}, 0",
        "clearness_day.rise": f"CLEAR_RISE, {day}, 0",
    }
    first = _features_at(plan)
    past, after = first - len(plan.past), first + len(plan.features.names)
    ahead = len(plan.names) - 2 * len(plan.known)
    # Names of columns are anybody's, and go by their place.
    return [
        *(known.get(name) for name in plan.names[:past]),
        *(f"SIGNAL_RISE, {signal}, 0" for signal in range(1, 1 + len(plan.past))),
        *("FEATURE, 0, 0" for _ in plan.features.names),
        *(known.get(name) for name in plan.names[after:ahead]),
        *(f"KNOWN, {column}, 0" for column in range(len(plan.known))),
        *(f"KNOWN_RISE, {column}, 0" for column in range(len(plan.known))),
    ]


def plan_macro(plan: InputPlan, horizon: int, name: str) -> str:
    """A definition of ``NAME_PLAN``, or a remark that says which inputs keep it from being."""
    inputs = recipe(plan)
    features = plan.features
    sun = f"{plan.known.index(_CLEAR_SKY)}u" if _CLEAR_SKY in plan.known else "TL_FORECAST_NO_SUN"
    missing = [one for one, how in zip(plan.names, inputs, strict=True) if how is None]
    if features.calendar or features.interactions or features.net_load or missing:
        told = ", ".join(missing) or "features of the calendar or of a net load"
        return f"/* firmware/forecast does not know {told}: the inputs are the host's to compute. */"
    lines = [
        f"#define {name.upper()}_PLAN",
        "    {",
        f"        .step_s = {plan.step_s}u, .horizon = {horizon}u, .season = {plan.season}u,",
        f"        .seasons = {plan.seasons}u, .day = {plan.day}u,",
        f"        .steps_needed = {plan.steps_needed}u, .steps_wanted = {plan.steps_wanted}u,",
        f"        .known = {len(plan.known)}u, .sun = {sun}, .features_at = {_features_at(plan)}u,",
        "        .hours = (const double[][2]){",
        *(f"            {{{sine!r}, {cosine!r}}}," for sine, cosine in _hours(plan)),
        "        },",
        "        .features = {",
        f"            .signals = {len(features.signals)}u, .least_present = {features.missing.least_present!r},",
        f"            .lags = {_counts(features.lags)}, .lag_count = {len(features.lags)}u,",
        f"            .windows = {_counts(features.windows)}, .window_count = {len(features.windows)}u,",
        f"            .slope_steps = 2u, .step_h = {features.step_s / _HOUR_S!r},",
        "        },",
        f"        .input_count = {len(inputs)}u, .inputs = (const struct tl_forecast_input[]){{",
        *(f"            {{TL_FORECAST_{how}}}," for how in inputs),
        "        },",
        "    }",
    ]
    return "/* For firmware/forecast, at file scope. */\n" + " \\\n".join(lines)


def _features_at(plan: InputPlan) -> int:
    """They stand together, in their order; a column may be called as one of them is."""
    names, count = plan.features.names, len(plan.features.names)
    return next(at for at in reversed(range(len(plan.names))) if plan.names[at : at + count] == names)


def _hours(plan: InputPlan) -> list[tuple[float, float]]:
    """Sine and cosine of each step of a day, as the calendar of the training says them."""
    civil = replace(plan.civil, time_zone="UTC")
    times = range(0, DAY_S * NS_PER_S, plan.step_s * NS_PER_S)
    terms = (calendar_terms(time, ("hour_sin", "hour_cos"), civil) for time in times)
    return [(sine, cosine) for sine, cosine in terms]


def _counts(steps: tuple[int, ...]) -> str:
    return f"(const uint32_t[]){{{', '.join(f'{one}u' for one in steps)}}}"
