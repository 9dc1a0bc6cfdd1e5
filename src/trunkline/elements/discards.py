"""Input that was refused: counted by code, and told to the log without letting it be flooded.

MTP3 counts and bounds its own reports. This does the same for the levels that report every message:
one line for each code in ``interval`` seconds, with the number of those passed over since.
"""

from __future__ import annotations

from collections.abc import Callable

from trunkline.elements.log import RouterLog

__all__ = ["Discards"]


class Discards:
    """What was refused; ``counts`` by code."""

    def __init__(
        self, log: RouterLog, clock: Callable[[], float], *, interval: float = 1.0
    ) -> None:
        self.counts: dict[str, int] = {}
        self._log = log
        self._clock = clock
        self._interval = interval
        self._reported: dict[str, tuple[float, int]] = {}  # when, and how many were counted then

    def __call__(self, facility: str, code: str, detail: str) -> None:
        """Count one message refused for ``code``."""
        count = self.counts[code] = self.counts.get(code, 0) + 1
        now = self._clock()
        last, known = self._reported.get(code, (None, 0))
        if last is not None and now - last < self._interval:
            return
        self._reported[code] = (now, count)
        self._log(facility, 4, "DISCARD", f"{code}: {detail} ({count - known})")
