"""From the typed program to readable C, its table of symbols, and a shared object that the scan or the bench runs."""
