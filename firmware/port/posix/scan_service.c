/* See scan_service.h. */
#define _GNU_SOURCE
#include "scan_service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_NO_ANSWER 71
#define MAX_FAULT_TEXT 600

static const char *const mode_names[] = {
    [TL_MODE_STOPPED] = "stopped", [TL_MODE_RUNNING] = "running", [TL_MODE_FAULTED] = "faulted"};

static bool say(char why[TL_MAX_WHY], const char *what)
{
    (void)snprintf(why, TL_MAX_WHY, "%s", what);
    return false;
}

void tl_service_ask(struct tl_service *service, struct tl_mail *mail)
{
    if (!tl_loop_post(&service->loop, mail, TL_ANSWER_NS(service->watchdog_ns))) {
        (void)fprintf(stderr, "tieline-scan: the loop does not answer: the process ends\n");
        _Exit(EXIT_NO_ANSWER); /* no clean-up: the loop may still be in the middle of anything */
    }
}

void tl_service_look(struct tl_service *service)
{
    service->status.forces = service->status_forces;
    struct tl_mail mail = {.what = TL_MAIL_STATUS, .status = &service->status};
    tl_service_ask(service, &mail);
}

bool tl_service_open(struct tl_service *service, const char *program, const char *wiring, const char *retain,
                     char why[TL_MAX_WHY])
{
    service->load = calloc(1, sizeof *service->load);
    if (service->load == NULL) {
        return say(why, "no memory");
    }
    struct tl_load *load = service->load;
    if (!tl_load_open(load, program, wiring, &service->segment->image, service->owner, why)) {
        return false;
    }
    if (!tl_retain_file_open(&service->retain, retain, tl_load_retain_bytes(load))) {
        (void)snprintf(why, TL_MAX_WHY, "%s: %s", retain, errno == EINVAL ? "not a retain file" : strerror(errno));
        return false;
    }
    /* Into a state that is not used: the first save has to go on from the sequence that is there. */
    struct tl_retain_block blocks[TL_LOAD_BLOCKS];
    tl_load_blocks(load, load->states[1], load->setpoints[TL_SETPOINTS_NEXT], blocks);
    if (tl_retain_load(&service->retain.retain, blocks, TL_LOAD_BLOCKS) == TL_RETAIN_MEDIUM) {
        (void)snprintf(why, TL_MAX_WHY, "%s: cannot be read", retain);
        return false;
    }
    service->loop.engine = (struct tl_engine){
        .image = &service->segment->image,
        .owner = service->owner,
        .program = load->program,
        .state = load->states[0],
        .io = &load->io,
        .records = load->records,
        .forces = {.list = service->forces, .limit = TL_MAX_FORCES},
        .loop_budget = TL_BUDGET_OF(service->watchdog_ns),
    };
    service->loop.segment = service->segment;
    service->loop.watchdog_ns = service->watchdog_ns;
    return tl_loop_start(&service->loop, why, TL_MAX_WHY);
}

static void fault_text(const struct tl_fault_record *fault, char *text, size_t bytes)
{
    if (fault->code == TL_FAULT_NONE) {
        text[0] = 0;
        return;
    }
    int at = snprintf(text, bytes, "%s", tl_fault_text(fault->code));
    if (fault->file[0] != 0) {
        at += snprintf(text + at, bytes - (size_t)at, " at %s:%u", fault->file, fault->line);
    }
    if (fault->task[0] != 0) {
        (void)snprintf(text + at, bytes - (size_t)at, " in task %s", fault->task);
    } else if (fault->code < TL_FAULT_WATCHDOG) {
        (void)snprintf(text + at, bytes - (size_t)at, " in the initial values");
    }
}

/* Initial values into `state`; a fault there is noted where status and tags find it. */
static bool prepare(struct tl_service *service, const struct tl_program *program, void *state, char why[TL_MAX_WHY])
{
    struct tl_fault_record fault;
    tl_guard(&service->scratch);
    const bool is_prepared = tl_engine_prepare(program, state, &service->scratch, TL_BUDGET_OF(service->watchdog_ns),
                                               tl_wall_ns(), &fault);
    tl_guard(NULL);
    if (is_prepared) {
        return true;
    }
    char text[MAX_FAULT_TEXT];
    fault_text(&fault, text, sizeof text);
    (void)snprintf(why, TL_MAX_WHY, "%.*s", (int)TL_MAX_WHY - 1, text);
    struct tl_mail mail = {.what = TL_MAIL_FAULT, .fault = &fault};
    tl_service_ask(service, &mail);
    return false;
}

bool tl_service_start(struct tl_service *service, enum tl_event event, char why[TL_MAX_WHY])
{
    struct tl_load *load = service->load;
    struct tl_mail mail = {.what = TL_MAIL_START, .start = {.event = event}};
    struct tl_retain_block blocks[TL_LOAD_BLOCKS] = {{0}};
    if (event != TL_EVENT_HOT) {
        mail.start.state = load->states[1u - load->active];
        if (!prepare(service, load->program, mail.start.state, why)) {
            return false;
        }
        if (event == TL_EVENT_WARM) {
            mail.start.kept = load->setpoints[TL_SETPOINTS_NEXT];
            memset(load->setpoints[TL_SETPOINTS_NEXT], 0, load->io.setpoint_count * sizeof(struct tl_setpoint_kept));
            tl_load_blocks(load, mail.start.state, load->setpoints[TL_SETPOINTS_NEXT], blocks);
            if (tl_retain_load(&service->retain.retain, blocks, TL_LOAD_BLOCKS) == TL_RETAIN_MEDIUM) {
                return say(why, "the retain file cannot be read");
            }
        }
    } else if (!service->has_started) {
        return say(why, "it has not run yet: start it warm or cold");
    }
    tl_service_ask(service, &mail);
    if (!mail.is_done) {
        tl_service_look(service);
        (void)snprintf(why, TL_MAX_WHY, "the program is %s", mode_names[service->status.mode]);
        return false;
    }
    if (event != TL_EVENT_HOT) {
        load->active = 1u - load->active;
        service->restored = blocks[0].restored;
    }
    service->has_started = true;
    service->was_faulted = false;
    return true;
}

void tl_service_save(struct tl_service *service)
{
    struct tl_load *load = service->load;
    if (!service->has_started || (load->program->retained_count == 0 && load->io.setpoint_count == 0)) {
        return;
    }
    struct tl_setpoint_kept *kept = load->setpoints[TL_SETPOINTS_KEPT];
    struct tl_setpoint_kept *saved = load->setpoints[TL_SETPOINTS_SAVED];
    const size_t setpoint_bytes = load->io.setpoint_count * sizeof *kept;
    struct tl_mail mail = {.what = TL_MAIL_KEEP, .keep = {.state = load->kept, .setpoints = kept}};
    tl_service_ask(service, &mail);
    if (!mail.is_done || (service->is_saved && memcmp(load->kept, load->saved, load->program->state_bytes) == 0 &&
                          memcmp(kept, saved, setpoint_bytes) == 0)) {
        return;
    }
    struct tl_retain_block blocks[TL_LOAD_BLOCKS];
    tl_load_blocks(load, load->kept, kept, blocks);
    if (tl_retain_save(&service->retain.retain, blocks, TL_LOAD_BLOCKS) == TL_RETAIN_OK) {
        memcpy(load->saved, load->kept, load->program->state_bytes);
        memcpy(saved, kept, setpoint_bytes);
        service->is_saved = true;
        service->saves++;
        return;
    }
    if (service->failures == 0) {
        (void)fprintf(stderr, "tieline-scan: %s: retained variables are not saved: %s\n", service->retain.path,
                      strerror(errno));
    }
    service->is_saved = false;
    service->failures++;
}

bool tl_service_stop(struct tl_service *service, char why[TL_MAX_WHY])
{
    struct tl_mail mail = {.what = TL_MAIL_STOP};
    tl_service_ask(service, &mail);
    tl_service_save(service);
    return mail.is_done || say(why, "it cannot be stopped now");
}

bool tl_service_trace(struct tl_service *service, const struct tl_trace_plan *plan, char why[TL_MAX_WHY])
{
    const size_t bytes = tl_trace_bytes(plan, service->load->program);
    if (bytes == 0 || bytes > TL_MAX_TRACE_BYTES) {
        return say(why, bytes == 0 ? "no such task or variable, or no row after the trigger"
                                   : "more rows than 8 MiB hold");
    }
    unsigned char *rows = malloc(bytes);
    if (rows == NULL) {
        return say(why, "no memory");
    }
    memset(rows, 0, bytes); /* so that the loop meets no page for the first time */
    struct tl_mail mail = {.what = TL_MAIL_TRACE_ARM, .trace = {.plan = plan, .rows = rows}};
    tl_service_ask(service, &mail);
    free(service->trace_rows); /* the loop has left them */
    service->trace_rows = rows;
    return true;
}

static bool change_over(struct tl_service *service, struct tl_load *next, const struct tl_move *moves,
                        size_t move_count, struct tl_changed *changed, char why[TL_MAX_WHY])
{
    struct tl_change change = {.program = next->program,
                               .state = next->states[0],
                               .io = &next->io,
                               .records = next->records,
                               .moves = moves,
                               .move_count = move_count};
    if (tl_change_check(&change, service->load->program) != TL_CHANGE_OK) {
        return say(why, "the moves leave a state, are not in order, or share bytes");
    }
    if (!tl_retain_file_fit(&service->retain, tl_load_retain_bytes(next))) {
        (void)snprintf(why, TL_MAX_WHY, "%s: no room for what the program retains: %s", service->retain.path,
                       strerror(errno));
        return false;
    }
    bool is_short;
    struct tl_orphans *orphans = tl_orphans_of(service->load, next, &service->segment->image, &is_short);
    uint32_t *setpoints = tl_setpoints_between(service->load, next);
    if (is_short || setpoints == NULL) {
        tl_orphans_free(orphans);
        free(setpoints);
        return say(why, "no memory");
    }
    change.orphans = orphans == NULL ? NULL : &orphans->io;
    change.setpoints = setpoints;
    struct tl_mail mail = {.what = TL_MAIL_CHANGE, .change = {.change = &change}};
    tl_service_ask(service, &mail);
    tl_orphans_free(orphans);
    free(setpoints);
    changed->forces_dropped = change.forces_dropped;
    changed->took_ns = mail.change.took_ns;
    return true;
}

bool tl_service_change(struct tl_service *service, const char *program, const char *wiring,
                       const struct tl_move *moves, size_t move_count, struct tl_changed *changed,
                       char why[TL_MAX_WHY])
{
    struct tl_load *next = calloc(1, sizeof *next);
    if (next == NULL) {
        return say(why, "no memory");
    }
    if (!tl_load_open(next, program, wiring, &service->segment->image, service->owner, why)) {
        free(next);
        return false;
    }
    if (!prepare(service, next->program, next->states[0], why) ||
        !change_over(service, next, moves, move_count, changed, why)) {
        tl_load_close(next);
        free(next);
        return false;
    }
    tl_load_close(service->load);
    free(service->load);
    service->load = next;
    service->is_saved = false;
    return true;
}

static double quantile_us(const struct tl_histogram *histogram, uint32_t millionths)
{
    return (double)tl_histogram_quantile(histogram, millionths) / 1000.0;
}

static double task_time_us(const struct tl_task_record *record, enum tl_system what)
{
    switch (what) {
    case TL_SYSTEM_JITTER_P50:
        return quantile_us(&record->jitter, 500000);
    case TL_SYSTEM_JITTER_P99:
        return quantile_us(&record->jitter, 990000);
    case TL_SYSTEM_JITTER_P999:
        return quantile_us(&record->jitter, 999000);
    case TL_SYSTEM_JITTER_HIGHEST:
        return (double)record->jitter.highest_ns / 1000.0;
    case TL_SYSTEM_DURATION_P50:
        return quantile_us(&record->durations, 500000);
    case TL_SYSTEM_DURATION_P99:
        return quantile_us(&record->durations, 990000);
    case TL_SYSTEM_DURATION_P999:
        return quantile_us(&record->durations, 999000);
    default:
        return (double)record->durations.highest_ns / 1000.0;
    }
}

static uint64_t number_of(const struct tl_service *service, const struct tl_system_tag *row)
{
    const struct tl_status *status = &service->status;
    switch ((enum tl_system)row->what) {
    case TL_SYSTEM_MODE:
        return status->mode;
    case TL_SYSTEM_FAULT_CODE:
        return status->fault.code;
    case TL_SYSTEM_FORCES:
        return status->force_count;
    case TL_SYSTEM_CHANGES:
        return status->changes;
    case TL_SYSTEM_RETAIN_SAVES:
        return service->saves;
    case TL_SYSTEM_RETAIN_FAILURES:
        return service->failures;
    case TL_SYSTEM_COUNT:
        return status->records[row->task].count;
    case TL_SYSTEM_OVERRUNS:
        return status->records[row->task].overruns;
    default: {
        const double us = task_time_us(&status->records[row->task], (enum tl_system)row->what);
        uint64_t bits;
        memcpy(&bits, &us, sizeof bits);
        return bits;
    }
    }
}

/* As many bytes of a text as its tag takes, cut between characters of UTF-8. */
static uint16_t fitting(const char *text, size_t room)
{
    size_t bytes = strlen(text);
    if (bytes > room) {
        bytes = room;
        while (bytes > 0 && ((unsigned char)text[bytes] & 0xC0u) == 0x80u) {
            bytes--;
        }
    }
    return (uint16_t)bytes;
}

/* The rows in slices of a size that fits the stack: there are as many as the program has tasks. */
#define PUBLISH_ROWS 64u

void tl_service_publish(struct tl_service *service)
{
    tl_service_look(service);
    char fault[MAX_FAULT_TEXT];
    fault_text(&service->status.fault, fault, sizeof fault);
    if (service->status.mode == TL_MODE_FAULTED && !service->was_faulted) {
        (void)fprintf(stderr, "tieline-scan: stopped by a fault: %s\n", fault);
        service->was_faulted = true;
    }
    const struct tl_wiring *wiring = &service->load->wiring;
    const struct tl_entry *entries = service->segment->image.entries;
    for (uint32_t from = 0; from < wiring->system_count; from += PUBLISH_ROWS) {
        uint32_t tags[PUBLISH_ROWS];
        uint64_t values[PUBLISH_ROWS];
        struct tl_text texts[PUBLISH_ROWS];
        struct tl_mail mail = {
            .what = TL_MAIL_PUBLISH,
            .publish = {.tags = tags, .values = values, .texts = texts, .owner = service->owner},
        };
        for (uint32_t i = from; i < wiring->system_count && i < from + PUBLISH_ROWS; i++) {
            const struct tl_system_tag *row = &wiring->systems[i];
            if (row->what == TL_SYSTEM_FAULT_TEXT || row->what == TL_SYSTEM_DIGEST) {
                const char *text = row->what == TL_SYSTEM_DIGEST ? service->load->program->digest : fault;
                texts[mail.publish.text_count++] = (struct tl_text){
                    .tag = row->tag, .text = text, .bytes = fitting(text, entries[row->tag].string_bytes)};
            } else {
                tags[mail.publish.count] = row->tag;
                values[mail.publish.count++] = number_of(service, row);
            }
        }
        tl_service_ask(service, &mail);
    }
}

void tl_service_close(struct tl_service *service)
{
    char why[TL_MAX_WHY];
    (void)tl_service_stop(service, why);
    tl_service_publish(service);
    struct tl_mail mail = {.what = TL_MAIL_END};
    tl_service_ask(service, &mail);
    tl_loop_join(&service->loop);
    tl_retain_file_close(&service->retain);
    free(service->trace_rows);
    tl_load_close(service->load);
    free(service->load);
}
