"""Empty databases of each kind; the servers are those of every test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.ledger.made import emptied, flushed
from tests.store.servers import RedisServer, SqlServer, redis_server


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


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis that keeps what it is given."""
    with redis_server(tmp_path_factory.mktemp("redis"), durable=True) as server:
        yield server


@pytest.fixture
def redis_url(redis: RedisServer) -> str:
    asyncio.run(flushed(redis.url))
    return redis.url


@pytest.fixture(params=["sqlite", "postgres", "mariadb", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind, one after the other."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found
