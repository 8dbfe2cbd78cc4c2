/* The start of a Cortex-M4F under `qemu-system-arm -M mps2-an386`: vectors, the FPU, output and the end by
 * semihosting.
 *
 * Nothing is copied: qemu loads every section where it runs, and gives memory as zeroes. The counter is SysTick on
 * the 25 MHz processor clock; with `-icount shift=0` an instruction takes 1 ns, so that a tick is 40 instructions.
 */
#include "board.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88u)    /* Armv7-M B3.2.20 */
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u) /* B3.3.3 */
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define CP10_CP11_FULL (0xFu << 20)
#define SYST_ENABLE_PROCESSOR_CLOCK 5u
#define SYST_MOST 0xFFFFFFu

#define SYS_WRITE0 4u         /* Semihosting for AArch32 and AArch64, 5.18 */
#define SYS_EXIT_EXTENDED 32u /* 5.9 */
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

extern uint32_t stack_top[]; /* memory.ld */
int main(void);

/* The call passes both as the semihosting interface wants them: r0 and r1. */
__attribute__((naked, noinline)) static void semihost(__attribute__((unused)) uint32_t operation,
                                                      __attribute__((unused)) const void *argument)
{
    __asm__ volatile("bkpt 0xAB\n bx lr");
}

void board_write(const char *text)
{
    semihost(SYS_WRITE0, text);
}

void board_write_number(uint32_t number)
{
    char digits[11];
    char *at = &digits[sizeof digits - 1];
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10u);
        number /= 10u;
    } while (number != 0);
    board_write(at);
}

_Noreturn void board_exit(int status)
{
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)status};
    semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

uint32_t board_instructions(void)
{
    return (SYST_MOST - SYST_CVR) * BOARD_INSTRUCTIONS_A_TICK;
}

void board_count_from_zero(void)
{
    SYST_RVR = SYST_MOST;
    SYST_CVR = 0;
    SYST_CSR = SYST_ENABLE_PROCESSOR_CLOCK;
}

_Noreturn void reset(void);

_Noreturn void reset(void)
{
    CPACR |= CP10_CP11_FULL;
    __asm__ volatile("dsb\n isb" ::: "memory");
    board_exit(main());
}

static _Noreturn void fault(void)
{
    board_write("trap\n");
    board_exit(1);
}

/* Armv7-M B1.5.3: the stack, reset, NMI, and the faults; nothing else is enabled. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {stack_top, {reset, fault, fault, fault, fault, fault}};
