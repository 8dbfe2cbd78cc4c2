/* A Modbus TCP device by libmodbus: coils i % 3 == 0, discrete inputs i % 2, input registers 1000 + i, and the
 * holding registers given as hexadecimal words. Prints its port; serves one client after the other. */
#include <arpa/inet.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BITS = 16, INPUTS = 10 };

int main(int count, char **words)
{
    modbus_t *device = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *tables = modbus_mapping_new(BITS, BITS, count - 1, INPUTS);
    if (!device || !tables) return 1;
    for (int i = 0; i < BITS; i++) {
        tables->tab_bits[i] = i % 3 == 0;
        tables->tab_input_bits[i] = i % 2;
    }
    for (int i = 0; i < INPUTS; i++) tables->tab_input_registers[i] = (uint16_t)(1000 + i);
    for (int i = 1; i < count; i++) tables->tab_registers[i - 1] = (uint16_t)strtoul(words[i], NULL, 16);

    int listener = modbus_tcp_listen(device, 1);
    struct sockaddr_in place;
    socklen_t size = sizeof place;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&place, &size)) return 1;
    printf("%d\n", ntohs(place.sin_port));
    fflush(stdout);
    for (;;) {
        uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
        int got;
        if (modbus_tcp_accept(device, &listener) < 0) return 1;
        while ((got = modbus_receive(device, request)) >= 0)
            if (got > 0 && modbus_reply(device, request, got, tables) < 0) break;
        modbus_close(device);
    }
}
