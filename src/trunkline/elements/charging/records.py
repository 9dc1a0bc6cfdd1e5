"""``CDRsV1``: records, as switches and operators speak of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trunkline.charging.event import EventError
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.recorder import Recorder
from trunkline.elements.charging.refusals import refusing
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.sessions import SessionArgs, stamp
from trunkline.jsonrpc import Json
from trunkline.store.ledger.model import RecordRow
from trunkline.store.ledger.reader import RecordQuery

__all__ = ["Records", "RpcCdrsFilter"]

_CDRS: Final = "*cdrs"
_NO_ATTRIBUTES: Final = "*attributes:false"


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcCdrsFilter:
    """Which records are asked for: the reference's ``RPCCDRsFilter``, as far as it goes here."""

    tenants: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    origin_ids: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    limit: int | None = None


class Records:
    """Records of usage."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @method("CDRsV1.ProcessEvent")
    async def process(self, args: SessionArgs) -> Json:
        """Store the record of an event, once for each run of its chargers, and have it paid.

        Attributes of the context ``*cdrs`` change it first, unless a flag ``*attributes:false``
        says otherwise.
        """
        return await _recorded(self._engine, args)

    @method("SessionSv1.ProcessCDR")
    async def process_cdr(self, args: SessionArgs) -> Json:
        """Store the record of a usage and have it paid."""
        return await _recorded(self._engine, args)

    @method("CDRsV1.GetCDRs")
    async def get(self, args: RpcCdrsFilter) -> Json:
        """Records, in the order in which they came."""
        query = RecordQuery(
            tenants=args.tenants,
            accounts=args.accounts,
            origin_ids=args.origin_ids,
            runs=args.run_ids,
            limit=args.limit or 1000,
        )
        found = await self._engine.book.records(query)
        if not found:
            raise ApiError("SERVER_ERROR: NOT_FOUND")
        return [_record(row) for row in found]


async def _recorded(engine: Engine, args: SessionArgs) -> Json:
    event = args.to_event()
    if _NO_ATTRIBUTES not in args.flags:
        try:
            event = engine.altered(event, _CDRS)
        except EventError as problem:
            raise ApiError(f"ATTRIBUTES_ERROR:{problem.reference}") from None
    await refusing(Recorder(engine).record(event))
    return "OK"


def _record(row: RecordRow) -> dict[str, Json]:
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
        "AnswerTime": stamp(row.time),
        "Usage": row.usage,
        "Cost": -1 if row.cost is None else float(row.cost),
    }
