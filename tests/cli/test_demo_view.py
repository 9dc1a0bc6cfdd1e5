from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from trunkline.cli.demo import _LiveView, _PlainView
from trunkline.lab.client import LabClient
from trunkline.lab.demo import Check, Step
from trunkline.lab.network import Network
from trunkline.lab.runtime import known_labs
from trunkline.lab.status import await_links, link_views
from trunkline.lab.topology import find_topology


def test_the_live_view_draws_the_network_with_its_states(lab: Network) -> None:
    await_links(lab, 5.0)
    with LabClient(lab.name, lab.nodes) as client:
        client.block(find_topology(lab).resolve("B-X"), True)
    text = io.StringIO()
    out = Console(file=text, force_terminal=True, width=100, height=40, color_system=None)
    with _LiveView(lab, out) as view:
        step = Step("cut", "B-X is cut")
        view.begin(step)
        view.note("while something is on its way")
        time.sleep(0.8)
        step.checks += [Check("nothing passes", True), Check("nobody minds", False)]
        step.ok = False
        view.end(step)
    shown = text.getvalue()
    assert "║   X   ║" in shown
    assert "✕" in shown
    assert "×2" in shown
    assert "A → B  up" in shown
    assert "while something is on its way" in shown
    assert "✗ B-X is cut" in shown
    assert "✓ nothing passes" in shown
    assert "✗ nobody minds" in shown


def test_the_live_view_leaves_the_drawing_out_where_it_does_not_fit(lab: Network) -> None:
    text = io.StringIO()
    out = Console(file=text, force_terminal=True, width=30, height=40, color_system=None)
    with _LiveView(lab, out):
        time.sleep(0.5)
    assert "║" not in text.getvalue()


def test_the_plain_view_says_only_what_changed(lab: Network) -> None:
    status = await_links(lab, 5.0)
    text = io.StringIO()
    view = _PlainView(Console(file=text, width=100))
    for _ in range(3):
        view.links(status.links)
    assert text.getvalue().count("links: SCTP 3/3, M2PA 3/3, MTP3 3/3") == 1


def test_views_of_nodes_that_do_not_answer(network: Network) -> None:
    views = link_views(find_topology(network), dict.fromkeys(network.routers))
    assert {view.mtp3 for view in views} == {"?"}
    assert all(view.dead for view in views)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_takes_its_lab_down(runtime: object, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "trunkline", "demo"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "links rise" not in process.stdout.readline():
            assert process.poll() is None
        os.kill(process.pid, number)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert known_labs() == []


def test_the_command_says_where_the_demo_table_belongs(network: Network) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "trunkline", "demo", "--json", str(network.file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert "[demo] table" in result.stderr
