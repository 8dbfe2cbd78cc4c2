"""The link to other sites: their door here, and our connection to theirs (docs/federation.md)."""
