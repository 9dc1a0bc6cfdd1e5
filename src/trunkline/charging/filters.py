"""FilterS: which events a profile is for.

A rule has a type (``*string``, ``*notprefix``, ``*gte`` …), an element to look at and values, of
which one must fit. A filter is one or more rules that must all hold; it is stored under an ID, or
written where it is used (``*string:~*req.Account:1001;1002``). A profile's filters must all hold,
but those whose activation interval is over, or still to come, are passed over; if that leaves none,
the profile does not match.

Rules are compiled once, into functions of a `Scope`. ``TYPES`` is the one list of types: what is
not there is refused when the rows are read, with file and line. A rule that cannot be judged (a
word compared with a number) is an `EventError`, as in the reference, and no guess.

Every decision can be written down as it is made: pass a list, and each rule that decided leaves a
`Finding` in it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from trunkline.charging.event import (
    ITEMS,
    MISSING,
    EventError,
    Path,
    Scope,
    read_time,
    time_text,
    to_text,
)
from trunkline.charging.goregex import compile_pattern
from trunkline.charging.rows import ALWAYS, Activation, FilterRow
from trunkline.charging.rsr import Parser, Parsers, parse_list, split
from trunkline.errors import DecodeError, TrunklineError
from trunkline.rating.errors import Problem, Source
from trunkline.rating.index import active_on

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

Test = Callable[[Scope], bool]


class ProfilesError(TrunklineError):
    """Rows that cannot count: ``problems`` holds everything that is wrong with them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__("charging.profiles", f"{len(self.problems)} problems:\n{lines}")


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


def active_at(activation: Activation, at: datetime) -> bool:
    """Whether an interval holds: from its start on, and before its end."""
    return (activation.start is None or activation.start <= at) and (
        activation.end is None or at < activation.end
    )


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


# Types


@dataclass(frozen=True, slots=True)
class IndexKey:
    """What an event must have for a rule to hold, in a form that can be looked up."""

    kind: str
    """``*string``, ``*prefix`` or ``*exists``."""
    path: Path
    values: tuple[str, ...] = ()


def _one_of(element: Parser, values: Parsers, fits: Callable[[str, str], bool]) -> Test:
    """Whether the element's text fits one of the values'; a value that is not there fits none."""
    parsers = values.parsers

    def test(scope: Scope) -> bool:
        text = element.text(scope)
        if text is None:
            return False
        for parser in parsers:
            value = parser.text(scope)
            if value is not None and fits(text, value):
                return True
        return False

    return test


def _constants(values: Parsers) -> tuple[str, ...] | None:
    texts = [parser.constant for parser in values.parsers]
    return None if None in texts else tuple(text for text in texts if text is not None)


def _string(element: Parser, values: Parsers) -> Test:
    constants = _constants(values)
    if constants is None:
        return _one_of(element, values, str.__eq__)
    wanted = frozenset(constants)
    return lambda scope: element.text(scope) in wanted


def _affix(method: Callable[[str, tuple[str, ...]], bool]) -> Callable[[Parser, Parsers], Test]:
    def make(element: Parser, values: Parsers) -> Test:
        constants = _constants(values)
        if constants is None:
            return _one_of(element, values, lambda text, value: method(text, (value,)))

        def test(scope: Scope) -> bool:
            text = element.text(scope)
            return text is not None and method(text, constants)

        return test

    return make


def _starts(text: str, values: tuple[str, ...]) -> bool:
    return text.startswith(values)


def _ends(text: str, values: tuple[str, ...]) -> bool:
    return text.endswith(values)


def _contains(element: Parser, values: Parsers) -> Test:
    return _one_of(element, values, lambda text, value: value in text)


def _exists(element: Parser, values: Parsers) -> Test:
    return lambda scope: element.value(scope) is not MISSING


def _empty(element: Parser, values: Parsers) -> Test:
    def test(scope: Scope) -> bool:
        value = element.value(scope)
        if value is MISSING or value is None:
            return True
        return not value if isinstance(value, str | Sequence | Mapping) else False

    return test


def _order(one: object, other: object) -> int:
    """Below, at or above 0, as ``one`` is to ``other``: numbers and durations, or times."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return (one > other) - (one < other)
    if (
        isinstance(one, int | Decimal)
        and isinstance(other, int | Decimal)
        and not isinstance(one, bool)
        and not isinstance(other, bool)
    ):
        # A Duration is an int of nanoseconds: compared with a number it counts as that.
        return (one > other) - (one < other)
    raise EventError(
        "charging.incomparable",
        f"incomparable: <{to_text(one)[:60]}> with <{to_text(other)[:60]}>; only numbers, "
        "durations and times have an order",
    )


def _comparison(holds: Callable[[int], bool]) -> Callable[[Parser, Parsers], Test]:
    def make(element: Parser, values: Parsers) -> Test:
        parsers = values.parsers

        def test(scope: Scope) -> bool:
            text = element.text(scope)
            if text is None:
                return False
            one = scope.typed(text)
            for parser in parsers:
                value = parser.text(scope)
                if value is not None and holds(_order(one, scope.typed(value))):
                    return True
            return False

        return test

    return make


def _equal(element: Parser, values: Parsers) -> Test:
    parsers = values.parsers

    def test(scope: Scope) -> bool:
        text = element.text(scope)
        if text is None:
            return False
        one = scope.typed(text)
        for parser in parsers:
            value = parser.text(scope)
            if value is None:
                continue
            other = scope.typed(value)
            if isinstance(one, str) and isinstance(other, str):
                if one == other:
                    return True
            elif _order(one, other) == 0:
                return True
        return False

    return test


def _moment(parser: Parser, text: str, scope: Scope) -> datetime:
    if (time := read_time(text, scope.now, scope.zone)) is None:
        raise EventError("charging.field", f"{parser.source[:60]}: {text[:60]!r} is no time")
    return time


def _timings(element: Parser, values: Parsers) -> Test:
    def test(scope: Scope) -> bool:
        text = element.text(scope)
        if text is None:
            return False
        time = _moment(element, text, scope)
        sources = scope.sources
        if sources is None:
            raise EventError(
                "charging.no-source", "a *timings rule is asked where no timings were passed"
            )
        local = time.astimezone(scope.zone)
        second = (local.hour * 60 + local.minute) * 60 + local.second
        for parser in values.parsers:
            timing_id = parser.text(scope)
            timing = None if timing_id is None else sources.timing(scope.tenant, timing_id)
            if (
                timing is not None
                and timing.start <= second < timing.end
                and active_on(timing, local.toordinal())
            ):
                return True
        return False

    return test


def _destinations(element: Parser, values: Parsers) -> Test:
    def test(scope: Scope) -> bool:
        number = element.text(scope)
        if number is None:
            return False
        if scope.sources is None:
            raise EventError(
                "charging.no-source",
                "a *destinations rule is asked where no destinations were passed",
            )
        found = scope.sources.destinations(scope.tenant, number)
        return any(parser.text(scope) in found for parser in values.parsers)

    return test


def _network(element: Parser, values: Parsers) -> Test:
    for parser in values.parsers:
        if parser.constant is not None:
            try:
                ipaddress.ip_network(parser.constant, strict=False)
            except ValueError as error:
                raise DecodeError("charging.filter-value", f"{error}; write 10.0.0.0/8") from None

    def fits(text: str, value: str) -> bool:
        try:
            return ipaddress.ip_address(text) in ipaddress.ip_network(value, strict=False)
        except ValueError:
            return False

    return _one_of(element, values, fits)


def _regex(element: Parser, values: Parsers) -> Test:
    patterns = [compile_pattern(parser.source) for parser in values.parsers]

    def test(scope: Scope) -> bool:
        text = element.text(scope)
        return text is not None and any(pattern.search(text) for pattern in patterns)

    return test


def _activation_interval(element: Parser, values: Parsers) -> Test:
    if len(values) > 2:
        raise DecodeError("charging.filter-value", "*ai takes a start, an end, or both: start;end")

    def test(scope: Scope) -> bool:
        text = element.text(scope)
        if text is None:
            return False
        bounds: list[datetime | None] = []
        for parser in values.parsers:
            bound = parser.text(scope)
            if bound is None:
                raise EventError("charging.field", f"*ai: {parser.source[:60]} is not there")
            bounds.append(_moment(parser, bound, scope) if bound else None)
        interval = Activation(start=bounds[0], end=bounds[1] if len(bounds) == 2 else None)
        return active_at(interval, _moment(element, text, scope))

    return test


_COMPARED = re.compile(r"(>=|<=|>|<)(.+)", re.DOTALL)
_COMPARISONS: Final[Mapping[str, Callable[[int], bool]]] = MappingProxyType(
    {
        ">=": lambda order: order >= 0,
        "<=": lambda order: order <= 0,
        ">": lambda order: order > 0,
        "<": lambda order: order < 0,
    }
)


def _rsr_filter(text: str) -> Callable[[str, Scope], bool]:
    """``~pattern``, ``^start``, ``end$``, ``^all$``, ``>=1``, ``all``; a ``!`` turns it round."""
    if text.startswith("!"):
        inner = _rsr_filter(text[1:])
        return lambda value, scope: not inner(value, scope)
    if not text:
        return lambda value, scope: True
    if text.startswith("~"):
        pattern = compile_pattern(text[1:])
        return lambda value, scope: pattern.search(value) is not None
    if text.startswith("^"):
        if text.endswith("$") and len(text) > 1:
            return lambda value, scope: value == text[1:-1]
        return lambda value, scope: value.startswith(text[1:])
    if text.endswith("$"):
        return lambda value, scope: value.endswith(text[:-1])
    if compared := _COMPARED.fullmatch(text):
        holds, operand = _COMPARISONS[compared[1]], compared[2]
        return lambda value, scope: holds(_order(scope.typed(value), scope.typed(operand)))
    return lambda value, scope: value == text


def _rsr(element: Parser, values: Parsers) -> Test:
    filters = [_rsr_filter(parser.source) for parser in values.parsers]
    nothing = [parser.source for parser in values.parsers] == ["^$"]

    def test(scope: Scope) -> bool:
        text = element.text(scope)
        if text is None:
            return nothing
        return any(fits(text, scope) for fits in filters)

    return test


def _rsr_values(values: Sequence[str]) -> tuple[Test, frozenset[str]]:
    """The older form, without an element: ``~*req.Account(~^1&!^10)``, all of which must hold.

    The test, and the roots it looks under.
    """
    pairs: list[tuple[Parser, list[Callable[[str, Scope], bool]]]] = []
    for text in values:
        rule, opened, rest = text.removesuffix(")").rpartition("(")
        if not text.endswith(")") or not opened:
            rule, rest = text, ""
        pairs.append((Parser(rule), [_rsr_filter(part) for part in rest.split("&")]))
    roots = frozenset().union(*(parser.roots() for parser, _ in pairs))

    def test(scope: Scope) -> bool:
        for parser, filters in pairs:
            text = parser.text(scope)
            if text is None or not all(fits(text, scope) for fits in filters):
                return False
        return True

    return test, roots


TYPES: Final[Mapping[str, Callable[[Parser, Parsers], Test]]] = MappingProxyType(
    {
        "*string": _string,
        "*contains": _contains,
        "*prefix": _affix(_starts),
        "*suffix": _affix(_ends),
        "*empty": _empty,
        "*exists": _exists,
        "*timings": _timings,
        "*rsr": _rsr,
        "*destinations": _destinations,
        "*ipnet": _network,
        "*cidr": _network,
        "*eq": _equal,
        "*gt": _comparison(_COMPARISONS[">"]),
        "*gte": _comparison(_COMPARISONS[">="]),
        "*lt": _comparison(_COMPARISONS["<"]),
        "*lte": _comparison(_COMPARISONS["<="]),
        "*regex": _regex,
        "*ai": _activation_interval,
        "*activation_interval": _activation_interval,
    }
)
"""Every type; each also with ``*not`` for its ``*``."""
_WITHOUT_VALUES: Final = frozenset({"*empty", "*exists"})
_NOT_RULES: Final = frozenset({"*rsr", "*regex"})
"""Whose values are patterns, not rules."""
_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "*stats": "compare a metric: *gte:~*stats.STAT_1.*acd:60",
        "*resources": "compare its usage: *lt:~*resources.RES_1.TotalUsage:10",
        "*threshold": "compare its hits: *lt:~*thresholds.THD_1.Hits:3",
        "*thresholds": "compare its hits: *lt:~*thresholds.THD_1.Hits:3",
        "*accounts": "compare a field: *gt:~*accounts.1001.Disabled:0",
        "*apiban": "nothing here asks a server; load the addresses and use *ipnet",
        "*sentrypeer": "nothing here asks a server; load the addresses and use *ipnet",
        "*http": "nothing here asks a server; put the answer into the event and look at that",
    }
)


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
            hint = _ELSEWHERE.get(base, f"choose of {', '.join(TYPES)}, each also as *not…")
            raise DecodeError("charging.filter-type", f"there is no filter type {type_!r}; {hint}")
        if not values and kind not in _WITHOUT_VALUES:
            raise DecodeError("charging.filter-value", f"{type_} needs values")
        if kind == "*rsr" and not element:
            test, roots = _rsr_values(values)
            if not roots:
                raise DecodeError(
                    "charging.filter-element", "this *rsr looks at no event; write ~*req.Field(…)"
                )
            return cls(type_, "", tuple(values), test, negative, None, roots, None, source)
        if not element:
            raise DecodeError("charging.filter-element", f"{type_} needs an element to look at")
        parser = Parser(element)
        if kind in _WITHOUT_VALUES:
            rules = Parsers(())
        elif kind in _NOT_RULES:
            rules = Parsers(_Pattern(text) for text in values)
        else:
            rules = parse_list(values)
        roots = parser.roots() | rules.roots()
        if not roots:
            raise DecodeError(
                "charging.filter-element",
                f"{type_} looks at the constant {element[:60]!r} and so at no event; "
                f"write ~*req.{element[:60]}",
            )
        key = None if negative else _key(kind, parser, rules)
        test = make(parser, rules)
        return cls(type_, element, tuple(values), test, negative, key, roots, parser, source)

    def holds(self, scope: Scope) -> bool:
        """Whether the event meets it.

        Raises:
            EventError: it cannot be judged.
        """
        return self.test(scope) is not self.negative

    def finding(self, filter_id: str, scope: Scope, held: bool) -> Finding:
        """What to write down of a decision."""
        found = None if self.parser is None else self.parser.text(scope)
        missing = found is None and self.parser is not None
        reason = Reason.HELD if held else Reason.MISSING if missing else Reason.FAILED
        return Finding(filter_id, str(self), reason, found, self.source)


class _Pattern(Parser):
    """A value that is a pattern: kept as it is written."""

    __slots__ = ()

    def __init__(self, source: str) -> None:
        super().__init__("")
        self.source = source


def _key(kind: str, element: Parser, values: Parsers) -> IndexKey | None:
    path = element.plain
    if path is None or path.root in ITEMS or len(path.steps) != 1:
        return None
    if kind == "*exists":
        return IndexKey(kind, path)
    if kind not in ("*string", "*prefix"):
        return None
    constants = _constants(values)
    return None if constants is None else IndexKey(kind, path, constants)


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
                    trace.append(rule.finding(each.id, scope, held))
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
    """All stored filters, compiled, and the inline ones that were asked for."""

    def __init__(self, filters: Iterable[Filter] = ()) -> None:
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
            rule = Rule.make(*read_inline(filter_id), source)
            return Filter(tenant, filter_id, (rule,), ALWAYS, source)
        found = self._stored.get((tenant, filter_id))
        if found is None:
            raise DecodeError(
                "charging.filter-unknown",
                f"there is no filter {filter_id!r} of {tenant}; add it to Filters.csv, or separate "
                "the values of an inline filter with |",
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
