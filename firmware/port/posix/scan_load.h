/* A program as the posix scan holds it: its shared object, its wiring, and all the memory the engine works with.
 * Made and dropped by the service thread; the loop only uses what it is handed.
 */
#ifndef TIELINE_SCAN_LOAD_H
#define TIELINE_SCAN_LOAD_H

#include "engine.h"
#include "retain.h"
#include "wiring.h"

#include <stdio.h>

#define TL_PROGRAM_SYMBOL "tl_program_v1"
#define TL_MAX_WHY 400u
#define TL_MAX_WIRING_BYTES ((size_t)64u << 20) /* a million tags in and out are 48 MB */
#define TL_MAX_STATE_BYTES ((size_t)1u << 30)

/* Copies of what is kept of the setpoints. */
enum tl_setpoints_of {
    TL_SETPOINTS_NEXT = 0, /* for a start */
    TL_SETPOINTS_KEPT = 1,
    TL_SETPOINTS_SAVED = 2,
};

struct tl_load {
    char path[1024];
    void *library;
    const struct tl_program *program;
    void *wiring_bytes;
    struct tl_wiring wiring;
    struct tl_io io;
    void *io_memory;
    struct tl_retained *retained_setpoints;
    struct tl_setpoint_kept *setpoints[3]; /* by enum tl_setpoints_of */
    struct tl_task_record *records;
    void *states[2]; /* the one the engine has, and one in which the next start is prepared */
    unsigned active;
    void *kept;  /* a copy of the retained variables, at their offsets */
    void *saved; /* the same as it was last saved */
};

/* Load and check; false: `why` says what is wrong, and nothing is held. */
bool tl_load_open(struct tl_load *load, const char *program, const char *wiring, const struct tl_image *image,
                  uint32_t owner, char why[TL_MAX_WHY]);
void tl_load_close(struct tl_load *load);

/* What is retained: the program's variables, by their offsets in `state`, and the setpoints. */
#define TL_LOAD_BLOCKS 2u
void tl_load_blocks(const struct tl_load *load, void *state, struct tl_setpoint_kept *setpoints,
                    struct tl_retain_block blocks[TL_LOAD_BLOCKS]);
size_t tl_load_retain_bytes(const struct tl_load *load);

/* Which of the old setpoints each new one is, for struct tl_change; NULL: no memory. */
uint32_t *tl_setpoints_between(const struct tl_load *old, const struct tl_load *new);

/* A wiring to make outputs safe with. */
struct tl_orphans {
    struct tl_io io;
    struct tl_output *outputs;
    void *memory;
};

/* Outputs of `old` whose tags are no output of `new`, as a wiring to make them safe with; NULL where there are none
 * or no memory (*is_short). Free by tl_orphans_free. */
struct tl_orphans *tl_orphans_of(const struct tl_load *old, const struct tl_load *new, const struct tl_image *image,
                                 bool *is_short);
void tl_orphans_free(struct tl_orphans *orphans);

const char *tl_fault_text(uint32_t code);

#endif
