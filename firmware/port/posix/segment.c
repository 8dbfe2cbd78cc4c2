/* See segment.h. Linux only: O_TMPFILE, open-file-description locks, futex. */
#define _GNU_SOURCE
#include "segment.h"

#include "words.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINK_ATTEMPTS 8 /* stale names removed by others, then taken by others, in a row */

static bool path_of(const char *name, char *path, size_t size)
{
    const size_t bytes = strlen(name);
    if (bytes == 0 || bytes > TL_MAX_SEGMENT_NAME) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("_-.", name[i]) == NULL) {
            return false;
        }
    }
    return snprintf(path, size, "%s%s%s", TL_SEGMENT_FOLDER, TL_SEGMENT_PREFIX, name) < (int)size;
}

static int lock_byte(int file, int command, short kind, off_t byte)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(file, command, &lock) == 0 ? lock.l_type : -1;
}

static bool creator_lives(int file)
{
    return lock_byte(file, F_OFD_GETLK, F_WRLCK, 0) != F_UNLCK;
}

static bool same_file(int file, const char *path)
{
    struct stat ours;
    struct stat theirs;
    return fstat(file, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev;
}

/* Removes the stale segment at `path`. Holding its creator's lock while unlinking means that two cleaners
 * cannot remove what a third has just made under the same name. */
static bool remove_stale_path(const char *path)
{
    const int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) {
        return false;
    }
    const bool removed = lock_byte(file, F_OFD_SETLK, F_WRLCK, 0) != -1 && same_file(file, path) && unlink(path) == 0;
    (void)close(file);
    return removed;
}

/* Give the finished segment its name; until now nobody could open it. */
static enum tl_segment_result publish(int file, const char *path, int *error)
{
    char self[64];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", file);
    for (int attempt = 0; attempt < LINK_ATTEMPTS; attempt++) {
        if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) {
            return TL_SEGMENT_OK;
        }
        if (errno != EEXIST) {
            *error = errno;
            return TL_SEGMENT_SYSTEM;
        }
        (void)remove_stale_path(path);
    }
    return TL_SEGMENT_IN_USE;
}

static enum tl_segment_result map_file(struct tl_segment *segment, size_t bytes, int protection, int *error)
{
    void *memory = mmap(NULL, bytes, protection, MAP_SHARED, segment->file, 0);
    if (memory == MAP_FAILED) {
        *error = errno;
        return TL_SEGMENT_SYSTEM;
    }
    segment->memory = memory;
    segment->bytes = bytes;
    return TL_SEGMENT_OK;
}

static void forget(struct tl_segment *segment)
{
    if (segment->memory != NULL) {
        (void)munmap(segment->memory, segment->bytes);
    }
    if (segment->file >= 0) {
        (void)close(segment->file);
    }
    segment->memory = NULL;
    segment->file = -1;
}

static enum tl_segment_result fill(struct tl_segment *segment, const struct tl_plan *plan,
                                   enum tl_result *image_result, int *error)
{
    const size_t bytes = tl_image_bytes(plan);
    if (bytes == 0) {
        *image_result = TL_ERROR_ARGUMENT;
        return TL_SEGMENT_FORMAT;
    }
    /* Reserve every page now: a write to a page that cannot be had later would be a SIGBUS. */
    const int refused = posix_fallocate(segment->file, 0, (off_t)bytes);
    if (refused != 0) {
        *error = refused;
        return refused == ENOSPC ? TL_SEGMENT_FULL : TL_SEGMENT_SYSTEM;
    }
    const enum tl_segment_result mapped = map_file(segment, bytes, PROT_READ | PROT_WRITE, error);
    if (mapped != TL_SEGMENT_OK) {
        return mapped;
    }
    segment->is_writable = true;
    *image_result = tl_image_format(segment->memory, bytes, plan, &segment->image);
    if (*image_result != TL_OK) {
        return TL_SEGMENT_FORMAT;
    }
    if (lock_byte(segment->file, F_OFD_SETLK, F_WRLCK, 0) == -1) {
        *error = errno;
        return TL_SEGMENT_SYSTEM;
    }
    return publish(segment->file, segment->path, error);
}

enum tl_segment_result tl_segment_create(const char *name, const struct tl_plan *plan, struct tl_segment *segment,
                                         enum tl_result *image_result, int *error)
{
    memset(segment, 0, sizeof *segment);
    segment->file = -1;
    *image_result = TL_OK;
    *error = 0;
    if (!path_of(name, segment->path, sizeof segment->path)) {
        return TL_SEGMENT_NAME;
    }
    segment->file = open(TL_SEGMENT_FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (segment->file < 0) {
        *error = errno;
        return TL_SEGMENT_SYSTEM;
    }
    const enum tl_segment_result filled = fill(segment, plan, image_result, error);
    if (filled != TL_SEGMENT_OK) {
        forget(segment);
        return filled;
    }
    segment->is_creator = true;
    return TL_SEGMENT_OK;
}

enum tl_segment_result tl_segment_attach(const char *name, struct tl_segment *segment, enum tl_result *image_result,
                                         int *error)
{
    memset(segment, 0, sizeof *segment);
    segment->file = -1;
    *image_result = TL_OK;
    *error = 0;
    if (!path_of(name, segment->path, sizeof segment->path)) {
        return TL_SEGMENT_NAME;
    }
    segment->file = open(segment->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (segment->file < 0) {
        *error = errno;
        return errno == ENOENT ? TL_SEGMENT_ABSENT : TL_SEGMENT_SYSTEM;
    }
    struct stat about;
    enum tl_segment_result result = TL_SEGMENT_OK;
    if (!creator_lives(segment->file)) {
        result = TL_SEGMENT_DEAD;
    } else if (fstat(segment->file, &about) != 0) {
        *error = errno;
        result = TL_SEGMENT_SYSTEM;
    } else {
        result = map_file(segment, (size_t)about.st_size, PROT_READ, error);
    }
    if (result == TL_SEGMENT_OK) {
        *image_result = tl_image_open(segment->memory, segment->bytes, &segment->image);
        result = *image_result == TL_OK ? TL_SEGMENT_OK : TL_SEGMENT_FORMAT;
    }
    if (result != TL_SEGMENT_OK) {
        forget(segment);
    }
    return result;
}

void tl_segment_close(struct tl_segment *segment)
{
    if (segment->file < 0) {
        return;
    }
    if (segment->is_creator && same_file(segment->file, segment->path)) {
        (void)unlink(segment->path);
    }
    forget(segment);
}

enum tl_segment_result tl_segment_claim(struct tl_segment *segment, uint32_t owner, int *error)
{
    *error = 0;
    if (lock_byte(segment->file, F_OFD_SETLK, F_WRLCK, (off_t)owner + 1) == -1) {
        *error = errno;
        return errno == EAGAIN || errno == EACCES ? TL_SEGMENT_CLAIMED : TL_SEGMENT_SYSTEM;
    }
    if (!segment->is_writable) {
        if (mprotect(segment->memory, segment->bytes, PROT_READ | PROT_WRITE) != 0) {
            *error = errno;
            tl_segment_release(segment, owner);
            return TL_SEGMENT_SYSTEM;
        }
        segment->is_writable = true;
    }
    return TL_SEGMENT_OK;
}

void tl_segment_release(struct tl_segment *segment, uint32_t owner)
{
    (void)lock_byte(segment->file, F_OFD_SETLK, F_UNLCK, (off_t)owner + 1);
}

enum tl_presence tl_segment_presence(const char *name)
{
    char path[sizeof TL_SEGMENT_FOLDER TL_SEGMENT_PREFIX + TL_MAX_SEGMENT_NAME];
    if (!path_of(name, path, sizeof path)) {
        return TL_ABSENT;
    }
    const int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) {
        return TL_ABSENT;
    }
    const enum tl_presence presence = creator_lives(file) ? TL_LIVE : TL_STALE;
    (void)close(file);
    return presence;
}

bool tl_segment_remove_stale(const char *name)
{
    char path[sizeof TL_SEGMENT_FOLDER TL_SEGMENT_PREFIX + TL_MAX_SEGMENT_NAME];
    return path_of(name, path, sizeof path) && remove_stale_path(path);
}

void tl_segment_ring(const struct tl_segment *segment)
{
    _Atomic uint32_t *bell = &segment->image.header->bell;
    atomic_fetch_add_explicit(bell, 1u, memory_order_release);
    (void)syscall(SYS_futex, bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static struct timespec duration(int64_t ns)
{
    const struct timespec time = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    return time;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint32_t tl_segment_wait(const struct tl_segment *segment, uint32_t seen, int64_t timeout_ns, int64_t poll_ns)
{
    _Atomic uint32_t *bell = &segment->image.header->bell;
    if (timeout_ns <= 0 || TL_LOAD(*bell) != seen) {
        return TL_LOAD(*bell);
    }
    if (poll_ns > 0) {
        const int64_t end = monotonic_ns() + timeout_ns;
        for (int64_t left = timeout_ns; left > 0 && TL_LOAD(*bell) == seen; left = end - monotonic_ns()) {
            const struct timespec pause = duration(left < poll_ns ? left : poll_ns);
            (void)nanosleep(&pause, NULL);
        }
        return TL_LOAD(*bell);
    }
    const struct timespec timeout = duration(timeout_ns);
    (void)syscall(SYS_futex, bell, FUTEX_WAIT, seen, &timeout, NULL, 0);
    return TL_LOAD(*bell);
}
