"""Route and Record-Route, on the way in and on the way out: RFC 3261 sections 16.4 and 16.6.

Anybody can write a Route that names us, and a To tag beside it. What nobody else can write is the
parameter ``k`` of our Record-Route: a keyed digest of the Call-ID (`RouteSeal`). So a request that
comes back with it belongs to a dialog that began here, and needs no table of dialogs to prove it.
"""

from __future__ import annotations

from hashlib import blake2s
from hmac import compare_digest

from trunkline.errors import DecodeError
from trunkline.sip.lists import split_list
from trunkline.sip.message import Request
from trunkline.sip.proxy.identity import Identity, default_port, route_uri
from trunkline.sip.transport import Flow
from trunkline.sip.uri import Uri, parse_uri

__all__ = ["RouteSeal", "allowed", "first_route", "preprocess", "strict_next_hop"]

_DIGEST = 8  # octets
_PARAMETER = ";k="
_AFTER = (">", ";", "?", "")


class RouteSeal:
    """Marks our Record-Route values so that nobody else can make one, dialog by dialog.

    ``secret`` is the same in all processes, and on all hosts, that a dialog may pass.
    """

    def __init__(self, secret: bytes) -> None:
        key = blake2s(secret, person=b"route").digest()
        self._keyed = blake2s(key=key, digest_size=_DIGEST)

    def parameter(self, call_id: str) -> str:
        """Return the parameter for the Record-Route of a request."""
        return f"{_PARAMETER}{self._digest(call_id)}"

    def fits(self, found: str, call_id: str) -> bool:
        """Whether what stands in a Route of this Call-ID is ours."""
        return compare_digest(found, self._digest(call_id))

    def _digest(self, call_id: str) -> str:
        digest = self._keyed.copy()
        digest.update(call_id.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def preprocess(
    request: Request, identity: Identity, came: Flow, seal: RouteSeal | None = None
) -> bool:
    """Take ourselves out of Request-URI and Route (section 16.4); whether we had recorded one.

    All our values at the top go: there are two where the sides differ (RFC 5658 section 5). One of
    them has the seal; without a ``seal`` any Route of ours counts.

    Raises:
        DecodeError: ``sip.route``: what the request would be sent on by cannot be read. (A Route
            farther down is another element's.)
    """
    headers = request.headers
    if ";m" in request.uri or ";M" in request.uri:
        _strip_maddr(request, identity, came)
    if "route" not in headers.names:
        return False
    recorded = False

    def owns(value: str) -> bool:
        nonlocal recorded
        at = -1 if seal is None else value.find(_PARAMETER)
        begin, end = at + len(_PARAMETER), at + len(_PARAMETER) + 2 * _DIGEST
        found = value[begin:end]
        if at < 0 or not (found.isalnum() and found.isascii() and value[end : end + 1] in _AFTER):
            if not identity.owns_route(value):
                return False
            recorded = recorded or seal is None
            return True
        # Without it the value is that of any other dialog: it was looked at before.
        if not identity.owns_route(value[:at] + value[end:]):
            return False
        if seal is not None and not recorded:
            recorded = seal.fits(found, request.call_id)
        return True

    if ";lr" in request.uri and identity.recorded(request.uri) and owns(f"<{request.uri}>"):
        # The element before us is a strict router: the target is the last Route.
        last = len(headers.names) - 1 - headers.names[::-1].index("route")
        values = split_list(headers.value(last))
        request.uri = _readable(values[-1] if values else "")
        _keep(request, last, values[:-1])
    while "route" in headers.names:
        at = headers.names.index("route")
        value = headers.value(at)
        values = split_list(value) if "," in value else [value]
        mine = 0
        while mine < len(values) and owns(values[mine]):
            mine += 1
        if mine:
            _keep(request, at, values[mine:])
        if mine < len(values) or not mine:
            _readable(values[mine] if values else "")
            break
    return recorded


def _readable(value: str) -> str:
    """Return the URI of a Route value.

    Raises:
        DecodeError: ``sip.route``: there is none.
    """
    uri = route_uri(value)
    try:
        parse_uri(uri)
    except DecodeError as problem:
        raise DecodeError("sip.route", f"a Route of {value[:80]!r}: {problem.message}") from None
    return uri


def _strip_maddr(request: Request, identity: Identity, came: Flow) -> None:
    """A ``maddr`` that led the request here has done its work.

    One that is ours but means another port or transport leads there (``Identity.is_ours``).
    """
    try:
        uri = parse_uri(request.uri)
    except DecodeError:
        return
    if not isinstance(uri, Uri) or uri.maddr is None:
        return
    if not identity.serves(uri.maddr.lower().strip("[]")):
        return
    transport = uri.transport or ("tls" if uri.secure else "udp")
    listener = identity.listener(came)
    if transport != came.transport.parameter or listener is None:
        return
    meant = uri.port or default_port(uri)
    if meant not in (listener.local[1], listener.advertised[1]):
        return
    port = uri.port if uri.port == default_port(uri) else None
    request.uri = uri.evolve(port=port, params=uri.params.without("maddr", "transport")).text


def _keep(request: Request, at: int, values: list[str]) -> None:
    headers = request.headers
    if values:
        headers.rewrite(at, ", ".join(values))
    else:
        headers.delete(at)


def first_route(request: Request) -> str | None:
    """Return the URI of the first Route value, ``None`` if there is none."""
    value = request.headers.get("route")
    if value is None:
        return None
    return route_uri(value if "," not in value else (split_list(value) or [""])[0])


def strict_next_hop(request: Request) -> str | None:
    """Rewrite for a next hop that is a strict router (16.6 step 6); return the next hop's URI.

    The next hop is the first Route value, else ``None``: then it is the Request-URI.
    """
    route = first_route(request)
    if route is None:
        return None
    try:
        uri = parse_uri(route)
    except DecodeError:
        return route  # of the transaction user's own making: nobody finds a way to it
    if isinstance(uri, Uri) and not uri.loose:
        headers = request.headers
        at = headers.names.index("route")
        _keep(request, at, split_list(headers.value(at))[1:])
        headers.insert("Route", f"<{request.uri}>", after="Route")
        request.uri = allowed(route)
    return route


def allowed(text: str) -> str:
    """Return a URI without what section 19.1.1, table 1, keeps out of a Request-URI."""
    try:
        uri = parse_uri(text)
    except DecodeError:
        return text  # nobody finds a way to it either
    if not isinstance(uri, Uri) or not (uri.headers_text or "method" in uri.params):
        return text
    return uri.evolve(params=uri.params.without("method"), headers="").text
