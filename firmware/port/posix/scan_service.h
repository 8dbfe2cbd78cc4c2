/* The side of the posix scan that may wait: prepares starts and online changes, saves what is retained, publishes the
 * system tags. One thread; it reaches the loop through its mailbox only.
 */
#ifndef TIELINE_SCAN_SERVICE_H
#define TIELINE_SCAN_SERVICE_H

#include "retain_file.h"
#include "scan_load.h"
#include "scan_loop.h"

#define TL_MAX_FORCES 256u /* a list that a person can still read; applied around every task */
#define TL_PUBLISH_NS INT64_C(1000000000)
#define TL_DEFAULT_RETAIN_NS \
    INT64_C(1000000000) /* what a power cut may cost; nothing is written where nothing changed */
#define TL_MAX_TRACE_BYTES ((size_t)8u << 20) /* 16 variables at 1 kHz for a minute */
/* Turns of loops in one scan: a loop of up to 4 ns a turn faults before the watchdog would have to, and so with its
 * line. */
#define TL_BUDGET_OF(watchdog_ns) ((watchdog_ns) / 4 < INT32_MAX ? (int32_t)((watchdog_ns) / 4) : INT32_MAX)
/* The watchdog ends a tick, or the process, before this: a loop that answers nothing for so long is no loop. */
#define TL_ANSWER_NS(watchdog_ns) (2 * (watchdog_ns) + INT64_C(3000000000))

struct tl_service {
    /* Set by the caller. */
    struct tl_segment *segment;
    uint32_t owner;
    int64_t watchdog_ns;
    int64_t retain_ns;
    bool is_realtime;
    bool is_locked;

    struct tl_loop loop;
    struct tl_load *load;
    struct tl_force forces[TL_MAX_FORCES];
    struct tl_retain_file retain;
    bool has_started; /* before a start there is nothing of worth to save */
    bool was_faulted; /* so that a fault is said once */
    bool is_saved;
    uint32_t restored;
    uint64_t saves;
    uint64_t failures;
    unsigned char *trace_rows;
    struct tl_scan scratch;
    struct tl_status status;
    struct tl_force status_forces[TL_MAX_FORCES];
};

/* Load, open the retain file, start the loop: stopped, outputs safe. */
bool tl_service_open(struct tl_service *service, const char *program, const char *wiring, const char *retain,
                     char why[TL_MAX_WHY]);

/* Everything below: false with `why` where it was refused. A loop that does not answer ends the process. */
bool tl_service_start(struct tl_service *service, enum tl_event event, char why[TL_MAX_WHY]);
bool tl_service_stop(struct tl_service *service, char why[TL_MAX_WHY]);
bool tl_service_trace(struct tl_service *service, const struct tl_trace_plan *plan, char why[TL_MAX_WHY]);

struct tl_changed {
    uint32_t forces_dropped;
    int64_t took_ns; /* of the loop's time */
};
bool tl_service_change(struct tl_service *service, const char *program, const char *wiring,
                       const struct tl_move *moves, size_t move_count, struct tl_changed *changed,
                       char why[TL_MAX_WHY]);

/* Hand a request to the loop; its answer is in the mail. */
void tl_service_ask(struct tl_service *service, struct tl_mail *mail);

/* A fresh service->status. */
void tl_service_look(struct tl_service *service);

/* Save what is retained where it changed. */
void tl_service_save(struct tl_service *service);

/* Write the system tags; says a new fault on stderr. */
void tl_service_publish(struct tl_service *service);

/* Outputs safe, retained variables saved, threads ended. */
void tl_service_close(struct tl_service *service);

#endif
