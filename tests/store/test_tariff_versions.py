"""Which version of a tariff counts when, in each kind of database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.store.servers import SqlServer

from trunkline.config.cgrates import TariffPlan, compile_lines, load_folder, parse_cost_line
from trunkline.errors import TrunklineError
from trunkline.rating.cost import price
from trunkline.store import tariffs as module
from trunkline.store.compiled import Line, active_tariff
from trunkline.store.tariffs import Read, TariffStore

TUTORIAL = Path(__file__).resolve().parents[2] / "examples/tutorial-tariff"
CALL = parse_cost_line('Destination="614" AnswerTime="2014-08-04T13:00:00Z" Usage="60s"')
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tariffs.sqlite"
    server: SqlServer = request.getfixturevalue(request.param)
    store = TariffStore(server.url, compile_lines)
    store.database.run(module._metadata.drop_all)
    store.close()
    return server.url


@pytest.fixture
def store(url: str) -> Iterator[TariffStore]:
    found = TariffStore(url, compile_lines)
    yield found
    found.close()


def at_price(rate: str) -> Read:
    """What reads the tutorial's tariff with another rate for mobiles."""

    def read(sink: object) -> TariffPlan:
        assert callable(sink)
        lines: list[Line] = []
        load_folder(TUTORIAL, sink=lines.extend)
        changed = [(*line[:3], line[3].replace(",22,", f",{rate},")) for line in lines]
        sink(changed)
        return compile_lines(changed, "x", UTC, {}, NOON)

    return read


def cost(store: TariffStore, now: datetime) -> str:
    return f"{price(store.active(now)[1].tariff, CALL).total.normalize():f}"


def test_a_version_waits_for_its_moment(store: TariffStore) -> None:
    store.load(at_price("23"), name="old", now=NOON)
    waiting, _ = store.load(at_price("24"), name="new", at=NOON + HOUR, now=NOON)
    assert cost(store, NOON + HOUR - timedelta(microseconds=1)) == "23"
    assert cost(store, NOON + HOUR) == "24"
    assert store.cancel(waiting.id, now=NOON) == 1
    assert cost(store, NOON + HOUR) == "23"
    store.activate(waiting.id, NOON + 2 * HOUR, now=NOON)
    assert cost(store, NOON + 2 * HOUR) == "24"
    with pytest.raises(TrunklineError, match="is past") as refused:
        store.activate(waiting.id, NOON, now=NOON)
    assert refused.value.code == "store.past"


def test_a_version_is_stored_and_counts_later_or_never(store: TariffStore) -> None:
    version, _ = store.load(at_price("23"), name="x", activate=False, now=NOON)
    with pytest.raises(TrunklineError) as refused:
        store.active(NOON)
    assert refused.value.code == "store.no-tariff"
    store.activate(version.id, now=NOON)
    assert cost(store, NOON) == "23"
    first = store.activations()
    store.activate(version.id, now=NOON + HOUR)  # it does already
    assert store.activations() == first
    for wrong in (store.activate, store.cancel, store.plan):
        with pytest.raises(TrunklineError, match="no version 99") as refused:
            wrong(99)
        assert refused.value.code == "store.no-version"


def test_versions_are_taken_back_one_by_one(store: TariffStore) -> None:
    for hour, rate in enumerate(["21", "23", "24"]):
        store.load(at_price(rate), name=rate, now=NOON + hour * HOUR)
    now = NOON + 5 * HOUR
    left, back = store.rollback(now=now)
    assert (left.name, back.name, cost(store, now)) == ("24", "23", "23")
    assert cost(store, now - HOUR) == "23"  # it asks as if it were then, by what is known now
    [*_, last] = store.activations()
    assert (last.version, last.withdrawn) == (left.id, now)
    store.rollback(now=now)
    assert cost(store, now) == "21"
    with pytest.raises(TrunklineError, match="none to go back to"):
        store.rollback(now=now)
    store.activate(left.id, now=now + HOUR)
    assert cost(store, now + HOUR) == "24"
    assert store.rollback(now=now + HOUR)[1].name == "21"


def test_what_counts_or_waits_or_may_be_taken_back_is_kept(store: TariffStore, url: str) -> None:
    store.load(at_price("21"), name="before", now=NOON)
    store.load(at_price("22"), name="counts", now=NOON)
    store.load(at_price("23"), name="waits", at=NOON + HOUR, now=NOON)
    for number in range(4):
        store.load(at_price("9"), name=f"stored {number}", activate=False, keep=2, now=NOON)
    names = [version.name for version in store.versions()]
    assert names == ["stored 3", "stored 2", "waits", "counts", "before"]
    files = len(list(Path(url.removeprefix("sqlite:///")).parent.glob("*.compiled")))
    assert files == (len(names) if url.startswith("sqlite") else 0)
    assert cost(store, NOON + HOUR) == "23"
    store.load(at_price("8"), name="last", keep=1, now=NOON + 2 * HOUR)
    assert [version.name for version in store.versions()] == ["last", "waits"]


def test_every_change_is_seen_and_nothing_else(store: TariffStore, url: str) -> None:
    other = TariffStore(url, compile_lines)
    seen = [other.changes()]

    def changed() -> bool:
        seen.append(other.changes())
        return seen[-1] > seen[-2]

    first, _ = store.load(at_price("21"), name="x", now=NOON)
    assert changed()
    store.load(at_price("22"), name="x", now=NOON + HOUR)
    assert changed()
    store.activate(first.id, NOON + 2 * HOUR, now=NOON + HOUR)
    assert changed()
    store.cancel(first.id, now=NOON + HOUR)
    assert changed()
    store.rollback(now=NOON + HOUR)
    assert changed()
    store.active(NOON + HOUR)
    store.versions()
    assert not changed()
    other.close()


def test_two_load_at_once(store: TariffStore, url: str) -> None:
    both = threading.Barrier(2)
    problems: list[BaseException] = []

    def load(rate: str) -> None:
        mine = TariffStore(url, compile_lines)
        try:
            both.wait(10)
            for _ in range(3):
                mine.load(at_price(rate), name=rate, keep=50)
        except BaseException as problem:
            problems.append(problem)
        finally:
            mine.close()

    threads = [threading.Thread(target=load, args=(rate,)) for rate in ("31", "32")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    versions = store.versions()
    assert sorted(version.name for version in versions) == ["31"] * 3 + ["32"] * 3
    for version in versions:
        assert len(list(store.lines(version))) == version.row_count == 17
    active, _ = store.active()
    assert cost(store, datetime.now(UTC)) == active.name


def test_a_load_that_fails_leaves_nothing(store: TariffStore) -> None:
    store.load(at_price("21"), name="good", now=NOON)
    before = store.versions(), store.activations(), store.changes()

    def read(sink: object) -> TariffPlan:
        assert callable(sink)
        sink([("Rates", "Rates.csv", 1, "x")] * 25_000)
        raise TrunklineError("test.no", "no")

    with pytest.raises(TrunklineError, match="no"):
        store.load(read, name="bad")
    assert (store.versions(), store.activations(), store.changes()) == before


def test_rows_of_any_length_and_any_letters(store: TariffStore, url: str) -> None:
    comment = "é" * 30_000  # longer than a TEXT of MariaDB, in octets
    odd = f'cgrates.org,ODD,*any,,,,*req.X,*constant,"{comment}, \N{PILE OF POO} \\ % \'",,'
    lines: list[Line] = []
    load_folder(TUTORIAL, sink=lines.extend)
    lines.append(("Attributes", "sub/Attributes.csv", 7, odd))

    def read(sink: object) -> TariffPlan:
        assert callable(sink)
        sink(lines)
        return compile_lines(lines, "x", UTC, {}, NOON)

    version, plan = store.load(read, name="ü", time_zone=UTC, now=NOON)
    assert list(store.lines(version)) == lines
    assert plan.rows.attributes[0].value.startswith("é")
    for path in Path(url.removeprefix("sqlite:///")).parent.glob("*.compiled"):
        path.unlink()
    again, compiled = store.plan(version.id)
    assert (again, compiled.rows) == (version, plan.rows)
    assert active_tariff(url, compile_lines)[0] == version


def test_a_version_made_of_one_that_counts_no_more_is_refused(store: TariffStore) -> None:
    first, _ = store.load(at_price("21"), name="first", now=NOON)
    second, _ = store.load(
        at_price("22"), name="second", instead_of=first.id, now=NOON + HOUR, read_at=NOON
    )
    assert second.loaded == NOON  # what relative times in its rows start from
    before = store.versions()
    with pytest.raises(TrunklineError, match="does not count any more") as refused:
        store.load(at_price("23"), name="third", instead_of=first.id, now=NOON + 2 * HOUR)
    assert refused.value.code == "store.changed"
    assert store.versions() == before
    assert cost(store, NOON + 2 * HOUR) == "22"
