"""``CoreSv1``: what the process says of itself."""

from __future__ import annotations

import asyncio
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trunkline import __version__
from trunkline.elements.charging.arguments import Duration
from trunkline.elements.charging.registry import ApiError, method
from trunkline.jsonrpc import Json

__all__ = ["Core", "DurationArgs", "TenantArg"]

_LONGEST_SLEEP: Final = 60 * 10**9  # ns; a node that ends waits for the calls under way
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantArg:
    """A tenant, where it makes no difference."""

    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationArgs:
    """How long."""

    duration: Duration | None = None


class Core:
    """The node called ``node``, up since ``started``."""

    def __init__(self, node: str, started: datetime) -> None:
        self._node = node
        self._started = started.astimezone(UTC)

    @method("CoreSv1.Status")
    def status(self, args: TenantArg) -> Json:
        """The reference's members; where they speak of Go, the nearest thing that is here."""
        return {
            "ActiveGoroutines": len(asyncio.all_tasks()),
            "GoVersion": f"none: {platform.python_implementation()} {platform.python_version()}",
            "MemoryUsage": _size(_resident()),
            "NodeID": self._node,
            "RunningSince": _unix_date(self._started),
            "Version": f"Trunkline@{__version__}",
        }

    @method("CoreSv1.Sleep")
    async def sleep(self, args: DurationArgs) -> Json:
        """Answer later, to see what waits meanwhile."""
        duration = args.duration or 0
        if not 0 <= duration <= _LONGEST_SLEEP:
            raise ApiError(f"SERVER_ERROR: Duration is from 0 to {_LONGEST_SLEEP}, a minute")
        await asyncio.sleep(duration / 1e9)
        return "OK"


def _unix_date(time: datetime) -> str:
    """``Mon Aug  4 13:00:00 UTC 2014``, Go's ``time.UnixDate``, whatever the locale."""
    day, month = _DAYS[time.weekday()], _MONTHS[time.month - 1]
    return f"{day} {month} {time.day:2d} {time:%H:%M:%S} UTC {time.year}"


def _resident() -> int:
    """Octets of memory that the process has, 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _size(octets: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if octets < 1024:
            return f"{octets:.1f}{unit}"
        octets /= 1024
    return f"{octets:.1f}GiB"
