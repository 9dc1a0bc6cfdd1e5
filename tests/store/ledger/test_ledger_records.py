"""Records are found by all that they can be asked by, in every database alike."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.store.ledger.test_ledger_book import book_at

from trunkline.errors import TrunklineError
from trunkline.store.ledger.model import Change, Keys, RecordRow, record_key
from trunkline.store.ledger.queries import RecordQuery

RECORDS = [
    RecordRow(
        id="r0",
        run="*default",
        document=json.dumps({"extra": {"Carrier": "one", "Odd key": "ü"}}),
        tenant="cgrates.org",
        account="1001",
        subject="1001",
        destination="614",
        category="call",
        type="*voice",
        request_type="*prepaid",
        origin_id="o0",
        origin_host="h0",
        source="s0",
        time=100.0,
        setup_time=90.0,
        answer_time=100.0,
        created=1000.0,
        updated=1000.0,
        usage=60,
        cost=Decimal("10.5"),
    ),
    RecordRow(
        id="r1",
        run="*default",
        document=json.dumps({"extra": {"Carrier": "two"}}),
        tenant="cgrates.org",
        account="1002",
        destination="6%4",
        category="sms",
        type="*sms",
        request_type="*rated",
        origin_id="o1",
        time=200.0,
        answer_time=200.0,
        created=1001.0,
        updated=1005.0,
        usage=1,
        cost=Decimal("9.000000000000000001"),
    ),
    RecordRow(
        id="r1",
        run="other",
        document="{}",
        tenant="other.org",
        account="1001",
        destination="49",
        category="call",
        type="*voice",
        request_type="*none",
        origin_id="o1",
        time=150.0,
        setup_time=150.0,
        created=1002.0,
        updated=1002.0,
        usage=300,
    ),
]
IDS = [row.key for row in RECORDS]
R0, R1, R2 = IDS


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (RecordQuery(), IDS),
        (RecordQuery(ids=["r1"]), [R1, R2]),
        (RecordQuery(runs=["other"]), [R2]),
        (RecordQuery(accounts=["1001"], tenants=["other.org"]), [R2]),
        (RecordQuery(types=["*voice"], categories=["call"]), [R0, R2]),
        (RecordQuery(request_types=["*rated", "*none"]), [R1, R2]),
        (RecordQuery(origin_hosts=["h0"], sources=["s0"], subjects=["1001"]), [R0]),
        (RecordQuery(prefixes=["61", "49"]), [R0, R2]),
        (RecordQuery(prefixes=["6%"]), [R1]),
        (RecordQuery(prefixes=["6"], without=RecordQuery(prefixes=["61"])), [R1]),
        (RecordQuery(without=RecordQuery(ids=["r0"], accounts=["1002"])), [R2]),
        (RecordQuery(costs=[Decimal("10.5")]), [R0]),
        (RecordQuery(costs=[Decimal("-1"), Decimal("9.000000000000000001")]), [R1, R2]),
        (RecordQuery(without=RecordQuery(costs=[Decimal(-1)])), [R0, R1]),
        (RecordQuery(cost=(Decimal(0), None)), [R0, R1]),
        (RecordQuery(cost=(Decimal(9), Decimal("10.5"))), [R1]),
        (RecordQuery(cost=(None, Decimal("9.5"))), [R1, R2]),
        (RecordQuery(unrated=True), [R2]),
        (RecordQuery(extra={"Carrier": "two"}), [R1]),
        (RecordQuery(extra={"Carrier": "*exists"}), [R0, R1]),
        (RecordQuery(extra={"Odd key": "ü"}), [R0]),
        (RecordQuery(without=RecordQuery(extra={"Carrier": "two"})), [R0, R2]),
        (RecordQuery(without=RecordQuery(extra={"Carrier": "*exists"})), [R2]),
        (RecordQuery(setup=(90.0, 150.0)), [R0]),
        (RecordQuery(setup=(None, 150.0)), [R0, R1]),
        (RecordQuery(answer=(100.0, None)), [R0, R1]),
        (RecordQuery(answer=(None, 101.0)), [R0, R2]),
        (RecordQuery(created=(1001.0, 1002.0)), [R1]),
        (RecordQuery(updated=(1002.0, None)), [R1, R2]),
        (RecordQuery(usage=(1, 300)), [R0, R1]),
        (RecordQuery(since=150.0), [R1, R2]),
        (RecordQuery(order_by="cost"), [R2, R1, R0]),
        (RecordQuery(order_by="usage", descending=True), [R2, R0, R1]),
        (RecordQuery(order_by="setup_time"), [R1, R0, R2]),
        (RecordQuery(order_by="answer_time", descending=True), [R1, R0, R2]),
        (RecordQuery(descending=True, limit=2), [R2, R1]),
        (RecordQuery(offset=1, limit=1), [R1]),
        (RecordQuery(order_by="usage", offset=2), [R2]),
    ],
)
def test_each_database_finds_the_same(
    sqlite_url: str, query: RecordQuery, found: list[str]
) -> None:
    check(sqlite_url, [(query, found)])


def test_every_database_does(url: str) -> None:
    marks = test_each_database_finds_the_same.pytestmark  # type: ignore[attr-defined]
    check(url, [(query, found) for query, found in marks[0].args[1]])


def check(url: str, cases: list[tuple[RecordQuery, list[str]]]) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            for row in RECORDS:
                await book.update(
                    Keys(records=[row.key]),
                    lambda view, row=row: Change(time=0.0, records={row.key: row}),  # type: ignore[misc]
                )
            stored = await book.records(RecordQuery())
            assert [replace(row, order=0) for row in stored] == RECORDS
            for query, found in cases:
                assert [row.key for row in await book.records(query)] == found, query
                everything = replace(query, offset=0, limit=1000)
                count = len(await book.records(everything))
                assert await book.count_records(query) == count, query
            middle = stored[1].order
            [row] = await book.records(RecordQuery(after=middle - 1, before=middle + 1))
            assert row.key == R1
            for size in (1, 2, 3):
                some = book.record_pages(RecordQuery(limit=size))
                assert [row.key async for page in some for row in page] == IDS[:size]
            sorted_ = RecordQuery(order_by="cost", descending=True, limit=2)
            pages = [row.key async for page in book.record_pages(sorted_) for row in page]
            assert pages == [R0, R1]

    asyncio.run(script())


def test_a_name_that_cannot_be_looked_for(sqlite_url: str) -> None:
    async def script() -> None:
        async with book_at(sqlite_url) as book:
            with pytest.raises(TrunklineError, match="no name of an extra field"):
                await book.records(RecordQuery(extra={'a"b': "1"}))

    asyncio.run(script())


def test_names_with_a_slash(url: str) -> None:
    row = RecordRow(id="a/b", run="in/out", document="{}")
    key = record_key("a/b", "in/out")

    async def script() -> None:
        async with book_at(url) as book:
            for usage in (0, 1):
                change = Change(time=0.0, records={key: replace(row, usage=usage)})
                await book.commit(change, (await book.load(Keys(records=[key]))).versions)
                [found] = await book.records(RecordQuery(ids=("a/b",)))
                assert (found.id, found.run, found.usage) == ("a/b", "in/out", usage)
            await book.update(Keys(records=[key]), lambda _: Change(time=0.0, records={key: None}))
            assert await book.records(RecordQuery(ids=("a/b",))) == []

    asyncio.run(script())
