"""The second half of a price: the parts of a call cut into spans and billed in increments.

Three steps, those of the reference. *Timed*: a part is cut at midnight and where another timing
wins. *Split*: what is left is cut where another rate slot applies. *Stretch*: each span is billed
in whole increments, so it may reach over its end; what follows then starts later or falls away,
and what is billed may exceed what was used.

A span is never taken apart: its price is (increment, price of one, count), whatever its length.
Offsets are nanoseconds of usage, or units of what is not voice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo

from trunkline.rating.chain import Match, Part, winner_at
from trunkline.rating.clock import offset_runs
from trunkline.rating.index import DAY, Entry, Group, Slot

__all__ = ["Billed", "Piece", "split", "stretch", "timed", "timed_group"]

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Piece:
    """What one price (and, after ``split``, one slot of it) covers of a call."""

    start: int
    end: int
    match: Match | None
    entry: Entry | None
    """None: no timing holds."""
    slot: Slot | None = None


@dataclass(frozen=True, slots=True)
class Billed:
    """A piece as it is billed: ``count`` whole increments from ``start``."""

    piece: Piece
    start: int
    """Later than the piece's own where the span before reached over it."""
    end: int
    count: int
    """0 where no timing holds: nothing can be billed."""


def timed(
    parts: Iterable[Part], zone: tzinfo, answered: int, usage: int, *, voice: bool
) -> list[Piece]:
    """Cut the parts of a call at midnight and where another timing wins.

    ``answered`` is in nanoseconds since 1970. What is not voice takes the timing at its start.
    """
    pieces: list[Piece] = []
    for start, end, match in parts:
        if voice and usage:
            pieces += timed_group(match.group, match, zone, answered, start, end)
        else:
            pieces.append(Piece(0, usage, match, winner_at(match.group, zone, answered)))
    return pieces


def timed_group(
    group: Group, match: Match | None, zone: tzinfo, answered: int, start: int, end: int
) -> Iterator[Piece]:
    """The pieces of one group between two offsets."""
    at = since = answered + start
    last = answered + end
    table = group.table
    held: Entry | None = group.steady
    for until, offset in offset_runs(zone, at, last):
        while at < until:
            days, of_day = divmod(at + offset, DAY)
            segments = ((DAY, 0),) if table is None else table.day(days + _EPOCH_ORDINAL)
            for number, (segment_end, winner) in enumerate(segments):
                if segment_end <= of_day:
                    continue
                entry: Entry | None
                if table is None:
                    entry = group.steady
                else:
                    entry = None if winner is None else group.entries[winner]
                midnight = number == 0 and of_day == 0
                if at > since and (entry is not held or midnight):
                    yield Piece(since - answered, at - answered, match, held)
                    since = at
                held = entry
                to = min(at + segment_end - of_day, until)
                of_day += to - at
                at = to
                if at >= until:
                    break
    if last > since:
        yield Piece(since - answered, last - answered, match, held)


def split(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Cut pieces where another slot of their rate applies."""
    for piece in pieces:
        if piece.entry is None:
            yield piece
            continue
        start = piece.start
        for slot in piece.entry.terms.slots:
            if slot.end is not None and slot.end <= start:
                continue
            end = piece.end if slot.end is None else min(piece.end, slot.end)
            if end > start or piece.end == piece.start:
                yield Piece(start, end, piece.match, piece.entry, slot)
                start = end
            if end == piece.end:
                break


def stretch(pieces: Sequence[Piece]) -> Iterator[Billed]:
    """Bill pieces in whole increments, each from where the one before it ended.

    A piece that was reached over entirely is given with an ``end`` before its start and a
    ``count`` of 0.
    """
    reached = pieces[0].start if pieces else 0
    for piece in pieces:
        start = max(piece.start, reached)
        if piece.end <= start:
            yield Billed(piece, piece.start, piece.start, 0)
        elif piece.slot is None:
            reached = piece.end
            yield Billed(piece, start, reached, 0)
        else:
            count = -(-(piece.end - start) // piece.slot.increment)
            reached = start + count * piece.slot.increment
            yield Billed(piece, start, reached, count)
