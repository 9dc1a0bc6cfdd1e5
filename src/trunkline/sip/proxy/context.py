"""The response context of a stateful proxy: RFC 3261 sections 16.6 to 16.10.

A context belongs to one request and its server transaction. It sends the request to the targets it
is given, group after group, all of a group at once; goes on to a target's next hop when one fails
(RFC 3263 section 4.3, always with a new branch); and sends back the responses that matter: every
1xx but 100 and every 2xx at once, of the others the best when all branches have ended.

Deviations that other documents ask for: no 408 to anything but INVITE (RFC 4320 section 4.2);
challenges keep their order (RFC 8760 section 2.5); the sum of Max-Breadth is bounded, what exceeds
it is tried one after the other (RFC 5393 sections 5.3.3 and 5.5); responses without a transaction
are not forwarded (RFC 6026 section 7.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from trunkline.sip.message import Request, Response
from trunkline.sip.proxy.branches import Branch, Target
from trunkline.sip.reasons import REASONS
from trunkline.sip.transaction import ServerTransaction
from trunkline.sip.transport import Flow
from trunkline.sip.via import pop_via

if TYPE_CHECKING:
    from trunkline.sip.proxy.core import Proxy

__all__ = ["Hooks", "ResponseContext"]

_PREFERRED = (401, 407, 415, 420, 484)
"""Of the 4xx those that help whoever sends the request again (section 16.7 step 6)."""


class Hooks(Protocol):
    """What a transaction user may do on the way.

    A hook that returns True has taken it over: the context waits until `ResponseContext.pass_back`,
    `fork`, `reply` or `finish` is called.
    """

    def on_branch(self, context: ResponseContext, branch: Branch, request: Request) -> None:
        """A copy is about to be sent: it may be changed."""

    def on_reply(self, context: ResponseContext, branch: Branch, response: Response) -> bool:
        """A response has come: it may be changed, or taken."""

    def on_failure(self, context: ResponseContext, response: Response) -> bool:
        """Every branch has failed and this is the best answer: more targets may be added."""

    def on_end(self, context: ResponseContext, response: Response | None) -> None:
        """A final response has been passed back; ``None``: it ended without one."""


class ResponseContext:
    """One request on its way through; see the module."""

    __slots__ = (
        "active",
        "branches",
        "call_id",
        "cancelled",
        "core",
        "final",
        "flow",
        "groups",
        "hooks",
        "request",
        "taken",
        "transaction",
        "user",
    )

    def __init__(
        self, core: Proxy, transaction: ServerTransaction, request: Request, flow: Flow
    ) -> None:
        self.core = core
        self.transaction = transaction
        self.request = request
        """As it came, but for Via's received and the Routes that were ours."""
        self.flow = flow
        """By which it came."""
        self.call_id = request.call_id
        self.hooks: Hooks | None = None
        self.user: object = None
        self.branches: list[Branch] = []
        self.groups: list[list[Target]] = []
        """Targets that are tried when the present ones have failed."""
        self.active = 0
        """Branches without a final response."""
        self.final = 0
        """The status that was passed back; 0: none yet."""
        self.cancelled = False
        self.taken = False
        """Whether a hook has taken over what comes next."""

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
        tag = None if status == 100 else self.core.tag()
        response = Response.answer(self.request, status, reason, headers, body, tag)
        self._answer(response, now)

    def fork(self, groups: Sequence[Sequence[Target]], now: float) -> None:
        """Send the request to the targets: each group in parallel, the groups one by one."""
        self.taken = False
        self.groups += [list(group) for group in groups if group]
        if self.cancelled or self.final:
            self.groups.clear()
        if not self.active:
            self._next_group(now)

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
        self.groups.clear()
        self._cancel_branches(now, headers)
        if not self.active and not self.final:
            self.reply(487, now=now)

    # what comes from below

    def on_response(self, branch: Branch, response: Response, now: float) -> None:
        """A response to one of our branches, its topmost Via ours (section 16.7)."""
        branch.ringing = True
        status = response.status
        if status == 100:
            return  # step 5: hop by hop
        pop_via(response, response.via_end)
        if self.transaction.traced:
            self.core.note(
                self, "response", (branch.target.uri, branch.flow, status, response.reason)
            )
        hooks = self.hooks
        if hooks is not None and hooks.on_reply(self, branch, response):
            return
        self._handle(branch, response, now)

    def on_no_response(self, branch: Branch, detail: str, status: int, now: float) -> None:
        """A branch was not answered: timed out (408) or undeliverable (503, section 16.9)."""
        branch.detail = detail
        if self.transaction.traced:
            self.core.note(self, "no response", (branch.target.uri, branch.flow, detail))
        if self.core.failed is not None and branch.flow is not None:
            self.core.failed(branch.flow, status, detail)
        if branch.pending and not branch.ringing and self._next_hop(branch, now):
            return
        self._handle(branch, Response.answer(self.request, status, to_tag=self.core.tag()), now)

    def on_timer_c(self, branch: Branch, now: float) -> None:
        """Timer C (section 16.8)."""
        client = branch.client
        if client is None or not branch.pending:
            return
        if branch.patience > now:  # a 1xx came since: not yet
            self.core.start_timer_c(branch, now)
            return
        if self.transaction.traced:
            self.core.note(self, "timer C", (branch.target.uri, branch.flow))
        if branch.ringing:
            self.core.layer.cancel(client, now)
            # If not even a 487 comes, section 9.1 ends it.
        else:
            self.core.layer.abort(client, now)
            self._handle(branch, Response.answer(self.request, 408, to_tag=self.core.tag()), now)

    # inside

    def _handle(self, branch: Branch, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            branch.patience = now + self.core.layer.timers.c  # step 2
            if not self.final:
                self.core.layer.respond(self.transaction, response, now)
            return
        if branch.pending:
            if status == 503 and branch.flow is not None and self.core.failed is not None:
                self.core.failed(branch.flow, 503, response.reason)
            if status == 503 and not self.final and self._next_hop(branch, now):
                return  # RFC 3263 section 4.3
            branch.pending = False
            if status >= 300:
                branch.response = response
            branch.client = None
            self.active -= 1
            if self.final and not self.active:
                self._let_go()
        elif status >= 300:
            return
        if status < 300:
            self.groups.clear()
            self._answer(response, now)
            return
        if status >= 600:  # step 5: it wins, but not before the others have ended
            self.groups.clear()
            self._cancel_branches(now)
        if not self.active and not self.final:
            self._next_group(now)

    def _next_group(self, now: float) -> None:
        """Start the next targets, or choose the answer if there are none."""
        while self.groups and not self.active:
            group = self.groups.pop(0)
            room = self.core.breadth_of(self.request)
            if len(group) > room:
                self.groups.insert(0, group[room:])
                group = group[:room]
            share = room // len(group)
            started = []
            for target in group:
                branch = Branch(self, target, share)
                self.branches.append(branch)
                self.active += 1
                started.append(branch)
            for branch in started:
                if not self._next_hop(branch, now):
                    branch.detail = "no next hop"
                    branch.pending = False
                    branch.response = Response.answer(self.request, 480, to_tag=self.core.tag())
                    self.active -= 1
        if not self.active and not self.final:
            self._choose(now)

    def _next_hop(self, branch: Branch, now: float) -> bool:
        """Send the branch's request to its next hop, if there is one."""
        if self.cancelled:
            return False
        flow, branch.fallback = branch.fallback or branch.target.hops(now), None
        if flow is None:
            return False
        branch.flow = flow
        branch.ringing = False
        self.core.send_branch(branch, len(self.branches) > 1, now)
        return True

    def _choose(self, now: float) -> None:
        """All branches have ended (step 6)."""
        best = self.best()
        if best is None:
            return
        if best.status == 503:  # says that nothing goes through us; one target is not all
            best = best.copy()
            best.status, best.reason = 500, REASONS[500]
        if self.hooks is not None and not self.cancelled and not self.taken:
            self.taken = True  # before the hook, which may fork at once
            if self.hooks.on_failure(self, best):
                return
            self.taken = False
        self._answer(best, now)

    def best(self) -> Response | None:
        """Return the best of the final responses so far (steps 6 and 7)."""
        responses = [branch.response for branch in self.branches if branch.response is not None]
        if not responses:
            return None
        best = min(responses, key=_rank)
        if best.status in (401, 407):
            best = best.copy()
            for other in responses:
                if other.status in (401, 407) and other is not best:
                    _add_challenges(best, other)
        return best

    def _answer(self, response: Response, now: float) -> None:
        status = response.status
        if status >= 200:
            if self.final >= 300 or (self.final and status >= 300):
                return
            first = not self.final
            self.final = response.status
            invite = self.transaction.method == "INVITE"
            if response.status == 408 and not invite:
                # RFC 4320 section 4.2: the client has given up already
                self.core.layer.abort(self.transaction, now)
            else:
                self.core.layer.respond(self.transaction, response, now)
            if first:
                self._ended(response, now)
            return
        self.core.layer.respond(self.transaction, response, now)

    def _ended(self, response: Response, now: float) -> None:
        if self.active:
            self.groups.clear()
            self._cancel_branches(now)  # step 10
        if self.transaction.traced:
            self.core.note(self, "answered", (response.status, response.reason))
        if self.hooks is not None:
            self.hooks.on_end(self, response)
        self.transaction.user = None  # a CANCEL comes too late now
        if not self.active:
            self._let_go()

    def _let_go(self) -> None:
        """Drop what nobody needs; a 2xx of a branch may still come, and finds us by it."""
        self.request = _SPENT
        self.branches = []

    def _cancel_branches(self, now: float, headers: Iterable[tuple[str, str]] = ()) -> None:
        for branch in self.branches:
            if branch.pending and branch.client is not None:
                self.core.layer.cancel(branch.client, now, headers)


_SPENT = Request.build("SPENT", "sip:invalid")
"""In the place of a request that has been dealt with."""


def _rank(response: Response) -> tuple[int, int, int]:
    status = response.status
    family = status // 100
    place = 0 if family == 6 else family
    preferred = _PREFERRED.index(status) if status in _PREFERRED else len(_PREFERRED)
    return place, preferred, 0


def _add_challenges(best: Response, other: Response) -> None:
    """Add another response's challenges behind those that are there (step 7)."""
    present = set(best.headers.all("www-authenticate") + best.headers.all("proxy-authenticate"))
    for name in ("WWW-Authenticate", "Proxy-Authenticate"):
        for value in other.headers.all(name):
            if value not in present:
                best.headers.add(name, value)
