"""Loaded tariffs: the rows of each, versioned, and which of them counts when.

A load is one transaction: its rows become a version when all of them were found good, or nothing
changes. The rows are kept as they were read, with file and line, so that what a price rests on can
be shown, given back as files and compiled again. Nor does anything change where a version that is
to count does not go with the rules that were set by API: they are kept in the same database.

A version counts from the moment of its latest activation, which may lie ahead: whoever asks at a
moment gets the version whose activation came last before it. Taking a version back withdraws its
activation, so that the one before counts again; activations are kept, withdrawn or not, as long as
their version. Every change raises a number in a row of its own, whose lock it takes first: running
nodes look at that row, and nothing else, to see whether something has changed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import TypeAlias, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.mysql import LONGTEXT, MEDIUMTEXT
from sqlalchemy.schema import CreateTable

from trunkline.charging.rows import TariffPlan
from trunkline.errors import TrunklineError
from trunkline.store.compiled import (
    KEPT,
    Compiler,
    Line,
    Version,
    default_tariff_url,
    forget_compiled,
    read_compiled,
    without_collections,
    write_compiled,
    zone_named,
)
from trunkline.store.database import Database
from trunkline.store.rules import Entries, create_rules, read_rules

__all__ = [
    "Activation",
    "Fits",
    "Read",
    "Schedule",
    "TariffStore",
    "Version",
    "default_tariff_url",
    "zone_named",
]

Read = Callable[[Callable[[Sequence[Line]], None]], TariffPlan]
"""Reads a tariff and hands every row of it over; raises, if it is not good."""

Fits = Callable[[TariffPlan, str, int, Entries], None]
"""Raises, if rules that were set do not go with a tariff, its name, that counts since a moment
(microseconds since 1970)."""

_T = TypeVar("_T")
_Page: TypeAlias = "Sequence[Row[tuple[int, str, str, int, str]]]"

_BATCH = 10_000  # rows in one statement
_LOADING = 30.0  # s: another load may be under way
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_metadata = MetaData()
_long = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
# A TEXT of MariaDB is one octet shorter than the longest line of a file.
_line = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
_versions = Table(
    "tariff_versions",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("token", String(32), nullable=False),
    Column("name", _long, nullable=False),
    Column("loaded", String(40), nullable=False),
    Column("time_zone", String(80), nullable=False),
    Column("tenant_time_zones", _long, nullable=False),
    Column("row_count", Integer, nullable=False),
    sqlite_autoincrement=True,
    mysql_charset="utf8mb4",
    mysql_engine="InnoDB",
)
_rows = Table(
    "tariff_rows",
    _metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("file", _long, nullable=False),
    Column("line", Integer, nullable=False),
    Column("row", _line, nullable=False),
    sqlite_with_rowid=False,  # one tree instead of two
    mysql_charset="utf8mb4",
    mysql_engine="InnoDB",
)
_activations = Table(
    "tariff_activations",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),  # microseconds since 1970
    Column("withdrawn", BigInteger),
    sqlite_autoincrement=True,
    mysql_charset="utf8mb4",
    mysql_engine="InnoDB",
)
_changes = Table(
    "tariff_changes",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    mysql_charset="utf8mb4",
    mysql_engine="InnoDB",
)


@dataclass(frozen=True, slots=True)
class Activation:
    """That a version counts from a moment on."""

    id: int
    version: int
    at: datetime
    withdrawn: datetime | None = None
    """When it was taken back; it does not count since then."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """All activations that were not withdrawn, in the order in which they count."""

    activations: tuple[Activation, ...] = ()

    def at(self, moment: datetime) -> Activation | None:
        """The one that counts at a moment."""
        return next((each for each in reversed(self.activations) if each.at <= moment), None)

    def after(self, moment: datetime) -> Activation | None:
        """The next one after a moment."""
        return next((each for each in self.activations if each.at > moment), None)

    def before(self, one: Activation) -> Activation | None:
        """The last one before ``one`` that is of another version."""
        earlier = self.activations[: self.activations.index(one)]
        return next((each for each in reversed(earlier) if each.version != one.version), None)


class TariffStore:
    """The tariffs at a database URL: SQLite, PostgreSQL or MariaDB.

    ``compiler`` makes a tariff plan of kept rows: ``trunkline.config.cgrates.compile_lines``. Where
    there are rules set by API, ``fits`` is asked before a version counts. The methods wait for the
    database: a running loop calls them in a thread. ``now`` is the present time where the clock's
    is not meant.

    Raises:
        TrunklineError: ``store.unavailable`` when the database cannot be opened or written.
    """

    def __init__(self, url: str, compiler: Compiler, fits: Fits | None = None) -> None:
        self.url = url
        self.database = Database(url, "tariff store")
        self._compiler = compiler
        self._fits = fits
        self.database.prepare(_create_tables)
        self.database.prepare(create_rules)

    def load(
        self,
        read: Read,
        *,
        name: str,
        time_zone: tzinfo = UTC,
        tenant_time_zones: Mapping[str, tzinfo] | None = None,
        activate: bool = True,
        at: datetime | None = None,
        keep: int = KEPT,
        instead_of: int | None = None,
        read_at: datetime | None = None,
        now: datetime | None = None,
    ) -> tuple[Version, TariffPlan]:
        """Store what ``read`` hands over as a version, or change nothing.

        It counts at once, or from ``at`` on, or not yet. Of the versions the newest ``keep`` stay,
        and those that count, counted before that, or wait. ``read_at`` is what relative times in
        the rows start from, where that is not now. ``instead_of`` 0 is where none counts yet.

        Raises:
            TrunklineError: what ``read`` raises; ``store.past``, ``store.unavailable``;
                ``store.changed``: not the version ``instead_of`` counts, but another; what
                ``fits`` raises.
        """
        loaded = read_at or now or datetime.now(UTC)
        if at is not None:
            _check_ahead(at, now or datetime.now(UTC))
        zones = dict(tenant_time_zones or {})
        for zone in (time_zone, *zones.values()):
            zone_named(str(zone))  # refused now, not when the rows are compiled again
        token = uuid.uuid4().hex

        def work(connection: Connection) -> tuple[int, int, TariffPlan, list[int]]:
            identifier = _inserted(
                connection,
                _versions,
                token=token,
                name=name,
                loaded=loaded.isoformat(),
                time_zone=str(time_zone),
                tenant_time_zones=json.dumps({key: str(zone) for key, zone in zones.items()}),
                row_count=0,
            )
            keeping = _Keeping(connection, identifier)
            with without_collections():
                plan = read(keeping.keep)
            connection.execute(
                update(_versions)
                .where(_versions.c.id == identifier)
                .values(row_count=keeping.count)
            )
            _lock(connection)
            if instead_of is not None:
                counting = _schedule(connection).at(now or datetime.now(UTC))
                if (counting.version if counting else 0) != instead_of:
                    raise TrunklineError(
                        "store.changed", f"version {instead_of} does not count any more; try again"
                    )
            if activate:
                since = at or now or datetime.now(UTC)
                self._check_rules(connection, plan, name, since)
                _activate(connection, identifier, since)
            kept = _drop_old(connection, keep, now or datetime.now(UTC))
            return identifier, keeping.count, plan, kept

        identifier, count, plan, kept = self.database.run(work)
        version = Version(identifier, token, name, loaded, time_zone, zones, count)
        forget_compiled(self.url, kept)
        write_compiled(self.url, version, plan)
        return version, plan

    def versions(self) -> list[Version]:
        """The versions kept, newest first."""
        return self.database.run(_read_versions)

    def activations(self) -> list[Activation]:
        """All activations of the versions kept, by their moment; withdrawn ones too."""
        return self.database.run(lambda connection: _read_activations(connection, withdrawn=True))

    def schedule(self) -> Schedule:
        """The activations that were not withdrawn."""
        return self.database.run(_schedule)

    def changes(self) -> int:
        """A number that every change raises."""
        return self.database.run(
            lambda connection: int(connection.execute(select(_changes.c.number)).scalar_one())
        )

    def activate(
        self, version: int, at: datetime | None = None, *, now: datetime | None = None
    ) -> Activation:
        """Have a version count, at once or from ``at`` on.

        Raises:
            TrunklineError: ``store.no-version``, ``store.past``, ``store.unavailable``; what
                ``fits`` raises.
        """
        present = now or datetime.now(UTC)
        if at is not None:
            _check_ahead(at, present)
        read = self._plan_under_rules(version)

        def work(connection: Connection) -> Activation:
            _lock(connection)
            _check_there(connection, version)
            counting = _schedule(connection).at(present)
            if at is None and counting is not None and counting.version == version:
                return counting
            if read is not None:
                self._check_rules(connection, read[1], read[0].name, at or present)
            return _activate(connection, version, at or present)

        return self.database.run(work)

    def cancel(self, version: int, *, now: datetime | None = None) -> int:
        """Have a version not count that waits for its moment; how many activations that was.

        Raises:
            TrunklineError: ``store.no-version``, ``store.unavailable``.
        """
        present = now or datetime.now(UTC)

        def work(connection: Connection) -> int:
            _lock(connection)
            _check_there(connection, version)
            waiting = [
                each.id
                for each in _schedule(connection).activations
                if each.version == version and each.at > present
            ]
            _withdraw(connection, waiting, present)
            return len(waiting)

        return self.database.run(work)

    def rollback(self, *, now: datetime | None = None) -> tuple[Version, Version]:
        """Take back the version that counts, so that the one before it does; that and this.

        Raises:
            TrunklineError: ``store.no-version`` where there is none before it,
                ``store.no-tariff``, ``store.unavailable``; what ``fits`` raises.
        """
        present = now or datetime.now(UTC)

        def work(back: int, read: tuple[Version, TariffPlan] | None) -> Callable[..., int | None]:
            def take_back(connection: Connection) -> int | None:
                _lock(connection)
                schedule = _schedule(connection)
                counting, before = _last_two(schedule, present)
                if before.version != back:
                    return None
                if read is not None:
                    self._check_rules(connection, read[1], read[0].name, before.at)
                after = schedule.activations.index(before) + 1
                taken = [each.id for each in schedule.activations[after:] if each.at <= present]
                _withdraw(connection, taken, present)
                return counting.version

            return take_back

        left = None
        while left is None:  # again, where others have changed it meanwhile
            back = _last_two(self.schedule(), present)[1].version
            left = self.database.run(work(back, self._plan_under_rules(back)))
        there = {version.id: version for version in self.database.run(_read_versions)}
        return there[left], there[back]

    def check_rules(self, plan: TariffPlan, name: str, at: datetime | None = None) -> None:
        """Ask ``fits`` about a tariff as if it counted, at once or from ``at`` on.

        Raises:
            TrunklineError: what ``fits`` raises; ``store.unavailable``.
        """
        since = at or datetime.now(UTC)
        self.database.run(lambda connection: self._check_rules(connection, plan, name, since))

    def _plan_under_rules(self, version: int) -> tuple[Version, TariffPlan] | None:
        """What ``fits`` is to be asked of; ``None``: there are no rules."""
        if self._fits is None or not self.database.run(read_rules):
            return None
        return self.plan(version)

    def _check_rules(
        self, connection: Connection, plan: TariffPlan, name: str, since: datetime
    ) -> None:
        rules = read_rules(connection) if self._fits is not None else {}
        if rules and self._fits is not None:
            self._fits(plan, name, _microseconds(since), rules)

    def active(self, now: datetime | None = None) -> tuple[Version, TariffPlan]:
        """The version that counts, and what it has.

        Raises:
            TrunklineError: ``store.no-tariff`` where none counts yet, ``store.unavailable``.
        """
        return self.plan(self.counting(now).id)

    def counting(self, now: datetime | None = None) -> Version:
        """The version that counts.

        Raises:
            TrunklineError: ``store.no-tariff`` where none counts yet, ``store.unavailable``.
        """
        found = self.schedule().at(now or datetime.now(UTC))
        if found is None:
            raise _no_tariff()
        return self.version(found.version)

    def plan(self, version: int) -> tuple[Version, TariffPlan]:
        """A version, and what it has.

        Raises:
            TrunklineError: ``store.no-version``, ``store.unavailable``.
        """
        found = self.version(version)
        if compiled := read_compiled(self.url, found.id, found.token):
            return compiled
        with without_collections():
            plan = self._compiler(
                self.lines(found),
                found.name,
                found.time_zone,
                found.tenant_time_zones,
                found.loaded,
            )
        write_compiled(self.url, found, plan)
        return found, plan

    def version(self, version: int) -> Version:
        """A version by its number.

        Raises:
            TrunklineError: ``store.no-version``, ``store.unavailable``.
        """
        for found in self.versions():
            if found.id == version:
                return found
        raise _no_version(version)

    def lines(self, version: Version, kind: str = "") -> Iterator[Line]:
        """The rows of a version, or those of one kind, in the order in which they were read.

        Raises:
            TrunklineError: ``store.no-version``: it has gone meanwhile; ``store.unavailable``.
        """
        columns = (_rows.c.number, _rows.c.kind, _rows.c.file, _rows.c.line, _rows.c.row)
        number = 0
        while number < version.row_count:
            query = (
                select(*columns)
                .where(_rows.c.version == version.id, _rows.c.number >= number)
                .order_by(_rows.c.number)
                .limit(_BATCH)
            )
            if kind:
                query = query.where(_rows.c.kind == kind)
            found = self.database.run(partial(_fetched, query))
            if not found:
                if kind:
                    return
                raise _no_version(version.id)
            for row in found:
                yield row.kind, row.file, row.line, row.row
            number = found[-1].number + 1

    def close(self) -> None:
        """Close the connections."""
        self.database.close()


class _Keeping:
    """Takes the rows of a version as they are read."""

    def __init__(self, connection: Connection, version: int) -> None:
        self._connection = connection
        self._version = version
        self.count = 0

    def keep(self, lines: Sequence[Line]) -> None:
        for start in range(0, len(lines), _BATCH):
            batch = [
                {
                    "version": self._version,
                    "number": number,
                    "kind": kind,
                    "file": file,
                    "line": line,
                    "row": row,
                }
                for number, (kind, file, line, row) in enumerate(
                    lines[start : start + _BATCH], self.count
                )
            ]
            self._connection.execute(insert(_rows), batch)
            self.count += len(batch)


def _create_tables(connection: Connection) -> None:
    for table in _metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
    if connection.execute(select(_changes.c.number)).scalar() is None:
        connection.execute(insert(_changes).values(id=1, number=0))


def _lock(connection: Connection) -> None:
    """Be the only change under way until the transaction ends, and tell those who look."""
    connection.execute(update(_changes).values(number=_changes.c.number + 1))


def _fetched(query: Select[tuple[int, str, str, int, str]], connection: Connection) -> _Page:
    return connection.execute(query).fetchall()


def _inserted(connection: Connection, table: Table, **values: object) -> int:
    done = connection.execute(insert(table).values(**values))
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def _last_two(schedule: Schedule, now: datetime) -> tuple[Activation, Activation]:
    """The one that counts, and the one before it."""
    counting = schedule.at(now)
    if counting is None:
        raise _no_tariff()
    before = schedule.before(counting)
    if before is None:
        raise TrunklineError(
            "store.no-version",
            f"version {counting.version} is the first one that is kept: there is none to go back"
            " to",
        )
    return counting, before


def _activate(connection: Connection, version: int, at: datetime) -> Activation:
    return Activation(
        _inserted(connection, _activations, version=version, at=_microseconds(at)), version, at
    )


def _withdraw(connection: Connection, identifiers: Iterable[int], now: datetime) -> None:
    connection.execute(
        update(_activations)
        .where(_activations.c.id.in_(list(identifiers)))
        .values(withdrawn=_microseconds(now))
    )


def _drop_old(connection: Connection, keep: int, now: datetime) -> list[int]:
    """Remove the versions that nobody needs; the IDs of those that stay."""
    newest_first = select(_versions.c.id).order_by(_versions.c.id.desc())
    there = [int(found) for found in connection.execute(newest_first).scalars()]
    schedule = _schedule(connection)
    needed = {each.version for each in schedule.activations if each.at > now}
    if (counting := schedule.at(now)) is not None:
        needed.add(counting.version)
        if (before := schedule.before(counting)) is not None:
            needed.add(before.version)
    stay = needed.union(there[: max(keep, 1)])
    old = [version for version in there if version not in stay]
    if old:
        for table, column in (
            (_rows, _rows.c.version),
            (_activations, _activations.c.version),
            (_versions, _versions.c.id),
        ):
            connection.execute(delete(table).where(column.in_(old)))
    return sorted(stay)


def _read_versions(connection: Connection) -> list[Version]:
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


def _read_activations(connection: Connection, *, withdrawn: bool) -> list[Activation]:
    query = select(_activations).order_by(_activations.c.at, _activations.c.id)
    if not withdrawn:
        query = query.where(_activations.c.withdrawn.is_(None))
    return [
        Activation(
            row.id,
            row.version,
            _time(row.at),
            None if row.withdrawn is None else _time(row.withdrawn),
        )
        for row in connection.execute(query)
    ]


def _schedule(connection: Connection) -> Schedule:
    return Schedule(tuple(_read_activations(connection, withdrawn=False)))


def _check_there(connection: Connection, version: int) -> None:
    query = select(_versions.c.id).where(_versions.c.id == version)
    if connection.execute(query).scalar() is None:
        raise _no_version(version)


def _check_ahead(at: datetime, now: datetime) -> None:
    if at <= now:
        raise TrunklineError(
            "store.past", f"{at.isoformat()} is past; leave the time out for at once"
        )


def _no_version(version: int) -> TrunklineError:
    return TrunklineError(
        "store.no-version", f"no version {version} is kept; those that are: trunkline rate versions"
    )


def _no_tariff() -> TrunklineError:
    return TrunklineError(
        "store.no-tariff", "no tariff is active; load one: trunkline rate load DIR"
    )


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
