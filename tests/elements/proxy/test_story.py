"""One call's story is what happened: on the harness."""

from __future__ import annotations

from pathlib import Path

from trunkline.elements.proxy.story import STEPS, Step, calls_of, story_of
from trunkline.testing import Harness, Incoming

SCRIPT = """
from trunkline.script import on_request

@on_request("INVITE")
def invite(request):
    request.headers.remove_token("Require", "sec-agree")
    request.relay("sip:bob@gw.example")
"""
ZONE = """
_sip._udp.gw.example. 60 IN SRV 1 0 5060 one.gw.example.
_sip._udp.gw.example. 60 IN SRV 2 0 5070 two.gw.example.
one.gw.example. 60 IN A 192.0.2.61
two.gw.example. 60 IN A 192.0.2.62
"""


def story(proxy: Harness, call_id: str) -> list[Step]:
    steps = story_of(proxy.element.recorder, call_id)
    assert {step.kind for step in steps} <= set(STEPS)
    return steps


def test_a_call_that_fails_over(tmp_path: Path) -> None:
    script = tmp_path / "edge.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with Harness(script, dns=ZONE) as proxy:
        call = proxy.request(
            "INVITE",
            "sip:bob@example.org",
            headers=[("Call-ID", "c1"), ("Require", "sec-agree, timer")],
        )
        proxy.receive(call)
        assert proxy.advance(0.6)  # a retransmission
        [first] = [m for m in proxy.element.recorder.messages("c1") if m.sent][1:2]
        proxy.receive(first_answer(proxy, 503))
        steps = story(proxy, "c1")
        kinds = [step.kind for step in steps]
        assert kinds[:7] == [
            "received",
            "sent",
            "script",
            "located",
            "branch",
            "sent",
            "again",
        ]
        [located] = [step for step in steps if step.kind == "located"]
        assert located.record is not None
        assert any("two.gw.example" in line for line in located.details)
        [script_step] = [step for step in steps if step.kind == "script"]
        assert script_step.text == "invite()"
        branches = [step.text for step in steps if step.kind == "branch"]
        assert "192.0.2.61:5060" in branches[0]
        assert "192.0.2.62:5070" in branches[1]
        assert [step.text for step in steps if step.kind == "again"]
        sent = [step for step in steps if step.kind == "sent" and step.text.startswith("INVITE")]
        edits = list(sent[0].details)
        at = edits.index("- Require: sec-agree, timer")
        assert edits[at + 1] == "+ Require: timer"
        assert any("503" in step.text for step in steps if step.kind == "response")
        assert first.flow.remote[0] == "192.0.2.61"


def first_answer(proxy: Harness, status: int) -> str:
    """An answer to the INVITE that was sent first."""
    [seen, *_] = [m for m in proxy.element.recorder.messages("c1") if m.data[:6] == b"INVITE"][1:]
    rows = [
        row
        for row in seen.data.decode().split("\r\n\r\n")[0].split("\r\n")
        if row.startswith(("Via", "From", "To", "Call-ID", "CSeq"))
    ]
    return "\n".join([f"SIP/2.0 {status} No", *rows]) + "\n\n"


def test_a_request_that_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "edge.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with Harness(script) as proxy:
        given = [("Call-ID", "c1"), ("Max-Forwards", "0")]
        proxy.receive(proxy.request("INVITE", "sip:bob@example.org", headers=given))
        steps = story(proxy, "c1")
        assert [step.text for step in steps if step.kind == "refused"] == [
            "483: sip.max-forwards-zero"
        ]
        assert [step.text for step in steps if step.kind == "answered"] == ["483 Too Many Hops"]


def test_what_a_script_does_wrong_is_told(tmp_path: Path) -> None:
    script = tmp_path / "edge.py"
    script.write_text(
        """
from trunkline.script import on_request

@on_request("INVITE")
def invite(request):
    raise ValueError("no such number")

@on_request("MESSAGE")
def message(request):
    pass

@on_request("OPTIONS")
def options(request):
    request.drop()
""",
        encoding="utf-8",
    )
    with Harness(script) as proxy:
        for method in ("INVITE", "MESSAGE", "OPTIONS"):
            proxy.receive(proxy.request(method, "sip:x@y.example", headers=[("Call-ID", method)]))
        [failed] = [step for step in story(proxy, "INVITE") if step.kind == "script-error"]
        assert failed.text == f"invite(): {script}:6: ValueError: no such number"
        assert failed.details == (f'{script}:6 in invite: raise ValueError("no such number")',)
        assert [s.text for s in story(proxy, "MESSAGE") if s.kind == "undecided"] == ["message()"]
        assert [step.kind for step in story(proxy, "OPTIONS")] == ["received", "script", "dropped"]


RELAY = """
from trunkline.script import on_reply, on_request

@on_request()
def all(request):
    request.relay("sip:bob@192.0.2.61")

@on_reply()
def reply(request, response):
    response.headers.add("X-Way", "edge")
"""


def test_a_whole_call_with_its_ack(tmp_path: Path) -> None:
    script = tmp_path / "edge.py"
    script.write_text(RELAY, encoding="utf-8")
    with Harness(script) as proxy:
        invite = proxy.request(
            "INVITE",
            "sip:bob@example.org",
            headers=[("Call-ID", "c1"), ("From", "Al <sip:a@b>;tag=1")],
        )
        [_, out] = proxy.receive(invite)
        [ok] = proxy.receive(out.answer(200))
        [ack] = proxy.receive(proxy.request("ACK", "sip:bob@192.0.2.61", within=ok))
        assert ack.message.start_line.startswith("ACK")
        steps = story(proxy, "c1")
        lines = [step.text for step in steps if step.kind in ("received", "sent")]
        assert lines[-2:] == [
            "ACK sip:bob@192.0.2.61 from UDP 192.0.2.10:5060",
            "ACK sip:bob@192.0.2.61 to UDP 192.0.2.61:5060",
        ]
        [changed] = [step for step in steps if step.kind == "sent" and step.text[:3] == "200"]
        assert changed.details == ("+ X-Way: edge",)
        [call] = calls_of(proxy.element.recorder, 10)
        assert (call.call_id, call.method, call.uri) == ("c1", "INVITE", "sip:bob@example.org")
        assert (call.caller, call.called) == ("Al <sip:a@b>", "<sip:bob@example.org>")
        assert (call.status, call.reason, call.messages) == (200, "OK", 7)
        assert calls_of(proxy.element.recorder, 10, "c2") == []


def test_a_call_that_is_given_up(tmp_path: Path) -> None:
    script = tmp_path / "edge.py"
    script.write_text(RELAY, encoding="utf-8")
    with Harness(script) as proxy:
        invite = proxy.request("INVITE", "sip:bob@example.org", headers=[("Call-ID", "c1")])
        [_, out] = proxy.receive(invite)
        proxy.receive(out.answer(180))
        proxy.receive(Incoming(invite.data.replace(b"INVITE", b"CANCEL"), invite.source))
        proxy.receive(out.answer(487))
        steps = story(proxy, "c1")
        assert [step.text for step in steps if step.text.startswith("CANCEL")] == [
            "CANCEL sip:bob@example.org from UDP 192.0.2.10:5060",
            "CANCEL sip:bob@192.0.2.61 to UDP 192.0.2.61:5060",
        ]
        assert any(step.text.startswith("ACK sip:bob@192.0.2.61 to") for step in steps)
        [call] = calls_of(proxy.element.recorder, 10)
        assert (call.status, call.reason) == (487, "Request Terminated")


def test_nobody_answers(tmp_path: Path) -> None:
    script = tmp_path / "edge.py"
    script.write_text(RELAY, encoding="utf-8")
    with Harness(script) as proxy:
        proxy.receive(proxy.request("MESSAGE", "sip:x@y.example", headers=[("Call-ID", "c1")]))
        proxy.advance(33.0)
        [silent] = [step for step in story(proxy, "c1") if step.kind == "no-response"]
        assert silent.text == (
            "sip:bob@192.0.2.61 at UDP 192.0.2.61:5060: timer F: no final response in 64*T1"
        )
