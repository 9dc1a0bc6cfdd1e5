"""The charging node as a process, as `trunkline run` and the lab have it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.elements.charging.reference_client import AnsweredError, JSONClient
from tests.elements.charging.support import network_file, running, write_folder
from tests.elements.charging.test_costs import ASKED, RETAIL
from typer.testing import CliRunner

from trunkline.cli import run
from trunkline.cli.app import build
from trunkline.config.cgrates import compile_lines, load_folder
from trunkline.config.network import load_network
from trunkline.elements.charging.process import ChargingPlan
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.errors import TrunklineError
from trunkline.lab.graph import mermaid, picture
from trunkline.lab.network import read_network
from trunkline.net.control import ControlClient
from trunkline.store.tariffs import TariffStore


def test_what_a_node_says_of_itself(tmp_path: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL)
    with (
        running(network_file(tmp_path, "control", tariff="tariff", rpc_bijson="")) as node,
        closing(JSONClient(node.servers["rpc_json"].local)) as client,
        ControlClient(node.control.path) as control,
    ):
        assert client.call("CoreSv1.Ping", {}) == "Pong"
        status = control.call("node.status")
        assert isinstance(status, dict)
        assert (status["name"], status["kind"]) == ("OCS", "charging")
        assert status["tariff"] == str(tmp_path / "tariff")
        places = {f"{host}:{port}" for host, port in (s.local for s in node.servers.values())}
        assert isinstance(status["listen"], list)
        assert {each["address"] for each in status["listen"] if isinstance(each, dict)} == places
        counters = control.call("node.counters")
        assert isinstance(counters, dict)
        assert set(counters) == {"rpc_json", "http", "scheduler"}
        tcp = counters["rpc_json"]
        assert isinstance(tcp, dict)
        assert (tcp["calls"], tcp["connections"], tcp["accepted"]) == (1, 1, 1)
        lines = control.call("node.log", {"limit": 1})
        assert isinstance(lines, list)
        assert "charging node OCS" in str(lines[0])
        control.call("subscribe", {"topics": ["log"]})
        node.loop.call_soon_threadsafe(node.log, "SYS", 5, "TEST", "hello")
        assert "hello" in str(next(control.subscribe(["log"]))["line"])
        with ControlClient(node.control.path) as other:
            assert other.call("node.stop") == {}
        for _ in range(200):
            if node.stopped.is_set():
                break
            time.sleep(0.01)
        assert node.stopped.is_set()


def test_a_port_that_others_have_and_one_that_is_open_to_all(tmp_path: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL)
    with running(network_file(tmp_path, "one", tariff="tariff", http="0.0.0.0:0")) as node:
        assert any("is open to others" in line.text for line in node.log.lines)
        taken = f"127.0.0.1:{node.servers['rpc_json'].local[1]}"
        second = network_file(tmp_path, "two", tariff="tariff", rpc_json=taken)
        done = subprocess.run(
            [sys.executable, "-m", "trunkline", "run", str(second)],
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 2
        assert done.stderr.startswith(f"trunkline: cannot listen on {taken}: ")


def test_a_tariff_that_is_not_good(tmp_path: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL | {"Rates.csv": "RT,0,x,60s,60s,0s\n"})
    network = load_network(network_file(tmp_path, "bad", tariff="tariff"))
    settings = network.nodes["OCS"].charging
    assert settings is not None
    with pytest.raises(TrunklineError, match=r"Rates\.csv:1"):
        ChargingPlan(network, "OCS", settings)


def test_a_node_of_a_store_has_its_profiles(tmp_path: Path) -> None:
    chargers = "cgrates.org,TWICE,,,first,*none,20\ncgrates.org,TWICE2,,,second,*none,10\n"
    folder = write_folder(tmp_path / "tariff", RETAIL | {"Chargers.csv": chargers})
    url = f"sqlite:///{tmp_path}/tariffs.sqlite"
    store = TariffStore(url, compile_lines)
    store.load(lambda sink: load_folder(folder, sink=sink).plan, name="retail")
    store.close()
    with (
        running(network_file(tmp_path, "stored", store=url)) as node,
        closing(JSONClient(node.servers["rpc_json"].local)) as client,
    ):

        def chargers_of_an_event() -> list[object]:
            event = {"Tenant": "cgrates.org", "ID": "1", "Event": {"Account": "1001"}}
            runs = client.call("ChargerSv1.ProcessEvent", event)
            assert isinstance(runs, list)
            return [run["ChargerSProfile"] for run in runs if isinstance(run, dict)]

        assert chargers_of_an_event() == ["TWICE", "TWICE2"]
        (folder / "Chargers.csv").write_text("cgrates.org,ONCE,,,first,*none,20\n")
        path = {"FolderPath": str(folder)}
        assert client.call("APIerSv1.LoadTariffPlanFromFolder", path | {"DryRun": True}) == "OK"
        assert chargers_of_an_event() == ["TWICE", "TWICE2"]
        assert client.call("APIerSv1.LoadTariffPlanFromFolder", path) == "OK"
        assert chargers_of_an_event() == ["ONCE"]


def test_what_is_set_on_one_node_counts_on_the_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    paths = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        paths.append(network_file(tmp_path / name, name, store=url, http="", rpc_bijson=""))
    with (
        running(paths[0]) as first,
        running(paths[1]) as second,
        closing(JSONClient(first.servers["rpc_json"].local)) as here,
        closing(JSONClient(second.servers["rpc_json"].local)) as there,
    ):
        attribute = {"Path": "*req.B", "Type": "*constant", "Value": "x"}
        profile = {"ID": "A", "Contexts": ["*any"], "Attributes": [attribute]}
        assert here.call("APIerSv2.SetAttributeProfile", profile) == "OK"
        deadline = time.monotonic() + 1
        while "A" not in second.engine.rules.ids("Attributes", "cgrates.org"):
            assert time.monotonic() < deadline, "not within a second"
            time.sleep(0.02)
        changed = there.call("AttributeSv1.ProcessEvent", {"Event": {"Account": "1"}})
        assert isinstance(changed, dict)
        assert changed["Event"] == {"Account": "1", "B": "x"}
        assert there.call("APIerSv1.RemoveAttributeProfile", {"ID": "A"}) == "OK"
        assert here.call("CacheSv1.ReloadCache", {}) == "OK"  # now, and not within a second
        with pytest.raises(AnsweredError, match="NOT_FOUND"):
            here.call("APIerSv1.GetAttributeProfile", {"ID": "A"})


def test_a_node_says_what_it_prices_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = f"sqlite:///{tmp_path}/tariffs.sqlite"
    path = network_file(tmp_path, "says", store=store)
    with running(path):
        assert (
            "node OCS: no tariff yet; trunkline rate load DIR loads one" in capsys.readouterr().out
        )
    folder = write_folder(tmp_path / "tariff", RETAIL)
    assert (
        CliRunner().invoke(build(), ["rate", "load", str(folder), "--store", store]).exit_code == 0
    )
    with running(path):
        assert "node OCS: version 1 of the tariff" in capsys.readouterr().out


def test_run_answers_until_it_is_told_to_end(tmp_path: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL)
    path = network_file(tmp_path, "run", tariff="tariff")
    process = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "run", str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "JSON-RPC on 127.0.0.1:" in first
        address = ("127.0.0.1", int(first.rpartition(":")[2]))
        for line in process.stdout:
            if "RESTART" in line:
                break
        with closing(JSONClient(address)) as client:
            got = client.call("APIerSv1.GetCost", ASKED)
            assert isinstance(got, dict)
            assert got["Cost"] == 0.65
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 1)
    finally:
        process.kill()
        process.communicate()


def test_options_of_routers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main([str(network_file(tmp_path, "options")), "--sctp", "udp"])
    assert caught.value.code == 2
    assert "OCS charges: --sctp and --real-addresses" in capsys.readouterr().err


def test_the_lab_draws_it_and_gives_it_no_links(tmp_path: Path) -> None:
    network = read_network(network_file(tmp_path, "drawn", http="", rpc_bijson=""))
    assert network.nodes == ("OCS",)
    assert "OCS<br/>TCP 127.0.0.1:0" in mermaid(picture(network))
    with pytest.raises(TrunklineError, match="OCS charges: it has no point code") as refused:
        network.router("OCS")
    assert refused.value.code == "lab.no-router"
    assert json.dumps([*network.chargers]) == '["OCS"]'


def test_work_that_a_bug_ends_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[float] = []

    async def follow(self: RuleBook, failed: object) -> None:
        begun.append(time.monotonic())
        if len(begun) == 1:
            raise KeyError("a bug")
        await asyncio.Event().wait()

    monkeypatch.setattr(RuleBook, "follow", follow)
    write_folder(tmp_path / "tariff", RETAIL)
    with running(network_file(tmp_path, "ever", tariff="tariff")):
        until = time.monotonic() + 5
        while len(begun) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert "following others' rules failed, and begins again" in caplog.text
