"""``APIerSv1``: the action triggers that an account has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from trunkline.charging.actions import init_counters
from trunkline.charging.documents import reference_trigger
from trunkline.charging.model import Account, Trigger
from trunkline.elements.charging.actions import new_trigger, trigger_row
from trunkline.elements.charging.balances import Members, key_of
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.plans import Plans
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.taken import Booked
from trunkline.errors import DecodeError
from trunkline.jsonrpc import Json
from trunkline.jsonrpc.messages import INVALID_PARAMS
from trunkline.rating.times import parse_time
from trunkline.store.ledger.model import Keys, View

__all__ = ["AccountTriggers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrAccountTriggers:
    """Triggers of an account; what is empty means every one."""

    tenant: str = ""
    account: str = ""
    group_id: str = field(default="", metadata={"name": "GroupID"})
    unique_id: str = field(default="", metadata={"name": "UniqueID"})
    executed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrAddAccountActionTriggers:
    """Triggers for an account."""

    tenant: str = ""
    account: str = ""
    action_trigger_ids: tuple[str, ...] = field(default=(), metadata={"name": "ActionTriggerIDs"})
    action_trigger_overwrite: bool = False
    activation_date: str = ""
    executed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetAccountActionTriggers:
    """What triggers of an account are to be."""

    tenant: str = ""
    account: str = ""
    group_id: str = field(default="", metadata={"name": "GroupID"})
    unique_id: str = field(default="", metadata={"name": "UniqueID"})
    action_trigger: Mapping[str, Json] = field(default_factory=dict)


class AccountTriggers:
    """The triggers of the accounts in the ledger of ``engine``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plans = Plans(engine)

    @method("APIerSv1.GetAccountActionTriggers", mandatory=("Account",))
    async def get(self, args: AttrAccountTriggers) -> Json:
        """The triggers that an account has."""
        key = key_of(args.tenant, args.account)
        account = (await self._engine.book.load(Keys(accounts=[key]))).view.accounts[key]
        if account is None:
            raise ApiError("SERVER_ERROR: NOT_FOUND")
        return [reference_trigger(trigger) for trigger in account.triggers]

    @method("APIerSv1.AddAccountActionTriggers", mandatory=("Account",))
    async def add(self, args: AttrAddAccountActionTriggers) -> Json:
        """Give an account triggers that it has not got."""
        rows = [row for name in args.action_trigger_ids for row in self._plans.triggers(name)]
        zone = self._engine.tariffs.tariff.time_zone
        try:
            active = parse_time(args.activation_date, zone, self._engine.clock())
        except DecodeError as problem:
            raise ApiError(f"SERVER_ERROR: {problem.message}", INVALID_PARAMS) from None

        def change(account: Account) -> Account:
            held = () if args.action_trigger_overwrite else account.triggers
            names = {(each.row.id, each.row.unique_id) for each in held}
            fresh = tuple(
                Trigger(row=replace(row, source=None, activation=active), executed=args.executed)
                for row in rows
                if (row.id, row.unique_id) not in names
            )
            return replace(account, triggers=(*held, *fresh))

        return await self._change(args.tenant, args.account, change)

    @method("APIerSv1.SetAccountActionTriggers", mandatory=("Account",))
    async def set(self, args: AttrSetAccountActionTriggers) -> Json:
        """Have triggers of an account be what is said; where it has none such, add one."""
        said = Members(args.action_trigger)
        now, zone = self._engine.clock(), self._engine.tariffs.tariff.time_zone
        executed = said.flag("Executed")
        fresh_id = args.unique_id or str(uuid4())

        def changed(trigger: Trigger) -> Trigger:
            return replace(
                trigger,
                row=trigger_row(said, trigger.row, now, zone),
                executed=trigger.executed if executed is None else executed,
            )

        def change(account: Account) -> Account:
            meant = _meant(args.group_id, args.unique_id)
            if any(meant(trigger) for trigger in account.triggers):
                triggers = [changed(each) if meant(each) else each for each in account.triggers]
            else:
                row = new_trigger(args.group_id, fresh_id, said)
                triggers = [*account.triggers, changed(Trigger(row=row))]
            return replace(account, triggers=tuple(triggers))

        return await self._change(args.tenant, args.account, change)

    @method("APIerSv1.RemoveAccountActionTriggers", mandatory=("Account",))
    async def remove(self, args: AttrAccountTriggers) -> Json:
        """Take triggers from an account."""
        meant = _meant(args.group_id, args.unique_id)

        def change(account: Account) -> Account:
            kept = tuple(each for each in account.triggers if not meant(each))
            return replace(account, triggers=kept)

        return await self._change(args.tenant, args.account, change)

    @method("APIerSv1.ResetAccountActionTriggers", mandatory=("Account",))
    async def reset(self, args: AttrAccountTriggers) -> Json:
        """Have triggers of an account run again, or, ``Executed``, not run any more."""
        meant = _meant(args.group_id, args.unique_id)

        def change(account: Account) -> Account:
            triggers = (
                replace(each, executed=args.executed) if meant(each) else each
                for each in account.triggers
            )
            return replace(account, triggers=tuple(triggers))

        return await self._change(args.tenant, args.account, change)

    async def _change(
        self, tenant: str, account: str, change: Callable[[Account], Account]
    ) -> Json:
        engine = self._engine
        key = key_of(tenant, account)
        now = engine.clock().timestamp()

        def write(view: View) -> Booked:
            if view.accounts[key] is None:
                raise ApiError("NOT_FOUND")
            taken = engine.taken(view, now)
            taken.alter(key, lambda before: init_counters(change(before)))
            return taken.into(Booked(time=now))

        await engine.write(Keys(accounts=[key]), write)
        return "OK"


def _meant(group: str, unique: str) -> Callable[[Trigger], bool]:
    def meant(trigger: Trigger) -> bool:
        return group in ("", trigger.row.id) and unique in ("", trigger.row.unique_id)

    return meant
