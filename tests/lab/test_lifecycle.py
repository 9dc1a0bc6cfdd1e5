from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.lab.conftest import fake_command

from trunkline.errors import TrunklineError
from trunkline.lab.client import LabClient
from trunkline.lab.lifecycle import bring_down, bring_up, running_network
from trunkline.lab.network import Network, read_network
from trunkline.lab.runtime import (
    LabState,
    NodeProcess,
    end_process,
    is_up,
    known_labs,
    lab_folder,
    process_started,
    read_state,
    write_state,
)
from trunkline.lab.status import await_links, lab_status
from trunkline.lab.topology import find_topology


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


def state_of(network: Network) -> LabState:
    state = read_state(network.name)
    assert state is not None
    return state


def test_up_means_that_every_node_answers(network: Network) -> None:
    heard: list[str] = []
    state = bring_up(network, command=fake_command, progress=heard.append)
    assert sorted(heard) == ["A", "B", "X"]
    assert is_up(network.name)
    assert known_labs() == [network.name]
    assert running_network(None) == state
    assert all(process_started(node.pid) == node.started for node in state.nodes.values())
    assert bring_down(network.name)
    assert not is_up(network.name)
    assert known_labs() == []
    assert all(not process_started(node.pid) for node in state.nodes.values())
    assert not bring_down(network.name)


def test_a_lab_comes_up_once(lab: Network) -> None:
    with pytest.raises(TrunklineError, match=f"already up from {lab.file}") as caught:
        bring_up(lab, command=fake_command)
    assert caught.value.code == "lab.already-up"
    with LabClient(lab.name, lab.nodes) as client:
        assert all(client.statuses().values())  # the first one lives


def test_a_node_that_is_killed_comes_back(lab: Network) -> None:
    before = state_of(lab)
    with LabClient(lab.name, lab.nodes) as client:
        neighbour = client.status("A").pid
        os.kill(before.nodes["B"].pid, signal.SIGKILL)
        eventually(lambda: state_of(lab).nodes["B"].restarts == 1)
        eventually(lambda: client.statuses()["B"] is not None)
        assert client.status("A").pid == neighbour
        assert client.status("B").pid != before.nodes["B"].pid
    after = state_of(lab).nodes["B"]
    assert after.last_exit == -signal.SIGKILL
    log = (lab_folder(lab.name) / "supervisor.log").read_text()
    assert "B ended (SIGKILL), again in 0.2 s" in log


def test_the_delay_doubles_while_a_node_keeps_dying(lab: Network) -> None:
    for restarts in (1, 2):
        os.kill(state_of(lab).nodes["B"].pid, signal.SIGKILL)
        eventually(
            lambda expected=restarts: state_of(lab).nodes["B"].restarts == expected  # type: ignore[misc]
        )
    log = (lab_folder(lab.name) / "supervisor.log").read_text()
    assert "again in 0.2 s" in log
    assert "again in 0.4 s" in log


def test_a_node_that_does_not_start_takes_the_lab_down_and_says_why(network: Network) -> None:
    def command(network: Network, node: str, real: bool) -> list[str]:
        argv = fake_command(network, node, real)
        return [*argv, "--fail"] if node == "B" else argv

    with pytest.raises(TrunklineError, match="no such thing as a bad morning") as caught:
        bring_up(network, command=command)
    assert caught.value.code == "lab.node-failed"
    assert not is_up(network.name)
    assert known_labs() == []


def test_nodes_that_never_answer(network: Network) -> None:
    def command(network: Network, node: str, real: bool) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    with pytest.raises(TrunklineError, match="no answer in time from A, B, X") as caught:
        bring_up(network, command=command, timeout=0.5)
    assert caught.value.code == "lab.timeout"
    assert known_labs() == []


def test_a_dead_supervisor_leaves_a_lab_that_down_and_up_clean(lab: Network) -> None:
    state = state_of(lab)
    os.kill(state.pid, signal.SIGKILL)
    eventually(lambda: not is_up(lab.name))
    assert known_labs() == [lab.name]  # its nodes are still there
    with pytest.raises(TrunklineError, match="is not up"):
        running_network(lab.name)
    assert bring_down(lab.name)
    assert all(not process_started(node.pid) for node in state.nodes.values())
    bring_up(lab, command=fake_command)


def test_a_process_number_that_was_used_again_is_left_alone(network: Network) -> None:
    mine = os.getpid()
    assert process_started(mine) > 0
    assert not end_process(mine, process_started(mine) + 1, signal.SIGKILL)
    assert not end_process(0, 0, signal.SIGKILL)
    nodes = {"A": NodeProcess([], pid=mine, started=process_started(mine) + 1)}
    write_state(LabState(network.name, str(network.file), nodes))
    assert bring_down(network.name)


def test_nothing_is_up(runtime: Path) -> None:
    with pytest.raises(TrunklineError, match="no network is up; `trunkline lab up`"):
        running_network(None)


def test_links_are_awaited_and_seen_from_both_ends(lab: Network) -> None:
    status = await_links(lab, 5.0)
    assert status.all_up
    assert [(link.pair, link.slc) for link in status.links] == [("A-B", 0), ("A-B", 1), ("B-X", 0)]
    assert {link.m2pa for link in status.links} == {"IS"}
    assert [node.exchange for node in status.nodes] == [False, False, True]


def test_a_break_is_made_at_both_ends_and_healed(lab: Network) -> None:
    await_links(lab, 5.0)
    links = find_topology(lab).resolve("B-A:1")
    with LabClient(lab.name, lab.nodes) as client:
        assert client.block(links, True) == []
        status = lab_status(running_network(None))
        assert [link.blocked for link in status.links] == [False, True, False]
        assert [link.mtp3 for link in status.links] == ["avail", "unavail", "avail"]
        assert not status.all_up
        client.block(links, False)
    assert lab_status(running_network(None)).all_up


def test_a_break_reaches_the_end_that_lives(lab: Network) -> None:
    links = find_topology(lab).resolve("A-B:0")
    os.kill(state_of(lab).pid, signal.SIGSTOP)  # so that nobody starts the node again
    os.kill(state_of(lab).nodes["B"].pid, signal.SIGKILL)
    try:
        with LabClient(lab.name, lab.nodes) as client:
            eventually(lambda: client.statuses()["B"] is None)
            assert [end.node for end in client.block(links, True)] == ["B"]
    finally:
        os.kill(state_of(lab).pid, signal.SIGCONT)


def test_exchanges_that_would_not_reach_their_charging_node_stay_out_of_namespaces(
    network: Network,
) -> None:
    text = network.file.read_text()
    text += '[node.X.exchange.charging]\nnode = "OCS"\n[node.OCS.charging]\ntariff = "t"\n'
    network.file.write_text(text)
    with pytest.raises(TrunklineError) as refused:
        bring_up(read_network(network.file), real_addresses=True, command=fake_command)
    assert refused.value.code == "lab.netns-charging"
    assert known_labs() == []
