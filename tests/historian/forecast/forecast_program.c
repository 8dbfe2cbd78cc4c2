/* Prints forecasts of an exported model, on the host and on the emulated board: of rows of inputs, and of a history,
 * from which it makes the inputs itself. Numbers are printed as the two halves of their bits.
 */
#include "forecast_inputs.h"
#include "given.h"
#include "model.h"

#include <string.h>
#ifdef __arm__
#include "board.h"
#else
#include <stdio.h>
static void board_write(const char *text)
{
    (void)fputs(text, stdout);
}
static void board_write_number(uint32_t number)
{
    (void)printf("%u", number);
}
static void board_count_from_zero(void)
{
}
static uint32_t board_instructions(void)
{
    return 0;
}
#endif

static const struct tl_forecast_plan plan = MODEL_PLAN;

static void say(const char *what, uint32_t number, uint32_t value)
{
    board_write(what);
    board_write_number(number);
    board_write(" ");
    board_write_number(value);
    board_write("\n");
}

static void say_all(const char *high, const char *low, uint32_t first, const double *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        say(high, first + i, (uint32_t)(bits >> 32u));
        say(low, first + i, (uint32_t)bits);
    }
}

int main(void)
{
    double quantiles[MODEL_QUANTILES], inputs[MODEL_INPUTS], calendar[TL_FORECAST_CALENDAR_TERMS];
    board_count_from_zero();
    (void)model_quantiles(rows[0], row_targets[0], quantiles);
    say("instructions", 0, board_instructions());
    for (uint32_t row = 0; row < ROWS; row++) {
        const bool is_one = model_quantiles(rows[row], row_targets[row], quantiles);
        say("given", row, is_one);
        say_all("row-high", "row-low", row * MODEL_QUANTILES, quantiles, MODEL_QUANTILES);
    }
    const struct tl_forecast_history history = {
        .newest = signals[STEPS - 1], .known = known[STEPS - 1], .steps = STEPS};
    say("issued", 0, tl_forecast_issue(&plan, &history, inputs));
    for (uint32_t lead = 1; lead <= MODEL_HORIZON; lead++) {
        const int64_t target_s = ISSUE_S + (int64_t)lead * MODEL_STEP_S;
        tl_forecast_calendar(&plan, target_s + offsets_s[lead - 1u], calendar);
        const bool is_one =
            tl_forecast_lead(&plan, &history, lead, calendar, inputs) && model_quantiles(inputs, target_s, quantiles);
        say("issued", lead, is_one);
        say_all("input-high", "input-low", (lead - 1u) * MODEL_INPUTS, inputs, MODEL_INPUTS);
        say_all("forecast-high", "forecast-low", (lead - 1u) * MODEL_QUANTILES, quantiles, MODEL_QUANTILES);
    }
    return 0;
}
