"""Next hops: from a URI, by RFC 3263, to the flows that lead there by our own listeners."""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.net.dns import Locator
from trunkline.sip.locate import (
    Candidate,
    Candidates,
    Decision,
    Failure,
    LiteralCandidates,
    Problem,
    Rules,
)
from trunkline.sip.proxy import Hops, Identity, listed
from trunkline.sip.transport import Flow
from trunkline.sip.uri import Uri, parse_uri

__all__ = ["Finder", "Located", "rules_for"]

_MOST = 10_000  # URIs remembered; the memory begins anew beyond it
_LONGEST = 256  # longer URIs are not remembered


class Located:
    """The hops that DNS led to, drawn one by one; and why these."""

    __slots__ = ("_candidates", "_finder")

    def __init__(self, finder: Finder, candidates: Candidates) -> None:
        self._finder = finder
        self._candidates = candidates

    def __call__(self, now: float) -> Flow | None:
        """Return the next hop; ``None``: there is no other."""
        while (candidate := self._candidates.next(now)) is not None:
            flow = self._finder.flow(candidate)
            if flow is not None:
                return flow
        return None

    def decision(self, now: float) -> Decision:
        """Return how they were found."""
        return self._candidates.decision(now)

    @property
    def late(self) -> bool:
        """Whether the hop given last failed lately."""
        return self._candidates.late

    @property
    def problem(self) -> Problem | None:
        """Why there is no hop; ``None`` if there is one."""
        return self._candidates.problem

    def again(self) -> Located:
        """Return hops by the same answers, for another request."""
        finder = self._finder
        return Located(finder, finder.locator.directory.candidates(self._candidates.plan))


class Finder:
    """Finds next hops for one element."""

    def __init__(self, identity: Identity, locator: Locator) -> None:
        self.locator = locator
        self._identity = identity
        self._literal: dict[str, Flow] = {}

    def now(self, uri: str, time: float, key: bytes | None = None) -> Hops | None:
        """Return the hops towards ``uri`` if nobody has to be asked; none where it is no URI.

        The same ``key`` gives the same hops (RFC 3263 section 4.4).
        """
        flow = self._literal.get(uri)
        if flow is not None:
            return listed(flow)
        parsed = _sip(uri)
        if parsed is None:
            return listed()
        found = self.locator.try_now(parsed, key=key)
        if found is None:
            return None
        if isinstance(found, LiteralCandidates):
            return self._remember(uri, found, time)
        return Located(self, found)

    async def find(self, uri: str, time: float, key: bytes | None = None) -> Hops:
        """Return the hops towards ``uri``."""
        parsed = _sip(uri)
        if parsed is None:
            return listed()
        return Located(self, await self.locator.locate(parsed, key=key))

    def failed(self, flow: Flow, failure: Failure, retry_after: float | None) -> None:
        """What was sent by ``flow`` failed; ``retry_after`` is that of a 503, in seconds."""
        if not flow.connection:
            self.locator.failed(_candidate(flow), failure, retry_after)

    def answered(self, flow: Flow) -> None:
        """A response came to what was sent by ``flow``."""
        if self.locator.directory.health:
            self.locator.answered(_candidate(flow))

    def in_turn(self, hops: Hops, flow: Flow, now: float) -> bool:
        """Whether ``flow``, the first of ``hops``, is as good as any: it did not fail lately."""
        health = self.locator.directory.health
        if not health:
            return True
        if isinstance(hops, Located):
            return not hops.late
        return health.admits(_candidate(flow), now)

    def flow(self, candidate: Candidate) -> Flow | None:
        """Return the flow to a candidate; ``None`` if no listener of ours can send there."""
        transport, host, port, domain = candidate
        listener = self._identity.for_transport(transport, host)
        if listener is None:
            return None
        named = domain if transport.by_domain and domain != host else ""
        return Flow(transport, (host, port), listener.local, 0, named)

    def _remember(self, uri: str, found: Candidates, time: float) -> Hops:
        candidate = found.next(time)
        flow = None if candidate is None else self.flow(candidate)
        if flow is None:
            return listed()
        if len(self._literal) >= _MOST:
            self._literal.clear()
        if len(uri) <= _LONGEST:
            self._literal[uri] = flow
        return listed(flow)


def rules_for(identity: Identity) -> Rules:
    """Return the rules of RFC 3263 for who has these listeners: their transports, and families."""
    transports = dict.fromkeys(item.transport for item in identity.listeners)
    families = sorted({6 if ":" in item.local[0] else 4 for item in identity.listeners})[::-1]
    return Rules(transports=tuple(transports), families=tuple(families))


def _candidate(flow: Flow) -> Candidate:
    host, port = flow.remote
    return Candidate(flow.transport, host, port, flow.domain or host)


def _sip(text: str) -> Uri | None:
    try:
        uri = parse_uri(text)
    except DecodeError:
        return None
    return uri if isinstance(uri, Uri) else None
