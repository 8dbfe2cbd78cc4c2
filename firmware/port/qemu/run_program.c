/* Runs a compiled program for some scans and prints what is left in its state as one number; beside a program by hand
 * (-DBY_HAND), also the instructions of both. It builds for the host as well, where it counts nothing. */
#include "program.h"
#include <string.h>
#ifdef __arm__
#include "board.h"
#else
#include <stdio.h>
#include <stdlib.h>
static void board_write(const char *text)
{
    (void)fputs(text, stdout);
}
static void board_write_number(uint32_t number)
{
    (void)printf("%u", number);
}
static void board_count_from_zero(void)
{
}
static uint32_t board_instructions(void)
{
    return 0;
}
#endif

#ifndef STATE_BYTES
#define STATE_BYTES 262144
#endif
#ifndef SCANS
#define SCANS 100
#endif
#define PERIOD_NS 1000000
#define LOOP_BUDGET 1000000
#define NOT_A_NUMBER 0x7FC00000u

extern const struct tl_program tl_program_v1;
#ifdef BY_HAND
void hand_init(void);
void hand_scan(int64_t now);
#endif

static _Alignas(8) unsigned char state[STATE_BYTES];

/* FNV-1a over 32-bit words; every NaN counts as one, because processors make them with either sign. */
static uint32_t digest(void)
{
    uint32_t hash = 2166136261u;
    for (uint32_t at = 0; at + 4 <= tl_program_v1.state_bytes; at += 4) {
        uint32_t word;
        memcpy(&word, state + at, 4);
        if ((word & 0x7F800000u) == 0x7F800000u && (word & 0x7FFFFFu) != 0) {
            word = NOT_A_NUMBER;
        }
        hash = (hash ^ word) * 16777619u;
    }
    return hash;
}

static void say(const char *what, uint32_t number)
{
    board_write(what);
    board_write(" ");
    board_write_number(number);
    board_write("\n");
}

int main(void)
{
    struct tl_scan scan = {.is_first = true};
    if (tl_program_v1.state_bytes > STATE_BYTES || !tl_program_init(&tl_program_v1, &scan, state)) {
        say("no start", tl_program_v1.state_bytes);
        return 1;
    }
    board_count_from_zero();
    for (int turn = 0; turn < SCANS; turn++) {
        scan.now_ns = (int64_t)turn * PERIOD_NS;
        scan.loop_budget = LOOP_BUDGET;
        if (!tl_program_step(&tl_program_v1.tasks[0], &scan, state)) {
            say("fault", scan.fault);
            say("line", scan.fault_line);
            return 1;
        }
        scan.is_first = false;
        scan.count++;
    }
    say("program", board_instructions() / SCANS);
#ifdef BY_HAND
    hand_init();
    board_count_from_zero();
    for (int turn = 0; turn < SCANS; turn++) {
        hand_scan((int64_t)turn * PERIOD_NS);
    }
    say("hand", board_instructions() / SCANS);
#endif
    say("state", digest());
    return 0;
}
