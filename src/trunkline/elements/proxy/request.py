"""What a routing script's handlers are given: a request, and all that may be done with it.

Long, because it is one class: a script finds all its verbs in one place.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from trunkline.elements.proxy.bodies import put_sdp, sdp_of
from trunkline.elements.proxy.destinations import DestinationSet
from trunkline.elements.proxy.dialplan import Translation
from trunkline.elements.proxy.hops import Located
from trunkline.elements.proxy.pending import awaited
from trunkline.elements.proxy.script import Function, Script
from trunkline.elements.proxy.selection import Selection
from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip import digest
from trunkline.sip.binding import Binding, canonical_aor
from trunkline.sip.headers import NameAddr
from trunkline.sip.message import Headers, Request, Response, has_tag
from trunkline.sip.nat import NatSign, fix_contact, nat_signs
from trunkline.sip.outbound import is_first_hop
from trunkline.sip.proxy import (
    Branch,
    Hops,
    Passing,
    ResponseContext,
    StatelessProxy,
    Target,
    listed,
)
from trunkline.sip.proxy.identity import route_uri
from trunkline.sip.proxy.routes import first_route
from trunkline.sip.registrar import Registration
from trunkline.sip.sdp import SessionDescription
from trunkline.sip.transport import Address, Flow, Transport
from trunkline.sip.uri import AnyUri, Uri, parse_uri
from trunkline.sip.validity import Problem

if TYPE_CHECKING:
    from trunkline.elements.proxy.application import Application
    from trunkline.elements.proxy.element import ProxyElement

__all__ = ["IncomingRequest", "Outcome"]

_MOST_PROVISIONAL = 4
_MOST_HELD = 16
"""Responses of a branch that wait for an ``async`` reply handler: fewer of them are 1xx."""


class Outcome:
    """What comes of a ``relay``: ``await`` it for the response that was passed back."""

    __slots__ = ("_request",)

    def __init__(self, request: IncomingRequest) -> None:
        self._request = request

    def __await__(self) -> Generator[object, None, Response | None]:
        return self._request._wait().__await__()


class IncomingRequest:
    """A request that a script decides about.

    The message itself may be changed before it is relayed: ``headers``, ``uri``, ``body``. One
    decision ends the handler's part: ``relay``, ``fork``, ``reply``, ``redirect``, ``drop`` and
    those built on them. ``attributes`` is the script's own, kept with the request.
    """

    __slots__ = (
        "_answer",
        "_attributes",
        "_context",
        "_element",
        "_flow",
        "_held",
        "_outcome",
        "_passing",
        "_replies",
        "_sdp",
        "decided",
        "message",
        "routed",
        "script",
    )

    def __init__(
        self,
        element: ProxyElement,
        script: Script,
        received: ResponseContext | Passing,
    ) -> None:
        self._element = element
        self.script = script
        """The version of the script that it began with."""
        self._context: ResponseContext | None = None
        self._passing: Passing | None = None
        if isinstance(received, ResponseContext):
            self._context = received
        else:
            self._passing = received
        self._flow = received.flow
        self._answer: asyncio.Future[Response | None] | None = None
        self._outcome: Response | None = None
        self._sdp: tuple[bytes, SessionDescription] | None = None
        self.message = received.request
        self.routed = received.routed
        """Whether it came by a Route that this node recorded when its dialog began: nobody else can
        write one. One that only names this node is taken off all the same."""
        self.decided = False
        self._attributes: dict[str, object] | None = None
        self._replies: dict[int, Flow] | None = None  # that handlers have now, by id()
        self._held: dict[Branch, deque[tuple[Response, Flow | None]]] | None = None

    @property
    def attributes(self) -> dict[str, object]:
        """The script's own notes, kept with the request."""
        if self._attributes is None:
            self._attributes = {}
        return self._attributes

    # what it says

    @property
    def app(self) -> Application:
        """What all requests share."""
        return self._element.app

    @property
    def method(self) -> str:
        """The method."""
        return self.message.method

    @property
    def uri(self) -> str:
        """The Request-URI as text; setting it changes where ``relay`` goes.

        Raises:
            TrunklineError: ``script.uri``: what it is set to is no URI.
        """
        return self.message.uri

    @uri.setter
    def uri(self, value: str) -> None:
        self.message.uri = _readable(value)

    @property
    def target(self) -> AnyUri:
        """The Request-URI, read: its ``username``, which of a tel URI are the digits; its ``host``.

        Raises:
            DecodeError: it is none.
        """
        return parse_uri(self.message.uri)

    @property
    def from_(self) -> NameAddr:
        """The From: who it says it is from, its ``uri`` has ``username`` and ``host``.

        Raises:
            DecodeError: it is no address.
        """
        return self.message.from_

    @property
    def to(self) -> NameAddr:
        """The To: whom it was meant for in the first place.

        Raises:
            DecodeError: it is no address.
        """
        return self.message.to

    @property
    def headers(self) -> Headers:
        """The header rows."""
        return self.message.headers

    @property
    def body(self) -> bytes:
        """The body; setting it sets Content-Length."""
        self._write_sdp()
        return self.message.body

    @body.setter
    def body(self, value: bytes) -> None:
        self._sdp = None
        self.message.body = value

    @property
    def sdp(self) -> SessionDescription | None:
        """The session description, or the part of a multipart body that is one; else ``None``.

        It is read when it is first asked for. What is changed in it is put back when the request
        is relayed, or ``body`` is read; what is not changed leaves octet for octet as it came.
        Setting it makes it the body, or takes the part's place.

        Raises:
            DecodeError: there is one, and it cannot be read. Left alone, that answers 400.
        """
        if self._sdp is None:
            found = sdp_of(self.message)
            if found is None:
                return None
            self._sdp = (found.to_bytes(), found)
        return self._sdp[1]

    @sdp.setter
    def sdp(self, description: SessionDescription) -> None:
        put_sdp(self.message, description)
        self._sdp = (description.to_bytes(), description)

    def _write_sdp(self) -> None:
        if self._sdp is None:
            return
        before, description = self._sdp
        octets = description.to_bytes()
        if octets != before:
            put_sdp(self.message, description)
            self._sdp = (octets, description)

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.message.call_id

    @property
    def source(self) -> Address:
        """The address and port that it came from."""
        return self._flow.remote

    @property
    def transport(self) -> Transport:
        """By which it came."""
        return self._flow.transport

    @property
    def flow(self) -> Flow:
        """The two ends that it passed between."""
        return self._flow

    @property
    def in_dialog(self) -> bool:
        """Whether it belongs to a dialog: its To has a tag (RFC 3261 section 12.2)."""
        return has_tag(self.message.headers.get("to") or "")

    @property
    def for_us(self) -> bool:
        """Whether the Request-URI names this proxy: its address, or a domain of ours."""
        try:
            uri = parse_uri(self.message.uri)
        except DecodeError:
            return False
        # A maddr that is still there leads elsewhere (RFC 3261 section 16.5).
        return isinstance(uri, Uri) and uri.maddr is None and self._element.identity.is_ours(uri)

    @property
    def behind_nat(self) -> bool:
        """Whether it comes from a user agent itself, and shows that a NAT is between."""
        signs = nat_signs(self.message, self._flow.remote) - {NatSign.CONTACT_PORT_DIFFERS}
        return bool(signs) and is_first_hop(self.message)

    def fix_contact(self, response: Response | None = None) -> int:
        """Write the address that it came from into its Contact; return how many were changed.

        So whoever it is sent on to reaches a user agent behind a NAT, which must not mind another
        host in the Request-URI (`trunkline.sip.nat`). ``response`` is one that a reply handler was
        given: then it is the Contact of who answered.
        """
        if response is None:
            return fix_contact(self.message, self._flow)
        flow = (self._replies or {}).get(id(response))
        if flow is None:
            raise TrunklineError(
                "script.response", "fix_contact takes the response that a reply handler was given"
            )
        return fix_contact(response, flow)

    @property
    def settled(self) -> bool:
        """Whether a decision was taken, or a failure handler is about to take one."""
        return self.decided or (self._context is not None and self._context.taken)

    @property
    def ends_here(self) -> bool:
        """Whether neither a Route nor the Request-URI leads on from here."""
        return "route" not in self.message.headers.names and self.for_us

    # decisions

    def reply(
        self,
        status: int,
        reason: str = "",
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | str = b"",
    ) -> None:
        """Answer. After a provisional answer (1xx) more may follow."""
        rows = headers.items() if isinstance(headers, Mapping) else headers
        octets = body.encode() if isinstance(body, str) else body
        element = self._element
        decided = self.decided
        if status >= 200:
            self._decide()
        try:
            if self._context is not None:
                self._context.reply(status, reason, rows, octets, now=element.now())
            elif self._passing is not None and isinstance(element.proxy, StatelessProxy):
                element.proxy.answer(self._passing, status, reason, rows, octets, now=element.now())
        except Exception:
            self.decided = decided  # it cannot be written so: nothing was sent
            raise
        element.flush()

    def redirect(self, *contacts: str | Target | Sequence[str | Target], status: int = 302) -> None:
        """Answer with other places to try, a 3xx.

        ``contacts`` are URIs, whole Contact values, or what ``lookup`` returns; in lists or not.

        Raises:
            TrunklineError: ``script.uri``: one has no URI; ``script.no-target``: there is none;
                ``script.status``: another status than 300 to 399.
        """
        values = []
        for group in contacts:
            for each in [group] if isinstance(group, str | Target) else group:
                text = each.uri if isinstance(each, Target) else each
                values.append(text if "<" in text else f"<{_readable(text)}>")
        for value in values:
            try:
                parse_uri(NameAddr.parse(value).uri.text)
            except DecodeError as problem:
                raise _no_uri(problem) from problem
        if not values:
            raise TrunklineError("script.no-target", "redirect() needs a contact: a URI")
        if not 300 <= status <= 399:
            raise TrunklineError("script.status", f"redirect({status=}): 300 to 399")
        self.reply(status, headers=[("Contact", value) for value in values])

    def drop(self) -> None:
        """Answer nothing, now or later."""
        self._decide()
        self.note("dropped")
        if self._context is not None:
            self._context.drop(self._element.now())
            self._element.flush()

    def relay(
        self, target: str | Target | None = None, *, via: str | DestinationSet | None = None
    ) -> Outcome:
        """Send the request on: to ``target``, a URI, or to its Request-URI.

        It goes where its first Route leads, else to ``via``, a URI too, which stays out of the
        message, else to the target itself (RFC 3261 section 16.6 step 7). ``via`` may also be a set
        of destinations, ``app.destinations(NAME)``: one of them gets it, and the next if that one
        fails. Within a dialog a set counts for nothing: the dialog's other end is one of them.

        With neither ``target`` nor ``via`` a request whose To has a tag is answered 481 unless it
        is ``routed``, and leads on from here: or anybody could send anything past the handlers of
        requests, by a tag of his own making.

        Raises:
            TrunklineError: ``script.uri``: ``target`` or ``via`` is no URI.
        """
        if target is None and via is None and self._within and (not self.routed or self.ends_here):
            if self.method == "ACK":
                self.drop()
            else:
                self.reply(481)
            return Outcome(self)
        self._send([[self.message.uri if target is None else target]], via)
        return Outcome(self)

    def fork(
        self,
        *groups: str | Target | Sequence[str | Target],
        via: str | DestinationSet | None = None,
    ) -> Outcome:
        """Send the request to several targets.

        Each argument is tried after the one before it has failed; a list is tried all at once.
        Without any target it fails with 480 (RFC 3261 section 16.5), and in a failure handler with
        the best answer so far.
        """
        lists = [[group] if isinstance(group, str | Target) else group for group in groups]
        if not any(lists):
            if self._context is None:
                self.reply(480)
            elif not self._context.taken:
                self._send([], None)
            return Outcome(self)
        if self._passing is not None and sum(map(len, lists)) > 1:
            raise TrunklineError(
                "script.stateless",
                f"{self.method} {self.call_id}: a request without a transaction goes to one target",
            )
        self._send(lists, via)
        return Outcome(self)

    def translate(self, dialplan: str, dpid: int, text: str) -> Translation | None:
        """What ``text`` becomes by the rows with ``dpid`` of a dialplan; ``explain`` tells why.

        Raises:
            TrunklineError: ``script.no-dialplan``: the node has none of that name.
        """
        table = self.app.dialplan(dialplan)
        if not self._traced:
            return table.translate(dpid, text)
        found = table.current.decided(dpid, text)
        self.note("translated", dialplan, found)
        return found.translation

    # users and registrations

    @awaited("request")
    async def authenticate(self, realm: str | None = None) -> digest.Result:
        """Check the request's credentials (RFC 3261 section 22); answers nothing.

        The result says who it is (``user``) if it is ``accepted``, else the ``reason``. Without
        ``realm`` it is the node's first domain.
        """
        services = self._element.services
        proxy = not self._acts_as_server
        uri = self.message.uri if self._context is None else self._context.uri
        result = await services.users.check(self.message, uri, realm, proxy=proxy)
        self.note("credentials", result.reason.value, result.user)
        return result

    def challenge(self, result: digest.Result | None = None, realm: str | None = None) -> None:
        """Ask for credentials: 401 where this node is meant itself, else 407.

        ``result`` is what ``authenticate`` said; what cannot be read at all is answered 400.
        """
        if result is not None and result.bad_request:
            self.reply(400, f"Bad credentials: {result.reason.value}")
            return
        stale = result is not None and result.stale
        status, rows = self._element.services.users.challenge(
            realm, proxy=not self._acts_as_server, stale=stale
        )
        self.reply(status, headers=rows)

    @awaited("request")
    async def register(self, user: str | None = None) -> Registration:
        """Carry out a REGISTER and answer it (RFC 3261 section 10.3).

        ``user``, where it is given, may register only for the address of that name: in the
        domain that it names (``bob@example.org``), else in the node's first.
        """
        services = self._element.services
        if user is not None and "@" not in user:
            user = f"{user}@{services.users.realm}"
        done = await services.registrations.register(self.message, self._flow, user)
        self.note("registered", done.reason.value, done.status)
        self.reply(done.status, done.phrase, headers=done.headers)
        return done

    @awaited("request")
    async def lookup(self, uri: str | None = None) -> list[list[Target]]:
        """Return the contacts registered for ``uri`` (or the Request-URI), for ``fork``.

        Contacts of the same preference (``q``) are one group. None: nobody is registered.
        """
        element = self._element
        try:
            aor = canonical_aor(parse_uri(self.message.uri if uri is None else uri))
        except DecodeError:
            aor = None
        if aor is None:
            return []
        registrations = element.services.registrations
        groups = await registrations.lookup(aor)
        return [[await self._target(instance) for instance in group] for group in groups]

    async def _target(self, instance: Sequence[Binding]) -> Target:
        """Where an instance is called: by its flows, else by its path, else at its contact."""
        element = self._element
        first = instance[0]
        flows = [
            binding.flow
            for binding in instance
            if binding.flow is not None
            and element.services.registrations.reaches(binding)
            and element.identity.listener(binding.flow) is not None
        ]
        q = 1.0 if first.q is None else first.q
        if flows:
            return Target(first.contact, listed(*flows), q=q, flows=True)
        place = route_uri(first.path[0]) if first.path else first.contact
        hops = element.hops_now(place)
        if hops is None:
            hops = await element.hops_of(place)
        self._located(place, hops)
        return Target(first.contact, hops, routes=first.path, q=q)

    @property
    def _acts_as_server(self) -> bool:
        return self.message.method == "REGISTER" or (self.for_us and "@" not in self.message.uri)

    # inside

    def refuse(self, problem: DecodeError) -> None:
        """Answer 400 to a request in which something cannot be read; count it by what that is."""
        self._decide()
        proxy, now = self._element.proxy, self._element.now()
        if self._context is not None:
            found = Problem(400, problem.code, problem.message)
            proxy.refuse(self._context, found, now)
        elif isinstance(proxy, StatelessProxy) and self._passing is not None:
            proxy.answer(self._passing, 400, now=now)
            proxy.count(proxy.refused, problem.code)
        else:
            proxy.discard(problem.code)  # nothing answers an ACK
        self._element.flush()

    def _decide(self) -> None:
        if self.decided:
            raise TrunklineError(
                "script.decided",
                f"{self.method} {self.call_id}: a decision was taken already: relay, fork, reply"
                " (but 1xx) and drop exclude each other",
            )
        self.decided = True

    def _send(
        self, groups: Sequence[Sequence[str | Target]], via: str | DestinationSet | None
    ) -> None:
        """Find the next hops of every target, at once if that needs no DNS, and fork."""
        for group in groups:
            for item in group:
                if not isinstance(item, Target):
                    _readable(item)
        if isinstance(via, str):
            _readable(via)
        self._decide()
        try:
            self._locate_targets(groups, via)
        except Exception:
            self.decided = False  # nothing was sent: something else may be decided
            raise

    def _locate_targets(
        self, groups: Sequence[Sequence[str | Target]], via: str | DestinationSet | None
    ) -> None:
        if self._sdp is not None:
            self._write_sdp()
        message, element = self.message, self._element
        if isinstance(via, DestinationSet):
            if not self._within and "route" not in message.headers.names:
                self._select(groups, via)
                return
            via = None
        hop = first_route(message) if "route" in message.headers.names else via
        key = None if self._passing is None else self._passing.branch.encode()
        if hop is via and len(groups) == 1 and len(groups[0]) == 1:
            item = groups[0][0]  # by far the most frequent: one target, and its hop is known
            if isinstance(item, str):
                place = item if hop is None else _place(hop, item)
                hops = element.hops_now(place, key)
                if hops is not None:
                    self._located(place, hops)
                    self._go([[Target(item, hops)]])
                    return
        seen: set[str] = set()
        ready: list[list[Target]] = []
        waiting: list[tuple[list[Target], int, str]] = []
        for group in groups:
            found: list[Target] = []
            for item in group:
                if isinstance(item, Target):
                    found.append(item)
                    continue
                if item in seen:  # a target is tried once (section 16.5)
                    continue
                seen.add(item)
                place = item if hop is None else _place(hop, item)
                hops = element.hops_now(place, key)
                if hops is None:
                    waiting.append((found, len(found), place))
                    found.append(Target(item, _nowhere))
                else:
                    self._located(place, hops)
                    found.append(Target(item, hops))
            ready.append(found)
        if waiting:
            element.spawn(self._locate(ready, waiting, key))
        else:
            self._go(ready)

    def _select(self, groups: Sequence[Sequence[str | Target]], via: DestinationSet) -> None:
        """Let each target be reached by way of the set, and fork."""
        element, now = self._element, self._element.now()
        key = None if self._passing is None else self._passing.branch.encode()
        tell = self.note if self._traced else None
        ready: list[list[Target]] = []
        waiting: list[tuple[Selection, str]] = []
        for group in groups:
            found: list[Target] = []
            for item in group:
                if isinstance(item, Target):
                    found.append(item)
                    continue
                place = partial(_place, target=item)
                selection = Selection(via, element, place, key=key, tell=tell)
                unknown = selection.prepare(now)
                if unknown is not None:
                    waiting.append((selection, unknown))
                found.append(Target(item, selection))
            ready.append(found)
        if waiting:
            element.spawn(self._wait_for(ready, waiting, key))
        else:
            self._go(ready)

    async def _wait_for(
        self, ready: list[list[Target]], waiting: list[tuple[Selection, str]], key: bytes | None
    ) -> None:
        async def look_up(selection: Selection, place: str | None) -> None:
            while place is not None:
                hops = await self._element.hops_of(place, key)
                place = selection.located(hops, self._element.now())

        await asyncio.gather(*(look_up(*each) for each in waiting))
        self._go_late(ready)

    async def _locate(
        self,
        ready: list[list[Target]],
        waiting: list[tuple[list[Target], int, str]],
        key: bytes | None,
    ) -> None:
        places = [self._element.hops_of(place, key) for _, _, place in waiting]
        for (group, index, place), hops in zip(waiting, await asyncio.gather(*places), strict=True):
            self._located(place, hops)
            group[index].hops = hops
        self._go_late(ready)

    def _located(self, place: str, hops: Hops) -> None:
        if isinstance(hops, Located) and self._traced:
            self.note("located", place, hops.decision(self._element.now()))

    def _go_late(self, groups: list[list[Target]]) -> None:
        """As `_go`, when the handler has returned and cannot be told of an exception."""
        try:
            self._go(groups)
        except Exception as problem:
            self.decided = False
            self._element.request_failed(self, problem, self.handler() or IncomingRequest.relay)

    def _go(self, groups: list[list[Target]]) -> None:
        element, context, passing = self._element, self._context, self._passing
        if context is not None:
            script = self.script
            if script.replies or script.failures or script.branches:
                context.hooks = self
            context.fork(groups, element.now())
        elif passing is not None and not element.proxy.forward(
            passing, next(filter(None, groups))[0], element.now()
        ):
            self._nowhere_to_pass(passing)
        element.flush()

    def _nowhere_to_pass(self, passing: Passing) -> None:
        proxy = self._element.proxy
        if isinstance(proxy, StatelessProxy):
            proxy.answer(passing, 480, now=self._element.now())

    def _wait(self) -> asyncio.Future[Response | None]:
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            context = self._context
            if context is None:
                self._answer.set_result(self._outcome)
            elif context.final:  # answered already, at once and by ourselves
                self._answer.set_result(Response.answer(self.message, context.final))
            elif context.hooks is None:
                context.hooks = self
        return self._answer

    # what the response context calls: see trunkline.sip.proxy.Hooks

    def on_branch(self, context: ResponseContext, branch: Branch, request: Request) -> bool:
        """Let the script change a copy; True: what it made cannot be sent."""
        handler = self.script.find(self.script.branches, self.method)
        if handler is None:
            return False
        uri = request.uri
        fine, _ = self._element.call_sync(handler, self, request)
        if fine and request.uri is not uri:
            try:
                _readable(request.uri)
            except TrunklineError as problem:
                self._element.handler_failed(problem, handler, self)
                return True
        return not fine

    def on_reply(self, context: ResponseContext, branch: Branch, response: Response) -> bool:
        """Let the script change a response."""
        handler = self.script.find(self.script.replies, self.method)
        if handler is None:
            return False
        held = None if self._held is None else self._held.get(branch)
        if held is not None:  # one after the other, as they came
            room = _MOST_HELD if response.status >= 200 else _MOST_PROVISIONAL
            if len(held) < room:
                held.append((response, branch.flow))
            else:
                self._element.stats.unheard += 1
            return True
        result = self._replied(handler, response, branch.flow)
        if not inspect.isawaitable(result):
            self._forget(response)
            return False
        if self._held is None:
            self._held = {}
        self._held[branch] = deque()
        self._element.spawn(self._hold(context, branch, response, handler, result))
        return True

    def _replied(self, handler: Function, response: Response, flow: Flow | None) -> object:
        if flow is not None:
            if self._replies is None:
                self._replies = {}
            self._replies[id(response)] = flow
        return self._element.call_sync(handler, self, response)[1]

    def _forget(self, response: Response) -> None:
        if self._replies is not None:
            self._replies.pop(id(response), None)

    async def _hold(
        self,
        context: ResponseContext,
        branch: Branch,
        response: Response,
        handler: Function,
        result: object,
    ) -> None:
        """Pass a branch's responses back as the handler is done with them."""
        assert self._held is not None
        waiting = self._held[branch]
        try:
            while True:
                if inspect.isawaitable(result):
                    await self._element.guarded(result, handler, self)
                self._forget(response)
                context.pass_back(branch, response, self._element.now())
                self._element.flush()
                if not waiting:
                    break
                response, flow = waiting.popleft()
                result = self._replied(handler, response, flow)
        finally:
            del self._held[branch]

    def on_failure(self, context: ResponseContext, response: Response) -> bool:
        """Let the script try something else."""
        handler = self.script.find(self.script.failures, self.method)
        if handler is None:
            return False
        self.decided = False
        _, result = self._element.call_sync(handler, self, response)
        if not inspect.isawaitable(result):
            decided, self.decided = self.decided, True  # if not by it, then before
            return decided

        async def hold() -> None:
            await self._element.guarded(result, handler, self)
            if not self.decided:
                self.decided = True
                context.finish(response, self._element.now())
            self._element.flush()

        self._element.spawn(hold())
        return True

    def on_end(self, context: ResponseContext, response: Response | None) -> None:
        """Wake up who waits for the outcome."""
        self._outcome = response
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(response)
        self._context = None  # which knows us: neither would be freed before the other

    @property
    def _traced(self) -> bool:
        return self._context is not None and self._context.transaction.traced

    def note(self, kind: str, *details: object) -> None:
        """Remember a step of this request's way, for ``trunkline explain``."""
        if self._context is not None and self._context.transaction.traced:
            self._element.proxy.note(self._context, kind, details)

    def handler(self) -> Function | None:
        """Return the script's handler for this request."""
        script, method = self.script, self.message.method
        within = self._within
        stateless = self._passing is not None and self._passing.stateless
        # A CANCEL goes where its INVITE went, and so does the ACK to a failure.
        if stateless and (method == "CANCEL" or (method == "ACK" and not within)):
            method = "INVITE"
        return script.find(script.dialogs if within else script.requests, method)

    @property
    def _within(self) -> bool:
        """Whether it is to be taken for one within a dialog.

        The ACK to a failure has a To tag all the same; a stateless proxy sees it (section 16.11).
        """
        passing = self._passing
        if passing is not None and passing.stateless and self.method == "ACK" and not self.routed:
            return False
        return self.in_dialog


def _readable(uri: str) -> str:
    """See that what is sent to is a URI: what a caller wrote may be a part of it, line ends too.

    Raises:
        TrunklineError: ``script.uri``: it is none.
    """
    try:
        parse_uri(uri)
    except DecodeError as problem:
        raise _no_uri(problem) from problem
    return uri


def _no_uri(problem: DecodeError) -> TrunklineError:
    return TrunklineError(
        "script.uri",
        f"{problem.message}. What comes from a request is put into a URI by escape_user:"
        ' f"sip:{escape_user(name)}@gw.example"',
    )


def _place(hop: str, target: str) -> str:
    """Return what the next hop is found from: a SIPS target's is one of SIPS (16.6 step 7)."""
    if target[:5].lower() == "sips:" and hop[:4].lower() == "sip:":
        return f"sips:{hop[4:]}"
    return hop


def _nowhere(now: float) -> Flow | None:
    return None
