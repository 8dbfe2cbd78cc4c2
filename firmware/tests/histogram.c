/* Quantiles from the table stay within an eighth of an octave of the true ones. */
#include "check.h"
#include "histogram.h"

static void test_small_durations_are_exact(void)
{
    struct tl_histogram histogram = {0};
    CHECK_EQUAL(tl_histogram_quantile(&histogram, 500000), 0);
    for (int64_t ns = 0; ns < 8; ns++) {
        tl_histogram_add(&histogram, ns);
    }
    CHECK_EQUAL(tl_histogram_quantile(&histogram, 500000), 3);
    CHECK_EQUAL(tl_histogram_quantile(&histogram, 1000000), 7);
}

static void test_every_magnitude_is_known_within_an_eighth_of_an_octave(void)
{
    for (int64_t ns = 8; ns < INT64_C(1) << 40; ns += ns / 7 + 1) {
        struct tl_histogram histogram = {0};
        tl_histogram_add(&histogram, ns);
        tl_histogram_add(&histogram, INT64_C(1) << 41); /* so that the maximum does not stand in for the place */
        const int64_t found = tl_histogram_quantile(&histogram, 500000);
        CHECK(found >= ns && found - ns <= ns / 8);
    }
}

static void test_the_tail_is_where_it_belongs(void)
{
    struct tl_histogram histogram = {0};
    for (int i = 0; i < 999; i++) {
        tl_histogram_add(&histogram, 1000);
    }
    tl_histogram_add(&histogram, 1000000);
    tl_histogram_add(&histogram, -5);
    CHECK(tl_histogram_quantile(&histogram, 990000) <= 1125);
    CHECK_EQUAL(tl_histogram_quantile(&histogram, 1000000), 1000000);
    CHECK_EQUAL(histogram.count, 1001);
    CHECK_EQUAL(histogram.highest_ns, 1000000);
}

int main(void)
{
    test_small_durations_are_exact();
    test_every_magnitude_is_known_within_an_eighth_of_an_octave();
    test_the_tail_is_where_it_belongs();
    return 0;
}
