"""The four countries, from their own files: what an operator reads at their shells.

The transcripts keep the columns of the lab text that users come from, trailing blanks included.
"""

from __future__ import annotations

import re

import pytest
from tests.elements.clock import run
from tests.elements.support import EXAMPLES, SEED_NODES, bare, plan_of, running, until

SEED = EXAMPLES / "four-countries" / "seed.toml"

LINKSETS_OF_B = """\
lsn=ToCountryA          apc=1.2.3         state=avail     avail/links=1/1
  SLC  Interface                    Service   PeerState         Inhib
  00   10.0.5.1 1024 1024           avail     InService         -----

lsn=ToCountryC          apc=7.7.1         state=avail     avail/links=1/1
  SLC  Interface                    Service   PeerState         Inhib
  00   10.0.6.2 1025 1025           avail     InService         -----

lsn=ToCountryD          apc=7.8.1         state=avail     avail/links=1/1
  SLC  Interface                    Service   PeerState         Inhib
  00   10.0.7.2 1026 1026           avail     InService         -----
"""

ROUTES_OF_A = "\n".join(  # joined, so that the blanks at the ends of its lines can be seen
    [
        "Dynamic Routes 0 of 1000",
        "",
        "Routing table = system Destinations = 2 Routes = 2",
        "",
        "Destination            Prio Linkset Name        Route",
        "---------------------- ---- ------------------- -------        ",
        "4.5.6/14         acces   1  ToCountryB          avail          ",
        "7.0.0/3          acces   5  ToCountryB          avail          ",
        "",
    ]
)

ROUTES_OF_B = "\n".join(
    [
        "Dynamic Routes 0 of 1000",
        "",
        "Routing table = system Destinations = 6 Routes = 7",
        "",
        "Destination            Prio Linkset Name        Route",
        "---------------------- ---- ------------------- -------        ",
        "1.2.0/11         acces   5  ToCountryA          avail          ",
        "1.2.3/14         acces   1  ToCountryA          avail          ",
        "7.7.0/11         acces   6  ToCountryD          avail          ",
        "7.7.1/14         acces   1  ToCountryC          avail          ",
        "7.8.0/11         acces   5  ToCountryD          avail          ",
        "                         6  ToCountryC          avail          ",
        "7.8.1/14         acces   1  ToCountryD          avail          ",
        "",
    ]
)

EXPLAIN_C_AT_B = """\
7.7.1 (14393): sent on
  won   7.7.1/14 via ToCountryC (priority 1, direct)
  lost  7.7.0/11 via ToCountryD (priority 6)     shorter-mask
  SLS 0-15         ToCountryC:0
"""

DETAIL_OF_A = """\
Dynamic Routes 0 of 1000

Routing table = system Destinations = 2 Routes = 2

4.5.6/14 via ToCountryB, priority 1 (direct)
    destination accessible, route avail, linkset avail, management allowed
    first 4.5.6 last 4.5.6, MSUs sent 0
7.0.0/3 via ToCountryB, priority 5
    destination accessible, route avail, linkset avail, management allowed
    first 7.0.0 last 7.255.7, MSUs sent 0
"""


def test_the_lab_text_comes_up_and_every_country_reaches_every_other() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            assert await lab.exec("CountryB", "show cs7 linkset") == LINKSETS_OF_B
            assert await lab.exec("CountryA", "show cs7 route") == ROUTES_OF_A
            points = {name: lab[name].config.point_code for name in SEED_NODES}
            for name in SEED_NODES:
                for other, point_code in points.items():
                    view = await lab.view(name, f"ping cs7 {point_code}")
                    assert view["received"] == view["sent"] == 1, f"{name} to {other}"

    run(main())


def test_linksets_routes_and_explanations_with_the_overlay() -> None:
    async def main() -> None:
        async with running() as lab:
            assert await lab.exec("CountryB", "show cs7 linkset") == LINKSETS_OF_B
            one = await lab.exec("CountryB", "show cs7 linkset ToCountryC")
            assert one == LINKSETS_OF_B.split("\n\n")[1] + "\n"
            assert await lab.exec("CountryB", "show cs7 route") == ROUTES_OF_B
            assert await lab.exec("CountryB", "show cs7 route explain 7.7.1") == EXPLAIN_C_AT_B
            assert await lab.exec("CountryA", "show cs7 point-codes") == (
                "Point Code           Type\n"
                "-------------------- ------------\n"
                "1.2.3                local\n"
                "4.5.6                adjacent, linkset ToCountryB\n"
                "1.2.4                adjacent, linkset ToExchangeA\n"
            )

    run(main())


def test_the_views_behind_the_tables() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            assert await lab.exec("CountryA", "show cs7 route detail") == DETAIL_OF_A
            (linkset,) = await lab.view("CountryA", "show cs7 linkset")
            (link,) = linkset.pop("links")
            assert linkset == {
                "name": "ToCountryB",
                "adjacent": "4.5.6",
                "state": "avail",
                "links_available": 1,
                "links_total": 1,
            }
            assert link["remote"] == ["10.0.5.2"]
            assert (link["sctp"], link["peer_state"], link["service"], link["blocked"]) == (
                ("established", "InService", "avail", False)
            )
            assert await lab.call("CountryA", "ss7.linksets") == [{**linkset, "links": [link]}]
            statistics = await lab.exec("CountryA", "show cs7 m2pa statistics")
            assert statistics.startswith("ToCountryB:0 10.0.5.2 1024 1024\n")
            shown = dict(line.split() for line in statistics.splitlines()[1:] if line)
            assert shown == {name: str(figure) for name, figure in link["counters"].items()}
            table = await lab.view("CountryA", "show cs7 route")
            assert [route["destination"] for route in table["routes"]] == ["4.5.6/14", "7.0.0/3"]
            assert table["routes"][1]["last"] == "7.255.7"
            state = (await lab.exec("CountryA", "show cs7 m2pa state")).splitlines()
            assert [line.split()[:5] for line in state[2:]] == [
                ["ToCountryB", "00", "established", "InService", "avail"]
            ]

    run(main())


def test_a_ping_leaves_the_four_lines_of_the_lab_text() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            shell = await lab.shell("CountryC")
            assert await shell.type("ping cs7 1.2.3") == ""
            test = "Test Q.755 1.2.3: MTP Traffic test"
            rtt = 20  # two links each way, 5 ms each
            assert [bare(line) for line in shell.log] == [
                f"%CS7PING-6-RTT: {test} rtt {rtt}/{rtt}/{rtt}",
                f"%CS7PING-6-STAT: {test} 100% successful packets(1/1)",
                "%CS7PING-6-RATES: Test Q.755 1.2.3: Receive rate(pps:kbps) 1:0 "
                "Sent rate(pps:kbps) 1:0",
                f"%CS7PING-6-TERM: {test} terminated.",
            ]
            stamp = r"\*Nov 14 22:13:\d\d\.\d{3}: %CS7PING-6-RTT: "
            assert re.match(stamp, shell.log[0])
            view = await lab.view("CountryC", "ping cs7 1.2.3 count 5 interval 200 size 100")
            assert view["sent"] == view["received"] == len(view["rtt_ms"]) == 5
            assert view["loss"] == 0
            assert view["failure"] is None

    run(main())


def test_a_ping_to_nowhere_says_so_and_a_ping_to_oneself_answers() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            shell = await lab.shell("CountryA")
            await shell.type("ping cs7 3.3.3 count 2")
            said = [bare(line) for line in shell.log]
            assert said[0] == (
                "%CS7MTP3-4-DISCARD: mtp3.route.unknown: message for 3.3.3: no route covers it (1)"
            )
            assert [line.split(": ", 2)[2] for line in said if "PING" in line] == [
                "MTP Traffic test 0% successful packets(0/2)",
                "Receive rate(pps:kbps) 0:0 Sent rate(pps:kbps) 2:0",
                "MTP Traffic test terminated.",
            ]
            view = await lab.view("CountryA", "ping cs7 3.3.3")
            assert (view["received"], view["loss"], view["min"]) == (0, 100, None)
            assert view["failure"]
            own = await lab.view("CountryA", "ping cs7 1.2.3")
            assert own["received"] == 1

    run(main())


def test_a_route_that_is_typed_is_reported_as_in_the_lab_text() -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            shell = await lab.shell("CountryC")
            await shell.type("conf t", "cs7 route-table system")
            await shell.type("no update route 0.0.0/0 linkset ToCountryB")
            shell.log.clear()
            await shell.type("update route 0.0.0/0 linkset ToCountryB")
            assert [bare(line) for line in shell.log] == [
                "%CS7MTP3-5-DESTSTATUS: Destination 0.0.0 is accessible"
            ]

    run(main())


@pytest.mark.parametrize("overlay", [False, True])
def test_a_cut_of_b_d_isolates_d_only_without_the_overlay(overlay: bool) -> None:
    async def main() -> None:
        async with running(*(() if overlay else (SEED,))) as lab:
            await lab.call("CountryB", "link.block", linkset="ToCountryD", slc=0, blocked=True)
            await until(lambda: not lab["CountryB"].point.router.linksets["ToCountryD"].available)
            assert lab["CountryD"].point.router.linksets["ToCountryB"].available == []
            view = await lab.view("CountryA", "ping cs7 7.8.1")
            assert view["received"] == int(overlay)
            explained = await lab.call("CountryB", "ss7.explain", destination="7.8.1")
            losers = {loser["route"]: loser["reason"] for loser in explained["losers"]}
            direct = "7.8.1/14 via ToCountryD (priority 1, direct)"
            assert losers[direct] == "linkset-unavailable"
            if overlay:
                assert explained["winner"] == "7.8.0/11 via ToCountryC (priority 6)"
            else:
                assert explained["winner"] is None
            status = next(
                link
                for link in (await lab.call("CountryB", "node.status"))["links"]
                if link["linkset"] == "ToCountryD"
            )
            assert status["blocked"] is True
            assert (status["sctp"], status["mtp3"]) == ("down", "failed")
            await lab.call("CountryB", "link.block", linkset="ToCountryD", slc=0, blocked=False)
            await lab.settle()
            assert (await lab.view("CountryA", "ping cs7 7.8.1"))["received"] == 1
            shown = [bare(str(line)) for line in lab["CountryB"].log.lines]
            assert "%CS7MTP3-5-DESTSTATUS: Destination 7.8.1 is accessible" in shown

    run(main())


def test_a_node_that_is_killed_comes_back_and_its_neighbours_go_on() -> None:
    async def main() -> None:
        async with running() as lab:
            before = lab.counters("out_of_service")
            await lab.kill("CountryD")
            await lab.add(plan_of(EXAMPLES / "four-countries" / "network.toml", "CountryD"))
            await lab.settle()
            assert (await lab.view("CountryA", "ping cs7 7.8.1"))["received"] == 1
            after = lab.counters("out_of_service")
            moved = {key for key, figure in after.items() if figure != before[key]}
            assert moved <= {key for key in after if "CountryD" in key[0] + key[1]}
            association = lab.association("CountryB", "ToCountryD")
            assert association.stats().restarts == 1

    run(main())
