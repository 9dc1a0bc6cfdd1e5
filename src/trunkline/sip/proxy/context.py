"""The response context of a stateful proxy: RFC 3261 sections 16.6 to 16.10.

A context belongs to one request and its server transaction. It sends the request to the targets it
is given, group after group, all of a group at once; goes on to a target's next hop when one fails
(RFC 3263 section 4.3, always with a new branch); and sends back the responses that matter: every
1xx but 100 and every 2xx at once, of the others the best when all branches have ended.

It is *closed* when nothing new may begin: the caller gave up, a final response was passed back, or
a 6xx came (16.7 step 5). When it has passed one back and the last branch has ended, it lets go of
all it knows: what is left is reached from client transactions alone, for 2xx that come again.

Deviations that other documents ask for: the sum of Max-Breadth is bounded, what exceeds it waits
until a branch has ended (RFC 5393 sections 5.3.3 and 5.5); responses without a transaction are not
forwarded (RFC 6026 section 7.3). The transaction layer sees to those of RFC 4320.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from trunkline.errors import TrunklineError
from trunkline.sip.locate import Failure
from trunkline.sip.message import Request, Response
from trunkline.sip.proxy.branches import Branch, Target
from trunkline.sip.proxy.forwarding import complete
from trunkline.sip.proxy.loops import looped
from trunkline.sip.proxy.responses import best_of, drop_contacts
from trunkline.sip.transaction import ServerTransaction
from trunkline.sip.transport import Flow
from trunkline.sip.via import pop_via

if TYPE_CHECKING:
    from trunkline.sip.proxy.core import Proxy

__all__ = ["Hooks", "ResponseContext", "retry_after"]

_SPENT: Final = Request.build("SPENT", "sip:invalid")
"""In the place of a request that has been dealt with."""
_ELSEWHERE: Final = 'SIP;cause=200;text="Call completed elsewhere"'  # RFC 3326 section 3.1


class Hooks(Protocol):
    """What a transaction user may do on the way.

    A hook that returns True has taken it over: the context waits until `ResponseContext.pass_back`,
    `fork`, `reply` or `finish` is called.
    """

    def on_branch(self, context: ResponseContext, branch: Branch, request: Request) -> bool | None:
        """A copy is about to be sent: it may be changed. True: it is not sent, but ends by 500."""

    def on_reply(self, context: ResponseContext, branch: Branch, response: Response) -> bool:
        """A response has come: it may be changed, or taken."""

    def on_failure(self, context: ResponseContext, response: Response) -> bool:
        """Every branch has failed and this is the best answer: more targets may be added."""

    def on_end(self, context: ResponseContext, response: Response | None) -> None:
        """A final response has been passed back; ``None``: it ended without one."""


class ResponseContext:
    """One request on its way through; see the module."""

    __slots__ = (
        "_broken",
        "_tag",
        "active",
        "branches",
        "call_id",
        "cancelled",
        "closed",
        "core",
        "final",
        "flow",
        "groups",
        "hooks",
        "request",
        "rest",
        "routed",
        "taken",
        "transaction",
        "uri",
    )

    def __init__(
        self, core: Proxy, transaction: ServerTransaction, request: Request, flow: Flow
    ) -> None:
        self.core = core
        self.transaction = transaction
        self.request = request
        """As it came, but for Via's received and the Routes that were ours."""
        self.uri = request.uri
        """The Request-URI that it came with."""
        self.flow = flow
        """By which it came."""
        self.routed = False
        """Whether one of its Routes was ours: see `Proxy`."""
        self.call_id = request.call_id
        self.hooks: Hooks | None = None
        self.branches: list[Branch] = []
        self.groups: list[list[Target]] = []
        """Targets that are tried when the present ones have failed."""
        self.rest: list[Target] = []
        """Targets of the present group that wait for Max-Breadth."""
        self.active = 0
        """Branches that have not ended."""
        self.final = 0
        """The status that was passed back; 0: none yet."""
        self.cancelled = False
        """Whether the caller gave up."""
        self.closed = False
        """Whether no new branch may begin."""
        self.taken = False
        """Whether a hook has taken over what comes next."""
        self._tag = ""
        self._broken: TrunklineError | None = None

    @property
    def tag(self) -> str:
        """The To tag of answers of our own, CANCEL's too (section 9.2)."""
        if not self._tag:
            self._tag = self.core.tag()
        return self._tag

    @property
    def over(self) -> bool:
        """Whether a final response was passed back and no branch waits for another."""
        return self.final > 0 and not self.active

    # the transaction user's part

    def reply(
        self,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        now: float,
    ) -> None:
        """Answer the request ourselves; a final answer cancels what is under way."""
        if self.final:
            return
        tag = None if status == 100 else self.tag
        self._answer(Response.answer(self.request, status, reason, headers, body, tag), now)

    def fork(self, groups: Sequence[Sequence[Target]], now: float) -> None:
        """Send the request to the targets: each group in parallel, the groups one by one.

        Where it may be part of a loop, it is answered 482 instead. Without any target it is 480
        (section 16.5).

        Raises:
            TrunklineError: as `Forwarding.address`, where all that could be said was 500.
        """
        self.taken = False
        if self.closed:  # nothing begins any more; what was held back has to be said
            if not self.active and not self.final:
                self._answer(self._best(), now)
            return
        self.groups += [list(group) for group in groups if group]
        if self.branches:
            self._recursed()
        identity = self.core.identity
        many = self.branches or len(self.groups) > 1 or (self.groups and len(self.groups[0]) > 1)
        if (many or identity.is_from_self(self.flow)) and looped(self.request, self.uri, identity):
            self.reply(482, now=now)  # RFC 5393 section 4.2.2
            return
        if not self.active:
            before = self._broken
            self._next_group(now)
            broken = self._broken
            if broken is not before and broken is not None and self.final:
                self._broken = None
                raise broken

    def pass_back(self, branch: Branch, response: Response, now: float) -> None:
        """Go on with a response that ``on_reply`` has taken."""
        self._handle(branch, response, now)

    def finish(self, response: Response, now: float) -> None:
        """Go on with the best response that ``on_failure`` has taken: pass it back."""
        self.taken = False
        self._answer(response, now)

    def cancel(self, now: float, headers: Iterable[tuple[str, str]] = ()) -> None:
        """The caller gave up (section 16.10): cancel what is under way, start nothing more."""
        self.cancelled = True
        self._close()
        self._cancel_branches(now, headers)
        if not self.active and not self.final:
            self.reply(487, now=now)

    def drop(self, now: float) -> None:
        """End without an answer."""
        if self.final:
            return
        self._close()
        self._cancel_branches(now)
        self.core.layer.abort(self.transaction, now)
        self.final = 600  # nothing is passed back any more
        if self.hooks is not None:
            self.hooks.on_end(self, None)
        self.transaction.user = None
        if not self.active:
            self._let_go()

    # what comes from below

    def on_response(self, branch: Branch, response: Response, now: float) -> None:
        """A response to one of our branches, its topmost Via ours (section 16.7)."""
        if not branch.ringing:
            branch.ringing = True
            assert branch.flow is not None
            self.core.answered(branch.flow)
        status = response.status
        if status == 100:
            return  # step 5: hop by hop
        if status >= 200:
            branch.client = None  # what becomes of its ACK is nobody's failure
        pop_via(response, response.via_end)
        if "via" not in response.headers.names:  # step 3: it was for us, who asked for none
            self.core.discard("sip.via-left")
            if status < 200:
                return
            response = self._own(502)
        if self.transaction.traced:
            self.core.note(
                self, "response", (branch.target.uri, branch.flow, status, response.reason)
            )
        hooks = self.hooks
        if hooks is not None and hooks.on_reply(self, branch, response):
            return
        self._handle(branch, response, now)

    def on_no_response(self, branch: Branch, failure: Failure, detail: str, now: float) -> None:
        """A branch timed out, or could not be delivered to (section 16.9)."""
        branch.client = None
        branch.detail = detail
        if self.transaction.traced:
            self.core.note(self, "no response", (branch.target.uri, branch.flow, detail))
        if branch.flow is not None:
            self.core.failed(branch.flow, failure, None)
        refused = failure is Failure.ERROR
        if not branch.ringing and self._next_hop(branch, now, refused=refused):
            return
        status = 487 if self.cancelled else 503 if refused else 408
        self._handle(branch, self._own(status), now)

    def on_timer_c(self, branch: Branch, now: float) -> None:
        """Timer C (section 16.8)."""
        if not branch.pending:
            return
        client = branch.client
        if client is None:  # its final response is held back: another hop may follow
            branch.patience = now + self.core.layer.timers.c
            self.core.wait_for_timer_c(branch, now)
            return
        if branch.patience > now:  # a 1xx came since, or it went to another hop: not yet
            self.core.wait_for_timer_c(branch, now)
            return
        if self.transaction.traced:
            self.core.note(self, "timer C", (branch.target.uri, branch.flow))
        if branch.ringing:
            self.core.layer.cancel(client, now)
            # If not even a 487 comes, section 9.1 ends it.
        else:
            self.core.layer.abort(client, now)
            self._handle(branch, self._own(408), now)

    # inside

    def _own(self, status: int) -> Response:
        return Response.answer(self.request, status, to_tag=self.tag)

    def _handle(self, branch: Branch, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            branch.patience = now + self.core.layer.timers.c  # step 2
            self._answer(response, now)
            return
        if branch.pending:
            if status == 503 and branch.flow is not None:
                self.core.failed(branch.flow, Failure.BUSY, retry_after(response))
            # Another server (RFC 3263 section 4.3), or another way to the same (RFC 5626 section 7)
            again = status in (408, 430) if branch.target.flows else status == 503
            if again and self._next_hop(branch, now):
                return
            branch.pending = False
            branch.client = None  # of one that was given up, too
            self.active -= 1
            if status >= 300 and not self.final:
                branch.response = response
        elif status >= 300:
            return
        if status < 300:
            self._answer(response, now)
        elif status >= 600 and not self.closed:  # step 5: it wins, but the others have to end first
            self._close()
            self._cancel_branches(now, [("Reason", f"SIP;cause={status}")])
        if self.rest:
            self._send(self._another(branch.breadth), now)
        if not self.active:
            if not self.final:
                self._next_group(now)
            elif self.branches:
                self._let_go()

    def _next_group(self, now: float) -> None:
        """Start the next targets, or choose the answer if there are none."""
        while self.groups and not self.active:
            group = self.groups.pop(0)
            room = self.core.forwarding.breadth_of(self.request)
            group, self.rest = group[:room], group[room:]
            share, over = divmod(room, len(group))
            started = [Branch(self, each, share + (at < over)) for at, each in enumerate(group)]
            self.branches += started  # all, before one is sent: a fork shows in the branch
            self.active += len(started)
            for branch in started:
                self._send(branch, now)
        if not self.active and not self.final:
            self._choose(now)

    def _another(self, breadth: int) -> Branch:
        """Return a branch for a target that waited, with the Max-Breadth of one that has ended."""
        branch = Branch(self, self.rest.pop(0), breadth)
        self.branches.append(branch)
        self.active += 1
        return branch

    def _send(self, branch: Branch, now: float) -> None:
        while not self._next_hop(branch, now):
            branch.detail = branch.detail or "no next hop"
            branch.response = self._own(branch.unsent)
            if self.transaction.traced:
                self.core.note(self, "not sent", (branch.target.uri, branch.detail))
            branch.pending = False
            self.active -= 1
            if not self.rest:
                return
            branch = self._another(branch.breadth)

    def _next_hop(self, branch: Branch, now: float, *, refused: bool = False) -> bool:
        """Send the branch's request to its next hop, if there is one.

        ``refused``: the transport failed at the present one.
        """
        if self.closed:
            return False
        flow = branch.fallback if refused else None
        branch.refused = flow is not None
        branch.fallback = None
        if flow is None:
            flow = branch.target.hops(now)
        if flow is None:
            return False
        branch.flow = flow
        branch.ringing = False
        forked = len(self.branches) > 1 or bool(self.groups or self.rest)
        try:
            if self.core.send_branch(branch, forked or flow.remote in self.core.identity.own, now):
                return True
            branch.detail = "the copy could not be made"
        except TrunklineError as problem:  # a Request-URI that is none, of the user's own making
            self._broken = problem.with_traceback(None)  # which knows us
            branch.detail = problem.message
            self.core.count(self.core.refused, problem.code)
            if self.transaction.traced:
                self.core.note(self, "no response", (branch.target.uri, flow, branch.detail))
        branch.unsent = 500
        return False

    def _choose(self, now: float) -> None:
        """All branches have ended (step 6)."""
        best = self._best()
        if self.hooks is not None and not self.cancelled and not self.taken:
            self.taken = True  # before the hook, which may fork at once
            if self.hooks.on_failure(self, best):
                return
            self.taken = False
        self._answer(best, now)

    def _best(self) -> Response:
        """Return the best of the final responses so far (steps 6 and 7)."""
        responses = [branch.response for branch in self.branches if branch.response is not None]
        best = best_of(responses, cancelled=self.cancelled)
        if best is None:
            best = self._own(487 if self.cancelled else 480)
        return best

    def _recursed(self) -> None:
        """A 3xx is not passed back with contacts that are tried here (step 4)."""
        uris = [target.uri for group in self.groups for target in group]
        for branch in self.branches:
            response = branch.response
            if response is None or response.status // 100 != 3:
                continue
            if not drop_contacts(response, uris):
                branch.response = None

    def _answer(self, response: Response, now: float) -> None:
        """Pass a response back; after a final one only 2xx follow a 2xx (steps 5 and 9)."""
        transaction = self.transaction
        status = response.status
        final = self.final
        if final and (final >= 300 or not 200 <= status < 300):
            return
        if transaction.flow.transport.reliable:
            complete(response, transaction.flow)
        self.core.layer.respond(transaction, response, now)
        if status >= 200 and not final:
            self.final = status
            self._ended(response, now)

    def _ended(self, response: Response, now: float) -> None:
        self._close()
        if self.active:  # step 10
            status = response.status
            reason = _ELSEWHERE if status == 200 else f"SIP;cause={status}"
            self._cancel_branches(now, [("Reason", reason)])
        if self.transaction.traced:
            self.core.note(self, "answered", (response.status, response.reason))
        if self.hooks is not None:
            self.hooks.on_end(self, response)
        self.transaction.user = None  # a CANCEL comes too late now
        if not self.active:
            self._let_go()

    def _close(self) -> None:
        self.closed = True
        if self.groups or self.rest:
            self.groups, self.rest = [], []

    def _let_go(self) -> None:
        """Free what is not needed any more, circles of references above all."""
        self.transaction.user = None
        self.request = _SPENT
        for branch in self.branches:
            branch.response = None
        self.branches = []

    def _cancel_branches(self, now: float, headers: Iterable[tuple[str, str]] = ()) -> None:
        for branch in self.branches:
            if branch.pending and branch.client is not None:
                self.core.layer.cancel(branch.client, now, headers)


_SECONDS = re.compile(r"[0-9]{1,9}")


def retry_after(response: Response) -> float | None:
    """Return the seconds that a Retry-After asks for (section 20.33)."""
    found = _SECONDS.match(response.headers.get("retry-after") or "")
    return float(found[0]) if found else None
