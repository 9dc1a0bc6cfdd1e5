"""Small networks for the tests, written as the files that a user would write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

__all__ = ["write_network"]


def write_network(
    folder: Path,
    point_codes: Mapping[str, str],
    links: Iterable[tuple[str, str]],
    routes: Mapping[str, Sequence[str]] | None = None,
    exchanges: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
) -> Path:
    """Write a network whose links have addresses and ports of their own; its network file.

    ``routes`` gives each node's lines after ``update route``; ``extra`` is appended to a node's
    configuration as it is.
    """
    ends: dict[str, list[str]] = {node: [] for node in point_codes}
    linksets: dict[tuple[str, str], int] = {}
    for number, (first, second) in enumerate(links):
        slc = linksets.get((first, second), 0)
        linksets[first, second] = slc + 1
        for here, there, own, other in ((first, second, 1, 2), (second, first, 2, 1)):
            ends[here] += [
                f"cs7 local-peer {3000 + number}",
                f" local-ip 10.0.{number}.{own}",
                f"cs7 linkset To{there} {point_codes[there]}",
                f" link {slc} sctp 10.0.{number}.{other} {3000 + number} {3000 + number}",
            ]
    text = '[network]\nname = "test-net"\n'
    for node, point_code in point_codes.items():
        lines = [
            f"hostname {node}",
            "cs7 variant itu",
            "cs7 network-indicator international",
            f"cs7 point-code {point_code}",
            *ends[node],
            "cs7 route-table system",
            *(f" update route {route}" for route in (routes or {}).get(node, ())),
        ]
        config = "\n".join(lines) + "\n" + (extra or {}).get(node, "")
        (folder / f"{node}.cfg").write_text(config, encoding="utf-8")
        text += f'\n[node.{node}]\nconfig = ["{node}.cfg"]\n'
        if node in exchanges:
            text += f'[node.{node}.exchange]\nnumbers = ["30"]\n'
    file = folder / "network.toml"
    file.write_text(text, encoding="utf-8")
    return file
