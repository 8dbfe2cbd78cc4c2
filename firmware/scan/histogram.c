/* See histogram.h. A place is (octave, three bits below the leading one); the first octaves are exact. */
#include "histogram.h"

static uint32_t place_of(uint64_t ns)
{
    if (ns < 8u) {
        return (uint32_t)ns;
    }
    uint32_t octave = 3;
    while (octave < 63u && ns >> (octave + 1u) != 0) {
        octave++;
    }
    const uint32_t place = 8u * (octave - 2u) + (uint32_t)((ns >> (octave - 3u)) & 7u);
    return place < TL_HISTOGRAM_PLACES ? place : TL_HISTOGRAM_PLACES - 1u;
}

/* The largest duration a place holds. */
static int64_t upper_edge(uint32_t place)
{
    if (place < 8u) {
        return (int64_t)place;
    }
    const uint32_t octave = place / 8u + 2u;
    return (int64_t)(((UINT64_C(8) + place % 8u + 1u) << (octave - 3u)) - 1u);
}

void tl_histogram_add(struct tl_histogram *histogram, int64_t ns)
{
    const int64_t counted = ns < 0 ? 0 : ns;
    histogram->count++;
    histogram->places[place_of((uint64_t)counted)]++;
    if (counted > histogram->highest_ns) {
        histogram->highest_ns = counted;
    }
}

int64_t tl_histogram_quantile(const struct tl_histogram *histogram, uint32_t millionths)
{
    /* The smallest place with at least this share of all below or in it; count < 2^44 for 500 years at 1 kHz. */
    const uint64_t wanted = (histogram->count * millionths + 999999u) / 1000000u;
    uint64_t seen = 0;
    for (uint32_t place = 0; place < TL_HISTOGRAM_PLACES; place++) {
        seen += histogram->places[place];
        if (seen >= wanted && seen != 0) {
            const int64_t edge = upper_edge(place);
            return edge < histogram->highest_ns ? edge : histogram->highest_ns;
        }
    }
    return histogram->highest_ns;
}
