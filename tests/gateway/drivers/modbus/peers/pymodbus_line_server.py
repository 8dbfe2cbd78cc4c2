"""Units 1 to 3 by pymodbus on one line: `rtu PATH`, `ascii PATH`, or `rtu-over-tcp`. Prints a line once it listens.

Unit u has 64 holding registers 100 * u + i, and 16 coils i % 3 == 0.
"""

import asyncio
import sys

from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def unit(number: int) -> SimDevice:
    off = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    return SimDevice(
        id=number,
        simdata=(
            [SimData(0, values=[i % 3 == 0 for i in range(16)], datatype=DataType.BITS)],
            off,
            [SimData(0, values=[100 * number + i for i in range(64)], datatype=DataType.REGISTERS)],
            [SimData(0, values=[0], datatype=DataType.REGISTERS)],
        ),
    )


async def main() -> None:
    kind, *rest = sys.argv[1:]
    units = [unit(number) for number in (1, 2, 3)]
    if kind == "rtu-over-tcp":
        server = ModbusTcpServer(units, framer=FramerType.RTU, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        print(server.transport.sockets[0].getsockname()[1], flush=True)
    else:
        framer = FramerType.RTU if kind == "rtu" else FramerType.ASCII
        line = ModbusSerialServer(
            units, framer=framer, port=rest[0], baudrate=19200, parity="N", stopbits=1, bytesize=8
        )
        await line.serve_forever(background=True)
        print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
