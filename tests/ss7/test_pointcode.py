from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.pointcode import (
    ANSI,
    CHINA,
    ETSI,
    ITU,
    ITU_NATIONAL,
    JAPAN,
    STYLES,
    VARIANTS,
    PointCodeError,
    PointCodeSyntaxError,
    Prefix,
    Style,
    Variant,
    cover,
    enclosing,
    variant_named,
)

variants = st.sampled_from(list(VARIANTS.values()))
styles = st.sampled_from(STYLES)


@st.composite
def point_codes(draw: st.DrawFn) -> tuple[Variant, int]:
    variant = draw(variants)
    return variant, draw(st.integers(0, variant.last))


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    variant, pc = draw(point_codes())
    return Prefix.of(pc, draw(st.integers(0, variant.bits)), variant)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[Variant, int, int]:
    variant, one = draw(point_codes())
    other = draw(st.integers(0, variant.last))
    return variant, min(one, other), max(one, other)


@pytest.mark.parametrize(
    ("variant", "pc", "dotted", "binary"),
    [
        (ITU, 2067, "1.2.3", "001-00000010-011"),
        (ITU, 0, "0.0.0", "000-00000000-000"),
        (ITU, 16383, "7.255.7", "111-11111111-111"),
        (ITU, 6176, "3.4.0", "011-00000100-000"),  # the seed prints 100-, which is 4
        (ETSI, 2067, "1.2.3", "001-00000010-011"),
        (ITU_NATIONAL, 2067, "2.0.2.3", "0010-000-0010-011"),
        (ANSI, 0x010203, "1.2.3", "00000001-00000010-00000011"),
        (CHINA, 0xFF0001, "255.0.1", "11111111-00000000-00000001"),
        (JAPAN, 0x0903, "1.2.3", "00001-0010-0000011"),
    ],
)
def test_known_point_codes(variant: Variant, pc: int, dotted: str, binary: str) -> None:
    assert variant.format(pc, "dotted") == dotted
    assert variant.format(pc, "dashed") == dotted.replace(".", "-")
    assert variant.format(pc, "decimal") == str(pc)
    assert variant.format(pc, "hex") == hex(pc)
    assert variant.format(pc, "binary") == binary
    for text in (dotted, dotted.replace(".", "-"), str(pc), hex(pc), binary, f"0b{binary}"):
        assert variant.parse(text) == pc
    assert variant.parse(binary.replace("-", "")) == pc
    assert variant.parse(bin(pc)) == pc


def test_default_styles() -> None:
    assert ITU.format(2067) == "1.2.3"
    assert ITU_NATIONAL.format(2067) == "2067"
    assert Prefix.parse("8192/3", ITU_NATIONAL).format() == "8192/3"


def test_national_reads_both_structures() -> None:
    assert ITU_NATIONAL.parse("1.2.3") == ITU_NATIONAL.parse("2-0-2-3") == 2067


def test_leading_zeros_and_spaces_are_no_matter() -> None:
    assert ITU.parse(" 3-004-0 ") == ITU.parse("3-4-0")


@pytest.mark.parametrize(
    ("variant", "bits", "label_octets", "sls_bits", "structure"),
    [
        (ITU, 14, 4, 4, "3-8-3"),
        (ITU_NATIONAL, 14, 4, 4, "4-3-4-3"),
        (ETSI, 14, 4, 4, "3-8-3"),
        (ANSI, 24, 7, 8, "8-8-8"),
        (CHINA, 24, 7, 4, "8-8-8"),
        (JAPAN, 16, 5, 4, "5-4-7"),
    ],
)
def test_variants(
    variant: Variant, bits: int, label_octets: int, sls_bits: int, structure: str
) -> None:
    assert variant.bits == bits
    assert variant.label_octets == label_octets
    assert variant.sls_bits == sls_bits
    assert variant.structure == structure
    assert len(variant.field_names) in (0, len(variant.fields))
    assert VARIANTS[variant.name] is variant_named(variant.name.upper()) is variant


def test_values_are_frozen_and_hashable() -> None:
    prefix = Prefix.parse("7.0.0/3", ITU)
    with pytest.raises(FrozenInstanceError):
        prefix.length = 4  # type: ignore[misc]
    assert len({prefix, Prefix.parse("7-0-0/3", ITU), Prefix.parse("7.0.0/3", ETSI)}) == 2


@given(point_codes(), styles)
def test_format_then_parse(case: tuple[Variant, int], style: Style) -> None:
    variant, pc = case
    assert variant.parse(variant.format(pc, style)) == pc


@given(variants, st.text(max_size=80) | st.from_regex(r"[0-9bx.\-/ ]{0,40}", fullmatch=True))
def test_parse_gives_a_point_code_or_the_one_error(variant: Variant, text: str) -> None:
    for parse in (variant.parse, lambda t: Prefix.parse(t, variant).pc):
        outcome = _attempt(parse, text)
        if isinstance(outcome, int):
            assert 0 <= outcome <= variant.last
        else:
            assert 0 <= outcome.offset <= len(text)
            assert outcome.code.startswith("pointcode.")


def _attempt(parse: Callable[[str], int], text: str) -> int | PointCodeSyntaxError:
    try:
        return parse(text)
    except PointCodeSyntaxError as error:
        return error


@pytest.mark.parametrize(
    ("text", "code", "offset", "words"),
    [
        (
            "8.2.3",
            "pointcode.field",
            0,
            ["field 1 (zone) is 8", "0 to 7", "3 bits", "ansi, china or japan would take it"],
        ),
        ("1.256.3", "pointcode.field", 2, ["field 2 (area/network) is 256", "0 to 255"]),
        ("1-2-8", "pointcode.field", 4, ["field 3 (signalling point) is 8", "0 to 7"]),
        ("1.2", "pointcode.fields", 0, ["3 fields (3-8-3, such as 1.2.3), not 2"]),
        ("2.0.2.3", "pointcode.fields", 0, ["not 4", "the variant itu-national would take it"]),
        ("16384", "pointcode.range", 0, ["outside 0 to 16383", "14 bits", "japan"]),
        ("0x4000", "pointcode.range", 0, ["0x4000 is outside"]),
        ("0b100000000000000", "pointcode.range", 0, ["14 bits"]),
        ("0b1-2-3", "pointcode.syntax", 0, ["write 1.2.3"]),
        ("0b1-10-11", "pointcode.syntax", 0, ["001-00000010-011"]),
        ("1.2-3", "pointcode.syntax", 0, ["1.2.3, 1-2-3, 2067, 0x813 or 001-00000010-011"]),
        ("  -5", "pointcode.syntax", 2, ["'-5' is no point code"]),
        ("", "pointcode.syntax", 0, ["'' is no point code"]),
        ("١", "pointcode.syntax", 0, []),  # a digit to str.isdigit(), not to us
        ("9" * 5000, "pointcode.syntax", 0, ["…"]),
    ],
)
def test_bad_point_codes(text: str, code: str, offset: int, words: list[str]) -> None:
    with pytest.raises(PointCodeSyntaxError) as caught:
        ITU.parse(text)
    assert caught.value.code == code
    assert caught.value.offset == offset
    for word in words:
        assert word in caught.value.message


def test_alternative_structure_is_named_in_its_errors() -> None:
    with pytest.raises(PointCodeSyntaxError, match=r"field 2 is 256, but ITU national 3-8-3"):
        ITU_NATIONAL.parse("1.256.3")


def test_errors_are_the_packages_own() -> None:
    assert issubclass(PointCodeError, TrunklineError)
    assert issubclass(PointCodeSyntaxError, DecodeError)
    with pytest.raises(PointCodeError, match="0 to 16383") as caught:
        ITU.format(16384)
    assert caught.value.code == "pointcode.range"
    with pytest.raises(PointCodeError, match="choose one of dotted") as caught:
        ITU.format(1, "roman")  # type: ignore[arg-type]
    assert caught.value.code == "pointcode.style"
    with pytest.raises(PointCodeError, match="choose one of itu, itu-national") as caught:
        variant_named("morse")
    assert caught.value.code == "pointcode.variant"


@pytest.mark.parametrize(
    "text",
    [
        "7.0.0/3",
        "7-0-0/3",
        "14336/3",
        "7.0.0/7.0.0",
        "7.0.0 7.0.0",
        " 7.0.0   7-0-0 ",
        "7.0.0 / 3",
        "7.0.0 0x3800",
        "7.0.0/111-00000000-000",
        "7.0.0/11100000000000",
    ],
)
def test_ways_to_write_a_mask(text: str) -> None:
    prefix = Prefix.parse(text, ITU)
    assert (prefix.pc, prefix.length) == (14336, 3)
    assert prefix.format() == str(prefix) == "7.0.0/3"
    assert prefix.mask_text() == "7.0.0"
    assert prefix.pattern() == "111-xxxxxxxx-xxx"
    assert (ITU.format(prefix.first), ITU.format(prefix.last)) == ("7.0.0", "7.255.7")
    assert prefix.size == 2048


def test_no_mask_is_one_point_code() -> None:
    assert Prefix.parse("1.2.3", ITU) == Prefix(2067, 14, ITU)


@pytest.mark.parametrize(
    ("text", "code", "offset", "words"),
    [
        ("7.0.0/15", "pointcode.mask-length", 6, ["0 to 14", "/14 is a single"]),
        ("7.0.0/", "pointcode.mask-syntax", 6, ["length such as /3"]),
        ("7.0.0/x", "pointcode.mask-syntax", 6, ["'x' is no point code", "7.0.0 (the same as /3)"]),
        ("7.0.0/-1", "pointcode.mask-syntax", 6, []),
        ("7.0.0/5.0.0", "pointcode.mask-gaps", 6, ["101-00000000-000", "without gaps"]),
        ("7.7.1/3", "pointcode.host-bits", 0, ["write 7.0.0/3"]),
        ("8.0.0/3", "pointcode.field", 0, ["0 to 7"]),
    ],
)
def test_bad_masks(text: str, code: str, offset: int, words: list[str]) -> None:
    with pytest.raises(PointCodeSyntaxError) as caught:
        Prefix.parse(text, ITU)
    assert caught.value.code == code
    assert caught.value.offset == offset
    for word in words:
        assert word in caught.value.message


def test_host_bits_are_cleared_when_not_strict() -> None:
    assert Prefix.parse("7.7.1/3", ITU, strict=False).format() == "7.0.0/3"


@pytest.mark.parametrize(
    ("pc", "length", "code"),
    [
        (1, 3, "pointcode.host-bits"),
        (0, 15, "pointcode.mask-length"),
        (0, -1, "pointcode.mask-length"),
        (1 << 14, 14, "pointcode.range"),
    ],
)
def test_a_prefix_checks_its_numbers(pc: int, length: int, code: str) -> None:
    with pytest.raises(PointCodeError) as caught:
        Prefix(pc, length, ITU)
    assert caught.value.code == code


@given(prefixes(), styles)
def test_mask_round_trip(prefix: Prefix, style: Style) -> None:
    variant = prefix.variant
    assert Prefix.parse(prefix.format(style), variant) == prefix
    assert Prefix.parse(f"{variant.format(prefix.pc)} {prefix.mask_text()}", variant) == prefix


@given(prefixes(), st.data())
def test_membership_is_the_range(prefix: Prefix, data: st.DataObject) -> None:
    pc = data.draw(st.integers(0, prefix.variant.last))
    inside = prefix.first <= pc <= prefix.last
    assert (pc in prefix) == inside == (pc & prefix.mask == prefix.pc)
    assert prefix.last - prefix.first + 1 == prefix.size


def test_a_number_beyond_the_variant_is_in_no_group() -> None:
    assert 1 << 14 not in Prefix(0, 0, ITU)
    assert -1 not in Prefix(0, 0, ITU)


def test_iteration() -> None:
    assert [ITU.format(pc) for pc in Prefix.parse("4.5.6/13", ITU)] == ["4.5.6", "4.5.7"]


def test_ordering_is_by_point_code_then_length() -> None:
    texts = ["0.0.0/0", "4.5.0/11", "4.5.0/14", "7.0.0/3"]
    assert [str(p) for p in sorted(Prefix.parse(t, ITU) for t in reversed(texts))] == texts
    assert Prefix(0, 0, ETSI) < Prefix(0, 0, ITU)


def test_the_seeds_range() -> None:
    first, last = ITU.parse("3-4-0"), ITU.parse("3-6-7")
    assert [str(p) for p in cover(first, last, ITU)] == ["3.4.0/10", "3.6.0/11"]
    single = enclosing(first, last, ITU)
    assert str(single) == "3.4.0/9"
    assert ITU.format(single.last) == "3.7.7"


def test_whole_and_single_ranges() -> None:
    for variant in VARIANTS.values():
        assert cover(0, variant.last, variant) == [Prefix(0, 0, variant)]
        assert enclosing(0, variant.last, variant) == Prefix(0, 0, variant)
        assert (
            cover(5, 5, variant) == [enclosing(5, 5, variant)] == [Prefix(5, variant.bits, variant)]
        )


@given(ranges())
def test_cover_is_exact_disjoint_and_in_order(case: tuple[Variant, int, int]) -> None:
    variant, first, last = case
    groups = cover(first, last, variant)
    assert groups[0].first == first
    assert groups[-1].last == last
    assert all(a.last + 1 == b.first for a, b in pairwise(groups))


def _fewest(first: int, last: int, bits: int) -> int:
    """The smallest number of groups, by splitting the whole tree: another way than cover()."""

    def visit(low: int, high: int) -> int:
        if high < first or last < low:
            return 0
        if first <= low and high <= last:
            return 1
        middle = (low + high) // 2
        return visit(low, middle) + visit(middle + 1, high)

    return visit(0, (1 << bits) - 1)


@given(ranges())
def test_cover_is_minimal(case: tuple[Variant, int, int]) -> None:
    variant, first, last = case
    assert len(cover(first, last, variant)) == _fewest(first, last, variant.bits)


@given(ranges())
def test_enclosing_is_minimal(case: tuple[Variant, int, int]) -> None:
    variant, first, last = case
    group = enclosing(first, last, variant)
    assert first in group
    assert last in group
    if group.length < variant.bits:
        tighter = Prefix.of(first, group.length + 1, variant)
        assert last not in tighter


@pytest.mark.parametrize("function", [cover, enclosing])
def test_backward_ranges_are_refused(function: Callable[[int, int, Variant], object]) -> None:
    with pytest.raises(PointCodeError, match="lower point code first") as caught:
        function(2, 1, ITU)
    assert caught.value.code == "pointcode.order"
    with pytest.raises(PointCodeError) as caught:
        function(0, 1 << 14, ITU)
    assert caught.value.code == "pointcode.range"
