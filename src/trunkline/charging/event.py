"""What is asked about: an event, and the fields that rules find in it.

An event is a tenant, fields (``*req``) and options (``*opts``), as they came in JSON. A rule names
what it looks at by a path: ``*req.Account``, ``*opts.*context``, ``*vars.*processRuns``,
``*req.Legs[0].Number``, ``*stats.STAT_1.*acd``. A `Scope` is all that paths can reach while one
event is judged; a path that leads nowhere is `MISSING`, which is not the same as empty.

Rules compare text, as the reference's do: every value has one (`to_text`), and where a rule counts
or compares, the text is read again (`typed`) as a whole number, a truth, a number, a time, a
duration, or else stays text, in that order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from types import MappingProxyType
from typing import Final, Protocol, cast

from trunkline.errors import DecodeError, TrunklineError
from trunkline.jsonrpc.values import Json, encode
from trunkline.rating.call import epoch_nanoseconds
from trunkline.rating.durations import format_duration, parse_duration
from trunkline.rating.model import DEFAULT_TENANT, Timing
from trunkline.rating.times import parse_time

__all__ = [
    "ITEMS",
    "MISSING",
    "NO_FIELDS",
    "ROOTS",
    "Duration",
    "Event",
    "EventError",
    "Missing",
    "Path",
    "Scope",
    "Sources",
    "nanoseconds_between",
    "number_text",
    "read_duration",
    "read_time",
    "time_text",
    "to_text",
    "typed",
]

NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})
ITEMS: Final = ("*accounts", "*resources", "*stats", "*thresholds")
"""Roots of paths whose next step is the ID of something that a `Sources` knows."""
ROOTS: Final = (
    *("*req", "*opts", "*vars", "*tenant", "*now", *ITEMS),
    # What agents, readers, exporters and actions put around an event
    *("*acnt", "*act", "*asm", "*cgreq", "*cgrep", "*cfg", "*dc", "*ec", "*exp", "*hdr", "*rep"),
    *("*tmp", "*trl", "*uch"),
)
"""All roots that a path may have; which of them lead anywhere is a matter of the `Scope`."""


class EventError(TrunklineError):
    """An event that cannot be judged. ``reference`` is what the reference answers."""

    def __init__(self, code: str, message: str, *, reference: str = "SERVER_ERROR") -> None:
        super().__init__(code, message)
        self.reference = reference

    @property
    def answer(self) -> str:
        """The reference's word; where it has none that says why, the message."""
        return self.message if self.reference == "SERVER_ERROR" else self.reference


class Missing(Enum):
    """The one value of what a path does not find."""

    MISSING = "MISSING"


MISSING: Final = Missing.MISSING


class Duration(int):
    """Nanoseconds that are written as a duration: ``1m0s``."""

    __slots__ = ()

    def __str__(self) -> str:
        return format_duration(int(self))


class Sources(Protocol):
    """What rules may ask beside the event.

    The tariff's timings and destinations, and things that count: accounts, resources, stats,
    thresholds.
    """

    def zone(self, tenant: str) -> tzinfo:
        """The time zone of times without one."""

    def timing(self, tenant: str, timing_id: str) -> Timing | None:
        """The timing of that ID."""

    def destinations(self, tenant: str, number: str) -> Collection[str]:
        """The IDs that have a prefix of ``number``."""

    def item(self, tenant: str, kind: str, item_id: str) -> Mapping[str, object] | None:
        """The fields of one of ``ITEMS``, None where there is no such one.

        Raises:
            NotImplementedError: there are none of this kind here.
        """


# Text of values, values of text


def number_text(value: Decimal) -> str:
    """A number without exponent and without zeros at its end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def time_text(value: datetime) -> str:
    """RFC 3339, without fractions of a second, as the reference writes times."""
    text = value.replace(microsecond=0).isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def to_text(value: object) -> str:
    """The text of a field, as the reference's ``IfaceAsString``.

    Raises:
        EventError: ``charging.field``, it has none.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number_text(Decimal(repr(value))) if abs(value) < 1e308 else str(value)
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, datetime):
        return time_text(value)
    return _json_text(value)


def _json_text(value: object) -> str:
    """A list or an object, as Go writes it."""
    try:
        return encode(cast("Json", value))
    except (TypeError, ValueError, RecursionError):
        raise EventError(
            "charging.field", f"a field of type {type(value).__name__} has no text; write text"
        ) from None


_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_TRUTHS = {"t": True, "T": True, "true": True, "TRUE": True, "True": True}
_TRUTHS |= {"f": False, "F": False, "false": False, "FALSE": False, "False": False}
_DIGITS = 40
_LONGEST = 2**63


def read_duration(text: str) -> Duration | None:
    """A duration with or without a sign; a bare number is nanoseconds. None: it is none."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    try:
        return Duration(sign * parse_duration(rest))
    except DecodeError:
        return None


_MAY_BE_TIME = re.compile(r"[0-9+*]")


def typed(text: str, now: datetime, zone: tzinfo = UTC) -> object:
    """``text`` as what it looks like: int, bool, Decimal, datetime, Duration, or itself."""
    if not text:
        return text
    if _WHOLE.fullmatch(text) and -_LONGEST <= (whole := int(text)) < _LONGEST:
        return whole
    if (truth := _TRUTHS.get(text)) is not None:
        return truth
    if len(text) <= _DIGITS and _NUMBER.fullmatch(text):
        return Decimal(text)
    if _MAY_BE_TIME.match(text) and (time := read_time(text, now, zone)) is not None:
        return time
    if text[0] in "+-.0123456789" and (duration := read_duration(text)) is not None:
        return duration
    return text


def read_time(text: str, now: datetime, zone: tzinfo = UTC) -> datetime | None:
    """A time in any of the reference's forms, `trunkline.rating.times`; None: it is none."""
    try:
        return parse_time(text, zone, now)
    except DecodeError:
        return None


# Paths

_STEP = re.compile(r"([^\[\]]*)((?:\[[^\[\]]*\])*)")


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value is: a root (``*req``) and the steps from there."""

    root: str
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.root, *self.steps))

    @classmethod
    def parse(cls, text: str) -> Path:
        """``*req.Account``; the ``~`` before it, if any, is the rule's, not the path's.

        Raises:
            DecodeError: ``charging.path``.
        """
        text = text.removeprefix("~")
        if not text.startswith("*"):
            raise DecodeError(
                "charging.path",
                f"{text[:60]!r} is no path: it begins with where to look; write *req.{text[:60]}",
            )
        steps: list[str] = []
        for part in text.split("."):
            found = _STEP.fullmatch(part)
            if found is None or not part or "<" in part:
                raise DecodeError(
                    "charging.path",
                    f"{text[:60]!r} is no path: write for example *req.Account or *req.Legs[0].Id",
                )
            if found[1]:
                steps.append(found[1])
            steps += [index for index in found[2][1:-1].split("][") if found[2]]
        if steps[0] not in ROOTS:
            near = get_close_matches(steps[0], ROOTS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(ROOTS)}"
            raise DecodeError("charging.path", f"nothing is found under {steps[0][:40]!r}; {hint}")
        return cls(steps[0], tuple(steps[1:]))


# Events and what is around them


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The reference's CGREvent."""

    tenant: str = ""
    id: str = ""
    time: datetime | None = None
    """When it happened, where that is not now: activation intervals go by it."""
    fields: Mapping[str, object] = field(default_factory=lambda: NO_FIELDS)
    """``Event`` of the reference's JSON: ``Account``, ``Destination``, ``Usage`` …"""
    opts: Mapping[str, object] = field(default_factory=lambda: NO_FIELDS)
    """``APIOpts`` (older: ``Opts``)."""

    @property
    def tenant_or_default(self) -> str:
        """The tenant, ``cgrates.org`` where there is none."""
        return self.tenant or DEFAULT_TENANT

    def text(self, name: str, default: str = "") -> str:
        """The text of a field."""
        return to_text(self.fields[name]) if name in self.fields else default

    def usage(self, name: str = "Usage") -> int | None:
        """A field as nanoseconds or units; None where it is not there.

        Raises:
            EventError: ``charging.field``, it is no usage.
        """
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            if math.isfinite(value) and -_LONGEST <= value < _LONGEST:
                return int(value)
        elif isinstance(value, str) and (duration := read_duration(value)) is not None:
            return int(duration)
        raise EventError(
            "charging.field",
            f"{name} {to_text(value)[:60]!r} is no usage; write for example 60s, or nanoseconds",
        )

    def when(self, name: str, now: datetime, zone: tzinfo = UTC) -> datetime | None:
        """A field as a time; None where it is not there.

        Raises:
            EventError: ``charging.field``, it is no time.
        """
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=zone)
        if (time := read_time(to_text(value), now, zone)) is not None:
            return time
        raise EventError(
            "charging.field",
            f"{name} {to_text(value)[:60]!r} is no time; write for example 2024-05-15T10:00:00Z",
        )

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "Tenant": self.tenant,
            "ID": self.id,
            "Time": None if self.time is None else time_text(self.time),
            "Event": dict(self.fields),
            "APIOpts": dict(self.opts),
        }


class Scope:
    """All that paths reach while one event is judged."""

    __slots__ = ("now", "roots", "sources", "tenant")

    def __init__(
        self,
        event: Event,
        now: datetime,
        sources: Sources | None = None,
        **roots: Mapping[str, object],
    ) -> None:
        """``roots`` are named without their star: ``vars={}``, ``acnt={}``, ``cgreq={}``."""
        self.tenant = event.tenant_or_default
        self.now = now
        self.sources = sources
        self.roots: dict[str, Mapping[str, object]] = {"*req": event.fields, "*opts": event.opts}
        for name, fields in roots.items():
            self.roots[f"*{name}"] = fields

    @property
    def zone(self) -> tzinfo:
        """The time zone of times without one."""
        return UTC if self.sources is None else self.sources.zone(self.tenant)

    def find(self, path: Path) -> object:
        """What is there, or `MISSING`.

        Raises:
            EventError: ``charging.no-source``, the path leads to what nobody keeps here.
        """
        fields = self.roots.get(path.root)
        steps = path.steps
        if fields is None:
            if path.root == "*tenant":
                return self.tenant
            if path.root == "*now":
                return self.now
            if path.root not in ITEMS or not steps:
                return MISSING
            found = self._item(path)
            if found is None:
                return MISSING
            fields, steps = found, steps[1:]
        if len(steps) == 1:
            return fields.get(steps[0], MISSING)
        value: object = fields
        for step in steps:
            if isinstance(value, Mapping):
                value = value.get(step, MISSING)
            elif (
                isinstance(value, Sequence)
                and not isinstance(value, str | bytes)
                and step.isdecimal()
                and len(step) < 10
                and int(step) < len(value)
            ):
                value = value[int(step)]
            else:
                return MISSING
        return value

    def _item(self, path: Path) -> Mapping[str, object] | None:
        try:
            if self.sources is None:
                raise NotImplementedError
            return self.sources.item(self.tenant, path.root, path.steps[0])
        except NotImplementedError:
            raise EventError(
                "charging.no-source",
                f"a rule asks for ~{path}, but nothing here keeps {path.root[1:]} yet; "
                "take the rule out, or pass a source of them",
            ) from None

    def typed(self, text: str) -> object:
        """``text`` as what it looks like, in this tenant's time zone."""
        return typed(text, self.now, self.zone)


def nanoseconds_between(start: datetime, end: datetime) -> Duration:
    """From ``start`` to ``end``; below zero where they are the wrong way round."""
    return Duration(epoch_nanoseconds(end) - epoch_nanoseconds(start))
