"""What ``show`` commands print, in the columns that users of the router family know.

Each function renders one JSON view of ``trunkline.elements.views``; the text is never parsed
back, so ``--json`` gives the view itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.elements.views import (
    DestinationView,
    ExplanationView,
    LinksetView,
    LinkView,
    PingView,
    RouteTableView,
)

__all__ = [
    "explanation",
    "linksets",
    "m2pa_state",
    "m2pa_statistics",
    "ping_log",
    "point_codes",
    "routes",
    "routes_detail",
]


def linksets(view: Sequence[LinksetView]) -> str:
    """``show cs7 linkset``."""
    lines: list[str] = []
    for linkset in view:
        ratio = f"{linkset['links_available']}/{linkset['links_total']}"
        lines += [
            f"lsn={linkset['name']:<20}apc={linkset['adjacent']:<14}"
            f"state={linkset['state']:<10}avail/links={ratio}",
            "  SLC  Interface                    Service   PeerState         Inhib",
        ]
        lines += [
            f"  {link['slc']:02d}   {_interface(link):<29}"
            f"{link['service']:<10}{link['peer_state']:<18}-----"
            for link in linkset["links"]
        ]
        lines.append("")
    return "\n".join(lines)


def _interface(link: LinkView) -> str:
    return f"{' '.join(link['remote'])} {link['local_port']} {link['remote_port']}"


# The table prints five letters of the destination's status, as the router does.
_SHORT_STATUS = {
    "accessible": "acces",
    "inaccessible": "INACC",
    "restricted": "restr",
    "unknown": "UNKNO",
}


def routes(view: RouteTableView) -> str:
    """``show cs7 route``; the counts are those of the lines printed."""
    lines = [
        f"Dynamic Routes {view['dynamic']} of {view['dynamic_limit']}",
        "",
        f"Routing table = {view['table']} Destinations = {view['destinations']} "
        f"Routes = {len(view['routes'])}",
        "",
        "Destination            Prio Linkset Name        Route",
        "---------------------- ---- ------------------- -------        ",
    ]
    previous = ""
    for route in view["routes"]:
        first = route["destination"] != previous
        previous = route["destination"]
        destination = f"{previous:<17}{_SHORT_STATUS[route['status']]:<5}" if first else " " * 22
        lines.append(
            f"{destination}{route['priority']:>4}  {route['linkset']:<20}{route['state']:<15}"
        )
    return "\n".join([*lines, ""])


def routes_detail(view: RouteTableView) -> str:
    """``show cs7 route detail``: what the table leaves out."""
    lines = routes(view).splitlines()[:4]
    for route in view["routes"]:
        lines += [
            f"{route['destination']} via {route['linkset']}, priority {route['priority']}"
            f"{' (direct)' if route['direct'] else ''}",
            f"    destination {route['status']}, route {route['state']}, "
            f"linkset {route['linkset_state']}, management {route['management']}",
            f"    first {route['first']} last {route['last']}, MSUs sent {route['msus_sent']}",
        ]
    return "\n".join([*lines, ""])


def explanation(view: ExplanationView) -> str:
    """``show cs7 route explain``: the winner, and of each loser why it lost."""
    lines = [f"{view['destination']} ({view['decimal']}): {view['verdict']}"]
    if view["winner"] is not None:
        lines.append(f"  won   {view['winner']}")
    lines += [f"  lost  {loser['route']:<40} {loser['reason']}" for loser in view["losers"]]
    lines += [f"  SLS {part['sls']:<12} {part['link']}" for part in view["load_sharing"]]
    return "\n".join([*lines, ""])


def point_codes(view: Sequence[DestinationView]) -> str:
    """``show cs7 point-codes``."""
    lines = ["Point Code           Type", "-------------------- ------------"]
    lines += [f"{entry['point_code']:<21}{entry['kind']}" for entry in view]
    return "\n".join([*lines, ""])


def m2pa_state(view: Sequence[LinkView]) -> str:
    """``show cs7 m2pa state``: layer by layer."""
    lines = [
        "Linkset              SLC  SCTP          M2PA               MTP3       FSN       BSN",
        "-------------------- ---  ------------  -----------------  ---------  --------  --------",
    ]
    lines += [
        f"{link['linkset']:<21}{link['slc']:02d}   {link['sctp']:<14}{link['peer_state']:<19}"
        f"{link['service']:<11}{link['fsn']:<10}{link['bsn']}"
        for link in view
    ]
    return "\n".join([*lines, ""])


def m2pa_statistics(view: Sequence[LinkView]) -> str:
    """``show cs7 m2pa statistics``: every counter of every link."""
    lines: list[str] = []
    for link in view:
        lines.append(f"{link['linkset']}:{link['slc']} {_interface(link)}")
        lines += [f"  {name:<28}{value:>12}" for name, value in link["counters"].items()]
        lines.append("")
    return "\n".join(lines)


def ping_log(view: PingView) -> list[tuple[str, str]]:
    """Mnemonic and text of each ``%CS7PING-6-…`` line that a finished test leaves."""
    test = f"Test Q.755 {view['destination']}:"
    kilobits = round(view["receive_octets_per_second"] * 8 / 1000)
    sent_kilobits = round(view["send_octets_per_second"] * 8 / 1000)
    lines = []
    if view["received"]:
        low, mean, high = view["min"], view["avg"], view["max"]
        lines.append(("RTT", f"{test} MTP Traffic test rtt {low:.0f}/{mean:.0f}/{high:.0f}"))
    percent = round(100 * view["received"] / view["sent"]) if view["sent"] else 0
    lines += [
        (
            "STAT",
            f"{test} MTP Traffic test {percent}% successful "
            f"packets({view['received']}/{view['sent']})",
        ),
        (
            "RATES",
            f"{test} Receive rate(pps:kbps) {view['receive_rate']:.0f}:{kilobits} "
            f"Sent rate(pps:kbps) {view['send_rate']:.0f}:{sent_kilobits}",
        ),
        ("TERM", f"{test} MTP Traffic test terminated."),
    ]
    return lines
