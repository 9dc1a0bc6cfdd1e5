"""What the types of filters mean: each makes a test of an element and values.

``TYPES`` is the one list of types, each of them also with ``*not`` for its ``*``. A test is a
function of a `Scope`; what cannot be judged (a word compared with a number) is an `EventError`, as
in the reference, and no guess.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from trunkline.charging.event import ITEMS, MISSING, EventError, Path, Scope, read_time, to_text
from trunkline.charging.goregex import compile_pattern, search
from trunkline.charging.rows import Activation
from trunkline.charging.rsr import Parser, Parsers
from trunkline.errors import DecodeError
from trunkline.rating.index import active_on

__all__ = [
    "ELSEWHERE",
    "PATTERNS",
    "TYPES",
    "WITHOUT_VALUES",
    "IndexKey",
    "Pattern",
    "Test",
    "active_at",
    "index_key",
    "rsr_values",
]

Test = Callable[[Scope], bool]


def active_at(activation: Activation, at: datetime) -> bool:
    """Whether an interval holds: from its start on, and before its end."""
    return (activation.start is None or activation.start <= at) and (
        activation.end is None or at < activation.end
    )


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
        return text is not None and any(search(pattern, text) for pattern in patterns)

    return test


_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def _activation_interval(element: Parser, values: Parsers) -> Test:
    if len(values) > 2:
        raise DecodeError("charging.filter-value", "*ai takes a start, an end, or both: start;end")
    for parser in values.parsers:
        if parser.constant and read_time(parser.constant, _SOME_TIME) is None:
            raise DecodeError("charging.filter-value", f"{parser.constant[:60]!r} is no time")

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
        return lambda value, scope: search(pattern, value) is not None
    if text.startswith("^"):
        if text.endswith("$"):
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


def rsr_values(values: Sequence[str]) -> tuple[Test, frozenset[str]]:
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
WITHOUT_VALUES: Final = frozenset({"*empty", "*exists"})
PATTERNS: Final = frozenset({"*rsr", "*regex"})
"""Whose values are patterns, not rules."""
ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
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


class Pattern(Parser):
    """A value that is a pattern: kept as it is written."""

    __slots__ = ()

    def __init__(self, source: str) -> None:
        super().__init__("")
        self.source = source


def index_key(kind: str, element: Parser, values: Parsers) -> IndexKey | None:
    """What an index may look a rule up by; None: it has to be judged."""
    path = element.plain
    if path is None or path.root in ITEMS or len(path.steps) != 1:
        return None
    if kind == "*exists":
        return IndexKey(kind, path)
    if kind not in ("*string", "*prefix"):
        return None
    constants = _constants(values)
    return None if constants is None else IndexKey(kind, path, constants)
