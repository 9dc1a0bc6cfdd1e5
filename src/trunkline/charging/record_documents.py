"""What a record says besides what it is found by, as JSON: the document that a store keeps.

Exact, as an account's (``trunkline.charging.documents``): amounts are text, and what has its
default value is left out. The ``EventCost`` is kept as the API answers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, cast

from trunkline.charging.documents import VERSION, Reader, taking_from_json, taking_to_json
from trunkline.charging.model import Taking
from trunkline.errors import TrunklineError
from trunkline.rating.result import Json

__all__ = ["Details", "details_from_json", "details_to_json"]

_NO_TEXTS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a record says of the usage and of who paid for it."""

    extra: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    """The fields of the event that no record has by itself."""
    extra_info: str = ""
    """Why it has no cost, or why the cost could not be made anew."""
    cost_source: str = ""
    cost_details: Mapping[str, Json] | None = None
    """The ``EventCost``."""
    pre_rated: bool = False
    """Its cost came with the event."""
    partial: bool = False
    assumed: bool = False
    """It was made of what its session took, for no record had come; one that comes replaces it."""
    exported: bool = True
    """Whether exporters that get every record get this one."""
    taken: tuple[Taking, ...] = ()
    """What the record holds of balances: who paid for it, and how much."""
    first: tuple[Taking, ...] = ()
    """Who paid for it when it was paid for the first time."""


def details_to_json(details: Details) -> dict[str, Json]:
    """The document of a record, ready for ``json.dumps``."""
    document: dict[str, Json] = {
        "version": VERSION,
        "extra": dict(details.extra),
        "extra_info": details.extra_info,
        "cost_source": details.cost_source,
        "pre_rated": details.pre_rated,
        "partial": details.partial,
        "assumed": details.assumed,
        "kept_back": not details.exported,
        "taken": [taking_to_json(taking) for taking in details.taken],
    }
    if details.first != details.taken:
        document["first"] = [taking_to_json(taking) for taking in details.first]
    if details.cost_details is not None:
        document["cost_details"] = dict(details.cost_details)
    return {name: value for name, value in document.items() if value not in ("", False, [], {})}


def details_from_json(value: object) -> Details:
    """What ``details_to_json`` wrote.

    Raises:
        TrunklineError: ``charging.document`` or ``charging.document-version``.
    """
    reader = Reader(value, "record")
    if reader.whole("version") > VERSION:
        raise TrunklineError(
            "charging.document-version",
            f"the record's document has the version {reader.whole('version')}, and this program "
            f"reads up to {VERSION}: a later one wrote it, use that",
        )
    extra = reader.inner("extra")
    taken = tuple(taking_from_json(each.fields) for each in reader.inners("taken"))
    first = taken
    if "first" in reader.fields:
        first = tuple(taking_from_json(each.fields) for each in reader.inners("first"))
    details = reader.inner("cost_details").fields
    return Details(
        extra={name: extra.text(name) for name in extra.fields},
        extra_info=reader.text("extra_info"),
        cost_source=reader.text("cost_source"),
        cost_details=cast("Mapping[str, Json]", details) if details else None,
        pre_rated=reader.flag("pre_rated"),
        partial=reader.flag("partial"),
        assumed=reader.flag("assumed"),
        exported=not reader.flag("kept_back"),
        taken=taken,
        first=first,
    )
