"""SIP proxies in a lab: real ones come up, are seen, come back after a kill, and go."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.lab.conftest import fake_command
from tests.lab.networks import write_network
from tests.lab.sip import free_port, options, write_proxies
from typer.testing import CliRunner, Result

from trunkline.cli import calls as calls_commands
from trunkline.cli import lab as lab_commands
from trunkline.cli import run as run_command
from trunkline.errors import TrunklineError
from trunkline.lab.lifecycle import bring_down, bring_up, node_command, running_network
from trunkline.lab.network import Network, read_network
from trunkline.lab.runtime import known_labs, lab_folder
from trunkline.lab.status import await_links, lab_status
from trunkline.net.control import ControlClient, socket_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(lab_commands.app, list(arguments))


def error(result: Result) -> TrunklineError:
    assert isinstance(result.exception, TrunklineError), result.output
    return result.exception


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


@pytest.fixture
def port(runtime: Path) -> Iterator[int]:
    yield free_port()
    for name in known_labs():
        bring_down(name)


@pytest.fixture
def file(port: int, tmp_path: Path) -> Path:
    """One proxy with a process of its own, and one with two workers."""
    return write_proxies(
        tmp_path,
        {
            "One": f'listen = ["udp:127.0.0.1:{port}"]\nsettings = {{ next = "127.0.0.3:{port}" }}',
            "Two": f'listen = ["udp:127.0.0.3:{port}", "tcp:127.0.0.3:{port}"]\nworkers = 2',
        },
    )


def test_proxies_run_each_in_processes_of_its_own(file: Path, port: int) -> None:
    up = run("up", str(file))
    assert up.exit_code == 0, up.output
    assert options("127.0.0.1", port) == "200 One"
    assert options("127.0.0.3", port) == "200 Two"
    assert options("127.0.0.3", port, "MESSAGE").startswith("500 ")

    shown = run("status")
    assert shown.exit_code == 0
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0] == ["Node", "Role", "Pid", "Up", "for", "Restarts"]
    assert [line[:3] for line in lines[1:3]] == [["One", "SIP", "proxy"], ["Two", "SIP", "proxy"]]
    assert lines[4:] == [
        ["Proxy", "Listens", "on", "Workers", "Script", "Requests", "Errors"],
        ["One", "UDP", f"127.0.0.1:{port}", "1", "of", "1", "route.py", "1", "0"],
        ["Two", "UDP", f"127.0.0.3:{port}", "2", "of", "2", "route.py", "2", "1"],
        ["TCP", f"127.0.0.3:{port}"],
    ]
    found = json.loads(run("status", "--json").stdout)
    assert (found["nodes"], found["links"], found["all_up"]) == ([], [], True)
    two = found["proxies"][1]
    assert (two["workers"], two["working"], two["requests"], two["errors"]) == (2, 2, 2, 1)
    assert two["script"] == str(file.with_name("route.py"))
    assert two["listen"][1] == {
        "transport": "TCP",
        "address": f"127.0.0.3:{port}",
        "advertised": f"127.0.0.3:{port}",
    }
    assert run("down").stdout == "sip is down\n"
    assert not list(lab_folder("sip").glob("*.sock"))


@pytest.mark.parametrize("name", ["One", "Two"])
def test_a_proxy_that_is_killed_comes_back(file: Path, port: int, name: str) -> None:
    network = read_network(file)
    state = bring_up(network)
    os.kill(state.pid, signal.SIGSTOP)  # so that nobody starts the node again
    try:
        os.kill(state.nodes[name].pid, signal.SIGKILL)
        eventually(lambda: lab_status(running_network("sip")).silent == {name})
        result = run("status")
        assert result.exit_code == 1
        assert "no answer" in result.stdout
        assert "0 of" in result.stdout
        assert f'"{name}" [label="{name}\\n' in run("graph", str(file), "-f", "dot").stdout
        assert ", shape=component, color=red];" in run("graph", str(file), "-f", "dot").stdout
    finally:
        os.kill(state.pid, signal.SIGCONT)
    eventually(lambda: lab_status(running_network("sip")).all_up)
    proxies = {proxy.name: proxy for proxy in lab_status(running_network("sip")).proxies}
    assert proxies[name].restarts == 1
    assert options("127.0.0.1", port) == "200 One"
    assert options("127.0.0.3", port) == "200 Two"


def test_a_worker_that_does_not_answer_is_missed(file: Path) -> None:
    bring_up(read_network(file))
    pids = {}
    for name in ("Two", "Two.1"):
        with ControlClient(socket_path("sip", name)) as client:
            status = client.call("node.status")
        assert isinstance(status, dict)
        pids[name] = int(str(status["pid"]))
    os.kill(pids["Two.1"], signal.SIGSTOP)
    try:
        result = run("status")
        assert result.exit_code == 1
        assert "1 of 2" in result.stdout
    finally:
        os.kill(pids["Two.1"], signal.SIGCONT)


# what goes wrong at a start


def test_a_script_that_cannot_be_used_is_found_before_anything_starts(file: Path) -> None:
    script = file.with_name("route.py")
    script.write_text("import numbers_of\n\nnumbers_of.load({})\n", encoding="utf-8")
    helper = file.with_name("numbers_of.py")
    helper.write_text("print('loading')\ndef load(table):\n    return table['x']\n")
    result = run("check", str(file), "--json")
    assert result.exit_code == 1
    [first, second] = json.loads(result.stdout)["problems"]
    assert (first["code"], first["file"], first["line"]) == ("script.error", str(file), 5)
    assert first["message"].startswith(f"One: {helper}:3: KeyError: 'x'\n")
    assert f"\n    {helper}:3 in load: return table['x']" in first["message"]
    assert second["message"].startswith("Two: ")

    problem = error(run("up", str(file)))
    assert problem.code == "lab.node-failed"
    assert " does not start:" in problem.message
    assert f"{helper}:3: KeyError: 'x'" in problem.message
    assert f"{script}:3 in <module>: numbers_of.load({{}})" in problem.message
    assert known_labs() == []


def test_a_start_handler_that_raises_ends_a_node_of_several_workers(file: Path) -> None:
    script = file.with_name("route.py")
    more = "\nfrom trunkline.script import on_start\n@on_start\ndef f(app):\n"
    raise_in_two = "    if app.name == 'Two':\n        raise LookupError('no numbers')\n"
    script.write_text(script.read_text() + more + raise_in_two, encoding="utf-8")
    problem = error(run("up", str(file)))
    assert problem.code == "lab.node-failed"
    assert "LookupError: no numbers" in problem.message
    assert "Two ends: worker" in problem.message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.3"])
def test_a_port_that_somebody_has_is_named(file: Path, port: int, host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as another proxy's workers
        other.bind((host, port))
        problem = error(run("up", str(file)))
    assert problem.code == "lab.node-failed"
    assert f"cannot listen on {host}:{port} UDP: Address already in use" in problem.message


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ("udp:127.0.0.1:5060", "udp:127.0.0.1:5060", "UDP 127.0.0.1:5060"),
        ("udp:127.0.0.1:5060", "udp:0.0.0.0:5060 as 192.0.2.1", "UDP 0.0.0.0:5060"),
        ("tcp:[::1]:5060", "ws:[::1]:5060", "WS [::1]:5060"),
        ("udp:127.0.0.1:5060", "udp:127.0.0.3:5060", ""),
        ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060", ""),
        ("udp:0.0.0.0:5060 as 192.0.2.1", "udp:[::1]:5060", ""),
        ("udp:127.0.0.1:0", "udp:127.0.0.1:0", ""),
    ],
)
def test_two_proxies_at_one_address(
    runtime: Path, tmp_path: Path, first: str, second: str, shown: str
) -> None:
    file = write_proxies(
        tmp_path, {"One": f'listen = ["{first}"]', "Two": f'listen = ["{second}"]'}
    )
    result = run("check", str(file))
    if shown:
        assert result.exit_code == 1
        assert f"{file}:10:1: Two listens on {shown}, and so does One" in result.stdout
    else:
        assert result.exit_code == 0
        assert result.stdout == (
            "sip: the SIP proxies One, Two can start: scripts and files load, no address is used"
            " twice\n"
        )


def test_an_address_that_one_proxy_has_twice(runtime: Path, tmp_path: Path) -> None:
    file = write_proxies(tmp_path, {"One": 'listen = ["tcp:127.0.0.1:1", "ws:127.0.0.1:1"]'})
    assert "One listens on WS 127.0.0.1:1, it does so already" in run("check", str(file)).stdout


@pytest.mark.parametrize(
    ("more", "code", "line"),
    [
        ('dns = ["nonsense"]', "dns.server", 7),
        ('users = "none.csv"', "proxy.users", 7),
        ('redis = { x = "http://a" }', "store.redis-url", 7),
        ('sql = { x = "oracle://a" }', "store.sql-url", 7),
        ('[node.One.proxy.tls]\ncertificate = "none.pem"', "stream.tls-settings", 7),
    ],
)
def test_settings_that_cannot_work_are_found_with_their_line(
    runtime: Path, tmp_path: Path, more: str, code: str, line: int
) -> None:
    file = write_proxies(tmp_path, {"One": f'listen = ["tls:127.0.0.1:5061"]\n{more}'})
    if "tls" not in more:
        file.write_text(file.read_text().replace("tls:", "tcp:"))
    result = run("check", str(file), "--json")
    assert result.exit_code == 1
    [problem] = json.loads(result.stdout)["problems"]
    assert (problem["code"], problem["line"]) == (code, line)
    assert problem["message"].startswith("One: ")


def test_modules_of_one_name_beside_two_scripts_are_two(runtime: Path, tmp_path: Path) -> None:
    file = write_proxies(tmp_path, {})
    text = file.read_text()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "values.py").write_text(f"{name} = 1\n")
        script = f"from values import {name}\nfrom trunkline.script import on_request\n"
        script += "@on_request()\ndef f(request): ...\n"
        (folder / "route.py").write_text(script)
        text += f'[node.{name}.proxy]\nscript = "{name}/route.py"\n'
        text += f'listen = ["udp:127.0.0.1:{5060 + len(text)}"]\n'
    file.write_text(text)
    result = run("check", str(file))
    assert result.exit_code == 0, result.stdout


# pictures


def test_proxies_are_drawn_with_their_addresses_and_known_ways(file: Path, port: int) -> None:
    drawn = run("graph", str(file)).stdout
    assert drawn.startswith("sip: 2 SIP proxies\n")
    assert f"│ UDP 127.0.0.3:{port} │" in drawn.replace("  ", " ")
    assert "───SIP───" in drawn
    assert drawn.splitlines()[-1].split() == ["One", "Two", "settings.next", f"127.0.0.3:{port}"]
    dot = run("graph", str(file), "-f", "dot").stdout
    assert '"One" -- "Two" [label="SIP", dir=forward];' in dot
    assert f'"Two" [label="Two\\nUDP 127.0.0.3:{port}\\nTCP 127.0.0.3:{port}", shape=' in dot
    assert '  One -->|"SIP"| Two' in run("graph", str(file), "-f", "mermaid").stdout
    svg = run("graph", str(file), "-f", "svg").stdout
    assert svg.count('class="proxy"') == 2
    assert f">TCP 127.0.0.3:{port}</text>" in svg
    found = json.loads(run("graph", str(file), "--json").stdout)
    assert found["ways"] == [
        {"from": "One", "to": "Two", "setting": "settings.next", "value": f"127.0.0.3:{port}"}
    ]
    assert (found["nodes"], found["links"]) == ([], [])


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("sip:127.0.0.3:5070", True),
        ("sip:operator@127.0.0.3:5070;transport=tcp", True),
        ("sips:[::1]", True),
        ("sip:out.example:5071", True),
        ("SIP.example:5072", False),
        ("sip:alice@two.example", True),
        ("sip:two.example:5999", False),
        ("sip:127.0.0.3:5070;lr?x=y", True),
        ("sip:both.example", False),
        ("two.example", False),
        ("sip:127.0.0.3", False),
        ("any other text", False),
    ],
)
def test_what_of_a_setting_leads_to_another_proxy(
    runtime: Path, tmp_path: Path, value: str, known: bool
) -> None:
    listen = '"udp:127.0.0.3:5070", "tls:[::1]:5061", "tcp:127.0.0.3:5071 as out.example:5071"'
    tls = 'tls = { certificate = "x.pem" }'
    file = write_proxies(
        tmp_path,
        {
            "One": 'listen = ["udp:127.0.0.1:5060"]\ndomains = ["both.example"]\n'
            f'settings = {{ a = {{ b = [1, "{value}"] }} }}',
            "Two": f'listen = [{listen}]\ndomains = ["two.example", "both.example"]\n{tls}',
        },
    )
    found = json.loads(run("graph", str(file), "--json").stdout)["ways"]
    assert [way["setting"] for way in found] == (["settings.a.b"] if known else [])


def test_destinations_lead_to_other_proxies(runtime: Path, tmp_path: Path) -> None:
    sets = '[node.One.proxy.destinations.cores]\ntargets = ["sip:127.0.0.3", "sip:192.0.2.1"]'
    file = write_proxies(
        tmp_path,
        {
            "One": f'listen = ["udp:127.0.0.1:5060"]\n{sets}',
            "Two": 'listen = ["udp:127.0.0.3:5060"]',
        },
    )
    found = json.loads(run("graph", str(file), "--json").stdout)["ways"]
    assert found == [
        {"from": "One", "to": "Two", "setting": "destinations.cores", "value": "sip:127.0.0.3"}
    ]


# beside routers


@pytest.fixture
def mixed(port: int, tmp_path: Path) -> Network:
    """Two routers, and a proxy between them in the file."""
    file = write_network(tmp_path, {"A": "1.1.1", "X": "3.3.3"}, [("A", "X")], exchanges=["X"])
    gate = write_proxies(tmp_path / "..", {"Gate": f'listen = ["udp:127.0.0.1:{port}"]'})
    table = gate.read_text().partition("\n\n")[2].replace("route.py", "../route.py")
    file.write_text(file.read_text().replace("[node.X]", f"{table}\n[node.X]"))
    return read_network(file)


def fake_routers(network: Network, node: str, real: bool) -> list[str]:
    command = node_command if node in network.proxies else fake_command
    return command(network, node, real)


def test_a_proxy_among_routers(mixed: Network, port: int) -> None:
    assert mixed.nodes == ("A", "Gate", "X")
    checked = run("check", str(mixed.file))
    assert checked.stdout.splitlines() == [
        "test-net: all 2 ordered pairs of 2 point codes can talk",
        "test-net: the SIP proxy Gate can start: scripts and files load, no address is used twice",
    ]
    bring_up(mixed, command=fake_routers)
    await_links(mixed, 5.0)
    assert options("127.0.0.1", port) == "200 Gate"
    shown = run("status")
    assert shown.exit_code == 0
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0][:3] == ["Node", "Point", "code"]
    assert lines[2][:3] == ["X", "3.3.3", "exchange"]
    assert lines[3][:4] == ["Gate", "–", "SIP", "proxy"]
    assert ["A-X", "0", "up", "IS", "avail"] in lines
    assert (
        "3 nodes, 1 link, 1 SIP proxy among them, running" in run("graph", str(mixed.file)).stdout
    )


def test_what_a_router_does_a_proxy_does_not(mixed: Network) -> None:
    bring_up(mixed, command=fake_routers)
    for words in (["break", "Gate-A"], ["heal", "gate"], ["capture", "A-Gate:0", "x.pcap"]):
        problem = error(run(*words))
        assert problem.code == "lab.no-router"
        assert problem.message.startswith("Gate is a SIP proxy, and has no links to break")
        assert problem.message.endswith("links between routers: A-X")
    result = CliRunner().invoke(calls_commands.app, ["make", "gate", "61412345678"])
    assert error(result).code == "lab.no-router"
    assert error(result).message.endswith("routers: A, X")


def test_options_of_routers_are_refused_for_a_proxy(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (["--sctp", "udp"], ["--real-addresses"]):
        with pytest.raises(SystemExit) as caught:
            run_command.main([str(file), "--node", "One", *option])
        assert caught.value.code == 2
        assert "One is a SIP proxy: --sctp and --real-addresses" in capsys.readouterr().err


EXAMPLES = Path(__file__).parents[2] / "examples" / "sip"


@pytest.mark.parametrize(
    "file", sorted(EXAMPLES.glob("*/*.toml")), ids=lambda file: file.parent.name
)
def test_the_examples_are_sound(runtime: Path, file: Path) -> None:
    result = run("check", str(file))
    assert result.exit_code == 0, result.stdout
