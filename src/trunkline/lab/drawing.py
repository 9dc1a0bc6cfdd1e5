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
    lane_count = [0] * len(layout.columns)
    for column, lane in lanes.values():
        lane_count[column] = max(lane_count[column], lane + 1)
    left: list[int] = []
    x = 0
    for index, width in enumerate(inner):
        left.append(x)
        last = index == len(inner) - 1
        x += width + (2 * lane_count[index] + 1 if last else 2 * lane_count[index] + _LABEL_ROOM)
    top = {node: round(row * pitch) for node, row in layout.rows.items()}
    drawing = Drawing(x, max(top.values(), default=0) + height)
    for number, edge in enumerate(edges):
        _draw_edge(drawing, edge, lanes.get(number), layout, column_of, left, inner, top, height)
    for node, box in by_name.items():
        column = column_of[node]
        _draw_box(drawing, box, left[column], top[node], inner[column], height)
    return drawing


def _lanes(
    layout: Layout, edges: Sequence[Edge], column_of: Mapping[str, int]
) -> dict[int, tuple[int, int]]:
    """For each edge that turns: the channel it turns in (right of a column) and its lane there.

    The edges of one node share a lane, as on a bus; of an edge's two nodes the one with more edges
    in the channel decides.
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
    owners: dict[int, list[str]] = {}
    lanes: dict[int, tuple[int, int]] = {}
    for number, (column, first, second) in turning.items():
        owner = first if weight[column, first] >= weight[column, second] else second
        names = owners.setdefault(column, [])
        if owner not in names:
            names.append(owner)
        lanes[number] = (column, names.index(owner))
    return lanes


def _neighbours(names: Sequence[str], first: str, second: str) -> bool:
    return abs(names.index(first) - names.index(second)) == 1


def _draw_edge(
    drawing: Drawing,
    edge: Edge,
    lane: tuple[int, int] | None,
    layout: Layout,
    column_of: Mapping[str, int],
    left: Sequence[int],
    inner: Sequence[int],
    top: Mapping[str, int],
    height: int,
) -> None:
    first, second = sorted((edge.first, edge.second), key=lambda n: (column_of[n], layout.rows[n]))
    column = column_of[first]
    right = left[column] + inner[column] - 1
    y1, y2 = top[first] + 1, top[second] + 1
    if column == column_of[second] and lane is None:
        x = left[column] + inner[column] // 2
        bottom = top[first] + height - 1
        drawing.line([(x, bottom), (x, top[second])], edge.style)
        drawing.write(x + 2, (bottom + top[second]) // 2, edge.label, edge.style)
        return
    if column == column_of[second]:
        assert lane is not None
        x = right + 2 + 2 * lane[1]
        drawing.line([(right, y1), (x, y1), (x, y2), (right, y2)], edge.style)
        return
    end = left[column_of[second]]
    if lane is None:
        drawing.line([(right, y1), (end, y2)], edge.style)
    else:
        x = right + 2 + 2 * lane[1]
        drawing.line([(right, y1), (x, y1), (x, y2), (end, y2)], edge.style)
    drawing.write(end - 2 - len(edge.label), y2, edge.label, edge.style)


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
