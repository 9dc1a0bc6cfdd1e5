"""The rules that count: those of the tariff, and over them what was set or removed by API.

What is set stands for all rows of its kind, tenant and ID, until a tariff that has such rows counts
since a later moment: the last write counts. Where that tariff is taken back, so is this. All rules
are checked together before they count, those of a folder or a version with what is kept over them,
and a change that would not do, now or with the tariff that waits, is refused and changes nothing.
They are swapped as one: an event under way ends by those that it began with.

With a `RuleStore` changes outlive the process, and every node at the same database has them within
a second; without one they count until the process ends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from trunkline.charging.filters import ProfilesError
from trunkline.charging.row_documents import row_from_json, row_to_json
from trunkline.charging.rows import (
    ActionPlanRow,
    ActionRow,
    ActionTriggerRow,
    AttributeRow,
    ChargerRow,
    FilterRow,
    RouteRow,
    SharedGroupRow,
)
from trunkline.config.cgrates import ChargingRows, TariffPlan
from trunkline.elements.charging.rules import Profiles
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.errors import TrunklineError
from trunkline.rating.errors import Problem
from trunkline.store.compiled import without_collections
from trunkline.store.rules import Entries, Entry, RuleKey, RuleStore, Writing

__all__ = ["KINDS", "Row", "RuleBook", "check_rules"]

Row: TypeAlias = (
    FilterRow
    | AttributeRow
    | ChargerRow
    | RouteRow
    | SharedGroupRow
    | ActionRow
    | ActionPlanRow
    | ActionTriggerRow
)

KINDS: Final[Mapping[str, tuple[str, type[Row]]]] = MappingProxyType(
    {
        "Filters": ("filters", FilterRow),
        "Attributes": ("attributes", AttributeRow),
        "Chargers": ("chargers", ChargerRow),
        "Routes": ("routes", RouteRow),
        "SharedGroups": ("shared_groups", SharedGroupRow),
        "Actions": ("actions", ActionRow),
        "ActionPlans": ("action_plans", ActionPlanRow),
        "ActionTriggers": ("action_triggers", ActionTriggerRow),
    }
)
"""What can be changed: the field of `ChargingRows` and the class of its rows."""

_EVERY: Final = 0.4  # s; from one look for others' changes to the next

_Held: TypeAlias = "dict[RuleKey, tuple[Row, ...]]"


@dataclass(frozen=True, slots=True)
class _Base:
    """Rows under the changes, and from when on they count, in microseconds since 1970."""

    rows: ChargingRows
    since: int = 0


@dataclass(frozen=True, slots=True)
class _Made:
    """What rows and the changes over them come to."""

    base: _Base
    held: _Held
    profiles: Profiles


class RuleBook:
    """The rules of ``base``, priced by ``tariffs``, and the changes in ``store``.

    It follows ``tariffs``: when another tariff counts, its rows are the base. ``clock`` gives
    microseconds since 1970.

    Raises:
        ProfilesError: everything that is wrong with ``base``.
    """

    def __init__(
        self,
        base: ChargingRows,
        tariffs: Tariffs,
        store: RuleStore | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._tariffs = tariffs
        self._store = store
        self._clock = clock
        self._entries: Entries = {}
        self._generation = 0
        self._read_rows: dict[RuleKey, tuple[str, tuple[Row, ...]]] = {}
        self._changing = asyncio.Lock()
        self._made = _Made(_Base(base), _by_key(base), Profiles.of_rows(base, tariffs))
        self._next: _Made | None = None
        tariffs.rules = self

    async def start(self) -> None:
        """Take in what is kept; with versions of a tariff it counts when `Tariffs.start` is done.

        Raises:
            TrunklineError: ``store.unavailable``; or it does not go with the base.
        """
        if self._store is not None:
            await self._store.prepare()
            if self._tariffs.has_versions:
                self._generation, self._entries = await self._store.read()
            else:
                await self._read()

    async def follow(self, failed: Callable[[TrunklineError], None]) -> None:
        """Take in what other nodes change, until cancelled.

        ``failed`` is told why it cannot be, once for each reason; what counted still does.
        """
        told = ""
        while self._store is not None:
            await asyncio.sleep(_EVERY)
            try:
                await self.refresh()
                told = ""
            except TrunklineError as problem:
                if problem.message != told:
                    failed(problem)
                told = problem.message

    async def refresh(self) -> None:
        """Take in what other nodes have changed.

        Raises:
            TrunklineError: ``store.unavailable``, ``charging.rule-document``; or it does not go
                with the base.
        """
        if self._store is not None and await self._store.generation() != self._generation:
            await self._read()

    async def close(self) -> None:
        """Close the connections."""
        if self._store is not None:
            await self._store.close()

    # what counts

    @property
    def profiles(self) -> Profiles:
        """What counts now."""
        self._tariffs.turn()
        return self._made.profiles

    def rows(self, kind: str, tenant: str, rule_id: str) -> tuple[Row, ...]:
        """The rows of an ID, of a file or set; none: it is not there.

        ``tenant`` is empty for kinds that have none.
        """
        self._tariffs.turn()
        return self._made.held.get(RuleKey(kind, tenant, rule_id), ())

    def ids(self, kind: str, tenant: str) -> list[str]:
        """The IDs of a kind, of one tenant where the kind has tenants."""
        self._tariffs.turn()
        return [key.id for key in self._made.held if (key.kind, key.tenant) == (kind, tenant)]

    # changes

    async def set(self, kind: str, tenant: str, rule_id: str, rows: Sequence[Row]) -> None:
        """Have these be the rows of an ID.

        Raises:
            ProfilesError: what would be wrong then; nothing has changed.
            TrunklineError: ``store.unavailable``.
        """
        assert rows
        await self.edit(kind, tenant, rule_id, lambda _: rows)

    async def edit(
        self,
        kind: str,
        tenant: str,
        rule_id: str,
        work: Callable[[tuple[Row, ...]], Sequence[Row]],
    ) -> None:
        """Have the rows of an ID be what ``work`` makes of them; none: they are removed.

        Whatever others change meanwhile comes before or after. What ``work`` raises undoes it.

        Raises:
            ProfilesError: what would be wrong then; nothing has changed.
            TrunklineError: ``store.unavailable``.
        """
        for name in (tenant, rule_id):
            if not name.isprintable():
                message = f"{name[:60]!r} has a character that cannot be printed"
                raise ProfilesError([Problem("charging.rule-id", message, None)])
        await self._put(RuleKey(kind, tenant, rule_id), work)

    async def remove(self, kind: str, tenant: str, rule_id: str) -> bool:
        """Remove the rows of an ID; False: there are none.

        Raises:
            ProfilesError: others name it; nothing has changed.
            TrunklineError: ``store.unavailable``.
        """
        key = RuleKey(kind, tenant, rule_id)
        if not self.rows(kind, tenant, rule_id):
            return False
        await self._put(key, lambda _: ())
        return True

    async def check(self, base: ChargingRows) -> None:
        """Whether rows could be used from now on.

        Raises:
            ProfilesError: what is wrong with them.
        """
        await self._make(self._entries, _Base(base, self._clock()))

    async def expect(self, base: ChargingRows, since: int) -> None:
        """Make ready what counts of rows from a moment on, microseconds since 1970.

        Raises:
            ProfilesError: what would be wrong then; nothing has changed.
        """
        async with self._changing:
            [self._next] = await self._make(self._entries, _Base(base, since))

    def expect_nothing(self) -> None:
        """Have ready nothing."""
        self._next = None

    def turn(self) -> None:
        """Have what is ready count."""
        if self._next is not None:
            self._made, self._next = self._next, None

    async def _read(self) -> None:
        """Take in all that is kept."""
        assert self._store is not None
        async with self._changing:
            generation, entries = await self._store.read()
            made = await self._make(entries, *self._bases())
            self._generation = generation
            self._count(entries, made)

    async def _put(self, key: RuleKey, work: Callable[[tuple[Row, ...]], Sequence[Row]]) -> None:
        async def change(writing: Writing | None) -> tuple[int, Entries, list[_Made]]:
            before = self._entries
            if writing is not None and writing.generation != self._generation + 1:
                before = await writing.read()  # others have changed something
            rows = work(self._present(key, before))
            text = json.dumps([row_to_json(row) for row in rows]) if rows else ""
            entry = Entry(text, self._clock())
            entries = {**before, key: entry}
            made = await self._make(entries, *self._bases())
            if writing is None:
                return 0, entries, made
            await writing.put(key, entry)
            return writing.generation, entries, made

        async with self._changing:
            if self._store is None:
                done = await change(None)
            else:
                done = await self._store.change(change)
            self._generation, entries, made = done
            self._count(entries, made)

    def _present(self, key: RuleKey, entries: Entries) -> tuple[Row, ...]:
        """The rows of an ID where these are the changes."""
        self._tariffs.turn()
        if entries is self._entries:
            return self._made.held.get(key, ())
        base = self._made.base
        listed = cast("Iterable[Row]", getattr(base.rows, KINDS[key.kind][0]))
        own = [row for row in listed if (getattr(row, "tenant", ""), row.id) == key[1:]]
        entry = entries.get(key)
        if entry is None or (own and entry.written <= base.since):
            return tuple(own)
        return self._rows_of(key, entry)

    def _bases(self) -> list[_Base]:
        self._tariffs.turn()
        return [each.base for each in (self._made, self._next) if each is not None]

    async def _make(self, entries: Entries, *bases: _Base) -> list[_Made]:
        """What bases and entries come to together."""
        known = self._made.profiles

        def make(base: _Base) -> _Made:
            held = _over(base.rows, base.since, entries, self._rows_of)
            profiles = Profiles.of_rows(_joined(base.rows, held), self._tariffs, known)
            return _Made(base, held, profiles)

        def make_all() -> list[_Made]:
            with without_collections():
                return [make(base) for base in bases]

        return await asyncio.to_thread(make_all)

    def _rows_of(self, key: RuleKey, entry: Entry) -> tuple[Row, ...]:
        """The rows of an entry; the same objects each time, as long as it is what it was."""
        text, rows = self._read_rows.get(key, ("", ()))
        if text != entry.text:
            rows = _rows(key, entry)
            self._read_rows[key] = entry.text, rows
        return rows

    def _count(self, entries: Entries, made: Iterable[_Made]) -> None:
        """Have these be what counts and what is ready, of which one may have become the other."""
        self._tariffs.turn()
        self._entries = entries
        for each in made:
            if each.base is self._made.base:
                self._made = each
            elif self._next is not None and each.base is self._next.base:
                self._next = each


def _by_key(rows: ChargingRows) -> _Held:
    found: dict[RuleKey, list[Row]] = {}
    for kind, (field, _) in KINDS.items():
        for row in cast("Iterable[Row]", getattr(rows, field)):
            found.setdefault(RuleKey(kind, getattr(row, "tenant", ""), row.id), []).append(row)
    return {key: tuple(held) for key, held in found.items()}


def _over(
    base: ChargingRows,
    since: int,
    entries: Entries,
    rows_of: Callable[[RuleKey, Entry], tuple[Row, ...]],
) -> _Held:
    """The rows of a tariff that counts since a moment, and over them what was set."""
    held = _by_key(base)
    for key, entry in entries.items():
        if key in held and entry.written <= since:
            continue  # the tariff's rows are the later ones
        rows = rows_of(key, entry)
        if rows:
            held[key] = rows
        else:
            held.pop(key, None)
    return held


def check_rules(plan: TariffPlan, name: str, since: int, entries: Entries) -> None:
    """Whether rules that were set go with a tariff that counts since a moment.

    What is wrong with the tariff alone is not said here.

    Raises:
        TrunklineError: ``store.rules``.
    """
    tariffs = Tariffs(plan.tariff, plan.rows)

    def problems(rows: ChargingRows) -> list[str]:
        try:
            Profiles.of_rows(rows, tariffs)
        except ProfilesError as refused:
            return [str(problem) for problem in refused.problems]
        return []

    with without_collections():
        wrong = problems(_joined(plan.rows, _over(plan.rows, since, entries, _rows)))
        alone = problems(plan.rows) if wrong else []
    wrong = [each for each in wrong if each not in alone]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise TrunklineError(
            "store.rules",
            f"the tariff {name} does not go with the rules that were set by API: {wrong[0]}{more};"
            " mend the tariff, or remove the rule first",
        )


def _joined(base: ChargingRows, held: _Held) -> ChargingRows:
    lists: dict[str, list[Row]] = {field: [] for field, _ in KINDS.values()}
    for key, rows in held.items():
        lists[KINDS[key.kind][0]] += rows
    return replace(base, **lists)  # type: ignore[arg-type]  # each list by its own field


def _rows(key: RuleKey, entry: Entry) -> tuple[Row, ...]:
    if not entry.text:
        return ()
    try:
        _, cls = KINDS[key.kind]
        return tuple(row_from_json(cls, each) for each in json.loads(entry.text))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as problem:
        raise TrunklineError(
            "charging.rule-document",
            f"the stored rule {key.kind} {key.tenant}:{key.id} does not have the form that this"
            f" program writes ({problem!r}); run the later program that wrote it",
        ) from problem
