"""Rating: what a call, a message or a data session costs, exactly, and why.

``Tariff.build`` makes a tariff of typed rows, ``price`` a ``Cost`` of a ``Call``, ``price_number``
the figure alone, ``event_cost`` the reference's JSON. Refusals are ``RatingError`` (a call has no
price) and ``TariffError`` (a tariff cannot count). How a price is made: ``docs/rating.md``.

Left out: accounts, balances and sessions (MaxCost ``*disconnect`` belongs there).
"""

from trunkline.rating.call import USAGE_LIMITS, Call
from trunkline.rating.cost import EXACT, Cgrates, Cost, Exact, Precision, Span, price, price_plans
from trunkline.rating.decision import Candidate, Decision, Reason, Stage, Step
from trunkline.rating.durations import format_duration, format_usage, parse_duration
from trunkline.rating.errors import Problem, RatingError, Source, TariffError
from trunkline.rating.number import price_number
from trunkline.rating.result import event_cost
from trunkline.rating.rounding import RoundingMethod, format_money
from trunkline.rating.tariff import Tariff

__all__ = [
    "EXACT",
    "USAGE_LIMITS",
    "Call",
    "Candidate",
    "Cgrates",
    "Cost",
    "Decision",
    "Exact",
    "Precision",
    "Problem",
    "RatingError",
    "Reason",
    "RoundingMethod",
    "Source",
    "Span",
    "Stage",
    "Step",
    "Tariff",
    "TariffError",
    "event_cost",
    "format_duration",
    "format_money",
    "format_usage",
    "parse_duration",
    "price",
    "price_number",
    "price_plans",
]
