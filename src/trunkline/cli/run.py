"""``trunkline run``: host one node in this process, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["run"]


def run(
    file: Annotated[
        Path, typer.Argument(help="A network file (TOML), or one router's configuration (.cfg).")
    ],
    node: Annotated[
        str | None, typer.Option(help="Which node of the network file; needless if there is one.")
    ] = None,
    sctp: Annotated[
        Literal["auto", "kernel", "raw", "udp"] | None,
        typer.Option(help="The SCTP to use; the file's choice otherwise."),
    ] = None,
    real_addresses: Annotated[
        bool,
        typer.Option(
            "--real-addresses",
            help="Bind the configuration's addresses as they are, not their loopback images.",
        ),
    ] = False,
) -> None:
    """Run one node in the foreground; SIGTERM or Ctrl-C ends it."""
    from trunkline.elements.node import NodePlan, run_node  # a node is heavy, other commands not

    run_node(NodePlan.read(file, node, sctp=sctp, real_addresses=real_addresses))
