/* Preloaded into a process: tells, in order, everything it does to files below RECORD_BELOW, into the file RECORD_TO.
 *
 * A record is: u32 length of path, u32 length of data, i64 offset, u8 kind, path, data. Kinds: C create, D directory,
 * W write, T truncate (offset is the length), S sync, R rename (data is the new path), U unlink. Memory maps are not
 * seen: SQLite maps its -shm file only, which means nothing after a power cut. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static int to = -1;

static int is_below(const char *path)
{
    const char *below = getenv("RECORD_BELOW");
    return below != NULL && strncmp(path, below, strlen(below)) == 0;
}

static void put(const void *bytes, size_t length)
{
    if (syscall(SYS_write, to, bytes, length) != (long)length) {
        _exit(99);
    }
}

static void tell(char kind, const char *path, int64_t offset, const void *data, size_t length)
{
    pthread_mutex_lock(&one_at_a_time);
    if (to < 0) {
        to = (int)syscall(SYS_openat, AT_FDCWD, getenv("RECORD_TO"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    const uint32_t lengths[2] = {(uint32_t)strlen(path), (uint32_t)length};
    put(lengths, sizeof lengths);
    put(&offset, sizeof offset);
    put(&kind, 1);
    put(path, lengths[0]);
    put(data, length);
    pthread_mutex_unlock(&one_at_a_time);
}

/* Whether a file is one of those, and which. */
static int path_of(int file, char path[4096])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, 4095);
    if (length <= 0) {
        return 0;
    }
    path[length] = '\0';
    return is_below(path) && strstr(path, " (deleted)") == NULL;
}


static int opened(const char *path, int flags, mode_t mode)
{
    struct stat status;
    const int was_there = is_below(path) && stat(path, &status) == 0;
    const int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (file >= 0 && is_below(path) && (flags & O_DIRECTORY) == 0) {
        if (!was_there && (flags & O_CREAT) != 0) {
            tell('C', path, 0, "", 0);
        } else if ((flags & O_TRUNC) != 0) {
            tell('T', path, 0, "", 0);
        }
    }
    return file;
}

#define MODE(flags, mode)                                                                                              \
    va_list more;                                                                                                      \
    va_start(more, flags);                                                                                             \
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;                                             \
    va_end(more)

int open(const char *path, int flags, ...)
{
    MODE(flags, mode);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags, mode);
    return opened(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    MODE(flags, mode);
    return path[0] == '/' ? opened(path, flags, mode) : (int)syscall(SYS_openat, folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    MODE(flags, mode);
    return path[0] == '/' ? opened(path, flags, mode) : (int)syscall(SYS_openat, folder, path, flags, mode);
}

ssize_t write(int file, const void *data, size_t length)
{
    char path[4096];
    const int is_told = path_of(file, path);
    const off_t at = is_told ? lseek(file, 0, SEEK_CUR) : 0;
    const ssize_t done = syscall(SYS_write, file, data, length);
    if (is_told && done > 0) {
        tell('W', path, at, data, (size_t)done);
    }
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t at)
{
    char path[4096];
    const ssize_t done = syscall(SYS_pwrite64, file, data, length, at);
    if (done > 0 && path_of(file, path)) {
        tell('W', path, at, data, (size_t)done);
    }
    return done;
}

ssize_t pwrite(int file, const void *data, size_t length, off_t at)
{
    return pwrite64(file, data, length, at);
}

int ftruncate64(int file, off64_t length)
{
    char path[4096];
    const int result = (int)syscall(SYS_ftruncate, file, length);
    if (result == 0 && path_of(file, path)) {
        tell('T', path, length, "", 0);
    }
    return result;
}

int ftruncate(int file, off_t length)
{
    return ftruncate64(file, length);
}

static int synced(long call, int file)
{
    char path[4096];
    const int result = (int)syscall(call, file);
    if (result == 0 && path_of(file, path)) {
        tell('S', path, 0, "", 0);
    }
    return result;
}

int fsync(int file)
{
    return synced(SYS_fsync, file);
}

int fdatasync(int file)
{
    return synced(SYS_fdatasync, file);
}

int rename(const char *from, const char *name)
{
    const int result = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, name);
    if (result == 0 && is_below(name)) {
        tell('R', from, 0, name, strlen(name));
    }
    return result;
}

int unlink(const char *path)
{
    const int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0 && is_below(path)) {
        tell('U', path, 0, "", 0);
    }
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    const int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0 && is_below(path)) {
        tell('D', path, 0, "", 0);
    }
    return result;
}

int posix_fallocate64(int file, off64_t at, off64_t length)
{
    struct stat status;
    if (fstat(file, &status) == 0 && status.st_size < at + length && ftruncate64(file, at + length) != 0) {
        return errno;
    }
    return 0;
}

int posix_fallocate(int file, off_t at, off_t length)
{
    return posix_fallocate64(file, at, length);
}
