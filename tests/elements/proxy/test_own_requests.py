"""Requests of a script's own: the next server when one fails, and what is remembered of it."""

from __future__ import annotations

import pytest

from trunkline.elements.proxy.application import Application
from trunkline.script import every
from trunkline.testing import Harness, Sent

ZONE = """
_sip._udp.gw.example. 600 IN SRV 1 0 5060 one.gw.example.
_sip._udp.gw.example. 600 IN SRV 2 0 5060 two.gw.example.
one.gw.example. 600 IN A 192.0.2.61
two.gw.example. 600 IN A 192.0.2.62
"""
ONE, TWO = "192.0.2.61", "192.0.2.62"


@every(100)
async def job(app: Application) -> None:
    answer = await app.send_request("MESSAGE", "sip:bob@gw.example")
    app.log(f"{answer.status} {answer.reason}")


@pytest.fixture
def proxy() -> Harness:
    return Harness([job], dns=ZONE)


def first(proxy: Harness) -> Sent:
    """The next MESSAGE of the job."""
    while not (sent := proxy.advance(0.5)):
        assert proxy.now < 1000
    assert sent[0].method == "MESSAGE"
    return sent[0]


def test_a_server_that_says_503_is_followed_by_the_next(proxy: Harness) -> None:
    with proxy:
        sent = first(proxy)
        assert sent.to[0] == ONE
        [again] = proxy.receive(sent.answer(503))
        assert again.to[0] == TWO
        assert again.headers.get("Via") != sent.headers.get("Via")
        for name in ("Call-ID", "CSeq", "From"):
            assert again.headers.get(name) == sent.headers.get(name)
        proxy.receive(again.answer(200))
        assert proxy.lines == ["200 OK"]
        assert first(proxy).to[0] == ONE  # that was one number's trouble, maybe


def test_its_retry_after_is_kept_to(proxy: Harness) -> None:
    with proxy:
        [again] = proxy.receive(first(proxy).answer(503, headers=[("Retry-After", "150")]))
        proxy.receive(again.answer(200))
        sent = first(proxy)
        assert sent.to[0] == TWO
        proxy.receive(sent.answer(200))
        assert first(proxy).to[0] == ONE


def test_silence_is_followed_by_the_next_and_remembered(proxy: Harness) -> None:
    with proxy:
        sent = first(proxy)
        later = [each for each in proxy.advance(33) if each.to[0] == TWO]
        assert sent.to[0] == ONE
        assert later[0].time - sent.time == pytest.approx(32, abs=0.1)
        proxy.receive(later[0].answer(200))
        assert proxy.lines == ["200 OK"]
        health = proxy.element.locator.locator.directory.health  # type: ignore[attr-defined]
        assert len(health) == 1


def test_an_answer_makes_a_server_sound_again(proxy: Harness) -> None:
    with proxy:
        health = proxy.element.locator.locator.directory.health  # type: ignore[attr-defined]
        [again] = proxy.fail(first(proxy))
        proxy.receive(again.answer(200))
        assert len(health) == 1
        trial = first(proxy)  # the penalty is over
        assert trial.to[0] == ONE
        proxy.receive(trial.answer(404))
        assert len(health) == 0


def test_who_is_heard_of_is_not_given_up(proxy: Harness) -> None:
    with proxy:
        sent = first(proxy)
        proxy.receive(sent.answer(100))
        rest = proxy.advance(40)
        assert {each.to[0] for each in rest} == {ONE}
        assert proxy.lines == ["408 Request Timeout"]


def test_nobody_left(proxy: Harness) -> None:
    with proxy:
        [again] = proxy.fail(first(proxy), "port unreachable")
        proxy.fail(again, "port unreachable")
        assert proxy.lines == ["503 port unreachable"]


@every(100)
async def login(app: Application) -> None:
    answer = await app.send_request(
        "MESSAGE", "sip:bob@example.net", via=app.destinations("gateways"), login=("me", "secret")
    )
    app.log(f"{answer.status} {answer.reason}")


@pytest.mark.parametrize("end", ["accepted", "fails"])
def test_a_challenge_is_answered_where_it_came_from(end: str) -> None:
    sets = {"gateways": {"targets": [f"sip:{ONE}", f"sip:{TWO}"]}}
    draws = [1, 2]  # and then the lowest: each time another server would be drawn
    draw = lambda most: min(draws.pop(0), most) if draws else 0  # noqa: E731
    with Harness([login], destinations=sets, draw=draw) as proxy:
        sent = first(proxy)
        challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
        [again] = proxy.receive(sent.answer(401, headers=[("WWW-Authenticate", challenge)]))
        assert again.flow == sent.flow
        assert again.headers.get("Authorization")
        assert (again.headers.get("CSeq"), sent.headers.get("CSeq")) == ("2 MESSAGE", "1 MESSAGE")
        if end == "accepted":
            proxy.receive(again.answer(200))
            assert proxy.lines == ["200 OK"]
        else:
            assert proxy.fail(again, "port unreachable") == []  # nobody else has that nonce
            assert proxy.lines == ["503 port unreachable"]


def asked(**arguments: object) -> tuple[list[Sent], list[str]]:
    """What leaves when a script asks for a request like this, and what the log says."""

    @every(1)
    async def once(app: Application) -> None:
        given = {"method": "OPTIONS", "uri": "sip:bob@192.0.2.61", **arguments}
        await app.send_request(**given)  # type: ignore[arg-type]

    with Harness([once]) as proxy:
        return proxy.advance(1.2), proxy.lines


@pytest.mark.parametrize(
    "name", ["Via", "v", "From", "to", "Call-ID", "CSeq", "Content-Length", "Max-Forwards"]
)
def test_rows_that_are_made_here_are_refused(name: str) -> None:
    sent, lines = asked(headers=[(name, "x")])
    assert sent == []
    assert f"headers: {name} is made here" in lines[0]


def test_a_hop_that_is_no_uri_is_told() -> None:
    sent, lines = asked(via="192.0.2.8")
    assert sent == []
    assert "via='192.0.2.8' is no address" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ({"from_": "<sip:a@x>;tag=1"}, "From", "<sip:a@x>;tag="),
        ({"from_": '"A" <sip:a@x>;x=y;tag=1'}, "From", '"A" <sip:a@x>;x=y;tag='),
        ({"to": "<sip:a@x>;tag=1"}, "To", "<sip:a@x>"),
        ({"uri": "sip:bob@192.0.2.61?Subject=x"}, "To", "<sip:bob@192.0.2.61>"),
        ({"headers": {"X-One": "1"}}, "X-One", "1"),
    ],
)
def test_what_is_written_once(arguments: dict[str, object], name: str, value: str) -> None:
    [sent], _ = asked(**arguments)
    assert sent.uri == "sip:bob@192.0.2.61"
    written = sent.headers.get(name) or ""
    assert written.startswith(value)
    assert written.count("tag=") == (name == "From")


def test_a_method_in_small_letters() -> None:
    [sent], _ = asked(method="options")
    assert (sent.method, sent.headers.get("CSeq")) == ("OPTIONS", "1 OPTIONS")
