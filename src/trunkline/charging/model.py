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
from types import MappingProxyType
from typing import Final

from trunkline.charging.money import ZERO, subtract
from trunkline.rating.model import Timing

__all__ = [
    "DATA",
    "GENERIC",
    "MMS",
    "MONETARY",
    "NOTHING",
    "SMS",
    "VOICE",
    "Account",
    "Balance",
    "Movement",
]

MONETARY: Final = "*monetary"
VOICE: Final = "*voice"
DATA: Final = "*data"
SMS: Final = "*sms"
MMS: Final = "*mms"
GENERIC: Final = "*generic"

NOTHING: Final[Mapping[str, Decimal]] = MappingProxyType({})


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
    factors: Mapping[str, Decimal] = field(default=NOTHING)
    """By type of record or category: so many units of this balance for one of usage."""
    blocker: bool = False
    """Where this one does not suffice, nothing else is taken."""
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who pays: a tenant's account with its balances, in the order in which they came."""

    tenant: str
    id: str
    balances: tuple[Balance, ...] = ()
    allow_negative: bool = False
    disabled: bool = False
    updated: datetime | None = None

    @property
    def key(self) -> str:
        """``tenant:id``, as the reference writes it."""
        return f"{self.tenant}:{self.id}"

    def balance(self, uuid: str) -> Balance | None:
        """The balance of that UUID."""
        return next((each for each in self.balances if each.uuid == uuid), None)


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
    """``*debit``, ``*refund``, or the action: ``*topup``, ``*debit_reset``, ``*expired`` …"""
    reference: str = ""
    """Of what it is a part: a session's or record's ID, an action's ID."""

    @property
    def before(self) -> Decimal:
        """What the balance held before."""
        return subtract(self.value, self.amount)
