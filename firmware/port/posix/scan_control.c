/* See scan_control.h. All targets are little-endian, as the protocol is. */
#define _GNU_SOURCE
#include "scan_control.h"

#include "value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* What is left of a request. A read past the end gives zeros and is remembered. */
struct reader {
    const unsigned char *at;
    size_t left;
    bool is_short;
};

static const unsigned char *take(struct reader *from, size_t bytes)
{
    if (bytes > from->left) {
        from->is_short = true;
        from->left = 0;
        return NULL;
    }
    const unsigned char *at = from->at;
    from->at += bytes;
    from->left -= bytes;
    return at;
}

static uint32_t take_u32(struct reader *from)
{
    uint32_t value = 0;
    const unsigned char *at = take(from, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return value;
}

static uint64_t take_u64(struct reader *from)
{
    uint64_t value = 0;
    const unsigned char *at = take(from, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return value;
}

/* A text with its length before it, as a string; empty where it is too long. */
static void take_text(struct reader *from, char *to, size_t room)
{
    uint16_t bytes = 0;
    const unsigned char *length = take(from, sizeof bytes);
    if (length != NULL) {
        memcpy(&bytes, length, sizeof bytes);
    }
    const unsigned char *text = take(from, bytes);
    to[0] = 0;
    if (text != NULL && bytes < room) {
        memcpy(to, text, bytes);
        to[bytes] = 0;
    }
}

/* An answer that grows. */
struct writer {
    unsigned char *bytes;
    size_t count;
    size_t room;
    bool is_short;
};

static unsigned char *put_room(struct writer *to, size_t bytes)
{
    if (to->count + bytes > to->room) {
        const size_t room = 2u * (to->count + bytes) + 512u;
        unsigned char *grown = realloc(to->bytes, room);
        if (grown == NULL) {
            to->is_short = true;
            return NULL;
        }
        to->bytes = grown;
        to->room = room;
    }
    unsigned char *at = to->bytes + to->count;
    to->count += bytes;
    return at;
}

static void put(struct writer *to, const void *from, size_t bytes)
{
    unsigned char *at = put_room(to, bytes);
    if (at != NULL && bytes != 0) {
        memcpy(at, from, bytes);
    }
}

static void put_u8(struct writer *to, unsigned value)
{
    const uint8_t byte = (uint8_t)value;
    put(to, &byte, sizeof byte);
}

static void put_u32(struct writer *to, uint32_t value)
{
    put(to, &value, sizeof value);
}

static void put_u64(struct writer *to, uint64_t value)
{
    put(to, &value, sizeof value);
}

static void put_i64(struct writer *to, int64_t value)
{
    put(to, &value, sizeof value);
}

static void put_text(struct writer *to, const char *text)
{
    const size_t whole = strlen(text);
    const uint16_t bytes = whole < UINT16_MAX ? (uint16_t)whole : UINT16_MAX;
    put(to, &bytes, sizeof bytes);
    put(to, text, bytes);
}

/* A request under way. */
struct request {
    struct tl_service *service;
    struct reader in;
    struct writer out;
    char why[TL_MAX_WHY];
};

static enum tl_answer refuse(struct request *request, const char *why)
{
    (void)snprintf(request->why, sizeof request->why, "%s", why);
    return TL_ANSWER_REFUSED;
}

/* Whether the request's offsets are of the program that runs. */
static bool is_current(struct request *request)
{
    const uint32_t changes = take_u32(&request->in);
    tl_service_look(request->service);
    if (changes == request->service->status.changes) {
        return true;
    }
    (void)snprintf(request->why, sizeof request->why, "the program was changed: read its symbols anew");
    return false;
}

static void put_histogram(struct writer *out, const struct tl_histogram *histogram)
{
    put_i64(out, tl_histogram_quantile(histogram, 500000));
    put_i64(out, tl_histogram_quantile(histogram, 990000));
    put_i64(out, tl_histogram_quantile(histogram, 999000));
    put_i64(out, histogram->highest_ns);
}

static enum tl_answer on_status(struct request *request)
{
    struct tl_service *service = request->service;
    struct writer *out = &request->out;
    tl_service_look(service);
    const struct tl_status *status = &service->status;
    const struct tl_program *program = service->load->program;
    put_u32(out, status->changes);
    put_u8(out, status->mode);
    put_u8(out, service->is_realtime);
    put_u8(out, service->is_locked);
    put_u8(out, status->trace_mode);
    put_u32(out, status->force_count);
    put_u32(out, service->restored);
    put_u64(out, status->ticks);
    put_u64(out, service->saves);
    put_u64(out, service->failures);
    put_text(out, program->name);
    put_text(out, program->digest);
    put_text(out, service->load->path);
    put_u32(out, status->fault.code);
    put_u32(out, status->fault.line);
    put_i64(out, status->fault.wall_ns);
    put_i64(out, status->fault.now_ns);
    put_text(out, tl_fault_text(status->fault.code));
    put_text(out, status->fault.file);
    put_text(out, status->fault.task);
    put_u32(out, program->task_count);
    for (uint32_t i = 0; i < program->task_count; i++) {
        const struct tl_task_record *record = &status->records[i];
        put_text(out, program->tasks[i].name);
        put_i64(out, program->tasks[i].interval_ns);
        put_u32(out, program->tasks[i].priority);
        put_u64(out, record->count);
        put_u64(out, record->overruns);
        put_histogram(out, &record->jitter);
        put_histogram(out, &record->durations);
    }
    return TL_ANSWER_OK;
}

static enum tl_answer on_start(struct request *request)
{
    const unsigned char *how = take(&request->in, 1);
    if (how == NULL || *how > TL_EVENT_HOT) {
        return TL_ANSWER_MALFORMED;
    }
    const bool is_started = tl_service_start(request->service, (enum tl_event) * how, request->why);
    tl_service_publish(request->service);
    return is_started ? TL_ANSWER_OK : TL_ANSWER_REFUSED;
}

static enum tl_answer on_stop(struct request *request)
{
    const bool is_stopped = tl_service_stop(request->service, request->why);
    tl_service_publish(request->service);
    return is_stopped ? TL_ANSWER_OK : TL_ANSWER_REFUSED;
}

static bool is_inside(const struct request *request, uint32_t offset, uint32_t bytes)
{
    const uint32_t whole = request->service->load->program->state_bytes;
    return bytes <= whole && offset <= whole - bytes;
}

static enum tl_answer on_read(struct request *request)
{
    static struct tl_piece pieces[TL_MAX_PIECES]; /* of the one service thread */
    if (!is_current(request)) {
        return TL_ANSWER_STALE;
    }
    const uint32_t count = take_u32(&request->in);
    size_t bytes = 0;
    if (count > TL_MAX_PIECES || request->in.left != 8u * (size_t)count) {
        return TL_ANSWER_MALFORMED;
    }
    for (uint32_t i = 0; i < count; i++) {
        pieces[i].offset = take_u32(&request->in);
        pieces[i].bytes = take_u32(&request->in);
        if (!is_inside(request, pieces[i].offset, pieces[i].bytes)) {
            return refuse(request, "a variable outside the program's state");
        }
        bytes += pieces[i].bytes;
        if (bytes > TL_MAX_PIECE_BYTES) {
            return refuse(request, "more than 64 KiB in one read");
        }
    }
    unsigned char *at = put_room(&request->out, 16u + bytes);
    if (at == NULL) {
        return refuse(request, "no memory");
    }
    struct tl_mail mail = {.what = TL_MAIL_READ, .copy = {.pieces = pieces, .count = count, .bytes = at + 16}};
    tl_service_ask(request->service, &mail);
    memcpy(at, &mail.copy.ticks, 8);
    memcpy(at + 8, &mail.copy.now_ns, 8);
    return TL_ANSWER_OK;
}

static const char constant_why[] = "it is a constant: change the program";

static enum tl_answer on_write(struct request *request)
{
    static struct tl_piece pieces[TL_MAX_PIECES];
    static unsigned char bytes[TL_MAX_PIECE_BYTES];
    if (!is_current(request)) {
        return TL_ANSWER_STALE;
    }
    const uint32_t count = take_u32(&request->in);
    if (count > TL_MAX_PIECES) {
        return TL_ANSWER_MALFORMED;
    }
    size_t whole = 0;
    for (uint32_t i = 0; i < count; i++) {
        pieces[i].offset = take_u32(&request->in);
        pieces[i].bytes = take_u32(&request->in);
        const unsigned char *from = take(&request->in, pieces[i].bytes);
        if (from == NULL) {
            return TL_ANSWER_MALFORMED;
        }
        if (!is_inside(request, pieces[i].offset, pieces[i].bytes) || pieces[i].bytes > sizeof bytes - whole) {
            return refuse(request, "a variable outside the program's state, or more than 64 KiB in one write");
        }
        if (tl_is_constant(request->service->load->program, pieces[i].offset, pieces[i].bytes)) {
            return refuse(request, constant_why);
        }
        memcpy(bytes + whole, from, pieces[i].bytes);
        whole += pieces[i].bytes;
    }
    if (request->in.left != 0) {
        return TL_ANSWER_MALFORMED;
    }
    struct tl_mail mail = {.what = TL_MAIL_WRITE, .copy = {.pieces = pieces, .count = count, .bytes = bytes}};
    tl_service_ask(request->service, &mail);
    return TL_ANSWER_OK;
}

static enum tl_answer forced(struct request *request, const struct tl_mail *mail)
{
    static const char *const reasons[] = {
        [TL_FORCE_RANGE] = "not a variable of 1, 2, 4 or 8 bytes inside the program's state",
        [TL_FORCE_LAPS] = "it shares bytes with a variable that is forced already",
        [TL_FORCE_FULL] = "256 variables are forced already",
        [TL_FORCE_ABSENT] = "it is not forced",
    };
    return mail->is_done ? TL_ANSWER_OK : refuse(request, reasons[mail->force.result]);
}

static enum tl_answer on_force(struct request *request)
{
    if (!is_current(request)) {
        return TL_ANSWER_STALE;
    }
    struct tl_mail mail = {.what = TL_MAIL_FORCE};
    mail.force.offset = take_u32(&request->in);
    mail.force.bytes = take_u32(&request->in);
    const uint64_t value = take_u64(&request->in);
    memcpy(mail.force.value, &value, sizeof value);
    if (request->in.is_short) {
        return TL_ANSWER_MALFORMED;
    }
    if (is_inside(request, mail.force.offset, mail.force.bytes) &&
        tl_is_constant(request->service->load->program, mail.force.offset, mail.force.bytes)) {
        return refuse(request, constant_why);
    }
    tl_service_ask(request->service, &mail);
    return forced(request, &mail);
}

static enum tl_answer on_unforce(struct request *request)
{
    if (!is_current(request)) {
        return TL_ANSWER_STALE;
    }
    struct tl_mail mail = {.what = TL_MAIL_UNFORCE};
    mail.force.offset = take_u32(&request->in);
    if (request->in.is_short) {
        return TL_ANSWER_MALFORMED;
    }
    tl_service_ask(request->service, &mail);
    return forced(request, &mail);
}

static enum tl_answer on_unforce_all(struct request *request)
{
    struct tl_mail mail = {.what = TL_MAIL_UNFORCE_ALL};
    tl_service_ask(request->service, &mail);
    return TL_ANSWER_OK;
}

static enum tl_answer on_forces(struct request *request)
{
    tl_service_look(request->service);
    const struct tl_status *status = &request->service->status;
    put_u32(&request->out, status->changes);
    put_u32(&request->out, status->force_count);
    for (uint32_t i = 0; i < status->force_count; i++) {
        put_u32(&request->out, status->forces[i].offset);
        put_u32(&request->out, status->forces[i].bytes);
        put(&request->out, status->forces[i].value, TL_FORCE_BYTES);
    }
    return TL_ANSWER_OK;
}

static enum tl_answer on_trace_arm(struct request *request)
{
    if (!is_current(request)) {
        return TL_ANSWER_STALE;
    }
    struct tl_trace_plan plan = {0};
    plan.task = take_u32(&request->in);
    plan.before = take_u32(&request->in);
    plan.after = take_u32(&request->in);
    plan.trigger = take_u32(&request->in);
    const uint32_t edge = take_u32(&request->in);
    const uint64_t level = take_u64(&request->in);
    memcpy(&plan.level, &level, sizeof level);
    plan.variable_count = take_u32(&request->in);
    if (plan.variable_count > TL_TRACE_VARIABLES || edge > TL_EDGE_EITHER ||
        request->in.left != 8u * (size_t)plan.variable_count) {
        return TL_ANSWER_MALFORMED;
    }
    plan.edge = (enum tl_trace_edge)edge;
    for (uint32_t i = 0; i < plan.variable_count; i++) {
        plan.variables[i].offset = take_u32(&request->in);
        const uint32_t kind = take_u32(&request->in);
        plan.variables[i].kind = kind <= UINT8_MAX ? (uint8_t)kind : 0;
        plan.variables[i].bytes = (uint8_t)tl_kind_bytes(plan.variables[i].kind);
    }
    return tl_service_trace(request->service, &plan, request->why) ? TL_ANSWER_OK : TL_ANSWER_REFUSED;
}

static enum tl_answer on_trace_stop(struct request *request)
{
    struct tl_mail mail = {.what = TL_MAIL_TRACE_STOP};
    tl_service_ask(request->service, &mail);
    return TL_ANSWER_OK;
}

static enum tl_answer on_trace_fetch(struct request *request)
{
    tl_service_look(request->service);
    const enum tl_trace_mode mode = request->service->status.trace_mode;
    put_u32(&request->out, mode);
    if (mode != TL_TRACE_DONE && mode != TL_TRACE_LOST) {
        return TL_ANSWER_OK;
    }
    /* The loop touches a trace that is over no more, until it is armed again, which this thread would do. */
    const struct tl_trace *trace = &request->service->loop.engine.trace;
    const uint64_t places = (uint64_t)trace->plan.before + trace->plan.after;
    const size_t row_bytes = tl_trace_row_bytes(&trace->plan);
    uint64_t count;
    const uint64_t first = tl_trace_first(trace, &count);
    put_u32(&request->out, trace->plan.variable_count);
    put_u64(&request->out, trace->is_triggered ? trace->triggered - first : UINT64_MAX);
    put_u64(&request->out, count);
    for (uint64_t i = first; i < first + count; i++) {
        put(&request->out, trace->rows + (size_t)(i % places) * row_bytes, row_bytes);
    }
    return TL_ANSWER_OK;
}

static enum tl_answer on_change(struct request *request)
{
    char program[1024];
    char wiring[1024];
    if (!is_current(request)) {
        return TL_ANSWER_STALE;
    }
    take_text(&request->in, program, sizeof program);
    take_text(&request->in, wiring, sizeof wiring);
    const uint32_t count = take_u32(&request->in);
    if (request->in.is_short || request->in.left != sizeof(struct tl_move) * (size_t)count) {
        return TL_ANSWER_MALFORMED;
    }
    struct tl_move *moves = malloc(request->in.left + 1u);
    if (moves == NULL) {
        return refuse(request, "no memory");
    }
    memcpy(moves, request->in.at, request->in.left);
    struct tl_changed changed;
    const bool is_changed =
        tl_service_change(request->service, program, wiring, moves, count, &changed, request->why);
    free(moves);
    tl_service_publish(request->service);
    if (!is_changed) {
        return TL_ANSWER_REFUSED;
    }
    put_u32(&request->out, request->service->status.changes);
    put_u32(&request->out, changed.forces_dropped);
    put_i64(&request->out, changed.took_ns);
    return TL_ANSWER_OK;
}

static enum tl_answer (*const operations[])(struct request *) = {
    [TL_OP_STATUS] = on_status,
    [TL_OP_START] = on_start,
    [TL_OP_STOP] = on_stop,
    [TL_OP_READ] = on_read,
    [TL_OP_WRITE] = on_write,
    [TL_OP_FORCE] = on_force,
    [TL_OP_UNFORCE] = on_unforce,
    [TL_OP_UNFORCE_ALL] = on_unforce_all,
    [TL_OP_FORCES] = on_forces,
    [TL_OP_TRACE_ARM] = on_trace_arm,
    [TL_OP_TRACE_STOP] = on_trace_stop,
    [TL_OP_TRACE_FETCH] = on_trace_fetch,
    [TL_OP_CHANGE] = on_change,
};

/* Send all of it, as long as the client takes some each second and nobody ends the process. */
static bool send_all(const struct tl_control *control, int file, const unsigned char *bytes, size_t count)
{
    for (size_t sent = 0; sent < count;) {
        const ssize_t put_now = send(file, bytes + sent, count - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put_now > 0) {
            sent += (size_t)put_now;
            continue;
        }
        if (put_now < 0 && errno == EINTR) {
            continue;
        }
        struct pollfd polls[] = {{.fd = file, .events = POLLOUT}, {.fd = control->signals, .events = POLLIN}};
        if (errno != EAGAIN || poll(polls, 2, (int)(TL_SEND_NS / 1000000)) <= 0 || polls[1].revents != 0) {
            return false;
        }
    }
    return true;
}

static bool answer(const struct tl_control *control, int file, uint16_t operation, enum tl_answer result,
                   const void *body, size_t bytes)
{
    unsigned char head[TL_FRAME_HEAD];
    const uint32_t length = (uint32_t)bytes;
    const uint16_t code = (uint16_t)result;
    memcpy(head, &length, 4);
    memcpy(head + 4, &operation, 2);
    memcpy(head + 6, &code, 2);
    return send_all(control, file, head, sizeof head) && send_all(control, file, body, bytes);
}

/* Serve one whole request; false: the connection ends. */
static bool serve_request(struct tl_control *control, int file, uint16_t operation, const unsigned char *body,
                          size_t bytes)
{
    struct request request = {.service = control->service, .in = {.at = body, .left = bytes}};
    enum tl_answer result = TL_ANSWER_MALFORMED;
    if (operation < sizeof operations / sizeof *operations && operations[operation] != NULL) {
        result = operations[operation](&request);
    }
    if (result == TL_ANSWER_OK && request.out.is_short) {
        result = refuse(&request, "no memory");
    }
    if (result == TL_ANSWER_MALFORMED) {
        (void)snprintf(request.why, sizeof request.why, "not a request of this protocol");
    }
    const bool is_sent =
        result == TL_ANSWER_OK
            ? answer(control, file, operation, result, request.out.bytes, request.out.count)
            : answer(control, file, operation, result, request.why, strnlen(request.why, sizeof request.why));
    free(request.out.bytes);
    return is_sent && result != TL_ANSWER_MALFORMED;
}

/* Serve what has come whole; false: the connection ends. */
static bool serve_bytes(struct tl_control *control, struct tl_client *client)
{
    size_t at = 0;
    bool is_open = true;
    while (is_open && client->have - at >= TL_FRAME_HEAD) {
        uint32_t length;
        uint16_t operation;
        uint16_t reserved;
        memcpy(&length, client->bytes + at, 4);
        memcpy(&operation, client->bytes + at + 4, 2);
        memcpy(&reserved, client->bytes + at + 6, 2);
        if (length > TL_MAX_REQUEST || reserved != 0) {
            return false;
        }
        if (client->have - at < TL_FRAME_HEAD + (size_t)length) {
            break;
        }
        is_open = serve_request(control, client->file, operation, client->bytes + at + TL_FRAME_HEAD, length);
        at += TL_FRAME_HEAD + (size_t)length;
    }
    memmove(client->bytes, client->bytes + at, client->have - at);
    client->have -= at;
    return is_open;
}

static void drop(struct tl_client *client)
{
    if (client->file >= 0) {
        (void)close(client->file);
    }
    free(client->bytes);
    *client = (struct tl_client){.file = -1};
}

static bool receive(struct tl_control *control, struct tl_client *client)
{
    if (client->room - client->have < 4096u) {
        const size_t room = 2u * client->room + 8192u;
        unsigned char *grown = realloc(client->bytes, room); /* at most twice TL_MAX_REQUEST: longer frames end it */
        if (grown == NULL) {
            return false;
        }
        client->bytes = grown;
        client->room = room;
    }
    const ssize_t got = recv(client->file, client->bytes + client->have, client->room - client->have, MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    client->have += (size_t)got;
    return got != 0 && serve_bytes(control, client);
}

static void let_in(struct tl_control *control)
{
    const int file = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
    if (file < 0) {
        return;
    }
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    const bool is_ours =
        getsockopt(file, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && (peer.uid == geteuid() || peer.uid == 0);
    for (size_t i = 0; i < TL_MAX_CLIENTS && is_ours; i++) {
        if (control->clients[i].file < 0) {
            control->clients[i].file = file;
            return;
        }
    }
    (void)close(file);
}

bool tl_control_open(struct tl_control *control, const char *path, char why[TL_MAX_WHY])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    for (size_t i = 0; i < TL_MAX_CLIENTS; i++) {
        control->clients[i] = (struct tl_client){.file = -1};
    }
    control->path[0] = 0;
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (strlen(path) >= sizeof address.sun_path || control->listener < 0) {
        (void)snprintf(why, TL_MAX_WHY, "%s: %s", path,
                       control->listener < 0 ? strerror(errno)
                                             : "longer than the 107 bytes a socket's path may have");
        return false;
    }
    memcpy(address.sun_path, path, strlen(path) + 1u);
    /* The claim on the owner says that no other scan of this region lives: what is there is a dead one's. */
    struct stat about;
    if (lstat(path, &about) == 0 && S_ISSOCK(about.st_mode)) {
        (void)unlink(path);
    }
    const mode_t mask = umask(0177);
    const bool is_bound = bind(control->listener, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)umask(mask);
    if (!is_bound || listen(control->listener, TL_MAX_CLIENTS) != 0) {
        (void)snprintf(why, TL_MAX_WHY, "%s: %s", path, strerror(errno));
        return false;
    }
    memcpy(control->path, path, strlen(path) + 1u);
    return true;
}

size_t tl_control_polls(const struct tl_control *control, struct pollfd polls[TL_CONTROL_POLLS])
{
    size_t count = 0;
    polls[count++] = (struct pollfd){.fd = control->listener, .events = POLLIN};
    for (size_t i = 0; i < TL_MAX_CLIENTS; i++) {
        if (control->clients[i].file >= 0) {
            polls[count++] = (struct pollfd){.fd = control->clients[i].file, .events = POLLIN};
        }
    }
    return count;
}

static struct tl_client *client_of(struct tl_control *control, int file)
{
    for (size_t i = 0; i < TL_MAX_CLIENTS; i++) {
        if (control->clients[i].file == file) {
            return &control->clients[i];
        }
    }
    return NULL;
}

void tl_control_serve(struct tl_control *control, const struct pollfd *polls, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct tl_client *client = polls[i].revents != 0 ? client_of(control, polls[i].fd) : NULL;
        if (client != NULL && !receive(control, client)) {
            drop(client);
        }
    }
    if (polls[0].revents != 0) {
        let_in(control);
    }
}

void tl_control_close(struct tl_control *control)
{
    for (size_t i = 0; i < TL_MAX_CLIENTS; i++) {
        drop(&control->clients[i]);
    }
    if (control->listener >= 0) {
        (void)close(control->listener);
    }
    if (control->path[0] != 0) {
        (void)unlink(control->path);
    }
}
