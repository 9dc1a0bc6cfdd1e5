"""Why a price is what it is: the record that the engine writes while it decides.

Each link of the chain is one ``Step``: what was chosen, what was not, and the reason code of
each. Explaining a price prints this record and nothing else; ``docs/rating.md`` has every code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from trunkline.rating.call import Call
from trunkline.rating.durations import format_usage
from trunkline.rating.errors import Source

__all__ = ["Candidate", "Decision", "Reason", "Stage", "Step"]


class Stage(StrEnum):
    """The links of the chain, in their order."""

    PROFILE = "profile"
    ACTIVATION = "activation"
    DESTINATION = "destination"
    TIMING = "timing"
    SLOT = "slot"
    CONNECT_FEE = "connect fee"
    MAX_COST = "maximum"
    ROUNDING = "rounding"


class Reason(StrEnum):
    """Why a candidate won or lost."""

    SUBJECT = "profile.subject"
    ANY_SUBJECT = "profile.any"
    FALLBACK = "profile.fallback"
    NO_PROFILE = "profile.none"
    TOO_DEEP = "profile.too-deep"
    SEEN = "profile.seen"
    NOT_COVERED = "profile.not-covered"
    NOT_NEEDED = "profile.not-needed"
    IN_FORCE = "activation.in-force"
    SUPERSEDED = "activation.superseded"
    NOT_YET = "activation.not-yet"
    LONGEST = "destination.longest"
    ANY_DESTINATION = "destination.any"
    SHORTER = "destination.shorter"
    NOT_IN_PLAN = "destination.not-in-plan"
    NOT_TIMED = "destination.no-timing"
    OUTWEIGHED = "destination.lower-weight"
    LATER_ROW = "destination.later-row"
    ANY_NOT_NEEDED = "destination.any-not-needed"
    TIMED = "timing.winner"
    INACTIVE = "timing.not-active"
    LOWER_WEIGHT = "timing.lower-weight"
    STARTED_EARLIER = "timing.started-earlier"
    LISTED_LATER = "timing.listed-later"
    AT_START = "timing.at-start"
    AS_USED = "slot.as-used"
    STRETCHED = "slot.stretched"
    SHIFTED = "slot.shifted"
    SWALLOWED = "slot.swallowed"
    FEE = "fee.first-slot"
    NO_USAGE = "fee.no-usage"
    CAPPED = "maximum.free"
    NOT_REACHED = "maximum.not-reached"
    WOULD_DISCONNECT = "maximum.disconnect"
    ROUNDED = "rounding.exact"
    SUMMED = "rounding.cgrates"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that could have been chosen."""

    name: str
    reason: Reason
    detail: str = ""
    source: Source | None = None

    def __str__(self) -> str:
        detail = f", {self.detail}" if self.detail else ""
        source = f" ({self.source})" if self.source else ""
        return f"{self.name} [{self.reason}]{detail}{source}"


@dataclass(frozen=True, slots=True)
class Step:
    """One link: the winner, if there was one, and the losers in the order they were looked at."""

    stage: Stage
    winner: Candidate | None
    losers: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The whole record of one price."""

    call: Call
    """With its defaults filled in."""
    local_time: datetime
    """The answer time on the clock of the tenant's time zone."""
    steps: tuple[Step, ...]
    """Empty where no reasons were asked for."""
    total: str
    """The price as text."""

    def lines(self) -> Iterator[str]:
        """The explanation: a line for each candidate, winners marked ``*``, losers ``-``."""
        call = self.call
        yield (
            f"{call.tor} {call.tenant}:{call.category}:{call.subject or '-'} to "
            f"{call.destination or '-'}, {format_usage(call.usage, call.tor)}"
        )
        utc = call.time.astimezone(UTC).isoformat()
        zone = self.local_time.tzinfo
        yield f"answered {utc}, {self.local_time.isoformat()} in {zone}"
        stage = None
        for step in self.steps:
            if step.stage is not stage:
                stage = step.stage
                yield f"{stage}"
            for candidate in _ordered(step):
                mark = "*" if candidate is step.winner else "-"
                yield f"  {mark} {candidate}"
        yield f"total {self.total}"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _ordered(step: Step) -> Iterable[Candidate]:
    return step.losers if step.winner is None else (step.winner, *step.losers)
