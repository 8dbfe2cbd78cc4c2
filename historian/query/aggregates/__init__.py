"""The aggregates of OPC 10000-13 v1.05 over samples in memory: pure, and vectorised over intervals."""
