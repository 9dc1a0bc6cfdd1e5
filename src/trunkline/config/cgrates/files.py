"""The files of a tariff folder and their columns, by position, as the reference reads them.

Rating uses six, charging most of the others.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALL_KINDS",
    "CHARGING_KINDS",
    "COLUMNS",
    "KINDS",
    "LIST_SEPARATOR",
    "OPTIONAL",
    "OTHER_FILES",
    "Kind",
]

Kind = str
"""A file's name without ``.csv``."""

LIST_SEPARATOR: Final = ";"

_RATING: Final[dict[Kind, tuple[str, ...]]] = {
    "Timings": ("ID", "Years", "Months", "MonthDays", "WeekDays", "Time"),
    "Destinations": ("ID", "Prefix"),
    "Rates": ("ID", "ConnectFee", "Rate", "RateUnit", "RateIncrement", "GroupIntervalStart"),
    "DestinationRates": (
        "ID",
        "DestinationID",
        "RatesTag",
        "RoundingMethod",
        "RoundingDecimals",
        "MaxCost",
        "MaxCostStrategy",
    ),
    "RatingPlans": ("ID", "DestinationRatesID", "TimingTag", "Weight"),
    "RatingProfiles": (
        "Tenant",
        "Category",
        "Subject",
        "ActivationTime",
        "RatingPlanID",
        "FallbackSubjects",
    ),
}
_PROFILE = ("Tenant", "ID", "FilterIDs", "ActivationInterval")
_CHARGING: Final[dict[Kind, tuple[str, ...]]] = {
    "SharedGroups": ("ID", "Account", "Strategy", "RatingSubject"),
    "Actions": (
        *("ID", "Action", "ExtraParameters", "Filters"),
        *("BalanceID", "BalanceType", "Categories", "DestinationIDs", "RatingSubject"),
        *("SharedGroups", "ExpiryTime", "TimingIDs", "Units"),
        *("BalanceWeight", "BalanceBlocker", "BalanceDisabled", "Weight"),
    ),
    "ActionPlans": ("ID", "ActionsID", "TimingID", "Weight"),
    "ActionTriggers": (
        *("Tag", "UniqueID", "ThresholdType", "ThresholdValue"),
        *("Recurrent", "MinSleep", "ExpiryTime", "ActivationTime"),
        *("BalanceTag", "BalanceType", "BalanceCategories", "BalanceDestinationTags"),
        *("BalanceRatingSubject", "BalanceSharedGroups", "BalanceExpiryTime"),
        *("BalanceTimingTags", "BalanceWeight", "BalanceBlocker", "BalanceDisabled"),
        *("ActionsID", "Weight"),
    ),
    "AccountActions": (
        *("Tenant", "Account", "ActionPlanID", "ActionTriggersID", "AllowNegative", "Disabled"),
    ),
    "Filters": ("Tenant", "ID", "Type", "Element", "Values", "ActivationInterval"),
    "Attributes": (
        *("Tenant", "ID", "Contexts", "FilterIDs", "ActivationInterval"),
        *("AttributeFilterIDs", "Path", "Type", "Value", "Blocker", "Weight"),
    ),
    "Chargers": (*_PROFILE, "RunID", "AttributeIDs", "Weight"),
    "Routes": (
        *(*_PROFILE, "Sorting", "SortingParameters"),
        *("RouteID", "RouteFilterIDs", "RouteAccountIDs", "RouteRatingPlanIDs"),
        *("RouteResourceIDs", "RouteStatIDs", "RouteWeight", "RouteBlocker"),
        *("RouteParameters", "Weight"),
    ),
    "Resources": (
        *(*_PROFILE, "TTL", "Limit", "AllocationMessage"),
        *("Blocker", "Stored", "Weight", "ThresholdIDs"),
    ),
    "Stats": (
        *(*_PROFILE, "QueueLength", "TTL", "MinItems", "Metrics", "MetricFilterIDs"),
        *("Stored", "Blocker", "Weight", "ThresholdIDs"),
    ),
    "Thresholds": (
        *(*_PROFILE, "MaxHits", "MinHits", "MinSleep", "Blocker", "Weight", "ActionIDs", "Async"),
        "EeIDs",
    ),
}

COLUMNS: Final[dict[Kind, tuple[str, ...]]] = {
    **_RATING,
    **_CHARGING,
    "Suppliers": _CHARGING["Routes"],  # the name of before
}
"""The files and their columns. The count of columns is exact."""

OPTIONAL: Final[dict[Kind, int]] = {"Thresholds": 1}
"""So many columns at the end of a file came later, and may lack."""

KINDS: Final[tuple[Kind, ...]] = tuple(_RATING)
"""The files that rating uses, in the order in which they are read."""

ALL_KINDS: Final[tuple[Kind, ...]] = tuple(COLUMNS)
"""The files of a tariff, in the order in which they are read."""

CHARGING_KINDS: Final[tuple[Kind, ...]] = (
    *("Timings", "Destinations", *_CHARGING),
    "Suppliers",
)
"""The files that charging uses, in the order in which they are read."""

OTHER_FILES: Final = frozenset({*COLUMNS, "DispatcherHosts", "DispatcherProfiles"})
"""All that the reference reads from such a folder."""
