"""The market's lines from strangers: how deep one nests breaks nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from historian.market_job.wire import WireError, decode_reply, decode_request

DEEP = (
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"submit":' * 50_000,
    b'{"submit":{"id":"1","bundle":' + b"[" * 100_000,
)


@pytest.mark.parametrize("decode", [decode_request, decode_reply])
@pytest.mark.parametrize("line", DEEP, ids=range(len(DEEP)))
def test_a_line_that_nests_deep_is_no_json_to_us(decode: Callable[[bytes], object], line: bytes) -> None:
    with pytest.raises(WireError, match=r"no JSON: depth limit exceeded"):
        decode(line)
