"""The stateless proxy: RFC 3261 section 16.11, with 8.2.7 for what it answers itself.

It forgets a message as soon as it has sent it on. So everything about a request follows from the
request: its branch here, its To tag if it is answered here, and its place among equal servers (RFC
3263 section 4.4, by the branch as key). A request that comes again, its CANCEL and the ACK to a
failure get the same.

A response goes where its second Via says. Anybody could write one and have us send it anywhere; so
our branch is a keyed digest over that Via and where it leads, and a response whose digest does not
fit is dropped. The branch also says by which listener the request came.

Left out: streams. Between UDP and a stream a proxy must keep state (section 16.1), and so must one
that moves large requests to TCP (18.1.1): here a request is sent by UDP whatever its size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2s
from hmac import compare_digest

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.message import Message, Request, Response, parse, tag_of
from trunkline.sip.proxy.core import Proxy, Received
from trunkline.sip.proxy.identity import Identity
from trunkline.sip.proxy.passing import Passing
from trunkline.sip.proxy.routes import RouteSeal, preprocess
from trunkline.sip.proxy.settings import ProxySettings
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transaction.matching import answers_to
from trunkline.sip.transport import Address, Flow, Transport
from trunkline.sip.validity import Problem, check_passing
from trunkline.sip.via import COOKIE, TopVia, bare_params, mark_source, pop_via, top_via

__all__ = ["StatelessCounters", "StatelessProxy"]

_OURS = re.compile(rf"{COOKIE}s([0-9]{{1,3}})\.([0-9a-f]{{20}})\Z")
_PORT = Transport.UDP.default_port
_DIGEST = 10  # octets
_LINK_LOCAL = ("fe8", "fe9", "fea", "feb")  # fe80::/10, RFC 4291 section 2.5.6
_MOST_WAYS = 10_000  # back to callers, remembered; the memory begins anew beyond it
_SHORTEST_SECRET = 16
_LONGEST_SECRET = 32


@dataclass(slots=True)
class StatelessCounters:
    """What has passed."""

    requests: int = 0
    """Requests that were valid, ACK and CANCEL included."""
    responses: int = 0
    """Responses that were sent on."""
    answered: int = 0
    """Requests that were answered here."""


class StatelessProxy(Proxy):
    """A proxy without transactions, but for requests of its user's own.

    ``receive`` returns `Passing` for every request: ``forward`` sends it on, ``answer`` answers it.
    ``secret`` is the same in all processes that share an address.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        identity: Identity,
        *,
        secret: bytes,
        tag: Callable[[], str],
        settings: ProxySettings = ProxySettings(),  # noqa: B008 - immutable
        seal: RouteSeal | None = None,
    ) -> None:
        """Raises TrunklineError, ``sip.stateless-secret``: the secret is too short."""
        if len(secret) < _SHORTEST_SECRET:
            raise TrunklineError(
                "sip.stateless-secret", f"{len(secret)} octets; {_SHORTEST_SECRET} at least"
            )
        super().__init__(layer, identity, tag=tag, settings=settings, seal=seal)
        self.counters = StatelessCounters()
        self._secret = secret[:_LONGEST_SECRET]
        self._ways: dict[tuple[Address, int], Flow] = {}
        self._index = {item.local: at for at, item in enumerate(identity.listeners)}

    def receive(self, data: bytes, flow: Flow, now: float) -> Received | None:
        """Take one message; return what needs a decision."""
        layer = self.layer
        try:
            message = parse(data, layer.limits)
        except DecodeError as problem:
            self.discard(problem.code)
            return None
        headers = message.headers
        if "via" not in headers.names:
            self.discard("sip.no-via")
            return None
        at = headers.names.index("via")
        via = top_via(headers.value(at))
        if via is None:
            self.discard("sip.via")
            return None
        if isinstance(message, Request):
            mark_source(message, at, via, flow.remote)
            return self._take(message, via, flow, data, now)
        ours = _OURS.match(via.branch)
        if ours is not None:
            call_id = message.call_id
            way = self._way_back(message, via, ours, call_id)
            if isinstance(way, str):
                self.discard(way)
                return None
            self.counters.responses += 1
            self.send(message, way, self._shown(call_id, flow, data, now), now)
            return None
        event = layer.receive_message(message, flow, now)  # to a request of the user's own
        return None if event is None else self.handle(event, now)

    # requests

    def _take(
        self, request: Request, via: TopVia, flow: Flow, data: bytes, now: float
    ) -> Passing | None:
        back = answers_to(via, flow)
        at = self._index.get(flow.local, 0)
        call_id = request.call_id
        # Its responses have no zone of an IPv6 address in them, which is ours (`mark_source`).
        told = back.remote[0].partition("%")[0], back.remote[1]
        branch = f"{COOKIE}s{at}.{self._digest(request, via, told, at, call_id)}"
        traced = self._shown(call_id, flow, data, now)
        passing = Passing(request, flow, False, branch, back, traced, True)
        refusal = self.refusal(request)
        if refusal is None:
            try:
                passing.routed = preprocess(request, self.identity, flow, self.seal)
            except DecodeError as problem:
                refusal = Problem(400, problem.code, problem.message)
        if request.method == "ACK":
            passing.back = None
            if refusal is not None:
                self.discard("sip.ack")
                return None
            if tag_of(request.headers.get("to") or "") == _tag(branch):
                return None  # for an answer of our own
        elif refusal is not None:
            self.count(self.refused, refusal.code)
            self.answer(passing, refusal.status, headers=refusal.headers, now=now)
            return None
        self.counters.requests += 1
        return passing

    def answer(
        self,
        passing: Passing,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        now: float,
    ) -> None:
        """Answer a request; the same answer has the same tag each time (section 8.2.7).

        Raises:
            TrunklineError: ``sip.stateless``: a provisional answer.
        """
        if status < 200:
            raise TrunklineError(
                "sip.stateless", f"{status}: a stateless proxy gives no provisional answers"
            )
        if passing.back is None:
            return
        tag = _tag(passing.branch)
        response = Response.answer(passing.request, status, reason, headers, body, tag)
        self.counters.answered += 1
        self.send(response, passing.back, passing.traced, now)

    # responses

    def _way_back(
        self, response: Response, via: TopVia, ours: re.Match[str], call_id: str
    ) -> Flow | str:
        """Take our Via off; return where the next one says, or the code of why it is nowhere."""
        if response.defect is not None or not 100 <= response.status <= 699:
            return "sip.response"
        if (wrong := check_passing(response)) is not None:
            return wrong.code
        at = int(ours[1])
        if not self.identity.placed(via.host, via.port) or at >= len(self._index):
            return "sip.stray-response"
        pop_via(response, via.end)
        headers = response.headers
        if "via" not in headers.names:
            return "sip.via-left"
        below = top_via(headers.value(headers.names.index("via")))
        if below is None:
            return "sip.via"
        remote = _remote(below)
        digest = self._digest(response, below, remote, at, call_id)
        if not compare_digest(digest, ours[2]):
            return "sip.stray-response"
        way = self._ways.get((remote, at))
        if way is None:
            local = self.identity.listeners[at].local
            way = Flow(Transport.UDP, _zoned(remote, local), local)
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            self._ways[remote, at] = way
        return way

    def _digest(self, message: Message, via: TopVia, remote: Address, at: int, call_id: str) -> str:
        """Return what stands for a request, made of what its responses have too.

        ``via`` is the one below ours, ``remote`` where it leads, by listener number ``at``. Where
        its branch is by RFC 2543, the From tag helps to tell requests apart. The To tag is left
        out: an ACK has another than its INVITE.
        """
        headers = message.headers
        names = headers.names
        cseq = headers.value(names.index("cseq")).split(None, 1) if "cseq" in names else None
        number = cseq[0] if cseq else ""
        sender = "" if via.branch.startswith(COOKIE) else tag_of(headers.get("from") or "")
        host, port = remote
        # No part but the Call-ID has a blank in it: the text says which part is which.
        text = f"{via.branch} {via.host} {via.port} {host} {port} {at} {sender} {number} {call_id}"
        octets = text.encode("utf-8", "surrogateescape")
        return blake2s(octets, key=self._secret, digest_size=_DIGEST).hexdigest()

    def _shown(self, call_id: str, flow: Flow, data: bytes, now: float) -> bool:
        """Show a message to the tap, if it wants it."""
        tap = self.layer.tap
        if tap is None or not tap.wants(call_id):
            return False
        tap.message(now, flow, data, False)
        return True


def _zoned(remote: Address, local: Address) -> Address:
    """Return a link-local address in the zone of the one it was sent to (RFC 4007 section 6)."""
    host, port = remote
    zone = local[0].partition("%")[2]
    return (f"{host}%{zone}", port) if zone and host[:3].lower() in _LINK_LOCAL else remote


def _tag(branch: str) -> str:
    return branch.removeprefix(COOKIE)


def _remote(via: TopVia) -> Address:
    """Return where a Via leads (section 18.2.2, RFC 3581 section 4): as `answers_to` has it.

    It has been marked here (`mark_source`): so there is one way only in which it may be written.
    """
    host, port = via.host, via.port or _PORT
    if "=" in via.params:
        params = bare_params(via.params)
        _, found, rest = params.partition(";received=")
        if found:
            host = rest.partition(";")[0]
        _, found, rest = params.partition(";rport=")
        if found:
            text = rest.partition(";")[0]
            port = int(text) if text.isdecimal() and len(text) < 6 else 0
    return host, port
