"""The lines of the seed course, word for word: trailing blanks, wrong prompts and all."""

from __future__ import annotations

from trunkline.config.cisco import Cs7Config, Link, Linkset, LocalPeer, load
from trunkline.ss7.pointcode import ITU, Prefix

PART_3_A = """\
CountryA(config)#cs7 variant itu 
CountryA(config)#cs7 network-indicator international 
CountryA(config)#cs7 point-code 1.2.3
CountryA(config)#cs7 local-peer 1024
CountryA(config-cs7-lp)#local-ip 10.0.5.1
CountryA(config)#cs7 linkset ToCountryB 4.5.6
CountryA(config-cs7-ls)#link 0 sctp 10.0.5.2 1024 1024
"""  # noqa: W291 - the course has these blanks

PART_3_B = """\
CountryB(config)#cs7 variant itu 
CountryB(config)#cs7 network-indicator international 
CountryB(config)#cs7 point-code 4.5.6
CountryB(config)#cs7 local-peer 1024
CountryB(config-cs7-lp)#local-ip 10.0.5.2
CountryB(config-cs7-lp)#exit
CountryB(config)#cs7 linkset ToCountryA 1.2.3
CountryB(config-cs7-ls)#link 0 sctp 10.0.5.1 1024 1024
"""  # noqa: W291

PART_4_A = """\
CountryA(config)# cs7 route-table system
CountryA(config-cs7-rt)#update route 7.0.0/3 linkset ToCountryB
CountryA(config-cs7-rt)#no update route 7.7.1/14 linkset ToCountryB
CountryA#show cs7 route 
Dynamic Routes 0 of 1000

Routing table = system Destinations = 3 Routes = 3

Destination            Prio Linkset Name        Route
---------------------- ---- ------------------- -------        
4.5.6/14         acces   1  ToCountryB          avail          
7.0.0/3          acces   5  ToCountryB          avail          


CountryA#ping cs7 7.8.1
*Jan 01 07:28:19.503: %CS7PING-6-RTT: Test Q.755 7.8.1: MTP Traffic test rtt 84/84/84
*Jan 01 07:28:19.503: %CS7PING-6-STAT: Test Q.755 7.8.1: MTP Traffic test 100% successful packets(1/1)
*Jan 01 07:28:19.503: %CS7PING-6-RATES: Test Q.755 7.8.1: Receive rate(pps:kbps) 1:0  Sent rate(pps:kbps) 1:0 
*Jan 01 07:28:19.507: %CS7PING-6-TERM: Test Q.755 7.8.1: MTP Traffic test terminated.
CountryA#ping cs7 7.7.1
"""  # noqa: E501, W291

PART_4_B = """\
CountryB#show cs7 linkset 
lsn=ToCountryA          apc=1.2.3         state=avail     avail/links=1/1
  SLC  Interface                    Service   PeerState         Inhib
  00   10.0.5.1 1024 1024           avail     InService         -----

lsn=ToCountryC          apc=7.7.1         state=avail     avail/links=1/1
  SLC  Interface                    Service   PeerState         Inhib
  00   10.0.6.2 1025 1025           avail     InService         -----
"""  # noqa: W291

PART_4_C = """\
CountryC#conf t
Enter configuration commands, one per line.  End with CNTL/Z.
CountryC(config)#cs7 route-table system
CountryC(config)#update route 0.0.0/0 linkset ToCountryB
*Jan 01 05:37:28.879: %CS7MTP3-5-DESTSTATUS: Destination 0.0.0 is accessible
CountryC# ping cs7 1.2.3
*Jan 01 06:28:53.699: %CS7PING-6-RTT: Test Q.755 1.2.3: MTP Traffic test rtt 48/48/48
*Jan 01 06:28:53.699: %CS7PING-6-TERM: Test Q.755 1.2.3: MTP Traffic test terminated.
"""


def country_a() -> Cs7Config:
    return Cs7Config(
        hostname="CountryA",
        variant=ITU,
        network_indicator=0,
        point_code=2067,
        local_peers={1024: LocalPeer(1024, ["10.0.5.1"])},
        linksets={
            "ToCountryB": Linkset(
                "ToCountryB", ITU.parse("4.5.6"), {0: Link(0, ("10.0.5.2",), 1024, 1024)}
            )
        },
    )


def test_part_3_country_a() -> None:
    result = load([("CountryA.cfg", PART_3_A)])
    assert result.config == country_a()
    assert result.warnings == ()
    assert result.ignored == ()


def test_part_3_country_b() -> None:
    config = load([("CountryB.cfg", PART_3_B)]).config
    assert config.hostname == "CountryB"
    assert config.linksets["ToCountryA"].apc == 2067
    assert config.local_peers[1024].ips == ["10.0.5.2"]


def test_part_4_country_a_goes_over_part_3() -> None:
    result = load([("part3.cfg", PART_3_A), ("part4.cfg", PART_4_A)])
    assert [(r.prefix, r.linkset, r.priority) for r in result.config.routes] == [
        (Prefix.parse("7.0.0/3", ITU), "ToCountryB", None)
    ]
    # The text removes a route that it only showed in a picture.
    assert [(w.code, w.location.line if w.location else 0) for w in result.warnings] == [
        ("config.unknown-route", 3)
    ]


def test_part_4_country_a_removes_the_route_of_the_picture() -> None:
    picture = "cs7 route-table system\n update route 7.7.1/14 linkset ToCountryB\n"
    result = load([("part3", PART_3_A), ("picture", picture), ("part4", PART_4_A)])
    assert [route.prefix.format() for route in result.config.routes] == ["7.0.0/3"]
    assert result.warnings == ()


def test_part_4_output_of_country_b_changes_nothing() -> None:
    alone = load([("part3.cfg", PART_3_B)])
    assert load([("part3.cfg", PART_3_B), ("part4.cfg", PART_4_B)]) == alone


def test_part_4_country_c_shows_the_outer_prompt_in_the_inner_mode() -> None:
    base = (
        PART_3_B.replace("CountryB", "CountryC")
        .replace("point-code 4.5.6", "point-code 7.7.1")
        .replace("ToCountryA 1.2.3", "ToCountryB 4.5.6")
    )
    result = load([("part3.cfg", base), ("part4.cfg", PART_4_C)])
    assert [(r.prefix.format(), r.linkset) for r in result.config.routes] == [
        ("0.0.0/0", "ToCountryB")
    ]
    assert result.ignored == ()


def test_the_course_s_mask_of_3_4_0_is_taken_as_written() -> None:
    text = PART_3_A + "CountryA(config)#cs7 route-table system\n"
    text += "CountryA(config-cs7-rt)#update route 3-4-0/9 linkset ToCountryB\n"
    (route,) = load([("a.cfg", text)]).config.routes
    # It reaches to 3-7-7, not to 3-6-7 as the course has it.
    assert ITU.format(route.prefix.last, "dashed") == "3-7-7"
