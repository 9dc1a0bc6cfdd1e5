"""`rate console` and `rate loader`, here and against a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.elements.charging.support import network_file, running
from typer.testing import CliRunner, Result

from trunkline.cli.app import build
from trunkline.elements.charging.process import ChargingNode
from trunkline.errors import TrunklineError

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "examples" / "tutorial-tariff"
COST = (
    'cost Category="call" Tenant="cgrates.org" Subject="3005" Destination="614" '
    'AnswerTime="2014-08-04T13:00:00Z" Usage="60s"'
)


@pytest.fixture(autouse=True)
def folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("console")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("TRUNKLINE_RPC", raising=False)
    monkeypatch.delenv("TRUNKLINE_TARIFF_STORE", raising=False)


@pytest.fixture
def node(folders: None, tmp_path: Path) -> Iterator[ChargingNode]:
    with running(network_file(tmp_path, "console", tariff=str(TUTORIAL))) as found:
        yield found


def run(*words: str) -> Result:
    return CliRunner().invoke(build(), ["rate", *words])


def good(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*words: str) -> TrunklineError:
    result = run(*words)
    assert isinstance(result.exception, TrunklineError)
    return result.exception


def test_one_price_three_ways(node: ChargingNode) -> None:
    here = good("console", "--tariff", str(TUTORIAL), COST)
    assert here == good("cost", "--tariff", str(TUTORIAL), COST)
    assert json.loads(here)["Cost"] == 22
    host, port = node.servers["rpc_json"].local
    assert good("console", "--rpc", f"{host}:{port}", COST) == here
    words = ["cost", "Destination=614", "AnswerTime=2014-08-04T13:00:00Z", "Usage=60s"]
    assert json.loads(good("console", "--rpc", f"{host}:{port}", *words))["Cost"] == 22
    host, port = node.servers["http"].local
    assert good("console", "--rpc", f"http://{host}:{port}/jsonrpc", COST) == here


def test_other_commands(node: ChargingNode) -> None:
    host, port = node.servers["rpc_json"].local
    there = ("console", "--rpc", f"{host}:{port}")
    assert good(*there, "ping") == good("console", "ping") == '"Pong"\n'
    assert json.loads(good(*there, "status"))["NodeID"] == "OCS"
    assert json.loads(good("console", "status"))["NodeID"] == "console"
    asked = (
        'Responder.GetCost Category="call" Tenant="cgrates.org" Subject="3005" Destination="614"'
        ' TimeStart="2014-08-04T13:00:00Z" TimeEnd="2014-08-04T13:00:30Z"'
    )
    assert json.loads(good(*there, asked))["RatedUsage"] == 60 * 10**9
    problem = refused(*there, "accounts")
    assert problem.code == "rpc.error"
    assert problem.message == ("APIerSv2.GetAccounts: rpc: can't find method APIerSv2.GetAccounts")
    assert refused("console", "accounts").message.endswith(
        "; with --rpc HOST:PORT a server is asked"
    )
    local = ("console", "--tariff", str(TUTORIAL), "cost")
    assert refused(*local, "Usage=1").code == "console.missing"
    assert refused("console", COST).code == "store.no-tariff"
    assert refused("console", "nothing").code == "console.verb"
    assert refused("console", "--rpc", "127.0.0.1:1", "ping").code == "rpc.unreachable"


def test_loading_over_the_api(node: ChargingNode, tmp_path: Path) -> None:
    host, port = node.servers["rpc_json"].local
    there = ("console", "--rpc", f"{host}:{port}")
    assert good(*there, f'load_tp_from_folder FolderPath="{TUTORIAL}"') == '"OK"\n'
    assert refused(*there, 'load_tp_from_folder FolderPath="/no"').message.endswith("INVALID_PATH")


def test_the_loader_as_the_tutorial_calls_it() -> None:
    assert "is the active tariff, version 1" in good("loader", "-verbose", f"-path={TUTORIAL}/")
    result = run("loader", "-verbose", f"-path={TUTORIAL}/", "-flush_stordb")
    assert "is the active tariff, version 2" in result.stdout
    assert "tariffs are kept in sqlite:///" in result.stderr
    assert json.loads(good("console", COST))["Cost"] == 22
    checked = run("loader", "-dry_run", "-path", str(TUTORIAL))
    assert checked.exit_code == 0
    assert "active" not in checked.stdout
    assert refused("loader", "-stordb_passwd=x").code == "loader.option"
    assert "-flush_stordb asks for what happens anyway" in " ".join(good("loader", "-h").split())
