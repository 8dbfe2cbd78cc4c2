/* See feature_vectors.h. The innermost loops go along the signals of one observation: they are vectors to the
 * compiler, and the order of each signal's sum stays that of time.
 */
#include "feature_vectors.h"

#include <math.h>

#define LANES 16u       /* signals at once */
#define LEAST_LOAD 1e-9 /* of which a share can be had, in the unit of the signal */

/* Whatever came out as NaN has one pattern of bits. */
static double plain(double value)
{
    return isnan(value) ? (double)NAN : value;
}

size_t tl_features_reach(const struct tl_features *features)
{
    uint32_t reach = features->source_count != 0 ? features->slope_steps : 1u;
    for (uint32_t i = 0; i < features->lag_count; i++) {
        reach = features->lags[i] >= reach ? features->lags[i] + 1u : reach;
    }
    for (uint32_t i = 0; i < features->window_count; i++) {
        reach = features->windows[i] > reach ? features->windows[i] : reach;
    }
    return reach;
}

size_t tl_features_width(const struct tl_features *features)
{
    const size_t blocks = 1u + (size_t)features->lag_count + (size_t)TL_FEATURES_STATISTICS * features->window_count;
    return blocks * features->signals;
}

/* The statistics of one window of at most LANES signals from `begin` on; `out` is the window's block. */
static void statistics(const struct tl_features *features, const double *newest, uint32_t size, uint32_t begin,
                       double *out)
{
    const size_t signals = features->signals;
    const size_t lanes = signals - begin < LANES ? signals - begin : LANES;
    double sum[LANES] = {0}, count[LANES] = {0}, squares[LANES] = {0}, least[LANES], greatest[LANES], mean[LANES];
    for (size_t lane = 0; lane < LANES; lane++) {
        least[lane] = INFINITY;
        greatest[lane] = -INFINITY;
    }
    for (uint32_t step = 0; step < size; step++) {
        const double *row = newest + begin - step * signals;
        for (size_t lane = 0; lane < lanes; lane++) {
            const double value = row[lane];
            const int present = !isnan(value);
            sum[lane] += present ? value : 0.0;
            count[lane] += present ? 1.0 : 0.0;
            least[lane] = value < least[lane] ? value : least[lane];
            greatest[lane] = value > greatest[lane] ? value : greatest[lane];
        }
    }
    for (size_t lane = 0; lane < lanes; lane++) {
        mean[lane] = sum[lane] / count[lane];
    }
    for (uint32_t step = 0; step < size; step++) {
        const double *row = newest + begin - step * signals;
        for (size_t lane = 0; lane < lanes; lane++) {
            const double apart = isnan(row[lane]) ? 0.0 : row[lane] - mean[lane];
            squares[lane] += apart * apart;
        }
    }
    for (size_t lane = 0; lane < lanes; lane++) {
        double *to = out + begin + lane;
        const int enough = count[lane] >= features->least_present * size && count[lane] > 0.0;
        to[0] = enough ? plain(mean[lane]) : (double)NAN;
        to[signals] = enough && count[lane] > 1.0 ? plain(sqrt(squares[lane] / (count[lane] - 1.0))) : (double)NAN;
        to[2u * signals] = enough ? least[lane] : (double)NAN;
        to[3u * signals] = enough ? greatest[lane] : (double)NAN;
    }
}

void tl_features_windows(const struct tl_features *features, const double *newest, double *out)
{
    const size_t signals = features->signals;
    for (size_t signal = 0; signal < signals; signal++) {
        out[signal] = plain(newest[signal]);
    }
    out += signals;
    for (uint32_t i = 0; i < features->lag_count; i++, out += signals) {
        const double *row = newest - (size_t)features->lags[i] * signals;
        for (size_t signal = 0; signal < signals; signal++) {
            out[signal] = plain(row[signal]);
        }
    }
    for (uint32_t i = 0; i < features->window_count; i++, out += TL_FEATURES_STATISTICS * signals) {
        for (uint32_t begin = 0; begin < features->signals; begin += LANES) {
            statistics(features, newest, features->windows[i], begin, out);
        }
    }
}

/* The value that stands at `place` when they are sorted; those before it are not greater then, those after not less
 * (Hoare 1961, the middle one as the pivot).
 */
static double ranked(double *values, size_t count, size_t place)
{
    size_t low = 0, high = count - 1u;
    while (low < high) {
        const double pivot = values[low + (high - low) / 2u];
        size_t left = low, right = high;
        for (;;) {
            while (values[left] < pivot) {
                left++;
            }
            while (values[right] > pivot) {
                right--;
            }
            if (left >= right) {
                break;
            }
            const double moved = values[left];
            values[left++] = values[right];
            values[right--] = moved;
        }
        /* [low, right] <= pivot <= [right + 1, high]; with left == right on the pivot itself it may go to either. */
        if (place <= right) {
            high = right;
        } else {
            low = right + 1u;
        }
    }
    return values[place];
}

static double median(double *values, size_t count)
{
    const double upper = ranked(values, count, count / 2u);
    if (count % 2u != 0) {
        return upper;
    }
    double lower = values[0];
    for (size_t i = 1; i < count / 2u; i++) {
        lower = values[i] > lower ? values[i] : lower;
    }
    return (lower + upper) / 2.0;
}

void tl_features_net_load(const struct tl_features *features, const double *newest, double *out)
{
    double net[TL_FEATURES_MAX_SLOPE_STEPS] = {0}; /* newest first */
    const uint32_t steps = features->slope_steps;
    for (uint32_t step = 0; step < steps; step++) {
        const double *row = newest - (size_t)step * features->signals;
        double renewable = row[features->sources[0]];
        for (uint32_t i = 1; i < features->source_count; i++) {
            renewable += row[features->sources[i]];
        }
        const double load = row[features->load];
        net[step] = load - renewable;
        if (step == 0) {
            out[0] = fabs(load) > LEAST_LOAD ? plain(renewable / load) : (double)NAN;
        }
    }
    out[1] = plain((net[0] - net[1]) / features->step_h);
    double slopes[TL_FEATURES_MAX_SLOPE_STEPS * (TL_FEATURES_MAX_SLOPE_STEPS - 1u) / 2u];
    size_t present = 0;
    for (uint32_t later = 0; later < steps; later++) {
        for (uint32_t earlier = later + 1u; earlier < steps; earlier++) {
            const double slope = (net[later] - net[earlier]) / ((earlier - later) * features->step_h);
            if (!isnan(slope)) {
                slopes[present++] = slope;
            }
        }
    }
    const double pairs = steps * (steps - 1u) / 2.0;
    const int enough = present != 0 && (double)present >= features->least_present * pairs;
    out[2] = enough ? plain(median(slopes, present)) : (double)NAN;
}
