/* See trace.h. */
#include "trace.h"

#include "value.h"

#include <string.h>

size_t tl_trace_row_bytes(const struct tl_trace_plan *plan)
{
    return 8u + 8u * (size_t)plan->variable_count;
}

size_t tl_trace_bytes(const struct tl_trace_plan *plan, const struct tl_program *program)
{
    if (plan->variable_count == 0 || plan->variable_count > TL_TRACE_VARIABLES || plan->after == 0 ||
        plan->task >= program->task_count || plan->trigger >= plan->variable_count || plan->edge > TL_EDGE_EITHER) {
        return 0;
    }
    for (uint32_t i = 0; i < plan->variable_count; i++) {
        const struct tl_trace_variable *variable = &plan->variables[i];
        const uint32_t bytes = tl_kind_bytes(variable->kind);
        if (bytes == 0 || bytes != variable->bytes || bytes > program->state_bytes ||
            variable->offset > program->state_bytes - bytes) {
            return 0;
        }
    }
    const uint64_t rows = (uint64_t)plan->before + plan->after;
    return rows > SIZE_MAX / tl_trace_row_bytes(plan) ? 0 : (size_t)rows * tl_trace_row_bytes(plan);
}

void tl_trace_arm(struct tl_trace *trace, const struct tl_trace_plan *plan, unsigned char *rows)
{
    *trace = (struct tl_trace){.plan = *plan, .mode = TL_TRACE_ARMED, .rows = rows};
}

void tl_trace_stop(struct tl_trace *trace)
{
    if (trace->mode == TL_TRACE_ARMED || trace->mode == TL_TRACE_TRIGGERED) {
        trace->mode = TL_TRACE_DONE;
    }
}

static double as_double(uint64_t word, uint8_t kind)
{
    switch ((enum tl_kind)kind) {
    case TL_KIND_I8:
        return (double)(int8_t)(uint8_t)word;
    case TL_KIND_I16:
        return (double)(int16_t)(uint16_t)word;
    case TL_KIND_I32:
        return (double)(int32_t)(uint32_t)word;
    case TL_KIND_I64:
        return (double)(int64_t)word;
    case TL_KIND_F32: {
        const uint32_t low = (uint32_t)word;
        float value;
        memcpy(&value, &low, sizeof value);
        return (double)value;
    }
    case TL_KIND_F64: {
        double value;
        memcpy(&value, &word, sizeof value);
        return value;
    }
    case TL_KIND_BOOL:
    case TL_KIND_U8:
    case TL_KIND_U16:
    case TL_KIND_U32:
    case TL_KIND_U64:
    case TL_KIND_STRING:
        break;
    }
    return (double)word;
}

/* Whether the step from `last` to `now` crosses the level the wanted way; a NaN crosses nothing. */
static bool crosses(const struct tl_trace *trace, double now)
{
    const double level = trace->plan.level;
    const bool rises = trace->last < level && now >= level;
    const bool falls = trace->last >= level && now < level;
    switch (trace->plan.edge) {
    case TL_EDGE_NONE:
        return true;
    case TL_EDGE_RISING:
        return trace->recorded > 0 && rises;
    case TL_EDGE_FALLING:
        return trace->recorded > 0 && falls;
    case TL_EDGE_EITHER:
        return trace->recorded > 0 && (rises || falls);
    }
    return false;
}

void tl_trace_record(struct tl_trace *trace, uint32_t task, int64_t now_ns, const void *state)
{
    if ((trace->mode != TL_TRACE_ARMED && trace->mode != TL_TRACE_TRIGGERED) || task != trace->plan.task) {
        return;
    }
    const struct tl_trace_plan *plan = &trace->plan;
    const unsigned char *base = state;
    const uint64_t rows = (uint64_t)plan->before + plan->after;
    unsigned char *row = trace->rows + (size_t)(trace->recorded % rows) * tl_trace_row_bytes(plan);
    memcpy(row, &now_ns, sizeof now_ns);
    double watched = 0.0;
    for (uint32_t i = 0; i < plan->variable_count; i++) {
        uint64_t word = 0;
        memcpy(&word, base + plan->variables[i].offset, plan->variables[i].bytes);
        memcpy(row + 8u + 8u * (size_t)i, &word, sizeof word);
        if (i == plan->trigger) {
            watched = as_double(word, plan->variables[i].kind);
        }
    }
    if (trace->mode == TL_TRACE_ARMED && crosses(trace, watched)) {
        trace->mode = TL_TRACE_TRIGGERED;
        trace->is_triggered = true;
        trace->triggered = trace->recorded;
    }
    trace->last = watched;
    trace->recorded++;
    if (trace->mode == TL_TRACE_TRIGGERED && trace->recorded - trace->triggered == plan->after) {
        trace->mode = TL_TRACE_DONE;
    }
}

uint64_t tl_trace_first(const struct tl_trace *trace, uint64_t *count)
{
    const uint64_t rows = (uint64_t)trace->plan.before + trace->plan.after;
    const uint64_t first = trace->recorded > rows ? trace->recorded - rows : 0;
    *count = trace->recorded - first;
    return first;
}

void tl_trace_move(struct tl_trace *trace, const struct tl_move *moves, size_t count, uint32_t task)
{
    if (trace->mode != TL_TRACE_ARMED && trace->mode != TL_TRACE_TRIGGERED) {
        return;
    }
    bool is_whole = task != TL_NO_TASK;
    for (uint32_t i = 0; i < trace->plan.variable_count; i++) {
        struct tl_trace_variable *variable = &trace->plan.variables[i];
        is_whole = tl_move_find(moves, count, variable->offset, variable->bytes, &variable->offset) && is_whole;
    }
    trace->plan.task = task;
    if (!is_whole) {
        trace->mode = TL_TRACE_LOST;
    }
}
