/* See wiring.h. */
#include "wiring.h"

#include "retain.h" /* tl_crc32c */
#include "trace.h"  /* tl_kind_bytes */

#include <string.h>

struct head {
    uint64_t magic;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t systems;
    uint32_t crc; /* CRC-32C of everything behind it */
    uint64_t instance;
    char digest[TL_DIGEST_BYTES];
};
_Static_assert(sizeof(struct head) == TL_WIRING_HEADER, "the header is drawn");
_Static_assert(sizeof(struct tl_point) == 24 && sizeof(struct tl_system_tag) == 8, "rows are drawn");

#define CRC_FROM offsetof(struct head, instance)

static enum tl_wiring_result check_point(const struct tl_point *point, const struct tl_image *image,
                                         const struct tl_program *program)
{
    const uint32_t bytes = tl_kind_bytes(point->kind);
    if (point->tag >= image->header->tag_count) {
        return TL_WIRING_TAG;
    }
    if (point->type != image->types[point->tag] || point->type == TL_STRING) {
        return TL_WIRING_TYPE;
    }
    if (bytes == 0 || bytes > program->state_bytes || point->offset > program->state_bytes - bytes) {
        return TL_WIRING_VARIABLE;
    }
    if (point->quality_offset != TL_NO_OFFSET &&
        (program->state_bytes < 4u || point->quality_offset > program->state_bytes - 4u)) {
        return TL_WIRING_VARIABLE;
    }
    return TL_WIRING_OK;
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

static enum tl_wiring_result check_system(const struct tl_system_tag *row, const struct tl_image *image,
                                          uint32_t owner, const struct tl_program *program)
{
    if (row->tag >= image->header->tag_count || image->owners[row->tag] != owner) {
        return TL_WIRING_TAG;
    }
    if (image->types[row->tag] != type_of(row->what)) {
        return TL_WIRING_TYPE;
    }
    return row->what < TL_SYSTEM_TASK || row->task < program->task_count ? TL_WIRING_OK : TL_WIRING_VARIABLE;
}

static enum tl_wiring_result check_rows(const struct tl_wiring *wiring, const struct tl_image *image, uint32_t owner,
                                        const struct tl_program *program, uint32_t *row)
{
    enum tl_wiring_result result = TL_WIRING_OK;
    *row = 0;
    for (uint32_t i = 0; i < wiring->input_count && result == TL_WIRING_OK; i++, (*row)++) {
        result = check_point(&wiring->inputs[i], image, program);
    }
    for (uint32_t i = 0; i < wiring->output_count && result == TL_WIRING_OK; i++, (*row)++) {
        result = check_point(&wiring->outputs[i], image, program);
        if (result == TL_WIRING_OK && image->owners[wiring->outputs[i].tag] != owner) {
            result = TL_WIRING_TAG;
        }
    }
    for (uint32_t i = 0; i < wiring->system_count && result == TL_WIRING_OK; i++, (*row)++) {
        result = check_system(&wiring->systems[i], image, owner, program);
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
    const uint64_t points = (uint64_t)head.inputs + head.outputs;
    const uint64_t whole =
        sizeof head + points * sizeof(struct tl_point) + (uint64_t)head.systems * sizeof(struct tl_system_tag);
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
    wiring->outputs = wiring->inputs + head.inputs;
    at = wiring->outputs + head.outputs;
    wiring->systems = at;
    wiring->input_count = head.inputs;
    wiring->output_count = head.outputs;
    wiring->system_count = head.systems;
    return check_rows(wiring, image, owner, program, row);
}
