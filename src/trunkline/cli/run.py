"""``trunkline run``: host one node in this process, until it is told to stop.

It reads its arguments with the standard library; :mod:`trunkline.cli.main` says why.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.elements.proxy.process import ProxyPlan

__all__ = ["HELP", "main"]

HELP = "Run one node in the foreground; SIGTERM or Ctrl-C ends it."


def main(arguments: Sequence[str]) -> None:
    """Run the node that ``arguments`` name; wrong ones end the process with 2."""
    parser = argparse.ArgumentParser(prog="trunkline run", description=HELP)
    add = parser.add_argument
    add("file", type=Path, help="A network file (TOML), or one router's configuration (.cfg).")
    add("--node", help="Which node of the network file; needless if there is one.")
    add(
        "--sctp",
        choices=("auto", "kernel", "raw", "udp"),
        help="The SCTP to use; the file's choice otherwise.",
    )
    add(
        "--real-addresses",
        action="store_true",
        help="Bind the configuration's addresses as they are, not their loopback images.",
    )
    options = parser.parse_args(arguments)

    plan = _proxy_plan(options.file, options.node)
    if plan is not None:
        from trunkline.elements.proxy.process import run_proxy

        run_proxy(plan)
        return
    from trunkline.elements.node import NodePlan, run_node  # heavy; wrong arguments need it not

    run_node(
        NodePlan.read(
            options.file, options.node, sctp=options.sctp, real_addresses=options.real_addresses
        )
    )


def _proxy_plan(file: Path, node: str | None) -> ProxyPlan | None:
    """The plan of the node that is meant, if it is a proxy."""
    if file.suffix != ".toml":
        return None
    from trunkline.config.network import load_network

    network = load_network(file)
    name = node or (next(iter(network.nodes)) if len(network.nodes) == 1 else None)
    settings = network.nodes[name].proxy if name in network.nodes else None
    if name is None or settings is None:
        return None
    from trunkline.elements.proxy.process import ProxyPlan

    return ProxyPlan(network, name, settings)
