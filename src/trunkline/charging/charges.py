"""The values of a debit: what is to be paid for, by whom, and what was taken.

``trunkline.charging.debit`` makes the one of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum, StrEnum
from fractions import Fraction

from trunkline.charging.groups import SharedGroup
from trunkline.charging.model import DEFAULT_BALANCE, Account, Movement, Taking
from trunkline.charging.payers import Choice
from trunkline.errors import TrunklineError
from trunkline.rating.call import Call
from trunkline.rating.chain import Match
from trunkline.rating.index import Entry, Slot

__all__ = [
    "AccountError",
    "Charge",
    "Cover",
    "Debit",
    "End",
    "Free",
    "Payers",
    "Rated",
    "Usage",
    "merged",
]


class AccountError(TrunklineError):
    """An account that cannot pay; ``reference`` is what the reference answers."""

    def __init__(self, code: str, message: str, *, reference: str) -> None:
        super().__init__(code, message)
        self.reference = reference


class Cover(Enum):
    """What happens to usage that no balance covers."""

    FUNDED = "funded"
    """It is cut off: prepaid, ``MaxDebit``, ``GetMaxSessionTime``, authorisation."""
    ALL = "all"
    """The default balance pays, below zero: postpaid, ``Debit``."""
    GRANTED = "granted"
    """It was granted, and paid for, already: nothing goes below zero. What no balance has alone,
    several pay together; what is held pays, whatever became of its balance; and what it costs more
    than there is, for its price has changed, is not taken."""


class End(StrEnum):
    """Why a usage ended where it did."""

    COVERED = "end.covered"
    """All of it is paid for."""
    FUNDS = "end.funds"
    """No balance has the next increment."""
    BLOCKER = "end.blocker"
    """A blocker does not have the next increment."""
    MAX_COST = "end.max-cost"
    """``*disconnect`` at the maximum cost."""
    MAX_RATE = "end.max-rate"
    """The next increment costs more than the highest rate that was asked for."""
    NO_PRICE = "end.no-price"
    """The next increment has no price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payers:
    """The account that pays, and those that share balances with it."""

    account: Account
    members: Sequence[Account] = ()
    """The accounts with a balance in one of the account's shared groups."""
    groups: Mapping[str, SharedGroup] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is to be paid for."""

    call: Call
    """All of it so far, from its beginning."""
    cover: Cover
    taken: tuple[Taking, ...] = ()
    """What was taken for it before: ``Debit.taken`` of the last time."""
    first: tuple[Taking, ...] | None = None
    """It is paid again, after its end, and this is what paid for it the first time: see
    ``trunkline.charging.payers``. ``None``: it is paid for as it happens."""
    max_rate: Fraction | None = None
    """A funded usage ends before an increment that costs more, in money for a nanosecond of voice
    or one unit of what is not."""
    seed: str = ""
    """Draws the order of ``*random`` groups; the session's ID."""
    default_uuid: str = DEFAULT_BALANCE
    """For the default balance, where it must be made."""
    reference: str = ""
    """Goes with every movement."""


@dataclass(frozen=True, slots=True)
class Rated:
    """The price that a charge was made at."""

    match: Match
    entry: Entry
    slot: Slot


@dataclass(frozen=True, slots=True)
class Free:
    """A balance's free steps: what of the number it was chosen by."""

    prefix: str
    """The number itself where the balance is for every destination."""
    destination_id: str
    """``*any`` then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A run of equal increments, all paid in one way."""

    start: int
    """Its offset in the usage."""
    usage: int
    """Of one increment; 0: the connect fee."""
    count: int
    price: Fraction
    """Of one increment, after any maximum."""
    rated: Rated | Free
    unit: tuple[str, str] | None = None
    """The account's key and the UUID of the balance that paid the usage."""
    units: Fraction = Fraction(0)
    """Of one increment."""
    money: tuple[str, str] | None = None
    """The balance that paid the price; ``None``: there was nothing to pay."""

    @property
    def end(self) -> int:
        """The offset at which it ends."""
        return self.start + self.usage * self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Debit:
    """What a usage takes from whom. Nothing has happened yet: ``accounts`` are for the store."""

    call: Call
    """With its defaults filled in."""
    usage: int
    """How much of it is covered."""
    rated: int
    """How much is billed: whole increments, so it may be more."""
    cost: Decimal
    """Money for all of it, rounded by the tariff."""
    event_cost: Decimal
    """The sum of increments; the same as ``cost`` if exact."""
    connect_fee: Fraction
    end: End
    charges: tuple[Charge, ...]
    taken: tuple[Taking, ...]
    """What the session holds from now on."""
    movements: tuple[Movement, ...]
    """From what it held before."""
    accounts: tuple[Account, ...]
    """Those that changed, as they are afterwards."""
    choices: tuple[Choice, ...]
    """What became of each balance."""

    def after(self, account: Account) -> Account:
        """An account as it is afterwards."""
        return next((each for each in self.accounts if each.key == account.key), account)


def merged(charges: Iterable[Charge]) -> Iterable[Charge]:
    """Charges that follow on one another and differ in nothing else, as one."""
    joined: list[Charge] = []
    for charge in charges:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.usage
            and last.end == charge.start
            and replace(charge, start=last.start, count=last.count) == last
        ):
            joined[-1] = replace(last, count=last.count + charge.count)
        else:
            joined.append(charge)
    return joined
