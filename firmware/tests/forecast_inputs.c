/* Inputs look at no observation but those there are; what is missing stays so; the calendar is that of the clock. */
#include "check.h"
#include "forecast_inputs.h"

#include <math.h>

#define SIGNALS 2u
#define SEASON 4u
#define DAY 2u
#define HORIZON 6u
#define NEEDED (SEASON + DAY)

static const uint32_t lags[] = {1};
static const double hours[DAY][2] = {{0.25, 0.5}, {-0.25, -0.5}};

static const struct tl_forecast_input inputs[] = {
    {TL_FORECAST_SIGNAL_RISE, 1, 0},   {TL_FORECAST_MEAN_RISE, DAY, DAY}, {TL_FORECAST_LEAD, 0, 0},
    {TL_FORECAST_SEASONAL, 0, 0},      {TL_FORECAST_SEASON_RISE, 1, 0},   {TL_FORECAST_SEASONS_RISE, 0, 0},
    {TL_FORECAST_DAY_AWAY_RISE, 0, 0}, {TL_FORECAST_DAY_RISE, 0, 0},      {TL_FORECAST_USUAL_RISE, 50, 0},
    {TL_FORECAST_CLEAR_RISE, DAY, 0},  {TL_FORECAST_CALENDAR, 3, 0},      {TL_FORECAST_KNOWN, 0, 0},
    {TL_FORECAST_KNOWN_RISE, 0, 0},    {TL_FORECAST_FEATURE, 0, 0},       {TL_FORECAST_FEATURE, 0, 0},
    {TL_FORECAST_FEATURE, 0, 0},       {TL_FORECAST_FEATURE, 0, 0},
};
#define INPUTS (sizeof inputs / sizeof inputs[0])
enum { PAST_RISE, MEAN_RISE, LEAD, SEASONAL, SEASON_RISE, SEASONS_RISE, AWAY_RISE, DAY_RISE, USUAL_RISE, CLEAR_RISE };
enum { SINE = 10, KNOWN, KNOWN_RISE, FEATURES };

static const struct tl_forecast_plan plan = {
    .step_s = 43200,
    .horizon = HORIZON,
    .season = SEASON,
    .seasons = 3,
    .day = DAY,
    .steps_needed = NEEDED,
    .steps_wanted = 3 * SEASON + DAY,
    .known = 1,
    .sun = 0,
    .features_at = FEATURES,
    .hours = hours,
    .features = {.signals = SIGNALS, .lags = lags, .lag_count = 1, .least_present = 0.5},
    .inputs = inputs,
    .input_count = INPUTS,
};

/* So many rows, exactly as large as they have to be, so that a sanitizer sees a look past either end: the target is
 * the square of the row, counted from the issue back, and the sun 100 W/m2 and ten for each row since the first.
 */
struct world {
    double *signals, *known, found[INPUTS], calendar[TL_FORECAST_CALENDAR_TERMS];
    struct tl_forecast_history history;
};

static void world_make(struct world *to, uint32_t steps)
{
    to->signals = malloc(sizeof(double) * steps * SIGNALS);
    to->known = malloc(sizeof(double) * (steps + HORIZON));
    CHECK(to->signals != NULL && to->known != NULL);
    for (uint32_t row = 0; row < steps; row++) {
        const double back = steps - 1u - row;
        to->signals[row * SIGNALS] = back * back;
        to->signals[row * SIGNALS + 1u] = 7.0 * back;
    }
    for (uint32_t row = 0; row < steps + HORIZON; row++) {
        to->known[row] = 100.0 + 10.0 * row;
    }
    to->history = (struct tl_forecast_history){
        .newest = to->signals + (size_t)(steps - 1u) * SIGNALS, .known = to->known + steps - 1u, .steps = steps};
    tl_forecast_calendar(&plan, 0, to->calendar);
}

static void world_drop(struct world *world)
{
    free(world->signals);
    free(world->known);
}

static bool forecast(struct world *world, uint32_t lead)
{
    return tl_forecast_issue(&plan, &world->history, world->found) &&
           tl_forecast_lead(&plan, &world->history, lead, world->calendar, world->found);
}

static bool near(double found, double expected)
{
    return fabs(found - expected) < 1e-9;
}

static void test_each_input_is_what_its_formula_says(void)
{
    struct world world;
    world_make(&world, plan.steps_wanted);
    CHECK(forecast(&world, 3)); /* one season before is 1 back, a day before is 1 back */
    CHECK(near(world.found[PAST_RISE], 0.0 - 28.0));
    CHECK(near(world.found[MEAN_RISE], (4.0 + 9.0) / 2.0 - (36.0 + 49.0) / 2.0));
    CHECK(near(world.found[LEAD], 3.0));
    CHECK(near(world.found[SEASONAL], 1.0));
    CHECK(near(world.found[SEASON_RISE], 25.0 - 1.0));
    CHECK(near(world.found[SEASONS_RISE], (1.0 + 25.0 + 81.0) / 3.0 - 1.0));
    CHECK(near(world.found[AWAY_RISE], 0.0));
    CHECK(near(world.found[DAY_RISE], 1.0 - 25.0));
    CHECK(near(world.found[SINE], 0.25));
    CHECK(near(world.found[KNOWN], 100.0 + 10.0 * (plan.steps_wanted + 2u)));
    CHECK(near(world.found[KNOWN_RISE], 40.0));
    CHECK(near(world.found[FEATURES + 3u], 7.0));
    /* The last two rows: 0 and 1 over 230 and 220 W/m2, at the 260 of what is forecast. */
    CHECK(near(world.found[CLEAR_RISE], (0.0 + 1.0) / (230.0 + 220.0) * 260.0 - 1.0));
    /* The middle one of seven days, 7 back: 49 at 160 W/m2, brighter by the sun. */
    CHECK(near(world.found[USUAL_RISE], 49.0 * 260.0 / 160.0 - 1.0));
    CHECK(forecast(&world, SEASON)); /* whole seasons: the issue itself */
    CHECK(near(world.found[SEASONAL], 0.0));
    world_drop(&world);
}

static void test_a_hole_is_looked_up_a_season_before_and_the_rest_is_missing(void)
{
    struct world world;
    world_make(&world, plan.steps_wanted);
    world.signals[(plan.steps_wanted - 2u) * SIGNALS] = (double)NAN;
    CHECK(forecast(&world, 3));
    CHECK(near(world.found[SEASONAL], 25.0));
    CHECK(near(world.found[SEASONS_RISE], (25.0 + 25.0 + 81.0) / 3.0 - 25.0));
    CHECK(isnan(world.found[AWAY_RISE]) && isnan(world.found[DAY_RISE]));
    world_drop(&world);
}

static void test_the_shortest_history_looks_past_no_end(void)
{
    struct world world;
    world_make(&world, NEEDED);
    for (uint32_t lead = 1; lead <= HORIZON; lead++) {
        CHECK(forecast(&world, lead));
        CHECK(!isnan(world.found[SEASONAL]) && isnan(world.found[USUAL_RISE]));
    }
    CHECK(!forecast(&world, 0) && !forecast(&world, HORIZON + 1u));
    world.history.steps = NEEDED - 1u;
    CHECK(!forecast(&world, 1) && !tl_forecast_lead(&plan, &world.history, 1, world.calendar, world.found));
    world_drop(&world);
}

static void test_the_calendar_is_that_of_the_clock(void)
{
    double terms[TL_FORECAST_CALENDAR_TERMS];
    tl_forecast_calendar(&plan, INT64_C(1709251200) + 86399, terms); /* Friday 2024-03-01 23:59:59 */
    CHECK(near(terms[0], 23.0 + 59.0 / 60.0 + 59.0 / 3600.0));
    CHECK(near(terms[1], 4.0) && near(terms[2], 0.0));
    CHECK(near(terms[3], sin(6.283185307179586 * terms[0] / 24.0))); /* off the steps: not of the table */
    CHECK(near(terms[5], sin(6.283185307179586 * (60.0 + terms[0] / 24.0) / 365.25)));
    tl_forecast_calendar(&plan, INT64_C(1709337600) + 43200, terms); /* Saturday noon */
    CHECK(near(terms[0], 12.0) && near(terms[1], 5.0) && near(terms[2], 1.0) && near(terms[4], -0.5));
    tl_forecast_calendar(&plan, INT64_C(1735646400), terms); /* 2024-12-31, the 366th day */
    CHECK(near(terms[6], cos(6.283185307179586 * 365.0 / 365.25)));
}

int main(void)
{
    test_each_input_is_what_its_formula_says();
    test_a_hole_is_looked_up_a_season_before_and_the_rest_is_missing();
    test_the_shortest_history_looks_past_no_end();
    test_the_calendar_is_that_of_the_clock();
    return 0;
}
