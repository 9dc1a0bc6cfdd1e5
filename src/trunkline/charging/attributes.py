"""AttributeS: what is changed in an event before it is charged.

Of the profiles that match in a context (``*sessions``, ``*cdrs``, ``*chargers`` …) the heaviest
changes the event, one attribute after another, each seeing what those before it did. With several
process runs the changed event is matched again, until nothing matches, a profile that blocks has
run, or the runs are used up; the profile that ran last does not run twice in a row.

What the types compute is in `trunkline.charging.attribute_types`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from trunkline.charging.attribute_types import TYPES, NotFoundError
from trunkline.charging.event import (
    Event,
    EventError,
    Path,
    Scope,
    Sources,
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
        try:
            return to_text(TYPES[self.type][0](self.value, scope, self.path))
        except (ArithmeticError, ValueError) as problem:  # beyond the calendar, or all digits
            raise EventError(
                "charging.convert", f"{self.type} for {self.path} comes to nothing: {problem}"
            ) from None


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
        self._rows: Mapping[tuple[str, str], Sequence[AttributeRow]] = {}

    @classmethod
    def from_rows(
        cls, rows: Iterable[AttributeRow], filters: Filters, *, known: Attributes | None = None
    ) -> Attributes:
        """The profiles of Attributes.csv.

        ``known`` ones, with the same ``filters``, lend each profile whose rows are the same.

        Raises:
            ProfilesError: everything that is wrong, with file and line.
        """
        problems: list[Problem] = []
        merged: dict[tuple[str, str], list[AttributeRow]] = {}
        for row in rows:
            merged.setdefault((row.tenant, row.id), []).append(row)
        profiles: list[AttributeProfile] = []
        for key, held in merged.items():
            same = known.selection.get(*key) if known and known._rows.get(key) == held else None
            profiles.append(same or _profile(key, held, filters, problems))
        if problems:
            raise ProfilesError(problems)
        made = cls(profiles)
        made._rows = merged
        return made

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
            except NotFoundError:
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
