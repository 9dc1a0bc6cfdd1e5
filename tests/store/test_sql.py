"""Named databases: the same statements on SQLite, PostgreSQL and MariaDB, and when they fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import pytest
from tests.store.servers import SqlServer, free_port

from trunkline.errors import TrunklineError
from trunkline.store import sql as module
from trunkline.store.breaker import State
from trunkline.store.guard import StoreUnavailable
from trunkline.store.sql import Sql, driver_url

_T = TypeVar("_T")


def run(work: Coroutine[None, None, _T]) -> _T:
    return asyncio.run(work)


@pytest.fixture(params=["sqlite", "memory", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/file.db"
    if request.param == "memory":
        return "sqlite://"
    server: SqlServer = request.getfixturevalue(request.param)
    return server.url


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> SqlServer:
    found: SqlServer = request.getfixturevalue(request.param)
    return found


async def undone(sql: Sql, problem: Exception) -> None:
    async with sql.transaction() as work:
        await work.execute("DELETE FROM routes")
        raise problem


def test_statements_and_transactions(url: str) -> None:
    async def script() -> None:
        sql = Sql("Routes", url, timeout=10)
        await sql.execute("DROP TABLE IF EXISTS routes")
        await sql.execute(
            "CREATE TABLE routes (prefix VARCHAR(40), gateway VARCHAR(60), weight INT)"
        )
        add = "INSERT INTO routes VALUES (:prefix, :gateway, :weight)"
        for weight, prefix in enumerate(["61", "61'; DROP TABLE routes; --", "ünï", "1"]):
            changed = await sql.execute(add, prefix=prefix, gateway="sip:g w", weight=weight)
            assert changed == 1
        rows = await sql.fetch_all("SELECT * FROM routes ORDER BY weight")
        assert [row["weight"] for row in rows] == [0, 1, 2, 3]
        assert rows[0] == {"prefix": "61", "gateway": "sip:g w", "weight": 0}
        assert rows[2]["prefix"] == "ünï"
        find = "SELECT * FROM routes WHERE prefix = :prefix"
        assert await sql.fetch_one(find, prefix="61") == rows[0]
        assert await sql.fetch_one(find, prefix="62") is None
        assert await sql.value("SELECT COUNT(*) FROM routes") == 4
        assert await sql.value(find, prefix="62") is None
        assert await sql.execute("UPDATE routes SET weight = 9 WHERE weight < 2") == 2
        assert await sql.execute("DELETE FROM routes WHERE prefix = :p", p="nobody") == 0

        async with sql.transaction() as work:
            await work.execute("DELETE FROM routes")
            assert await work.value("SELECT COUNT(*) FROM routes") == 0
            await work.execute(add, prefix="7", gateway="x", weight=None)
            assert await work.fetch_all("SELECT * FROM routes") == [
                {"prefix": "7", "gateway": "x", "weight": None}
            ]
        for problem in (ValueError("of the script"), ConnectionRefusedError("of another server")):
            with pytest.raises(type(problem), match="of "):
                await undone(sql, problem)
            assert await sql.value("SELECT prefix FROM routes") == "7"
        assert sql.counters.failed == 0
        assert sql.counters.in_flight == 0
        assert sql.counters.state is State.CLOSED
        await sql.close()

    run(script())


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELEC 1", "SELEC 1"),
        ("SELECT * FROM no_such_table", "no_such_table"),
        ("SELECT :missing", "missing"),
        ("CREATE TABLE fresh (x INT)", "no rows come of this"),
    ],
)
def test_statements_that_the_database_refuses(url: str, statement: str, words: str) -> None:
    async def script() -> None:
        sql = Sql("Routes", url, timeout=10, failures=1)
        with pytest.raises(TrunklineError, match=r"^sql\.Routes: ") as refused:
            await sql.fetch_all(statement)
        assert refused.value.code == "store.sql-statement"
        assert words in refused.value.message
        assert "\n" not in refused.value.message
        assert sql.counters.state is State.CLOSED, "an answer, though not the one hoped for"
        assert await sql.value("SELECT 1") == 1
        await sql.close()

    run(script())


def test_values_are_not_in_messages(url: str) -> None:
    async def script() -> None:
        sql = Sql("Routes", url, timeout=10)
        with pytest.raises(TrunklineError) as refused:
            await sql.execute("INSERT INTO nowhere VALUES (:password)", password="sesame")
        assert "sesame" not in refused.value.message
        await sql.close()

    run(script())


def test_many_at_once_wait_for_their_turn(url: str) -> None:
    async def script() -> None:
        sql = Sql("Count", url, timeout=20, connections=3, in_flight=40)
        await sql.execute("DROP TABLE IF EXISTS counts")
        await sql.execute("CREATE TABLE counts (n INT)")
        await sql.execute("INSERT INTO counts VALUES (0)")
        add = "UPDATE counts SET n = n + 1"
        done = await asyncio.gather(*(sql.execute(add) for _ in range(50)), return_exceptions=True)
        busy = [answer for answer in done if isinstance(answer, StoreUnavailable)]
        assert len(busy) == sql.counters.busy == 10
        assert "40 calls are under way" in busy[0].message
        assert await sql.value("SELECT n FROM counts") == 40
        await sql.close()

    run(script())


def test_a_result_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script() -> None:
        monkeypatch.setattr(module, "MOST_ROWS", 2)
        sql = Sql("r", "sqlite://")
        rows = "SELECT 1 AS n UNION ALL SELECT 2"
        assert await sql.fetch_all(rows) == [{"n": 1}, {"n": 2}]
        with pytest.raises(TrunklineError, match="more than 2 rows") as refused:
            await sql.fetch_all(f"{rows} UNION ALL SELECT 3")
        assert refused.value.code == "store.sql-rows"
        await sql.close()

    run(script())


async def back_again(sql: Sql) -> None:
    """Wait until the database answers; a server that was killed has repairs to do first."""
    deadline = time.monotonic() + 20
    while True:
        try:
            assert await sql.value("SELECT 1") == 1
            return
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


def test_killed_and_started_again(server: SqlServer) -> None:
    async def script() -> None:
        sql = Sql("r", server.url, timeout=5, failures=3, pause=0.1)
        with pytest.raises(StoreUnavailable) as gone:
            await killed_within(sql)
        assert gone.value.code == "store.sql-unavailable"
        assert sql.counters.failed == 1
        start = time.perf_counter()
        for _ in range(500):
            with pytest.raises(StoreUnavailable) as refused:
                await sql.value("SELECT 1")
            assert refused.value.code == "store.sql-unavailable"
        assert time.perf_counter() - start < 3
        assert sql.counters.state is State.OPEN
        assert sql.counters.refused > 400
        server.start()
        await back_again(sql)
        await sql.close()

    async def killed_within(sql: Sql) -> None:
        async with sql.transaction() as work:
            assert await work.value("SELECT 2") == 2
            server.kill()
            await work.value("SELECT 3")

    run(script())


def test_a_connection_from_before_a_restart_is_not_failed_on(server: SqlServer) -> None:
    async def script() -> None:
        sql = Sql("r", server.url, timeout=5)
        assert await sql.value("SELECT 1") == 1
        server.kill()
        server.start()
        other = Sql("r", server.url, timeout=5)
        await back_again(other)
        assert await sql.value("SELECT 1") == 1
        assert sql.counters.failed == 0
        await other.close()
        await sql.close()

    run(script())


@pytest.mark.parametrize(
    ("kind", "sleep"), [("postgres", "pg_sleep(:s)"), ("mariadb", "SLEEP(:s)")]
)
def test_a_statement_that_takes_too_long(
    kind: str, sleep: str, request: pytest.FixtureRequest
) -> None:
    server: SqlServer = request.getfixturevalue(kind)

    async def script() -> None:
        sql = Sql("r", server.url, timeout=0.5, connections=1)
        assert await sql.value("SELECT 1") == 1
        start = time.perf_counter()
        with pytest.raises(StoreUnavailable, match=r"no answer in 0\.5 s"):
            await sql.value(f"SELECT {sleep}", s=20)
        assert time.perf_counter() - start < 3
        assert await sql.value("SELECT 7") == 7, "and not the answer of the one before"
        await sql.close()

    run(script())


ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c"


def test_a_statement_that_nothing_stops_costs_its_time_and_no_more(tmp_path: Path) -> None:
    """SQLite goes on with it in its thread."""
    slow = ENDLESS.replace("FROM c)", "FROM c WHERE n < 6000000)").replace(
        "n FROM", "COUNT(*) FROM"
    )

    async def script() -> None:
        sql = Sql(
            "r", f"sqlite:///{tmp_path}/f.db", timeout=0.3, connections=1, failures=2, pause=0.1
        )
        assert await sql.value("SELECT 1") == 1
        start = time.perf_counter()
        for number in (1, 2):  # the second one finds no connection free
            with pytest.raises(StoreUnavailable, match=r"no answer in 0\.3 s"):
                await sql.value(slow)
            assert (sql.counters.failed, sql.counters.in_flight) == (number, 0)
        assert time.perf_counter() - start < 1.2
        assert sql.counters.state is State.OPEN
        while True:
            await asyncio.sleep(0.1)
            try:
                assert await sql.value("SELECT 7") == 7
                break
            except StoreUnavailable:
                assert time.perf_counter() - start < 60
        assert not sql._endings
        await sql.close()

    run(script())


def test_rows_beyond_the_bound_are_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)

    async def script() -> None:
        sql = Sql("r", f"sqlite:///{tmp_path}/f.db", timeout=5, connections=1)
        assert await sql.fetch_one(ENDLESS) == {"n": 1}
        assert await sql.value(ENDLESS) == 1
        with pytest.raises(TrunklineError, match="more than 100 rows"):
            await sql.fetch_all(ENDLESS)
        assert len(await sql.fetch_all(f"{ENDLESS} LIMIT 100")) == 100
        assert sql.counters.failed == 0
        await sql.close()

    run(script())


def test_a_locked_file_costs_its_time_and_is_free_again(tmp_path: Path) -> None:
    async def script() -> None:
        url = f"sqlite:///{tmp_path}/file.db"
        sql, other = Sql("a", url), Sql("b", url, timeout=0.3)
        await sql.execute("CREATE TABLE t (n INT)")
        async with sql.transaction() as work:
            await work.execute("INSERT INTO t VALUES (1)")
            start = time.perf_counter()
            with pytest.raises(StoreUnavailable, match="locked"):
                await other.execute("INSERT INTO t VALUES (2)")
            assert time.perf_counter() - start < 2
        await other.execute("INSERT INTO t VALUES (3)")
        assert await sql.value("SELECT COUNT(*) FROM t") == 2
        await sql.close()
        await other.close()

    run(script())


def test_without_a_server() -> None:
    async def script() -> None:
        for url in (
            f"mysql://root:sesame@127.0.0.1:{free_port()}/x",
            f"postgresql://u:sesame@127.0.0.1:{free_port()}/x",
            "sqlite:////nowhere/at/all.db",
        ):
            sql = Sql("Routes", url, pause=60)
            for _ in range(6):
                with pytest.raises(StoreUnavailable) as refused:
                    await sql.value("SELECT 1")
                assert refused.value.code == "store.sql-unavailable"
                assert refused.value.message.startswith("sql.Routes (")
                assert "sesame" not in refused.value.message
            assert "left alone" in refused.value.message
            await sql.close()

    run(script())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite://", "sqlite+aiosqlite://"),
        ("sqlite:///file.db", "sqlite+aiosqlite:///file.db"),
        ("postgresql://u:p@h/d?x=y", "postgresql+psycopg://u:p@h/d?x=y"),
        ("postgres://h/d", "postgresql+psycopg://h/d"),
        (
            "mysql://kamailio:kamailiorw@localhost/d",
            "mysql+asyncmy://kamailio:kamailiorw@localhost/d",
        ),
        ("mariadb://h/d", "mariadb+asyncmy://h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
    ],
)
def test_urls_get_their_driver(url: str, expected: str) -> None:
    assert driver_url(url) == expected


@pytest.mark.parametrize("url", ["", "file.db", "oracle://h/d", "mysql:/h", "mysql://h:port/d"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(TrunklineError, match=r"^sql\.r: ") as refused:
        Sql("r", url)
    assert refused.value.code == "store.sql-url"


def test_a_driver_that_is_not_installed_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(TrunklineError, match=r"pip install 'trunkline\[mysql\]'") as refused:
        Sql("r", "mysql://h/d")
    assert refused.value.code == "store.sql-missing"
