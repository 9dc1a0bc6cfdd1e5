"""Empty databases of each kind; the servers are those of every test."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.store.ledger.made import emptied
from tests.store.servers import SqlServer


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
