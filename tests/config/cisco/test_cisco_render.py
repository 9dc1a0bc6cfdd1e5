"""Load, print, load: the same configuration, and the same text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.config.cisco.strategies import configs

from trunkline.config.cisco import Cs7Config, check, load, render

EVERYTHING = """\
!
hostname CountryB
!
cs7 variant itu
cs7 network-indicator international
cs7 point-code 4.5.6
!
interface FastEthernet0/0
 ip address 10.0.5.2 255.255.255.0
 ip address 10.0.7.2 255.255.255.0 secondary
!
interface FastEthernet0/1
 no ip address
 shutdown
!
cs7 local-peer 1024
 local-ip 10.0.5.2
 local-ip 10.0.7.2
!
cs7 linkset ToCountryA 1.2.3
 shutdown
 link 0 sctp 10.0.5.1 10.0.7.1 1024 1024
 link 1 sctp 10.0.5.1 1024 1025
  shutdown
!
cs7 route-table system
 update route 7.0.0/3 linkset ToCountryA
 update route 1.2.4/14 linkset ToCountryA priority 2
!
end
"""


def test_the_order_and_indentation_of_show_running_config() -> None:
    assert render(load([("b.cfg", EVERYTHING)]).config) == EVERYTHING


@settings(deadline=None)
@given(configs())
def test_load_render_load(config: Cs7Config) -> None:
    assert not check(config).errors
    text = render(config)
    again = load([("rendered.cfg", text)]).config
    assert again == config
    assert render(again) == text


@settings(deadline=None)
@given(configs())
def test_a_copy_is_equal_and_shares_nothing(config: Cs7Config) -> None:
    before = render(config)
    copy = config.copy()
    assert copy == config
    for linkset in copy.linksets.values():
        linkset.shutdown = not linkset.shutdown
        linkset.links.clear()
    for peer in copy.local_peers.values():
        peer.ips.clear()
    for interface in copy.interfaces.values():
        interface.addresses.clear()
    copy.routes.clear()
    assert render(config) == before


@pytest.mark.parametrize("variant", ["itu", "itu-national", "etsi", "ansi", "china", "ttc"])
def test_variants_print_as_they_are_read(variant: str) -> None:
    text = f"cs7 variant {variant}\ncs7 point-code 2067\n"
    assert f"cs7 variant {variant}\n" in render(load([("a", text)]).config)
