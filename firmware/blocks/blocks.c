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

/* TON, on the time that passed: done at once where there is nothing to wait for. */
static bool waited(bool in, bool *on, int64_t *et, int64_t pt, int64_t passed_ns)
{
    *et = in && *on ? tl_add_i64(*et, passed_ns) : 0;
    *on = in;
    return in && *et >= pt;
}

/* Figures 22 and 23: the flip-flops are RS, a reset goes before all. P1 and P0 run the action and leave its flag
 * FALSE.
 */
TL_BLOCK void tl_action_control(struct tl_action_control *self, int64_t passed_ns)
{
    const bool set = !self->r;
    if (self->sd) {
        self->sd_pt = self->t;
    }
    if (self->sl) {
        self->sl_pt = self->t;
    }
    self->s_ff = set && (self->s || self->s_ff);
    self->sd_ff = set && (self->sd || self->sd_ff);
    self->sl_ff = set && (self->sl || self->sl_ff);
    const bool expired = waited(self->l, &self->l_on, &self->l_et, self->t, passed_ns);
    const bool delayed = waited(self->d, &self->d_on, &self->d_et, self->t, passed_ns);
    const bool stored_late = waited(self->sd_ff, &self->sd_on, &self->sd_et, self->sd_pt, passed_ns);
    const bool late_stored = waited(self->ds, &self->ds_on, &self->ds_et, self->t, passed_ns);
    self->ds_ff = set && (late_stored || self->ds_ff);
    const bool over = waited(self->sl_ff, &self->sl_on, &self->sl_et, self->sl_pt, passed_ns);
    const bool pulse = rises(self->p, &self->p_old);
    const bool begins = rises(self->p1, &self->p1_old);
    const bool ends = self->p0_old && !self->p0;
    self->p0_old = self->p0;
    self->q = set && (self->n || self->s_ff || (self->l && !expired) || delayed || pulse || stored_late ||
                      self->ds_ff || (self->sl_ff && !over));
    self->a = self->q || self->q_old || begins || ends;
    self->q_old = self->q;
}
