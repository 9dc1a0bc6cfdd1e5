"""Where the nodes of a drawing stand: columns from left to right, rows from top to bottom.

Networks of this kind have a core of transfer points with exchanges hanging off it. The core is
laid out in layers, by distance from one end of its longest way; what hangs on it by a single
neighbour goes to the outer side. Edges then join only neighbouring columns or one column's rows,
which is what the text and SVG drawings count on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Layout", "arrange"]

_SWEEPS = 8  # rows settle in two or three; the bound is for odd graphs


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of node names in order, and each node's row (whole or half steps from 0)."""

    columns: tuple[tuple[str, ...], ...]
    rows: Mapping[str, float]

    def column(self, node: str) -> int:
        """The column in which ``node`` stands."""
        return next(index for index, names in enumerate(self.columns) if node in names)


def arrange(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> Layout:
    """Place ``nodes``; the order given decides wherever the graph does not."""
    near: dict[str, list[str]] = {node: [] for node in nodes}
    for first, second in edges:
        if first != second and second not in near[first]:
            near[first].append(second)
            near[second].append(first)
    place: dict[str, int] = {}
    rows: dict[str, float] = {}
    top = 0.0
    for group in _components(nodes, near):
        columns = _columns(group, near)
        left = min(columns.values())
        by_column: dict[int, list[str]] = {}
        for node in group:
            by_column.setdefault(columns[node] - left, []).append(node)
        group_rows = _rows(by_column, near)
        lowest = min(group_rows.values())
        for node in group:
            place[node] = columns[node] - left
            rows[node] = top + group_rows[node] - lowest
        top = max(rows.values()) + 1
    width = max(place.values(), default=-1) + 1
    return Layout(
        tuple(
            tuple(sorted((n for n in nodes if place[n] == index), key=lambda n: rows[n]))
            for index in range(width)
        ),
        rows,
    )


def _components(nodes: Sequence[str], near: Mapping[str, list[str]]) -> list[list[str]]:
    left = dict.fromkeys(nodes)
    groups = []
    while left:
        reached = _distances(next(iter(left)), near)
        groups.append([node for node in nodes if node in reached])
        for node in reached:
            del left[node]
    return groups


def _distances(
    start: str, near: Mapping[str, list[str]], within: frozenset[str] | None = None
) -> dict[str, int]:
    distance = {start: 0}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for other in near[node]:
            if other not in distance and (within is None or other in within):
                distance[other] = distance[node] + 1
                queue.append(other)
    return distance


def _columns(group: list[str], near: Mapping[str, list[str]]) -> dict[str, int]:
    core = [node for node in group if len(near[node]) > 1] or group[:1]
    inside = frozenset(core)
    spread = {node: _distances(node, near, inside) for node in core}
    reach = {node: max(spread[node].values()) for node in core}
    start = max(core, key=lambda node: reach[node])  # the first of the outermost
    columns = dict(spread[start])
    middle = reach[start] / 2
    for node in core:
        leaves = [other for other in near[node] if other not in inside]
        for index, leaf in enumerate(leaves):
            if middle == 0:  # a star: half of it on each side
                side = -1 if index < (len(leaves) + 1) // 2 and len(leaves) > 1 else 1
            else:
                side = -1 if columns[node] <= middle else 1
            columns[leaf] = columns[node] + side
    return columns


def _rows(columns: dict[int, list[str]], near: Mapping[str, list[str]]) -> dict[str, float]:
    rows = {
        node: index - (len(names) - 1) / 2
        for names in columns.values()
        for index, node in enumerate(names)
    }
    column = {node: index for index, names in columns.items() for node in names}
    for sweep in range(_SWEEPS):
        for index in sorted(columns, reverse=bool(sweep % 2)):
            wanted = {}
            for node in columns[index]:
                beside = [rows[other] for other in near[node] if column[other] != index]
                wanted[node] = sum(beside) / len(beside) if beside else rows[node]
            columns[index].sort(key=lambda node: wanted[node])
            _space(columns[index], wanted, rows)
    return rows


def _space(names: list[str], wanted: Mapping[str, float], rows: dict[str, float]) -> None:
    """Rows at least 1 apart, in order and in half steps, shifted towards the wanted ones."""
    at: list[float] = []
    for node in names:
        row = round(wanted[node] * 2) / 2
        at.append(row if not at else max(row, at[-1] + 1))
    shift = sum(place - wanted[node] for place, node in zip(at, names, strict=True)) / len(names)
    shift = round(shift * 2) / 2
    for node, place in zip(names, at, strict=True):
        rows[node] = place - shift
