"""Coverage of Structured Text: what ran, as text, HTML, LCOV and JSON."""
