"""``APIerSv1``: filters and profiles, as an operator sets, reads and removes them.

What is set is made into the rows that a file would have of it (`RuleBook`), so that the same code
checks both. The older names of route profiles (``SupplierProfile``) have the older names of their
fields, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trunkline.charging.filters import ProfilesError
from trunkline.charging.rows import (
    ALWAYS,
    Activation,
    AttributeRow,
    ChargerRow,
    FilterRow,
    RouteRow,
)
from trunkline.elements.charging.arguments import Instant
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.profiles import as_suppliers
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.replies import as_json
from trunkline.elements.charging.rulebook import Row
from trunkline.jsonrpc import Json
from trunkline.jsonrpc.messages import INVALID_PARAMS
from trunkline.rating.model import DEFAULT_TENANT

__all__ = ["Changes", "refusing_rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationInterval:
    """From when to when; the year 1 is no bound."""

    activation_time: Instant | None = None
    expiry_time: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRule:
    """One rule of a filter."""

    type: str = ""
    element: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterArgs:
    """A filter."""

    tenant: str = ""
    id: str = ""
    rules: tuple[FilterRule, ...] = ()
    activation_interval: ActivationInterval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RSRParser:
    """A rule of an attribute's value."""

    rules: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeArgs:
    """One attribute."""

    filter_ids: tuple[str, ...] = ()
    path: str = ""
    type: str = ""
    value: tuple[RSRParser, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAttribute:
    """One attribute whose value is one text, as files have it."""

    filter_ids: tuple[str, ...] = ()
    path: str = ""
    type: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeProfileArgs:
    """An attribute profile."""

    tenant: str = ""
    id: str = ""
    contexts: tuple[str, ...] = ()
    filter_ids: tuple[str, ...] = ()
    activation_interval: ActivationInterval | None = None
    attributes: tuple[AttributeArgs, ...] = ()
    blocker: bool = False
    weight: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAttributeProfile:
    """An attribute profile whose values are texts."""

    tenant: str = ""
    id: str = ""
    contexts: tuple[str, ...] = ()
    filter_ids: tuple[str, ...] = ()
    activation_interval: ActivationInterval | None = None
    attributes: tuple[ExternalAttribute, ...] = ()
    blocker: bool = False
    weight: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerProfileArgs:
    """A charger profile."""

    tenant: str = ""
    id: str = ""
    filter_ids: tuple[str, ...] = ()
    activation_interval: ActivationInterval | None = None
    run_id: str = ""
    attribute_ids: tuple[str, ...] = ()
    weight: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry:
    """One route of a profile; ``SupplierParameters`` are its parameters by their older name."""

    id: str = ""
    filter_ids: tuple[str, ...] = ()
    account_ids: tuple[str, ...] = ()
    rating_plan_ids: tuple[str, ...] = ()
    resource_ids: tuple[str, ...] = ()
    stat_ids: tuple[str, ...] = ()
    weight: Decimal = Decimal(0)
    blocker: bool = False
    route_parameters: str = ""
    supplier_parameters: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteProfileArgs:
    """A route profile; ``Suppliers`` is the older name of its routes."""

    tenant: str = ""
    id: str = ""
    filter_ids: tuple[str, ...] = ()
    activation_interval: ActivationInterval | None = None
    sorting: str = ""
    sorting_parameters: tuple[str, ...] = ()
    routes: tuple[RouteEntry, ...] = ()
    suppliers: tuple[RouteEntry, ...] = ()
    weight: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantID:
    """Which one."""

    tenant: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaginatorWithTenant:
    """Whose, and how many of them."""

    tenant: str = ""
    limit: int | None = None
    offset: int | None = None


class _Reply(Protocol):
    def as_reply(self) -> dict[str, object]: ...


class Changes:
    """The rules of the engine, one by one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # filters

    @method("APIerSv1.SetFilter", mandatory=("ID",))
    async def set_filter(self, args: FilterArgs) -> Json:
        """Make a filter, or another of it."""
        tenant, activation = args.tenant or DEFAULT_TENANT, _activation(args.activation_interval)
        rows = [
            FilterRow(
                tenant=tenant,
                id=args.id,
                type=rule.type,
                element=rule.element,
                values=rule.values,
                activation=activation,
            )
            for rule in args.rules or (FilterRule(),)
        ]
        return await self._set("Filters", tenant, args.id, rows)

    @method("APIerSv1.GetFilter", mandatory=("ID",))
    def filter(self, args: TenantID) -> Json:
        """One filter."""
        tenant, filter_id = args.tenant or DEFAULT_TENANT, args.id
        if not filter_id.startswith("*") and not self._rows("Filters", tenant, filter_id):
            raise ApiError("NOT_FOUND")
        with refusing_rules():
            return as_json(self._engine.profiles.filters.get(tenant, filter_id).as_reply())

    @method("APIerSv1.GetFilterIDs")
    def filter_ids(self, args: PaginatorWithTenant) -> Json:
        """The IDs of the filters of a tenant."""
        return self._ids("Filters", args)

    @method("APIerSv1.RemoveFilter", mandatory=("ID",))
    async def remove_filter(self, args: TenantID) -> Json:
        """Remove a filter that nothing names any more."""
        return await self._remove("Filters", args)

    # attributes

    @method("APIerSv1.SetAttributeProfile", mandatory=("ID", "Attributes"))
    async def set_attributes(self, args: AttributeProfileArgs) -> Json:
        """Make an attribute profile, or another of it."""
        for each in args.attributes:
            if any(not rule.rules for rule in each.value):
                raise ApiError("MANDATORY_IE_MISSING: [Rules]", INVALID_PARAMS)
        attributes = [
            ExternalAttribute(
                filter_ids=each.filter_ids,
                path=each.path,
                type=each.type,
                value=";".join(map(_whole, each.value)),
            )
            for each in args.attributes
        ]
        return await self._set_attributes(args, attributes)

    @method("APIerSv2.SetAttributeProfile", mandatory=("ID", "Attributes"))
    async def set_attributes_by_text(self, args: ExternalAttributeProfile) -> Json:
        """Make an attribute profile, or another of it; a value is one text, as files have it."""
        return await self._set_attributes(args, args.attributes)

    async def _set_attributes(
        self,
        args: AttributeProfileArgs | ExternalAttributeProfile,
        attributes: Sequence[ExternalAttribute],
    ) -> Json:
        if any(not each.path for each in attributes):
            raise ApiError("MANDATORY_IE_MISSING: [Path]", INVALID_PARAMS)
        tenant = args.tenant or DEFAULT_TENANT
        rows = [
            AttributeRow(
                tenant=tenant,
                id=args.id,
                contexts=args.contexts,
                filters=args.filter_ids,
                activation=_activation(args.activation_interval),
                attribute_filters=each.filter_ids,
                path=each.path,
                type=each.type,
                value=each.value,
                blocker=args.blocker,
                weight=args.weight,
            )
            for each in attributes
        ]
        named = [*args.filter_ids, *(name for each in attributes for name in each.filter_ids)]
        return await self._set("Attributes", tenant, args.id, rows, named)

    @method("APIerSv1.GetAttributeProfile", mandatory=("ID",))
    def attributes(self, args: TenantID) -> Json:
        """One attribute profile."""
        return self._profile(self._engine.profiles.attributes.selection.get(*_key(args)))

    @method("APIerSv1.GetAttributeProfileIDs")
    def attribute_ids(self, args: PaginatorWithTenant) -> Json:
        """The IDs of the attribute profiles of a tenant."""
        return self._ids("Attributes", args)

    @method("APIerSv1.GetAttributeProfileIDsCount")
    def attribute_count(self, args: PaginatorWithTenant) -> Json:
        """How many attribute profiles a tenant has."""
        found = len(self._engine.rules.ids("Attributes", args.tenant or DEFAULT_TENANT))
        if not found:
            raise ApiError("NOT_FOUND")
        return found

    @method("APIerSv1.RemoveAttributeProfile", mandatory=("ID",))
    async def remove_attributes(self, args: TenantID) -> Json:
        """Remove an attribute profile that no charger names any more."""
        return await self._remove("Attributes", args)

    # chargers

    @method("APIerSv1.SetChargerProfile", mandatory=("ID",))
    async def set_charger(self, args: ChargerProfileArgs) -> Json:
        """Make a charger profile, or another of it."""
        tenant = args.tenant or DEFAULT_TENANT
        row = ChargerRow(
            tenant=tenant,
            id=args.id,
            filters=args.filter_ids,
            activation=_activation(args.activation_interval),
            run_id=args.run_id,
            attributes=args.attribute_ids,
            weight=args.weight,
        )
        return await self._set("Chargers", tenant, args.id, [row], args.filter_ids)

    @method("APIerSv1.GetChargerProfile", mandatory=("ID",))
    def charger(self, args: TenantID) -> Json:
        """One charger profile."""
        return self._profile(self._engine.profiles.chargers.selection.get(*_key(args)))

    @method("APIerSv1.GetChargerProfileIDs")
    def charger_ids(self, args: PaginatorWithTenant) -> Json:
        """The IDs of the charger profiles of a tenant."""
        return self._ids("Chargers", args)

    @method("APIerSv1.RemoveChargerProfile", mandatory=("ID",))
    async def remove_charger(self, args: TenantID) -> Json:
        """Remove a charger profile."""
        return await self._remove("Chargers", args)

    # routes

    @method("APIerSv1.SetRouteProfile", "APIerSv1.SetSupplierProfile", mandatory=("ID",))
    async def set_routes(self, args: RouteProfileArgs) -> Json:
        """Make a route profile, or another of it."""
        tenant = args.tenant or DEFAULT_TENANT
        entries = args.routes or args.suppliers
        rows = [
            RouteRow(
                tenant=tenant,
                id=args.id,
                filters=args.filter_ids,
                activation=_activation(args.activation_interval),
                sorting=args.sorting,
                sorting_parameters=args.sorting_parameters,
                route=each.id,
                route_filters=each.filter_ids,
                accounts=each.account_ids,
                rating_plans=each.rating_plan_ids,
                resources=each.resource_ids,
                stats=each.stat_ids,
                route_weight=each.weight,
                route_blocker=each.blocker,
                route_parameters=each.route_parameters or each.supplier_parameters,
                weight=args.weight,
            )
            for each in entries or (RouteEntry(),)
        ]
        named = [*args.filter_ids, *(name for each in entries for name in each.filter_ids)]
        return await self._set("Routes", tenant, args.id, rows, named)

    @method("APIerSv1.GetRouteProfile", mandatory=("ID",))
    def routes(self, args: TenantID) -> Json:
        """One route profile."""
        return self._profile(self._engine.profiles.routes.selection.get(*_key(args)))

    @method("APIerSv1.GetSupplierProfile", mandatory=("ID",))
    def suppliers(self, args: TenantID) -> Json:
        """One route profile, by the older names."""
        return as_suppliers(self.routes(args))

    @method("APIerSv1.GetRouteProfileIDs", "APIerSv1.GetSupplierProfileIDs")
    def route_ids(self, args: PaginatorWithTenant) -> Json:
        """The IDs of the route profiles of a tenant."""
        return self._ids("Routes", args)

    @method("APIerSv1.RemoveRouteProfile", "APIerSv1.RemoveSupplierProfile", mandatory=("ID",))
    async def remove_routes(self, args: TenantID) -> Json:
        """Remove a route profile."""
        return await self._remove("Routes", args)

    # shared groups

    @method("APIerSv1.GetSharedGroup")
    def shared_group(self, args: str) -> Json:
        """One shared group, by its ID alone."""
        group = self._engine.profiles.groups.get(args)
        if group is None:
            raise ApiError("NOT_FOUND")
        return {
            "Id": group.id,
            "AccountParameters": {
                account: {"Strategy": row.strategy, "RatingSubject": row.rating_subject}
                for account, row in group.rows.items()
            },
            "MemberIds": None,
        }

    # what they share

    async def _set(
        self,
        kind: str,
        tenant: str,
        rule_id: str,
        rows: Sequence[Row],
        filter_ids: Sequence[str] = (),
    ) -> Json:
        for each in filter_ids:
            if not each.startswith("*") and not self._rows("Filters", tenant, each):
                raise ApiError(
                    f"SERVER_ERROR: broken reference to filter: {each} for item with ID:"
                    f" {tenant}:{rule_id}"
                )
        with refusing_rules():
            await self._engine.rules.set(kind, tenant, rule_id, rows)
        return "OK"

    async def _remove(self, kind: str, args: TenantID) -> Json:
        with refusing_rules():
            if not await self._engine.rules.remove(kind, *_key(args)):
                raise ApiError("NOT_FOUND")
        return "OK"

    def _rows(self, kind: str, tenant: str, rule_id: str) -> Sequence[Row]:
        return self._engine.rules.rows(kind, tenant, rule_id)

    def _ids(self, kind: str, args: PaginatorWithTenant) -> Json:
        found = sorted(self._engine.rules.ids(kind, args.tenant or DEFAULT_TENANT))
        if not found:
            raise ApiError("NOT_FOUND")
        start = max(args.offset or 0, 0)
        end = None if not args.limit or args.limit < 0 else start + args.limit
        return list(found[start:end])

    def _profile(self, found: _Reply | None) -> Json:
        if found is None:
            raise ApiError("NOT_FOUND")
        return as_json(found.as_reply())


def _key(args: TenantID) -> tuple[str, str]:
    return args.tenant or DEFAULT_TENANT, args.id


@contextmanager
def refusing_rules() -> Iterator[None]:
    """Give the reasons why rules cannot be so to whoever asked."""
    try:
        yield
    except ProfilesError as problem:
        reasons = "; ".join(each.message for each in problem.problems)
        raise ApiError(f"SERVER_ERROR: {reasons}") from problem


def _activation(interval: ActivationInterval | None) -> Activation:
    if interval is None:
        return ALWAYS
    return Activation(start=_bound(interval.activation_time), end=_bound(interval.expiry_time))


def _bound(moment: Instant | None) -> datetime | None:
    return None if moment is None or moment == Instant.ZERO else moment.time


def _whole(parser: RSRParser) -> str:
    """A rule as files have it: a constant with a separator in it stands between backquotes."""
    rules = parser.rules
    return f"`{rules}`" if ";" in rules and not rules.startswith(("~", "`")) else rules
