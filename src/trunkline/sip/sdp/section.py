"""The lines of one section of a description, the session's or a stream's, and its attributes.

RFC 8866 sections 5 and 5.13. A section is its lines as text, each with the line end it came with.
Reading decodes a line when it is asked for; an edit rewrites, adds or takes out the lines it is
about and no other. A line added goes where the order of section 5 wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.sdp.fields import Bandwidth, Connection, Direction, Origin, checked, token

__all__ = ["Attributes", "Section"]

_RANK: Final = {kind: rank for rank, kind in enumerate("vosmiuepcbtka")}
_RANK["r"] = _RANK["z"] = _RANK["t"]  # they belong to the t= before them
_LAST: Final = _RANK["a"]
_DIRECTIONS: Final = {f"a={direction.value}": direction for direction in Direction}

_Value = TypeVar("_Value", Origin, Connection)


class Section:
    """The lines of the session, or of one stream."""

    __slots__ = ("_eol", "_rows")

    def __init__(self, rows: list[str], eol: str) -> None:
        self._rows = rows
        self._eol = eol

    # Reading

    def line(self, prefix: str) -> str | None:
        """The first line that starts with ``prefix`` (``"m="``), without its end, or ``None``."""
        return next(self._starting(prefix), None)

    def lines(self, prefix: str = "") -> list[str]:
        """Every line that starts with ``prefix``, without its end."""
        return list(self._starting(prefix))

    @property
    def attributes(self) -> Attributes:
        """The ``a=`` lines of this section, to read and to change."""
        return Attributes(self)

    @property
    def information(self) -> str | None:
        """``i=``: a text for people, or ``None`` (5.4)."""
        return self._value("i=")

    @property
    def bandwidths(self) -> tuple[Bandwidth, ...]:
        """``b=``: every bandwidth that can be read (5.8)."""
        found = (Bandwidth.parse(line[2:]) for line in self._starting("b="))
        return tuple(bandwidth for bandwidth in found if bandwidth is not None)

    def _starting(self, prefix: str) -> Iterator[str]:
        return (row.rstrip("\r\n") for row in self._rows if row.startswith(prefix))

    def _value(self, prefix: str) -> str | None:
        """What stands behind ``prefix`` in the section's own first line that has it."""
        for row in self._rows:
            if row.startswith(prefix):
                return row[len(prefix) :].rstrip("\r\n")
        return None

    def _own_connection(self) -> Connection | None:
        value = self._value("c=")
        return None if value is None else Connection.parse(value)

    def _own_direction(self) -> Direction | None:
        for row in self._rows:
            direction = _DIRECTIONS.get(row.rstrip("\r\n \t"))
            if direction is not None:
                return direction
        return None

    # Editing

    def _insert(self, line: str) -> None:
        """Add ``line`` behind the last one that section 5 has before it or beside it."""
        rank = _RANK.get(line[0], _LAST)
        at = len(self._rows)
        while at and (
            self._rows[at - 1] in ("\n", "\r\n") or _RANK.get(self._rows[at - 1][0], _LAST) > rank
        ):
            at -= 1
        if at and not self._rows[at - 1].endswith("\n"):
            # The description ends without a line end, and goes on doing so.
            self._rows[at - 1] += self._eol
            self._rows.insert(at, line)
        else:
            self._rows.insert(at, line + self._eol)

    def _rewrite(self, at: int, line: str) -> None:
        row = self._rows[at]
        self._rows[at] = line + row[len(row.rstrip("\r\n")) :]

    def _put(self, line: str, is_old: Callable[[str], bool]) -> None:
        """``line`` instead of the first line that ``is_old`` knows, and no other of them."""
        old = [at for at, row in enumerate(self._rows) if is_old(row.rstrip("\r\n"))]
        if not old:
            self._insert(line)
            return
        self._rewrite(old[0], line)
        for at in reversed(old[1:]):
            del self._rows[at]

    def _drop(self, is_old: Callable[[str], bool]) -> int:
        kept = [row for row in self._rows if not is_old(row.rstrip("\r\n"))]
        dropped = len(self._rows) - len(kept)
        self._rows[:] = kept
        return dropped

    def _put_direction(self, direction: Direction) -> None:
        self._put(f"a={direction.value}", lambda line: line.rstrip(" \t") in _DIRECTIONS)

    def _put_connection(self, connection: Connection) -> None:
        """Rewrite the first ``c=`` or add one; further ones are multicast layers (5.7)."""
        line = "c=" + printed(connection)
        for at, row in enumerate(self._rows):
            if row.startswith("c="):
                self._rewrite(at, line)
                return
        self._insert(line)


class Attributes:
    """The ``a=`` lines of one section in their order: names to values, a name maybe several times.

    The value of a property attribute (``a=recvonly``) is the empty text. Names are compared as they
    are written, for their case counts (RFC 8866 section 5).
    """

    __slots__ = ("_section",)

    def __init__(self, section: Section) -> None:
        self._section = section

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for line in self._section._starting("a="):
            name, _, value = line[2:].partition(":")
            yield name, value

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return any(found == name for found, _ in self)

    def get(self, name: str, index: int = 0) -> str | None:
        """The value of the attribute ``name``; of its ``index``-th; ``None`` where there is none.

        A negative ``index`` counts from the end.
        """
        values = self.all(name)
        return values[index] if -len(values) <= index < len(values) else None

    def all(self, name: str) -> list[str]:
        """Every value of ``name``, in order."""
        return [value for found, value in self if found == name]

    def count(self, name: str) -> int:
        """How many times ``name`` is there."""
        return len(self.all(name))

    def add(self, name: str, value: str = "") -> None:
        """Add an attribute behind the others. Raises ``sdp.value`` for what is not one."""
        self._section._insert(_attribute(name, value))

    def set(self, name: str, value: str = "") -> None:
        """One attribute ``name`` with this value: where the first is, or else behind the others."""
        self._section._put(_attribute(name, value), lambda line: _name_of(line) == name)

    def remove(self, name: str, value: str | None = None) -> int:
        """Take out every attribute ``name``, or those that have ``value``; returns how many."""
        return self._section._drop(
            lambda line: (
                _name_of(line) == name and (value is None or line[2:].partition(":")[2] == value)
            )
        )


def _name_of(line: str) -> str | None:
    return line[2:].partition(":")[0] if line.startswith("a=") else None


def _attribute(name: str, value: str) -> str:
    if ":" in name:
        raise TrunklineError("sdp.value", f"{name!r} is no attribute's name: it has a colon")
    return f"a={token(name)}:{checked(value)}" if value else f"a={token(name)}"


def printed(value: _Value) -> str:
    """``value`` as text, if that can be read again. Raises ``sdp.value`` otherwise."""
    text = checked(str(value))
    try:
        same = type(value).parse(text) == value
    except DecodeError:
        same = False
    if not same:
        raise TrunklineError("sdp.value", f"{value!r} cannot be written as a line of SDP: {text!r}")
    return text
