"""What filters ask beside the event, answered by a tariff.

Destinations and time zones are the tariff's, timings its rows'; what counts (accounts, resources,
stats, thresholds) comes from whoever keeps it, by kind, and where nobody does the rule that asks is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import tzinfo

from trunkline.rating.model import BUILT_IN_TIMINGS, Timing
from trunkline.rating.tariff import Tariff

__all__ = ["Items", "TariffSources"]

Items = Callable[[str, str], Mapping[str, object] | None]
"""Tenant and ID to the fields of one thing, None where there is no such one."""


class TariffSources:
    """`Sources` by a tariff."""

    def __init__(
        self,
        tariff: Tariff,
        timings: Mapping[str, Timing] | None = None,
        items: Mapping[str, Items] | None = None,
    ) -> None:
        """``timings`` are those of Timings.csv by ID (the built-in ones are there without it).

        ``items`` by kind: ``*accounts``, ``*resources``, ``*stats``, ``*thresholds``.
        """
        self._tariff = tariff
        self._timings = {**BUILT_IN_TIMINGS, **(timings or {})}
        self._items = dict(items or {})

    def zone(self, tenant: str) -> tzinfo:
        """The time zone of times without one."""
        return self._tariff.zone(tenant)

    def timing(self, tenant: str, timing_id: str) -> Timing | None:
        """The timing of that ID."""
        return self._timings.get(timing_id)

    def destinations(self, tenant: str, number: str) -> Collection[str]:
        """The IDs that have a prefix of ``number``."""
        index = self._tariff.index
        found: set[str] = set()
        for length in index.lengths:
            held = index.prefixes.get(number[:length])
            if isinstance(held, str):
                found.add(held)
            elif held is not None:
                found.update(held)
        return found

    def item(self, tenant: str, kind: str, item_id: str) -> Mapping[str, object] | None:
        """The fields of one of ``ITEMS``.

        Raises:
            NotImplementedError: nobody keeps this kind.
        """
        if kind not in self._items:
            raise NotImplementedError(kind)
        return self._items[kind](tenant, item_id)
