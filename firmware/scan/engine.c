/* See engine.h. */
#include "engine.h"

#include <string.h>

#define REFUSED (-1)

/* What an event does in each mode. A running program is stopped before it is started anew; after a fault only a cold
 * or warm start helps, for a scan that was left half way makes no state to go on from. */
static const int8_t transitions[TL_MODES][TL_EVENTS] = {
    [TL_MODE_STOPPED] = {[TL_EVENT_COLD] = TL_MODE_RUNNING,
                         [TL_EVENT_WARM] = TL_MODE_RUNNING,
                         [TL_EVENT_HOT] = TL_MODE_RUNNING,
                         [TL_EVENT_STOP] = TL_MODE_STOPPED,
                         [TL_EVENT_FAULT] = REFUSED},
    [TL_MODE_RUNNING] = {[TL_EVENT_COLD] = REFUSED,
                         [TL_EVENT_WARM] = REFUSED,
                         [TL_EVENT_HOT] = REFUSED,
                         [TL_EVENT_STOP] = TL_MODE_STOPPED,
                         [TL_EVENT_FAULT] = TL_MODE_FAULTED},
    [TL_MODE_FAULTED] = {[TL_EVENT_COLD] = TL_MODE_RUNNING,
                         [TL_EVENT_WARM] = TL_MODE_RUNNING,
                         [TL_EVENT_HOT] = REFUSED,
                         [TL_EVENT_STOP] = TL_MODE_FAULTED,
                         [TL_EVENT_FAULT] = REFUSED},
};

bool tl_mode_after(enum tl_mode mode, enum tl_event event, enum tl_mode *after)
{
    const int8_t to = transitions[mode][event];
    if (to == REFUSED) {
        return false;
    }
    *after = (enum tl_mode)to;
    return true;
}

static bool same_name(const struct tl_task *left, const struct tl_task *right)
{
    return strncmp(left->name, right->name, TL_MAX_TASK_NAME + 1u) == 0;
}

static bool is_inside(uint32_t offset, uint32_t bytes, uint32_t whole)
{
    return bytes <= whole && offset <= whole - bytes;
}

static enum tl_program_result check_task(const struct tl_program *program, uint32_t index)
{
    const struct tl_task *task = &program->tasks[index];
    if (task->name == NULL || memchr(task->name, 0, TL_MAX_TASK_NAME + 1u) == NULL) {
        return TL_PROGRAM_TASKS;
    }
    for (uint32_t i = 0; i < index; i++) {
        if (same_name(task, &program->tasks[i])) {
            return TL_PROGRAM_TASKS;
        }
    }
    if (task->interval_ns != 0) {
        return task->interval_ns >= TL_MIN_INTERVAL_NS ? TL_PROGRAM_OK : TL_PROGRAM_INTERVAL;
    }
    if (task->event_offset == TL_NO_OFFSET) {
        return TL_PROGRAM_INTERVAL;
    }
    return is_inside(task->event_offset, 1, program->state_bytes) ? TL_PROGRAM_OK : TL_PROGRAM_OFFSET;
}

enum tl_program_result tl_program_check(const struct tl_program *program)
{
    if (program->abi != TL_PROGRAM_ABI) {
        return TL_PROGRAM_ABI_OTHER;
    }
    if (program->task_count == 0 || program->task_count > TL_MAX_TASKS) {
        return TL_PROGRAM_TASKS;
    }
    for (uint32_t i = 0; i < program->task_count; i++) {
        const enum tl_program_result result = check_task(program, i);
        if (result != TL_PROGRAM_OK) {
            return result;
        }
    }
    for (uint32_t i = 0; i < program->retained_count; i++) {
        if (!is_inside(program->retained[i].offset, program->retained[i].bytes, program->state_bytes)) {
            return TL_PROGRAM_OFFSET;
        }
    }
    return TL_PROGRAM_OK;
}

/* The end of a text that is too long says more than its beginning: paths differ there. */
static void copy_text(char *to, size_t room, const char *from)
{
    const size_t bytes = strlen(from);
    const char *start = bytes < room ? from : from + (bytes - room + 1u);
    memcpy(to, start, strlen(start) + 1u);
}

static void note_fault(struct tl_fault_record *fault, const struct tl_program *program, const struct tl_scan *scan,
                       const char *task, int64_t wall_ns)
{
    *fault = (struct tl_fault_record){
        .code = scan->fault, .line = scan->fault_line, .wall_ns = wall_ns, .now_ns = scan->now_ns};
    if (scan->fault_file < program->file_count) {
        copy_text(fault->file, sizeof fault->file, program->files[scan->fault_file]);
    }
    copy_text(fault->task, sizeof fault->task, task);
}

bool tl_engine_prepare(const struct tl_program *program, void *state, struct tl_scan *scan, int32_t loop_budget,
                       int64_t wall_ns, struct tl_fault_record *fault)
{
    memset(state, 0, program->state_bytes);
    *scan = (struct tl_scan){.wall_ns = wall_ns, .loop_budget = loop_budget, .is_first = true};
    if (tl_program_init(program, scan, state)) {
        return true;
    }
    note_fault(fault, program, scan, "", wall_ns);
    return false;
}

/* Sort by priority; tasks of the same one keep the order of the program. */
static void put_in_order(const struct tl_program *program, struct tl_task_record *records)
{
    for (uint32_t i = 0; i < program->task_count; i++) {
        uint32_t place = i;
        for (; place > 0 && program->tasks[records[place - 1u].order].priority > program->tasks[i].priority;
             place--) {
            records[place].order = records[place - 1u].order;
        }
        records[place].order = i;
    }
}

static bool has_events(const struct tl_program *program)
{
    for (uint32_t i = 0; i < program->task_count; i++) {
        if (program->tasks[i].interval_ns == 0) {
            return true;
        }
    }
    return false;
}

static void forget_scans(struct tl_engine *engine)
{
    memset(engine->records, 0, engine->program->task_count * sizeof *engine->records);
    put_in_order(engine->program, engine->records);
}

void tl_engine_init(struct tl_engine *engine)
{
    const int64_t now = engine->clock.now(engine->clock.context);
    engine->mode = TL_MODE_STOPPED;
    engine->scan = (struct tl_scan){0};
    engine->trace = (struct tl_trace){0};
    engine->fault = (struct tl_fault_record){0};
    engine->forces.count = 0;
    engine->epoch_ns = now;
    engine->stopped_ns = now;
    engine->refresh_at_ns = now;
    engine->poll_at_ns = now;
    engine->has_events = has_events(engine->program);
    engine->ticks = 0;
    engine->changes = 0;
    forget_scans(engine);
}

static void start_setpoints(const struct tl_io *io, const struct tl_setpoint_kept *kept, int64_t now, int64_t wall_ns)
{
    for (size_t i = 0; i < io->setpoint_count; i++) {
        if (kept == NULL || !tl_setpoint_is_kept(&kept[i])) {
            tl_setpoint_reset(&io->setpoints[i], &io->records[i], now);
        } else {
            tl_setpoint_restore(&io->setpoints[i], &io->records[i], &kept[i], now, wall_ns);
        }
    }
}

bool tl_engine_start(struct tl_engine *engine, enum tl_event event, void *state, const struct tl_setpoint_kept *kept,
                     int64_t wall_ns)
{
    enum tl_mode after;
    if (event > TL_EVENT_HOT || !tl_mode_after(engine->mode, event, &after)) {
        return false;
    }
    const int64_t now = engine->clock.now(engine->clock.context);
    if (event == TL_EVENT_HOT) {
        engine->epoch_ns += now - engine->stopped_ns; /* the program's clock stood still */
    } else {
        engine->state = state;
        engine->epoch_ns = now;
        forget_scans(engine);
        tl_io_begin(engine->io, state);
        start_setpoints(engine->io, kept, now, wall_ns);
    }
    for (uint32_t i = 0; i < engine->program->task_count; i++) {
        engine->records[i].deadline_ns = now;
    }
    engine->poll_at_ns = now;
    engine->mode = after;
    return true;
}

bool tl_engine_stop(struct tl_engine *engine)
{
    enum tl_mode after;
    if (!tl_mode_after(engine->mode, TL_EVENT_STOP, &after)) {
        return false;
    }
    if (engine->mode == TL_MODE_RUNNING) {
        engine->stopped_ns = engine->clock.now(engine->clock.context);
        engine->refresh_at_ns = engine->stopped_ns; /* a tick is due at once */
    }
    engine->mode = after;
    return true;
}

static void enter_fault(struct tl_engine *engine, const char *task, int64_t wall_ns)
{
    note_fault(&engine->fault, engine->program, &engine->scan, task, wall_ns);
    enum tl_mode after;
    if (tl_mode_after(engine->mode, TL_EVENT_FAULT, &after)) {
        engine->mode = after;
    }
}

static void enter_image_fault(struct tl_engine *engine, int64_t wall_ns)
{
    engine->scan.fault = TL_FAULT_IMAGE;
    engine->scan.fault_file = TL_NO_FILE;
    engine->scan.fault_line = 0;
    enter_fault(engine, "", wall_ns);
}

int64_t tl_engine_due(const struct tl_engine *engine)
{
    int64_t due = engine->refresh_at_ns;
    if (engine->mode != TL_MODE_RUNNING) {
        return due;
    }
    if (engine->has_events && engine->poll_at_ns < due) {
        due = engine->poll_at_ns;
    }
    for (uint32_t i = 0; i < engine->program->task_count; i++) {
        if (engine->program->tasks[i].interval_ns != 0 && engine->records[i].deadline_ns < due) {
            due = engine->records[i].deadline_ns;
        }
    }
    return due;
}

/* Whether a task is to run in the tick of `now`; of an event task also remembers its event. */
static bool is_due(struct tl_engine *engine, const struct tl_task *task, struct tl_task_record *record, int64_t now)
{
    if (task->interval_ns != 0) {
        return record->deadline_ns <= now;
    }
    const bool is_event = ((const unsigned char *)engine->state)[task->event_offset] != 0;
    const bool rises = is_event && !record->was_event;
    record->was_event = is_event;
    return rises;
}

/* A deadline is missed when the scan before it ends after the next one is due. The schedule keeps its phase and skips
 * what is past: scans never pile up. */
static void settle_deadline(const struct tl_task *task, struct tl_task_record *record, int64_t start)
{
    const int64_t late = start - record->deadline_ns;
    const int64_t missed = late / task->interval_ns;
    record->overruns += (uint64_t)missed;
    tl_histogram_add(&record->jitter, late - missed * task->interval_ns);
    record->deadline_ns += (missed + 1) * task->interval_ns;
}

/* False where the task faulted. */
static bool run_task(struct tl_engine *engine, uint32_t index, int64_t now, int64_t wall_ns)
{
    const struct tl_task *task = &engine->program->tasks[index];
    struct tl_task_record *record = &engine->records[index];
    if (!is_due(engine, task, record, now)) {
        return true;
    }
    struct tl_scan *scan = &engine->scan;
    scan->now_ns = now - engine->epoch_ns;
    scan->wall_ns = wall_ns;
    scan->period_ns = task->interval_ns;
    scan->count = record->count;
    scan->loop_budget = engine->loop_budget;
    scan->is_first = record->count == 0;
    tl_force_apply(&engine->forces, engine->state);
    const int64_t start = engine->clock.now(engine->clock.context);
    if (task->interval_ns != 0) {
        settle_deadline(task, record, start);
    }
    const bool is_whole = tl_program_step(task, scan, engine->state);
    tl_histogram_add(&record->durations, engine->clock.now(engine->clock.context) - start);
    if (!is_whole) {
        enter_fault(engine, task->name, wall_ns);
        return false;
    }
    record->count++;
    tl_trace_record(&engine->trace, index, scan->now_ns, engine->state);
    return true;
}

static void run_tasks(struct tl_engine *engine, int64_t now, int64_t wall_ns)
{
    if (tl_io_read(engine->io, engine->image, engine->state, now, wall_ns) != TL_OK) {
        enter_image_fault(engine, wall_ns);
        return;
    }
    tl_force_apply(&engine->forces, engine->state); /* before events are looked at: those may be forced too */
    for (uint32_t i = 0; i < engine->program->task_count; i++) {
        if (!run_task(engine, engine->records[i].order, now, wall_ns)) {
            return;
        }
    }
    tl_force_apply(&engine->forces, engine->state);
    if (engine->poll_at_ns <= now) {
        engine->poll_at_ns += ((now - engine->poll_at_ns) / TL_EVENT_POLL_NS + 1) * TL_EVENT_POLL_NS;
    }
}

size_t tl_engine_tick(struct tl_engine *engine, int64_t wall_ns)
{
    const int64_t now = engine->clock.now(engine->clock.context);
    engine->ticks++;
    if (engine->mode == TL_MODE_RUNNING) {
        run_tasks(engine, now, wall_ns);
    }
    const bool everything = engine->refresh_at_ns <= now;
    if (everything) {
        engine->refresh_at_ns = now + TL_OUTPUT_REFRESH_NS;
    }
    const void *state = engine->mode == TL_MODE_RUNNING ? engine->state : NULL;
    size_t count;
    if (tl_io_write(engine->io, engine->image, engine->owner, state, everything, wall_ns, &count) != TL_OK) {
        enter_image_fault(engine, wall_ns); /* nothing went out; the next tick tries the safe values */
        return 0;
    }
    return count;
}

enum tl_change_result tl_change_check(const struct tl_change *change, const struct tl_program *old)
{
    uint32_t free_from = 0;
    for (size_t i = 0; i < change->move_count; i++) {
        const struct tl_move *move = &change->moves[i];
        if (move->from < free_from || move->bytes == 0 || !is_inside(move->from, move->bytes, old->state_bytes) ||
            !is_inside(move->to, move->bytes, change->program->state_bytes)) {
            return TL_CHANGE_MOVES;
        }
        free_from = move->from + move->bytes;
    }
    return TL_CHANGE_OK;
}

static uint32_t task_of_name(const struct tl_program *program, const struct tl_task *task)
{
    for (uint32_t i = 0; i < program->task_count; i++) {
        if (same_name(&program->tasks[i], task)) {
            return i;
        }
    }
    return TL_NO_TASK;
}

/* A task that is new begins in the next tick; one with another interval goes on from its last scan. */
static void carry_task(const struct tl_engine *engine, const struct tl_task *task, struct tl_task_record *record,
                       int64_t now)
{
    const uint32_t old = task_of_name(engine->program, task);
    if (old == TL_NO_TASK) {
        *record = (struct tl_task_record){.deadline_ns = now};
        return;
    }
    *record = engine->records[old];
    const int64_t interval = engine->program->tasks[old].interval_ns;
    if (task->interval_ns != interval) {
        record->deadline_ns = interval == 0 ? now : record->deadline_ns - interval + task->interval_ns;
        if (record->deadline_ns < now) {
            record->deadline_ns = now; /* no overrun: this deadline was never set */
        }
    }
}

/* A setpoint that is in both wirings goes on; one whose limits were changed as after a warm start. */
static void carry_setpoints(const struct tl_engine *engine, const struct tl_change *change, int64_t now,
                            int64_t wall_ns)
{
    const struct tl_io *io = change->io;
    for (size_t i = 0; i < io->setpoint_count; i++) {
        if (change->setpoints[i] == TL_NO_SETPOINT) {
            tl_setpoint_reset(&io->setpoints[i], &io->records[i], now);
            continue;
        }
        const struct tl_setpoint_record *record = &engine->io->records[change->setpoints[i]];
        tl_setpoint_restore(&io->setpoints[i], &io->records[i], &record->kept, now, wall_ns);
        io->records[i].deadline_ns = record->deadline_ns;
        io->records[i].accepted_at_ns = record->accepted_at_ns;
    }
}

void tl_engine_change(struct tl_engine *engine, struct tl_change *change, int64_t wall_ns)
{
    const int64_t now = engine->clock.now(engine->clock.context);
    for (uint32_t i = 0; i < change->program->task_count; i++) {
        carry_task(engine, &change->program->tasks[i], &change->records[i], now);
    }
    put_in_order(change->program, change->records);

    const unsigned char *from = engine->state;
    unsigned char *to = change->state;
    for (size_t i = 0; i < change->move_count; i++) {
        memcpy(to + change->moves[i].to, from + change->moves[i].from, change->moves[i].bytes);
    }
    tl_io_begin(change->io, change->state);
    carry_setpoints(engine, change, now, wall_ns);
    change->forces_dropped = tl_force_move(&engine->forces, change->moves, change->move_count);
    const uint32_t traced = engine->trace.plan.task < engine->program->task_count
                                ? task_of_name(change->program, &engine->program->tasks[engine->trace.plan.task])
                                : TL_NO_TASK;
    tl_trace_move(&engine->trace, change->moves, change->move_count, traced);
    if (change->orphans != NULL) {
        size_t count;
        if (tl_io_write(change->orphans, engine->image, engine->owner, NULL, true, wall_ns, &count) != TL_OK) {
            enter_image_fault(engine, wall_ns);
        }
    }
    engine->program = change->program;
    engine->state = change->state;
    engine->io = change->io;
    engine->records = change->records;
    engine->has_events = has_events(change->program);
    engine->changes++;
}

bool tl_engine_keep(const struct tl_engine *engine, void *copy, struct tl_setpoint_kept *kept)
{
    if (engine->mode == TL_MODE_FAULTED) {
        return false;
    }
    const unsigned char *from = engine->state;
    unsigned char *to = copy;
    for (uint32_t i = 0; i < engine->program->retained_count; i++) {
        const struct tl_retained *retained = &engine->program->retained[i];
        memcpy(to + retained->offset, from + retained->offset, retained->bytes);
    }
    for (size_t i = 0; i < engine->io->setpoint_count; i++) {
        kept[i] = engine->io->records[i].kept;
    }
    return true;
}
