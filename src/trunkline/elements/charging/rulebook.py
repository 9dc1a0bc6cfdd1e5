"""The rules that count: those of the tariff, and over them what was set or removed by API.

What is set stands for all rows of its kind, tenant and ID. All rules are checked together before
they count, those of a folder or a version with what is kept over them, and a change that would not
do is refused and changes nothing. They are swapped as one: an event under way ends by those that it
began with.

With a `RuleStore` changes outlive the process, and every node at the same database has them within
a second; without one they count until the process ends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias, cast

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
from trunkline.config.cgrates import ChargingRows
from trunkline.elements.charging.rules import Profiles
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.errors import TrunklineError
from trunkline.store.rules import Entries, RuleKey, RuleStore, Writing

__all__ = ["KINDS", "Row", "RuleBook"]

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


class RuleBook:
    """The rules of ``base``, priced by ``tariffs``, and the changes in ``store``.

    Raises:
        ProfilesError: everything that is wrong with ``base``.
    """

    def __init__(
        self, base: ChargingRows, tariffs: Tariffs, store: RuleStore | None = None
    ) -> None:
        self._tariffs = tariffs
        self._store = store
        self._base = base
        self._entries: Entries = {}
        self._generation = 0
        self._changing = asyncio.Lock()
        self.profiles = Profiles.of_rows(base, tariffs)
        """What counts now."""
        self._held = _by_key(base)

    async def start(self) -> None:
        """Take in what is kept.

        Raises:
            TrunklineError: ``store.unavailable``; or it does not go with the base.
        """
        if self._store is not None:
            await self._store.prepare()
            await self.use(self._base)

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
            TrunklineError: ``store.unavailable``; or it does not go with the base.
        """
        if self._store is not None and await self._store.generation() != self._generation:
            await self.use(self._base)

    async def close(self) -> None:
        """Close the connections."""
        if self._store is not None:
            await self._store.close()

    # what counts

    def rows(self, kind: str, tenant: str, rule_id: str) -> tuple[Row, ...]:
        """The rows of an ID, of a file or set; none: it is not there.

        ``tenant`` is empty for kinds that have none.
        """
        return self._held.get(RuleKey(kind, tenant, rule_id), ())

    def ids(self, kind: str, tenant: str) -> list[str]:
        """The IDs of a kind, of one tenant where the kind has tenants."""
        return [key.id for key in self._held if (key.kind, key.tenant) == (kind, tenant)]

    # changes

    async def set(self, kind: str, tenant: str, rule_id: str, rows: Sequence[Row]) -> None:
        """Have these be the rows of an ID.

        Raises:
            ProfilesError: what would be wrong then; nothing has changed.
            TrunklineError: ``store.unavailable``.
        """
        assert rows
        await self._put(RuleKey(kind, tenant, rule_id), tuple(rows))

    async def remove(self, kind: str, tenant: str, rule_id: str) -> bool:
        """Remove the rows of an ID; False: there are none.

        Raises:
            ProfilesError: others name it; nothing has changed.
            TrunklineError: ``store.unavailable``.
        """
        key = RuleKey(kind, tenant, rule_id)
        if not self._held.get(key):
            return False
        await self._put(key, ())
        return True

    async def use(self, base: ChargingRows, *, forget: bool = False) -> None:
        """Have other rows be those under the changes.

        ``forget``: they are newer than the changes of their IDs. A tariff store forgets those
        itself when a version is loaded.

        Raises:
            ProfilesError: what would be wrong then; nothing has changed.
            TrunklineError: ``store.unavailable``.
        """
        async with self._changing:
            if forget:
                brought = _by_key(base)
                async with self._transaction() as (writing, before):
                    entries = {key: each for key, each in before.items() if key not in brought}
                    made = await self._made(base, entries)
                    if writing is not None:
                        await writing.forget(brought)
            elif self._store is None:
                entries = self._entries
                made = await self._made(base, entries)
            else:
                generation, entries = await self._store.read()
                made = await self._made(base, entries)
                self._generation = generation
            self._count(base, entries, made)

    async def check(self, base: ChargingRows) -> None:
        """Whether rows could be used, newer than the changes of their IDs.

        Raises:
            ProfilesError: what is wrong with them.
        """
        brought = _by_key(base)
        kept = {key: entry for key, entry in self._entries.items() if key not in brought}
        await self._made(base, kept)

    async def _put(self, key: RuleKey, rows: tuple[Row, ...]) -> None:
        entry = json.dumps([row_to_json(row) for row in rows]) if rows else ""
        async with self._changing:
            async with self._transaction() as (writing, before):
                entries = {**before, key: entry}
                made = await self._made(self._base, entries)
                if writing is not None:
                    await writing.put(key, entry)
            self._count(self._base, entries, made)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[tuple[Writing | None, Entries]]:
        """The only change under way, on every node, and what is there before it."""
        if self._store is None:
            yield None, self._entries
            return
        async with self._store.change() as writing:
            ours = writing.generation == self._generation + 1
            yield writing, self._entries if ours else await writing.read()
        self._generation = writing.generation

    async def _made(self, base: ChargingRows, entries: Entries) -> tuple[_Held, Profiles]:
        """The rows of both, and the profiles that they make."""

        def make() -> tuple[_Held, Profiles]:
            held = _by_key(base)
            for key, entry in entries.items():
                rows = _rows(key, entry)
                if rows:
                    held[key] = rows
                else:
                    held.pop(key, None)
            return held, Profiles.of_rows(_joined(base, held), self._tariffs)

        return await asyncio.to_thread(make)

    def _count(self, base: ChargingRows, entries: Entries, made: tuple[_Held, Profiles]) -> None:
        self._base, self._entries = base, entries
        self._held, self.profiles = made


def _by_key(rows: ChargingRows) -> _Held:
    found: dict[RuleKey, list[Row]] = {}
    for kind, (field, _) in KINDS.items():
        for row in cast("Iterable[Row]", getattr(rows, field)):
            found.setdefault(RuleKey(kind, getattr(row, "tenant", ""), row.id), []).append(row)
    return {key: tuple(held) for key, held in found.items()}


def _joined(base: ChargingRows, held: _Held) -> ChargingRows:
    lists: dict[str, list[Row]] = {field: [] for field, _ in KINDS.values()}
    for key, rows in held.items():
        lists[KINDS[key.kind][0]] += rows
    return replace(base, **lists)  # type: ignore[arg-type]  # each list by its own field


def _rows(key: RuleKey, entry: str) -> tuple[Row, ...]:
    if not entry:
        return ()
    _, cls = KINDS[key.kind]
    return tuple(row_from_json(cls, each) for each in json.loads(entry))
