/* The standard function blocks of IEC 61131-3 6.6.3.5 (Tables 43 to 46), and all else that generated code calls.
 *
 * Members stand in the order in which plc/language/standard.py declares them, with what only the block itself uses
 * after them: the compiler lays instances out by the same order and has the C compiler confirm it.
 */
#ifndef TIELINE_BLOCKS_H
#define TIELINE_BLOCKS_H

#include "arith.h"
#include "calendar.h"
#include "checks.h"
#include "convert.h"
#include "text.h"

/* Generated code takes blocks.c in with TL_BLOCK as `static`: the compiler then knows that a timer writes nothing but
 * itself, which is worth 10 % of a scan. */
#ifndef TL_BLOCK
#define TL_BLOCK
#endif

struct tl_sr {
    bool s1, r, q1;
};
struct tl_rs {
    bool s, r1, q1;
};
struct tl_trigger {
    bool clk, q, m;
};
TL_BLOCK void tl_sr(struct tl_sr *self);
TL_BLOCK void tl_rs(struct tl_rs *self);
TL_BLOCK void tl_r_trig(struct tl_trigger *self);
TL_BLOCK void tl_f_trig(struct tl_trigger *self);

#define TL_COUNTERS(S, TYPE)                           \
    struct tl_ctu_##S {                                \
        bool cu, r;                                    \
        TYPE pv;                                       \
        bool q;                                        \
        TYPE cv;                                       \
        bool cu_before;                                \
    };                                                 \
    struct tl_ctd_##S {                                \
        bool cd, ld;                                   \
        TYPE pv;                                       \
        bool q;                                        \
        TYPE cv;                                       \
        bool cd_before;                                \
    };                                                 \
    struct tl_ctud_##S {                               \
        bool cu, cd, r, ld;                            \
        TYPE pv;                                       \
        bool qu, qd;                                   \
        TYPE cv;                                       \
        bool cu_before, cd_before;                     \
    };                                                 \
    TL_BLOCK void tl_ctu_##S(struct tl_ctu_##S *self); \
    TL_BLOCK void tl_ctd_##S(struct tl_ctd_##S *self); \
    TL_BLOCK void tl_ctud_##S(struct tl_ctud_##S *self);
TL_COUNTERS(i16, int16_t)
TL_COUNTERS(i32, int32_t)
TL_COUNTERS(i64, int64_t)
TL_COUNTERS(u32, uint32_t)
TL_COUNTERS(u64, uint64_t)

/* Times are nanoseconds; `now_ns` is the program's clock. Done at ET >= PT; ET is 0 on the scan of the edge. */
struct tl_timer {
    bool in;
    int64_t pt;
    bool q;
    int64_t et;
    int64_t start;
    bool running;
};
TL_BLOCK void tl_tp(struct tl_timer *self, int64_t now_ns);
TL_BLOCK void tl_ton(struct tl_timer *self, int64_t now_ns);
TL_BLOCK void tl_tof(struct tl_timer *self, int64_t now_ns);

/* What decides when an action of a chart runs (6.7.4.6): the inputs are whether a step is active that names the
 * action with that qualifier; `q` is the action's flag, `a` whether it runs in this scan. The action runs once more
 * after `q` fell. `t` is the duration of the active step; SD and SL go on with theirs when their step has ended.
 * `passed_ns` is the time since the call before. */
struct tl_action_control {
    bool n, r, s, l, d, p, p1, p0, sd, ds, sl;
    int64_t t;
    bool q, a;
    bool s_ff, sd_ff, ds_ff, sl_ff, p_old, p1_old, p0_old, q_old, l_on, d_on, ds_on, sd_on, sl_on;
    int64_t l_et, d_et, ds_et, sd_et, sl_et, sd_pt, sl_pt;
};
TL_BLOCK void tl_action_control(struct tl_action_control *self, int64_t passed_ns);

/* The time since a chart ran last; none in the first scan after a start, whose clock begins anew. */
static inline int64_t tl_chart_passed(const struct tl_scan *scan, int64_t *clock)
{
    const int64_t passed = tl_sub_i64(scan->now_ns, *clock);
    *clock = scan->now_ns;
    return scan->is_first || passed < 0 ? 0 : passed;
}

#endif
