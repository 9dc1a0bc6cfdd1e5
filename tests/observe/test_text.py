"""Text from the network, as people are shown it."""

from __future__ import annotations

from trunkline.observe.text import log_text, printable


def test_what_would_command_a_terminal_is_escaped() -> None:
    assert printable("plain") == "plain"
    assert printable("a\x1b[2Jb\nc\udcff") == "a\\x1b[2Jb\nc\\xff"


def test_no_further_line_looks_like_an_entry_of_the_log() -> None:
    forged = "call to bob\r\n*Nov 24 20:59:12.000: %SYS-5-RESTART: x\n    already indented"
    assert log_text(forged) == (
        "call to bob\\x0d\n    *Nov 24 20:59:12.000: %SYS-5-RESTART: x\n    already indented"
    )
