"""The node's log, in the words and the form of a router's: ``%FACILITY-SEVERITY-MNEMONIC: text``.

A bounded number of lines is kept for those who come later; every line also goes to the process's
standard output and to whoever subscribed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from trunkline.observe.text import log_text

__all__ = ["LogLine", "RouterLog"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line; ``time`` in seconds since the epoch, ``severity`` as in syslog (0 to 7)."""

    time: float
    facility: str
    severity: int
    mnemonic: str
    text: str

    def __str__(self) -> str:
        moment = time.gmtime(self.time)
        milliseconds = int(self.time * 1000) % 1000
        return (
            f"*{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:02d} "
            f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}.{milliseconds:03d}: "
            f"%{self.facility}-{self.severity}-{self.mnemonic}: {self.text}"
        )


class RouterLog:
    """Keeps the last ``limit`` lines and passes each on to ``stream`` and the listeners."""

    def __init__(self, stream: TextIO | None = None, *, limit: int = 1000) -> None:
        self.lines: deque[LogLine] = deque(maxlen=limit)
        self.listeners: list[Callable[[LogLine], None]] = []
        self._stream = stream
        self.unwritten = 0
        """Lines that ``stream`` refused, its disk being full or its reader gone."""

    def __call__(self, facility: str, severity: int, mnemonic: str, text: str) -> None:
        """Write one line, stamped with the present time."""
        line = LogLine(time.time(), facility, severity, mnemonic, log_text(text))
        self.lines.append(line)
        if self._stream is not None:
            try:
                print(line, file=self._stream, flush=True)
            except (OSError, ValueError):  # ValueError: closed, or a character it cannot show
                self.unwritten += 1
        for listener in self.listeners:
            listener(line)
