"""Make docs/img/four-countries.svg, the README's picture, from a real run of the demonstration.

The network is drawn while its link is cut, by what ``trunkline lab graph --format svg`` draws; the
table under it is the report of the same run. Usage, with no other lab on the same addresses:
``.venv/bin/python tools/readme_picture.py [NETWORK-FILE]``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from trunkline.lab import graph
from trunkline.lab.demo import Demo, Report, Step
from trunkline.lab.lifecycle import bring_down
from trunkline.lab.network import Network, find_network, read_network
from trunkline.lab.status import LinkView

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "img" / "four-countries.svg"

_MARGIN, _LINE = 28, 24
_COLUMNS = (28, 320, 520, 720, 920)
_PHASES = {
    "before": "before the cut",
    "during": "while {cut} is cut",
    "after": "after it is healed",
}


class Photographer:
    """Watches the script, says what it does and takes the picture while the link is cut."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.drawing = ""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def note(self, text: str) -> None:
        """Something went on."""

    def links(self, views: Sequence[LinkView]) -> None:
        """The links, while they are being waited for."""

    def end(self, step: Step) -> None:
        """A step has its verdict."""
        print(f"{'ok  ' if step.ok else 'FAIL'} {step.title}")
        if step.name == "traffic-during":
            self.drawing = graph.svg(graph.picture(self._network))


def with_table(drawing: str, report: Report, cut: str) -> str:
    """``drawing`` with the report's traffic in rows under it."""
    size = re.search(r'width="(\d+)" height="(\d+)"', drawing)
    assert size is not None
    width, height = int(size[1]), int(size[2])
    names = list(report.traffic[0].links)
    rows = [
        [
            _PHASES[phase.phase].format(cut=cut),
            *(f"{there} there, {back} back" for there, back in (phase.links[n] for n in names)),
            f"{phase.received} of {phase.sent}",
        ]
        for phase in report.traffic
    ]
    lines = [["test messages on", *names, "answered"], *rows]
    answered = sum(call.answer is not None for call in report.calls if call.direction == "outgoing")
    checks = sum(len(step.checks) for step in report.steps)
    foot = (
        f"{answered} calls answered; the one that was up stayed up through the cut. "
        f"{checks} checks agree with the nodes' own counters."
    )
    parts = []
    y = height + 8
    for index, line in enumerate(lines):
        for x, text in zip(_COLUMNS, line, strict=True):
            style = "note" if index == 0 else "code"
            parts.append(f'  <text class="{style}" x="{x}" y="{y}">{escape(text)}</text>')
        y += _LINE
    parts.append(f'  <text class="note" x="{_MARGIN}" y="{y + 8}">{escape(foot)}</text>')
    total = y + 8 + _MARGIN
    grown = (
        drawing.replace(f'height="{height}"', f'height="{total}"')
        .replace(f'viewBox="0 0 {width} {height}"', f'viewBox="0 0 {width} {total}"')
        .replace(f'height="{height - 1}"', f'height="{total - 1}"')
    )
    return grown.replace("</svg>", "\n".join([*parts, "</svg>"]))


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration and write the picture; the exit status."""
    network = read_network(find_network(Path(arguments[0]) if arguments else None))
    photographer = Photographer(network)
    demo = Demo(network, photographer)
    try:
        report = demo.run()
    finally:
        if demo.started:
            bring_down(network.name)
    if not report.ok:
        return 1
    PICTURE.parent.mkdir(exist_ok=True)
    text = with_table(photographer.drawing, report, network.settings.demo.cut)
    PICTURE.write_text(text, encoding="utf-8")
    print(f"wrote {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
