"""Traffic test of the MTP: ``ping`` from one signalling point to another, and its answer.

Standards: ITU-T Q.755.1 puts a tester on top of the MTP as a user part of its own, service
indicator 8 (Q.704 14.2.1), whose messages carry a serial number. The Recommendation's text was not
to be had: **the layout below is ours**, the simplest that asks and answers, with an identification
so that another tester's messages are told apart (they are counted and refused, never answered).
What a Cisco router sends for ``ping cs7`` is equally unpublished; see ``docs/conformance/q704.md``.

========  =================================================================
octets    field, behind the routing label; numbers little-endian
========  =================================================================
0         heading: 0x11 request, 0x21 reply, after the manner of Q.707
1-2       ``TL``, the identification
3-4       number of the test
5-8       serial number of the message within the test
9-10      octets of filler that follow
11-       filler, all zero
========  =================================================================

Every node answers requests. The originator keeps the time each request left, so nothing in the
message has to be believed. Tests run side by side; each is a few numbers and its outstanding
requests.

Left out: Q.755.1's one-way traffic generation with the checks at the receiver.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.errors import DecodeError

__all__ = [
    "HEADER",
    "PROBE",
    "REPLY",
    "REQUEST",
    "PingHandle",
    "PingStats",
    "TrafficTest",
    "parse",
]

REQUEST = 0x11
REPLY = 0x21
HEADER = 11
"""Octets before the filler."""
PROBE = 0xFFFF
"""The test number of :mod:`.loops`; a ``ping`` has another."""
_IDENTIFICATION = b"TL"


@dataclass(frozen=True, slots=True)
class TrafficTest:
    """A test message, as it stands behind the routing label."""

    heading: int
    """:data:`REQUEST` or :data:`REPLY`."""
    test: int
    number: int
    filler: bytes = b""

    def to_bytes(self) -> bytes:
        """Return heading, identification, numbers and filler."""
        return b"".join(
            (
                bytes((self.heading,)),
                _IDENTIFICATION,
                self.test.to_bytes(2, "little"),
                self.number.to_bytes(4, "little"),
                len(self.filler).to_bytes(2, "little"),
                self.filler,
            )
        )


def parse(payload: bytes) -> TrafficTest:
    """Read a test message; raises :class:`DecodeError` for anything that is not ours."""
    if len(payload) < HEADER:
        raise DecodeError(
            "mtp3.traffic-test.short",
            f"test message of {len(payload)} octets; the header takes {HEADER}",
            offset=len(payload),
        )
    if payload[0] not in (REQUEST, REPLY) or payload[1:3] != _IDENTIFICATION:
        raise DecodeError(
            "mtp3.traffic-test.foreign", "message of another MTP tester (no TL identification)"
        )
    filler = bytes(payload[HEADER:])
    if len(filler) != int.from_bytes(payload[9:11], "little"):
        raise DecodeError(
            "mtp3.traffic-test.length",
            f"header says {int.from_bytes(payload[9:11], 'little')} octets of filler, "
            f"{len(filler)} follow",
            offset=9,
        )
    return TrafficTest(
        payload[0],
        int.from_bytes(payload[3:5], "little"),
        int.from_bytes(payload[5:9], "little"),
        filler,
    )


@dataclass(frozen=True, slots=True)
class PingStats:
    """How a traffic test went. Times in seconds; 0 when nothing came back."""

    sent: int
    received: int
    minimum: float
    average: float
    maximum: float

    @property
    def lost(self) -> int:
        """Messages that did not come back in time."""
        return self.sent - self.received

    @property
    def success(self) -> float:
        """Share of messages that came back, 0 to 1."""
        return self.received / self.sent if self.sent else 0.0


@dataclass(slots=True, eq=False)
class PingHandle:
    """One traffic test in progress."""

    test: int
    dpc: int
    count: int
    interval: float
    timeout: float
    filler: int
    next_send: float
    sent: int = 0
    received: int = 0
    total: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    outstanding: dict[int, float] = field(default_factory=dict)
    """Time of sending by serial number, oldest first."""

    @property
    def done(self) -> bool:
        """Has everything been sent and answered, or given up?"""
        return self.sent >= self.count and not self.outstanding

    def due(self) -> float:
        """Return when something is to be done next."""
        times = []
        if self.sent < self.count:
            times.append(self.next_send)
        if self.outstanding:
            times.append(next(iter(self.outstanding.values())) + self.timeout)
        return min(times)

    def answered(self, number: int, now: float) -> float | None:
        """Note a reply; return its round-trip time, ``None`` if nobody waits for it."""
        sent_at = self.outstanding.pop(number, None)
        if sent_at is None:
            return None
        rtt = now - sent_at
        self.minimum = rtt if not self.received else min(self.minimum, rtt)
        self.maximum = max(self.maximum, rtt)
        self.total += rtt
        self.received += 1
        return rtt

    def expired(self, now: float) -> list[int]:
        """Give up and return the requests that have waited too long."""
        late = []
        for number, sent_at in self.outstanding.items():
            if sent_at + self.timeout > now:
                break
            late.append(number)
        for number in late:
            del self.outstanding[number]
        return late

    @property
    def stats(self) -> PingStats:
        """The figures so far."""
        average = self.total / self.received if self.received else 0.0
        return PingStats(self.sent, self.received, self.minimum, average, self.maximum)
