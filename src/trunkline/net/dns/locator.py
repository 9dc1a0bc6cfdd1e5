"""RFC 3263 on the event loop: the machine of ``trunkline.sip.locate`` and a resolver, joined.

    found = locator.try_now(uri) or await locator.locate(uri)
    candidate = found.next(locator.now())

Messages to one target that come while it is being located wait for the same answers.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from trunkline.sip.locate.candidates import Candidates
from trunkline.sip.locate.decision import Candidate
from trunkline.sip.locate.directory import Directory
from trunkline.sip.locate.health import Failure
from trunkline.sip.locate.ordering import Draw
from trunkline.sip.locate.plan import Plan
from trunkline.sip.locate.records import Answer, Question
from trunkline.sip.locate.rules import Rules
from trunkline.sip.locate.target import Target
from trunkline.sip.uri import Uri

__all__ = ["Asks", "Locator"]

_AT_ONCE = 16
"""Questions of one search under way at a time: no domain keeps the name servers from the others."""


class Asks(Protocol):
    """Who answers questions: a ``Resolver``, or what a test puts in its place."""

    async def ask(self, question: Question) -> Answer:
        """The answer; a failure is one too."""
        ...


def _draw(highest: int) -> int:
    return int(random.random() * (highest + 1))


class Locator:
    """Locates for one node. Belongs to the loop that it is used on."""

    def __init__(
        self,
        resolver: Asks,
        rules: Rules | None = None,
        *,
        draw: Draw = _draw,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``draw`` and ``now`` are for tests: the randomness, and the clock in seconds."""
        self.resolver = resolver
        self.directory = Directory(rules or Rules(), draw)
        self.now = now
        self._searches: dict[tuple[Target, bool], asyncio.Task[Plan]] = {}
        self._late: set[asyncio.Task[Answer]] = set()

    def try_now(
        self, uri: Uri, *, stream: bool = False, key: bytes | None = None
    ) -> Candidates | None:
        """The candidates for a request to ``uri`` if nothing has to be asked, else None.

        ``stream``: the request is too large for UDP (RFC 3261 section 18.1.1). ``key``: what all
        messages of a transaction share, from a stateless proxy (RFC 3263 section 4.4).
        """
        return self.directory.try_now(uri, self.now(), stream=stream, key=key)

    async def locate(
        self, uri: Uri, *, stream: bool = False, key: bytes | None = None
    ) -> Candidates:
        """The candidates for a request to ``uri``; without any, their ``problem`` says why."""
        found = self.directory.try_now(uri, self.now(), stream=stream, key=key)
        if found is not None:
            return found
        return await self._wait(self.directory.target_of(uri), stream, key)

    async def locate_response(
        self, transport: str, host: str, port: int | None, *, key: bytes | None = None
    ) -> Candidates:
        """The candidates for a response whose way back is broken (RFC 3263 section 5).

        The arguments are the transport and the sent-by of the topmost Via.
        """
        target = Target.sent_by(transport, host, port)
        found = self.directory.try_target(target, self.now(), key=key)
        return found if found is not None else await self._wait(target, False, key)

    def failed(
        self, candidate: Candidate, failure: Failure, retry_after: float | None = None
    ) -> None:
        """A request to ``candidate`` failed (section 4.3); the others are tried before it now."""
        self.directory.failed(candidate, failure, self.now(), retry_after)

    def answered(self, candidate: Candidate) -> None:
        """Some response came from ``candidate``: it is as good as any."""
        self.directory.answered(candidate)

    async def close(self) -> None:
        """Give up on what is under way."""
        tasks = [*self._searches.values(), *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, target: Target, stream: bool, key: bytes | None) -> Candidates:
        self.directory.counters.asked += 1
        search = self._searches.get((target, stream))
        if search is None:
            search = asyncio.get_running_loop().create_task(self._search(target, stream))
            self._searches[target, stream] = search
            search.add_done_callback(lambda _: self._searches.pop((target, stream), None))
        return self.directory.candidates(await asyncio.shield(search), key)

    async def _search(self, target: Target, stream: bool) -> Plan:
        directory = self.directory
        location, questions = directory.search(target, self.now(), stream=stream)
        waiting = deque(questions)
        asking: set[asyncio.Task[Answer]] = set()
        try:
            while location.plan is None:
                while waiting and len(asking) < _AT_ONCE:
                    asking.add(self._ask(waiting.popleft()))
                deadline = location.next_timeout()
                patience = None if deadline is None else max(0.0, deadline - self.now())
                done, asking = await asyncio.wait(
                    asking, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    waiting += directory.receive(location, task.result(), self.now())
                location.on_timeout(self.now())
        finally:
            # Answers that come too late for this message are there for the next one.
            self._late |= asking
            for task in asking:
                task.add_done_callback(partial(self._came_late, target, stream))
        return directory.settle(location, self.now())

    def _came_late(self, target: Target, stream: bool, task: asyncio.Task[Answer]) -> None:
        self._late.discard(task)
        self.directory.forget(target, stream)

    def _ask(self, question: Question) -> asyncio.Task[Answer]:
        return asyncio.get_running_loop().create_task(self._keep(question))

    async def _keep(self, question: Question) -> Answer:
        answer = await self.resolver.ask(question)
        return self.directory.keep(answer, self.now())
