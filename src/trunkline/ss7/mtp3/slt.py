"""Signalling link tests: SLTM, SLTA and the little machine that one link runs.

Standards: ITU-T Q.707 clauses 2.2 (procedure) and 5 (formats), ANSI T1.111.7 (the same messages
under service indicator 2, the signalling link code also in the body). A link carries traffic only
after a test has passed (Q.704 12.2.2) and is tested again every T2. The label's SLS field holds the
signalling link code. A test fails when no matching SLTA came within T1, twice running; the link is
then taken out of service and restarted.

The states of the test are a table; each row cites what decides it.

Left out: Q.707 leaves the pattern to the sender, so ours counts, to tell a late answer from a
fresh one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.mtp3.message import ServiceIndicator
from trunkline.ss7.pointcode import Variant

__all__ = [
    "MAX_PATTERN",
    "SLTA",
    "SLTM",
    "TABLE",
    "LinkTest",
    "SltEvent",
    "SltState",
    "Verdict",
    "parse",
    "service_indicator",
]

SLTM = 0x11
"""H1 1, H0 1 (Q.707 5.4)."""
SLTA = 0x21
"""H1 2, H0 1 (Q.707 5.4)."""
MAX_PATTERN = 15
"""The length indicator has four bits (Q.707 5.4)."""


@dataclass(frozen=True, slots=True)
class LinkTest:
    """An SLTM or SLTA, as it stands behind the routing label."""

    heading: int
    """:data:`SLTM` or :data:`SLTA`."""
    pattern: bytes
    low: int = 0
    """The half octet beside the length: spare in ITU networks, the SLC in ANSI ones."""
    rest: bytes = b""
    """Octets behind the pattern, kept for re-encoding."""

    def to_bytes(self) -> bytes:
        """Return heading, length and pattern; raises ``mtp3.slt.pattern`` if it is too long."""
        if len(self.pattern) > MAX_PATTERN:
            raise TrunklineError(
                "mtp3.slt.pattern",
                f"test pattern of {len(self.pattern)} octets; Q.707 allows {MAX_PATTERN}",
            )
        head = bytes((self.heading, len(self.pattern) << 4 | self.low))
        return head + self.pattern + self.rest


def parse(payload: bytes) -> LinkTest:
    """Read a test message; raises :class:`DecodeError` for a heading or length that cannot be."""
    if len(payload) < 2:
        raise DecodeError(
            "mtp3.slt.short",
            f"test message of {len(payload)} octets; heading and length take 2",
            offset=len(payload),
        )
    if payload[0] not in (SLTM, SLTA):
        raise DecodeError("mtp3.slt.heading", f"unknown test message {payload[0]:#04x}")
    length = payload[1] >> 4
    if len(payload) < 2 + length:
        raise DecodeError(
            "mtp3.slt.short",
            f"test pattern says {length} octets, {len(payload) - 2} are there",
            offset=1,
        )
    return LinkTest(
        payload[0], bytes(payload[2 : 2 + length]), payload[1] & 15, bytes(payload[2 + length :])
    )


def service_indicator(variant: Variant) -> ServiceIndicator:
    """Return where ``variant`` carries link tests: 1, in ANSI networks 2 (T1.111.7)."""
    if variant.name == "ansi":
        return ServiceIndicator.TEST_SPECIAL
    return ServiceIndicator.TEST


class SltState(Enum):
    """Where the test of one link stands."""

    IDLE = "idle"
    """The link is out of service: nothing to test."""
    FIRST = "first attempt"
    SECOND = "second attempt"
    PASSED = "passed"
    """The link may carry traffic; T2 runs until the next test."""
    AGAIN = "periodic, first attempt"
    AGAIN_SECOND = "periodic, second attempt"


class SltEvent(Enum):
    """What moves the test on."""

    START = auto()
    STOP = auto()
    ACKNOWLEDGED = auto()
    T1 = auto()
    T2 = auto()


class Verdict(Enum):
    """What the link has to do after a transition."""

    NOTHING = auto()
    SEND = auto()
    """Send an SLTM with a new pattern and start T1."""
    PASS = auto()
    """Tell the link that it passed, start T2."""
    FAIL = auto()
    """Tell the link that it failed twice."""
    STOP = auto()
    """Stop both timers."""


_S, _E, _V = SltState, SltEvent, Verdict

TABLE: dict[tuple[SltState, SltEvent], tuple[SltState, Verdict, str]] = {
    (_S.IDLE, _E.START): (_S.FIRST, _V.SEND, "Q.707 2.2: test when a link comes into service"),
    (_S.FIRST, _E.ACKNOWLEDGED): (_S.PASSED, _V.PASS, "Q.707 2.2: matching SLTA within T1"),
    (_S.FIRST, _E.T1): (_S.SECOND, _V.SEND, "Q.707 2.2: repeat the test once"),
    (_S.SECOND, _E.ACKNOWLEDGED): (_S.PASSED, _V.PASS, "Q.707 2.2"),
    (_S.SECOND, _E.T1): (_S.IDLE, _V.FAIL, "Q.707 2.2: failed twice, Q.704 12.2.2"),
    (_S.PASSED, _E.T2): (_S.AGAIN, _V.SEND, "Q.707 2.2: every T2 on a link in service"),
    (_S.AGAIN, _E.ACKNOWLEDGED): (_S.PASSED, _V.PASS, "Q.707 2.2"),
    (_S.AGAIN, _E.T1): (_S.AGAIN_SECOND, _V.SEND, "Q.707 2.2: repeat the test once"),
    (_S.AGAIN_SECOND, _E.ACKNOWLEDGED): (_S.PASSED, _V.PASS, "Q.707 2.2"),
    (_S.AGAIN_SECOND, _E.T1): (_S.IDLE, _V.FAIL, "Q.707 2.2: failed twice"),
    (_S.PASSED, _E.ACKNOWLEDGED): (_S.PASSED, _V.NOTHING, "a second answer changes nothing"),
    (_S.IDLE, _E.ACKNOWLEDGED): (_S.IDLE, _V.NOTHING, "an answer after the link went"),
    (_S.IDLE, _E.T1): (_S.IDLE, _V.NOTHING, "ran out in the moment in which the link went"),
    (_S.IDLE, _E.T2): (_S.IDLE, _V.NOTHING, "ran out in the moment in which the link went"),
    **{(state, _E.STOP): (_S.IDLE, _V.STOP, "the link left service") for state in SltState},
}
"""(state, event) to (next state, verdict, clause)."""
