"""Whether the profiles of a folder can be made: filters, attributes, chargers and routes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from trunkline.charging.attributes import Attributes
from trunkline.charging.chargers import Chargers
from trunkline.charging.filters import Filters, ProfilesError
from trunkline.charging.routes import Routes
from trunkline.charging.rows import ChargingRows
from trunkline.charging.unkept import unkept
from trunkline.config.cgrates.files import Kind
from trunkline.rating.errors import Problem

__all__ = ["profile_problems", "unkept_problems"]

_Made = TypeVar("_Made")


def profile_problems(rows: ChargingRows, doubtful: Collection[Kind] = ()) -> list[Problem]:
    """Everything that keeps the profiles of ``rows`` from being made.

    What is wrong with a filter is not said again of the profiles that name it; which of them there
    are is not known where their file is ``doubtful``.
    """
    found: list[Problem] = []

    def tried(make: Callable[[], _Made], otherwise: _Made, known: Iterable[str] = ()) -> _Made:
        try:
            return make()
        except ProfilesError as refused:
            found.extend(problem for problem in refused.problems if problem.code not in known)
            return otherwise

    filters = tried(lambda: Filters.from_rows(rows.filters), Filters())
    unknown = ["charging.filter-unknown"] if found or "Filters" in doubtful else []
    before = len(found)
    attributes = tried(
        lambda: Attributes.from_rows(rows.attributes, filters), Attributes(), unknown
    )
    wrong = len(found) > before or "Attributes" in doubtful
    unknown_attributes = ["charging.attribute-unknown"] if wrong else []
    tried(
        lambda: Chargers.from_rows(rows.chargers, filters, attributes),
        Chargers(),
        [*unknown, *unknown_attributes],
    )
    tried(lambda: Routes.from_rows(rows.routes, filters), Routes(), unknown)
    return found


def unkept_problems(rows: ChargingRows) -> list[Problem]:
    """What a charging node refuses of profiles that can be made."""
    filters = Filters.from_rows(rows.filters)
    attributes = Attributes.from_rows(rows.attributes, filters)
    chargers = Chargers.from_rows(rows.chargers, filters, attributes)
    routes = Routes.from_rows(rows.routes, filters)
    return unkept(attributes.selection, chargers.selection, routes.selection)
