"""What fields of facts are, beside numbers and choices: ``coding`` makes their bytes by these marks."""

from __future__ import annotations

from typing import Annotated

Name = Annotated[str, "name"]
Text = Annotated[str, "text"]
Bytes = Annotated[bytes, "bytes"]
ClientId = Annotated[bytes, 16]
Digest = Annotated[bytes, 32]
NO_DIGEST = bytes(32)
