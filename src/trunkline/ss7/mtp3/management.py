"""Signalling network management messages: heading codes H0 and H1 and what follows them.

Standards: ITU-T Q.704 clause 15 (table 1: the heading codes), Q.2210 clause 9.8.1 (XCO and XCA with
a 24-bit sequence number, which RFC 4165 4.2.3 prescribes for M2PA), ANSI T1.111.4 clause 15 (the
signalling link code moves from the label into the body). Messages travel with service indicator 0;
this codec is for what stands behind the routing label.

A body is a string of bit fields, the first one in the low bits of the first octet. One table says
which fields each message has; what a message holds beyond them, and the whole body of a message
that is not in the table, is kept in ``rest`` and written back.

Left out: acting on any of them, which is :mod:`.changeover` and
:mod:`.route_management` (transfer prohibited and allowed).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.mtp3.message import label_of
from trunkline.ss7.pointcode import Variant

__all__ = ["Heading", "Management", "heading_name", "parse"]


class Heading(IntEnum):
    """H1 in the high half, H0 in the low half of the octet (Q.704 15, table 1)."""

    COO = 0x11
    COA = 0x21
    XCO = 0x31
    XCA = 0x41
    CBD = 0x51
    CBA = 0x61
    ECO = 0x12
    ECA = 0x22
    RCT = 0x13
    TFC = 0x23
    TFP = 0x14
    TCP = 0x24  # ANSI
    TFR = 0x34
    TCR = 0x44  # ANSI
    TFA = 0x54
    TCA = 0x64  # ANSI
    RST = 0x15
    RSR = 0x25
    RCP = 0x35  # ANSI
    RCR = 0x45  # ANSI
    LIN = 0x16
    LUN = 0x26
    LIA = 0x36
    LUA = 0x46
    LID = 0x56
    LFU = 0x66
    LLT = 0x76
    LRT = 0x86
    TRA = 0x17
    TRW = 0x27  # ANSI
    DLC = 0x18
    CSS = 0x28
    CNS = 0x38
    CNP = 0x48
    UPU = 0x1A


_Fields: TypeAlias = tuple[tuple[str, int], ...]

# Q.704 15.4 to 15.17 and Q.2210 9.8.1. "pc" has the width of the variant's point code.
_PC = (("pc", -1), ("spare", -2))  # -2: what fills the last octet of the point code
_ITU: dict[int, _Fields] = {
    Heading.COO: (("fsn", 7), ("spare", 1)),
    Heading.COA: (("fsn", 7), ("spare", 1)),
    Heading.XCO: (("fsn", 24),),
    Heading.XCA: (("fsn", 24),),
    Heading.CBD: (("code", 8),),
    Heading.CBA: (("code", 8),),
    Heading.TFP: _PC,
    Heading.TFR: _PC,
    Heading.TFA: _PC,
    Heading.RST: _PC,
    Heading.RSR: _PC,
    Heading.TFC: (("pc", -1), ("code", -2)),  # the congestion status is a national option
    Heading.DLC: (("code", 12), ("spare", 4)),
    Heading.UPU: (*_PC, ("user", 4), ("cause", 4)),
}
# Where a point code fills its octets, the congestion status has an octet of its own.
_WHOLE_OCTETS: dict[int, _Fields] = {Heading.TFC: (("pc", -1), ("code", 2), ("spare", 6))}
_SLC_ONLY = (("slc", 4), ("spare", 4))
_ANSI: dict[int, _Fields] = {
    Heading.COO: (("slc", 4), ("fsn", 7), ("spare", 5)),
    Heading.COA: (("slc", 4), ("fsn", 7), ("spare", 5)),
    Heading.XCO: (("slc", 4), ("fsn", 24), ("spare", 4)),
    Heading.XCA: (("slc", 4), ("fsn", 24), ("spare", 4)),
    Heading.CBD: (("slc", 4), ("code", 8), ("spare", 4)),
    Heading.CBA: (("slc", 4), ("code", 8), ("spare", 4)),
    Heading.ECO: _SLC_ONLY,
    Heading.ECA: _SLC_ONLY,
    Heading.TCP: _PC,
    Heading.TCR: _PC,
    Heading.TCA: _PC,
    Heading.RCP: _PC,
    Heading.RCR: _PC,
    **{heading: _SLC_ONLY for heading in Heading if heading & 15 == 6},  # the inhibit group
    Heading.DLC: (("slc", 4), ("code", 14), ("spare", 6)),
}


@dataclass(frozen=True, slots=True)
class Management:
    """One management message; only the fields that its heading has are written."""

    heading: int
    """A :class:`Heading`, or another octet that a peer sent."""
    slc: int = 0
    """The link concerned, in ANSI networks only: elsewhere it is the label's SLS field."""
    fsn: int = 0
    """Forward sequence number of the last message accepted from the failed link."""
    pc: int = 0
    """The destination concerned."""
    code: int = 0
    """Changeback code, congestion status or data link identity, by heading."""
    user: int = 0
    cause: int = 0
    spare: int = 0
    rest: bytes = b""

    def to_bytes(self, variant: Variant) -> bytes:
        """Return heading and body; raises ``mtp3.range`` for a field that does not fit."""
        value = shift = 0
        for name, bits in _fields(self.heading, variant):
            field = getattr(self, name)
            if not 0 <= field < 1 << bits:
                raise TrunklineError(
                    "mtp3.range",
                    f"{name} {field} of {heading_name(self.heading)} exceeds {bits} bits",
                )
            if name == "pc":
                field = label_of(variant).wire(field)
            value |= field << shift
            shift += bits
        return bytes((self.heading,)) + value.to_bytes(shift // 8, "little") + self.rest

    @property
    def name(self) -> str:
        """The standard's abbreviation, or H0 and H1 in figures."""
        return heading_name(self.heading)


def parse(payload: bytes, variant: Variant) -> Management:
    """Read what follows the routing label; raises ``mtp3.management.short``."""
    if not payload:
        raise DecodeError("mtp3.management.short", "management message without heading codes")
    heading = payload[0]
    fields = _fields(heading, variant)
    octets = sum(bits for _, bits in fields) // 8
    if len(payload) < 1 + octets:
        raise DecodeError(
            "mtp3.management.short",
            f"{heading_name(heading)} of {len(payload)} octets needs {1 + octets} "
            f"in {variant.title}",
            offset=len(payload),
        )
    value = int.from_bytes(payload[1 : 1 + octets], "little")
    values: dict[str, int] = {}
    for name, bits in fields:
        values[name] = value & (1 << bits) - 1
        value >>= bits
    if "pc" in values:
        octets_of_pc = values["pc"].to_bytes(3, "little")
        values["pc"] = label_of(variant).point_code(octets_of_pc)
    known = Heading(heading) if heading in _HEADINGS else heading
    return Management(known, **values, rest=bytes(payload[1 + octets :]))


def heading_name(heading: int) -> str:
    """Return ``TFP`` for 0x14, ``H0=4 H1=9`` for a heading that no table names."""
    if heading in _HEADINGS:
        return Heading(heading).name
    return f"H0={heading & 15} H1={heading >> 4}"


_HEADINGS = frozenset(map(int, Heading))


def _fields(heading: int, variant: Variant) -> _Fields:
    """Return the body's bit fields with the widths that ``variant`` gives them."""
    fields: _Fields = ()
    if variant.name == "ansi":
        fields = _ANSI.get(heading, ())
    if not fields and variant.bits % 8 == 0:
        fields = _WHOLE_OCTETS.get(heading, ())
    if not fields:
        fields = _ITU.get(heading, ())
    fill = -variant.bits % 8
    widths = {-1: variant.bits, -2: fill}
    return tuple((n, b) for n, b in ((n, widths.get(b, b)) for n, b in fields) if b)
