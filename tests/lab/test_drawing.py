from __future__ import annotations

from trunkline.lab.drawing import Box, Edge, draw


def test_a_bus_a_crossing_and_two_kinds_of_frame() -> None:
    drawing = draw(
        [
            Box("B", ("4.5.6",)),
            Box("C", ("7.7.1",)),
            Box("D", ("7.8.1",)),
            Box("X", ("7.8.2",), double=True),
        ],
        [Edge("B", "C"), Edge("B", "D", "✕", "red"), Edge("C", "D"), Edge("D", "X")],
    )
    assert (
        str(drawing)
        == """\
                    ╭───────╮
          ┌─────────│   C   │
          │         │ 7.7.1 │
╭───────╮ │         ╰───────╯
│   B   │─┤             │
│ 4.5.6 │ │             │
╰───────╯ │         ╭───────╮         ╔═══════╗
          └────✕────│   D   │─────────║   X   ║
                    │ 7.8.1 │         ║ 7.8.2 ║
                    ╰───────╯         ╚═══════╝"""
    )


def test_a_link_that_passes_a_node_goes_around_it() -> None:
    names = "abcd"
    pairs = ["ab", "ac", "ad", "bc", "cd", "bd"]
    drawing = draw([Box(name) for name in names], [Edge(*pair) for pair in pairs])
    assert (
        str(drawing)
        == """\
                ╭───╮
      ┌─────────│ b │─┐
      │         ╰───╯ │
      │           │   │
      │           │   │
      │           │   │
╭───╮ │         ╭───╮ │
│ a │─┼─────────│ c │ │
╰───╯ │         ╰───╯ │
      │           │   │
      │           │   │
      │           │   │
      │         ╭───╮ │
      └─────────│ d │─┘
                ╰───╯"""
    )


def test_spans_carry_the_styles_and_make_up_the_text() -> None:
    drawing = draw([Box("a", style="bold"), Box("b")], [Edge("a", "b", "×3", "green")])
    lines = list(drawing.spans())
    assert "\n".join("".join(text for text, _ in line).rstrip() for line in lines) == str(drawing)
    assert ("───×3────", "green") in [(text, style) for text, style in lines[1]]


def test_nothing_to_draw() -> None:
    assert str(draw([], [])) == ""
