/* Feature vectors out of windows of observations: what models are fed with, in a stream, in a batch and on a board.
 *
 * A vector is computed anew out of the observations it looks at, each sum from the newest to the oldest, so that it
 * has the same bits wherever and whenever it is computed. No state, no allocation, no I/O. Built without contraction
 * of a * b + c (-ffp-contract=off): a fused one rounds once less.
 */
#ifndef TIELINE_FEATURE_VECTORS_H
#define TIELINE_FEATURE_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#define TL_FEATURES_MAX_SLOPE_STEPS 64u /* their pairs are 2,016 */
#define TL_FEATURES_STATISTICS 4u       /* mean, sample standard deviation (n - 1), least, greatest */
#define TL_FEATURES_NET_LOAD 3u         /* renewable penetration, ramp, robust slope (both per hour) */

/* Missing values are NaN, here and in what comes of them; others are finite, and there is no -0.0. */
struct tl_features {
    uint32_t signals;     /* values an observation */
    const uint32_t *lags; /* steps back */
    uint32_t lag_count;
    const uint32_t *windows; /* steps, the present one included; at least 2 */
    uint32_t window_count;
    double least_present;    /* of a window, 0..1: with fewer of its values a statistic is missing */
    uint32_t load;           /* a signal */
    const uint32_t *sources; /* signals; source_count 0: no net load */
    uint32_t source_count;
    uint32_t slope_steps; /* 2..TL_FEATURES_MAX_SLOPE_STEPS, where there is a net load */
    double step_h;        /* hours between two observations */
};

/* Observations a vector looks at, the present one included. */
size_t tl_features_reach(const struct tl_features *features);

/* Numbers that tl_features_windows writes. */
size_t tl_features_width(const struct tl_features *features);

/* Signals; lags, each of all signals; of each window the four statistics, each of all signals. `newest` is the
 * newest observation; those before it lie before it.
 */
void tl_features_windows(const struct tl_features *features, const double *newest, double *out);

/* Of a net load: sources / load (missing where there is no load; it may exceed 1); the last change; the median of
 * the slopes of all pairs of slope_steps observations (Theil 1950, Sen 1968), where enough of them are present.
 */
void tl_features_net_load(const struct tl_features *features, const double *newest, double *out);

#endif
