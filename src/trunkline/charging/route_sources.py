"""What routes ask: prices, metrics and resources, by protocols; prices by a tariff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from trunkline.rating import EXACT, Call, Precision, Tariff, price, price_plans

__all__ = ["AccountUsage", "Costs", "PlanCost", "Resources", "Stats", "TariffCosts"]


@dataclass(frozen=True, slots=True)
class PlanCost:
    """What a call costs by one of a route's rating plans."""

    cost: Decimal
    rating_plan: str


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """Which of a route's accounts covers a call with units, and how much of it."""

    account: str
    usage: int


class Costs(Protocol):
    """Prices. All of them raise `RatingError` where there is none."""

    def on_plans(self, call: Call, plan_ids: Sequence[str]) -> PlanCost:
        """The price by the first of these plans that has one."""

    def of_event(self, call: Call) -> Decimal:
        """The price by the caller's own profile, for ``MaxCost`` ``*event_cost``."""

    def on_accounts(self, call: Call, account_ids: Sequence[str]) -> AccountUsage | None:
        """The account whose units cover most of the call."""


class Stats(Protocol):
    """Metrics of stat queues."""

    def metrics(self, tenant: str, stat_id: str) -> Mapping[str, Decimal] | None:
        """The metrics by name, None where there is no such queue."""


class Resources(Protocol):
    """Resources in use."""

    def usage(self, tenant: str, resource_id: str) -> Decimal | None:
        """The total usage, None where there is no such resource."""


class TariffCosts:
    """`Costs` by a tariff; no accounts."""

    def __init__(self, tariff: Tariff, precision: Precision = EXACT) -> None:
        self._tariff = tariff
        self._precision = precision

    def on_plans(self, call: Call, plan_ids: Sequence[str]) -> PlanCost:
        """The price by the first of these plans that has one."""
        cost = price_plans(self._tariff, call, plan_ids, self._precision)
        return PlanCost(cost.total, cost.spans[0].match.active.plan.id)

    def of_event(self, call: Call) -> Decimal:
        """The price by the caller's own profile."""
        return price(self._tariff, call, self._precision, reasons=False).total

    def on_accounts(self, call: Call, account_ids: Sequence[str]) -> AccountUsage | None:
        """None: a tariff knows no accounts."""
        return None
