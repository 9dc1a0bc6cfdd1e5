"""SCTP as this package sees it: the types that every back end speaks.

A *stack* is one process's SCTP; an *association* is one configured relation with one peer. Both
ends listen and connect (an M2PA link is symmetrical, RFC 4165 4.1.2): two INITs that cross are
SCTP's own business (RFC 9260 5.2.1). An association that is lost comes back by itself after
``Settings.reconnect_delay``; only ``Association.close`` ends it.

Left out: unordered delivery, partial reliability (RFC 3758), dynamic addresses (RFC 5061),
stream reconfiguration (RFC 6525), IPv6. No user of this room needs them yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

__all__ = [
    "Association",
    "AssociationSettings",
    "AssociationStats",
    "Backend",
    "Handler",
    "Packet",
    "Settings",
    "Stack",
    "StackStats",
    "Tap",
]

Backend = Literal["auto", "kernel", "raw", "udp"]


@dataclass(frozen=True, slots=True)
class AssociationSettings:
    """One relation with one peer, in the configuration's own addresses."""

    local: tuple[str, ...]
    """Local IPv4 addresses, the first one first choice; several mean multihoming."""
    local_port: int
    remote: tuple[str, ...]
    """The peer's IPv4 addresses, in the same sense."""
    remote_port: int
    ppid: int
    """Payload protocol identifier of every message sent (host order; M2PA is 5)."""
    streams: int = 2
    """Streams asked for in each direction; an association with fewer outbound ones is refused."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the stack behaves. Durations in seconds, sizes in octets.

    The retransmission defaults are those of a signalling network, not RFC 9260 section 16's
    (RTO 1-60 s, association lost after 10 tries, heartbeat 30 s): a cut that nobody announces is
    noticed within four seconds under traffic (RTOs of 0.2, 0.4, 0.8, 1 and 1 s) and within five
    on an idle link (a heartbeat first).
    """

    backend: Backend = "auto"
    local: tuple[str, ...] = ()
    """The addresses that this process will bind; what ``auto`` decides by."""
    address_map: Mapping[str, str] = field(default_factory=dict)
    """``udp`` only: the configuration's address → the address really used on this machine."""
    address_rule: Literal["loopback", "identity"] = "loopback"
    """``udp`` only: what happens to addresses not in ``address_map``; ``loopback`` puts 127 in
    place of the first octet (10.0.5.1 becomes 127.0.5.1), ``identity`` leaves them."""
    udp_port: int = 9899
    """RFC 6951 section 6: the encapsulation port, local and default remote."""
    remote_udp_ports: Mapping[str, int] = field(default_factory=dict)
    """Peers that are encapsulated on another port, by their configured address."""

    rto_initial: float = 0.5
    rto_min: float = 0.2
    rto_max: float = 1.0
    association_max_retrans: int = 4
    path_max_retrans: int = 2
    """For peers with several addresses. RFC 9260 8.2 wants the association's limit not above the
    sum of its paths', so the only path of an association gets the association's limit."""
    init_max_attempts: int = 5
    heartbeat: float = 1.0
    """Pause between HEARTBEATs on an idle path, to which RFC 9260 8.3 adds the RTO."""
    sack_delay: float = 0.04
    """Must stay well under ``rto_min``, or a late SACK looks like a loss (RFC 9260 6.2)."""
    sack_frequency: int = 2
    max_burst: int = 64
    """Packets that may leave at once (RFC 9260 6.1 D suggests 4, for paths that lose what comes in
    bursts). A wake-up hands over more than 4 packets' worth: the rest would wait for SACKs, and
    half of it leave in packets of a single message. Congestion control is untouched."""
    mtu: int = 1500
    """Largest IP packet. A larger one was not worth it even on loopback: at 100 octets a message,
    4000 gains 5 %, 16,000 nothing (fewer wake-ups, fuller ones)."""
    reconnect_delay: float = 1.0

    send_buffer: int = 1 << 20
    receive_buffer: int = 1 << 19
    """The window offered to the peer, about 1400 messages of 100 octets (libusrsctp counts 256
    more for each). What fills it fits the UDP buffer that an ordinary user gets by default."""
    send_queue: int = 1 << 16
    """Messages that may wait in an association while its send buffer is full. One more, and the
    association is aborted: dropping a message would break what its user was promised."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One SCTP packet (common header, chunks, real checksum) as it crossed the seam."""

    time: float
    """Seconds since the epoch."""
    source: str
    """The configuration's address, not the mapped one; likewise ``destination``."""
    destination: str
    sent: bool
    sctp: bytes


Tap = Callable[[Packet], None]


@dataclass(slots=True)
class AssociationStats:
    """What one association has done since it was opened."""

    messages_in: int = 0
    messages_out: int = 0
    octets_in: int = 0
    octets_out: int = 0
    established: int = 0
    """Times the association came up."""
    lost: int = 0
    """Times it went down, for whatever reason."""
    restarts: int = 0
    """Times the peer restarted it (RFC 9260 5.2.4, action A)."""
    failed_attempts: int = 0
    """Attempts to set it up that led nowhere."""
    send_failed: int = 0
    """Messages SCTP gave back undelivered, or that were queued here when it went down."""
    not_up: int = 0
    """Messages refused because the association was down."""
    wrong_ppid: int = 0
    """Messages with another payload protocol identifier than ours; delivered all the same."""
    queue_full: int = 0
    """Times the send queue ran over and the association was aborted for it."""
    queued: int = 0
    """Messages waiting now for room in the send buffer."""


@dataclass(slots=True)
class StackStats:
    """What the transport seam has seen."""

    packets_in: int = 0
    packets_out: int = 0
    octets_in: int = 0
    octets_out: int = 0
    wakeups: int = 0
    unknown_source: int = 0
    """Datagrams from an address that no configured association names."""
    malformed: int = 0
    """Datagrams that cannot be SCTP: too short or too long."""
    unknown_peer: int = 0
    """Associations that somebody else set up with us, aborted."""
    dropped: int = 0
    """Packets dropped by ``block`` or ``impair``."""
    send_errors: int = 0
    """Packets that the operating system refused to send."""
    handler_errors: int = 0
    """Exceptions raised by handlers, reported to the loop's exception handler."""


class Handler(Protocol):
    """What the user of an association is told.

    ``now`` is ``time.monotonic()``, in seconds: the clock of the loop, but not, as ``loop.time()``
    is on uvloop, rounded to the beginning of the turn.
    """

    def association_up(self, now: float) -> None:
        """Messages can be sent from now on."""

    def association_down(self, now: float, reason: str) -> None:
        """Lost, aborted, shut down, or it could not be set up: nothing more will arrive."""

    def association_restart(self, now: float) -> None:
        """The peer has started anew: what was in flight is gone, the association is up."""

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        """Everything that waited at this wake-up, as (stream, octets) in order of arrival."""

    def path_changed(self, address: str, reachable: bool, now: float) -> None:
        """One of the peer's addresses went out of or came back into use."""


class Association(Protocol):
    """One configured relation with one peer."""

    @property
    def settings(self) -> AssociationSettings:
        """What it was opened with."""

    @property
    def up(self) -> bool:
        """Whether messages can be sent."""

    def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Queue (stream, octets) in order; they leave at the end of this turn of the loop."""

    def abort(self) -> None:
        """End the present association with an ABORT; a new one follows after the back-off."""

    def shutdown(self) -> None:
        """Deliver what was sent, then end with SHUTDOWN; a new one follows after the back-off."""

    def close(self) -> None:
        """End for good, with an ABORT when up. The handler hears no more."""

    def stats(self) -> AssociationStats:
        """Return the counters, updated in place."""


class Stack(Protocol):
    """One process's SCTP."""

    @property
    def backend(self) -> str:
        """``kernel``, ``raw`` or ``udp``."""

    @property
    def stats(self) -> StackStats:
        """The counters, updated in place."""

    def open(self, settings: AssociationSettings, handler: Handler) -> Association:
        """Listen for this peer and connect to it, from now until the association is closed."""

    def set_tap(self, tap: Tap | None) -> None:
        """Show every packet to ``tap`` from now on; ``None`` ends it, and it costs nothing."""

    def block(self, local: str, remote: str, blocked: bool) -> None:
        """Drop everything between these two addresses, both ways, while ``blocked``."""

    def close(self) -> None:
        """Abort every association and give back every socket."""
