/* The run-time checks of generated code. With TL_CHECKS 0 they compile to nothing but what keeps C defined.
 *
 * `at` is where the Structured Text stands: TL_AT(index in tl_program.files, line).
 */
#ifndef TIELINE_CHECKS_H
#define TIELINE_CHECKS_H

#include "program.h"

#ifndef TL_CHECKS
#define TL_CHECKS 1
#endif

#define TL_AT_LINE_BITS 20 /* a file of a million lines; 4,096 files */
#define TL_AT(file, line) (((uint32_t)(file) << TL_AT_LINE_BITS) | (uint32_t)(line))

/* Leaves the scan. Out of line and cold, so that a check costs its caller a compare and a branch never taken. */
#if defined(__GNUC__)
#define TL_COLD __attribute__((cold))
#else
#define TL_COLD
#endif
TL_COLD _Noreturn void tl_fault_at(struct tl_scan *scan, enum tl_fault fault, uint32_t at);

static inline void tl_check(struct tl_scan *scan, bool holds, enum tl_fault fault, uint32_t at)
{
#if TL_CHECKS
    if (!holds) {
        tl_fault_at(scan, fault, at);
    }
#else
    (void)scan, (void)holds, (void)fault, (void)at;
#endif
}

/* The bounds of one rank of an ARRAY [*]. */
struct tl_bounds {
    int64_t low;
    uint64_t count;
};

/* One rank's place from `low`, for an index that may be outside of low .. low + count - 1. */
static inline size_t tl_index(struct tl_scan *scan, int32_t index, int32_t low, uint32_t count, uint32_t at)
{
    const uint32_t place = (uint32_t)index - (uint32_t)low;
    tl_check(scan, place < count, TL_FAULT_ARRAY_BOUNDS, at);
    return place;
}

static inline size_t tl_index_i64(struct tl_scan *scan, int64_t index, int64_t low, uint64_t count, uint32_t at)
{
    const uint64_t place = (uint64_t)index - (uint64_t)low;
    tl_check(scan, place < count, TL_FAULT_ARRAY_BOUNDS, at);
    return (size_t)place;
}

static inline size_t tl_index_u64(struct tl_scan *scan, uint64_t index, int64_t low, uint64_t count, uint32_t at)
{
    const uint64_t place = index - (uint64_t)low;
    tl_check(scan, place < count && (low >= 0 || index <= (uint64_t)INT64_MAX), TL_FAULT_ARRAY_BOUNDS, at);
    return (size_t)place;
}

/* A signed value that goes into a subrange; 64-bit unsigned ones have their own. */
static inline int64_t tl_subrange(struct tl_scan *scan, int64_t value, int64_t low, int64_t high, uint32_t at)
{
    tl_check(scan, value >= low && value <= high, TL_FAULT_SUBRANGE, at);
    return value;
}

static inline uint64_t tl_subrange_u64(struct tl_scan *scan, uint64_t value, uint64_t low, uint64_t high, uint32_t at)
{
    tl_check(scan, value >= low && value <= high, TL_FAULT_SUBRANGE, at);
    return value;
}

/* `turns` of a loop are about to be made. The budget is read and written each time: a watchdog may set it to 0. */
static inline void tl_turn(struct tl_scan *scan, int32_t turns, uint32_t at)
{
#if TL_CHECKS
    volatile int32_t *const budget = &scan->loop_budget;
    const int32_t left = *budget;
    if (left < turns) {
        tl_fault_at(scan, TL_FAULT_LOOP, at);
    }
    *budget = left - turns;
#else
    (void)scan, (void)turns, (void)at;
#endif
}

/* References are offsets in the state (0: NULL), so that they outlive a move of it and can be checked.
 * What is referred to must lie inside the state and be aligned as its type wants: an address that was
 * calculated may be neither. */
#define TL_OFFSET(state, address) ((uint32_t)((const char *)(address) - (const char *)(state)))

static inline void *tl_refer(struct tl_scan *scan, void *state, uint32_t state_bytes, uint32_t offset, uint32_t bytes,
                             uint32_t alignment, uint32_t at)
{
    tl_check(scan, offset != 0 && offset <= state_bytes - bytes && offset % alignment == 0, TL_FAULT_NULL_REFERENCE,
             at);
    (void)state_bytes, (void)bytes, (void)alignment;
    return (char *)state + offset;
}

#endif
