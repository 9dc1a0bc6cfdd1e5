"""A forgotten await does not look fine."""

from __future__ import annotations

import asyncio
import gc

import pytest

from trunkline.errors import TrunklineError
from trunkline.script import Application, Request, every, on_request
from trunkline.testing import Harness

REGISTER = ("REGISTER", "sip:example.org")


def test_nobody_is_let_in_by_a_coroutine() -> None:
    @on_request()
    async def register(request: Request) -> None:
        result: object = request.authenticate()
        if result:
            await request.register()

    with Harness([register], users={"alice": "secret"}) as proxy:
        with pytest.raises(TrunklineError) as raised:
            proxy.receive(proxy.request(*REGISTER))
        assert raised.value.code == "script.unawaited"
        assert "await request.authenticate(…)" in proxy.lines[0]
        assert proxy.element.stats.errors == {"register": 1}


def test_an_attribute_of_what_is_not_there_yet() -> None:
    @on_request()
    def register(request: Request) -> None:
        request.authenticate().accepted  # type: ignore[attr-defined]  # noqa: B018

    with Harness([register]) as proxy:
        with pytest.raises(TrunklineError):
            proxy.receive(proxy.request(*REGISTER))
        assert "AttributeError: no accepted before it is there" in "\n".join(proxy.lines)


def test_what_is_dropped_is_counted_and_told() -> None:
    @on_request()
    def register(request: Request) -> None:
        request.app.sleep(1)
        request.reply(200)

    with Harness([register]) as proxy:
        for _ in range(3):
            with pytest.raises(TrunklineError, match=r"write await app\.sleep\(…\)"):
                proxy.receive(proxy.request(*REGISTER))
            gc.collect()
        assert proxy.element.stats.unawaited == {"app.sleep(…)": 3}
        assert len(proxy.lines) == 2  # the first, and the second


def test_every_way_to_await() -> None:
    @on_request()
    async def register(request: Request) -> None:
        app = request.app
        await asyncio.gather(app.sleep(1), app.sleep(1))
        await asyncio.wait_for(app.sleep(1), 5)
        task = asyncio.get_running_loop().create_task(app.sleep(1))
        await task
        cancelled = asyncio.ensure_future(app.sleep(60))
        await asyncio.sleep(0)
        cancelled.cancel()
        never = asyncio.ensure_future(app.sleep(60))
        never.cancel()
        await asyncio.sleep(0)
        request.reply(200)

    @on_request("OPTIONS")
    def returned(request: Request) -> object:
        return request.register()

    @every(10)
    def job(app: Application) -> object:
        return app.registered()

    with Harness([register, returned, job]) as proxy:
        proxy.receive(proxy.request("MESSAGE", "sip:example.org"))
        assert [each.status for each in proxy.advance(4)] == [200]
        proxy.receive(proxy.request("OPTIONS", "sip:example.org"))
        proxy.advance(30)
        gc.collect()
        assert proxy.element.stats.unawaited == {}
        assert proxy.element.stats.errors == {}
