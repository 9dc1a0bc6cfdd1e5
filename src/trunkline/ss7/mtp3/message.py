"""The message signal unit of MTP level 3: service information octet, routing label, the rest.

Standards: ITU-T Q.704 clauses 2.2 and 14 (label of 14 + 14 + 4 bits), ANSI T1.111.4 (24 + 24 bits
and an SLS octet), China GF 001-9001 (the same, SLS of 4 bits), TTC JT-Q704 (16 + 16 bits and an
SLS octet). Only Q.704 has been followed from its own text; the other labels follow public
dissectors, see ``docs/conformance/q704.md``.

An MSU is ``bytes`` everywhere: SIO and SIF, no length indicator. :class:`Label` reads and writes
the routing label without making an object, for the router; :class:`Msu` is the whole message taken
apart, for everybody else. Bits that a variant leaves unused are kept and written back.

Left out: the order in which bits leave on a wire, and user parts' own labels (TUP's CIC).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.pointcode import Variant

__all__ = ["Label", "Msu", "ServiceIndicator", "label_of", "parse"]


class ServiceIndicator(IntEnum):
    """Which part of the node a message is for: the four low bits of the SIO (Q.704 14.2.1)."""

    MANAGEMENT = 0
    TEST = 1
    """Signalling network testing and maintenance: SLTM and SLTA (Q.707)."""
    TEST_SPECIAL = 2
    """Where ANSI carries SLTM and SLTA; spare in ITU networks."""
    SCCP = 3
    TUP = 4
    ISUP = 5
    DUP_CALL = 6
    DUP_FACILITY = 7
    MTP_TESTING = 8
    """The MTP testing user part (Q.755)."""
    BROADBAND_ISUP = 9
    SATELLITE_ISUP = 10
    AAL2 = 12
    BICC = 13
    GCP = 14


@dataclass(frozen=True, slots=True)
class Label:
    """How one variant lays out the routing label; get it by :func:`label_of`."""

    pc_bits: int
    sls_bits: int
    octets: int
    packed: bool
    """DPC, OPC and SLS share octets (Q.704 2.2); otherwise each fills octets of its own."""
    swap: tuple[int, ...] = ()
    """Widths of fields that travel the other way round, the least significant one first."""

    @property
    def header(self) -> int:
        """Octets before the user part's data: the SIO and the label."""
        return self.octets + 1

    @property
    def sls_mask(self) -> int:
        """Ones over the signalling link selection."""
        return (1 << self.sls_bits) - 1

    def unpack(self, msu: bytes) -> tuple[int, int, int, int]:
        """Return (dpc, opc, sls, spare) of a message at least :attr:`header` octets long."""
        if self.packed:  # 4 octets: DPC in the low 14 bits, OPC in the next, SLS on top
            label = int.from_bytes(msu[1:5], "little")
            return label & 0x3FFF, label >> 14 & 0x3FFF, label >> 28, 0
        width = self.pc_bits // 8
        dpc = self._turn(int.from_bytes(msu[1 : 1 + width], "little"))
        opc = self._turn(int.from_bytes(msu[1 + width : 1 + 2 * width], "little"))
        octet = msu[1 + 2 * width]
        return dpc, opc, octet & self.sls_mask, octet >> self.sls_bits

    def pack(self, dpc: int, opc: int, sls: int, spare: int = 0) -> bytes:
        """Return the octets of a label; the values must fit the variant."""
        if self.packed:
            return (dpc | opc << 14 | sls << 28).to_bytes(4, "little")
        width = self.pc_bits // 8
        return (
            self._back(dpc).to_bytes(width, "little")
            + self._back(opc).to_bytes(width, "little")
            + bytes((sls | spare << self.sls_bits,))
        )

    def point_code(self, octets: bytes) -> int:
        """Return the point code in a message body; spare bits above it are the caller's."""
        return self._turn(int.from_bytes(octets, "little") & (1 << self.pc_bits) - 1)

    def wire(self, pc: int) -> int:
        """Return ``pc`` as the little-endian number that a message body carries."""
        return self._back(pc)

    def _turn(self, value: int) -> int:
        if not self.swap:
            return value
        pc = 0
        for width in self.swap:
            pc = pc << width | value & (1 << width) - 1
            value >>= width
        return pc

    def _back(self, pc: int) -> int:
        if not self.swap:
            return pc
        value = 0
        for width in reversed(self.swap):
            value = value << width | pc & (1 << width) - 1
            pc >>= width
        return value


@cache
def label_of(variant: Variant, sls_bits: int | None = None) -> Label:
    """Return the label layout of ``variant``; ``sls_bits`` where a network uses fewer (ANSI: 5)."""
    bits = variant.sls_bits if sls_bits is None else sls_bits
    packed = variant.label_octets == 4
    if not 1 <= bits <= (4 if packed else 8) or (packed and bits != 4):
        raise TrunklineError(
            "mtp3.sls-bits", f"{variant.title} has no signalling link selection of {bits} bits"
        )
    # JT-Q704: the main area (5 bits) is sent first, so it lies in the low bits of the number that
    # travels, while the text 1-2-3 and our masks put it first. Inferred from dissectors, unchecked.
    swap = variant.fields if variant.name == "japan" else ()
    return Label(variant.bits, bits, variant.label_octets, packed, swap)


@dataclass(frozen=True, slots=True)
class Msu:
    """One message signal unit, taken apart."""

    ni: int
    """Network indicator: 0 international, 2 national, 1 and 3 spare or reserved (Q.704 14.2.2)."""
    priority: int
    """The two spare bits of the SIO; ANSI and some national networks put a priority there."""
    si: int
    dpc: int
    opc: int
    sls: int
    """Signalling link selection; in management and test messages the signalling link code."""
    payload: bytes = b""
    """What follows the routing label."""
    spare: int = 0
    """The unused bits above the SLS, where the variant has any."""

    def to_bytes(self, variant: Variant) -> bytes:
        """Return SIO and SIF; raises ``mtp3.range`` for a field that does not fit ``variant``."""
        label = label_of(variant)
        limits = (
            ("network indicator", self.ni, 2),
            ("priority", self.priority, 2),
            ("service indicator", self.si, 4),
            ("destination point code", self.dpc, label.pc_bits),
            ("originating point code", self.opc, label.pc_bits),
            ("signalling link selection", self.sls, label.sls_bits),
            ("spare bits", self.spare, 0 if label.packed else 8 - label.sls_bits),
        )
        for name, value, bits in limits:
            if not 0 <= value < 1 << bits:
                raise TrunklineError(
                    "mtp3.range", f"{name} {value} does not fit the {bits} bits of {variant.title}"
                )
        sio = self.ni << 6 | self.priority << 4 | self.si
        return bytes((sio,)) + label.pack(self.dpc, self.opc, self.sls, self.spare) + self.payload


def parse(octets: bytes, variant: Variant) -> Msu:
    """Take an MSU apart; raises :class:`DecodeError` ``mtp3.short`` if SIO and label are not whole.

    Every other value is kept as it came: whether it makes sense here is the router's decision.
    """
    label = label_of(variant)
    if len(octets) < label.header:
        raise DecodeError(
            "mtp3.short",
            f"message of {len(octets)} octets; SIO and routing label alone take "
            f"{label.header} in {variant.title}",
            offset=len(octets),
        )
    sio = octets[0]
    dpc, opc, sls, spare = label.unpack(octets)
    return Msu(
        sio >> 6, sio >> 4 & 3, sio & 15, dpc, opc, sls, bytes(octets[label.header :]), spare
    )
