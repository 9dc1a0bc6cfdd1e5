"""Handlers of copies: an edit that fails lets nothing leave half edited."""

from __future__ import annotations

import pytest

from trunkline.elements.proxy.script import Function
from trunkline.errors import TrunklineError
from trunkline.script import Request, on_branch, on_request
from trunkline.sip.message import Request as Message
from trunkline.testing import Harness

INVITE = ("INVITE", "sip:bob@192.0.2.50")


@on_request()
def invite(request: Request) -> None:
    request.relay()


@on_request()
def fork(request: Request) -> None:
    request.fork(["sip:a@192.0.2.51", "sip:b@192.0.2.52"], "sip:c@192.0.2.53")


def raises(request: Request, branch: Message) -> None:
    branch.headers.remove("P-Asserted-Identity")
    raise LookupError("no such user")


def leaves(request: Request, branch: Message) -> None:
    raise SystemExit


def no_uri(request: Request, branch: Message) -> None:
    branch.uri = "sip:x SIP/2.0\r\nX: y"


@pytest.mark.parametrize("handler", [raises, leaves, no_uri])
@pytest.mark.parametrize("begin", [invite, fork])
def test_a_copy_whose_edit_fails_is_not_sent(handler: Function, begin: Function) -> None:
    def edit(request: Request, branch: Message) -> None:
        handler(request, branch)

    with Harness([begin, on_branch()(edit)]) as proxy:
        assert [each.status for each in proxy.receive(proxy.request(*INVITE))] == [100, 500]
        assert proxy.element.stats.errors == {"edit": 1 if begin is invite else 3}
        proxy.receive(proxy.request("ACK", "sip:bob@192.0.2.50"))
        proxy.advance(200)
        assert not proxy.element.proxy.layer.servers


def test_the_other_branches_go_on() -> None:
    @on_branch()
    def edit(request: Request, branch: Message) -> None:
        if "sip:a@" in branch.uri:
            raise LookupError

    with Harness([fork, edit]) as proxy:
        _, b = proxy.receive(proxy.request(*INVITE))
        assert b.to == ("192.0.2.52", 5060)
        _, c = proxy.receive(b.answer(486))
        assert c.to == ("192.0.2.53", 5060)
        assert [each.status for each in proxy.receive(c.answer(200))] == [200]


def test_an_edit_of_the_next_hops_copy_that_fails() -> None:
    seen: list[Message] = []

    @on_branch()
    def edit(request: Request, branch: Message) -> None:
        seen.append(branch)
        if len(seen) > 1:
            raise LookupError

    zone = "gw.example. 60 IN A 192.0.2.61\ngw.example. 60 IN A 192.0.2.62"

    @on_request()
    def to_gateway(request: Request) -> None:
        request.relay("sip:gw.example")

    with Harness([to_gateway, edit], dns=zone) as proxy:
        _, sent = proxy.receive(proxy.request(*INVITE))
        answers = proxy.fail(sent)
        assert [each.status for each in answers] == [500]
        assert len(seen) == 2


def test_it_cannot_wait() -> None:
    async def edit(request: Request, branch: Message) -> None:
        branch.headers.remove("P-Asserted-Identity")

    with pytest.raises(TrunklineError, match="edit: @on_branch cannot be async") as raised:
        Harness([invite, on_branch()(edit)])
    assert raised.value.code == "script.handler"
