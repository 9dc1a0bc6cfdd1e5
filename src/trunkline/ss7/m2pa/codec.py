"""M2PA messages: RFC 4165, section 2.

Two messages: User Data (2.3.1) and Link Status (2.3.2). Both are immutable. Everything that a
sender may set and a receiver must ignore (the spare octet of the common header, the unused octet
above BSN and FSN, the spare bits beside PRI) is kept, so that any accepted message encodes to the
very octets it came from.

Left out: nothing of section 2. The link's hot loop (``link.py``) reads and writes the same layout
through ``WORDS`` and ``USER_DATA_WORD`` without building these objects.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from trunkline.errors import DecodeError, TrunklineError

__all__ = [
    "HEADER_SIZE",
    "PPID",
    "SEQUENCE_MASK",
    "SEQUENCE_START",
    "STREAM_DATA",
    "STREAM_STATUS",
    "LinkStatus",
    "M2paError",
    "Message",
    "Status",
    "UserData",
    "parse",
]

PPID: Final = 5  # 7.1
VERSION: Final = 1  # 2.1.1
MESSAGE_CLASS: Final = 11  # 2.1.3
TYPE_USER_DATA: Final = 1  # 2.1.4
TYPE_LINK_STATUS: Final = 2  # 2.1.4

STREAM_STATUS: Final = 0  # 4.1.2
STREAM_DATA: Final = 1  # 4.1.2

SEQUENCE_MASK: Final = 0xFFFFFF  # 2.2: 0 to 16,777,215
# "The last one sent" before anything was sent. The RFC names no start value; by common practice
# the first message with data carries FSN 0.
SEQUENCE_START: Final = 0xFFFFFF

HEADER_SIZE: Final = 16  # common header (2.1) and M2PA header (2.2)
WORDS: Final = struct.Struct(">IIII")  # version..type, length, unused+BSN, unused+FSN
DATA_WORDS: Final = struct.Struct(">IIIIB")  # the same and the octet with PRI
STATUS_WORDS: Final = struct.Struct(">IIIII")  # the same and the State

_FIXED = VERSION << 24 | MESSAGE_CLASS << 8
USER_DATA_WORD: Final = _FIXED | TYPE_USER_DATA  # spare octet zero
LINK_STATUS_WORD: Final = _FIXED | TYPE_LINK_STATUS


class M2paError(enum.StrEnum):
    """Every code that this room puts on a refusal or an error."""

    SHORT = "m2pa.short"
    VERSION = "m2pa.version"
    CLASS = "m2pa.class"
    TYPE = "m2pa.type"
    LENGTH = "m2pa.length"
    STATUS = "m2pa.status"
    RANGE = "m2pa.range"
    FSN = "m2pa.fsn"
    BSN = "m2pa.bsn"
    UNEXPECTED = "m2pa.unexpected"
    RECEIVE_FULL = "m2pa.receive-full"
    TRANSMIT_FULL = "m2pa.transmit-full"
    NOT_IN_SERVICE = "m2pa.not-in-service"
    TRANSITION = "m2pa.transition"
    SETTINGS = "m2pa.settings"


class Status(enum.IntEnum):
    """The State of a Link Status message (2.3.2)."""

    ALIGNMENT = 1
    PROVING_NORMAL = 2
    PROVING_EMERGENCY = 3
    READY = 4
    PROCESSOR_OUTAGE = 5
    PROCESSOR_RECOVERED = 6
    BUSY = 7
    BUSY_ENDED = 8
    OUT_OF_SERVICE = 9


_PROVING = frozenset({Status.PROVING_NORMAL, Status.PROVING_EMERGENCY})
_STATUSES = {int(status): status for status in Status}


@dataclass(frozen=True, slots=True)
class UserData:
    """User Data (2.3.1): an MSU (SIO and SIF), or an acknowledgement alone when ``msu`` is empty.

    ``priority`` is the two PRI bits, which only the Japanese MTP uses. ``data_spare`` holds the
    six bits beside them; some peers wrongly put MTP2's length indicator there.
    """

    bsn: int
    fsn: int
    priority: int = 0
    msu: bytes = b""
    data_spare: int = 0
    header_spare: int = 0
    bsn_unused: int = 0
    fsn_unused: int = 0

    def to_bytes(self) -> bytes:
        """Encode. Raises ``TrunklineError`` (``m2pa.range``) when a field does not fit."""
        head, bsn, fsn = _header_words(self, TYPE_USER_DATA)
        if not self.msu:
            return WORDS.pack(head, HEADER_SIZE, bsn, fsn)
        first = _fit("priority", self.priority, 2) << 6 | _fit("data_spare", self.data_spare, 6)
        length = HEADER_SIZE + 1 + len(self.msu)
        return DATA_WORDS.pack(head, length, bsn, fsn, first) + self.msu


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """Link Status (2.3.2). ``filler`` only with the two Proving states (2.3.2.1)."""

    bsn: int
    fsn: int
    state: Status
    filler: bytes = b""
    header_spare: int = 0
    bsn_unused: int = 0
    fsn_unused: int = 0

    def to_bytes(self) -> bytes:
        """Encode. Raises ``TrunklineError`` (``m2pa.range``) when a field does not fit."""
        if self.filler and self.state not in _PROVING:
            raise TrunklineError(
                M2paError.RANGE, f"filler belongs to Proving only (2.3.2.1), not {self.state.name}"
            )
        head, bsn, fsn = _header_words(self, TYPE_LINK_STATUS)
        length = STATUS_WORDS.size + len(self.filler)
        return STATUS_WORDS.pack(head, length, bsn, fsn, self.state) + self.filler


Message = UserData | LinkStatus


def parse(octets: bytes) -> Message:
    """Decode one message, which is one SCTP user message.

    Raises ``DecodeError``: ``m2pa.short``, ``m2pa.version``, ``m2pa.class``, ``m2pa.type``,
    ``m2pa.length`` or ``m2pa.status``.
    """
    size = len(octets)
    if size < HEADER_SIZE:
        raise DecodeError(
            M2paError.SHORT, f"{size} octets; an M2PA header has {HEADER_SIZE} (2.1, 2.2)"
        )
    head, length, bsn, fsn = WORDS.unpack_from(octets)
    version, message_class, message_type = head >> 24, head >> 8 & 0xFF, head & 0xFF
    if version != VERSION:
        raise DecodeError(M2paError.VERSION, f"version {version}; only 1 is known (2.1.1)")
    if message_class != MESSAGE_CLASS:
        raise DecodeError(
            M2paError.CLASS, f"message class {message_class}; M2PA is 11 (2.1.3)", offset=2
        )
    if message_type not in (TYPE_USER_DATA, TYPE_LINK_STATUS):
        raise DecodeError(
            M2paError.TYPE, f"message type {message_type}; 1 and 2 exist (2.1.4)", offset=3
        )
    if length != size:
        raise DecodeError(
            M2paError.LENGTH, f"length field {length}, message of {size} octets (2.1.5)", offset=4
        )
    header_spare = head >> 16 & 0xFF
    bsn_unused, bsn = bsn >> 24, bsn & SEQUENCE_MASK
    fsn_unused, fsn = fsn >> 24, fsn & SEQUENCE_MASK

    if message_type == TYPE_USER_DATA:
        if size == HEADER_SIZE:
            return UserData(
                bsn, fsn, header_spare=header_spare, bsn_unused=bsn_unused, fsn_unused=fsn_unused
            )
        if size == HEADER_SIZE + 1:
            raise DecodeError(
                M2paError.LENGTH, "data field of one octet: PRI without an SIO (2.3.1)", offset=4
            )
        first = octets[HEADER_SIZE]
        return UserData(
            bsn,
            fsn,
            first >> 6,
            bytes(octets[HEADER_SIZE + 1 :]),
            first & 0x3F,
            header_spare,
            bsn_unused,
            fsn_unused,
        )

    if size < STATUS_WORDS.size:
        raise DecodeError(
            M2paError.LENGTH, f"Link Status of {size} octets has no State (2.3.2)", offset=4
        )
    value = int.from_bytes(octets[HEADER_SIZE : STATUS_WORDS.size], "big")
    state = _STATUSES.get(value)
    if state is None:
        raise DecodeError(
            M2paError.STATUS, f"State {value}; 1 to 9 exist (2.3.2)", offset=HEADER_SIZE
        )
    filler = bytes(octets[STATUS_WORDS.size :])
    if filler and state not in _PROVING:
        raise DecodeError(
            M2paError.LENGTH,
            f"{len(filler)} octets after State {state.name}; only Proving has filler (2.3.2.1)",
            offset=STATUS_WORDS.size,
        )
    return LinkStatus(bsn, fsn, state, filler, header_spare, bsn_unused, fsn_unused)


def _fit(name: str, value: int, bits: int) -> int:
    if not 0 <= value < 1 << bits:
        raise TrunklineError(M2paError.RANGE, f"{name} {value} does not fit in {bits} bits")
    return value


def _header_words(message: Message, message_type: int) -> tuple[int, int, int]:
    head = _FIXED | _fit("header_spare", message.header_spare, 8) << 16 | message_type
    bsn = _fit("bsn_unused", message.bsn_unused, 8) << 24 | _fit("bsn", message.bsn, 24)
    fsn = _fit("fsn_unused", message.fsn_unused, 8) << 24 | _fit("fsn", message.fsn, 24)
    return head, bsn, fsn
