"""The command table: one row per command, for files, the shell, ``?``, ``no`` and the docs.

The family is that of the seed course, "cs7" on a router that forwards SS7 over IP. Left out:
everything that is not listed here; among it profiles with M2PA timers, whose syntax could not be
checked, several instances, serial links, M3UA and SUA, global titles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from trunkline.config.cisco import edits
from trunkline.config.cisco.grammar import Grammar
from trunkline.config.cisco.table import Command, Exec, Flow, Mode, Option
from trunkline.config.cisco.tokens import (
    Choice,
    Integer,
    InterfaceName,
    IpAddress,
    IpMask,
    Keyword,
    Name,
    PointCode,
    PointCodeMask,
    PointCodePrefix,
    Rest,
    Token,
)
from trunkline.config.cisco.tree import NETWORK_INDICATORS, Cs7Config

__all__ = ["COMMANDS", "GRAMMAR", "HOSTNAME"]

HOSTNAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")

kw = Keyword

_USER = (Mode.USER,)
_EXEC = (Mode.EXEC,)
_BOTH = (Mode.USER, Mode.EXEC)
_CONFIG = (Mode.CONFIG,)
_SUBMODES = (Mode.INTERFACE, Mode.LOCAL_PEER, Mode.LINKSET, Mode.LINK, Mode.ROUTE_TABLE)


def _linksets(config: Cs7Config) -> Iterable[str]:
    return config.linksets


def _point_codes(config: Cs7Config) -> Iterable[str]:
    return [config.format_pc(linkset.apc) for linkset in config.linksets.values()]


def _peers(config: Cs7Config) -> Iterable[str]:
    return map(str, config.local_peers)


def _destinations(config: Cs7Config) -> Iterable[str]:
    return [route.prefix.format() for route in config.routes]


_SHOW = "Show running system information"
_CS7 = kw("cs7", "Signalling System No. 7")
_LINKSET = Name("name", "Name of a linkset", words=_linksets)
_PC = PointCode("pc", "Point code of the destination", words=_point_codes)
_IP = kw("ip", "Internet Protocol")


def _show(action: Exec, about: str, *syntax: Token | Choice | Option) -> Command:
    return Command(_BOTH, (kw("show", _SHOW), *syntax), action, about)


_EXEC_COMMANDS = (
    Command(
        _BOTH,
        (kw("enable", "Turn on privileged commands"),),
        Flow.ENABLE,
        "Go to privileged mode (`#`).",
    ),
    Command(
        _EXEC,
        (kw("disable", "Turn off privileged commands"),),
        Flow.DISABLE,
        "Go back to user mode (`>`).",
    ),
    Command(
        _EXEC,
        (
            kw("configure", "Enter configuration mode"),
            Option((kw("terminal", "Configure from the terminal"),)),
        ),
        Flow.CONFIGURE,
        "Go to configuration mode.",
    ),
    _show(
        Exec.SHOW_LINKSET,
        "Linksets with their links, one or all.",
        _CS7,
        kw("linkset", "Linksets and the state of their links"),
        Option((_LINKSET,)),
    ),
    _show(
        Exec.SHOW_ROUTE,
        "The routing table with the state of each destination.",
        _CS7,
        kw("route", "Routes and the state of their destinations"),
    ),
    _show(
        Exec.SHOW_ROUTE_DETAIL,
        "The same with management state, masks and counters.",
        _CS7,
        kw("route", "Routes and the state of their destinations"),
        kw("detail", "With management state, masks and counters"),
    ),
    _show(
        Exec.SHOW_ROUTE_EXPLAIN,
        "Which route a message to a point code takes, and why not another.",
        _CS7,
        kw("route", "Routes and the state of their destinations"),
        kw("explain", "Which route wins for a point code, and why the others do not"),
        _PC,
    ),
    _show(
        Exec.SHOW_M2PA_STATE,
        "State of each M2PA link.",
        _CS7,
        kw("m2pa", "Level 2 over SCTP (RFC 4165)"),
        kw("state", "State of each link"),
        Option((_LINKSET,)),
    ),
    _show(
        Exec.SHOW_M2PA_STATISTICS,
        "Counters of each M2PA link.",
        _CS7,
        kw("m2pa", "Level 2 over SCTP (RFC 4165)"),
        kw("statistics", "Counters of each link"),
        Option((_LINKSET,)),
    ),
    _show(
        Exec.SHOW_POINT_CODES,
        "Own and adjacent point codes.",
        _CS7,
        kw("point-codes", "Own and adjacent point codes"),
    ),
    Command(
        _EXEC,
        (kw("show", _SHOW), kw("running-config", "The configuration in force")),
        Exec.SHOW_RUNNING_CONFIG,
        "The configuration in force.",
    ),
    _show(Exec.SHOW_VERSION, "Version of the software.", kw("version", "Version of this software")),
    Command(
        _EXEC,
        (
            kw("write", "Keep the configuration"),
            Option((kw("memory", "As the one to start with"),)),
        ),
        Exec.WRITE,
        "Keep the configuration as the one to start with.",
    ),
    Command(
        _EXEC,
        (
            kw("write", "Keep the configuration"),
            kw("terminal", "Print it instead"),
        ),
        Exec.SHOW_RUNNING_CONFIG,
        "The same as `show running-config`.",
    ),
    Command(
        _EXEC,
        (
            kw("copy", "Copy from one place to another"),
            kw("running-config", "The configuration in force"),
            kw("startup-config", "The configuration to start with"),
        ),
        Exec.WRITE,
        "Keep the configuration as the one to start with.",
    ),
    Command(
        _BOTH,
        (
            kw("ping", "Send test messages and await their echoes"),
            kw("cs7", "MTP traffic test of Q.755"),
            _PC,
            Option((kw("count", "How many"), Integer("count", "Messages", low=1, high=100_000))),
            Option(
                (
                    kw("interval", "Time between two messages"),
                    Integer("interval", "Milliseconds", low=1, high=60_000),
                )
            ),
            Option(
                (
                    kw("timeout", "Time to wait for an echo"),
                    Integer("timeout", "Milliseconds", low=1, high=60_000),
                )
            ),
            Option((kw("size", "Length of a message"), Integer("size", "Octets", low=0, high=252))),
        ),
        Exec.PING,
        "Send test messages to a point code and print round-trip times and loss.",
    ),
    Command(
        _BOTH,
        (
            kw("terminal", "Terminal settings"),
            kw("length", "Lines on a screen; accepted, has no effect"),
            Integer("lines", "Lines, 0 for no pause", low=0, high=512),
        ),
        Flow.NOTHING,
        "Accepted without effect.",
    ),
    Command(_BOTH, (kw("exit", "Leave the shell"),), Flow.EXIT, "Leave the shell."),
    Command(_BOTH, (kw("quit", "Leave the shell"),), Flow.EXIT, "Leave the shell."),
)

_VARIANT_HELP = {
    "ansi": "ANSI, 24 bits",
    "china": "China, 24 bits",
    "etsi": "ETSI, 14 bits (not a word of the router family)",
    "itu": "ITU international, 14 bits",
    "itu-national": "ITU national, 14 bits in decimal (not a word of the router family)",
    "ntt": "Japan, 16 bits",
    "ttc": "Japan, 16 bits",
}
_INDICATOR_HELP = {
    word: f"Network indicator {number} (Q.704 14.2.2)"
    for word, number in NETWORK_INDICATORS.items()
}

_CONFIG_COMMANDS = (
    Command(
        _CONFIG,
        (
            kw("hostname", "Name this node"),
            Name(
                "hostname",
                "Name, which the prompt shows",
                pattern=HOSTNAME,
                rule="a hostname starts with a letter and goes on with letters, digits, - _ and .",
            ),
        ),
        edits.set_hostname,
        "Name the node; the prompt shows the name.",
        undo=edits.unset_hostname,
        undo_needs=1,
    ),
    Command(
        _CONFIG,
        (
            kw("interface", "Configure an interface"),
            InterfaceName("interface", "Type and number of the interface"),
        ),
        edits.enter_interface,
        "Go to an interface. Interfaces only serve to check each `local-ip`.",
        undo=edits.remove_interface,
        undo_needs=2,
    ),
    Command(
        _CONFIG,
        (
            _CS7,
            kw("variant", "Family of standards, and with it the structure of point codes"),
            Choice("variant", _VARIANT_HELP),
        ),
        edits.set_variant,
        "Choose the structure of point codes. It must come before the first point code.",
        undo=edits.unset_variant,
        undo_needs=2,
    ),
    Command(
        _CONFIG,
        (
            _CS7,
            kw("network-indicator", "The network that this node's point code belongs to"),
            Choice("indicator", _INDICATOR_HELP),
        ),
        edits.set_network_indicator,
        "Set the network indicator of all messages; `national` if not given.",
        undo=edits.unset_network_indicator,
        undo_needs=2,
    ),
    Command(
        _CONFIG,
        (_CS7, kw("point-code", "Point code of this node"), PointCode("pc", "Own point code")),
        edits.set_point_code,
        "Give the node its point code.",
        undo=edits.unset_point_code,
        undo_needs=2,
    ),
    Command(
        _CONFIG,
        (
            _CS7,
            kw("local-peer", "SCTP endpoint of this node"),
            Integer("port", "Local SCTP port", words=_peers, low=1, high=65535),
        ),
        edits.enter_local_peer,
        "Go to an SCTP endpoint of this node, creating it if it is new.",
        undo=edits.remove_local_peer,
        undo_needs=3,
    ),
    Command(
        _CONFIG,
        (
            _CS7,
            kw("linkset", "Links to an adjacent node"),
            _LINKSET,
            Option((PointCode("apc", "Adjacent point code"),)),
        ),
        edits.enter_linkset,
        "Go to a linkset, creating it if it is new; then the adjacent point code must be given.",
        undo=edits.remove_linkset,
        undo_needs=3,
    ),
    Command(
        _CONFIG,
        (
            _CS7,
            kw("route-table", "Routes to nodes that are not adjacent"),
            kw("system", "The one routing table"),
        ),
        edits.enter_route_table,
        "Go to the routing table. The `no` form empties it.",
        undo=edits.clear_route_table,
        undo_needs=3,
    ),
)

_INTERFACE_COMMANDS = (
    Command(
        (Mode.INTERFACE,),
        (
            _IP,
            kw("address", "Address of the interface"),
            IpAddress("address", "IP address"),
            IpMask("mask", "Network mask"),
            Option((kw("secondary", "A further address", binds="secondary"),)),
        ),
        edits.set_address,
        "Give the interface an address.",
        undo=edits.unset_address,
        undo_needs=2,
    ),
    Command(
        (Mode.INTERFACE,),
        (kw("shutdown", "Take the interface out of service"),),
        edits.shut_interface,
        "Take the interface down; `local-ip` on it is warned about.",
        undo=edits.open_interface,
        undo_needs=1,
    ),
)

_LOCAL_PEER_COMMANDS = (
    Command(
        (Mode.LOCAL_PEER,),
        (
            kw("local-ip", "Address of this node; several make it multihomed"),
            IpAddress("ip", "IP address"),
        ),
        edits.add_local_ip,
        "Add an address; several make the endpoint multihomed.",
        undo=edits.remove_local_ip,
        undo_needs=2,
    ),
)

_LINKSET_COMMANDS = (
    Command(
        (Mode.LINKSET,),
        (
            kw("link", "One link of the linkset"),
            # Q.704 2.2.4: the code of a link has 4 bits.
            Integer("slc", "Signalling link code", low=0, high=15),
            Option(
                (
                    kw("sctp", "An M2PA link over SCTP (RFC 4165)"),
                    IpAddress("remote-ip", "Address of the peer; several may follow", many=True),
                    Integer("local-port", "Port of the local-peer here", low=1, high=65535),
                    Integer("remote-port", "Port of the peer", low=1, high=65535),
                )
            ),
        ),
        edits.enter_link,
        "Go to a link, creating it if it is new; then its addresses and ports must be given.",
        undo=edits.remove_link,
        undo_needs=2,
    ),
    Command(
        (Mode.LINKSET,),
        (kw("shutdown", "Take the linkset out of service"),),
        edits.shut_linkset,
        "Take the linkset with all its links out of service.",
        undo=edits.open_linkset,
        undo_needs=1,
    ),
    Command(
        (Mode.LINKSET,),
        (
            kw("route", "Route table for what arrives on the linkset"),
            kw("all", "For all messages"),
            kw("table", "By a route table"),
            kw("system", "The one routing table, which holds anyway"),
        ),
        edits.nothing,
        "Accepted: there is one routing table only.",
    ),
    Command(
        (Mode.LINK,),
        (kw("shutdown", "Take the link out of service"),),
        edits.shut_link,
        "Take the link out of service.",
        undo=edits.open_link,
        undo_needs=1,
    ),
)

_ROUTE_TABLE_COMMANDS = tuple(
    Command(
        (Mode.ROUTE_TABLE,),
        (
            kw("update", "Add a route or change it"),
            kw("route", "Route to one or more destinations"),
            *destination,
            kw("linkset", "Linkset that leads there"),
            Name("linkset", "Name of the linkset", words=_linksets),
            Option(
                (
                    kw("priority", "Rank among the routes to the same destination"),
                    Integer("priority", "1 is the best; 5 if not given", low=1, high=9),
                )
            ),
        ),
        edits.update_route,
        "Add a route or change its priority. Lower is better; equal priorities share the load.",
        undo=edits.remove_route,
        undo_needs=len(destination) + 4,
    )
    for destination in (
        (PointCodePrefix("destination", "Point code and mask length", words=_destinations),),
        (
            PointCode("destination", "Point code"),
            PointCodeMask("mask", "Mask in the way of a point code"),
        ),
    )
)

_COMMON_COMMANDS = (
    Command(
        _CONFIG, (kw("exit", "Leave configuration mode"),), Flow.EXIT, "Leave configuration mode."
    ),
    Command(
        _SUBMODES,
        (kw("exit", "Go back to the mode above"),),
        Flow.EXIT,
        "Go back to the mode above.",
    ),
    Command(
        (*_CONFIG, *_SUBMODES),
        (kw("end", "Leave configuration mode"),),
        Flow.END,
        "Back to exec mode from any depth; so does CNTL/Z.",
    ),
    Command(
        (*_CONFIG, *_SUBMODES),
        (kw("do", "Run a command of exec mode"), Rest("command", "The command")),
        Flow.DO,
        "Run a command of exec mode without leaving the mode.",
    ),
)

_PIPE_COMMANDS = (
    Command(
        (Mode.PIPE,),
        (
            Choice(
                "filter",
                {
                    "begin": "Begin with the first line that matches",
                    "exclude": "Leave out lines that match",
                    "include": "Only lines that match",
                },
            ),
            Rest("pattern", "Regular expression"),
        ),
        Flow.NOTHING,
        "Pass on only some lines of what a `show` command prints.",
    ),
)

COMMANDS: tuple[Command, ...] = (
    *_EXEC_COMMANDS,
    *_CONFIG_COMMANDS,
    *_INTERFACE_COMMANDS,
    *_LOCAL_PEER_COMMANDS,
    *_LINKSET_COMMANDS,
    *_ROUTE_TABLE_COMMANDS,
    *_COMMON_COMMANDS,
    *_PIPE_COMMANDS,
)
"""The one command table."""

GRAMMAR = Grammar(COMMANDS)
