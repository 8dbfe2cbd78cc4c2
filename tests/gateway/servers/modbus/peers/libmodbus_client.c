/* A client by libmodbus that takes the port: one line a request, with what was read or what went wrong. Of writes
   that were taken nothing follows. */

#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void told(const char *what, int count, const uint16_t *words)
{
    printf("%s:", what);
    if (count < 0)
        printf(" %s", modbus_strerror(errno));
    for (int i = 0; i < count; i++)
        printf(" %04x", words[i]);
    printf("\n");
}

static void bits(const char *what, int count, const uint8_t *bits)
{
    uint16_t words[16] = {0};
    for (int i = 0; i < count; i++)
        words[i] = bits[i];
    told(what, count, words);
}

int main(int argc, char **argv)
{
    modbus_t *link = modbus_new_tcp("127.0.0.1", argc > 1 ? atoi(argv[1]) : 502);
    uint16_t words[125] = {0};
    uint8_t coils[2000] = {0};

    if (link == NULL || modbus_connect(link) != 0) {
        printf("no connection: %s\n", modbus_strerror(errno));
        return 1;
    }
    modbus_set_response_timeout(link, 5, 0);
    modbus_set_slave(link, 1);
    told("input", modbus_read_input_registers(link, 0, 9, words), words);
    bits("discrete", modbus_read_input_bits(link, 0, 2, coils), coils);
    bits("coils", modbus_read_bits(link, 0, 3, coils), coils);
    told("gap", modbus_read_input_registers(link, 9, 2, words), words);
    told("write coil", modbus_write_bit(link, 0, 1) - 1, words);
    coils[0] = 0, coils[1] = 1;
    told("write coils", modbus_write_bits(link, 0, 2, coils) - 2, words);
    modbus_set_slave(link, 2);
    words[0] = 0x0000, words[1] = 0xC0E8; /* -7.25 in little word order */
    words[2] = 0, words[3] = 77;
    told("write registers", modbus_write_registers(link, 100, 4, words) - 4, words);
    told("write register", modbus_write_register(link, 104, 3) - 1, words);
    told("mask write", modbus_mask_write_register(link, 109, 0xFDFF, 0x0000) - 1, words);
    told("half", modbus_write_register(link, 100, 1), words);
    told("too much", modbus_write_register(link, 104, 2), words);
    words[0] = 1;
    told("write and read", modbus_write_and_read_registers(link, 104, 1, words, 100, 5, words), words);
    modbus_set_slave(link, 9);
    told("no unit", modbus_read_registers(link, 0, 1, words), words);
    modbus_close(link);
    modbus_free(link);
    return 0;
}
