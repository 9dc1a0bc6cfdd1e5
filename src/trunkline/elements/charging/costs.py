"""What a call would cost: ``APIerSv1.GetCost``, ``Responder.GetCost`` and their like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from trunkline.config.cgrates import parse_time
from trunkline.elements.charging.arguments import Duration, Instant
from trunkline.elements.charging.registry import ApiError, method, server_error
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.errors import DecodeError
from trunkline.jsonrpc import Json
from trunkline.jsonrpc.messages import INVALID_PARAMS
from trunkline.rating.call import Call
from trunkline.rating.cost import Cost, Span, price, price_plans
from trunkline.rating.durations import parse_duration
from trunkline.rating.errors import RatingError
from trunkline.rating.index import Entry
from trunkline.rating.model import DEFAULT_TENANT, Timing
from trunkline.rating.result import number, rates_of

__all__ = [
    "AttrGetCost",
    "AttrGetDataCost",
    "CallDescriptor",
    "Costs",
    "RatingPlanCostArg",
    "rate_interval",
    "time_stamp",
]

_DATA: Final = "*data"
_NO_OPTIONS: Final[Mapping[str, Json]] = MappingProxyType({})
_NEVER: Final = Instant(0)
_NOTHING: Final = Duration(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetCost:
    """``ToR`` is ours; the reference takes every call for voice here."""

    tenant: str = ""
    category: str = ""
    subject: str = ""
    answer_time: str = ""
    destination: str = ""
    usage: str = ""
    tor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetDataCost:
    """What ``APIerSv1.GetDataCost`` takes."""

    tenant: str = ""
    category: str = ""
    subject: str = ""
    answer_time: str = ""
    usage: Duration = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDescriptor:
    """What ``Responder``'s methods take; what makes no difference to a price is passed over."""

    category: str = ""
    tenant: str = ""
    subject: str = ""
    account: str = ""
    destination: str = ""
    time_start: Instant = _NEVER
    time_end: Instant = _NEVER
    tor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingPlanCostArg:
    """What ``RALsV1.GetRatingPlansCost`` takes."""

    rating_plan_ids: tuple[str, ...] = ()
    destination: str = ""
    setup_time: str = ""
    usage: str = ""


class Costs:
    """The price of a call that is only asked about. ``clock`` gives the present time, aware."""

    def __init__(self, tariffs: Tariffs, clock: Callable[[], datetime]) -> None:
        self._tariffs = tariffs
        self._clock = clock

    @method("APIerSv1.GetCost")
    def get_cost(self, args: AttrGetCost) -> Json:
        """The reference's ``EventCost``."""
        tariffs = self._tariffs
        call = Call(
            tenant=args.tenant,
            category=args.category,
            subject=args.subject,
            destination=args.destination,
            time=self._time(args.answer_time, args.tenant, "AnswerTime"),
            usage=_usage(args.usage),
            tor=args.tor,
        )
        return tariffs.costs.priced(tariffs.tariff, call, tariffs.precision)

    @method("APIerSv1.GetDataCost")
    def get_data_cost(self, args: AttrGetDataCost) -> Json:
        """The reference's ``DataCost``: amounts where a ``CallCost`` has times."""
        call = Call(
            tenant=args.tenant,
            category=args.category,
            subject=args.subject,
            destination="",
            time=self._time(args.answer_time, args.tenant, "AnswerTime"),
            usage=args.usage,
            tor=_DATA,
        )
        cost = price(self._tariffs.tariff, call, self._tariffs.precision, reasons=False)
        return _call_fields(cost) | {
            "Cost": number(cost.total),
            "DataSpans": [_data_span(cost, span) for span in cost.spans],
        }

    @method("Responder.GetCost")
    def responder_get_cost(self, args: CallDescriptor) -> Json:
        """The reference's ``CallCost``."""
        call = Call(
            tenant=args.tenant,
            category=args.category,
            subject=args.subject,
            account=args.account,
            destination=args.destination,
            time=args.time_start.time,
            usage=args.time_end.nanoseconds - args.time_start.nanoseconds,
            tor=args.tor,
        )
        try:
            cost = price(self._tariffs.tariff, call, self._tariffs.precision, reasons=False)
        except RatingError as problem:
            raise ApiError(problem.reference or server_error(problem)) from None
        return _call_fields(cost) | {
            "Cost": number(cost.total),
            "Timespans": [_time_span(cost, span, args.time_start) for span in cost.spans],
            "RatedUsage": sum(span.duration for span in cost.spans),
            "AccountSummary": None,
        }

    @method("RALsV1.GetRatingPlansCost")
    def get_rating_plans_cost(self, args: RatingPlanCostArg) -> Json:
        """The cost by the first of the plans that has a price for the destination."""
        tariffs = self._tariffs
        call = Call(
            destination=args.destination,
            time=self._time(args.setup_time, "", "SetupTime"),
            usage=_usage(args.usage),
        )
        cost = price_plans(tariffs.tariff, call, args.rating_plan_ids, tariffs.precision)
        return {
            "EventCost": tariffs.costs.text(cost),
            "RatingPlanID": cost.spans[0].match.active.plan.id,
        }

    def _time(self, text: str, tenant: str, name: str) -> datetime:
        try:
            zone = self._tariffs.tariff.zone(tenant or DEFAULT_TENANT)
            moment = parse_time(text, zone, self._clock())
        except DecodeError:
            raise ApiError("Unsupported time format", INVALID_PARAMS) from None
        if moment is None:
            raise ApiError(f"MANDATORY_IE_MISSING: [{name}]", INVALID_PARAMS)
        return moment


def _usage(text: str) -> int:
    try:
        return parse_duration(text)
    except DecodeError:
        raise ApiError(f'time: invalid duration "{text[:60]}"', INVALID_PARAMS) from None


def _call_fields(cost: Cost) -> dict[str, Json]:
    call = cost.call
    return {
        "Category": call.category,
        "Tenant": call.tenant,
        "Subject": call.subject,
        "Account": call.account,
        "Destination": call.destination,
        "ToR": call.tor,
    }


def _time_span(cost: Cost, span: Span, start: Instant) -> dict[str, Json]:
    first = span is cost.spans[0]
    return {
        "TimeStart": time_stamp(start.nanoseconds + span.start),
        "TimeEnd": time_stamp(start.nanoseconds + span.start + span.duration),
        "Cost": number(span.cost + (cost.connect_fee if first else 0)),
        "RateInterval": rate_interval(span.entry, cost.call.tor),
        "DurationIndex": span.start + span.duration,
        "Increments": _increments(span, "Duration"),
        "RoundIncrement": None,
        "MatchedSubject": span.match.subject_key,
        "MatchedPrefix": span.match.prefix,
        "MatchedDestId": span.match.group.destination_id,
        "RatingPlanId": span.match.active.plan.id,
        "CompressFactor": 1,
    }


def _data_span(cost: Cost, span: Span) -> dict[str, Json]:
    first = span is cost.spans[0]
    return {
        "DataStart": span.start,
        "DataEnd": span.start + span.duration,
        "Cost": number(span.cost + (cost.connect_fee if first else 0)),
        "RateInterval": rate_interval(span.entry, cost.call.tor),
        "DataIndex": span.start + span.duration,
        "Increments": _increments(span, "Amount"),
        "MatchedSubject": span.match.subject_key,
        "MatchedPrefix": span.match.prefix,
        "MatchedDestId": span.match.group.destination_id,
        "RatingPlanId": span.match.active.plan.id,
    }


def _increments(span: Span, usage: str) -> list[Json]:
    if not span.count:
        return []
    return [
        {
            usage: span.slot.increment,
            "Cost": number(span.price),
            "BalanceInfo": {"Unit": None, "Monetary": None, "AccountID": ""},
            "CompressFactor": span.count,
        }
    ]


def rate_interval(entry: Entry, tor: str) -> dict[str, Json]:
    """The reference's ``RateInterval``: a price and when it holds."""
    terms = entry.terms
    return {
        "Timing": _timing(entry.timing),
        "Rating": {
            "ConnectFee": number(terms.connect_fee),
            "RoundingMethod": str(terms.rounding),
            "RoundingDecimals": terms.decimals,
            "MaxCost": number(terms.max_cost),
            "MaxCostStrategy": str(terms.strategy),
            "Rates": rates_of(terms.slots, tor, wire=True),
        },
        "Weight": number(entry.weight),
    }


def _timing(timing: Timing) -> dict[str, Json]:
    hours, rest = divmod(timing.start, 3600)
    minutes, seconds = divmod(rest, 60)
    return {
        "ID": timing.id,
        "Years": timing.years,
        "Months": timing.months,
        "MonthDays": timing.month_days,
        "WeekDays": timing.week_days,
        "StartTime": f"{hours:02d}:{minutes:02d}:{seconds:02d}",
        "EndTime": "",
    }


def time_stamp(nanoseconds: int) -> str:
    """RFC 3339 with as many decimals as there have to be, as Go prints a time."""
    text = Instant(nanoseconds // 10**9 * 10**9).time.replace(tzinfo=None).isoformat()
    fraction = nanoseconds % 10**9
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"
