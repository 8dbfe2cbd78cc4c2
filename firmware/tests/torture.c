/* Processes on one region, killed at random: four writers with two claims each to fight for, four readers. A
 * restarted writer goes on from what the image says. No sample seen may be torn, none may go back, nobody may hang,
 * and nothing may be left behind. */
#define _GNU_SOURCE
#include "segment.h"

#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TAGS 256u
#define OWNERS 4u
#define TEXTS 8u
#define WRITERS OWNERS
#define READERS 4u
#define CHILDREN (WRITERS + READERS)
#define RECORDS 16384u
#define HANG_S 20 /* a child that made no step for so long hangs: rounds take well under a second, even sanitized */

/* What children tell the parent: rounds done by each, over all its lives. */
struct progress {
    atomic_ullong rounds[CHILDREN];
    atomic_ullong samples;
    atomic_ullong lost;
};

static struct check_plan plan_of;
static struct progress *progress;
static char name[64];

static int64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* xorshift64: the kills must be the same for the same seed. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void attach(struct tl_segment *segment)
{
    enum tl_result image_result;
    int error;
    CHECK_EQUAL(tl_segment_attach(name, segment, &image_result, &error), TL_SEGMENT_OK);
}

static _Noreturn void writer(uint32_t owner)
{
    struct tl_segment segment;
    int error;
    attach(&segment);
    CHECK_EQUAL(tl_segment_claim(&segment, owner, &error), TL_SEGMENT_OK); /* the dead one's claim is gone */
    uint32_t tags[TAGS];
    uint64_t values[TAGS];
    uint32_t statuses[TAGS];
    int64_t sources[TAGS];
    int64_t receipts[TAGS];
    struct tl_sample present[TAGS];
    size_t count = 0;
    uint64_t number = 0;
    for (uint32_t tag = owner; tag < TAGS - TEXTS; tag += OWNERS) {
        tags[count++] = tag;
    }
    CHECK_EQUAL(tl_image_read(&segment.image, tags, count, present), TL_OK);
    for (size_t i = 0; i < count; i++) {
        if (present[i].status != TL_STATUS_WAITING && present[i].value > number) {
            number = present[i].value;
        }
    }
    for (;;) {
        number++;
        for (size_t i = 0; i < count; i++) {
            const struct tl_sample row = check_sample(tags[i], number);
            values[i] = row.value;
            statuses[i] = row.status;
            sources[i] = row.source_time;
            receipts[i] = row.receipt_time;
        }
        const struct tl_batch batch = {tags, values, statuses, sources, receipts, count, 1, 1, 1, 1};
        size_t bad_row;
        CHECK_EQUAL(tl_image_write(&segment.image, owner, &batch, &bad_row), TL_OK);
        char text[64];
        memset(text, 'a' + (int)(number % 26u), sizeof text);
        CHECK_EQUAL(tl_image_write_text(&segment.image, owner, TAGS - TEXTS + owner, text, number % 65u, 0,
                                        (int64_t)number, 0),
                    TL_OK);
        tl_segment_ring(&segment);
        atomic_fetch_add(&progress->rounds[owner], 1);
    }
}

static void check_text(const struct tl_sample *sample, const char *text, size_t bytes)
{
    char expected[64];
    CHECK_EQUAL(bytes, (uint64_t)sample->source_time % 65u);
    memset(expected, 'a' + (int)((uint64_t)sample->source_time % 26u), sizeof expected);
    CHECK(memcmp(text, expected, bytes) == 0);
}

static void check_snapshot(const struct tl_image *image, uint64_t *last)
{
    struct tl_sample all[TAGS];
    CHECK_EQUAL(tl_image_read(image, NULL, TAGS, all), TL_OK);
    for (uint32_t tag = 0; tag < TAGS - TEXTS; tag++) {
        if (all[tag].status != TL_STATUS_WAITING) {
            const struct tl_sample expected = check_sample(tag, all[tag].value);
            CHECK(check_same(&all[tag], &expected));
            CHECK(all[tag].value >= last[tag]);
            last[tag] = all[tag].value;
        }
    }
    for (uint32_t tag = TAGS - TEXTS; tag < TAGS - TEXTS + OWNERS; tag++) {
        struct tl_sample sample;
        char text[TL_MAX_TEXT];
        size_t bytes;
        CHECK_EQUAL(tl_image_read_text(image, tag, &sample, text, &bytes), TL_OK);
        if (sample.status != TL_STATUS_WAITING) {
            check_text(&sample, text, bytes);
        }
    }
}

static void check_journal(const struct tl_image *image, uint32_t owner, uint64_t *cursor, uint64_t *last)
{
    struct tl_sample out[2048];
    size_t count;
    uint64_t lost;
    CHECK_EQUAL(tl_journal_take(image, owner, cursor, out, 2048, &count, &lost), TL_OK);
    for (size_t i = 0; i < count; i++) {
        const uint32_t tag = out[i].tag;
        CHECK(tag < TAGS && tag % OWNERS == owner);
        if (tag < TAGS - TEXTS) {
            const struct tl_sample expected = check_sample(tag, out[i].value);
            CHECK(check_same(&out[i], &expected));
            CHECK(out[i].value > last[tag]);
            last[tag] = out[i].value;
        } else {
            char text[TL_MAX_TEXT];
            size_t bytes;
            if (tl_journal_text(image, owner, out[i].value, text, &bytes)) {
                check_text(&out[i], text, bytes);
            }
        }
    }
    atomic_fetch_add(&progress->samples, count);
    atomic_fetch_add(&progress->lost, lost);
}

static _Noreturn void reader(uint32_t place)
{
    struct tl_segment segment;
    attach(&segment);
    uint64_t in_image[TAGS] = {0};
    uint64_t in_journal[TAGS] = {0};
    uint64_t cursors[OWNERS];
    uint64_t oldest;
    for (uint32_t owner = 0; owner < OWNERS; owner++) {
        tl_journal_bounds(&segment.image, owner, &oldest, &cursors[owner]);
    }
    for (;;) {
        const uint32_t bell = atomic_load(&segment.image.header->bell);
        check_snapshot(&segment.image, in_image);
        for (uint32_t owner = 0; owner < OWNERS; owner++) {
            check_journal(&segment.image, owner, &cursors[owner], in_journal);
        }
        atomic_fetch_add(&progress->rounds[place], 1);
        if (place % 2u == 0) {
            (void)tl_segment_wait(&segment, bell, 1000000, 0);
        }
    }
}

/* A tag written every millisecond wraps its sequence after 50 days; 2^40 records are 35 years at 1,000 a second. */
static void wear(const struct tl_image *image)
{
    for (uint32_t tag = 0; tag < TAGS; tag++) {
        atomic_store(&image->slots[tag].sequence, UINT32_MAX - 1000u - tag);
    }
    for (uint32_t owner = 0; owner < OWNERS; owner++) {
        atomic_store(&image->lanes[owner].claimed, UINT64_C(1) << 40);
        atomic_store(&image->lanes[owner].published, UINT64_C(1) << 40);
        atomic_store(&image->lanes[owner].text_claimed, UINT64_C(1) << 46);
    }
}

static pid_t start(uint32_t place)
{
    const pid_t parent = getpid();
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQUAL(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        if (getppid() != parent) {
            _exit(1);
        }
        if (place < WRITERS) {
            writer(place);
        }
        reader(place);
    }
    return child;
}

static void check_all_move(int64_t limit_ns)
{
    unsigned long long before[CHILDREN];
    for (uint32_t i = 0; i < CHILDREN; i++) {
        before[i] = atomic_load(&progress->rounds[i]);
    }
    const int64_t end = monotonic_ns() + limit_ns;
    for (uint32_t i = 0; i < CHILDREN; i++) {
        while (atomic_load(&progress->rounds[i]) == before[i]) {
            CHECK(monotonic_ns() < end);
            (void)usleep(1000);
        }
    }
}

int main(void)
{
    const char *wanted = getenv("TIELINE_TORTURE_S");
    const int64_t end = monotonic_ns() + (wanted == NULL ? 6 : atoll(wanted)) * INT64_C(1000000000);
    uint64_t seed = 20261121;
    (void)snprintf(name, sizeof name, "ctest-torture-%d", (int)getpid());
    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(progress != MAP_FAILED);

    struct tl_segment segment;
    enum tl_result image_result;
    int error;
    CHECK_EQUAL(tl_segment_create(name, check_plan_make(&plan_of, TAGS, OWNERS, TEXTS, RECORDS), &segment,
                                  &image_result, &error),
                TL_SEGMENT_OK);
    wear(&segment.image);
    pid_t children[CHILDREN];
    for (uint32_t i = 0; i < CHILDREN; i++) {
        children[i] = start(i);
    }
    unsigned kills = 0;
    while (monotonic_ns() < end) {
        (void)usleep((useconds_t)(next_random(&seed) % 4000u));
        const uint32_t victim = (uint32_t)(next_random(&seed) % CHILDREN);
        int status;
        CHECK_EQUAL(kill(children[victim], SIGKILL), 0);
        CHECK_EQUAL(waitpid(children[victim], &status, 0), children[victim]);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* not by a failed check of its own */
        children[victim] = start(victim);
        kills++;
        if (kills % 256u == 0) {
            check_all_move(HANG_S * INT64_C(1000000000));
        }
    }
    check_all_move(HANG_S * INT64_C(1000000000));
    for (uint32_t i = 0; i < CHILDREN; i++) {
        CHECK_EQUAL(kill(children[i], SIGKILL), 0);
        CHECK_EQUAL(waitpid(children[i], NULL, 0), children[i]);
    }
    (void)printf("%u kills, %llu samples read from the journals, %llu reported lost\n", kills,
                 atomic_load(&progress->samples), atomic_load(&progress->lost));
    CHECK(atomic_load(&progress->samples) != 0);
    tl_segment_close(&segment);
    CHECK_EQUAL(tl_segment_presence(name), TL_ABSENT);
    return 0;
}
