/* The image alone: what a plan may be, names, ownership, and that a refused batch writes nothing. */
#include "check.h"

static struct check_plan plan_of;

static void test_every_tag_is_found_by_its_name_and_no_other_is(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 4000, 3, 10, 1024), &image);
    for (uint32_t tag = 0; tag < 4000; tag++) {
        CHECK_EQUAL(tl_image_find(&image, plan_of.names[tag], plan_of.name_bytes[tag]), tag);
    }
    CHECK_EQUAL(tl_image_find(&image, "d4000.p", 7), TL_NO_TAG);
    CHECK_EQUAL(tl_image_find(&image, "d1.p", 3), TL_NO_TAG);
    CHECK_EQUAL(tl_image_find(&image, "", 0), TL_NO_TAG);
    free(image.base);
}

static void test_a_plan_out_of_its_limits_is_refused(void)
{
    struct tl_plan *plan = &plan_of.plan;
    (void)check_plan_make(&plan_of, 10, 2, 1, 1024);
    CHECK(tl_image_bytes(plan) != 0);
    plan_of.types[3] = 9;
    CHECK_EQUAL(tl_image_bytes(plan), 0);
    plan_of.types[3] = TL_STRING; /* a string without a bound */
    CHECK_EQUAL(tl_image_bytes(plan), 0);
    plan_of.string_bytes[3] = TL_MAX_TEXT + 1;
    CHECK_EQUAL(tl_image_bytes(plan), 0);
    plan_of.string_bytes[3] = TL_MAX_TEXT;
    CHECK(tl_image_bytes(plan) != 0);
    plan_of.owners[3] = 2;
    CHECK_EQUAL(tl_image_bytes(plan), 0);
    plan_of.owners[3] = 0;
    plan_of.name_bytes[3] = 256;
    CHECK_EQUAL(tl_image_bytes(plan), 0);
    plan_of.name_bytes[3] = 0;
    CHECK_EQUAL(tl_image_bytes(plan), 0);
    (void)check_plan_make(&plan_of, 10, 2, 1, 1023);
    CHECK_EQUAL(tl_image_bytes(plan), 0);
    plan->journal_records = 1024;
    plan->tag_count = TL_MAX_TAGS + 1;
    CHECK_EQUAL(tl_image_bytes(plan), 0);
    plan->tag_count = 0;
    CHECK_EQUAL(tl_image_bytes(plan), 0);
}

static void test_two_tags_of_one_name_are_refused(void)
{
    const struct tl_plan *plan = check_plan_make(&plan_of, 10, 1, 0, 1024);
    plan_of.name_list[9] = plan_of.name_list[2];
    const size_t bytes = tl_image_bytes(plan);
    void *memory = aligned_alloc(64, bytes);
    CHECK(memory != NULL);
    memset(memory, 0, bytes);
    struct tl_image image;
    CHECK_EQUAL(tl_image_format(memory, bytes, plan, &image), TL_ERROR_DUPLICATE);
    CHECK_EQUAL(tl_image_open(memory, bytes, &image), TL_ERROR_FORMAT); /* half made is not a region */
    free(memory);
}

static void test_a_damaged_header_is_never_opened(void)
{
    struct tl_image image;
    const struct tl_plan *plan = check_plan_make(&plan_of, 100, 2, 4, 1024);
    check_region_make(plan, &image);
    const size_t bytes = tl_image_bytes(plan);
    struct tl_image again;
    CHECK_EQUAL(tl_image_open(image.base, bytes - 64, &again), TL_ERROR_FORMAT);
    CHECK_EQUAL(tl_image_open(image.base, 64, &again), TL_ERROR_MEMORY);
    /* Every word of the header up to the bell, set to all ones, must be refused or leave every offset inside. */
    for (size_t at = 0; at < offsetof(struct tl_header, bell) / 8; at++) {
        uint64_t kept;
        const uint64_t ones = UINT64_MAX;
        memcpy(&kept, image.base + at * 8, 8);
        memcpy(image.base + at * 8, &ones, 8);
        if (tl_image_open(image.base, bytes, &again) == TL_OK) {
            CHECK((unsigned char *)again.lanes < image.base + bytes &&
                  (unsigned char *)again.slots < image.base + bytes);
        }
        memcpy(image.base + at * 8, &kept, 8);
    }
    CHECK_EQUAL(tl_image_open(image.base, bytes, &again), TL_OK);
    free(image.base);
}

static void test_a_tag_waits_for_its_first_value(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 10, 1, 1, 1024), &image);
    struct tl_sample all[10];
    CHECK_EQUAL(tl_image_read(&image, NULL, 10, all), TL_OK);
    for (uint32_t tag = 0; tag < 10; tag++) {
        CHECK_EQUAL(all[tag].tag, tag);
        CHECK_EQUAL(all[tag].status, TL_STATUS_WAITING);
        CHECK_EQUAL(all[tag].source_time, 0);
    }
    CHECK_EQUAL(tl_image_read(&image, NULL, 11, all), TL_ERROR_NO_TAG);
    free(image.base);
}

static void test_a_batch_with_one_bad_row_writes_nothing(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 10, 2, 1, 1024), &image);
    const uint32_t foreign[] = {0, 2, 3}; /* 3 belongs to owner 1 */
    const uint32_t text[] = {1, 9};       /* 9 is a string */
    const uint32_t beyond[] = {0, 10};
    const uint64_t value = 5;
    const uint32_t status = 0;
    const int64_t time = 9;
    struct tl_batch batch = {.tags = foreign,
                             .values = &value,
                             .statuses = &status,
                             .source_times = &time,
                             .receipt_times = &time,
                             .count = 3};
    size_t bad_row;
    CHECK_EQUAL(tl_image_write(&image, 0, &batch, &bad_row), TL_ERROR_OWNER);
    CHECK_EQUAL(bad_row, 2);
    batch.tags = text;
    batch.count = 2;
    CHECK_EQUAL(tl_image_write(&image, 1, &batch, &bad_row), TL_ERROR_TYPE);
    CHECK_EQUAL(bad_row, 1);
    batch.tags = beyond;
    CHECK_EQUAL(tl_image_write(&image, 0, &batch, &bad_row), TL_ERROR_NO_TAG);
    CHECK_EQUAL(tl_image_write(&image, 2, &batch, &bad_row), TL_ERROR_OWNER);
    CHECK_EQUAL(tl_image_write_text(&image, 1, 1, "x", 1, 0, 1, 1), TL_ERROR_TYPE);
    CHECK_EQUAL(tl_image_write_text(&image, 0, 9, "x", 1, 0, 1, 1), TL_ERROR_OWNER);
    char long_text[65] = {0};
    CHECK_EQUAL(tl_image_write_text(&image, 1, 9, long_text, 65, 0, 1, 1), TL_ERROR_TEXT);
    struct tl_sample all[10];
    CHECK_EQUAL(tl_image_read(&image, NULL, 10, all), TL_OK);
    for (uint32_t tag = 0; tag < 10; tag++) {
        CHECK_EQUAL(all[tag].status, TL_STATUS_WAITING);
    }
    for (uint32_t owner = 0; owner < 2; owner++) {
        uint64_t oldest;
        uint64_t end;
        tl_journal_bounds(&image, owner, &oldest, &end);
        CHECK_EQUAL(end, 0);
    }
    free(image.base);
}

static void test_a_string_comes_back_whole_at_every_length(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 4, 1, 1, 1024), &image);
    char text[64];
    char found[TL_MAX_TEXT];
    for (size_t bytes = 0; bytes <= 64; bytes++) {
        memset(text, 'a' + (int)(bytes % 26), sizeof text);
        CHECK_EQUAL(tl_image_write_text(&image, 0, 3, text, bytes, 0, (int64_t)bytes, 2), TL_OK);
        struct tl_sample sample;
        size_t found_bytes;
        CHECK_EQUAL(tl_image_read_text(&image, 3, &sample, found, &found_bytes), TL_OK);
        CHECK_EQUAL(found_bytes, bytes);
        CHECK(memcmp(found, text, bytes) == 0);
        CHECK_EQUAL(sample.source_time, bytes);
        CHECK(tl_journal_text(&image, 0, sample.value, found, &found_bytes));
        CHECK(found_bytes == bytes && memcmp(found, text, bytes) == 0);
    }
    free(image.base);
}

static void test_invalidating_keeps_the_value_and_says_so_once(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 4, 1, 1, 1024), &image);
    check_write(&image, 0, 1, 42);
    CHECK_EQUAL(tl_image_write_text(&image, 0, 3, "kept", 4, 0, 5, 5), TL_OK);
    for (int again = 0; again < 2; again++) {
        CHECK_EQUAL(tl_image_invalidate(&image, 0, 1, 0x80050000u, 100 + again), TL_OK);
        CHECK_EQUAL(tl_image_invalidate(&image, 0, 3, 0x80050000u, 100 + again), TL_OK);
    }
    const uint32_t tag = 1;
    struct tl_sample sample;
    CHECK_EQUAL(tl_image_read(&image, &tag, 1, &sample), TL_OK);
    CHECK_EQUAL(sample.value, 42);
    CHECK_EQUAL(sample.status, 0x80050000u);
    CHECK_EQUAL(sample.source_time, 100);
    char text[TL_MAX_TEXT];
    size_t bytes;
    CHECK_EQUAL(tl_image_read_text(&image, 3, &sample, text, &bytes), TL_OK);
    CHECK(bytes == 4 && memcmp(text, "kept", 4) == 0 && sample.status == 0x80050000u);
    uint64_t oldest;
    uint64_t end;
    tl_journal_bounds(&image, 0, &oldest, &end);
    CHECK_EQUAL(end, 4);
    free(image.base);
}

static void test_source_times_are_brought_to_the_step_by_every_way_in(void)
{
    struct tl_image image;
    struct tl_plan *plan = &plan_of.plan;
    (void)check_plan_make(&plan_of, 4, 1, 1, 1024);
    plan->time_step_ns = 1000;
    check_region_make(plan, &image);
    const uint32_t tags[] = {0, 1, 2, 0, 1};
    const uint64_t value = 7;
    const uint32_t status = 0;
    const int64_t given[] = {1999, 1999, -1999, INT64_MAX, INT64_MIN};
    const int64_t kept[] = {1000, 1000, -1000, INT64_MAX - 807, INT64_MIN + 808};
    const int64_t received = 4321;
    const struct tl_batch batch = {tags, &value, &status, given, &received, 5, 0, 0, 1, 0};
    size_t bad_row;
    CHECK_EQUAL(tl_image_write(&image, 0, &batch, &bad_row), TL_OK);
    CHECK_EQUAL(tl_image_write_text(&image, 0, 3, "x", 1, 0, 5999, received), TL_OK);
    CHECK_EQUAL(tl_image_invalidate(&image, 0, 2, 0x80050000u, 7999), TL_OK);
    uint64_t cursor = 0;
    uint64_t lost;
    size_t count;
    struct tl_sample records[8];
    CHECK_EQUAL(tl_journal_take(&image, 0, &cursor, records, 8, &count, &lost), TL_OK);
    CHECK_EQUAL(count, 7);
    for (size_t i = 0; i < 5; i++) {
        CHECK(records[i].source_time == kept[i] && records[i].receipt_time == received);
    }
    CHECK_EQUAL(records[5].source_time, 5000);
    CHECK(records[6].source_time == 7000 && records[6].receipt_time == 7999);
    struct tl_sample present[4];
    CHECK_EQUAL(tl_image_read(&image, NULL, 4, present), TL_OK);
    CHECK(present[0].source_time == kept[3] && present[1].source_time == kept[4]);
    CHECK(present[2].source_time == 7000 && present[3].source_time == 5000);
    free(image.base);
    plan->time_step_ns = -1;
    CHECK_EQUAL(tl_image_bytes(plan), 0);
}

int main(void)
{
    test_every_tag_is_found_by_its_name_and_no_other_is();
    test_a_plan_out_of_its_limits_is_refused();
    test_two_tags_of_one_name_are_refused();
    test_a_damaged_header_is_never_opened();
    test_a_tag_waits_for_its_first_value();
    test_a_batch_with_one_bad_row_writes_nothing();
    test_a_string_comes_back_whole_at_every_length();
    test_invalidating_keeps_the_value_and_says_so_once();
    test_source_times_are_brought_to_the_step_by_every_way_in();
    return 0;
}
