/* The wiring file: which tags a program's inputs, outputs and setpoints and the scan's own system tags are. Drawn
 * in docs/formats/scan-control.md. Reading it checks everything that the scan rests on later.
 */
#ifndef TIELINE_WIRING_H
#define TIELINE_WIRING_H

#include "io.h"

#define TL_WIRING_MAGIC UINT64_C(0x3230455249574C54) /* "TLWIRE02" read as little-endian bytes */
#define TL_WIRING_HEADER 104u
#define TL_DIGEST_BYTES 64u

/* What a system tag tells. Numbers are in files: never reuse one. Times are DOUBLE in µs. */
enum tl_system {
    TL_SYSTEM_MODE = 1,            /* UINT64: enum tl_mode */
    TL_SYSTEM_FAULT_CODE = 2,      /* UINT64: enum tl_fault of the last fault; 0: never one */
    TL_SYSTEM_FAULT_TEXT = 3,      /* STRING */
    TL_SYSTEM_DIGEST = 4,          /* STRING: of the running program */
    TL_SYSTEM_FORCES = 5,          /* UINT64: how many variables are forced */
    TL_SYSTEM_CHANGES = 6,         /* UINT64: online changes */
    TL_SYSTEM_RETAIN_SAVES = 7,    /* UINT64 */
    TL_SYSTEM_RETAIN_FAILURES = 8, /* UINT64 */
    TL_SYSTEM_TASK = 16,           /* from here on of one task */
    TL_SYSTEM_COUNT = 16,          /* UINT64 */
    TL_SYSTEM_OVERRUNS = 17,       /* UINT64 */
    TL_SYSTEM_JITTER_P50 = 18,
    TL_SYSTEM_JITTER_P99 = 19,
    TL_SYSTEM_JITTER_P999 = 20,
    TL_SYSTEM_JITTER_HIGHEST = 21,
    TL_SYSTEM_DURATION_P50 = 22,
    TL_SYSTEM_DURATION_P99 = 23,
    TL_SYSTEM_DURATION_P999 = 24,
    TL_SYSTEM_DURATION_HIGHEST = 25,
};

struct tl_system_tag {
    uint32_t tag;
    uint16_t what; /* enum tl_system */
    uint16_t task;
};

/* Views into the file's bytes. */
struct tl_wiring {
    const struct tl_input *inputs;
    const struct tl_output *outputs;
    const struct tl_setpoint *setpoints;
    const struct tl_system_tag *systems;
    uint32_t input_count;
    uint32_t output_count;
    uint32_t setpoint_count;
    uint32_t system_count;
};

enum tl_wiring_result {
    TL_WIRING_OK = 0,
    TL_WIRING_FORMAT,   /* not a whole wiring file of this version */
    TL_WIRING_INSTANCE, /* made for another region */
    TL_WIRING_DIGEST,   /* made for another program */
    TL_WIRING_TAG,      /* a tag past the table, or an output, answer or system tag of another owner */
    TL_WIRING_TYPE,     /* a tag of another type than the row says or needs */
    TL_WIRING_VARIABLE, /* no kind that can be wired, or outside the state */
    TL_WIRING_VALUE,    /* a setpoint's initial value or fallback that is out of its limits or does not fit */
};

/* View a file's bytes (aligned to 8) and check every row against image and program; *row is the one that failed,
 * counted through inputs, outputs, setpoints and system tags. */
enum tl_wiring_result tl_wiring_open(const void *file, size_t bytes, const struct tl_image *image, uint32_t owner,
                                     const struct tl_program *program, struct tl_wiring *wiring, uint32_t *row);

#endif
