"""The process of a proxy node: sockets, script, control socket, signals."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from pathlib import Path

from trunkline.config.network import NetworkSettings
from trunkline.config.proxy import ProxyNodeSettings
from trunkline.elements.log import RouterLog
from trunkline.elements.proxy.element import ProxyElement
from trunkline.elements.proxy.hops import LiteralLocator
from trunkline.elements.proxy.script import load_script
from trunkline.elements.proxy.tokens import token_source
from trunkline.elements.proxy.transports import SocketTransports
from trunkline.net.loop import new_event_loop
from trunkline.sip.proxy import Identity, ProxySettings

__all__ = ["ProxyPlan", "run_proxy"]


class ProxyPlan:
    """All that one proxy node is to be."""

    def __init__(self, network: NetworkSettings, name: str, settings: ProxyNodeSettings) -> None:
        self.network = network.name
        self.name = name
        self.settings = settings
        self.script: Path = network.path.parent / settings.script


def run_proxy(plan: ProxyPlan) -> None:
    """Run the node until SIGTERM or SIGINT."""
    loop = new_event_loop()
    asyncio.set_event_loop(loop)

    async def main() -> None:
        stopped = asyncio.Event()
        log = RouterLog(sys.stdout)
        script = load_script(plan.script)
        transports = SocketTransports(loop, plan.settings.listen)
        try:
            identity = Identity(transports.listeners, plan.settings.domains)
            element = ProxyElement(
                loop,
                identity,
                script,
                transports,
                LiteralLocator(identity),
                name=plan.name,
                log=log,
                token=token_source(),
                settings=ProxySettings(record_route=plan.settings.record_route),
                script_settings=plan.settings.settings,
            )
            transports.connect(
                element.receive, lambda flow, reason, _: element.failed(flow, reason)
            )
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stopped.set)
            await element.start()
            _settle_memory()
            await stopped.wait()
            await element.close()
        finally:
            transports.close()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def _settle_memory() -> None:
    """See that the collector does not walk over what stays.

    Contexts and transactions are freed by their reference counts: they let go of each other when
    they end. The collector only has to find what a script may leave in a circle.
    """
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy has a collector of another kind
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
