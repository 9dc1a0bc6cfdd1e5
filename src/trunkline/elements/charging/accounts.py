"""``APIerSv1`` and ``APIerSv2``: accounts and their balances, as an operator changes them.

A change of a balance is an action on the account (``trunkline.charging.actions``), so that it moves
what it moves in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from trunkline.charging.actions import expired
from trunkline.charging.documents import reference_account
from trunkline.charging.event import number_text
from trunkline.charging.rows import ActionRow, BalanceRow
from trunkline.elements.charging.balances import BalanceArguments, key_of
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.plans import Gift, Plans
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.taken import Booked, Taken
from trunkline.jsonrpc import Json
from trunkline.jsonrpc.messages import INVALID_PARAMS
from trunkline.rating.model import DEFAULT_TENANT
from trunkline.store.ledger.model import Keys, View

__all__ = ["Accounts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetAccount:
    """Which account."""

    tenant: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetAccounts:
    """Which accounts; ``Filter`` knows ``AllowNegative`` and ``Disabled``."""

    tenant: str = ""
    account_ids: tuple[str, ...] = field(default=(), metadata={"name": "AccountIDs"})
    offset: int = 0
    limit: int = 0
    filter: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetAccount:
    """What ``APIerSv1.SetAccount`` takes."""

    tenant: str = ""
    account: str = ""
    action_plan_id: str = field(default="", metadata={"name": "ActionPlanID"})
    action_triggers_id: str = field(default="", metadata={"name": "ActionTriggersID"})
    extra_options: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetAccountV2:
    """What ``APIerSv2.SetAccount`` takes."""

    tenant: str = ""
    account: str = ""
    action_plan_ids: tuple[str, ...] = field(default=(), metadata={"name": "ActionPlanIDs"})
    action_plans_overwrite: bool = False
    action_trigger_ids: tuple[str, ...] = field(default=(), metadata={"name": "ActionTriggerIDs"})
    action_trigger_overwrite: bool = False
    extra_options: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrAddBalance:
    """What the methods that change a balance take."""

    tenant: str = ""
    account: str = ""
    balance_type: str = ""
    value: Decimal | None = None
    balance: Mapping[str, Json] = field(default_factory=dict)
    overwrite: bool = False
    cdrlog: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrBalance:
    """One balance of several."""

    balance_type: str = ""
    value: Decimal | None = None
    balance: Mapping[str, Json] = field(default_factory=dict)
    cdrlog: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetBalances:
    """What ``APIerSv1.SetBalances`` takes."""

    tenant: str = ""
    account: str = ""
    balances: tuple[AttrBalance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrTransferBalance:
    """What ``APIerSv1.TransferBalance`` takes."""

    tenant: str = ""
    source_account_id: str = field(default="", metadata={"name": "SourceAccountID"})
    source_balance_id: str = field(default="", metadata={"name": "SourceBalanceID"})
    destination_account_id: str = field(default="", metadata={"name": "DestinationAccountID"})
    destination_balance_id: str = field(default="", metadata={"name": "DestinationBalanceID"})
    units: Decimal = Decimal(0)
    cdrlog: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrExecuteAction:
    """What ``APIerSv1.ExecuteAction`` takes."""

    tenant: str = ""
    account: str = ""
    actions_id: str = field(default="", metadata={"name": "ActionsId"})


class Accounts:
    """The accounts in the engine's ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plans = Plans(engine)

    @method("APIerSv1.GetAccount", "APIerSv2.GetAccount", mandatory=("Account",))
    async def get(self, args: AttrGetAccount) -> Json:
        """One account, with all its balances."""
        key = key_of(args.tenant, args.account)
        loaded = await self._engine.book.load(Keys(accounts=[key]))
        account = loaded.view.accounts[key]
        if account is None:
            raise ApiError("NOT_FOUND")
        return reference_account(account)

    @method("APIerSv1.GetAccounts", "APIerSv2.GetAccounts")
    async def get_all(self, args: AttrGetAccounts) -> Json:
        """The accounts of a tenant, in the order of their IDs; or those that are named."""
        tenant = args.tenant or DEFAULT_TENANT
        if args.offset < 0 or args.limit < 0:
            raise ApiError("SERVER_ERROR: Offset and Limit are 0 or more", INVALID_PARAMS)
        if args.account_ids:
            keys = [key_of(tenant, each) for each in args.account_ids if each][args.offset :]
            keys = keys[: args.limit or None]
            there = (await self._engine.book.load(Keys(accounts=keys))).view.accounts
            found = [each for key in keys if (each := there[key]) is not None]
        else:
            found = await self._engine.book.accounts(
                tenant, offset=args.offset, limit=args.limit or None
            )
        wanted = args.filter
        return [
            reference_account(each)
            for each in found
            if wanted.get("AllowNegative", each.allow_negative) == each.allow_negative
            and wanted.get("Disabled", each.disabled) == each.disabled
        ]

    @method("APIerSv1.GetAccountsCount")
    async def count(self, args: AttrGetAccounts) -> Json:
        """How many accounts a tenant has."""
        found = await self._engine.book.count_accounts(args.tenant or DEFAULT_TENANT)
        if not found:
            raise ApiError("NOT_FOUND")
        return found

    @method("APIerSv1.SetAccount", mandatory=("Account",))
    async def set(self, args: AttrSetAccount) -> Json:
        """Make an account, or change what it may, its action plan and its triggers."""
        gift = Gift(
            plans=[args.action_plan_id] if args.action_plan_id else [],
            only=bool(args.action_plan_id),
            triggers=[args.action_triggers_id] if args.action_triggers_id else [],
            only_triggers=bool(args.action_triggers_id),
            allow_negative=args.extra_options.get("AllowNegative"),
            disabled=args.extra_options.get("Disabled"),
        )
        await self._plans.give(key_of(args.tenant, args.account), gift)
        return "OK"

    @method("APIerSv2.SetAccount", mandatory=("Account",))
    async def set_v2(self, args: AttrSetAccountV2) -> Json:
        """The same, with any number of plans and triggers; they are added to those it has."""
        gift = Gift(
            plans=args.action_plan_ids,
            only=args.action_plans_overwrite,
            triggers=args.action_trigger_ids,
            only_triggers=args.action_trigger_overwrite,
            allow_negative=args.extra_options.get("AllowNegative"),
            disabled=args.extra_options.get("Disabled"),
        )
        await self._plans.give(key_of(args.tenant, args.account), gift)
        return "OK"

    @method("APIerSv1.RemoveAccount", mandatory=("Account",))
    async def remove(self, args: AttrGetAccount) -> Json:
        """Remove an account; what its balances held is moved out of them."""
        if not await self._plans.remove(key_of(args.tenant, args.account)):
            raise ApiError("NOT_FOUND")
        return "OK"

    @method("APIerSv1.AddBalance", mandatory=("Account", "BalanceType", "Value"))
    async def add(self, args: AttrAddBalance) -> Json:
        """Put something into a balance, and make it where there is none such."""
        rows = _rows("*topup_reset" if args.overwrite else "*topup", args, positive=True)
        await self._act(args.tenant, args.account, rows, make=True)
        return "OK"

    @method("APIerSv1.DebitBalance", mandatory=("Account", "BalanceType", "Value"))
    async def debit(self, args: AttrAddBalance) -> Json:
        """Take something out of a balance."""
        rows = _rows("*debit_reset" if args.overwrite else "*debit", args, positive=True)
        await self._act(args.tenant, args.account, rows, make=True)
        return "OK"

    @method("APIerSv1.SetBalance", mandatory=("Account", "BalanceType"))
    async def set_balance(self, args: AttrAddBalance) -> Json:
        """Have a balance be what is said; what is not said stays."""
        rows = _rows("*set_balance", args)
        await self._act(args.tenant, args.account, rows, make=True)
        return "OK"

    @method("APIerSv1.SetBalances", mandatory=("Account", "Balances"))
    async def set_balances(self, args: AttrSetBalances) -> Json:
        """Set several balances, all or none."""
        rows = [row for each in args.balances for row in _rows("*set_balance", each)]
        await self._act(args.tenant, args.account, rows, make=True, in_order=True)
        return "OK"

    @method("APIerSv1.RemoveBalances", mandatory=("Account", "BalanceType"))
    async def remove_balances(self, args: AttrAddBalance) -> Json:
        """Remove the balances that are so."""
        rows = _rows("*remove_balance", args)
        await self._act(args.tenant, args.account, rows)
        return "OK"

    @method(
        "APIerSv1.TransferBalance",
        mandatory=(
            *("SourceAccountID", "SourceBalanceID", "DestinationAccountID"),
            *("DestinationBalanceID", "Units"),
        ),
    )
    async def transfer(self, args: AttrTransferBalance) -> Json:
        """Move something from one balance into another, of the same or another account."""
        source = key_of(args.tenant, args.source_account_id)
        into = key_of(args.tenant, args.destination_account_id)
        now = self._engine.clock()

        def move(taken: Taken) -> None:
            account = taken.accounts[source]
            if account is None or taken.accounts[into] is None:
                raise ApiError("NOT_FOUND")
            held = [
                each
                for each in account.balances
                if each.id == args.source_balance_id and not expired(each, now)
            ]
            if not held:
                raise ApiError("SERVER_ERROR: source balance not found or expired")
            [balance, *_] = held
            if args.units < 0 or balance.value < args.units:
                raise ApiError(
                    f"SERVER_ERROR: insufficient credits in source balance"
                    f" {args.source_balance_id!r} (account {args.source_account_id!r}) for"
                    f" transfer of {number_text(args.units)} units"
                )
            log = [ActionRow(id="", action="*cdrlog", weight=Decimal(-1))] * args.cdrlog
            for key, action, named in (
                (source, "*debit", BalanceRow(uuid=balance.uuid)),
                (into, "*topup", BalanceRow(id=args.destination_balance_id)),
            ):
                said = replace(named, type=balance.type, value=args.units)
                row = ActionRow(id="", action=action, balance=said)
                taken.act(key, [row, *log], "*transfer_balance")

        await self._change((source, into), move)
        return "OK"

    @method("APIerSv1.ExecuteAction", mandatory=("Account", "ActionsId"))
    async def execute(self, args: AttrExecuteAction) -> Json:
        """Run actions of Actions.csv on an account."""
        rows = self._engine.profiles.actions.get(args.actions_id)
        if rows is None:
            raise ApiError("NOT_FOUND")
        await self._act(args.tenant, args.account, rows, make=True)
        return "OK"

    async def _act(
        self,
        tenant: str,
        account: str,
        rows: Sequence[ActionRow],
        *,
        make: bool = False,
        in_order: bool = False,
    ) -> None:
        key = key_of(tenant, account)
        weighed = [
            replace(row, weight=Decimal(-number)) if in_order else row
            for number, row in enumerate(rows)
        ]

        def act(taken: Taken) -> None:
            if taken.accounts[key] is None and not make:
                raise ApiError("NOT_FOUND")
            taken.act(key, weighed, make=make)

        await self._change((key,), act)

    async def _change(self, keys: Sequence[str], change: Callable[[Taken], None]) -> None:
        engine = self._engine
        now = engine.clock().timestamp()

        def write(view: View) -> Booked:
            taken = engine.taken(view, now)
            change(taken)
            return taken.into(Booked(time=now))

        await engine.write(Keys(accounts=list(dict.fromkeys(keys))), write)


def _rows(
    action: str, args: AttrAddBalance | AttrBalance, *, positive: bool = False
) -> list[ActionRow]:
    """The actions that a change of a balance is; ``positive``: by the amount, whatever its sign."""
    said = BalanceArguments(args.balance)
    value = said.amount("Value") if args.value is None else args.value
    if positive and value is not None:
        value = abs(value)
    row = ActionRow(
        id="",
        action=action,
        extra=said.factors(),
        balance=replace(said.row(), type=args.balance_type, value=value),
    )
    log = ActionRow(id="", action="*cdrlog", weight=Decimal(-1))
    return [row, log] if args.cdrlog else [row]
