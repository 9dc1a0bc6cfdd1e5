"""Records on the wire: the reference's ``CDR``, ``ExternalCDR``, ``RPCCDRsFilter`` and events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Final

from trunkline.charging.actions import fits
from trunkline.charging.event import read_duration
from trunkline.charging.record_documents import Details
from trunkline.elements.charging.arguments import Duration, Instant
from trunkline.elements.charging.recorder import details_of
from trunkline.elements.charging.registry import ApiError
from trunkline.errors import DecodeError
from trunkline.jsonrpc import Json
from trunkline.rating.durations import format_usage
from trunkline.rating.result import number
from trunkline.rating.times import parse_time
from trunkline.store.ledger.model import RecordRow, storable
from trunkline.store.ledger.queries import RecordQuery

__all__ = [
    "ALL",
    "CdrArgs",
    "ExternalCdrArgs",
    "RpcCdrsFilter",
    "cdr",
    "event_of",
    "external_cdr",
    "query_of",
]

ALL: Final = 1 << 62
"""A limit that no ledger reaches."""

_NO_TIME: Final = "0001-01-01T00:00:00Z"
_NOWHERE: Final = "?" * 256
_ORDERS: Final = {
    "OrderID": "order",
    "SetupTime": "setup_time",
    "AnswerTime": "answer_time",
    "Usage": "usage",
    "Cost": "cost",
}


def _named(name: str) -> tuple[str, ...]:
    return field(default=(), metadata={"name": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcCdrsFilter:
    """Which records are asked for. Lower bounds are inclusive, upper ones are not.

    ``ExtraArgs`` may have ``OrderIDStart``, ``OrderIDEnd``, ``MinCost`` and ``MaxCost``, which
    earlier versions have beside the others.
    """

    cgrids: tuple[str, ...] = _named("CGRIDs")
    not_cgrids: tuple[str, ...] = _named("NotCGRIDs")
    run_ids: tuple[str, ...] = ()
    not_run_ids: tuple[str, ...] = ()
    origin_ids: tuple[str, ...] = ()
    not_origin_ids: tuple[str, ...] = ()
    origin_hosts: tuple[str, ...] = ()
    not_origin_hosts: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    not_sources: tuple[str, ...] = ()
    tors: tuple[str, ...] = _named("ToRs")
    not_tors: tuple[str, ...] = _named("NotToRs")
    request_types: tuple[str, ...] = ()
    not_request_types: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    not_tenants: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    not_categories: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    not_accounts: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    not_subjects: tuple[str, ...] = ()
    destination_prefixes: tuple[str, ...] = ()
    not_destination_prefixes: tuple[str, ...] = ()
    costs: tuple[Decimal, ...] = ()
    not_costs: tuple[Decimal, ...] = ()
    extra_fields: Mapping[str, str] = field(default_factory=dict)
    """A value ``*exists`` means any."""
    not_extra_fields: Mapping[str, str] = field(default_factory=dict)
    setup_time_start: str = ""
    setup_time_end: str = ""
    answer_time_start: str = ""
    answer_time_end: str = ""
    created_at_start: str = ""
    created_at_end: str = ""
    updated_at_start: str = ""
    updated_at_end: str = ""
    min_usage: str = ""
    max_usage: str = ""
    order_by: str = ""
    """``OrderID``, ``SetupTime``, ``AnswerTime``, ``Usage`` or ``Cost``, and maybe ``;desc``."""
    extra_args: Mapping[str, Json] = field(default_factory=dict)
    order_id_start: int | None = None
    order_id_end: int | None = None
    min_cost: Decimal | None = None
    max_cost: Decimal | None = None
    limit: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cdr:
    """What both kinds of records have."""

    cgrid: str = field(default="", metadata={"name": "CGRID"})
    run_id: str = ""
    order_id: int = 0
    origin_host: str = ""
    source: str = ""
    origin_id: str = ""
    tor: str = field(default="", metadata={"name": "ToR"})
    request_type: str = ""
    tenant: str = ""
    category: str = ""
    account: str = ""
    subject: str = ""
    destination: str = ""
    extra_fields: Mapping[str, str] = field(default_factory=dict)
    extra_info: str = ""
    partial: bool = False
    pre_rated: bool = False
    cost_source: str = ""
    cost: Decimal = Decimal(0)

    def _fields(self, **others: object) -> dict[str, object]:
        said: dict[str, object] = {
            **self.extra_fields,
            "CGRID": self.cgrid,
            "RunID": self.run_id,
            "OriginHost": self.origin_host,
            "Source": self.source,
            "OriginID": self.origin_id,
            "ToR": self.tor,
            "RequestType": self.request_type,
            "Category": self.category,
            "Account": self.account,
            "Subject": self.subject,
            "Destination": self.destination,
            **others,
        }
        fields = {name: value for name, value in said.items() if value not in ("", None)}
        if self.pre_rated:
            fields |= {"PreRated": True, "Cost": self.cost, "CostSource": self.cost_source}
        return fields | {"Partial": True} if self.partial else fields


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrArgs(_Cdr):
    """A record as the reference's programs hand it on: ``CDR``."""

    setup_time: Instant | None = None
    answer_time: Instant | None = None
    usage: Duration = Duration(0)  # noqa: RUF009 - a number

    def fields(self) -> dict[str, object]:
        """The fields of the event that it is."""
        return self._fields(
            SetupTime=_moment(self.setup_time),
            AnswerTime=_moment(self.answer_time),
            Usage=int(self.usage),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalCdrArgs(_Cdr):
    """A record as others write it: ``ExternalCDR``, all times and the usage as text."""

    setup_time: str = ""
    answer_time: str = ""
    usage: str = ""

    def fields(self) -> dict[str, object]:
        """The fields of the event that it is."""
        return self._fields(
            SetupTime=self.setup_time, AnswerTime=self.answer_time, Usage=self.usage or "0"
        )


def _moment(value: Instant | None) -> datetime | None:
    if value is None or value.nanoseconds < _BEGIN:
        return None
    return value.time


_BEGIN: Final = -(10**9) * 60_000_000_000  # ns: the first years of our era


def query_of(args: RpcCdrsFilter, zone: tzinfo, now: datetime) -> RecordQuery:
    """The query that a filter is. Times without a zone are of ``zone``.

    Raises:
        ApiError: a time, usage, number or order that is none.
    """

    def span(start: str, end: str) -> tuple[float | None, float | None]:
        return _time(start, zone, now), _time(end, zone, now)

    args = _findable(args)
    lowest = _extra_number(args, "OrderIDStart", args.order_id_start)
    highest = _extra_number(args, "OrderIDEnd", args.order_id_end)
    cheapest = _extra_number(args, "MinCost", args.min_cost)
    dearest = _extra_number(args, "MaxCost", args.max_cost)
    unrated = dearest == -1 and cheapest is None
    if dearest == -1:  # the reference's way to say: without errors; and alone: only those
        dearest = None
    by, _, direction = args.order_by.partition(";")
    if by and by not in _ORDERS:
        raise ApiError(f"SERVER_ERROR: Invalid value : {by}")
    return RecordQuery(
        ids=args.cgrids,
        runs=args.run_ids,
        tenants=args.tenants,
        accounts=args.accounts,
        subjects=args.subjects,
        categories=args.categories,
        types=args.tors,
        request_types=args.request_types,
        origin_ids=args.origin_ids,
        origin_hosts=args.origin_hosts,
        sources=args.sources,
        prefixes=args.destination_prefixes,
        costs=args.costs,
        extra=args.extra_fields,
        without=RecordQuery(
            ids=args.not_cgrids,
            runs=args.not_run_ids,
            tenants=args.not_tenants,
            accounts=args.not_accounts,
            subjects=args.not_subjects,
            categories=args.not_categories,
            types=args.not_tors,
            request_types=args.not_request_types,
            origin_ids=args.not_origin_ids,
            origin_hosts=args.not_origin_hosts,
            sources=args.not_sources,
            prefixes=args.not_destination_prefixes,
            costs=args.not_costs,
            extra=args.not_extra_fields,
        ),
        setup=span(args.setup_time_start, args.setup_time_end),
        answer=span(args.answer_time_start, args.answer_time_end),
        created=span(args.created_at_start, args.created_at_end),
        updated=span(args.updated_at_start, args.updated_at_end),
        usage=(_usage(args.min_usage), _usage(args.max_usage)),
        cost=(cheapest, dearest),
        unrated=unrated,
        after=0 if lowest is None else _order(lowest) - 1,
        before=None if highest is None else _order(highest),
        order_by=_ORDERS.get(by, "order"),
        descending=direction == "desc",
        offset=max(args.offset or 0, 0),
        limit=ALL if args.limit is None else args.limit,
    )


def _extra_number(args: RpcCdrsFilter, name: str, plain: Decimal | int | None) -> Decimal | None:
    value = args.extra_args.get(name)
    if value is None or value == "":
        return None if plain is None else Decimal(plain)
    try:
        found = Decimal(str(value))
    except ArithmeticError:
        found = Decimal("NaN")
    if not fits(found):
        raise ApiError(f"SERVER_ERROR: {name} {str(value)[:40]!r} is no number")
    return found


def _order(number: Decimal) -> int:
    return max(min(int(number), ALL), -ALL)


def _findable(args: RpcCdrsFilter) -> RpcCdrsFilter:
    """The same filter, with a text that no record has in place of those that cannot be stored."""
    changed: dict[str, object] = {}
    for each in fields(args):
        value = getattr(args, each.name)
        if isinstance(value, tuple) and not all(_known(text) for text in value):
            changed[each.name] = tuple(text if _known(text) else _NOWHERE for text in value)
        elif each.name in ("extra_fields", "not_extra_fields"):
            changed[each.name] = {
                name: text if storable(text[:255]) else _NOWHERE for name, text in value.items()
            }
    return replace(args, **changed)  # type: ignore[arg-type]


def _known(value: object) -> bool:
    return not isinstance(value, str) or storable(value)


def _time(text: str, zone: tzinfo, now: datetime) -> float | None:
    if not text:
        return None
    try:
        moment = parse_time(text, zone, now)
    except DecodeError:
        raise ApiError("SERVER_ERROR: Unsupported time format") from None
    return None if moment is None else moment.timestamp()


def _usage(text: str) -> int | None:
    if not text:
        return None
    found = read_duration(text)
    if found is None:
        raise ApiError(f'SERVER_ERROR: time: invalid duration "{text[:60]}"')
    return int(found)


# Answers


def _stamp(seconds: float | None) -> str:
    if seconds is None:
        return _NO_TIME
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _whole_stamp(seconds: float | None) -> str:
    return _stamp(None if seconds is None else float(int(seconds // 1)))


def _cost(row: RecordRow) -> int | float:
    return -1 if row.cost is None else number(row.cost)


def _common(row: RecordRow, details: Details) -> dict[str, Json]:
    return {
        "CGRID": row.id,
        "RunID": row.run,
        "OrderID": row.order,
        "OriginHost": row.origin_host,
        "Source": row.source,
        "OriginID": row.origin_id,
        "ToR": row.type,
        "RequestType": row.request_type,
        "Tenant": row.tenant,
        "Category": row.category,
        "Account": row.account,
        "Subject": row.subject,
        "Destination": row.destination,
        "ExtraFields": dict(details.extra),
        "ExtraInfo": details.extra_info,
        "Partial": details.partial,
        "PreRated": details.pre_rated,
        "CostSource": details.cost_source,
        "Cost": _cost(row),
    }


def cdr(row: RecordRow) -> dict[str, Json]:
    """A record as ``CDRsV1`` answers it."""
    details = details_of(row)
    return _common(row, details) | {
        "SetupTime": _stamp(row.setup_time),
        "AnswerTime": _stamp(row.answer_time),
        "Usage": row.usage,
        "CostDetails": None if details.cost_details is None else dict(details.cost_details),
    }


def external_cdr(row: RecordRow) -> dict[str, Json]:
    """A record as ``APIerSv1`` and ``APIerSv2`` answer it."""
    details = details_of(row)
    shown = _common(row, details) | {
        "SetupTime": _whole_stamp(row.setup_time),
        "AnswerTime": _whole_stamp(row.answer_time),
        "Usage": str(format_usage(row.usage, row.type)),
        "CostDetails": ""
        if details.cost_details is None
        else json.dumps(details.cost_details, separators=(",", ":"), ensure_ascii=False),
    }
    return {name: value for name, value in shown.items() if name != "Partial"}


def event_of(row: RecordRow) -> dict[str, Json]:
    """The fields of a record's event: what ``CDRsV2.ProcessEvent`` answers, and rules look at."""
    shown = cdr(row)
    extra = shown.pop("ExtraFields")
    if shown["CostDetails"] is None:
        del shown["CostDetails"]
    return (extra if isinstance(extra, dict) else {}) | shown
