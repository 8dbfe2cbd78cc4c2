/* Journal lanes: a bounded ring an owner, written by that owner alone, read by anybody with a cursor of their own. */
#include "image.h"
#include "lane.h"
#include "words.h"

uint64_t tl_lane_append_text(const struct tl_image *image, struct tl_lane *lane, const char *text, size_t bytes)
{
    _Atomic uint64_t *ring = tl_lane_texts(image, lane);
    const uint64_t padded = tl_padded(bytes);
    uint64_t at = TL_LOAD_RELAXED(lane->text_claimed);
    const uint64_t room = lane->text_capacity - (at & (lane->text_capacity - 1u));
    if (room < padded) {
        at += room; /* a string never wraps, so that it is copied in one run */
    }
    TL_STORE(lane->text_claimed, at + padded);
    tl_words_store(&ring[(at & (lane->text_capacity - 1u)) / 8u], text, bytes);
    return at << 16 | bytes;
}

void tl_journal_bounds(const struct tl_image *image, uint32_t owner, uint64_t *oldest, uint64_t *end)
{
    const struct tl_lane *lane = &image->lanes[owner];
    const uint64_t published = TL_LOAD(lane->published);
    const uint64_t claimed = TL_LOAD(lane->claimed);
    *end = published;
    *oldest = claimed > lane->record_capacity ? claimed - lane->record_capacity : 0;
    if (*oldest > published) {
        *oldest = published;
    }
}

uint64_t tl_journal_claimed(const struct tl_image *image, uint32_t owner)
{
    return TL_LOAD(image->lanes[owner].claimed);
}

enum tl_result tl_journal_take(const struct tl_image *image, uint32_t owner, uint64_t *cursor, struct tl_sample *out,
                               size_t limit, size_t *count, uint64_t *lost)
{
    const struct tl_lane *lane = &image->lanes[owner];
    struct tl_record *ring = tl_lane_records(image, lane);
    const uint64_t mask = lane->record_capacity - 1u;
    uint64_t oldest;
    uint64_t end;
    tl_journal_bounds(image, owner, &oldest, &end);
    *count = 0;
    *lost = 0;
    if (*cursor > end) {
        return TL_ERROR_POSITION;
    }
    if (*cursor < oldest) {
        *lost = oldest - *cursor;
        *cursor = oldest;
    }
    const uint64_t first = *cursor;
    const uint64_t taken = end - first < limit ? end - first : limit;
    for (uint64_t i = 0; i < taken; i++) {
        struct tl_record *record = &ring[(first + i) & mask];
        const uint64_t head = TL_LOAD(record->word[0]);
        out[i].tag = (uint32_t)head;
        out[i].status = (uint32_t)(head >> 32);
        out[i].value = TL_LOAD(record->word[1]);
        out[i].source_time = (int64_t)TL_LOAD(record->word[2]);
        out[i].receipt_time = (int64_t)TL_LOAD(record->word[3]);
    }
    *cursor = first + taken;
    /* Whatever the writer claimed during the copy may be half overwritten in it: it counts as lost. */
    const uint64_t claimed = TL_LOAD_RELAXED(lane->claimed);
    uint64_t torn = claimed > lane->record_capacity ? claimed - lane->record_capacity : 0;
    torn = torn > first ? torn - first : 0;
    if (torn > taken) {
        torn = taken;
    }
    if (torn != 0) {
        memmove(out, out + torn, (size_t)(taken - torn) * sizeof *out);
        *lost += torn;
    }
    *count = (size_t)(taken - torn);
    return TL_OK;
}

bool tl_journal_text(const struct tl_image *image, uint32_t owner, uint64_t reference, char *text, size_t *text_bytes)
{
    const struct tl_lane *lane = &image->lanes[owner];
    const uint64_t at = reference >> 16;
    const size_t bytes = (size_t)(reference & 0xFFFFu);
    const uint64_t offset = at & (lane->text_capacity - 1u);
    *text_bytes = 0;
    if (bytes > TL_MAX_TEXT || (at & 7u) != 0 || offset + tl_padded(bytes) > lane->text_capacity ||
        at + bytes > TL_LOAD(lane->text_claimed)) {
        return false;
    }
    tl_words_load(text, &tl_lane_texts(image, lane)[offset / 8u], bytes);
    if (TL_LOAD_RELAXED(lane->text_claimed) > at + lane->text_capacity) {
        return false;
    }
    *text_bytes = bytes;
    return true;
}
