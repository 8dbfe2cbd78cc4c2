/* A region as a named shared-memory segment on Linux: made, found, claimed, waited on, and cleaned up.
 *
 * Life and claims are open-file-description locks on the segment itself (fcntl(2), F_OFD_SETLK): byte 0 is held by
 * the creator, byte 1 + owner by that owner's writer. The kernel drops them when their process dies, however it dies,
 * so a stale segment and an abandoned claim are known for certain and no process id is ever trusted.
 */
#ifndef TIELINE_SEGMENT_H
#define TIELINE_SEGMENT_H

#include "image.h"

#define TL_SEGMENT_FOLDER "/dev/shm/"
#define TL_SEGMENT_PREFIX "tieline."
#define TL_MAX_SEGMENT_NAME 100u

enum tl_presence { TL_ABSENT = 0, TL_LIVE = 1, TL_STALE = 2 };

struct tl_segment {
    struct tl_image image;
    void *memory;
    size_t bytes;
    int file;
    bool is_creator;
    bool is_writable;
    char path[sizeof TL_SEGMENT_FOLDER TL_SEGMENT_PREFIX + TL_MAX_SEGMENT_NAME];
};

/* Why a call failed; `error` is errno where it came from the operating system, else 0. */
enum tl_segment_result {
    TL_SEGMENT_OK = 0,
    TL_SEGMENT_NAME,    /* not 1..100 of letters, digits, "_", "-", "." */
    TL_SEGMENT_IN_USE,  /* a live region has this name */
    TL_SEGMENT_ABSENT,  /* no region has this name */
    TL_SEGMENT_DEAD,    /* its creator is gone */
    TL_SEGMENT_FULL,    /* shared memory has no room for it */
    TL_SEGMENT_FORMAT,  /* the image refused: see *image_result */
    TL_SEGMENT_CLAIMED, /* another writer holds this owner */
    TL_SEGMENT_SYSTEM,  /* the operating system refused: see *error */
};

enum tl_segment_result tl_segment_create(const char *name, const struct tl_plan *plan, struct tl_segment *segment,
                                         enum tl_result *image_result, int *error);
enum tl_segment_result tl_segment_attach(const char *name, struct tl_segment *segment, enum tl_result *image_result,
                                         int *error);

/* Unmap and close; the creator removes the name first. */
void tl_segment_close(struct tl_segment *segment);

/* Hold an owner until released or dead; makes the mapping writable on first use. */
enum tl_segment_result tl_segment_claim(struct tl_segment *segment, uint32_t owner, int *error);
void tl_segment_release(struct tl_segment *segment, uint32_t owner);

enum tl_presence tl_segment_presence(const char *name);

/* Remove a segment whose creator is gone; false if there is none, or it lives. */
bool tl_segment_remove_stale(const char *name);

/* Raise the bell and wake who sleeps on it. */
void tl_segment_ring(const struct tl_segment *segment);

/* Sleep until the bell differs from `seen`, at most `timeout_ns`; returns the bell. With `poll_ns` > 0 it looks that
 * often instead of using a futex. May return early. */
uint32_t tl_segment_wait(const struct tl_segment *segment, uint32_t seen, int64_t timeout_ns, int64_t poll_ns);

#endif
