/* A setpoint from above, judged before the program sees it: newer, not expired, in its limits, not too fast. What is
 * refused changes nothing; what has expired gives way to the fallback. Pure: clocks and values are passed in.
 */
#ifndef TIELINE_SETPOINT_H
#define TIELINE_SETPOINT_H

#include "value.h"

#define TL_SETPOINT_HOLDS 1u /* flag: no fallback, the last value stays */

/* Why the setpoint judged last was refused, or holds no more. Numbers are in tags and files: never reuse one. */
enum tl_reason {
    TL_REASON_ACCEPTED = 0,
    TL_REASON_NONE_YET = 1,
    TL_REASON_EXPIRED = 2,
    TL_REASON_SEQUENCE = 3, /* not newer than the newest that was judged */
    TL_REASON_LIMITS = 4,
    TL_REASON_TOO_FAST = 5,
    TL_REASON_NOT_A_NUMBER = 6,
    TL_REASON_QUALITY = 7,
};

/* A row of the wiring file. Values are raw bits of the value tag's type. */
struct tl_setpoint {
    uint32_t value_tag; /* of others */
    uint32_t until_tag;
    uint32_t sequence_tag;
    uint32_t accepted_tag; /* the scan's */
    uint32_t answered_tag;
    uint32_t reason_tag;
    uint32_t offset;       /* of the variable in the state */
    uint32_t valid_offset; /* of a BOOL; TL_NO_OFFSET: none */
    uint8_t kind;          /* enum tl_kind of the variable */
    uint8_t type;          /* enum tl_type of the value */
    uint16_t flags;
    uint32_t unused;
    uint64_t low;
    uint64_t high;
    uint64_t initial;
    uint64_t fallback;
    double rate; /* highest change a second; infinity: any */
    int64_t valid_for_ns;
    uint64_t key; /* in the retain file */
};

/* What outlives a warm start. Times are UTC ns. */
struct tl_setpoint_kept {
    uint64_t value;   /* that the program uses */
    uint64_t highest; /* sequence that was judged */
    uint64_t answered;
    int64_t valid_until;
    int64_t accepted_at; /* 0: never */
    uint8_t reason;
    uint8_t is_valid;
    uint8_t unused[6];
};
_Static_assert(sizeof(struct tl_setpoint) == 96 && sizeof(struct tl_setpoint_kept) == 48, "rows are drawn");

/* A setpoint in work. A clock that is set must neither prolong a value nor forget it early, so its end is kept on
 * both clocks and the earlier one counts. */
struct tl_setpoint_record {
    struct tl_setpoint_kept kept;
    int64_t deadline_ns;    /* of an accepted value, monotonic */
    int64_t accepted_at_ns; /* monotonic; where none was accepted yet, the program's start */
};

/* What stands in the three tags. */
struct tl_request {
    uint64_t value;
    uint64_t sequence;
    int64_t valid_until; /* 0: valid_for_ns from `issued` on */
    int64_t issued;      /* the source time */
    bool is_good;        /* all three */
};

/* Begin with the initial value, not valid. */
void tl_setpoint_reset(const struct tl_setpoint *row, struct tl_setpoint_record *record, int64_t now);

/* Begin with what a warm start found. An accepted value goes on only where it is still valid and within the limits of
 * today; otherwise it counts as expired. */
void tl_setpoint_restore(const struct tl_setpoint *row, struct tl_setpoint_record *record,
                         const struct tl_setpoint_kept *kept, int64_t now, int64_t wall);

/* Judge one request: a new value is accepted, or refused and all stays as it was. Either way it is answered. */
enum tl_reason tl_setpoint_judge(const struct tl_setpoint *row, struct tl_setpoint_record *record,
                                 const struct tl_request *request, int64_t now, int64_t wall);

/* The accepted value's end: called every scan. */
void tl_setpoint_age(const struct tl_setpoint *row, struct tl_setpoint_record *record, int64_t now, int64_t wall);

/* Whether there is anything to restore. */
bool tl_setpoint_is_kept(const struct tl_setpoint_kept *kept);

/* Whether a value is within the limits and fits the variable. */
bool tl_setpoint_fits(const struct tl_setpoint *row, uint64_t value);

#endif
