/* What a forecast is made from, on a board: the inputs of an exported model (`tieline forecast export`), out of what
 * was observed up to the issue and what is known ahead.
 *
 * The header of an export says which inputs there are: `static const struct tl_forecast_plan plan = LOAD_PLAN;` at
 * file scope. A forecast is then, with the arrays of the caller:
 *
 *     tl_forecast_issue(&plan, &history, inputs);
 *     for (uint32_t lead = 1; lead <= LOAD_HORIZON; lead++) {
 *         const int64_t target_s = issue_s + (int64_t)lead * LOAD_STEP_S;
 *         tl_forecast_calendar(&plan, target_s + utc_offset_s(target_s), calendar);
 *         tl_forecast_lead(&plan, &history, lead, calendar, inputs);
 *         load_quantiles(inputs, target_s, quantiles[lead - 1]);
 *     }
 *
 * No state, no allocation, no I/O. Needs firmware/features, and the sine of the C library.
 */
#ifndef TIELINE_FORECAST_INPUTS_H
#define TIELINE_FORECAST_INPUTS_H

#include "feature_vectors.h"

#include <stdbool.h>
#include <stdint.h>

#define TL_FORECAST_CALENDAR_TERMS 7u /* hour, weekday, is_weekend, sine and cosine of the hour and of the year */
#define TL_FORECAST_NO_SUN UINT32_MAX

/* Those up to TL_FORECAST_FEATURE are the same for all leads of an issue. `a` and `b` are those of tl_forecast_input.
 */
enum tl_forecast_kind {
    TL_FORECAST_SIGNAL_RISE,  /* signal a, b steps before the issue: above a season before */
    TL_FORECAST_MEAN_RISE,    /* mean of the target over a steps that end b before the issue: above a season before */
    TL_FORECAST_FEATURE,      /* of firmware/features */
    TL_FORECAST_LEAD,         /* steps from the issue */
    TL_FORECAST_SEASONAL,     /* the target one season before what is forecast; where that is missing, two, three */
    TL_FORECAST_SEASON_RISE,  /* a more seasons before: above the seasonal */
    TL_FORECAST_SEASONS_RISE, /* the mean of all seasons looked back: above the seasonal */
    TL_FORECAST_USUAL_RISE,   /* a percent of the last days stay below it at this time: above the seasonal */
    TL_FORECAST_CLEAR_RISE,   /* as much sun as comes, as clear as over a steps until the issue: above the seasonal */
    TL_FORECAST_DAY_AWAY_RISE, /* the target at this time of the last day that is known: above the seasonal */
    TL_FORECAST_DAY_RISE,      /* the same: above what it was a season before that day */
    TL_FORECAST_CALENDAR,      /* term a, of the time that is forecast */
    TL_FORECAST_KNOWN,         /* what is known ahead, column a */
    TL_FORECAST_KNOWN_RISE,    /* the same: above what it was when the seasonal was */
};

struct tl_forecast_input {
    uint32_t kind, a, b;
};

/* Lengths in steps. */
struct tl_forecast_plan {
    uint32_t step_s;
    uint32_t horizon;
    uint32_t season;
    uint32_t seasons; /* how many are looked back */
    uint32_t day;
    uint32_t steps_needed; /* of history; with fewer than steps_wanted some inputs are missing */
    uint32_t steps_wanted;
    uint32_t known;              /* columns known ahead */
    uint32_t sun;                /* the one that is the sun in a clear sky, in W/m2; TL_FORECAST_NO_SUN: none */
    uint32_t features_at;        /* the place of the first of them among the inputs */
    const double (*hours)[2];    /* sine and cosine of the time of each step of a day, from midnight on the clock */
    struct tl_features features; /* of all signals, the target first */
    const struct tl_forecast_input *inputs;
    uint32_t input_count;
};

/* A row a step, in the order of time, without holes: what was not observed is NaN. All other values are finite. */
struct tl_forecast_history {
    const double *newest; /* the signals at the issue, the target first; earlier rows lie before it */
    const double
        *known;     /* the columns known ahead, at the issue; earlier rows before it, a horizon of rows after it */
    uint32_t steps; /* rows there are of both, that of the issue included */
};

/* The inputs that all leads share. False, and nothing written, where history is shorter than steps_needed. */
bool tl_forecast_issue(const struct tl_forecast_plan *plan, const struct tl_forecast_history *history,
                       double *inputs);

/* All others; `lead` is 1 to the horizon, else false, as where history is too short. */
bool tl_forecast_lead(const struct tl_forecast_plan *plan, const struct tl_forecast_history *history, uint32_t lead,
                      const double calendar[TL_FORECAST_CALENDAR_TERMS], double *inputs);

/* Of what the clock on the wall says at the time that is forecast, in seconds, as if it were UTC: add the offset of
 * the time zone, summer time included. From 1970 on.
 */
void tl_forecast_calendar(const struct tl_forecast_plan *plan, int64_t local_s,
                          double terms[TL_FORECAST_CALENDAR_TERMS]);

#endif
