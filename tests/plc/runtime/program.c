/* A program by hand for the tests of the scan's process, as plc/compiler would write it. -DEDITED is the same one after
 * an edit: variables lie elsewhere, one is new, one has another type, the output is doubled. */
#define _GNU_SOURCE
#include "program.h"

#include <signal.h>
#include <time.h>

struct text {
    uint16_t capacity;
    uint16_t length;
    char bytes[22];
};

struct state {
#ifdef EDITED
    double added;
#endif
    int64_t clock;
    double setpoint;
    int32_t power;
    uint32_t power_quality;
    int32_t energy; /* retained */
    uint32_t fast;
    uint32_t slow;
#ifdef EDITED
    uint64_t typed;
#else
    uint32_t typed;
#endif
    int32_t command;
    uint32_t first;
    struct text name;
    uint8_t is_high;
};

enum { COUNT = 0, RAISE = 1, COUNTED_LOOP = 2, LOOP = 3, NULL_POINTER = 4, STACK = 5, DEAF_LOOP = 6, BUSY = 7 };

static int deep(volatile int *from)
{
    volatile int room[256];
    room[0] = *from + 1;
    return deep(room) + room[0];
}

static int64_t clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void misbehave(struct tl_scan *scan, int32_t how)
{
    volatile int endless = 1;
    volatile int *volatile nothing = 0;
    switch (how) {
    case RAISE:
        tl_raise(scan, TL_FAULT_DIVISION_BY_ZERO, 0, 42);
    case COUNTED_LOOP:
        while (endless) {
            if (--scan->loop_budget < 0) {
                tl_raise(scan, TL_FAULT_LOOP, 0, 43);
            }
        }
        break;
    case LOOP:
        while (endless) {
        }
        break;
    case NULL_POINTER:
        *nothing = 1;
        break;
    case DEAF_LOOP: {
        sigset_t all;
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, 0);
        while (endless) {
        }
        break;
    }
    case BUSY: /* almost always in the middle of a tick */
        for (const int64_t end = clock_ms() + 50; clock_ms() < end;) {
        }
        break;
    case STACK:
        (void)deep(&endless);
        break;
    default:
        break;
    }
}

static void fast(struct tl_scan *scan, void *at)
{
    struct state *state = at;
    state->fast++;
    state->clock = scan->now_ns;
    state->first += scan->is_first;
    state->energy++;
#ifdef EDITED
    state->setpoint = 2.0 * state->power;
#else
    state->setpoint = state->power;
#endif
    state->is_high = state->power > 100;
    misbehave(scan, state->command);
}

static void slow(struct tl_scan *scan, void *at)
{
    (void)scan;
    ((struct state *)at)->slow++;
}

static void init(struct tl_scan *scan, void *at)
{
    struct state *state = at;
    (void)scan;
    state->name.capacity = 21;
    state->energy = 1000;
#ifdef EDITED
    state->added = 2.5;
    state->typed = 7;
#endif
}

static const char *const files[] = {"main.st"};
static const struct tl_task tasks[] = {
    {"fast", 1000000, 0, UINT32_MAX, fast},
    {"slow", 20000000, 1, UINT32_MAX, slow},
};
static const struct tl_retained retained[] = {{77, offsetof(struct state, energy), 4}};

const struct tl_program tl_program_v1 = {
    .abi = TL_PROGRAM_ABI,
    .state_bytes = sizeof(struct state),
    .name = "test",
    .digest = DIGEST,
    .files = files,
    .tasks = tasks,
    .retained = retained,
    .file_count = 1,
    .task_count = 2,
    .retained_count = 1,
    .init = init,
};
