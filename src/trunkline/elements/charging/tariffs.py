"""The tariff that a charging node prices by, from a folder or a store, and its replacement.

A call is priced by the tariff that counted when the call came. Another is read beside it, in a
thread, and counts from the moment when all of it was found good.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.config.cgrates import compile_lines, load_folder
from trunkline.elements.charging.eventcost import EventCosts
from trunkline.errors import TrunklineError
from trunkline.rating.cost import EXACT, Precision
from trunkline.rating.tariff import Tariff
from trunkline.store.compiled import active_tariff, without_collections

if TYPE_CHECKING:
    from trunkline.config.cgrates.csvfolder import Sink

__all__ = ["Tariffs"]


class Tariffs:
    """What counts now, and how to load another.

    ``store`` is the URL where loaded tariffs are kept; without one, a load counts until the
    process ends.
    """

    def __init__(
        self, tariff: Tariff, *, store: str | None = None, precision: Precision = EXACT
    ) -> None:
        self.precision = precision
        self._store = store
        self._loading = asyncio.Lock()
        self.use(tariff)

    @classmethod
    def of_folder(cls, folder: Path, *, precision: Precision = EXACT) -> Tariffs:
        """Read a folder.

        Raises:
            TrunklineError: all that is wrong with it.
        """
        with without_collections():
            return cls(load_folder(folder).tariff, precision=precision)

    @classmethod
    def of_store(cls, url: str, *, precision: Precision = EXACT) -> Tariffs:
        """Take the active tariff of a store; before the first load, one that has no price.

        Raises:
            TrunklineError: ``store.unavailable``.
        """
        try:
            _, tariff = active_tariff(url, compile_lines)
        except TrunklineError as problem:
            if problem.code != "store.no-tariff":
                raise
            tariff = _empty()
        return cls(tariff, store=url, precision=precision)

    def use(self, tariff: Tariff) -> None:
        """Price by ``tariff`` from now on."""
        self.tariff = tariff
        self.costs = EventCosts()

    async def load(self, folder: Path, *, dry_run: bool) -> None:
        """Read ``folder``, and have it count unless ``dry_run``.

        Raises:
            TrunklineError: all that is wrong with it; the tariff before still counts.
        """
        async with self._loading:
            tariff = await asyncio.to_thread(self._read, folder, dry_run)
            if not dry_run:
                self.use(tariff)

    def _read(self, folder: Path, dry_run: bool) -> Tariff:
        before = self.tariff

        def read(sink: Sink | None) -> Tariff:
            with without_collections():
                return load_folder(
                    folder, before.time_zone, dict(before.tenant_time_zones), sink=sink
                ).tariff

        if self._store is None or dry_run:
            return read(None)
        from trunkline.store.tariffs import TariffStore  # SQLAlchemy is heavy

        store = TariffStore(self._store, compile_lines)
        try:
            _, tariff = store.load(
                read,
                name=str(folder),
                time_zone=before.time_zone,
                tenant_time_zones=before.tenant_time_zones,
            )
        finally:
            store.close()
        return tariff


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
