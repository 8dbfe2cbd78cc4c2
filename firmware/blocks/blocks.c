#include "blocks.h"

TL_BLOCK void tl_sr(struct tl_sr *self)
{
    self->q1 = self->s1 || (!self->r && self->q1);
}

TL_BLOCK void tl_rs(struct tl_rs *self)
{
    self->q1 = !self->r1 && (self->s || self->q1);
}

TL_BLOCK void tl_r_trig(struct tl_trigger *self)
{
    self->q = self->clk && !self->m;
    self->m = self->clk;
}

/* As Table 44 writes it: M starts FALSE, so CLK FALSE on the first call is seen as an edge. */
TL_BLOCK void tl_f_trig(struct tl_trigger *self)
{
    self->q = !self->clk && !self->m;
    self->m = !self->clk;
}

static bool rises(bool now, bool *before)
{
    const bool edge = now && !*before;
    *before = now;
    return edge;
}

#define COUNTERS(S, TYPE, LEAST, GREATEST)                   \
    TL_BLOCK void tl_ctu_##S(struct tl_ctu_##S *self)        \
    {                                                        \
        const bool up = rises(self->cu, &self->cu_before);   \
        if (self->r) {                                       \
            self->cv = 0;                                    \
        } else if (up && self->cv < (GREATEST)) {            \
            self->cv = tl_add_##S(self->cv, 1);              \
        }                                                    \
        self->q = self->cv >= self->pv;                      \
    }                                                        \
    TL_BLOCK void tl_ctd_##S(struct tl_ctd_##S *self)        \
    {                                                        \
        const bool down = rises(self->cd, &self->cd_before); \
        if (self->ld) {                                      \
            self->cv = self->pv;                             \
        } else if (down && self->cv > (LEAST)) {             \
            self->cv = tl_sub_##S(self->cv, 1);              \
        }                                                    \
        self->q = self->cv <= 0;                             \
    }                                                        \
    TL_BLOCK void tl_ctud_##S(struct tl_ctud_##S *self)      \
    {                                                        \
        const bool up = rises(self->cu, &self->cu_before);   \
        const bool down = rises(self->cd, &self->cd_before); \
        if (self->r) {                                       \
            self->cv = 0;                                    \
        } else if (self->ld) {                               \
            self->cv = self->pv;                             \
        } else if (up && !down && self->cv < (GREATEST)) {   \
            self->cv = tl_add_##S(self->cv, 1);              \
        } else if (down && !up && self->cv > (LEAST)) {      \
            self->cv = tl_sub_##S(self->cv, 1);              \
        }                                                    \
        self->qu = self->cv >= self->pv;                     \
        self->qd = self->cv <= 0;                            \
    }
COUNTERS(i16, int16_t, INT16_MIN, INT16_MAX)
COUNTERS(i32, int32_t, INT32_MIN, INT32_MAX)
COUNTERS(i64, int64_t, INT64_MIN, INT64_MAX)
COUNTERS(u32, uint32_t, 0, UINT32_MAX)
COUNTERS(u64, uint64_t, 0, UINT64_MAX)

/* Time since the start, no more than PT; a negative PT is none. */
static int64_t elapsed(const struct tl_timer *self, int64_t now_ns)
{
    const int64_t limit = self->pt > 0 ? self->pt : 0;
    const int64_t since = tl_sub_i64(now_ns, self->start);
    return since < limit ? since : limit;
}

TL_BLOCK void tl_ton(struct tl_timer *self, int64_t now_ns)
{
    if (!self->in) {
        self->running = false;
        self->et = 0;
        self->q = false;
        return;
    }
    if (!self->running) {
        self->running = true;
        self->start = now_ns;
    }
    self->et = elapsed(self, now_ns);
    self->q = self->et >= self->pt;
}

TL_BLOCK void tl_tof(struct tl_timer *self, int64_t now_ns)
{
    if (self->in) {
        self->running = false;
        self->et = 0;
        self->q = true;
        return;
    }
    if (!self->q) {
        return; /* never on, or done: ET stays */
    }
    if (!self->running) {
        self->running = true;
        self->start = now_ns;
    }
    self->et = elapsed(self, now_ns);
    self->q = self->et < self->pt;
}

/* RUNNING from the edge until the pulse is over and IN is FALSE again; Q while the pulse lasts. */
TL_BLOCK void tl_tp(struct tl_timer *self, int64_t now_ns)
{
    if (!self->running && self->in) {
        self->running = true;
        self->start = now_ns;
        self->q = true;
    }
    if (self->q) {
        self->et = elapsed(self, now_ns);
        self->q = self->et < self->pt;
    }
    if (self->running && !self->q && !self->in) {
        self->running = false;
        self->et = 0;
    }
}
