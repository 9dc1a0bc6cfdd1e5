"""Accounts and their balances, and every movement of a balance.

Values are exact. What a balance holds is money (``*monetary``) or units: nanoseconds of ``*voice``,
octets of ``*data``, pieces of ``*sms`` and ``*mms``, anything of ``*generic``.

Nothing here changes in place: an operation on an account returns another account and the
`Movement`s that lead from the one to the other, so that a store can write both or neither, and an
audit can add the movements up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from trunkline.charging.money import ZERO, subtract
from trunkline.charging.rows import ActionTriggerRow, BalanceRow
from trunkline.rating.model import ANY, Timing

__all__ = [
    "CHARGE",
    "DATA",
    "DEFAULT_BALANCE",
    "GENERIC",
    "MMS",
    "MONETARY",
    "REFUND",
    "SMS",
    "VOICE",
    "Account",
    "Balance",
    "Counter",
    "Movement",
    "Taking",
    "Trigger",
]

MONETARY: Final = "*monetary"
VOICE: Final = "*voice"
DATA: Final = "*data"
SMS: Final = "*sms"
MMS: Final = "*mms"
GENERIC: Final = "*generic"

CHARGE: Final = "*charge"
"""Why something was taken: usage was paid for."""
REFUND: Final = "*refund"
"""Why something was put in: usage was paid for that was not had."""

DEFAULT_BALANCE: Final = "*default"
"""The ID of the money balance that goes below zero where something must be paid all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One balance of an account. Where a condition is empty, everything meets it."""

    uuid: str
    """Unique in the account; the ledger's name for it."""
    id: str = ""
    """The user's name for it."""
    type: str = MONETARY
    value: Decimal = ZERO
    weight: Decimal = ZERO
    """The heaviest is taken from first."""
    expires: datetime | None = None
    """Aware; ``None``: never."""
    destinations: tuple[str, ...] = ()
    """IDs of Destinations.csv; ``!ID`` means every destination but those of that ID."""
    categories: tuple[str, ...] = ()
    timings: tuple[Timing, ...] = ()
    rating_subject: str = ""
    """Prices what is taken from this balance: a subject, or ``*zero1s`` and its like: for nothing,
    in steps of that length."""
    shared_groups: tuple[str, ...] = ()
    factors: Mapping[str, Decimal] = field(default_factory=dict)
    """By type of record, else ``*any``: what one unit of this balance is worth in usage. Usage is
    divided by it."""
    blocker: bool = False
    """Where this one does not suffice, nothing else is taken."""
    disabled: bool = False

    @property
    def is_default(self) -> bool:
        """Whether this is the balance that goes below zero."""
        return self.type == MONETARY and self.id == DEFAULT_BALANCE

    def factor(self, tor: str) -> Decimal | None:
        """What one unit is worth of a type of record; ``None``: one."""
        return self.factors.get(tor, self.factors.get(ANY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What was used of balances of one type, counted for a trigger."""

    kind: str
    """``*event``: whatever is charged counts; ``*balance``: what is taken from the balances that
    the filter selects."""
    type: str
    """That of the balances."""
    unique_id: str = ""
    """Of the trigger that asks for it."""
    filter: BalanceRow
    value: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An action trigger of an account, and whether it has run."""

    row: ActionTriggerRow
    executed: bool = False
    """A trigger that is not recurrent runs once, until ``*reset_triggers``."""
    last_run: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who pays: a tenant's account with its balances, in the order in which they came."""

    tenant: str
    id: str
    balances: tuple[Balance, ...] = ()
    allow_negative: bool = False
    disabled: bool = False
    updated: datetime | None = None
    counters: tuple[Counter, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    plans: tuple[str, ...] = ()
    """IDs of the action plans that were given to it."""

    @property
    def key(self) -> str:
        """``tenant:id``, as the reference writes it."""
        return f"{self.tenant}:{self.id}"

    def balance(self, uuid: str) -> Balance | None:
        """The balance of that UUID."""
        return next((each for each in self.balances if each.uuid == uuid), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What a session has taken so far from one balance: given back before more is taken."""

    account: str
    """``tenant:id`` of the balance's owner, who may be another than the caller's account."""
    balance: Balance
    """As it was when it was taken from (its value aside), for where it has gone meanwhile."""
    amount: Decimal
    """Above zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What was put into a balance (above zero) or taken from it (below), and why."""

    account: str
    """``tenant:id``."""
    balance: str
    """The balance's UUID."""
    type: str
    """The balance's type, for a ledger that outlives the balance."""
    amount: Decimal
    value: Decimal
    """What the balance holds afterwards."""
    cause: str
    """`CHARGE`, `REFUND`, or the action: ``*topup``, ``*debit``, ``*expired`` …"""
    reference: str = ""
    """Of what it is a part: a session's or record's ID, an action's ID."""

    @property
    def before(self) -> Decimal:
        """What the balance held before."""
        return subtract(self.value, self.amount)
