"""AttributeS: what is changed in an event before it is charged.

Of the profiles that match in a context (``*sessions``, ``*cdrs``, ``*chargers`` …) the heaviest
changes the event, one attribute after another, each seeing what those before it did. With several
process runs the changed event is matched again, until nothing matches, a profile that blocks has
run, or the runs are used up; the profile that ran last does not run twice in a row.

``TYPES`` is the one list of attribute types. Sums are exact decimals (the reference's are floats);
whole numbers divide as whole numbers, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from trunkline.charging.converters import as_duration, as_number, round_number
from trunkline.charging.event import (
    MISSING,
    Duration,
    Event,
    EventError,
    Path,
    Scope,
    Sources,
    nanoseconds_between,
    read_time,
    time_text,
    to_text,
)
from trunkline.charging.filters import (
    ALWAYS_HOLDS,
    Condition,
    Filters,
    Finding,
    ProfilesError,
    activation_reply,
)
from trunkline.charging.rows import ALWAYS, Activation, AttributeRow
from trunkline.charging.rsr import Parsers, parse, split
from trunkline.charging.selection import Judged, Selection, Verdict
from trunkline.errors import DecodeError
from trunkline.rating.errors import Problem, Source

__all__ = ["TYPES", "Attribute", "AttributeProfile", "Attributes", "Result"]

ANY: Final = "*any"
DEFAULT_CONTEXT: Final = "*default"
REMOVE: Final = "*remove"
ROUNDING_DECIMALS: Final = 5
"""Of ``*value_exponent``, as the reference's configuration has it."""
_CONTEXT: Final = Context(prec=40)


class _NotFoundError(EventError):
    """A field that an attribute needs is not there."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "charging.not-found",
            f"{what} is not in the event; add it, or a filter that lets the attribute pass it over",
            reference="NOT_FOUND",
        )


def _texts(value: Parsers, scope: Scope) -> list[str]:
    texts: list[str] = []
    for parser in value.parsers:
        text = parser.text(scope)
        if text is None:
            raise _NotFoundError(parser.source)
        texts.append(text)
    return texts


def _text(value: Parsers, scope: Scope) -> str:
    return "".join(_texts(value, scope))


def _time(text: str, scope: Scope, name: str) -> datetime:
    if (time := read_time(text, scope.now, scope.zone)) is None:
        raise EventError("charging.convert", f"{text[:60]!r} is no time, for {name}")
    return time


def _variable(value: Parsers, scope: Scope, path: Path) -> object:
    return _text(value, scope)


def _composed(value: Parsers, scope: Scope, path: Path) -> object:
    found = scope.find(path)
    return ("" if found is MISSING else to_text(found)) + _text(value, scope)


def _affix(*, before: bool) -> Callable[[Parsers, Scope, Path], object]:
    def make(value: Parsers, scope: Scope, path: Path) -> object:
        found = scope.find(path)
        if found is MISSING:
            raise _NotFoundError(f"~{path}")
        text = _text(value, scope)
        return text + to_text(found) if before else to_text(found) + text

    return make


def _usage_difference(value: Parsers, scope: Scope, path: Path) -> object:
    end, start = (_time(text, scope, "*usage_difference") for text in _texts(value, scope))
    return nanoseconds_between(start, end)


def _value_exponent(value: Parsers, scope: Scope, path: Path) -> object:
    number, exponent = _texts(value, scope)
    power = as_number(exponent, "*value_exponent")
    if power != int(power) or abs(power) > 40:
        raise EventError("charging.convert", f"*value_exponent by {exponent[:60]!r}: -40 to 40")
    scaled = _CONTEXT.scaleb(as_number(number, "*value_exponent"), int(power))
    return round_number(scaled, ROUNDING_DECIMALS)


def _cc_usage(value: Parsers, scope: Scope, path: Path) -> object:
    """Of a credit control request: used so far + (its number - 1) x the debit interval."""
    number, used, interval = _texts(value, scope)
    before = max(int(as_number(number, "*cc_usage")) - 1, 0)
    return Duration(as_duration(used, "*cc_usage") + as_duration(interval, "*cc_usage") * before)


def _unix_timestamp(value: Parsers, scope: Scope, path: Path) -> object:
    return int(_time(_text(value, scope), scope, "*unix_timestamp").timestamp())


def _datetime(value: Parsers, scope: Scope, path: Path) -> object:
    return time_text(_time(_text(value, scope), scope, "*datetime"))


def _sipcid(value: Parsers, scope: Scope, path: Path) -> object:
    """The Call-ID, then what else there is, in the order of the alphabet."""
    first, *others = value.parsers
    call_id = first.text(scope)
    if call_id is None:
        raise _NotFoundError(first.source)
    texts = (parser.text(scope) for parser in others)
    return ";".join([call_id, *sorted(text for text in texts if text)])


def _shift(time: datetime, nanoseconds: int) -> datetime:
    return time + timedelta(microseconds=nanoseconds // 1_000)


def _operands(value: Parsers, scope: Scope) -> list[object]:
    return [scope.typed(text) for text in _texts(value, scope)]


def _sum(value: Parsers, scope: Scope, path: Path) -> object:
    first, *others = _operands(value, scope)
    if isinstance(first, datetime):
        return _shift(first, sum(as_duration(each, "*sum") for each in others))
    if isinstance(first, Duration):
        return Duration(first + sum(as_duration(each, "*sum") for each in others))
    total = as_number(first, "*sum")
    for each in others:
        total = _CONTEXT.add(total, as_number(each, "*sum"))
    return total


def _difference(value: Parsers, scope: Scope, path: Path) -> object:
    first, *others = _operands(value, scope)
    if isinstance(first, datetime):
        taken = 0
        for each in others:
            if isinstance(each, datetime):
                return nanoseconds_between(each, _shift(first, -taken))
            taken += as_duration(each, "*difference")
        return _shift(first, -taken)
    if isinstance(first, Duration):
        return Duration(first - sum(as_duration(each, "*difference") for each in others))
    total = as_number(first, "*difference")
    for each in others:
        total = _CONTEXT.subtract(total, as_number(each, "*difference"))
    return total


def _multiply(value: Parsers, scope: Scope, path: Path) -> object:
    first, *others = _operands(value, scope)
    total = as_number(first, "*multiply")
    for each in others:
        total = _CONTEXT.multiply(total, as_number(each, "*multiply"))
    return Duration(int(total)) if isinstance(first, Duration) else total


def _divide(value: Parsers, scope: Scope, path: Path) -> object:
    first, *others = _operands(value, scope)
    total = as_number(first, "*divide")
    whole = isinstance(first, int)
    for each in others:
        by = as_number(each, "*divide")
        if not by:
            raise EventError("charging.convert", "*divide by 0")
        # Whole numbers are divided as Go divides them: what is left over is cut off.
        divide = _CONTEXT.divide_int if whole else _CONTEXT.divide
        total = divide(total, by)
    return Duration(int(total)) if isinstance(first, Duration) else total


Compute = Callable[[Parsers, Scope, Path], object]
TYPES: Final[Mapping[str, tuple[Compute, int, int]]] = MappingProxyType(
    {
        "*constant": (_variable, 0, 0),
        "*variable": (_variable, 1, 0),
        "*composed": (_composed, 1, 0),
        "*prefix": (_affix(before=True), 1, 0),
        "*suffix": (_affix(before=False), 1, 0),
        "*usage_difference": (_usage_difference, 2, 2),
        "*value_exponent": (_value_exponent, 2, 2),
        "*cc_usage": (_cc_usage, 3, 3),
        "*unix_timestamp": (_unix_timestamp, 1, 0),
        "*datetime": (_datetime, 1, 0),
        "*sipcid": (_sipcid, 1, 0),
        "*sip_cid": (_sipcid, 1, 0),
        "*sum": (_sum, 2, 0),
        "*difference": (_difference, 2, 0),
        "*multiply": (_multiply, 2, 0),
        "*divide": (_divide, 2, 0),
    }
)
"""Every type: what it computes, and how many values it takes, from and to (0: any number)."""
_ELSEWHERE: Final = {"*subtract": "the reference calls it *difference"}
_ROOTS: Final = ("*req", "*opts", "*vars")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One change: ``type`` applied to ``value`` is written to ``path``."""

    path: Path
    type: str
    value: Parsers = field(repr=False)
    condition: Condition = field(default=ALWAYS_HOLDS, repr=False)
    source: Source | None = None

    @classmethod
    def make(
        cls,
        path: str,
        type_: str,
        value: Parsers,
        condition: Condition = ALWAYS_HOLDS,
        source: Source | None = None,
    ) -> Attribute:
        """Checked; an empty type is ``*variable``.

        Raises:
            DecodeError: ``charging.attribute-type``, ``charging.attribute-value`` or
                ``charging.path``.
        """
        type_ = type_ or "*variable"
        if type_ not in TYPES:
            hint = _ELSEWHERE.get(type_, f"choose of {', '.join(TYPES)}")
            raise DecodeError(
                "charging.attribute-type", f"there is no attribute type {type_!r}; {hint}"
            )
        _, low, high = TYPES[type_]
        if len(value) < low or (high and len(value) > high):
            count = f"{low} values" if low == high else f"{low} values or more"
            raise DecodeError("charging.attribute-value", f"{type_} takes {count}, separated by ;")
        if type_ == "*constant" and value.roots():
            raise DecodeError(
                "charging.attribute-value",
                "a *constant looks nothing up: write *variable for a value with ~",
            )
        target = Path.parse(path)
        if path.startswith("~") or (
            target != Path("*tenant") and (target.root not in _ROOTS or not target.steps)
        ):
            raise DecodeError(
                "charging.path",
                f"{path[:60]!r} cannot be written: write *req.Field, *opts.field or *tenant",
            )
        return cls(target, type_, value, condition, source)

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "FilterIDs": [each.id for each in self.condition.filters],
            "Path": str(self.path),
            "Type": self.type,
            "Value": [{"Rules": parser.source} for parser in self.value.parsers],
        }

    def compute(self, scope: Scope) -> str:
        """The text that is to be written.

        Raises:
            EventError: a field is not there, or is not what the type needs.
        """
        return to_text(TYPES[self.type][0](self.value, scope, self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeProfile:
    """Attributes.csv: all rows of one tenant and ID."""

    tenant: str
    id: str
    contexts: tuple[str, ...] = ()
    """Empty, or with ``*any``: every context."""
    filter_ids: tuple[str, ...] = ()
    condition: Condition = field(default=ALWAYS_HOLDS, repr=False)
    activation: Activation = ALWAYS
    attributes: tuple[Attribute, ...] = ()
    blocker: bool = False
    weight: Decimal = Decimal(0)
    source: Source | None = None

    def in_context(self, context: str) -> bool:
        """Whether it counts in a context."""
        return not self.contexts or ANY in self.contexts or context in self.contexts

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "Tenant": self.tenant,
            "ID": self.id,
            "Contexts": list(self.contexts) or [ANY],
            "FilterIDs": list(self.filter_ids),
            "ActivationInterval": activation_reply(self.activation),
            "Attributes": [each.as_reply() for each in self.attributes],
            "Blocker": self.blocker,
            "Weight": self.weight,
        }

    @classmethod
    def inline(cls, tenant: str, text: str, source: Source | None = None) -> AttributeProfile:
        """``*constant:*req.RequestType:*rated;*sum:*req.Units:1&~*req.Extra``.

        Raises:
            DecodeError: ``charging.attribute-inline``, or as `Attribute.make`.
        """
        attributes: list[Attribute] = []
        for rule in split(text):
            parts = rule.split(":", 2)
            if len(parts) < 3:
                raise DecodeError(
                    "charging.attribute-inline",
                    f"{rule[:80]!r} is no attribute: write *type:*req.Field:value",
                )
            type_, path, value = parts
            attributes.append(Attribute.make(path, type_, parse(value, "&"), source=source))
        return cls(tenant=tenant, id=text, attributes=tuple(attributes), source=source)


@dataclass(frozen=True, slots=True)
class Result:
    """AttributeSv1.ProcessEvent's answer."""

    event: Event
    matched_profiles: tuple[str, ...]
    """In the order in which they ran."""
    altered_fields: tuple[str, ...]
    """Paths, ``*req.Subject``, in the order in which they were first changed."""

    @property
    def digest(self) -> str:
        """``Account:1001,Subject:dan``: the altered fields that are still there."""
        names = (path.removeprefix("*req.") for path in self.altered_fields)
        return ",".join(
            f"{name}:{self.event.text(name)}" for name in names if name in self.event.fields
        )

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "MatchedProfiles": list(self.matched_profiles),
            "AlteredFields": list(self.altered_fields),
            **self.event.as_reply(),
        }


@lru_cache(maxsize=1_024)
def _inline(tenant: str, text: str) -> AttributeProfile:
    return AttributeProfile.inline(tenant, text)


class _Draft:
    """An event while it is changed: copies of what is written to, and nothing else."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.tenant = event.tenant_or_default
        self.roots: dict[str, dict[str, object]] = {
            "*req": dict(event.fields),
            "*opts": dict(event.opts),
            "*vars": {},
        }

    def scope(self, now: datetime, sources: Sources | None) -> Scope:
        scope = Scope(self.event, now, sources)
        scope.tenant = self.tenant
        scope.roots.update(self.roots)
        return scope

    def copy(self) -> _Draft:
        other = _Draft(self.event)
        other.tenant = self.tenant
        other.roots = {name: dict(fields) for name, fields in self.roots.items()}
        return other

    def write(self, path: Path, text: str) -> None:
        fields = self.roots[path.root]
        *between, last = path.steps
        for step in between:
            inner = fields.get(step)
            if isinstance(inner, list | tuple):
                raise EventError(
                    "charging.field", f"{path} leads into a list, which nothing writes"
                )
            fields[step] = inner = dict(inner) if isinstance(inner, Mapping) else {}
            fields = inner
        fields[last] = text

    def remove(self, path: Path) -> None:
        fields = self.roots[path.root]
        *between, last = path.steps
        for step in between:
            inner = fields.get(step)
            if not isinstance(inner, Mapping):
                return
            fields[step] = inner = dict(inner)
            fields = inner
        fields.pop(last, None)

    def finished(self) -> Event:
        return Event(
            tenant=self.tenant,
            id=self.event.id,
            time=self.event.time,
            fields=self.roots["*req"],
            opts=self.roots["*opts"],
        )


class Attributes:
    """All attribute profiles."""

    def __init__(self, profiles: Iterable[AttributeProfile] = ()) -> None:
        self.selection: Selection[AttributeProfile] = Selection(profiles)

    @classmethod
    def from_rows(cls, rows: Iterable[AttributeRow], filters: Filters) -> Attributes:
        """The profiles of Attributes.csv.

        Raises:
            ProfilesError: everything that is wrong, with file and line.
        """
        problems: list[Problem] = []
        merged: dict[tuple[str, str], list[AttributeRow]] = {}
        for row in rows:
            merged.setdefault((row.tenant, row.id), []).append(row)
        profiles = [_profile(key, held, filters, problems) for key, held in merged.items()]
        if problems:
            raise ProfilesError(problems)
        return cls(profiles)

    def profile(self, tenant: str, profile_id: str) -> AttributeProfile | None:
        """A stored profile, or the one that ``profile_id`` spells out.

        Raises:
            EventError: ``charging.attribute-inline``: it spells out none.
        """
        if not profile_id.startswith("*"):
            return self.selection.get(tenant, profile_id)
        try:
            return _inline(tenant, profile_id)
        except DecodeError as error:
            raise EventError(error.code, error.message) from None

    def for_event(
        self,
        event: Event,
        now: datetime,
        *,
        context: str = "",
        sources: Sources | None = None,
        trace: list[Judged] | None = None,
    ) -> AttributeProfile | None:
        """AttributeSv1.GetAttributeForEvent: the profile that would change the event.

        Raises:
            EventError: a filter cannot be judged.
        """
        scope = Scope(event, now, sources, vars={"*processRuns": 0})
        return self._choose(scope, event.time or now, context, "", trace)

    def _choose(
        self, scope: Scope, at: datetime, context: str, last: str, trace: list[Judged] | None
    ) -> AttributeProfile | None:
        context = context or DEFAULT_CONTEXT

        def passed_over(profile: AttributeProfile) -> Verdict | None:
            if not profile.in_context(context):
                return Verdict.CONTEXT
            return Verdict.LAST if profile.id == last else None

        return self.selection.first(scope, at, trace, passed_over)

    def _named(
        self, scope: Scope, profile_ids: Sequence[str], last: str, trace: list[Judged] | None
    ) -> AttributeProfile | None:
        found = (self.profile(scope.tenant, profile_id) for profile_id in profile_ids)
        named = sorted((each for each in found if each is not None), key=lambda p: -p.weight)
        for number, profile in enumerate(named):
            findings: list[Finding] | None = None if trace is None else []
            verdict = Verdict.LAST if profile.id == last else Verdict.MATCHED
            if verdict is Verdict.MATCHED and not profile.condition.holds(scope, findings):
                verdict = Verdict.FILTERED
            if trace is not None:
                trace.append(Judged(profile.id, verdict, tuple(findings or ())))
            if verdict is Verdict.MATCHED:
                if trace is not None:
                    trace += [Judged(p.id, Verdict.LOWER_WEIGHT) for p in named[number + 1 :]]
                return profile
        return None

    def process(
        self,
        event: Event,
        now: datetime,
        *,
        context: str = "",
        profile_ids: Sequence[str] = (),
        process_runs: int = 1,
        sources: Sources | None = None,
        trace: list[Judged] | None = None,
    ) -> Result:
        """AttributeSv1.ProcessEvent: the event, changed by what matches.

        ``profile_ids`` names the profiles that come into question; their filters must hold, their
        contexts and intervals do not count. ``trace`` gets the judgements of the last run.

        Raises:
            EventError: ``charging.not-found`` where nothing matches (``NOT_FOUND``) or a field that
                the first run needs is not there; ``charging.mandatory`` where a field is still
                ``*attributes`` afterwards (``MANDATORY_IE_MISSING``).
        """
        draft = _Draft(event)
        matched: list[str] = []
        altered: dict[str, None] = {}
        at = event.time or now
        for run in range(process_runs):
            variables = draft.roots["*vars"]
            variables["*processRuns"] = run + 1
            variables["*processedProfileIDs"] = list(matched)
            scope = draft.scope(now, sources)
            last = matched[-1] if matched else ""
            if trace is not None:
                trace.clear()
            if profile_ids:
                profile = self._named(scope, profile_ids, last, trace)
            else:
                profile = self._choose(scope, at, context, last, trace)
            if profile is None:
                break
            variables["*attrPrfTenantID"] = f"{profile.tenant}:{profile.id}"
            changed = draft.copy()
            try:
                paths = _apply(profile, changed, now, sources)
            except _NotFoundError:
                if run:
                    break
                raise
            draft = changed
            matched.append(profile.id)
            altered |= dict.fromkeys(paths)
            if profile.blocker:
                break
        result = draft.finished()
        unanswered = [name for name, value in result.fields.items() if value == "*attributes"]
        if unanswered:
            raise EventError(
                "charging.mandatory",
                f"{unanswered[0]} is to come from *attributes, but no profile set it",
                reference=f"MANDATORY_IE_MISSING: [{unanswered[0]}]",
            )
        if not matched:
            raise EventError(
                "charging.not-found",
                f"no attribute profile of {draft.tenant} matches "
                f"in the context {context or DEFAULT_CONTEXT}",
                reference="NOT_FOUND",
            )
        return Result(result, tuple(matched), tuple(altered))


def _apply(
    profile: AttributeProfile, draft: _Draft, now: datetime, sources: Sources | None
) -> list[str]:
    """Change the draft; the paths that were changed."""
    paths: list[str] = []
    scope = draft.scope(now, sources)
    for attribute in profile.attributes:
        if not attribute.condition.holds(scope):
            continue
        text = attribute.compute(scope)
        paths.append(str(attribute.path))
        if attribute.path.root == "*tenant":
            draft.tenant = scope.tenant = text
        elif text == REMOVE:
            draft.remove(attribute.path)
        else:
            draft.write(attribute.path, text)
    return paths


def _profile(
    key: tuple[str, str],
    rows: Sequence[AttributeRow],
    filters: Filters,
    problems: list[Problem],
) -> AttributeProfile:
    tenant, profile_id = key
    attributes: list[Attribute] = []
    contexts: dict[str, None] = {}
    filter_ids: dict[str, None] = {}
    conditions: list[Condition] = []
    activation = ALWAYS
    for row in rows:
        contexts |= dict.fromkeys(row.contexts)
        if row.activation != ALWAYS:
            activation = row.activation
        try:
            fresh = [each for each in row.filters if each not in filter_ids]
            filter_ids |= dict.fromkeys(fresh)
            conditions.append(filters.condition(tenant, fresh, row.source))
            if row.path:
                condition = filters.condition(tenant, row.attribute_filters, row.source)
                attributes.append(
                    Attribute.make(row.path, row.type, parse(row.value), condition, row.source)
                )
            elif row.type or row.value or row.attribute_filters:
                raise DecodeError(
                    "charging.path", "an attribute needs a Path, such as *req.Subject"
                )
        except DecodeError as error:
            message = f"attribute profile {profile_id}: {error.message}"
            problems.append(Problem(error.code, message, row.source))
    return AttributeProfile(
        tenant=tenant,
        id=profile_id,
        contexts=tuple(contexts),
        filter_ids=tuple(filter_ids),
        condition=Condition(tuple(each for held in conditions for each in held.filters)),
        activation=activation,
        attributes=tuple(attributes),
        blocker=any(row.blocker for row in rows),
        weight=next((row.weight for row in reversed(rows) if row.weight), Decimal(0)),
        source=rows[0].source,
    )
