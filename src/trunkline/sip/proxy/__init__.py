"""A proxy's part of RFC 3261 (section 16): validation, routes, forwarding, forking, responses."""

from trunkline.sip.proxy.branches import Branch, Hops, Target, listed
from trunkline.sip.proxy.context import Hooks, ResponseContext
from trunkline.sip.proxy.core import Proxy, Received
from trunkline.sip.proxy.identity import Identity, Listener
from trunkline.sip.proxy.passing import Passing
from trunkline.sip.proxy.routes import RouteSeal
from trunkline.sip.proxy.settings import ProxySettings
from trunkline.sip.proxy.stateless import StatelessProxy

__all__ = [
    "Branch",
    "Hooks",
    "Hops",
    "Identity",
    "Listener",
    "Passing",
    "Proxy",
    "ProxySettings",
    "Received",
    "ResponseContext",
    "RouteSeal",
    "StatelessProxy",
    "Target",
    "listed",
]
