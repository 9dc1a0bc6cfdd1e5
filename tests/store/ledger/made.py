"""Small accounts, and functions that change them, for the tests of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from sqlalchemy.ext.asyncio import create_async_engine

from trunkline.charging.model import Account, Balance, Movement
from trunkline.charging.money import add
from trunkline.charging.sessions import Session
from trunkline.errors import TrunklineError
from trunkline.store.ledger.model import Change, RecordRow, SessionRow, View, record_key
from trunkline.store.ledger.schema import METADATA
from trunkline.store.redis import client
from trunkline.store.sql import driver_url

UNIT = Decimal("0.1")


async def emptied(url: str) -> None:
    """Leave no table of the ledger there: the tests of a file share a server."""
    engine = create_async_engine(driver_url(url))
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.drop_all)
    await engine.dispose()


async def flushed(url: str) -> None:
    """The same of a Redis."""
    server = client(url, 10.0)
    await server.execute_command("FLUSHALL")
    await server.aclose()


def account(key: str, **balances: str) -> Account:
    tenant, _, identifier = key.partition(":")
    held = tuple(Balance(uuid=name, value=Decimal(value)) for name, value in balances.items())
    return Account(tenant=tenant, id=identifier, balances=held)


def moved(
    found: Account | None, key: str, amount: Decimal, balance: str = "b", reference: str = ""
) -> tuple[Account, Movement]:
    """The account with ``amount`` more, and the movement that says so."""
    found = found or account(key)
    old = found.balance(balance) or Balance(uuid=balance)
    new = replace(old, value=add(old.value, amount))
    others = tuple(each for each in found.balances if each.uuid != balance)
    movement = Movement(
        account=key,
        balance=balance,
        type=new.type,
        amount=amount,
        value=new.value,
        cause="*topup" if amount >= 0 else "*charge",
        reference=reference,
    )
    return replace(found, balances=(*others, new)), movement


def put(
    key: str, amount: Decimal, *, time: float = 0.0, reference: str = ""
) -> Callable[[View], Change]:
    """Adds to an account; a sum that is not there is refused."""

    def function(view: View) -> Change:
        new, movement = moved(view.accounts[key], key, amount, reference=reference)
        if movement.value < 0:
            raise TrunklineError("test.insufficient", f"{key} has not {-amount}")
        return Change(
            time=time,
            accounts={key: new},
            movements=[movement],
            answer=f'"{movement.value}"',
        )

    return function


def transfer(source: str, target: str, amount: Decimal) -> Callable[[View], Change]:
    def function(view: View) -> Change:
        one, out = moved(view.accounts[source], source, -amount)
        other, into = moved(view.accounts[target], target, amount)
        if out.value < 0:
            raise TrunklineError("test.insufficient", f"{source} has not {amount}")
        return Change(time=0.0, accounts={source: one, target: other}, movements=[out, into])

    return function


def a_session(name: str) -> Session:
    """One that nobody looks into."""
    return Session(id=name, tenant="t", origin_id=name)


def initiate(key: str, session: str) -> Callable[[View], Change]:
    """A session takes a unit."""

    def function(view: View) -> Change:
        assert view.sessions[session] is None
        new, movement = moved(view.accounts[key], key, -UNIT, reference=session)
        row = SessionRow(key, 60.0, a_session(session))
        return Change(time=0.0, accounts={key: new}, movements=[movement], sessions={session: row})

    return function


def terminate(key: str, session: str) -> Callable[[View], Change]:
    """It takes another, and leaves a record."""

    def function(view: View) -> Change:
        assert view.sessions[session] is not None
        new, movement = moved(view.accounts[key], key, -UNIT, reference=session)
        record = RecordRow(id=session, run="*default", document="{}", reference=session)
        return Change(
            time=1.0,
            accounts={key: new},
            movements=[movement],
            sessions={session: None},
            records={record_key(session, "*default"): record},
        )

    return function
