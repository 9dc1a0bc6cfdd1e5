"""Handlers of responses that wait: in order, one branch after its own pace, and bounded."""

from __future__ import annotations

import asyncio

from trunkline.script import Request, Response, on_reply, on_request
from trunkline.testing import Harness

INVITE = ("INVITE", "sip:bob@192.0.2.50")


@on_request()
def invite(request: Request) -> None:
    request.relay()


def test_a_response_does_not_overtake_the_one_before_it() -> None:
    @on_reply()
    async def slow(request: Request, response: Response) -> None:
        await request.app.sleep(5 if response.status == 180 else 0.1)

    with Harness([invite, slow]) as proxy:
        _, sent = proxy.receive(proxy.request(*INVITE))
        assert proxy.receive(sent.answer(180)) == []
        assert proxy.receive(sent.answer(200)) == []
        assert [each.status for each in proxy.advance(5.05)] == [180]
        assert [each.status for each in proxy.advance(0.1)] == [200]
        assert not proxy.element._tasks


def test_what_waits_may_be_followed_by_what_does_not() -> None:
    @on_reply()
    def some(request: Request, response: Response) -> object:
        response.headers.add("X-Seen", "yes")
        return request.app.sleep(5) if response.status == 180 else None

    with Harness([invite, some]) as proxy:
        _, sent = proxy.receive(proxy.request(*INVITE))
        for status in (180, 183, 200):
            assert proxy.receive(sent.answer(status)) == []
        seen = [(each.status, each.headers.get("X-Seen")) for each in proxy.advance(5.1)]
        assert seen == [(180, "yes"), (183, "yes"), (200, "yes")]


def test_one_callee_cannot_fill_the_node() -> None:
    @on_reply()
    async def never(request: Request, response: Response) -> None:
        if "bob" in request.uri:
            await asyncio.Event().wait()

    with Harness([invite, never]) as proxy:
        proxy.element.most_tasks = 10
        _, sent = proxy.receive(proxy.request(*INVITE))
        for _ in range(50):
            assert proxy.receive(sent.answer(180)) == []
        for number in range(50):
            assert proxy.receive(sent.answer(200, to_tag=f"t{number}")) == []
        assert len(proxy.element._tasks) == 1
        assert proxy.element.stats.unheard == 100 - 1 - 16
        _, other = proxy.receive(proxy.request("INVITE", "sip:carol@192.0.2.60"))
        assert [each.status for each in proxy.receive(other.answer(200))] == [200]


def test_one_that_raises_lets_the_next_go_on() -> None:
    @on_reply()
    async def raises(request: Request, response: Response) -> None:
        await request.app.sleep(1)
        raise LookupError

    with Harness([invite, raises]) as proxy:
        _, sent = proxy.receive(proxy.request(*INVITE))
        proxy.receive(sent.answer(180))
        proxy.receive(sent.answer(200))
        assert [each.status for each in proxy.advance(3)] == [180, 200]
        assert proxy.element.stats.errors == {"raises": 2}
