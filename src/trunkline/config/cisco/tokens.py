"""The kinds of words that a command line is made of.

A token knows how it shows in ``?`` help, which texts it takes and what value they stand for. A text
it does not take raises :class:`Reject`, whose words go into the error.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from trunkline.config.cisco.tree import Cs7Config
from trunkline.ss7.pointcode import PointCodeSyntaxError, Prefix, Variant

__all__ = [
    "Argument",
    "Choice",
    "Integer",
    "InterfaceName",
    "IpAddress",
    "IpMask",
    "Keyword",
    "Name",
    "PointCode",
    "PointCodeMask",
    "PointCodePrefix",
    "Reject",
    "Rest",
    "Token",
    "Value",
]

Value: TypeAlias = int | str | Prefix


class Reject(Exception):  # noqa: N818 - a refusal of one word, never seen outside the grammar
    """A text that a token does not take; ``offset`` is the column within the text."""

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Keyword:
    """A fixed word, which may be abbreviated as long as it stays unique."""

    word: str
    help: str
    binds: str = ""
    """The argument whose value the word is; empty for a word that only leads on."""

    def placeholder(self, config: Cs7Config) -> str:
        """Return what ``?`` shows in the left column."""
        return self.word

    def known(self, config: Cs7Config) -> Iterable[str]:
        """Return the words that Tab may complete to."""
        return (self.word,)


@dataclass(frozen=True, slots=True)
class Argument:
    """A word that carries a value; ``name`` is the key under which the action finds it."""

    name: str
    help: str
    many: bool = False
    """One or more of it in a row."""
    words: Callable[[Cs7Config], Iterable[str]] | None = None
    """Values that exist already, for Tab."""

    takes_rest: ClassVar[bool] = False
    """The value is the whole rest of the line, blanks included."""

    def placeholder(self, config: Cs7Config) -> str:
        """Return what ``?`` shows in the left column."""
        return "WORD"

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the value of ``text``; raise :class:`Reject`."""
        return text

    def known(self, config: Cs7Config) -> Iterable[str]:
        """Return the words that Tab may complete to."""
        return self.words(config) if self.words else ()


Token: TypeAlias = Keyword | Argument


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several keywords, the chosen one being the value of ``name``."""

    name: str
    words: Mapping[str, str]
    """The keywords and their help."""

    def keywords(self) -> Iterator[Keyword]:
        """Yield the keywords, each as a token of its own."""
        for word, text in self.words.items():
            yield Keyword(word, text, self.name)


_NAME = re.compile(r"[!-~]{1,63}")


@dataclass(frozen=True, slots=True)
class Name(Argument):
    """A name of the user's choice: printable ASCII without blanks."""

    pattern: re.Pattern[str] = _NAME
    rule: str = "a name has 1 to 63 printable ASCII characters and no blanks"

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the name as it stands: names are case-sensitive."""
        if self.pattern.fullmatch(text) is None:
            raise Reject(self.rule)
        return text


@dataclass(frozen=True, slots=True)
class Integer(Argument):
    """A decimal number between two bounds."""

    low: int = 0
    high: int = 0

    def placeholder(self, config: Cs7Config) -> str:
        """Return the bounds as the router family shows them."""
        return f"<{self.low}-{self.high}>"

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the number."""
        # Ten digits hold every bound here; longer texts must not reach int().
        if not (text.isascii() and text.isdecimal() and len(text) <= 10):
            raise Reject(f"a number from {self.low} to {self.high} is expected")
        value = int(text)
        if not self.low <= value <= self.high:
            raise Reject(f"{value} is outside {self.low} to {self.high}")
        return value


@dataclass(frozen=True, slots=True)
class IpAddress(Argument):
    """An IPv4 address of a host."""

    def placeholder(self, config: Cs7Config) -> str:
        """Return the router family's name for an IPv4 address."""
        return "A.B.C.D"

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the address in its usual writing."""
        address = _ipv4(text)
        if address.is_multicast or address.is_unspecified or int(address) == 0xFFFF_FFFF:
            raise Reject(f"{text} is not the address of a host")
        return str(address)


@dataclass(frozen=True, slots=True)
class IpMask(Argument):
    """A dotted IPv4 network mask."""

    def placeholder(self, config: Cs7Config) -> str:
        """Return the router family's name for an IPv4 mask."""
        return "A.B.C.D"

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the mask, whose ones must come first."""
        mask = int(_ipv4(text))
        inverted = mask ^ 0xFFFF_FFFF
        if inverted & (inverted + 1):
            raise Reject(f"{text} is no network mask: its ones must come first, without gaps")
        return text


def _ipv4(text: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise Reject(f"{text!r} is no IPv4 address; write it as 10.0.5.1") from None


@dataclass(frozen=True, slots=True)
class PointCode(Argument):
    """A point code in the configured variant."""

    def placeholder(self, config: Cs7Config) -> str:
        """Return the point code's structure, such as ``<0-7>.<0-255>.<0-7>``."""
        return _structure(config.variant)

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the point code as a number."""
        try:
            return variant.parse(text)
        except PointCodeSyntaxError as error:
            raise Reject(error.message, error.offset) from None


@dataclass(frozen=True, slots=True)
class PointCodePrefix(Argument):
    """A point code with or without a mask length, as a routing table writes its destinations."""

    def placeholder(self, config: Cs7Config) -> str:
        """Return the structure with its mask, such as ``<0-7>.<0-255>.<0-7>/<0-14>``."""
        return f"{_structure(config.variant)}/<0-{config.variant.bits}>"

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the prefix; a point code alone stands for itself."""
        try:
            return Prefix.parse(text, variant)
        except PointCodeSyntaxError as error:
            raise Reject(error.message, error.offset) from None


@dataclass(frozen=True, slots=True)
class PointCodeMask(Argument):
    """A mask in the way of a point code; its value is the length."""

    def placeholder(self, config: Cs7Config) -> str:
        """Return the point code's structure."""
        return _structure(config.variant)

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the number of leading ones."""
        try:
            return Prefix.parse(f"0/{text}", variant, strict=False).length
        except PointCodeSyntaxError as error:
            raise Reject(error.message, max(0, error.offset - 2)) from None


def _structure(variant: Variant) -> str:
    if variant.default_style == "decimal":
        return f"<0-{variant.last}>"
    return ".".join(f"<0-{(1 << width) - 1}>" for width in variant.fields)


@dataclass(frozen=True, slots=True)
class Rest(Argument):
    """Everything up to the end of the line."""

    takes_rest: ClassVar[bool] = True

    def placeholder(self, config: Cs7Config) -> str:
        """Return the router family's name for free text."""
        return "LINE"


_INTERFACE = re.compile(r"([A-Za-z][A-Za-z-]*)\s*([0-9][0-9/.:]*)")
_INTERFACE_TYPES = (
    "ATM",
    "Ethernet",
    "FastEthernet",
    "GigabitEthernet",
    "Loopback",
    "Port-channel",
    "POS",
    "Serial",
    "TenGigabitEthernet",
    "Tunnel",
    "Vlan",
)


@dataclass(frozen=True, slots=True)
class InterfaceName(Rest):
    """An interface, whose type may be abbreviated and stand apart: ``fa 0/0``."""

    def placeholder(self, config: Cs7Config) -> str:
        """Return the shape of an interface's name."""
        return "TYPE<slot/port>"

    def parse(self, text: str, variant: Variant) -> Value:
        """Return the full name, such as ``FastEthernet0/0``."""
        match = _INTERFACE.fullmatch(text)
        if match is None or len(text) > 63:
            raise Reject(f"{text!r} is no interface; write it as FastEthernet0/0")
        kind, number = match.groups()
        types = [t for t in _INTERFACE_TYPES if t.lower().startswith(kind.lower())]
        if len(types) > 1 and kind.lower() not in (t.lower() for t in types):
            raise Reject(f"interface type {kind!r} is ambiguous: " + ", ".join(types))
        return f"{types[0] if types else kind}{number}"
