/* See retain_file.h. */
#define _GNU_SOURCE
#include "retain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define MAX_PLACE ((size_t)1 << 30)

static bool read_file(void *context, size_t offset, void *to, size_t bytes)
{
    const struct tl_retain_file *file = context;
    unsigned char *at = to;
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = pread(file->file, at + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

static bool write_file(void *context, size_t offset, const void *from, size_t bytes)
{
    const struct tl_retain_file *file = context;
    const unsigned char *at = from;
    for (size_t done = 0; done < bytes;) {
        const ssize_t put = pwrite(file->file, at + done, bytes - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        done += (size_t)put;
    }
    return true;
}

static bool sync_file(void *context)
{
    return fdatasync(((struct tl_retain_file *)context)->file) == 0;
}

/* The folder of a path made durable: a name in it is lost otherwise. */
static bool sync_folder(const char *path)
{
    char copy[PATH_MAX];
    (void)snprintf(copy, sizeof copy, "%s", path);
    const int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return false;
    }
    const bool is_synced = fsync(folder) == 0;
    (void)close(folder);
    return is_synced;
}

static size_t place_for(size_t bytes)
{
    const size_t wanted = bytes < TL_RETAIN_PLACE ? TL_RETAIN_PLACE : bytes;
    return (wanted + PAGE - 1u) / PAGE * PAGE;
}

static void set_medium(struct tl_retain_file *file, size_t place)
{
    file->retain.medium = (struct tl_medium){
        .context = file, .place_bytes = place, .read = read_file, .write = write_file, .sync = sync_file};
}

/* Copy both places of `from`, byte for byte, to the larger ones of `to`. */
static bool copy_places(struct tl_retain_file *from, struct tl_retain_file *to)
{
    unsigned char *bytes = malloc(from->retain.medium.place_bytes);
    if (bytes == NULL) {
        return false;
    }
    bool is_copied = true;
    for (size_t place = 0; place < 2 && is_copied; place++) {
        is_copied =
            read_file(from, place * from->retain.medium.place_bytes, bytes, from->retain.medium.place_bytes) &&
            write_file(to, place * to->retain.medium.place_bytes, bytes, from->retain.medium.place_bytes);
    }
    free(bytes);
    return is_copied;
}

/* A new file of two places, with what `old` holds; takes the name only when it is whole and durable. */
static bool replace(struct tl_retain_file *file, size_t place, bool has_old)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s.new", file->path) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return false;
    }
    struct tl_retain_file larger = {.file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
    set_medium(&larger, place);
    if (larger.file < 0) {
        return false;
    }
    int refused = posix_fallocate(larger.file, 0, (off_t)(2u * place));
    if (refused == 0 && ((has_old && !copy_places(file, &larger)) || fsync(larger.file) != 0 ||
                         rename(path, file->path) != 0 || !sync_folder(file->path))) {
        refused = errno;
    }
    if (refused != 0) {
        (void)close(larger.file);
        (void)unlink(path);
        errno = refused;
        return false;
    }
    if (has_old) {
        (void)close(file->file);
    }
    file->file = larger.file;
    set_medium(file, place);
    return true;
}

static bool fit_buffer(struct tl_retain_file *file)
{
    const size_t bytes = file->retain.medium.place_bytes;
    if (file->retain.buffer_bytes >= bytes) {
        return true;
    }
    unsigned char *buffer = realloc(file->retain.buffer, bytes);
    if (buffer == NULL) {
        return false;
    }
    file->retain.buffer = buffer;
    file->retain.buffer_bytes = bytes;
    return true;
}

bool tl_retain_file_open(struct tl_retain_file *file, const char *path, size_t bytes)
{
    *file = (struct tl_retain_file){.path = path, .file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)};
    struct stat about;
    if (file->file < 0) {
        return errno == ENOENT && replace(file, place_for(bytes), false) && fit_buffer(file);
    }
    if (fstat(file->file, &about) != 0) {
        return false;
    }
    const size_t place = (size_t)about.st_size / 2u;
    if (!S_ISREG(about.st_mode) || place < PAGE || place % PAGE != 0 || place > MAX_PLACE) {
        errno = EINVAL; /* not a retain file: not ours to overwrite */
        return false;
    }
    set_medium(file, place);
    return fit_buffer(file) && tl_retain_file_fit(file, bytes);
}

bool tl_retain_file_fit(struct tl_retain_file *file, size_t bytes)
{
    if (bytes <= file->retain.medium.place_bytes) {
        return true;
    }
    if (bytes > MAX_PLACE) {
        errno = EFBIG;
        return false;
    }
    return replace(file, place_for(bytes), true) && fit_buffer(file);
}

void tl_retain_file_close(struct tl_retain_file *file)
{
    if (file->file >= 0) {
        (void)close(file->file);
    }
    free(file->retain.buffer);
    file->file = -1;
    file->retain.buffer = NULL;
}
