"""`rate console` and `rate loader`, here and against a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from tests.elements.charging.support import network_file, running
from typer.testing import CliRunner, Result

from trunkline.cli import console
from trunkline.cli.app import build
from trunkline.cli.console import keys
from trunkline.cli.prompt import CommandCompleter, interact
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
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("TRUNKLINE_TARIFF_STORE", raising=False)
    monkeypatch.setattr(console, "NODE", "127.0.0.1:1")


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
    assert good(*there, "ping") == '"Pong"\n'
    assert json.loads(good(*there, "status"))["NodeID"] == "OCS"
    asked = (
        'Responder.GetCost Category="call" Tenant="cgrates.org" Subject="3005" Destination="614"'
        ' TimeStart="2014-08-04T13:00:00Z" TimeEnd="2014-08-04T13:00:30Z"'
    )
    assert json.loads(good(*there, asked))["RatedUsage"] == 60 * 10**9
    problem = refused(*there, "StatSv1.GetQueueIDs")
    assert problem.code == "rpc.error"
    assert problem.message == "StatSv1.GetQueueIDs: rpc: can't find service StatSv1.GetQueueIDs"
    local = ("console", "--tariff", str(TUTORIAL), "cost")
    assert refused(*local, "Usage=1").code == "console.missing"
    assert refused("console", COST).code == "store.no-tariff"
    assert refused("console", "nothing").code == "console.verb"
    migrator = ("cgr-migrator", "-exec=*set_versions", "-stordb_passwd=CGRateS.org")
    assert refused("console", *migrator).code == "console.needless"
    assert "no such option: --rcp" in run("console", "--rcp", "127.0.0.1:1", "ping").stderr
    assert refused("console", "--rpc", "127.0.0.1:1", "ping").code == "rpc.unreachable"


def test_a_node_is_asked_where_it_usually_is(
    node: ChargingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in ("ping", "status", "accounts", "APIerSv1.Ping"):
        problem = refused("console", line)
        assert problem.code == "rpc.unreachable"
        assert problem.message == (
            f"{line} is asked of a charging node, and none answers at 127.0.0.1:1; start one "
            "(trunkline run FILE --node NAME), or say where it is: --rpc HOST:PORT"
        )
    host, port = node.servers["rpc_json"].local
    monkeypatch.setattr(console, "NODE", f"{host}:{port}")
    assert json.loads(good("console", "status"))["NodeID"] == "OCS"
    assert good("console", 'account_set Account="1001"') == '"OK"\n'
    # Prices are asked here: no tariff is loaded, though the node has one.
    assert refused("console", COST).code == "store.no-tariff"
    asked = (
        'Responder.GetCost Category="call" Tenant="cgrates.org" Subject="3005" Destination="614"'
        ' TimeStart="2014-08-04T13:00:00Z" TimeEnd="2014-08-04T13:00:30Z"'
    )
    assert json.loads(good("console", "--tariff", str(TUTORIAL), asked))["Cost"] == 22


def test_the_shell_may_have_taken_the_quotes_away(node: ChargingNode) -> None:
    host, port = node.servers["rpc_json"].local
    there = ("console", "--rpc", f"{host}:{port}")
    assert good(*there, "balance_set", "Account=1001", "BalanceType=*monetary", "Value=5") == (
        '"OK"\n'
    )
    assert json.loads(good(*there, "account", "Account=1001"))["ID"] == "cgrates.org:1001"
    assert json.loads(good(*there, "accounts", "Limit=1", "Tenant=cgrates.org"))
    assert refused(*there, "account Account={}").message.endswith("of type string")
    assert refused(*there, "sharedgroup ID=7").message.endswith("GetSharedGroup: NOT_FOUND")
    assert "*actions" in good(*there, "get_load_times")


def test_lines_one_after_another(node: ChargingNode) -> None:
    host, port = node.servers["rpc_json"].local
    lines = [
        'account_set Tenant="cgrates.org" Account="1001"',
        'balance_add Account="1001" Value=10 Balance={"ID":"money"}',
        'balance_debit Account="1001" BalanceType="*monetary" Value=2.5 Balance={"ID":"money"}',
        'filter_set ID="D" Rules=[{"Type":"*string","Element":"~*req.Account","Values":["1001"]}]',
        'attributes_profile_set ID="A" FilterIDs=["D"] Attributes=[{"Path":"*req.B","Value":"x"}]',
        'attributes_profile_ids Tenant="cgrates.org"',
        'attributes_process_event Event={"Account":"1001","Usage":60000000000}',
        'chargers_profile_set ID="C" RunID="raw" AttributeIDs=["*none"]',
        'chargers_for_event Event={"Account":"1001"}',
        'routes_profile_set ID="R" Routes=[{"ID":"r1","Weight":10}]',
        'routes Event={"Account":"1001"}',
        'session_initiate InitSession=true Tenant="cgrates.org" Event={"OriginID":"1",'
        '"Account":"1001","Subject":"1001","Destination":"614","RequestType":"*rated",'
        '"AnswerTime":"2014-08-04T13:00:00Z","Usage":60000000000}',
        "active_sessions",
        "",
        "sharedgroup Item=SG",
        "cache_reload",
        "balanc_set",
        "help",
        "quit",
        "never read",
    ]
    result = CliRunner().invoke(
        build(),
        ["rate", "console", "--rpc", f"{host}:{port}"],
        input="\n".join(lines) + "\n",
    )
    assert result.exit_code == 0, result.output
    answers = [part.partition("\n")[2] for part in result.stdout.split("cgr> ")[1:]]
    ok = '"OK"\n'
    assert answers[:5] == [ok] * 5
    assert answers[5] == '[\n "A"\n]\n'
    assert '"Usage": "1m0s"' in answers[6]
    assert json.loads(answers[8])[0]["RunID"] == "raw"
    assert json.loads(answers[10])["SortedRoutes"][0]["RouteID"] == "r1"
    [session] = json.loads(answers[12])
    assert session["Usage"] == "1m0s"
    assert answers[13] == ""
    assert answers[14].startswith("APIerSv1.GetSharedGroup: NOT_FOUND")
    assert answers[15] == ok
    assert "near it: balance_set" in answers[16]
    assert "session_authorize_event" in answers[17]
    assert good("console", "help") == answers[17]
    assert max(map(len, answers[17].splitlines())) <= 80
    assert len(answers) == 19


@pytest.mark.parametrize("kept", [True, False])
def test_typed_lines(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kept:  # the history cannot be written
        monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")
    with (
        create_pipe_input() as keyboard,
        create_app_session(input=keyboard, output=DummyOutput()),
    ):
        keyboard.send_text("given up\x03balance_a\t\rstatus\r\x04")
        assert list(interact("cgr> ", keys)) == ["balance_add ", "status"]


def test_what_tab_offers() -> None:
    def offered(text: str) -> list[str]:
        completer = CommandCompleter(keys)
        found = completer.get_completions(Document(text), CompleteEvent())
        return [each.text for each in found]

    assert offered("balance_") == [
        "balance_add ",
        "balance_debit ",
        "balance_remove ",
        "balance_set ",
    ]
    assert offered("ping ca") == ["caches"]
    assert offered("filter_set ") == ["ActivationInterval=", "ID=", "Rules=", "Tenant="]
    assert offered('filter_set ID="x" i') == []
    assert offered('filter_set Tenant="x" i') == ["ID="]
    assert offered("APIerSv2.GetFilter t") == ["Tenant="]
    assert offered("sharedgroup ") == offered("nothing ") == []


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
