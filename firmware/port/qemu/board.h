/* What a program on the emulated board may ask for. */
#ifndef TIELINE_QEMU_BOARD_H
#define TIELINE_QEMU_BOARD_H

#include <stdint.h>

#define BOARD_INSTRUCTIONS_A_TICK 40u

void board_write(const char *text);
void board_write_number(uint32_t number);
_Noreturn void board_exit(int status);

/* Instructions since board_count_from_zero, to a tick; up to 671 million. */
void board_count_from_zero(void);
uint32_t board_instructions(void);

#endif
