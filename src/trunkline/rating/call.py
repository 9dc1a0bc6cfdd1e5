"""What is to be priced: a call, a message, a data session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from trunkline.rating.durations import HOUR, LIMIT, format_usage
from trunkline.rating.errors import RatingError
from trunkline.rating.model import ANY, DEFAULT_CATEGORY, DEFAULT_TENANT

__all__ = [
    "FIRST_YEAR",
    "LAST_YEAR",
    "USAGE_LIMITS",
    "VOICE",
    "Call",
    "complete",
    "epoch_nanoseconds",
]

VOICE = "*voice"
USAGE_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        VOICE: 72 * HOUR,
        "*data": 107_374_182_400,
        "*sms": 5_000,
        "*mms": 10_000,
        ANY: 189 * HOUR,
    }
)
"""The highest usage by type of record, as in the reference (rals.max_computed_usage)."""
FIRST_YEAR, LAST_YEAR = 1900, 9000
"""Times outside are slips, and calendars end at the year 9999."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing to price.

    Empty fields take the reference's defaults: tenant ``cgrates.org``, category ``call``, the
    account as subject, type of record ``*voice``.
    """

    destination: str
    """The number; empty or ``*any``: only prices for every destination apply."""
    time: datetime
    """When it was answered; aware."""
    usage: int
    """Nanoseconds of ``*voice``, plain units of everything else."""
    tenant: str = ""
    category: str = ""
    subject: str = ""
    account: str = ""
    tor: str = ""
    """The type of record: ``*voice``, ``*data``, ``*sms``, …"""


def complete(call: Call, limits: Mapping[str, int] = USAGE_LIMITS) -> Call:
    """``call`` with its defaults filled in, and checked.

    Raises:
        RatingError: ``rating.time``, ``rating.usage`` or ``rating.usage-limit``.
    """
    if call.time.utcoffset() is None:
        raise RatingError(
            "rating.time",
            f"the answer time {call.time} has no time zone",
            missing="the call's time zone",
            supply="write a Z or an offset after it",
        )
    if not FIRST_YEAR <= call.time.year <= LAST_YEAR:
        raise RatingError(
            "rating.time",
            f"the answer time {call.time} is not between {FIRST_YEAR} and {LAST_YEAR}",
            missing="a plausible answer time",
            supply="check the year",
        )
    tor = call.tor or VOICE
    limit = limits.get(tor, limits[ANY])
    if not 0 <= call.usage <= limit:
        if call.usage < 0:
            raise RatingError(
                "rating.usage",
                f"the usage {call.usage} is negative",
                missing="a usage",
                supply="give what was used, 0 or more",
            )
        usage = format_usage(call.usage, tor) if call.usage <= LIMIT else "beyond all measure"
        raise RatingError(
            "rating.usage-limit",
            f"the usage {usage} is above the limit of {tor}, {format_usage(limit, tor)}",
            missing="a usage within the limit",
            supply="check its unit (a bare number is nanoseconds of voice), or price it in parts",
            reference="MAX_USAGE_EXCEEDED",
        )
    return Call(
        destination=call.destination,
        time=call.time,
        usage=call.usage,
        tenant=call.tenant or DEFAULT_TENANT,
        category=call.category or DEFAULT_CATEGORY,
        subject=call.subject or call.account,
        account=call.account,
        tor=tor,
    )


def epoch_nanoseconds(time: datetime) -> int:
    """Nanoseconds from the beginning of 1970 in UTC to an aware time."""
    since = time - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
