"""Counters of links, linksets and routes: plain integers, read by ``show`` and the metrics.

Left out: Q.752's measurement periods; whoever wants rates takes differences.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["LinkCounters", "RouteCounters", "RouterCounters", "TrafficCounters"]


@dataclass(slots=True)
class TrafficCounters:
    """Messages and octets (SIO and SIF) each way."""

    rx_msus: int = 0
    rx_octets: int = 0
    tx_msus: int = 0
    tx_octets: int = 0


@dataclass(slots=True)
class LinkCounters(TrafficCounters):
    """One signalling link."""

    lost: int = 0
    """Sent and never acknowledged when the link failed, with nobody to tell what arrived."""
    failures: int = 0
    """Times the link left service while it carried traffic."""
    changeovers: int = 0
    retrieved: int = 0
    """Messages taken back from level 2 and sent another way."""
    slt_sent: int = 0
    slt_failed: int = 0
    discarded: dict[str, int] = field(default_factory=dict)
    """Messages refused, by code."""
    management: dict[str, int] = field(default_factory=dict)
    """Management messages received, by name."""


@dataclass(slots=True)
class RouteCounters:
    """One route: what was sent over it."""

    msus: int = 0
    octets: int = 0


@dataclass(slots=True)
class RouterCounters:
    """The node as a whole, where no link is concerned."""

    delivered: int = 0
    """Messages given to a local user part."""
    originated: int = 0
    """Messages that local users handed over and that left."""
    flows_emptied: int = 0
    """Times a route cache was full and started afresh."""
    told_overflow: int = 0
    """TFP not sent because too many already await their TFA."""
    prohibited_overflow: int = 0
    """TFP ignored because the neighbour has prohibited too many destinations already."""
    tfp_sent: int = 0
    tfa_sent: int = 0
    rst_sent: int = 0
    tfp_inhibited: int = 0
    """TFP of the response method held back by T8."""
    loop_probes: int = 0
    """Messages sent to find out whether a way leads back here."""
    loops_found: int = 0
    """Ways that did."""
    lost: int = 0
    """Messages lost that no single link answers for: held during a changeover, and too many."""
    discarded: dict[str, int] = field(default_factory=dict)
    """Messages of local users refused, by code."""
