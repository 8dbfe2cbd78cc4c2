/* Inputs and outputs of a scan: every pair of tag type and variable kind at its edges, bad samples, safe values. */
#include "check.h"
#include "io.h"

#include <math.h>

#define TAG_BOOL 0u
#define TAG_INT 1u
#define TAG_UINT 2u
#define TAG_DOUBLE 3u
#define VARIABLE_AT 16u
#define QUALITY_AT 32u

static struct check_plan plan_of;
static struct tl_image image;
static _Alignas(8) unsigned char state[64];

static void make_image(void)
{
    const struct tl_plan *plan = check_plan_make(&plan_of, 4, 1, 0, 1024);
    const uint8_t types[] = {TL_BOOL, TL_INT64, TL_UINT64, TL_DOUBLE};
    memcpy(plan_of.types, types, sizeof types);
    check_region_make(plan, &image);
}

static void put(uint32_t tag, uint64_t value, uint32_t status)
{
    const int64_t time = 1;
    const struct tl_batch batch = {.tags = &tag,
                                   .values = &value,
                                   .statuses = &status,
                                   .source_times = &time,
                                   .receipt_times = &time,
                                   .count = 1};
    size_t bad_row;
    CHECK_EQUAL(tl_image_write(&image, 0, &batch, &bad_row), TL_OK);
}

static uint64_t bits(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

/* Read `value` of `tag` into a variable of `kind` that held 0x5A bytes; returns its quality. */
static uint32_t read_into(uint32_t tag, uint64_t value, uint32_t status, enum tl_kind kind, void *to, size_t bytes)
{
    const struct tl_point input = {.tag = tag,
                                   .offset = VARIABLE_AT,
                                   .quality_offset = QUALITY_AT,
                                   .kind = (uint8_t)kind,
                                   .type = image.types[tag]};
    uint32_t tags[1];
    struct tl_sample samples[1];
    struct tl_io io = {.inputs = &input, .input_count = 1, .input_tags = tags, .samples = samples};
    memset(state, 0x5A, sizeof state);
    tl_io_start(&io);
    put(tag, value, status);
    CHECK_EQUAL(tl_io_read(&io, &image, state), TL_OK);
    memcpy(to, state + VARIABLE_AT, bytes);
    for (size_t i = VARIABLE_AT + bytes; i < QUALITY_AT; i++) {
        CHECK_EQUAL(state[i], 0x5A); /* nothing beside the variable was touched */
    }
    uint32_t quality;
    memcpy(&quality, state + QUALITY_AT, sizeof quality);
    return quality;
}

static void test_an_integer_that_fits_arrives_and_one_that_does_not_is_out_of_range(void)
{
    int8_t small = 0;
    CHECK_EQUAL(read_into(TAG_INT, (uint64_t)-128, 0, TL_KIND_I8, &small, 1), 0);
    CHECK_EQUAL(small, -128);
    CHECK_EQUAL(read_into(TAG_INT, (uint64_t)-129, 0, TL_KIND_I8, &small, 1), TL_STATUS_OUT_OF_RANGE);
    CHECK_EQUAL(small, 0x5A); /* the variable is as it was */
    CHECK_EQUAL(read_into(TAG_INT, 128, 0, TL_KIND_I8, &small, 1), TL_STATUS_OUT_OF_RANGE);
    uint16_t word = 0;
    CHECK_EQUAL(read_into(TAG_INT, 65535, 0, TL_KIND_U16, &word, 2), 0);
    CHECK_EQUAL(word, 65535);
    CHECK_EQUAL(read_into(TAG_INT, 65536, 0, TL_KIND_U16, &word, 2), TL_STATUS_OUT_OF_RANGE);
    CHECK_EQUAL(read_into(TAG_INT, (uint64_t)-1, 0, TL_KIND_U64, &word, 2), TL_STATUS_OUT_OF_RANGE);
    int64_t big = 0;
    CHECK_EQUAL(read_into(TAG_INT, (uint64_t)INT64_MIN, 0, TL_KIND_I64, &big, 8), 0);
    CHECK(big == INT64_MIN);
    CHECK_EQUAL(read_into(TAG_UINT, UINT64_C(1) << 63, 0, TL_KIND_I64, &big, 8), TL_STATUS_OUT_OF_RANGE);
}

static void test_a_real_rounds_to_nearest_even_and_nan_or_infinity_is_no_integer(void)
{
    int16_t value = 0;
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(2.5), 0, TL_KIND_I16, &value, 2), 0);
    CHECK_EQUAL(value, 2);
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(3.5), 0, TL_KIND_I16, &value, 2), 0);
    CHECK_EQUAL(value, 4);
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(-32768.4), 0, TL_KIND_I16, &value, 2), 0);
    CHECK_EQUAL(value, -32768);
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(32767.5), 0, TL_KIND_I16, &value, 2), TL_STATUS_OUT_OF_RANGE);
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits((double)NAN), 0, TL_KIND_I16, &value, 2), TL_STATUS_OUT_OF_RANGE);
    int64_t big = 0;
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(9223372036854775808.0), 0, TL_KIND_I64, &big, 8), TL_STATUS_OUT_OF_RANGE);
    uint64_t whole = 0;
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(-0.4), 0, TL_KIND_U64, &whole, 8), 0);
    CHECK_EQUAL(whole, 0);
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(18446744073709551616.0), 0, TL_KIND_U64, &whole, 8),
                TL_STATUS_OUT_OF_RANGE);
    float real = 0;
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(1e39), 0, TL_KIND_F32, &real, 4), TL_STATUS_OUT_OF_RANGE);
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(0.5), 0, TL_KIND_F32, &real, 4), 0);
    CHECK(real == 0.5f);
}

static void test_a_bad_sample_leaves_the_variable_and_gives_its_status(void)
{
    double value = 0;
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(7.0), UINT32_C(0x80050000), TL_KIND_F64, &value, 8), UINT32_C(0x80050000));
    unsigned char untouched[8];
    memset(untouched, 0x5A, sizeof untouched);
    CHECK(memcmp(&value, untouched, 8) == 0);
    CHECK_EQUAL(read_into(TAG_DOUBLE, bits(7.0), UINT32_C(0x40940000), TL_KIND_F64, &value, 8),
                UINT32_C(0x40940000)); /* Uncertain is a value */
    CHECK(value == 7.0);
    unsigned char flag = 9;
    CHECK_EQUAL(read_into(TAG_BOOL, 1, 0, TL_KIND_BOOL, &flag, 1), 0);
    CHECK_EQUAL(flag, 1);
}

static uint64_t written(uint32_t tag, uint32_t *status)
{
    struct tl_sample sample;
    CHECK_EQUAL(tl_image_read(&image, &tag, 1, &sample), TL_OK);
    *status = sample.status;
    return sample.value;
}

static void test_outputs_go_out_on_change_and_turn_safe_when_the_program_stops(void)
{
    const struct tl_point outputs[] = {
        {.tag = TAG_DOUBLE, .offset = 0, .kind = TL_KIND_F32, .type = TL_DOUBLE, .safe = 0},
        {.tag = TAG_INT, .offset = 8, .kind = TL_KIND_I16, .type = TL_INT64, .safe = 7},
        {.tag = TAG_UINT, .offset = 16, .kind = TL_KIND_F64, .type = TL_UINT64, .safe = 9},
    };
    uint64_t published[3];
    uint32_t published_statuses[3];
    uint32_t tags[3];
    uint64_t values[3];
    uint32_t statuses[3];
    struct tl_io io = {.outputs = outputs,
                       .output_count = 3,
                       .published = published,
                       .published_statuses = published_statuses,
                       .changed_tags = tags,
                       .changed_values = values,
                       .changed_statuses = statuses};
    float power = 1.5f;
    int16_t count = -3;
    double energy = 1e30;
    size_t sent;
    uint32_t status;
    tl_io_start(&io);
    memcpy(state, &power, 4);
    memcpy(state + 8, &count, 2);
    memcpy(state + 16, &energy, 8);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, false, 10, &sent), TL_OK);
    CHECK_EQUAL(sent, 3);
    CHECK(written(TAG_DOUBLE, &status) == bits(1.5) && status == TL_STATUS_GOOD);
    CHECK(written(TAG_INT, &status) == (uint64_t)-3);
    CHECK(written(TAG_UINT, &status) == UINT64_MAX); /* clamped, not wrapped */
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, false, 11, &sent), TL_OK);
    CHECK_EQUAL(sent, 0);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, true, 11, &sent), TL_OK);
    CHECK_EQUAL(sent, 3);
    power = (float)NAN;
    memcpy(state, &power, 4);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, false, 12, &sent), TL_OK);
    CHECK_EQUAL(sent, 1);
    CHECK(written(TAG_DOUBLE, &status) == bits(1.5) && status == TL_STATUS_OUT_OF_RANGE);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, NULL, false, 13, &sent), TL_OK);
    CHECK_EQUAL(sent, 3);
    CHECK(written(TAG_INT, &status) == 7 && status == TL_STATUS_OUT_OF_SERVICE);
    CHECK(written(TAG_DOUBLE, &status) == 0 && status == TL_STATUS_OUT_OF_SERVICE);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, NULL, false, 14, &sent), TL_OK);
    CHECK_EQUAL(sent, 0);
    CHECK_EQUAL(tl_io_write(&io, &image, 1, state, false, 14, &sent), TL_ERROR_OWNER);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, false, 15, &sent), TL_OK);
    CHECK_EQUAL(sent, 3); /* what was refused goes out with the next */
}

static void test_each_of_many_inputs_arrives_in_its_own_variable(void)
{
    enum { MANY = 300 }; /* more than two pieces of the read, and a rest */
    static struct tl_point inputs[MANY];
    static uint32_t tags[MANY];
    static struct tl_sample samples[MANY];
    static struct {
        int64_t variables[MANY];
        uint32_t qualities[MANY];
    } many;
    for (uint32_t i = 0; i < MANY; i++) {
        inputs[i] = (struct tl_point){.tag = i % 3 == 0 ? TAG_INT : TAG_UINT,
                                      .offset = i * 8u,
                                      .quality_offset = MANY * 8u + i * 4u,
                                      .kind = TL_KIND_I64,
                                      .type = i % 3 == 0 ? TL_INT64 : TL_UINT64};
    }
    struct tl_io io = {.inputs = inputs, .input_count = MANY, .input_tags = tags, .samples = samples};
    put(TAG_INT, (uint64_t)-7, 0);
    put(TAG_UINT, 9, UINT32_C(0x40940000));
    tl_io_start(&io);
    CHECK_EQUAL(tl_io_read(&io, &image, &many), TL_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        CHECK_EQUAL(many.variables[i], i % 3 == 0 ? -7 : 9);
        CHECK_EQUAL(many.qualities[i], i % 3 == 0 ? 0 : UINT32_C(0x40940000));
    }
}

int main(void)
{
    make_image();
    test_each_of_many_inputs_arrives_in_its_own_variable();
    test_an_integer_that_fits_arrives_and_one_that_does_not_is_out_of_range();
    test_a_real_rounds_to_nearest_even_and_nan_or_infinity_is_no_integer();
    test_a_bad_sample_leaves_the_variable_and_gives_its_status();
    test_outputs_go_out_on_change_and_turn_safe_when_the_program_stops();
    free(image.base);
    return 0;
}
