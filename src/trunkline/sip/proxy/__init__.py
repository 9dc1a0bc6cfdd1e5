"""A proxy's part of RFC 3261 (section 16): validation, routes, forwarding, forking, responses."""

from trunkline.sip.proxy.branches import Branch, Hops, Target, listed
from trunkline.sip.proxy.context import Hooks, ResponseContext
from trunkline.sip.proxy.core import PassingAck, Proxy, ProxySettings, Received
from trunkline.sip.proxy.identity import Identity, Listener

__all__ = [
    "Branch",
    "Hooks",
    "Hops",
    "Identity",
    "Listener",
    "PassingAck",
    "Proxy",
    "ProxySettings",
    "Received",
    "ResponseContext",
    "Target",
    "listed",
]
