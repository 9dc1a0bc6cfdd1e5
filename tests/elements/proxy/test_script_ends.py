"""However a handler ends, its own request is answered, and the node lives."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import NoReturn

import pytest

from trunkline.errors import TrunklineError
from trunkline.script import (
    Application,
    Request,
    Response,
    every,
    on_failure,
    on_reply,
    on_request,
    on_start,
)
from trunkline.testing import Harness

INVITE = ("INVITE", "sip:bob@192.0.2.50")


def leave() -> NoReturn:
    sys.exit(3)


def give_up() -> NoReturn:
    raise asyncio.CancelledError


def itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@pytest.mark.parametrize("end", [leave, give_up])
def test_a_plain_handler(end: object) -> None:
    @on_request()
    def invite(request: Request) -> None:
        assert callable(end)
        end()

    with Harness([invite]) as proxy:
        for _ in range(2):
            assert [each.status for each in proxy.receive(proxy.request(*INVITE))] == [100, 500]
        assert proxy.element.stats.errors == {"invite": 2}
        proxy.advance(200)
        assert not proxy.element.proxy.layer.servers


@pytest.mark.parametrize("end", [leave, give_up, itself])
def test_a_handler_that_waited(end: object) -> None:
    @on_request()
    async def invite(request: Request) -> None:
        await request.app.sleep(1)
        assert callable(end)
        end()
        await request.app.sleep(1)

    with Harness([invite]) as proxy:
        proxy.receive(proxy.request(*INVITE))
        assert {each.status for each in proxy.advance(5)} == {500}
        assert proxy.element.stats.errors == {"invite": 1}


def test_what_a_handler_awaits_is_cancelled_by_somebody_else() -> None:
    @on_request()
    async def invite(request: Request) -> None:
        lookup = asyncio.ensure_future(request.app.sleep(60))
        asyncio.get_running_loop().call_later(1, lookup.cancel)
        await lookup

    with Harness([invite]) as proxy:
        proxy.receive(proxy.request(*INVITE))
        assert {each.status for each in proxy.advance(5)} == {500}
        assert "CancelledError" in proxy.lines[0]


@pytest.mark.parametrize("end", [leave, give_up])
@pytest.mark.parametrize("waits", [False, True])
def test_handlers_of_answers(end: object, waits: bool) -> None:
    async def later() -> None:
        assert callable(end)
        end()

    def now() -> object:
        assert callable(end)
        return end()

    @on_request()
    def invite(request: Request) -> None:
        request.relay()

    @on_reply()
    def reply(request: Request, response: Response) -> object:
        return later() if waits else now()

    @on_failure()
    def failure(request: Request, response: Response) -> object:
        return later() if waits else now()

    with Harness([invite, reply, failure]) as proxy:
        _, sent = proxy.receive(proxy.request(*INVITE))
        assert [each.status for each in proxy.receive(sent.answer(486)) if each.status] == [486]
        assert proxy.element.stats.errors == {"reply": 1, "failure": 1}


@pytest.mark.parametrize("end", [leave, give_up])
@pytest.mark.parametrize("waits", [False, True])
def test_a_job_is_called_again(end: object, waits: bool) -> None:
    async def later() -> None:
        assert callable(end)
        end()

    @every(1)
    def job(app: Application) -> object:
        assert callable(end)
        return later() if waits else end()

    with Harness([job]) as proxy:
        proxy.advance(3.5)
        assert proxy.element.stats.errors == {"job": 3}


def test_a_start_handler_that_leaves_keeps_the_node_from_starting() -> None:
    @on_start
    async def begin(app: Application) -> None:
        leave()

    with pytest.raises(TrunklineError) as raised, Harness([begin]):
        pass
    assert raised.value.code == "script.error"


BAD = [
    {"headers": [("X", "a\r\nb")]},
    {"headers": [("X Y", "a")]},
    {"headers": ["X"]},
    {"headers": [("X", 5)]},
    {"reason": "two\nlines"},
    {"body": 5},
]


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("arguments", BAD)
def test_an_answer_that_cannot_be_written_is_a_500(
    arguments: Mapping[str, object], stateless: bool
) -> None:
    @on_request()
    def invite(request: Request) -> None:
        request.reply(404, **arguments)  # type: ignore[arg-type]

    with Harness([invite], stateless=stateless) as proxy:
        assert proxy.receive(proxy.request(*INVITE))[-1].status == 500
        assert proxy.element.stats.errors == {"invite": 1}
        proxy.receive(proxy.request("ACK", "sip:bob@192.0.2.50"))
        proxy.advance(200)
        assert not proxy.element.proxy.layer.servers


def test_a_redirect_that_cannot_be_written_is_a_500() -> None:
    @on_request()
    def invite(request: Request) -> None:
        request.redirect("sip:bob@192.0.2.51", status=3020)

    with Harness([invite]) as proxy:
        assert [each.status for each in proxy.receive(proxy.request(*INVITE))] == [100, 500]


def test_rows_may_be_a_dict_and_a_body_text() -> None:
    @on_request()
    def answer(request: Request) -> None:
        request.reply(200, headers={"Content-Type": "text/plain"}, body="grüße")

    with Harness([answer]) as proxy:
        [ok] = proxy.receive(proxy.request("MESSAGE", "sip:bob@192.0.2.50"))
        assert ok.headers.get("Content-Type") == "text/plain"
        assert (ok.headers.get("Content-Length"), ok.body) == ("7", "grüße".encode())
