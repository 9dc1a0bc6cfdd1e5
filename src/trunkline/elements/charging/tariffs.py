"""The tariff that a charging node prices by, from a folder or a store, and its replacement.

A call is priced by the tariff that counts when the call is asked about. Another is read beside it,
in a thread, and counts from the moment when all of it was found good; one of a store that waits for
its moment is read before, and counts from that moment on. Prices change over together with the
rules that were made of the same tariff's rows.

Whoever asks for what counts (`Tariffs.tariff`, `RuleBook.profiles`) looks at the clock: no timer
has to run before the first call of the new tariff.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from trunkline.charging.rows import ChargingRows, TariffPlan
from trunkline.config.cgrates import Line, compile_lines, load_folder, load_lines
from trunkline.elements.charging.eventcost import EventCosts
from trunkline.errors import TrunklineError
from trunkline.rating.cost import EXACT, Precision
from trunkline.rating.tariff import Tariff
from trunkline.store.compiled import active_plan, without_collections

if TYPE_CHECKING:
    from trunkline.config.cgrates.csvfolder import Sink
    from trunkline.store.tariffs import Activation, TariffStore, Version

__all__ = ["Counting", "Rules", "Tariffs", "counting_version"]

_EVERY: Final = 0.4  # s; from one look for another version to the next
_AFTER_FAILURE: Final = 5.0  # s
_NEVER_LOOKED: Final = -1
_ATTEMPTS: Final = 5
_BY_API: Final = "(set by API)"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Counting:
    """All that counts at one time."""

    tariff: Tariff
    costs: EventCosts
    rows: ChargingRows
    since: int
    """From when on, in microseconds since 1970."""
    version: int = 0
    """Of the store; 0: of none."""
    activation: int = 0


class Rules(Protocol):
    """What is made of the rows of tariffs, and changes over with them."""

    async def check(self, base: ChargingRows) -> None:
        """Refuse rows that could not be used now."""

    async def expect(self, base: ChargingRows, since: int) -> None:
        """Make ready what counts of these rows from a moment on."""

    def expect_nothing(self) -> None:
        """Have ready nothing."""

    def turn(self) -> None:
        """Have what is ready count."""


def _microseconds() -> int:
    return time.time_ns() // 1000


class Tariffs:
    """What counts now, and how to load another.

    ``store`` is the URL where loaded tariffs are kept; without one, a load counts until the
    process ends. ``rows`` are those that charging uses. ``clock`` gives microseconds since 1970.
    ``rules`` follow what counts; ``listeners`` are called when another tariff does.
    """

    def __init__(
        self,
        tariff: Tariff,
        rows: ChargingRows | None = None,
        *,
        store: str | None = None,
        version: int = 0,
        precision: Precision = EXACT,
        clock: Callable[[], int] = _microseconds,
    ) -> None:
        self.precision = precision
        self.rules: Rules | None = None
        self.listeners: list[Callable[[], None]] = []
        self._clock = clock
        self._store_url = store
        self._store: TariffStore | None = None
        self._changes = _NEVER_LOOKED
        self._changing = asyncio.Lock()
        self._counting = Counting(tariff, EventCosts(), rows or ChargingRows(), 0, version)
        self._next: Counting | None = None
        self._refused: Counting | None = None
        self._told = ""

    @classmethod
    def of_folder(cls, folder: Path, *, precision: Precision = EXACT) -> Tariffs:
        """Read a folder.

        Raises:
            TrunklineError: all that is wrong with it.
        """
        with without_collections():
            loaded = load_folder(folder)
        return cls(loaded.tariff, loaded.rows, precision=precision)

    @classmethod
    def of_store(
        cls,
        url: str,
        *,
        precision: Precision = EXACT,
        clock: Callable[[], int] = _microseconds,
    ) -> Tariffs:
        """Take the active tariff of a store; before the first load, one that has no price.

        Raises:
            TrunklineError: ``store.unavailable``.
        """
        try:
            version, plan = active_plan(url, compile_lines)
        except TrunklineError as problem:
            if problem.code != "store.no-tariff":
                raise
            return cls(_empty(), store=url, precision=precision, clock=clock)
        return cls(
            plan.tariff,
            plan.rows,
            store=url,
            version=version.id,
            precision=precision,
            clock=clock,
        )

    # what counts

    @property
    def tariff(self) -> Tariff:
        """The prices that count."""
        self.turn()
        return self._counting.tariff

    @property
    def costs(self) -> EventCosts:
        """What is remembered of prices by that tariff."""
        self.turn()
        return self._counting.costs

    @property
    def rows(self) -> ChargingRows:
        """The rows of that tariff which charging uses."""
        self.turn()
        return self._counting.rows

    @property
    def counting(self) -> Counting:
        """All of it."""
        self.turn()
        return self._counting

    def turn(self) -> None:
        """Change over, if the moment of what waits has come."""
        following = self._next
        if following is None or self._clock() < following.since:
            return
        self._next = None
        self._changes = _NEVER_LOOKED  # what comes after it is to be found yet
        self._counting = following
        if self.rules is not None:
            self.rules.turn()
        for listener in self.listeners:
            listener()

    # changes

    async def load(self, folder: Path, *, dry_run: bool) -> None:
        """Read ``folder``, and have it count unless ``dry_run``.

        Raises:
            TrunklineError: all that is wrong with it; the tariff before still counts.
        """

        def read(zone: tzinfo, zones: Mapping[str, tzinfo], sink: Sink | None) -> TariffPlan:
            return load_folder(folder, zone, zones, sink=sink).plan

        async with self._changing:
            await self._load(read, str(folder), dry_run=dry_run)

    async def load_rows(
        self, rows: Callable[[TariffStore], Iterable[Line]], name: str, *, dry_run: bool
    ) -> None:
        """Have rows of the store count unless ``dry_run``.

        Raises:
            TrunklineError: all that is wrong with them; the tariff before still counts.
        """

        def read(zone: tzinfo, zones: Mapping[str, tzinfo], sink: Sink | None) -> TariffPlan:
            return load_lines(rows(self._opened()), name, zone, zones, sink=sink).plan

        async with self._changing:
            await self._load(read, name, dry_run=dry_run)

    async def edit(self, change: Callable[[Iterable[Line]], Iterable[Line]]) -> None:
        """Have the rows that count, changed, count as another version; there may be none yet.

        Raises:
            TrunklineError: all that would be wrong then; nothing has changed.
        """
        for attempt in range(_ATTEMPTS):
            before = await self.in_store(counting_version)
            try:
                async with self._changing:
                    await self._load(
                        partial(self._changed, before, change),
                        before.name if before else _BY_API,
                        dry_run=False,
                        instead_of=before.id if before else 0,
                        now=before.loaded if before else None,
                    )
                return
            except TrunklineError as problem:
                if problem.code != "store.changed" or attempt + 1 == _ATTEMPTS:
                    raise

    def _changed(
        self,
        before: Version | None,
        change: Callable[[Iterable[Line]], Iterable[Line]],
        zone: tzinfo,
        zones: Mapping[str, tzinfo],
        sink: Sink | None,
    ) -> TariffPlan:
        if before is None:
            return load_lines(change(()), _BY_API, zone, zones, sink=sink).plan
        rows = change(self._opened().lines(before))
        return load_lines(rows, before.name, zone, zones, now=before.loaded, sink=sink).plan

    async def in_store(self, work: Callable[[TariffStore], _T]) -> _T:
        """What ``work`` makes of the store, in a thread.

        Raises:
            TrunklineError: ``store.none``, or what ``work`` raises.
        """
        return await asyncio.to_thread(lambda: work(self._opened()))

    async def _load(
        self,
        read: Callable[[tzinfo, Mapping[str, tzinfo], Sink | None], TariffPlan],
        name: str,
        *,
        dry_run: bool,
        instead_of: int | None = None,
        now: datetime | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        rules = self.rules
        before = self._counting.tariff
        zone, zones = before.time_zone, dict(before.tenant_time_zones)

        def checked(sink: Sink | None) -> TariffPlan:
            with without_collections():
                plan = read(zone, zones, sink)
            if rules is not None:
                asyncio.run_coroutine_threadsafe(rules.check(plan.rows), loop).result()
            return plan

        def store() -> dict[int, TariffPlan]:
            version, plan = self._opened().load(
                checked,
                name=name,
                time_zone=zone,
                tenant_time_zones=zones,
                instead_of=instead_of,
                read_at=now,
            )
            return {version.id: plan}

        if not dry_run and self._store_url is not None:
            await self._look(await asyncio.to_thread(store))
            return
        plan = await asyncio.to_thread(checked, None)
        if not dry_run:
            await self._expect(Counting(plan.tariff, EventCosts(), plan.rows, self._clock()))

    @property
    def has_versions(self) -> bool:
        """Whether there is a store."""
        return self._store_url is not None

    async def start(self, failed: Callable[[TrunklineError], None] | None = None) -> None:
        """Find out since when what counts does, and what waits.

        Where what counts cannot count here, the last one before it that can does, as in a node that
        runs; ``failed`` is told why.

        Raises:
            TrunklineError: ``store.unavailable``, or why none of them can.
        """
        if self._store_url is None:
            return
        async with self._changing:
            schedule = await asyncio.to_thread(lambda: self._opened().schedule())
            counts = schedule.at(datetime.fromtimestamp(self._clock() / 1_000_000, UTC))
            if counts is None:
                await self._expect(self._counting)
            reason: TrunklineError | None = None
            while counts is not None:
                try:
                    await self._expect(await asyncio.to_thread(self._counting_of, counts, {}))
                    break
                except TrunklineError as problem:
                    self._tell(problem, failed)
                    reason = reason or problem
                    counts = schedule.before(counts)
            else:
                if reason is not None:
                    raise reason
            try:
                await self._look({})
            except TrunklineError as problem:
                self._tell(problem, failed)

    async def follow(self, failed: Callable[[TrunklineError], None]) -> None:
        """Have count what others load, activate and take back in the store, until cancelled.

        ``failed`` is told why that cannot be, once for each reason; what counted still does.
        """
        while self._store_url is not None:
            await asyncio.sleep(_AFTER_FAILURE if self._told else _EVERY)
            try:
                async with self._changing:
                    await self._look({})
                self._told = ""
            except TrunklineError as problem:
                self._tell(problem, failed)

    async def close(self) -> None:
        """Close the connections."""
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    def _tell(
        self, problem: TrunklineError, failed: Callable[[TrunklineError], None] | None
    ) -> None:
        if problem.message != self._told and failed is not None:
            failed(problem)
        self._told = problem.message

    async def _expect(self, counting: Counting) -> None:
        """Have this count from its moment on, which may be now."""
        self._refused = counting  # not read again, if it is
        if self.rules is not None:
            await self.rules.expect(counting.rows, counting.since)
        self._refused = None
        self._next = counting
        self.turn()

    async def _look(self, known: Mapping[int, TariffPlan]) -> None:
        """See whether other versions count, or wait; ``known`` are at hand."""
        changes = await asyncio.to_thread(lambda: self._opened().changes())
        if changes == self._changes:
            return
        now = self._clock()
        schedule = await asyncio.to_thread(lambda: self._opened().schedule())
        moment = datetime.fromtimestamp(now / 1_000_000, UTC)
        counts, waits = schedule.at(moment), schedule.after(moment)
        refused: TrunklineError | None = None
        if counts is not None and counts.id != self._counting.activation:
            try:
                await self._expect(await asyncio.to_thread(self._counting_of, counts, known))
            except TrunklineError as problem:
                refused = problem  # what waits may count all the same
        if waits is None:
            self._next = None
            if self.rules is not None:
                self.rules.expect_nothing()
        elif self._next is None or waits.id != self._next.activation:
            await self._expect(await asyncio.to_thread(self._counting_of, waits, known))
        if refused is not None:
            raise refused
        if waits is None or self._next is not None:  # else its moment came meanwhile
            self._changes = changes

    def _counting_of(self, activation: Activation, known: Mapping[int, TariffPlan]) -> Counting:
        since = round(activation.at.timestamp() * 1_000_000)
        for there in (self._counting, self._next, self._refused):
            if there is not None and there.version == activation.version:
                return replace(there, since=since, activation=activation.id)
        plan = known.get(activation.version)
        if plan is None:
            _, plan = self._opened().plan(activation.version)
        return Counting(
            plan.tariff, EventCosts(), plan.rows, since, activation.version, activation.id
        )

    def _opened(self) -> TariffStore:
        if self._store is None:
            from trunkline.store.tariffs import TariffStore  # SQLAlchemy is heavy

            if self._store_url is None:
                raise TrunklineError(
                    "store.none",
                    "this node prices by a folder; leave out tariff in its settings, so that it has"
                    " a store",
                )
            from trunkline.elements.charging.rulebook import check_rules  # which imports this

            self._store = TariffStore(self._store_url, compile_lines, check_rules)
        return self._store


def counting_version(store: TariffStore) -> Version | None:
    """The version that counts, if one does yet."""
    try:
        return store.counting()
    except TrunklineError as problem:
        if problem.code != "store.no-tariff":
            raise
        return None


def _empty() -> Tariff:
    return Tariff.build(
        destinations=(),
        rates=(),
        destination_rates=(),
        rating_plans=(),
        rating_profiles=(),
        name="(none)",
        time_zone=UTC,
    )
