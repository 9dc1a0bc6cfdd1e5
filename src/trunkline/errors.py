"""The errors every room shares.

Each error carries a stable ``code`` (for example ``"m2pa.length"``): it is what counters are
keyed by and what ``docs/errors.md`` documents. The message says what was wrong, where, and what
to do next.
"""

from __future__ import annotations

__all__ = ["DecodeError", "TrunklineError"]


class TrunklineError(Exception):
    """Base of every error that Trunkline raises on purpose."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class DecodeError(TrunklineError):
    """Octets or text that a codec refuses: the one error a ``parse`` may raise.

    ``offset`` is the octet (or column, for text) at which the refusal was decided.
    """

    def __init__(self, code: str, message: str, *, offset: int = 0) -> None:
        super().__init__(code, message)
        self.offset = offset
