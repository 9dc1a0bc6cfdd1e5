"""Pictures of a network: characters, Graphviz, Mermaid and SVG.

Each is made from one :class:`Picture`; where the network is up, it carries the present state of
the links.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from attrs import field, frozen

from trunkline.lab.drawing import Box, Drawing, Edge, draw
from trunkline.lab.layout import arrange
from trunkline.lab.network import Network
from trunkline.lab.runtime import is_up, read_state
from trunkline.lab.status import LinkView, lab_status
from trunkline.lab.topology import TopologyLink, find_topology

__all__ = [
    "Picture",
    "PictureEdge",
    "PictureNode",
    "dot",
    "mermaid",
    "picture",
    "svg",
    "text_drawing",
]


@frozen
class PictureNode:
    """One node."""

    name: str
    point_code: str
    exchange: bool


@frozen
class PictureEdge:
    """All links between two nodes."""

    first: str
    second: str
    links: tuple[TopologyLink, ...]
    state: str = ""
    """``up``, ``down`` or ``cut``, or how many of the links are up; empty when unknown."""

    @property
    def name(self) -> str:
        """How commands call it."""
        return f"{self.first}-{self.second}"

    @property
    def label(self) -> str:
        """A few characters for the line: how many links, and what is wrong."""
        count = f"×{len(self.links)}" if len(self.links) > 1 else ""
        mark = {"": "", "up": "", "cut": "✕", "down": "✕"}.get(self.state, self.state)
        return " ".join(part for part in (count, mark) if part)

    @property
    def style(self) -> str:
        """The colour for the state."""
        return {"": "", "up": "green", "cut": "red", "down": "red"}.get(self.state, "yellow")


@frozen
class Picture:
    """What is drawn."""

    name: str
    title: str
    nodes: tuple[PictureNode, ...]
    edges: tuple[PictureEdge, ...]
    running: bool = False
    loose: int = field(default=0)
    """Link ends without a counterpart, which no picture can show."""

    @property
    def summary(self) -> str:
        """One line of counts."""
        links = sum(len(edge.links) for edge in self.edges)
        text = f"{len(self.nodes)} nodes, {links} links"
        if self.loose:
            text += f", {self.loose} link ends without a counterpart (see `trunkline lab check`)"
        if self.running:
            text += ", running"
        return text

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "network": self.name,
            "running": self.running,
            "nodes": [
                {"name": n.name, "point_code": n.point_code, "exchange": n.exchange}
                for n in self.nodes
            ],
            "links": [
                {
                    "name": link.name,
                    "slc": link.first.slc,
                    "state": edge.state or None,
                    "ends": [
                        {
                            "node": end.node,
                            "linkset": end.linkset,
                            "addresses": list(end.local),
                            "port": end.local_port,
                        }
                        for end in link.ends
                    ],
                }
                for edge in self.edges
                for link in edge.links
            ],
        }


def picture(network: Network) -> Picture:
    """Gather what is drawn of ``network``, with live states where it is up."""
    topology = find_topology(network)
    states: dict[str, list[LinkView]] = {}
    running = False
    if is_up(network.name):
        state = read_state(network.name)
        if state is not None and Path(state.file) == network.file:
            running = True
            for view in lab_status(state).links:
                states.setdefault(view.pair, []).append(view)
    return Picture(
        name=network.name,
        title=network.title,
        nodes=tuple(
            PictureNode(node.name, node.point_code_text, node.exchange)
            for node in network.nodes.values()
        ),
        edges=tuple(
            PictureEdge(
                first, second, tuple(links), edge_state(states.get(f"{first}-{second}", []))
            )
            for (first, second), links in topology.linksets().items()
        ),
        running=running,
        loose=len([p for p in topology.problems if p.code == "lab.link-end"]),
    )


def edge_state(views: list[LinkView]) -> str:
    """One word for the links between two nodes."""
    if not views:
        return ""
    if all(view.blocked for view in views):
        return "cut"
    up = sum(view.up for view in views)
    if up == len(views):
        return "up"
    return f"{up}/{len(views)}" if up else "down"


def text_drawing(picture: Picture) -> Drawing:
    """The picture in characters; exchanges have double frames."""
    return draw(
        [Box(n.name, (n.point_code,), double=n.exchange) for n in picture.nodes],
        [Edge(e.first, e.second, e.label, e.style) for e in picture.edges],
    )


def dot(picture: Picture) -> str:
    """The picture in the language of Graphviz."""
    lines = [
        f"graph {_quoted(picture.name)} {{",
        "  rankdir=LR;",
        "  node [shape=box, style=rounded];",
    ]
    for node in picture.nodes:
        extra = ", peripheries=2" if node.exchange else ""
        label = _quoted(f"{node.name}\\n{node.point_code}")
        lines.append(f"  {_quoted(node.name)} [label={label}{extra}];")
    for edge in picture.edges:
        marks = [f"label={_quoted(edge.label)}"] if edge.label else []
        if edge.style:
            marks.append(f"color={edge.style}")
        attributes = f" [{', '.join(marks)}]" if marks else ""
        lines.append(f"  {_quoted(edge.first)} -- {_quoted(edge.second)}{attributes};")
    return "\n".join([*lines, "}", ""])


def mermaid(picture: Picture) -> str:
    """The picture in the language of Mermaid."""
    lines = ["graph LR"]
    for node in picture.nodes:
        left, right = ("[[", "]]") if node.exchange else ("(", ")")
        lines.append(f'  {_word(node.name)}{left}"{node.name}<br/>{node.point_code}"{right}')
    for edge in picture.edges:
        label = f'|"{edge.label}"|' if edge.label else ""
        lines.append(f"  {_word(edge.first)} ---{label} {_word(edge.second)}")
    for index, edge in enumerate(picture.edges):
        if edge.style:
            lines.append(f"  linkStyle {index} stroke:{edge.style}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _word(name: str) -> str:
    return name.replace("-", "_")


_BOX_HEIGHT, _ROW, _GAP, _MARGIN, _HEAD = 58, 124, 120, 28, 62
_CHARACTER = 8.6  # width of one at the name's size, roughly, in the fonts named below
_STYLE = """\
    svg { font-family: ui-sans-serif, system-ui, "Segoe UI", "Helvetica Neue", sans-serif; }
    .card { fill: #ffffff; stroke: #d8dee4; }
    .title { font-size: 17px; font-weight: 600; fill: #1f2328; }
    .note { font-size: 12.5px; fill: #59636e; }
    .box { fill: #f6f8fa; stroke: #8c959f; stroke-width: 1.4; }
    .exchange { fill: #ddf4ff; stroke: #54aeff; stroke-width: 1.4; }
    .name { font-size: 15px; font-weight: 600; fill: #1f2328; }
    .code { font-size: 13px; fill: #59636e;
      font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
    .link { fill: none; stroke: #8c959f; stroke-width: 2.2; }
    .up { stroke: #1a7f37; } .down { stroke: #cf222e; stroke-dasharray: 3 6; }
    .part { stroke: #bf8700; }
    .chip { fill: #ffffff; stroke: none; } .label { font-size: 12.5px; fill: #59636e; }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #30363d; } .title, .name { fill: #e6edf3; }
      .note, .code, .label { fill: #9198a1; } .box { fill: #151b23; stroke: #656c76; }
      .exchange { fill: #121d2f; stroke: #388bfd; } .link { stroke: #656c76; }
      .up { stroke: #3fb950; } .down { stroke: #f85149; } .part { stroke: #d29922; }
      .chip { fill: #0d1117; }
    }"""


def svg(picture: Picture) -> str:
    """The picture as an SVG document that follows the reader's light or dark theme."""
    layout = arrange([n.name for n in picture.nodes], [(e.first, e.second) for e in picture.edges])
    by_name = {node.name: node for node in picture.nodes}
    left: dict[str, float] = {}
    widths: dict[str, float] = {}
    x = float(_MARGIN)
    for column in layout.columns:
        width = max(118.0, max(len(name) for name in column) * _CHARACTER + 36)
        for name in column:
            left[name], widths[name] = x, width
        x += width + _GAP
    width = x - _GAP + _MARGIN
    middle = {n: _HEAD + _MARGIN + _BOX_HEIGHT / 2 + row * _ROW for n, row in layout.rows.items()}
    height = max(middle.values(), default=0.0) + _BOX_HEIGHT / 2 + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        f"  <title>{escape(picture.title)}</title>",
        f"  <style>\n{_STYLE}\n  </style>",
        f'  <rect class="card" x="0.5" y="0.5" width="{width - 1:.0f}" '
        f'height="{height - 1:.0f}" rx="10"/>',
        f'  <text class="title" x="{_MARGIN}" y="36">{escape(picture.title)}</text>',
        f'  <text class="note" x="{_MARGIN}" y="57">{escape(picture.summary)}</text>',
    ]
    for edge in picture.edges:
        first, second = sorted((edge.first, edge.second), key=lambda n: (left[n], middle[n]))
        column = layout.columns[layout.column(first)]
        beside = second not in column or abs(column.index(first) - column.index(second)) == 1
        parts += _svg_edge(edge, first, second, beside, left, widths, middle)
    for name, node in by_name.items():
        top = middle[name] - _BOX_HEIGHT / 2
        center = left[name] + widths[name] / 2
        kind, bow = ("exchange", 8) if node.exchange else ("box", 14)
        parts += [
            f'  <rect class="{kind}" x="{left[name]:.1f}" y="{top:.1f}" '
            f'width="{widths[name]:.1f}" height="{_BOX_HEIGHT}" rx="{bow}"/>',
            f'  <text class="name" x="{center:.1f}" y="{top + 25:.1f}" text-anchor="middle">'
            f"{escape(name)}</text>",
            f'  <text class="code" x="{center:.1f}" y="{top + 44:.1f}" text-anchor="middle">'
            f"{escape(node.point_code)}</text>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def _svg_edge(
    edge: PictureEdge,
    first: str,
    second: str,
    beside: bool,
    left: dict[str, float],
    widths: dict[str, float],
    middle: dict[str, float],
) -> list[str]:
    kind = {"": "", "up": " up", "cut": " down", "down": " down"}.get(edge.state, " part")
    y1, y2 = middle[first], middle[second]
    if not beside:  # over another node of the column: around it
        x1 = x2 = left[first] + widths[first]
        bend = x1 + _GAP / 2
        path = f"M {x1:.1f} {y1:.1f} C {bend:.1f} {y1:.1f}, {bend:.1f} {y2:.1f}, {x2:.1f} {y2:.1f}"
        x1 += 0.75 * _GAP  # where the label goes: the curve's bow
    elif left[first] == left[second]:
        x1 = x2 = left[first] + widths[first] / 2
        path = f"M {x1:.1f} {y1 + _BOX_HEIGHT / 2:.1f} L {x2:.1f} {y2 - _BOX_HEIGHT / 2:.1f}"
    else:
        x1, x2 = left[first] + widths[first], left[second]
        bend = (x1 + x2) / 2
        path = f"M {x1:.1f} {y1:.1f} C {bend:.1f} {y1:.1f}, {bend:.1f} {y2:.1f}, {x2:.1f} {y2:.1f}"
    parts = [f'  <path class="link{kind}" d="{path}"/>']
    if edge.label:
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        half = 6 + 4 * len(edge.label)
        parts += [
            f'  <rect class="chip" x="{x - half:.1f}" y="{y - 10:.1f}" width="{2 * half}" '
            'height="20" rx="6"/>',
            f'  <text class="label" x="{x:.1f}" y="{y + 4.5:.1f}" text-anchor="middle">'
            f"{escape(edge.label)}</text>",
        ]
    return parts
