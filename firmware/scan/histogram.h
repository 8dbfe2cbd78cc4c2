/* Durations in a fixed table: eight places an octave, so that any quantile is known within 9 %. */
#ifndef TIELINE_HISTOGRAM_H
#define TIELINE_HISTOGRAM_H

#include <stdint.h>

#define TL_HISTOGRAM_OCTAVES 40u /* 2^40 ns are 18 minutes */
#define TL_HISTOGRAM_PLACES (8u * TL_HISTOGRAM_OCTAVES)

struct tl_histogram {
    uint64_t count;
    int64_t highest_ns;
    uint32_t places[TL_HISTOGRAM_PLACES];
};

/* Count one duration; a negative one counts as 0. */
void tl_histogram_add(struct tl_histogram *histogram, int64_t ns);

/* The upper edge of the place that holds the quantile (0..1,000,000 parts of a million); 0 where nothing was counted.
 */
int64_t tl_histogram_quantile(const struct tl_histogram *histogram, uint32_t millionths);

#endif
