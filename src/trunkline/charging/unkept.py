"""Profiles that look at what nothing here keeps yet: resources, statistics, thresholds, accounts.

Such a rule would fail every event that it meets (``charging.no-source``), so a node refuses it
beforehand, and the check of a folder warns of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from trunkline.charging.attributes import AttributeProfile
from trunkline.charging.chargers import NONE, ChargerProfile
from trunkline.charging.event import ITEMS
from trunkline.charging.filters import Condition
from trunkline.charging.route_profiles import RouteProfile
from trunkline.rating.errors import Problem, Source

__all__ = ["unkept"]

_Look: TypeAlias = "tuple[str, frozenset[str], Source | None]"
"""A profile, the roots that it looks under, and its row."""


def unkept(
    attributes: Iterable[AttributeProfile],
    chargers: Iterable[ChargerProfile],
    routes: Iterable[RouteProfile],
) -> list[Problem]:
    """What is wrong with those that look at what nothing keeps."""
    looks = (*_attribute_looks(attributes), *_charger_looks(chargers), *_route_looks(routes))
    return [
        Problem(
            "charging.no-source",
            f"{what}: a rule asks for {root}, but nothing here keeps {root[1:]} yet; take it out",
            source,
        )
        for what, roots, source in looks
        for root in sorted(roots.intersection(ITEMS))
    ]


def _attribute_looks(attributes: Iterable[AttributeProfile]) -> Iterator[_Look]:
    for profile in attributes:
        what = f"attribute profile {profile.id}"
        yield what, _roots(profile.condition), profile.source
        for each in profile.attributes:
            yield what, _roots(each.condition) | each.value.roots(), each.source


def _charger_looks(chargers: Iterable[ChargerProfile]) -> Iterator[_Look]:
    for charger in chargers:
        what = f"charger {charger.id}"
        yield what, _roots(charger.condition), charger.source
        for inline in charger.attribute_ids:
            if inline.startswith("*") and inline != NONE:
                for each in AttributeProfile.inline(charger.tenant, inline).attributes:
                    yield what, each.value.roots(), charger.source


def _route_looks(routes: Iterable[RouteProfile]) -> Iterator[_Look]:
    for profile in routes:
        what = f"route profile {profile.id}"
        yield what, _roots(profile.condition), profile.source
        for route in profile.routes:
            yield what, _roots(route.condition) | _roots(route.late), route.source


def _roots(condition: Condition) -> frozenset[str]:
    return frozenset().union(*(rule.roots for each in condition.filters for rule in each.rules))
