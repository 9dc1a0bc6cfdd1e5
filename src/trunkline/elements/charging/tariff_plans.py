"""Tariff plans by API: folders and drafts are loaded, versions exported, prices changed.

A draft (``TPid``) is put together by ``SetTP…``, read by ``GetTP…`` and counts when
``LoadTariffPlanFromStorDb`` loads it. What is loaded takes the place of the tariff before as a
whole, where the reference adds to what is there. Prices that are set one by one
(``SetRatingProfile`` …) are a new version too: the rows that count with those of the item anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trunkline.charging.event import time_text
from trunkline.config.cgrates import Line, TariffErrors, load_folder, write_folder
from trunkline.config.cgrates.files import ALL_KINDS, Kind
from trunkline.config.cgrates.items import (
    LAYOUTS,
    Layout,
    Member,
    Value,
    ValueType,
    key_of_row,
)
from trunkline.elements.charging.arguments import wire_name
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.tariffs import Tariffs, counting_version
from trunkline.jsonrpc import Json, encode
from trunkline.rating.call import VOICE
from trunkline.rating.index import Group
from trunkline.rating.model import DEFAULT_TENANT
from trunkline.rating.result import number, rates_of, timing_of

if TYPE_CHECKING:
    from trunkline.store.drafts import Drafts, ItemKey
    from trunkline.store.tariffs import TariffStore, Version

__all__ = ["DraftMethods", "PriceMethods", "TariffPlans"]

_T = TypeVar("_T")

_SHOWN: Final = 100  # problems in one answer
_ITEMS: Final[dict[str, Kind]] = {
    "*attributes": "Attributes",
    "*chargers": "Chargers",
    "*filters": "Filters",
    "*resources": "Resources",
    "*routes": "Routes",
    "*stats": "Stats",
    "*thresholds": "Thresholds",
}
_LAYOUT: Final = {layout.kind: layout for layout in LAYOUTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrLoadTpFromFolder:
    """What ``APIerSv1.LoadTariffPlanFromFolder`` takes."""

    folder_path: str = ""
    dry_run: bool = False
    validate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrImportTPFromFolder:
    """What ``APIerSv1.ImportTariffPlanFromFolder`` takes."""

    tpid: str = ""
    folder_path: str = ""
    run_id: str = ""
    csv_separator: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrLoadTpFromStorDb:
    """What ``APIerSv1.LoadTariffPlanFromStorDb`` takes."""

    tpid: str = ""
    flush_db: bool = False
    dry_run: bool = False
    validate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrTPid:
    """Which draft."""

    tpid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrFolder:
    """Which folder."""

    folder_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrDirExportTP:
    """What ``APIerSv1.ExportTPToFolder`` takes; without a ``TPid`` the active version is meant."""

    tpid: str | None = None
    file_format: str | None = None
    field_separator: str | None = None
    export_path: str | None = None
    compress: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgExportToFolder:
    """What ``APIerSv1.ExportToFolder`` takes; without ``Items`` all of them."""

    path: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paginator:
    """Which part of a list."""

    limit: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrIds:
    """Which draft, and which part of its list."""

    tpid: str = ""
    limit: int | None = None
    offset: int | None = None
    search: str = ""


class TariffPlans:
    """Loading, drafts as a whole, and export.

    ``loaded`` takes in what was loaded, before there is an answer.
    """

    def __init__(
        self, tariffs: Tariffs, loaded: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._tariffs = tariffs
        self._loaded = loaded

    @method("APIerSv1.LoadTariffPlanFromFolder", mandatory=("FolderPath",))
    async def load(self, args: AttrLoadTpFromFolder) -> Json:
        """Read a folder of the server's; with ``DryRun``, only say all that is wrong with it."""
        folder = _folder(args.folder_path)
        try:
            await self._tariffs.load(folder, dry_run=args.dry_run)
        except TariffErrors as problem:
            raise _all_of(problem) from problem
        return await self._done(dry_run=args.dry_run)

    @method("APIerSv1.ImportTariffPlanFromFolder", mandatory=("TPid", "FolderPath"))
    async def import_folder(self, args: AttrImportTPFromFolder) -> Json:
        """Make a draft of a folder of the server's, which does not count by that."""
        folder = _folder(args.folder_path)
        if args.csv_separator not in ("", ","):
            raise ApiError("SERVER_ERROR: CsvSeparator: files have commas here")

        def work(store: TariffStore) -> None:
            lines: list[Line] = []
            load_folder(folder, sink=lines.extend)
            _drafts(store).fill(args.tpid, (_keyed(kind, row) for kind, _, _, row in lines))

        try:
            await self._tariffs.in_store(work)
        except TariffErrors as problem:
            raise _all_of(problem) from problem
        return "OK"

    @method("APIerSv1.LoadTariffPlanFromStorDb", mandatory=("TPid",))
    async def load_draft(self, args: AttrLoadTpFromStorDb) -> Json:
        """Have a draft count; with ``DryRun``, only say all that is wrong with it."""

        def rows(store: TariffStore) -> Iterable[Line]:
            return _drafts(store).lines(args.tpid, ALL_KINDS)

        await self._draft_there(args.tpid)
        try:
            await self._tariffs.load_rows(rows, args.tpid, dry_run=args.dry_run)
        except TariffErrors as problem:
            raise _all_of(problem) from problem
        return await self._done(dry_run=args.dry_run)

    @method("APIerSv1.RemTP", mandatory=("TPid",))
    async def remove_draft(self, args: AttrTPid) -> Json:
        """Remove a draft; what was loaded of it goes on counting."""
        await self._tariffs.in_store(lambda store: _drafts(store).fill(args.tpid, []))
        return "OK"

    @method("APIerSv1.RemoveTPFromFolder", mandatory=("FolderPath",))
    async def remove_folder(self, args: AttrFolder) -> Json:
        """Take the items that a folder has out of the tariff that counts."""
        folder = _folder(args.folder_path)

        def read(_: TariffStore) -> set[tuple[Kind, tuple[str, ...]]]:
            lines: list[Line] = []
            load_folder(folder, sink=lines.extend)
            return {key_of_row(kind, row) for kind, _, _, row in lines}

        try:
            await self._without(await self._tariffs.in_store(read))
        except TariffErrors as problem:
            raise _all_of(problem) from problem
        return "OK"

    @method("APIerSv1.RemoveTPFromStorDB", mandatory=("TPid",))
    async def remove_loaded(self, args: AttrTPid) -> Json:
        """Take the items that a draft has out of the tariff that counts."""
        await self._draft_there(args.tpid)

        def read(store: TariffStore) -> set[tuple[Kind, tuple[str, ...]]]:
            lines = _drafts(store).lines(args.tpid, ALL_KINDS)
            return {key_of_row(kind, row) for kind, _, _, row in lines}

        try:
            await self._without(await self._tariffs.in_store(read))
        except TariffErrors as problem:
            raise _all_of(problem) from problem
        return "OK"

    @method("APIerSv1.GetTPIds")
    async def drafts(self, args: AttrTPid) -> Json:
        """The names of the drafts."""
        found = await self._tariffs.in_store(lambda store: _drafts(store).names())
        return _found(found)

    @method("APIerSv1.ExportTPToFolder")
    async def export(self, args: AttrDirExportTP) -> Json:
        """Write a draft, or the active version, to a folder of the server's."""
        if args.compress or args.file_format not in (None, "", "csv"):
            raise ApiError("SERVER_ERROR: Unsupported file format")
        if args.field_separator not in (None, "", ","):
            raise ApiError("SERVER_ERROR: FieldSeparator: files have commas here")
        if not args.export_path:
            raise ApiError("MANDATORY_IE_MISSING: [ExportPath]")
        path = Path(args.export_path)
        if args.tpid:
            await self._draft_there(args.tpid)

        def work(store: TariffStore) -> list[str]:
            if args.tpid:
                return write_folder(path, _drafts(store).lines(args.tpid, ALL_KINDS))
            return write_folder(path, store.lines(store.counting()))

        files = await self._tariffs.in_store(work)
        return {"ExportPath": str(path), "ExportedFiles": list(files), "Compressed": False}

    @method("APIerSv1.ExportToFolder", mandatory=("Path",))
    async def export_profiles(self, args: ArgExportToFolder) -> Json:
        """Write profiles of the active version to a folder of the server's."""
        unknown = [item for item in args.items if item not in _ITEMS]
        if unknown:
            raise ApiError(f"SERVER_ERROR: there is no item {unknown[0][:60]!r}")
        kinds = {_ITEMS[item] for item in args.items or _ITEMS}

        def work(store: TariffStore) -> list[str]:
            return write_folder(Path(args.path), store.lines(store.counting()), kinds)

        await self._tariffs.in_store(work)
        return "OK"

    @method("APIerSv1.GetLoadHistory")
    async def history(self, args: Paginator) -> Json:
        """The loads that are kept, the newest first."""
        versions: list[Version] = await self._tariffs.in_store(_versions)
        return _found(
            [
                {
                    "LoadID": str(version.id),
                    "RatingLoadID": version.name,
                    "AccountingLoadID": "",
                    "LoadTime": time_text(version.loaded),
                }
                for version in _part(versions, args)
            ]
        )

    @method("APIerSv1.GetLoadIDs")
    async def load_ids(self, args: str) -> Json:
        """When each cache was filled last, here all with the active version, in nanoseconds."""
        since = self._tariffs.counting.since * 1000
        names = [args] if args else _CACHES
        return cast("Json", {name: since for name in names if name in _CACHES} or _missing())

    @method("APIerSv1.GetLoadTimes")
    async def load_times(self, args: str) -> Json:
        """The same as times in a time zone."""
        try:
            zone = ZoneInfo(args) if args else UTC
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ApiError(f"SERVER_ERROR: unknown time zone {args[:60]}") from None
        since = datetime.fromtimestamp(self._tariffs.counting.since / 1_000_000, UTC)
        return cast("Json", dict.fromkeys(_CACHES, time_text(since.astimezone(zone))))

    async def _done(self, *, dry_run: bool) -> Json:
        if self._loaded is not None and not dry_run:
            await self._loaded()
        return "OK"

    async def _draft_there(self, name: str) -> None:
        if name not in await self._tariffs.in_store(lambda store: _drafts(store).names()):
            raise ApiError("NOT_FOUND")

    async def _without(self, keys: set[tuple[Kind, tuple[str, ...]]]) -> None:
        await self._tariffs.edit(
            lambda lines: (line for line in lines if key_of_row(line[0], line[3]) not in keys)
        )


_CACHES: Final = (
    *("*account_action_plans", "*action_plans", "*action_triggers", "*actions"),
    *("*attribute_profiles", "*charger_profiles", "*destinations", "*filters", "*rating_plans"),
    *("*rating_profiles", "*resource_profiles", "*reverse_destinations", "*route_profiles"),
    *("*shared_groups", "*statqueue_profiles", "*threshold_profiles", "*timings"),
)


def _missing() -> Json:
    raise ApiError("NOT_FOUND")


def _found(values: Sequence[Json]) -> Json:
    return list(values) or _missing()


def _part(values: Sequence[_T], args: Paginator | AttrIds | TenantPage) -> list[_T]:
    start = max(args.offset or 0, 0)
    end = start + args.limit if args.limit and args.limit > 0 else None
    return list(values[start:end])


def _folder(path: str) -> Path:
    folder = Path(path)
    try:
        if not folder.is_dir():
            raise ApiError("INVALID_PATH")
    except (OSError, ValueError) as problem:  # a name that no file can have
        raise ApiError("INVALID_PATH") from problem
    return folder


def _all_of(problem: TariffErrors) -> ApiError:
    """All that is wrong with a tariff, one problem a line."""
    lines = [f"SERVER_ERROR: {each}" for each in problem.errors[:1]]
    lines += [str(each) for each in problem.errors[1:_SHOWN]]
    if problem.error_count > len(lines):
        lines.append(f"and {problem.error_count - len(lines)} more")
    return ApiError("\n".join(lines))


def _versions(store: TariffStore) -> list[Version]:
    return store.versions()


def _drafts(store: TariffStore) -> Drafts:
    from trunkline.store.drafts import Drafts  # SQLAlchemy is heavy

    return Drafts(store.database)


def _keyed(kind: Kind, row: str) -> tuple[ItemKey, str]:
    from trunkline.store.drafts import ItemKey  # SQLAlchemy is heavy

    return ItemKey(*key_of_row(kind, row)), row


# --- the items of drafts


@dataclass(frozen=True, slots=True, kw_only=True)
class TPActivationInterval:
    """From when to when a profile counts."""

    activation_time: str = ""
    expiry_time: str = ""


_TYPES: Final[dict[ValueType, tuple[object, object]]] = {
    ValueType.TEXT: (str, ""),
    ValueType.NUMBER: (Decimal, Decimal(0)),
    ValueType.INTEGER: (int, 0),
    ValueType.FLAG: (bool, False),
    ValueType.LIST: (tuple[str, ...], ()),
    ValueType.INTERVAL: (TPActivationInterval | None, None),
}


def _struct(name: str, members: Iterable[Member], *more: tuple[str, object, object]) -> type:
    """A dataclass with these members, as an argument."""
    fields: list[tuple[str, object, object]] = [
        (member.name, *_TYPES[member.type]) for member in members
    ]
    made = make_dataclass(
        name,
        [
            (own, type_, field(default=default, metadata={"name": own}))
            for own, type_, default in (*more, *fields)
        ],
        frozen=True,
        kw_only=True,
    )
    made.__module__ = __name__
    made.__doc__ = f"A ``{name}`` as the reference has it."
    return made


def _argument(layout: Layout, name: str, *more: tuple[str, object, object]) -> type:
    if not layout.parts:
        return _struct(name, layout.members, *more)
    part: object = str
    if len(layout.part_members) > 1:
        part = _struct(f"{name}{layout.parts}", layout.part_members)
    list_type = tuple.__class_getitem__((part, ...))
    return _struct(name, layout.members, *more, (layout.parts, list_type, ()))


def _plain(value: object) -> Value:
    """An argument as the layouts take it."""
    members = getattr(value, "__dataclass_fields__", None)
    if members is not None:
        return {
            str(each.metadata.get("name") or wire_name(name)): _plain(getattr(value, name))
            for name, each in members.items()
        }
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return cast("Value", value)


def _json(value: Value) -> Json:
    match value:
        case Mapping():
            return {name: _json(each) for name, each in value.items()}
        case Decimal():
            return float(value)
        case None | bool() | str() | int():
            return value
    return [_json(each) for each in value]


def _id_argument(layout: Layout) -> tuple[type, tuple[str, ...]]:
    """What says which item, and what of it may not be empty."""
    text = ValueType.TEXT
    if layout.kind == "RatingProfiles":
        names, mandatory = ["RatingProfileID"], ("RatingProfileID",)
    elif layout.kind == "AccountActions":
        names, mandatory = ["LoadId", "Tenant", "Account"], ("Account",)
    else:
        names = ["Tenant", "ID"] if "Tenant" in layout.key else ["ID"]
        mandatory = ("ID",)
    made = _struct(
        f"AttrGetTP{layout.noun}", [Member(name, name, text) for name in ["TPid", *names]]
    )
    return made, ("TPid", *mandatory)


def _key(layout: Layout, args: Mapping[str, Value]) -> tuple[str, ...]:
    """The key of the item that an argument says."""
    if layout.kind == "RatingProfiles":
        parts = str(args["RatingProfileID"]).split(":")
        if len(parts) < 3:
            raise ApiError(f"Wrong TPRatingProfileId: {str(args['RatingProfileID'])[:60]}")
        return tuple(parts[-3:])  # before them stand a LoadId and, formerly, *out
    names = ["ID" if column == "Tag" else column for column in layout.key]
    parts = [str(args[name] or (DEFAULT_TENANT if name == "Tenant" else "")) for name in names]
    return tuple(part.strip() for part in parts)  # as in a file


class DraftMethods:
    """``SetTP…``, ``GetTP…``, ``GetTP…Ids`` and ``RemoveTP…`` of every kind of item."""

    def __init__(self, tariffs: Tariffs) -> None:
        self._tariffs = tariffs

    async def set_item(self, layout: Layout, args: Mapping[str, Value]) -> Json:
        """Put an item into a draft, in place of the one with its key."""
        given = dict(args)
        if "Tenant" in layout.key:
            given["Tenant"] = given["Tenant"] or DEFAULT_TENANT
        rows = layout.rows(given)
        item = _keyed(layout.kind, rows[0])[0]
        name = str(args["TPid"])
        await self._tariffs.in_store(lambda store: _drafts(store).put(name, item, rows))
        return "OK"

    async def get_item(self, layout: Layout, args: Mapping[str, Value]) -> Json:
        """An item of a draft."""
        name = str(args["TPid"])
        key = _key(layout, args)

        def work(store: TariffStore) -> list[str]:
            from trunkline.store.drafts import ItemKey  # SQLAlchemy is heavy

            return _drafts(store).rows(name, ItemKey(layout.kind, key))

        rows = await self._tariffs.in_store(work)
        if not rows:
            raise ApiError("NOT_FOUND")
        return _json({"TPid": name, **layout.item(rows)})

    async def ids(self, layout: Layout, args: AttrIds) -> Json:
        """The items of a kind in a draft."""
        keys = await self._tariffs.in_store(
            lambda store: _drafts(store).keys(args.tpid, layout.kind)
        )
        before = [""] if layout.members[0].name == "LoadId" else []
        found = [":".join([*before, *key]) for key in keys]
        found = [each for each in found if args.search in each]
        return _found(cast("list[Json]", _part(found, args)))

    async def remove_item(self, layout: Layout, args: Mapping[str, Value]) -> Json:
        """Take an item out of a draft."""
        name = str(args["TPid"])
        key = _key(layout, args)

        def work(store: TariffStore) -> None:
            from trunkline.store.drafts import ItemKey  # SQLAlchemy is heavy

            _drafts(store).put(name, ItemKey(layout.kind, key), [])

        await self._tariffs.in_store(work)
        return "OK"


def _declare(layout: Layout) -> None:
    """Give `DraftMethods` the methods of one kind of item."""
    tpid: tuple[str, object, object] = ("TPid", str, "")
    keys = ["ID" if column == "Tag" else column for column in layout.key if column != "Tenant"]
    mandatory = ("TPid", *keys, *([layout.parts] if layout.parts else []))
    id_type, id_mandatory = _id_argument(layout)

    async def put(self: DraftMethods, args: object) -> Json:
        return await self.set_item(layout, cast("Mapping[str, Value]", _plain(args)))

    async def get(self: DraftMethods, args: object) -> Json:
        return await self.get_item(layout, cast("Mapping[str, Value]", _plain(args)))

    async def ids(self: DraftMethods, args: AttrIds) -> Json:
        return await self.ids(layout, args)

    async def remove(self: DraftMethods, args: object) -> Json:
        return await self.remove_item(layout, cast("Mapping[str, Value]", _plain(args)))

    declared = (
        (f"SetTP{layout.noun}", put, _argument(layout, f"TP{layout.noun}", tpid), mandatory),
        (f"GetTP{layout.noun}", get, id_type, id_mandatory),
        (f"GetTP{layout.ids}", ids, AttrIds, ("TPid",)),
        (f"RemoveTP{layout.noun}", remove, id_type, id_mandatory),
    )
    texts = (
        f"Put an item of {layout.kind}.csv into a draft.",
        f"An item of {layout.kind}.csv in a draft.",
        f"The items of {layout.kind}.csv in a draft.",
        f"Take an item of {layout.kind}.csv out of a draft.",
    )
    for (name, function, argument, needed), text in zip(declared, texts, strict=True):
        function.__name__ = name
        function.__doc__ = text
        function.__annotations__ = {"args": argument, "return": "Json"}
        setattr(DraftMethods, name, method(f"APIerSv1.{name}", mandatory=needed)(function))


for _each in LAYOUTS:
    _declare(_each)


# --- prices one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class TPRatingActivation:
    """From when on a plan counts for a profile."""

    activation_time: str = ""
    rating_plan_id: str = field(default="", metadata={"name": "RatingPlanId"})
    fallback_subjects: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetRatingProfile:
    """What ``APIerSv1.SetRatingProfile`` takes."""

    tenant: str = ""
    category: str = ""
    subject: str = ""
    overwrite: bool = False
    rating_plan_activations: tuple[TPRatingActivation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetRatingProfile:
    """Which rating profile."""

    tenant: str = ""
    category: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetDestination:
    """What ``APIerSv1.SetDestination`` takes."""

    id: str = field(default="", metadata={"name": "Id"})
    prefixes: tuple[str, ...] = ()
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrDestinations:
    """Which destinations, and of ``RemoveDestination`` which of their prefixes."""

    destination_ids: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPage:
    """Which tenant's, and which part of the list."""

    tenant: str = ""
    limit: int | None = None
    offset: int | None = None


class PriceMethods:
    """Destinations, rating plans and rating profiles of the tariff that counts."""

    def __init__(self, tariffs: Tariffs) -> None:
        self._tariffs = tariffs

    @method(
        "APIerSv1.SetRatingProfile",
        mandatory=("Category", "Subject", "RatingPlanActivations"),
    )
    async def set_profile(self, args: AttrSetRatingProfile) -> Json:
        """Add activations to a rating profile, or with ``Overwrite`` have these be all."""
        item = cast("dict[str, Value]", _plain(args))
        item["Tenant"] = args.tenant or DEFAULT_TENANT
        new = _LAYOUT["RatingProfiles"].rows(item)
        key = key_of_row("RatingProfiles", new[0])[1]
        await self._replace("RatingProfiles", key if args.overwrite else None, new)
        return "OK"

    @method("APIerSv1.GetRatingProfile", mandatory=("Category", "Subject"))
    def profile(self, args: AttrGetRatingProfile) -> Json:
        """A rating profile."""
        key = (args.tenant or DEFAULT_TENANT, args.category, args.subject)
        found = self._tariffs.tariff.index.profiles.get(key)
        if found is None:
            raise ApiError("NOT_FOUND")
        activations: list[Json] = []
        for each in found.activations:
            fallbacks: list[Json] = [f"*out:{key[0]}:{key[1]}:{word}" for word in each.fallbacks]
            activations.append(
                {
                    "ActivationTime": time_text(each.time),
                    "RatingPlanId": each.plan.id,
                    "FallbackKeys": fallbacks or None,
                }
            )
        return {"Id": f"*out:{':'.join(key)}", "RatingPlanActivations": activations}

    @method("APIerSv1.RemoveRatingProfile", mandatory=("Tenant", "Category", "Subject"))
    async def remove_profile(self, args: AttrGetRatingProfile) -> Json:
        """Take a rating profile out."""
        await self._remove("RatingProfiles", (args.tenant, args.category, args.subject))
        return "OK"

    @method("APIerSv1.GetRatingProfileIDs")
    async def profile_ids(self, args: TenantPage) -> Json:
        """The rating profiles of a tenant, as ``category:subject``."""
        keys = await self._keys("RatingProfiles")
        tenant = args.tenant or DEFAULT_TENANT
        found = [":".join(key[1:]) for key in keys if key[0] == tenant]
        return _found(cast("list[Json]", _part(found, args)))

    @method("APIerSv1.GetRatingPlan")
    def plan(self, args: str) -> Json:
        """A rating plan; its keys are made of what they stand for."""
        found = self._tariffs.tariff.index.plans.get(args)
        if found is None:
            raise ApiError("NOT_FOUND")
        timings: dict[str, Json] = {}
        ratings: dict[str, Json] = {}
        rates: dict[str, Json] = {}
        for destination, priced in found.prices.items():
            listed: list[Json] = []
            for entry in priced.entries if isinstance(priced, Group) else (priced,):
                terms = entry.terms
                timing: Json = {"ID": entry.timing.id, **timing_of(entry.timing), "EndTime": ""}
                rating: Json = {
                    "ConnectFee": number(terms.connect_fee),
                    "RoundingMethod": str(terms.rounding),
                    "RoundingDecimals": terms.decimals,
                    "MaxCost": number(terms.max_cost),
                    "MaxCostStrategy": str(terms.strategy),
                    "Rates": rates_of(terms.slots, VOICE, wire=True),
                }
                keys = [
                    hashlib.sha256(encode(made).encode()).hexdigest()[:8]
                    for made in (timing, rating)
                ]
                timings[keys[0]], ratings[keys[1]] = timing, rating
                listed.append(
                    {"Timing": keys[0], "Rating": keys[1], "Weight": number(entry.planned.weight)}
                )
            rates[destination] = listed
        return {"Id": args, "Timings": timings, "Ratings": ratings, "DestinationRates": rates}

    @method("APIerSv1.RemoveRatingPlan")
    async def remove_plan(self, args: str) -> Json:
        """Take a rating plan out."""
        await self._remove("RatingPlans", (args,))
        return "OK"

    @method("APIerSv1.GetRatingPlanIDs")
    async def plan_ids(self, args: TenantPage) -> Json:
        """The rating plans; they are of no tenant."""
        found = [key[0] for key in await self._keys("RatingPlans")]
        return _found(cast("list[Json]", _part(found, args)))

    @method("APIerSv1.SetDestination", mandatory=("Id", "Prefixes"))
    async def set_destination(self, args: AttrSetDestination) -> Json:
        """Have a destination be these prefixes."""
        key = (args.id,)
        if not args.overwrite and await self._rows("Destinations", key):
            raise ApiError("EXISTS")
        rows = _LAYOUT["Destinations"].rows({"ID": args.id, "Prefixes": list(args.prefixes)})
        await self._replace("Destinations", key, rows)
        return "OK"

    @method("APIerSv1.GetDestination")
    async def destination(self, args: str) -> Json:
        """The prefixes of a destination."""
        [found] = await self._destinations([args]) or [None]
        return found or _missing()

    @method("APIerSv2.GetDestinations")
    async def destinations(self, args: AttrDestinations) -> Json:
        """The prefixes of several destinations, or of all."""
        return await self._destinations(args.destination_ids)

    @method("APIerSv1.RemoveDestination", mandatory=("DestinationIDs",))
    async def remove_destination(self, args: AttrDestinations) -> Json:
        """Take destinations out, or only some of their prefixes."""
        layout = _LAYOUT["Destinations"]
        wanted, prefixes = set(args.destination_ids), set(args.prefixes)

        def stays(line: Line) -> bool:
            if line[0] != "Destinations" or layout.key_of(line[3])[0] not in wanted:
                return True
            [prefix] = cast("list[str]", layout.item([line[3]])["Prefixes"])
            return bool(prefixes) and prefix not in prefixes

        known = {key[0] for key in await self._keys("Destinations")}
        if not wanted <= known:
            raise ApiError("NOT_FOUND")
        await self._edit(lambda lines: filter(stays, lines))
        return "OK"

    async def _destinations(self, wanted: Sequence[str]) -> list[Json]:
        layout = _LAYOUT["Destinations"]
        found: dict[str, list[Json]] = {tag: [] for tag in wanted}
        for row in await self._rows("Destinations", None):
            item = layout.item([row])
            tag = str(item["ID"])
            if not wanted or tag in found:
                found.setdefault(tag, []).extend(cast("list[Json]", item["Prefixes"]))
        return [{"Id": tag, "Prefixes": prefixes} for tag, prefixes in found.items() if prefixes]

    async def _keys(self, kind: Kind) -> list[tuple[str, ...]]:
        layout = _LAYOUT[kind]
        rows = await self._rows(kind, None)
        return list(dict.fromkeys(layout.key_of(row) for row in rows))

    async def _rows(self, kind: Kind, key: tuple[str, ...] | None) -> list[str]:
        """The rows of a kind that count, or those of one key."""
        layout = _LAYOUT[kind]

        def work(store: TariffStore) -> list[str]:
            version = counting_version(store)
            lines = store.lines(version, kind) if version else ()
            return [row for *_, row in lines if key is None or layout.key_of(row) == key]

        return await self._tariffs.in_store(work)

    async def _remove(self, kind: Kind, key: tuple[str, ...]) -> None:
        if not await self._rows(kind, key):
            raise ApiError("NOT_FOUND")
        await self._replace(kind, key, [])

    async def _replace(self, kind: Kind, key: tuple[str, ...] | None, rows: Sequence[str]) -> None:
        """Have rows count in place of those of a key, or beside all others."""
        layout = _LAYOUT[kind]
        after = set(ALL_KINDS[ALL_KINDS.index(kind) + 1 :])

        def change(lines: Iterable[Line]) -> Iterator[Line]:
            number, waiting = 0, list(rows)
            for line in lines:
                if waiting and line[0] in after:
                    for row in waiting:
                        number += 1
                        yield kind, f"{kind}.csv", number, row
                    waiting = []
                if line[0] != kind:
                    yield line
                elif key is None or layout.key_of(line[3]) != key:
                    number += 1
                    yield kind, f"{kind}.csv", number, line[3]
            for row in waiting:
                number += 1
                yield kind, f"{kind}.csv", number, row

        await self._edit(change)

    async def _edit(self, change: Callable[[Iterable[Line]], Iterable[Line]]) -> None:
        try:
            await self._tariffs.edit(change)
        except TariffErrors as problem:
            raise _all_of(problem) from problem
