from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lab.networks import write_network

from trunkline.lab.check import Report, check_network
from trunkline.lab.network import read_network

CHAIN = {"A": "1.1.1", "B": "2.2.2", "C": "3.3.3", "D": "4.4.4"}
LINE = [("A", "B"), ("B", "C"), ("C", "D")]


def check(file: Path) -> Report:
    return check_network(read_network(file))


def lines(report: Report) -> set[tuple[str, str]]:
    return {(mend.node, mend.line) for mend in report.mends}


def test_neighbours_need_no_routes(tmp_path: Path) -> None:
    report = check(write_network(tmp_path, {"A": "1.1.1", "B": "2.2.2"}, [("A", "B")]))
    assert report.sound
    assert report.checked == 2


def test_a_missing_return_route_is_named_with_node_and_file(tmp_path: Path) -> None:
    points = {"A": "1.1.1", "B": "2.2.2", "C": "3.3.3"}
    file = write_network(tmp_path, points, [("A", "B"), ("B", "C")], {"A": ["0.0.0/0 linkset ToB"]})
    report = check(file)
    assert [(p.origin, p.destination) for p in report.pairs] == [("A", "C"), ("C", "A")]
    there, back = report.pairs
    assert (str(there.there), str(there.back)) == ("arrives", "no route at C")
    assert (str(back.there), str(back.back)) == ("no route at C", "arrives")
    assert there.there.path == ("A", "B", "C")
    # C has only one way out, so a default route is what a person would write.
    assert lines(report) == {("C", "update route 0.0.0/0 linkset ToB")}
    assert report.mends[0].file == str(tmp_path / "C.cfg")
    assert report.mends[0].pairs == 2
    assert report.mended


def test_a_message_that_would_go_back_is_mended_where_another_way_is(tmp_path: Path) -> None:
    routes = {
        "A": ["0.0.0/0 linkset ToB"],
        "B": ["1.1.1/14 linkset ToA", "0.0.0/0 linkset ToA"],  # the default is the wrong way
        "C": ["0.0.0/0 linkset ToB"],
        "D": ["0.0.0/0 linkset ToC"],
    }
    report = check(write_network(tmp_path, CHAIN, LINE, routes))
    walks = {(p.origin, p.destination): str(p.there) for p in report.pairs}
    assert walks["A", "D"] == "B would send it back to A"
    assert lines(report) == {("B", "update route 4.4.4/14 linkset ToC")}
    assert report.mended


def test_a_circle_is_shown_and_broken(tmp_path: Path) -> None:
    points = {"A": "1.1.1", "B": "2.2.2", "C": "3.3.3", "D": "4.4.4"}
    links = [("A", "B"), ("B", "C"), ("C", "A"), ("C", "D")]
    routes = {
        "A": ["4.4.4/14 linkset ToB"],
        "B": ["4.4.4/14 linkset ToC"],
        "C": [],
        "D": ["0.0.0/0 linkset ToC"],
    }
    assert check(write_network(tmp_path, points, links, routes)).sound
    # C's own direct route to D is gone when the link is shut down; its default leads to A.
    routes["C"] = ["0.0.0/0 linkset ToA"]
    extra = {"C": "cs7 linkset ToD 4.4.4\n shutdown\n"}
    report = check(write_network(tmp_path, points, links, routes, extra=extra))
    walks = {(p.origin, p.destination): p.there for p in report.pairs}
    assert str(walks["A", "D"]) == "circles: A → B → C → A"
    assert not report.mended  # no line helps where the only link is shut down
    assert not any("4.4.4" in mend.line for mend in report.mends)


def test_a_wrong_full_length_route_has_to_go(tmp_path: Path) -> None:
    points = {"A": "1.1.1", "B": "2.2.2", "C": "3.3.3", "D": "4.4.4"}
    links = [("A", "B"), ("A", "C"), ("B", "D")]
    routes = {
        "A": ["4.4.4/14 linkset ToC priority 2", "3.3.3/14 linkset ToC"],
        "B": ["0.0.0/0 linkset ToA"],
        "C": ["1.1.1/14 linkset ToA", "2.2.2/14 linkset ToA"],
        "D": ["0.0.0/0 linkset ToB"],
    }
    report = check(write_network(tmp_path, points, links, routes))
    assert ("A", "update route 4.4.4/14 linkset ToB") in lines(report)
    assert ("A", "no update route 4.4.4/14 linkset ToC") in lines(report)
    assert report.mended


def test_both_halves_of_a_combined_linkset_are_followed(tmp_path: Path) -> None:
    points = {"A": "1.1.1", "B": "2.2.2", "C": "3.3.3", "D": "4.4.4"}
    links = [("A", "B"), ("A", "C"), ("B", "D")]  # C has no link to D
    routes = {
        "A": ["4.4.4/14 linkset ToB", "4.4.4/14 linkset ToC"],
        "B": ["0.0.0/0 linkset ToA"],
        "C": ["1.1.1/14 linkset ToA", "2.2.2/14 linkset ToA"],
        "D": ["0.0.0/0 linkset ToB"],
    }
    report = check(write_network(tmp_path, points, links, routes))
    pair = next(p for p in report.pairs if (p.origin, p.destination) == ("A", "D"))
    assert str(pair.there) == "no route at C"
    assert report.mended


def test_an_exchange_is_no_way_through(tmp_path: Path) -> None:
    points = {"A": "1.1.1", "X": "2.2.2", "B": "3.3.3"}
    file = write_network(tmp_path, points, [("A", "X"), ("X", "B")], exchanges=["X"])
    report = check(file)
    assert {(p.origin, p.destination) for p in report.pairs} == {("A", "B"), ("B", "A")}
    assert report.mends == ()
    assert not report.mended


def test_the_json_holds_pairs_and_lines(tmp_path: Path) -> None:
    points = {"A": "1.1.1", "B": "2.2.2", "C": "3.3.3"}
    report = check(write_network(tmp_path, points, [("A", "B"), ("B", "C")])).to_json()
    assert report["sound"] is False
    pairs = report["pairs"]
    assert isinstance(pairs, list)
    assert pairs[0]["mend"] == [
        {
            "node": "A",
            "file": str(tmp_path / "A.cfg"),
            "line": "update route 0.0.0/0 linkset ToB",
        },
        {
            "node": "C",
            "file": str(tmp_path / "C.cfg"),
            "line": "update route 0.0.0/0 linkset ToB",
        },
    ]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_what_is_proposed_mends_when_it_is_written(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    size = data.draw(st.integers(2, 5))
    names = "ABCDE"[:size]
    points = {name: f"{index + 1}.{index + 1}.1" for index, name in enumerate(names)}
    links = [
        (names[index], names[data.draw(st.integers(0, index - 1))]) for index in range(1, size)
    ]
    spare = [(a, b) for a, b in itertools.combinations(names, 2) if (b, a) not in links]
    links += data.draw(st.lists(st.sampled_from(spare), max_size=2, unique=True)) if spare else []
    near: dict[str, list[str]] = {name: [] for name in names}
    for first, second in links:
        near[first].append(second)
        near[second].append(first)
    routes = {
        name: [
            f"{points[target]}/14 linkset To{data.draw(st.sampled_from(near[name]))}"
            for target in data.draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
            if target != name and target not in near[name]
        ]
        for name in names
    }
    folder = tmp_path_factory.mktemp("net")
    report = check(write_network(folder, points, links, routes))
    assert report.mended
    for mend in report.mends:
        config = folder / f"{mend.node}.cfg"
        config.write_text(f"{config.read_text()}cs7 route-table system\n {mend.line}\n")
    assert check(folder / "network.toml").sound
