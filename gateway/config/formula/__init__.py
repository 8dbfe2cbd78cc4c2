"""The language of conditions and calculated tags: its tree, the reader that checks it, and what runs it."""
