"""Files of usage records: every row is stored once, every bad row is named."""

from __future__ import annotations

import asyncio
import csv
import os
import random
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest
from tests.elements.charging.nodes import Node
from tests.elements.charging.test_exports import origins
from tests.elements.charging.test_sessions import Ask, charging, money, topped_up
from tests.store.ledger.made import put

from trunkline.charging.event import Event
from trunkline.config.charging import FieldSettings, ReaderSettings
from trunkline.config.records import Read, Unread, read_csv, read_json
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.readers import Reader, Readers
from trunkline.elements.charging.recorder import Recorded, Recorder, Treatment
from trunkline.errors import DecodeError, TrunklineError
from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Keys
from trunkline.store.ledger.queries import RecordQuery

ALL = RecordQuery(limit=1_000_000)
_USUAL = Treatment()
ACCOUNT = "cgrates.org:1001"
KEYS = Keys(accounts=[ACCOUNT])
T = TypeVar("T")


def field(
    name: str, value: str, kind: str = "*variable", *, mandatory: bool = True
) -> FieldSettings:
    return FieldSettings(f"*cgreq.{name}", value, kind, mandatory)  # type: ignore[arg-type]


# The template of the reference's document of its readers, but for the usage
TEMPLATE = (
    field("OriginID", "~*req.0"),
    field("RequestType", "~*req.1"),
    field("Category", "call", "*constant"),
    field("Account", "~*req.3"),
    field("Subject", "~*req.3"),
    field("Destination", r"~*req.4:s/0([1-9]\d+)/${1}/"),
    field("AnswerTime", "~*req.5"),
    field("Usage", "~*req.6"),
    field("HDRExtra1", "~*req.6", "*composed"),
)


def settings(kind: str = "*file_csv", **more: object) -> ReaderSettings:
    return ReaderSettings(
        id="R",
        type=kind,  # type: ignore[arg-type]
        source_path="in",
        processed_path="out",
        fields=more.pop("fields", TEMPLATE),  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def line(number: object, usage: str = "60s", separator: str = ",") -> str:
    cells = [f"c{number}", "*postpaid", "", "1001", "0614", "2026-01-05T12:00:00Z", usage]
    return separator.join(cells) + "\n"


def incoming(folder: Path, text: str, name: str = "a.csv") -> Path:
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "in" / name
    path.write_text(text, errors="surrogateescape")
    return path


async def looked(reader: Reader, engine: Engine, recorder: Recorder | None = None) -> list[str]:
    """Read what there is; the lines of the log."""
    assert reader.ready() == []
    found = []
    for path in reader.ready():
        report = await reader.read(path, engine, recorder or Recorder(engine))
        found.append(f"{report.rows} {report.stored} {report.passed_over} {report.bad}")
    return found


def test_a_file_becomes_records_and_is_moved(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 10)
        incoming(tmp_path, "".join(line(number) for number in range(3)))
        reader = Reader(settings(), tmp_path)
        assert await looked(reader, engine) == ["3 3 0 0"]
        assert await money(ask) == Decimal("9.7")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.csv"]
        assert list((tmp_path / "in").iterdir()) == []
        [record] = await ask("CDRsV1.GetCDRs", OriginIDs=["c1"], ExtraFields={"HDRExtra1": "60s"})
        assert (record["Cost"], record["Destination"]) == (0.1, "614")
        incoming(tmp_path, line(0) + line(9))
        assert await looked(reader, engine) == ["2 2 0 0"]
        assert await money(ask) == Decimal("9.6"), "c0 was there"
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.1.csv", "a.csv"]

    charging(tmp_path, script)


def test_every_bad_row_is_named_and_the_others_are_stored(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 10)
        bad = [
            "c90,*postpaid\n",
            line(91, "soon"),
            line(""),
            line(92).replace("*postpaid", "*free"),
            line(93).replace("2026-01-05", "never"),
            line(94).replace("0614", "06\udcff14"),
            'c95,"un"quoted,,1001,0614,2026-01-05T12:00:00Z,60s\n',
            line(1, "90s"),
        ]
        good = [line(number) for number in range(400)]
        text = "".join(good[:300]) + "".join(bad) + "".join(good[300:])
        incoming(tmp_path, text.replace("c,", ",", 1))
        reader = Reader(settings(), tmp_path)
        assert await looked(reader, engine) == ["408 400 0 8"]
        assert await engine.book.count_records(ALL) == 400
        errors = (tmp_path / "out" / "a.csv.errors").read_text().splitlines()
        assert [each.split(": ")[0] for each in errors] == [f"a.csv:{n}" for n in range(301, 309)]
        assert "2 fields, and the first line has 7" in errors[0]
        assert "Usage 'soon' is no usage" in errors[1]
        assert "RequestType '*free' is none of" in errors[3]
        assert "UTF-8" in errors[5]
        assert "there is a record 'c1' already, of another usage" in errors[7]

    charging(tmp_path, script)


def test_a_row_without_its_mandatory_field(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        incoming(tmp_path, line(0).replace("c0,", ",") + line(1))
        assert await looked(Reader(settings(), tmp_path), engine) == ["2 1 0 1"]
        [error] = (tmp_path / "out" / "a.csv.errors").read_text().splitlines()
        assert error == "a.csv:1: OriginID is empty, and needed: it is made of ~*req.0"

    charging(tmp_path, script)


def test_names_of_columns_filters_and_flags(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 10)
        incoming(tmp_path, "id;who;time\na;1001;60s\nb;1002;60s\nc;1001;30s\n")
        made = settings(
            header=True,
            field_separator=";",
            filters=("*string:~*req.who:1001",),
            flags=("*rals:false",),
            tenant="cgrates.org",
            fields=(
                field("OriginID", "~*req.id"),
                field("Account", "~*req.who"),
                field("Usage", "~*req.time"),
                field("RequestType", "*postpaid", "*constant"),
                field("Destination", "614", "*constant"),
            ),
        )
        assert await looked(Reader(made, tmp_path), engine) == ["3 2 1 0"]
        found = await ask("CDRsV1.GetCDRs", OrderBy="Usage;desc")
        assert [each["OriginID"] for each in found] == ["a", "c"]
        assert [each["Cost"] for each in found] == [-1, -1]
        assert await money(ask) == 10

    charging(tmp_path, script)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"id": "a", "n": 60}\n\nnonsense\n{"id": "b", "n": 60}\n[]\n', "4 2 0 2"),
        ('broken\n{"id": "a", "n": 60}\n', "2 1 0 1"),
        ('[{"id": "a", "n": 60},\n {"id": "b", "n": 60}, 7]', "3 2 0 1"),
        ('{\n"id": "a",\n"n": 60\n}\n', "1 1 0 0"),
        ("", ""),
        ("[\n", "1 0 0 1"),
    ],
)
def test_json(tmp_path: Path, text: str, outcome: str) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        incoming(tmp_path, text, "a.json")
        fields = (
            field("OriginID", "~*req.id"),
            field("RequestType", "*none", "*constant"),
            field("Usage", "~*req.n;s"),
        )
        found = await looked(Reader(settings("*file_json", fields=fields), tmp_path), engine)
        assert found == [outcome] if text else found == ["1 0 0 1"]

    charging(tmp_path, script)


class Failing(Recorder):
    """The ledger goes, or the process, after some records."""

    def __init__(self, engine: Engine, left: int, problem: BaseException) -> None:
        super().__init__(engine)
        self.left = left
        self.problem = problem

    async def record(self, event: Event, how: Treatment = _USUAL) -> list[Recorded]:
        self.left -= 1
        if self.left < 0:
            raise self.problem
        return await super().record(event, how)


@pytest.mark.parametrize("left", [0, 1, 199, 200, 250, 399])
def test_a_file_that_was_interrupted_is_read_again_without_doubles(
    tmp_path: Path, left: int
) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        path = incoming(tmp_path, "".join(line(number) for number in range(400)) + "x\n")
        gone = StoreUnavailable("store.ledger-unavailable", "ledger", "gone")
        reader = Reader(settings(), tmp_path)
        with pytest.raises(StoreUnavailable):
            await looked(reader, engine, Failing(engine, left, gone))
        assert path.exists()
        assert list((tmp_path / "out").iterdir()) == [], "no list of errors that is not whole"
        assert await looked(Reader(settings(), tmp_path), engine) == ["401 400 0 1"]
        assert await money(ask) == 60
        assert await engine.book.count_records(ALL) == 400

    charging(tmp_path, script)


def test_the_node_goes_on_looking(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 10)
        lines: list[tuple[str, int, str, str]] = []
        reader = Reader(settings(), tmp_path)
        reader.every = 0.005
        (tmp_path / "in").write_text("no folder")
        readers = Readers(engine, Recorder(engine), [reader], lambda *each: lines.append(each))
        work = asyncio.create_task(readers.run())
        await asyncio.sleep(0.1)
        [waits] = lines
        assert waits[2] == "WAITS"
        assert "in: " in waits[3]
        (tmp_path / "in").unlink()
        incoming(tmp_path, line(1) + "x\n")
        incoming(tmp_path, line(1), "note.txt")
        for _ in range(200):
            await asyncio.sleep(0.01)
            if len(lines) > 1:
                break
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert lines[1:] == [
            ("READER", 4, "DONE", "a.csv: 2 rows, 1 stored, 1 bad: see a.csv.errors")
        ]
        assert (tmp_path / "in" / "note.txt").exists()

    charging(tmp_path, script)


def test_a_file_that_still_grows_is_left_alone(tmp_path: Path) -> None:
    reader = Reader(settings(), tmp_path)
    path = incoming(tmp_path, line(1))
    assert reader.ready() == []
    path.write_text(line(1) + line(2))
    assert reader.ready() == []
    assert reader.ready() == [path]
    assert reader.ready() == [path]


@pytest.mark.parametrize("path", ["*exp.A", "OriginID"])
def test_a_template_that_means_nothing(tmp_path: Path, path: str) -> None:
    with pytest.raises(DecodeError):
        Reader(settings(fields=(FieldSettings(path, "~*req.0"),)), tmp_path)


def test_lines_are_where_an_editor_has_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\n\n1,"x\ny"\n2\n')
    assert list(read_csv(path, header=True)) == [
        Read(4, {"a": "1", "b": "x\ny"}),
        Unread(5, "1 fields, and the first line has 2"),
    ]
    path.write_bytes(b'\n{"a": 1}\n')
    assert list(read_json(path)) == [Read(2, {"a": 1})]


def test_a_node_that_is_killed_while_it_reads(tmp_path: Path) -> None:
    """And its live exporter: every record is stored, paid and exported."""
    count = 600
    node = Node(tmp_path, "reading", f"sqlite:///{tmp_path}/ledger.db")
    template = "".join(
        f'  {{ path = "{each.path}", value = \'{each.value}\', type = "{each.type}" }},\n'
        for each in TEMPLATE
    )
    config = tmp_path / "network.toml"
    config.write_text(
        config.read_text()
        + f"""
[[node.OCS.charging.reader]]
id = "switch"
type = "*file_csv"
source_path = "in"
processed_path = "out"
every = "50ms"
fields = [
{template}]

[[node.OCS.charging.export]]
id = "bill"
type = "*file_csv"
export_path = "bill"
every = "100ms"
"""
    )
    incoming(tmp_path, "".join(line(number) for number in range(count)))
    asyncio.run(on_ledger(tmp_path, lambda book: book.update(KEYS, put(ACCOUNT, Decimal(100)))))
    node.start()
    try:
        for _ in range(3):
            time.sleep(random.uniform(0.02, 0.2))
            node.kill()
            node.start()
        deadline = time.monotonic() + 30
        while not (tmp_path / "out" / "a.csv").exists() or len(set(exported(tmp_path))) < count:
            assert time.monotonic() < deadline, node._log.read_text()[-2000:]
            time.sleep(0.1)
    finally:
        node.kill()
    found = exported(tmp_path)
    assert set(found) == {f"c{number}" for number in range(count)}

    async def audited(book: Book) -> tuple[int, bool, Decimal]:
        [account] = (await book.load(KEYS)).view.accounts.values()
        assert account is not None
        left = sum((each.value for each in account.balances), Decimal(0))
        return await book.count_records(ALL), (await book.audit()).clean, left

    assert asyncio.run(on_ledger(tmp_path, audited)) == (count, True, 100 - count * Decimal("0.15"))


async def on_ledger(folder: Path, work: Callable[[Book], Awaitable[T]]) -> T:
    book = Book(f"sqlite:///{folder}/ledger.db")
    await book.prepare()
    try:
        return await work(book)
    finally:
        await book.close()


def exported(folder: Path) -> list[str]:
    try:
        return origins(folder / "bill")
    except (OSError, csv.Error):
        return []


def test_a_file_that_is_written_to_while_it_is_read_waits(tmp_path: Path) -> None:
    class Slow(Recorder):
        async def record(self, event: Event, how: Treatment = _USUAL) -> list[Recorded]:
            if event.text("OriginID") == "c1":
                with path.open("a") as file:
                    file.write(line(2) if path.stat().st_size < 300 else "")
            return await super().record(event, how)

    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 10)
        reader = Reader(settings(), tmp_path)
        with pytest.raises(TrunklineError, match="written to while it was read"):
            await looked(reader, engine, Slow(engine))
        assert path.exists()
        assert list((tmp_path / "out").iterdir()) == []
        assert await looked(Reader(settings(), tmp_path), engine) == ["2 2 0 0"]

    path = incoming(tmp_path, line(1))
    charging(tmp_path, script)


def test_what_cannot_be_opened_holds_up_nothing(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 10)
        lines: list[str] = []
        incoming(tmp_path, line(1), "b.csv")
        os.mkfifo(tmp_path / "in" / "a.csv")
        (tmp_path / "in" / "aa.csv").mkdir()
        (tmp_path / "in" / "ab.csv").symlink_to(tmp_path / "nowhere")
        (tmp_path / "in" / "ac.csv").symlink_to("/proc/self/mem")  # a file that cannot be read
        reader = Reader(settings(), tmp_path)
        reader.every = 0.005
        readers = Readers(engine, Recorder(engine), [reader], lambda *each: lines.append(each[3]))
        work = asyncio.create_task(readers.run())
        for _ in range(300):
            await asyncio.sleep(0.01)
            if "b.csv: 1 rows, 1 stored" in lines:
                break
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert "b.csv: 1 rows, 1 stored" in lines

    charging(tmp_path, script)


def test_rows_that_are_none_name_where_they_begin(tmp_path: Path) -> None:
    path = incoming(tmp_path, 'a,b\n"c,d\ne,f\n')
    assert [each for each in read_csv(path) if isinstance(each, Unread)] == [
        Unread(3, "unexpected end of data, in what begins at line 2")
    ]
    path = incoming(tmp_path, "{}\n" + '{"a":' * 100_000 + "\n{}\n", "a.json")
    assert [type(each) for each in read_json(path)] == [Read, Unread, Read]
    path = incoming(tmp_path, "[" * 100_000, "b.json")
    assert [type(each) for each in read_json(path)] == [Unread]
