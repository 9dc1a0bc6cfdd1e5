r"""Where one JSON value of a stream ends and the next begins (RFC 8259).

Go's codec writes one value behind the other, so the only end of a value is its last bracket. A
value here is an object or an array: of a number at the top, nobody could say whether it has ended.

The splitter looks at brackets and strings alone, every octet once however the stream is cut, and
leaves the rest to whoever decodes: ``{]`` is a value to it. Its states::

    between values ──"{" "["──▶ outside strings ──'"'──▶ inside a string ──"\"──▶ (next octet)
          ▲                        │   ▲                     │
          └────last bracket────────┘   └─────────'"'─────────┘

Octets that can begin no value, a value that is too long or too deep: that is the end of the stream
(``Splitter.error``); values that were whole before it still count.

Most reads bring one whole value without escapes. Those are known by their brackets alone, which
takes a quarter of the time: what is outside strings is every other piece between quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from trunkline.errors import DecodeError

__all__ = ["Limits", "Splitter"]

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING = re.compile(rb'["\\]')
_NO_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"{}[]")))
_LONGEST_SHAPE: Final = 128
_NOT_YET, _NEVER = 0, -1


@lru_cache(maxsize=256)
def _depth_of(brackets: bytes) -> int | None:
    """How deep brackets go that open and close one value; ``None``: they are no one value."""
    depth = deepest = 0
    for number, octet in enumerate(brackets, 1):
        depth += 1 if octet in b"{[" else -1
        deepest = max(deepest, depth)
        if depth <= 0 and number < len(brackets):
            return None
    return None if depth else deepest


@dataclass(frozen=True, slots=True)
class Limits:
    """What one value may be; a decoder's recursion and a process's memory end somewhere."""

    octets: int = 1 << 20
    depth: int = 64


class Splitter:
    """Cuts octets into JSON values; see the module."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits: Final = limits or Limits()
        self.error: DecodeError | None = None
        """Why the stream cannot go on: ``jsonrpc.syntax``, ``jsonrpc.size``, ``jsonrpc.depth``."""
        self._data = bytearray()
        """The value that has begun, as far as it came."""
        self._at = 0
        """How much of it has been looked at."""
        self._depth = 0
        self._in_string = False
        self._before = 0
        """Octets of the stream before ``_data``."""

    @property
    def pending(self) -> int:
        """Octets of a value that has begun and is not whole."""
        return len(self._data)

    def receive(self, data: bytes) -> list[bytes]:
        """Take what was read, and return the values that it completes, in order."""
        if self.error is not None:
            return []
        whole = self._data
        if not whole and self._is_one(data):
            self._before += len(data)
            return [data]
        whole += data
        values: list[bytes] = []
        start = 0
        while True:
            if not self._depth:
                found = _SPACE.match(whole, start)
                assert found is not None
                start = self._at = found.end()
                if start == len(whole):
                    break
                if whole[start] not in b"{[":
                    what = f"{chr(whole[start])!r} begins no object and no array"
                    self._refuse("jsonrpc.syntax", start, what)
                    break
            end = self._scan()
            if end == _NEVER:
                break
            if (end or len(whole)) - start > self.limits.octets:
                most = self.limits.octets
                self._refuse("jsonrpc.size", start, f"a value of more than {most} octets")
                break
            if not end:
                break
            values.append(bytes(whole[start:end]))
            start = end
        del whole[:start]
        self._at -= start
        self._before += start
        return values

    def _is_one(self, data: bytes) -> bool:
        """Whether ``data`` is one value of the usual sort and nothing else."""
        if len(data) > self.limits.octets or data[:1] not in (b"{", b"[") or b"\\" in data:
            return False
        pieces = data.split(b'"')
        last = pieces[-1].rstrip(b" \t\r\n")
        if not len(pieces) & 1 or last[-1:] not in (b"}", b"]"):
            return False
        brackets = b"".join(pieces[::2]).translate(None, _NO_BRACKETS)
        if len(brackets) > _LONGEST_SHAPE:
            return False
        depth = _depth_of(brackets)
        return depth is not None and depth <= self.limits.depth

    def _scan(self) -> int:
        """Look on from ``_at``; return the end of the value, ``_NOT_YET`` or ``_NEVER``."""
        data, at, depth = self._data, self._at, self._depth
        length = len(data)
        while True:
            if self._in_string:
                found = _STRING.search(data, at)
                if found is None:
                    at = length
                    break
                at = found.end()
                if data[at - 1] == 0x22:
                    self._in_string = False
                elif at < length:
                    at += 1
                    continue
                else:
                    at -= 1  # what is escaped is still to come
                    break
            found = _STRUCTURE.search(data, at)
            if found is None:
                at = length
                break
            at = found.end()
            octet = data[at - 1]
            if octet == 0x22:
                self._in_string = True
            elif octet in b"{[":
                depth += 1
                if depth > self.limits.depth:
                    most = self.limits.depth
                    self._refuse("jsonrpc.depth", at - 1, f"more than {most} brackets deep")
                    return _NEVER
            else:
                depth -= 1
                if not depth:
                    self._at, self._depth = at, 0
                    return at
        self._at, self._depth = at, depth
        return _NOT_YET

    def _refuse(self, code: str, at: int, what: str) -> None:
        offset = self._before + at
        self.error = DecodeError(code, f"octet {offset} of the stream: {what}", offset=offset)
