"""The logic engine: IEC 61131-3 Structured Text compiled to C and run by the scan loop."""
