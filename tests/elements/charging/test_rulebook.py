"""Rules set by API: over those of a folder, kept, seen by other nodes, refused where they break."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.test_sessions import TARIFF

from trunkline.charging.attributes import Attributes
from trunkline.charging.event import Event
from trunkline.charging.filters import ProfilesError
from trunkline.charging.row_documents import row_from_json, row_to_json
from trunkline.charging.rows import (
    ActionPlanRow,
    ActionRow,
    ActionTriggerRow,
    Activation,
    AttributeRow,
    BalanceRow,
    ChargerRow,
    FilterRow,
    RouteRow,
    SharedGroupRow,
)
from trunkline.config.cgrates import ChargingRows, load_folder
from trunkline.elements.charging.rulebook import KINDS, Row, RuleBook
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.errors import TrunklineError
from trunkline.store.rules import Entry, RuleKey, RuleStore

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
ROWS: tuple[Row, ...] = (
    FilterRow(
        tenant="a",
        id="F",
        type="*string",
        element="~*req.A",
        values=("1,2", ""),
        activation=Activation(start=NOW),
    ),
    AttributeRow(tenant="a", id="A", contexts=("*any",), path="*req.B", value="x", blocker=True),
    ChargerRow(tenant="a", id="C", run_id="*raw", attributes=("*none",), weight=Decimal("1.5")),
    RouteRow(tenant="a", id="R", sorting="*weight", route="r", route_weight=Decimal(10)),
    SharedGroupRow(id="G", account="*any", strategy="*lowest"),
    ActionRow(
        id="T",
        action="*topup",
        balance=BalanceRow(type="*voice", value=Decimal(10), categories=(), blocker=False),
    ),
    ActionPlanRow(id="P", actions_id="T", timing_id="*asap"),
    ActionTriggerRow(
        id="T",
        unique_id="u",
        threshold_type="*min_balance",
        threshold_value=Decimal("2.50"),
        expires=NOW,
        actions_id="T",
    ),
)


def carrier(value: str, *filters: str, weight: int = 10) -> AttributeRow:
    return AttributeRow(
        tenant="cgrates.org",
        id="CARRIER",
        filters=filters,
        path="*req.Carrier",
        type="*constant",
        value=value,
        weight=Decimal(weight),
    )


def said(attributes: Attributes) -> object:
    return attributes.process(Event(fields={"Account": "1001"}), NOW).event.fields["Carrier"]


def base(folder: Path) -> ChargingRows:
    folder.mkdir(exist_ok=True)
    (folder / "Filters.csv").write_text("cgrates.org,DAN,*string,~*req.Account,1001,\n")
    (folder / "Attributes.csv").write_text(
        "cgrates.org,CARRIER,*any,DAN,,,*req.Carrier,*constant,file,false,10\n"
    )
    return load_folder(folder).rows


def with_books(
    rows: ChargingRows,
    url: str,
    script: Callable[[RuleBook, RuleBook], Coroutine[None, None, None]],
) -> None:
    """Run a script with the rules of two nodes at one database, the second of which follows."""

    async def main() -> None:
        books = [RuleBook(rows, Tariffs(TARIFF), RuleStore(url)) for _ in range(2)]
        failures: list[TrunklineError] = []
        for each in books:
            await each.start()
        following = asyncio.create_task(books[1].follow(failures.append))
        try:
            await script(*books)
            assert not failures
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            for each in books:
                await each.close()

    asyncio.run(main())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_comes_back(row: Row) -> None:
    assert row_from_json(type(row), row_to_json(row)) == row


def test_every_kind_is_set_got_and_removed() -> None:
    async def main() -> None:
        book = RuleBook(ChargingRows(), Tariffs(TARIFF))
        for (kind, (_, cls)), row in zip(KINDS.items(), ROWS, strict=True):
            tenant = getattr(row, "tenant", "")
            assert isinstance(row, cls)
            assert not await book.remove(kind, tenant, row.id)
            await book.set(kind, tenant, row.id, [row])
            assert book.rows(kind, tenant, row.id) == (row,)
            assert book.ids(kind, tenant) == [row.id]
        profiles = book.profiles
        assert profiles.chargers.selection.get("a", "C")
        assert profiles.plans["P"]
        assert profiles.triggers["T"]
        assert "G" in profiles.groups
        for (kind, _), row in reversed(list(zip(KINDS.items(), ROWS, strict=True))):
            assert await book.remove(kind, getattr(row, "tenant", ""), row.id)
            assert not book.rows(kind, getattr(row, "tenant", ""), row.id)

    asyncio.run(main())


def test_what_is_set_stands_for_the_files_rows(tmp_path: Path) -> None:
    async def main() -> None:
        book = RuleBook(base(tmp_path), Tariffs(TARIFF))
        under_way = book.profiles
        await book.set("Attributes", "cgrates.org", "CARRIER", [carrier("api", "DAN")])
        assert said(book.profiles.attributes) == "api"
        assert said(under_way.attributes) == "file"  # who has begun ends by the same rules
        assert await book.remove("Attributes", "cgrates.org", "CARRIER")
        assert book.ids("Attributes", "cgrates.org") == []

    asyncio.run(main())


def test_what_would_break_is_refused_with_its_reason(tmp_path: Path) -> None:
    async def main() -> None:
        book = RuleBook(base(tmp_path), Tariffs(TARIFF))
        before = book.profiles
        for row, reason in (
            (carrier("x", "NOBODY"), "there is no filter 'NOBODY'"),
            (carrier("x", "*regex:~*req.Account:("), "a ( is not closed"),
            (carrier("x", "*apiban:~*req.Account:*all"), "*apiban"),
        ):
            with pytest.raises(ProfilesError) as caught:
                await book.set("Attributes", "cgrates.org", "CARRIER", [row])
            assert reason in str(caught.value)
        with pytest.raises(ProfilesError, match="there is no filter 'DAN'"):
            await book.remove("Filters", "cgrates.org", "DAN")
        with pytest.raises(ProfilesError, match="there are no actions 'NONE'"):
            await book.set(
                "ActionPlans",
                "",
                "P",
                [ActionPlanRow(id="P", actions_id="NONE", timing_id="*asap")],
            )
        assert book.profiles is before

    asyncio.run(main())


def test_rules_outlive_the_node_and_reach_the_others(tmp_path: Path, url: str) -> None:
    rows = base(tmp_path / "tariff")

    async def changes(here: RuleBook, there: RuleBook) -> None:
        await here.set("Attributes", "cgrates.org", "CARRIER", [carrier("api", "DAN")])
        assert said(here.profiles.attributes) == "api"
        async with asyncio.timeout(1):
            while said(there.profiles.attributes) != "api":
                await asyncio.sleep(0.05)
        # The second node, before it has looked again, changes what the first just made
        await here.set(
            "Filters",
            "cgrates.org",
            "NEW",
            [FilterRow(tenant="cgrates.org", id="NEW", type="*exists", element="~*req.Account")],
        )
        await there.set("Attributes", "cgrates.org", "CARRIER", [carrier("there", "NEW")])
        assert said(there.profiles.attributes) == "there"

    async def again(here: RuleBook, there: RuleBook) -> None:
        assert said(here.profiles.attributes) == said(there.profiles.attributes) == "there"
        with pytest.raises(ProfilesError):
            await here.remove("Filters", "cgrates.org", "NEW")
        for kind, rule_id in (("Attributes", "CARRIER"), ("Filters", "NEW")):
            assert await here.remove(kind, "cgrates.org", rule_id)

    async def gone(here: RuleBook, _: RuleBook) -> None:
        assert here.ids("Attributes", "cgrates.org") == []
        await use(here, rows, time.time_ns() // 1000)
        assert said(here.profiles.attributes) == "file"

    with_books(rows, url, changes)
    with_books(rows, url, again)
    with_books(rows, url, gone)


async def use(book: RuleBook, rows: ChargingRows, since: int) -> None:
    await book.expect(rows, since)
    book.turn()


def test_an_edit_sees_what_another_node_has_just_written(tmp_path: Path) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path}/rules.db"
        here = RuleBook(base(tmp_path), Tariffs(TARIFF), RuleStore(url))
        there = RuleBook(base(tmp_path), Tariffs(TARIFF), RuleStore(url))
        await here.start()
        await there.start()
        seen: list[int] = []

        def one_more(rows: Sequence[Row]) -> Sequence[Row]:
            seen.append(len(rows))
            return [*rows, carrier("more", "DAN")]

        for book in (here, there, here):
            await book.edit("Attributes", "cgrates.org", "CARRIER", one_more)
        assert seen == [1, 2, 3]
        await there.remove("Attributes", "cgrates.org", "CARRIER")
        await here.edit("Attributes", "cgrates.org", "CARRIER", one_more)
        await there.edit("Attributes", "cgrates.org", "OTHER", lambda rows: rows)
        assert seen[3:] == [0]
        assert len(there.rows("Attributes", "cgrates.org", "CARRIER")) == 1
        await here.close()
        await there.close()

    asyncio.run(main())


def test_the_later_of_a_tariff_and_a_change_counts(tmp_path: Path) -> None:
    async def main() -> None:
        moment = 100
        rows = base(tmp_path)
        book = RuleBook(rows, Tariffs(TARIFF), clock=lambda: moment)
        await book.set("Attributes", "cgrates.org", "CARRIER", [carrier("api")])
        await use(book, rows, 101)
        assert said(book.profiles.attributes) == "file"
        await use(book, rows, 100)
        assert said(book.profiles.attributes) == "file"
        await use(book, rows, 99)  # taken back
        assert said(book.profiles.attributes) == "api"
        await use(book, replace(rows, attributes=[]), 101)
        assert said(book.profiles.attributes) == "api"  # nothing in its place

    asyncio.run(main())


def test_what_waits_is_changed_too(tmp_path: Path) -> None:
    async def main() -> None:
        rows = base(tmp_path)
        book = RuleBook(rows, Tariffs(TARIFF), clock=lambda: 100)
        await book.expect(replace(rows, attributes=[]), 200)
        await book.set("Attributes", "cgrates.org", "CARRIER", [carrier("api")])
        book.turn()
        assert said(book.profiles.attributes) == "api"
        await book.expect(replace(rows, attributes=[], filters=[]), 300)
        with pytest.raises(ProfilesError, match="there is no filter 'DAN'"):
            await book.set("Attributes", "cgrates.org", "CARRIER", [carrier("no", "DAN")])
        book.expect_nothing()
        await book.set("Attributes", "cgrates.org", "CARRIER", [carrier("no", "DAN")])

    asyncio.run(main())


def test_a_folder_that_does_not_go_with_what_was_set(tmp_path: Path) -> None:
    async def main() -> None:
        book = RuleBook(base(tmp_path), Tariffs(TARIFF))
        mine = FilterRow(tenant="cgrates.org", id="MINE", type="*exists", element="~*req.Account")
        await book.set("Filters", "cgrates.org", "MINE", [mine])
        other = AttributeRow(
            tenant="cgrates.org", id="OTHER", filters=("DAN", "MINE"), path="*req.A", value="b"
        )
        await book.set("Attributes", "cgrates.org", "OTHER", [other])
        with pytest.raises(ProfilesError, match="there is no filter 'DAN'"):
            await book.check(ChargingRows())
        with pytest.raises(ProfilesError, match="there is no filter 'DAN'"):
            await use(book, ChargingRows(), time.time_ns() // 1000)
        assert said(book.profiles.attributes) == "file"

    asyncio.run(main())


def test_a_node_that_cannot_follow_says_so_once_and_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path}/rules.db"
        here = RuleBook(base(tmp_path), Tariffs(TARIFF), RuleStore(url))
        there = RuleBook(ChargingRows(), Tariffs(TARIFF), RuleStore(url))
        failures: list[TrunklineError] = []
        await here.start()
        await there.start()
        following = asyncio.create_task(there.follow(failures.append))
        await here.set("Attributes", "cgrates.org", "CARRIER", [carrier("api", "DAN")])
        await asyncio.sleep(1)
        assert [problem.code for problem in failures] == ["charging.profiles"]
        assert there.ids("Attributes", "cgrates.org") == []
        await use(there, base(tmp_path), 0)
        await asyncio.sleep(1)
        assert said(there.profiles.attributes) == "api"
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await here.close()
        await there.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Later", '[{"id":"C"}]'),
        ("Chargers", '[{"later":1}]'),
        ("Chargers", "[1]"),
        ("Chargers", "x"),
        ("Chargers", '[{"weight":"x"}]'),
    ],
)
def test_what_a_later_program_wrote(tmp_path: Path, kind: str, text: str) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path}/rules.db"
        store = RuleStore(url)
        here = RuleBook(base(tmp_path), Tariffs(TARIFF), store)
        failures: list[TrunklineError] = []
        await here.start()
        following = asyncio.create_task(here.follow(failures.append))
        key = RuleKey(kind, "cgrates.org", "C")
        await store.change(lambda writing: writing.put(key, Entry(text, 1)))
        async with asyncio.timeout(5):
            while not failures:
                await asyncio.sleep(0.02)
        assert [problem.code for problem in failures] == ["charging.rule-document"]
        assert f"{kind} cgrates.org:C" in failures[0].message
        assert said(here.profiles.attributes) == "file"
        await store.change(lambda writing: writing.put(key, Entry("", 2)))
        await here.refresh()
        await here.set("Attributes", "cgrates.org", "CARRIER", [carrier("api", "DAN")])
        assert said(here.profiles.attributes) == "api"
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await here.close()

    asyncio.run(main())


def test_only_what_a_change_touches_is_made_anew(tmp_path: Path) -> None:
    async def main() -> None:
        book = RuleBook(base(tmp_path), Tariffs(TARIFF))
        first = book.profiles
        await book.set("Actions", "", "T", [ActionRow(id="T", action="*log")])
        assert book.profiles.attributes is first.attributes
        other = AttributeRow(tenant="cgrates.org", id="OTHER", path="*req.A", value="b")
        await book.set("Attributes", "cgrates.org", "OTHER", [other])
        second = book.profiles
        key = ("cgrates.org", "CARRIER")
        assert second.attributes.selection.get(*key) is first.attributes.selection.get(*key)
        assert second.routes is first.routes
        # A filter is part of what its profiles are
        dan = FilterRow(
            tenant="cgrates.org", id="DAN", type="*string", element="~*req.Account", values=("x",)
        )
        await book.set("Filters", "cgrates.org", "DAN", [dan])
        found = book.profiles.attributes.process(Event(fields={"Account": "1001"}), NOW)
        assert found.matched_profiles == ("OTHER",)
        found = book.profiles.attributes.process(Event(fields={"Account": "x"}), NOW)
        assert found.matched_profiles == ("CARRIER",)

    asyncio.run(main())
