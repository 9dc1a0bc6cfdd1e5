"""Point codes: the addresses of SS7, in every national dress, and the masks that group them.

Standards: ITU-T Q.704 clause 2.2 (14 bits, 4-bit SLS), Q.708 (the international 3-8-3 structure),
ANSI T1.111.4 (24 bits, network-cluster-member), China GF 001-9001 (24 bits) and TTC JT-Q704
(16 bits). The last three are followed from public descriptions, not from the texts themselves.

A point code is a plain ``int`` everywhere in the package, its most significant field first:
``1.2.3`` in the ITU international structure is 2067. A :class:`Variant` turns text into that number
and back. A :class:`Prefix` is a point code with a mask, as a routing table holds it: ``7.0.0/3``
stands for every point code whose first three bits are those of 7.0.0.

Left out: the order of octets in a routing label, which is :mod:`trunkline.ss7.mtp3.message`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from trunkline.errors import DecodeError, TrunklineError

__all__ = [
    "ANSI",
    "CHINA",
    "ETSI",
    "ITU",
    "ITU_NATIONAL",
    "JAPAN",
    "STYLES",
    "VARIANTS",
    "PointCodeError",
    "PointCodeSyntaxError",
    "Prefix",
    "Style",
    "Variant",
    "cover",
    "enclosing",
    "variant_named",
]

Style: TypeAlias = Literal["dotted", "dashed", "decimal", "hex", "binary"]
STYLES: tuple[Style, ...] = get_args(Style)

_MAX_TEXT = 64
"""No spelling of a point code, mask included, is longer: 24 grouped bits twice make 53."""

_GROUPED = re.compile(r"[0-9]+(?:([.-])[0-9]+)(?:\1[0-9]+)*")
_DECIMAL = re.compile(r"[0-9]+")
_HEX = re.compile(r"0[xX][0-9a-fA-F]+")
_BINARY = re.compile(r"0[bB][01]+(?:([.-])[01]+(?:\1[01]+)*)?")
_BITS = re.compile(r"[01]+")
_SEPARATOR = re.compile(r"[.-]")


class PointCodeError(TrunklineError):
    """A number that is no point code, mask or range of the variant in use."""


class PointCodeSyntaxError(PointCodeError, DecodeError):
    """A text that is no point code or mask; ``offset`` is the column of the part at fault."""


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """How one family of networks writes and carries a point code.

    Two variants are the same when their names are.
    """

    name: str
    """The word that configurations and commands use, such as ``itu``."""
    title: str = field(compare=False)
    fields: tuple[int, ...] = field(compare=False)
    """Widths in bits, the most significant field first."""
    field_names: tuple[str, ...] = field(compare=False)
    """What the standard calls the fields; empty where each country has names of its own."""
    sls_bits: int = field(compare=False)
    """Width of the signalling link selection that takes part in load sharing."""
    label_octets: int = field(compare=False)
    """Length of the routing label: DPC, OPC and SLS with its filler."""
    also: tuple[tuple[int, ...], ...] = field(default=(), compare=False)
    """Other structures that are read (never printed); each has its own number of fields."""
    default_style: Style = field(default="dotted", compare=False)

    @property
    def bits(self) -> int:
        """Width of a point code."""
        return sum(self.fields)

    @property
    def last(self) -> int:
        """The highest point code."""
        return (1 << self.bits) - 1

    @property
    def structure(self) -> str:
        """The field widths as they are usually said, such as ``3-8-3``."""
        return _structure(self.fields)

    def check(self, pc: int) -> int:
        """Return ``pc`` if it fits this variant; raise :class:`PointCodeError` otherwise."""
        if 0 <= pc <= self.last:
            return pc
        raise PointCodeError("pointcode.range", self._out_of_range(str(pc)))

    def split(self, pc: int) -> tuple[int, ...]:
        """Return the fields of ``pc``, the most significant first."""
        return _split(self.check(pc), self.fields)

    def format(self, pc: int, style: Style | None = None) -> str:
        """Return ``pc`` as text; without ``style`` as this variant usually writes it."""
        values = self.split(pc)
        match self.default_style if style is None else style:
            case "dotted":
                return ".".join(map(str, values))
            case "dashed":
                return "-".join(map(str, values))
            case "decimal":
                return str(pc)
            case "hex":
                return f"{pc:#x}"
            case "binary":
                return "-".join(
                    f"{value:0{width}b}" for value, width in zip(values, self.fields, strict=True)
                )
            case other:
                raise PointCodeError(
                    "pointcode.style",
                    f"unknown way to write a point code {other!r}; choose one of "
                    + ", ".join(STYLES),
                )

    def parse(self, text: str) -> int:
        """Read a point code written in any of the usual ways.

        Dotted ``1.2.3``, dashed ``1-2-3``, decimal ``2067``, hexadecimal ``0x813`` and binary,
        grouped or not: ``001-00000010-011``, ``00100000010011``, ``0b100000010011``. Raises
        :class:`PointCodeSyntaxError`.
        """
        try:
            return self._parse(text)
        except PointCodeSyntaxError as error:
            hint = self._other_variants(text)
            if not hint:
                raise
            raise PointCodeSyntaxError(
                error.code, error.message + hint, offset=error.offset
            ) from None

    def _parse(self, text: str) -> int:
        word = text.strip()
        start = len(text) - len(text.lstrip())
        if len(word) > _MAX_TEXT:
            raise self._syntax(word, start)
        if grouped := _GROUPED.fullmatch(word):
            return self._parse_grouped(word.split(grouped[1]), start)
        if _DECIMAL.fullmatch(word):
            # All the bits written out are more digits than any decimal point code has.
            raw = len(word) == self.bits and _BITS.fullmatch(word)
            return self._in_range(int(word, 2 if raw else 10), word, start)
        if _HEX.fullmatch(word):
            return self._in_range(int(word, 16), word, start)
        if _BINARY.fullmatch(word):
            parts = _SEPARATOR.split(word[2:])
            if len(parts) > 1:
                widths = self._widths(parts, start)
                if tuple(map(len, parts)) != widths:
                    raise self._syntax(word, start)
            return self._in_range(int("".join(parts), 2), word, start)
        raise self._syntax(word, start)

    def _parse_grouped(self, parts: list[str], start: int) -> int:
        widths = self._widths(parts, start)
        # Fields written out to their full width in 0 and 1 are binary: no decimal field of these
        # structures is written with so many digits.
        if all(len(p) == w and _BITS.fullmatch(p) for p, w in zip(parts, widths, strict=True)):
            return int("".join(parts), 2)
        pc = 0
        column = start
        for index, (part, width) in enumerate(zip(parts, widths, strict=True)):
            value = int(part)
            if value >> width:
                named = self.field_names if widths == self.fields else ()
                raise PointCodeSyntaxError(
                    "pointcode.field",
                    f"field {index + 1}{f' ({named[index]})' if named else ''} is {value}, but "
                    f"{self.title} {_structure(widths)} point codes allow 0 to "
                    f"{(1 << width) - 1} there ({width} bits)",
                    offset=column,
                )
            pc = pc << width | value
            column += len(part) + 1
        return pc

    def _widths(self, parts: list[str], start: int) -> tuple[int, ...]:
        for widths in (self.fields, *self.also):
            if len(parts) == len(widths):
                return widths
        raise PointCodeSyntaxError(
            "pointcode.fields",
            f"a {self.title} point code has {len(self.fields)} fields "
            f"({self.structure}, such as {self._example()}), not {len(parts)}",
            offset=start,
        )

    def _in_range(self, pc: int, word: str, start: int) -> int:
        if pc <= self.last:
            return pc
        raise PointCodeSyntaxError("pointcode.range", self._out_of_range(word), offset=start)

    def _out_of_range(self, word: str) -> str:
        return (
            f"point code {word} is outside 0 to {self.last}: "
            f"{self.title} point codes have {self.bits} bits"
        )

    def _syntax(self, word: str, start: int) -> PointCodeSyntaxError:
        shown = word if len(word) <= _MAX_TEXT else word[:_MAX_TEXT] + "…"
        return PointCodeSyntaxError(
            "pointcode.syntax",
            f"{shown!r} is no point code; write {self._example()}, {self._example('dashed')}, "
            f"{self._example('decimal')}, {self._example('hex')} or {self._example('binary')}",
            offset=start,
        )

    def _example(self, style: Style = "dotted") -> str:
        pc = 0
        for value, width in enumerate(self.fields, start=1):
            pc = pc << width | value
        return self.format(pc, style)

    def _other_variants(self, text: str) -> str:
        names = []
        for other in VARIANTS.values():
            if other != self:
                try:
                    other._parse(text)
                except PointCodeSyntaxError:
                    continue
                names.append(other.name)
        return f"; the variant {_either(names)} would take it" if names else ""


# SLS widths and label lengths: Q.704 2.2 (ITU, ETSI: 14 + 14 + 4 bits), T1.111.4 (24 + 24 + 8 bits;
# networks before 1996 use 5 of the 8), GF 001-9001 (24 + 24 + 4 bits and 4 spare), JT-Q704
# (16 + 16 + 4 bits and 4 spare).
_ZONE = ("zone", "area/network", "signalling point")  # Q.708
ITU = Variant("itu", "ITU international", (3, 8, 3), _ZONE, 4, 4)
ITU_NATIONAL = Variant(
    "itu-national",
    "ITU national",
    (4, 3, 4, 3),
    (),
    4,
    4,
    also=((3, 8, 3),),
    default_style="decimal",
)
ETSI = Variant("etsi", "ETSI", (3, 8, 3), _ZONE, 4, 4)
ANSI = Variant("ansi", "ANSI", (8, 8, 8), ("network", "cluster", "member"), 8, 7)
CHINA = Variant(
    "china", "China", (8, 8, 8), ("main signalling area", "sub-area", "signalling point"), 4, 7
)
JAPAN = Variant("japan", "Japan", (5, 4, 7), ("main area", "sub-area", "unit"), 4, 5)

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {v.name: v for v in (ITU, ITU_NATIONAL, ETSI, ANSI, CHINA, JAPAN)}
)


def variant_named(name: str) -> Variant:
    """Return the variant called ``name``; raise :class:`PointCodeError` if there is none."""
    try:
        return VARIANTS[name.strip().lower()]
    except KeyError:
        raise PointCodeError(
            "pointcode.variant", f"unknown variant {name!r}; choose one of {', '.join(VARIANTS)}"
        ) from None


@dataclass(frozen=True, slots=True, order=True)
class Prefix:
    """All point codes that share their first ``length`` bits; iterating yields them in order."""

    pc: int
    """The lowest point code of the group: every bit after the first ``length`` is zero."""
    length: int
    variant: Variant

    def __post_init__(self) -> None:
        self.variant.check(self.pc)
        _check_length(self.length, self.variant)
        if self.pc & ~self.mask:
            raise PointCodeError(
                "pointcode.host-bits", _host_bits(self.pc, self.length, self.variant)
            )

    @classmethod
    def of(cls, pc: int, length: int, variant: Variant) -> Prefix:
        """Return the group of ``length`` that ``pc`` lies in, whatever its other bits are."""
        variant.check(pc)
        _check_length(length, variant)
        return cls(pc & _mask(length, variant), length, variant)

    @classmethod
    def parse(cls, text: str, variant: Variant, *, strict: bool = True) -> Prefix:
        """Read ``7.0.0/3``, ``7.0.0/7.0.0`` or ``7.0.0 7.0.0``; no mask means a single point code.

        With ``strict`` a point code with bits set outside its mask is refused; otherwise they are
        cleared. Raises :class:`PointCodeSyntaxError`.
        """
        if "/" in text:
            head, _, tail = text.partition("/")
            column = len(head) + 1
        else:
            head = text.rstrip()
            spaces = re.search(r"(?<=\S)\s+(?=\S)", head)
            if spaces is None:
                return cls(variant.parse(text), variant.bits, variant)
            head, tail, column = head[: spaces.start()], head[spaces.end() :], spaces.end()
        pc = variant.parse(head)
        length = _parse_mask(tail, column, variant)
        if strict and pc & ~_mask(length, variant):
            raise PointCodeSyntaxError(
                "pointcode.host-bits",
                _host_bits(pc, length, variant),
                offset=len(head) - len(head.lstrip()),
            )
        return cls.of(pc, length, variant)

    @property
    def mask(self) -> int:
        """The mask as a number: ones where the point codes of the group agree."""
        return _mask(self.length, self.variant)

    @property
    def first(self) -> int:
        """The lowest point code of the group."""
        return self.pc

    @property
    def last(self) -> int:
        """The highest point code of the group."""
        return self.pc | self.variant.last >> self.length

    @property
    def size(self) -> int:
        """How many point codes the group holds."""
        return 1 << self.variant.bits - self.length

    def contains(self, pc: int) -> bool:
        """Tell whether ``pc`` lies in the group."""
        return pc & ~(self.variant.last >> self.length) == self.pc

    def __contains__(self, pc: int) -> bool:
        return self.contains(pc)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))

    def format(self, style: Style | None = None) -> str:
        """Return the point code and the mask length, such as ``7.0.0/3``."""
        return f"{self.variant.format(self.pc, style)}/{self.length}"

    def mask_text(self) -> str:
        """Return the mask in the way of a point code, such as ``7.0.0``."""
        return self.variant.format(self.mask, "dotted")

    def pattern(self) -> str:
        """Return the fixed bits with an ``x`` for each free one, such as ``111-xxxxxxxx-xxx``."""
        left = self.length
        groups = []
        for group in self.variant.format(self.pc, "binary").split("-"):
            fixed = max(0, min(left, len(group)))
            groups.append(group[:fixed] + "x" * (len(group) - fixed))
            left -= fixed
        return "-".join(groups)

    def __str__(self) -> str:
        return self.format()


def cover(first: int, last: int, variant: Variant) -> list[Prefix]:
    """Return the fewest groups that together hold ``first`` to ``last`` and nothing else.

    They come in order. At each step the widest group that starts there and stays inside is the only
    choice that a shortest list can make.
    """
    _check_order(first, last, variant)
    bits = variant.bits
    prefixes = []
    while first <= last:
        aligned = (first & -first).bit_length() - 1 if first else bits
        free = min(aligned, (last - first + 1).bit_length() - 1)
        prefixes.append(Prefix(first, bits - free, variant))
        first += 1 << free
    return prefixes


def enclosing(first: int, last: int, variant: Variant) -> Prefix:
    """Return the smallest single group that holds both ``first`` and ``last``.

    It may hold more: for 3-4-0 to 3-6-7 it is 3-4-0/9, which reaches up to 3-7-7.
    """
    _check_order(first, last, variant)
    return Prefix.of(first, variant.bits - (first ^ last).bit_length(), variant)


def _check_order(first: int, last: int, variant: Variant) -> None:
    variant.check(first)
    variant.check(last)
    if first > last:
        raise PointCodeError(
            "pointcode.order",
            f"the range starts at {variant.format(first)} but ends before it, at "
            f"{variant.format(last)}; give the lower point code first",
        )


def _check_length(length: int, variant: Variant) -> None:
    if not 0 <= length <= variant.bits:
        raise PointCodeError("pointcode.mask-length", _bad_length(str(length), variant))


def _bad_length(length: str, variant: Variant) -> str:
    return (
        f"mask length {length} is outside 0 to {variant.bits}: "
        f"/{variant.bits} is a single {variant.title} point code, /0 is all of them"
    )


def _host_bits(pc: int, length: int, variant: Variant) -> str:
    return (
        f"{variant.format(pc)} has bits set after the first {length}; "
        f"write {Prefix.of(pc, length, variant)} for the group it lies in"
    )


def _parse_mask(text: str, column: int, variant: Variant) -> int:
    """Return the length of a mask written as a length or in the way of a point code."""
    word = text.strip()
    column += len(text) - len(text.lstrip())
    if len(word) <= _MAX_TEXT and _DECIMAL.fullmatch(word) and not _is_raw_binary(word, variant):
        length = int(word)
        if length > variant.bits:
            raise PointCodeSyntaxError(
                "pointcode.mask-length", _bad_length(word, variant), offset=column
            )
        return length
    try:
        mask = variant.parse(word)
    except PointCodeSyntaxError as error:
        raise PointCodeSyntaxError(
            "pointcode.mask-syntax",
            f"bad mask after the point code: {error.message}; "
            f"a mask is a length such as /3 or a point code such as {_mask_example(variant)}",
            offset=column + error.offset,
        ) from None
    length = mask.bit_count()
    if mask != _mask(length, variant):
        raise PointCodeSyntaxError(
            "pointcode.mask-gaps",
            f"mask {word} is {variant.format(mask, 'binary')} in binary: its ones must come first, "
            f"without gaps, as in {_mask_example(variant)}",
            offset=column,
        )
    return length


def _is_raw_binary(word: str, variant: Variant) -> bool:
    return len(word) == variant.bits and _BITS.fullmatch(word) is not None


def _mask_example(variant: Variant) -> str:
    length = variant.fields[0]
    return f"{variant.format(_mask(length, variant), 'dotted')} (the same as /{length})"


def _mask(length: int, variant: Variant) -> int:
    return variant.last >> length ^ variant.last


def _split(pc: int, widths: tuple[int, ...]) -> tuple[int, ...]:
    values = []
    for width in reversed(widths):
        values.append(pc & (1 << width) - 1)
        pc >>= width
    return tuple(reversed(values))


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _structure(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, widths))
