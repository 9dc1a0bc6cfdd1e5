"""The values of SDP lines as types: origin, connection, bandwidth, times, RTCP, direction.

RFC 8866 sections 5.2, 5.7 to 5.11 and 6.7. Each type has ``parse``, which takes what stands behind
``o=``, ``c=`` and so on, and ``str()``, which gives it back in the one form of the grammar (section
9). What RFC 4566 and practice allow is read: several spaces or tabs between fields, spaces at the
end, a user name with spaces in it. ``a=rtcp`` is read as it is in use; RFC 3605 was not at hand.

Left out: ``k=``, which is obsolete and to be discarded (section 5.12).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from trunkline.errors import DecodeError, TrunklineError

__all__ = [
    "MAX_PORT",
    "Bandwidth",
    "Connection",
    "Direction",
    "Origin",
    "Repeat",
    "Rtcp",
    "Timing",
    "checked",
    "fields",
    "number",
    "port_number",
    "token",
]

_MAX_DIGITS: Final = 40
"""Longest number that is read: twice what the 64 bits of RFC 3264 section 5 need."""
_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
MAX_PORT: Final = 65_535


def checked(text: str) -> str:
    """``text``, if it can stand in a line (RFC 8866 section 9, ``byte-string``).

    Raises :class:`TrunklineError` ``sdp.value`` for NUL, CR, LF and what has no octets.
    """
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        pass
    else:
        if not any(octet in text for octet in "\0\r\n"):
            return text
    raise TrunklineError(
        "sdp.value", f"{text!r} cannot stand in a line of SDP: take NUL, CR and LF out of it"
    )


def token(text: str) -> str:
    """``text``, if it is one field: not empty, no blanks. Raises ``sdp.value`` otherwise."""
    if not text or " " in text or "\t" in text:
        raise TrunklineError(
            "sdp.value", f"{text!r} cannot be a field of SDP: one word without blanks is"
        )
    return checked(text)


def fields(value: str) -> list[str]:
    """The fields of a value. The grammar separates them by one space; runs of blanks are read."""
    return [field for field in value.replace("\t", " ").split(" ") if field]


def number(text: str) -> int | None:
    """The value of a string of decimal digits, or ``None`` where it is not one."""
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    return None


def port_number(port: int) -> int:
    """``port``, if it is one, 0 included. Raises :class:`TrunklineError` ``sdp.value``."""
    if 0 <= port <= MAX_PORT:
        return port
    raise TrunklineError("sdp.value", f"port {port}: ports go from 0 to {MAX_PORT}")


class Direction(Enum):
    """Who sends on a stream, seen by the one whose description it is (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @staticmethod
    def of(*, send: bool, receive: bool) -> Direction:
        """The direction with these two halves."""
        if send:
            return Direction.SENDRECV if receive else Direction.SENDONLY
        return Direction.RECVONLY if receive else Direction.INACTIVE

    @property
    def sends(self) -> bool:
        """Whether the one who says so sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the one who says so receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @property
    def mirrored(self) -> Direction:
        """The same stream, seen from the other end."""
        return Direction.of(send=self.receives, receive=self.sends)


@dataclass(frozen=True, slots=True)
class Origin:
    """``o=``: who made the description, of which session, and which version of it (5.2).

    All fields but ``session_version`` together identify the session.
    """

    username: str
    session_id: str
    """A numeric string: an identifier, not a quantity."""
    session_version: int
    address: str
    """An IP address or a domain name."""
    address_type: str = "IP4"
    net_type: str = "IN"

    @classmethod
    def parse(cls, value: str) -> Origin:
        """Raises :class:`DecodeError` ``sdp.origin``."""
        parts = fields(value)
        if len(parts) >= 6:
            *username, session_id, digits, net_type, address_type, address = parts
            version = number(digits)
            if version is not None and session_id.isascii() and session_id.isdigit():
                return cls(" ".join(username), session_id, version, address, address_type, net_type)
        raise DecodeError(
            "sdp.origin",
            f"o={value}: expected <username> <sess-id> <sess-version> <nettype> <addrtype> "
            "<unicast-address>, the second and third in digits",
        )

    def __str__(self) -> str:
        return (
            f"{self.username} {self.session_id} {self.session_version} "
            f"{self.net_type} {self.address_type} {self.address}"
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """``c=``: where media is sent to (5.7)."""

    address: str
    """An IP address or a domain name, without what follows a slash."""
    address_type: str = "IP4"
    net_type: str = "IN"
    ttl: int | None = None
    """Time to live of an IPv4 multicast group."""
    addresses: int = 1
    """Contiguous multicast groups, counted from ``address`` upward."""

    @classmethod
    def of(cls, address: str) -> Connection:
        """A unicast address: IP6 where it has a colon, else IP4 (a domain name too)."""
        return cls(address, "IP6" if ":" in address else "IP4")

    @classmethod
    def parse(cls, value: str) -> Connection:
        """Raises :class:`DecodeError` ``sdp.connection``."""
        parts = fields(value)
        if len(parts) >= 3:
            net_type, address_type, whole = parts[:3]
            address, *suffixes = whole.split("/")
            # A time to live comes first, and only IPv4 has one.
            has_ttl = bool(suffixes) and address_type != "IP6"
            ttl = number(suffixes.pop(0)) if has_ttl else None
            addresses = number(suffixes.pop(0)) if suffixes else 1
            if address and addresses and not suffixes and has_ttl == (ttl is not None):
                return cls(address, address_type, net_type, ttl, addresses)
        raise DecodeError(
            "sdp.connection",
            f"c={value}: expected <nettype> <addrtype> <connection-address>, "
            "as in IN IP4 192.0.2.1, IN IP4 233.252.0.1/127/3 or IN IP6 2001:db8::1",
        )

    @property
    def is_multicast(self) -> bool:
        """Whether the address is an IPv4 or IPv6 multicast group (section 9)."""
        if self.address_type == "IP6":
            return self.address[:2].lower() == "ff" and ":" in self.address
        first = number(self.address.partition(".")[0])
        return first is not None and 224 <= first <= 239

    @property
    def is_hold(self) -> bool:
        """Whether it is 0.0.0.0: nothing may be sent (RFC 3264 section 8.4, as in RFC 2543)."""
        return self.address == "0.0.0.0"

    def __str__(self) -> str:
        text = f"{self.net_type} {self.address_type} {self.address}"
        if self.ttl is not None:
            text += f"/{self.ttl}"
        return text if self.addresses == 1 else f"{text}/{self.addresses}"


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """``b=``: a proposed bandwidth; kbit/s for CT and AS, else as the type defines it (5.8)."""

    type: str
    value: int

    @classmethod
    def parse(cls, value: str) -> Bandwidth | None:
        """``None`` for what is no bandwidth: unknown ones are to be ignored (5.8)."""
        kind, _, digits = value.partition(":")
        amount = number(digits.strip(" \t"))
        return None if not kind or amount is None else cls(kind, amount)

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


@dataclass(frozen=True, slots=True)
class Rtcp:
    """``a=rtcp``: where RTCP is sent to, if not one port above the media (5.14)."""

    port: int
    connection: Connection | None = None
    """``None``: the address of the media."""

    @classmethod
    def parse(cls, value: str) -> Rtcp | None:
        """``None`` for what cannot be read: an attribute not understood is ignored (5.13)."""
        digits, _, rest = value.strip(" \t").partition(" ")
        port = number(digits)
        if port is None or port > MAX_PORT:
            return None
        try:
            return cls(port, Connection.parse(rest) if rest else None)
        except DecodeError:
            return None

    def __str__(self) -> str:
        return str(self.port) if self.connection is None else f"{self.port} {self.connection}"


@dataclass(frozen=True, slots=True)
class Repeat:
    """``r=``: repeat times in seconds (5.10)."""

    interval: int
    duration: int
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """``t=`` and the ``r=`` and ``z=`` that follow it (5.9 to 5.11).

    Times are seconds since 1 January 1900 UTC; 0 is unbounded.
    """

    start: int
    stop: int
    repeats: tuple[Repeat, ...] = ()
    adjustments: tuple[tuple[int, int], ...] = ()
    """Pairs of a time and the offset in seconds that holds from then on."""

    @classmethod
    def parse(cls, lines: Iterable[str]) -> tuple[Timing, ...]:
        """The times that ``t=``, ``r=`` and ``z=`` lines, in their order, describe.

        Raises :class:`DecodeError` ``sdp.time``.
        """
        found: list[Timing] = []
        for line in lines:
            kind = line[:1]
            times = [_seconds(field, line) for field in fields(line[2:])]
            if kind == "t" and len(times) == 2:
                found.append(cls(times[0], times[1]))
            elif kind == "r" and len(times) >= 3 and found:
                repeat = Repeat(times[0], times[1], tuple(times[2:]))
                found[-1] = replace(found[-1], repeats=(*found[-1].repeats, repeat))
            elif kind == "z" and times and len(times) % 2 == 0 and found:
                pairs = tuple(zip(times[::2], times[1::2], strict=True))
                found[-1] = replace(found[-1], adjustments=pairs)
            else:
                raise _time_error(line)
        return tuple(found)


def _seconds(field: str, line: str) -> int:
    """A time with an optional unit and sign, in seconds (5.10, 5.11)."""
    unit = _UNITS.get(field[-1:], 0)
    amount = number((field[:-1] if unit else field).removeprefix("-"))
    if amount is None:
        raise _time_error(line)
    return amount * (unit or 1) * (-1 if field.startswith("-") else 1)


def _time_error(line: str) -> DecodeError:
    return DecodeError(
        "sdp.time",
        f"{line}: expected t=<start> <stop>, and after it r=<interval> <duration> <offset>... "
        "or z=<time> <offset>..., numbers with d, h, m or s behind them or nothing",
    )
