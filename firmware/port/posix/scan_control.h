/* The control socket of the posix scan, drawn in docs/formats/scan-control.md: a Unix stream socket, frames of bytes,
 * one request after another for each client.
 */
#ifndef TIELINE_SCAN_CONTROL_H
#define TIELINE_SCAN_CONTROL_H

#include "scan_service.h"

#include <poll.h>

#define TL_MAX_CLIENTS 8u
#define TL_MAX_REQUEST ((size_t)4u << 20) /* an online change of 349,000 moves */
#define TL_FRAME_HEAD 8u
#define TL_SEND_NS INT64_C(1000000000) /* a client that takes nothing for so long is dropped */
#define TL_CONTROL_POLLS (TL_MAX_CLIENTS + 1u)

enum tl_operation {
    TL_OP_STATUS = 1,
    TL_OP_START = 2,
    TL_OP_STOP = 3,
    TL_OP_READ = 4,
    TL_OP_WRITE = 5,
    TL_OP_FORCE = 6,
    TL_OP_UNFORCE = 7,
    TL_OP_UNFORCE_ALL = 8,
    TL_OP_FORCES = 9,
    TL_OP_TRACE_ARM = 10,
    TL_OP_TRACE_STOP = 11,
    TL_OP_TRACE_FETCH = 12,
    TL_OP_CHANGE = 13,
};

enum tl_answer {
    TL_ANSWER_OK = 0,
    TL_ANSWER_MALFORMED = 1, /* not of this protocol; the connection ends */
    TL_ANSWER_REFUSED = 2,   /* not in this mode, or not with these arguments */
    TL_ANSWER_STALE = 3,     /* offsets of another program than the one that runs */
};

struct tl_client {
    int file; /* -1: none */
    unsigned char *bytes;
    size_t have;
    size_t room;
};

struct tl_control {
    struct tl_service *service;
    int listener;
    int signals; /* signalfd: a waiting send gives up when one comes */
    char path[108];
    struct tl_client clients[TL_MAX_CLIENTS];
};

/* Bind `path` with mode 0600, over what a dead process left there. */
bool tl_control_open(struct tl_control *control, const char *path, char why[TL_MAX_WHY]);

/* What to poll: fills up to TL_CONTROL_POLLS, returns how many. */
size_t tl_control_polls(const struct tl_control *control, struct pollfd polls[TL_CONTROL_POLLS]);

/* Serve what is ready. */
void tl_control_serve(struct tl_control *control, const struct pollfd *polls, size_t count);

void tl_control_close(struct tl_control *control);

#endif
