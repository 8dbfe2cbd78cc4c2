"""IEC 61131-3 Structured Text: from source text to a checked, typed program."""
