"""The control methods and the exec commands: each there, each reached, wrong ones refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.elements.clock import run
from tests.elements.support import EXAMPLES, Client, running

from trunkline.config.cisco import COMMANDS, Exec
from trunkline.elements import commands
from trunkline.elements.commands import HANDLERS
from trunkline.elements.control import methods
from trunkline.errors import TrunklineError

SEED = EXAMPLES / "four-countries" / "seed.toml"

LINES = {
    Exec.SHOW_LINKSET: "show cs7 linkset",
    Exec.SHOW_ROUTE: "show cs7 route",
    Exec.SHOW_ROUTE_DETAIL: "show cs7 route detail",
    Exec.SHOW_ROUTE_EXPLAIN: "show cs7 route explain 7.7.1",
    Exec.SHOW_M2PA_STATE: "show cs7 m2pa state",
    Exec.SHOW_M2PA_STATISTICS: "show cs7 m2pa statistics",
    Exec.SHOW_POINT_CODES: "show cs7 point-codes",
    Exec.SHOW_RUNNING_CONFIG: "show running-config",
    Exec.SHOW_VERSION: "show version",
    Exec.WRITE: "write",
    Exec.PING: "ping cs7 7.7.1",
}

CALLS: list[tuple[str, dict[str, object]]] = [
    ("node.status", {}),
    ("node.counters", {}),
    ("node.log", {}),
    ("ss7.linksets", {}),
    ("ss7.linksets", {"linkset": "ToCountryA"}),
    ("ss7.routes", {}),
    ("ss7.m2pa", {}),
    ("ss7.explain", {"destination": "7.8.2"}),
    ("ss7.ping", {"destination": "7.8.2", "count": 2, "interval": 0, "timeout": 1, "size": 10}),
    ("exec", {"line": "show version", "json": True}),
    ("link.block", {"linkset": "ToCountryA", "slc": 0, "blocked": False}),
    ("capture.stop", {}),
    ("calls.active", {}),
    ("calls.list", {"limit": 5}),
]

WRONG: list[tuple[str, dict[str, object]]] = [
    ("node.log", {"limit": "all"}),
    ("node.log", {"limit": 0}),
    ("node.log", {"limit": -1}),
    ("node.log", {"limit": True}),
    ("ss7.linksets", {"linkset": 3}),
    ("ss7.explain", {}),
    ("ss7.explain", {"destination": 14393}),
    ("ss7.ping", {}),
    ("ss7.ping", {"destination": "7.8.2", "count": 1.5}),
    ("ss7.ping", {"destination": "7.8.2", "count": 0}),
    ("ss7.ping", {"destination": "7.8.2", "interval": math.inf}),
    ("ss7.ping", {"destination": "7.8.2", "interval": -1}),
    ("ss7.ping", {"destination": "7.8.2", "timeout": math.nan}),
    ("ss7.ping", {"destination": "7.8.2", "timeout": 1e300}),
    ("ss7.ping", {"destination": "7.8.2", "timeout": 10**400}),
    ("ss7.ping", {"destination": "7.8.2", "size": 4096}),
    ("shell.execute", {"line": "show version"}),
    ("shell.execute", {"session": "1", "line": "show version"}),
    ("shell.help", {}),
    ("shell.complete", {}),
    ("exec", {}),
    ("exec", {"line": ["show", "version"]}),
    ("exec", {"line": "show version", "json": 1}),
    ("link.block", {}),
    ("link.block", {"linkset": "ToCountryA", "slc": "0", "blocked": True}),
    ("link.block", {"linkset": "ToCountryA", "slc": 0, "blocked": 1}),
    ("capture.start", {}),
    ("capture.start", {"file": 1}),
    ("capture.start", {"file": "a\0b"}),
    ("calls.originate", {"called": "61412345678"}),
    ("calls.originate", {"calling": "3005"}),
    ("calls.originate", {"calling": "3005", "called": 61412345678}),
    ("calls.originate", {"calling": "3005", "called": "61412345678", "hold": "long"}),
    ("calls.originate", {"calling": "3005", "called": "61412345678", "hold": math.nan}),
    ("calls.originate", {"calling": "3005", "called": "61412345678", "hold": math.inf}),
    ("calls.originate", {"calling": "3005", "called": "61412345678", "hold": -1}),
    ("calls.originate", {"calling": "3005", "called": "61412345678", "hold": 1e308}),
    ("calls.release", {}),
    ("calls.list", {"limit": -1}),
    ("calls.list", {"limit": 10**30}),
    ("calls.list", {"limit": 1.0}),
    ("calls.show", {}),
    ("calls.show", {"id": 7}),
]


def test_every_exec_command_of_the_table_has_a_handler() -> None:
    assert set(HANDLERS) == set(Exec) == {c.action for c in COMMANDS if isinstance(c.action, Exec)}
    assert set(LINES) == set(Exec)


def test_every_handler_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[Exec] = []

    def noting(action: Exec) -> Any:
        handler = HANDLERS[action]

        def handle(host: Any, args: Any) -> Any:
            reached.append(action)
            return handler(host, args)

        return handle

    monkeypatch.setattr(commands, "HANDLERS", {action: noting(action) for action in HANDLERS})

    async def main() -> None:
        async with running(SEED) as lab:
            for action, line in LINES.items():
                text = await lab.exec("CountryB", line)
                assert text
                view = await lab.view("CountryB", line)
                assert view
                json.dumps(view, allow_nan=False)
                assert reached.count(action) == 2

    run(main())


@pytest.mark.parametrize("line", ["show cs7 linkset Nowhere", "show cs7 m2pa state Nowhere"])
def test_a_linkset_that_is_not_there(line: str) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            with pytest.raises(TrunklineError) as refused:
                await lab.exec("CountryB", line)
            assert refused.value.code in ("node.no-such-linkset", "shell.refused")

    run(main())


def test_output_modifiers_apply_to_what_a_node_answers() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            text = await lab.exec("CountryB", "show cs7 linkset | include lsn=ToCountryC")
            assert text == (
                "lsn=ToCountryC          apc=7.7.1         state=avail     avail/links=1/1"
            )

    run(main())


def test_every_method_answers() -> None:
    async def main() -> None:
        async with running() as lab:
            for method, params in CALLS:
                answer = await lab.call("ExchangeA", method, **params)
                json.dumps(answer, allow_nan=False)
            file = str(Path("/tmp") / "never-made")
            opened = await lab.call("ExchangeA", "shell.open")
            assert opened["prompt"] == "ExchangeA#"
            session = opened["session"]
            helped = await lab.call("ExchangeA", "shell.help", session=session, line="show cs7 ")
            assert "linkset" in helped["text"]
            found = await lab.call("ExchangeA", "shell.complete", session=session, line="sh")
            assert found == {"candidates": ["show"]}
            left = await lab.call("ExchangeA", "shell.execute", session=session, line="exit")
            assert left["closed"] is True
            with pytest.raises(TrunklineError) as gone:
                await lab.call("ExchangeA", "shell.execute", session=session, line="show version")
            assert gone.value.code == "shell.no-session"
            call = await lab.call(
                "ExchangeA", "calls.originate", calling="3005", called="61412345678", hold=None
            )
            assert [one["id"] for one in await lab.call("ExchangeA", "calls.active")] == [
                call["id"]
            ]
            await lab.call("ExchangeA", "calls.release", id=call["id"])
            (record,) = await lab.call("ExchangeA", "calls.list", limit=1)
            assert await lab.call("ExchangeA", "calls.show", id=record["id"][:6]) == record
            assert not Path(file).exists()
            asked = {method for method, _ in CALLS} | {
                *("shell.open", "shell.help", "shell.complete", "shell.execute"),
                *("calls.originate", "calls.release", "calls.show"),
                *("capture.start", "node.stop"),  # test_captures, below
            }
            assert asked == set(methods(lab["ExchangeA"]))
            assert await lab.call("ExchangeA", "node.stop") == {}
            assert lab["ExchangeA"].stopped.is_set()

    run(main())


def test_wrong_parameters_are_refused_by_name() -> None:
    async def main() -> None:
        async with running() as lab:
            for method, params in WRONG:
                with pytest.raises(TrunklineError) as refused:
                    await lab.call("ExchangeA", method, **params)
                assert refused.value.code == "control.params", (method, params)
                assert "parameter '" in refused.value.message
                assert len(refused.value.message) < 200
            assert lab["ExchangeA"].exchange is not None
            assert lab["ExchangeA"].exchange.calls == {}

    run(main())


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("ss7.explain", {"destination": "9.9.9"}, "pointcode"),
        ("ss7.ping", {"destination": "1.2"}, "pointcode"),
        ("link.block", {"linkset": "Nowhere", "slc": 0, "blocked": True}, "node.no-such-link"),
        ("capture.start", {"file": "/nonexistent/x.pcap"}, "capture.file"),
        ("capture.start", {"file": "x", "linkset": "Nowhere"}, "node.no-such-link"),
        ("shell.execute", {"session": 99, "line": ""}, "shell.no-session"),
        ("exec", {"line": "nonsense"}, "shell.refused"),
        ("calls.originate", {"calling": "3005", "called": "61"}, "exchange.absent"),
        ("calls.list", {}, "exchange.absent"),
    ],
)
def test_what_is_not_there_is_refused(method: str, params: dict[str, object], code: str) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            with pytest.raises(TrunklineError) as refused:
                await lab.call("CountryA", method, **params)
            assert refused.value.code.startswith(code)

    run(main())


def test_a_connection_has_so_many_shells_and_they_end_with_it() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            client = await Client.to(lab["CountryA"])
            for _ in range(32):
                await client.call("shell.open")
            with pytest.raises(TrunklineError) as refused:
                await client.call("shell.open")
            assert refused.value.code == "shell.too-many"
            await client.close()
            assert (await lab.shell("CountryA")).prompt == "CountryA#"

    run(main())


def test_status_and_counters_say_what_a_lab_needs() -> None:
    async def main() -> None:
        async with running() as lab:
            status = await lab.call("ExchangeA", "node.status")
            assert status["point_code"] == "1.2.4"
            assert (status["variant"], status["network_indicator"]) == ("itu", "international")
            assert status["exchange"] is True
            assert status["links"] == [
                {
                    "linkset": "ToCountryA",
                    "slc": 0,
                    "sctp": "established",
                    "m2pa": "InService",
                    "mtp3": "avail",
                    "blocked": False,
                }
            ]
            counters = await lab.call("ExchangeA", "node.counters")
            assert set(counters) == {"links", "discards", "lost", "faults", "seam", "isup"}
            assert list(counters["links"]) == ["ToCountryA:0"]
            assert (counters["discards"], counters["lost"], counters["faults"]) == ({}, 0, 0)
            lines = await lab.call("ExchangeA", "node.log", limit=1)
            assert lines == [str(lab["ExchangeA"].log.lines[-1])]

    run(main())
