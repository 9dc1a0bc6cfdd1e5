"""The rules by which events are charged, and what they ask of the tariff that counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from typing import Protocol, TypeVar

from trunkline.charging.attributes import Attributes
from trunkline.charging.chargers import Chargers
from trunkline.charging.filters import Filters, ProfilesError
from trunkline.charging.groups import SharedGroup, shared_groups
from trunkline.charging.route_sources import AccountUsage, PlanCost, TariffCosts
from trunkline.charging.routes import Routes
from trunkline.charging.rows import ActionPlanRow, ActionRow, ActionTriggerRow
from trunkline.charging.triggers import named
from trunkline.charging.unkept import unkept
from trunkline.config.cgrates import ChargingRows
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.rating.call import Call
from trunkline.rating.errors import Problem
from trunkline.rating.model import DEFAULT_TENANT, Timing
from trunkline.rating.tariff import Tariff

__all__ = ["EventSources", "Profiles"]


@dataclass(frozen=True, slots=True)
class Profiles:
    """The rules by which events are charged."""

    attributes: Attributes = field(default_factory=Attributes)
    chargers: Chargers = field(default_factory=Chargers)
    routes: Routes = field(default_factory=Routes)
    filters: Filters = field(default_factory=Filters)
    groups: Mapping[str, SharedGroup] = field(default_factory=dict)
    timings: Mapping[str, Timing] = field(default_factory=dict)
    actions: Mapping[str, Sequence[ActionRow]] = field(default_factory=dict)
    """Those of Actions.csv by their ID; so too the next."""
    plans: Mapping[str, Sequence[ActionPlanRow]] = field(default_factory=dict)
    triggers: Mapping[str, Sequence[ActionTriggerRow]] = field(default_factory=dict)

    rows: ChargingRows = field(default_factory=ChargingRows, repr=False)
    """What they were made of."""

    @classmethod
    def of_rows(
        cls, rows: ChargingRows, tariffs: Tariffs, known: Profiles | None = None
    ) -> Profiles:
        """Those of a folder; routes are priced by what counts in ``tariffs``.

        ``known`` ones, priced by the same, lend what the rows have not changed.

        Raises:
            ProfilesError: everything that is wrong with them.
        """
        before = known or cls()
        filters, attributes = before.filters, before.attributes
        chargers, routes = before.chargers, before.routes
        if known is None or rows.filters != before.rows.filters:
            filters = Filters.from_rows(rows.filters)
        if filters is not before.filters or rows.attributes != before.rows.attributes:
            same = attributes if filters is before.filters else None
            attributes = Attributes.from_rows(rows.attributes, filters, known=same)
        if attributes is not before.attributes or rows.chargers != before.rows.chargers:
            chargers = Chargers.from_rows(rows.chargers, filters, attributes)
        if filters is not before.filters or rows.routes != before.rows.routes:
            routes = Routes.from_rows(rows.routes, filters, costs=_Costs(tariffs))
        actions, plans = _by_id(rows.actions), _by_id(rows.action_plans)
        triggers = {name: named(held) for name, held in _by_id(rows.action_triggers).items()}
        problems = [
            Problem(
                "charging.actions-unknown",
                f"{what} {row.id}: there are no actions {row.actions_id!r}",
                row.source,
            )
            for what, held in (("action plan", plans), ("action trigger", triggers))
            for of_id in held.values()
            for row in of_id
            if row.actions_id and row.actions_id not in actions
        ]
        problems += unkept(
            () if attributes is before.attributes else attributes.selection,
            () if chargers is before.chargers else chargers.selection,
            () if routes is before.routes else routes.selection,
        )
        if problems:
            raise ProfilesError(problems)
        return cls(
            filters=filters,
            attributes=attributes,
            actions=actions,
            plans=plans,
            triggers=triggers,
            chargers=chargers,
            routes=routes,
            groups=shared_groups(rows.shared_groups),
            timings=rows.timings,
            rows=rows,
        )


class _Row(Protocol):
    @property
    def id(self) -> str: ...


_R = TypeVar("_R", bound=_Row)


def _by_id(rows: Iterable[_R]) -> dict[str, list[_R]]:
    found: dict[str, list[_R]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row)
    return found


class _Costs:
    """What routes ask of prices: those of the tariff that counts when they ask."""

    def __init__(self, tariffs: Tariffs) -> None:
        self._tariffs = tariffs

    def _now(self) -> TariffCosts:
        return TariffCosts(self._tariffs.tariff, self._tariffs.precision)

    def on_plans(self, call: Call, plan_ids: Sequence[str]) -> PlanCost:
        return self._now().on_plans(call, plan_ids)

    def of_event(self, call: Call) -> Decimal:
        return self._now().of_event(call)

    def on_accounts(self, call: Call, account_ids: Sequence[str]) -> AccountUsage | None:
        return self._now().on_accounts(call, account_ids)


class EventSources:
    """What filters ask beside the event, out of a tariff and the timings of profiles."""

    def __init__(self, tariff: Tariff, timings: Mapping[str, Timing]) -> None:
        self._tariff = tariff
        self._timings = timings

    def zone(self, tenant: str) -> tzinfo:
        """The time zone of a tenant."""
        return self._tariff.zone(tenant or DEFAULT_TENANT)

    def timing(self, tenant: str, timing_id: str) -> Timing | None:
        """A timing by its ID."""
        return self._timings.get(timing_id)

    def destinations(self, tenant: str, number: str) -> Collection[str]:
        """The IDs of the destinations that a number is in."""
        found: list[str] = []
        index = self._tariff.index
        for length in index.lengths:
            tags = index.prefixes.get(number[:length], ()) if length <= len(number) else ()
            found += (tags,) if isinstance(tags, str) else tags
        return found

    def item(self, tenant: str, kind: str, item_id: str) -> Mapping[str, object] | None:
        """What a resource, statistic or threshold says: there are none yet."""
        raise NotImplementedError(kind)
