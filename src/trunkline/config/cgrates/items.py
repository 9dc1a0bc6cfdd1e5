"""Items of a tariff as the reference's API writes them, and as rows of its CSV files.

An item is all rows of one kind and key: ``TPRate`` the slots of one rate, ``TPAttributeProfile``
the attributes of one profile. A `Layout` says which member is which column; what both directions
do is the same for all kinds.

Where several rows are one item, what the item has once stands in its first row, as in the
reference's own files; reading takes the first value that is not empty, and all of a list.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Final, TypeAlias

from trunkline.config.cgrates.files import COLUMNS, LIST_SEPARATOR, Kind
from trunkline.config.cgrates.problems import shown
from trunkline.config.cgrates.reading import LONGEST_LINE
from trunkline.errors import TrunklineError

__all__ = ["LAYOUTS", "Layout", "Member", "Value", "ValueType", "key_of_row"]

_NO_LINE: Final = {"\n": "an end of a line", "\r": "an end of a line", "\0": "a NUL character"}

Value: TypeAlias = "str | bool | int | Decimal | Sequence[Value] | Mapping[str, Value] | None"


class ValueType(Enum):
    """How a member's value stands in a column."""

    TEXT = ""
    NUMBER = "n"
    INTEGER = "i"
    FLAG = "b"
    LIST = "l"
    INTERVAL = "a"
    """``{ActivationTime, ExpiryTime}`` as ``start;end``."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an item, or of one of its parts."""

    name: str
    column: str
    """Empty: it stands in no column."""
    type: ValueType


@dataclass(frozen=True, slots=True)
class Layout:
    """How one kind of item is written."""

    kind: Kind
    noun: str
    """As in ``SetTPRate``."""
    ids: str
    """The end of the method that lists them, ``RateIds``."""
    key: tuple[str, ...]
    """The columns that tell items apart."""
    members: tuple[Member, ...]
    parts: str = ""
    """The member with the parts, one for each row; empty: an item is one row."""
    part_members: tuple[Member, ...] = ()
    index: Mapping[str, int] = field(default_factory=dict)
    """The columns' places."""

    def rows(self, item: Mapping[str, Value]) -> list[str]:
        """The rows of an item.

        Raises:
            TrunklineError: ``cgrates.item``: it cannot be written as lines of a file.
        """
        parts: Sequence[Value] = [{}]
        if self.parts:
            given = item.get(self.parts)
            parts = given if isinstance(given, Sequence) and not isinstance(given, str) else []
        rows = []
        for number, part in enumerate(parts):
            cells = [""] * len(COLUMNS[self.kind])
            for member in self.members:
                if number == 0 or member.column in self.key:
                    self._write(cells, member, item.get(member.name))
            if not isinstance(part, Mapping):
                part = {self.part_members[0].name: part}
            for member in self.part_members:
                self._write(cells, member, part.get(member.name))
            rows.append(_csv(cells))
        return rows

    def item(self, rows: Iterable[str]) -> dict[str, Value]:
        """The item of its rows."""
        cells = [_cells(row, len(COLUMNS[self.kind])) for row in rows]
        found: dict[str, Value] = {}
        for member in self.members:
            texts = [text for row in cells if (text := self._text(row, member))]
            if member.type is ValueType.LIST:
                words = [word for text in texts for word in text.split(LIST_SEPARATOR)]
                found[member.name] = list(dict.fromkeys(words)) or None
            else:
                found[member.name] = _value(texts[0] if texts else "", member.type)
        if self.parts:
            found[self.parts] = [part for row in cells for part in self._parts(row)]
        return found

    def key_of(self, row: str) -> tuple[str, ...]:
        """The key of the item that a row belongs to."""
        cells = _cells(row, len(COLUMNS[self.kind]))
        return tuple(cells[self.index[column]] for column in self.key)

    def _parts(self, row: Sequence[str]) -> list[Value]:
        [first, *others] = self.part_members
        if not others:
            return [self._text(row, first)]
        part = {
            member.name: _value(self._text(row, member), member.type)
            for member in self.part_members
        }
        if self.kind != "Stats":
            return [part] if any(self._text(row, each) for each in self.part_members) else []
        metrics = self._text(row, self.part_members[-1])  # several may share their filters
        return [part | {"MetricID": metric} for metric in metrics.split(LIST_SEPARATOR) if metric]

    def _text(self, row: Sequence[str], member: Member) -> str:
        return row[self.index[member.column]] if member.column else ""

    def _write(self, cells: list[str], member: Member, value: Value) -> None:
        text = _text_of(value)
        if member.column and (text or member.column not in self.key):
            cells[self.index[member.column]] = text


def key_of_row(kind: Kind, row: str) -> tuple[Kind, tuple[str, ...]]:
    """The kind and key of the item that a row of a file belongs to."""
    layout = _BY_KIND["Routes" if kind == "Suppliers" else kind]
    return layout.kind, layout.key_of(row)


def _cells(row: str, count: int) -> list[str]:
    [found] = csv.reader([row])
    cells = [text.strip() for text in found]
    return cells + [""] * (count - len(cells))


def _csv(cells: Sequence[str]) -> str:
    out = io.StringIO()
    first_is_text = cells[0].startswith("#")  # not a comment
    csv.writer(out, lineterminator="").writerow(cells[1:] if first_is_text else cells)
    row = out.getvalue()
    if first_is_text:
        quoted = cells[0].replace('"', '""')
        row = f'"{quoted}",{row}'
    wrong = next((name for sign, name in _NO_LINE.items() if sign in row), "")
    if not wrong and len(row.encode("utf-8", "replace")) > LONGEST_LINE:
        wrong = f"more than {LONGEST_LINE} octets in one row"
    if wrong:
        raise TrunklineError("cgrates.item", f"{shown(row)!r} has {wrong}; no file has such a line")
    return row


def _text_of(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            text = f"{value.normalize():f}"
            return "0" if text in ("-0", "") else text
        case Mapping():
            start, end = value.get("ActivationTime"), value.get("ExpiryTime")
            texts = [_text_of(start), _text_of(end)]
            return LIST_SEPARATOR.join(texts if texts[1] else texts[:1])
        case str() | int():
            return str(value)
    return LIST_SEPARATOR.join(_text_of(each) for each in value)


def _value(text: str, type_: ValueType) -> Value:
    match type_:
        case ValueType.NUMBER | ValueType.INTEGER:
            number = Decimal(text or 0)
            return int(number) if number == number.to_integral_value() else number
        case ValueType.FLAG:
            return text == "true"
        case ValueType.LIST:
            return text.split(LIST_SEPARATOR) if text else None
        case ValueType.INTERVAL:
            start, _, end = text.partition(LIST_SEPARATOR)
            return {"ActivationTime": start, "ExpiryTime": end} if text else None
    return text


def _members(text: str) -> tuple[Member, ...]:
    """Members, each ``name:type=column``; without a column it has the name's own."""
    found = []
    for word in text.split():
        left, equals, column = word.partition("=")
        name, _, type_ = left.partition(":")
        found.append(Member(name, column if equals else name, ValueType(type_)))
    return tuple(found)


def _layout(
    kind: Kind, noun: str, ids: str, key: str, members: str, parts: str = "", of_parts: str = ""
) -> Layout:
    index = {column: number for number, column in enumerate(COLUMNS[kind])}
    made = Layout(
        kind, noun, ids, tuple(key.split()), _members(members), parts, _members(of_parts), index
    )
    for member in (*made.members, *made.part_members):
        assert not member.column or member.column in index, (kind, member)
    return made


_OF_TENANT = "Tenant ID FilterIDs:l ActivationInterval:a"

LAYOUTS: Final = (
    _layout(
        *("Timings", "Timing", "TimingIds", "ID"),
        "ID Years Months MonthDays WeekDays Time",
    ),
    _layout(
        *("Destinations", "Destination", "DestinationIDs", "ID", "ID"),
        *("Prefixes", "Prefix"),
    ),
    _layout(
        *("Rates", "Rate", "RateIds", "ID", "ID", "RateSlots"),
        "ConnectFee:n Rate:n RateUnit RateIncrement GroupIntervalStart",
    ),
    _layout(
        *("DestinationRates", "DestinationRate", "DestinationRateIds", "ID", "ID"),
        "DestinationRates",
        # Rate: the rate itself, which the reference fills in while it loads and answers as null
        "DestinationId=DestinationID RateId=RatesTag Rate:l= RoundingMethod RoundingDecimals:i"
        " MaxCost:n MaxCostStrategy",
    ),
    _layout(
        *("RatingPlans", "RatingPlan", "RatingPlanIds", "ID", "ID", "RatingPlanBindings"),
        "DestinationRatesId=DestinationRatesID TimingId=TimingTag Weight:n",
    ),
    _layout(
        *("RatingProfiles", "RatingProfile", "RatingProfileIds", "Tenant Category Subject"),
        *("LoadId= Tenant Category Subject", "RatingPlanActivations"),
        "ActivationTime RatingPlanId=RatingPlanID FallbackSubjects",
    ),
    _layout(
        *("SharedGroups", "SharedGroups", "SharedGroupIds", "ID", "ID", "SharedGroups"),
        "Account Strategy RatingSubject",
    ),
    _layout(
        *("Actions", "Actions", "ActionIds", "ID", "ID", "Actions"),
        "Identifier=Action BalanceId=BalanceID BalanceUuid= BalanceType Units ExpiryTime Filters"
        " TimingTags=TimingIDs DestinationIds=DestinationIDs RatingSubject Categories SharedGroups"
        " BalanceWeight ExtraParameters BalanceBlocker BalanceDisabled Weight:n",
    ),
    _layout(
        *("ActionPlans", "ActionPlan", "ActionPlanIds", "ID", "ID", "ActionPlan"),
        "ActionsId=ActionsID TimingId=TimingID Weight:n",
    ),
    _layout(
        *("ActionTriggers", "ActionTriggers", "ActionTriggerIds", "Tag", "ID=Tag"),
        "ActionTriggers",
        "Id=Tag UniqueID ThresholdType ThresholdValue:n Recurrent:b MinSleep"
        " ExpirationDate=ExpiryTime ActivationDate=ActivationTime BalanceId=BalanceTag BalanceType"
        " BalanceDestinationIds=BalanceDestinationTags BalanceWeight"
        " BalanceExpirationDate=BalanceExpiryTime BalanceTimingTags BalanceRatingSubject"
        " BalanceCategories BalanceSharedGroups BalanceBlocker BalanceDisabled"
        " ActionsId=ActionsID Weight:n",
    ),
    _layout(
        *("AccountActions", "AccountActions", "AccountActionIds", "Tenant Account"),
        "LoadId= Tenant Account ActionPlanId=ActionPlanID ActionTriggersId=ActionTriggersID"
        " AllowNegative:b Disabled:b",
    ),
    _layout(
        *("Filters", "FilterProfile", "FilterProfileIds", "Tenant ID"),
        *("Tenant ID ActivationInterval:a", "Filters", "Type Element Values:l"),
    ),
    _layout(
        *("Attributes", "AttributeProfile", "AttributeProfileIds", "Tenant ID"),
        *(f"{_OF_TENANT} Contexts:l Blocker:b Weight:n", "Attributes"),
        "FilterIDs:l=AttributeFilterIDs Path Type Value",
    ),
    _layout(
        *("Chargers", "Charger", "ChargerIDs", "Tenant ID"),
        f"{_OF_TENANT} RunID AttributeIDs:l Weight:n",
    ),
    _layout(
        *("Routes", "RouteProfile", "RouteProfileIDs", "Tenant ID"),
        *(f"{_OF_TENANT} Sorting SortingParameters:l Weight:n", "Routes"),
        "ID=RouteID FilterIDs:l=RouteFilterIDs AccountIDs:l=RouteAccountIDs"
        " RatingPlanIDs:l=RouteRatingPlanIDs ResourceIDs:l=RouteResourceIDs"
        " StatIDs:l=RouteStatIDs Weight:n=RouteWeight Blocker:b=RouteBlocker RouteParameters",
    ),
    _layout(
        *("Resources", "Resource", "ResourceIDs", "Tenant ID"),
        f"{_OF_TENANT} UsageTTL=TTL Limit AllocationMessage Blocker:b Stored:b Weight:n"
        " ThresholdIDs:l",
    ),
    _layout(
        *("Stats", "Stat", "StatIDs", "Tenant ID"),
        f"{_OF_TENANT} QueueLength:i TTL Blocker:b Stored:b Weight:n MinItems:i ThresholdIDs:l",
        *("Metrics", "FilterIDs:l=MetricFilterIDs MetricID=Metrics"),
    ),
    _layout(
        *("Thresholds", "Threshold", "ThresholdIDs", "Tenant ID"),
        f"{_OF_TENANT} MaxHits:i MinHits:i MinSleep Blocker:b Weight:n ActionIDs:l Async:b",
    ),
)
_BY_KIND: Final = {layout.kind: layout for layout in LAYOUTS}
