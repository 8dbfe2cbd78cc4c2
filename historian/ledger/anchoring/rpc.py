"""Questions to a node of an EVM chain, by JSON-RPC over HTTP."""

from __future__ import annotations

import http.client
import ssl
from typing import Any
from urllib.parse import urlsplit

import orjson

from historian.ledger.anchoring.errors import ChainAway, ChainError, ChainRefused

TIMEOUT_S = 10.0
MOST_ANSWER_BYTES = 16 * 2**20  # a node that answers with more is broken; a trace of a call has kilobytes
PORTS = {"http": 80, "https": 443}


class Node:
    """One node. Each question is a connection of its own: they come minutes apart."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ChainError(f"{url} is no address of a node: http://HOST:PORT or https://HOST/PATH")
        self.url = url
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or PORTS[parts.scheme]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # An address may have a key of its provider in its path: what is told to others has the host only.
        self.name = f"{self._host}:{self._port}"
        self._timeout_s = timeout_s

    def ask(self, method: str, *parameters: Any) -> Any:
        """The answer; ``ChainAway`` where there is none, ``ChainRefused`` where it is an error."""
        question = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        connection = self._connection()
        try:
            connection.request("POST", self._path, question, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read(MOST_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise ChainAway(f"{self.name} does not answer: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if len(content) > MOST_ANSWER_BYTES:
            raise ChainAway(f"{self.name} answers with more than {MOST_ANSWER_BYTES} bytes")
        try:
            answer = orjson.loads(content)
            fault = answer.get("error")
        except (orjson.JSONDecodeError, AttributeError):
            raise ChainAway(f"{self.name} answers {response.status} and no JSON-RPC") from None
        if fault is not None:
            raise _refused(fault, method)
        if "result" not in answer:
            raise ChainAway(f"{self.name} answers {response.status} and no result")
        return answer["result"]

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)


def _refused(error: Any, method: str) -> ChainRefused:
    said = error if isinstance(error, dict) else {"message": str(error)}
    data = said.get("data")
    try:
        told = bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
    except ValueError:
        told = b""
    return ChainRefused(f"{method}: {str(said.get('message'))[:200]}", told)
