"""A Modbus/TCP Security device by pymodbus, which asks for a certificate. Prints its port.

Arguments: certificate, key, authorities, then holding registers as hexadecimal words.
"""

import asyncio
import ssl
import sys

from pymodbus.server import ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice


async def main() -> None:
    certificate, key, authorities, *words = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authorities)
    context.verify_mode = ssl.CERT_REQUIRED
    values = [int(word, 16) for word in words]
    device = SimDevice(id=1, simdata=[SimData(0, values=values, datatype=DataType.REGISTERS)])
    server = ModbusTlsServer(device, address=("127.0.0.1", 0), sslctx=context)
    await server.serve_forever(background=True)
    print(server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
