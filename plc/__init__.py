"""The logic engine: IEC 61131-3 Structured Text compiled to C and run by the scan loop."""

from plc.bench import CompileFault, RunTimeFault, load

__all__ = ["CompileFault", "RunTimeFault", "load"]
