/* Slots: the latest sample of every tag, never torn, never a reason to wait. */
#include "image.h"
#include "lane.h"
#include "words.h"

/* Rows ahead that are asked for. A row takes some 5 ns and a line from memory some 80; records lie side by side, so
 * that the processor asks for them itself but at every page's end. */
#define SLOTS_AHEAD 16u
#define RECORDS_AHEAD 64u

/* Truncating rather than rounding: no sample is stamped later than it was. It keeps order and overflows nowhere. */
static inline int64_t on_step(int64_t time, int64_t step)
{
    return step > 1 ? time - time % step : time;
}

static inline void slot_store(struct tl_slot *slot, uint32_t status, uint64_t value, int64_t source_time,
                              int64_t receipt_time)
{
    const uint32_t next = TL_LOAD_RELAXED(slot->sequence) + 1u;
    const uint32_t half = next & 1u;
    TL_STORE(slot->status[half], status);
    TL_STORE(slot->half[half].value, value);
    TL_STORE(slot->half[half].source_time, source_time);
    TL_STORE(slot->half[half].receipt_time, receipt_time);
    TL_STORE(slot->sequence, next);
}

/* Copies half `sequence & 1`; false where a writer went on to that half meanwhile. */
static inline bool slot_load(struct tl_slot *slot, struct tl_sample *out)
{
    const uint32_t sequence = TL_LOAD(slot->sequence);
    const uint32_t half = sequence & 1u;
    out->status = TL_LOAD(slot->status[half]);
    out->value = TL_LOAD(slot->half[half].value);
    out->source_time = TL_LOAD(slot->half[half].source_time);
    out->receipt_time = TL_LOAD(slot->half[half].receipt_time);
    return TL_LOAD_RELAXED(slot->sequence) == sequence;
}

static _Atomic uint64_t *text_half(const struct tl_image *image, uint32_t tag, uint32_t half)
{
    const struct tl_entry *entry = &image->entries[tag];
    return (_Atomic uint64_t *)(void *)(image->texts + entry->text_offset + half * tl_padded(entry->string_bytes));
}

enum tl_result tl_image_read(const struct tl_image *image, const uint32_t *tags, size_t count, struct tl_sample *out)
{
    const uint32_t tag_count = image->header->tag_count;
    if (tags == NULL && count > tag_count) {
        return TL_ERROR_NO_TAG;
    }
    for (size_t i = 0; tags != NULL && i < count; i++) {
        if (tags[i] >= tag_count) {
            return TL_ERROR_NO_TAG;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t tag = tags == NULL ? (uint32_t)i : tags[i];
        out[i].tag = tag;
        if (tags != NULL && i + SLOTS_AHEAD < count) {
            TL_SOON_READ(&image->slots[tags[i + SLOTS_AHEAD]]);
        }
        while (!slot_load(&image->slots[tag], &out[i])) {
        }
    }
    return TL_OK;
}

enum tl_result tl_image_read_text(const struct tl_image *image, uint32_t tag, struct tl_sample *out, char *text,
                                  size_t *text_bytes)
{
    if (tag >= image->header->tag_count) {
        return TL_ERROR_NO_TAG;
    }
    if (image->types[tag] != TL_STRING) {
        return TL_ERROR_TYPE;
    }
    struct tl_slot *slot = &image->slots[tag];
    uint32_t sequence;
    out->tag = tag;
    do {
        sequence = TL_LOAD(slot->sequence);
        const uint32_t half = sequence & 1u;
        out->status = TL_LOAD(slot->status[half]);
        out->value = TL_LOAD(slot->half[half].value);
        out->source_time = TL_LOAD(slot->half[half].source_time);
        out->receipt_time = TL_LOAD(slot->half[half].receipt_time);
        *text_bytes = (size_t)(out->value & 0xFFFFu);
        if (*text_bytes > image->entries[tag].string_bytes) {
            *text_bytes = image->entries[tag].string_bytes; /* a torn length, caught by the sequence below */
        }
        tl_words_load(text, text_half(image, tag, half), *text_bytes);
    } while (TL_LOAD_RELAXED(slot->sequence) != sequence);
    return TL_OK;
}

static enum tl_result check_tag(const struct tl_image *image, uint32_t owner, uint32_t tag)
{
    if (tag >= image->header->tag_count) {
        return TL_ERROR_NO_TAG;
    }
    return image->owners[tag] == owner ? TL_OK : TL_ERROR_OWNER;
}

static enum tl_result check_batch(const struct tl_image *image, uint32_t owner, const struct tl_batch *batch,
                                  size_t *bad_row)
{
    for (size_t i = 0; i < batch->count; i++) {
        enum tl_result result = check_tag(image, owner, batch->tags[i]);
        if (result == TL_OK && image->types[batch->tags[i]] == TL_STRING) {
            result = TL_ERROR_TYPE;
        }
        if (result != TL_OK) {
            *bad_row = i;
            return result;
        }
    }
    return TL_OK;
}

enum tl_result tl_image_write(const struct tl_image *image, uint32_t owner, const struct tl_batch *batch,
                              size_t *bad_row)
{
    *bad_row = 0;
    if (owner >= image->header->owner_count) {
        return TL_ERROR_OWNER;
    }
    const enum tl_result checked = check_batch(image, owner, batch, bad_row);
    if (checked != TL_OK) {
        return checked;
    }
    struct tl_lane *lane = &image->lanes[owner];
    struct tl_record *ring = tl_lane_records(image, lane);
    const uint64_t mask = lane->record_capacity - 1u;
    /* A claim of half the ring at most leaves readers the other half to go on with. */
    const size_t chunk = (size_t)(lane->record_capacity / 2u);
    uint64_t position = TL_LOAD_RELAXED(lane->published);
    /* Rows of a batch mostly share a time or a few, and a division takes as long as all the rest of a row. */
    const int64_t step = image->header->time_step_ns;
    int64_t given_time = 0;
    int64_t source_time = 0;
    for (size_t start = 0; start < batch->count; start += chunk) {
        const size_t stop = batch->count - start < chunk ? batch->count : start + chunk;
        TL_STORE(lane->claimed, position + (stop - start));
        for (size_t i = start; i < stop; i++, position++) {
            const uint32_t tag = batch->tags[i];
            if (i + SLOTS_AHEAD < batch->count) {
                TL_SOON_WRITTEN(&image->slots[batch->tags[i + SLOTS_AHEAD]]);
            }
            TL_SOON_WRITTEN(&ring[(position + RECORDS_AHEAD) & mask]);
            const uint32_t status = batch->statuses[i * batch->status_step];
            const uint64_t value = batch->values[i * batch->value_step];
            if (batch->source_times[i * batch->source_step] != given_time) {
                given_time = batch->source_times[i * batch->source_step];
                source_time = on_step(given_time, step);
            }
            const int64_t receipt_time = batch->receipt_times[i * batch->receipt_step];
            tl_record_store(&ring[position & mask], tag, status, value, source_time, receipt_time);
            slot_store(&image->slots[tag], status, value, source_time, receipt_time);
        }
        /* The image is written before the journal says so: who follows the journal from a position and then
         * reads the image misses nothing. */
        TL_STORE(lane->published, position);
    }
    return TL_OK;
}

static void publish_one(const struct tl_image *image, struct tl_lane *lane, uint32_t tag, uint32_t status,
                        uint64_t value, int64_t given_time, int64_t receipt_time)
{
    const int64_t source_time = on_step(given_time, image->header->time_step_ns);
    const uint64_t position = TL_LOAD_RELAXED(lane->published);
    TL_STORE(lane->claimed, position + 1u);
    tl_record_store(&tl_lane_records(image, lane)[position & (lane->record_capacity - 1u)], tag, status, value,
                    source_time, receipt_time);
    slot_store(&image->slots[tag], status, value, source_time, receipt_time);
    TL_STORE(lane->published, position + 1u);
}

enum tl_result tl_image_write_text(const struct tl_image *image, uint32_t owner, uint32_t tag, const char *text,
                                   size_t text_bytes, uint32_t status, int64_t source_time, int64_t receipt_time)
{
    const enum tl_result checked = check_tag(image, owner, tag);
    if (checked != TL_OK) {
        return checked;
    }
    if (image->types[tag] != TL_STRING) {
        return TL_ERROR_TYPE;
    }
    if (text_bytes > image->entries[tag].string_bytes) {
        return TL_ERROR_TEXT;
    }
    struct tl_lane *lane = &image->lanes[owner];
    const uint64_t reference = tl_lane_append_text(image, lane, text, text_bytes);
    const uint32_t half = (TL_LOAD_RELAXED(image->slots[tag].sequence) + 1u) & 1u;
    tl_words_store(text_half(image, tag, half), text, text_bytes);
    publish_one(image, lane, tag, status, reference, source_time, receipt_time);
    return TL_OK;
}

enum tl_result tl_image_invalidate(const struct tl_image *image, uint32_t owner, uint32_t tag, uint32_t status,
                                   int64_t now)
{
    const enum tl_result checked = check_tag(image, owner, tag);
    if (checked != TL_OK) {
        return checked;
    }
    struct tl_sample present;
    if (image->types[tag] == TL_STRING) {
        char text[TL_MAX_TEXT];
        size_t bytes;
        (void)tl_image_read_text(image, tag, &present, text, &bytes);
        return present.status == status ? TL_OK
                                        : tl_image_write_text(image, owner, tag, text, bytes, status, now, now);
    }
    (void)tl_image_read(image, &tag, 1, &present);
    if (present.status != status) {
        publish_one(image, &image->lanes[owner], tag, status, present.value, now, now);
    }
    return TL_OK;
}
