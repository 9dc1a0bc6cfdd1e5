"""Networks drawn with characters: boxes for nodes, lines for linksets.

A drawing is a grid of cells, each with a character and the name of a style, so that a terminal
view may colour it and a test may compare it as plain text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trunkline.lab.layout import Layout, arrange

__all__ = ["Box", "Drawing", "Edge", "draw"]

_PITCH = 6  # lines from one row's top to the next
_LABEL_ROOM = 9  # characters of a channel between two columns that are left for labels

# Line pieces by the sides they touch: up 1, right 2, down 4, left 8.
_PIECES = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"
_UP, _RIGHT, _DOWN, _LEFT = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its name and the lines written under it."""

    name: str
    lines: tuple[str, ...] = ()
    style: str = ""
    double: bool = False
    """Drawn with a double frame."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What joins two nodes; ``label`` is a few characters written onto the line."""

    first: str
    second: str
    label: str = ""
    style: str = ""


@dataclass(slots=True)
class Drawing:
    """A grid of characters and styles."""

    width: int
    height: int
    characters: list[list[str]] = field(init=False)
    styles: list[list[str]] = field(init=False)
    _sides: dict[tuple[int, int], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.characters = [[" "] * self.width for _ in range(self.height)]
        self.styles = [[""] * self.width for _ in range(self.height)]

    def __str__(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.characters).rstrip()

    def spans(self) -> Iterable[list[tuple[str, str]]]:
        """Each line as runs of (text, style)."""
        for characters, styles in zip(self.characters, self.styles, strict=True):
            line: list[tuple[str, str]] = []
            for character, style in zip(characters, styles, strict=True):
                if line and line[-1][1] == style:
                    line[-1] = (line[-1][0] + character, style)
                else:
                    line.append((character, style))
            yield line

    def write(self, x: int, y: int, text: str, style: str) -> None:
        """Write ``text`` from column ``x`` on; what does not fit is cut."""
        for offset, character in enumerate(text[: max(0, self.width - x)]):
            self.characters[y][x + offset] = character
            self.styles[y][x + offset] = style

    def line(self, points: Sequence[tuple[int, int]], style: str) -> None:
        """Draw straight pieces through ``points``, joining what is already drawn there."""
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            step_x, step_y = _sign(x2 - x1), _sign(y2 - y1)
            ahead = {(1, 0): _RIGHT, (-1, 0): _LEFT, (0, 1): _DOWN, (0, -1): _UP}
            while (x1, y1) != (x2, y2):
                self._join(x1, y1, ahead[step_x, step_y], style)
                x1, y1 = x1 + step_x, y1 + step_y
                self._join(x1, y1, ahead[-step_x, -step_y], style)

    def _join(self, x: int, y: int, side: int, style: str) -> None:
        sides = self._sides[x, y] = self._sides.get((x, y), 0) | side
        self.characters[y][x] = _PIECES[sides]
        self.styles[y][x] = style


def draw(boxes: Sequence[Box], edges: Sequence[Edge]) -> Drawing:
    """Draw ``boxes`` joined by ``edges``."""
    layout = arrange([box.name for box in boxes], [(e.first, e.second) for e in edges])
    by_name = {box.name: box for box in boxes}
    height = 2 + max((1 + len(box.lines) for box in boxes), default=0)
    pitch = max(_PITCH, height + 2)
    pitch += pitch % 2  # half rows fall on whole lines
    column_of = {node: i for i, names in enumerate(layout.columns) for node in names}
    inner = [
        max((len(text) for n in names for text in (n, *by_name[n].lines)), default=0) + 4
        for names in layout.columns
    ]
    lanes = _lanes(layout, edges, column_of)
    on_left, on_right = [0] * len(inner), [0] * len(inner)
    for lane in lanes.values():
        side = on_right if lane.right else on_left
        side[lane.column] = max(side[lane.column], lane.number + 1)
    left: list[int] = []
    x = 0
    for index, width in enumerate(inner):
        left.append(x)
        last = index == len(inner) - 1
        x += width + 2 * (on_left[index] + on_right[index]) + (1 if last else _LABEL_ROOM)
    top = {node: round(row * pitch) for node, row in layout.rows.items()}
    drawing = Drawing(x, max(top.values(), default=0) + height)
    for number, edge in enumerate(edges):
        first, second = sorted((edge.first, edge.second), key=lambda n: (column_of[n], top[n]))
        column = column_of[first]
        if column == column_of[second] and number not in lanes:
            x = left[column] + inner[column] // 2
            bottom = top[first] + height - 1
            drawing.line([(x, bottom), (x, top[second])], edge.style)
            drawing.write(x + 2, (bottom + top[second]) // 2, edge.label, edge.style)
            continue
        start = left[column] + inner[column] - 1
        y1, y2 = top[first] + 1, top[second] + 1
        around = column == column_of[second]
        end = start if around else left[column + 1]
        turn, y = start, y1
        if number in lanes:
            offset = 2 + 2 * lanes[number].number
            right = lanes[number].right
            turn, y = (end - offset, y1) if right else (start + offset, y2)
        drawing.line([(start, y1), (turn, y1), (turn, y2), (end, y2)], edge.style)
        if not around:  # between the lanes, where the line is this edge's own
            room = start + 2 * on_left[column] + (_LABEL_ROOM - len(edge.label)) // 2 + 1
            drawing.write(room, y, edge.label, edge.style)
    for node, box in by_name.items():
        column = column_of[node]
        _draw_box(drawing, box, left[column], top[node], inner[column], height)
    return drawing


@dataclass(frozen=True, slots=True)
class _Lane:
    """Where an edge turns: in the channel right of ``column``, counted from its side."""

    column: int
    right: bool
    number: int


def _lanes(layout: Layout, edges: Sequence[Edge], column_of: Mapping[str, int]) -> dict[int, _Lane]:
    """The lane of each edge that turns.

    The edges of one node share a lane beside it, as on a bus; of an edge's two nodes the one with
    more edges in the channel decides.
    """
    turning: dict[int, tuple[int, str, str]] = {}
    weight: dict[tuple[int, str], int] = {}
    for number, edge in enumerate(edges):
        first, second = sorted((edge.first, edge.second), key=lambda n: column_of[n])
        column = column_of[first]
        if layout.rows[first] == layout.rows[second] and column != column_of[second]:
            continue
        if column == column_of[second]:
            if _neighbours(layout.columns[column], first, second):
                continue
            first = second = f"{first}\0{second}"  # a lane of its own
        turning[number] = (column, first, second)
        for name in (first, second):
            weight[column, name] = weight.get((column, name), 0) + 1
    owners: dict[tuple[int, bool], list[str]] = {}
    lanes: dict[int, _Lane] = {}
    for number, (column, first, second) in turning.items():
        right = weight[column, second] > weight[column, first]
        owner = second if right else first
        names = owners.setdefault((column, right), [])
        if owner not in names:
            names.append(owner)
        lanes[number] = _Lane(column, right, names.index(owner))
    return lanes


def _neighbours(names: Sequence[str], first: str, second: str) -> bool:
    return abs(names.index(first) - names.index(second)) == 1


def _draw_box(drawing: Drawing, box: Box, x: int, y: int, width: int, height: int) -> None:
    across, down, corners = ("═", "║", "╔╗╚╝") if box.double else ("─", "│", "╭╮╰╯")
    drawing.write(x, y, corners[0] + across * (width - 2) + corners[1], box.style)
    drawing.write(x, y + height - 1, corners[2] + across * (width - 2) + corners[3], box.style)
    texts = [box.name, *box.lines]
    for offset in range(height - 2):
        text = texts[offset] if offset < len(texts) else ""
        drawing.write(x, y + 1 + offset, f"{down}{text.center(width - 2)}{down}", box.style)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
