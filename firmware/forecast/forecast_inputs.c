/* See forecast_inputs.h. The same as historian/forecast/inputs.py and calendar.py, sums in another order. */
#include "forecast_inputs.h"

#include <math.h>

#define TURN 6.283185307179586
#define DAY_S 86400
#define YEAR_DAYS 365.25
#define USUAL_DAYS 28u      /* say what is usual at a time of day */
#define LEAST_USUAL_DAYS 5u /* fewer say nothing about a quarter of them */
#define LEAST_SUN_W_M2 10.0 /* of a lower sun a ratio says nothing */
#define MOST_SUN 2.0        /* times as strong, or weak, as on the day compared with */

/* What does not differ among the inputs of a lead. `before` and `day_before` are steps back from the issue. */
struct aim {
    const struct tl_forecast_plan *plan;
    const struct tl_forecast_history *history;
    const double *calendar;
    uint32_t lead;
    uint32_t before; /* the last time at or before the issue that is whole seasons before what is forecast */
    uint32_t day_before;
    double seasonal;
};

/* A signal so many steps before the issue; NaN before the first. */
static double signal_at(const struct aim *aim, uint32_t signal, uint32_t back)
{
    const size_t signals = aim->plan->features.signals;
    return back < aim->history->steps ? (aim->history->newest - (size_t)back * signals)[signal] : (double)NAN;
}

/* A column known ahead, so many steps after the issue, or at it. */
static double known_at(const struct aim *aim, uint32_t column, uint32_t ahead)
{
    return (aim->history->known + (size_t)ahead * aim->plan->known)[column];
}

static double known_before(const struct aim *aim, uint32_t column, uint32_t back)
{
    return (aim->history->known - (size_t)back * aim->plan->known)[column];
}

static double signal_rise(const struct aim *aim, uint32_t signal, uint32_t back)
{
    return signal_at(aim, signal, back) - signal_at(aim, signal, back + aim->plan->season);
}

/* Of the target over a window that ends so many steps before the issue; NaN where too few are present. */
static double mean_at(const struct aim *aim, uint32_t window, uint32_t back)
{
    double sum = 0.0;
    uint32_t present = 0;
    for (uint32_t i = 0; i < window; i++) {
        const double value = signal_at(aim, 0, back + i);
        if (!isnan(value)) {
            sum += value;
            present++;
        }
    }
    return present != 0 && present >= aim->plan->features.least_present * window ? sum / present : (double)NAN;
}

/* The target so many seasons before `before`; where that is missing and none is asked for, the next before it. */
static double seasonal(const struct aim *aim)
{
    double found = (double)NAN;
    for (uint32_t seasons = 0; seasons < aim->plan->seasons && isnan(found); seasons++) {
        found = signal_at(aim, 0, aim->before + seasons * aim->plan->season);
    }
    return found;
}

/* Of the seasonal and the seasons before it, as far as they are present. */
static double seasons_mean(const struct aim *aim)
{
    double sum = 0.0;
    uint32_t present = 0;
    for (uint32_t seasons = 0; seasons < aim->plan->seasons; seasons++) {
        const double value =
            seasons == 0 ? aim->seasonal : signal_at(aim, 0, aim->before + seasons * aim->plan->season);
        if (!isnan(value)) {
            sum += value;
            present++;
        }
    }
    return present != 0 ? sum / present : (double)NAN;
}

/* The target at the time of day, so many days before the last that is known, as much brighter as the sun will be. */
static double day_at(const struct aim *aim, uint32_t days)
{
    const uint32_t back = aim->day_before + days * aim->plan->day;
    const double value = signal_at(aim, 0, back);
    if (aim->plan->sun == TL_FORECAST_NO_SUN || isnan(value)) {
        return value;
    }
    const double now = known_at(aim, aim->plan->sun, aim->lead);
    const double then = known_before(aim, aim->plan->sun, back);
    if (!(then > LEAST_SUN_W_M2 && now > LEAST_SUN_W_M2)) {
        return value;
    }
    const double ratio = now / then;
    return value * (ratio > MOST_SUN ? MOST_SUN : ratio < 1.0 / MOST_SUN ? 1.0 / MOST_SUN : ratio);
}

/* A quantile of these, linear between two of them. */
static double usual(const struct aim *aim, uint32_t percent)
{
    double days[USUAL_DAYS];
    uint32_t count = 0;
    for (uint32_t day = 0; day < USUAL_DAYS; day++) {
        const double value = day_at(aim, day);
        if (!isnan(value)) {
            uint32_t to = count++;
            for (; to > 0 && days[to - 1u] > value; to--) {
                days[to] = days[to - 1u];
            }
            days[to] = value;
        }
    }
    if (count < LEAST_USUAL_DAYS) {
        return (double)NAN;
    }
    const double place = percent / 100.0 * (count - 1u);
    const uint32_t low = (uint32_t)place, high = low + 1u < count ? low + 1u : low;
    return days[low] + (place - low) * (days[high] - days[low]);
}

/* The target over the sun of a clear sky, of the last window with sun: by night that of the day before goes on. */
static double clearness(const struct aim *aim, uint32_t window)
{
    for (uint32_t back = 0; back < aim->history->steps; back++) {
        double power = 0.0, sun = 0.0;
        for (uint32_t i = 0; i < window && back + i < aim->history->steps; i++) {
            const double value = signal_at(aim, 0, back + i), clear = known_before(aim, aim->plan->sun, back + i);
            if (!isnan(value) && clear > LEAST_SUN_W_M2) {
                power += value;
                sun += clear;
            }
        }
        if (sun > LEAST_SUN_W_M2) {
            return power / sun;
        }
    }
    return (double)NAN;
}

static double input_of(const struct aim *aim, const struct tl_forecast_input *input)
{
    const uint32_t a = input->a, b = input->b, season = aim->plan->season;
    switch (input->kind) {
    case TL_FORECAST_SIGNAL_RISE:
        return signal_rise(aim, a, b);
    case TL_FORECAST_MEAN_RISE:
        return mean_at(aim, a, b) - mean_at(aim, a, b + season);
    case TL_FORECAST_LEAD:
        return aim->lead;
    case TL_FORECAST_SEASONAL:
        return aim->seasonal;
    case TL_FORECAST_SEASON_RISE:
        return signal_at(aim, 0, aim->before + a * season) - aim->seasonal;
    case TL_FORECAST_SEASONS_RISE:
        return seasons_mean(aim) - aim->seasonal;
    case TL_FORECAST_USUAL_RISE:
        return usual(aim, a) - aim->seasonal;
    case TL_FORECAST_CLEAR_RISE:
        return clearness(aim, a) * known_at(aim, aim->plan->sun, aim->lead) - aim->seasonal;
    case TL_FORECAST_DAY_AWAY_RISE:
        return signal_at(aim, 0, aim->day_before) - aim->seasonal;
    case TL_FORECAST_DAY_RISE:
        return signal_rise(aim, 0, aim->day_before);
    case TL_FORECAST_CALENDAR:
        return aim->calendar[a];
    case TL_FORECAST_KNOWN:
        return known_at(aim, a, aim->lead);
    case TL_FORECAST_KNOWN_RISE:
        return known_at(aim, a, aim->lead) - known_before(aim, a, aim->before);
    default:
        return (double)NAN;
    }
}

bool tl_forecast_issue(const struct tl_forecast_plan *plan, const struct tl_forecast_history *history, double *inputs)
{
    const struct aim aim = {.plan = plan, .history = history};
    if (history->steps < plan->steps_needed) {
        return false;
    }
    for (uint32_t i = 0; i < plan->input_count; i++) {
        if (plan->inputs[i].kind < TL_FORECAST_FEATURE) {
            inputs[i] = input_of(&aim, &plan->inputs[i]);
        }
    }
    tl_features_windows(&plan->features, history->newest, inputs + plan->features_at);
    return true;
}

/* Steps from the issue back to the last time at or before it that is whole periods before the lead. */
static uint32_t back_to(uint32_t lead, uint32_t period)
{
    return (period - lead % period) % period;
}

bool tl_forecast_lead(const struct tl_forecast_plan *plan, const struct tl_forecast_history *history, uint32_t lead,
                      const double calendar[TL_FORECAST_CALENDAR_TERMS], double *inputs)
{
    if (history->steps < plan->steps_needed || lead == 0 || lead > plan->horizon) {
        return false;
    }
    struct aim aim = {
        .plan = plan,
        .history = history,
        .calendar = calendar,
        .lead = lead,
        .before = back_to(lead, plan->season),
        .day_before = back_to(lead, plan->day),
    };
    aim.seasonal = seasonal(&aim);
    for (uint32_t i = 0; i < plan->input_count; i++) {
        if (plan->inputs[i].kind > TL_FORECAST_FEATURE) {
            inputs[i] = input_of(&aim, &plan->inputs[i]);
        }
    }
    return true;
}

static uint32_t days_of(uint32_t year)
{
    return year % 4u == 0 && (year % 100u != 0 || year % 400u == 0) ? 366u : 365u;
}

void tl_forecast_calendar(const struct tl_forecast_plan *plan, int64_t local_s,
                          double terms[TL_FORECAST_CALENDAR_TERMS])
{
    const uint32_t days = (uint32_t)(local_s / DAY_S), second = (uint32_t)(local_s % DAY_S);
    const uint32_t weekday = (days + 3u) % 7u; /* 1970 began on a Thursday; Monday is 0 */
    uint32_t year = 1970, day = days;
    while (day >= days_of(year)) {
        day -= days_of(year);
        year++;
    }
    const double hour = second / 3600u + second / 60u % 60u / 60.0 + second % 60u / 3600.0;
    const double share = (day + hour / 24.0) / YEAR_DAYS;
    terms[0] = hour;
    terms[1] = weekday;
    terms[2] = weekday >= 5u ? 1.0 : 0.0;
    /* Sines of the morning and of the afternoon are equal but for their last bit, and a tree may ask for that: so
     * they are those of the training. Where the zone lies off the steps, they are not in the table. */
    const bool is_known = second % plan->step_s == 0;
    terms[3] = is_known ? plan->hours[second / plan->step_s][0] : sin(TURN * hour / 24.0);
    terms[4] = is_known ? plan->hours[second / plan->step_s][1] : cos(TURN * hour / 24.0);
    terms[5] = sin(TURN * share);
    terms[6] = cos(TURN * share);
}
