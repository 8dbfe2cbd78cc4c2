/* Inputs and outputs of a scan: every pair of tag type and variable kind at its edges, bad samples, safe values. */
#include "check.h"
#include "io.h"
#include "lane.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>

#define TAG_BOOL 0u
#define TAG_INT 1u
#define TAG_UINT 2u
#define TAG_DOUBLE 3u
#define VARIABLE_AT 16u
#define QUALITY_AT 32u
#define GOOD_AT 40u
#define ACTIVE_AT 48u

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

static unsigned char *memory;

/* A wiring with its work space, over a state as it begins. */
static void start(struct tl_io *io, const void *from)
{
    free(memory);
    memory = aligned_alloc(TL_IO_ALIGNMENT, tl_io_bytes(io, &image) + TL_IO_ALIGNMENT);
    CHECK(memory != NULL);
    memset(memory, 0xA5, tl_io_bytes(io, &image)); /* what it does not set, it must not rest on */
    tl_io_start(io, &image, memory);
    tl_io_begin(io, from);
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
    const struct tl_input input = {.tag = tag,
                                   .offset = VARIABLE_AT,
                                   .quality_offset = QUALITY_AT,
                                   .good_offset = GOOD_AT,
                                   .kind = (uint8_t)kind,
                                   .type = image.types[tag]};
    struct tl_io io = {.inputs = &input, .input_count = 1};
    memset(state, 0x5A, sizeof state);
    start(&io, state);
    put(tag, value, status);
    CHECK_EQUAL(tl_io_read(&io, &image, state, 0, 0), TL_OK);
    memcpy(to, state + VARIABLE_AT, bytes);
    for (size_t i = VARIABLE_AT + bytes; i < QUALITY_AT; i++) {
        CHECK_EQUAL(state[i], 0x5A); /* nothing beside the variable was touched */
    }
    uint32_t quality;
    memcpy(&quality, state + QUALITY_AT, sizeof quality);
    CHECK_EQUAL(state[GOOD_AT], (quality & UINT32_C(0xC0000000)) == 0); /* Uncertain is not Good */
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
    const struct tl_output outputs[] = {
        {.tag = TAG_DOUBLE, .offset = 0, .active_offset = TL_NO_OFFSET, .kind = TL_KIND_F32, .type = TL_DOUBLE},
        {.tag = TAG_INT,
         .offset = 8,
         .active_offset = TL_NO_OFFSET,
         .kind = TL_KIND_I16,
         .type = TL_INT64,
         .safe = 7},
        {.tag = TAG_UINT,
         .offset = 16,
         .active_offset = TL_NO_OFFSET,
         .kind = TL_KIND_F64,
         .type = TL_UINT64,
         .safe = 9},
    };
    struct tl_io io = {.outputs = outputs, .output_count = 3};
    float power = 1.5f;
    int16_t count = -3;
    double energy = 1e30;
    size_t sent;
    uint32_t status;
    start(&io, state);
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

static void test_an_output_that_the_program_releases_keeps_its_value_with_no_data(void)
{
    const struct tl_output outputs[] = {
        {.tag = TAG_DOUBLE,
         .offset = 0,
         .active_offset = ACTIVE_AT,
         .kind = TL_KIND_F64,
         .type = TL_DOUBLE,
         .safe = bits(2.5)},
        {.tag = TAG_INT,
         .offset = 8,
         .active_offset = TL_NO_OFFSET,
         .kind = TL_KIND_I32,
         .type = TL_INT64,
         .flags = TL_OUTPUT_HOLDS},
    };
    struct tl_io io = {.outputs = outputs, .output_count = 2};
    double power = 3.0;
    int32_t count = 4;
    size_t sent;
    uint32_t status;
    put(TAG_INT, 44, 0);
    memset(state, 0, sizeof state);
    start(&io, state);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, NULL, false, 10, &sent), TL_OK);
    CHECK(written(TAG_INT, &status) == 44 &&
          status == TL_STATUS_OUT_OF_SERVICE); /* no safe value: what stood there */
    memcpy(state, &power, 8);
    memcpy(state + 8, &count, 4);
    state[ACTIVE_AT] = 1;
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, false, 11, &sent), TL_OK);
    CHECK(written(TAG_DOUBLE, &status) == bits(3.0) && status == TL_STATUS_GOOD);
    state[ACTIVE_AT] = 0;
    power = 4.0; /* the program counts on for itself */
    memcpy(state, &power, 8);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, false, 12, &sent), TL_OK);
    CHECK_EQUAL(sent, 1);
    CHECK(written(TAG_DOUBLE, &status) == bits(3.0) && status == TL_STATUS_NO_DATA);
    power = 5.0;
    memcpy(state, &power, 8);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, false, 13, &sent), TL_OK);
    CHECK_EQUAL(sent, 0);
    state[ACTIVE_AT] = 1;
    CHECK_EQUAL(tl_io_write(&io, &image, 0, state, false, 14, &sent), TL_OK);
    CHECK(written(TAG_DOUBLE, &status) == bits(5.0) && status == TL_STATUS_GOOD);
    CHECK_EQUAL(tl_io_write(&io, &image, 0, NULL, false, 15, &sent), TL_OK);
    CHECK(written(TAG_DOUBLE, &status) == bits(2.5) && status == TL_STATUS_OUT_OF_SERVICE); /* the safe one */
    CHECK(written(TAG_INT, &status) == 4 && status == TL_STATUS_OUT_OF_SERVICE);
}

/* Many inputs and outputs of a region of its own, of every size, with gaps, in any order, some tags twice. */
enum { TAGS = 400, OWNERS = 3, INPUTS = 300, OUTPUTS = 200, STATE = 16 * (INPUTS + OUTPUTS) };

struct field {
    struct tl_input inputs[INPUTS];
    struct tl_output outputs[OUTPUTS];
    uint32_t used;
};

static uint32_t seed = 1;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static uint32_t somewhere(struct field *field, uint32_t bytes)
{
    const uint32_t gap = any(3) == 0 ? any(4) : 0u;
    const uint32_t at = (field->used + gap + bytes - 1u) / bytes * bytes;
    field->used = at + bytes;
    return at;
}

static uint8_t type_of(uint32_t tag)
{
    return tag % 5u < 2u ? TL_DOUBLE : TL_UINT64;
}

static void make_many(struct check_plan *plan, uint32_t tags, struct tl_image *to)
{
    const struct tl_plan *made = check_plan_make(plan, tags, OWNERS, 0, 1024);
    for (uint32_t i = 0; i < tags; i++) {
        plan->types[i] = type_of(i);
    }
    check_region_make(made, to);
}

static void make_field(struct field *field)
{
    static const uint8_t kinds[] = {TL_KIND_U64, TL_KIND_U64, TL_KIND_I64, TL_KIND_I32,
                                    TL_KIND_U16, TL_KIND_I8,  TL_KIND_F64, TL_KIND_F64};
    field->used = 0;
    for (uint32_t i = 0; i < INPUTS; i++) {
        const uint8_t kind = kinds[any(sizeof kinds)];
        const uint32_t tag = any(TAGS);
        field->inputs[i] = (struct tl_input){
            .tag = tag, .offset = somewhere(field, tl_kind_bytes(kind)), .kind = kind, .type = type_of(tag)};
    }
    for (uint32_t i = 0; i < INPUTS; i++) {
        field->inputs[i].quality_offset = any(2) == 0 ? TL_NO_OFFSET : somewhere(field, 4);
        field->inputs[i].good_offset = any(2) == 0 ? TL_NO_OFFSET : somewhere(field, 1);
        const uint32_t other = any(i + 1u);
        const struct tl_input row = field->inputs[i];
        field->inputs[i] = field->inputs[other];
        field->inputs[other] = row;
    }
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        const uint8_t kind = kinds[any(sizeof kinds)];
        field->outputs[i] = (struct tl_output){.tag = (i * OWNERS) % TAGS, /* of owner 0 */
                                               .offset = somewhere(field, tl_kind_bytes(kind)),
                                               .kind = kind,
                                               .type = type_of(i * OWNERS % TAGS),
                                               .active_offset = any(8) == 0 ? somewhere(field, 1) : TL_NO_OFFSET};
    }
    CHECK(field->used <= STATE);
}

/* What an input has to be, worked out from its slot alone. */
static void check_input(const struct tl_input *row, const struct tl_sample *sample, const unsigned char *before,
                        const unsigned char *found)
{
    unsigned char expected[8];
    uint32_t status = sample->status;
    const uint32_t bytes = tl_kind_bytes(row->kind);
    memcpy(expected, before + row->offset, bytes);
    if ((status & UINT32_C(0x80000000)) == 0 && !tl_value_store(expected, row->kind, sample->value, row->type)) {
        status = TL_STATUS_OUT_OF_RANGE;
    }
    CHECK(memcmp(expected, found + row->offset, bytes) == 0);
    if (row->quality_offset != TL_NO_OFFSET) {
        CHECK(memcmp(found + row->quality_offset, &status, 4) == 0);
    }
    if (row->good_offset != TL_NO_OFFSET) {
        CHECK_EQUAL(found[row->good_offset], (status & UINT32_C(0xC0000000)) == 0);
    }
}

static void test_following_the_journal_comes_to_the_same_as_reading_every_slot(void)
{
    static struct check_plan many_plan;
    static struct tl_image many;
    static struct field field;
    static unsigned char found[STATE];
    make_field(&field);
    make_many(&many_plan, TAGS, &many);
    struct tl_io io = {.inputs = field.inputs, .input_count = INPUTS};
    unsigned char *space = aligned_alloc(TL_IO_ALIGNMENT, tl_io_bytes(&io, &many));
    CHECK(space != NULL);
    tl_io_start(&io, &many, space);
    memset(found, 0x11, sizeof found);
    tl_io_begin(&io, found);
    for (uint32_t round = 0; round < 400; round++) {
        /* Few, many, more than are followed, more than the journal holds, and none. */
        const uint32_t writes = (uint32_t[]){3, 60, 500, 5000, 0}[round % 5u];
        for (uint32_t i = 0; i < writes; i++) {
            const uint32_t tag = any(TAGS);
            const uint64_t value = any(4) == 0 ? any(3) : any(1000000);
            const uint32_t status = (uint32_t[]){0, 0, 0, UINT32_C(0x80050000), UINT32_C(0x40940000)}[any(5)];
            const int64_t time = round;
            const struct tl_batch batch = {.tags = &tag,
                                           .values = &value,
                                           .statuses = &status,
                                           .source_times = &time,
                                           .receipt_times = &time,
                                           .count = 1};
            size_t bad_row;
            CHECK_EQUAL(tl_image_write(&many, tag % OWNERS, &batch, &bad_row), TL_OK);
        }
        if (round % 50u == 49u) {
            tl_io_begin(&io, found); /* as an online change does */
        }
        CHECK_EQUAL(tl_io_read(&io, &many, found, 0, 0), TL_OK);
        for (uint32_t i = 0; i < INPUTS; i++) {
            struct tl_sample sample;
            CHECK_EQUAL(tl_image_read(&many, &field.inputs[i].tag, 1, &sample), TL_OK);
            check_input(&field.inputs[i], &sample, found, found);
        }
        /* A program that writes over its inputs finds them as they are in the next scan. */
        static unsigned char again[STATE];
        for (uint32_t i = 0; i < STATE; i++) {
            again[i] = (unsigned char)any(256);
        }
        CHECK_EQUAL(tl_io_read(&io, &many, again, 0, 0), TL_OK);
        for (uint32_t i = 0; i < INPUTS; i++) {
            CHECK(memcmp(again + field.inputs[i].offset, found + field.inputs[i].offset,
                         tl_kind_bytes(field.inputs[i].kind)) == 0);
        }
    }
    free(space);
    free(many.base);
}

static void test_outputs_compared_by_pieces_miss_no_change(void)
{
    static struct check_plan many_plan;
    static struct tl_image many;
    static struct field field;
    static _Alignas(8) unsigned char found[STATE];
    make_field(&field);
    make_many(&many_plan, TAGS * OWNERS, &many);
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        field.outputs[i].tag = i * OWNERS;
        field.outputs[i].type = type_of(i * OWNERS);
    }
    struct tl_io io = {.outputs = field.outputs, .output_count = OUTPUTS};
    unsigned char *space = aligned_alloc(TL_IO_ALIGNMENT, tl_io_bytes(&io, &many));
    CHECK(space != NULL);
    tl_io_start(&io, &many, space);
    memset(found, 0, sizeof found);
    tl_io_begin(&io, found);
    for (uint32_t round = 0; round < 300; round++) {
        for (uint32_t changes = (uint32_t[]){0, 1, 40, 20000}[round % 4u]; changes > 0; changes--) {
            found[any(STATE)] = (unsigned char[]){0, 1, 2, 0x7F, 0xF8, 0xFF}[any(6)]; /* a NaN now and then */
        }
        size_t sent;
        CHECK_EQUAL(tl_io_write(&io, &many, 0, found, round % 100u == 99u, round, &sent), TL_OK);
        CHECK(round != 99 || sent == OUTPUTS);
        for (uint32_t i = 0; i < OUTPUTS; i++) {
            const struct tl_output *row = &field.outputs[i];
            struct tl_sample sample;
            uint64_t expected = 0;
            CHECK_EQUAL(tl_image_read(&many, &row->tag, 1, &sample), TL_OK);
            const bool is_value = tl_value_load(found + row->offset, row->kind, row->type, &expected);
            const bool is_active = row->active_offset == TL_NO_OFFSET || found[row->active_offset] != 0;
            CHECK_EQUAL(sample.status, !is_active ? TL_STATUS_NO_DATA
                                       : is_value ? TL_STATUS_GOOD
                                                  : TL_STATUS_OUT_OF_RANGE);
            CHECK(!is_active || !is_value || sample.value == expected);
        }
    }
    free(space);
    free(many.base);
}

/* A writer that stands still in the middle of its second batch: slots ahead of what the journal tells. */
static void test_a_slot_that_is_ahead_of_the_journal_is_not_taken_back_by_older_records(void)
{
    enum { FOLLOWED = 64 };
    static struct check_plan plan;
    static struct tl_image ahead;
    static struct tl_input inputs[FOLLOWED];
    static uint64_t found[FOLLOWED];
    check_region_make(check_plan_make(&plan, FOLLOWED, 1, 0, 1024), &ahead);
    for (uint32_t i = 0; i < FOLLOWED; i++) {
        inputs[i] = (struct tl_input){.tag = i,
                                      .offset = i * 8u,
                                      .quality_offset = TL_NO_OFFSET,
                                      .good_offset = TL_NO_OFFSET,
                                      .kind = TL_KIND_U64,
                                      .type = TL_UINT64};
    }
    struct tl_io io = {.inputs = inputs, .input_count = FOLLOWED};
    unsigned char *space = aligned_alloc(TL_IO_ALIGNMENT, tl_io_bytes(&io, &ahead));
    CHECK(space != NULL);
    tl_io_start(&io, &ahead, space);
    tl_io_begin(&io, found);
    struct tl_lane *lane = &ahead.lanes[0];
    const struct tl_sample newest = {.tag = 5, .value = 3};
    check_write(&ahead, 0, 5, 1);
    const struct tl_batch batch = {.tags = &newest.tag,
                                   .values = (const uint64_t[]){2},
                                   .statuses = &newest.status,
                                   .source_times = &newest.source_time,
                                   .receipt_times = &newest.receipt_time,
                                   .count = 1};
    size_t bad_row;
    CHECK_EQUAL(tl_image_write(&ahead, 0, &batch, &bad_row), TL_OK); /* 2 */
    struct tl_batch last = batch;
    last.values = &newest.value;
    CHECK_EQUAL(tl_image_write(&ahead, 0, &last, &bad_row), TL_OK); /* 3 */
    TL_STORE(lane->published, 1u);
    CHECK_EQUAL(tl_io_read(&io, &ahead, found, 0, 0), TL_OK); /* every slot */
    CHECK_EQUAL(found[5], 3);
    for (uint64_t published = 1; published <= 3; published++) {
        TL_STORE(lane->published, published);
        CHECK_EQUAL(tl_io_read(&io, &ahead, found, 0, 0), TL_OK);
        CHECK_EQUAL(found[5], 3);
    }
    free(space);
    free(ahead.base);
}

enum { COUNTED = 120, COUNTED_BATCH = 60, COUNTED_ROUNDS = 3000 };

static struct tl_image counted;
static _Atomic bool is_counted;
static _Atomic uint32_t counted_scans;

/* Writes a number that only grows into batches of tags that lie anywhere. */
static void *count_up(void *argument)
{
    (void)argument;
    uint32_t tags[COUNTED_BATCH];
    uint64_t values[COUNTED_BATCH];
    const uint32_t status = 0;
    uint32_t place = 0;
    for (uint64_t number = 1; number <= COUNTED_ROUNDS; number++) {
        for (size_t i = 0; i < COUNTED_BATCH; i++) {
            place = (place + 7u) % COUNTED;
            tags[i] = place;
            values[i] = number;
        }
        const int64_t time = (int64_t)number;
        const struct tl_batch batch = {.tags = tags,
                                       .values = values,
                                       .statuses = &status,
                                       .source_times = &time,
                                       .receipt_times = &time,
                                       .count = COUNTED_BATCH,
                                       .value_step = 1};
        size_t bad_row;
        const uint32_t scans = atomic_load(&counted_scans);
        CHECK_EQUAL(tl_image_write(&counted, 0, &batch, &bad_row), TL_OK);
        while (number % (number < COUNTED_ROUNDS / 2 ? 1u : 4u) == 0 &&
               atomic_load(&counted_scans) == scans) { /* or so much would be written that nothing is followed */
            (void)sched_yield();
        }
    }
    atomic_store(&is_counted, true);
    return NULL;
}

static void test_an_input_never_goes_back_while_its_writer_is_in_the_middle_of_a_batch(void)
{
    static struct check_plan counted_plan;
    static struct tl_input inputs[COUNTED];
    static uint64_t found[COUNTED];
    static uint64_t before[COUNTED];
    check_region_make(check_plan_make(&counted_plan, COUNTED, 1, 0, 4096), &counted);
    for (uint32_t i = 0; i < COUNTED; i++) {
        inputs[i] = (struct tl_input){.tag = i,
                                      .offset = i * 8u,
                                      .quality_offset = TL_NO_OFFSET,
                                      .good_offset = TL_NO_OFFSET,
                                      .kind = TL_KIND_U64,
                                      .type = TL_UINT64};
    }
    struct tl_io io = {.inputs = inputs, .input_count = COUNTED};
    unsigned char *space = aligned_alloc(TL_IO_ALIGNMENT, tl_io_bytes(&io, &counted));
    CHECK(space != NULL);
    tl_io_start(&io, &counted, space);
    tl_io_begin(&io, found);
    pthread_t writer;
    CHECK_EQUAL(pthread_create(&writer, NULL, count_up, NULL), 0);
    bool is_over;
    do {
        is_over = atomic_load(&is_counted);
        memcpy(before, found, sizeof found);
        if (atomic_load(&counted_scans) % 3u == 0) {
            tl_io_begin(&io, found); /* so that slots and journal are read by turns */
        }
        CHECK_EQUAL(tl_io_read(&io, &counted, found, 0, 0), TL_OK);
        for (uint32_t i = 0; i < COUNTED; i++) {
            CHECK(found[i] >= before[i]);
        }
        atomic_fetch_add(&counted_scans, 1u);
    } while (!is_over);
    CHECK_EQUAL(pthread_join(writer, NULL), 0);
    for (uint32_t i = 0; i < COUNTED; i++) { /* the last word of each tag has come */
        struct tl_sample sample;
        CHECK_EQUAL(tl_image_read(&counted, &i, 1, &sample), TL_OK);
        CHECK_EQUAL(found[i], sample.value);
    }
    free(space);
    free(counted.base);
}

enum { VALUE, UNTIL, SEQUENCE, ACCEPTED, REASON, ANSWERED };

static void test_a_setpoint_is_judged_once_it_is_whole_and_answered_in_its_tags(void)
{
    static struct check_plan one_plan;
    static struct tl_image one;
    struct {
        float value;
        uint8_t valid;
    } variables = {0};
    const struct tl_plan *plan = check_plan_make(&one_plan, 6, 1, 0, 1024);
    const uint8_t types[] = {TL_DOUBLE, TL_INT64, TL_UINT64, TL_DOUBLE, TL_UINT64, TL_UINT64};
    memcpy(one_plan.types, types, sizeof types);
    check_region_make(plan, &one);
    const struct tl_setpoint row = {.value_tag = VALUE,
                                    .until_tag = UNTIL,
                                    .sequence_tag = SEQUENCE,
                                    .accepted_tag = ACCEPTED,
                                    .answered_tag = ANSWERED,
                                    .reason_tag = REASON,
                                    .offset = 0,
                                    .valid_offset = 4,
                                    .kind = TL_KIND_F32,
                                    .type = TL_DOUBLE,
                                    .low = bits(-100.0),
                                    .high = bits(100.0),
                                    .initial = bits(1.0),
                                    .fallback = bits(2.0),
                                    .rate = INFINITY,
                                    .valid_for_ns = 1000};
    struct tl_io io = {.setpoints = &row, .setpoint_count = 1};
    unsigned char *space = aligned_alloc(TL_IO_ALIGNMENT, tl_io_bytes(&io, &one));
    CHECK(space != NULL);
    tl_io_start(&io, &one, space);
    const struct {
        uint32_t tag;
        uint64_t value;
        uint32_t status;
        int64_t issued;
        float used;
        uint64_t reason;
        uint64_t answered;
        bool valid;
    } steps[] = {
        {VALUE, bits(50.0), 0, 10, 1.0f, TL_REASON_NONE_YET, 0, false},
        {UNTIL, 500, 0, 10, 1.0f, TL_REASON_NONE_YET, 0, false},
        {SEQUENCE, 7, 0, 10, 50.0f, TL_REASON_ACCEPTED, 7, true},
        {VALUE, bits(60.0), 0, 11, 50.0f, TL_REASON_ACCEPTED, 7, true}, /* its sequence is not there yet */
        {SEQUENCE, 8, 0, 11, 50.0f, TL_REASON_ACCEPTED, 7, true},       /* the end has another stamp */
        {UNTIL, 500, 0, 11, 60.0f, TL_REASON_ACCEPTED, 8, true},        /* now it is whole */
        {UNTIL, 500, UINT32_C(0x80050000), 12, 60.0f, TL_REASON_ACCEPTED, 8, true}, /* nothing new to judge */
        {VALUE, bits(70.0), 0, 12, 60.0f, TL_REASON_ACCEPTED, 8, true},
        {SEQUENCE, 9, 0, 12, 60.0f, TL_REASON_QUALITY, 9, true},
        {UNTIL, 0, 0, 13, 60.0f, TL_REASON_QUALITY, 9, true},
        {VALUE, bits(100.5), 0, 13, 60.0f, TL_REASON_QUALITY, 9, true},
        {SEQUENCE, 10, 0, 13, 60.0f, TL_REASON_LIMITS, 10, true},
    };
    size_t sent;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const struct tl_batch batch = {.tags = &steps[i].tag,
                                       .values = &steps[i].value,
                                       .statuses = &steps[i].status,
                                       .source_times = &steps[i].issued,
                                       .receipt_times = &steps[i].issued,
                                       .count = 1};
        size_t bad_row;
        CHECK_EQUAL(tl_image_write(&one, 0, &batch, &bad_row), TL_OK);
        CHECK_EQUAL(tl_io_read(&io, &one, &variables, 100 + (int64_t)i, 100 + (int64_t)i), TL_OK);
        CHECK_EQUAL(tl_io_write(&io, &one, 0, &variables, false, 100 + (int64_t)i, &sent), TL_OK);
        const uint32_t tags[] = {ACCEPTED, REASON, ANSWERED};
        struct tl_sample answers[3];
        CHECK_EQUAL(tl_image_read(&one, tags, 3, answers), TL_OK);
        CHECK(variables.value == steps[i].used && answers[0].value == bits((double)steps[i].used));
        CHECK_EQUAL(variables.valid, steps[i].valid);
        CHECK_EQUAL(answers[1].value, steps[i].reason);
        CHECK_EQUAL(answers[2].value, steps[i].answered);
        CHECK_EQUAL(answers[2].status, TL_STATUS_GOOD);
    }
    CHECK_EQUAL(tl_io_read(&io, &one, &variables, 600, 600), TL_OK); /* 60.0 was valid until 500 */
    CHECK(variables.value == 2.0f && variables.valid == 0);
    CHECK_EQUAL(tl_io_write(&io, &one, 0, NULL, false, 600, &sent), TL_OK);
    CHECK_EQUAL(sent, 3);
    struct tl_sample accepted;
    CHECK_EQUAL(tl_image_read(&one, &(uint32_t){ACCEPTED}, 1, &accepted), TL_OK);
    CHECK(accepted.value == bits(2.0) && accepted.status == TL_STATUS_OUT_OF_SERVICE);
    free(space);
    free(one.base);
}

int main(void)
{
    make_image();
    test_an_integer_that_fits_arrives_and_one_that_does_not_is_out_of_range();
    test_a_real_rounds_to_nearest_even_and_nan_or_infinity_is_no_integer();
    test_a_bad_sample_leaves_the_variable_and_gives_its_status();
    test_outputs_go_out_on_change_and_turn_safe_when_the_program_stops();
    test_an_output_that_the_program_releases_keeps_its_value_with_no_data();
    test_following_the_journal_comes_to_the_same_as_reading_every_slot();
    test_outputs_compared_by_pieces_miss_no_change();
    test_a_slot_that_is_ahead_of_the_journal_is_not_taken_back_by_older_records();
    test_an_input_never_goes_back_while_its_writer_is_in_the_middle_of_a_batch();
    test_a_setpoint_is_judged_once_it_is_whole_and_answered_in_its_tags();
    free(memory);
    free(image.base);
    return 0;
}
