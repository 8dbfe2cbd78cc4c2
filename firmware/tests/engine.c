/* The engine on virtual time, with a small program by hand: modes, schedule, forces, faults, online change, trace. */
#include "check.h"
#include "engine.h"

#define MS INT64_C(1000000)
#define IN 0u /* tags */
#define OUT 1u
#define OTHER 2u

struct state {
    int32_t input;
    uint32_t input_quality;
    int32_t output; /* = input + offset, by the fast task */
    int32_t offset;
    uint32_t fast_scans;
    uint32_t slow_scans;
    uint32_t event_scans;
    uint8_t event;
    uint8_t fault; /* raise this one in the next fast scan */
    uint8_t seen_first;
    int64_t seen_now;
    int64_t seen_period;
    char log[64]; /* which task ran, in order */
    uint32_t log_bytes;
};
#define AT(member) ((uint32_t)offsetof(struct state, member))

static int64_t now;
static int64_t scan_takes; /* the fast task takes this long */

static int64_t clock_now(void *context)
{
    (void)context;
    return now;
}

static void note(struct state *state, char task)
{
    if (state->log_bytes < sizeof state->log) {
        state->log[state->log_bytes++] = task;
    }
}

static void fast(struct tl_scan *scan, void *at)
{
    struct state *state = at;
    note(state, 'f');
    state->fast_scans++;
    state->output = state->input + state->offset;
    state->seen_first = (uint8_t)(state->seen_first + (scan->is_first ? 1 : 0));
    state->seen_now = scan->now_ns;
    state->seen_period = scan->period_ns;
    now += scan_takes;
    if (state->fault == TL_FAULT_LOOP) {
        for (;;) {
            if (--scan->loop_budget < 0) {
                tl_raise(scan, TL_FAULT_LOOP, 1, 60);
            }
        }
    }
    if (state->fault != 0) {
        tl_raise(scan, (enum tl_fault)state->fault, 1, 50u + state->fault);
    }
}

static void slow(struct tl_scan *scan, void *at)
{
    (void)scan;
    struct state *state = at;
    note(state, 's');
    state->slow_scans++;
}

static void on_event(struct tl_scan *scan, void *at)
{
    (void)scan;
    struct state *state = at;
    note(state, 'e');
    state->event_scans++;
}

static bool init_faults;

static void init(struct tl_scan *scan, void *at)
{
    struct state *state = at;
    state->offset = 100;
    if (init_faults) {
        tl_raise(scan, TL_FAULT_DIVISION_BY_ZERO, 0, 7);
    }
}

static const char *const files[] = {"lib.st", "main.st"};
static const struct tl_task tasks[] = {
    {.name = "slow", .interval_ns = 10 * MS, .priority = 5, .event_offset = TL_NO_OFFSET, .run = slow},
    {.name = "fast", .interval_ns = MS, .priority = 1, .event_offset = TL_NO_OFFSET, .run = fast},
    {.name = "event", .priority = 9, .event_offset = AT(event), .run = on_event},
};
static const struct tl_retained retained[] = {{.key = 1, .offset = AT(offset), .bytes = 4}};
static const struct tl_program program = {.abi = TL_PROGRAM_ABI,
                                          .state_bytes = sizeof(struct state),
                                          .name = "test",
                                          .digest = "d",
                                          .files = files,
                                          .tasks = tasks,
                                          .retained = retained,
                                          .file_count = 2,
                                          .task_count = 3,
                                          .retained_count = 1,
                                          .init = init};

static const struct tl_input inputs[] = {{.tag = IN,
                                          .offset = AT(input),
                                          .quality_offset = AT(input_quality),
                                          .good_offset = TL_NO_OFFSET,
                                          .kind = TL_KIND_I32,
                                          .type = TL_INT64}};
static const struct tl_output outputs[] = {{.tag = OUT,
                                            .offset = AT(output),
                                            .active_offset = TL_NO_OFFSET,
                                            .kind = TL_KIND_I32,
                                            .type = TL_INT64,
                                            .safe = 7}};

/* Work space of one wiring. */
struct wires {
    struct tl_io io;
    _Alignas(64) unsigned char memory[8192];
};

static struct check_plan plan_of;
static struct tl_image image;

static struct tl_io *wire(struct wires *wires, const struct tl_input *in, size_t ins, const struct tl_output *out,
                          size_t outs)
{
    wires->io = (struct tl_io){.inputs = in, .outputs = out, .input_count = ins, .output_count = outs};
    CHECK(tl_io_bytes(&wires->io, &image) <= sizeof wires->memory);
    tl_io_start(&wires->io, &image, wires->memory);
    return &wires->io;
}

static struct tl_engine engine;
static struct state state;
static struct state second;
static struct wires wires;
static struct tl_task_record records[3];
static struct tl_force forces[4];
static struct tl_scan scratch;

static void make_image(void)
{
    const struct tl_plan *plan = check_plan_make(&plan_of, 3, 1, 0, 1024);
    memset(plan_of.types, TL_INT64, 3);
    check_region_make(plan, &image);
}

static void prepare(const struct tl_program *of, void *to)
{
    struct tl_fault_record fault;
    CHECK(tl_engine_prepare(of, to, &scratch, 1000, 0, &fault));
}

static void make_engine(void)
{
    now = 5000 * MS;
    scan_takes = 0;
    engine = (struct tl_engine){.image = &image,
                                .owner = 0,
                                .clock = {.now = clock_now},
                                .program = &program,
                                .state = &state,
                                .io = wire(&wires, inputs, 1, outputs, 1),
                                .records = records,
                                .forces = {.list = forces, .limit = 4},
                                .loop_budget = 1000};
    CHECK_EQUAL(tl_program_check(&program), TL_PROGRAM_OK);
    prepare(&program, &state);
    tl_engine_init(&engine);
}

static void put(uint32_t tag, int64_t value, uint32_t status)
{
    const uint64_t raw = (uint64_t)value;
    const struct tl_batch batch = {
        .tags = &tag, .values = &raw, .statuses = &status, .source_times = &now, .receipt_times = &now, .count = 1};
    size_t bad_row;
    CHECK_EQUAL(tl_image_write(&image, 0, &batch, &bad_row), TL_OK);
}

static struct tl_sample got(uint32_t tag)
{
    struct tl_sample sample;
    CHECK_EQUAL(tl_image_read(&image, &tag, 1, &sample), TL_OK);
    return sample;
}

static struct state *running(void)
{
    return engine.state;
}

/* As a host does: sleep until a tick is due, tick; until `end`. */
static void run_until(int64_t end)
{
    while (tl_engine_due(&engine) <= end) {
        const int64_t due = tl_engine_due(&engine);
        now = due > now ? due : now;
        (void)tl_engine_tick(&engine, now);
    }
    now = end > now ? end : now;
}

static void start(void)
{
    make_engine();
    put(IN, 1, 0);
    CHECK(tl_engine_start(&engine, TL_EVENT_COLD, &state, NULL, 0));
}

static void test_every_transition_of_the_table(void)
{
    static const struct {
        enum tl_mode mode;
        enum tl_event event;
        int after; /* -1: refused */
    } rows[] = {
        {TL_MODE_STOPPED, TL_EVENT_COLD, TL_MODE_RUNNING},
        {TL_MODE_STOPPED, TL_EVENT_WARM, TL_MODE_RUNNING},
        {TL_MODE_STOPPED, TL_EVENT_HOT, TL_MODE_RUNNING},
        {TL_MODE_STOPPED, TL_EVENT_STOP, TL_MODE_STOPPED},
        {TL_MODE_STOPPED, TL_EVENT_FAULT, -1},
        {TL_MODE_RUNNING, TL_EVENT_COLD, -1},
        {TL_MODE_RUNNING, TL_EVENT_WARM, -1},
        {TL_MODE_RUNNING, TL_EVENT_HOT, -1},
        {TL_MODE_RUNNING, TL_EVENT_STOP, TL_MODE_STOPPED},
        {TL_MODE_RUNNING, TL_EVENT_FAULT, TL_MODE_FAULTED},
        {TL_MODE_FAULTED, TL_EVENT_COLD, TL_MODE_RUNNING},
        {TL_MODE_FAULTED, TL_EVENT_WARM, TL_MODE_RUNNING},
        {TL_MODE_FAULTED, TL_EVENT_HOT, -1},
        {TL_MODE_FAULTED, TL_EVENT_STOP, TL_MODE_FAULTED},
        {TL_MODE_FAULTED, TL_EVENT_FAULT, -1},
    };
    CHECK_EQUAL(sizeof rows / sizeof *rows, TL_MODES * TL_EVENTS);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum tl_mode after = TL_MODE_STOPPED;
        CHECK_EQUAL(tl_mode_after(rows[i].mode, rows[i].event, &after), rows[i].after >= 0);
        CHECK_EQUAL(after, rows[i].after < 0 ? TL_MODE_STOPPED : rows[i].after);
        /* And the engine does as the table says. */
        make_engine();
        if (rows[i].mode != TL_MODE_STOPPED) {
            CHECK(tl_engine_start(&engine, TL_EVENT_COLD, &state, NULL, 0));
            state.fault = rows[i].mode == TL_MODE_FAULTED ? TL_FAULT_SUBRANGE : 0;
            (void)tl_engine_tick(&engine, now);
        }
        CHECK_EQUAL(engine.mode, rows[i].mode);
        if (rows[i].event <= TL_EVENT_HOT) {
            prepare(&program, &second);
            CHECK_EQUAL(tl_engine_start(&engine, rows[i].event, &second, NULL, 0), rows[i].after >= 0);
        } else if (rows[i].event == TL_EVENT_STOP) {
            CHECK(tl_engine_stop(&engine));
        } else {
            continue;
        }
        CHECK_EQUAL(engine.mode, rows[i].after < 0 ? (int)rows[i].mode : rows[i].after);
    }
}

static void test_outputs_are_safe_until_started_and_again_when_stopped(void)
{
    make_engine();
    (void)tl_engine_tick(&engine, now);
    CHECK(got(OUT).value == 7 && got(OUT).status == TL_STATUS_OUT_OF_SERVICE);
    put(IN, 1, 0);
    CHECK(tl_engine_start(&engine, TL_EVENT_COLD, &state, NULL, 0));
    run_until(now + 3 * MS);
    CHECK(got(OUT).value == 101 && got(OUT).status == TL_STATUS_GOOD);
    CHECK(tl_engine_stop(&engine));
    CHECK(tl_engine_due(&engine) <= now);
    CHECK_EQUAL(tl_engine_tick(&engine, now), 1);
    CHECK(got(OUT).value == 7 && got(OUT).status == TL_STATUS_OUT_OF_SERVICE);
}

static void test_tasks_run_by_priority_each_at_its_interval(void)
{
    start();
    run_until(now + 11 * MS);
    CHECK_EQUAL(running()->log_bytes, 14); /* 12 fast scans at 0..11 ms, 2 slow ones at 0 and 10 */
    CHECK(memcmp(running()->log, "fsffffffffffsf", 14) == 0);
    CHECK_EQUAL(running()->seen_first, 1);
    CHECK(running()->seen_now == 11 * MS && running()->seen_period == MS);
    CHECK_EQUAL(records[1].overruns, 0);
    CHECK_EQUAL(records[1].count, 12);
    CHECK_EQUAL(records[1].jitter.highest_ns, 0);
}

static void test_an_event_task_runs_once_a_rising_edge(void)
{
    start();
    run_until(now + 2 * MS);
    CHECK_EQUAL(running()->event_scans, 0);
    running()->event = 1;
    run_until(now + 5 * MS);
    CHECK_EQUAL(running()->event_scans, 1);
    running()->event = 0;
    run_until(now + 2 * MS);
    running()->event = 1;
    run_until(now + 2 * MS);
    CHECK_EQUAL(running()->event_scans, 2);
}

static void test_missed_deadlines_are_counted_and_never_made_up_for(void)
{
    start();
    run_until(now + MS);
    const uint32_t before = running()->fast_scans;
    scan_takes = 3 * MS + MS / 2; /* from now on each scan takes 3.5 ms */
    run_until(now + MS);          /* one scan at 2 ms, ends at 5.5 */
    scan_takes = 0;
    run_until(now + MS + MS / 2); /* at 5.5: deadlines 3 and 4 are lost, 5 runs late; then 6 and 7 in time */
    CHECK_EQUAL(records[1].overruns, 2);
    CHECK_EQUAL(running()->fast_scans - before, 4);
    CHECK(records[1].jitter.highest_ns == MS / 2);
    CHECK(records[1].durations.highest_ns == 3 * MS + MS / 2);
    CHECK_EQUAL(records[1].deadline_ns % MS, 0); /* in phase */
}

static void test_inputs_are_one_snapshot_and_bad_ones_are_seen(void)
{
    start();
    put(IN, 5, 0);
    run_until(now + MS);
    CHECK_EQUAL(running()->output, 105);
    put(IN, 9, UINT32_C(0x80050000));
    run_until(now + MS);
    CHECK_EQUAL(running()->output, 105); /* the last good one */
    CHECK_EQUAL(running()->input_quality, UINT32_C(0x80050000));
}

static void test_unchanged_outputs_are_refreshed_in_any_mode(void)
{
    start();
    run_until(now + 1500 * MS);
    const int64_t first = got(OUT).receipt_time;
    run_until(now + 1000 * MS);
    CHECK(got(OUT).receipt_time - first == TL_OUTPUT_REFRESH_NS);
    CHECK(tl_engine_stop(&engine));
    run_until(now + 3000 * MS);
    CHECK(now - got(OUT).receipt_time <= TL_OUTPUT_REFRESH_NS);
    CHECK_EQUAL(got(OUT).status, TL_STATUS_OUT_OF_SERVICE);
}

static void test_a_forced_input_is_what_the_task_sees_and_a_forced_output_what_goes_out(void)
{
    start();
    const int32_t forced = 40;
    CHECK_EQUAL(tl_force_set(&engine.forces, AT(input), 4, &forced, sizeof state), TL_FORCE_OK);
    run_until(now + MS);
    CHECK_EQUAL(running()->output, 140);
    const int32_t out = -1;
    CHECK_EQUAL(tl_force_set(&engine.forces, AT(output), 4, &out, sizeof state), TL_FORCE_OK);
    run_until(now + MS);
    CHECK(got(OUT).value == (uint64_t)-1);
    CHECK_EQUAL(got(OUT).status, TL_STATUS_GOOD);
    CHECK_EQUAL(tl_force_clear(&engine.forces, AT(output)), TL_FORCE_OK);
    run_until(now + MS);
    CHECK(got(OUT).value == 140);
    tl_force_clear_all(&engine.forces);
    run_until(now + MS);
    CHECK(got(OUT).value == 101); /* the tag is read again */
    const uint8_t on = 1;
    CHECK_EQUAL(tl_force_set(&engine.forces, AT(event), 1, &on, sizeof state), TL_FORCE_OK);
    run_until(now + 2 * MS);
    CHECK_EQUAL(running()->event_scans, 1);
}

static void test_the_force_list_has_its_limits(void)
{
    start();
    const uint64_t value = 3;
    CHECK_EQUAL(tl_force_set(&engine.forces, sizeof state - 3, 4, &value, sizeof state), TL_FORCE_RANGE);
    CHECK_EQUAL(tl_force_set(&engine.forces, UINT32_MAX, 4, &value, sizeof state), TL_FORCE_RANGE);
    CHECK_EQUAL(tl_force_set(&engine.forces, 0, 3, &value, sizeof state), TL_FORCE_RANGE);
    CHECK_EQUAL(tl_force_set(&engine.forces, 8, 4, &value, sizeof state), TL_FORCE_OK);
    CHECK_EQUAL(tl_force_set(&engine.forces, 8, 4, &value, sizeof state), TL_FORCE_OK); /* anew: no second one */
    CHECK_EQUAL(tl_force_set(&engine.forces, 8, 2, &value, sizeof state), TL_FORCE_LAPS);
    CHECK_EQUAL(tl_force_set(&engine.forces, 6, 4, &value, sizeof state), TL_FORCE_LAPS);
    CHECK_EQUAL(tl_force_set(&engine.forces, 11, 1, &value, sizeof state), TL_FORCE_LAPS);
    CHECK_EQUAL(tl_force_set(&engine.forces, 4, 4, &value, sizeof state), TL_FORCE_OK);
    CHECK_EQUAL(tl_force_set(&engine.forces, 12, 1, &value, sizeof state), TL_FORCE_OK);
    CHECK_EQUAL(tl_force_set(&engine.forces, 0, 4, &value, sizeof state), TL_FORCE_OK);
    CHECK_EQUAL(engine.forces.count, 4);
    CHECK_EQUAL(tl_force_set(&engine.forces, 16, 1, &value, sizeof state), TL_FORCE_FULL);
    CHECK_EQUAL(tl_force_clear(&engine.forces, 5), TL_FORCE_ABSENT);
    CHECK_EQUAL(tl_force_clear(&engine.forces, 4), TL_FORCE_OK);
    CHECK(forces[0].offset == 0 && forces[1].offset == 8 && forces[2].offset == 12);
}

static void test_each_fault_stops_the_program_says_where_and_makes_outputs_safe(void)
{
    for (uint8_t fault = TL_FAULT_ARRAY_BOUNDS; fault <= TL_FAULT_INTERFACE; fault++) {
        start();
        run_until(now + 2 * MS);
        CHECK(got(OUT).value == 101);
        running()->fault = fault;
        const int64_t at = now + MS;
        run_until(at);
        CHECK_EQUAL(engine.mode, TL_MODE_FAULTED);
        CHECK_EQUAL(engine.fault.code, fault);
        CHECK_EQUAL(engine.fault.line, fault == TL_FAULT_LOOP ? 60 : 50 + fault);
        CHECK(strcmp(engine.fault.file, "main.st") == 0 && strcmp(engine.fault.task, "fast") == 0);
        CHECK(engine.fault.wall_ns == at && engine.fault.now_ns == 3 * MS);
        CHECK(got(OUT).value == 7 && got(OUT).status == TL_STATUS_OUT_OF_SERVICE && got(OUT).receipt_time == at);
        const uint32_t scans = running()->fast_scans;
        run_until(now + 5 * MS);
        CHECK_EQUAL(running()->fast_scans, scans);
        CHECK(!tl_engine_keep(&engine, &second, NULL));
        prepare(&program, &second);
        CHECK(tl_engine_start(&engine, TL_EVENT_WARM, &second, NULL, 0));
        run_until(now + MS);
        CHECK(got(OUT).value == 101 && engine.mode == TL_MODE_RUNNING);
    }
}

static void test_a_fault_of_init_is_told_before_anything_starts(void)
{
    struct tl_fault_record fault;
    init_faults = true;
    CHECK(!tl_engine_prepare(&program, &second, &scratch, 1000, 77, &fault));
    init_faults = false;
    CHECK(fault.code == TL_FAULT_DIVISION_BY_ZERO && fault.line == 7 && fault.wall_ns == 77);
    CHECK(strcmp(fault.file, "lib.st") == 0 && fault.task[0] == 0);
}

static void test_an_image_that_refuses_is_a_fault(void)
{
    start();
    engine.owner = 1; /* no owner of OUT */
    (void)tl_engine_tick(&engine, now);
    CHECK(engine.mode == TL_MODE_FAULTED && engine.fault.code == TL_FAULT_IMAGE);
    engine.owner = 0;
    (void)tl_engine_tick(&engine, now);
    CHECK_EQUAL(got(OUT).status, TL_STATUS_OUT_OF_SERVICE);
}

static void test_cold_warm_and_hot_starts(void)
{
    start();
    run_until(now + 4 * MS);
    running()->offset = 500; /* retained */
    running()->slow_scans = 80;
    CHECK(tl_engine_stop(&engine));
    run_until(now + 100 * MS);
    CHECK(tl_engine_start(&engine, TL_EVENT_HOT, NULL, NULL, 0)); /* all goes on, the clock too */
    run_until(now);
    CHECK_EQUAL(running()->offset, 500);
    CHECK_EQUAL(running()->slow_scans, 81);
    CHECK(running()->seen_now == 4 * MS && running()->seen_first == 1);
    CHECK_EQUAL(records[1].overruns, 0);
    CHECK(tl_engine_stop(&engine));
    memset(&second, 0, sizeof second);
    CHECK(tl_engine_keep(&engine, &second, NULL));
    const int32_t kept = second.offset;
    CHECK(kept == 500 && second.fast_scans == 0); /* only what is retained */
    prepare(&program, &second);
    second.offset = kept; /* as tl_retain_load does */
    CHECK(tl_engine_start(&engine, TL_EVENT_WARM, &second, NULL, 0));
    run_until(now);
    CHECK(running() == &second && second.offset == 500 && second.slow_scans == 1);
    CHECK(second.seen_now == 0 && second.seen_first == 1);
    CHECK(tl_engine_stop(&engine));
    prepare(&program, &state);
    CHECK(tl_engine_start(&engine, TL_EVENT_COLD, &state, NULL, 0));
    run_until(now);
    CHECK(running() == &state && state.offset == 100);
}

/* The program after an edit: variables elsewhere, `slow` gone, `fast` twice as slow, a task `new`; OUT is wired no
 * more, OTHER is. */
struct edited {
    uint64_t unused;
    int32_t offset;
    int32_t input;
    int32_t output;
    uint32_t fast_scans;
    uint32_t new_scans;
    uint8_t was_first;
};

static void edited_fast(struct tl_scan *scan, void *at)
{
    struct edited *edited = at;
    edited->fast_scans++;
    edited->was_first = (uint8_t)scan->is_first;
    edited->output = edited->input + edited->offset;
}

static void edited_new(struct tl_scan *scan, void *at)
{
    ((struct edited *)at)->new_scans += scan->is_first ? 100 : 1;
}

static void edited_init(struct tl_scan *scan, void *at)
{
    (void)scan;
    ((struct edited *)at)->offset = 1;
}

static const struct tl_task edited_tasks[] = {
    {.name = "fast", .interval_ns = 2 * MS, .priority = 1, .event_offset = TL_NO_OFFSET, .run = edited_fast},
    {.name = "new", .interval_ns = 5 * MS, .priority = 0, .event_offset = TL_NO_OFFSET, .run = edited_new},
};
static const struct tl_program edited_program = {.abi = TL_PROGRAM_ABI,
                                                 .state_bytes = sizeof(struct edited),
                                                 .name = "test",
                                                 .digest = "e",
                                                 .tasks = edited_tasks,
                                                 .task_count = 2,
                                                 .init = edited_init};
#define TO(member) ((uint32_t)offsetof(struct edited, member))
static const struct tl_move moves[] = {
    {.from = AT(input), .to = TO(input), .bytes = 4},
    {.from = AT(output), .to = TO(output), .bytes = 4},
    {.from = AT(offset), .to = TO(offset), .bytes = 4},
    {.from = AT(fast_scans), .to = TO(fast_scans), .bytes = 4},
};
static const struct tl_input edited_inputs[] = {{.tag = IN,
                                                 .offset = TO(input),
                                                 .quality_offset = TL_NO_OFFSET,
                                                 .good_offset = TL_NO_OFFSET,
                                                 .kind = TL_KIND_I32,
                                                 .type = TL_INT64}};
static const struct tl_output edited_outputs[] = {
    {.tag = OTHER, .offset = TO(output), .active_offset = TL_NO_OFFSET, .kind = TL_KIND_I32, .type = TL_INT64}};
static struct edited edited;
static struct wires edited_wires;
static struct wires orphan_wires;
static struct tl_task_record edited_records[2];

static struct tl_change make_change(void)
{
    prepare(&edited_program, &edited);
    const struct tl_change change = {.program = &edited_program,
                                     .state = &edited,
                                     .io = wire(&edited_wires, edited_inputs, 1, edited_outputs, 1),
                                     .records = edited_records,
                                     .orphans = wire(&orphan_wires, NULL, 0, outputs, 1),
                                     .moves = moves,
                                     .move_count = sizeof moves / sizeof *moves};
    CHECK_EQUAL(tl_change_check(&change, &program), TL_CHANGE_OK);
    return change;
}

static void test_an_online_change_keeps_variables_phase_and_forces_and_misses_no_scan(void)
{
    start();
    run_until(now + 7 * MS);
    const int64_t end = now;
    running()->offset = 900;
    const int32_t forced = 11;
    const uint32_t gone = 1;
    CHECK_EQUAL(tl_force_set(&engine.forces, AT(input), 4, &forced, sizeof state), TL_FORCE_OK);
    CHECK_EQUAL(tl_force_set(&engine.forces, AT(slow_scans), 4, &gone, sizeof state), TL_FORCE_OK);
    const int32_t held = 900;
    CHECK_EQUAL(tl_force_set(&engine.forces, AT(offset), 4, &held, sizeof state), TL_FORCE_OK);
    const uint32_t scans = running()->fast_scans;
    struct tl_change change = make_change();
    now += MS / 4; /* between two ticks */
    tl_engine_change(&engine, &change, now);
    CHECK_EQUAL(change.forces_dropped, 1);
    CHECK(engine.forces.count == 2 && forces[0].offset == TO(offset) && forces[1].offset == TO(input)); /* sorted */
    CHECK(got(OUT).value == 7 && got(OUT).status == TL_STATUS_OUT_OF_SERVICE); /* no longer wired */
    CHECK_EQUAL(edited_records[0].count, scans);
    CHECK(edited_records[0].deadline_ns == end + 2 * MS); /* the last scan was at `end`, now it comes every 2 ms */
    run_until(end + 2 * MS);
    CHECK_EQUAL(edited.fast_scans, scans + 1);
    CHECK(edited.offset == 900 && edited.output == 911 && edited.was_first == 0);
    CHECK(got(OTHER).value == 911 && got(OTHER).status == TL_STATUS_GOOD);
    CHECK_EQUAL(edited.new_scans, 100);
    run_until(end + 6 * MS);
    CHECK_EQUAL(edited.fast_scans, scans + 3);
    CHECK_EQUAL(edited.new_scans, 101);
    CHECK_EQUAL(edited_records[0].overruns, 0);
    CHECK_EQUAL(engine.changes, 1);
}

static void test_an_online_change_under_ticks_misses_nothing(void)
{
    start();
    static struct state both[2];
    static struct tl_task_record both_records[2][3];
    static struct wires both_wires[2];
    static const struct tl_move whole[] = {{.from = 0, .to = 0, .bytes = sizeof(struct state)}};
    run_until(now);
    for (unsigned i = 0; i < 1000; i++) {
        struct state *to = &both[i % 2];
        prepare(&program, to);
        struct tl_change change = {.program = &program,
                                   .state = to,
                                   .io = wire(&both_wires[i % 2], inputs, 1, outputs, 1),
                                   .records = both_records[i % 2],
                                   .moves = whole,
                                   .move_count = 1};
        tl_engine_change(&engine, &change, now);
        run_until(now + MS);
        CHECK_EQUAL(running()->fast_scans, i + 2);
    }
    CHECK_EQUAL(running()->slow_scans, 101);
    CHECK_EQUAL(running()->seen_first, 1);
    CHECK(running()->seen_now == 1000 * MS);
    CHECK_EQUAL(engine.records[1].overruns, 0);
}

static void test_a_change_in_any_mode_leaves_the_mode(void)
{
    make_engine();
    struct tl_change change = make_change();
    tl_engine_change(&engine, &change, now);
    CHECK(engine.mode == TL_MODE_STOPPED);
    start();
    running()->fault = TL_FAULT_SUBRANGE;
    (void)tl_engine_tick(&engine, now);
    change = make_change();
    tl_engine_change(&engine, &change, now);
    CHECK(engine.mode == TL_MODE_FAULTED && engine.fault.code == TL_FAULT_SUBRANGE);
    CHECK(strcmp(engine.fault.file, "main.st") == 0); /* the old program's files are gone, the text is here */
}

static void test_moves_that_leave_a_state_or_lap_are_refused(void)
{
    static const struct tl_move bad[][2] = {
        {{0, 0, 4}, {2, 8, 4}},                         /* shares bytes */
        {{8, 0, 4}, {0, 8, 4}},                         /* not sorted */
        {{0, 0, 4}, {4, 8, 0}},                         /* nothing */
        {{0, 0, 4}, {sizeof(struct state) - 2, 8, 4}},  /* past the old state */
        {{0, 0, 4}, {4, sizeof(struct edited) - 2, 4}}, /* past the new one */
        {{0, 0, 4}, {4, 8, UINT32_MAX}},
        {{0, 0, 4}, {UINT32_MAX, 8, 4}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct tl_change change = {.program = &edited_program, .moves = bad[i], .move_count = 2};
        CHECK_EQUAL(tl_change_check(&change, &program), TL_CHANGE_MOVES);
    }
}

static void test_programs_that_cannot_run_are_refused(void)
{
    struct tl_program bad = program;
    bad.abi = TL_PROGRAM_ABI + 1;
    CHECK_EQUAL(tl_program_check(&bad), TL_PROGRAM_ABI_OTHER);
    bad = program;
    bad.task_count = 0;
    CHECK_EQUAL(tl_program_check(&bad), TL_PROGRAM_TASKS);
    struct tl_task one = tasks[1];
    bad = program;
    bad.tasks = &one;
    bad.task_count = 1;
    one.interval_ns = 10;
    CHECK_EQUAL(tl_program_check(&bad), TL_PROGRAM_INTERVAL);
    one.interval_ns = 0;
    CHECK_EQUAL(tl_program_check(&bad), TL_PROGRAM_INTERVAL);
    one.event_offset = sizeof(struct state);
    CHECK_EQUAL(tl_program_check(&bad), TL_PROGRAM_OFFSET);
    const struct tl_task twice[] = {tasks[1], tasks[1]};
    bad.tasks = twice;
    bad.task_count = 2;
    CHECK_EQUAL(tl_program_check(&bad), TL_PROGRAM_TASKS);
    const struct tl_retained outside = {.key = 1, .offset = sizeof(struct state), .bytes = 1};
    bad = program;
    bad.retained = &outside;
    CHECK_EQUAL(tl_program_check(&bad), TL_PROGRAM_OFFSET);
}

static unsigned char rows[8192];

static struct tl_trace_plan make_trace(enum tl_trace_edge edge)
{
    const struct tl_trace_plan plan = {
        .task = 1,
        .variable_count = 2,
        .variables = {{.offset = AT(fast_scans), .kind = TL_KIND_U32, .bytes = 4},
                      {.offset = AT(output), .kind = TL_KIND_I32, .bytes = 4}},
        .before = 3,
        .after = 4,
        .trigger = 1,
        .edge = edge,
        .level = 200.0,
    };
    CHECK(tl_trace_bytes(&plan, &program) == 7 * 24);
    return plan;
}

static uint64_t cell(const struct tl_trace *trace, uint64_t row, unsigned column)
{
    uint64_t word;
    memcpy(&word, trace->rows + (row % 7) * 24 + 8 * (size_t)column, 8);
    return word;
}

static void test_a_trace_holds_what_was_before_and_after_its_trigger(void)
{
    for (unsigned lead = 1; lead < 12; lead++) { /* the ring at each of its turns; fewer rows than `before` too */
        start();
        struct tl_trace_plan plan = make_trace(TL_EDGE_RISING);
        tl_trace_arm(&engine.trace, &plan, rows);
        run_until(now + (lead - 1) * MS);
        CHECK_EQUAL(engine.trace.mode, TL_TRACE_ARMED);
        put(IN, 100, 0); /* output 200 in the next scan, which is number lead + 1 */
        run_until(now + MS);
        CHECK_EQUAL(engine.trace.mode, TL_TRACE_TRIGGERED);
        put(IN, 1, 0);
        run_until(now + 10 * MS);
        CHECK_EQUAL(engine.trace.mode, TL_TRACE_DONE);
        uint64_t count;
        const uint64_t first = tl_trace_first(&engine.trace, &count);
        const unsigned before = lead < 3 ? lead : 3;
        CHECK_EQUAL(count, before + 4);
        for (uint64_t i = 0; i < count; i++) {
            CHECK_EQUAL(cell(&engine.trace, first + i, 1), lead + 1 - before + i);
            CHECK_EQUAL(cell(&engine.trace, first + i, 0), (int64_t)(lead - before + i) * MS);
            CHECK_EQUAL(cell(&engine.trace, first + i, 2), i == before ? 200 : 101);
        }
    }
}

static void test_other_triggers_and_the_end_by_hand(void)
{
    start();
    struct tl_trace_plan plan = make_trace(TL_EDGE_NONE);
    tl_trace_arm(&engine.trace, &plan, rows);
    run_until(now + 10 * MS);
    CHECK_EQUAL(engine.trace.mode, TL_TRACE_DONE);
    uint64_t count;
    CHECK(tl_trace_first(&engine.trace, &count) == 0 && count == 4);
    plan = make_trace(TL_EDGE_FALLING);
    tl_trace_arm(&engine.trace, &plan, rows);
    run_until(now + 10 * MS);
    CHECK_EQUAL(engine.trace.mode, TL_TRACE_ARMED); /* it was below all the time */
    put(IN, 100, 0);
    run_until(now + 2 * MS);
    CHECK_EQUAL(engine.trace.mode, TL_TRACE_ARMED);
    put(IN, 1, 0);
    run_until(now + MS);
    CHECK_EQUAL(engine.trace.mode, TL_TRACE_TRIGGERED);
    plan = make_trace(TL_EDGE_EITHER);
    tl_trace_arm(&engine.trace, &plan, rows);
    run_until(now + 2 * MS);
    tl_trace_stop(&engine.trace);
    CHECK_EQUAL(engine.trace.mode, TL_TRACE_DONE);
    (void)tl_trace_first(&engine.trace, &count);
    CHECK_EQUAL(count, 2);
    plan.variables[0].offset = sizeof(struct state) - 3;
    CHECK_EQUAL(tl_trace_bytes(&plan, &program), 0);
    plan = make_trace(TL_EDGE_RISING);
    plan.variables[0].kind = TL_KIND_STRING;
    CHECK_EQUAL(tl_trace_bytes(&plan, &program), 0);
    plan = make_trace(TL_EDGE_RISING);
    plan.after = 0;
    CHECK_EQUAL(tl_trace_bytes(&plan, &program), 0);
}

static void test_a_trace_follows_its_variables_through_a_change_or_ends(void)
{
    start();
    struct tl_trace_plan plan = make_trace(TL_EDGE_RISING);
    tl_trace_arm(&engine.trace, &plan, rows);
    run_until(now + 2 * MS);
    struct tl_change change = make_change();
    tl_engine_change(&engine, &change, now);
    CHECK_EQUAL(engine.trace.mode, TL_TRACE_ARMED);
    CHECK(engine.trace.plan.task == 0 && engine.trace.plan.variables[0].offset == TO(fast_scans));
    put(IN, 500, 0);
    run_until(now + 2 * MS);
    CHECK_EQUAL(engine.trace.mode, TL_TRACE_TRIGGERED);

    start();
    plan.variables[1] = (struct tl_trace_variable){.offset = AT(slow_scans), .kind = TL_KIND_U32, .bytes = 4};
    tl_trace_arm(&engine.trace, &plan, rows);
    run_until(now + 2 * MS);
    change = make_change();
    tl_engine_change(&engine, &change, now);
    CHECK_EQUAL(engine.trace.mode, TL_TRACE_LOST);
}

int main(void)
{
    make_image();
    test_every_transition_of_the_table();
    test_outputs_are_safe_until_started_and_again_when_stopped();
    test_tasks_run_by_priority_each_at_its_interval();
    test_an_event_task_runs_once_a_rising_edge();
    test_missed_deadlines_are_counted_and_never_made_up_for();
    test_inputs_are_one_snapshot_and_bad_ones_are_seen();
    test_unchanged_outputs_are_refreshed_in_any_mode();
    test_a_forced_input_is_what_the_task_sees_and_a_forced_output_what_goes_out();
    test_the_force_list_has_its_limits();
    test_each_fault_stops_the_program_says_where_and_makes_outputs_safe();
    test_a_fault_of_init_is_told_before_anything_starts();
    test_an_image_that_refuses_is_a_fault();
    test_cold_warm_and_hot_starts();
    test_an_online_change_keeps_variables_phase_and_forces_and_misses_no_scan();
    test_an_online_change_under_ticks_misses_nothing();
    test_a_change_in_any_mode_leaves_the_mode();
    test_moves_that_leave_a_state_or_lap_are_refused();
    test_programs_that_cannot_run_are_refused();
    test_a_trace_holds_what_was_before_and_after_its_trigger();
    test_other_triggers_and_the_end_by_hand();
    test_a_trace_follows_its_variables_through_a_change_or_ends();
    free(image.base);
    return 0;
}
