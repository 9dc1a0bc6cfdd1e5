"""Text from the network, as it may be shown to people."""

from __future__ import annotations

import re

__all__ = ["log_text", "printable"]

_CONTINUED = re.compile(r"\n(?=\S)")


def printable(text: str) -> str:
    """``text`` from the network, with what would command the terminal written as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text)


def log_text(text: str) -> str:
    """``text`` for a log: printable, further lines indented, so that none looks like an entry."""
    return text if text.isprintable() else _CONTINUED.sub("\n    ", printable(text))


def _escaped(character: str) -> str:
    octets = character.encode("utf-8", "surrogateescape")
    return "".join(f"\\x{octet:02x}" for octet in octets)
