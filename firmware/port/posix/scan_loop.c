/* See scan_loop.h. */
#define _GNU_SOURCE
#include "scan_loop.h"

#include "words.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define ANSWER_POLL_NS INT64_C(100000) /* how often a poster looks for its answer */
#define BARK_PAUSE_NS INT64_C(1000000)
#define SOFT_BARKS 8u
/* So many barks, a second of them, and the process ends: only that frees the outputs. Counted, not timed: a process
 * that was held by SIGSTOP in the middle of a tick comes back long after its time and is well. */
#define HOPELESS_BARKS 1000u
#define BARK_SIGNAL SIGUSR2
#define EXIT_HOPELESS 70
#define GUARD_STACK_BYTES 65536u /* of the handlers: a trap may come from a stack that is used up */

/* Which scan runs generated code in this thread. Thread-local because a handler has nothing else to find it by. */
static _Thread_local struct tl_scan *volatile guarded;
static _Thread_local struct tl_loop *volatile guarded_loop;
static _Thread_local unsigned char guard_stack[GUARD_STACK_BYTES];
static _Thread_local stack_t stack_before; /* a sanitizer's own, which it wants back */

int64_t tl_monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t tl_wall_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t engine_clock(void *context)
{
    (void)context;
    return tl_monotonic_ns();
}

static void sleep_until(int64_t at_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* The watchdog's signal, in the loop thread. First it uses up the loop budget: a loop of generated code then faults
 * at its own line. Code that counts no budget, or holds it in a register, is left by force at the second bark. */
static void on_bark(int signal)
{
    (void)signal;
    struct tl_loop *loop = guarded_loop;
    struct tl_scan *scan = guarded;
    if (loop == NULL || scan == NULL || scan->escape == NULL ||
        TL_LOAD(loop->bark_for_ns) != TL_LOAD(loop->tick_since_ns)) {
        return; /* between two tasks: the tick goes on and ends by itself */
    }
    if (TL_LOAD(loop->barks) <= SOFT_BARKS) {
        scan->loop_budget = 0;
        return;
    }
    tl_raise(scan, TL_FAULT_WATCHDOG, TL_NO_FILE, 0);
}

static void on_trap(int trap)
{
    struct tl_scan *scan = guarded;
    if (scan != NULL && scan->escape != NULL) {
        tl_raise(scan, TL_FAULT_TRAP, TL_NO_FILE, 0);
    }
    (void)signal(trap, SIG_DFL); /* our own bug: the instruction traps again and the process ends with its core */
}

void tl_guard(struct tl_scan *scan)
{
    if (scan != NULL && guarded == NULL) {
        const stack_t stack = {.ss_sp = guard_stack, .ss_size = sizeof guard_stack};
        (void)sigaltstack(&stack, &stack_before);
    } else if (scan == NULL && guarded != NULL) {
        (void)sigaltstack(&stack_before, NULL);
    }
    guarded = scan;
}

static void set_handlers(void)
{
    /* SA_NODEFER: a handler that leaves by longjmp must not leave its signal blocked. */
    struct sigaction action = {.sa_flags = SA_ONSTACK | SA_NODEFER};
    static const int traps[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    (void)sigemptyset(&action.sa_mask);
    action.sa_handler = on_trap;
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++) {
        (void)sigaction(traps[i], &action, NULL);
    }
    action.sa_handler = on_bark;
    (void)sigaction(BARK_SIGNAL, &action, NULL);
}

static void copy_out(const struct tl_engine *engine, struct tl_mail *mail)
{
    const unsigned char *state = engine->state;
    unsigned char *to = mail->copy.bytes;
    for (uint32_t i = 0; i < mail->copy.count; i++) {
        memcpy(to, state + mail->copy.pieces[i].offset, mail->copy.pieces[i].bytes);
        to += mail->copy.pieces[i].bytes;
    }
    mail->copy.ticks = engine->ticks;
    mail->copy.now_ns = engine->scan.now_ns;
}

static void copy_in(const struct tl_engine *engine, const struct tl_mail *mail)
{
    unsigned char *state = engine->state;
    const unsigned char *from = mail->copy.bytes;
    for (uint32_t i = 0; i < mail->copy.count; i++) {
        memcpy(state + mail->copy.pieces[i].offset, from, mail->copy.pieces[i].bytes);
        from += mail->copy.pieces[i].bytes;
    }
}

static void copy_status(const struct tl_engine *engine, struct tl_status *status)
{
    status->mode = engine->mode;
    status->trace_mode = engine->trace.mode;
    status->ticks = engine->ticks;
    status->changes = engine->changes;
    status->fault = engine->fault;
    status->force_count = engine->forces.count;
    memcpy(status->records, engine->records, engine->program->task_count * sizeof *engine->records);
    memcpy(status->forces, engine->forces.list, engine->forces.count * sizeof *engine->forces.list);
}

static bool publish(const struct tl_loop *loop, const struct tl_mail *mail)
{
    const struct tl_image *image = loop->engine.image;
    const int64_t wall = tl_wall_ns();
    const uint32_t good = TL_STATUS_GOOD;
    const struct tl_batch batch = {
        .tags = mail->publish.tags,
        .values = mail->publish.values,
        .statuses = &good,
        .source_times = &wall,
        .receipt_times = &wall,
        .count = mail->publish.count,
        .value_step = 1,
    };
    size_t bad_row;
    bool is_whole = batch.count == 0 || tl_image_write(image, mail->publish.owner, &batch, &bad_row) == TL_OK;
    for (uint32_t i = 0; i < mail->publish.text_count; i++) {
        const struct tl_text *text = &mail->publish.texts[i];
        is_whole = tl_image_write_text(image, mail->publish.owner, text->tag, text->text, text->bytes, good, wall,
                                       wall) == TL_OK &&
                   is_whole;
    }
    tl_segment_ring(loop->segment);
    return is_whole;
}

static bool serve(struct tl_loop *loop, struct tl_mail *mail)
{
    struct tl_engine *engine = &loop->engine;
    switch (mail->what) {
    case TL_MAIL_START:
        return tl_engine_start(engine, mail->start.event, mail->start.state, mail->start.kept, tl_wall_ns());
    case TL_MAIL_STOP:
        return tl_engine_stop(engine);
    case TL_MAIL_FAULT:
        engine->fault = *mail->fault;
        return true;
    case TL_MAIL_READ:
        copy_out(engine, mail);
        return true;
    case TL_MAIL_WRITE:
        copy_in(engine, mail);
        return true;
    case TL_MAIL_FORCE:
        mail->force.result = tl_force_set(&engine->forces, mail->force.offset, mail->force.bytes, mail->force.value,
                                          engine->program->state_bytes);
        return mail->force.result == TL_FORCE_OK;
    case TL_MAIL_UNFORCE:
        mail->force.result = tl_force_clear(&engine->forces, mail->force.offset);
        return mail->force.result == TL_FORCE_OK;
    case TL_MAIL_UNFORCE_ALL:
        tl_force_clear_all(&engine->forces);
        return true;
    case TL_MAIL_TRACE_ARM:
        tl_trace_arm(&engine->trace, mail->trace.plan, mail->trace.rows);
        return true;
    case TL_MAIL_TRACE_STOP:
        tl_trace_stop(&engine->trace);
        return true;
    case TL_MAIL_STATUS:
        copy_status(engine, mail->status);
        return true;
    case TL_MAIL_KEEP:
        return tl_engine_keep(engine, mail->keep.state, mail->keep.setpoints);
    case TL_MAIL_CHANGE: {
        const int64_t start = tl_monotonic_ns();
        tl_engine_change(engine, mail->change.change, tl_wall_ns());
        mail->change.took_ns = tl_monotonic_ns() - start;
        return true;
    }
    case TL_MAIL_PUBLISH:
        return publish(loop, mail);
    case TL_MAIL_END:
        TL_STORE(loop->is_ended, true);
        return true;
    }
    return false;
}

static void take_mail(struct tl_loop *loop)
{
    struct tl_mail *mail = TL_LOAD(loop->mail);
    if (mail != NULL) {
        mail->is_done = serve(loop, mail);
        TL_STORE(loop->mail, NULL);
    }
}

static void *run_loop(void *argument)
{
    struct tl_loop *loop = argument;
    struct tl_engine *engine = &loop->engine;
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* wake when asked to, not up to 50 µs later */
    guarded_loop = loop;
    tl_guard(&engine->scan);
    while (!TL_LOAD(loop->is_ended)) {
        take_mail(loop);
        const int64_t now = tl_monotonic_ns();
        const int64_t due = tl_engine_due(engine);
        if (due > now) {
            sleep_until(due - now > TL_MAIL_POLL_NS ? now + TL_MAIL_POLL_NS : due);
            continue;
        }
        TL_STORE(loop->tick_since_ns, now);
        const size_t written = tl_engine_tick(engine, tl_wall_ns());
        TL_STORE(loop->tick_since_ns, 0);
        if (written != 0) {
            tl_segment_ring(loop->segment);
        }
    }
    tl_guard(NULL);
    return NULL;
}

static void *run_watchdog(void *argument)
{
    struct tl_loop *loop = argument;
    const int64_t pause = loop->watchdog_ns / 8 < 1000000 ? 1000000 : loop->watchdog_ns / 8;
    bool barks = false;
    while (!TL_LOAD(loop->is_ended)) {
        sleep_until(tl_monotonic_ns() + (barks ? BARK_PAUSE_NS : pause));
        const int64_t since = TL_LOAD(loop->tick_since_ns);
        const int64_t late = since == 0 ? 0 : tl_monotonic_ns() - since - loop->watchdog_ns;
        barks = late > 0;
        if (!barks) {
            continue;
        }
        if (TL_LOAD(loop->bark_for_ns) != since) {
            TL_STORE(loop->barks, 0u);
            TL_STORE(loop->bark_for_ns, since);
        }
        if (TL_LOAD(loop->barks) == HOPELESS_BARKS) {
            static const char line[] = "tieline-scan: the scan does not end and cannot be left: the process ends\n";
            const ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
            _exit(written > 0 ? EXIT_HOPELESS : EXIT_HOPELESS + 1);
        }
        atomic_fetch_add_explicit(&loop->barks, 1u, memory_order_release);
        (void)pthread_kill(loop->thread, BARK_SIGNAL);
    }
    return NULL;
}

bool tl_loop_start(struct tl_loop *loop, char *why, size_t why_bytes)
{
    set_handlers();
    atomic_init(&loop->mail, NULL);
    atomic_init(&loop->tick_since_ns, 0);
    atomic_init(&loop->bark_for_ns, 0);
    atomic_init(&loop->barks, 0);
    atomic_init(&loop->is_ended, false);
    loop->engine.clock = (struct tl_clock){.now = engine_clock};
    tl_engine_init(&loop->engine);
    /* Threads inherit a mask: none but the loop takes the watchdog's signal, and none of ours takes the others. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGBUS);
    (void)sigdelset(&all, SIGFPE);
    (void)sigdelset(&all, SIGILL);
    (void)sigdelset(&all, BARK_SIGNAL);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int refused = pthread_create(&loop->thread, NULL, run_loop, loop);
    (void)sigaddset(&all, BARK_SIGNAL);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    if (refused == 0) {
        refused = pthread_create(&loop->watchdog, NULL, run_watchdog, loop);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (refused != 0) {
        (void)snprintf(why, why_bytes, "no thread for the loop: %s", strerror(refused));
    }
    return refused == 0;
}

int tl_loop_raise(const struct tl_loop *loop, int priority)
{
    const struct sched_param loop_at = {.sched_priority = priority};
    const struct sched_param watchdog_at = {.sched_priority = priority + 1};
    const int refused = pthread_setschedparam(loop->thread, SCHED_FIFO, &loop_at);
    return refused != 0 ? refused : pthread_setschedparam(loop->watchdog, SCHED_FIFO, &watchdog_at);
}

bool tl_loop_post(struct tl_loop *loop, struct tl_mail *mail, int64_t timeout_ns)
{
    /* Counted, not timed, for the same reason as the watchdog's barks. */
    int64_t looks = timeout_ns / ANSWER_POLL_NS;
    TL_STORE(loop->mail, mail);
    while (TL_LOAD(loop->mail) != NULL) {
        if (looks-- == 0) {
            return false;
        }
        sleep_until(tl_monotonic_ns() + ANSWER_POLL_NS);
    }
    return true;
}

void tl_loop_join(struct tl_loop *loop)
{
    (void)pthread_join(loop->thread, NULL);
    (void)pthread_join(loop->watchdog, NULL);
}
