"""``CDRsV1``, ``CDRsV2`` and their like: records, as switches and operators speak of them.

An event is rated unless its flags say ``*rals:false``; with ``*store:false`` it is priced, and
nothing is taken or kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from trunkline.charging.event import Event, EventError
from trunkline.charging.model import Account, Taking
from trunkline.charging.money import ZERO, add
from trunkline.charging.sessions import RequestType, Run, Session
from trunkline.elements.charging.arguments import Duration
from trunkline.elements.charging.cdrs import (
    CdrArgs,
    ExternalCdrArgs,
    RpcCdrsFilter,
    cdr,
    event_of,
    external_cdr,
    query_of,
)
from trunkline.elements.charging.engine import (
    DEFAULT_RUN,
    Engine,
    Step,
    session_row,
    stored_session,
)
from trunkline.elements.charging.recorder import Recorded, Treatment, details_of
from trunkline.elements.charging.refusals import refusing
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.sessions import SessionArgs
from trunkline.elements.charging.steps import Steps
from trunkline.jsonrpc import Json
from trunkline.rating.call import Call
from trunkline.rating.model import DEFAULT_TENANT
from trunkline.store.ledger.model import Keys, RecordRow, View
from trunkline.store.ledger.queries import RecordQuery

__all__ = ["AttrGetCallCost", "RateCdrsArgs", "Records", "SmCost", "StoreSmCostArgs", "treatment"]

_CDRS: Final = "*cdrs"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT: Final = 24 * 3600.0  # s: a cost waits so long for its record


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCdrsArgs(RpcCdrsFilter):
    """Which records are rated, and how: ``*rerate`` those too that have a cost."""

    flags: tuple[str, ...] = ()
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetCallCost:
    """Which record."""

    cgr_id: str = field(default="", metadata={"name": "CgrId"})
    run_id: str = field(default="", metadata={"name": "RunId"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SmCost:
    """What a session came to."""

    cgrid: str = field(default="", metadata={"name": "CGRID"})
    run_id: str = ""
    origin_host: str = ""
    origin_id: str = ""
    cost_source: str = ""
    usage: Duration = Duration(0)  # noqa: RUF009 - a number
    cost_details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSmCostArgs:
    """The cost of a session whose record is still to come."""

    cost: SmCost = SmCost()
    check_duplicate: bool = False


class Records:
    """Records of usage; those that come are stored by ``steps``."""

    def __init__(self, engine: Engine, steps: Steps | None = None) -> None:
        self._engine = engine
        self._steps = Steps(engine) if steps is None else steps
        self._recorder = self._steps.recorder

    # Storing

    @method("CDRsV1.ProcessEvent")
    async def process(self, args: SessionArgs) -> Json:
        """Store the record of an event, once for each run of its chargers, and have it paid.

        Attributes of the context ``*cdrs`` change it first. Flags: ``*rals``, ``*store``,
        ``*rerate``, ``*refund``, ``*chargers``, ``*attributes``, ``*export``.
        """
        await self._process(args)
        return "OK"

    @method("CDRsV2.ProcessEvent")
    async def process_and_show(self, args: SessionArgs) -> Json:
        """The same, and the records that it came to."""
        return [
            {"Flags": list(each.flags), "Event": event_of(each.row)}
            for each in await self._process(args)
        ]

    @method("SessionSv1.ProcessCDR")
    async def process_session(self, args: SessionArgs) -> Json:
        """Store the record of a usage and have it paid."""
        await self._process(args)
        return "OK"

    @method("CDRsV1.ProcessCDR")
    async def process_cdr(self, args: CdrArgs) -> Json:
        """Store a record and have it paid; one that is ``PreRated`` as it is."""
        return await self._process_cdr(args.tenant, args.fields(), args.pre_rated)

    @method("CDRsV1.ProcessExternalCDR")
    async def process_external(self, args: ExternalCdrArgs) -> Json:
        """The same, of a record as others write it: times and usage as text."""
        return await self._process_cdr(args.tenant, args.fields(), args.pre_rated)

    async def _process_cdr(self, tenant: str, fields: dict[str, object], pre_rated: bool) -> Json:
        event = Event(tenant=tenant, fields=fields)
        how = Treatment(chargers=not pre_rated, rate=not pre_rated)
        await self._store(event, how, attributes=True)
        return "OK"

    async def _process(self, args: SessionArgs) -> list[Recorded]:
        how, attributes = treatment(args.flags)
        return await self._store(args.to_event(), how, attributes=attributes)

    async def _store(self, event: Event, how: Treatment, *, attributes: bool) -> list[Recorded]:
        if attributes:
            try:
                event = self._engine.altered(event, _CDRS)
            except EventError as problem:
                raise ApiError(f"ATTRIBUTES_ERROR:{problem.answer}") from None
        return await refusing(self._steps.record(event, how))

    @method("CDRsV1.StoreSessionCost")
    async def store_cost(self, args: StoreSmCostArgs) -> Json:
        """Keep what another session manager took, until the record of the usage comes.

        What its ``CostDetails`` say was taken from balances here, the record takes over: only the
        difference to what it costs is moved.
        """
        cost = args.cost
        if not cost.cgrid:
            raise ApiError("MANDATORY_IE_MISSING: [CGRID]")
        amounts = _amounts(cost.cost_details)
        identifier, now = cost.cgrid, self._engine.clock().timestamp()

        def step(view: View) -> Step:
            session = stored_session(view.sessions[identifier])
            known = session is not None and any(run.id == cost.run_id for run in session.runs)
            if known and args.check_duplicate:
                raise ApiError("SERVER_ERROR: EXISTS")
            run = _cost_run(cost, amounts, view.accounts)
            kept = session or Session(
                id=identifier,
                tenant=run.call.tenant,
                origin_id=cost.origin_id,
                origin_host=cost.origin_host,
                opened=now,
                ended=True,
                lease_until=now + _KEPT,
            )
            others = tuple(each for each in kept.runs if each.id != run.id)
            kept = replace(kept, runs=(*others, run), updated=now)
            return Step(time=now, sessions={identifier: session_row(kept)})

        accounts = sorted({account for account, _ in amounts})
        await self._engine.write(Keys(accounts=accounts, sessions=[identifier]), step)
        return "OK"

    # Rating again, removing

    @method("CDRsV1.RateCDRs")
    async def rate(self, args: RateCdrsArgs) -> Json:
        """Rate stored records by the tariff that counts now, and settle the difference.

        Only those that have no cost, unless a flag says ``*rerate``. ``*chargers`` and
        ``*attributes`` make their runs anew.
        """
        flags = _flags(args.flags)
        if not flags.get("*store", True):
            raise ApiError(
                "SERVER_ERROR: *store:false: what is rated again is stored; APIerSv1.GetCost prices"
            )
        query = self._query(args)
        again, export = flags.get("*rerate", False), flags.get("*export", False)
        chargers, attributes = flags.get("*chargers", False), flags.get("*attributes", False)
        if not (chargers or attributes):
            count = await refusing(self._recorder.rerate(query, everything=again, export=export))
            if not count and not await self._engine.book.count_records(query):
                raise ApiError("NOT_FOUND")
            return "OK"
        how = Treatment(again=True, chargers=chargers, export=export)
        found = False
        async for page in self._engine.book.record_pages(query):
            found = True
            for row in page:
                if again or row.cost is None:
                    event = Event(tenant=row.tenant, fields=_event_fields(row))
                    await self._store(event, how, attributes=attributes)
        if not found:
            raise ApiError("NOT_FOUND")
        return "OK"

    @method("APIerSv1.RemoveCDRs")
    async def remove(self, args: RpcCdrsFilter) -> Json:
        """Remove records. What they took stays taken, and an event that comes again is paid again.

        To give it back first: ``CDRsV1.ProcessEvent`` with the flag ``*refund``.
        """
        await self._recorder.remove(self._query(args))
        return "OK"

    # Asking

    @method("CDRsV1.GetCDRs")
    async def get(self, args: RpcCdrsFilter) -> Json:
        """Records, in the order in which they came, or in that of ``OrderBy``."""
        found = await self._found(args)
        if not found:
            raise ApiError("SERVER_ERROR: NOT_FOUND")
        return [cdr(row) for row in found]

    @method("APIerSv1.GetCDRs", "APIerSv2.GetCDRs")
    async def get_external(self, args: RpcCdrsFilter) -> Json:
        """Records, times and usages as text."""
        found = await self._found(args)
        if not found:
            raise ApiError("NOT_FOUND")
        return [external_cdr(row) for row in found]

    @method("CDRsV1.GetCDRsCount", "APIerSv2.CountCDRs")
    async def count(self, args: RpcCdrsFilter) -> Json:
        """How many records there are."""
        return await self._engine.book.count_records(self._query(args))

    @method("APIerSv1.GetEventCost", mandatory=("CgrId",))
    async def event_cost(self, args: AttrGetCallCost) -> Json:
        """What a record costs, and who paid: as it was when it was rated."""
        query = RecordQuery(ids=[args.cgr_id], runs=[args.run_id or DEFAULT_RUN])
        found = [details_of(row) for row in await self._engine.book.records(query)]
        if not found or found[0].cost_details is None:
            raise ApiError("NOT_FOUND")
        return dict(found[0].cost_details)

    async def _found(self, args: RpcCdrsFilter) -> list[RecordRow]:
        found: list[RecordRow] = []
        async for page in self._engine.book.record_pages(self._query(args)):
            found += page
        return found

    def _query(self, args: RpcCdrsFilter) -> RecordQuery:
        zone = self._engine.tariffs.tariff.zone(DEFAULT_TENANT)
        return query_of(args, zone, self._engine.clock())


def _flags(words: Sequence[str]) -> dict[str, bool]:
    """``*rals`` and ``*rals:true`` are true, ``*rals:false`` is not."""
    found = {}
    for word in words:
        name, _, value = word.partition(":")
        found[name] = value != "false"
    return found


def treatment(words: Sequence[str]) -> tuple[Treatment, bool]:
    """What flags say is to be done with an event; and whether attributes change it first."""
    flags = _flags(words)
    how = Treatment(
        rate=flags.get("*rals", True),
        store=flags.get("*store", True),
        again=flags.get("*rerate", False),
        refund=flags.get("*refund", False),
        chargers=flags.get("*chargers", True),
        export=flags.get("*export", True),
    )
    return how, flags.get("*attributes", True)


def _event_fields(row: RecordRow) -> dict[str, object]:
    """The event that a stored record came from, as far as the record says it."""
    gone = ("OrderID", "Cost", "CostSource", "CostDetails", "ExtraInfo")
    fields = {name: value for name, value in event_of(row).items() if name not in gone}
    return {name: value for name, value in fields.items() if value not in (False, "")}


def _cost_run(
    cost: SmCost, amounts: Mapping[tuple[str, str], Decimal], accounts: Mapping[str, Account | None]
) -> Run:
    """The run of a session that another program charged."""
    taken = []
    for (account, uuid), amount in amounts.items():
        owner = accounts.get(account)
        balance = None if owner is None else owner.balance(uuid)
        if balance is not None and amount:
            taken.append(
                Taking(account=account, balance=replace(balance, value=ZERO), amount=amount)
            )
    tenant, _, account = next(iter(sorted(amounts)), ("", ""))[0].partition(":")
    return Run(
        id=cost.run_id or DEFAULT_RUN,
        request_type=RequestType.PREPAID,
        call=Call(
            destination="",
            time=_EPOCH,
            usage=0,
            tenant=tenant or DEFAULT_TENANT,
            account=account,
        ),
        used=int(cost.usage),
        granted=int(cost.usage),
        taken=tuple(taken),
        cost=_number(dict(cost.cost_details), "Cost"),
    )


def _amounts(details: Mapping[str, Json]) -> dict[tuple[str, str], Decimal]:
    """What an ``EventCost`` says was taken from which balance of which account."""
    accounting = details.get("Accounting")
    charges = details.get("Charges")
    found: dict[tuple[str, str], Decimal] = {}
    if not isinstance(accounting, dict) or not isinstance(charges, list):
        return found
    for charge in charges:
        times = _number(charge, "CompressFactor")
        increments = charge.get("Increments") if isinstance(charge, dict) else None
        for increment in increments if isinstance(increments, list) else ():
            count = times * _number(increment, "CompressFactor")
            name = increment.get("AccountingID") if isinstance(increment, dict) else None
            while isinstance(name, str) and isinstance(entry := accounting.get(name), dict):
                key = str(entry.get("AccountID", "")), str(entry.get("BalanceUUID", ""))
                found[key] = add(found.get(key, ZERO), count * _number(entry, "Units"))
                name = entry.get("ExtraChargeID")
    return found


def _number(value: Json, name: str) -> Decimal:
    found = value.get(name) if isinstance(value, dict) else None
    return Decimal(str(found)) if isinstance(found, int | float | Decimal) else ZERO
