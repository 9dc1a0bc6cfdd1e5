"""Actions: what a top-up, a reset, an expiry makes of an account, and what it asks others to do.

``run_actions`` runs the rows of one ID of Actions.csv, heaviest first, on one account. It returns
another account, the movements that lead there, and *effects*: what reaches beyond the account
(a log line, a record, an HTTP request, a mail) is not done here but handed back, in order, for
whoever called. All rows succeed or none: an action that cannot run raises, and nothing has changed.
(The reference keeps what the rows before it did.)

Which balance an action means: the one of the UUID; else those with the ID; else those of the type
that are as the row says in everything that it says. ``*topup`` and its like make a new one where
they find none.

Time and new UUIDs come in with the ``Circumstances``.
"""

from __future__ import annotations

import calendar
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal, InvalidOperation
from enum import Enum, auto
from typing import Final, NoReturn

from trunkline.charging.charges import AccountError
from trunkline.charging.model import (
    DEFAULT_BALANCE,
    MONETARY,
    Account,
    Balance,
    Counter,
    Movement,
    Trigger,
)
from trunkline.charging.money import ZERO, add, subtract, trim
from trunkline.charging.rows import ActionRow, BalanceRow
from trunkline.rating.model import BUILT_IN_TIMINGS, Timing
from trunkline.rating.times import parse_time

__all__ = [
    "ACTIONS",
    "EFFECTS",
    "Circumstances",
    "Effect",
    "Outcome",
    "expired",
    "expiry",
    "fits",
    "init_counters",
    "matches",
    "remove_expired",
    "run_actions",
    "value_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What an action needs to know and cannot know by itself."""

    now: datetime
    new_uuid: Callable[[], str]
    """A UUID that no balance has."""
    zone: tzinfo = UTC
    """Of times that say none."""
    timings: Mapping[str, Timing] = field(default_factory=dict)
    """Those of Timings.csv by ID; the built-in ones need not be there."""
    passes: Callable[[ActionRow, Account | None], bool] = lambda row, account: True
    """Whether the row's filters let it run."""
    reference: str = ""
    """Goes with every movement: the ID of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Something that an action asks for beyond the account."""

    row: ActionRow
    """``row.action`` says what, ``row.extra`` how."""
    account: Account | None
    """As it was when the action ran."""
    movements: tuple[Movement, ...]
    """Those of the run, after this action too: what ``*cdrlog`` makes records of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run of actions makes of an account."""

    account: Account | None
    """``None``: it is removed, or there was none."""
    movements: tuple[Movement, ...] = ()
    effects: tuple[Effect, ...] = ()


EFFECTS: Final = frozenset(
    {
        "*call_url",
        "*call_url_async",
        "*cdr_account",
        "*cdrlog",
        "*cgr_rpc",
        "*export",
        "*http_post",
        "*http_post_async",
        "*log",
        "*mail_async",
        "*post_event",
        "*publish_account",
        "*publish_balance",
        "*remove_session_costs",
        "*reset_account_cdr",
        "*set_ddestinations",
    }
)
"""Actions that change nothing here."""


class _Change(Enum):
    """How a value comes about."""

    ADD = auto()
    RESET = auto()
    """From 0."""
    RESET_NEGATIVE = auto()
    """From 0 where it was below."""


def run_actions(
    account: Account | None, rows: Iterable[ActionRow], circumstances: Circumstances
) -> Outcome:
    """Run actions of one ID, heaviest first, on an account.

    Raises:
        AccountError: ``charging.action-unknown``, ``charging.action-account``,
            ``charging.action-balance``, ``charging.action-value``; nothing has happened.
        DecodeError: an expiry that is no time.
    """
    run = _Run(account, circumstances)
    for row in sorted(rows, key=lambda each: each.weight, reverse=True):
        if circumstances.passes(row, run.account):
            run.run(row)
    changed = run.account
    if changed is not None and changed != account:
        changed = replace(changed, updated=circumstances.now)
    movements = tuple(run.movements)
    effects = tuple(replace(effect, movements=movements) for effect in run.effects)
    return Outcome(account=changed, movements=movements, effects=effects)


def matches(
    balance: Balance,
    row: BalanceRow,
    *,
    expires: datetime | None = None,
    any_expiry: bool = False,
) -> bool:
    """Whether a row means a balance. ``expires`` is what its ``ExpiryTime`` says."""
    if row.uuid:
        return balance.uuid == row.uuid
    if row.type and balance.type != row.type:
        return False
    if row.id:
        return balance.id == row.id
    if row.expires and not any_expiry and balance.expires != expires:
        return False
    timings = row.timings
    return (
        row.weight in (None, balance.weight)
        and row.blocker in (None, balance.blocker)
        and row.disabled in (None, balance.disabled)
        and row.rating_subject in (None, balance.rating_subject)
        and (row.destinations is None or set(row.destinations) == set(balance.destinations))
        and (row.categories is None or set(row.categories) == set(balance.categories))
        and (row.shared_groups is None or set(row.shared_groups) == set(balance.shared_groups))
        and (timings is None or set(timings) == {timing.id for timing in balance.timings})
    )


def expiry(text: str, circumstances: Circumstances) -> datetime | None:
    """When something ends whose ``ExpiryTime`` is this text, as of now; ``None``: never.

    Raises:
        DecodeError: ``cgrates.time``.
    """
    return parse_time(text, circumstances.zone, circumstances.now)


def expired(balance: Balance, now: datetime) -> bool:
    """Whether a balance is over."""
    return balance.expires is not None and balance.expires < now


def remove_expired(
    account: Account, now: datetime, reference: str = ""
) -> tuple[Account, list[Movement]]:
    """The account without balances that are over; what they held is moved out of them.

    A default balance with a debt stays, and has no end from then on: no debt is forgiven. Triggers
    that are over go too.
    """
    gone: list[Balance] = []
    kept: list[Balance] = []
    for balance in account.balances:
        if not expired(balance, now):
            kept.append(balance)
        elif balance.is_default and balance.value < 0:
            kept.append(replace(balance, expires=None))
        else:
            gone.append(balance)
    movements = [
        _movement(account, balance, ZERO, "*expired", reference)
        for balance in gone
        if balance.value
    ]
    triggers = tuple(
        trigger
        for trigger in account.triggers
        if trigger.row.expires is None or trigger.row.expires >= now
    )
    return replace(account, balances=tuple(kept), triggers=triggers), movements


def init_counters(account: Account) -> Account:
    """The account with a counter for each trigger that needs one; those there keep their value."""
    there = {(each.kind, each.unique_id, each.type): each for each in account.counters}
    counters = []
    for trigger in account.triggers:
        row = trigger.row
        kind = "*event" if row.threshold_type.endswith("_event_counter") else "*balance"
        if row.threshold_type.endswith("_counter"):
            key = (kind, row.unique_id, row.balance.type)
            counter = there.get(key) or Counter(
                kind=kind, type=row.balance.type, unique_id=row.unique_id, filter=row.balance
            )
            counters.append(replace(counter, filter=row.balance))
    return replace(account, counters=tuple(counters))


def _movement(
    account: Account, balance: Balance, value: Decimal, cause: str, reference: str
) -> Movement:
    return Movement(
        account=account.key,
        balance=balance.uuid,
        type=balance.type,
        amount=trim(subtract(value, balance.value)),
        value=trim(value),
        cause=cause,
        reference=reference,
    )


class _Run:
    """The account while actions run on it."""

    def __init__(self, account: Account | None, circumstances: Circumstances) -> None:
        self.account = account
        self.circumstances = circumstances
        self.movements: list[Movement] = []
        self.effects: list[Effect] = []

    def run(self, row: ActionRow) -> None:
        if row.action in EFFECTS:
            self._effect(row)
        elif row.action in _HANDLERS:
            if self.account is None:
                raise AccountError(
                    "charging.action-account",
                    f"{_named(row)} needs an account, and there is none; run it from an action "
                    "plan of one",
                    reference="ACCOUNT_NOT_FOUND",
                )
            _HANDLERS[row.action](self, self.account, row)
        else:
            raise AccountError(
                "charging.action-unknown",
                f"{_named(row)} is not among the actions: {', '.join(sorted(ACTIONS))}",
                reference="NOT_IMPLEMENTED",
            )

    # What handlers are made of

    def _effect(self, row: ActionRow) -> None:
        self.effects.append(Effect(row=row, account=self.account, movements=()))

    def _expires(self, row: ActionRow) -> datetime | None:
        text = row.balance.expires
        return expiry(text, self.circumstances)

    def _found(
        self, account: Account, row: ActionRow, *, any_expiry: bool = False
    ) -> list[Balance]:
        expires = self._expires(row)
        return [
            balance
            for balance in account.balances
            if not expired(balance, self.circumstances.now)
            and matches(balance, row.balance, expires=expires, any_expiry=any_expiry)
        ]

    def _replace(self, old: Balance, new: Balance, cause: str) -> None:
        """One balance becomes another, or comes to be."""
        account = self.account
        assert account is not None
        if old.value != new.value:
            movement = _movement(account, old, new.value, cause, self.circumstances.reference)
            self.movements.append(movement)
        if old in account.balances:
            balances = tuple(new if each is old else each for each in account.balances)
        else:
            balances = (*account.balances, new)
        self.account = replace(account, balances=balances)

    def _remove(self, balances: Iterable[Balance], cause: str) -> None:
        account = self.account
        assert account is not None
        gone = list(balances)
        for balance in gone:
            if balance.value:
                self.movements.append(
                    _movement(account, balance, ZERO, cause, self.circumstances.reference)
                )
        kept = tuple(each for each in account.balances if not any(each is one for one in gone))
        self.account = replace(account, balances=kept)

    def _new(self, row: ActionRow) -> Balance:
        """An empty balance as a row says."""
        said = row.balance
        if not said.type:
            raise AccountError(
                "charging.action-balance",
                f"{_named(row)} makes a balance and says no BalanceType; write *monetary, *voice, "
                "*data, *sms or *generic",
                reference="MANDATORY_IE_MISSING: [BalanceType]",
            )
        empty = Balance(uuid=self.circumstances.new_uuid(), id=said.id or "", type=said.type)
        return self._as_said(empty, row)

    def _as_said(self, balance: Balance, row: ActionRow) -> Balance:
        """A balance with everything that a row says of it but its value."""
        said = row.balance
        factors = _factors(row.extra)
        return replace(
            balance,
            id=balance.id if said.id is None else said.id,
            type=said.type or balance.type,
            weight=balance.weight if said.weight is None else said.weight,
            expires=self._expires(row) if said.expires else balance.expires,
            destinations=balance.destinations if said.destinations is None else said.destinations,
            categories=balance.categories if said.categories is None else said.categories,
            timings=balance.timings
            if said.timings is None
            else tuple(self._timing(row, tag) for tag in said.timings),
            rating_subject=balance.rating_subject
            if said.rating_subject is None
            else said.rating_subject,
            shared_groups=balance.shared_groups
            if said.shared_groups is None
            else said.shared_groups,
            factors=balance.factors if factors is None else factors,
            blocker=balance.blocker if said.blocker is None else said.blocker,
            disabled=balance.disabled if said.disabled is None else said.disabled,
        )

    def _timing(self, row: ActionRow, tag: str) -> Timing:
        timing = self.circumstances.timings.get(tag) or BUILT_IN_TIMINGS.get(tag)
        if timing is None:
            raise AccountError(
                "charging.action-value",
                f"{_named(row)} names the timing {tag}, which is not there; add it to Timings.csv",
                reference="NOT_FOUND",
            )
        return timing

    # The actions

    def change_value(self, account: Account, row: ActionRow, sign: int, how: _Change) -> None:
        kept, movements = remove_expired(
            account, self.circumstances.now, self.circumstances.reference
        )
        self.account = kept
        self.movements += movements
        value = value_of(row, self.circumstances.now)
        value = value if sign > 0 else value.copy_negate()
        found = self._found(kept, row)
        for balance in found:
            fresh = how is _Change.RESET or (how is _Change.RESET_NEGATIVE and balance.value < 0)
            changed = value if fresh else add(balance.value, value)
            factors = _factors(row.extra)
            self._replace(
                balance,
                replace(
                    balance,
                    value=trim(changed),
                    factors=balance.factors if factors is None else factors,
                ),
                row.action,
            )
        if not found:
            balance = self._new(row)
            self._replace(balance, replace(balance, value=trim(value)), row.action)
        assert self.account is not None
        self.account = init_counters(self.account)

    def set_balance(self, account: Account, row: ActionRow) -> None:
        said = row.balance
        now = self.circumstances.now
        found = None
        for balance in account.balances:
            same = balance.uuid == said.uuid if said.uuid else said.id and balance.id == said.id
            if same and not expired(balance, now):
                found = balance
                break
        if found is None and said.uuid:
            raise _no_balance(row)
        old = found or self._new(row)
        value = old.value if _says_no_value(said) else value_of(row, now)
        self._replace(old, replace(self._as_said(old, row), value=trim(value)), row.action)
        assert self.account is not None
        self.account = init_counters(self.account)

    def remove_balance(self, account: Account, row: ActionRow) -> None:
        expires = self._expires(row)
        found = [each for each in account.balances if matches(each, row.balance, expires=expires)]
        if not found:
            raise _no_balance(row)
        self._remove(found, row.action)

    def transfer_to_default(self, account: Account, row: ActionRow) -> None:
        self.remove_expired(account, row)  # a default balance that is over keeps nothing
        account = self.account or account
        found = [
            each
            for each in self._found(account, row)
            if each.type == MONETARY and not each.is_default and each.value > 0
        ]
        default = next((each for each in account.balances if each.is_default), None)
        default = default or Balance(uuid=self.circumstances.new_uuid(), id=DEFAULT_BALANCE)
        amount = ZERO
        for balance in found:
            amount = add(amount, balance.value)
            self._replace(balance, replace(balance, value=ZERO), row.action)
        self._replace(default, replace(default, value=trim(add(default.value, amount))), row.action)

    def set_expiry(self, account: Account, row: ActionRow) -> None:
        expires = self._expires(row)
        for balance in self._found(account, row, any_expiry=True):
            self._replace(balance, replace(balance, expires=expires), row.action)

    def remove_expired(self, account: Account, row: ActionRow) -> None:
        kept, movements = remove_expired(
            account, self.circumstances.now, self.circumstances.reference
        )
        self.account = kept
        self.movements += movements

    def reset_account(self, account: Account, row: ActionRow) -> None:
        """One empty balance of each type it had, no counts, and triggers may run again."""
        types = dict.fromkeys(balance.type for balance in account.balances)
        self._remove(account.balances, row.action)
        assert self.account is not None
        fresh = tuple(Balance(uuid=self.circumstances.new_uuid(), type=each) for each in types)
        self.account = init_counters(
            replace(
                self.account,
                balances=fresh,
                counters=(),
                triggers=tuple(replace(each, executed=False) for each in account.triggers),
            )
        )

    def reset_counters(self, account: Account, row: ActionRow) -> None:
        kind = row.balance.type
        self.account = replace(
            account,
            counters=tuple(
                replace(each, value=ZERO) if kind in ("", each.type) else each
                for each in account.counters
            ),
        )

    def triggers(
        self, account: Account, row: ActionRow, change: Callable[[Trigger], Trigger]
    ) -> None:
        self.account = replace(
            account,
            triggers=tuple(
                change(each) if _means(row, each) else each for each in account.triggers
            ),
        )

    def remove_account(self, account: Account, row: ActionRow) -> None:
        self._remove(account.balances, row.action)
        self._effect(row)
        self.account = None

    def allow_negative(self, account: Account, allowed: bool) -> None:
        self.account = replace(account, allow_negative=allowed)

    def disable(self, account: Account, disabled: bool) -> None:
        self.account = replace(account, disabled=disabled)


def _recurrent(trigger: Trigger, recurrent: bool) -> Trigger:
    return replace(trigger, row=replace(trigger.row, recurrent=recurrent))


_HANDLERS: Final[Mapping[str, Callable[[_Run, Account, ActionRow], None]]] = {
    "*topup": lambda run, account, row: run.change_value(account, row, 1, _Change.ADD),
    "*topup_reset": lambda run, account, row: run.change_value(account, row, 1, _Change.RESET),
    "*topup_zero_negative": lambda run, account, row: run.change_value(
        account, row, 1, _Change.RESET_NEGATIVE
    ),
    "*debit": lambda run, account, row: run.change_value(account, row, -1, _Change.ADD),
    "*debit_reset": lambda run, account, row: run.change_value(account, row, -1, _Change.RESET),
    "*set_balance": _Run.set_balance,
    "*remove_balance": _Run.remove_balance,
    "*transfer_monetary_default": _Run.transfer_to_default,
    "*set_expiry": _Run.set_expiry,
    "*remove_expired": _Run.remove_expired,
    "*reset_account": _Run.reset_account,
    "*reset_counters": _Run.reset_counters,
    "*reset_triggers": lambda run, account, row: run.triggers(
        account, row, lambda trigger: replace(trigger, executed=False)
    ),
    "*set_recurrent": lambda run, account, row: run.triggers(
        account, row, lambda trigger: _recurrent(trigger, True)
    ),
    "*unset_recurrent": lambda run, account, row: run.triggers(
        account, row, lambda trigger: _recurrent(trigger, False)
    ),
    "*remove_account": _Run.remove_account,
    "*allow_negative": lambda run, account, row: run.allow_negative(account, True),
    "*deny_negative": lambda run, account, row: run.allow_negative(account, False),
    "*enable_account": lambda run, account, row: run.disable(account, False),
    "*disable_account": lambda run, account, row: run.disable(account, True),
}
ACTIONS: Final = frozenset(_HANDLERS) | EFFECTS
"""Every action there is, by the reference's names."""


def _named(row: ActionRow) -> str:
    where = f"{row.source}: " if row.source else ""
    return f"{where}the action {row.action} of {row.id or 'a request'}"


def _no_balance(row: ActionRow) -> AccountError:
    return AccountError(
        "charging.action-balance",
        f"{_named(row)} finds no balance as it says; look at the account's balances",
        reference="NOT_FOUND",
    )


def _means(row: ActionRow, trigger: Trigger) -> bool:
    """Whether an action on triggers means one: the balance's type, and what its parameters say."""
    if row.balance.type and trigger.row.balance.type != row.balance.type:
        return False
    said = _parameters(row.extra)
    known = {
        "GroupID": trigger.row.id,
        "ID": trigger.row.id,
        "UniqueID": trigger.row.unique_id,
        "ThresholdType": trigger.row.threshold_type,
    }
    return all(said.get(name) in (None, "", value) for name, value in known.items())


def _parameters(extra: str) -> Mapping[str, object]:
    try:
        value = json.loads(extra, parse_float=Decimal, parse_constant=_no_number) if extra else {}
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _factors(extra: str) -> dict[str, Decimal] | None:
    """``{"*voice": 60}`` in ExtraParameters; ``None`` where they are something else."""
    said = _parameters(extra)
    factors = {}
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return None
        factors[name] = Decimal(value)
        if not fits(factors[name]):
            return None
    return factors or None


# Values

_HOURS: Final = {"hour": 1, "day": 24, "week": 7 * 24}
_GRAIN: Final = Decimal("1e-12")
_PART: Final = Context(prec=100)
_MOST: Final = 30
_FINEST: Final = 40


def _says_no_value(said: BalanceRow) -> bool:
    return said.value is None and not said.value_text


def fits(value: Decimal) -> bool:
    """Whether sums with such an amount are exact: 30 digits before the point, 40 after it."""
    if not value.is_finite():
        return False
    exponent = value.as_tuple().exponent
    return value.adjusted() < _MOST and isinstance(exponent, int) and exponent >= -_FINEST


def value_of(row: ActionRow, now: datetime) -> Decimal:
    """The amount of a row; a formula as of now.

    Raises:
        AccountError: ``charging.action-value``.
    """
    said = row.balance
    if said.value is not None:
        if not fits(said.value):
            raise AccountError(
                "charging.action-value",
                f"{_named(row)} has the units {str(said.value)[:60]}: an amount has {_MOST} digits "
                f"before its point and {_FINEST} after it, at most",
                reference="SERVER_ERROR",
            )
        return said.value
    if not said.value_text:
        return ZERO
    formula = _parameters(said.value_text)
    params = formula.get("Params")
    if formula.get("Method") != "*incremental" or not isinstance(params, dict):
        raise _no_value(row)
    try:
        units = Decimal(str(params["Units"]))
        whole = _hours(str(params["Interval"]), now)
        part = _hours(str(params["Increment"]), now)
    except (KeyError, InvalidOperation):
        raise _no_value(row) from None
    if not fits(units):
        raise _no_value(row)
    return trim(_PART.quantize(_PART.divide(_PART.multiply(units, part), whole), _GRAIN))


def _hours(word: str, now: datetime) -> int:
    """The hours of an interval: a month and a year are those of now."""
    local = now.astimezone(UTC)
    if word == "month":
        return calendar.monthrange(local.year, local.month)[1] * 24
    if word == "year":
        return (366 if calendar.isleap(local.year) else 365) * 24
    return _HOURS[word]


def _no_value(row: ActionRow) -> AccountError:
    return AccountError(
        "charging.action-value",
        f"{_named(row)} has the units {row.balance.value_text[:60]!r}, which are neither a number "
        'nor a formula such as {"Method":"*incremental","Params":{"Units":10,"Interval":"month",'
        '"Increment":"day"}}',
        reference="SERVER_ERROR",
    )
