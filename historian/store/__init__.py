"""Writing: shared journal → durable journal segments → column blocks in day files (docs/formats/history.md)."""
