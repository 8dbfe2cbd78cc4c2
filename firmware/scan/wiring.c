/* See wiring.h. */
#include "wiring.h"

#include "retain.h" /* tl_crc32c */

#include <string.h>

struct head {
    uint64_t magic;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t setpoints;
    uint32_t systems;
    uint32_t crc; /* CRC-32C of everything behind it and the zero */
    uint32_t unused;
    uint64_t instance;
    char digest[TL_DIGEST_BYTES];
};
_Static_assert(sizeof(struct head) == TL_WIRING_HEADER, "the header is drawn");
_Static_assert(sizeof(struct tl_system_tag) == 8, "rows are drawn");

#define CRC_FROM offsetof(struct head, instance)

/* What every row is checked against. */
struct against {
    const struct tl_image *image;
    const struct tl_program *program;
    uint32_t owner;
};

static enum tl_wiring_result check_tag(const struct against *against, uint32_t tag, uint8_t type)
{
    if (tag >= against->image->header->tag_count) {
        return TL_WIRING_TAG;
    }
    return type == against->image->types[tag] && type != TL_STRING ? TL_WIRING_OK : TL_WIRING_TYPE;
}

static enum tl_wiring_result check_owned(const struct against *against, uint32_t tag, uint8_t type)
{
    const enum tl_wiring_result result = check_tag(against, tag, type);
    return result == TL_WIRING_OK && against->image->owners[tag] != against->owner ? TL_WIRING_TAG : result;
}

static bool is_inside(const struct against *against, uint32_t offset, uint32_t bytes)
{
    return bytes != 0 && bytes <= against->program->state_bytes && offset <= against->program->state_bytes - bytes;
}

static bool is_inside_or_none(const struct against *against, uint32_t offset, uint32_t bytes)
{
    return offset == TL_NO_OFFSET || is_inside(against, offset, bytes);
}

static enum tl_wiring_result check_input(const struct against *against, const struct tl_input *row)
{
    const enum tl_wiring_result result = check_tag(against, row->tag, row->type);
    const bool has_place = is_inside(against, row->offset, tl_kind_bytes(row->kind)) &&
                           is_inside_or_none(against, row->quality_offset, 4u) &&
                           is_inside_or_none(against, row->good_offset, 1u);
    return result == TL_WIRING_OK && !has_place ? TL_WIRING_VARIABLE : result;
}

static enum tl_wiring_result check_output(const struct against *against, const struct tl_output *row)
{
    const enum tl_wiring_result result = check_owned(against, row->tag, row->type);
    const bool has_place = is_inside(against, row->offset, tl_kind_bytes(row->kind)) &&
                           is_inside_or_none(against, row->active_offset, 1u);
    return result == TL_WIRING_OK && !has_place ? TL_WIRING_VARIABLE : result;
}

static enum tl_wiring_result check_setpoint(const struct against *against, const struct tl_setpoint *row)
{
    const enum tl_wiring_result results[] = {
        check_tag(against, row->value_tag, row->type),      check_tag(against, row->until_tag, TL_INT64),
        check_tag(against, row->sequence_tag, TL_UINT64),   check_owned(against, row->accepted_tag, row->type),
        check_owned(against, row->answered_tag, TL_UINT64), check_owned(against, row->reason_tag, TL_UINT64),
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (results[i] != TL_WIRING_OK) {
            return results[i];
        }
    }
    if (!is_inside(against, row->offset, tl_kind_bytes(row->kind)) ||
        !is_inside_or_none(against, row->valid_offset, 1u)) {
        return TL_WIRING_VARIABLE;
    }
    const bool has_fallback = (row->flags & TL_SETPOINT_HOLDS) == 0;
    return row->rate > 0.0 && row->valid_for_ns > 0 && tl_setpoint_fits(row, row->initial) &&
                   (!has_fallback || tl_setpoint_fits(row, row->fallback))
               ? TL_WIRING_OK
               : TL_WIRING_VALUE;
}

static uint8_t type_of(uint16_t what)
{
    if (what == TL_SYSTEM_FAULT_TEXT || what == TL_SYSTEM_DIGEST) {
        return TL_STRING;
    }
    if ((what >= TL_SYSTEM_MODE && what <= TL_SYSTEM_RETAIN_FAILURES) || what == TL_SYSTEM_COUNT ||
        what == TL_SYSTEM_OVERRUNS) {
        return TL_UINT64;
    }
    return what >= TL_SYSTEM_JITTER_P50 && what <= TL_SYSTEM_DURATION_HIGHEST ? TL_DOUBLE : 0;
}

static enum tl_wiring_result check_system(const struct against *against, const struct tl_system_tag *row)
{
    if (row->tag >= against->image->header->tag_count || against->image->owners[row->tag] != against->owner) {
        return TL_WIRING_TAG;
    }
    if (against->image->types[row->tag] != type_of(row->what)) {
        return TL_WIRING_TYPE;
    }
    return row->what < TL_SYSTEM_TASK || row->task < against->program->task_count ? TL_WIRING_OK : TL_WIRING_VARIABLE;
}

static enum tl_wiring_result check_rows(const struct tl_wiring *wiring, const struct against *against, uint32_t *row)
{
    enum tl_wiring_result result = TL_WIRING_OK;
    *row = 0;
    for (uint32_t i = 0; i < wiring->input_count && result == TL_WIRING_OK; i++, (*row)++) {
        result = check_input(against, &wiring->inputs[i]);
    }
    for (uint32_t i = 0; i < wiring->output_count && result == TL_WIRING_OK; i++, (*row)++) {
        result = check_output(against, &wiring->outputs[i]);
    }
    for (uint32_t i = 0; i < wiring->setpoint_count && result == TL_WIRING_OK; i++, (*row)++) {
        result = check_setpoint(against, &wiring->setpoints[i]);
    }
    for (uint32_t i = 0; i < wiring->system_count && result == TL_WIRING_OK; i++, (*row)++) {
        result = check_system(against, &wiring->systems[i]);
    }
    if (result != TL_WIRING_OK) {
        (*row)--;
    }
    return result;
}

enum tl_wiring_result tl_wiring_open(const void *file, size_t bytes, const struct tl_image *image, uint32_t owner,
                                     const struct tl_program *program, struct tl_wiring *wiring, uint32_t *row)
{
    struct head head;
    const unsigned char *base = file;
    *row = 0;
    if (bytes < sizeof head) {
        return TL_WIRING_FORMAT;
    }
    memcpy(&head, base, sizeof head);
    const uint64_t whole = sizeof head + (uint64_t)head.inputs * sizeof(struct tl_input) +
                           (uint64_t)head.outputs * sizeof(struct tl_output) +
                           (uint64_t)head.setpoints * sizeof(struct tl_setpoint) +
                           (uint64_t)head.systems * sizeof(struct tl_system_tag);
    if (head.magic != TL_WIRING_MAGIC || whole != bytes ||
        head.crc != tl_crc32c(0, base + CRC_FROM, bytes - CRC_FROM)) {
        return TL_WIRING_FORMAT;
    }
    if (head.instance != image->header->instance) {
        return TL_WIRING_INSTANCE;
    }
    if (strncmp(head.digest, program->digest, sizeof head.digest) != 0) {
        return TL_WIRING_DIGEST;
    }
    const void *at = base + sizeof head;
    wiring->inputs = at;
    at = wiring->inputs + head.inputs;
    wiring->outputs = at;
    at = wiring->outputs + head.outputs;
    wiring->setpoints = at;
    at = wiring->setpoints + head.setpoints;
    wiring->systems = at;
    wiring->input_count = head.inputs;
    wiring->output_count = head.outputs;
    wiring->setpoint_count = head.setpoints;
    wiring->system_count = head.systems;
    const struct against against = {.image = image, .program = program, .owner = owner};
    return check_rows(wiring, &against, row);
}
