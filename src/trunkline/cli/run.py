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
    if options.file.suffix == ".py":
        parser.error(
            f"{options.file} is a routing script: write a network file beside it, and run that:\n"
            f'  [network]\n  name = "{options.file.stem}"\n\n  [node.Proxy.proxy]\n'
            f'  script = "{options.file.name}"\n  listen = ["udp:127.0.0.1:5060"]'
        )
    if options.file.is_dir():
        parser.error(f"{options.file} is a folder: name the network file in it")

    # What an element needs is heavy, and is imported where that element is to run.
    sctp, real = options.sctp, options.real_addresses
    if options.file.suffix != ".toml":
        from trunkline.elements.node import NodePlan, run_node

        run_node(NodePlan.read(options.file, options.node, sctp=sctp, real_addresses=real))
        return
    from trunkline.config.network import load_network

    network = load_network(options.file)
    name = network.choose(options.node)
    proxy, charging = network.nodes[name].proxy, network.nodes[name].charging
    if proxy is None and charging is None:
        from trunkline.elements.node import NodePlan, run_node

        run_node(NodePlan.of(network, name, sctp=sctp, real_addresses=real))
        return
    if sctp or real:
        kind = "is a SIP proxy" if charging is None else "charges"
        parser.error(f"{name} {kind}: --sctp and --real-addresses are for routers")
    if charging is not None:
        from trunkline.elements.charging.process import ChargingPlan, run_charging

        run_charging(ChargingPlan(network, name, charging))
        return
    assert proxy is not None
    from trunkline.elements.proxy.process import ProxyPlan, run_proxy

    run_proxy(ProxyPlan(network, name, proxy))
