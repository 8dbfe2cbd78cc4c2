/* The retain file of a posix host (docs/formats/retain.md): two places in one file, durable when saved. */
#ifndef TIELINE_RETAIN_FILE_H
#define TIELINE_RETAIN_FILE_H

#include "retain.h"

#define TL_RETAIN_PLACE ((size_t)64u * 1024u) /* so that a program may grow without a new file */

struct tl_retain_file {
    const char *path; /* of the caller, kept */
    int file;
    struct tl_retain retain;
};

/* Open or make it with room for `bytes` a copy (tl_retain_bytes). False: errno says why. */
bool tl_retain_file_open(struct tl_retain_file *file, const char *path, size_t bytes);

/* Room for `bytes` a copy from now on; what is saved stays: a larger file replaces this one whole or not at all.
 * False: errno says why, and the file is as it was. */
bool tl_retain_file_fit(struct tl_retain_file *file, size_t bytes);

void tl_retain_file_close(struct tl_retain_file *file);

#endif
