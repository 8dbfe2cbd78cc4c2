/* tieline-scan: runs one compiled program over a region's image until it is told to end (docs/scan.md).
 *
 * Three threads: the loop (scan_loop.c, real-time), its watchdog, and this one, which serves the control socket,
 * saves what is retained, publishes the system tags, and ends the process when asked or when the region's creator is
 * gone.
 */
#define _GNU_SOURCE
#include "scan_control.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOOK_NS INT64_C(200000000) /* how soon the death of the region's creator is noticed */
#define DEFAULT_PRIORITY 80        /* above the kernel's threaded interrupts at 50, below its own at 99 */
#define DEFAULT_WATCHDOG_MS 100
#define EXIT_USAGE 64
#define EXIT_REFUSED 1

struct options {
    const char *region;
    const char *owner;
    const char *program;
    const char *wiring;
    const char *control;
    const char *retain;
    const char *start;
    int64_t priority; /* 0: none */
    int64_t watchdog_ms;
    int64_t retain_ms;
};

static const char usage[] =
    "tieline-scan --region NAME --program FILE.so --wiring FILE --control SOCKET --retain FILE\n"
    "  [--owner scan] [--start warm|cold|stopped] [--priority 0..98] [--watchdog-ms 1..10000] [--retain-ms "
    "10..3600000]\n";

static bool read_number(const char *text, int64_t low, int64_t high, int64_t *value)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    *value = number;
    return errno == 0 && end != text && *end == 0 && number >= low && number <= high;
}

static bool read_options(int count, char **words, struct options *options)
{
    static const struct option names[] = {
        {"region", required_argument, NULL, 'r'},
        {"owner", required_argument, NULL, 'o'},
        {"program", required_argument, NULL, 'p'},
        {"wiring", required_argument, NULL, 'w'},
        {"control", required_argument, NULL, 'c'},
        {"retain", required_argument, NULL, 'k'},
        {"start", required_argument, NULL, 's'},
        {"priority", required_argument, NULL, 'f'},
        {"watchdog-ms", required_argument, NULL, 'd'},
        {"retain-ms", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){.owner = "scan",
                                .start = "warm",
                                .priority = DEFAULT_PRIORITY,
                                .watchdog_ms = DEFAULT_WATCHDOG_MS,
                                .retain_ms = TL_DEFAULT_RETAIN_NS / 1000000};
    bool is_right = true;
    for (int name; is_right && (name = getopt_long(count, words, "", names, NULL)) != -1;) {
        switch (name) {
        case 'r':
            options->region = optarg;
            break;
        case 'o':
            options->owner = optarg;
            break;
        case 'p':
            options->program = optarg;
            break;
        case 'w':
            options->wiring = optarg;
            break;
        case 'c':
            options->control = optarg;
            break;
        case 'k':
            options->retain = optarg;
            break;
        case 's':
            options->start = optarg;
            break;
        case 'f':
            is_right = read_number(optarg, 0, 98, &options->priority);
            break;
        case 'd':
            is_right = read_number(optarg, 1, 10000, &options->watchdog_ms);
            break;
        case 'm':
            is_right = read_number(optarg, 10, 3600000, &options->retain_ms);
            break;
        default:
            is_right = false;
        }
    }
    return is_right && optind == count && options->region != NULL && options->program != NULL &&
           options->wiring != NULL && options->control != NULL && options->retain != NULL &&
           (strcmp(options->start, "warm") == 0 || strcmp(options->start, "cold") == 0 ||
            strcmp(options->start, "stopped") == 0);
}

static bool open_region(struct tl_segment *segment, const struct options *options, uint32_t *owner,
                        char why[TL_MAX_WHY])
{
    static const char *const reasons[] = {
        [TL_SEGMENT_NAME] = "no name of a region",
        [TL_SEGMENT_IN_USE] = "in use",
        [TL_SEGMENT_ABSENT] = "there is no region of this name",
        [TL_SEGMENT_DEAD] = "its creator is gone",
        [TL_SEGMENT_FULL] = "no room",
        [TL_SEGMENT_FORMAT] = "made by another version",
        [TL_SEGMENT_CLAIMED] = "another scan runs on it",
    };
    enum tl_result image_result;
    int error;
    enum tl_segment_result result = tl_segment_attach(options->region, segment, &image_result, &error);
    if (result == TL_SEGMENT_OK) {
        const uint32_t count = segment->image.header->owner_count;
        *owner = 0;
        while (*owner < count && strncmp(segment->image.lanes[*owner].name, options->owner, TL_MAX_OWNER_NAME) != 0) {
            (*owner)++;
        }
        if (*owner == count) {
            (void)snprintf(why, TL_MAX_WHY, "region %s: no owner %s", options->region, options->owner);
            return false;
        }
        result = tl_segment_claim(segment, *owner, &error);
    }
    if (result != TL_SEGMENT_OK) {
        (void)snprintf(why, TL_MAX_WHY, "region %s: %s", options->region,
                       result == TL_SEGMENT_SYSTEM ? strerror(error) : reasons[result]);
        return false;
    }
    return true;
}

/* Whether somebody still holds the region's first byte (segment.h): asked of our own mapping, not of its name. */
static bool creator_lives(const struct tl_segment *segment)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return fcntl(segment->file, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* Real time as far as the system lets us, and a line for each step it refuses. */
static void lock_memory(struct tl_service *service)
{
    service->is_locked = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
    if (!service->is_locked) {
        (void)munlockall();
        (void)fprintf(stderr,
                      "tieline-scan: memory is not locked (%s): a scan may wait for the disk; give the process "
                      "CAP_IPC_LOCK or a larger RLIMIT_MEMLOCK\n",
                      strerror(errno));
    }
}

static void raise_priority(struct tl_service *service, int priority)
{
    if (priority == 0) {
        return;
    }
    const int refused = tl_loop_raise(&service->loop, priority);
    service->is_realtime = refused == 0;
    if (refused != 0) {
        (void)fprintf(stderr,
                      "tieline-scan: no real-time priority %d (%s): wake-ups may be late by milliseconds; give the "
                      "process CAP_SYS_NICE or RLIMIT_RTPRIO\n",
                      priority, strerror(refused));
    }
}

static int64_t earlier(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static void serve(struct tl_service *service, struct tl_control *control)
{
    int64_t publish_at = tl_monotonic_ns();
    int64_t save_at = publish_at;
    int64_t look_at = publish_at;
    for (;;) {
        const int64_t now = tl_monotonic_ns();
        if (look_at <= now) {
            look_at = now + LOOK_NS;
            if (!creator_lives(service->segment)) {
                (void)fprintf(stderr, "tieline-scan: the region's creator is gone\n");
                return;
            }
        }
        if (publish_at <= now) {
            publish_at = now + TL_PUBLISH_NS;
            tl_service_publish(service);
        }
        if (save_at <= now) {
            save_at = now + service->retain_ns;
            tl_service_save(service);
        }
        struct pollfd polls[TL_CONTROL_POLLS + 1u];
        const size_t count = tl_control_polls(control, polls);
        polls[count] = (struct pollfd){.fd = control->signals, .events = POLLIN};
        const int64_t left = earlier(earlier(publish_at, save_at), look_at) - now;
        if (poll(polls, (nfds_t)count + 1u, (int)(left / 1000000 + 1)) <= 0) {
            continue;
        }
        if (polls[count].revents != 0) {
            return;
        }
        tl_control_serve(control, polls, count);
    }
}

static int refuse(const char *why)
{
    (void)fprintf(stderr, "tieline-scan: %s\n", why);
    return EXIT_REFUSED;
}

static int run(const struct options *options)
{
    static struct tl_segment segment;
    static struct tl_service service; /* large: not for the stack */
    static struct tl_control control;
    char why[TL_MAX_WHY];
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL);
    control.signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (control.signals < 0 || prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM, 0UL, 0UL, 0UL) != 0) {
        return refuse(strerror(errno));
    }
    control.service = &service;
    service.segment = &segment;
    service.watchdog_ns = options->watchdog_ms * 1000000;
    service.retain_ns = options->retain_ms * 1000000;
    if (!open_region(&segment, options, &service.owner, why)) {
        return refuse(why);
    }
    if (!tl_service_open(&service, options->program, options->wiring, options->retain, why)) {
        return refuse(why);
    }
    if (!tl_control_open(&control, options->control, why)) {
        tl_service_close(&service);
        return refuse(why);
    }
    lock_memory(&service);
    raise_priority(&service, (int)options->priority); /* the work of starting is done: now nothing is held up by it */
    if (strcmp(options->start, "stopped") != 0 &&
        !tl_service_start(&service, strcmp(options->start, "cold") == 0 ? TL_EVENT_COLD : TL_EVENT_WARM, why)) {
        (void)fprintf(stderr, "tieline-scan: not started: %s\n", why);
    }
    serve(&service, &control);
    tl_service_close(&service); /* first of all the outputs */
    tl_control_close(&control);
    tl_segment_close(&segment);
    (void)close(control.signals);
    return EXIT_SUCCESS;
}

int main(int count, char **words)
{
    struct options options;
    if (!read_options(count, words, &options)) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return run(&options);
}
