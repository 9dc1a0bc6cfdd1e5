"""``trunkline ss7``: the point-code calculator.

``pc`` shows a point code in every way it is written, or the range of a mask; ``cover`` turns a
range into masks for a routing table. Nothing here talks to a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trunkline.cli.output import JsonOption, console, grid, print_json, print_table
from trunkline.ss7.pointcode import (
    VARIANTS,
    PointCodeError,
    Prefix,
    Style,
    Variant,
    cover,
    enclosing,
    variant_named,
)

__all__ = ["app"]

app = typer.Typer(name="ss7", help="Work with SS7 point codes and masks.", no_args_is_help=True)

VariantOption = Annotated[
    str,
    typer.Option("--variant", help=f"Who writes the point codes: {', '.join(VARIANTS)}."),
]

_USAGE_ERROR = 2


@app.command("pc")
def show_point_code(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="POINT-CODE[/MASK]",
            help="Dotted, dashed, decimal, hex or binary; a mask is a length or dotted.",
        ),
    ],
    variant: VariantOption = "itu",
    as_json: JsonOption = False,
) -> None:
    """Show a point code in every way it is written, or the range that a mask covers."""
    text = " ".join(words)
    with _usage_errors(text):
        chosen = variant_named(variant)
        prefix = Prefix.parse(text, chosen)
    masked = "/" in text or len(text.split()) > 1
    if as_json:
        shown = _group_json(prefix) if masked else _point_code_json(prefix.pc, chosen)
        print_json({**_variant_json(chosen), **shown})
    elif masked:
        _print_mask(prefix, _style_of(text, chosen))
    else:
        _print_point_code(prefix.pc, chosen)


@app.command("cover")
def show_cover(
    first: Annotated[str, typer.Argument(help="The lowest point code of the range.")],
    last: Annotated[str, typer.Argument(help="The highest point code of the range.")],
    variant: VariantOption = "itu",
    as_json: JsonOption = False,
) -> None:
    """Cover a range with masks: exactly with the fewest, and with the smallest single one."""
    with _usage_errors(f"{first} {last}"):
        chosen = variant_named(variant)
    with _usage_errors(first):
        low = chosen.parse(first)
    with _usage_errors(last):
        high = chosen.parse(last)
    with _usage_errors(f"{first} {last}"):
        groups = cover(low, high, chosen)
    single = enclosing(low, high, chosen)
    if as_json:
        print_json(_cover_json(low, high, groups, single))
    else:
        _print_cover(low, high, groups, single, _style_of(first, chosen))


@contextmanager
def _usage_errors(text: str) -> Iterator[None]:
    """Turn a refused point code into one line on stderr and exit code 2."""
    try:
        yield
    except PointCodeError as error:
        typer.echo(f"trunkline: {_shortened(text)}: {error.message}", err=True)
        raise typer.Exit(_USAGE_ERROR) from None


def _shortened(text: str) -> str:
    line = "".join(c if c.isprintable() else "?" for c in text)
    return line if len(line) <= 40 else line[:40] + "…"


def _style_of(text: str, variant: Variant) -> Style:
    """Answer in the style of the question, so that the two can be compared at a glance."""
    if "." in text:
        return "dotted"
    return "dashed" if "-" in text else variant.default_style


def _fields(pc: int, variant: Variant) -> Iterator[tuple[str, int, int]]:
    """Return the name, value and width of each field of ``pc``."""
    names = variant.field_names or [f"field {n + 1}" for n in range(len(variant.fields))]
    return zip(names, variant.split(pc), variant.fields, strict=True)


# --- for people


def _print_table(out: Console, table: Table) -> None:
    print_table(out, Padding(table, (0, 0, 0, 2), expand=False))


def _print_point_code(pc: int, variant: Variant) -> None:
    out = console()
    out.print(f"Point code {variant.format(pc)} ({variant.title}, {variant.structure})")
    table = grid()
    table.add_row("dotted", variant.format(pc, "dotted"))
    table.add_row("dashed", variant.format(pc, "dashed"))
    table.add_row("decimal", variant.format(pc, "decimal"))
    table.add_row("hex", variant.format(pc, "hex"))
    table.add_row("binary", variant.format(pc, "binary"))
    _print_table(out, table)
    out.print()
    table = grid("Field", "Value", "Bits", "Limits")
    for name, value, width in _fields(pc, variant):
        table.add_row(name, str(value), f"{value:0{width}b}", f"0 to {(1 << width) - 1}")
    _print_table(out, table)


def _print_mask(prefix: Prefix, style: Style) -> None:
    out = console()
    variant = prefix.variant
    out.print(
        f"Mask {prefix.format(style)} ({variant.title}, {variant.structure}): {_count(prefix.size)}"
    )
    table = grid()
    for name, pc in (("first", prefix.first), ("last", prefix.last), ("mask", prefix.mask)):
        table.add_row(
            name, variant.format(pc, style), str(pc), f"{pc:#x}", variant.format(pc, "binary")
        )
    table.add_row("fixed", "", "", "", _pattern(prefix))
    _print_table(out, table)


def _print_cover(low: int, high: int, groups: list[Prefix], single: Prefix, style: Style) -> None:
    out = console()
    variant = single.variant
    out.print(
        f"{_range(low, high, variant, style)}: {_count(high - low + 1)} "
        f"({variant.title}, {variant.structure})"
    )
    table = grid()
    for name, pc in (("first", low), ("last", high)):
        table.add_row(name, variant.format(pc, style), str(pc), variant.format(pc, "binary"))
    agreed = single.pattern().partition("x")[0].rstrip("-")
    plural = "bit agrees" if single.length == 1 else "bits agree"
    table.add_row("", "", "", f"{'^' * len(agreed)} {single.length} {plural}".strip())
    _print_table(out, table)

    out.print(f"\nExact cover: {len(groups)} {'mask' if len(groups) == 1 else 'masks'}")
    _print_groups(out, groups, style)
    out.print("\nSmallest single mask")
    _print_groups(out, [single], style)
    extra = _extra(low, high, single)
    if not extra:
        out.print("It holds the range and nothing else.")
        return
    spans = " and ".join(_range(a, b, variant, style) for a, b in extra)
    outside = sum(b - a + 1 for a, b in extra)
    out.print(f"It also takes in {spans}: {_count(outside)} outside the range.")


def _print_groups(out: Console, groups: list[Prefix], style: Style) -> None:
    table = grid("Mask", "First", "Last", "Holds", "Fixed bits")
    for group in groups:
        variant = group.variant
        table.add_row(
            Text(group.format(style), style="bold"),
            variant.format(group.first, style),
            variant.format(group.last, style),
            str(group.size),
            _pattern(group),
        )
    _print_table(out, table)


def _pattern(prefix: Prefix) -> Text:
    """Return the bits of a mask, free ones as ``x``: readable with and without colour."""
    text = Text(prefix.pattern())
    text.highlight_regex("[01]+", "bold green")
    text.highlight_regex("x+", "dim")
    return text


def _range(low: int, high: int, variant: Variant, style: Style) -> str:
    if low == high:
        return variant.format(low, style)
    return f"{variant.format(low, style)} to {variant.format(high, style)}"


def _count(number: int) -> str:
    return f"{number} point code{'' if number == 1 else 's'}"


def _extra(low: int, high: int, single: Prefix) -> list[tuple[int, int]]:
    """Return the ranges that ``single`` holds outside ``low`` to ``high``."""
    around = ((single.first, low - 1), (high + 1, single.last))
    return [(a, b) for a, b in around if a <= b]


# --- for programs


def _variant_json(variant: Variant) -> dict[str, object]:
    return {"variant": variant.name, "structure": variant.structure, "bits": variant.bits}


def _forms(pc: int, variant: Variant) -> dict[str, object]:
    return {
        "dotted": variant.format(pc, "dotted"),
        "dashed": variant.format(pc, "dashed"),
        "decimal": pc,
        "hex": variant.format(pc, "hex"),
        "binary": variant.format(pc, "binary"),
    }


def _point_code_json(pc: int, variant: Variant) -> dict[str, object]:
    return {
        **_forms(pc, variant),
        "fields": [
            {"name": name, "value": value, "bits": bits}
            for name, value, bits in _fields(pc, variant)
        ],
    }


def _span_json(low: int, high: int, variant: Variant) -> dict[str, object]:
    return {
        "first": _forms(low, variant),
        "last": _forms(high, variant),
        "size": high - low + 1,
    }


def _group_json(group: Prefix) -> dict[str, object]:
    return {
        "prefix": group.format("dotted"),
        "length": group.length,
        "mask": _forms(group.mask, group.variant),
        "pattern": group.pattern(),
        **_span_json(group.first, group.last, group.variant),
    }


def _cover_json(low: int, high: int, groups: list[Prefix], single: Prefix) -> dict[str, object]:
    variant = single.variant
    return {
        **_variant_json(variant),
        **_span_json(low, high, variant),
        "cover": [_group_json(group) for group in groups],
        "single": _group_json(single),
        "also_takes_in": [_span_json(a, b, variant) for a, b in _extra(low, high, single)],
    }
