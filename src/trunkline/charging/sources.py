"""What filters ask beside the event, answered by a tariff's rows.

Timings and destinations are there; what counts (accounts, resources, stats, thresholds) comes from
whoever keeps it, by kind, and where nobody does the rule that asks is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, tzinfo

from trunkline.rating.model import BUILT_IN_TIMINGS, Destination, Timing

__all__ = ["Items", "TariffSources"]

Items = Callable[[str, str], Mapping[str, object] | None]
"""Tenant and ID to the fields of one thing, None where there is no such one."""


class TariffSources:
    """`Sources` by rows of Timings.csv and Destinations.csv."""

    def __init__(
        self,
        *,
        timings: Iterable[Timing] = (),
        destinations: Iterable[Destination] = (),
        zone: tzinfo = UTC,
        tenant_zones: Mapping[str, tzinfo] | None = None,
        items: Mapping[str, Items] | None = None,
    ) -> None:
        """``items`` by kind: ``*accounts``, ``*resources``, ``*stats``, ``*thresholds``."""
        self._timings = {**BUILT_IN_TIMINGS, **{timing.id: timing for timing in timings}}
        self._zone = zone
        self._zones = dict(tenant_zones or {})
        self._items = dict(items or {})
        self._prefixes: dict[str, list[str]] = {}
        for destination in destinations:
            for prefix in destination.prefixes:
                self._prefixes.setdefault(prefix, []).append(destination.id)
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})

    def zone(self, tenant: str) -> tzinfo:
        """The time zone of times without one."""
        return self._zones.get(tenant, self._zone)

    def timing(self, tenant: str, timing_id: str) -> Timing | None:
        """The timing of that ID."""
        return self._timings.get(timing_id)

    def destinations(self, tenant: str, number: str) -> Collection[str]:
        """The IDs that have a prefix of ``number``."""
        found: set[str] = set()
        for length in self._lengths:
            if length > len(number):
                break
            found.update(self._prefixes.get(number[:length], ()))
        return found

    def item(self, tenant: str, kind: str, item_id: str) -> Mapping[str, object] | None:
        """The fields of one of ``ITEMS``.

        Raises:
            NotImplementedError: nobody keeps this kind.
        """
        if kind not in self._items:
            raise NotImplementedError(kind)
        return self._items[kind](tenant, item_id)
