"""Transactions with an SQL database from a thread: SQLite, PostgreSQL or MariaDB."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from trunkline.errors import TrunklineError
from trunkline.store import sqlite
from trunkline.store.guard import hide_password
from trunkline.store.sql import driver_url

__all__ = ["Database"]

_T = TypeVar("_T")
_BUSY = 30.0  # s: another's load may be under way


class Database:
    """The database at ``url``; ``what`` it holds is said where it fails.

    Raises:
        TrunklineError: ``store.unavailable``, by every method.
    """

    def __init__(self, url: str, what: str) -> None:
        self.url = url
        self._what = what
        self._engine: Engine | None = None
        with self._errors():
            self._driver = _driver(url)
            if not self._driver.startswith(("mysql", "mariadb")):
                self._engine = create_engine(self._driver)
                if self._driver.startswith("sqlite"):
                    event.listen(self._engine, "connect", sqlite.on_connect(_BUSY))

    def prepare(self, create: Callable[[Connection], None]) -> None:
        """Make the tables where they are missing."""
        with self._errors():
            try:
                self._run(create)
            except SQLAlchemyError:
                self._run(create)  # of two that make them at once, one is refused

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """Do ``work`` in a transaction; what it raises undoes it."""
        with self._errors():
            return self._run(work)

    def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose()

    def _run(self, work: Callable[[Connection], _T]) -> _T:
        if self._engine is not None:
            with self._engine.begin() as connection:
                return work(connection)

        async def run() -> _T:
            engine = create_async_engine(self._driver, poolclass=NullPool)
            try:
                async with engine.begin() as connection:
                    return await connection.run_sync(work)
            finally:
                await engine.dispose()

        return asyncio.run(run())  # MariaDB's driver has no other way

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ModuleNotFoundError, OSError) as problem:
            reason = str(getattr(problem, "orig", None) or problem).partition("\n")[0]
            raise TrunklineError(
                "store.unavailable",
                f"{self._what} {hide_password(self.url)}: {reason}; check that it exists and can be"
                " written",
            ) from problem


def _driver(url: str) -> str:
    """The URL with the driver that is used: a synchronous one, where there is one."""
    found = make_url(url)
    if found.get_backend_name() == "sqlite":
        return found.set(drivername="sqlite").render_as_string(hide_password=False)
    return driver_url(url)
