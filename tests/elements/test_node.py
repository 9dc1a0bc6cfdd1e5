"""A node as a process: what it is made from, how it ends, and who may be in its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.elements.clock import run
from tests.elements.fake_sctp import Wire
from tests.elements.support import EXAMPLES, Client, Lab, plan_of, running

from trunkline.config.network import load_network
from trunkline.elements.node import Node, NodePlan
from trunkline.errors import TrunklineError

FOUR = EXAMPLES / "four-countries" / "network.toml"
ROUTER = """\
hostname Lonely
cs7 variant itu
cs7 network-indicator international
cs7 point-code 3.3.3
cs7 local-peer 1024
 local-ip 10.0.5.1
cs7 linkset Away 4.4.4
 link 0 sctp 10.0.5.2 1024 1024
"""


def test_the_plan_of_a_node_of_a_network() -> None:
    plan = NodePlan.of(load_network(FOUR), "CountryD", sctp="udp")
    assert (plan.network, plan.name, plan.exchange) == ("four-countries", "CountryD", None)
    settings = plan.stack_settings()
    assert settings.backend == "udp"
    assert settings.local == ("10.0.7.2", "10.0.8.2", "10.0.10.1")
    assert settings.address_rule == "loopback"
    real = NodePlan.of(load_network(FOUR), "CountryD", real_addresses=True)
    assert real.stack_settings().address_rule == "identity"


@pytest.mark.parametrize("node", ["CountryX", None])
def test_a_node_that_the_file_does_not_name(node: str | None) -> None:
    with pytest.raises(TrunklineError, match="CountryA, CountryB") as refused:
        load_network(FOUR).choose(node)
    assert refused.value.code == "node.unknown"


def test_one_router_alone_and_what_write_saved(tmp_path: Path) -> None:
    file = tmp_path / "lonely.cfg"
    file.write_text(ROUTER + "logging console\n")
    plan = NodePlan.read(file)
    assert (plan.network, plan.name) == ("Lonely", "Lonely")
    assert any("logging console" in note for note in plan.notes)
    assert NodePlan.read(file, "Other").name == "Other"

    async def main() -> None:
        lab = Lab()
        await lab.add(plan)
        shell = await lab.shell("Lonely")
        await shell.type("conf t", "cs7 route-table system")
        await shell.type("update route 5.5.5/14 linkset Away", "do write")
        await lab.close()

    run(main())
    again = NodePlan.read(file)
    assert [route.prefix.format() for route in again.config.routes] == ["5.5.5/14"]
    assert "which `write` saved" in again.notes[0]


def test_a_file_that_is_not_there_or_says_too_little(tmp_path: Path) -> None:
    with pytest.raises(TrunklineError, match="cannot be read") as refused:
        NodePlan.read(tmp_path / "nothing.cfg")
    assert refused.value.code == "node.config"


def test_an_exchange_needs_a_point_code(tmp_path: Path) -> None:
    (tmp_path / "bare.cfg").write_text("hostname X\n")
    file = tmp_path / "network.toml"
    file.write_text(
        '[network]\nname = "n"\n[node.X]\nconfig = ["bare.cfg"]\n'
        '[node.X.exchange]\nnumbers = ["1"]\n'
    )

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TrunklineError) as bare:
            Node(plan_of(file, "X"), loop, Wire().stack(loop), loop.time)
        assert bare.value.code == "node.no-point-code"

    run(main())


def test_a_second_process_of_a_node_leaves_the_first_alone() -> None:
    async def main() -> None:
        async with running(FOUR, ["CountryA"]) as lab:
            loop = asyncio.get_running_loop()
            second = Node(plan_of(FOUR, "CountryA"), loop, Wire().stack(loop), loop.time)
            with pytest.raises(TrunklineError) as refused:
                await second.start()
            assert refused.value.code == "control.in-use"
            await second.close()
            client = await Client.to(lab["CountryA"])  # the first still answers
            assert (await client.call("node.status"))["name"] == "CountryA"
            await client.close()

    run(main())


def test_a_node_ends_while_a_ping_a_call_and_a_subscriber_wait() -> None:
    async def main() -> None:
        async with running() as lab:
            clients = [await Client.to(lab["ExchangeA"]) for _ in range(3)]
            await clients[0].call("subscribe", topics=["log", "call", "link"])
            await clients[1].call("calls.originate", calling="3005", called="61412345678")
            pinging = asyncio.ensure_future(
                clients[2].call("ss7.ping", destination="7.8.2", count=100, interval=1)
            )
            await asyncio.sleep(3)
            node = lab.nodes.pop("ExchangeA")
            await node.close()
            with pytest.raises(ConnectionError):
                await pinging
            assert not node.server.path.exists()
            assert lab.stack("ExchangeD").associations
            await asyncio.sleep(60)  # nothing of it rings any more
            for client in clients:
                await client.close()

    run(main())


def test_a_client_that_leaves_during_a_ping_is_no_matter() -> None:
    async def main() -> None:
        async with running() as lab:
            client = await Client.to(lab["CountryA"])
            asking = asyncio.ensure_future(
                client.call("ss7.ping", destination="7.8.1", count=5, interval=1)
            )
            await asyncio.sleep(1)
            asking.cancel()
            await client.close()
            await asyncio.sleep(20)
            assert lab["CountryA"]._pings == {}
            assert lab["CountryA"].faults == 0

    run(main())


def test_a_long_ping_keeps_so_many_times_and_counts_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trunkline.elements.node._TIMES_LIMIT", 10)

    async def main() -> None:
        async with running() as lab:
            view = await lab.call("CountryA", "ss7.ping", destination="4.5.6", count=30)
            assert (view["sent"], view["received"], len(view["rtt_ms"])) == (30, 30, 10)

    run(main())
