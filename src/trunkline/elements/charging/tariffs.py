"""The tariff that a charging node prices by, from a folder or a store, and its replacement.

A call is priced by the tariff that counted when the call came. Another is read beside it, in a
thread, and counts from the moment when all of it was found good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.charging.rows import ChargingRows, TariffPlan
from trunkline.config.cgrates import compile_lines, load_folder
from trunkline.elements.charging.eventcost import EventCosts
from trunkline.errors import TrunklineError
from trunkline.rating.cost import EXACT, Precision
from trunkline.rating.tariff import Tariff
from trunkline.store.compiled import active_plan, without_collections

if TYPE_CHECKING:
    from trunkline.config.cgrates.csvfolder import Sink

__all__ = ["Counting", "Tariffs"]


@dataclass(frozen=True, slots=True)
class Counting:
    """All that counts at one time."""

    tariff: Tariff
    costs: EventCosts
    rows: ChargingRows


class Tariffs:
    """What counts now, and how to load another.

    ``store`` is the URL where loaded tariffs are kept; without one, a load counts until the
    process ends. ``rows`` are those that charging uses.
    """

    def __init__(
        self,
        tariff: Tariff,
        rows: ChargingRows | None = None,
        *,
        store: str | None = None,
        precision: Precision = EXACT,
    ) -> None:
        self.precision = precision
        self._store = store
        self._loading = asyncio.Lock()
        self._counting = Counting(tariff, EventCosts(), rows or ChargingRows())

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
    def of_store(cls, url: str, *, precision: Precision = EXACT) -> Tariffs:
        """Take the active tariff of a store; before the first load, one that has no price.

        Raises:
            TrunklineError: ``store.unavailable``.
        """
        try:
            _, plan = active_plan(url, compile_lines)
        except TrunklineError as problem:
            if problem.code != "store.no-tariff":
                raise
            plan = TariffPlan(_empty(), ChargingRows())
        return cls(plan.tariff, plan.rows, store=url, precision=precision)

    @property
    def tariff(self) -> Tariff:
        """The prices that count."""
        return self._counting.tariff

    @property
    def costs(self) -> EventCosts:
        """What is remembered of prices by that tariff."""
        return self._counting.costs

    @property
    def rows(self) -> ChargingRows:
        """The rows of the tariff that counts which charging uses."""
        return self._counting.rows

    async def load(
        self,
        folder: Path,
        *,
        dry_run: bool,
        check: Callable[[ChargingRows], Awaitable[None]] | None = None,
    ) -> None:
        """Read ``folder``, and have it count unless ``dry_run``, or ``check`` refuses its rows.

        Raises:
            TrunklineError: all that is wrong with it; the tariff before still counts.
        """
        async with self._loading:
            loop = asyncio.get_running_loop()

            def checked(rows: ChargingRows) -> None:
                if check is not None:
                    asyncio.run_coroutine_threadsafe(_awaited(check(rows)), loop).result()

            plan = await asyncio.to_thread(self._read, folder, dry_run, checked)
            if not dry_run:
                self._counting = Counting(plan.tariff, EventCosts(), plan.rows)

    def _read(
        self, folder: Path, dry_run: bool, checked: Callable[[ChargingRows], None]
    ) -> TariffPlan:
        before = self.tariff

        def read(sink: Sink | None) -> TariffPlan:
            with without_collections():
                plan = load_folder(
                    folder, before.time_zone, dict(before.tenant_time_zones), sink=sink
                ).plan
            checked(plan.rows)
            return plan

        if self._store is None or dry_run:
            return read(None)
        from trunkline.store.tariffs import TariffStore  # SQLAlchemy is heavy

        store = TariffStore(self._store, compile_lines)
        try:
            _, plan = store.load(
                read,
                name=str(folder),
                time_zone=before.time_zone,
                tenant_time_zones=before.tenant_time_zones,
            )
        finally:
            store.close()
        return plan


async def _awaited(work: Awaitable[None]) -> None:
    await work


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
