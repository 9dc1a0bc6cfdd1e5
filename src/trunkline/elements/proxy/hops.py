"""Next hops: from a URI to the flows that lead there (RFC 3263), by our own listeners."""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.sip.proxy import Hops, Identity, listed
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.uri import Uri, parse_uri

__all__ = ["LiteralLocator"]

_MOST = 10_000


class LiteralLocator:
    """Finds the way to URIs with IP addresses."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._known: dict[str, Flow | None] = {}

    def now(self, uri: str, time: float) -> Hops | None:
        """Return the hops towards ``uri``."""
        if uri in self._known:
            flow = self._known[uri]
        else:
            if len(self._known) >= _MOST:
                self._known.clear()
            flow = self._known[uri] = self._flow(uri)
        return listed(flow) if flow is not None else listed()

    async def find(self, uri: str, time: float) -> Hops:
        """Return the hops towards ``uri``."""
        return self.now(uri, time) or listed()

    def failed(self, flow: Flow, status: int, detail: str) -> None:
        """An address that failed has no other to be tried instead."""

    def _flow(self, text: str) -> Flow | None:
        try:
            uri = parse_uri(text)
        except DecodeError:
            return None
        if not isinstance(uri, Uri) or uri.address is None:
            return None
        name = (uri.transport or "udp").upper()
        if name not in Transport.__members__:
            return None
        transport = Transport[name]
        host = str(uri.address)
        listener = self._identity.for_transport(transport, host)
        if listener is None:
            return None
        return Flow(transport, (host, uri.port or transport.default_port), listener.local)
