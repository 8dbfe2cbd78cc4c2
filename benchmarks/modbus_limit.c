/* What Modbus TCP costs in C: a cheap server for the benchmark's clients, and a libmodbus client as the limit.
 *
 *   modbus_limit server                       prints its port; serves holding registers until stdin closes
 *   modbus_limit client PORT DEVICES SECONDS  prints: requests CPU_seconds wall_seconds
 *
 * Build: cc -O2 -o modbus_limit modbus_limit.c $(pkg-config --cflags --libs libmodbus)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REGISTERS = 60, MAX_DEVICES = 256, EVENTS = 64, REQUEST_BYTES = 12, MAX_READ = 125 };

static int serve(void)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    if (listener < 0 || bind(listener, (struct sockaddr *)&place, size) || listen(listener, MAX_DEVICES) ||
        getsockname(listener, (struct sockaddr *)&place, &size)) {
        perror("listen");
        return 1;
    }
    int poller = epoll_create1(0);
    struct epoll_event watch = {.events = EPOLLIN, .data.fd = listener};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &watch)) return 1;
    watch.data.fd = STDIN_FILENO;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &watch)) return 1;
    printf("%d\n", ntohs(place.sin_port));
    fflush(stdout);

    uint8_t answer[9 + 2 * MAX_READ] = {0};
    uint8_t turn = 0;
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO) return 0;
            if (fd == listener) {
                int one = 1;
                watch.data.fd = accept(listener, NULL, NULL);
                if (watch.data.fd < 0) continue;
                setsockopt(watch.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(poller, EPOLL_CTL_ADD, watch.data.fd, &watch);
                continue;
            }
            uint8_t request[REQUEST_BYTES];
            ssize_t got = recv(fd, request, sizeof request, 0);
            if (got != REQUEST_BYTES) { /* a client of this benchmark sends whole requests, one at a time */
                close(fd);
                continue;
            }
            unsigned registers = (unsigned)request[10] << 8 | request[11];
            if (registers == 0 || registers > MAX_READ) {
                close(fd);
                continue;
            }
            memcpy(answer, request, 4);
            answer[4] = (uint8_t)((3 + 2 * registers) >> 8);
            answer[5] = (uint8_t)(3 + 2 * registers);
            answer[6] = request[6];
            answer[7] = request[7];
            answer[8] = (uint8_t)(2 * registers);
            turn++;
            for (unsigned j = 0; j < registers; j++) { /* 0x41.., which is a good float as well as a good int */
                answer[9 + 2 * j] = 0x41;
                answer[10 + 2 * j] = (uint8_t)(turn + j);
            }
            if (send(fd, answer, 9 + 2 * registers, MSG_NOSIGNAL) < 0) close(fd);
        }
    }
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int ask(int port, int devices, double duration_s)
{
    modbus_t *connections[MAX_DEVICES];
    for (int i = 0; i < devices; i++) {
        connections[i] = modbus_new_tcp("127.0.0.1", port);
        if (!connections[i] || modbus_set_slave(connections[i], 1) || modbus_connect(connections[i])) {
            fprintf(stderr, "%s\n", modbus_strerror(errno));
            return 1;
        }
    }
    uint16_t registers[REGISTERS];
    long requests = 0;
    double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), end;
    do {
        for (int i = 0; i < devices; i++, requests++)
            if (modbus_read_registers(connections[i], 0, REGISTERS, registers) != REGISTERS) return 1;
        end = seconds(CLOCK_MONOTONIC);
    } while (end - start < duration_s);
    printf("%ld %f %f\n", requests, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, end - start);
    for (int i = 0; i < devices; i++) {
        modbus_close(connections[i]);
        modbus_free(connections[i]);
    }
    return 0;
}

int main(int count, char **words)
{
    if (count == 2 && !strcmp(words[1], "server")) return serve();
    if (count == 5 && !strcmp(words[1], "client")) {
        int devices = atoi(words[3]);
        if (devices > 0 && devices <= MAX_DEVICES) return ask(atoi(words[2]), devices, atof(words[4]));
    }
    fprintf(stderr, "usage: modbus_limit server | client PORT DEVICES SECONDS\n");
    return 2;
}
