"""Records that are exported: asked for, and every one."""

from __future__ import annotations

import asyncio
import csv
import json
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, text
from tests.elements.charging.support import documented, network_file, running, write_folder
from tests.elements.charging.test_costs import RETAIL
from tests.elements.charging.test_documented import answered, wire
from tests.elements.charging.test_rerating import priced
from tests.elements.charging.test_sessions import EVENT, Ask, Clock, charging, topped_up
from typer.testing import CliRunner

from trunkline.charging.event import Event
from trunkline.charging.templates import Template
from trunkline.cli.app import build
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.exporting import DEFAULT_FIELDS, Exporter
from trunkline.elements.charging.exports import ArgsReplayFailedPosts, Exports, Live
from trunkline.elements.charging.recorder import EXPORTS, Recorder
from trunkline.elements.charging.registry import ApiError
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.errors import DecodeError, TrunklineError
from trunkline.store.exports import Target
from trunkline.store.ledger.queries import RecordQuery

__all__ = ["wire"]

ALL = RecordQuery(limit=1_000_000)


async def stored(engine: Engine, count: int, live: Sequence[str] = (), begin: int = 0) -> None:
    recorder = Recorder(engine, live)
    for number in range(begin, begin + count):
        event = {**EVENT, "RequestType": "*rated", "OriginID": f"c{number}", "Usage": "60s"}
        await recorder.record(Event(tenant="cgrates.org", fields=event))


def origins(folder: Path) -> list[str]:
    """The OriginID of every row of every CSV file, whole files alone."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            found += [row["OriginID"] for row in csv.DictReader(file)]
    return found


@pytest.mark.parametrize("kind", ["*file_csv", "*file_json", "*file_parquet", "*sql"])
def test_every_kind_of_target_has_every_record(tmp_path: Path, kind: str) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await stored(engine, 3)
        url = f"sqlite:///{tmp_path}/out.db?table=records"
        exporter = Exporter("X", kind, url if kind == "*sql" else str(tmp_path / "out"))
        exports = Exports(engine, [exporter])
        for _again in range(2):
            answer = await exports.run_once(exporter, ALL, "stem")
            assert (answer.records, answer.refused) == (3, {})
        rows: list[dict[str, str]]
        if kind == "*sql":
            made = create_engine(f"sqlite:///{tmp_path}/out.db")
            with made.connect() as connection:
                query = text("SELECT * FROM records ORDER BY OriginID")
                rows = [dict(row) for row in connection.execute(query).mappings()]
            made.dispose()
        elif kind == "*file_parquet":
            rows = pq.read_table(answer.path).to_pylist()
        else:
            lines = Path(answer.path).read_text().splitlines()
            rows = (
                list(csv.DictReader(lines))
                if kind == "*file_csv"
                else [json.loads(line) for line in lines]
            )
        assert [row["OriginID"] for row in rows] == ["c0", "c1", "c2"]
        assert tuple(rows[0]) == DEFAULT_FIELDS
        assert rows[0]["Cost"] == "0.1"
        assert rows[0]["Usage"] == "1m0s"
        assert rows[0]["AnswerTime"] == "2026-01-05T12:00:00Z"

    charging(tmp_path, script)


def test_fields_and_filters(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await stored(engine, 2)
        exporter = Exporter(
            "X",
            "*file_csv",
            str(tmp_path / "out"),
            filters=["*string:~*req.OriginID:c1"],
            fields=[
                Template(path="*exp.Who", value="~*req.Account;/;~*req.RunID"),
                Template(path="*exp.Who", value="!", type="*composed"),
                Template(path="*exp.Number", value=r"~*req.Destination:s/^6(\d+)$/+6$1/"),
                Template(path="*exp.Price", value="~*ec.Cost"),
                Template(path="*exp.Fix", value="~*req.x", type="*constant"),
            ],
            separator=";",
        )
        done = await Exports(engine, [exporter]).run_once(exporter, ALL, "stem")
        assert Path(done.path).read_text() == (
            "Who;Number;Price;Fix\n1001/*default!;+614;0.1;~*req.x\n"
        )

    charging(tmp_path, script)


@pytest.mark.parametrize(
    "row",
    [Template(path="*exp"), Template(path="*cgreq.A"), Template(path="*exp.A", type="*handler")],
)
def test_a_template_that_means_nothing(row: Template) -> None:
    with pytest.raises(DecodeError, match=r"path|type"):
        Exporter("X", "*file_csv", "out", fields=[row])


def test_a_record_that_lacks_what_is_needed_is_named(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await stored(engine, 1)
        row = Template(path="*exp.Partner", value="~*req.Partner", mandatory=True)
        exporter = Exporter("X", "*file_csv", str(tmp_path / "out"), fields=[row])
        done = await Exports(engine, [exporter]).run_once(exporter, ALL, "stem")
        assert done.records == 0
        assert list(done.refused.values()) == [
            "Partner is empty, and needed: it is made of ~*req.Partner"
        ]

    charging(tmp_path, script)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        (tmp_path / "out").write_text("")
        exporter = Exporter("X", "*file_csv", str(tmp_path / "out"))
        with pytest.raises(TrunklineError) as found:
            await Exports(engine, [exporter]).run_once(exporter, ALL, "stem")
        assert found.value.code == "export.failed"

    charging(tmp_path, script)


def test_every_record_reaches_a_live_exporter(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        exporter = Exporter("X", "*file_csv", str(tmp_path / "out"))
        exports = Exports(engine, [exporter], [Live(exporter, 0.01)])
        await stored(engine, 5, ["X"])
        assert await exports.work_off(exporter)
        assert not await exports.work_off(exporter)
        assert origins(tmp_path / "out") == [f"c{number}" for number in range(5)]
        assert await engine.book.tasks(EXPORTS) == []

    charging(tmp_path, script)


def test_what_is_rated_again_is_exported_again_where_that_is_asked_for(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await stored(engine, 1)
        recorder = Recorder(engine, ["X"])
        for export in (False, True):
            engine.tariffs = Tariffs(priced(20 if export else 30, 1))
            await recorder.rerate(ALL, everything=True, export=export)
            assert len(await engine.book.tasks(EXPORTS)) == export

    charging(tmp_path, script)


class Down(Exporter):
    """A target that fails at first, or dies when it has everything."""

    failures = 3
    dies = False

    def target(self, stem: str) -> tuple[Target, str]:
        if self.failures:
            type(self).failures -= 1
            raise TrunklineError("export.failed", "down")
        found, path = super().target(stem)
        if self.dies:
            finish = found.finish

            async def dying() -> None:
                await finish()
                type(self).dies = False
                raise KeyboardInterrupt

            found.finish = dying  # type: ignore[method-assign]
        return found, path


def test_records_wait_while_the_target_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.elements.charging.exports._REST", (0.001, 0.002))

    async def script(ask: Ask, engine: Engine) -> None:
        lines: list[str] = []
        exporter = Down("X", "*file_csv", str(tmp_path / "out"))
        exports = Exports(
            engine, [exporter], [Live(exporter, 0.001)], lambda *line: lines.append(line[2])
        )
        await stored(engine, 3, ["X"])
        work = asyncio.create_task(exports.run())
        for _ in range(500):
            await asyncio.sleep(0.01)
            if not await engine.book.tasks(EXPORTS):
                break
        await stored(engine, 1, ["X"], begin=3)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if not await engine.book.tasks(EXPORTS):
                break
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        assert sorted(origins(tmp_path / "out")) == ["c0", "c1", "c2", "c3"]
        assert lines == ["WAITS", "GOES_ON"]

    charging(tmp_path, script)


def test_who_dies_after_the_file_is_there_writes_the_same_file_again(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        Down.failures, Down.dies = 0, True
        exporter = Down("X", "*file_csv", str(tmp_path / "out"))
        exports = Exports(engine, [exporter])
        await stored(engine, 3, ["X"])
        with pytest.raises(KeyboardInterrupt):
            await exports.work_off(exporter)
        assert len(await engine.book.tasks(EXPORTS)) == 3
        cast("Clock", engine.clock).now += timedelta(seconds=1)
        await stored(engine, 1, ["X"], begin=3)
        assert await exports.work_off(exporter)
        assert sorted(origins(tmp_path / "out")) == ["c0", "c1", "c2", "c3"]

    charging(tmp_path, script)


def test_a_server_gets_each_record_and_is_asked_again(tmp_path: Path) -> None:
    got: list[dict[str, str]] = []
    answers = iter([b"500 Sorry", *[b"200 OK"] * 10])

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        body = await reader.readexactly(length)
        status = next(answers)
        if status.startswith(b"200"):
            got.append(json.loads(body))
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def script(ask: Ask, engine: Engine) -> None:
        server = await asyncio.start_server(served, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        exporter = Exporter("X", "*http_json_map", f"http://127.0.0.1:{port}/cdrs")
        exports = Exports(engine, [exporter])
        await stored(engine, 2, ["X"])
        with pytest.raises(TrunklineError) as found:
            await exports.work_off(exporter)
        assert found.value.code == "http.failed"
        assert await exports.work_off(exporter)
        assert [each["OriginID"] for each in got] == ["c0", "c1"]
        server.close()
        await server.wait_closed()

    charging(tmp_path, script)


class Picky(Exporter):
    """A server that refuses some records, or is down."""

    refuses: tuple[str, ...] = ()
    got: tuple[str, ...] = ()

    def target(self, stem: str) -> tuple[Target, str]:
        found, path = super().target("")
        owner = self

        async def write(rows: Sequence[Mapping[str, str]]) -> None:
            for row in rows:
                if row["OriginID"] in owner.refuses:
                    raise TrunklineError("http.failed", f"no {row['OriginID']}")
                owner.got += (row["OriginID"],)

        found.write = write  # type: ignore[method-assign]
        return found, path


def test_a_record_that_is_refused_is_put_aside_and_the_others_go_on(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        lines: list[str] = []
        exporter = Picky("X", "*http_json_map", "http://127.0.0.1:9/")
        exporter.refuses = ("c1", "c2")
        exports = Exports(engine, [exporter], (), lambda *line: lines.append(line[3]))
        with pytest.raises(ApiError, match="NOT_FOUND"):
            await exports.replay(ArgsReplayFailedPosts())
        await stored(engine, 4, ["X"])
        for _ in range(5):
            with pytest.raises(TrunklineError, match="no c1"):
                await exports.work_off(exporter)
        assert list(exporter.got) == ["c0"], "they keep their order, and nothing comes twice"
        assert await exports.work_off(exporter)
        assert list(exporter.got) == ["c0", "c3"]
        assert lines == ["X: 2 refused, last: no c2"]
        assert not await exports.work_off(exporter)
        exporter.refuses = ()
        assert await exports.replay(ArgsReplayFailedPosts()) == "OK"
        assert await exports.work_off(exporter)
        assert list(exporter.got) == ["c0", "c3", "c1", "c2"]

    charging(tmp_path, script)


def test_of_a_server_that_is_down_nothing_is_put_aside(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        exporter = Picky("X", "*http_json_map", "http://127.0.0.1:9/")
        exporter.refuses = ("c0", "c1")
        exports = Exports(engine, [exporter])
        await stored(engine, 2, ["X"])
        for _ in range(12):
            with pytest.raises(TrunklineError):
                await exports.work_off(exporter)
        assert len(await engine.book.tasks(EXPORTS)) == 2
        exporter.refuses = ()
        assert await exports.work_off(exporter)
        assert list(exporter.got) == ["c0", "c1"]

    charging(tmp_path, script)


EXPORT_CDRS = """
{
    "method": "ApierV1.ExportCDRs",
    "params": [{
        "ExportTemplate": null,
        "ExportFormat": null,
        "ExportPath": null,
        "Synchronous": null,
        "Attempts": null,
        "FieldSeparator": null,
        "UsageMultiplyFactor": null,
        "CostMultiplyFactor": null,
        "ExportID": null,
        "ExportFileName": null,
        "RoundingDecimals": null,
        "Verbose": false,
        "CGRIDs": null,
        "NotCGRIDs": null,
        "RunIDs": null,
        "NotRunIDs": null,
        "OriginHosts": null,
        "NotOriginHosts": null,
        "Sources": null,
        "NotSources": null,
        "ToRs": null,
        "NotToRs": null,
        "RequestTypes": null,
        "NotRequestTypes": null,
        "Tenants": null,
        "NotTenants": null,
        "Categories": null,
        "NotCategories": null,
        "Accounts": null,
        "NotAccounts": null,
        "Subjects": null,
        "NotSubjects": null,
        "DestinationPrefixes": null,
        "NotDestinationPrefixes": null,
        "Costs": null,
        "NotCosts": null,
        "ExtraFields": null,
        "NotExtraFields": null,
        "OrderIDStart": null,
        "OrderIDEnd": null,
        "SetupTimeStart": "",
        "SetupTimeEnd": "",
        "AnswerTimeStart": "",
        "AnswerTimeEnd": "",
        "CreatedAtStart": "",
        "CreatedAtEnd": "",
        "UpdatedAtStart": "",
        "UpdatedAtEnd": "",
        "MinUsage": "",
        "MaxUsage": "",
        "MinCost": null,
        "MaxCost": null,
        "Limit": null,
        "Offset": null,
        "SearchTerm": ""
    }],
    "id": 8
}
"""


@documented("APIerSv1.ExportCDRs")
def test_an_export_as_the_documents_ask_for_it(
    wire: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for number in range(2):
        event = {**EVENT, "OriginID": f"c{number}", "Destination": "1002"}
        event |= {"RequestType": "*rated", "Usage": "60s"}
        asked = {"method": "CDRsV1.ProcessEvent", "params": [{"Event": event}], "id": 1}
        assert '"OK"' in answered(wire, json.dumps(asked))
    found = json.loads(answered(wire, EXPORT_CDRS))
    path = found["result"].pop("ExportedPath")
    assert Path(path).parent == tmp_path / "trunkline" / "exports"
    assert Path(path).name.startswith("cdre_")
    assert len(Path(path).read_text().splitlines()) == 3
    cost = found["result"].pop("TotalCost")
    assert cost > 0
    assert found == {
        "id": 8,
        "result": {
            "TotalRecords": 2,
            "FirstOrderID": 1,
            "LastOrderID": 2,
            "ExportedCGRIDs": None,
            "UnexportedCGRIDs": None,
        },
        "error": None,
    }


def test_exporters_of_the_settings(tmp_path: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL)
    path = network_file(tmp_path, "exporting", tariff="tariff")
    path.write_text(
        path.read_text()
        + """
[[node.OCS.charging.export]]
id = "bill"
type = "*file_csv"
export_path = "bill"
filters = ["*string:~*req.Account:1001"]
fields = [{ path = "*exp.OriginID", value = "~*req.OriginID", mandatory = true }]
every = "50ms"

[[node.OCS.charging.export]]
id = "now"
type = "*file_json"
export_path = "asked"
live = false
"""
    )
    with (
        running(path) as node,
        socket.create_connection(node.servers["rpc_json"].local, 10) as connection,
    ):

        def ask(method: str, **argument: object) -> dict[str, object]:
            text = json.dumps({"method": method, "params": [argument], "id": 1})
            found: dict[str, object] = json.loads(answered(connection, text))
            return found

        for account in ("1001", "1002"):
            event = {**EVENT, "OriginID": account, "Account": account, "RequestType": "*none"}
            assert ask("CDRsV1.ProcessEvent", Event=event)["result"] == "OK"
        for _ in range(200):
            if origins(tmp_path / "bill"):
                break
            asyncio.run(asyncio.sleep(0.05))
        assert origins(tmp_path / "bill") == ["1001"]
        answer = ask("APIerSv1.ExportCDRs", ExporterIDs=["now"], Accounts=["1002"], Verbose=True)
        done = answer["result"]["now"]  # type: ignore[index]
        assert (done["NumberOfEvents"], len(done["PositiveExports"])) == (1, 1)
        [line] = Path(done["ExportPath"]).read_text().splitlines()
        assert json.loads(line)["OriginID"] == "1002"
        answer = ask("EeSv1.ProcessEvent", EeIDs=["now"], Event={"OriginID": "alone"})
        done = answer["result"]["now"]  # type: ignore[index]
        assert json.loads(Path(done["ExportPath"]).read_text())["OriginID"] == "alone"
        assert ask("APIerSv1.ExportCDRs", ExporterIDs=["other"])["error"] == "NOT_FOUND"
        assert "no exporter" in str(ask("EeSv1.ProcessEvent", EeIDs=["x"], Event={"a": 1})["error"])


def test_the_command(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        await stored(engine, 3)

    charging(tmp_path, script)
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    out = tmp_path / "out" / "cdrs.csv"
    out.parent.mkdir()
    runner = CliRunner()
    command = ["rate", "export", "--to", str(out), "--ledger", ledger]
    done = runner.invoke(build(), [*command, "--account", "1001", "--since", "2026-01-01"])
    assert done.output == f"{out}: 3 records, 0.3 in all\n"
    assert origins(out.parent) == ["c0", "c1", "c2"]
    done = runner.invoke(
        build(), [*command, "--until", "2026-01-01", "--field", "Number=~*req.Destination"]
    )
    assert (done.exit_code, out.read_text()) == (0, "Number\n")
    done = runner.invoke(build(), [*command, "--filter", "FLTR_1"])
    assert (done.exit_code, "'FLTR_1' is no inline filter" in done.output) == (2, True)
    done = runner.invoke(build(), [*command, "--since", "yesterday"])
    assert str(done.exception).endswith("*now or +1h; or 2026-01-31")
    done = runner.invoke(build(), [*command[:3], str(tmp_path / "cdrs.txt"), *command[4:]])
    assert done.exit_code != 0
