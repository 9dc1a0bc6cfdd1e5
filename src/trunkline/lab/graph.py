"""Pictures of a network: characters, Graphviz, Mermaid and SVG.

Each is made from one :class:`Picture`; where the network is up, it carries the present state of
the links. SIP proxies are drawn with the addresses that they listen on, and joined where their
settings name each other: what a script decides nobody knows before it runs. Exchanges are joined to
the nodes that charge their calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from attrs import evolve, field, frozen

from trunkline.config.charging import ChargingSettings
from trunkline.lab.drawing import Box, Drawing, Edge, draw
from trunkline.lab.layout import arrange
from trunkline.lab.network import Network, Proxy, Router
from trunkline.lab.proxies import Way, find_ways
from trunkline.lab.runtime import is_up, read_state
from trunkline.lab.status import LabStatus, LinkView, lab_status
from trunkline.lab.topology import TopologyLink, find_topology
from trunkline.sip.transport import written

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
    kind: str
    """``router``, ``exchange``, ``proxy`` or ``charging``."""
    lines: tuple[str, ...]
    """What is written under the name: the point code, or where it listens."""
    silent: bool = False
    """Whether the network is up and the node does not answer."""


@frozen
class PictureEdge:
    """All links between two routers, or all ways between two proxies that settings name.

    Or that an exchange has its calls charged by a node.
    """

    first: str
    second: str
    links: tuple[TopologyLink, ...] = ()
    ways: tuple[Way, ...] = ()
    charging: bool = False
    """Whether ``first`` has its calls charged by ``second``."""
    state: str = ""
    """``up``, ``down`` or ``cut``, or how many of the links are up; empty when unknown."""

    @property
    def name(self) -> str:
        """How commands call it."""
        return f"{self.first}-{self.second}"

    @property
    def label(self) -> str:
        """A few characters for the line: how many links, and what is wrong."""
        if self.ways:
            return "SIP"
        if self.charging:
            return "pays"
        count = f"×{len(self.links)}" if len(self.links) > 1 else ""
        mark = {"": "", "up": "", "cut": "✕", "down": "✕"}.get(self.state, self.state)
        return " ".join(part for part in (count, mark) if part)

    @property
    def one_way(self) -> bool:
        """Whether only ``first`` sends requests to ``second``."""
        if self.charging:
            return True
        return bool(self.ways) and all(way.first == self.first for way in self.ways)

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
        proxies = sum(node.kind == "proxy" for node in self.nodes)
        if proxies and proxies == len(self.nodes):
            text = _count(proxies, "SIP proxy", "SIP proxies")
        else:
            text = f"{_count(len(self.nodes), 'node')}, {_count(links, 'link')}"
            text += f", {_count(proxies, 'SIP proxy', 'SIP proxies')} among them" if proxies else ""
        if self.loose:
            ends = _count(self.loose, "link end")
            text += f", {ends} without a counterpart (see `trunkline lab check`)"
        if self.running:
            text += ", running"
        return text

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "network": self.name,
            "running": self.running,
            "nodes": [
                {
                    "name": n.name,
                    "point_code": n.lines[0],
                    "exchange": n.kind == "exchange",
                }
                for n in self.nodes
                if n.kind in ("router", "exchange")
            ],
            "proxies": [
                {"name": n.name, "listen": list(n.lines)} for n in self.nodes if n.kind == "proxy"
            ],
            "charging": [
                {"name": n.name, "listen": list(n.lines)}
                for n in self.nodes
                if n.kind == "charging"
            ],
            "ways": [
                {"from": w.first, "to": w.second, "setting": w.setting, "value": w.value}
                for edge in self.edges
                for w in edge.ways
            ],
            "charged": [
                {"from": edge.first, "to": edge.second, "state": edge.state or None}
                for edge in self.edges
                if edge.charging
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


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def picture(network: Network) -> Picture:
    """Gather what is drawn of ``network``, with live states where it is up."""
    topology = find_topology(network)
    found = _status(network)
    states: dict[str, list[LinkView]] = {}
    for view in found.links if found else ():
        states.setdefault(view.pair, []).append(view)
    silent = found.silent if found else set()
    nodes = {
        **{r.name: _router_node(r) for r in network.routers.values()},
        **{p.name: _proxy_node(p) for p in network.proxies.values()},
        **{name: _charging_node(name, each) for name, each in network.chargers.items()},
    }
    edges = [
        PictureEdge(
            first, second, links=tuple(links), state=edge_state(states.get(f"{first}-{second}", []))
        )
        for (first, second), links in topology.linksets().items()
    ]
    return Picture(
        name=network.name,
        title=network.title,
        nodes=tuple(evolve(nodes[name], silent=name in silent) for name in network.nodes),
        edges=(*edges, *_way_edges(find_ways(network)), *_charging_edges(network, found)),
        running=found is not None,
        loose=len([p for p in topology.problems if p.code == "lab.link-end"]),
    )


def _status(network: Network) -> LabStatus | None:
    """How the network is, if it is up from the same file."""
    state = read_state(network.name) if is_up(network.name) else None
    if state is None or Path(state.file) != network.file:
        return None
    return lab_status(state)


def _router_node(router: Router) -> PictureNode:
    kind = "exchange" if router.exchange else "router"
    return PictureNode(router.name, kind, (router.point_code_text,))


def _proxy_node(proxy: Proxy) -> PictureNode:
    lines = tuple(f"{each.transport} {each.address}" for each in proxy.listeners)
    return PictureNode(proxy.name, "proxy", lines)


def _charging_node(name: str, settings: ChargingSettings) -> PictureNode:
    listens = (settings.rpc_json, settings.http, settings.rpc_bijson)
    lines = (f"TCP {written(each.address)}" for each in listens if each.address is not None)
    return PictureNode(name, "charging", tuple(lines))


def _way_edges(ways: Iterable[Way]) -> list[PictureEdge]:
    """One edge for each two proxies, whichever of them sends."""
    groups: dict[frozenset[str], list[Way]] = {}
    for way in ways:
        groups.setdefault(frozenset((way.first, way.second)), []).append(way)
    return [
        PictureEdge(group[0].first, group[0].second, ways=tuple(group)) for group in groups.values()
    ]


def _charging_edges(network: Network, found: LabStatus | None) -> list[PictureEdge]:
    """One edge for each exchange whose calls are charged."""
    reached = {view.name: view.charging for view in found.nodes} if found else {}
    states = {True: "up", False: "down", None: ""}
    return [
        PictureEdge(
            router.name,
            exchange.charging.node,
            charging=True,
            state=states[reached.get(router.name)],
        )
        for router in network.routers.values()
        if (exchange := router.settings.exchange) is not None and exchange.charging is not None
    ]


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
        [
            Box(n.name, n.lines, style="red" if n.silent else "", double=n.kind == "exchange")
            for n in picture.nodes
        ],
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
        extra = {"exchange": ", peripheries=2", "proxy": ", shape=component"}.get(node.kind, "")
        extra += ", color=red" if node.silent else ""
        label = _quoted("\\n".join((node.name, *node.lines)))
        lines.append(f"  {_quoted(node.name)} [label={label}{extra}];")
    for edge in picture.edges:
        marks = [f"label={_quoted(edge.label)}"] if edge.label else []
        if edge.style:
            marks.append(f"color={edge.style}")
        if edge.one_way:
            marks.append("dir=forward")
        attributes = f" [{', '.join(marks)}]" if marks else ""
        lines.append(f"  {_quoted(edge.first)} -- {_quoted(edge.second)}{attributes};")
    return "\n".join([*lines, "}", ""])


def mermaid(picture: Picture) -> str:
    """The picture in the language of Mermaid."""
    lines = ["graph LR"]
    for node in picture.nodes:
        left, right = {"exchange": ("[[", "]]"), "proxy": ("[", "]")}.get(node.kind, ("(", ")"))
        text = "<br/>".join((node.name, *node.lines))
        lines.append(f'  {_word(node.name)}{left}"{text}"{right}')
    for edge in picture.edges:
        label = f'|"{edge.label}"|' if edge.label else ""
        line = "-->" if edge.one_way else "---"
        lines.append(f"  {_word(edge.first)} {line}{label} {_word(edge.second)}")
    for index, edge in enumerate(picture.edges):
        if edge.style:
            lines.append(f"  linkStyle {index} stroke:{edge.style}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _word(name: str) -> str:
    return name.replace("-", "_")


_BOX_HEIGHT, _LINE, _ROW, _GAP, _MARGIN, _HEAD = 58, 18, 124, 120, 28, 62
_CHARACTER = 8.6  # width of one at the name's size, roughly, in the fonts named below
_SMALL = 7.9  # the same at the size of the lines below
_STYLE = """\
    svg { font-family: ui-sans-serif, system-ui, "Segoe UI", "Helvetica Neue", sans-serif; }
    .card { fill: #ffffff; stroke: #d8dee4; }
    .title { font-size: 17px; font-weight: 600; fill: #1f2328; }
    .note { font-size: 12.5px; fill: #59636e; }
    .box { fill: #f6f8fa; stroke: #8c959f; stroke-width: 1.4; }
    .exchange { fill: #ddf4ff; stroke: #54aeff; stroke-width: 1.4; }
    .proxy { fill: #fff8c5; stroke: #d4a72c; stroke-width: 1.4; }
    .name { font-size: 15px; font-weight: 600; fill: #1f2328; }
    .code { font-size: 13px; fill: #59636e;
      font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
    .link { fill: none; stroke: #8c959f; stroke-width: 2.2; }
    .silent { stroke: #cf222e; stroke-dasharray: 3 6; }
    .up { stroke: #1a7f37; } .down { stroke: #cf222e; stroke-dasharray: 3 6; }
    .part { stroke: #bf8700; }
    .chip { fill: #ffffff; stroke: none; } .label { font-size: 12.5px; fill: #59636e; }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #30363d; } .title, .name { fill: #e6edf3; }
      .note, .code, .label { fill: #9198a1; } .box { fill: #151b23; stroke: #656c76; }
      .exchange { fill: #121d2f; stroke: #388bfd; } .link { stroke: #656c76; }
      .proxy { fill: #272115; stroke: #9e6a03; } .silent { stroke: #f85149; }
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
    more = max((len(node.lines) for node in picture.nodes), default=1) - 1
    box, pitch = _BOX_HEIGHT + more * _LINE, _ROW + more * _LINE
    for column in layout.columns:
        width = max(118.0, max(len(name) for name in column) * _CHARACTER + 36)
        longest = max(len(line) for name in column for line in by_name[name].lines)
        width = max(width, longest * _SMALL + 28)
        for name in column:
            left[name], widths[name] = x, width
        x += width + _GAP
    width = x - _GAP + _MARGIN
    middle = {n: _HEAD + _MARGIN + box / 2 + row * pitch for n, row in layout.rows.items()}
    height = max(middle.values(), default=0.0) + box / 2 + _MARGIN
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
        parts += _svg_edge(edge, first, second, beside, left, widths, middle, box)
    for name, node in by_name.items():
        top = middle[name] - box / 2
        center = left[name] + widths[name] / 2
        kind, bow = {"exchange": ("exchange", 8), "proxy": ("proxy", 4)}.get(node.kind, ("box", 14))
        kind += " silent" if node.silent else ""
        parts += [
            f'  <rect class="{kind}" x="{left[name]:.1f}" y="{top:.1f}" '
            f'width="{widths[name]:.1f}" height="{box}" rx="{bow}"/>',
            f'  <text class="name" x="{center:.1f}" y="{top + 25:.1f}" text-anchor="middle">'
            f"{escape(name)}</text>",
        ]
        parts += [
            f'  <text class="code" x="{center:.1f}" y="{top + 44 + _LINE * number:.1f}" '
            f'text-anchor="middle">{escape(line)}</text>'
            for number, line in enumerate(node.lines)
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
    box: int,
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
        path = f"M {x1:.1f} {y1 + box / 2:.1f} L {x2:.1f} {y2 - box / 2:.1f}"
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
