"""What each configuration command and its ``no`` form change.

A function here checks what the one line can know; what needs the whole configuration is in
:mod:`~trunkline.config.cisco.check`. Each returns the scope to go to, or None to stay.
"""

from __future__ import annotations

from trunkline.config.cisco.problems import Refusal, nearest
from trunkline.config.cisco.table import Edit, Mode, Scope
from trunkline.config.cisco.tree import (
    DEFAULT_HOSTNAME,
    DEFAULT_NETWORK_INDICATOR,
    NETWORK_INDICATORS,
    Interface,
    InterfaceAddress,
    Link,
    Linkset,
    LocalPeer,
    Route,
)
from trunkline.ss7.pointcode import (
    ANSI,
    CHINA,
    ETSI,
    ITU,
    ITU_NATIONAL,
    JAPAN,
    PointCodeError,
    Prefix,
    Variant,
)

__all__ = ["VARIANT_WORDS", "settle"]

VARIANT_WORDS: dict[str, Variant] = {
    "ansi": ANSI,
    "china": CHINA,
    "etsi": ETSI,
    "itu": ITU,
    "itu-national": ITU_NATIONAL,
    "ntt": JAPAN,
    "ttc": JAPAN,
}
"""Words of ``cs7 variant``. The family has ansi, china, itu, ntt and ttc; two are ours."""


# --- hostname and interfaces ---------------------------------------------------------------------


def set_hostname(edit: Edit) -> Scope | None:
    edit.config.hostname = edit.args.text("hostname")
    return None


def unset_hostname(edit: Edit) -> Scope | None:
    edit.config.hostname = DEFAULT_HOSTNAME
    return None


def enter_interface(edit: Edit) -> Scope | None:
    name = edit.args.text("interface")
    edit.config.interfaces.setdefault(name, Interface(name, source=edit.source))
    return Scope(Mode.INTERFACE, interface=name)


def remove_interface(edit: Edit) -> Scope | None:
    edit.config.interfaces.pop(edit.args.text("interface"), None)
    return None


def set_address(edit: Edit) -> Scope | None:
    interface = _interface(edit)
    address = InterfaceAddress(edit.args.text("address"), edit.args.text("mask"))
    for other in edit.config.interfaces.values():
        if other is not interface and any(a.ip == address.ip for a in other.addresses):
            raise Refusal(
                "config.address-taken",
                f"{address.ip} is already the address of {other.name}",
                "give each interface an address of its own",
                argument="address",
            )
    others = [a for a in interface.addresses if a.ip != address.ip]
    if "secondary" in edit.args:
        if not others:
            raise Refusal(
                "config.no-primary",
                f"{interface.name} has no primary address yet",
                "first give one without 'secondary'",
                argument="address",
            )
        interface.addresses = [*others, address]
    else:
        # A new primary address takes the old one's place; the secondary ones stay.
        kept = interface.addresses[1:]
        interface.addresses = [address, *(a for a in kept if a.ip != address.ip)]
    return None


def unset_address(edit: Edit) -> Scope | None:
    interface = _interface(edit)
    ip = edit.args.text("address")
    interface.addresses = [a for a in interface.addresses if ip and a.ip != ip]
    return None


def shut_interface(edit: Edit) -> Scope | None:
    _interface(edit).shutdown = True
    return None


def open_interface(edit: Edit) -> Scope | None:
    _interface(edit).shutdown = False
    return None


def _interface(edit: Edit) -> Interface:
    return edit.config.interfaces[edit.scope.interface]


# --- the node's own identity ---------------------------------------------------------------------


def set_variant(edit: Edit) -> Scope | None:
    _change_variant(edit, VARIANT_WORDS[edit.args.text("variant")])
    return None


def unset_variant(edit: Edit) -> Scope | None:
    _change_variant(edit, ITU)
    return None


def _change_variant(edit: Edit, variant: Variant) -> None:
    config = edit.config
    if variant != config.variant and config.holds_point_codes:
        raise Refusal(
            "config.variant-late",
            f"the variant cannot become {variant.name}: point codes were already read as "
            f"{config.variant.name}",
            "put 'cs7 variant' before the first point code",
            argument="variant",
        )
    config.variant = variant


def set_network_indicator(edit: Edit) -> Scope | None:
    edit.config.network_indicator = NETWORK_INDICATORS[edit.args.text("indicator")]
    return None


def unset_network_indicator(edit: Edit) -> Scope | None:
    edit.config.network_indicator = DEFAULT_NETWORK_INDICATOR
    return None


def set_point_code(edit: Edit) -> Scope | None:
    edit.config.point_code = edit.args.integer("pc")
    edit.config.point_code_source = edit.source
    return None


def unset_point_code(edit: Edit) -> Scope | None:
    edit.config.point_code = None
    edit.config.point_code_source = None
    return None


# --- cs7 local-peer ------------------------------------------------------------------------------


def enter_local_peer(edit: Edit) -> Scope | None:
    port = edit.args.integer("port")
    edit.config.local_peers.setdefault(port, LocalPeer(port, source=edit.source))
    return Scope(Mode.LOCAL_PEER, port=port)


def remove_local_peer(edit: Edit) -> Scope | None:
    port = edit.args.integer("port")
    if edit.config.local_peers.pop(port, None) is None:
        raise Refusal("config.unknown-peer", f"there is no local-peer {port}", argument="port")
    return None


def add_local_ip(edit: Edit) -> Scope | None:
    peer = edit.config.local_peers[edit.scope.port]
    ip = edit.args.text("ip")
    if ip not in peer.ips:
        peer.ips.append(ip)
        if edit.source is not None:
            peer.ip_sources[ip] = edit.source
    return None


def remove_local_ip(edit: Edit) -> Scope | None:
    peer = edit.config.local_peers[edit.scope.port]
    ip = edit.args.text("ip")
    if ip not in peer.ips:
        raise Refusal(
            "config.unknown-ip", f"local-peer {peer.port} has no local-ip {ip}", argument="ip"
        )
    peer.ips.remove(ip)
    return None


# --- cs7 linkset and its links -------------------------------------------------------------------


def enter_linkset(edit: Edit) -> Scope | None:
    name = edit.args.text("name")
    linksets = edit.config.linksets
    linkset = linksets.get(name)
    if "apc" in edit.args:
        apc = edit.args.integer("apc")
        if linkset is None:
            linksets[name] = Linkset(name, apc, source=edit.source)
        elif linkset.apc != apc:
            raise Refusal(
                "config.linkset-apc",
                f"linkset {name} leads to {edit.config.format_pc(linkset.apc)} already",
                f"use another name, or 'no cs7 linkset {name}' first",
                argument="apc",
            )
    elif linkset is None:
        raise _unknown_linkset(edit, name, "name the adjacent point code to create it")
    return Scope(Mode.LINKSET, linkset=name)


def remove_linkset(edit: Edit) -> Scope | None:
    name = edit.args.text("name")
    if edit.config.linksets.pop(name, None) is None:
        raise _unknown_linkset(edit, name, "see 'show running-config' for those that are")
    return None


def _unknown_linkset(edit: Edit, name: str, hint: str) -> Refusal:
    close = nearest(name, edit.config.linksets)
    return Refusal(
        "config.unknown-linkset",
        f"there is no linkset {name}",
        f"did you mean {close}?" if close else hint,
        argument="name",
    )


def shut_linkset(edit: Edit) -> Scope | None:
    _linkset(edit).shutdown = True
    return None


def open_linkset(edit: Edit) -> Scope | None:
    _linkset(edit).shutdown = False
    return None


def _linkset(edit: Edit) -> Linkset:
    return edit.config.linksets[edit.scope.linkset]


def enter_link(edit: Edit) -> Scope | None:
    linkset = _linkset(edit)
    slc = edit.args.integer("slc")
    present = linkset.links.get(slc)
    ips = edit.args.texts("remote-ip")
    if not ips:
        if present is None:
            raise Refusal(
                "config.unknown-link",
                f"linkset {linkset.name} has no link {slc}",
                f"create it: link {slc} sctp REMOTE-IP LOCAL-PORT REMOTE-PORT",
                argument="slc",
            )
        return Scope(Mode.LINK, linkset=linkset.name, slc=slc)
    link = Link(
        slc,
        tuple(dict.fromkeys(ips)),
        edit.args.integer("local-port"),
        edit.args.integer("remote-port"),
        source=edit.source,
    )
    if link.local_port not in edit.config.local_peers:
        if link.remote_port in edit.config.local_peers:
            _swap_ports(link)
        elif edit.unsettled is not None:
            edit.unsettled.add((linkset.name, slc))
    if present is None:
        linkset.links[slc] = link
    elif (present.remote_ips, present.local_port, present.remote_port) != (
        link.remote_ips,
        link.local_port,
        link.remote_port,
    ):
        raise Refusal(
            "config.duplicate-slc",
            f"linkset {linkset.name} has a link {slc} already, with other addresses or ports",
            f"give this link another SLC, or 'no link {slc}' first",
            argument="slc",
        )
    return Scope(Mode.LINK, linkset=linkset.name, slc=slc)


def _swap_ports(link: Link) -> None:
    link.local_port, link.remote_port = link.remote_port, link.local_port


def settle(edit: Edit) -> None:
    """Decide which port is the local one where the local-peer came after the link."""
    for name, slc in edit.unsettled or ():
        linkset = edit.config.linksets.get(name)
        link = linkset.links.get(slc) if linkset else None
        if (
            link is not None
            and link.local_port not in edit.config.local_peers
            and link.remote_port in edit.config.local_peers
        ):
            _swap_ports(link)


def remove_link(edit: Edit) -> Scope | None:
    linkset = _linkset(edit)
    slc = edit.args.integer("slc")
    if linkset.links.pop(slc, None) is None:
        raise Refusal(
            "config.unknown-link", f"linkset {linkset.name} has no link {slc}", argument="slc"
        )
    return None


def shut_link(edit: Edit) -> Scope | None:
    _linkset(edit).links[edit.scope.slc].shutdown = True
    return None


def open_link(edit: Edit) -> Scope | None:
    _linkset(edit).links[edit.scope.slc].shutdown = False
    return None


# --- cs7 route-table -----------------------------------------------------------------------------


def enter_route_table(edit: Edit) -> Scope | None:
    return Scope(Mode.ROUTE_TABLE)


def clear_route_table(edit: Edit) -> Scope | None:
    edit.config.routes.clear()
    return None


def update_route(edit: Edit) -> Scope | None:
    priority = edit.args.integer("priority") if "priority" in edit.args else None
    route = Route(_destination(edit), edit.args.text("linkset"), priority, source=edit.source)
    routes = edit.config.routes
    for index, present in enumerate(routes):
        if present.key == route.key:
            routes[index] = route
            return None
    routes.append(route)
    return None


def remove_route(edit: Edit) -> Scope | None:
    prefix = _destination(edit)
    name = edit.args.text("linkset")
    routes = edit.config.routes
    for index, present in enumerate(routes):
        if present.key == (prefix, name):
            del routes[index]
            return None
    same = [route for route in routes if route.prefix == prefix]
    raise Refusal(
        "config.unknown-route",
        f"there is no route {prefix.format()} linkset {name}",
        f"{prefix.format()} goes over linkset {same[0].linkset}" if same else "",
        argument="destination",
    )


def _destination(edit: Edit) -> Prefix:
    prefix = edit.args.prefix("destination")
    if prefix is not None:
        return prefix
    try:
        return Prefix(
            edit.args.integer("destination"), edit.args.integer("mask"), edit.config.variant
        )
    except PointCodeError as error:
        raise Refusal(error.code, error.message, argument="destination") from None


def nothing(edit: Edit) -> Scope | None:
    """Accept a line that says what holds anyway."""
    return None
