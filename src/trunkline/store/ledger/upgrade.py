"""The tables of a ledger, made where they are missing, and those of earlier versions brought up.

The version stands in a table of its own. Whoever comes first does it, alone; in SQLite and
PostgreSQL all of it is one transaction. MariaDB ends a transaction at each change of a table, so
the version is written last, and what broke off is begun again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Double, Table, inspect, select, text, update
from sqlalchemy.schema import CreateIndex, CreateTable

from trunkline.errors import TrunklineError
from trunkline.store.ledger.schema import (
    ACCOUNTS,
    METADATA,
    SCHEMA,
    VERSION,
    account_of,
    sharing_of,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["newer", "upgrade"]

_PATIENCE: Final = 60  # s; for another process that does the same
_PAGE: Final = 500
_LOCK: Final = 0x7472756E6B6C  # PostgreSQL names a lock by a number
_NAME: Final = "CONCAT(LEFT(DATABASE(), 40), '.trunkline.ledger')"


def newer(where: str, found: int) -> TrunklineError:
    """That a ledger was made by a later release."""
    return TrunklineError(
        "store.ledger-newer",
        f"{where}: it has version {found} of the tables, and this release of Trunkline knows "
        f"{VERSION}: take the release that made it, or a later one",
    )


async def upgrade(engine: AsyncEngine, where: str) -> None:
    """Make of the database of ``engine`` a ledger of this version.

    Raises:
        TrunklineError: ``store.ledger-newer``.
        SQLAlchemyError: the database does not do it.
    """
    async with engine.connect() as connection:
        if await _is_this(connection, where):
            return  # whoever writes all the time need not be waited for
        await connection.rollback()
        async with _alone(connection):
            if not await _is_this(connection, where):
                for table in METADATA.sorted_tables:
                    await _made(connection, table)
                await _fill_sharing(connection)
                await connection.execute(SCHEMA.delete())
                await connection.execute(SCHEMA.insert().values(version=VERSION))
            await connection.commit()


async def _is_this(connection: AsyncConnection, where: str) -> bool:
    """Whether the ledger has this version of the tables; it raises what `upgrade` does."""
    there = await connection.run_sync(lambda sync: inspect(sync).has_table(SCHEMA.name))
    found = (await connection.execute(select(SCHEMA.c.version))).scalar() if there else None
    if found is not None and found > VERSION:
        raise newer(where, found)
    return found == VERSION


@asynccontextmanager
async def _alone(connection: AsyncConnection) -> AsyncIterator[None]:
    """While no other process does the same."""
    kind = connection.dialect.name
    if kind == "sqlite":
        patience = (await connection.exec_driver_sql("PRAGMA busy_timeout")).scalar()
        await connection.exec_driver_sql(f"PRAGMA busy_timeout={_PATIENCE * 1000}")
        try:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield
        finally:
            await connection.rollback()
            await connection.exec_driver_sql(f"PRAGMA busy_timeout={patience}")
    elif kind == "postgresql":
        await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}s'")
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        yield
    else:
        await connection.execute(text(f"SELECT GET_LOCK({_NAME}, {_PATIENCE})"))
        try:
            yield
        finally:
            await connection.execute(text(f"SELECT RELEASE_LOCK({_NAME})"))


async def _made(connection: AsyncConnection, table: Table) -> None:
    """A table with all its columns and indexes."""
    await connection.execute(CreateTable(table, if_not_exists=True))
    known = await connection.run_sync(
        lambda sync: {each["name"] for each in inspect(sync).get_columns(table.name)}
    )
    quote = connection.dialect.identifier_preparer.quote
    for column in table.columns:
        if column.name not in known:
            kind = column.type.compile(connection.dialect)
            empty = "0" if isinstance(column.type, (BigInteger, Double)) else "''"
            default = "" if column.nullable else f" NOT NULL DEFAULT {empty}"
            await connection.exec_driver_sql(
                f"ALTER TABLE {table.name} ADD COLUMN {quote(column.name)} {kind}{default}"
            )
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        await connection.execute(CreateIndex(index, if_not_exists=True))


async def _fill_sharing(connection: AsyncConnection) -> None:
    """Have every account say in its column what its document says."""
    last = ""
    while True:
        query = select(ACCOUNTS.c.id, ACCOUNTS.c.sharing, ACCOUNTS.c.document)
        query = query.where(ACCOUNTS.c.id > last).order_by(ACCOUNTS.c.id).limit(_PAGE)
        rows = (await connection.execute(query.with_for_update())).all()
        for key, before, document in rows:
            sharing = sharing_of(account_of(document))
            if sharing != before:
                one = update(ACCOUNTS).where(ACCOUNTS.c.id == key)
                await connection.execute(one.values(sharing=sharing))
        if not rows:
            return
        last = rows[-1][0]
