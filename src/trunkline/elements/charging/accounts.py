"""``APIerSv1`` and ``APIerSv2``: accounts and their balances, as an operator changes them.

A change of a balance is an action on the account (``trunkline.charging.actions``), so that it moves
what it moves in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from trunkline.charging.documents import reference_account
from trunkline.charging.model import Account
from trunkline.charging.rows import ActionRow, BalanceRow
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.taken import Booked, Taken
from trunkline.errors import DecodeError
from trunkline.jsonrpc import Json
from trunkline.rating.durations import parse_duration
from trunkline.rating.model import DEFAULT_TENANT
from trunkline.store.ledger.model import Keys, View

__all__ = ["Accounts", "AttrAddBalance", "AttrExecuteAction", "AttrGetAccount", "AttrSetAccount"]

_LISTS: Final = {
    "Categories": "categories",
    "DestinationIDs": "destinations",
    "SharedGroups": "shared_groups",
    "TimingIDs": "timings",
}
_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_TRUTHS: Final = {"True": True, "true": True, "False": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetAccount:
    """Which account."""

    tenant: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetAccount:
    """What ``APIerSv1.SetAccount`` takes, as far as it goes here."""

    tenant: str = ""
    account: str = ""
    extra_options: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrAddBalance:
    """What the methods that change a balance take."""

    tenant: str = ""
    account: str = ""
    balance_type: str = ""
    value: Decimal = Decimal(0)
    balance: Mapping[str, Json] = field(default_factory=dict)
    overwrite: bool = False


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

    @method("APIerSv1.GetAccount", mandatory=("Account",))
    async def get(self, args: AttrGetAccount) -> Json:
        """One account, with all its balances."""
        key = _key(args.tenant, args.account)
        loaded = await self._engine.book.load(Keys(accounts=[key]))
        account = loaded.view.accounts[key]
        if account is None:
            raise ApiError("NOT_FOUND")
        return reference_account(account)

    @method("APIerSv1.SetAccount", mandatory=("Account",))
    async def set(self, args: AttrSetAccount) -> Json:
        """Make an account, or change what it may."""
        wanted = args.extra_options
        key = _key(args.tenant, args.account)

        def change(account: Account) -> Account:
            return replace(
                account,
                allow_negative=wanted.get("AllowNegative", account.allow_negative),
                disabled=wanted.get("Disabled", account.disabled),
            )

        await self._change(key, lambda taken: taken.alter(key, change))
        return "OK"

    @method("APIerSv1.RemoveAccount", mandatory=("Account",))
    async def remove(self, args: AttrGetAccount) -> Json:
        """Remove an account; what its balances held is moved out of them."""
        await self._act(args.tenant, args.account, [ActionRow(id="", action="*remove_account")])
        return "OK"

    @method("APIerSv1.AddBalance", mandatory=("Account", "BalanceType"))
    async def add(self, args: AttrAddBalance) -> Json:
        """Put something into a balance, and make it where there is none such."""
        action = "*topup_reset" if args.overwrite else "*topup"
        await self._act(args.tenant, args.account, [_row(action, args)], make=True)
        return "OK"

    @method("APIerSv1.DebitBalance", mandatory=("Account", "BalanceType"))
    async def debit(self, args: AttrAddBalance) -> Json:
        """Take something out of a balance."""
        action = "*debit_reset" if args.overwrite else "*debit"
        await self._act(args.tenant, args.account, [_row(action, args)], make=True)
        return "OK"

    @method("APIerSv1.SetBalance", mandatory=("Account", "BalanceType"))
    async def set_balance(self, args: AttrAddBalance) -> Json:
        """Have a balance be what is said; what is not said stays."""
        await self._act(args.tenant, args.account, [_row("*set_balance", args)], make=True)
        return "OK"

    @method("APIerSv1.RemoveBalances", mandatory=("Account", "BalanceType"))
    async def remove_balances(self, args: AttrAddBalance) -> Json:
        """Remove the balances that are so."""
        await self._act(args.tenant, args.account, [_row("*remove_balance", args)])
        return "OK"

    @method("APIerSv1.ExecuteAction", mandatory=("ActionsId",))
    async def execute(self, args: AttrExecuteAction) -> Json:
        """Run actions of Actions.csv on an account."""
        rows = self._engine.profiles.actions.get(args.actions_id)
        if rows is None:
            raise ApiError("NOT_FOUND")
        await self._act(args.tenant, args.account, rows, make=True)
        return "OK"

    async def _act(
        self, tenant: str, account: str, rows: Iterable[ActionRow], *, make: bool = False
    ) -> None:
        kept = tuple(rows)
        key = _key(tenant, account)

        def act(taken: Taken) -> None:
            if taken.accounts[key] is None and not make:
                raise ApiError("NOT_FOUND")
            taken.act(key, kept, make=make)

        await self._change(key, act)

    async def _change(self, key: str, change: Callable[[Taken], None]) -> None:
        engine = self._engine
        now = engine.clock().timestamp()

        def write(view: View) -> Booked:
            taken = engine.taken(view, now)
            change(taken)
            return taken.into(Booked(time=now))

        await engine.write(Keys(accounts=[key]), write)


def _key(tenant: str, account: str) -> str:
    return f"{tenant or DEFAULT_TENANT}:{account}"


def _row(action: str, args: AttrAddBalance) -> ActionRow:
    """The action that a change of a balance is."""
    said = dict(args.balance)
    lists: dict[str, tuple[str, ...]] = {}
    for name, attribute in _LISTS.items():
        value = said.get(name)
        if isinstance(value, str):
            words = tuple(word for word in value.split(";") if word)
        elif isinstance(value, list):
            words = tuple(str(word) for word in value)
        else:
            continue
        lists[attribute] = tuple(word for word in words if word != "*any")
    weight, blocker, disabled = said.get("Weight"), said.get("Blocker"), said.get("Disabled")
    return ActionRow(
        id="",
        action=action,
        balance=BalanceRow(
            id=_text(said, "ID") or None,
            type=args.balance_type,
            categories=lists.get("categories"),
            destinations=lists.get("destinations"),
            shared_groups=lists.get("shared_groups"),
            timings=lists.get("timings"),
            rating_subject=_text(said, "RatingSubject") or None,
            expires=_text(said, "ExpiryTime"),
            value=args.value or _amount(said.get("Value")),
            weight=Decimal(str(weight)) if isinstance(weight, int | float | Decimal) else None,
            blocker=_TRUTHS.get(str(blocker)),
            disabled=_TRUTHS.get(str(disabled)),
        ),
    )


def _amount(value: Json) -> Decimal:
    """What a balance holds: a number, or as a text a duration, too."""
    if isinstance(value, str) and value:
        if _NUMBER.fullmatch(value):
            return Decimal(value)
        try:
            return Decimal(parse_duration(value))
        except DecodeError:
            raise ApiError(f"SERVER_ERROR: {value[:40]!r} is no Value of a balance") from None
    return Decimal(value) if isinstance(value, int | Decimal) else Decimal(0)


def _text(said: Mapping[str, Json], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""
