"""Texts that nobody can guess: for branches, tags and Call-IDs (RFC 3261 8.1.1.7, 19.3)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

__all__ = ["token_source"]

_POOL = 4096  # octets asked of the system at a time: asking costs more than the octets
_BYTES = 8  # 64 bits; section 19.3 asks for 32 at least


def token_source(prefix: str = "") -> Callable[[], str]:
    """Return a function that gives a new text at each call, beginning with ``prefix``."""
    numbers = itertools.count(1)
    pool, at = "", 0

    def token() -> str:
        nonlocal pool, at
        if at >= len(pool):
            pool, at = os.urandom(_POOL).hex(), 0
        text = pool[at : at + 2 * _BYTES]
        at += 2 * _BYTES
        return f"{prefix}{next(numbers):x}.{text}"

    return token
