"""What every command prints alike: tables on terminals of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from trunkline.cli.output import console, grid, print_table


def printed(width: int) -> str:
    table = grid("Destination", "Weight", "State")
    table.add_row(Text("sip:127.0.0.42:5090;transport=tcp"), "10", Text("up", style="green"))
    table.add_row(Text("sip:127.0.0.43:5090"), "", Text("down"))
    stream = io.StringIO()
    print_table(Console(file=stream, width=width), table)
    return stream.getvalue()


def test_a_table_stands_in_columns_where_they_fit() -> None:
    assert printed(50) == (
        "Destination                        Weight  State\n"
        "sip:127.0.0.42:5090;transport=tcp  10      up\n"
        "sip:127.0.0.43:5090                        down\n"
    )


def test_a_table_that_is_too_wide_is_a_list_and_loses_nothing() -> None:
    assert printed(47) == (
        "Destination  sip:127.0.0.42:5090;transport=tcp\n"
        "Weight       10\n"
        "State        up\n"
        "\n"
        "Destination  sip:127.0.0.43:5090\n"
        "State        down\n"
    )


def test_a_dumb_terminal_is_as_wide_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, to rich
    monkeypatch.setenv("COLUMNS", "60")
    assert console().width == 60
