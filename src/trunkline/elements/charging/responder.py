"""``Responder``: usages that are debited at once, by whoever keeps no session here.

``APIerSv1.GetMaxUsage`` and ``GetAccountCost`` ask the same of an event, and take nothing.

A call descriptor is a whole usage, from ``TimeStart`` to ``TimeEnd``. A part of one (``LoopIndex``
above 0) is refused: what it costs depends on what came before, which a session knows. With a
``CgrID``, and a ``RunID`` where there are several, a step is made once in a day, and answered the
same when it is repeated. ``DryRun`` changes nothing.

What a refund gives back is what its increments say, as `Responder.Debit` answered them: the units
``Consumed``, else the ``Duration``, and the ``Cost``. A price such as 0.1/60 is no finite number of
digits; what a refund comes to is rounded to ten decimals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

from trunkline.charging.charges import AccountError, Charge, Cover, Debit, Payers, Rated, Usage
from trunkline.charging.debit import debit
from trunkline.charging.documents import reference_account, reference_summary
from trunkline.charging.event import Event, EventError
from trunkline.charging.model import REFUND, Account, Balance, Movement
from trunkline.charging.money import ZERO, add, trim
from trunkline.charging.result import paid_event_cost
from trunkline.charging.sessions import RequestType, Run
from trunkline.elements.charging.arguments import Duration, Instant, wire_name
from trunkline.elements.charging.costs import rate_interval, time_stamp
from trunkline.elements.charging.engine import DEFAULT_RUN, Engine, Step
from trunkline.elements.charging.registry import ApiError, method, server_error
from trunkline.elements.charging.steps import wanted
from trunkline.jsonrpc import Json, Raw, encode
from trunkline.rating.call import VOICE, Call
from trunkline.rating.errors import RatingError
from trunkline.rating.model import DEFAULT_CATEGORY, DEFAULT_TENANT
from trunkline.rating.result import number
from trunkline.store.ledger.model import Keys, View

__all__ = ["BalanceInfo", "DebitDescriptor", "Increment", "Responder"]

_NEVER: Final = Instant(0)
_NOTHING: Final = Duration(0)
_DAY: Final = 24 * 3600.0  # s
_DECIMALS: Final = 10
_MOST: Final = 10**40
_GRAIN: Final = Decimal(1).scaleb(-_DECIMALS)
_WIDE: Final = Context(prec=60)
_NO_ACCOUNT: Final = "ACCOUNT_NOT_FOUND"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenFrom:
    """A balance that an increment was taken from."""

    uuid: str = ""
    consumed: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceInfo:
    """Who paid an increment: units, or money, or both."""

    unit: TakenFrom | None = None
    monetary: TakenFrom | None = None
    account_id: str = field(default="", metadata={"name": "AccountID"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Increment:
    """An increment that was paid, ``CompressFactor`` times."""

    duration: Duration = _NOTHING
    cost: Decimal = ZERO
    balance_info: BalanceInfo | None = None
    compress_factor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitDescriptor:
    """A usage, from its beginning, or what is given back of one."""

    category: str = ""
    tenant: str = ""
    subject: str = ""
    account: str = ""
    destination: str = ""
    time_start: Instant = _NEVER
    time_end: Instant = _NEVER
    tor: str = field(default="", metadata={"name": "ToR"})
    loop_index: float = 0.0
    max_rate: Decimal = ZERO
    max_rate_unit: Duration = _NOTHING
    increments: tuple[Increment, ...] = ()
    cgr_id: str = field(default="", metadata={"name": "CgrID"})
    run_id: str = field(default="", metadata={"name": "RunID"})
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """A usage that is asked about, all of it text."""

    tor: str = field(default="", metadata={"name": "ToR"})
    request_type: str = ""
    tenant: str = ""
    category: str = ""
    account: str = ""
    subject: str = ""
    destination: str = ""
    setup_time: str = ""
    answer_time: str = ""
    usage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCostEvent:
    """An event whose cost to its account is asked for."""

    tenant: str = ""
    id: str = ""
    event: Mapping[str, Json] = field(default_factory=dict)


class Responder:
    """Debits on the accounts of ``engine``, without sessions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @method("Responder.Debit")
    async def debit(self, args: DebitDescriptor) -> Json:
        """Take the cost of a usage, below zero where nothing has it; the ``CallCost``."""
        return await self._debit(args, Cover.ALL, "debit")

    @method("Responder.MaxDebit")
    async def max_debit(self, args: DebitDescriptor) -> Json:
        """Take the cost of as much of a usage as the account has; the ``CallCost``."""
        return await self._debit(args, Cover.FUNDED, "max debit")

    @method("Responder.GetMaxSessionTime")
    async def max_session_time(self, args: DebitDescriptor) -> Json:
        """How much of a usage the account could pay, in nanoseconds or units."""
        run = _run(args)
        accounts = await self._engine.accounts_of([run])
        found = self._computed(args, run, self._engine.payers_of(run, accounts), Cover.FUNDED)
        return found[1].usage

    @method("APIerSv1.GetMaxUsage")
    async def max_usage(self, args: UsageRecord) -> Json:
        """How much of a usage the account could pay, in nanoseconds or units.

        Where no usage is given, of as much as a session asks for then.
        """
        fields: dict[str, object] = {
            wire_name(name): getattr(args, name)
            for name in ("request_type", "category", "account", "subject", "destination")
        }
        fields |= {"ToR": args.tor, "SetupTime": args.setup_time, "AnswerTime": args.answer_time}
        fields["Usage"] = args.usage
        event = Event(tenant=args.tenant, fields=fields)
        _, found = await self._asked(event, Cover.FUNDED)
        return found.usage

    @method("APIerSv1.GetAccountCost")
    async def account_cost(self, args: AccountCostEvent) -> Json:
        """What an event would cost its account, and which balances would pay; an ``EventCost``."""
        event = Event(tenant=args.tenant, id=args.id, fields=dict(args.event))
        account, found = await self._asked(event, Cover.ALL)
        names = {"CGRID": event.text("CGRID"), "RunID": event.text("RunID")}
        return paid_event_cost(found, account, wire=True) | names

    async def _asked(self, event: Event, cover: Cover) -> tuple[Account, Debit]:
        """The account of an event, and what its usage would take."""
        engine = self._engine
        try:
            run = engine.run_of(event)
            run = replace(run, call=replace(run.call, usage=wanted(event, event.usage())))
            accounts = await engine.accounts_of([run])
            return self._computed(DebitDescriptor(), run, engine.payers_of(run, accounts), cover)
        except EventError as problem:
            raise ApiError(f"SERVER_ERROR: {problem.message}") from None
        except ApiError as problem:
            raise ApiError(f"SERVER_ERROR: {problem.text}") from None

    @method("Responder.RefundIncrements")
    async def refund(self, args: DebitDescriptor) -> Json:
        """Give back what increments took; the account afterwards."""
        return await self._refund(args, "refund", 1)

    @method("Responder.RefundRounding")
    async def refund_rounding(self, args: DebitDescriptor) -> Json:
        """Take back what increments of rounding gave: their ``Cost`` is below zero."""
        return await self._refund(args, "refund rounding", -1)

    async def _debit(self, args: DebitDescriptor, cover: Cover, step: str) -> Json:
        engine = self._engine
        run = _run(args)
        now = engine.clock().timestamp()

        def change(view: View) -> Step:
            taken = engine.taken(view, now)
            before, found = self._computed(args, run, engine.payers_of(run, taken.accounts), cover)
            taken.add(found)
            answer = encode(_call_cost(args, found, before))
            return taken.into(Step(time=now, answer=answer))

        if args.dry_run:
            accounts = await engine.accounts_of([run])
            before, found = self._computed(args, run, engine.payers_of(run, accounts), cover)
            return _call_cost(args, found, before)
        return await self._written([run], args, step, change)

    def _computed(
        self, args: DebitDescriptor, run: Run, payers: Payers | None, cover: Cover
    ) -> tuple[Account, Debit]:
        """The account as it was, and what a usage takes from it."""
        if args.loop_index:
            raise ApiError(
                "SERVER_ERROR: a part of a call cannot be debited by itself; use SessionSv1"
            )
        if payers is None:
            raise ApiError(_NO_ACCOUNT)
        rate = Fraction(args.max_rate) / (args.max_rate_unit or 1) if args.max_rate else None
        tariffs = self._engine.tariffs
        usage = Usage(
            call=run.call,
            cover=cover,
            max_rate=rate,
            seed=args.cgr_id,
            reference=args.cgr_id,
        )
        try:
            return payers.account, debit(tariffs.tariff, payers, usage, tariffs.precision)
        except RatingError as problem:
            raise ApiError(problem.reference or server_error(problem)) from None
        except AccountError as problem:
            raise ApiError(problem.reference) from None

    async def _refund(self, args: DebitDescriptor, step: str, sign: int) -> Json:
        engine = self._engine
        now = engine.clock().timestamp()
        call = _run(args).call
        own = f"{call.tenant}:{call.account}"
        backs: dict[tuple[str, str], Decimal] = {}
        for key, uuid, amount in _backs(args.increments, own, sign):
            backs[key, uuid] = _WIDE.add(backs.get((key, uuid), ZERO), amount)
        if any(abs(amount) > _MOST for amount in backs.values()):
            raise ApiError(f"SERVER_ERROR: more than {_MOST} cannot be given back at once")

        def change(view: View) -> Step:
            if view.accounts[own] is None:
                raise ApiError(_NO_ACCOUNT)
            accounts = dict(view.accounts)
            movements: list[Movement] = []
            for (key, uuid), exact in backs.items():
                account = accounts[key]
                amount = trim(exact.quantize(_GRAIN, context=_WIDE))
                balance = None if account is None else account.balance(uuid)
                if account is not None and balance is not None and amount:
                    after = replace(balance, value=add(balance.value, amount))
                    movements.append(_movement(key, after, amount, args.cgr_id))
                    accounts[key] = replace(
                        account,
                        balances=tuple(
                            after if each.uuid == uuid else each for each in account.balances
                        ),
                    )
            changed = dict.fromkeys(each.account for each in movements)
            paid = [each for key in changed if (each := accounts[key]) is not None]
            taken = engine.taken(view, now)
            taken.move(call, paid, movements)
            found = taken.accounts[own] or accounts[own]
            shown = None if found is None else reference_account(found)
            return taken.into(Step(time=now, answer=encode(shown)))

        keys = list(dict.fromkeys([own, *(key for key, _ in backs)]))
        return await self._written(keys, args, step, change)

    async def _written(
        self,
        who: Sequence[Run] | Sequence[str],
        args: DebitDescriptor,
        step: str,
        change: Callable[[View], Step],
    ) -> Json:
        """The answer of a change, made once where it has a name."""
        engine = self._engine
        runs = [each for each in who if isinstance(each, Run)]
        keys = [each for each in who if isinstance(each, str)] + await engine.keys_of(runs)
        once = json.dumps([step, args.cgr_id, args.run_id]) if args.cgr_id else ""
        expires = engine.clock().timestamp() + _DAY
        done = await engine.write(Keys(accounts=keys), change, once=once, expires=expires)
        return Raw(done.answer)


def _run(args: DebitDescriptor) -> Run:
    return Run(
        id=args.run_id or DEFAULT_RUN,
        request_type=RequestType.PREPAID,
        call=Call(
            tenant=args.tenant or DEFAULT_TENANT,
            category=args.category or DEFAULT_CATEGORY,
            subject=args.subject,
            account=args.account or args.subject,
            destination=args.destination,
            time=args.time_start.time,
            usage=args.time_end.nanoseconds - args.time_start.nanoseconds,
            tor=args.tor or VOICE,
        ),
    )


def _backs(
    increments: Sequence[Increment], own: str, sign: int
) -> Iterator[tuple[str, str, Decimal]]:
    """The account, the balance, and what is put into it."""
    for each in increments:
        info = each.balance_info
        if info is None:
            continue
        times = max(each.compress_factor, 1)
        key = info.account_id or own
        consumed = ZERO if info.unit is None else info.unit.consumed
        if consumed < 0 or each.duration < 0 or (sign > 0 and each.cost < 0):
            raise ApiError("SERVER_ERROR: an increment is below zero; nothing was given back")
        if info.unit is not None and info.unit.uuid:
            yield key, info.unit.uuid, (info.unit.consumed or Decimal(each.duration)) * times
        if info.monetary is not None and info.monetary.uuid:
            yield key, info.monetary.uuid, each.cost * times * sign


def _movement(key: str, balance: Balance, amount: Decimal, reference: str) -> Movement:
    return Movement(
        account=key,
        balance=balance.uuid,
        type=balance.type,
        amount=amount,
        value=balance.value,
        cause=REFUND if amount > 0 else "*rounding",
        reference=reference,
    )


def _call_cost(args: DebitDescriptor, found: Debit, before: Account) -> dict[str, Json]:
    """The reference's ``CallCost`` of what an account has paid."""
    call = found.call
    return {
        "Category": call.category,
        "Tenant": call.tenant,
        "Subject": call.subject,
        "Account": call.account,
        "Destination": call.destination,
        "ToR": call.tor,
        "Cost": number(found.cost),
        "Timespans": [
            _time_span(args.time_start, charges, found, before) for charges in _spans(found)
        ],
        "RatedUsage": found.rated,
        "AccountSummary": reference_summary(before, found.after(before)),
    }


def _spans(found: Debit) -> Iterator[list[Charge]]:
    """The charges that one price, or one balance for nothing, covers in a row."""
    span: list[Charge] = []
    for charge in found.charges:
        if span and span[-1].rated != charge.rated:
            yield span
            span = []
        span.append(charge)
    if span:
        yield span


def _time_span(
    start: Instant, charges: Sequence[Charge], found: Debit, before: Account
) -> dict[str, Json]:
    rated = charges[0].rated
    shown: dict[str, Json]
    if isinstance(rated, Rated):
        shown = {
            "RateInterval": rate_interval(rated.entry, found.call.tor),
            "MatchedSubject": rated.match.subject_key,
            "MatchedPrefix": rated.match.prefix,
            "MatchedDestId": rated.match.group.destination_id,
            "RatingPlanId": rated.match.active.plan.id,
        }
    else:
        unit = charges[0].unit
        shown = {
            "RateInterval": None,
            "MatchedSubject": unit[1] if unit else "",
            "MatchedPrefix": rated.prefix,
            "MatchedDestId": rated.destination_id,
            "RatingPlanId": "*none",
        }
    after = {balance.uuid: balance.value for each in found.accounts for balance in each.balances}
    return {
        "TimeStart": time_stamp(start.nanoseconds + charges[0].start),
        "TimeEnd": time_stamp(start.nanoseconds + charges[-1].end),
        "Cost": number(sum((each.price * each.count for each in charges), Fraction(0))),
        "DurationIndex": charges[-1].end,
        "Increments": [_increment(each, found, before, after) for each in charges],
        "RoundIncrement": None,
        "CompressFactor": 1,
        **shown,
    }


def _increment(
    charge: Charge, found: Debit, before: Account, after: dict[str, Decimal]
) -> dict[str, Json]:
    unit: Json = None
    money: Json = None
    ids = {each.balance.uuid: each.balance.id for each in found.choices}
    if charge.unit is not None:
        uuid = charge.unit[1]
        unit = {
            "UUID": uuid,
            "ID": ids.get(uuid, ""),
            "Value": after.get(uuid, ZERO),
            "DestinationID": "" if isinstance(charge.rated, Rated) else charge.rated.destination_id,
            "Consumed": number(charge.units),
            "ToR": found.call.tor,
            "RateInterval": None,
        }
    if charge.money is not None:
        uuid = charge.money[1]
        money = {
            "UUID": uuid,
            "ID": ids.get(uuid, ""),
            "Value": after.get(uuid, ZERO),
            "RateInterval": None,
        }
    payer = charge.unit or charge.money
    return {
        "Duration": charge.usage,
        "Cost": number(charge.price),
        "BalanceInfo": {
            "Unit": unit,
            "Monetary": money,
            "AccountID": payer[0] if payer else before.key,
        },
        "CompressFactor": charge.count,
    }
