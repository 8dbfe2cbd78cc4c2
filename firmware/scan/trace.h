/* A recorder of up to 16 variables after every scan of one task, around a trigger.
 *
 * A row is the program's clock (8 bytes) and 8 bytes a variable, its own bytes first and zeros behind. Rows go round
 * in memory of the caller: `before` rows up to the trigger stay, `after` rows from it on are added, then it is done.
 */
#ifndef TIELINE_TRACE_H
#define TIELINE_TRACE_H

#include "force.h"

#define TL_TRACE_VARIABLES 16u

enum tl_trace_mode {
    TL_TRACE_IDLE = 0,
    TL_TRACE_ARMED = 1,     /* recording, waiting for the trigger */
    TL_TRACE_TRIGGERED = 2, /* recording what comes after it */
    TL_TRACE_DONE = 3,      /* whole; rows may be read at leisure */
    TL_TRACE_LOST = 4,      /* an online change removed a traced variable or the task; rows before it may be read */
};

enum tl_trace_edge {
    TL_EDGE_NONE = 0, /* triggers with the first row */
    TL_EDGE_RISING = 1,
    TL_EDGE_FALLING = 2,
    TL_EDGE_EITHER = 3,
};

struct tl_trace_variable {
    uint32_t offset;
    uint8_t kind;  /* enum tl_kind; no string */
    uint8_t bytes; /* 1, 2, 4 or 8: what its kind takes */
    uint16_t unused;
};

struct tl_trace_plan {
    uint32_t task; /* index in the program */
    uint32_t variable_count;
    struct tl_trace_variable variables[TL_TRACE_VARIABLES];
    uint32_t before;
    uint32_t after;   /* from the trigger's row on, which is the first of them: at least 1 */
    uint32_t trigger; /* which of the variables */
    enum tl_trace_edge edge;
    double level; /* rising: from below it to it or above; for a BOOL 0.5 */
};

struct tl_trace {
    struct tl_trace_plan plan;
    enum tl_trace_mode mode;
    unsigned char *rows; /* of the caller: tl_trace_bytes(plan) */
    uint64_t recorded;   /* rows ever; row i stands at place i mod (before + after) */
    bool is_triggered;
    uint64_t triggered; /* the trigger's row */
    double last;        /* the trigger's variable one row ago */
};

/* Bytes of one row, and of the rows a plan needs; 0 where the plan is out of its limits or its variables outside the
 * state. */
size_t tl_trace_row_bytes(const struct tl_trace_plan *plan);
size_t tl_trace_bytes(const struct tl_trace_plan *plan, const struct tl_program *program);

/* Begin; `rows` has tl_trace_bytes(plan). */
void tl_trace_arm(struct tl_trace *trace, const struct tl_trace_plan *plan, unsigned char *rows);

/* End with what is there. */
void tl_trace_stop(struct tl_trace *trace);

/* Record the state after a scan of `task`. */
void tl_trace_record(struct tl_trace *trace, uint32_t task, int64_t now_ns, const void *state);

/* Rows that are there, and the first of them as a number in `recorded`. */
uint64_t tl_trace_first(const struct tl_trace *trace, uint64_t *count);

/* Follow the variables to another state and the task to its new index (TL_NO_TASK: gone). */
void tl_trace_move(struct tl_trace *trace, const struct tl_move *moves, size_t count, uint32_t task);

#define TL_NO_TASK UINT32_MAX

#endif
