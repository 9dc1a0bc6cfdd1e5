"""The copy that is sent on: RFC 3261 section 16.6 steps 2 to 9, whether there is state or not.

RFC 5393 section 5.3.3 for Max-Breadth; RFC 5658 for a Record-Route on each side. Where the size of
a request alone made it go by TCP, its Record-Route stays that of UDP (RFC 5658 section 6.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.headers import max_forwards
from trunkline.sip.message import Message, Request
from trunkline.sip.proxy.identity import Identity
from trunkline.sip.proxy.routes import RouteSeal, allowed, first_route, strict_next_hop
from trunkline.sip.proxy.settings import ProxySettings
from trunkline.sip.transport import Flow

__all__ = ["Forwarding", "complete", "writable"]

_NO_DIALOG = frozenset(
    {
        *("ACK", "BYE", "CANCEL", "INFO", "MESSAGE", "OPTIONS", "PRACK"),
        *("PUBLISH", "REGISTER", "UPDATE"),
    }
)
"""Methods that begin no dialog. One that is not known may (16.6 step 4), and NOTIFY does."""


# Section 25.1: a URI is of printable US-ASCII, without blanks and what encloses it elsewhere.
_WRITABLE = re.compile(r"[!-;=?-~]+\Z")


def writable(uri: str) -> str:
    """Return ``uri`` if it can be written as a Request-URI: one word, that ends nothing.

    Raises:
        TrunklineError: ``sip.start-line``: it cannot.
    """
    if _WRITABLE.match(uri) is None:
        raise TrunklineError(
            "sip.start-line",
            f"{uri[:80]!r}: a Request-URI has no blanks, no < or >, and is printable ASCII",
        )
    return uri


def _hops_left(value: str) -> int:
    try:  # as nearly always; what came was looked at (section 16.3)
        return int(value) if len(value) <= 3 else max_forwards(value)
    except (ValueError, DecodeError):  # somebody wrote it here
        raise TrunklineError("sip.max-forwards", f"Max-Forwards: {value[:40]!r}") from None


class Forwarding:
    """What is the same for everything that one proxy sends on."""

    def __init__(
        self,
        identity: Identity,
        settings: ProxySettings,
        route_extra: str = "",
        seal: RouteSeal | None = None,
    ) -> None:
        self.identity = identity
        self.settings = settings
        self._route_extra = route_extra
        self._seal = seal
        self._record_routes: dict[tuple[object, ...], tuple[str, ...]] = {}

    def breadth_of(self, request: Request) -> int:
        """Return the Incoming Max-Breadth (RFC 5393 section 5.3.3)."""
        most = self.settings.max_breadth
        headers = request.headers
        if "max-breadth" not in headers.names:
            return most
        value = headers.value(headers.names.index("max-breadth"))
        if not (value.isascii() and value.isdecimal() and len(value) < 6):
            return most
        return max(1, min(int(value), most))

    def address(self, request: Request, uri: str, routes: Sequence[str], breadth: int) -> None:
        """Steps 2 and 3, Max-Breadth, and Routes to be pushed; a ``breadth`` of 0 adds none.

        Raises:
            TrunklineError: ``sip.start-line``, ``sip.header``, ``sip.max-forwards``: ``uri``, one
                of ``routes`` or what somebody wrote into Max-Forwards is not what it is to be.
        """
        # What may not stand in a Request-URI is rare: a parameter "method", and header components.
        if "?" in uri or ";m" in uri or ";M" in uri:
            uri = allowed(uri)
        request.uri = writable(uri)
        headers = request.headers
        names = headers.names
        if "max-forwards" in names:
            at = names.index("max-forwards")
            headers.rows[at] = f"Max-Forwards: {max(_hops_left(headers.value(at)) - 1, 0)}"
        else:
            headers.insert("Max-Forwards", str(self.settings.max_forwards), after="Via")
        if breadth:
            if "max-breadth" in names:
                headers.set("Max-Breadth", str(breadth))
            else:
                names.append("max-breadth")
                headers.rows.append(f"Max-Breadth: {breadth}")
        for route in reversed(routes):
            headers.insert("Route", route, before="Route")

    def route(self, request: Request, came: Flow, goes: Flow, routed: bool) -> None:
        """Steps 6 and 4, in this order: the scheme of our Record-Route depends on the Route.

        ``routed``: whether the request came by a Route of ours. A NOTIFY that did not is of a
        SUBSCRIBE that we have not recorded, and so is not either (RFC 6665 section 4.3).
        """
        more = "route" in request.headers.names
        if more:
            strict_next_hop(request)
        if request.method in _NO_DIALOG or (request.method == "NOTIFY" and not routed):
            return
        secure = request.uri[:5].lower() == "sips:"
        if more and not secure:
            secure = (first_route(request) or "")[:5].lower() == "sips:"
        if self.settings.record_route or secure is not came.transport.secure:
            self._add_record_route(request, came, goes, secure)

    def _add_record_route(self, request: Request, came: Flow, goes: Flow, secure: bool) -> None:
        """Where the two sides differ there is a value for each (RFC 5658 section 5)."""
        key = (came.transport, came.local, goes.transport, goes.local, secure)
        values = self._record_routes.get(key)
        if values is None:
            inner, outer = self.identity.listener(goes), self.identity.listener(came)
            assert inner is not None
            values = (inner.record_route(secure, self._route_extra),)
            if outer is not None and outer is not inner:
                values = (values[0], outer.record_route(came.transport.secure, self._route_extra))
            self._record_routes[key] = values
        headers = request.headers
        at = (
            headers.names.index("record-route")
            if "record-route" in headers.names
            else headers.names.index("via")
        )
        mark = "" if self._seal is None else self._seal.parameter(request.call_id)
        for value in reversed(values):
            headers.names.insert(at, "record-route")
            headers.rows.insert(at, f"Record-Route: {value[:-1]}{mark}>")

    def add_via(self, request: Request, flow: Flow, branch: str) -> int:
        """Put our Via on top (step 8); return the number of its row."""
        listener = self.identity.listener(flow)
        assert listener is not None, flow
        headers = request.headers
        at = headers.names.index("via") if "via" in headers.names else 0
        headers.names.insert(at, "via")
        headers.rows.insert(at, listener.via + branch)
        return at

    def change_via(self, request: Request, at: int, flow: Flow, branch: str) -> None:
        """Make our Via, row number ``at``, that of another transport (section 18.1.1)."""
        listener = self.identity.listener(flow)
        assert listener is not None, flow
        request.headers.rows[at] = listener.via + branch


def complete(message: Message, flow: Flow) -> None:
    """On a stream a message needs its length (step 9, section 18.3)."""
    if flow.transport.reliable and "content-length" not in message.headers.names:
        message.headers.add("Content-Length", str(len(message.body)))
