"""``trunkline run``: host one node in this process, until it is told to stop.

It reads its arguments with the standard library; :mod:`trunkline.cli.main` says why.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

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

    from trunkline.elements.node import NodePlan, run_node  # heavy; wrong arguments need it not

    run_node(
        NodePlan.read(
            options.file, options.node, sctp=options.sctp, real_addresses=options.real_addresses
        )
    )
