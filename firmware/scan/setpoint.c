/* See setpoint.h. */
#include "setpoint.h"

#include <math.h>
#include <string.h>

#define NS_PER_S 1e9
#define LEAST_RATE_NS INT64_C(1000000000) /* a step of one second's worth is always let through */

static double real_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double number_of(uint64_t bits, uint8_t type)
{
    switch (type) {
    case TL_DOUBLE:
        return real_of(bits);
    case TL_INT64:
        return (double)(int64_t)bits;
    default:
        return (double)bits;
    }
}

/* Whole numbers are compared as such: 2^63 - 1 is not 2^63. */
static bool is_within(uint64_t value, uint64_t low, uint64_t high, uint8_t type)
{
    switch (type) {
    case TL_DOUBLE:
        return isfinite(real_of(value)) && real_of(value) >= real_of(low) && real_of(value) <= real_of(high);
    case TL_INT64:
        return (int64_t)value >= (int64_t)low && (int64_t)value <= (int64_t)high;
    default:
        return value >= low && value <= high;
    }
}

bool tl_setpoint_fits(const struct tl_setpoint *row, uint64_t value)
{
    unsigned char variable[8];
    return is_within(value, row->low, row->high, row->type) && tl_value_store(variable, row->kind, value, row->type);
}

static int64_t sum(int64_t left, int64_t right) /* of a time and a span that is not negative */
{
    return left > INT64_MAX - right ? INT64_MAX : left + right;
}

static void expire(const struct tl_setpoint *row, struct tl_setpoint_record *record)
{
    record->kept.is_valid = 0;
    record->kept.reason = TL_REASON_EXPIRED;
    if ((row->flags & TL_SETPOINT_HOLDS) == 0) {
        record->kept.value = row->fallback;
    }
}

void tl_setpoint_reset(const struct tl_setpoint *row, struct tl_setpoint_record *record, int64_t now)
{
    *record = (struct tl_setpoint_record){
        .kept = {.value = row->initial, .reason = TL_REASON_NONE_YET},
        .accepted_at_ns = now,
    };
}

bool tl_setpoint_is_kept(const struct tl_setpoint_kept *kept)
{
    return kept->answered != 0 || kept->reason != 0;
}

void tl_setpoint_restore(const struct tl_setpoint *row, struct tl_setpoint_record *record,
                         const struct tl_setpoint_kept *kept, int64_t now, int64_t wall)
{
    record->kept = *kept;
    /* A clock that stands before the acceptance tells nothing of the time since: none of it counts. */
    const int64_t since = kept->accepted_at != 0 && wall > kept->accepted_at ? wall - kept->accepted_at : 0;
    record->accepted_at_ns = now - since;
    record->deadline_ns = kept->valid_until > wall ? sum(now, kept->valid_until - wall) : now;
    const bool fits = tl_setpoint_fits(row, kept->value);
    if (kept->is_valid != 0 && (kept->valid_until <= wall || !fits)) {
        expire(row, record);
    }
    if (!fits && (kept->is_valid == 0 || (row->flags & TL_SETPOINT_HOLDS) != 0)) {
        record->kept.value = row->initial; /* what was held is no value of this setpoint any more */
    }
}

static bool is_too_fast(const struct tl_setpoint *row, const struct tl_setpoint_record *record, uint64_t value,
                        int64_t now)
{
    const int64_t since = now - record->accepted_at_ns;
    const double seconds = (double)(since > LEAST_RATE_NS ? since : LEAST_RATE_NS) / NS_PER_S;
    return fabs(number_of(value, row->type) - number_of(record->kept.value, row->type)) > row->rate * seconds;
}

static enum tl_reason verdict(const struct tl_setpoint *row, const struct tl_setpoint_record *record,
                              const struct tl_request *request, int64_t until, int64_t now, int64_t wall)
{
    if (!request->is_good) {
        return TL_REASON_QUALITY;
    }
    if (request->sequence <= record->kept.highest) {
        return TL_REASON_SEQUENCE;
    }
    if (until <= wall) {
        return TL_REASON_EXPIRED;
    }
    if (row->type == TL_DOUBLE && isnan(real_of(request->value))) {
        return TL_REASON_NOT_A_NUMBER;
    }
    if (!tl_setpoint_fits(row, request->value)) {
        return TL_REASON_LIMITS;
    }
    return is_too_fast(row, record, request->value, now) ? TL_REASON_TOO_FAST : TL_REASON_ACCEPTED;
}

enum tl_reason tl_setpoint_judge(const struct tl_setpoint *row, struct tl_setpoint_record *record,
                                 const struct tl_request *request, int64_t now, int64_t wall)
{
    const int64_t until = request->valid_until != 0 ? request->valid_until : sum(request->issued, row->valid_for_ns);
    const enum tl_reason reason = verdict(row, record, request, until, now, wall);
    struct tl_setpoint_kept *kept = &record->kept;
    kept->answered = request->sequence;
    kept->reason = (uint8_t)reason;
    /* What was Bad is not known to have been sent at all: its number blocks no other. */
    if (request->is_good && request->sequence > kept->highest) {
        kept->highest = request->sequence;
    }
    if (reason == TL_REASON_ACCEPTED) {
        kept->value = request->value;
        kept->valid_until = until;
        kept->accepted_at = wall;
        kept->is_valid = 1;
        record->accepted_at_ns = now;
        record->deadline_ns = sum(now, until - wall);
    }
    return reason;
}

void tl_setpoint_age(const struct tl_setpoint *row, struct tl_setpoint_record *record, int64_t now, int64_t wall)
{
    if (record->kept.is_valid != 0 && (record->deadline_ns <= now || record->kept.valid_until <= wall)) {
        expire(row, record);
    }
}
