"""The way from one configuration to another: complete, and safe at every step."""

from __future__ import annotations

from hypothesis import given, settings
from tests.config.cisco.strategies import configs

from trunkline.config.cisco import Change, Cs7Config, Link, Linkset, LocalPeer, changes, diff, load

BASE = """\
hostname A
cs7 variant itu
cs7 point-code 1.2.3
cs7 local-peer 1024
 local-ip 10.0.5.1
cs7 linkset ToB 4.5.6
 link 0 sctp 10.0.5.2 1024 1024
cs7 route-table system
 update route 7.7.1/14 linkset ToB
"""


def apply(config: Cs7Config, change: Change) -> None:
    """Do one change, insisting on what a running node would need for it."""
    match change:
        case changes.HostnameChanged(hostname):
            config.hostname = hostname
        case changes.NodeChanged(variant, indicator, point_code):
            config.variant, config.network_indicator = variant, indicator
            config.point_code = point_code
        case changes.InterfacesChanged():
            pass
        case changes.LocalPeerAdded(port, ips):
            assert port not in config.local_peers
            config.local_peers[port] = LocalPeer(port, list(ips))
        case changes.LocalPeerChanged(port, ips):
            assert not users(config, port)
            config.local_peers[port].ips = list(ips)
        case changes.LocalPeerRemoved(port):
            assert not users(config, port)
            del config.local_peers[port]
        case changes.LinksetAdded(name, apc, shutdown):
            assert name not in config.linksets
            config.linksets[name] = Linkset(name, apc, shutdown=shutdown)
        case changes.LinksetRemoved(name):
            assert not config.linksets[name].links
            assert name not in {route.linkset for route in config.routes}
            del config.linksets[name]
        case changes.LinksetShutdown(name, shutdown):
            assert config.linksets[name].shutdown != shutdown
            config.linksets[name].shutdown = shutdown
        case changes.LinkAdded(name, slc, ips, local_port, remote_port, shutdown):
            assert slc not in config.linksets[name].links
            assert local_port in config.local_peers
            link = Link(slc, ips, local_port, remote_port, shutdown)
            assert not any(same_association(link, other) for other in users(config, local_port))
            config.linksets[name].links[slc] = link
        case changes.LinkRemoved(name, slc):
            del config.linksets[name].links[slc]
        case changes.LinkShutdown(name, slc, shutdown):
            assert config.linksets[name].links[slc].shutdown != shutdown
            config.linksets[name].links[slc].shutdown = shutdown
        case changes.RouteAdded(route):
            assert route.linkset in config.linksets
            assert route.key not in {present.key for present in config.routes}
            config.routes.append(route)
        case changes.RouteChanged(route):
            (index,) = [i for i, r in enumerate(config.routes) if r.key == route.key]
            config.routes[index] = route
        case changes.RouteRemoved(route):
            config.routes.remove(route)


def users(config: Cs7Config, port: int) -> list[Link]:
    return [
        link
        for linkset in config.linksets.values()
        for link in linkset.links.values()
        if link.local_port == port
    ]


def same_association(one: Link, other: Link) -> bool:
    return one.remote_port == other.remote_port and bool(
        set(one.remote_ips) & set(other.remote_ips)
    )


def unordered(config: Cs7Config) -> Cs7Config:
    """The order of routes means nothing to a router, and interfaces are not applied."""
    copy = config.copy()
    copy.routes.sort(key=lambda route: route.key)
    copy.interfaces.clear()
    return copy


@settings(deadline=None)
@given(configs(), configs())
def test_the_changes_lead_from_one_to_the_other_safely(old: Cs7Config, new: Cs7Config) -> None:
    at = old.copy()
    for change in diff(old, new):
        apply(at, change)
    assert unordered(at) == unordered(new)
    assert diff(old, old.copy()) == []


def between(overlay: str) -> list[Change]:
    old = load([("base", BASE)]).config
    return diff(old, load([("base", BASE), ("overlay", overlay)]).config)


def test_a_route_is_replaced_make_before_break() -> None:
    added, removed = between(
        "cs7 route-table system\n"
        " no update route 7.7.1/14 linkset ToB\n"
        " update route 7.0.0/3 linkset ToB\n"
    )
    assert isinstance(added, changes.RouteAdded)
    assert isinstance(removed, changes.RouteRemoved)


def test_a_priority_changes_in_place() -> None:
    (change,) = between("cs7 route-table system\n update route 7.7.1 linkset ToB priority 2\n")
    assert isinstance(change, changes.RouteChanged)
    assert change.route.priority == 2


def test_a_further_local_ip_sets_the_peer_s_links_up_anew() -> None:
    assert [type(c).__name__ for c in between("cs7 local-peer 1024\n local-ip 10.0.6.1\n")] == [
        "LinkRemoved",
        "LocalPeerChanged",
        "LinkAdded",
    ]


def test_another_link_is_not_touched() -> None:
    overlay = "cs7 linkset ToB\n link 1 sctp 10.0.6.2 1024 1024\n  shutdown\n"
    assert between(overlay) == [
        changes.LinkAdded("ToB", 1, ("10.0.6.2",), 1024, 1024, shutdown=True)
    ]


def test_shutdown_and_back() -> None:
    (linkset,) = between("cs7 linkset ToB\n shutdown\n")
    assert linkset == changes.LinksetShutdown("ToB", shutdown=True)
    (link,) = between("cs7 linkset ToB\n link 0\n  shutdown\n")
    assert link == changes.LinkShutdown("ToB", 0, shutdown=True)


def test_the_node_itself_comes_first() -> None:
    first, *_ = between("cs7 point-code 1.2.4\ncs7 linkset ToC 7.7.1\n")
    assert isinstance(first, changes.NodeChanged)
