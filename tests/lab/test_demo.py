"""The demonstration with real nodes: it passes, it is decodable, and it can fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.lab.client import LabClient
from trunkline.lab.demo import Demo, Step
from trunkline.lab.lifecycle import bring_down
from trunkline.lab.network import Network, find_network, read_network
from trunkline.lab.runtime import known_labs
from trunkline.lab.status import LinkView
from trunkline.lab.topology import find_topology

STEPS = [
    "nodes",
    "links",
    "ping",
    "calls",
    "traffic-before",
    "cut",
    "traffic-during",
    "heal",
    "traffic-after",
    "records",
]


class Watcher:
    """A view that remembers the steps."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, step: Step) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def links(self, views: Sequence[LinkView]) -> None:
        pass

    def end(self, step: Step) -> None:
        pass


class Capturing(Watcher):
    """Captures everything each node sends and receives, from its first answer on."""

    def __init__(self, network: Network, folder: Path) -> None:
        super().__init__()
        self.client = LabClient(network.name, network.nodes)
        self.folder = folder

    def note(self, text: str) -> None:
        node, _, word = text.partition(" ")
        if word == "answers":
            file = str(self.folder / f"{node}.pcap")
            self.client.call(node, "capture.start", {"file": file})

    def end(self, step: Step) -> None:
        if step.name == "records":
            for node in self.client.nodes:
                self.client.call(node, "capture.stop")
            self.client.close()


class Saboteur(Watcher):
    """Cuts a link that the way round needs, when the script cuts its own."""

    def __init__(self, network: Network, link: str) -> None:
        super().__init__()
        self.network = network
        self.link = link

    def begin(self, step: Step) -> None:
        if step.name == "cut":
            with LabClient(self.network.name, self.network.nodes) as client:
                client.block(find_topology(self.network).resolve(self.link), True)


@pytest.fixture
def countries(runtime: Path) -> Iterator[Network]:
    yield read_network(find_network(None))
    for name in known_labs():
        bring_down(name)


def malformed(capture: Path) -> list[str]:
    """What tshark finds wrong in ``capture``, with its own settings."""
    result = subprocess.run(
        [
            "tshark",
            "-n",
            "-r",
            str(capture),
            "-Y",
            "_ws.malformed || _ws.expert.severity == error",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


def protocols(capture: Path) -> set[str]:
    result = subprocess.run(
        ["tshark", "-n", "-r", str(capture), "-T", "fields", "-e", "frame.protocols"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for line in result.stdout.split() for name in line.split(":")}


def test_every_counter_agrees_and_wireshark_reads_it_all(
    countries: Network, tmp_path: Path
) -> None:
    demo = Demo(countries, Capturing(countries, tmp_path))
    report = demo.run()
    failed = [check.text for step in report.steps for check in step.checks if not check.ok]
    assert failed == []
    assert report.ok
    assert [step.name for step in report.steps] == STEPS
    assert report.seconds < 40
    before, during, after = report.traffic
    assert before.links == after.links
    assert [sum(carried) for carried in during.links.values()] == [0, 100, 100]
    assert len(report.calls) == 6
    survivor = max(report.calls, key=lambda record: record.duration)
    assert survivor.called == "611800123456"
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed: the captures were not looked at")
    seen: set[str] = set()
    for capture in tmp_path.glob("*.pcap"):
        assert malformed(capture) == []
        seen |= protocols(capture)
    assert {"ip", "sctp", "m2pa", "mtp3", "isup", "mtp3mg"} <= seen


def test_a_sabotaged_detour_is_noticed(countries: Network) -> None:
    report = Demo(countries, Saboteur(countries, "CountryB-CountryC")).run()
    assert not report.ok
    assert [step.name for step in report.steps if not step.ok] == ["cut"]
    assert report.steps[-1].name == "cut"


def test_the_command_prints_the_report_and_nothing_else(countries: Network) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "trunkline", "demo", "--once", "--json"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    report = json.loads(result.stdout)
    checks = [check for step in report["steps"] for check in step["checks"]]
    assert [check for check in checks if not check["ok"]] == []
    assert result.returncode == 0
    assert report["ok"] is True
    assert [step["name"] for step in report["steps"]] == STEPS
    assert known_labs() == []


def test_a_network_without_a_demo_table(network: Network) -> None:
    with pytest.raises(TrunklineError, match=r"the \[demo\] table .* is missing"):
        Demo(network, Watcher())


def test_a_lab_that_is_up_already_is_left_alone(lab: Network, countries: Network) -> None:
    bring_down(lab.name)
    demo = Demo(countries, Watcher(), command=lambda *_: [sys.executable, "-c", "raise SystemExit"])
    report = demo.run()
    assert not report.ok
    assert not demo.started
    assert report.steps[0].checks[0].text.startswith("node Country")
