"""Databases of each kind, one server for the tests of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.ledger.made import emptied
from tests.store.servers import SqlServer, mariadb_server, postgres_server


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    with mariadb_server(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def postgres_url(postgres: SqlServer) -> str:
    asyncio.run(emptied(postgres.url))
    return postgres.url


@pytest.fixture
def mariadb_url(mariadb: SqlServer) -> str:
    asyncio.run(emptied(mariadb.url))
    return mariadb.url


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind, one after the other."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found
