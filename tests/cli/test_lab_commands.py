from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve
from tests.lab.networks import write_network
from typer.testing import CliRunner, Result

from trunkline.cli import lab as lab_commands
from trunkline.errors import TrunklineError
from trunkline.lab.network import Network
from trunkline.lab.status import await_links


def run(*arguments: str) -> Result:
    return CliRunner().invoke(lab_commands.app, list(arguments))


def error(result: Result) -> TrunklineError:
    assert isinstance(result.exception, TrunklineError), result.output
    return result.exception


def unreturned(folder: Path) -> Path:
    """A – B – C where A finds C and C does not find A."""
    points = {"A": "1.1.1", "B": "2.2.2", "C": "3.3.3"}
    routes = {"A": ["0.0.0/0 linkset ToB"]}
    return write_network(folder, points, [("A", "B"), ("B", "C")], routes)


def test_status_shows_nodes_and_links(lab: Network) -> None:
    await_links(lab, 5.0)
    result = run("status")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["Node", "Point", "code", "Role", "Pid", "Up", "for", "Restarts"] in lines
    assert ["A-B", "1", "up", "IS", "avail"] in lines
    assert any(line[:3] == ["X", "3.3.3", "exchange"] for line in lines)


def test_status_is_1_when_a_link_is_down(lab: Network) -> None:
    await_links(lab, 5.0)
    assert run("break", "A-B:1").stdout == "A-B:1 is broken\n"
    result = run("status", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert not found["all_up"]
    assert [link["blocked"] for link in found["links"]] == [False, True, False]
    assert run("heal", "b-a").stdout == "B-A:0 is healed\nB-A:1 is healed\n"
    assert run("status").exit_code == 0


def test_an_exchange_that_does_not_reach_charging_is_said_so(
    lab: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await_links(lab, 5.0)
    exchange = next(node for node in found.nodes if node.name == "X")
    nodes = [node for node in found.nodes if node is not exchange]
    away = evolve(found, nodes=[*nodes, evolve(exchange, charging=False)])
    monkeypatch.setattr(lab_commands, "lab_status", lambda _: away)
    result = run("status")
    assert result.exit_code == 1
    assert "exchange, charging is out of reach" in result.stdout
    near = evolve(found, nodes=[*nodes, evolve(exchange, charging=True)])
    monkeypatch.setattr(lab_commands, "lab_status", lambda _: near)
    result = run("status")
    assert (result.exit_code, "reach" in result.stdout) == (0, False)


def test_a_node_that_is_away_is_said_so(lab: Network) -> None:
    state = json.loads(run("status", "--json").stdout)
    supervisor = json.loads((Path(os.environ["XDG_RUNTIME_DIR"]) / LAB_JSON).read_text())["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(state["nodes"][1]["pid"], signal.SIGKILL)
        result = run("status")
        assert result.exit_code == 1
        assert "no answer" in result.stdout
        assert "avail/?" in result.stdout
    finally:
        os.kill(supervisor, signal.SIGCONT)


LAB_JSON = Path("trunkline") / "test-net" / "lab.json"


def test_an_unknown_link_names_those_there_are(lab: Network) -> None:
    assert "there are: A-B, B-X" in error(run("break", "A-X")).message


def test_a_capture_is_of_one_link(lab: Network, tmp_path: Path) -> None:
    problem = error(run("capture", "A-B", str(tmp_path / "x.pcap")))
    assert problem.message == "A-B has several links: choose of A-B:0, A-B:1"


def test_a_capture_ends_by_itself(lab: Network, tmp_path: Path) -> None:
    result = run("capture", "A-B:0", str(tmp_path / "x.pcap"), "--seconds", "0.05", "--json")
    assert json.loads(result.stdout) == {
        "file": str(tmp_path / "x.pcap"),
        "node": "A",
        "packets": 7,
        "dropped": 0,
    }
    assert (tmp_path / "x.pcap").exists()


def test_a_capture_ends_with_control_c(lab: Network, tmp_path: Path) -> None:
    script = "import typer; from trunkline.cli.lab import app; app(['capture', 'B-X', 'x.pcap'])"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "capturing B-X at B" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)
    assert output == "7 packets in x.pcap\n"
    assert process.returncode == 0


def test_down_ends_the_only_lab(lab: Network) -> None:
    assert run("down").stdout == "test-net is down\n"
    assert error(run("down")).code == "lab.not-up"
    assert error(run("down", "-n", "test-net")).code == "lab.not-up"
    assert error(run("status")).code == "lab.not-up"


def test_check_prints_the_pairs_and_the_line(tmp_path: Path) -> None:
    result = run("check", str(unreturned(tmp_path)))
    assert result.exit_code == 1
    assert (
        result.stdout
        == f"""\
test-net: 2 of 6 ordered pairs of point codes cannot talk

From     To       There          Back
A 1.1.1  C 3.3.3  arrives        no route at C
C 3.3.3  A 1.1.1  no route at C  arrives

This line mends it (under `cs7 route-table system`):

  update route 0.0.0/0 linkset ToB
    on C, in {tmp_path}/C.cfg (2 pairs)
"""
    )


def test_check_of_a_sound_network(tmp_path: Path) -> None:
    file = write_network(tmp_path, {"A": "1.1.1", "B": "2.2.2"}, [("A", "B")])
    result = run("check", str(tmp_path))  # the folder will do
    assert result.exit_code == 0
    assert result.stdout == "test-net: all 2 ordered pairs of 2 point codes can talk\n"
    assert json.loads(run("check", str(file), "--json").stdout)["sound"] is True


def test_check_locates_what_does_not_fit(tmp_path: Path) -> None:
    file = write_network(tmp_path, {"A": "1.1.1", "B": "2.2.2"}, [("A", "B")])
    config = tmp_path / "B.cfg"
    config.write_text(config.read_text().replace("link 0", "link 3"))
    result = run("check", str(file))
    assert result.exit_code == 1
    assert f"{config}:8:2: A calls this link SLC 0, B calls it 3" in result.stdout


def test_a_network_file_that_is_not_there(tmp_path: Path) -> None:
    assert "cannot be read" in error(run("check", str(tmp_path / "none.toml"))).message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["A-B", "ToB – ToA", "10.0.0.1:3000 – 10.0.0.2:3000", "╔"]),
        (("-f", "dot"), ['"A" -- "B" [label="×2"];', "peripheries=2"]),
        (("-f", "mermaid"), ["graph LR", '  A ---|"×2"| B', 'X[["X<br/>3.3.3"]]']),
        (("-f", "svg"), ["<svg ", "</svg>", ">×2</text>", "prefers-color-scheme"]),
    ],
)
def test_graph_draws(network: Network, arguments: Sequence[str], words: list[str]) -> None:
    result = run("graph", str(network.file), *arguments)
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words), result.stdout


def test_graph_writes_a_file_and_shows_the_states(lab: Network, tmp_path: Path) -> None:
    await_links(lab, 5.0)
    run("break", "A-B:0")
    run("break", "B-X")
    picture = tmp_path / "picture.svg"
    assert run("graph", str(lab.file), "-f", "svg", "-o", str(picture)).stdout == ""
    text = picture.read_text()
    assert 'class="link part"' in text
    assert 'class="link down"' in text
    found = json.loads(run("graph", str(lab.file), "--json").stdout)
    assert found["running"]
    assert [link["state"] for link in found["links"]] == ["1/2", "1/2", "cut"]
