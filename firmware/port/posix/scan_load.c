/* See scan_load.h. */
#define _GNU_SOURCE
#include "scan_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT 64u
#define ANSWERS 3u /* tags that the scan writes of a setpoint */
#define SETPOINT_COPIES (sizeof((struct tl_load *)NULL)->setpoints / sizeof *((struct tl_load *)NULL)->setpoints)

static bool say(char why[TL_MAX_WHY], const char *what, const char *of)
{
    (void)snprintf(why, TL_MAX_WHY, "%s: %s", of, what);
    return false;
}

/* Zeroed and aligned; never NULL for 0 bytes. */
static void *take(size_t count, size_t bytes)
{
    const size_t whole = (count * bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, whole);
    if (memory != NULL) {
        memset(memory, 0, whole);
    }
    return memory;
}

static bool take_io(struct tl_io *io, const struct tl_image *image, void **memory)
{
    *memory = take(tl_io_bytes(io, image), 1);
    if (*memory != NULL) {
        tl_io_start(io, image, *memory);
    }
    return *memory != NULL;
}

static bool read_whole(const char *path, void **bytes, size_t *count, char why[TL_MAX_WHY])
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    if (file < 0 || fstat(file, &about) != 0) {
        (void)say(why, strerror(errno), path);
        if (file >= 0) {
            (void)close(file);
        }
        return false;
    }
    const size_t size = (size_t)about.st_size;
    *count = 0;
    *bytes = size <= TL_MAX_WIRING_BYTES ? take(size, 1) : NULL;
    ssize_t got = 1;
    while (*bytes != NULL && *count < size && got > 0) {
        got = read(file, (char *)*bytes + *count, size - *count);
        *count += got > 0 ? (size_t)got : 0u;
    }
    (void)close(file);
    return *bytes != NULL && *count == size ? true : say(why, "cannot be read whole", path);
}

static bool open_program(struct tl_load *load, const char *path, char why[TL_MAX_WHY])
{
    static const char *const reasons[] = {
        [TL_PROGRAM_ABI_OTHER] = "compiled for another version of the scan: compile it again",
        [TL_PROGRAM_TASKS] = "no task, more than 64, two of one name, or a name longer than 63",
        [TL_PROGRAM_INTERVAL] = "a task with an interval below 100 us, or with neither interval nor event",
        [TL_PROGRAM_OFFSET] = "an event or a retained variable outside the program's state",
    };
    if (strchr(path, '/') == NULL) {
        return say(why, "give the path with a folder: a bare name would be looked for among the system's libraries",
                   path);
    }
    load->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (load->library == NULL) {
        const char *error = dlerror();
        return say(why, error != NULL ? error : "not a shared object", path);
    }
    load->program = dlsym(load->library, TL_PROGRAM_SYMBOL);
    if (load->program == NULL) {
        return say(why, "no symbol " TL_PROGRAM_SYMBOL ": not a compiled program", path);
    }
    const enum tl_program_result result = tl_program_check(load->program);
    if (result != TL_PROGRAM_OK) {
        return say(why, reasons[result], path);
    }
    if (load->program->state_bytes > TL_MAX_STATE_BYTES) {
        return say(why, "its state is larger than 1 GiB", path);
    }
    return true;
}

static bool open_wiring(struct tl_load *load, const char *path, const struct tl_image *image, uint32_t owner,
                        char why[TL_MAX_WHY])
{
    static const char *const reasons[] = {
        [TL_WIRING_FORMAT] = "not a whole wiring file of this version",
        [TL_WIRING_INSTANCE] = "made for another region",
        [TL_WIRING_DIGEST] = "made for another program",
        [TL_WIRING_TAG] = "a tag that does not exist, or an output or answer that belongs to another owner",
        [TL_WIRING_TYPE] = "a tag of another type",
        [TL_WIRING_VARIABLE] = "a variable that cannot be wired or lies outside the state",
        [TL_WIRING_VALUE] = "an initial value or fallback out of the setpoint's limits or too large for its variable",
    };
    size_t bytes;
    if (!read_whole(path, &load->wiring_bytes, &bytes, why)) {
        return false;
    }
    uint32_t row;
    const enum tl_wiring_result result =
        tl_wiring_open(load->wiring_bytes, bytes, image, owner, load->program, &load->wiring, &row);
    if (result != TL_WIRING_OK) {
        (void)snprintf(why, TL_MAX_WHY, "%s: row %u: %s", path, row, reasons[result]);
        return false;
    }
    load->io.inputs = load->wiring.inputs;
    load->io.outputs = load->wiring.outputs;
    load->io.input_count = load->wiring.input_count;
    load->io.output_count = load->wiring.output_count;
    load->io.setpoints = load->wiring.setpoints;
    load->io.setpoint_count = load->wiring.setpoint_count;
    return true;
}

/* The setpoints' part of the retain file: a row each. */
static bool take_setpoints(struct tl_load *load)
{
    const size_t count = load->io.setpoint_count;
    load->retained_setpoints = take(count, sizeof *load->retained_setpoints);
    for (size_t i = 0; i < SETPOINT_COPIES; i++) {
        load->setpoints[i] = take(count, sizeof *load->setpoints[i]);
        if (load->setpoints[i] == NULL) {
            return false;
        }
    }
    for (size_t i = 0; load->retained_setpoints != NULL && i < count; i++) {
        load->retained_setpoints[i] = (struct tl_retained){
            .key = load->io.setpoints[i].key,
            .offset = (uint32_t)(i * sizeof(struct tl_setpoint_kept)),
            .bytes = sizeof(struct tl_setpoint_kept),
        };
    }
    return load->retained_setpoints != NULL;
}

void tl_load_blocks(const struct tl_load *load, void *state, struct tl_setpoint_kept *setpoints,
                    struct tl_retain_block blocks[TL_LOAD_BLOCKS])
{
    blocks[0] = (struct tl_retain_block){
        .rows = load->program->retained, .count = load->program->retained_count, .base = state};
    blocks[1] = (struct tl_retain_block){
        .rows = load->retained_setpoints, .count = (uint32_t)load->io.setpoint_count, .base = setpoints};
}

size_t tl_load_retain_bytes(const struct tl_load *load)
{
    struct tl_retain_block blocks[TL_LOAD_BLOCKS];
    tl_load_blocks(load, NULL, NULL, blocks);
    return tl_retain_bytes(blocks, TL_LOAD_BLOCKS);
}

bool tl_load_open(struct tl_load *load, const char *program, const char *wiring, const struct tl_image *image,
                  uint32_t owner, char why[TL_MAX_WHY])
{
    memset(load, 0, sizeof *load);
    bool is_open = snprintf(load->path, sizeof load->path, "%s", program) < (int)sizeof load->path;
    is_open = is_open ? open_program(load, program, why) && open_wiring(load, wiring, image, owner, why)
                      : say(why, "too long a path", program);
    if (is_open) {
        const size_t bytes = load->program->state_bytes;
        load->records = take(load->program->task_count, sizeof *load->records);
        load->states[0] = take(bytes, 1);
        load->states[1] = take(bytes, 1);
        load->kept = take(bytes, 1);
        load->saved = take(bytes, 1);
        is_open = (take_io(&load->io, image, &load->io_memory) && take_setpoints(load) && load->records != NULL &&
                   load->states[0] != NULL && load->states[1] != NULL && load->kept != NULL && load->saved != NULL) ||
                  say(why, "no memory for it", program);
    }
    if (!is_open) {
        tl_load_close(load);
        return false;
    }
    return true;
}

void tl_load_close(struct tl_load *load)
{
    free(load->io_memory);
    free(load->retained_setpoints);
    for (size_t i = 0; i < SETPOINT_COPIES; i++) {
        free(load->setpoints[i]);
    }
    free(load->records);
    free(load->states[0]);
    free(load->states[1]);
    free(load->kept);
    free(load->saved);
    free(load->wiring_bytes);
    if (load->library != NULL) {
        (void)dlclose(load->library);
    }
    memset(load, 0, sizeof *load);
}

static int by_number(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* An output that goes safe as one whose program has stopped: its value is its safe one. */
static void keep_safe(struct tl_output *rows, size_t *count, uint32_t tag, uint64_t safe, uint8_t type,
                      uint16_t flags)
{
    rows[(*count)++] = (struct tl_output){
        .tag = tag, .active_offset = TL_NO_OFFSET, .kind = TL_KIND_U64, .type = type, .flags = flags, .safe = safe};
}

struct tl_orphans *tl_orphans_of(const struct tl_load *old, const struct tl_load *new, const struct tl_image *image,
                                 bool *is_short)
{
    const size_t rows = old->io.output_count + ANSWERS * old->io.setpoint_count;
    const size_t tag_count = new->io.output_count + ANSWERS * new->io.setpoint_count;
    uint32_t *tags = take(tag_count, sizeof *tags);
    struct tl_orphans *orphans = take(1, sizeof *orphans);
    struct tl_output *outputs = take(rows, sizeof *outputs);
    *is_short = tags == NULL || orphans == NULL || outputs == NULL;
    if (*is_short) {
        free(tags);
        free(orphans);
        free(outputs);
        return NULL;
    }
    size_t count = 0;
    for (size_t i = 0; i < new->io.output_count; i++) {
        tags[count++] = new->io.outputs[i].tag;
    }
    for (size_t i = 0; i < new->io.setpoint_count; i++) {
        tags[count++] = new->io.setpoints[i].accepted_tag;
        tags[count++] = new->io.setpoints[i].answered_tag;
        tags[count++] = new->io.setpoints[i].reason_tag;
    }
    qsort(tags, tag_count, sizeof *tags, by_number);
    orphans->outputs = outputs;
    orphans->io.outputs = outputs;
    for (size_t i = 0; i < old->io.output_count; i++) {
        const struct tl_output *row = &old->io.outputs[i];
        if (bsearch(&row->tag, tags, tag_count, sizeof *tags, by_number) == NULL) {
            keep_safe(outputs, &orphans->io.output_count, row->tag, row->safe, row->type, row->flags);
        }
    }
    for (size_t i = 0; i < old->io.setpoint_count; i++) {
        const struct tl_setpoint *row = &old->io.setpoints[i];
        const uint32_t answers[ANSWERS] = {row->accepted_tag, row->answered_tag, row->reason_tag};
        for (size_t j = 0; j < ANSWERS; j++) {
            if (bsearch(&answers[j], tags, tag_count, sizeof *tags, by_number) == NULL) {
                keep_safe(outputs, &orphans->io.output_count, answers[j], 0, image->types[answers[j]],
                          TL_OUTPUT_HOLDS);
            }
        }
    }
    free(tags);
    *is_short = orphans->io.output_count != 0 && !take_io(&orphans->io, image, &orphans->memory);
    if (*is_short || orphans->io.output_count == 0) {
        tl_orphans_free(orphans);
        return NULL;
    }
    return orphans;
}

void tl_orphans_free(struct tl_orphans *orphans)
{
    if (orphans != NULL) {
        free(orphans->outputs);
        free(orphans->memory);
        free(orphans);
    }
}

uint32_t *tl_setpoints_between(const struct tl_load *old, const struct tl_load *new)
{
    uint32_t *which = take(new->io.setpoint_count, sizeof *which);
    for (size_t i = 0; which != NULL && i < new->io.setpoint_count; i++) {
        which[i] = TL_NO_SETPOINT;
        for (size_t j = 0; j < old->io.setpoint_count; j++) {
            if (old->io.setpoints[j].key == new->io.setpoints[i].key) {
                which[i] = (uint32_t)j;
            }
        }
    }
    return which;
}

const char *tl_fault_text(uint32_t code)
{
    switch (code) {
    case TL_FAULT_NONE:
        return "no fault";
    case TL_FAULT_ARRAY_BOUNDS:
        return "array index out of bounds";
    case TL_FAULT_DIVISION_BY_ZERO:
        return "division by zero";
    case TL_FAULT_NULL_REFERENCE:
        return "null reference";
    case TL_FAULT_SUBRANGE:
        return "value outside its subrange";
    case TL_FAULT_STRING_LENGTH:
        return "a string length or position that cannot be";
    case TL_FAULT_LOOP:
        return "a loop that does not end";
    case TL_FAULT_NOT_A_NUMBER:
        return "not a number";
    case TL_FAULT_INTERFACE:
        return "call through an interface that nothing implements";
    case TL_FAULT_ASSERTION:
        return "an assertion does not hold";
    case TL_FAULT_WATCHDOG:
        return "the scan took longer than its watchdog time";
    case TL_FAULT_TRAP:
        return "the processor trapped in the program";
    case TL_FAULT_IMAGE:
        return "the image refused the program's inputs or outputs";
    default:
        return "unknown fault";
    }
}
