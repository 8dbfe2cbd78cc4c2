/* What a compiled program is to the scan that runs it: the binary interface between generated C and its host.
 *
 * `plc/compiler` turns Structured Text into C that includes this header and defines one `struct tl_program` named
 * tl_program_v1. The posix scan and the test bench load it from a shared object; a board links it. Nothing here
 * allocates, blocks or calls the operating system; the host owns the program's memory and its clock.
 *
 * The program keeps all its variables in one block of `state_bytes`, laid out by the compiler. The host knows them by
 * offset only: the compiler writes a table of symbols (path, type, offset) beside the shared object, and
 * plc/runtime resolves names with it before anything is handed to the scan.
 */
#ifndef TIELINE_PROGRAM_H
#define TIELINE_PROGRAM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TL_PROGRAM_ABI 2u

/* Faults that generated code raises; numbers are in tags and files: never reuse one. */
enum tl_fault {
    TL_FAULT_NONE = 0,
    TL_FAULT_ARRAY_BOUNDS = 1,
    TL_FAULT_DIVISION_BY_ZERO = 2,
    TL_FAULT_NULL_REFERENCE = 3,
    TL_FAULT_SUBRANGE = 4,
    TL_FAULT_STRING_LENGTH = 5,
    TL_FAULT_LOOP = 6, /* a scan that did not end: its loop budget is used up */
    TL_FAULT_NOT_A_NUMBER = 7,
    TL_FAULT_INTERFACE = 8, /* a call through an interface or reference that nothing implements */
    TL_FAULT_ASSERTION = 9, /* an ASSERT that does not hold */
    /* From 100 on: raised by the host, never by generated code. */
    TL_FAULT_WATCHDOG = 100, /* a scan took longer than its watchdog time and counted no loop budget */
    TL_FAULT_TRAP = 101,     /* the processor trapped in generated code */
    TL_FAULT_IMAGE = 102,    /* the image refused the program's inputs or outputs */
};

#define TL_NO_FILE UINT32_MAX /* fault_file of a fault that has no place in a source */

/* How the bytes of an elementary variable are read. TIME, DATE and their long forms are I64, in nanoseconds. */
enum tl_kind {
    TL_KIND_BOOL = 1, /* one byte, 0 or 1 */
    TL_KIND_I8 = 2,
    TL_KIND_I16 = 3,
    TL_KIND_I32 = 4,
    TL_KIND_I64 = 5,
    TL_KIND_U8 = 6,
    TL_KIND_U16 = 7,
    TL_KIND_U32 = 8,
    TL_KIND_U64 = 9,
    TL_KIND_F32 = 10,
    TL_KIND_F64 = 11,
    TL_KIND_STRING = 12, /* struct tl_string */
};

/* A STRING[capacity]: `length` bytes count; a NUL follows them, so that a debugger shows it. */
struct tl_string {
    uint16_t capacity;
    uint16_t length;
    char bytes[]; /* capacity + 1 */
};

/* How the state begins (IEC 61131-3 6.5.6: cold and warm restart). */
enum tl_start {
    TL_START_COLD = 0, /* every variable gets its initial value */
    TL_START_WARM = 1, /* RETAIN variables keep theirs: the host restores them after init */
};

/* The host's side of one scan, given to every task. */
struct tl_scan {
    int64_t now_ns;      /* the program's clock: monotonic, from 0 at start; timers run on it */
    int64_t wall_ns;     /* UTC ns since 1970, for programs that ask the time of day */
    int64_t period_ns;   /* of the running task */
    uint64_t count;      /* scans of this task before this one */
    int32_t loop_budget; /* turns of loops left in this scan; generated loops count it down */
    bool is_first;       /* the first scan after a start */
    uint32_t fault;      /* enum tl_fault, with where it happened */
    uint32_t fault_file; /* index in tl_program.files */
    uint32_t fault_line;
    jmp_buf *escape;   /* where tl_raise goes; set by tl_program_step */
    uint8_t *coverage; /* one byte a place if the program was compiled with coverage, else NULL */
};

struct tl_task {
    const char *name;
    int64_t interval_ns;   /* 0: on event */
    uint32_t priority;     /* 0 is the highest (IEC 61131-3 6.8.2) */
    uint32_t event_offset; /* of the BOOL in the state whose rising edge starts it; UINT32_MAX: none */
    void (*run)(struct tl_scan *scan, void *state);
};

/* A piece of state that outlives a warm start. `key` is a hash of path and type: it survives recompilation. */
struct tl_retained {
    uint64_t key;
    uint32_t offset;
    uint32_t bytes;
};

/* A piece of state that nothing may write once the program has its initial values: a CONSTANT. */
struct tl_constant {
    uint32_t offset;
    uint32_t bytes;
};

struct tl_program {
    uint32_t abi; /* TL_PROGRAM_ABI */
    uint32_t state_bytes;
    const char *name;
    const char *digest; /* SHA-256 (hex) of sources and compiler version */
    const char *const *files;
    const struct tl_task *tasks;
    const struct tl_retained *retained;
    uint32_t file_count;
    uint32_t task_count;
    uint32_t retained_count;
    uint32_t coverage_places;
    void (*init)(struct tl_scan *scan, void *state);
    const struct tl_constant *constants; /* sorted by offset, none overlaps another */
    uint32_t constant_count;
};

/* Whether any of these bytes of the state are a constant's. */
static inline bool tl_is_constant(const struct tl_program *program, uint32_t offset, uint32_t bytes)
{
    uint32_t low = 0;
    uint32_t high = program->constant_count; /* the first constant that ends beyond `offset` is in low..high */
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (program->constants[middle].offset + program->constants[middle].bytes <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < program->constant_count && program->constants[low].offset < offset + bytes;
}

/* Leave the scan with a fault. Generated code calls it where a run-time check fails. */
static inline _Noreturn void tl_raise(struct tl_scan *scan, enum tl_fault fault, uint32_t file, uint32_t line)
{
    scan->fault = (uint32_t)fault;
    scan->fault_file = file;
    scan->fault_line = line;
    longjmp(*scan->escape, 1);
}

/* Run one task once; false if it faulted: then `scan->fault` says why and the state is as far as it came. */
static inline bool tl_program_step(const struct tl_task *task, struct tl_scan *scan, void *state)
{
    jmp_buf escape;
    scan->fault = TL_FAULT_NONE;
    if (setjmp(escape) == 0) {
        scan->escape = &escape; /* only now: a watchdog's signal may use it the moment it is there */
        task->run(scan, state);
    }
    scan->escape = NULL;
    return scan->fault == TL_FAULT_NONE;
}

/* Give a zeroed state its initial values; false if that faulted, as tl_program_step. */
static inline bool tl_program_init(const struct tl_program *program, struct tl_scan *scan, void *state)
{
    jmp_buf escape;
    scan->fault = TL_FAULT_NONE;
    if (setjmp(escape) == 0) {
        scan->escape = &escape;
        program->init(scan, state);
    }
    scan->escape = NULL;
    return scan->fault == TL_FAULT_NONE;
}

#endif
