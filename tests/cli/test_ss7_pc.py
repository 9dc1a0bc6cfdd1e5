from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from trunkline.cli.ss7 import app
from trunkline.ss7.pointcode import VARIANTS

PC_TRANSCRIPT = """\
Point code 1.2.3 (ITU international, 3-8-3)
  dotted   1.2.3
  dashed   1-2-3
  decimal  2067
  hex      0x813
  binary   001-00000010-011

  Field             Value  Bits      Limits
  zone              1      001       0 to 7
  area/network      2      00000010  0 to 255
  signalling point  3      011       0 to 7
"""

MASK_TRANSCRIPT = """\
Mask 7.0.0/3 (ITU international, 3-8-3): 2048 point codes
  first  7.0.0    14336  0x3800  111-00000000-000
  last   7.255.7  16383  0x3fff  111-11111111-111
  mask   7.0.0    14336  0x3800  111-00000000-000
  fixed                          111-xxxxxxxx-xxx
"""

COVER_TRANSCRIPT = """\
3-4-0 to 3-6-7: 24 point codes (ITU international, 3-8-3)
  first  3-4-0  6176  011-00000100-000
  last   3-6-7  6199  011-00000110-111
                      ^^^^^^^^^^ 9 bits agree

Exact cover: 2 masks
  Mask      First  Last   Holds  Fixed bits
  3-4-0/10  3-4-0  3-5-7  16     011-0000010x-xxx
  3-6-0/11  3-6-0  3-6-7  8      011-00000110-xxx

Smallest single mask
  Mask     First  Last   Holds  Fixed bits
  3-4-0/9  3-4-0  3-7-7  32     011-000001xx-xxx
It also takes in 3-7-0 to 3-7-7: 8 point codes outside the range.
"""


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def run_json(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pc", "1-2-3"], PC_TRANSCRIPT),
        (["pc", "2067", "--variant", "itu"], PC_TRANSCRIPT),
        (["pc", "001-00000010-011"], PC_TRANSCRIPT),
        (["pc", "7.0.0/3"], MASK_TRANSCRIPT),
        (["pc", "7.0.0/7.0.0"], MASK_TRANSCRIPT),
        (["pc", "7.0.0", "7.0.0"], MASK_TRANSCRIPT),
        (["pc", "7-0-0/3"], MASK_TRANSCRIPT.replace("7.0.0", "7-0-0").replace("7.255.", "7-255-")),
        (["cover", "3-4-0", "3-6-7"], COVER_TRANSCRIPT),
    ],
)
def test_transcripts(arguments: list[str], expected: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == expected


def test_an_exact_single_mask_says_so() -> None:
    result = run("cover", "7.0.0", "7.255.7")
    assert "Exact cover: 1 mask\n" in result.stdout
    assert result.stdout.endswith("It holds the range and nothing else.\n")


def test_both_sides_of_the_range_are_named() -> None:
    result = run("cover", "1.0.1", "1.0.6")
    assert "It also takes in 1.0.0 and 1.0.7: 2 point codes outside the range.\n" in result.stdout


def test_bits_that_agree_are_counted() -> None:
    assert "^ 1 bit agrees\n" in run("cover", "0", "8191").stdout
    assert "  0 bits agree\n" in run("cover", "0", "16383").stdout


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_every_variant_fits_its_line(variant: str) -> None:
    highest = VARIANTS[variant].last
    result = run("cover", "0x1", hex(highest - 1), "--variant", variant)
    assert result.exit_code == 0
    assert "…" not in result.stdout
    assert f": {highest - 1} point codes" in result.stdout


def test_national_variant_is_decimal_and_numbers_its_fields() -> None:
    result = run("pc", "2.0.2.3", "--variant", "itu-national")
    assert result.stdout.startswith("Point code 2067 (ITU national, 4-3-4-3)\n")
    assert "  field 4  3      011   0 to 7\n" in result.stdout


def test_colour_marks_the_fixed_bits_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    assert "\x1b[" in run("pc", "7.0.0/3").stdout
    assert "\x1b[" not in run("pc", "7.0.0/3", "--json").stdout


def test_json_of_a_point_code() -> None:
    assert run_json("pc", "1-2-3") == {
        "variant": "itu",
        "structure": "3-8-3",
        "bits": 14,
        "dotted": "1.2.3",
        "dashed": "1-2-3",
        "decimal": 2067,
        "hex": "0x813",
        "binary": "001-00000010-011",
        "fields": [
            {"name": "zone", "value": 1, "bits": 3},
            {"name": "area/network", "value": 2, "bits": 8},
            {"name": "signalling point", "value": 3, "bits": 3},
        ],
    }


def test_json_of_a_mask() -> None:
    value = run_json("pc", "7.0.0/3")
    assert value["prefix"] == "7.0.0/3"
    assert value["length"] == 3
    assert value["pattern"] == "111-xxxxxxxx-xxx"
    assert value["size"] == 2048
    assert value["mask"]["dotted"] == "7.0.0"
    assert (value["first"]["decimal"], value["last"]["decimal"]) == (14336, 16383)


def test_json_of_a_cover() -> None:
    value = run_json("cover", "3-4-0", "3-6-7")
    assert [group["prefix"] for group in value["cover"]] == ["3.4.0/10", "3.6.0/11"]
    assert value["single"]["prefix"] == "3.4.0/9"
    assert value["size"] == 24
    [extra] = value["also_takes_in"]
    assert (extra["first"]["dashed"], extra["last"]["dashed"]) == ("3-7-0", "3-7-7")
    assert extra["size"] == 8
    assert run_json("cover", "7.0.0", "7.255.7")["also_takes_in"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pc", "8.2.3"], ["8.2.3", "field 1 (zone) is 8", "0 to 7"]),
        (["pc", "16384"], ["0 to 16383"]),
        (["pc", "7.7.1/3"], ["write 7.0.0/3"]),
        (["pc", "7.0.0/15"], ["0 to 14"]),
        (["pc", "one\ntwo"], ["no point code"]),
        (["pc", "1" * 5000], ["no point code"]),
        (["pc", "1.2.3", "--variant", "morse"], ["choose one of itu"]),
        (["cover", "3-4-x", "3-6-7"], ["3-4-x", "no point code"]),
        (["cover", "3-4-0", "3-6-8"], ["3-6-8", "field 3"]),
        (["cover", "3-6-7", "3-4-0"], ["lower point code first"]),
        (["cover", "1", "2", "--variant", "morse"], ["choose one of itu"]),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_wrong_input_is_one_line_and_exit_code_2(
    arguments: list[str], flags: list[str], words: list[str]
) -> None:
    result = run(*arguments, *flags)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("trunkline: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr
