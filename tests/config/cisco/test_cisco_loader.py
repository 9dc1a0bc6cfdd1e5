"""Files, ``show running-config``, transcripts, layers: what is taken and what is passed over."""

from __future__ import annotations

import pytest

from trunkline.config.cisco import (
    ConfigErrors,
    Cs7Config,
    InterfaceAddress,
    Location,
    load,
    running_config,
)
from trunkline.ss7.pointcode import VARIANTS

# A whole file as a router of the family prints it; names and addresses are our own.
RUNNING = """\
CountryB#show running-config
Building configuration...

Current configuration : 1722 bytes
!
! Last configuration change at 05:40:00 UTC Mon Jan 1 2024
version 12.4
service timestamps debug datetime msec
no service password-encryption
!
hostname CountryB
!
boot-start-marker
boot-end-marker
!
no aaa new-model
ip cef
no ip domain lookup
multilink bundle-name authenticated
!
cs7 variant itu
cs7 network-indicator international
cs7 point-code 4.5.6
!
crypto pki certificate chain TP
 certificate self-signed 01
  3082 0240 3082
  \tquit
!
interface FastEthernet0/0
 description to A # the first
 ip address 10.0.5.2 255.255.255.0
 ip address 10.0.5.3 255.255.255.0 secondary
 duplex auto
 --More--          speed auto
!
interface FastEthernet0/1
 no ip address
 shutdown
!
interface fa 1/0
 ip address dhcp
!
cs7 local-peer 1024
 local-ip 10.0.5.2
!
cs7 linkset ToCountryA 1.2.3
 route all table system
 link 0 sctp 10.0.5.1 1024 1024
!
cs7 route-table system
 update route 7.0.0 7.0.0 linkset ToCountryA priority 2
ip forward-protocol nd
no ip http server
!
banner motd ^C
cs7 is not for you
CountryZ#
^C
line vty 0 4
 password cs7
 login
!
end

CountryB#
"""


def test_a_whole_running_config_loads() -> None:
    result = load([("CountryB.cfg", RUNNING)])
    config = result.config
    assert config.hostname == "CountryB"
    assert config.point_code == 8238
    assert config.interfaces["FastEthernet0/0"].addresses == [
        InterfaceAddress("10.0.5.2", "255.255.255.0"),
        InterfaceAddress("10.0.5.3", "255.255.255.0"),
    ]
    assert config.interfaces["FastEthernet0/1"].shutdown
    assert list(config.interfaces) == ["FastEthernet0/0", "FastEthernet0/1", "FastEthernet1/0"]
    (route,) = config.routes
    assert (route.prefix.format(), route.priority) == ("7.0.0/3", 2)
    assert result.warnings == ()


def test_other_ios_lines_are_listed_once_with_what_belongs_to_them() -> None:
    ignored = [(i.text, i.lines) for i in load([("CountryB.cfg", RUNNING)]).ignored]
    assert ("ip cef", 1) in ignored
    assert ("crypto pki certificate chain TP", 4) in ignored
    assert ("line vty 0 4", 3) in ignored
    assert ("duplex auto", 1) in ignored
    assert not [text for text, _ in ignored if text.startswith(("version", "cs7", "!"))]


def test_the_same_without_prompt_and_with_dos_line_ends() -> None:
    lines = RUNNING.splitlines()[1:-2]
    text = "\ufeff" + "\r\n".join(lines)
    assert load([("b.cfg", text)]).config == load([("b.cfg", RUNNING)]).config


def test_our_own_running_config_loads() -> None:
    config = load([("b.cfg", RUNNING)]).config
    assert load([("again.cfg", running_config(config))]).config == config


def test_an_indented_paste() -> None:
    text = "\n".join(f"    {line}".rstrip() for line in RUNNING.splitlines() if "More" not in line)
    assert load([("b.cfg", text)]).config == load([("b.cfg", RUNNING)]).config


BASE = """\
hostname A
cs7 variant itu
cs7 point-code 1.2.3
cs7 local-peer 1024
 local-ip 10.0.5.1
cs7 linkset ToB 4.5.6
 link 0 sctp 10.0.5.2 1024 1024
"""


def test_layers_go_one_over_the_other() -> None:
    overlay = """\
! the overlay
cs7 local-peer 1025
 local-ip 10.0.6.1
cs7 linkset ToC 7.7.1
 link 0 sctp 10.0.6.2 1025 1025
cs7 linkset ToB
 shutdown
 no link 0
 link 1 sctp 10.0.5.2 10.0.6.3 1024 1024
  shutdown
 link 1
  no shutdown
"""
    config = load([("base", BASE), ("overlay", overlay)]).config
    assert list(config.linksets) == ["ToB", "ToC"]
    to_b = config.linksets["ToB"]
    assert to_b.shutdown
    assert list(to_b.links) == [1]
    assert to_b.links[1].remote_ips == ("10.0.5.2", "10.0.6.3")
    assert not to_b.links[1].shutdown


def test_each_part_knows_its_line() -> None:
    config = load(
        [("base", BASE), ("more", "cs7 route-table system\n up ro 7.0.0/3 li ToB")]
    ).config
    assert config.linksets["ToB"].source == Location("base", 6, 1)
    assert config.linksets["ToB"].links[0].source == Location("base", 7, 2)
    assert config.local_peers[1024].source == Location("base", 4, 1)
    assert config.routes[0].source == Location("more", 2, 2)


def test_no_forms() -> None:
    overlay = """\
cs7 route-table system
 update route 7.0.0/3 linkset ToB
no cs7 route-table system
no cs7 linkset ToB 4.5.6
no cs7 local-peer 1024
no cs7 point-code
no cs7 network-indicator international
no cs7 variant
no hostname A
interface FastEthernet0/0
 ip address 10.0.0.1 255.0.0.0
 no ip address 10.0.0.1 255.0.0.0
no interface FastEthernet0/0
"""
    assert load([("base", BASE), ("overlay", overlay)]).config == Cs7Config()


def test_commands_of_exec_mode_in_a_plain_file_change_nothing() -> None:
    text = f"enable\nconf t\n{BASE}end\nwrite memory\ncopy run start\nshow cs7 route\n"
    assert load([("a", text)]) == load([("a", "\n\n" + BASE)])


def test_a_command_that_the_router_rejected_is_passed_over() -> None:
    text = """\
A(config)#cs7 point-code 9.9.9
                         ^
% Invalid input detected at '^' marker.

A(config)#cs7 point-code 1.2.3
A(config)#cs7 ?
  as          Configure
A(config)#cs7 point-code ?
"""
    config = load([("a", text)]).config
    assert config.point_code == 2067


def test_a_rejection_is_that_of_the_line_above_only() -> None:
    text = "A(config)#cs7 point-code 1.2.3\nA(config)#cs7\n% Incomplete command.\n"
    assert load([("a", text)]).config.point_code == 2067


def test_typed_ahead_lines_below_a_prompt_are_taken_and_output_is_not() -> None:
    text = """\
A(config)#cs7 variant itu
cs7 point-code 1.2.3
% some remark of the router
and another
A(config)#cs7 local-peer 1024
 local-ip 10.0.5.1
"""
    result = load([("a", text)])
    assert result.config.point_code == 2067
    assert result.config.local_peers[1024].ips == ["10.0.5.1"]
    assert [(i.text, i.lines) for i in result.ignored] == [("% some remark of the router", 2)]


def test_a_router_is_named_in_its_transcript() -> None:
    text = (
        "Router>enable\nRouter#conf t\nRouter(config)#hostname A\nA(config)#cs7 point-code 1.2.3\n"
    )
    config = load([("a", text)]).config
    assert (config.hostname, config.point_code) == ("A", 2067)


def test_lines_of_modes_that_we_lack_are_ignored() -> None:
    text = "A(config)#router ospf 1\nA(config-router)#network 10.0.0.0 0.0.0.255 area 0\n"
    assert [i.text for i in load([("a", text)]).ignored] == [
        "router ospf 1",
        "network 10.0.0.0 0.0.0.255 area 0",
    ]


@pytest.mark.parametrize(
    ("first", "second", "peers", "local"),
    [
        (1024, 1025, [1024], 1024),  # as the course has it
        (1024, 1025, [1025], 1025),  # as the routers write it
        (1024, 1025, [1024, 1025], 1024),  # both could be: the course decides
        (1024, 1024, [1024], 1024),
    ],
)
@pytest.mark.parametrize("peers_first", [True, False])
def test_which_port_is_the_local_one(
    first: int, second: int, peers: list[int], local: int, peers_first: bool
) -> None:
    local_peers = "".join(f"cs7 local-peer {port}\n local-ip 10.0.5.1\n" for port in peers)
    linkset = f"cs7 linkset ToB 4.5.6\n link 0 sctp 10.0.5.2 {first} {second}\n"
    text = "cs7 point-code 1.2.3\n"
    text += local_peers + linkset if peers_first else linkset + local_peers
    result = load([("a", text)])
    link = result.config.linksets["ToB"].links[0]
    assert (link.local_port, link.remote_port) == (local, first + second - local)
    codes = [w.code for w in result.warnings]
    assert codes == ([] if first == second else ["config.port-order"])


@pytest.mark.parametrize("word", ["ansi", "china", "itu", "itu-national", "etsi", "ttc", "ntt"])
def test_every_variant(word: str) -> None:
    config = load([("a", f"cs7 variant {word}\ncs7 point-code 1.2.3\n")]).config
    assert config.variant == VARIANTS.get(word, VARIANTS["japan"])
    assert config.point_code == config.variant.parse("1.2.3")


def test_an_empty_file_is_a_router_without_ss7() -> None:
    assert load([("a", "")]).config == Cs7Config()
    assert load([]).config == Cs7Config()


def test_a_long_line_is_refused_where_it_matters_only() -> None:
    assert load([("a", "snmp-server contact " + "x" * 5000)]).config == Cs7Config()
    with pytest.raises(ConfigErrors):
        load([("a", "cs7 linkset " + "x" * 5000 + " 1.2.3")])
