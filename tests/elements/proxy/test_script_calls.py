"""A script decides; the proxy does the rest: on the harness, with the virtual clock."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.script import Request, on_request
from trunkline.sip.message import parse
from trunkline.testing import Harness, Incoming, Sent

GATEWAY = ("192.0.2.50", 5060)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def written(path: Path, text: str) -> Path:
    path.write_text(f"from trunkline.script import *\n{text}", encoding="utf-8")
    return path


RELAY = """
@on_request("INVITE")
def invite(request):
    request.relay("sip:bob@192.0.2.50")
"""


def connect(proxy: Harness) -> tuple[Sent, Sent]:
    """Set a call up; the INVITE as forwarded, and the 200 as the caller got it."""
    trying, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
    assert trying.status == 100
    [ok] = proxy.receive(invite.answer(200, headers=[("Contact", "<sip:bob@192.0.2.50:5060>")]))
    return invite, ok


def test_a_call(script: Path) -> None:
    with Harness(written(script, RELAY)) as proxy:
        invite, ok = connect(proxy)
        assert invite.to == GATEWAY
        assert invite.uri == "sip:bob@192.0.2.50"
        assert invite.headers.get("Max-Forwards") == "69"
        recorded = invite.headers.get("Record-Route") or ""
        assert re.fullmatch(r"<sip:192\.0\.2\.1:5060;lr;k=[0-9a-f]{16}>", recorded)
        assert ok.status == 200
        assert ok.headers.count("Via") == 1
        [ack] = proxy.receive(proxy.request("ACK", "sip:bob@192.0.2.50:5060", within=ok))
        assert (ack.method, ack.to) == ("ACK", GATEWAY)
        assert "Route" not in ack.headers
        # An ACK has no transaction: the same again leaves as the same (section 16.11).
        once = proxy.request("ACK", "sip:bob@192.0.2.50:5060", within=ok)
        other = proxy.request("ACK", "sip:bob@192.0.2.50:5060", within=ok)
        [one], [two], [three] = (proxy.receive(again) for again in (once, once, other))
        assert str(one) == str(two) != str(three)
        [bye] = proxy.receive(proxy.request("BYE", "sip:bob@192.0.2.50:5060", within=ok))
        assert (bye.method, bye.to) == ("BYE", GATEWAY)
        [done] = proxy.receive(bye.answer(200))
        assert done.to == ("192.0.2.10", 5060)
        assert proxy.advance(200) == []
        layer = proxy.element.proxy.layer
        assert not layer.servers
        assert not layer.clients


def test_the_caller_gives_up(script: Path) -> None:
    with Harness(written(script, RELAY)) as proxy:
        call = proxy.request("INVITE", "sip:bob@example.org")
        _, invite = proxy.receive(call)
        proxy.receive(invite.answer(180))
        text = call.data.replace(b"INVITE sip", b"CANCEL sip").replace(b" INVITE", b" CANCEL")
        ok, cancel = proxy.receive(text.decode())
        assert (ok.status, ok.method) == (200, "CANCEL")
        assert cancel.headers.get("Via") == invite.headers.get("Via")
        proxy.receive(cancel.answer(200))
        ack, terminated = proxy.receive(invite.answer(487))
        assert (ack.method, ack.to) == ("ACK", GATEWAY)
        assert terminated.status == 487


def test_a_response_that_names_nobody_to_pass_it_on_to_is_not_passed_on(script: Path) -> None:
    with Harness(written(script, RELAY)) as proxy:
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        for status, passed_on in ((180, []), (486, ["ACK", "INVITE"])):
            answer = parse(invite.answer(status).data)
            answer.headers.remove("Via", 1)
            sent = proxy.receive(Incoming(answer.to_bytes(), invite.to, invite.flow))
            assert [message.method for message in sent] == passed_on
        assert (sent[-1].status, sent[-1].headers.count("Via")) == (502, 1)
        assert proxy.element.proxy.discarded == {"sip.via-left": 2}


def test_nobody_answers(script: Path) -> None:
    with Harness(written(script, RELAY)) as proxy:
        proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        sent = proxy.advance(33)
        assert [s.time for s in sent if s.method == "INVITE" and not s.status] == pytest.approx(
            [0.5, 1.5, 3.5, 7.5, 15.5, 31.5], abs=0.05
        )
        assert sent[-1].status == 408 or any(s.status == 408 for s in sent)


def test_serial_and_parallel_forks(script: Path) -> None:
    program = """
@on_request("INVITE")
def invite(request):
    request.fork(["sip:a@192.0.2.51", "sip:b@192.0.2.52"], "sip:c@192.0.2.53")
"""
    with Harness(written(script, program)) as proxy:
        _, a, b = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert {a.to[0], b.to[0]} == {"192.0.2.51", "192.0.2.52"}
        assert a.headers.get("Max-Breadth") == "30"
        [ack] = proxy.receive(a.answer(486))
        assert ack.method == "ACK"
        ack, c = proxy.receive(b.answer(404))
        assert c.to == ("192.0.2.53", 5060)
        ack, answer = proxy.receive(c.answer(480))
        assert answer.status in (404, 480, 486)


def test_names_are_looked_up_and_the_next_address_tried(script: Path) -> None:
    program = """
@on_request("INVITE")
async def invite(request):
    response = await request.relay("sip:bob@gw.example")
    request.app.log(f"answered {response.status}")
"""
    zone = """
        _sip._udp.gw.example. 60 IN SRV 1 0 5060 one.gw.example.
        _sip._udp.gw.example. 60 IN SRV 2 0 5070 two.gw.example.
        one.gw.example. 60 IN A 192.0.2.61
        two.gw.example. 60 IN A 192.0.2.62
    """
    with Harness(written(script, program), dns=zone) as proxy:
        _, first = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert first.to[0] == "192.0.2.61"
        _, second = proxy.receive(first.answer(503))
        assert second.to == ("192.0.2.62", 5070)
        assert first.headers.get("Via") != second.headers.get("Via")
        [ok] = proxy.receive(second.answer(200))
        assert ok.status == 200
        assert proxy.lines == ["answered 200"]


def test_an_exception_answers_500_for_that_request_only(script: Path) -> None:
    program = """
@on_request("INVITE")
def invite(request):
    if "bad" in request.uri:
        raise ValueError("no such thing")
    request.relay("sip:bob@192.0.2.50")
"""
    with Harness(written(script, program)) as proxy:
        _, failed = proxy.receive(proxy.request("INVITE", "sip:bad@example.org"))
        assert failed.status == 500
        assert proxy.element.stats.errors == {"invite": 1}
        [line] = proxy.lines
        assert f"{script}:6: ValueError: no such thing" in line
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert invite.to == GATEWAY


def test_no_decision_is_an_error(script: Path) -> None:
    with Harness(written(script, "@on_request()\ndef f(request): pass\n")) as proxy:
        [failed] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert failed.status == 500
        assert "without a decision" in proxy.lines[0]


def test_two_decisions_are_an_error(script: Path) -> None:
    program = "@on_request()\ndef f(request):\n    request.reply(200)\n    request.reply(404)\n"
    with Harness(written(script, program)) as proxy:
        [ok] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert ok.status == 200
        assert "exclude each other" in proxy.lines[0]


def test_failure_and_reply_and_branch_handlers(script: Path) -> None:
    program = """
@on_request("INVITE")
def invite(request):
    request.relay("sip:bob@192.0.2.50")

@on_branch("INVITE")
def branch(request, branch):
    branch.headers.add("X-Branch", request.call_id)

@on_reply("INVITE")
def reply(request, response):
    response.headers.add("X-Seen", str(response.status))

@on_failure("INVITE")
def failure(request, response):
    if "tried" not in request.attributes:
        request.attributes["tried"] = True
        request.relay("sip:voicemail@192.0.2.70")
"""
    with Harness(written(script, program)) as proxy:
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert invite.headers.get("X-Branch") == invite.headers.get("Call-ID")
        [ringing] = proxy.receive(invite.answer(180))
        assert ringing.headers.get("X-Seen") == "180"
        _, again = proxy.receive(invite.answer(486))
        assert again.to[0] == "192.0.2.70"
        _, gone = proxy.receive(again.answer(404))
        assert gone.status in (404, 486)


def test_a_request_of_its_own_every_minute(script: Path) -> None:
    program = """
@every(60)
async def annoy(app):
    answer = await app.send_request(
        "MESSAGE", "sip:10.0.1.5:5060", from_='"Annoyatron 2000" <sip:annoyatron@example.org>',
        to="sip:thisphone@example.org",
        headers=[("Subject", "Hello"), ("Content-Type", "text/plain")],
        body="Hi Buddy. Just here to irritate you.")
    app.log(f"{answer.status} {answer.reason}")
"""
    with Harness(written(script, program)) as proxy:
        assert proxy.advance(59) == []
        [message, *again] = proxy.advance(2)
        assert {sent.to for sent in again} == {("10.0.1.5", 5060)}
        assert message.time == pytest.approx(60, abs=0.02)
        assert message.body == b"Hi Buddy. Just here to irritate you."
        assert message.headers.get("Subject") == "Hello"
        proxy.receive(message.answer(200))
        assert proxy.lines == ["200 OK"]
        sent = proxy.advance(60)
        assert sent[0].time == pytest.approx(120, abs=0.02)
        proxy.advance(40)
        assert proxy.lines[-1] == "408 Request Timeout"


def test_the_seeds_address_is_none_and_the_error_says_what_is_meant(script: Path) -> None:
    program = """
@every(1)
async def annoy(app):
    await app.send_request("MESSAGE", "sip:10.0.1.5:5060", from_="sip:Annoyatron 2000")
"""
    with Harness(written(script, program)) as proxy:
        assert proxy.advance(1.5) == []
        assert '"Annoyatron 2000" <sip:annoyatron2000@' in proxy.lines[0]


def test_a_reload_is_atomic(script: Path, tmp_path: Path) -> None:
    with Harness(written(script, RELAY)) as proxy:
        bad = written(tmp_path / "bad.py", "raise RuntimeError('half done')\n")
        with pytest.raises(TrunklineError, match="half done"):
            proxy.reload(bad)
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        program = RELAY.replace("192.0.2.50", "192.0.2.99")
        proxy.reload(written(tmp_path / "good.py", program))
        _, other = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert other.to[0] == "192.0.2.99"
        [ok] = proxy.receive(invite.answer(200))
        assert ok.status == 200


@pytest.mark.parametrize("program", [RELAY, f"{RELAY}\n@in_dialog()\ndef later(r): r.relay()"])
def test_what_leads_nowhere_within_a_dialog(script: Path, program: str) -> None:
    with Harness(written(script, program)) as proxy:
        _, ok = connect(proxy)
        [answer] = proxy.receive(proxy.request("BYE", "sip:192.0.2.1:5060", within=ok))
        assert answer.status == 481
        assert proxy.receive(proxy.request("ACK", "sip:192.0.2.1:5060", within=ok)) == []
        bye = proxy.request("BYE", "sip:192.0.2.1:5060", within=ok).data.decode()
        [sent] = proxy.receive(bye.replace("From:", "Route: <sip:192.0.2.70;lr>\r\nFrom:"))
        assert sent.to == ("192.0.2.70", 5060)


def test_handlers_need_no_file() -> None:
    @on_request("INVITE")
    def invite(request: Request) -> None:
        request.relay("sip:bob@192.0.2.50")

    @on_request("INVITE")
    def other(request: Request) -> None:
        request.reply(404)

    with Harness([invite]) as proxy:
        _, sent = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert sent.to == GATEWAY
        proxy.reload([other])
        assert proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[1].status == 404
    with pytest.raises(TrunklineError) as refused:
        Harness([invite, other])
    assert refused.value.code == "script.handler"


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("", "script.empty"),
        ("@on_request()\ndef f(): pass\n", "script.handler"),
        ("@on_request()\ndef f(r): pass\n@on_request()\ndef g(r): pass\n", "script.handler"),
        ("def f(:\n", "script.error"),
        ("1/0\n", "script.error"),
    ],
)
def test_scripts_that_cannot_be_used(script: Path, program: str, code: str) -> None:
    with pytest.raises(TrunklineError) as refused:
        Harness(written(script, program))
    assert refused.value.code == code
    assert str(script) in refused.value.message


def test_requests_that_wait_are_bounded(script: Path) -> None:
    program = """
@on_request()
async def slow(request):
    await request.app.sleep(60)
    request.reply(200)
"""
    with Harness(written(script, program)) as proxy:
        proxy.element.most_tasks = 2
        for _ in range(2):
            assert proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org")) == []
        [busy] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert (busy.status, busy.headers.get("Retry-After")) == (503, "5")
        assert proxy.element.stats.busy == 1
        proxy.advance(61)
        assert proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org")) == []
