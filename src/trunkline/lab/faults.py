"""Breaking links on purpose, and mending them."""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.lab import netns
from trunkline.lab.client import LabClient
from trunkline.lab.runtime import LabState
from trunkline.lab.topology import TopologyEnd, TopologyLink

__all__ = ["set_broken"]


def set_broken(
    state: LabState, client: LabClient, links: Iterable[TopologyLink], broken: bool
) -> list[TopologyEnd]:
    """Break or heal ``links``; the ends whose node did not answer, which stay as they were.

    On loopback both nodes drop the link's packets; in network namespaces its cables are pulled,
    and so is every other link that shares their two addresses.

    Raises:
        TrunklineError: when a node or the kernel refuses, or no node answered for a link.
    """
    if not state.namespaces:
        return client.block(links, broken)
    for link in links:
        for cable in state.cables:
            if _carries(cable, link):
                (netns.pull if broken else netns.plug)(cable)
    return []


def _carries(cable: netns.Cable, link: TopologyLink) -> bool:
    return any(
        (cable.first, cable.second) == (here.node, there.node)
        and cable.first_address in here.local
        and cable.second_address in there.local
        for here, there in (link.ends, link.ends[::-1])
    )
