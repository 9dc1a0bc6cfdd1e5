"""The local clock: what an instant reads like in a time zone, and when that reading jumps.

Instants are ``int`` nanoseconds since 1970 in UTC. Timings are about the reading of the clock on
the wall: where daylight saving skips 02:30, a timing that starts at 02:30 starts with the first
reading after it; where an hour comes twice, a timing in it holds twice. Time zones come in as
``tzinfo`` objects: this room loads none.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from trunkline.rating.durations import HOUR, SECOND
from trunkline.rating.index import DAY

__all__ = ["local_day", "local_text", "local_time", "offset_runs", "utc_offset"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_STEP = 3 * HOUR
"""No zone changes its offset twice within so short a time."""


def _utc(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at // 1_000)


def utc_offset(zone: tzinfo, at: int) -> int:
    """Nanoseconds that the local clock is ahead of UTC."""
    if isinstance(zone, timezone):
        offset = zone.utcoffset(None)
    else:
        offset = _utc(at).astimezone(zone).utcoffset() or timedelta(0)
    return offset // _MICROSECOND * 1_000


def local_day(zone: tzinfo, at: int) -> tuple[int, int]:
    """(the day's ordinal, nanoseconds of the day) that the local clock shows."""
    days, of_day = divmod(at + (0 if zone is UTC else utc_offset(zone, at)), DAY)
    return days + _EPOCH_ORDINAL, of_day


def local_time(zone: tzinfo, at: int) -> datetime:
    """The instant on the local clock; what is finer than a microsecond is cut off."""
    return _utc(at).astimezone(zone)


def local_text(zone: tzinfo, at: int) -> str:
    """Both times of an instant, for messages."""
    utc = _utc(at)
    return f"{utc.isoformat()} ({utc.astimezone(zone).isoformat()} in {zone})"


def offset_runs(zone: tzinfo, start: int, end: int) -> list[tuple[int, int]]:
    """(until, offset) one after another from ``start`` to ``end``, in nanoseconds.

    Within one run the local clock runs like that of UTC. Changes are found to the second.
    """
    offset = utc_offset(zone, start)
    if isinstance(zone, timezone):
        return [(end, offset)]
    runs: list[tuple[int, int]] = []
    at = start
    while at < end:
        to = min(at + _STEP, end)
        if (after := utc_offset(zone, to)) != offset:
            low, high = at // SECOND, to // SECOND
            while high - low > 1:
                middle = (low + high) // 2
                if utc_offset(zone, middle * SECOND) == offset:
                    low = middle
                else:
                    high = middle
            change = min(max(high * SECOND, at), end)
            if change > start:
                runs.append((change, offset))
            offset = after
        at = to
    runs.append((end, offset))
    return runs
