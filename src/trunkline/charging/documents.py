"""Accounts as JSON: the document that a store keeps, and what the reference's API answers.

``account_to_json`` and ``account_from_json`` are exact: numbers are text, times are ISO 8601 with
their offset, and what has its default value is left out. The document says which version of this
form it has. ``reference_account`` is for reading only: the reference writes amounts as JSON
numbers, sets as objects of ``true``, and times that there are none of as the year 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, cast

from trunkline.charging.model import Account, Balance, Counter, Taking, Trigger
from trunkline.charging.money import ZERO
from trunkline.charging.rows import ActionTriggerRow, BalanceRow
from trunkline.errors import TrunklineError
from trunkline.rating.model import DAY_SECONDS, Timing
from trunkline.rating.result import Json

__all__ = [
    "VERSION",
    "Reader",
    "account_from_json",
    "account_to_json",
    "balance_from_json",
    "balance_to_json",
    "reference_account",
    "reference_balance",
    "reference_summary",
    "reference_trigger",
    "taking_from_json",
    "taking_to_json",
]

VERSION: Final = 1
"""Of the form that is written. Older ones are read, later ones refused."""

_Fields = dict[str, Json]


class Reader:
    """One object of a document: each field by its type.

    Every method raises TrunklineError, ``charging.document``, where the field is of another.
    """

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise _refuse(place, "an object", value)
        self.fields: Mapping[str, object] = value
        self.place = place

    def refuse(self, name: str, kind: str) -> TrunklineError:
        """The error that a field is not of a kind."""
        return _refuse(f"{self.place}.{name}", kind, self.fields.get(name))

    def text(self, name: str, default: str = "") -> str:
        """Text; ``default`` where it lacks."""
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            raise _refuse(f"{self.place}.{name}", "text", value)
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it lacks."""
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise _refuse(f"{self.place}.{name}", "true or false", value)
        return value

    def whole(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self.fields.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _refuse(f"{self.place}.{name}", "a whole number", value)
        return value

    def number(self, name: str) -> Decimal:
        """An exact number, which is written as text; 0 where it lacks."""
        return self.decimal(self.fields.get(name, "0"), name)

    def decimal(self, value: object, name: str) -> Decimal:
        """The exact number that ``value``, from the field ``name``, is."""
        try:
            if isinstance(value, str) and (number := Decimal(value)).is_finite():
                return number
        except InvalidOperation:
            pass
        raise _refuse(f"{self.place}.{name}", "a number as text", value)

    def time(self, name: str) -> datetime | None:
        """An aware time; ``None`` where it lacks."""
        value = self.fields.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, str) and (time := datetime.fromisoformat(value)).tzinfo:
                return time
        except ValueError:
            pass
        raise _refuse(f"{self.place}.{name}", "a time with its offset", value)

    def several(self, name: str) -> list[object]:
        """A list; empty where it lacks."""
        value = self.fields.get(name, [])
        if not isinstance(value, list):
            raise _refuse(f"{self.place}.{name}", "a list", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of text."""
        values = self.several(name)
        if not all(isinstance(value, str) for value in values):
            raise _refuse(f"{self.place}.{name}", "a list of text", values)
        return tuple(cast(list[str], values))

    def wholes(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        values = self.several(name)
        if not all(isinstance(value, int) for value in values):
            raise _refuse(f"{self.place}.{name}", "a list of whole numbers", values)
        return tuple(cast(list[int], values))

    def inner(self, name: str) -> Reader:
        """An object within this one."""
        return Reader(self.fields.get(name, {}), f"{self.place}.{name}")

    def inners(self, name: str) -> list[Reader]:
        """A list of objects."""
        return [
            Reader(value, f"{self.place}.{name}[{number}]")
            for number, value in enumerate(self.several(name))
        ]


def _refuse(place: str, kind: str, value: object) -> TrunklineError:
    return TrunklineError(
        "charging.document",
        f"the stored document has {str(value)[:60]!r} at {place}, which is not {kind}; it was "
        "not written by this program: restore it from the ledger",
    )


def _kept(fields: Mapping[str, Json]) -> _Fields:
    """Without what has its default value. ``False`` is one, but so is 0, which is equal."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, False)}


def _number(value: Decimal) -> str | None:
    return str(value) if value else None


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


# Timings and balances


def _timing_to_json(timing: Timing) -> _Fields:
    return _kept(
        {
            "id": timing.id,
            "years": list(timing.years),
            "months": list(timing.months),
            "month_days": list(timing.month_days),
            "week_days": list(timing.week_days),
            "start": timing.start,
            "end": None if timing.end == DAY_SECONDS else timing.end,
            "as_soon": timing.as_soon,
        }
    )


def _timing_from_json(reader: Reader) -> Timing:
    return Timing(
        reader.text("id"),
        reader.wholes("years"),
        reader.wholes("months"),
        reader.wholes("month_days"),
        reader.wholes("week_days"),
        reader.whole("start"),
        reader.whole("end", DAY_SECONDS),
        as_soon=reader.flag("as_soon"),
    )


def balance_to_json(balance: Balance) -> dict[str, Json]:
    """One balance, exactly."""
    return _kept(
        {
            "uuid": balance.uuid,
            "id": balance.id,
            "type": balance.type,
            "value": _number(balance.value),
            "weight": _number(balance.weight),
            "expires": _time(balance.expires),
            "destinations": list(balance.destinations),
            "categories": list(balance.categories),
            "timings": [_timing_to_json(timing) for timing in balance.timings],
            "rating_subject": balance.rating_subject,
            "shared_groups": list(balance.shared_groups),
            "factors": {name: str(value) for name, value in sorted(balance.factors.items())},
            "blocker": balance.blocker,
            "disabled": balance.disabled,
        }
    )


def balance_from_json(value: object, place: str = "balance") -> Balance:
    """The balance that ``balance_to_json`` wrote.

    Raises:
        TrunklineError: ``charging.document``.
    """
    reader = value if isinstance(value, Reader) else Reader(value, place)
    factors = reader.inner("factors")
    return Balance(
        uuid=reader.text("uuid"),
        id=reader.text("id"),
        type=reader.text("type"),
        value=reader.number("value"),
        weight=reader.number("weight"),
        expires=reader.time("expires"),
        destinations=reader.texts("destinations"),
        categories=reader.texts("categories"),
        timings=tuple(_timing_from_json(timing) for timing in reader.inners("timings")),
        rating_subject=reader.text("rating_subject"),
        shared_groups=reader.texts("shared_groups"),
        factors={name: factors.number(name) for name in factors.fields},
        blocker=reader.flag("blocker"),
        disabled=reader.flag("disabled"),
    )


# What selects balances; here what is not said and what is empty differ


def _filter_to_json(row: BalanceRow) -> _Fields:
    fields: _Fields = {
        "id": row.id,
        "type": row.type or None,
        "categories": None if row.categories is None else list(row.categories),
        "destinations": None if row.destinations is None else list(row.destinations),
        "rating_subject": row.rating_subject,
        "shared_groups": None if row.shared_groups is None else list(row.shared_groups),
        "expires": row.expires or None,
        "timings": None if row.timings is None else list(row.timings),
        "value": None if row.value is None else str(row.value),
        "value_text": row.value_text or None,
        "weight": None if row.weight is None else str(row.weight),
        "blocker": row.blocker,
        "disabled": row.disabled,
        "uuid": row.uuid,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _filter_from_json(reader: Reader) -> BalanceRow:
    said = reader.fields
    return BalanceRow(
        id=reader.text("id") if "id" in said else None,
        type=reader.text("type"),
        categories=reader.texts("categories") if "categories" in said else None,
        destinations=reader.texts("destinations") if "destinations" in said else None,
        rating_subject=reader.text("rating_subject") if "rating_subject" in said else None,
        shared_groups=reader.texts("shared_groups") if "shared_groups" in said else None,
        expires=reader.text("expires"),
        timings=reader.texts("timings") if "timings" in said else None,
        value=reader.number("value") if "value" in said else None,
        value_text=reader.text("value_text"),
        weight=reader.number("weight") if "weight" in said else None,
        blocker=reader.flag("blocker") if "blocker" in said else None,
        disabled=reader.flag("disabled") if "disabled" in said else None,
        uuid=reader.text("uuid") if "uuid" in said else None,
    )


# Triggers and counters


def _trigger_to_json(trigger: Trigger) -> _Fields:
    row = trigger.row
    return _kept(
        {
            "id": row.id,
            "unique_id": row.unique_id,
            "threshold_type": row.threshold_type,
            "threshold_value": _number(row.threshold_value),
            "recurrent": row.recurrent,
            "min_sleep": row.min_sleep,
            "expires": _time(row.expires),
            "activation": _time(row.activation),
            "balance": _filter_to_json(row.balance),
            "actions_id": row.actions_id,
            "weight": _number(row.weight),
            "executed": trigger.executed,
            "last_run": _time(trigger.last_run),
        }
    )


def _trigger_from_json(reader: Reader) -> Trigger:
    return Trigger(
        row=ActionTriggerRow(
            id=reader.text("id"),
            unique_id=reader.text("unique_id"),
            threshold_type=reader.text("threshold_type"),
            threshold_value=reader.number("threshold_value"),
            recurrent=reader.flag("recurrent"),
            min_sleep=reader.whole("min_sleep"),
            expires=reader.time("expires"),
            activation=reader.time("activation"),
            balance=_filter_from_json(reader.inner("balance")),
            actions_id=reader.text("actions_id"),
            weight=reader.number("weight"),
        ),
        executed=reader.flag("executed"),
        last_run=reader.time("last_run"),
    )


def _counter_to_json(counter: Counter) -> _Fields:
    return _kept(
        {
            "kind": counter.kind,
            "type": counter.type,
            "unique_id": counter.unique_id,
            "filter": _filter_to_json(counter.filter),
            "value": _number(counter.value),
        }
    )


def _counter_from_json(reader: Reader) -> Counter:
    return Counter(
        kind=reader.text("kind"),
        type=reader.text("type"),
        unique_id=reader.text("unique_id"),
        filter=_filter_from_json(reader.inner("filter")),
        value=reader.number("value"),
    )


# The account, and what a session has taken


def account_to_json(account: Account) -> dict[str, Json]:
    """The whole account, exactly, ready for ``json.dumps``."""
    return {
        "version": VERSION,
        "tenant": account.tenant,
        "id": account.id,
        **_kept(
            {
                "balances": [balance_to_json(balance) for balance in account.balances],
                "allow_negative": account.allow_negative,
                "disabled": account.disabled,
                "updated": _time(account.updated),
                "counters": [_counter_to_json(counter) for counter in account.counters],
                "triggers": [_trigger_to_json(trigger) for trigger in account.triggers],
                "plans": list(account.plans),
            }
        ),
    }


def account_from_json(value: object) -> Account:
    """The account that ``account_to_json`` wrote.

    Raises:
        TrunklineError: ``charging.document``, with the place of what is wrong;
            ``charging.document-version``, where a later program wrote it.
    """
    reader = Reader(value, "account")
    version = reader.whole("version")
    if not 1 <= version <= VERSION:
        raise TrunklineError(
            "charging.document-version",
            f"the account's document has the version {version}, and this program reads up to "
            f"{VERSION}: run the program that wrote it, or a later one",
        )
    return Account(
        tenant=reader.text("tenant"),
        id=reader.text("id"),
        balances=tuple(balance_from_json(each) for each in reader.inners("balances")),
        allow_negative=reader.flag("allow_negative"),
        disabled=reader.flag("disabled"),
        updated=reader.time("updated"),
        counters=tuple(_counter_from_json(each) for each in reader.inners("counters")),
        triggers=tuple(_trigger_from_json(each) for each in reader.inners("triggers")),
        plans=reader.texts("plans"),
    )


def taking_to_json(taking: Taking) -> dict[str, Json]:
    """What a session has taken from one balance, exactly."""
    return {
        "account": taking.account,
        "balance": balance_to_json(taking.balance),
        "amount": str(taking.amount),
    }


def taking_from_json(value: object) -> Taking:
    """What ``taking_to_json`` wrote.

    Raises:
        TrunklineError: ``charging.document``.
    """
    reader = Reader(value, "taking")
    return Taking(
        account=reader.text("account"),
        balance=balance_from_json(reader.inner("balance")),
        amount=reader.number("amount"),
    )


# The reference's view

_NO_TIME = "0001-01-01T00:00:00Z"


def _json_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _json_time(value: datetime | None) -> str:
    return _NO_TIME if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _json_set(values: Iterable[str]) -> dict[str, Json]:
    """An ID with ``!`` before it is one that is excluded: ``false``."""
    return {value.removeprefix("!"): not value.startswith("!") for value in sorted(values)}


def _clock(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def reference_balance(balance: Balance) -> dict[str, Json]:
    """A balance of ``BalanceMap``."""
    timings: list[Json] = [
        {
            "Years": list(timing.years),
            "Months": list(timing.months),
            "MonthDays": list(timing.month_days),
            "WeekDays": list(timing.week_days),
            "StartTime": _clock(timing.start),
            "EndTime": "" if timing.end == DAY_SECONDS else _clock(timing.end),
        }
        for timing in balance.timings
    ]
    return {
        "Uuid": balance.uuid,
        "ID": balance.id,
        "Value": _json_number(balance.value),
        "ExpirationDate": _json_time(balance.expires),
        "Weight": _json_number(balance.weight),
        "DestinationIDs": _json_set(balance.destinations),
        "RatingSubject": balance.rating_subject,
        "Categories": _json_set(balance.categories),
        "SharedGroups": _json_set(balance.shared_groups),
        "Timings": timings or None,
        "TimingIDs": _json_set(timing.id for timing in balance.timings),
        "Disabled": balance.disabled,
        "Factor": {name: _json_number(value) for name, value in sorted(balance.factors.items())}
        or None,
        "Blocker": balance.blocker,
    }


def _reference_filter(row: BalanceRow) -> dict[str, Json]:
    def some(values: tuple[str, ...] | None) -> Json:
        return None if values is None else _json_set(values)

    return {
        "Uuid": row.uuid,
        "ID": row.id,
        "Type": row.type or None,
        "Value": None
        if row.value is None
        else {"Method": "", "Params": None, "Static": _json_number(row.value)},
        "ExpirationDate": row.expires or None,
        "Weight": None if row.weight is None else _json_number(row.weight),
        "DestinationIDs": some(row.destinations),
        "RatingSubject": row.rating_subject,
        "Categories": some(row.categories),
        "SharedGroups": some(row.shared_groups),
        "TimingIDs": some(row.timings),
        "Timings": None,
        "Disabled": row.disabled,
        "Factor": None,
        "Blocker": row.blocker,
    }


def reference_trigger(trigger: Trigger) -> dict[str, Json]:
    """A trigger of ``ActionTriggers``."""
    row = trigger.row
    return {
        "ID": row.id,
        "UniqueID": row.unique_id,
        "ThresholdType": row.threshold_type,
        "ThresholdValue": _json_number(row.threshold_value),
        "Recurrent": row.recurrent,
        "MinSleep": row.min_sleep,
        "ExpirationDate": _json_time(row.expires),
        "ActivationDate": _json_time(row.activation),
        "Balance": _reference_filter(row.balance),
        "Weight": _json_number(row.weight),
        "ActionsID": row.actions_id,
        "MinQueuedItems": 0,
        "Executed": trigger.executed,
        "LastExecutionTime": _json_time(trigger.last_run),
    }


def reference_account(account: Account) -> dict[str, Json]:
    """What the reference's ``APIerSv2.GetAccount`` answers for this account."""
    balances: dict[str, list[Json]] = {}
    for balance in account.balances:
        balances.setdefault(balance.type, []).append(reference_balance(balance))
    counters: dict[str, dict[str, list[Json]]] = {}
    for counter in account.counters:
        counters.setdefault(counter.type, {}).setdefault(counter.kind, []).append(
            {"Value": _json_number(counter.value), "Filter": _reference_filter(counter.filter)}
        )
    return {
        "ID": account.key,
        "BalanceMap": {name: list(each) for name, each in sorted(balances.items())} or None,
        "UnitCounters": {
            name: [
                {"CounterType": kind, "Counters": list(values)} for kind, values in kinds.items()
            ]
            for name, kinds in sorted(counters.items())
        }
        or None,
        "ActionTriggers": [reference_trigger(trigger) for trigger in account.triggers] or None,
        "AllowNegative": account.allow_negative,
        "Disabled": account.disabled,
        "UpdateTime": _json_time(account.updated),
    }


def reference_summary(before: Account, after: Account) -> dict[str, Json]:
    """The ``AccountSummary`` of what has been charged: what balances held, and what they hold."""
    initial = {balance.uuid: balance.value for balance in before.balances}
    return {
        "Tenant": after.tenant,
        "ID": after.id,
        "BalanceSummaries": [
            {
                "UUID": balance.uuid,
                "ID": balance.id,
                "Type": balance.type,
                "Initial": _json_number(initial.get(balance.uuid, ZERO)),
                "Value": _json_number(balance.value),
                "Disabled": balance.disabled,
            }
            for balance in after.balances
        ],
        "AllowNegative": after.allow_negative,
        "Disabled": after.disabled,
    }
