"""Parameters of URIs and header fields: an ordered mapping that keeps what it was given.

RFC 3261 section 7.3.1 and 19.1.1: names are case-insensitive, the order of no importance, a name
may stand once. Of a name that stands twice, the first counts and both are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Params"]


class Params(Mapping[str, str | None]):
    """Parameter names to values; None is a name without a value, as in ``;lr``.

    Names are found in any case and iterated in lower case; ``pairs`` has them as written.
    Immutable.
    """

    __slots__ = ("_found", "pairs")

    pairs: tuple[tuple[str, str | None], ...]
    """Every parameter as written, doubled ones included."""

    def __init__(self, pairs: Iterable[tuple[str, str | None]] = ()) -> None:
        self.pairs = tuple(pairs)
        found: dict[str, str | None] = {}
        for name, value in self.pairs:
            found.setdefault(name.lower(), value)
        self._found = found

    def __getitem__(self, name: str) -> str | None:
        return self._found[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"Params({list(self.pairs)!r})"

    def updated(self, values: Mapping[str, str | None]) -> Params:
        """These with ``values``: in place where the name is there, at the end where it is new."""
        new = {name.lower(): (name, value) for name, value in values.items()}
        pairs: list[tuple[str, str | None]] = []
        seen: set[str] = set()
        for name, value in self.pairs:
            key = name.lower()
            if key not in new:
                pairs.append((name, value))
            elif key not in seen:
                seen.add(key)
                pairs.append((name, new[key][1]))
        pairs.extend(pair for key, pair in new.items() if key not in seen)
        return Params(pairs)

    def without(self, *names: str) -> Params:
        """These but for ``names``."""
        gone = {name.lower() for name in names}
        return Params(pair for pair in self.pairs if pair[0].lower() not in gone)
