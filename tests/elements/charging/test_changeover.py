"""Running nodes change over to another version of the tariff, prices and rules together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.elements.charging.reference_client import JSONClient
from tests.elements.charging.support import network_file, running, write_folder
from tests.elements.charging.test_costs import ASKED, RETAIL
from typer.testing import CliRunner

from trunkline.charging.rows import ChargerRow, ChargingRows
from trunkline.cli.rate import app
from trunkline.cli.versions import opened
from trunkline.config.cgrates import compile_lines, load_folder
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.tariff_plans import (
    AttrDestinations,
    AttrSetDestination,
    PriceMethods,
)
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.errors import TrunklineError
from trunkline.store import rules as rules_module
from trunkline.store import tariffs as module
from trunkline.store.rules import RuleStore
from trunkline.store.tariffs import TariffStore, Version


def changed(files: dict[str, str], old: str, new: str) -> dict[str, str]:
    assert any(old in text for text in files.values())
    return {name: text.replace(old, new) for name, text in files.items()}


def charger(name: str) -> str:
    return f"cgrates.org,{name},,,first,*none,20\n"


class Office:
    """A store, and folders that are loaded into it as the command does."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/tariffs.sqlite"
        self.store = TariffStore(self.url, compile_lines)
        if url:
            self.store.database.run(module._metadata.drop_all)
            self.store.database.run(rules_module._metadata.drop_all)
            self.store.close()
            self.store = TariffStore(url, compile_lines)

    def load(
        self,
        name: str,
        files: dict[str, str],
        at: datetime | None = None,
        *,
        activate: bool = True,
    ) -> Version:
        folder = write_folder(self.folder / name, files)
        version, _ = self.store.load(
            lambda sink: load_folder(folder, sink=sink).plan,
            name=str(folder),
            at=at,
            activate=activate,
        )
        return version


def within(seconds: float, condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.01)


def test_nodes_of_one_store_follow(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    office = Office(tmp_path, url)
    office.load("old", RETAIL | {"Chargers.csv": charger("OLD")})
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(network_file(tmp_path / name, name, store=office.url))
    with (
        running(paths[0]) as one,
        running(paths[1]) as two,
        closing(JSONClient(one.servers["rpc_json"].local)) as first,
        closing(JSONClient(two.servers["rpc_json"].local)) as second,
    ):

        def shows(cost: float, rule: str) -> bool:
            """Whether both have the cost and the rule; each never has one without the other."""
            found = []
            for client in (first, second):
                event = {"Tenant": "cgrates.org", "ID": "1", "Event": {"Account": "1001"}}
                got = client.call("APIerSv1.GetCost", ASKED)
                runs = client.call("ChargerSv1.ProcessEvent", event)
                assert isinstance(got, dict)
                assert isinstance(runs, list)
                found.append((got["Cost"], [run["ChargerSProfile"] for run in runs]))
            return found == [(cost, [rule])] * 2

        assert shows(0.65, "OLD")
        dear = changed(RETAIL, ",0.2,", ",0.4,") | {"Chargers.csv": charger("NEW")}
        office.load("new", dear)
        within(30, lambda: shows(0.85, "NEW"))
        office.store.rollback()
        within(30, lambda: shows(0.65, "OLD"))
        # its rows are there already: however long loading takes, its moment is still to come
        later = office.load("later", dear, activate=False)
        soon = datetime.now(UTC) + timedelta(seconds=4)
        office.store.activate(later.id, soon)
        while True:
            before = shows(0.65, "OLD")
            if datetime.now(UTC) >= soon:
                break
            assert before
            time.sleep(0.2)
        within(30, lambda: shows(0.85, "NEW"))
    office.store.close()


class Clock:
    def __init__(self) -> None:
        self.microseconds = time.time_ns() // 1000

    def __call__(self) -> int:
        return self.microseconds


def test_what_waits_counts_to_the_microsecond(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.load("old", RETAIL | {"Chargers.csv": charger("OLD")})
    hour = datetime.now(UTC) + timedelta(hours=1)
    waiting = office.load("new", RETAIL | {"Chargers.csv": charger("NEW")}, at=hour)

    async def main() -> None:
        clock = Clock()
        tariffs = Tariffs.of_store(office.url, clock=clock)
        rules = RuleBook(tariffs.rows, tariffs)
        turns: list[int] = []
        tariffs.listeners.append(lambda: turns.append(tariffs.counting.version))
        await tariffs.start()
        assert turns == [1]
        clock.microseconds = int(hour.timestamp() * 1_000_000) - 1
        assert (Path(tariffs.tariff.name).name, rules.ids("Chargers", "cgrates.org")) == (
            "old",
            ["OLD"],
        )
        clock.microseconds += 1
        assert rules.ids("Chargers", "cgrates.org") == ["NEW"]
        assert Path(tariffs.tariff.name).name == "new"
        assert turns == [1, waiting.id]
        await tariffs.close()

    asyncio.run(main())
    office.store.close()


def test_what_waits_and_is_cancelled_never_counts(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.load("old", RETAIL)
    hour = datetime.now(UTC) + timedelta(hours=1)
    waiting = office.load("new", RETAIL, at=hour)
    failures: list[TrunklineError] = []

    async def main() -> None:
        clock = Clock()
        tariffs = Tariffs.of_store(office.url, clock=clock)
        RuleBook(tariffs.rows, tariffs)
        await tariffs.start()
        following = asyncio.create_task(tariffs.follow(failures.append))
        await asyncio.to_thread(office.store.cancel, waiting.id)
        await asyncio.sleep(1)
        clock.microseconds += 3_600_000_000
        assert Path(tariffs.tariff.name).name == "old"
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await tariffs.close()

    asyncio.run(main())
    assert failures == []
    office.store.close()


def test_a_version_that_does_not_go_with_what_was_set_does_not_count(tmp_path: Path) -> None:
    office = Office(tmp_path)
    filters = {"Filters.csv": "cgrates.org,MINE,*string,~*req.Account,1,\n"}
    office.load("old", RETAIL | filters)

    async def main() -> None:
        tariffs = Tariffs.of_store(office.url)
        rules = RuleBook(tariffs.rows, tariffs)
        await tariffs.start()
        row = ChargerRow(tenant="cgrates.org", id="SET", filters=("MINE",), attributes=("*none",))
        await rules.set("Chargers", "cgrates.org", "SET", [row])
        failures: list[TrunklineError] = []
        following = asyncio.create_task(tariffs.follow(failures.append))
        folder = write_folder(tmp_path / "new", RETAIL)
        with pytest.raises(TrunklineError, match="there is no filter 'MINE'"):
            await tariffs.load(folder, dry_run=False)
        assert len(await asyncio.to_thread(office.store.versions)) == 1
        await asyncio.to_thread(office.load, "new", RETAIL)  # by a command, which cannot know
        await asyncio.sleep(1)
        assert [problem.code for problem in failures] == ["charging.profiles"]
        assert (Path(tariffs.tariff.name).name, rules.ids("Chargers", "cgrates.org")) == (
            "old",
            ["SET"],
        )
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await tariffs.close()

    asyncio.run(main())
    office.store.close()


def test_a_node_without_a_store(tmp_path: Path) -> None:
    async def main() -> None:
        folder = write_folder(tmp_path / "new", RETAIL | {"Chargers.csv": charger("NEW")})
        tariffs = Tariffs.of_folder(folder)
        rules = RuleBook(ChargingRows(), tariffs)
        await tariffs.start()
        row = ChargerRow(tenant="cgrates.org", id="NEW", run_id="set", attributes=("*none",))
        await rules.set("Chargers", "cgrates.org", "NEW", [row])
        await tariffs.load(folder, dry_run=True)
        assert rules.rows("Chargers", "cgrates.org", "NEW") == (row,)
        await tariffs.load(folder, dry_run=False)
        [loaded] = rules.rows("Chargers", "cgrates.org", "NEW")
        assert loaded == replace(row, run_id="first", weight=loaded.weight, source=loaded.source)  # type: ignore[union-attr]
        await tariffs.close()

    asyncio.run(main())


def test_two_nodes_change_prices_at_once_and_no_change_is_lost(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.load("old", RETAIL)

    async def main() -> None:
        nodes = [Tariffs.of_store(office.url) for _ in range(2)]
        for each in nodes:
            RuleBook(each.rows, each)
            await each.start()
        methods = [PriceMethods(each) for each in nodes]

        async def add(name: str, to: PriceMethods) -> None:
            for number in range(2):
                new = AttrSetDestination(id=f"{name}{number}", prefixes=(f"4{number}",))
                assert await to.set_destination(new) == "OK"

        await asyncio.gather(add("ONE", methods[0]), add("TWO", methods[1]))
        found = await methods[0].destinations(AttrDestinations())
        assert isinstance(found, list)
        assert {each["Id"] for each in found if isinstance(each, dict)} == {
            *("DST_1002", "ONE0", "ONE1", "TWO0", "TWO1")
        }
        for each in nodes:
            await each.close()

    asyncio.run(main())
    office.store.close()


MINE = {"Filters.csv": "cgrates.org,MINE,*string,~*req.Account,1001,\n"}
SET = ChargerRow(
    tenant="cgrates.org", id="SET", filters=("MINE",), run_id="*default", attributes=("*none",)
)


async def set_rule(url: str, row: ChargerRow = SET) -> None:
    """As another node does."""
    tariffs = await asyncio.to_thread(Tariffs.of_store, url)
    rules = RuleBook(tariffs.rows, tariffs, RuleStore(url))
    await rules.start()
    await tariffs.start()
    await rules.set("Chargers", "cgrates.org", row.id, [row])
    await rules.close()
    await tariffs.close()


def test_what_does_not_go_with_rules_set_by_api_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    office = Office(tmp_path, url)
    first = office.load("first", RETAIL)
    office.load("second", RETAIL | MINE)
    asyncio.run(set_rule(office.url))
    with closing(opened(office.url)) as store:

        def load(files: dict[str, str], *, activate: bool = True) -> Version:
            folder = write_folder(tmp_path / "another", files)
            version, _ = store.load(
                lambda sink: load_folder(folder, sink=sink).plan, name="another", activate=activate
            )
            return version

        late = datetime.now(UTC) + timedelta(hours=1)
        for what in (
            lambda: load(RETAIL),
            lambda: store.activate(first.id),
            lambda: store.activate(first.id, late),
            store.rollback,
        ):
            with pytest.raises(TrunklineError, match=r"SET.*there is no filter 'MINE'") as refused:
                what()
            assert refused.value.code == "store.rules"
            assert "another" in refused.value.message or "first" in refused.value.message
        assert len(store.versions()) == 2
        assert store.counting().id == 2
        command = ["load", str(tmp_path / "first"), "--dry-run", "--store", office.url]
        checked = CliRunner().invoke(app, command)
        assert checked.exit_code == 1
        assert "there is no filter 'MINE'" in checked.output
        (tmp_path / "another").joinpath("Filters.csv").unlink(missing_ok=True)
        load(RETAIL, activate=False)  # it does not count
        load(RETAIL | MINE)
        assert store.rollback()[1].id == 2
    office.store.close()


def test_a_node_comes_up_with_the_last_version_that_can_count(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.load("old", RETAIL | MINE)
    asyncio.run(set_rule(office.url))
    office.load("new", changed(RETAIL, ",0.2,", ",0.4,"))  # by a store that does not ask
    office.load("soon", RETAIL | MINE, at=datetime.now(UTC) + timedelta(hours=1))
    path = network_file(tmp_path, "up", store=office.url)
    with running(path) as node, closing(JSONClient(node.servers["rpc_json"].local)) as client:

        def cost() -> object:
            got = client.call("APIerSv1.GetCost", ASKED)
            assert isinstance(got, dict)
            return got["Cost"]

        assert cost() == 0.65
        [said] = [line.text for line in node.log.lines if "cannot count here" in line.text]
        assert "there is no filter 'MINE'" in said
        time.sleep(1)
        assert len([line for line in node.log.lines if "cannot count here" in line.text]) == 1
        version = office.load("mended", changed(RETAIL, ",0.2,", ",0.4,") | MINE)
        within(20, lambda: cost() != 0.65)
        assert node.engine.tariffs.counting.version == version.id
    office.store.close()


def test_a_rule_that_a_tariff_took_the_place_of_does_not_keep_a_node_down(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.load("old", RETAIL | MINE)
    asyncio.run(set_rule(office.url))
    office.load("new", RETAIL | {"Chargers.csv": charger("SET")})
    path = network_file(tmp_path, "up", store=office.url)
    with running(path) as node:
        assert node.engine.tariffs.counting.version == 2
        assert not [line for line in node.log.lines if "cannot count here" in line.text]
    office.store.close()
