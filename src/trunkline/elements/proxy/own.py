"""Requests of a proxy's own, outside of any dialog: for scripts, probes and keep-alives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.elements.proxy.destinations import DestinationSet
from trunkline.elements.proxy.hops import Located
from trunkline.elements.proxy.selection import Selection
from trunkline.sip.locate import Failure
from trunkline.sip.message import Request, Response
from trunkline.sip.proxy import Hops, Received
from trunkline.sip.proxy.context import retry_after
from trunkline.sip.proxy.forwarding import complete
from trunkline.sip.transaction import ResponseReceived, TimedOut, TransportFailed
from trunkline.sip.transport import Flow

if TYPE_CHECKING:
    from trunkline.elements.proxy.element import ProxyElement

__all__ = ["OwnRequests", "Silence"]


@dataclass(frozen=True, slots=True)
class Silence:
    """That a request of our own had no final response, and why."""

    failure: Failure
    detail: str
    heard: bool = False
    """Whether there was a provisional one: somebody is there."""


class OwnRequests:
    """Sends them and waits for their answers."""

    def __init__(self, element: ProxyElement) -> None:
        self._element = element

    def address(self) -> str:
        """Return the address that they come from."""
        element = self._element
        host, port = element.identity.listeners[0].advertised
        domain = min(element.identity.domains, default=f"{host}:{port}")
        return f"<sip:{element.app.name}@{domain}>"

    def build(
        self,
        method: str,
        uri: str,
        rows: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        sender: str | None = None,
        recipient: str | None = None,
    ) -> Request:
        """Make a request: ``sender`` and ``recipient`` are values of From and To, without tags."""
        proxy = self._element.proxy
        return Request.build(
            method,
            uri,
            [
                ("Max-Forwards", str(proxy.settings.max_forwards)),
                ("From", f"{sender or self.address()};tag={proxy.tag()}"),
                ("To", recipient or f"<{uri}>"),
                ("Call-ID", proxy.layer.new_branch().removeprefix("z9hG4bK")),
                ("CSeq", f"1 {method}"),
                *rows,
            ],
            body,
        )

    async def send(
        self, request: Request, via: str | DestinationSet | None
    ) -> tuple[Response, Flow | None]:
        """Send ``request`` in a client transaction.

        Returns its final response, or one made here, and the flow that it went by at last.
        """
        element = self._element
        traced = element.recorder.wants(request.call_id)

        def tell(kind: str, *details: object) -> None:
            element.recorder.note(element.now(), request.call_id, kind, details)

        hops: Hops
        if isinstance(via, DestinationSet):
            selection = Selection(via, element, lambda uri: uri, tell=tell if traced else None)
            unknown = selection.prepare(element.now())
            while unknown is not None:
                unknown = selection.located(await element.hops_of(unknown), element.now())
            hops = selection
        else:
            place = via or request.uri
            hops = await element.hops_of(place)
            if traced and isinstance(hops, Located):
                tell("located", place, hops.decision(element.now()))
        last, by = Response.build(503, "No Next Hop"), None
        while (flow := hops(element.now())) is not None:
            by = flow
            came = await self.exchange(request, flow, traced=traced)
            last = _response(came)
            if came.heard if isinstance(came, Silence) else came.status != 503:
                break
            # RFC 3263 section 4.3: then the next one is tried
        return last, by

    async def send_again(self, request: Request, flow: Flow) -> Response:
        """Send ``request`` where another went before, and nowhere else; as `send`."""
        traced = self._element.recorder.wants(request.call_id)
        return _response(await self.exchange(request, flow, traced=traced))

    async def exchange(
        self, request: Request, flow: Flow, *, traced: bool, patience: float | None = None
    ) -> Response | Silence:
        """Send a copy of ``request`` by ``flow``; return its final response, or why there is none.

        ``patience``: seconds after which it is given up, before the transaction does.
        """
        element = self._element
        layer = element.proxy.layer
        branch = layer.new_branch()
        attempt = request.copy()
        element.proxy.forwarding.add_via(attempt, flow, branch)
        complete(attempt, flow)
        waiting = _Waiting(element.loop.create_future())
        transaction = layer.request(attempt, branch, flow, element.now(), waiting, traced=traced)
        element.flush()
        try:
            async with asyncio.timeout(patience):
                came = await waiting.done
        except TimeoutError:
            layer.abort(transaction, element.now())
            detail = f"no final response in {patience:g} s"
            came = Silence(Failure.TIMEOUT, detail, waiting.heard)
        if isinstance(came, Response):
            if came.status == 503:
                element.hop_failed(flow, Failure.BUSY, retry_after(came))
            else:
                element.locator.answered(flow)
        elif not came.heard:
            element.hop_failed(flow, came.failure, None)
        return came

    def answered(self, received: Received) -> None:
        """Take what came of a request."""
        assert isinstance(received, ResponseReceived | TimedOut | TransportFailed)
        waiting = received.transaction.user
        if not isinstance(waiting, _Waiting) or waiting.done.done():
            return
        if isinstance(received, ResponseReceived):
            waiting.heard = True
            if received.response.status >= 200:
                waiting.done.set_result(received.response)
        elif isinstance(received, TimedOut):
            detail = "no final response in 64*T1"
            waiting.done.set_result(Silence(Failure.TIMEOUT, detail, waiting.heard))
        else:
            waiting.done.set_result(Silence(Failure.ERROR, received.reason, waiting.heard))


def _response(came: Response | Silence) -> Response:
    """What a script is told."""
    if isinstance(came, Response):
        return came
    if came.failure is Failure.TIMEOUT:
        return Response.build(408)
    return Response.build(503, came.detail)


@dataclass(slots=True, eq=False)
class _Waiting:
    """The user of a client transaction of ours."""

    done: asyncio.Future[Response | Silence]
    heard: bool = False
