/* The journal alone: order, lapping counted exactly, positions, strings that were overwritten. */
#include "check.h"

static struct check_plan plan_of;

static void test_a_reader_gets_every_change_in_order(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 8, 1, 0, 1024), &image);
    uint64_t cursor = 0;
    uint64_t written = 0;
    uint64_t read = 0;
    struct tl_sample out[100];
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 37; i++, written++) {
            check_write(&image, 0, (uint32_t)(written % 8), written);
        }
        size_t count;
        uint64_t lost;
        do {
            CHECK_EQUAL(tl_journal_take(&image, 0, &cursor, out, 100, &count, &lost), TL_OK);
            CHECK_EQUAL(lost, 0);
            for (size_t i = 0; i < count; i++, read++) {
                const struct tl_sample expected = check_sample((uint32_t)(read % 8), read);
                CHECK(check_same(&out[i], &expected));
            }
        } while (count != 0);
        CHECK_EQUAL(read, written);
    }
    free(image.base);
}

static void test_a_lapped_reader_is_told_exactly_how_many_it_lost(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 1, 1, 0, 1024), &image);
    for (uint64_t i = 0; i < 5000; i++) {
        check_write(&image, 0, 0, i);
    }
    uint64_t cursor = 10;
    struct tl_sample out[2048];
    size_t count;
    uint64_t lost;
    CHECK_EQUAL(tl_journal_take(&image, 0, &cursor, out, 2048, &count, &lost), TL_OK);
    CHECK_EQUAL(lost, 5000 - 1024 - 10);
    CHECK_EQUAL(count, 1024);
    CHECK_EQUAL(out[0].value, 5000 - 1024);
    CHECK_EQUAL(cursor, 5000);
    cursor = 5001;
    CHECK_EQUAL(tl_journal_take(&image, 0, &cursor, out, 2048, &count, &lost), TL_ERROR_POSITION);
    free(image.base);
}

static void test_a_batch_longer_than_the_ring_is_written_whole(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 4096, 1, 0, 1024), &image);
    uint32_t tags[4096];
    uint64_t values[4096];
    for (uint32_t i = 0; i < 4096; i++) {
        tags[i] = i;
        values[i] = i * 7u;
    }
    const uint32_t status = 0;
    const int64_t time = 1;
    const struct tl_batch batch = {.tags = tags,
                                   .values = values,
                                   .statuses = &status,
                                   .source_times = &time,
                                   .receipt_times = &time,
                                   .count = 4096,
                                   .value_step = 1};
    size_t bad_row;
    CHECK_EQUAL(tl_image_write(&image, 0, &batch, &bad_row), TL_OK);
    struct tl_sample all[4096];
    CHECK_EQUAL(tl_image_read(&image, NULL, 4096, all), TL_OK);
    for (uint32_t i = 0; i < 4096; i++) {
        CHECK_EQUAL(all[i].value, i * 7u);
    }
    free(image.base);
}

static void test_an_overwritten_string_is_known_to_be_gone(void)
{
    struct tl_image image;
    check_region_make(check_plan_make(&plan_of, 2, 1, 1, 65536), &image);
    char text[64];
    char found[TL_MAX_TEXT];
    size_t bytes;
    /* 64 KiB of ring holds 1,024 strings of 64 bytes. */
    for (uint32_t i = 0; i < 3000; i++) {
        (void)snprintf(text, sizeof text, "%063u", i);
        CHECK_EQUAL(tl_image_write_text(&image, 0, 1, text, 64, 0, i, 1), TL_OK);
    }
    uint64_t cursor = 0;
    struct tl_sample out[3000];
    size_t count;
    uint64_t lost;
    CHECK_EQUAL(tl_journal_take(&image, 0, &cursor, out, 3000, &count, &lost), TL_OK);
    CHECK_EQUAL(count, 3000);
    for (uint32_t i = 0; i < 3000; i++) {
        const bool is_kept = tl_journal_text(&image, 0, out[i].value, found, &bytes);
        CHECK_EQUAL(is_kept, i >= 3000 - 1024);
        if (is_kept) {
            (void)snprintf(text, sizeof text, "%063u", i);
            CHECK(bytes == 64 && memcmp(found, text, 64) == 0);
        }
    }
    CHECK(!tl_journal_text(&image, 0, UINT64_MAX, found, &bytes)); /* a reference nobody made */
    free(image.base);
}

int main(void)
{
    test_a_reader_gets_every_change_in_order();
    test_a_lapped_reader_is_told_exactly_how_many_it_lost();
    test_a_batch_longer_than_the_ring_is_written_whole();
    test_an_overwritten_string_is_known_to_be_gone();
    return 0;
}
