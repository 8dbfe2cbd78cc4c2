/* Segments between processes: life, staleness, claims that die with their holder, sleeping and waking. */
#define _GNU_SOURCE
#include "segment.h"

#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct check_plan plan_of;
static char name[64];

static const struct tl_plan *small_plan(void)
{
    return check_plan_make(&plan_of, 8, 2, 1, 1024);
}

static enum tl_segment_result create(struct tl_segment *segment)
{
    enum tl_result image_result;
    int error;
    return tl_segment_create(name, small_plan(), segment, &image_result, &error);
}

static enum tl_segment_result attach(struct tl_segment *segment)
{
    enum tl_result image_result;
    int error;
    return tl_segment_attach(name, segment, &image_result, &error);
}

/* A child that does `work`, says so through a pipe, and then waits to be killed. */
static pid_t child_that(void (*work)(void))
{
    int ends[2];
    CHECK_EQUAL(pipe(ends), 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        work();
        CHECK_EQUAL(write(ends[1], "!", 1), 1);
        for (;;) {
            (void)pause();
        }
    }
    char said;
    (void)close(ends[1]);
    CHECK_EQUAL(read(ends[0], &said, 1), 1);
    (void)close(ends[0]);
    return child;
}

static void kill_and_wait(pid_t child)
{
    CHECK_EQUAL(kill(child, SIGKILL), 0);
    CHECK_EQUAL(waitpid(child, NULL, 0), child);
}

static void make_and_stay(void)
{
    static struct tl_segment segment;
    CHECK_EQUAL(create(&segment), TL_SEGMENT_OK);
}

static void test_a_region_of_a_dead_creator_is_stale_and_its_name_free_again(void)
{
    struct tl_segment segment;
    const pid_t child = child_that(make_and_stay);
    CHECK_EQUAL(tl_segment_presence(name), TL_LIVE);
    CHECK_EQUAL(create(&segment), TL_SEGMENT_IN_USE);
    CHECK(!tl_segment_remove_stale(name));
    CHECK_EQUAL(attach(&segment), TL_SEGMENT_OK);
    tl_segment_close(&segment);
    kill_and_wait(child);
    CHECK_EQUAL(tl_segment_presence(name), TL_STALE);
    CHECK_EQUAL(attach(&segment), TL_SEGMENT_DEAD);
    CHECK_EQUAL(create(&segment), TL_SEGMENT_OK);
    CHECK_EQUAL(tl_segment_presence(name), TL_LIVE);
    tl_segment_close(&segment);
    CHECK_EQUAL(tl_segment_presence(name), TL_ABSENT);
    CHECK_EQUAL(attach(&segment), TL_SEGMENT_ABSENT);
}

static void test_a_stale_region_is_removed_once(void)
{
    kill_and_wait(child_that(make_and_stay));
    CHECK(tl_segment_remove_stale(name));
    CHECK(!tl_segment_remove_stale(name));
    CHECK_EQUAL(tl_segment_presence(name), TL_ABSENT);
}

static void claim_and_stay(void)
{
    static struct tl_segment segment;
    int error;
    CHECK_EQUAL(attach(&segment), TL_SEGMENT_OK);
    CHECK_EQUAL(tl_segment_claim(&segment, 1, &error), TL_SEGMENT_OK);
    check_write(&segment.image, 1, 1, 5);
}

static void test_a_claim_is_exclusive_and_dies_with_its_holder(void)
{
    struct tl_segment segment;
    int error;
    CHECK_EQUAL(create(&segment), TL_SEGMENT_OK);
    const pid_t child = child_that(claim_and_stay);
    CHECK_EQUAL(tl_segment_claim(&segment, 1, &error), TL_SEGMENT_CLAIMED);
    CHECK_EQUAL(tl_segment_claim(&segment, 0, &error), TL_SEGMENT_OK);
    kill_and_wait(child);
    CHECK_EQUAL(tl_segment_claim(&segment, 1, &error), TL_SEGMENT_OK);
    const uint32_t tag = 1;
    struct tl_sample sample;
    CHECK_EQUAL(tl_image_read(&segment.image, &tag, 1, &sample), TL_OK);
    CHECK_EQUAL(sample.value, 5);
    tl_segment_close(&segment);
}

static void write_without_a_claim(void)
{
    static struct tl_segment segment;
    CHECK_EQUAL(attach(&segment), TL_SEGMENT_OK);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL); /* the sanitizer would report it and exit by itself */
        check_write(&segment.image, 0, 0, 1);
        _exit(0);
    }
    int status;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void test_memory_is_read_only_until_an_owner_is_claimed(void)
{
    struct tl_segment segment;
    CHECK_EQUAL(create(&segment), TL_SEGMENT_OK);
    kill_and_wait(child_that(write_without_a_claim));
    tl_segment_close(&segment);
}

static void ring_soon(void)
{
    static struct tl_segment segment;
    int error;
    CHECK_EQUAL(attach(&segment), TL_SEGMENT_OK);
    CHECK_EQUAL(tl_segment_claim(&segment, 0, &error), TL_SEGMENT_OK);
    tl_segment_ring(&segment);
}

static void test_a_sleeper_is_woken_by_another_process_or_by_its_timeout(int64_t poll_ns)
{
    struct tl_segment segment;
    CHECK_EQUAL(create(&segment), TL_SEGMENT_OK);
    const uint32_t seen = atomic_load(&segment.image.header->bell);
    CHECK_EQUAL(tl_segment_wait(&segment, seen, 1000000, poll_ns), seen);
    const pid_t child = child_that(ring_soon);
    CHECK_EQUAL(tl_segment_wait(&segment, seen, INT64_C(10000000000), poll_ns), seen + 1);
    kill_and_wait(child);
    tl_segment_close(&segment);
}

static void test_a_name_that_is_no_name_is_refused(void)
{
    struct tl_segment segment;
    enum tl_result image_result;
    int error;
    const char *const bad[] = {"", "a/b", "../x", "a b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQUAL(tl_segment_create(bad[i], small_plan(), &segment, &image_result, &error), TL_SEGMENT_NAME);
        CHECK_EQUAL(tl_segment_attach(bad[i], &segment, &image_result, &error), TL_SEGMENT_NAME);
        CHECK_EQUAL(tl_segment_presence(bad[i]), TL_ABSENT);
    }
}

int main(void)
{
    (void)snprintf(name, sizeof name, "ctest-segment-%d", (int)getpid());
    test_a_region_of_a_dead_creator_is_stale_and_its_name_free_again();
    test_a_stale_region_is_removed_once();
    test_a_claim_is_exclusive_and_dies_with_its_holder();
    test_memory_is_read_only_until_an_owner_is_claimed();
    test_a_sleeper_is_woken_by_another_process_or_by_its_timeout(0);
    test_a_sleeper_is_woken_by_another_process_or_by_its_timeout(200000);
    test_a_name_that_is_no_name_is_refused();
    return 0;
}
