"""A SunSpec device on a serial line by pymodbus' framer and PDUs: `rtu_server.py FD IMAGE`.

FD is our end of a pseudo-terminal, IMAGE the registers from 40000 as hexadecimal digits. Prints a
line once it listens.
"""

import os
import sys

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.exceptionresponse import ExceptionResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

BASE = 40_000
end, image = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
registers = [int.from_bytes(image[i : i + 2], "big") for i in range(0, len(image), 2)]
framer = FramerRTU(DecodePDU(True))
heard = b""
print("ready", flush=True)
while True:
    heard += os.read(end, 256)
    while len(heard) >= 8:  # a read of holding registers is eight bytes long
        frame, heard = heard[:8], heard[8:]
        first = int.from_bytes(frame[2:4], "big") - BASE
        count = int.from_bytes(frame[4:6], "big")
        if frame[1] == 3 and first >= 0 and first + count <= len(registers):
            pdu = ReadHoldingRegistersResponse(dev_id=1, registers=registers[first : first + count])
        else:
            pdu = ExceptionResponse(frame[1], 2, device_id=1)
        os.write(end, framer.encode(bytes([pdu.function_code]) + pdu.encode(), frame[0], 0))
