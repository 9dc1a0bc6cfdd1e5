"""DNS for SIP: name servers asked over UDP and TCP, and RFC 3263 driven by the answers.

``servers`` knows whom to ask and where they were named, ``client`` asks one of them, ``resolver``
gets an answer out of them all (``zone`` out of a text), ``locator`` joins it to the machine of
``trunkline.sip.locate``. Messages are dnspython's; sockets and timing are ours.
"""

from __future__ import annotations

from trunkline.net.dns.locator import Locator
from trunkline.net.dns.resolver import Resolver, ResolverSettings, ServerCheck
from trunkline.net.dns.servers import NameServer
from trunkline.net.dns.zone import ZoneResolver

__all__ = ["Locator", "NameServer", "Resolver", "ResolverSettings", "ServerCheck", "ZoneResolver"]
