r"""The console's cost line, as ``cgr-console`` takes it: ``Tenant="cgrates.org" Usage="60s" …``.

The grammar, after an optional first word ``cost``::

    line  = pair *( blanks pair )
    pair  = key [blanks] "=" [blanks] value
    value = '"' *( character / "\\" character ) '"'     ; also '…' and typographic quotes
          / 1*( character but blank, "=" and quotes )   ; quotes may go where nothing is unclear

Keys are those of the reference's GetCost and call descriptor, in any case. Left out: lists and
maps as values, and keys that say nothing to a price.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from trunkline.config.cgrates.problems import closest, shown
from trunkline.errors import DecodeError
from trunkline.rating.call import VOICE, Call
from trunkline.rating.durations import parse_duration
from trunkline.rating.model import DEFAULT_TENANT
from trunkline.rating.times import FORMS, parse_time

__all__ = ["EXAMPLE", "KEYS", "LONGEST", "parse_cost_line"]

KEYS: Final = (
    "Category",
    "Tenant",
    "Subject",
    "Account",
    "Destination",
    "AnswerTime",
    "Usage",
    "ToR",
    "TimeStart",
    "TimeEnd",
)
EXAMPLE: Final = (
    'Category="call" Tenant="cgrates.org" Subject="3005" Destination="614" '
    'AnswerTime="2014-08-04T13:00:00Z" Usage="60s"'
)
LONGEST: Final = 4096
"""Characters that a line may have."""

_CLOSING: Final = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“"}
_PLAIN = re.compile(r"[^\s=\"'“”„]+")
_KEY = re.compile(r"[^\W\d]\w*")
_BLANKS = re.compile(r"\s*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Pair:
    key: str
    value: str
    column: int
    """Where the value begins, from 0."""


def _utc(tenant: str) -> tzinfo:
    return UTC


def parse_cost_line(
    line: str, *, zone_of: Callable[[str], tzinfo] = _utc, now: datetime | None = None
) -> Call:
    """The call that ``line`` asks the price of; what is not in it stays empty.

    ``zone_of`` gives the time zone of a tenant, for an answer time without an offset; ``now`` is
    what ``*now`` means.

    Raises:
        DecodeError: ``console.…``; ``offset`` is the column of the mistake, from 0.
    """
    if len(line) > LONGEST:
        raise _error("console.length", LONGEST, f"longer than {LONGEST} characters")
    pairs = _by_key(line)
    if not pairs:
        raise _error("console.empty", 0, f"nothing is asked; an example: {EXAMPLE}")
    end = len(line.rstrip())
    tor = _text(pairs, "ToR") or VOICE
    if not tor.startswith("*"):
        tor = f"*{tor}"
    if tor == VOICE and "Destination" not in pairs:
        raise _error("console.missing", end, 'Destination is missing: add, say, Destination="614"')
    tenant = _text(pairs, "Tenant")
    moments = _Moments(zone_of(tenant or DEFAULT_TENANT), now or datetime.now(UTC))
    time = _time(pairs, moments, end)
    return Call(
        tenant=tenant,
        category=_text(pairs, "Category"),
        subject=_text(pairs, "Subject"),
        account=_text(pairs, "Account"),
        destination=_text(pairs, "Destination"),
        time=time,
        usage=_usage(pairs, time, moments, end),
        tor=tor,
    )


def _text(pairs: dict[str, _Pair], key: str) -> str:
    return pairs[key].value if key in pairs else ""


def _time(pairs: dict[str, _Pair], moments: _Moments, end: int) -> datetime:
    if "AnswerTime" in pairs and "TimeStart" in pairs:
        column = pairs["TimeStart"].column
        raise _error(
            "console.conflict", column, "AnswerTime and TimeStart both say when; leave one out"
        )
    pair = pairs.get("AnswerTime") or pairs.get("TimeStart")
    if pair is None:
        raise _error("console.missing", end, 'AnswerTime is missing: add, say, AnswerTime="*now"')
    return moments.read(pair)


@dataclass(frozen=True, slots=True)
class _Moments:
    zone: tzinfo
    now: datetime

    def read(self, pair: _Pair) -> datetime:
        try:
            moment = parse_time(pair.value, self.zone, self.now)
        except DecodeError:
            moment = None
        if moment is None:
            message = f"{pair.key} {shown(pair.value)!r} is no time: write {FORMS}"
            raise _error("console.time", pair.column, message)
        return moment


def _usage(pairs: dict[str, _Pair], time: datetime, moments: _Moments, end: int) -> int:
    if "TimeEnd" in pairs:
        pair = pairs["TimeEnd"]
        if "Usage" in pairs:
            message = "Usage and TimeEnd both say how long; leave one out"
            raise _error("console.conflict", pair.column, message)
        length = moments.read(pair) - time
        if length.days < 0:
            raise _error("console.usage", pair.column, "TimeEnd is before the answer")
        return (length.days * 86400 + length.seconds) * 10**9 + length.microseconds * 1000
    if "Usage" not in pairs:
        raise _error("console.missing", end, 'Usage is missing: add, say, Usage="60s"')
    pair = pairs["Usage"]
    if not pair.value:
        raise _error("console.usage", pair.column, 'Usage is empty; write, say, "60s"')
    try:
        return parse_duration(pair.value)
    except DecodeError as problem:
        raise _error("console.usage", pair.column, f"Usage: {problem.message}") from None


def _by_key(line: str) -> dict[str, _Pair]:
    pairs: dict[str, _Pair] = {}
    names = {key.lower(): key for key in KEYS}
    for column, pair in _pairs(line):
        key = names.get(pair.key.lower())
        if key is None:
            hint = closest(pair.key, KEYS, f"the keys are {', '.join(KEYS)}")
            raise _error("console.key", column, f"unknown key {shown(pair.key)!r}; {hint}")
        if key in pairs:
            raise _error("console.twice", column, f"{key} is given twice; leave one out")
        pairs[key] = _Pair(key, pair.value, pair.column)
    return pairs


def _pairs(line: str) -> Iterator[tuple[int, _Pair]]:
    """Yield each pair with the column of its key."""
    position = _skip(line, 0)
    first = _KEY.match(line, position)
    if first and first[0].lower() == "cost" and not line.startswith("=", _skip(line, first.end())):
        position = _skip(line, first.end())
    while position < len(line):
        key = _KEY.match(line, position)
        if key is None:
            raise _error("console.syntax", position, f"{line[position]!r} where a key is due")
        equals = _skip(line, key.end())
        if not line.startswith("=", equals):
            raise _error(
                "console.syntax",
                position,
                f'{shown(key[0])!r} is followed by no "="; a value with blanks needs quotes',
            )
        start = _skip(line, equals + 1)
        value, end = _value(line, start, key[0])
        yield position, _Pair(key[0], value, start)
        position = _skip(line, end)
        if position == end < len(line) and line[end] not in ",;":
            raise _error("console.syntax", end, f"{line[end]!r} right behind the value of {key[0]}")
        if position < len(line) and line[position] in ",;":
            raise _error(
                "console.syntax", position, f"{line[position]!r}: blanks separate the pairs"
            )


def _value(line: str, start: int, key: str) -> tuple[str, int]:
    closing = _CLOSING.get(line[start : start + 1])
    if closing is None:
        plain = _PLAIN.match(line, start)
        if plain is None:
            raise _error("console.value", start, f'{shown(key)} has no value; an empty one is ""')
        return plain[0], plain.end()
    position = start + 1
    while position < len(line) and line[position] != closing:
        position += 2 if line[position] == "\\" else 1
    if position >= len(line):
        raise _error(
            "console.quote", start, f"the quote before the value of {shown(key)} is not closed"
        )
    return _ESCAPED.sub(r"\1", line[start + 1 : position]), position + 1


def _skip(line: str, position: int) -> int:
    match = _BLANKS.match(line, position)
    return match.end() if match else position


def _error(code: str, column: int, message: str) -> DecodeError:
    return DecodeError(code, f"column {column + 1}: {message}", offset=column)
