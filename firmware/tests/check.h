/* The little a C test needs: a check that says where and what, and a region small enough to see through. */
#ifndef TIELINE_CHECK_H
#define TIELINE_CHECK_H

#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(claim)                                                                  \
    do {                                                                              \
        if (!(claim)) {                                                               \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

#define CHECK_EQUAL(found, expected)                                                                     \
    do {                                                                                                 \
        const long long found_value = (long long)(found);                                                \
        const long long expected_value = (long long)(expected);                                          \
        if (found_value != expected_value) {                                                             \
            (void)fprintf(stderr, "%s:%d: %s is %lld, expected %s = %lld\n", __FILE__, __LINE__, #found, \
                          found_value, #expected, expected_value);                                       \
            abort();                                                                                     \
        }                                                                                                \
    } while (0)

#define CHECK_MAX_TAGS 4096u

/* A plan of `tags` tags dealt to `owners` owners in turn; the last `texts` of them are strings of 64 bytes. */
struct check_plan {
    struct tl_plan plan;
    char names[CHECK_MAX_TAGS][16];
    const char *name_list[CHECK_MAX_TAGS];
    uint16_t name_bytes[CHECK_MAX_TAGS];
    uint8_t types[CHECK_MAX_TAGS];
    uint16_t owners[CHECK_MAX_TAGS];
    uint32_t string_bytes[CHECK_MAX_TAGS];
};

static const char *const check_owner_names[] = {"red", "green", "blue", "grey", "pink", "teal", "gold", "lime"};

static inline const struct tl_plan *check_plan_make(struct check_plan *to, uint32_t tags, uint32_t owners,
                                                    uint32_t texts, uint64_t records)
{
    memset(to, 0, sizeof *to);
    CHECK(tags <= CHECK_MAX_TAGS && owners <= 8);
    for (uint32_t i = 0; i < tags; i++) {
        to->name_bytes[i] = (uint16_t)snprintf(to->names[i], sizeof to->names[i], "d%u.p", i);
        to->name_list[i] = to->names[i];
        to->types[i] = i + texts >= tags ? TL_STRING : TL_UINT64;
        to->string_bytes[i] = to->types[i] == TL_STRING ? 64 : 0;
        to->owners[i] = (uint16_t)(i % owners);
    }
    to->plan = (struct tl_plan){
        .tag_count = tags,
        .owner_count = owners,
        .names = to->name_list,
        .name_bytes = to->name_bytes,
        .types = to->types,
        .owners = to->owners,
        .string_bytes = to->string_bytes,
        .owner_names = check_owner_names,
        .journal_records = records,
        .text_bytes = TL_MIN_TEXT_RING,
        .instance = 7,
        .creator_pid = 1,
    };
    return &to->plan;
}

/* A formatted region on the heap; free() image->base. */
static inline void check_region_make(const struct tl_plan *plan, struct tl_image *image)
{
    const size_t bytes = tl_image_bytes(plan);
    CHECK(bytes != 0);
    void *memory = aligned_alloc(64, bytes);
    CHECK(memory != NULL);
    memset(memory, 0, bytes);
    CHECK_EQUAL(tl_image_format(memory, bytes, plan, image), TL_OK);
    struct tl_image again;
    CHECK_EQUAL(tl_image_open(memory, bytes, &again), TL_OK);
    CHECK(again.slots == image->slots && again.lanes == image->lanes);
}

/* A sample of which every field follows from one number, so that a torn one is seen. */
static inline struct tl_sample check_sample(uint32_t tag, uint64_t number)
{
    const struct tl_sample sample = {
        .tag = tag,
        .status = (uint32_t)(number * 2654435761u),
        .value = number,
        .source_time = (int64_t)(number * 3u),
        .receipt_time = (int64_t)~number,
    };
    return sample;
}

static inline bool check_same(const struct tl_sample *left, const struct tl_sample *right)
{
    return memcmp(left, right, sizeof *left) == 0;
}

static inline void check_write(const struct tl_image *image, uint32_t owner, uint32_t tag, uint64_t number)
{
    const struct tl_sample sample = check_sample(tag, number);
    const struct tl_batch batch = {.tags = &sample.tag,
                                   .values = &sample.value,
                                   .statuses = &sample.status,
                                   .source_times = &sample.source_time,
                                   .receipt_times = &sample.receipt_time,
                                   .count = 1};
    size_t bad_row;
    CHECK_EQUAL(tl_image_write(image, owner, &batch, &bad_row), TL_OK);
}

#endif
