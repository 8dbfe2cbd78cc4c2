/* The least that a poll every 10 ms can do: libmodbus, one loop, the logic (out := in) in it.
 *
 * cc -O2 reaction.c $(pkg-config --cflags --libs libmodbus) ; reaction PORT SECONDS */
#include <modbus.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

int main(int count, char **arguments)
{
    if (count != 3) {
        return 2;
    }
    modbus_t *device = modbus_new_tcp("127.0.0.1", atoi(arguments[1]));
    if (device == NULL || modbus_connect(device) != 0) {
        return 1;
    }
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    uint16_t last = 0;
    for (long left = 100 * atol(arguments[2]); left > 0; left--) {
        uint16_t now;
        if (modbus_read_registers(device, 0, 1, &now) != 1) {
            return 1;
        }
        if (now != last && modbus_write_register(device, 1, now) == 1) {
            last = now;
        }
        next.tv_nsec += 10000000;
        if (next.tv_nsec >= 1000000000) {
            next.tv_nsec -= 1000000000;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    modbus_close(device);
    modbus_free(device);
    return 0;
}
