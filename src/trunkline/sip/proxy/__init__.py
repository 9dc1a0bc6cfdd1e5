"""A proxy's part of RFC 3261 (section 16): validation, routes, forwarding, forking, responses."""

from trunkline.sip.proxy.branches import Branch, Target
from trunkline.sip.proxy.context import Hooks, ResponseContext
from trunkline.sip.proxy.core import PassingAck, Proxy, ProxySettings
from trunkline.sip.proxy.identity import Identity, Listener

__all__ = [
    "Branch",
    "Hooks",
    "Identity",
    "Listener",
    "PassingAck",
    "Proxy",
    "ProxySettings",
    "ResponseContext",
    "Target",
]
