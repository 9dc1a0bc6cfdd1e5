from __future__ import annotations

import json
import time
from pathlib import Path

import typer
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from typer.testing import CliRunner, Result

from trunkline.cli import calls as calls_commands
from trunkline.cli import shell as shell_commands
from trunkline.cli.editor import interact
from trunkline.cli.explain import explain
from trunkline.cli.shell import RemoteSession
from trunkline.errors import TrunklineError
from trunkline.lab.lifecycle import bring_down
from trunkline.lab.network import Network
from trunkline.net.control import ControlClient, Json, Params, socket_path
from trunkline.store.calls import CallRecord, CallStore, default_url


def app() -> typer.Typer:
    built = typer.Typer()
    built.command("shell")(shell_commands.shell)
    built.command("exec")(shell_commands.exec_line)
    built.command("explain")(explain)
    built.add_typer(calls_commands.app, name="calls")
    return built


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app(), list(arguments), input=typed)


def error(result: Result) -> TrunklineError:
    assert isinstance(result.exception, TrunklineError), result.output
    return result.exception


def test_exec_prints_the_output(lab: Network) -> None:
    assert run("exec", "A", "show cs7 route").stdout == "A: show cs7 route\n"
    assert run("exec", "a", "show", "cs7", "route").stdout == "A: show cs7 route\n"
    assert json.loads(run("exec", "A", "show version", "--json").stdout) == {"line": "show version"}


def test_a_shell_without_a_terminal_prints_a_transcript(lab: Network) -> None:
    result = run("shell", "A", typed="conf t\nhostname Z\nexit\nnever\n")
    assert (
        result.stdout
        == """\
A#conf t
did conf t
*log of conf t
A(config)#hostname Z
did hostname Z
*log of hostname Z
A#exit
did exit
*log of exit
"""
    )


def test_no_such_node(lab: Network) -> None:
    assert error(run("exec", "nobody", "show")).code == "lab.no-such-node"


class ScriptedClient(ControlClient):
    """Remembers what was asked, answers from a node."""

    def __init__(self, path: Path) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__(path)

    def call(self, method: str, params: Params | None = None, timeout: float | None = None) -> Json:
        self.asked.append((method, str((params or {}).get("line", ""))))
        return super().call(method, params, timeout)


def typed(network: Network, keys: str) -> list[tuple[str, str]]:
    path = socket_path(network.name, "A")
    client = ScriptedClient(path)
    with (
        client,
        create_pipe_input() as pipe,
        create_app_session(input=pipe, output=DummyOutput()),
    ):
        pipe.send_text(keys)
        interact(RemoteSession(client), path)
        return client.asked


def test_lines_are_edited_and_carried_out(lab: Network) -> None:
    asked = typed(lab, "show versiom\x7fn\rexit\r")
    assert asked == [
        ("shell.open", ""),
        ("shell.execute", "show version"),
        ("shell.execute", "exit"),
    ]


def test_control_z_leaves_configuration_only(lab: Network) -> None:
    asked = typed(lab, "\x1aconf t\rno such\x1aexit\r")
    assert [line for method, line in asked if method == "shell.execute"] == [
        "conf t",
        "end",
        "exit",
    ]


def test_the_question_mark_asks_the_node_and_is_not_typed(lab: Network) -> None:
    asked = typed(lab, "show ?\rexit\r")
    assert ("shell.help", "show ") in asked
    assert ("shell.execute", "show ") in asked


def test_tab_asks_the_node(lab: Network) -> None:
    asked = typed(lab, "sh\t\x03exit\r")
    assert ("shell.complete", "sh") in asked
    assert asked[-1] == ("shell.execute", "exit")


def test_control_d_ends_the_shell(lab: Network) -> None:
    assert typed(lab, "\x04") == [("shell.open", "")]


def test_history_is_kept(lab: Network, runtime: Path) -> None:
    typed(lab, "show clock\rexit\r")
    history = runtime / "state" / "trunkline" / "shell-history"
    assert "show clock" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_calls_of_a_running_lab_come_from_its_exchanges(lab: Network) -> None:
    result = run("calls")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:5] == ["Id", "Exchange", "Calling", "Called", "Start"]
    assert [line[0] for line in lines[1:]] == ["2-X", "1-X"]
    assert "16 normal call clearing" in result.stdout
    records = json.loads(run("calls", "--json", "--limit", "1").stdout)
    assert [record["cic"] for record in records] == [2]


def test_one_call_in_full(lab: Network) -> None:
    result = run("calls", "show", "1-X")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "exchange X (outgoing)" in lines
    assert "duration 4.000 s from the answer" in lines
    assert "OPC 1.2.4" in lines
    assert json.loads(run("calls", "show", "1-X", "--json").stdout)["called"] == "61412345678"


def test_calls_are_placed_and_released(lab: Network) -> None:
    assert run("calls", "make", "X", "614").stdout == "id-614\n"
    assert json.loads(run("calls", "make", "X", "614", "--json").stdout) == {"id": "id-614"}
    assert run("calls", "release", "X", "id-614").exit_code == 0


def test_calls_outlive_the_lab(lab: Network) -> None:
    bring_down(lab.name)
    assert error(run("calls")).code == "lab.no-calls"
    store = CallStore(default_url(lab.name))
    start = time.time() - 10
    store.add(
        [
            CallRecord(
                id="abcd1234",
                exchange="X",
                direction="outgoing",
                calling="3005",
                called="61299995678",
                start=start,
                answer=None,
                end=start + 3,
                cause=17,
                location=0,
                opc=2068,
                dpc=14402,
                cic=5,
                trace="",
            )
        ]
    )
    charged = {
        "account": "cgrates.org:3005",
        "request_type": "*prepaid",
        "usage": 12_500_000_000,
        "cost": "12.5",
        "ended": "the money ended: it was granted 12.5s in all",
        "error": "",
        "steps": [(0.0, "AuthorizeEvent 10s: 10s granted"), (12.9, "GetCDRs: it cost 12.5")],
    }
    store.add(
        CallRecord(
            id=identifier,
            exchange="X",
            direction="outgoing",
            calling="3005",
            called="61299995678",
            start=start,
            answer=start + 1,
            end=start + 3,
            cause=31,
            location=2,
            opc=2068,
            dpc=14402,
            cic=5,
            trace="",
            cost=None if error else "12.5",
            charging=json.dumps({**charged, "error": error}),
        )
        for identifier, error in (("paid", ""), ("unpaid", "ProcessCDR: [/b] no answer within 3 s"))
    )
    store.close()
    lines = [" ".join(line.split()) for line in run("calls", "show", "paid").stdout.splitlines()]
    assert "cost 12.5" in lines
    assert "account cgrates.org:3005 (*prepaid)" in lines
    assert "charged for 12.5s" in lines
    assert "released the money ended: it was granted 12.5s in all" in lines
    assert lines[-2:] == [
        "charging 0.000 s AuthorizeEvent 10s: 10s granted",
        "12.900 s GetCDRs: it cost 12.5",
    ]
    assert "none: ProcessCDR: [/b] no answer" in run("calls", "show", "unpaid").stdout
    for record, told in (("calls", "explain"), ("calls show paid", "explain pai")):
        assert run(*told.split()).stdout == run(*record.split()).stdout
        assert run(*told.split(), "--json").stdout == run(*record.split(), "--json").stdout
    assert error(run("explain", "zzz")).code == "store.no-such-call"
    document = json.loads(run("calls", "show", "paid", "--json").stdout)
    assert document["charging"]["usage"] == 12_500_000_000
    assert "61299995678" in run("calls").stdout
    shown = run("calls", "show", "abcd")
    assert "17 user busy" in shown.stdout
    assert "1.2.4" in shown.stdout
    assert "not answered" in shown.stdout
    assert error(run("calls", "show", "zzz")).code == "store.no-such-call"
