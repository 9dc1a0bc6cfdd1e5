"""Which profiles match an event: the heaviest first, found by an index and not by a scan.

Every profile whose filters include a rule that can be looked up (``*string``, ``*prefix`` or
``*exists`` of a field, with constants, not negated) is filed under the one of those rules that the
fewest profiles share, and that rule is judged first. So the index leaves out only profiles whose
first rule fails, and the answer (refusals included) is that of a scan. Profiles without such a rule
are looked at each time, as are those without filters, and those whose rule is of a filter that is
out of its activation interval and so is passed over.

The reference indexes what its configuration lists, finds the longest prefix only, and does not see
a profile without an indexed field; none of that changes an answer here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from heapq import merge
from typing import Generic, Protocol, TypeAlias, TypeVar

from trunkline.charging.event import MISSING, Path, Scope, to_text
from trunkline.charging.filters import Condition, Finding, Rule, active_at
from trunkline.charging.rows import ALWAYS, Activation

__all__ = ["Judged", "Profile", "Selection", "Verdict"]


class Profile(Protocol):
    """What every kind of profile has."""

    @property
    def tenant(self) -> str:
        """Whose it is."""

    @property
    def id(self) -> str:
        """Unique in the tenant."""

    @property
    def condition(self) -> Condition:
        """Its filters."""

    @property
    def activation(self) -> Activation:
        """From when to when it counts."""

    @property
    def weight(self) -> Decimal:
        """The heaviest counts first."""


P = TypeVar("P", bound=Profile)


class Verdict(StrEnum):
    """Why a profile matched an event, or did not."""

    MATCHED = "profile.matched"
    INACTIVE = "profile.inactive"
    FILTERED = "profile.filtered"
    CONTEXT = "profile.context"
    LOWER_WEIGHT = "profile.lower-weight"
    LAST = "profile.last"


@dataclass(frozen=True, slots=True)
class Judged:
    """What was decided about one profile, and by which rules."""

    profile: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.profile} [{self.verdict}]"]
        lines += [f"  {finding}" for finding in self.findings]
        return "\n".join(lines)


_Bucket: TypeAlias = "tuple[str, Path, str]"


def _buckets(rule: Rule) -> list[_Bucket]:
    key = rule.key
    assert key is not None
    if key.kind == "*exists":
        return [(key.kind, key.path, "")]
    return [(key.kind, key.path, value) for value in dict.fromkeys(key.values)]


class _Tenant:
    """The profiles of one tenant by number: in the order of their weight, then of their rows."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        population: dict[_Bucket, int] = {}
        indexable = [
            [(each, rule, _buckets(rule)) for each, rule in condition.indexable()]
            for condition in conditions
        ]
        for found in indexable:
            for _, _, buckets in found:
                for bucket in buckets:
                    population[bucket] = population.get(bucket, 0) + 1
        self.conditions: list[Condition] = []
        self.always: list[int] = []
        self.strings: dict[Path, dict[str, list[int]]] = {}
        self.prefixes: dict[Path, dict[str, list[int]]] = {}
        self.exists: dict[Path, list[int]] = {}
        self.intervals: dict[Activation, list[int]] = {}
        for number, (condition, found) in enumerate(zip(conditions, indexable, strict=True)):
            if not found:
                self.always.append(number)
                self.conditions.append(condition)
                continue
            each, rule, buckets = min(found, key=lambda of: sum(population[b] for b in of[2]))
            self.conditions.append(condition.led_by(each, rule))
            if each.activation != ALWAYS:
                self.intervals.setdefault(each.activation, []).append(number)
            for kind, path, value in buckets:
                if kind == "*exists":
                    self.exists.setdefault(path, []).append(number)
                else:
                    table = self.strings if kind == "*string" else self.prefixes
                    table.setdefault(path, {}).setdefault(value, []).append(number)
        self.lengths = {
            path: sorted({len(prefix) for prefix in table}) for path, table in self.prefixes.items()
        }

    def candidates(self, scope: Scope) -> Iterator[int]:
        """The numbers of those that may match, in order, each once."""
        found = [self.always] if self.always else []
        for path, strings in self.strings.items():
            value = scope.find(path)
            if value is not MISSING and (held := strings.get(to_text(value))) is not None:
                found.append(held)
        for path, prefixes in self.prefixes.items():
            value = scope.find(path)
            if value is not MISSING:
                text = to_text(value)
                for length in self.lengths[path]:
                    if length > len(text):
                        break
                    if (held := prefixes.get(text[:length])) is not None:
                        found.append(held)
        for path, numbers in self.exists.items():
            if scope.find(path) is not MISSING:
                found.append(numbers)
        for activation, numbers in self.intervals.items():
            if not active_at(activation, scope.now):
                found.append(numbers)
        if len(found) == 1:
            return iter(found[0])
        return _unique(merge(*found))


def _unique(numbers: Iterable[int]) -> Iterator[int]:
    last = -1
    for number in numbers:
        if number != last:
            last = number
            yield number


class Selection(Generic[P]):
    """All profiles of one kind, of all tenants."""

    def __init__(self, profiles: Iterable[P]) -> None:
        self._profiles: dict[str, list[P]] = {}
        self._by_id: dict[tuple[str, str], P] = {}
        for profile in profiles:
            self._profiles.setdefault(profile.tenant, []).append(profile)
            self._by_id[profile.tenant, profile.id] = profile
        self._tenants: dict[str, _Tenant] = {}
        for tenant, held in self._profiles.items():
            held.sort(key=lambda each: -each.weight)
            self._tenants[tenant] = _Tenant([each.condition for each in held])

    def get(self, tenant: str, profile_id: str) -> P | None:
        """The profile of that ID."""
        return self._by_id.get((tenant, profile_id))

    def __iter__(self) -> Iterator[P]:
        """All profiles of all tenants."""
        return iter(self._by_id.values())

    def profiles(self, tenant: str) -> Sequence[P]:
        """All profiles of a tenant, the heaviest first."""
        return self._profiles.get(tenant, ())

    def matching(
        self,
        scope: Scope,
        at: datetime,
        trace: list[Judged] | None = None,
        *,
        indexed: bool = True,
    ) -> Iterator[P]:
        """Those whose filters the event meets and that are active at ``at``, the heaviest first.

        With a ``trace`` every profile is judged and written down; without one only those that the
        index leaves, and of those as many as are asked for. ``indexed`` is there to test the index.

        Raises:
            EventError: a rule cannot be judged.
        """
        held = self._tenants.get(scope.tenant)
        if held is None:
            return
        profiles = self._profiles[scope.tenant]
        everyone = trace is not None or not indexed
        numbers = iter(range(len(profiles))) if everyone else held.candidates(scope)
        for number in numbers:
            profile = profiles[number]
            if not active_at(profile.activation, at):
                if trace is not None:
                    trace.append(Judged(profile.id, Verdict.INACTIVE))
                continue
            findings: list[Finding] | None = None if trace is None else []
            holds = held.conditions[number].holds(scope, findings)
            if trace is not None:
                verdict = Verdict.MATCHED if holds else Verdict.FILTERED
                trace.append(Judged(profile.id, verdict, tuple(findings or ())))
            if holds:
                yield profile

    def first(
        self,
        scope: Scope,
        at: datetime,
        trace: list[Judged] | None = None,
        passed_over: Callable[[P], Verdict | None] | None = None,
    ) -> P | None:
        """The heaviest that matches, but for those that ``passed_over`` has a verdict on.

        Those lighter than the one found are not judged; the ``trace`` says so of each.

        Raises:
            EventError: as `matching`.
        """
        for profile in self.matching(scope, at, trace):
            verdict = None if passed_over is None else passed_over(profile)
            if verdict is None:
                if trace is not None:
                    judged = {each.profile for each in trace}
                    trace += [
                        Judged(each.id, Verdict.LOWER_WEIGHT)
                        for each in self.profiles(scope.tenant)
                        if each.id not in judged
                    ]
                return profile
            if trace is not None:
                trace[-1] = Judged(profile.id, verdict, trace[-1].findings)
        return None
