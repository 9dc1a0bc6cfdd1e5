"""FilterS: which events a profile is for.

A rule has a type (``*string``, ``*notprefix``, ``*gte`` …), an element to look at and values, of
which one must fit. A filter is one or more rules that must all hold; it is stored under an ID, or
written where it is used (``*string:~*req.Account:1001;1002``). A profile's filters must all hold,
but those whose activation interval is over, or still to come, are passed over; if that leaves none,
the profile does not match.

Rules are compiled once (`trunkline.charging.filter_types`); a type that is not there is refused
when the rows are read, with file and line.

Every decision can be written down as it is made: pass a list, and each rule that decided leaves a
`Finding` in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from trunkline.charging.event import (
    Scope,
    time_text,
)
from trunkline.charging.filter_types import (
    ELSEWHERE,
    PATTERNS,
    TYPES,
    WITHOUT_VALUES,
    IndexKey,
    Pattern,
    Test,
    active_at,
    index_key,
    rsr_values,
)
from trunkline.charging.rows import ALWAYS, Activation, FilterRow
from trunkline.charging.rsr import Parser, Parsers, parse_list, split
from trunkline.errors import DecodeError, TrunklineError
from trunkline.rating.errors import Problem, Source

__all__ = [
    "ALWAYS_HOLDS",
    "TYPES",
    "Condition",
    "Filter",
    "Filters",
    "Finding",
    "IndexKey",
    "ProfilesError",
    "Reason",
    "Rule",
    "activation_reply",
    "active_at",
    "read_inline",
]


class ProfilesError(TrunklineError):
    """Rows that cannot count: ``problems`` holds everything that is wrong with them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        plural = "" if len(self.problems) == 1 else "s"
        super().__init__("charging.profiles", f"{len(self.problems)} problem{plural}:\n{lines}")


class Reason(StrEnum):
    """Why a filter let an event through, or did not."""

    HELD = "filter.held"
    FAILED = "filter.failed"
    MISSING = "filter.missing"
    INACTIVE = "filter.inactive"
    NONE_ACTIVE = "filter.none-active"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule (or filter) decided about an event."""

    filter_id: str
    rule: str
    """As it is written, type first; empty where the filter as a whole decided."""
    reason: Reason
    found: str | None = None
    """What the element was; None: it was not there, or nothing was looked at."""
    source: Source | None = None

    def __str__(self) -> str:
        where = "" if self.source is None else f" ({self.source})"
        found = "" if self.found is None else f", found {self.found!r}"
        what = (
            self.filter_id if self.rule in ("", self.filter_id) else f"{self.filter_id} {self.rule}"
        )
        return f"{what} [{self.reason}]{found}{where}"


def activation_reply(activation: Activation) -> dict[str, object] | None:
    """An interval as the reference's JSON has it: None for always, year 1 for an open end."""
    if activation == ALWAYS:
        return None
    return {
        "ActivationTime": _reply_time(activation.start),
        "ExpiryTime": _reply_time(activation.end),
    }


def _reply_time(time: datetime | None) -> str:
    return "0001-01-01T00:00:00Z" if time is None else time_text(time)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled."""

    type: str
    element: str
    values: tuple[str, ...]
    test: Test = field(repr=False, compare=False)
    negative: bool
    key: IndexKey | None
    roots: frozenset[str] = field(compare=False)
    parser: Parser | None = field(repr=False, compare=False)
    source: Source | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return ":".join((self.type, self.element, "|".join(self.values))).rstrip(":")

    @classmethod
    def make(
        cls, type_: str, element: str, values: Sequence[str], source: Source | None = None
    ) -> Rule:
        """Compile a rule.

        Raises:
            DecodeError: ``charging.filter-type``, ``charging.filter-value``, or as `Parser`.
        """
        negative = type_.startswith("*not")
        kind = f"*{type_[4:]}" if negative else type_
        make = TYPES.get(kind)
        if make is None:
            base = kind.partition("#")[0]
            hint = ELSEWHERE.get(base, f"choose of {', '.join(TYPES)}, each also as *not…")
            raise DecodeError("charging.filter-type", f"there is no filter type {type_!r}; {hint}")
        if not values and kind not in WITHOUT_VALUES:
            raise DecodeError("charging.filter-value", f"{type_} needs values")
        if kind == "*rsr" and not element:
            test, roots = rsr_values(values)
            if not roots:
                raise DecodeError(
                    "charging.filter-element", "this *rsr looks at no event; write ~*req.Field(…)"
                )
            return cls(type_, "", tuple(values), test, negative, None, roots, None, source)
        if not element:
            raise DecodeError("charging.filter-element", f"{type_} needs an element to look at")
        parser = Parser(element)
        if kind in WITHOUT_VALUES:
            rules = Parsers(())
        elif kind in PATTERNS:
            rules = Parsers(Pattern(text) for text in values)
        else:
            rules = parse_list(values)
        roots = parser.roots() | rules.roots()
        if not roots:
            raise DecodeError(
                "charging.filter-element",
                f"{type_} looks at the constant {element[:60]!r} and so at no event; "
                f"write ~*req.{element[:60]}",
            )
        key = None if negative else index_key(kind, parser, rules)
        test = make(parser, rules)
        return cls(type_, element, tuple(values), test, negative, key, roots, parser, source)

    def holds(self, scope: Scope) -> bool:
        """Whether the event meets it.

        Raises:
            EventError: it cannot be judged.
        """
        return self.test(scope) is not self.negative

    def finding(self, each: Filter, scope: Scope, held: bool) -> Finding:
        """What to write down of a decision about this rule of a filter."""
        found = None if self.parser is None else self.parser.text(scope)
        missing = found is None and self.parser is not None
        reason = Reason.HELD if held else Reason.MISSING if missing else Reason.FAILED
        return Finding(each.id, str(self), reason, found, self.source or each.source)


# Filters


@dataclass(frozen=True, slots=True)
class Filter:
    """Rules that must all hold, under one ID."""

    tenant: str
    id: str
    rules: tuple[Rule, ...]
    activation: Activation = ALWAYS
    source: Source | None = None

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "Tenant": self.tenant,
            "ID": self.id,
            "Rules": [
                {"Type": rule.type, "Element": rule.element, "Values": list(rule.values)}
                for rule in self.rules
            ],
            "ActivationInterval": activation_reply(self.activation),
        }


_INLINE = re.compile(
    r"(\*[^:]*):"
    r"(~[^:{]*(?::s/(?:[^/\\]|\\.)*/(?:[^/\\]|\\.)*/)*(?:\{\*[^}]*\})?|[^:~][^:]*)?"
    r"(?::(.*))?",
    re.DOTALL,
)


def read_inline(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Type, element and values of ``*string:~*req.Account:1001|1002`` (``;`` separates too).

    Raises:
        DecodeError: ``charging.filter-inline``.
    """
    found = _INLINE.fullmatch(text)
    if found is None:
        raise DecodeError(
            "charging.filter-inline",
            f"{text[:80]!r} is no filter: write *type:~*req.Field:value|value",
        )
    return found[1], found[2] or "", tuple(split(found[3], ";|")) if found[3] else ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A profile's filters, all of which must hold; without any it always holds."""

    filters: tuple[Filter, ...] = ()
    needs_active: bool = True
    """Where every filter is out of its activation interval, it does not hold."""

    def holds(self, scope: Scope, trace: list[Finding] | None = None) -> bool:
        """Whether the event meets it; each rule that decided is appended to ``trace``.

        Raises:
            EventError: a rule cannot be judged.
        """
        if not self.filters:
            return True
        active = False
        for each in self.filters:
            if each.activation is not ALWAYS and not active_at(each.activation, scope.now):
                if trace is not None:
                    trace.append(Finding(each.id, "", Reason.INACTIVE, source=each.source))
                continue
            active = True
            for rule in each.rules:
                held = rule.test(scope) is not rule.negative
                if trace is not None:
                    trace.append(rule.finding(each, scope, held))
                if not held:
                    return False
        if active or not self.needs_active:
            return True
        if trace is not None:
            trace.append(Finding("", "", Reason.NONE_ACTIVE))
        return False

    def indexable(self) -> list[tuple[Filter, Rule]]:
        """The rules that an index can stand for, while their filter is active."""
        return [
            (each, rule) for each in self.filters for rule in each.rules if rule.key is not None
        ]

    def led_by(self, filter_: Filter, rule: Rule) -> Condition:
        """The same condition, with that rule judged first."""
        first = Filter(
            filter_.tenant,
            filter_.id,
            (rule, *(each for each in filter_.rules if each is not rule)),
            filter_.activation,
            filter_.source,
        )
        return Condition((first, *(each for each in self.filters if each is not filter_)))

    def divided(self, later: str) -> tuple[Condition, Condition]:
        """The rules that do not look under the root ``later``, and those that do.

        The first keeps every filter, so that it alone tells whether one is active.
        """
        early: list[Filter] = []
        late: list[Filter] = []
        for each in self.filters:
            halves: tuple[list[Rule], list[Rule]] = ([], [])
            for rule in each.rules:
                halves[later in rule.roots].append(rule)
            for filters, rules in zip((early, late), halves, strict=True):
                if rules or filters is early:
                    filters.append(
                        Filter(each.tenant, each.id, tuple(rules), each.activation, each.source)
                    )
        return Condition(tuple(early)), Condition(tuple(late), needs_active=False)


ALWAYS_HOLDS: Final = Condition()


class Filters:
    """All stored filters, compiled, and each inline one that profiles have, once."""

    def __init__(self, filters: Iterable[Filter] = ()) -> None:
        self._inline: dict[str, Rule] = {}
        self._stored = {(each.tenant, each.id): each for each in filters}

    @classmethod
    def from_rows(cls, rows: Iterable[FilterRow]) -> Filters:
        """The filters of Filters.csv; rows of one ID are rules of one filter.

        Raises:
            ProfilesError: everything that is wrong, with file and line.
        """
        problems: list[Problem] = []
        rules: dict[tuple[str, str], list[Rule]] = {}
        firsts: dict[tuple[str, str], FilterRow] = {}
        activations: dict[tuple[str, str], Activation] = {}
        for row in rows:
            key = (row.tenant, row.id)
            firsts.setdefault(key, row)
            held = rules.setdefault(key, [])
            if row.activation != ALWAYS:
                activations[key] = row.activation
            try:
                if row.id.startswith("*") or not row.id:
                    raise DecodeError(
                        "charging.filter-id", f"{row.id!r} is no ID: a * begins an inline filter"
                    )
                if row.type or row.element or row.values:
                    held.append(Rule.make(row.type, row.element, row.values, row.source))
            except DecodeError as error:
                message = f"filter {row.id}: {error.message}"
                problems.append(Problem(error.code, message, row.source))
        if problems:
            raise ProfilesError(problems)
        return cls(
            Filter(*key, tuple(held), activations.get(key, ALWAYS), firsts[key].source)
            for key, held in rules.items()
        )

    def stored(self, tenant: str) -> list[Filter]:
        """The stored filters of a tenant, in the order of their rows."""
        return [each for (owner, _), each in self._stored.items() if owner == tenant]

    def get(self, tenant: str, filter_id: str, source: Source | None = None) -> Filter:
        """A stored filter, or the one that ``filter_id`` spells out.

        Raises:
            DecodeError: ``charging.filter-unknown``, or what is wrong with an inline filter.
        """
        if filter_id.startswith("*"):
            rule = self._inline.get(filter_id)
            if rule is None:
                rule = self._inline[filter_id] = Rule.make(*read_inline(filter_id))
            return Filter(tenant, filter_id, (rule,), ALWAYS, source)
        found = self._stored.get((tenant, filter_id))
        if found is None:
            whose = f" of {tenant}" if tenant else ""
            raise DecodeError(
                "charging.filter-unknown",
                f"there is no filter {filter_id!r}{whose}; add it to Filters.csv, or separate the "
                "values of an inline filter with |",
            )
        return found

    def condition(
        self, tenant: str, filter_ids: Iterable[str], source: Source | None = None
    ) -> Condition:
        """The filters of those IDs, stored or inline.

        Raises:
            DecodeError: as `get`.
        """
        return Condition(tuple(self.get(tenant, each, source) for each in filter_ids))
