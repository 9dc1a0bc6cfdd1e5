"""The destinations of a deck: prefixes by the hundred thousand, merged by ID.

The one file that is large everywhere, and so the one with a short path: a row of two plain values
whose ID was seen before costs a few look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from sys import intern
from typing import Final

from trunkline.config.cgrates.fields import Fields
from trunkline.config.cgrates.files import Kind
from trunkline.config.cgrates.problems import Place, Problems
from trunkline.config.cgrates.reading import Row
from trunkline.rating.errors import Source
from trunkline.rating.model import Destination

__all__ = ["Prefixes", "Reader", "Shared"]

Reader = Callable[[str, Kind, int, str], Row | None]
"""Reads the row of a file, kind, line number and text, or notes why it cannot."""

_LONGEST_PREFIX: Final = 64


@dataclass(slots=True)
class Shared:
    """Prefixes that two destinations have both."""

    example: str
    count: int = 1


@dataclass(slots=True)
class Prefixes:
    """All rows of Destinations.csv."""

    problems: Problems
    shared: dict[tuple[str, str], Shared] = field(default_factory=dict)
    """By the two IDs, in the file's order."""
    _prefixes: dict[str, str | list[str]] = field(default_factory=dict)
    """By ID; one alone without a list, because there may be as many IDs as prefixes."""
    _sources: dict[str, Source] = field(default_factory=dict)
    """Where each ID begins."""
    _owners: dict[str, str] = field(default_factory=dict)
    """The first ID of each prefix."""

    def __contains__(self, tag: str) -> bool:
        return tag in self._prefixes

    def destinations(self) -> list[Destination]:
        """What was taken; it is given away, so that it is not there twice."""
        self._owners.clear()
        made = [
            Destination(
                tag,
                (prefixes,) if isinstance(prefixes, str) else tuple(prefixes),
                self._sources[tag],
            )
            for tag, prefixes in self._prefixes.items()
        ]
        self._prefixes.clear()
        self._sources.clear()
        return made

    def take(self, file: str, numbered: Iterable[tuple[int, str]], read: Reader) -> int:
        """Take lines of one file; returns how many rows are not counted by ``read`` yet.

        ``read`` splits what is no plain row, and counts it.
        """
        known = self._prefixes
        owners = self._owners
        owned = len(owners)
        taken = 0
        for number, text in numbered:
            tag, _, prefix = text.partition(",")
            prefixes = known.get(tag)
            if prefixes is None or not (
                prefix.isdigit() and prefix.isascii() and len(prefix) <= _LONGEST_PREFIX
            ):
                row = read(file, "Destinations", number, text)
                if row is None or not self._is_destination(row):
                    continue
                tag, prefix = row.values
                prefixes = known.get(tag)
            else:
                taken += 1
            tag = intern(tag)  # one string for all rows of a destination
            owner = owners.setdefault(prefix, tag)
            if len(owners) == owned:
                if not self._share(owner, tag, prefix, Place(file, number)):
                    continue
            else:
                owned += 1
            if prefixes is None:
                known[tag] = prefix
                self._sources[tag] = Source(file, number)
            elif isinstance(prefixes, str):
                known[tag] = [prefixes, prefix]
            else:
                prefixes.append(prefix)
        return taken

    def _is_destination(self, row: Row) -> bool:
        """Whether a row that is new or unusual may stay; what it must not have is noted."""
        fields = Fields("Destinations", row, self.problems)
        before = self.problems.error_count
        tag = fields.tag(0)
        prefix = fields.text(1)
        if not prefix:
            fields.error(
                1, "cgrates.empty", "may not be empty", "for every number, bind DestinationID *any"
            )
        elif len(prefix) > _LONGEST_PREFIX:
            fields.error(1, "cgrates.absurd", f"is longer than {_LONGEST_PREFIX} characters")
        elif not prefix.isprintable() or " " in prefix:
            fields.error(
                1,
                "cgrates.value",
                "has a blank or a character that cannot be printed",
                "write the digits alone",
            )
        if tag.startswith("*"):
            fields.warn(0, "cgrates.value", "begins as the reference's own words do")
        return self.problems.error_count == before

    def _share(self, owner: str, tag: str, prefix: str, place: Place) -> bool:
        """Note a prefix that is there already; ``False`` if it is of the same destination."""
        if owner == tag:
            self.problems.warn(
                "cgrates.repeated",
                f"prefix {prefix} of {tag} again",
                place,
                "leave it out",
                "Prefix",
                prefix,
            )
            return False
        pair = (owner, tag)
        if pair in self.shared:
            self.shared[pair].count += 1
        else:
            self.shared[pair] = Shared(prefix)
        return True
