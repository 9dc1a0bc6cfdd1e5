"""The example networks load without a word, fit together, and reach whom their texts say.

The one whose calls are paid for is run, too: it is the one that shows something else than routes.
"""

from __future__ import annotations

import json
import shutil
import socket
import time
import tomllib
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from tests.elements.charging.reference_client import JSONClient
from tests.test_course import free_network
from typer.testing import CliRunner

from trunkline.cli.app import build
from trunkline.config.cisco import Cs7Config, load
from trunkline.config.network import load_network
from trunkline.errors import TrunklineError
from trunkline.lab.calls import call_records, place_call
from trunkline.lab.lifecycle import bring_down, bring_up
from trunkline.lab.network import read_network
from trunkline.lab.status import await_links

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*/*.toml"))
COUNTRIES = EXAMPLES / "four-countries"
TWO_STPS = EXAMPLES / "two-stps"
PREPAID = EXAMPLES / "prepaid"

Nodes = dict[str, Cs7Config]
Cut = frozenset[frozenset[str]]
NO_CUT: Cut = frozenset()

every_file = pytest.mark.parametrize(
    "file", FILES, ids=[f"{file.parent.name}/{file.name}" for file in FILES]
)


def read(file: Path) -> Nodes:
    """Load every router of a network file; a warning or an ignored line fails the test."""
    nodes = {}
    for name, table in tomllib.loads(file.read_text(encoding="utf-8"))["node"].items():
        if "charging" in table:
            continue
        texts = [(layer, (file.parent / layer).read_text("utf-8")) for layer in table["config"]]
        result = load(texts)
        assert list(result.warnings) == []
        assert list(result.ignored) == []
        nodes[name] = result.config
    return nodes


def cut(*pairs: str) -> Cut:
    return frozenset(frozenset(pair.split()) for pair in pairs)


def reaches(nodes: Nodes, source: str, target: str, broken: Cut = NO_CUT) -> list[str] | None:
    """Follow the routing tables from ``source``; the nodes passed, or None when a message is lost.

    Longest mask first, then priority: a few lines on purpose, so as not to ask the router's own
    code what the router ought to do.
    """
    by_pc = {node.point_code: name for name, node in nodes.items()}
    pc = nodes[target].point_code
    assert pc is not None
    way = [source]
    while way[-1] != target:
        here = nodes[way[-1]]
        routes = [
            (route.prefix.length, -(route.priority or 5), here.linksets[route.linkset].apc)
            for route in here.routes
            if pc in route.prefix
        ]
        bits = here.variant.bits
        routes += [(bits, -1, apc) for apc in (s.apc for s in here.linksets.values()) if apc == pc]
        for _, _, apc in sorted(routes, reverse=True):
            if frozenset((way[-1], by_pc[apc])) not in broken:
                way.append(by_pc[apc])
                break
        else:
            return None
        assert len(way) <= len(nodes), f"a loop: {way}"
    return way


def lost_pairs(nodes: Nodes, broken: Cut = NO_CUT) -> set[tuple[str, str]]:
    return {pair for pair in permutations(nodes, 2) if reaches(nodes, *pair, broken) is None}


def links(nodes: Nodes) -> Iterator[tuple[str, str, int, str, int, str, int]]:
    """Each link from each end: node, peer, SLC, local address and port, remote ones."""
    by_pc = {node.point_code: name for name, node in nodes.items()}
    for name, node in nodes.items():
        for linkset in node.linksets.values():
            for link in linkset.links.values():
                [local_ip] = node.local_peers[link.local_port].ips
                [remote_ip] = link.remote_ips
                yield (
                    name,
                    by_pc[linkset.apc],
                    link.slc,
                    local_ip,
                    link.local_port,
                    remote_ip,
                    link.remote_port,
                )


@every_file
def test_loads_and_names_agree(file: Path) -> None:
    for name, node in read(file).items():
        assert node.hostname == name
        assert node.point_code is not None
        assert node.network_indicator == 0
    nodes = load_network(file).nodes
    assert {name for name, each in nodes.items() if each.charging is None} == set(read(file))


@every_file
def test_every_link_has_its_other_end(file: Path) -> None:
    ends = list(links(read(file)))
    mirrored = {(b, a, slc, rip, rport, ip, port) for a, b, slc, ip, port, rip, rport in ends}
    assert set(ends) == mirrored


@every_file
def test_one_local_peer_for_each_interface_address(file: Path) -> None:
    addresses: list[str] = []
    for node in read(file).values():
        own = [interface.addresses[0].ip for interface in node.interfaces.values()]
        assert [ip for peer in node.local_peers.values() for ip in peer.ips] == own
        addresses += own
    assert len(set(addresses)) == len(addresses)


def test_every_configuration_is_used() -> None:
    used = {
        (file.parent / layer).resolve()
        for file in FILES
        for table in tomllib.loads(file.read_text(encoding="utf-8"))["node"].values()
        for layer in table.get("config", ())
    }
    assert used == set(EXAMPLES.glob("*/*/*.cfg"))


def test_examples_do_not_share_addresses() -> None:
    """All networks can run at the same time on one loopback."""
    addresses = [
        {ip for _, _, _, ip, *_ in links(read(folder / "network.toml"))}
        for folder in (COUNTRIES, TWO_STPS, PREPAID)
    ]
    assert len(set().union(*addresses)) == sum(map(len, addresses))


def test_countries_all_reach_each_other() -> None:
    nodes = read(COUNTRIES / "network.toml")
    assert lost_pairs(nodes) == set()
    assert reaches(nodes, "ExchangeA", "ExchangeD") == [
        "ExchangeA", "CountryA", "CountryB", "CountryD", "ExchangeD",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "source", "target", "way"),
    [
        ("CountryB CountryD", "CountryA", "ExchangeD", "A B C D"),
        ("CountryB CountryD", "ExchangeD", "CountryA", "D C B A"),
        ("CountryB CountryC", "CountryA", "CountryC", "A B D C"),
        ("CountryB CountryC", "CountryC", "ExchangeA", "C D B A"),
        ("CountryC CountryD", "CountryC", "ExchangeD", "C B D"),
    ],
)
def test_countries_have_a_second_way_round(broken: str, source: str, target: str, way: str) -> None:
    nodes = read(COUNTRIES / "network.toml")
    assert lost_pairs(nodes, cut(broken)) == set()
    passed = reaches(nodes, source, target, cut(broken))
    assert passed is not None
    assert [name for name in passed if name.startswith("Country")] == [
        f"Country{letter}" for letter in way.split()
    ]


def test_the_text_alone_leaves_one_way_to_d() -> None:
    nodes = read(COUNTRIES / "seed.toml")
    assert lost_pairs(nodes) == set()
    lost = lost_pairs(nodes, cut("CountryB CountryD"))
    assert {("CountryA", "CountryD"), ("CountryB", "CountryD")} <= lost


def test_two_stps_lack_what_their_files_say() -> None:
    one_way = lost_pairs(read(TWO_STPS / "one-way.toml"))
    assert reaches(read(TWO_STPS / "one-way.toml"), "ExchangeA", "ExchangeE") is not None
    assert ("ExchangeE", "ExchangeA") in one_way
    assert lost_pairs(read(TWO_STPS / "network.toml")) == {
        (source, target)
        for source in ("STP-B", "ExchangeB", "ExchangeE")
        for target in ("ExchangeC", "ExchangeD")
    }
    assert lost_pairs(read(TWO_STPS / "mended.toml")) == set()


def test_two_stps_have_a_linkset_of_three_links() -> None:
    nodes = read(TWO_STPS / "network.toml")
    assert list(nodes["ExchangeA"].linksets["ToSTP-A"].links) == [0, 1, 2]
    assert list(nodes["STP-A"].linksets["ToExchangeA"].links) == [0, 1, 2]


def test_trunks_agree_on_both_ends() -> None:
    """Point codes, circuits and control: the higher point code keeps the even circuits."""
    for file in FILES:
        nodes = read(file)
        by_pc = {node.point_code: name for name, node in nodes.items()}
        ends = {}
        for name, settings in load_network(file).nodes.items():
            for trunk in settings.exchange.trunk if settings.exchange else ():
                peer = by_pc[nodes[name].variant.parse(trunk.point_code)]
                ends[name, peer] = (trunk.circuits, trunk.control)
        for (name, peer), (circuits, control) in ends.items():
            own, other = nodes[name].point_code, nodes[peer].point_code
            assert own is not None
            assert other is not None
            assert ends[peer, name][0] == circuits
            assert control == ("even" if own > other else "odd")


def test_prepaid_calls_end_with_their_money(tmp_path: Path, runtime: Path) -> None:
    """One call ends when its money does, one is refused, one is paid later; all of it adds up."""
    folder = tmp_path / "prepaid"
    shutil.copytree(PREPAID, folder)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = (folder / "network.toml").read_text() + f"\n[sctp]\nudp_port = {port}\n"
    actions = folder / "tariff" / "Actions.csv"
    assert ",*unlimited,,4," in actions.read_text()
    actions.write_text(actions.read_text().replace(",*unlimited,,4,", ",*unlimited,,2,"))
    host = free_network()
    (folder / "network.toml").write_text(text.replace("127.0.0.", host))
    network = read_network(folder / "network.toml")
    bring_up(network)
    try:
        assert await_links(network, 20.0).all_up

        def call(calling: str, hold: float) -> None:
            place_call("prepaid", "Town", "61412", calling, hold)

        with pytest.raises(TrunklineError, match="3006 may not call 61412: account 3006 has"):
            call("3006", 60)
        call("3005", 60)
        call("3007", 1.5)
        deadline = time.monotonic() + 30
        while len(records := call_records("prepaid", 10)) < 5:
            assert time.monotonic() < deadline, records
            time.sleep(0.1)
        found = {record.calling: record for record in records if record.direction == "outgoing"}
        assert {name: (each.cause, each.cost) for name, each in found.items()} == {
            "3005": (31, "2"),
            "3006": (21, None),
            "3007": (16, "2"),
        }
        ended = found["3005"].charging
        assert ended is not None
        assert (ended.account, ended.usage) == ("cgrates.org:3005", 2 * 10**9)
        assert ended.ended == "the money ended: it was granted 2s in all"
        client = JSONClient((f"{host}1", 2012))
        for account, left in (("3005", 0), ("3007", -2)):
            answer: Any = client.call("APIerSv1.GetAccount", {"Account": account})
            assert [each["Value"] for each in answer["BalanceMap"]["*monetary"]] == [left]
        client.close()
        call("3007", 60)
        time.sleep(1)  # it is answered after 0.2
    finally:
        bring_down("prepaid")
    last = next(r for r in call_records("prepaid", 2) if r.direction == "outgoing")
    assert (last.cause, last.charging and last.charging.error) == (41, "")
    assert last.cost in ("1", "2")
    audited = CliRunner().invoke(build(), ["rate", "audit"])
    assert audited.exit_code == 0, audited.output
    assert "0 sessions, 3 records: everything adds up" in audited.stdout


def test_prepaid_is_drawn_with_who_pays_where() -> None:
    drawn = CliRunner().invoke(build(), ["lab", "graph", str(PREPAID)])
    assert "Town ║──pays───│" in drawn.stdout
    made = CliRunner().invoke(build(), ["lab", "graph", str(PREPAID), "--json"])
    assert json.loads(made.stdout)["charged"] == [{"from": "Town", "to": "OCS", "state": None}]
    mermaid = CliRunner().invoke(build(), ["lab", "graph", str(PREPAID), "--format", "mermaid"])
    assert 'Town -->|"pays"| OCS' in mermaid.stdout
