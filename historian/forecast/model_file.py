"""A trained forecaster in a file that a site trusts only if one of its own keys signed it.

    offset  bytes
    0       16      "tieline-model 1\\n"
    16      4       length of the description, big-endian: n
    20      8       length of the content, big-endian: m
    28      64      Ed25519 signature of SHA-256(all other bytes of the file), for the purpose "model 1"
    92      n       description: JSON with sorted keys, to be read by people and tools
    92 + n  m       content: the forecaster, pickled

Unpickling runs what it is told to. So the signature is checked over every byte before the first one of the content
is looked at, with keys the caller trusts; the file names none that would be believed.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import orjson

from historian.signing import SigningKey, is_signed_digest

_MAGIC: Final = b"tieline-model 1\n"
_LENGTHS: Final = struct.Struct(">IQ")
_SIGNATURE_BYTES: Final = 64
_HEAD_BYTES: Final = len(_MAGIC) + _LENGTHS.size + _SIGNATURE_BYTES
_PURPOSE: Final = "model 1"
_MOST_DESCRIPTION_BYTES: Final = 4 << 20  # a manifest of 100,000 names
_MOST_CONTENT_BYTES: Final = 512 << 20
# Trees and pipelines of another release may load and give other numbers: scikit-learn promises nothing there.
_LIBRARIES: Final = ("numpy", "scikit-learn", "lightgbm")


class ModelFileError(ValueError):
    """A model file that is not taken; says which and why."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A verified file: what it says about itself, whose key signed it, and the forecaster, still pickled."""

    description: Mapping[str, Any]
    signer: bytes
    content: bytes

    def forecaster(self) -> Any:
        """Unpickled. Raises ModelFileError where it was made by other libraries, or with other inputs."""
        now = libraries()
        then = self.description.get("libraries", {})
        if other := [f"{name} {then[name]}" for name in then if then[name] != now.get(name)]:
            raise ModelFileError(
                f"the model was made with {', '.join(other)}: train it anew with what is here"
            )
        made = pickle.loads(self.content)  # noqa: S301 - its bytes are signed by a key the caller trusts
        # Models tell inputs apart by their place: today's must be those it has learned from.
        has_other_inputs = getattr(made, "has_other_inputs", None)
        if has_other_inputs is not None and has_other_inputs():
            raise ModelFileError("the model was made by a release with other inputs: train it anew")
        return made


def libraries() -> dict[str, str]:
    """The releases a model's numbers hang on, as far as they are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write(file: Path, forecaster: Any, description: Mapping[str, Any], key: SigningKey) -> None:
    """Into ``file``, whole or not at all: a reader never sees a part, and what was there stays until then."""
    told = {**description, "libraries": libraries()}
    head = orjson.dumps(told, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    content = pickle.dumps(forecaster, protocol=5)
    lengths = _LENGTHS.pack(len(head), len(content))
    signature = key.sign_digest(_PURPOSE, _digest(lengths, head, content))
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as opened:
        try:
            opened.writelines((_MAGIC, lengths, signature, head, content))
            opened.flush()
            os.fsync(opened.fileno())
            Path(opened.name).replace(file)
        except BaseException:
            Path(opened.name).unlink()
            raise


def read(file: Path, trusted: Sequence[bytes]) -> ModelFile:
    """The file, verified. ``trusted`` are public keys of 32 bytes. Raises ModelFileError, and OSError as open does.

    Nothing of it is unpickled here.
    """
    if not trusted:
        raise ModelFileError(f"{file}: no key is trusted, so no model can be: name the site's public key")
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES or not head.startswith(_MAGIC):
            raise ModelFileError(f"{file} is no model file")
        lengths = head[len(_MAGIC) : len(_MAGIC) + _LENGTHS.size]
        described, contained = _LENGTHS.unpack(lengths)
        if described > _MOST_DESCRIPTION_BYTES or contained > _MOST_CONTENT_BYTES:
            raise ModelFileError(
                f"{file} claims a description of {described} and a content of {contained} bytes"
            )
        rest = opened.read(described + contained + 1)
    if len(rest) != described + contained:
        raise ModelFileError(f"{file} is cut short or has bytes too many: copy it again")
    description, content = rest[:described], rest[described:]
    digest, signature = _digest(lengths, description, content), head[-_SIGNATURE_BYTES:]
    for key in trusted:
        if is_signed_digest(key, _PURPOSE, digest, signature):
            return ModelFile(orjson.loads(description), key, content)
    raise ModelFileError(
        f"{file} is signed by none of the {len(trusted)} trusted keys, or was changed: not loaded"
    )


def _digest(lengths: bytes, description: bytes, content: bytes) -> bytes:
    hashed = hashlib.sha256(_MAGIC + lengths)
    hashed.update(description)
    hashed.update(content)
    return hashed.digest()
