"""Users in a table like Kamailio's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.sip.digest import (
    Attempt,
    Challenger,
    Hash,
    Login,
    Reason,
    Secret,
    Settings,
    answer,
    hashed_password,
)
from trunkline.sip.digest.algorithm import MD5
from trunkline.store.sql import Sql
from trunkline.store.users import SqlUsers

REALM = "atlanta.example"
NOW = 1_700_000_000.0
TABLE = """CREATE TABLE subscriber (id INTEGER PRIMARY KEY, username VARCHAR(64),
    domain VARCHAR(64), password VARCHAR(64), ha1 VARCHAR(128), ha1b VARCHAR(128))"""
ADD = """INSERT INTO subscriber (username, domain, password, ha1, ha1b)
    VALUES (:username, :domain, :password, :ha1, :ha1b)"""


async def filled(tmp_path: Path) -> Sql:
    sql = Sql("Users", f"sqlite:///{tmp_path}/users.db", timeout=20)
    await sql.execute(TABLE)

    async def add(username: str, domain: str, password: str, ha1: str = "", ha1b: str = "") -> None:
        await sql.execute(
            ADD, username=username, domain=domain, password=password, ha1=ha1, ha1b=ha1b
        )

    await add("alice", REALM, "wonderland")
    await add("alice", "biloxi.example", "other")
    ha1, ha1b = (
        hashed_password(Hash.MD5, name, REALM, "builder") for name in ("bob", f"bob@{REALM}")
    )
    await add("bob", REALM, "", ha1, ha1b)
    await add("carol", REALM, "")
    return sql


def test_look_ups(tmp_path: Path) -> None:
    async def script() -> None:
        sql = await filled(tmp_path)
        users = SqlUsers(sql)
        assert await users.lookup("alice", REALM) == Secret("wonderland")
        assert await users.lookup("alice", "biloxi.example") == Secret("other")
        assert await users.lookup("carol", REALM) == Secret()
        for nobody in ("mallory", "' OR 1=1 --", "\udcff", "a\0", ""):
            assert await users.lookup(nobody, REALM) is None
        assert await SqlUsers(sql, by_domain=False).lookup("bob", "elsewhere") is not None
        await sql.close()

    asyncio.run(script())


def test_a_name_in_another_case_is_another_name(tmp_path: Path) -> None:
    async def script() -> None:
        sql = Sql("Users", f"sqlite:///{tmp_path}/users.db", timeout=20)
        await sql.execute(
            TABLE.replace("username VARCHAR(64)", "username VARCHAR(64) COLLATE NOCASE")
        )
        for name in ("Bob", "bob"):
            await sql.execute(
                ADD, username=name, domain=REALM, password=f"of {name}", ha1="", ha1b=""
            )
        users = SqlUsers(sql)
        assert await users.lookup("bob", REALM) == Secret("of bob")
        assert await users.lookup("Bob", REALM) == Secret("of Bob")
        assert await users.lookup("BOB", REALM) is None
        await sql.close()

    asyncio.run(script())


@pytest.mark.parametrize(
    ("username", "password", "reason"),
    [
        ("alice", "wonderland", Reason.ACCEPTED),
        ("alice", "other", Reason.WRONG_RESPONSE),
        ("bob", "builder", Reason.ACCEPTED),
        (f"bob@{REALM}", "builder", Reason.ACCEPTED),
        ("carol", "", Reason.NO_SECRET),
        ("mallory", "x", Reason.UNKNOWN_USER),
    ],
)
def test_users_prove_themselves(
    tmp_path: Path, username: str, password: str, reason: Reason
) -> None:
    async def script() -> None:
        sql = await filled(tmp_path)
        users = SqlUsers(sql)
        challenger = Challenger(Settings(REALM, b"sixteen octets !", algorithms=(MD5,)))
        [challenge] = challenger.challenges(NOW, b"random octets")
        login = Login(username, password)
        credentials = answer(challenge, login, "REGISTER", f"sip:{REALM}", cnonce="c")
        attempt = challenger.examine([str(credentials)], "REGISTER", f"sip:{REALM}")
        assert isinstance(attempt, Attempt)
        secret = await users.lookup(attempt.user, REALM)
        assert challenger.judge(attempt, secret, NOW).reason is reason
        await sql.close()

    asyncio.run(script())


def test_a_table_has_a_name() -> None:
    with pytest.raises(TrunklineError) as caught:
        SqlUsers(Sql("Users", "sqlite://"), table="x; DROP TABLE y")
    assert caught.value.code == "store.users-table"
