"""A client of the charging API, written from the reference's documents and from nothing of ours.

Its guide says how (docs/apicalls.rst of CGRateS)::

    s = socket.create_connection(("127.0.0.1", 2012))
    s.sendall(json.dumps({"id": 1, "method": "Responder.GetCost", "params": [cd]}))
    print(s.recv(4096))

and its tutorial posts the same text to http://HOST:2080/jsonrpc.
"""

from __future__ import annotations

import itertools
import json
import socket
import urllib.request
from collections.abc import Callable


class AnsweredError(Exception):
    """The ``error`` of an answer."""


class JSONClient:
    """Calls over TCP; answers are told apart by their ``id``."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, 10)
        self._numbers = itertools.count(1)
        self._data = ""
        self._answers: dict[int, dict[str, object]] = {}

    def close(self) -> None:
        self._socket.close()

    def send(self, method: str, argument: object) -> int:
        number = next(self._numbers)
        text = json.dumps({"id": number, "method": method, "params": [argument]})
        self._socket.sendall(text.encode())
        return number

    def answer(self, number: int) -> dict[str, object]:
        while number not in self._answers:
            try:
                value, end = json.JSONDecoder().raw_decode(self._data)
            except json.JSONDecodeError:
                data = self._socket.recv(4096)
                assert data, "closed"
                self._data += data.decode()
                continue
            self._data = self._data[end:].lstrip()
            self._answers[value["id"]] = value
        return self._answers.pop(number)

    def call(self, method: str, argument: object) -> object:
        return result_of(self.answer(self.send(method, argument)))


def http_call(url: str) -> Callable[[str, object], object]:
    """What calls by HTTP."""

    def call(method: str, argument: object) -> object:
        body = json.dumps({"method": method, "params": [argument], "id": 3}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
        assert answer["id"] == 3
        return result_of(answer)

    return call


def result_of(answer: dict[str, object]) -> object:
    assert set(answer) == {"id", "result", "error"}
    if answer["error"] is not None:
        assert answer["result"] is None
        raise AnsweredError(answer["error"])
    return answer["result"]
