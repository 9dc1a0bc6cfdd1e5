"""Random configurations that can run: they pass the check as a whole without an error."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from trunkline.config.cisco import (
    Cs7Config,
    Interface,
    InterfaceAddress,
    Link,
    Linkset,
    LocalPeer,
    Route,
)
from trunkline.ss7.pointcode import VARIANTS, Prefix

names = st.text(string.ascii_letters + string.digits + "-_.!|/#", min_size=1, max_size=19)
hostnames = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,20}", fullmatch=True)
ports = st.integers(1, 65535)


@st.composite
def configs(draw: st.DrawFn) -> Cs7Config:
    variant = draw(st.sampled_from(list(VARIANTS.values())))
    pcs = st.integers(0, variant.last)
    config = Cs7Config(
        hostname=draw(hostnames),
        variant=variant,
        network_indicator=draw(st.integers(0, 3)),
        point_code=draw(pcs),
    )
    for number in draw(st.lists(st.integers(0, 9), unique=True, max_size=3)):
        name = f"FastEthernet{number}/0"
        addresses = [
            InterfaceAddress(f"10.0.{number}.{host}", "255.255.255.0")
            for host in draw(st.lists(st.integers(1, 254), unique=True, max_size=3))
        ]
        config.interfaces[name] = Interface(name, addresses, draw(st.booleans()))
    for port in draw(st.lists(ports, unique=True, min_size=1, max_size=4)):
        hosts = draw(st.lists(st.integers(1, 254), unique=True, min_size=1, max_size=3))
        config.local_peers[port] = LocalPeer(port, [f"10.0.{host % 10}.{host}" for host in hosts])
    # No two links share an address of the peer, and none is one of ours.
    remote_ips = (f"10.{net}.{host}.1" for net in range(1, 255) for host in range(256))
    taken = {config.point_code}
    for name in draw(st.lists(names, unique=True, max_size=4)):
        apc = draw(pcs.filter(lambda pc: pc not in taken))
        taken.add(apc)
        linkset = Linkset(name, apc, shutdown=draw(st.booleans()))
        for slc in draw(st.lists(st.integers(0, 15), unique=True, max_size=4)):
            linkset.links[slc] = Link(
                slc,
                tuple(next(remote_ips) for _ in range(draw(st.integers(1, 3)))),
                draw(st.sampled_from(list(config.local_peers))),
                draw(ports),
                draw(st.booleans()),
            )
        config.linksets[name] = linkset
    if config.linksets:
        keys = st.tuples(
            st.builds(lambda pc, length: Prefix.of(pc, length, variant), pcs, st.integers(0, 14)),
            st.sampled_from(list(config.linksets)),
        )
        for prefix, linkset_name in draw(st.lists(keys, unique=True, max_size=6)):
            priority = draw(st.none() | st.integers(1, 9))
            config.routes.append(Route(prefix, linkset_name, priority))
    return config
