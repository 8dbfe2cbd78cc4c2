/* The writer's side of a journal lane, shared by the functions that write the image. */
#ifndef TIELINE_LANE_H
#define TIELINE_LANE_H

#include "image.h"
#include "words.h"

/* A record as four shared words. */
struct tl_record {
    _Atomic uint64_t word[4];
};
_Static_assert(sizeof(struct tl_record) == sizeof(struct tl_sample), "a record is a sample");

static inline struct tl_record *tl_lane_records(const struct tl_image *image, const struct tl_lane *lane)
{
    return (struct tl_record *)(void *)(image->base + lane->records_offset);
}

static inline _Atomic uint64_t *tl_lane_texts(const struct tl_image *image, const struct tl_lane *lane)
{
    return (_Atomic uint64_t *)(void *)(image->base + lane->text_offset);
}

static inline void tl_record_store(struct tl_record *record, uint32_t tag, uint32_t status, uint64_t value,
                                   int64_t source_time, int64_t receipt_time)
{
    TL_STORE(record->word[0], (uint64_t)status << 32 | tag);
    TL_STORE(record->word[1], value);
    TL_STORE(record->word[2], (uint64_t)source_time);
    TL_STORE(record->word[3], (uint64_t)receipt_time);
}

/* Append the bytes of a string; returns the reference its record carries. */
uint64_t tl_lane_append_text(const struct tl_image *image, struct tl_lane *lane, const char *text, size_t bytes);

#endif
