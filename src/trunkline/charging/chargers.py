"""ChargerS: how often, and as what, an event is charged.

Each profile that matches makes one run: a copy of the event with the profile's ``RunID``, changed
by attributes (those of AttributeS in the context ``*chargers``, those named, or ``*none``).
Without a profile that matches nothing is charged: ``NOT_FOUND``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from trunkline.charging.attributes import AttributeProfile, Attributes
from trunkline.charging.event import Event, EventError, Scope, Sources
from trunkline.charging.filters import (
    ALWAYS_HOLDS,
    Condition,
    Filters,
    ProfilesError,
    activation_reply,
)
from trunkline.charging.rows import ALWAYS, Activation, ChargerRow
from trunkline.charging.selection import Judged, Selection
from trunkline.errors import DecodeError
from trunkline.rating.errors import Problem, Source
from trunkline.rating.model import DEFAULT_TENANT

__all__ = ["NONE", "ChargerProfile", "Chargers", "Run"]

NONE: Final = "*none"
"""The attribute ID of a charger that changes nothing."""
CONTEXT: Final = "*chargers"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerProfile:
    """Chargers.csv: all rows of one tenant and ID."""

    tenant: str
    id: str
    filter_ids: tuple[str, ...] = ()
    condition: Condition = field(default=ALWAYS_HOLDS, repr=False)
    activation: Activation = ALWAYS
    run_id: str = ""
    attribute_ids: tuple[str, ...] = ()
    weight: Decimal = Decimal(0)
    source: Source | None = None

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "Tenant": self.tenant,
            "ID": self.id,
            "FilterIDs": list(self.filter_ids),
            "ActivationInterval": activation_reply(self.activation),
            "RunID": self.run_id,
            "AttributeIDs": list(self.attribute_ids),
            "Weight": self.weight,
        }


@dataclass(frozen=True, slots=True)
class Run:
    """One entry of ChargerSv1.ProcessEvent's answer."""

    profile: ChargerProfile
    event: Event
    attribute_profiles: tuple[str, ...] = ()
    altered_fields: tuple[str, ...] = ()

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "ChargerSProfile": self.profile.id,
            "AttributeSProfiles": list(self.attribute_profiles) or None,
            "AlteredFields": list(self.altered_fields),
            "CGREvent": self.event.as_reply(),
        }


class Chargers:
    """All charger profiles."""

    def __init__(
        self, profiles: Iterable[ChargerProfile] = (), attributes: Attributes | None = None
    ) -> None:
        self.selection: Selection[ChargerProfile] = Selection(profiles)
        self.attributes = Attributes() if attributes is None else attributes

    @classmethod
    def from_rows(
        cls, rows: Iterable[ChargerRow], filters: Filters, attributes: Attributes
    ) -> Chargers:
        """The profiles of Chargers.csv.

        Raises:
            ProfilesError: everything that is wrong, with file and line; an attribute profile that
                is not there among it.
        """
        problems: list[Problem] = []
        merged: dict[tuple[str, str], list[ChargerRow]] = {}
        for row in rows:
            merged.setdefault((row.tenant, row.id), []).append(row)
        profiles = [
            _profile(key, held, filters, attributes, problems) for key, held in merged.items()
        ]
        if problems:
            raise ProfilesError(problems)
        return cls(profiles, attributes)

    def for_event(
        self,
        event: Event,
        now: datetime,
        *,
        sources: Sources | None = None,
        trace: list[Judged] | None = None,
    ) -> list[ChargerProfile]:
        """ChargerSv1.GetChargersForEvent: those that match, the heaviest first.

        Raises:
            EventError: ``charging.not-found`` where none does (``NOT_FOUND``), or a filter cannot
                be judged.
        """
        scope = Scope(event, now, sources)
        found = list(self.selection.matching(scope, event.time or now, trace))
        if not found:
            raise EventError(
                "charging.not-found",
                f"no charger of {scope.tenant} matches, so nothing would be charged; a charger "
                "without filters matches every event",
                reference="NOT_FOUND",
            )
        return found

    def process(
        self,
        event: Event,
        now: datetime,
        *,
        sources: Sources | None = None,
        trace: list[Judged] | None = None,
    ) -> list[Run]:
        """ChargerSv1.ProcessEvent: one run for each charger that matches, the heaviest first.

        Raises:
            EventError: as `for_event`, or what an attribute cannot do; that no attribute profile
                matches is no error.
        """
        return [
            self._run(profile, event, now, sources)
            for profile in self.for_event(event, now, sources=sources, trace=trace)
        ]

    def _run(
        self, profile: ChargerProfile, event: Event, now: datetime, sources: Sources | None
    ) -> Run:
        clone = Event(
            tenant=event.tenant or DEFAULT_TENANT,
            id=event.id,
            time=event.time,
            fields={**event.fields, "RunID": profile.run_id},
            opts={**event.opts, "*subsys": CONTEXT},
        )
        altered = ("*req.RunID",)
        if profile.attribute_ids == (NONE,):
            return Run(profile, clone, altered_fields=altered)
        try:
            result = self.attributes.process(
                clone,
                now,
                context=CONTEXT,
                profile_ids=profile.attribute_ids,
                sources=sources,
            )
        except EventError as error:
            if error.reference != "NOT_FOUND":
                raise
            return Run(profile, clone, altered_fields=altered)
        return Run(profile, result.event, result.matched_profiles, altered + result.altered_fields)


def _joined(attribute_ids: Iterable[str]) -> list[str]:
    """Inline attributes that a list separator tore apart, put together again."""
    joined: list[str] = []
    for each in attribute_ids:
        if joined and joined[-1][:1] == each[:1] == "*":
            joined[-1] += f";{each}"
        else:
            joined.append(each)
    return joined


def _profile(
    key: tuple[str, str],
    rows: Sequence[ChargerRow],
    filters: Filters,
    attributes: Attributes,
    problems: list[Problem],
) -> ChargerProfile:
    tenant, profile_id = key
    filter_ids: dict[str, None] = {}
    attribute_ids: dict[str, None] = {}
    conditions: list[Condition] = []
    activation = ALWAYS
    run_id, weight = "", Decimal(0)
    for row in rows:
        run_id, weight = row.run_id or run_id, row.weight or weight
        if row.activation != ALWAYS:
            activation = row.activation
        try:
            fresh = [each for each in row.filters if each not in filter_ids]
            filter_ids |= dict.fromkeys(fresh)
            conditions.append(filters.condition(tenant, fresh, row.source))
            if NONE in row.attributes and len(row.attributes) > 1:
                raise DecodeError(
                    "charging.attribute-value",
                    f"{NONE} stands alone: take the others out",
                )
            for each in _joined(row.attributes):
                attribute_ids[each] = None
                if each == NONE:
                    continue
                if each.startswith("*"):
                    AttributeProfile.inline(tenant, each)
                elif attributes.selection.get(tenant, each) is None:
                    raise DecodeError(
                        "charging.attribute-unknown",
                        f"there is no attribute profile {each!r} of {tenant}; add it to "
                        "Attributes.csv",
                    )
        except DecodeError as error:
            message = f"charger {profile_id}: {error.message}"
            problems.append(Problem(error.code, message, row.source))
    return ChargerProfile(
        tenant=tenant,
        id=profile_id,
        filter_ids=tuple(filter_ids),
        condition=Condition(tuple(each for held in conditions for each in held.filters)),
        activation=activation,
        run_id=run_id,
        attribute_ids=tuple(attribute_ids),
        weight=weight,
        source=rows[0].source,
    )
