"""The files of a tariff folder and their columns, by position, as the reference reads them.

Rating uses six. The others belong to accounts, sessions and routing: they are known by name, so
that a folder that holds them loads, and named once as not used.
"""

from __future__ import annotations

from typing import Final

__all__ = ["COLUMNS", "KINDS", "LIST_SEPARATOR", "OTHER_FILES", "Kind"]

Kind = str
"""A file's name without ``.csv``: one of :data:`KINDS`."""

LIST_SEPARATOR: Final = ";"

COLUMNS: Final[dict[Kind, tuple[str, ...]]] = {
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
"""The files that rating uses. The count of columns is exact."""

KINDS: Final[tuple[Kind, ...]] = tuple(COLUMNS)

OTHER_FILES: Final = frozenset(
    {
        "AccountActions",
        "ActionPlans",
        "ActionTriggers",
        "Actions",
        "Attributes",
        "Chargers",
        "DispatcherHosts",
        "DispatcherProfiles",
        "Filters",
        "Resources",
        "Routes",
        "SharedGroups",
        "Stats",
        "Suppliers",
        "Thresholds",
    }
)
"""What else the reference reads from such a folder."""
