"""What a tariff folder says of accounts, filters and profiles: the rows that charging uses.

Read as the rating files are, all of it or nothing, every error with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final

from trunkline.charging.filters import read_inline
from trunkline.charging.rows import (
    AccountActionsRow,
    ActionPlanRow,
    ActionRow,
    ActionTriggerRow,
    Activation,
    AttributeRow,
    BalanceRow,
    ChargerRow,
    ChargingRows,
    FilterRow,
    ResourceRow,
    RouteRow,
    SharedGroupRow,
    StatRow,
    ThresholdRow,
)
from trunkline.charging.rsr import split
from trunkline.config.cgrates.assemble import Assembly
from trunkline.config.cgrates.fields import Fields
from trunkline.config.cgrates.files import Kind
from trunkline.config.cgrates.problems import Place, closest, shown
from trunkline.errors import DecodeError
from trunkline.rating.durations import parse_duration
from trunkline.rating.errors import Source
from trunkline.rating.model import BUILT_IN_TIMINGS

__all__ = ["ChargingReader"]

_ANY: Final = "*any"
_KINDS_OF_RULES: Final[dict[str, Kind]] = {"destinations": "Destinations", "timings": "Timings"}
_NAMING: Final = ("*destinations:", "*notdestinations:", "*timings:", "*nottimings:")
"""Inline filters whose values name rows of another file."""
_NONE: Final = "*none"
_FLAGS: Final = {"": False, "false": False, "true": True}
_STARTS_ACTIONS: Final = frozenset({*BUILT_IN_TIMINGS, "*asap"})


@dataclass(frozen=True, slots=True)
class _Name:
    """A place where a row names rows of another file."""

    kind: Kind
    tag: tuple[str, ...]
    """What is named: an ID, with its tenant where the other file has tenants."""
    place: Place
    column: str


class _Fields(Fields):
    """The values that the charging files have beside those of rating."""

    def flag(self, index: int) -> bool:
        """True or false; empty is false."""
        value = self.row.values[index]
        if value not in _FLAGS:
            self.error(index, "cgrates.value", "is neither true nor false", "write true or false")
        return _FLAGS.get(value, False)

    def amount(self, index: int) -> Decimal:
        """A number of any sign; empty is 0."""
        return Decimal(self.row.values[index]) if self._number(index) else Decimal(0)

    def count(self, index: int) -> int:
        """A whole number of zero or more, or -1 for no bound; empty is 0."""
        value = self.row.values[index]
        if value in ("", "-1"):
            return -1 if value else 0
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            self.error(index, "cgrates.number", "is no whole number", "write 0, 1, 2 …, or -1")
            return 0
        return int(value)

    def units(self, index: int) -> tuple[Decimal | None, str]:
        """What a balance gets: a number, a duration in nanoseconds, or the text of a formula."""
        value = self.row.values[index]
        if not value:
            return None, ""
        if value.startswith(("{", "*")):
            return None, value
        try:
            if not value[-1:].isdigit():
                return Decimal(parse_duration(value)), ""
        except DecodeError:
            self.error(index, "cgrates.number", "is neither a number nor a duration", "write 10.5")
            return None, ""
        return self.amount(index), ""

    def lifetime(self, index: int) -> int:
        """A duration in nanoseconds, or -1: for ever."""
        return -1 if self.row.values[index] == "-1" else self.duration(index)

    def interval(self, index: int, zone: tzinfo, now: datetime) -> Activation:
        """``start;end``; both may lack."""
        start, _, end = self.row.values[index].partition(";")
        return Activation(
            start=self.moment(index, start, zone, now), end=self.moment(index, end, zone, now)
        )

    def listed(self, index: int) -> tuple[str, ...]:
        """A list of words; ``*any`` is the empty one."""
        return tuple(word for word in self.words(index) if word != _ANY)

    def said(self, index: int) -> tuple[str, ...] | None:
        """The same where an empty value says nothing."""
        return self.listed(index) if self.row.values[index] else None


class ChargingReader:
    """Takes the rows of all files, those of prices to ``assembly``; then looks for what they name.

    ``check_names`` comes before the assembly builds, which gives its destinations away.
    """

    def __init__(self, assembly: Assembly) -> None:
        self.rows = ChargingRows(timings=assembly.timings)
        self.assembly = assembly
        self._problems = assembly.problems
        self._zone = assembly.zone
        self._now = assembly.now
        self._names: list[_Name] = []
        self._noted: list[_Name] = []
        """The same, where a wrong name is only doubtful."""
        self._takers: dict[Kind, Callable[[_Fields, Source], None]] = {
            "SharedGroups": self._shared_group,
            "Actions": self._action,
            "ActionPlans": self._action_plan,
            "ActionTriggers": self._action_trigger,
            "AccountActions": self._account_actions,
            "Filters": self._filter,
            "Attributes": self._attribute,
            "Chargers": self._charger,
            "Routes": self._route,
            "Suppliers": self._route,
            "Resources": self._resource,
            "Stats": self._stat,
            "Thresholds": self._threshold,
        }

    def take(self, kind: Kind, file: str, numbered: Iterable[tuple[int, str]]) -> None:
        """Take lines of one file, each with its number."""
        before = self._problems.error_count
        take = self._takers.get(kind)
        if take is None:
            self.assembly.take(kind, file, numbered)
        else:
            for number, text in numbered:
                row = self.assembly.row(file, kind, number, text)
                if row is not None:
                    take(_Fields(kind, row, self._problems), Source(row.file, row.line))
        if self._problems.error_count > before:
            self.assembly.doubtful.add(kind)

    # what rows name

    def _refer(self, fields: Fields, index: int, kind: Kind, *tags: tuple[str, ...]) -> None:
        for tag in tags:
            place = fields.row.place(index)
            self._names.append(_Name(kind, tag, place, fields.name(index)))

    def _filters(self, fields: _Fields, index: int, tenant: str) -> tuple[str, ...]:
        """A list of filters, of which those that begin with ``*`` are written out in place."""
        found = fields.words(index)
        stored = [word for word in found if not word.startswith("*")]
        self._refer(fields, index, "Filters", *((tenant, word) for word in stored))
        for word in found:
            if word.startswith(_NAMING):
                with suppress(DecodeError):  # said when the profile is made
                    type_, _, values = read_inline(word)
                    self._note(fields, index, type_, values)
        return found

    def _note(self, fields: _Fields, index: int, type_: str, values: Iterable[str]) -> None:
        """Remember what the values of a rule name, if its type has such."""
        kind = _KINDS_OF_RULES.get(type_.removeprefix("*").removeprefix("not"))
        if kind is not None:
            named = [value for value in values if not value.startswith(("*", "~"))]
            place = fields.row.place(index)
            self._noted += (_Name(kind, (tag,), place, fields.name(index)) for tag in named)

    def _thresholds(self, fields: _Fields, index: int, tenant: str) -> tuple[str, ...]:
        found = fields.words(index)
        stored = [word for word in found if not word.startswith("*")]
        self._refer(fields, index, "Thresholds", *((tenant, word) for word in stored))
        return found

    def named(self) -> dict[Kind, set[tuple[str, ...]]]:
        """All tags that rows name, by the file where they should be."""
        found: dict[Kind, set[tuple[str, ...]]] = {}
        for name in (*self._names, *self._noted):
            found.setdefault(name.kind, set()).add(name.tag)
        return found

    def check_names(self) -> None:
        """Note what is named and is not there."""
        rows = self.rows
        there: dict[Kind, Collection[tuple[str, ...]]] = {
            "Actions": {(row.id,) for row in rows.actions},
            "ActionPlans": {(row.id,) for row in rows.action_plans},
            "ActionTriggers": {(row.id,) for row in rows.action_triggers},
            "SharedGroups": {(row.id,) for row in rows.shared_groups},
            "Filters": {(row.tenant, row.id) for row in rows.filters},
            "Attributes": {(row.tenant, row.id) for row in rows.attributes},
            "Thresholds": {(row.tenant, row.id) for row in rows.thresholds},
            "Stats": {(row.tenant, row.id) for row in rows.stats},
            "Resources": {(row.tenant, row.id) for row in rows.resources},
            "Timings": {(tag,) for tag in self.assembly.timings},
            "RatingPlans": {(tag,) for tag in self.assembly.plans},
        }

        def known(name: _Name) -> bool:
            if name.kind == "Destinations":
                return name.tag[0] in self.assembly.prefixes or name.kind in self.assembly.cut
            if name.kind in self.assembly.cut:
                return True
            tag = name.tag[-1]
            return name.tag in there[name.kind] or (name.kind, tag) in self.assembly.refused

        for name in self._names:
            if not known(name):
                self._unknown(name, there.get(name.kind, ()), self._problems.error)
        for name in self._noted:
            if not known(name):
                self._unknown(name, there.get(name.kind, ()), self._problems.warn)

    def _unknown(
        self, name: _Name, there: Iterable[tuple[str, ...]], note: Callable[..., None]
    ) -> None:
        *tenant, tag = name.tag
        where = f" of tenant {tenant[0]}" if tenant else ""
        hint = f"add a row to {name.kind}.csv, or mend the name"
        if self._problems.hinting:
            same = [other[-1] for other in there if list(other[:-1]) == tenant]
            hint = closest(tag, same, hint)
        note(
            "cgrates.unknown-tag",
            f"{name.column} {shown(tag)!r} is not in {name.kind}.csv{where}",
            name.place,
            hint,
            name.column,
            tag,
        )

    # the files

    def _shared_group(self, fields: _Fields, source: Source) -> None:
        self.rows.shared_groups.append(
            SharedGroupRow(
                id=fields.tag(0),
                account=fields.tag(1),
                strategy=fields.text(2),
                rating_subject=fields.text(3),
                source=source,
            )
        )

    def _balance(self, fields: _Fields, first: int, after: int) -> BalanceRow:
        """Eight columns from ``first``; from ``after``, weight, blocker and disabled."""
        text = fields.text
        destinations = fields.said(first + 3)
        self._refer(
            fields,
            first + 3,
            "Destinations",
            *((word.removeprefix("!"),) for word in destinations or ()),
        )
        groups = fields.said(first + 5)
        self._refer(fields, first + 5, "SharedGroups", *((word,) for word in groups or ()))
        timings = fields.said(first + 7)
        named = [word for word in timings or () if word not in BUILT_IN_TIMINGS]
        self._refer(fields, first + 7, "Timings", *((word,) for word in named))
        return BalanceRow(
            id=text(first) or None,
            type=text(first + 1),
            categories=fields.said(first + 2),
            destinations=destinations,
            rating_subject=text(first + 4) or None,
            shared_groups=groups,
            expires=text(first + 6),
            timings=timings,
            weight=fields.amount(after) if text(after) else None,
            blocker=fields.flag(after + 1) if text(after + 1) else None,
            disabled=fields.flag(after + 2) if text(after + 2) else None,
        )

    def _action(self, fields: _Fields, source: Source) -> None:
        value, formula = fields.units(12)
        balance = self._balance(fields, 4, 13)
        self.rows.actions.append(
            ActionRow(
                id=fields.tag(0),
                action=fields.tag(1),
                extra=fields.text(2),
                filters=fields.words(3),
                balance=replace(balance, value=value, value_text=formula),
                weight=fields.amount(16),
                source=source,
            )
        )

    def _action_plan(self, fields: _Fields, source: Source) -> None:
        self._refer(fields, 1, "Actions", (fields.tag(1),))
        timing = fields.tag(2)
        if timing not in _STARTS_ACTIONS and " " not in timing:
            self._refer(fields, 2, "Timings", (timing,))
        self.rows.action_plans.append(
            ActionPlanRow(
                id=fields.tag(0),
                actions_id=fields.text(1),
                timing_id=timing,
                weight=fields.amount(3),
                source=source,
            )
        )

    def _action_trigger(self, fields: _Fields, source: Source) -> None:
        self._refer(fields, 19, "Actions", (fields.tag(19),))
        self.rows.action_triggers.append(
            ActionTriggerRow(
                id=fields.tag(0),
                unique_id=fields.text(1),
                threshold_type=fields.tag(2),
                threshold_value=fields.amount(3),
                recurrent=fields.flag(4),
                min_sleep=fields.duration(5),
                expires=fields.time(6, self._zone, self._now),
                activation=fields.time(7, self._zone, self._now),
                balance=self._balance(fields, 8, 16),
                actions_id=fields.text(19),
                weight=fields.amount(20),
                source=source,
            )
        )

    def _account_actions(self, fields: _Fields, source: Source) -> None:
        plan, triggers = fields.text(2), fields.text(3)
        self._refer(fields, 2, "ActionPlans", *([(plan,)] if plan else []))
        self._refer(fields, 3, "ActionTriggers", *([(triggers,)] if triggers else []))
        self.rows.account_actions.append(
            AccountActionsRow(
                tenant=fields.tag(0),
                account=fields.tag(1),
                action_plan=plan,
                action_triggers=triggers,
                allow_negative=fields.flag(4),
                disabled=fields.flag(5),
                source=source,
            )
        )

    def _filter(self, fields: _Fields, source: Source) -> None:
        # An empty value is a value: the missing start of a *ai.
        values = tuple(split(fields.text(4))) if fields.text(4) else ()
        self._note(fields, 4, fields.text(2), values)
        self.rows.filters.append(
            FilterRow(
                tenant=fields.tag(0),
                id=fields.tag(1),
                type=fields.tag(2),
                element=fields.text(3),
                values=values,
                activation=fields.interval(5, self._zone, self._now),
                source=source,
            )
        )

    def _attribute(self, fields: _Fields, source: Source) -> None:
        tenant = fields.tag(0)
        self.rows.attributes.append(
            AttributeRow(
                tenant=tenant,
                id=fields.tag(1),
                contexts=fields.words(2),
                filters=self._filters(fields, 3, tenant),
                activation=fields.interval(4, self._zone, self._now),
                attribute_filters=self._filters(fields, 5, tenant),
                path=fields.text(6),
                type=fields.text(7),
                value=fields.text(8),
                blocker=fields.flag(9),
                weight=fields.amount(10),
                source=source,
            )
        )

    def _charger(self, fields: _Fields, source: Source) -> None:
        tenant = fields.tag(0)
        attributes = fields.words(5)
        stored = [word for word in attributes if not word.startswith("*")]
        self._refer(fields, 5, "Attributes", *((tenant, word) for word in stored))
        self.rows.chargers.append(
            ChargerRow(
                tenant=tenant,
                id=fields.tag(1),
                filters=self._filters(fields, 2, tenant),
                activation=fields.interval(3, self._zone, self._now),
                run_id=fields.text(4),
                attributes=attributes,
                weight=fields.amount(6),
                source=source,
            )
        )

    def _route(self, fields: _Fields, source: Source) -> None:
        tenant = fields.tag(0)
        plans, resources, stats = fields.words(9), fields.words(10), fields.words(11)
        self._refer(fields, 9, "RatingPlans", *((word,) for word in plans))
        self._refer(fields, 10, "Resources", *((tenant, word) for word in resources))
        self._refer(fields, 11, "Stats", *((tenant, word.partition(":")[0]) for word in stats))
        self.rows.routes.append(
            RouteRow(
                tenant=tenant,
                id=fields.tag(1),
                filters=self._filters(fields, 2, tenant),
                activation=fields.interval(3, self._zone, self._now),
                sorting=fields.text(4),
                sorting_parameters=fields.words(5),
                route=fields.text(6),
                route_filters=self._filters(fields, 7, tenant),
                accounts=fields.words(8),
                rating_plans=plans,
                resources=resources,
                stats=stats,
                route_weight=fields.amount(12),
                route_blocker=fields.flag(13),
                route_parameters=fields.text(14),
                weight=fields.amount(15),
                source=source,
            )
        )

    def _resource(self, fields: _Fields, source: Source) -> None:
        tenant = fields.tag(0)
        self.rows.resources.append(
            ResourceRow(
                tenant=tenant,
                id=fields.tag(1),
                filters=self._filters(fields, 2, tenant),
                activation=fields.interval(3, self._zone, self._now),
                ttl=fields.lifetime(4),
                limit=fields.amount(5),
                allocation_message=fields.text(6),
                blocker=fields.flag(7),
                stored=fields.flag(8),
                weight=fields.amount(9),
                thresholds=self._thresholds(fields, 10, tenant),
                source=source,
            )
        )

    def _stat(self, fields: _Fields, source: Source) -> None:
        tenant = fields.tag(0)
        self.rows.stats.append(
            StatRow(
                tenant=tenant,
                id=fields.tag(1),
                filters=self._filters(fields, 2, tenant),
                activation=fields.interval(3, self._zone, self._now),
                queue_length=fields.count(4),
                ttl=fields.lifetime(5),
                min_items=fields.count(6),
                metrics=fields.words(7),
                metric_filters=self._filters(fields, 8, tenant),
                stored=fields.flag(9),
                blocker=fields.flag(10),
                weight=fields.amount(11),
                thresholds=self._thresholds(fields, 12, tenant),
                source=source,
            )
        )

    def _threshold(self, fields: _Fields, source: Source) -> None:
        tenant = fields.tag(0)
        actions = fields.words(9)
        self._refer(fields, 9, "Actions", *((word,) for word in actions if word != _NONE))
        self.rows.thresholds.append(
            ThresholdRow(
                tenant=tenant,
                id=fields.tag(1),
                filters=self._filters(fields, 2, tenant),
                activation=fields.interval(3, self._zone, self._now),
                max_hits=fields.count(4),
                min_hits=fields.count(5),
                min_sleep=fields.duration(6),
                blocker=fields.flag(7),
                weight=fields.amount(8),
                actions=actions,
                run_async=fields.flag(10),
                source=source,
            )
        )
