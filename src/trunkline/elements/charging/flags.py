"""The flags of ``ProcessEvent`` and its like: what is to be done with an event, and how.

``*rals:*authorize``, ``*routes:*maxcost:1``, ``*attributes:*ids:A&B``: the part of the engine, what
of it, and values of that, separated by ``&``. Several flags of one part add up.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Flags"]


class Flags:
    """What a list of flags asks for."""

    def __init__(self, flags: Iterable[str]) -> None:
        self._parts: dict[str, dict[str, tuple[str, ...]]] = {}
        for flag in flags:
            part, *rest = flag.split(":")
            kept = self._parts.setdefault(part, {})
            if rest:
                values = rest[1].split("&") if len(rest) > 1 else ()
                kept[rest[0]] = (*kept.get(rest[0], ()), *(each for each in values if each))

    def __contains__(self, part: str) -> bool:
        return part in self._parts and "false" not in self._parts[part]

    def has(self, part: str, *names: str) -> bool:
        """Whether one of these is asked of a part."""
        return any(name in self._parts.get(part, ()) for name in names)

    def values(self, part: str, name: str) -> tuple[str, ...]:
        """The values of one of them."""
        return self._parts.get(part, {}).get(name, ())
