"""What a node shows of itself, as JSON: the one source of ``show … --json`` and of its text.

The shapes are part of the interface: a key may be added, none changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TypedDict

from trunkline.elements.signalling_point import LinkDriver, SignallingPoint
from trunkline.ss7 import m2pa
from trunkline.ss7.mtp3.explain import OUTCOMES, Explanation
from trunkline.ss7.mtp3.routes import Route
from trunkline.ss7.mtp3.traffic_test import PingStats

__all__ = [
    "DestinationView",
    "ExplanationView",
    "LinkView",
    "LinksetView",
    "LoserView",
    "PingView",
    "RouteTableView",
    "RouteView",
    "ShareView",
    "explanation_view",
    "link_views",
    "linkset_views",
    "ping_view",
    "point_code_views",
    "route_table_view",
]


class LinkView(TypedDict):
    """One signalling link, layer by layer."""

    linkset: str
    slc: int
    remote: list[str]
    local_port: int
    remote_port: int
    sctp: str
    peer_state: str
    service: str
    fsn: int
    bsn: int
    blocked: bool
    counters: dict[str, int]


class LinksetView(TypedDict):
    """One linkset with its links."""

    name: str
    adjacent: str
    state: str
    links_available: int
    links_total: int
    links: list[LinkView]


class RouteView(TypedDict):
    """One route; ``first`` and ``last`` bound the point codes its mask covers."""

    destination: str
    status: str
    priority: int
    linkset: str
    linkset_state: str
    state: str
    management: str
    direct: bool
    first: str
    last: str
    msus_sent: int


class RouteTableView(TypedDict):
    """The routing table. The router family counts dynamic routes; there are none here."""

    table: str
    dynamic: int
    dynamic_limit: int
    destinations: int
    routes: list[RouteView]


class LoserView(TypedDict):
    """A route that did not win; ``reason`` is the documented code."""

    route: str
    reason: str


class ShareView(TypedDict):
    """Which link carries which values of SLS."""

    sls: str
    link: str


class ExplanationView(TypedDict):
    """One routing decision."""

    destination: str
    decimal: int
    outcome: str
    verdict: str
    winner: str | None
    link: str | None
    losers: list[LoserView]
    load_sharing: list[ShareView]


class DestinationView(TypedDict):
    """A point code this node knows by name."""

    point_code: str
    kind: str


class PingView(TypedDict):
    """A finished traffic test; times in milliseconds, rates per second, loss in percent."""

    destination: str
    sent: int
    received: int
    rtt_ms: list[float]
    min: float | None
    avg: float | None
    max: float | None
    loss: float
    send_rate: float
    receive_rate: float
    send_octets_per_second: float
    receive_octets_per_second: float
    failure: str | None


def linkset_views(point: SignallingPoint, name: str = "") -> list[LinksetView]:
    """Every linkset, or the one called ``name``."""
    show = point.config.format_pc
    views: list[LinksetView] = []
    for linkset in point.router.linksets.values():
        if name and linkset.name != name:
            continue
        links = link_views(point, linkset.name)
        views.append(
            {
                "name": linkset.name,
                "adjacent": show(linkset.apc),
                "state": linkset.state.value,
                "links_available": len(linkset.available),
                "links_total": len(links),
                "links": links,
            }
        )
    return views


def link_views(point: SignallingPoint, linkset: str = "") -> list[LinkView]:
    """Every link, or those of one linkset, in order of SLC."""
    return [
        _link_view(name, slc, driver)
        for (name, slc), driver in sorted(point.links.items(), key=lambda item: item[0])
        if not linkset or name == linkset
    ]


# The words of the router family for the states of M2PA; its own for the rest.
_PEER_STATES = {m2pa.State.IN_SERVICE: "InService", m2pa.State.OUT_OF_SERVICE: "OutOfService"}


def _link_view(name: str, slc: int, driver: LinkDriver) -> LinkView:
    ends = driver.ends
    level2 = driver.level2
    state = level2.state
    up = driver.association is not None and driver.association.up
    words = state.value.title().replace(" ", "").replace(",", "")
    return {
        "linkset": name,
        "slc": slc,
        "remote": list(ends.remote),
        "local_port": ends.local_port,
        "remote_port": ends.remote_port,
        "sctp": "established" if up else "down",
        "peer_state": _PEER_STATES.get(state, words),
        "service": driver.slink.state.value,
        "fsn": level2.fsn,
        "bsn": level2.retrieve_bsnt(),
        "blocked": driver.blocked,
        "counters": link_counters(driver),
    }


def link_counters(driver: LinkDriver) -> dict[str, int]:
    """Every counter of one link: M2PA's by their names, then MTP3's and SCTP's."""
    mtp3 = driver.slink.counters
    counters: dict[str, int] = asdict(driver.level2.counters)
    counters |= {
        "mtp3_msus_sent": mtp3.tx_msus,
        "mtp3_msus_received": mtp3.rx_msus,
        "mtp3_octets_sent": mtp3.tx_octets,
        "mtp3_octets_received": mtp3.rx_octets,
        "lost": mtp3.lost,
        "failures": mtp3.failures,
        "changeovers": mtp3.changeovers,
        "slt_sent": mtp3.slt_sent,
        "slt_failed": mtp3.slt_failed,
        "unacknowledged": driver.level2.unacknowledged,
        "waiting": driver.level2.waiting,
    }
    if driver.association is not None:
        stats = asdict(driver.association.stats())
        counters |= {f"sctp_{key}": value for key, value in stats.items()}
    return counters


def route_table_view(point: SignallingPoint) -> RouteTableView:
    """The routing table in the router's order: by point code, then longest mask, then priority."""
    linksets = point.router.linksets
    show = point.config.format_pc
    routes: list[RouteView] = [
        {
            "destination": route.prefix.format(),
            "status": route.destination.value,
            "priority": route.priority,
            "linkset": route.linkset,
            "linkset_state": linksets[route.linkset].state.value,
            "state": route.state.value,
            "management": route.management.value,
            "direct": route.direct,
            "first": show(route.prefix.first),
            "last": show(route.prefix.last),
            "msus_sent": route.counters.msus,
        }
        for route in sorted(
            point.router.routes(), key=lambda r: (r.prefix.first, -r.prefix.length, r.priority)
        )
    ]
    return {
        "table": "system",
        "dynamic": 0,
        "dynamic_limit": 1000,
        "destinations": len({route["destination"] for route in routes}),
        "routes": routes,
    }


def explanation_view(point: SignallingPoint, dpc: int) -> ExplanationView:
    """The decision for ``dpc``, and which link each SLS takes."""
    router = point.router
    first = router.explain(dpc)
    bits = router.settings.label.sls_bits
    shares: dict[str, list[int]] = {}
    if first.winner is not None:
        for sls in range(1 << bits):
            part = router.explain(dpc, sls)
            shares.setdefault(_carrier(part), []).append(sls)
    return {
        "destination": point.config.format_pc(dpc),
        "decimal": dpc,
        "outcome": first.outcome.value,
        "verdict": OUTCOMES[first.outcome],
        "winner": None if first.winner is None else _route_text(first.winner),
        "link": None if first.winner is None else _carrier(first),
        "losers": [
            {"route": _route_text(loser.route), "reason": loser.reason.value}
            for loser in first.losers
        ],
        "load_sharing": [
            {"sls": _ranges(values), "link": carrier} for carrier, values in shares.items()
        ],
    }


def _carrier(explanation: Explanation) -> str:
    if explanation.link is not None:
        return explanation.link.name
    return "held" if explanation.held else "none"


def _route_text(route: Route) -> str:
    kind = ", direct" if route.direct else ""
    return f"{route.prefix.format()} via {route.linkset} (priority {route.priority}{kind})"


def _ranges(values: Iterable[int]) -> str:
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def point_code_views(point: SignallingPoint) -> list[DestinationView]:
    """This node's own point code, if it has one, and those adjacent to it."""
    show, code = point.config.format_pc, point.config.point_code
    own: list[DestinationView] = (
        [] if code is None else [{"point_code": show(code), "kind": "local"}]
    )
    adjacent: list[DestinationView] = [
        {"point_code": show(linkset.apc), "kind": f"adjacent, linkset {linkset.name}"}
        for linkset in point.router.linksets.values()
    ]
    return own + adjacent


def ping_view(
    destination: str,
    stats: PingStats,
    times: Iterable[float],
    *,
    seconds: float,
    octets: int,
    failure: str | None,
) -> PingView:
    """A finished test that took ``seconds``, each of its messages ``octets`` long."""
    milliseconds = [round(value * 1000, 3) for value in times]
    some = bool(milliseconds)
    span = max(seconds, 1.0)  # a rate over less than a second would be a flattering guess
    sent, received = stats.sent / span, stats.received / span
    return {
        "destination": destination,
        "sent": stats.sent,
        "received": stats.received,
        "rtt_ms": milliseconds,
        "min": min(milliseconds) if some else None,
        "avg": sum(milliseconds) / len(milliseconds) if some else None,
        "max": max(milliseconds) if some else None,
        "loss": round(100 * stats.lost / stats.sent, 3) if stats.sent else 100.0,
        "send_rate": sent,
        "receive_rate": received,
        "send_octets_per_second": sent * octets,
        "receive_octets_per_second": received * octets,
        "failure": failure,
    }
