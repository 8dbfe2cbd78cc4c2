/* The retain file of a posix host: made, found again, made larger whole or not at all, and never somebody else's. */
#define _GNU_SOURCE
#include "check.h"
#include "retain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE ((size_t)300000)

static char folder[] = "/tmp/tieline-retain-XXXXXX";
static char path[64];

static const struct tl_retained small_pieces[] = {{.key = 5, .offset = 0, .bytes = 8}};
static const struct tl_program small = {.state_bytes = 8, .retained = small_pieces, .retained_count = 1};
static const struct tl_retained large_pieces[] = {{.key = 5, .offset = 0, .bytes = 8},
                                                  {.key = 6, .offset = 8, .bytes = LARGE}};
static const struct tl_program large = {.state_bytes = 8 + LARGE, .retained = large_pieces, .retained_count = 2};
static _Alignas(8) unsigned char state[8 + LARGE];

static struct tl_retain_block block_of(const struct tl_program *program)
{
    const struct tl_retain_block block = {.rows = program->retained, .count = program->retained_count, .base = state};
    return block;
}

static size_t bytes_of(const struct tl_program *program)
{
    const struct tl_retain_block block = block_of(program);
    return tl_retain_bytes(&block, 1);
}

static enum tl_retain_result look(struct tl_retain_file *file, const struct tl_program *program)
{
    struct tl_retain_block block = block_of(program);
    return tl_retain_load(&file->retain, &block, 1);
}

static uint64_t number(void)
{
    uint64_t value;
    memcpy(&value, state, sizeof value);
    return value;
}

static void save(struct tl_retain_file *file, const struct tl_program *program, uint64_t value)
{
    memcpy(state, &value, sizeof value);
    const struct tl_retain_block block = block_of(program);
    CHECK_EQUAL(tl_retain_save(&file->retain, &block, 1), TL_RETAIN_OK);
}

static uint64_t load(struct tl_retain_file *file, const struct tl_program *program)
{
    memset(state, 0, sizeof state);
    CHECK_EQUAL(look(file, program), TL_RETAIN_OK);
    return number();
}

static void test_a_new_file_is_private_and_found_again(void)
{
    struct tl_retain_file file;
    struct stat about;
    CHECK(tl_retain_file_open(&file, path, bytes_of(&small)));
    CHECK_EQUAL(look(&file, &small), TL_RETAIN_NONE);
    save(&file, &small, 41);
    save(&file, &small, 42);
    tl_retain_file_close(&file);
    CHECK(stat(path, &about) == 0);
    CHECK((about.st_mode & 0777) == 0600 && (size_t)about.st_size == 2 * TL_RETAIN_PLACE);
    CHECK(tl_retain_file_open(&file, path, bytes_of(&small)));
    CHECK_EQUAL(load(&file, &small), 42);
    tl_retain_file_close(&file);
}

static void test_a_larger_program_gets_a_larger_file_with_what_was_saved(void)
{
    struct tl_retain_file file;
    CHECK(tl_retain_file_open(&file, path, bytes_of(&small)));
    CHECK_EQUAL(load(&file, &small), 42);
    const uint64_t sequence = file.retain.sequence;
    CHECK(tl_retain_file_fit(&file, bytes_of(&large)));
    CHECK_EQUAL(load(&file, &large), 42);
    CHECK(file.retain.sequence == sequence);
    memset(state + 8, 0x77, LARGE);
    save(&file, &large, 43);
    tl_retain_file_close(&file);
    CHECK(tl_retain_file_open(&file, path, bytes_of(&large)));
    CHECK_EQUAL(load(&file, &large), 43);
    CHECK(state[8] == 0x77 && state[7 + LARGE] == 0x77);
    tl_retain_file_close(&file);
    CHECK(tl_retain_file_open(&file, path, bytes_of(&small))); /* a smaller program keeps the large file */
    CHECK_EQUAL(load(&file, &small), 43);
    tl_retain_file_close(&file);
}

static void test_a_file_that_cannot_grow_stays_as_it_was(void)
{
    struct tl_retain_file file;
    char beside[80];
    CHECK(tl_retain_file_open(&file, path, bytes_of(&small)));
    (void)snprintf(beside, sizeof beside, "%s.new", path);
    CHECK(mkdir(beside, 0700) == 0); /* in the way of the new file */
    CHECK(!tl_retain_file_fit(&file, 4 * LARGE));
    CHECK_EQUAL(load(&file, &small), 43);
    save(&file, &small, 44);
    CHECK_EQUAL(load(&file, &small), 44);
    CHECK(rmdir(beside) == 0);
    tl_retain_file_close(&file);
}

static void test_what_is_no_retain_file_is_left_alone(void)
{
    struct tl_retain_file file;
    const int other = open(path, O_WRONLY | O_TRUNC);
    CHECK(other >= 0 && write(other, "shopping", 8) == 8);
    CHECK(close(other) == 0);
    CHECK(!tl_retain_file_open(&file, path, bytes_of(&small)));
    CHECK_EQUAL(errno, EINVAL);
    tl_retain_file_close(&file);
    struct stat about;
    CHECK(stat(path, &about) == 0 && about.st_size == 8);
    CHECK(!tl_retain_file_open(&file, "/nowhere/at/all", 100));
    tl_retain_file_close(&file);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/retain", folder);
    test_a_new_file_is_private_and_found_again();
    test_a_larger_program_gets_a_larger_file_with_what_was_saved();
    test_a_file_that_cannot_grow_stays_as_it_was();
    test_what_is_no_retain_file_is_left_alone();
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    return 0;
}
