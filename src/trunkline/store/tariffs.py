"""Loaded tariffs: the rows of each, versioned, and the newest compiled for quick starts.

A load is one transaction: its rows become the active version when all of them were found good, or
nothing changes and the version before stays active. The rows are kept as they were read, with
file and line, so that what a price rests on can be shown and compiled again.

Left out: taking an older version back. Load its folder again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, tzinfo

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    select,
)
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from trunkline.charging.rows import TariffPlan
from trunkline.errors import TrunklineError
from trunkline.store import rules, sqlite
from trunkline.store.compiled import (
    Compiler,
    Line,
    Version,
    default_tariff_url,
    read_compiled,
    without_collections,
    write_compiled,
    zone_named,
)

__all__ = ["Read", "TariffStore", "Version", "default_tariff_url", "zone_named"]

KEPT = 3
"""So many versions are kept, the active one included; older ones go when one is loaded."""

Read = Callable[[Callable[[Sequence[Line]], None]], TariffPlan]
"""Reads a tariff and hands every row of it over; raises, if it is not good."""

_BATCH = 10_000  # rows in one statement
_LOADING = 30.0  # s: another load may be under way

_metadata = MetaData()
_versions = Table(
    "tariff_versions",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("token", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("loaded", String(40), nullable=False),
    Column("time_zone", String(80), nullable=False),
    Column("tenant_time_zones", Text, nullable=False),
    Column("row_count", Integer, nullable=False),
    sqlite_autoincrement=True,
)
_rows = Table(
    "tariff_rows",
    _metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("row", Text, nullable=False),
    sqlite_with_rowid=False,  # one tree instead of two
)


class TariffStore:
    """The tariffs at a database URL.

    ``compiler`` makes a tariff plan of kept rows: ``trunkline.config.cgrates.compile_lines``.

    Raises:
        TrunklineError: ``store.unavailable`` when the database cannot be opened or written.
    """

    def __init__(self, url: str, compiler: Compiler) -> None:
        self.url = url
        self._compiler = compiler
        with self._errors():
            self._engine: Engine = create_engine(url)
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", sqlite.on_connect(_LOADING))
            with self._engine.begin() as connection:
                connection.execute(CreateTable(_versions, if_not_exists=True))
                connection.execute(CreateTable(_rows, if_not_exists=True))
                rules.create_tables(connection)

    def load(
        self,
        read: Read,
        *,
        name: str,
        time_zone: tzinfo = UTC,
        tenant_time_zones: Mapping[str, tzinfo] | None = None,
        now: datetime | None = None,
    ) -> tuple[Version, TariffPlan]:
        """Store what ``read`` hands over and make it the active version, or change nothing.

        Raises:
            TrunklineError: what ``read`` raises, or ``store.unavailable``.
        """
        loaded = now or datetime.now(UTC)
        zones = dict(tenant_time_zones or {})
        for zone in (time_zone, *zones.values()):
            zone_named(str(zone))  # refused now, not when the rows are compiled again
        token = uuid.uuid4().hex
        count = 0
        brought: set[rules.RuleKey] = set()
        with self._errors(), self._engine.begin() as connection:
            inserted = connection.execute(
                insert(_versions).values(
                    token=token,
                    name=name,
                    loaded=loaded.isoformat(),
                    time_zone=str(time_zone),
                    tenant_time_zones=json.dumps({key: str(zone) for key, zone in zones.items()}),
                    row_count=0,
                )
            )
            assert inserted.inserted_primary_key is not None
            identifier = int(inserted.inserted_primary_key[0])

            def keep(lines: Sequence[Line]) -> None:
                nonlocal count
                for start in range(0, len(lines), _BATCH):
                    batch = [
                        {
                            "version": identifier,
                            "number": number,
                            "kind": kind,
                            "file": file,
                            "line": line,
                            "row": row,
                        }
                        for number, (kind, file, line, row) in enumerate(
                            lines[start : start + _BATCH], count
                        )
                    ]
                    connection.execute(insert(_rows), batch)
                    count += len(batch)
                keys = (rules.key_of_row(kind, row) for kind, _, _, row in lines)
                brought.update(key for key in keys if key is not None)

            with without_collections():
                plan = read(keep)
            connection.execute(
                _versions.update().where(_versions.c.id == identifier).values(row_count=count)
            )
            rules.forget(connection, brought)
            oldest = select(_versions.c.id).order_by(_versions.c.id.desc()).offset(KEPT).limit(1)
            old = connection.execute(oldest).scalar()
            if old is not None:
                connection.execute(delete(_rows).where(_rows.c.version <= old))
                connection.execute(delete(_versions).where(_versions.c.id <= old))
        version = Version(identifier, token, name, loaded, time_zone, zones, count)
        write_compiled(self.url, version, plan)
        return version, plan

    def versions(self) -> list[Version]:
        """The versions kept, newest and active first."""
        with self._errors(), self._engine.connect() as connection:
            found = connection.execute(select(_versions).order_by(_versions.c.id.desc()))
            return [
                Version(
                    id=row["id"],
                    token=row["token"],
                    name=row["name"],
                    loaded=datetime.fromisoformat(row["loaded"]),
                    time_zone=zone_named(row["time_zone"]),
                    tenant_time_zones={
                        tenant: zone_named(zone)
                        for tenant, zone in json.loads(row["tenant_time_zones"]).items()
                    },
                    row_count=row["row_count"],
                )
                for row in found.mappings()
            ]

    def active(self) -> tuple[Version, TariffPlan]:
        """The active version and what it has.

        Raises:
            TrunklineError: ``store.no-tariff`` before the first load.
        """
        versions = self.versions()
        if not versions:
            raise TrunklineError(
                "store.no-tariff", "no tariff is loaded; load one: trunkline rate load DIR"
            )
        version = versions[0]
        if found := read_compiled(self.url, version.id, version.token):
            return found
        with without_collections():
            plan = self._compiler(
                self._lines(version),
                version.name,
                version.time_zone,
                version.tenant_time_zones,
                version.loaded,
            )
        write_compiled(self.url, version, plan)
        return version, plan

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _lines(self, version: Version) -> Iterator[Line]:
        query = (
            select(_rows.c.kind, _rows.c.file, _rows.c.line, _rows.c.row)
            .where(_rows.c.version == version.id)
            .order_by(_rows.c.number)
            .execution_options(yield_per=_BATCH)
        )
        with self._errors(), self._engine.connect() as connection:
            for row in connection.execute(query):
                yield row.kind, row.file, row.line, row.row

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ModuleNotFoundError) as problem:
            reason = str(getattr(problem, "orig", None) or problem).partition("\n")[0]
            url = self.url
            with suppress(ArgumentError):
                url = make_url(url).render_as_string(hide_password=True)
            raise TrunklineError(
                "store.unavailable",
                f"tariff store {url}: {reason}; check that it exists and can be written",
            ) from problem
