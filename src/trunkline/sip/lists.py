"""Comma lists: RFC 3261 section 7.3.1."""

from __future__ import annotations

import re

__all__ = ["split_list"]


def split_list(value: str) -> list[str]:
    """Split a comma list, minding quotes and angle brackets (section 7.3.1); no empty elements."""
    if '"' not in value and "<" not in value:
        return [part for text in value.split(",") if (part := text.strip(" \t\r\n"))]
    parts: list[str] = []
    begin = 0
    for found in _LIST.finditer(value):
        if found[0] == ",":
            parts.append(value[begin : found.start()].strip(" \t\r\n"))
            begin = found.end()
    parts.append(value[begin:].strip(" \t\r\n"))
    return [part for part in parts if part]


# A quoted string (section 25.1), what stands in angle brackets, or the comma between elements. An
# opening without its end reaches to the end of the value: each octet is looked at once.
_LIST = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|<[^>]*(?:>|\Z)|,', re.DOTALL)
