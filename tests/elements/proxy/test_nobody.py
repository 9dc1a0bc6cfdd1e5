"""Nobody to send to, places to send a caller to, and whose fault it is what cannot be read."""

from __future__ import annotations

import pytest

from trunkline.errors import TrunklineError
from trunkline.script import NameAddr, Request, Response, on_failure, on_request
from trunkline.sip.message import parse
from trunkline.testing import Harness

INVITE = ("INVITE", "sip:bob@example.org")


@on_request()
async def fork(request: Request) -> None:
    request.fork(*await request.lookup())


@pytest.mark.parametrize("stateless", [False, True])
def test_nobody_is_registered(stateless: bool) -> None:
    with Harness([fork], stateless=stateless) as proxy:
        assert proxy.receive(proxy.request(*INVITE))[-1].status == 480
        assert proxy.element.stats.errors == {}
        proxy.receive(proxy.request("ACK", "sip:bob@example.org"))
        proxy.advance(200)
        assert not proxy.element.proxy.layer.servers


def test_a_failure_handler_takes_over() -> None:
    @on_failure()
    def voicemail(request: Request, response: Response) -> None:
        assert response.status == 480
        request.relay("sip:voicemail@192.0.2.70")

    with Harness([fork, voicemail]) as proxy:
        _, sent = proxy.receive(proxy.request(*INVITE))
        assert sent.to == ("192.0.2.70", 5060)


@pytest.mark.parametrize("targets", [["sip:bob@192.0.2.50"], []])
@pytest.mark.parametrize("waiting", [False, True])
def test_nobody_again_in_a_failure_handler(targets: list[str], waiting: bool) -> None:
    @on_request()
    def first(request: Request) -> None:
        request.fork(*targets)

    @on_failure()
    async def waits(request: Request, response: Response) -> None:
        request.fork(*await request.lookup())

    @on_failure()
    def plain(request: Request, response: Response) -> None:
        request.fork()

    with Harness([first, waits if waiting else plain]) as proxy:
        sent = proxy.receive(proxy.request(*INVITE))
        if targets:
            sent = proxy.receive(sent[-1].answer(486))
        assert sent[-1].status == (486 if targets else 480)
        assert proxy.lines == []


@pytest.mark.parametrize(
    ("contacts", "status", "code"),
    [
        ([], 302, "script.no-target"),
        ([[]], 302, "script.no-target"),
        (["bob"], 302, "script.uri"),
        (["*"], 302, "script.uri"),
        (["<bob>"], 302, "script.uri"),
        (["sip:bob@192.0.2.50"], 200, "script.status"),
        (["sip:bob@192.0.2.50"], 404, "script.status"),
    ],
)
def test_a_redirect_to_nowhere(contacts: list[str], status: int, code: str) -> None:
    codes: list[str] = []

    @on_request()
    def moved(request: Request) -> None:
        try:
            request.redirect(*contacts, status=status)
        except TrunklineError as problem:
            codes.append(problem.code)
            raise

    with Harness([moved]) as proxy:
        assert proxy.receive(proxy.request(*INVITE))[-1].status == 500
        assert codes == [code]


def test_a_redirect() -> None:
    @on_request()
    def moved(request: Request) -> None:
        request.redirect("sip:a@192.0.2.50", ["B <sip:b@192.0.2.51>;q=0.5"], status=301)

    with Harness([moved]) as proxy:
        answer = proxy.receive(proxy.request(*INVITE))[-1]
        assert answer.status == 301
        assert answer.headers.all("Contact") == ["<sip:a@192.0.2.50>", "B <sip:b@192.0.2.51>;q=0.5"]


def test_data_of_the_scripts_own_that_cannot_be_read() -> None:
    @on_request()
    def own(request: Request) -> None:
        NameAddr.parse("<<")

    @on_request("INFO")
    def octets(request: Request) -> None:
        parse(b"x")

    with Harness([own, octets]) as proxy:
        for method in ("MESSAGE", "INFO"):
            [answer] = proxy.receive(proxy.request(method, "sip:bob@example.org"))
            assert answer.status == 500
        assert proxy.element.stats.errors == {"own": 1, "octets": 1}


def test_what_the_request_says_and_cannot_be_read() -> None:
    @on_request()
    def asks(request: Request) -> None:
        _ = request.message.contacts
        request.reply(200)

    with Harness([asks]) as proxy:
        bad = proxy.request("MESSAGE", "sip:bob@example.org", headers=[("Contact", "<<")])
        [answer] = proxy.receive(bad)
        assert answer.status == 400
        assert proxy.element.stats.errors == {}
