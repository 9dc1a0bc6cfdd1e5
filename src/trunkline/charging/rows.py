"""The rows of a tariff folder that charging uses, typed, one class for each file.

The reader of the folder (``config/cgrates``) makes them; rows of one ID stay apart and in order,
and whoever uses them merges them. Durations are nanoseconds, times aware; what the reference
writes as ``*any`` or leaves empty is the empty tuple. ``source`` is the file and line of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from trunkline.rating.errors import Source
from trunkline.rating.model import Timing
from trunkline.rating.tariff import Tariff

__all__ = [
    "AccountActionsRow",
    "ActionPlanRow",
    "ActionRow",
    "ActionTriggerRow",
    "Activation",
    "AttributeRow",
    "BalanceRow",
    "ChargerRow",
    "ChargingRows",
    "FilterRow",
    "ResourceRow",
    "RouteRow",
    "SharedGroupRow",
    "StatRow",
    "TariffPlan",
    "ThresholdRow",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """From when to when a profile counts: ``ActivationInterval``, ``start;end``; both may lack."""

    start: datetime | None = None
    end: datetime | None = None


ALWAYS = Activation()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedGroupRow:
    """SharedGroups.csv."""

    id: str
    account: str
    """``*any``, or an account's ID."""
    strategy: str
    """``*lowest``, ``*highest``, ``*mine_lowest``, ``*mine_random`` …"""
    rating_subject: str = ""
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """What an action or a trigger says of a balance. ``None``: it says nothing of that."""

    id: str | None = None
    type: str = ""
    categories: tuple[str, ...] | None = None
    destinations: tuple[str, ...] | None = None
    rating_subject: str | None = None
    shared_groups: tuple[str, ...] | None = None
    expires: str = ""
    """As it is written: ``*unlimited``, ``+720h``, ``*monthly`` mean something only when the action
    runs."""
    timings: tuple[str, ...] | None = None
    """IDs of Timings.csv."""
    value: Decimal | None = None
    value_text: str = ""
    """Where ``Units`` is a formula: its text."""
    weight: Decimal | None = None
    blocker: bool | None = None
    disabled: bool | None = None
    uuid: str | None = None
    """Only in requests: files do not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRow:
    """Actions.csv. Those of one ID run heaviest first."""

    id: str
    action: str
    """``*topup``, ``*topup_reset``, ``*debit`` …"""
    extra: str = ""
    filters: tuple[str, ...] = ()
    balance: BalanceRow = BalanceRow()
    weight: Decimal = Decimal(0)
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionPlanRow:
    """ActionPlans.csv."""

    id: str
    actions_id: str
    timing_id: str
    """An ID of Timings.csv, ``*asap``, ``*monthly`` and its like, or a cron expression."""
    weight: Decimal = Decimal(0)
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTriggerRow:
    """ActionTriggers.csv."""

    id: str
    unique_id: str
    threshold_type: str
    """``*min_balance``, ``*max_balance``, ``*min_event_counter``, ``*balance_expired`` …"""
    threshold_value: Decimal
    recurrent: bool = False
    min_sleep: int = 0
    expires: datetime | None = None
    activation: datetime | None = None
    balance: BalanceRow = BalanceRow()
    actions_id: str = ""
    weight: Decimal = Decimal(0)
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountActionsRow:
    """AccountActions.csv."""

    tenant: str
    account: str
    action_plan: str = ""
    action_triggers: str = ""
    allow_negative: bool = False
    disabled: bool = False
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRow:
    """Filters.csv: one rule; those of one ID must all hold."""

    tenant: str
    id: str
    type: str
    """``*string``, ``*prefix``, ``*gte`` … and each with ``*not``."""
    element: str
    """What is looked at, ``~*req.Account``."""
    values: tuple[str, ...] = ()
    activation: Activation = ALWAYS
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRow:
    """Attributes.csv: what the profile is (in its first row) and one attribute of it."""

    tenant: str
    id: str
    contexts: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    activation: Activation = ALWAYS
    attribute_filters: tuple[str, ...] = ()
    path: str = ""
    type: str = ""
    """``*constant``, ``*variable``, ``*composed``, ``*usage_difference``, ``*sum`` …"""
    value: str = ""
    blocker: bool = False
    weight: Decimal = Decimal(0)
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerRow:
    """Chargers.csv."""

    tenant: str
    id: str
    filters: tuple[str, ...] = ()
    activation: Activation = ALWAYS
    run_id: str = ""
    attributes: tuple[str, ...] = ()
    """IDs of attribute profiles, ``*none``, or inline ``*constant:*req.RequestType:*rated``."""
    weight: Decimal = Decimal(0)
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """Routes.csv: what the profile is (in its first row) and one route of it."""

    tenant: str
    id: str
    filters: tuple[str, ...] = ()
    activation: Activation = ALWAYS
    sorting: str = ""
    """``*weight``, ``*lc``, ``*hc``, ``*qos``, ``*reas``, ``*reds``, ``*load``."""
    sorting_parameters: tuple[str, ...] = ()
    route: str = ""
    route_filters: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    rating_plans: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    route_weight: Decimal = Decimal(0)
    route_blocker: bool = False
    route_parameters: str = ""
    weight: Decimal = Decimal(0)
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRow:
    """Resources.csv."""

    tenant: str
    id: str
    filters: tuple[str, ...] = ()
    activation: Activation = ALWAYS
    ttl: int = 0
    limit: Decimal = Decimal(0)
    allocation_message: str = ""
    blocker: bool = False
    stored: bool = False
    weight: Decimal = Decimal(0)
    thresholds: tuple[str, ...] = ()
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatRow:
    """Stats.csv: what the queue is (in its first row) and one metric of it."""

    tenant: str
    id: str
    filters: tuple[str, ...] = ()
    activation: Activation = ALWAYS
    queue_length: int = 0
    ttl: int = 0
    min_items: int = 0
    metrics: tuple[str, ...] = ()
    metric_filters: tuple[str, ...] = ()
    stored: bool = False
    blocker: bool = False
    weight: Decimal = Decimal(0)
    thresholds: tuple[str, ...] = ()
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRow:
    """Thresholds.csv."""

    tenant: str
    id: str
    filters: tuple[str, ...] = ()
    activation: Activation = ALWAYS
    max_hits: int = 0
    min_hits: int = 0
    min_sleep: int = 0
    blocker: bool = False
    weight: Decimal = Decimal(0)
    actions: tuple[str, ...] = ()
    run_async: bool = False
    source: Source | None = None


@dataclass(slots=True)
class ChargingRows:
    """All rows of a folder that charging uses, each kind in the order of its file."""

    timings: dict[str, Timing] = field(default_factory=dict)
    """By ID; the built-in ones are not among them."""
    shared_groups: list[SharedGroupRow] = field(default_factory=list)
    actions: list[ActionRow] = field(default_factory=list)
    action_plans: list[ActionPlanRow] = field(default_factory=list)
    action_triggers: list[ActionTriggerRow] = field(default_factory=list)
    account_actions: list[AccountActionsRow] = field(default_factory=list)
    filters: list[FilterRow] = field(default_factory=list)
    attributes: list[AttributeRow] = field(default_factory=list)
    chargers: list[ChargerRow] = field(default_factory=list)
    routes: list[RouteRow] = field(default_factory=list)
    resources: list[ResourceRow] = field(default_factory=list)
    stats: list[StatRow] = field(default_factory=list)
    thresholds: list[ThresholdRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TariffPlan:
    """All that a folder comes to: the prices, and the rows that charging uses."""

    tariff: Tariff
    rows: ChargingRows
