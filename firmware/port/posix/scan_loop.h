/* The real-time side of the posix scan: the loop thread that ticks the engine, the mailbox through which the service
 * thread asks it for things, and the watchdog.
 *
 * The loop never allocates, never waits for another thread, and touches no file or socket. It looks at the mailbox
 * between two ticks; whoever posted waits for it, never the other way round.
 */
#ifndef TIELINE_SCAN_LOOP_H
#define TIELINE_SCAN_LOOP_H

#include "engine.h"
#include "segment.h"

#include <pthread.h>

#define TL_MAIL_POLL_NS INT64_C(5000000) /* between ticks further apart than this the mailbox is looked at */
#define TL_MAX_PIECES 4096u              /* of one read or write: with 64 KiB in all a few µs of the loop's time */
#define TL_MAX_PIECE_BYTES 65536u

enum tl_mail_what {
    TL_MAIL_START,
    TL_MAIL_STOP,
    TL_MAIL_FAULT, /* note a fault of init, which happened outside the loop */
    TL_MAIL_READ,
    TL_MAIL_WRITE,
    TL_MAIL_FORCE,
    TL_MAIL_UNFORCE,
    TL_MAIL_UNFORCE_ALL,
    TL_MAIL_TRACE_ARM,
    TL_MAIL_TRACE_STOP,
    TL_MAIL_STATUS,
    TL_MAIL_KEEP,
    TL_MAIL_CHANGE,
    TL_MAIL_PUBLISH,
    TL_MAIL_END,
};

struct tl_piece {
    uint32_t offset;
    uint32_t bytes;
};

/* A string to publish. */
struct tl_text {
    uint32_t tag;
    uint16_t bytes;
    const char *text;
};

/* A copy of the engine's own words, for status. `records` and `forces` have room for all. */
struct tl_status {
    enum tl_mode mode;
    enum tl_trace_mode trace_mode;
    uint64_t ticks;
    uint32_t changes;
    uint32_t force_count;
    struct tl_fault_record fault;
    struct tl_task_record records[TL_MAX_TASKS];
    struct tl_force *forces;
};

/* One request. Pointers are the poster's and stay valid until it is answered. */
struct tl_mail {
    enum tl_mail_what what;
    bool is_done; /* out: false where it was refused */
    union {
        struct {
            enum tl_event event;
            void *state;
            const struct tl_setpoint_kept *kept; /* NULL: setpoints begin anew */
        } start;
        const struct tl_fault_record *fault;
        struct {
            const struct tl_piece *pieces; /* checked to lie inside the state */
            uint32_t count;
            unsigned char *bytes; /* all pieces one after another */
            uint64_t ticks;       /* out */
            int64_t now_ns;       /* out: the program's clock at the last scan */
        } copy;
        struct {
            uint32_t offset;
            uint32_t bytes;
            unsigned char value[TL_FORCE_BYTES];
            enum tl_force_result result; /* out */
        } force;
        struct {
            const struct tl_trace_plan *plan;
            unsigned char *rows;
        } trace;
        struct tl_status *status;
        struct {
            void *state;
            struct tl_setpoint_kept *setpoints;
        } keep;
        struct {
            struct tl_change *change;
            int64_t took_ns; /* out */
        } change;
        struct {
            const uint32_t *tags;
            const uint64_t *values;
            uint32_t count;
            const struct tl_text *texts;
            uint32_t text_count;
            uint32_t owner;
        } publish;
    };
};

struct tl_loop {
    struct tl_engine engine;
    const struct tl_segment *segment;
    int64_t watchdog_ns;

    pthread_t thread;
    pthread_t watchdog;
    struct tl_mail *_Atomic mail;  /* posted; NULL once answered */
    _Atomic int64_t tick_since_ns; /* when the tick that runs began; 0: none does */
    _Atomic int64_t bark_for_ns;   /* the tick the watchdog barks at */
    _Atomic unsigned barks;        /* at that tick */
    _Atomic bool is_ended;
};

/* Monotonic and UTC nanoseconds. */
int64_t tl_monotonic_ns(void);
int64_t tl_wall_ns(void);

/* Start both threads; the engine is initialised. `priority` of SCHED_FIFO; 0: none asked. False: no thread. */
bool tl_loop_start(struct tl_loop *loop, char *why, size_t why_bytes);

/* Give the loop its real-time priority, the watchdog one more; an errno where the system refuses. */
int tl_loop_raise(const struct tl_loop *loop, int priority);

/* Hand a request to the loop and wait for its answer, at most `timeout_ns`; false: it does not answer, and `mail`
 * must stay where it is for ever. */
bool tl_loop_post(struct tl_loop *loop, struct tl_mail *mail, int64_t timeout_ns);

/* End the threads after TL_MAIL_END. */
void tl_loop_join(struct tl_loop *loop);

/* Run generated code of `scan` in this thread under the guard that turns a trap of the processor into a fault. NULL:
 * no more. */
void tl_guard(struct tl_scan *scan);

#endif
