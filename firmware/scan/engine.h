/* The scan: a program's tasks over the tag image, tick by tick. Free of any host: clocks are passed in, all memory is
 * the caller's, nothing allocates, blocks or calls the operating system.
 *
 * One thread runs all tasks, one after another, by priority (IEC 61131-3 6.8.2, non-preemptive): each sees whole data
 * without a lock. A tick is: inputs in as one snapshot, forces, each task that is due, forces, outputs out as one
 * batch.
 *
 * Every function here is called by that one thread but tl_program_check, tl_engine_prepare and tl_change_check, which
 * touch nothing that runs.
 */
#ifndef TIELINE_ENGINE_H
#define TIELINE_ENGINE_H

#include "force.h"
#include "histogram.h"
#include "io.h"
#include "trace.h"

#define TL_MAX_TASKS 64u
#define TL_MAX_TASK_NAME 63u
#define TL_MAX_FILE_TEXT 255u
#define TL_NO_SETPOINT UINT32_MAX
#define TL_MIN_INTERVAL_NS INT64_C(100000) /* a wake-up takes tens of µs on a posix host: less is no schedule */
#define TL_EVENT_POLL_NS INT64_C(1000000)  /* events are looked for this often, whatever the intervals are */
/* Outputs that did not change go out again this often, so that their receipt time says that the scan lives: who reads
 * them takes one older than three of these for not current. */
#define TL_OUTPUT_REFRESH_NS INT64_C(1000000000)

enum tl_mode { TL_MODE_STOPPED = 0, TL_MODE_RUNNING = 1, TL_MODE_FAULTED = 2 };
#define TL_MODES 3u

enum tl_event {
    TL_EVENT_COLD = 0, /* every variable starts with its initial value */
    TL_EVENT_WARM = 1, /* but the retained ones, which keep theirs */
    TL_EVENT_HOT = 2,  /* all go on as they stood when the program was stopped */
    TL_EVENT_STOP = 3,
    TL_EVENT_FAULT = 4,
};
#define TL_EVENTS 5u

enum tl_program_result {
    TL_PROGRAM_OK = 0,
    TL_PROGRAM_ABI_OTHER, /* made for another version of program.h */
    TL_PROGRAM_TASKS,     /* none, more than TL_MAX_TASKS, two of one name, a name too long */
    TL_PROGRAM_INTERVAL,  /* shorter than TL_MIN_INTERVAL_NS; or neither interval nor event */
    TL_PROGRAM_OFFSET,    /* an event or a retained variable outside the state */
};

enum tl_change_result {
    TL_CHANGE_OK = 0,
    TL_CHANGE_MOVES, /* a move outside a state, or not sorted by `from`, or sharing bytes with the one before */
};

/* Monotonic nanoseconds. */
struct tl_clock {
    void *context;
    int64_t (*now)(void *context);
};

/* What the engine keeps of a task. */
struct tl_task_record {
    int64_t deadline_ns;           /* of the next scan, on the clock */
    uint64_t count;                /* scans since the start */
    uint64_t overruns;             /* deadlines that passed without a scan */
    uint32_t order;                /* the task that runs as the i-th, kept in record i */
    bool was_event;                /* the event's BOOL when it was last looked at */
    struct tl_histogram jitter;    /* start of a scan after its deadline */
    struct tl_histogram durations; /* of scans */
};

struct tl_fault_record {
    uint32_t code; /* enum tl_fault; 0: never */
    uint32_t line;
    int64_t wall_ns;
    int64_t now_ns;                   /* the program's clock */
    char file[TL_MAX_FILE_TEXT + 1u]; /* empty where the fault has no place; the end of a path too long */
    char task[TL_MAX_TASK_NAME + 1u]; /* empty: none */
};

struct tl_engine {
    /* Set by the caller before tl_engine_init. */
    const struct tl_image *image;
    uint32_t owner;
    struct tl_clock clock;
    const struct tl_program *program;
    void *state;                    /* prepared */
    struct tl_io *io;               /* checked and started */
    struct tl_task_record *records; /* program->task_count */
    struct tl_forces forces;        /* list and limit */
    int32_t loop_budget;            /* turns of loops in one scan */

    /* Everything else is the engine's. */
    enum tl_mode mode;
    struct tl_scan scan;
    struct tl_trace trace;
    struct tl_fault_record fault; /* the last one; a start does not forget it */
    int64_t epoch_ns;             /* the clock at the program's 0 */
    int64_t stopped_ns;
    int64_t refresh_at_ns;
    int64_t poll_at_ns;
    bool has_events;
    uint64_t ticks;
    uint32_t changes; /* online changes since tl_engine_init */
};

/* A program that replaces the running one between two ticks. */
struct tl_change {
    const struct tl_program *program; /* checked */
    void *state;                      /* prepared */
    struct tl_io *io;                 /* checked and started */
    struct tl_task_record *records;   /* program->task_count */
    const uint32_t *setpoints;   /* of each of io's: which of the running io's it is; TL_NO_SETPOINT: a new one */
    struct tl_io *orphans;       /* outputs of the old wiring that the new one lacks: they turn safe; or NULL */
    const struct tl_move *moves; /* checked */
    size_t move_count;
    uint32_t forces_dropped; /* out: forces of variables that are no more */
};

/* Whether a program can be run at all. */
enum tl_program_result tl_program_check(const struct tl_program *program);

/* Initial values into `state` (program->state_bytes, zeroed here); false where that faulted: *fault says how. `scan`
 * is work space. */
bool tl_engine_prepare(const struct tl_program *program, void *state, struct tl_scan *scan, int32_t loop_budget,
                       int64_t wall_ns, struct tl_fault_record *fault);

/* Begin stopped, with the outputs safe from the first tick on. */
void tl_engine_init(struct tl_engine *engine);

/* The mode an event leads to; false where it is refused in this one. */
bool tl_mode_after(enum tl_mode mode, enum tl_event event, enum tl_mode *after);

/* Start with a state prepared (and, for TL_EVENT_WARM, restored) by the caller; NULL for TL_EVENT_HOT, which goes on
 * with the present one. `kept` is what was retained of each setpoint (zeros: nothing), for TL_EVENT_WARM;
 * NULL: they begin anew. False where refused. The tasks run in the next tick. */
bool tl_engine_start(struct tl_engine *engine, enum tl_event event, void *state, const struct tl_setpoint_kept *kept,
                     int64_t wall_ns);

/* The outputs turn safe in the next tick. */
bool tl_engine_stop(struct tl_engine *engine);

/* When the next tick is due, on the clock. */
int64_t tl_engine_due(const struct tl_engine *engine);

/* One tick; returns how many outputs went out. */
size_t tl_engine_tick(struct tl_engine *engine, int64_t wall_ns);

enum tl_change_result tl_change_check(const struct tl_change *change, const struct tl_program *old);

/* Go over to another program: variables by the moves, tasks by name with their phase and counts, forces and trace
 * with their variables. Never refused; any mode. The old program and its memory are the caller's again. */
void tl_engine_change(struct tl_engine *engine, struct tl_change *change, int64_t wall_ns);

/* Copy the retained variables to the same offsets of a second block, and what is kept of each setpoint, for somebody
 * slower to save; false, and nothing copied, after a fault: a scan that was left half way makes no state worth
 * keeping. */
bool tl_engine_keep(const struct tl_engine *engine, void *copy, struct tl_setpoint_kept *kept);

#endif
