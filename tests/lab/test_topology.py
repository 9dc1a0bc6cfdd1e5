from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.lab.networks import write_network

from trunkline.errors import TrunklineError
from trunkline.lab.network import read_network
from trunkline.lab.topology import Topology, find_topology

POINTS = {"A": "1.1.1", "STP-B": "2.2.2", "STP": "3.3.3"}
LINKS = [("A", "STP-B"), ("A", "STP-B"), ("STP-B", "STP")]


def topology(file: Path) -> Topology:
    return find_topology(read_network(file))


def test_ends_that_name_each_other_are_links(tmp_path: Path) -> None:
    found = topology(write_network(tmp_path, POINTS, LINKS))
    assert [link.name for link in found.links] == ["A-STP-B:0", "A-STP-B:1", "STP-B-STP:0"]
    assert found.problems == ()
    assert all(link.usable for link in found.links)
    assert found.links[0].first.local == ("10.0.0.1",)
    assert found.links[0].second.linkset == "ToA"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A-STP-B", ["A-STP-B:0", "A-STP-B:1"]),
        ("stp-b-a", ["STP-B-A:0", "STP-B-A:1"]),
        ("A-STP-B:1", ["A-STP-B:1"]),
        ("STP-STP-B", ["STP-STP-B:0"]),
    ],
)
def test_links_are_called_by_their_nodes(tmp_path: Path, text: str, names: list[str]) -> None:
    found = topology(write_network(tmp_path, POINTS, LINKS))
    assert [link.name for link in found.resolve(text)] == names


@pytest.mark.parametrize("text", ["A", "A-STP", "A-STP-B:7", "A-STP-B:", "-", "A-STP-B-STP"])
def test_a_link_that_is_not_there(tmp_path: Path, text: str) -> None:
    found = topology(write_network(tmp_path, POINTS, LINKS))
    if text == "A-STP-B:":
        assert len(found.resolve(text)) == 2
        return
    with pytest.raises(TrunklineError, match="there are: A-STP-B, STP-B-STP") as caught:
        found.resolve(text)
    assert caught.value.code == "lab.no-such-link"


def edited(change: Callable[[str], str]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        file = write_network(folder, {"A": "1.1.1", "B": "2.2.2"}, [("A", "B")])
        config = folder / "B.cfg"
        config.write_text(change(config.read_text()))
        return file

    return write


@pytest.mark.parametrize(
    ("change", "codes", "words", "hint"),
    [
        (
            lambda text: text.replace(" link 0 sctp 10.0.0.1 3000 3000\n", ""),
            ["lab.link-end"],
            "B has no link back to 10.0.0.1 port 3000",
            "on B: cs7 linkset ToA 1.1.1, then link 0 sctp 10.0.0.1 3000 3000",
        ),
        (
            lambda text: text.replace("local-ip 10.0.0.2", "local-ip 10.0.0.7"),
            ["lab.link-end", "lab.link-end"],
            "no node of this network has that address",
            "B (2.2.2) has 10.0.0.7 port 3000",
        ),
        (
            lambda text: text.replace("local-peer 3000", "local-peer 3001").replace(
                "10.0.0.1 3000 3000", "10.0.0.1 3001 3000"
            ),
            ["lab.link-end", "lab.link-end"],
            "B has that address on port 3001 only",
            "link 0 sctp 10.0.0.2 3000 3001",
        ),
        (
            lambda text: text.replace("linkset ToA 1.1.1", "linkset ToA 1.1.2"),
            ["lab.adjacent-point-code"],
            "B: linkset ToA says that 1.1.2 is at the other end, but there is A with 1.1.1",
            "cs7 linkset ToA 1.1.1",
        ),
        (
            lambda text: text.replace("link 0", "link 1"),
            ["lab.slc"],
            "A calls this link SLC 0, B calls it 1",
            "in linkset ToA of B: link 0 sctp 10.0.0.1 3000 3000",
        ),
        (
            lambda text: text.replace("indicator international", "indicator national"),
            ["lab.network-indicator"],
            "different network indicators",
            "cs7 network-indicator",
        ),
    ],
)
def test_what_does_not_fit_is_located_and_explained(
    tmp_path: Path, change: Callable[[str], str], codes: list[str], words: str, hint: str
) -> None:
    found = topology(edited(change)(tmp_path))
    assert [problem.code for problem in found.problems] == codes
    problem = next(p for p in found.problems if words in p.message)
    assert hint in problem.hint
    assert problem.location is not None
    assert problem.location.file == str(tmp_path / f"{problem.message[0]}.cfg") or codes[0] in (
        "lab.slc",
        "lab.network-indicator",
    )
    line = Path(problem.location.file).read_text().splitlines()[problem.location.line - 1]
    assert "link" in line
    assert not any(link.usable for link in found.links)


def test_swapped_ports_are_recognised(tmp_path: Path) -> None:
    file = write_network(tmp_path, {"A": "1.1.1", "B": "2.2.2"}, [("A", "B")])
    a, b = tmp_path / "A.cfg", tmp_path / "B.cfg"
    b.write_text(b.read_text().replace("3000", "4000").replace("4000 4000", "4000 3000"))
    a.write_text(
        "cs7 local-peer 4000\n local-ip 10.9.9.9\n"
        + a.read_text().replace("3000 3000", "4000 3000")
    )
    problem = next(p for p in topology(file).problems if p.message.startswith("A:"))
    assert problem.hint == (
        "link 0 sctp 10.0.0.2 3000 4000: the first port is the local one, the second the other "
        "side's"
    )


def test_a_link_that_is_shut_down_is_not_usable(tmp_path: Path) -> None:
    extra = {"A": "cs7 linkset ToB 2.2.2\n shutdown\n"}
    points = {"A": "1.1.1", "B": "2.2.2"}
    found = topology(write_network(tmp_path, points, [("A", "B")], extra=extra))
    assert found.problems == ()
    assert not found.links[0].usable
