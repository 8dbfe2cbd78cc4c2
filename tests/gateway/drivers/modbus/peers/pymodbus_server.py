"""A Modbus TCP device by pymodbus, with the same tables as libmodbus_server.c. Prints its port."""

import asyncio
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

BITS, INPUTS = 16, 10


async def main() -> None:
    holding = [int(word, 16) for word in sys.argv[1:]]
    device = SimDevice(
        id=1,
        simdata=(
            [SimData(0, values=[i % 3 == 0 for i in range(BITS)], datatype=DataType.BITS)],
            [SimData(0, values=[i % 2 == 1 for i in range(BITS)], datatype=DataType.BITS)],
            [SimData(0, values=holding, datatype=DataType.REGISTERS)],
            [SimData(0, values=[1000 + i for i in range(INPUTS)], datatype=DataType.REGISTERS)],
        ),
    )
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print(server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
