"""One call's story is what happened: on the harness."""

from __future__ import annotations

from pathlib import Path

from trunkline.elements.proxy.story import STEPS, Step, story_of
from trunkline.testing import Harness

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
        assert kinds[:2] == ["received", "sent"] or kinds[0] == "received"
        [located] = [step for step in steps if step.kind == "located"]
        assert located.record is not None
        [script_step] = [step for step in steps if step.kind == "script"]
        assert script_step.text == "invite()"
        branches = [step.text for step in steps if step.kind == "branch"]
        assert "192.0.2.61:5060" in branches[0]
        assert "192.0.2.62:5070" in branches[1]
        assert [step.text for step in steps if step.kind == "again"]
        sent = [step for step in steps if step.kind == "sent" and step.text.startswith("INVITE")]
        assert "- Require: sec-agree, timer" in sent[0].details
        assert "+ Require: timer" in sent[0].details
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
