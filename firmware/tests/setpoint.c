/* Setpoints: every reason for a refusal, the end of what was accepted on either clock, and what a warm start finds.
 */
#include "check.h"
#include "setpoint.h"

#include <math.h>

#define S INT64_C(1000000000)
#define WALL (1000 * S)
#define GOOD true

static uint64_t bits(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

static struct tl_setpoint battery(void)
{
    const struct tl_setpoint row = {.kind = TL_KIND_F32,
                                    .type = TL_DOUBLE,
                                    .low = bits(-250.0),
                                    .high = bits(250.0),
                                    .initial = bits(5.0),
                                    .fallback = bits(0.0),
                                    .rate = 50.0,
                                    .valid_for_ns = 900 * S};
    return row;
}

static struct tl_request request(double value, uint64_t sequence, int64_t until)
{
    const struct tl_request asked = {
        .value = bits(value), .sequence = sequence, .valid_until = until, .issued = WALL, .is_good = GOOD};
    return asked;
}

static double used(const struct tl_setpoint_record *record)
{
    double value;
    memcpy(&value, &record->kept.value, sizeof value);
    return value;
}

static void test_what_is_refused_changes_nothing_but_the_answer(void)
{
    const struct tl_setpoint row = battery();
    struct tl_setpoint_record record;
    tl_setpoint_reset(&row, &record, 0);
    CHECK(used(&record) == 5.0 && record.kept.reason == TL_REASON_NONE_YET && record.kept.is_valid == 0);
    struct tl_request asked = request(30.0, 10, WALL + 60 * S);
    CHECK_EQUAL(tl_setpoint_judge(&row, &record, &asked, 2 * S, WALL), TL_REASON_ACCEPTED);
    CHECK(used(&record) == 30.0 && record.kept.is_valid == 1 && record.kept.answered == 10);
    const struct {
        struct tl_request asked;
        bool is_bad;
        enum tl_reason reason;
    } rows[] = {
        {request(31.0, 11, WALL), false, TL_REASON_EXPIRED},
        {request(31.0, 11, WALL + S), false, TL_REASON_SEQUENCE},
        {request(31.0, 9, WALL + S), false, TL_REASON_SEQUENCE},
        {request((double)NAN, 12, WALL + S), false, TL_REASON_NOT_A_NUMBER},
        {request((double)INFINITY, 13, WALL + S), false, TL_REASON_LIMITS},
        {request(250.1, 14, WALL + S), false, TL_REASON_LIMITS},
        {request(-250.1, 15, WALL + S), false, TL_REASON_LIMITS},
        {request(80.1, 16, WALL + S), false, TL_REASON_TOO_FAST}, /* 50 a second, within the same second */
        {request(-20.1, 17, WALL + S), false, TL_REASON_TOO_FAST},
        {request(31.0, 99, WALL + S), true, TL_REASON_QUALITY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        asked = rows[i].asked;
        asked.is_good = !rows[i].is_bad;
        CHECK_EQUAL(tl_setpoint_judge(&row, &record, &asked, 2 * S, WALL), rows[i].reason);
        CHECK(used(&record) == 30.0 && record.kept.is_valid == 1);
        CHECK_EQUAL(record.kept.answered, asked.sequence);
        CHECK_EQUAL(record.kept.reason, rows[i].reason);
    }
    CHECK_EQUAL(record.kept.highest, 17); /* 99 was Bad: it blocks no other */
    asked = request(80.0, 18, WALL + S);
    CHECK_EQUAL(tl_setpoint_judge(&row, &record, &asked, 2 * S, WALL), TL_REASON_ACCEPTED);
}

static void test_the_longer_nothing_was_accepted_the_further_a_step_may_go(void)
{
    const struct tl_setpoint row = battery();
    struct tl_setpoint_record record;
    tl_setpoint_reset(&row, &record, 0);
    struct tl_request asked = request(205.1, 1, WALL + 60 * S);
    CHECK_EQUAL(tl_setpoint_judge(&row, &record, &asked, 4 * S, WALL), TL_REASON_TOO_FAST);
    asked = request(205.0, 2, WALL + 60 * S); /* from 5 in 4 s */
    CHECK_EQUAL(tl_setpoint_judge(&row, &record, &asked, 4 * S, WALL), TL_REASON_ACCEPTED);
}

static void test_an_accepted_value_ends_on_the_clock_that_is_earlier(void)
{
    const struct tl_setpoint row = battery();
    const struct {
        int64_t now;
        int64_t wall;
        bool is_valid;
    } looks[] = {
        {9 * S, WALL + 9 * S, true},
        {10 * S, WALL + 10 * S, false},
        {10 * S, WALL - 500 * S, false}, /* the clock was set back */
        {1 * S, WALL + 10 * S, false},   /* and forward */
    };
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        struct tl_setpoint_record record;
        tl_setpoint_reset(&row, &record, 0);
        const struct tl_request asked = request(30.0, 1, WALL + 10 * S);
        CHECK_EQUAL(tl_setpoint_judge(&row, &record, &asked, 0, WALL), TL_REASON_ACCEPTED);
        tl_setpoint_age(&row, &record, looks[i].now, looks[i].wall);
        CHECK_EQUAL(record.kept.is_valid, looks[i].is_valid);
        CHECK(used(&record) == (looks[i].is_valid ? 30.0 : 0.0));
        CHECK_EQUAL(record.kept.reason, looks[i].is_valid ? TL_REASON_ACCEPTED : TL_REASON_EXPIRED);
    }
    struct tl_setpoint holds = battery();
    holds.flags = TL_SETPOINT_HOLDS;
    struct tl_setpoint_record record;
    tl_setpoint_reset(&holds, &record, 0);
    const struct tl_request asked = request(30.0, 1, 0); /* no end: 900 s from its source time */
    CHECK_EQUAL(tl_setpoint_judge(&holds, &record, &asked, 0, WALL), TL_REASON_ACCEPTED);
    CHECK_EQUAL(record.kept.valid_until, WALL + 900 * S);
    tl_setpoint_age(&holds, &record, 900 * S, WALL + 900 * S);
    CHECK(used(&record) == 30.0 && record.kept.is_valid == 0);
}

static void test_a_warm_start_keeps_what_is_still_valid_and_its_sequence_in_any_case(void)
{
    const struct tl_setpoint row = battery();
    const struct tl_setpoint_kept kept = {.value = bits(30.0),
                                          .highest = 40,
                                          .answered = 40,
                                          .valid_until = WALL + 60 * S,
                                          .accepted_at = WALL,
                                          .reason = TL_REASON_ACCEPTED,
                                          .is_valid = 1};
    struct tl_setpoint_record record;
    CHECK(tl_setpoint_is_kept(&kept));
    CHECK(!tl_setpoint_is_kept(&(struct tl_setpoint_kept){0}));
    tl_setpoint_restore(&row, &record, &kept, 7 * S, WALL + 2 * S);
    CHECK(used(&record) == 30.0 && record.kept.is_valid == 1);
    struct tl_request asked = request(31.0, 40, WALL + 60 * S);
    CHECK_EQUAL(tl_setpoint_judge(&row, &record, &asked, 7 * S, WALL + 2 * S), TL_REASON_SEQUENCE);
    asked = request(131.0, 41, WALL + 60 * S); /* 2 s of 50 since the acceptance before the restart: 130 */
    CHECK_EQUAL(tl_setpoint_judge(&row, &record, &asked, 7 * S, WALL + 2 * S), TL_REASON_TOO_FAST);
    tl_setpoint_age(&row, &record, 65 * S, WALL + 2 * S); /* its end goes on, on both clocks */
    CHECK_EQUAL(record.kept.is_valid, 0);

    tl_setpoint_restore(&row, &record, &kept, 0, WALL + 60 * S); /* the machine was off for too long */
    CHECK(used(&record) == 0.0 && record.kept.is_valid == 0 && record.kept.reason == TL_REASON_EXPIRED);
    CHECK_EQUAL(record.kept.highest, 40);

    struct tl_setpoint narrower = battery();
    narrower.high = bits(20.0);
    tl_setpoint_restore(&narrower, &record, &kept, 0, WALL + S);
    CHECK(used(&record) == 0.0 && record.kept.is_valid == 0);
    narrower.flags = TL_SETPOINT_HOLDS;
    tl_setpoint_restore(&narrower, &record, &kept, 0, WALL + S);
    CHECK(used(&record) == 5.0 && record.kept.is_valid == 0); /* nothing of it may be held */
}

static void test_whole_numbers_are_compared_as_such(void)
{
    const struct tl_setpoint row = {.kind = TL_KIND_I64,
                                    .type = TL_INT64,
                                    .low = (uint64_t)INT64_MIN,
                                    .high = (uint64_t)INT64_MAX - 1u,
                                    .rate = (double)INFINITY,
                                    .valid_for_ns = 1};
    CHECK(tl_setpoint_fits(&row, (uint64_t)INT64_MAX - 1u));
    CHECK(!tl_setpoint_fits(&row, (uint64_t)INT64_MAX)); /* the same double */
    CHECK(tl_setpoint_fits(&row, (uint64_t)INT64_MIN));
    struct tl_setpoint small = row;
    small.kind = TL_KIND_I16;
    CHECK(tl_setpoint_fits(&small, (uint64_t)-32768));
    CHECK(!tl_setpoint_fits(&small, 32768)); /* within the limits, but not in the variable */
    const struct tl_setpoint flag = {.kind = TL_KIND_BOOL, .type = TL_BOOL, .high = 1, .rate = 1.0};
    CHECK(tl_setpoint_fits(&flag, 1));
    CHECK(!tl_setpoint_fits(&flag, 2));
}

int main(void)
{
    test_what_is_refused_changes_nothing_but_the_answer();
    test_the_longer_nothing_was_accepted_the_further_a_step_may_go();
    test_an_accepted_value_ends_on_the_clock_that_is_earlier();
    test_a_warm_start_keeps_what_is_still_valid_and_its_sequence_in_any_case();
    test_whole_numbers_are_compared_as_such();
    return 0;
}
