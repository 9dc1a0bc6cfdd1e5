"""Ladder diagrams of SIP messages: a column for each address, an arrow for each message.

```text
                        Edge
   192.0.2.10:5060  192.0.2.1:5060  192.0.2.61:5060
          │               │               │
  0.000   │── INVITE ────>│               │
 +0.001   │               │── INVITE ────>│
```

`Ladder` draws as messages come: a column is added when its address appears, and the heads of the
columns are then drawn again. Where there is no room for another column, the one that was idle
longest goes; where there is not even room for two, messages are listed instead. `ladder` draws
messages that are all known, so that every column is there from the beginning.

A message that two nodes report, the one as sent and the other as received, is drawn once; one that
went over the same way before is marked: it is a retransmission. Lines are runs of text and style;
the styles are names that rich knows, and nothing is told by them alone.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from trunkline.errors import DecodeError
from trunkline.observe.pcap import ends_of
from trunkline.observe.recorder import SeenMessage
from trunkline.sip.message import Request, parse
from trunkline.sip.transport import Address, Transport, written

__all__ = ["Ladder", "Line", "clock", "ladder", "plain"]

Line: TypeAlias = "list[tuple[str, str]]"
"""Runs of text, each with a style."""

_FEWEST: Final = 3
_NARROWEST: Final = 16  # characters from one column to the next: room for `INVITE again`
_WIDEST: Final = 28
_MEMORY: Final = 4096  # messages that a later one may repeat
_STYLES: Final = {1: "dim green", 2: "green", 3: "magenta"}  # by the class of a response
_CALLS: Final = 1024  # calls whose last time is known


def plain(lines: Iterable[Line]) -> str:
    """The lines as text."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def ladder(
    messages: Iterable[SeenMessage],
    *,
    width: int | None,
    names: Mapping[Address, str] | None = None,
    unicode: bool = True,
) -> list[Line]:
    """Draw ``messages``, in order; ``width`` in characters, ``None``: as wide as it needs.

    ``names`` are those of the addresses that have one. Times count from the first message.
    """
    known = list(messages)
    drawing = Ladder(width=width, names=names, unicode=unicode, relative=True)
    addresses: dict[Address, None] = {}
    for seen in known:
        addresses.setdefault(ends_of(seen)[0])
        addresses.setdefault(ends_of(seen)[1])
    drawing.begin(addresses)
    return [line for seen in known for line in drawing.add(seen)]


@dataclass(frozen=True, slots=True)
class _Charset:
    column: str
    line: str
    again: str
    more: str


_UNICODE: Final = _Charset("│", "─", "┄", "…")
_ASCII: Final = _Charset("|", "-", ".", "~")


class Ladder:
    """Draws messages as they come.

    ``width`` in characters, ``None``: as wide as it needs. With ``relative``, times count from the
    first message; else they are those of the day, and each line has the beginning of its Call-ID.
    """

    def __init__(
        self,
        *,
        width: int | None,
        names: Mapping[Address, str] | None = None,
        unicode: bool = True,
        relative: bool = False,
    ) -> None:
        self._width = width
        self._names = dict(names or {})
        self._chars = _UNICODE if unicode else _ASCII
        self._relative = relative
        self._left = 19 if relative else 31
        self._columns: list[Address] = []
        self._used: dict[Address, int] = {}
        self._count = 0
        self._listing = False
        self._headed = False
        self._first: float | None = None
        self._last: dict[str, float] = {}
        self._wire: dict[tuple[Transport, Address, Address, bytes], list[int]] = {}

    def begin(self, addresses: Iterable[Address]) -> None:
        """Make columns of ``addresses`` from the beginning; list messages if they do not fit."""
        self._columns = list(addresses)
        self._listing = self._gap(self._columns) < _NARROWEST

    def resize(self, width: int | None) -> None:
        """Go on in another width."""
        if width != self._width:
            self._width = width
            self._headed = False

    def add(self, seen: SeenMessage) -> list[Line]:
        """Draw one message: its line, with the heads of the columns before it if they changed."""
        source, target = ends_of(seen)
        way = (seen.flow.transport, source, target, seen.data)
        on_wire = self._wire.setdefault(way, [0, 0])
        before = max(on_wire)
        on_wire[seen.sent] += 1
        if max(on_wire) == before:
            return []  # its other end has told of it
        while len(self._wire) > _MEMORY:
            del self._wire[next(iter(self._wire))]
        label, call_id = _label(seen, before > 0)
        lines = [] if self._listing else self._make_room(source, target)
        left = self._times(seen.time, call_id)
        if self._listing:
            return [*lines, *self._listed(left, source, target, label)]
        return [*lines, [(left, "dim"), *self._drawn(source, target, label)]]

    # columns

    def _gap(self, columns: Sequence[Address]) -> int:
        """Characters from one of ``columns`` to the next."""
        longest = max((len(written(each)) for each in columns), default=0)
        wanted = max(_WIDEST, longest + 2)
        if self._width is None:
            return wanted
        return min(
            wanted, (self._width - self._left - longest // 2 - 1) // max(1, len(columns) - 1)
        )

    def _make_room(self, source: Address, target: Address) -> list[Line]:
        """See that both ends have a column; the heads if anything changed."""
        self._count += 1
        self._used[source] = self._used[target] = self._count
        before = list(self._columns)
        self._columns += [each for each in dict.fromkeys((source, target)) if each not in before]
        while self._gap(self._columns) < _NARROWEST:
            idle = [each for each in self._columns if each not in (source, target)]
            if not idle or len(self._columns) <= _FEWEST:  # two would change places all the time
                self._listing = True
                return []
            gone = min(idle, key=lambda each: self._used.get(each, 0))
            self._used.pop(gone, None)
            at = self._columns.index(gone)
            if self._columns[-1] in before:
                del self._columns[at]
            else:  # what is new takes its place
                self._columns[at] = self._columns.pop()
        if self._headed and before == self._columns:
            return []
        blank: list[Line] = [[("", "")]] if self._headed else []
        self._headed = True
        return [*blank, *self._heads()]

    def _places(self) -> list[int]:
        gap = self._gap(self._columns)
        return [self._left + index * gap for index in range(len(self._columns))]

    def _heads(self) -> list[Line]:
        places = self._places()
        lines: list[Line] = []
        names = [self._names.get(address, "") for address in self._columns]
        if any(names):
            lines.append([(self._centred(zip(places, names, strict=True)), "bold")])
        texts = [written(address) for address in self._columns]
        gap = self._gap(self._columns)
        close = any(len(text) >= gap for text in texts)
        heads = list(zip(places, texts, strict=True))
        rows = (heads[::2], heads[1::2]) if close else (heads,)
        lines += [[(self._centred(row), "")] for row in rows]
        lines.append([(self._centred((at, self._chars.column) for at in places), "dim")])
        return lines

    def _centred(self, texts: Iterable[tuple[int, str]]) -> str:
        row = ""
        for at, text in texts:
            begin = max(at - len(text) // 2, len(row) + 1 if row else 0)
            row = row.ljust(begin) + text
        return row

    # lines

    def _times(self, moment: float, call_id: str) -> str:
        if self._first is None:
            self._first = moment
        last = self._last.pop(call_id, None)
        while len(self._last) >= _CALLS:
            del self._last[next(iter(self._last))]
        self._last[call_id] = moment
        delta = "" if last is None else f"+{max(0.0, moment - last):.3f}"
        if self._relative:
            return f"{moment - self._first:8.3f} {delta:>8}  "
        tag = call_id if len(call_id) <= 8 else call_id[:7] + self._chars.more
        return f"{clock(moment)} {delta:>8} {tag:<8} "

    def _drawn(self, source: Address, target: Address, label: _Label) -> Line:
        places = self._places()
        begin, end = places[self._columns.index(source)], places[self._columns.index(target)]
        row, column = self._row(places), self._chars.column
        if begin == end:
            text = f" {label} to itself"
            text = text if self._width is None else text[: self._width - begin - 1]
            return [(row[: begin - self._left + 1], "dim"), (text, label.style)]
        left, right = min(begin, end), max(begin, end)
        room = right - left - 2  # beside the arrow's head
        text = f" {label.within(room - 2, self._chars.more)} "
        text = text.center(room, self._chars.again if label.again else self._chars.line)
        return [
            (row[: left - self._left] + column, "dim"),
            (f"{text}>" if begin < end else f"<{text}", label.style),
            (column + row[right - self._left + 1 :], "dim"),
        ]

    def _row(self, places: list[int]) -> str:
        """The columns without an arrow, from the first on."""
        row = self._centred((at, self._chars.column) for at in places)
        return row[self._left :]

    def _listed(self, left: str, source: Address, target: Address, label: _Label) -> list[Line]:
        ways = f"{written(source)} > {written(target)}"
        text = str(label)
        if self._width is None or len(left) + len(text) + len(ways) + 2 <= self._width:
            return [[(left, "dim"), (f"{text}  ", label.style), (ways, "dim")]]
        return [[(left, "dim"), (text, label.style)], [(f"  {ways}", "dim")]]


@dataclass(frozen=True, slots=True)
class _Label:
    """What stands on an arrow."""

    text: str
    extra: str
    again: bool
    style: str

    def __str__(self) -> str:
        return f"{self.text}{self.extra}{' again' if self.again else ''}"

    def within(self, room: int, more: str) -> str:
        """The label in ``room`` characters; what is least telling goes first."""
        if len(str(self)) <= room:
            return str(self)
        again = " again" if self.again else ""
        room -= len(again)
        text = self.text if len(self.text) <= room else self.text[: room - 1] + more
        return text + again


def clock(moment: float) -> str:
    """The time of day, in milliseconds."""
    return f"{time.strftime('%H:%M:%S', time.localtime(moment))}.{int(moment * 1000) % 1000:03d}"


def _label(seen: SeenMessage, again: bool) -> tuple[_Label, str]:
    """What stands on the arrow, and the Call-ID."""
    try:
        message = parse(seen.data)
    except DecodeError as problem:
        return _Label(f"not SIP: {problem.code}", "", again, "red"), ""
    if isinstance(message, Request):
        text, style = message.method, "bold cyan"
    else:
        text, style = (
            f"{message.status} {message.reason}",
            _STYLES.get(message.status // 100, "red"),
        )
    extra = [] if seen.flow.transport is Transport.UDP else [seen.flow.transport.value]
    if (message.headers.get("content-type") or "").lower().startswith("application/sdp"):
        extra.append("SDP")
    shown = "".join(each if _narrow(each) else "?" for each in text.rstrip())
    return _Label(shown, f" ({', '.join(extra)})" if extra else "", again, style), message.call_id


def _narrow(character: str) -> bool:
    """Whether it takes one place of a line, and does nothing else."""
    return character.isprintable() and not (
        unicodedata.east_asian_width(character) in "WF" or unicodedata.combining(character)
    )
