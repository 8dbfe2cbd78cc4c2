/* A Modbus RTU slave by libmodbus on the serial port given: 64 holding registers 100 + i, and 16 coils i % 3 == 0.
 * Answers as the unit given; prints a line once it listens. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>

enum { BITS = 16, REGISTERS = 64 };

int main(int count, char **words)
{
    if (count != 3) return 2;
    modbus_t *device = modbus_new_rtu(words[1], 19200, 'N', 8, 1);
    modbus_mapping_t *tables = modbus_mapping_new(BITS, 0, REGISTERS, 0);
    if (!device || !tables) return 1;
    for (int i = 0; i < BITS; i++) tables->tab_bits[i] = i % 3 == 0;
    for (int i = 0; i < REGISTERS; i++) tables->tab_registers[i] = (uint16_t)(100 + i);
    if (modbus_set_slave(device, atoi(words[2])) || modbus_connect(device)) return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        uint8_t request[MODBUS_RTU_MAX_ADU_LENGTH];
        int got = modbus_receive(device, request);
        if (got > 0) modbus_reply(device, request, got, tables);
        else if (got < 0 && errno == EIO) return 0;
    }
}
