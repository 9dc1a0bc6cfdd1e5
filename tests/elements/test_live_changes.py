"""Configuration typed at the shell of a running node: applied at once, and to nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.elements.clock import run
from tests.elements.support import EXAMPLES, Lab, bare, plan_of, running, until

from trunkline.config.cisco import load, running_config
from trunkline.errors import TrunklineError

SEED = EXAMPLES / "four-countries" / "seed.toml"
SERVICE = ("in_service", "out_of_service", "alignments")


def _untouched(lab: Lab, before: dict[tuple[str, str, int, str], int], *but: str) -> None:
    """No link moved in or out of service, except those of the linksets ``but`` (NODE:LINKSET)."""
    after = lab.counters(*SERVICE)
    for key, figure in before.items():
        if f"{key[0]}:{key[1]}" not in but:
            assert after[key] == figure, key


def _matches(lab: Lab, name: str) -> None:
    """What is in force is what the configuration says."""
    node = lab[name]
    found = node.point._in_force()
    config = node.config
    assert found.linksets == config.linksets
    assert {r.key: r.priority or 5 for r in found.routes} == {
        r.key: r.priority or 5 for r in config.routes
    }
    assert load([("running", running_config(config))]).config == config


def test_routes_come_go_and_change_priority() -> None:
    async def main() -> None:
        async with running() as lab:
            before = lab.counters(*SERVICE)
            shell = await lab.shell("CountryB")
            await shell.type("conf t", "cs7 route-table system")
            assert shell.prompt == "CountryB(config-cs7-rt)#"
            await shell.type("update route 2.2.2/14 linkset ToCountryC")
            assert (await lab.call("CountryB", "ss7.explain", destination="2.2.2"))["winner"] == (
                "2.2.2/14 via ToCountryC (priority 5)"
            )
            await shell.type("update route 2.2.2/14 linkset ToCountryD priority 3")
            assert (await lab.call("CountryB", "ss7.explain", destination="2.2.2"))["winner"] == (
                "2.2.2/14 via ToCountryD (priority 3)"
            )
            await shell.type("update route 2.2.2/14 linkset ToCountryD priority 7")
            assert (await lab.call("CountryB", "ss7.explain", destination="2.2.2"))["winner"] == (
                "2.2.2/14 via ToCountryC (priority 5)"
            )
            await shell.type("no update route 2.2.2/14 linkset ToCountryC")
            await shell.type("no update route 2.2.2/14 linkset ToCountryD")
            explained = await lab.call("CountryB", "ss7.explain", destination="2.2.2")
            assert (explained["winner"], explained["losers"]) == (None, [])
            _untouched(lab, before)
            _matches(lab, "CountryB")

    run(main())


def test_a_linkset_and_its_links_come_and_go() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            before = lab.counters(*SERVICE)
            a, c = await lab.shell("CountryA"), await lab.shell("CountryC")
            await a.type("conf t", "cs7 local-peer 1040", "local-ip 10.0.40.1")
            await a.type("cs7 linkset ToCountryC 7.7.1", "link 0 sctp 10.0.40.2 1040 1040")
            await c.type("conf t", "cs7 local-peer 1040", "local-ip 10.0.40.2")
            await c.type("cs7 linkset ToCountryA 1.2.3", "link 0 sctp 10.0.40.1 1040 1040")
            await lab.settle()
            _untouched(lab, before)
            explained = await lab.call("CountryA", "ss7.explain", destination="7.7.1")
            assert explained["link"] == "ToCountryC:0"
            await a.type("cs7 linkset ToCountryC 7.7.1", "no link 0")
            await until(lambda: lab["CountryC"].point.router.linksets["ToCountryA"].available == [])
            await a.type("exit", "no cs7 linkset ToCountryC", "no cs7 local-peer 1040")
            assert "ToCountryC" not in lab["CountryA"].point.router.linksets
            _untouched(lab, before)
            assert (await lab.view("CountryA", "ping cs7 7.7.1"))["received"] == 1
            for name in ("CountryA", "CountryC"):
                _matches(lab, name)

    run(main())


def test_shutdown_of_a_link_and_of_a_linkset() -> None:
    async def main() -> None:
        async with running() as lab:
            before = lab.counters(*SERVICE)
            shell = await lab.shell("CountryB")
            await shell.type("conf t", "cs7 linkset ToCountryC", "link 0", "shutdown")
            view = (await lab.view("CountryB", "show cs7 linkset ToCountryC"))[0]
            assert view["links"][0]["service"] == "shutdown"
            await until(lambda: lab["CountryC"].point.router.linksets["ToCountryB"].available == [])
            assert (await lab.view("CountryB", "ping cs7 7.7.1"))["received"] == 1  # by D
            await shell.type("no shutdown")
            await lab.settle()
            await shell.type("exit", "shutdown")
            view = (await lab.view("CountryB", "show cs7 linkset ToCountryC"))[0]
            assert view["state"] == "shutdown"
            _matches(lab, "CountryB")
            await shell.type("no shutdown")
            await lab.settle()
            _untouched(lab, before, "CountryB:ToCountryC", "CountryC:ToCountryB")
            assert (await lab.view("CountryB", "show cs7 linkset ToCountryC"))[0][
                "state"
            ] == "avail"

    run(main())


@pytest.mark.parametrize(
    ("mode", "line"),
    [
        ([], "cs7 linkset ToCountryB 1.2.3"),  # its own point code
        ([], "cs7 linkset Elsewhere 9.9.9"),
        ([], "no cs7 local-peer 1024"),  # a link starts there
        ([], "no cs7 point-code"),
        (["cs7 local-peer 1024"], "no local-ip 10.0.5.1"),
        (["cs7 linkset ToCountryB"], "link 1 sctp 10.0.5.2 7777 7777"),  # no such local-peer
        (["cs7 linkset ToCountryB"], "link 0 sctp 10.0.5.9 1024 1024"),
        (["cs7 route-table system"], "update route 7.0.0/3 linkset Nowhere"),
        (["cs7 route-table system"], "update route 7.7.7/3 linkset ToCountryB"),
        (["cs7 route-table system"], "update route 7.0.0/3 linkset ToCountryB priority 99"),
        ([], "utter nonsense"),
    ],
)
def test_a_refused_command_changes_nothing(mode: list[str], line: str) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            before, config = lab.counters(*SERVICE), lab["CountryA"].config.copy()
            shell = await lab.shell("CountryA")
            await shell.type("conf t", *mode)
            said = await shell.type(line)
            assert "%" in said, said
            assert lab["CountryA"].config == config
            _untouched(lab, before)
            _matches(lab, "CountryA")

    run(main())


@pytest.mark.parametrize("problem", [TrunklineError("sctp.bind", "no such address"), KeyError("x")])
def test_what_cannot_be_opened_is_undone(problem: Exception) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            before, config = lab.counters(*SERVICE), lab["CountryA"].config.copy()
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 local-peer 1040", "local-ip 10.0.40.1")
            await shell.type("exit", "cs7 linkset ToCountryC 7.7.1")
            kept = lab["CountryA"].config.copy()
            lab.stack("CountryA").refuse = problem
            if isinstance(problem, TrunklineError):
                assert await shell.type("link 0 sctp 10.0.40.2 1040 1040") == "% no such address"
            else:
                with pytest.raises(TrunklineError, match="KeyError"):
                    await shell.type("link 0 sctp 10.0.40.2 1040 1040")
            assert lab["CountryA"].config == kept != config
            _untouched(lab, before)
            _matches(lab, "CountryA")
            assert await shell.type("link 0 sctp 10.0.40.2 1040 1040") == ""
            _matches(lab, "CountryA")

    run(main(), faults=0 if isinstance(problem, TrunklineError) else 1)


def test_a_local_address_that_cannot_be_used_brings_the_old_one_back() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 local-peer 1024")
            config = lab["CountryA"].config.copy()
            lab.stack("CountryA").refuse = TrunklineError("sctp.bind", "no such address")
            assert await shell.type("local-ip 10.0.50.1") == "% no such address"
            assert lab["CountryA"].config == config
            _matches(lab, "CountryA")
            await lab.settle()
            assert (await lab.view("CountryA", "ping cs7 7.7.1"))["received"] == 1

    run(main())


def test_another_point_code_makes_the_node_anew() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 point-code 1.2.5")
            b = await lab.shell("CountryB")
            await b.type("conf t", "no cs7 linkset ToCountryA", "cs7 linkset ToCountryA 1.2.5")
            assert await b.type("link 0 sctp 10.0.5.1 1024 1024") == ""
            await lab.settle()
            assert (await lab.call("CountryA", "node.status"))["point_code"] == "1.2.5"
            assert (await lab.view("CountryB", "ping cs7 1.2.5"))["received"] == 1
            _matches(lab, "CountryA")
            _matches(lab, "CountryB")

    run(main())


def test_an_identity_that_cannot_be_taken_leaves_everything_as_it_was() -> None:
    async def main() -> None:
        async with running() as lab:
            before = lab.counters(*SERVICE)
            shell = await lab.shell("ExchangeA")
            await shell.type("conf t")
            config = lab["ExchangeA"].config.copy()
            # the exchange has a trunk to 7.8.2, and so cannot be it
            said = await shell.type("cs7 point-code 7.8.2")
            assert said == (
                "% trunk ToExchangeD of ExchangeA leads to 7.8.2, which is this exchange itself"
            )
            assert lab["ExchangeA"].config == config
            _untouched(lab, before)
            lab.stack("ExchangeA").refuse = TrunklineError("sctp.bind", "no such address")
            assert await shell.type("cs7 point-code 1.2.7") == "% no such address"
            assert lab["ExchangeA"].config == config
            _matches(lab, "ExchangeA")
            _untouched(lab, before, "ExchangeA:ToCountryA", "CountryA:ToExchangeA")
            await lab.settle()
            assert (await lab.view("ExchangeA", "ping cs7 7.8.2"))["received"] == 1

    run(main())


def test_two_shells_see_each_others_changes_and_a_failing_ping_undoes_nothing() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            one, two = await lab.shell("CountryA"), await lab.shell("CountryA")
            await one.type("conf t")
            await one.type("hostname Alpha")
            await two.type("show version")
            assert two.prompt == "Alpha#"
            assert await two.type("ping cs7 1.2.3 size 252") == ""
            assert lab["CountryA"].config.hostname == "Alpha"

    run(main())


def test_a_ping_cut_short_by_a_new_identity_does_not_undo_it() -> None:
    async def main() -> None:
        import asyncio

        from tests.elements.support import Client

        async with running(SEED) as lab:
            pinging = await Client.to(lab["CountryA"])
            task = asyncio.ensure_future(
                pinging.call("exec", line="ping cs7 7.7.1 count 100 interval 1000")
            )
            await asyncio.sleep(3)
            shell = await lab.shell("CountryA")
            assert await shell.type("conf t", "cs7 point-code 1.2.5") == ""
            with pytest.raises(TrunklineError, match="ended meanwhile") as ended:
                await task
            assert ended.value.code == "node.ping-ended"
            assert lab["CountryA"].config.format_pc(lab["CountryA"].config.point_code or 0) == (
                "1.2.5"
            )
            assert lab["CountryA"]._pings == {}
            await pinging.close()

    run(main())


def test_a_cut_ends_with_the_link_that_it_cut() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            await lab.call("CountryA", "link.block", linkset="ToCountryB", slc=0, blocked=True)
            await lab.call("CountryA", "link.block", linkset="ToCountryB", slc=0, blocked=True)
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 linkset ToCountryB", "no link 0")
            assert lab.wire.cuts == set()
            await shell.type("link 0 sctp 10.0.5.2 1024 1024")
            await lab.settle()

    run(main())


def test_write_then_restart_then_a_clean_end(runtime: Path) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 route-table system")
            await shell.type("update route 2.2.2/14 linkset ToCountryB priority 7", "end")
            said = await shell.type("write")
            startup = lab["CountryA"].startup_file
            assert said.startswith("Building configuration...\n[OK]\n")
            assert str(startup) in said
            assert startup.is_relative_to(runtime)
            saved = lab["CountryA"].config.copy()
            await lab.kill("CountryA")
            node = await lab.add(plan_of(SEED, "CountryA"))
            assert node.config == saved
            notes = [bare(str(line)) for line in node.log.lines]
            assert notes[0] == (f"%SYS-5-CONFIG_I: Configured from {startup}, which `write` saved")
            await lab.settle()
            _matches(lab, "CountryA")
            startup.parent.chmod(0o500)
            try:
                refused = await (await lab.shell("CountryA")).type("write memory")
            finally:
                startup.parent.chmod(0o700)
            assert refused.startswith(("% ", "Building"))  # root writes anyway

    run(main())


def test_write_says_why_it_cannot() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            node = lab["CountryA"]
            node.startup_file = Path("/nonexistent/A.startup.cfg")
            with pytest.raises(TrunklineError, match="No such file") as refused:
                await lab.exec("CountryA", "write")
            assert refused.value.code == "node.write"

    run(main())


def test_the_running_configuration_loads_again() -> None:
    async def main() -> None:
        async with running() as lab:
            for name, node in lab.nodes.items():
                text = await lab.exec(name, "show running-config")
                assert load([("running", text)]).config == node.config
                assert (await lab.view(name, "show running-config"))["text"] == text

    run(main())
