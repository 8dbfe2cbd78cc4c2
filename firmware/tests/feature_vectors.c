/* Vectors are those of the formulas, look at no observation but their own, and say what is missing. */
#include "check.h"
#include "feature_vectors.h"

#include <math.h>

#define SIGNALS 19u /* more than are computed at once, and no multiple of it */
#define ROWS 9u

static const uint32_t lags[] = {1, 8};
static const uint32_t windows[] = {2, 9, 3};
static const uint32_t sources[] = {1, 18};
static const struct tl_features features = {
    .signals = SIGNALS,
    .lags = lags,
    .lag_count = 2,
    .windows = windows,
    .window_count = 3,
    .least_present = 0.5,
    .load = 0,
    .sources = sources,
    .source_count = 2,
    .slope_steps = 4,
    .step_h = 0.25,
};

/* Exactly as large as it has to be, so that a sanitizer sees a look past either end. */
static double *grid_make(void)
{
    CHECK_EQUAL(tl_features_reach(&features), ROWS);
    double *grid = malloc(sizeof *grid * ROWS * SIGNALS);
    CHECK(grid != NULL);
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t signal = 0; signal < SIGNALS; signal++) {
            grid[row * SIGNALS + signal] = (double)(signal * 100u + row * row);
        }
    }
    return grid;
}

static double *vector_of(const double *grid)
{
    const size_t width = tl_features_width(&features);
    CHECK_EQUAL(width, SIGNALS * (1 + 2 + 3 * 4));
    double *out = malloc(sizeof *out * width);
    CHECK(out != NULL);
    tl_features_windows(&features, grid + (ROWS - 1u) * SIGNALS, out);
    return out;
}

static double at(const double *out, uint32_t block, uint32_t signal)
{
    return out[block * SIGNALS + signal];
}

static void test_each_number_has_its_place(void)
{
    double *grid = grid_make();
    double *out = vector_of(grid);
    for (uint32_t signal = 0; signal < SIGNALS; signal++) {
        const double base = signal * 100.0;
        CHECK(at(out, 0, signal) == base + 64.0);
        CHECK(at(out, 1, signal) == base + 49.0);
        CHECK(at(out, 2, signal) == base);
        CHECK(at(out, 3, signal) == base + 56.5);                       /* mean of the last two */
        CHECK(fabs(at(out, 4, signal) - sqrt(112.5)) < 1e-12);          /* their deviation: 7.5^2 * 2 / 1 */
        CHECK(fabs(at(out, 7, signal) - (base + 204.0 / 9.0)) < 1e-12); /* squares of 0..8 are 204 */
        CHECK(at(out, 9, signal) == base && at(out, 10, signal) == base + 64.0);
        CHECK(at(out, 13, signal) == base + 36.0 && at(out, 14, signal) == base + 64.0);
    }
    free(out);
    free(grid);
}

static void test_what_is_missing_is_left_out_until_too_little_is_there(void)
{
    double *grid = grid_make();
    grid[8 * SIGNALS + 17] = NAN;
    for (uint32_t row = 0; row < 5; row++) {
        grid[row * SIGNALS + 18] = -NAN;
    }
    double *out = vector_of(grid);
    CHECK(isnan(at(out, 0, 17)) && at(out, 1, 17) == 1749.0);
    CHECK(at(out, 3, 17) == 1749.0 && isnan(at(out, 4, 17))); /* one of two: a mean, no deviation */
    CHECK(at(out, 5, 17) == 1749.0 && at(out, 6, 17) == 1749.0);
    CHECK(at(out, 11, 17) == 1742.5);
    CHECK(isnan(at(out, 7, 18)) && isnan(at(out, 9, 18)) && isnan(at(out, 10, 18))); /* four of nine */
    CHECK(!signbit(at(out, 2, 18)) && isnan(at(out, 2, 18)));
    CHECK(at(out, 3, 18) == 1856.5);
    free(out);
    free(grid);
}

static void test_the_net_load(void)
{
    double *grid = grid_make();
    for (uint32_t row = 0; row < ROWS; row++) {
        grid[row * SIGNALS] = 100.0;
        grid[row * SIGNALS + 1] = row == 6 ? 1000.0 : row; /* an outlier in the straight line */
        grid[row * SIGNALS + 18] = 2.0 * row;
    }
    double found[TL_FEATURES_NET_LOAD];
    const double *newest = grid + (ROWS - 1u) * SIGNALS;
    tl_features_net_load(&features, newest, found);
    CHECK(fabs(found[0] - 0.24) < 1e-15); /* (8 + 16) / 100 */
    CHECK(found[1] == -12.0);             /* three more each quarter of an hour */
    CHECK(found[2] == -12.0);
    grid[8 * SIGNALS] = 0.0;
    tl_features_net_load(&features, newest, found);
    CHECK(isnan(found[0]) && found[1] == (-24.0 - 79.0) / 0.25);
    for (uint32_t row = 5; row < 8; row++) {
        grid[row * SIGNALS] = NAN;
    }
    tl_features_net_load(&features, newest, found);
    CHECK(isnan(found[1]) && isnan(found[2]));
    free(grid);
}

static int ascending(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Whatever the order and however many are equal, the slope is the middle one of all when sorted. */
static void test_the_robust_slope_is_the_median(void)
{
    struct tl_features pairs = features;
    const uint32_t source = 1;
    pairs.signals = 2;
    pairs.sources = &source;
    pairs.source_count = 1;
    pairs.step_h = 1.0;
    pairs.least_present = 0.0;
    uint32_t random = 1;
    for (uint32_t round = 0; round < 2000; round++) {
        double grid[2 * TL_FEATURES_MAX_SLOPE_STEPS], slopes[2016], found[TL_FEATURES_NET_LOAD];
        pairs.slope_steps = 2u + round % 63u;
        for (uint32_t row = 0; row < pairs.slope_steps; row++) {
            random = random * 1664525u + 1013904223u;
            grid[2 * row] = (double)(random >> 16) / (round % 5u == 0 ? 65536.0 : 1.0);
            grid[2 * row] = round % 3u == 0 ? floor(grid[2 * row] / 20000.0) : grid[2 * row];
            grid[2 * row + 1] = random >> 29 == 0 && row != 0 ? (double)NAN : 0.0;
        }
        size_t count = 0;
        for (uint32_t later = 1; later < pairs.slope_steps; later++) {
            for (uint32_t earlier = 0; earlier < later; earlier++) {
                const double apart =
                    grid[2 * later] - grid[2 * later + 1] - (grid[2 * earlier] - grid[2 * earlier + 1]);
                if (!isnan(apart)) {
                    slopes[count++] = apart / (later - earlier);
                }
            }
        }
        qsort(slopes, count, sizeof *slopes, ascending);
        tl_features_net_load(&pairs, grid + 2 * (pairs.slope_steps - 1u), found);
        CHECK(count == 0 ? isnan(found[2]) : found[2] == (slopes[(count - 1) / 2] + slopes[count / 2]) / 2.0);
    }
}

int main(void)
{
    test_each_number_has_its_place();
    test_what_is_missing_is_left_out_until_too_little_is_there();
    test_the_net_load();
    test_the_robust_slope_is_the_median();
    return 0;
}
