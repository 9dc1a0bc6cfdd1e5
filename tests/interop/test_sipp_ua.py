"""The example phone against sipp: who calls, who answers, and what both do in between."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.sip.programs import Program, free_port, listened_on
from tests.interop.sip.scenarios import (
    ACK,
    BYE,
    CALL,
    CALLEE,
    OK,
    Scenario,
    ack_failure,
    answer,
    cancel,
    expect,
    in_dialog,
    invite,
    keep,
    pause,
    request,
    send,
)
from tests.interop.sip.sipp import Sipp

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
CONTACT = "Contact: <sip:bob@[local_ip]:[local_port];transport=[transport]>"
TAG = ";tag=[pid]b[call_number]"
INVITE = send(invite(), again=True)


class Phone(Program):
    """The example phone as a process."""

    def __init__(self, folder: Path, *arguments: str, transport: str = "udp") -> None:
        self.port = free_port()
        phone = str(ROOT / "examples" / "sip" / "phone" / "phone.py")
        command = [sys.executable, phone, "--listen", f"{transport}:127.0.0.1:{self.port}"]
        path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        super().__init__(folder, "phone", [*command, *arguments], {"PYTHONPATH": path})
        self.to = f"127.0.0.1:{self.port}"
        if "answer" in arguments:
            self.ready(lambda: listened_on(self.port, transport))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the programs run; whatever still runs is ended."""
    started: list[Program] = []
    begin = Program._popen

    def popen(self: Program) -> object:
        started.append(self)
        return begin(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "_popen", popen)
        yield tmp_path
    for program in started:
        program.stop()


@pytest.mark.parametrize(("transport", "kind"), [("udp", "u1"), ("tcp", "t1")])
def test_sipp_calls(folder: Path, transport: str, kind: str) -> None:
    phone = Phone(folder, "answer", "--ring", "0.1", transport=transport)
    caller = Sipp(
        folder, "caller", CALL, "-d", "200", to=phone.to, calls=50, rate=25, transport=kind
    )
    caller.succeeded()
    assert phone.printed.count("Ended: the peer sent BYE") == 50


def test_sipp_calls_over_a_bad_line(folder: Path) -> None:
    # a tenth of what sipp sends and receives is lost; each of its steps is repeated until answered
    phone = Phone(folder, "answer", "--ring", "0.1")
    caller = Sipp(
        folder,
        "caller",
        CALL,
        *("-d", "200", "-lost", "10"),
        to=phone.to,
        calls=30,
        rate=15,
    )
    caller.finish(120.0)
    assert caller.statistic("SuccessfulCall") >= 29, caller.story  # a lost ACK may cost sipp one


def test_sipp_answers(folder: Path) -> None:
    callee = Sipp(folder, "callee", CALLEE, "-d", "100")
    phone = Phone(folder, "call", callee.uri, "--seconds", "0.3", "--calls", "5")
    assert phone.process.wait(60) == 0, phone.printed
    callee.succeeded(5)
    assert phone.printed.count("Answered: 200 OK") == 5


def test_sipp_refuses(folder: Path) -> None:
    busy: Scenario = (expect("INVITE"), send(answer("486 Busy Here"), again=True), expect("ACK"))
    callee = Sipp(folder, "callee", busy)
    phone = Phone(folder, "call", callee.uri)
    assert phone.process.wait(60) == 1
    callee.succeeded(1)
    assert "CallFailed: 486 Busy Here" in phone.printed


def test_sipp_holds_and_resumes(folder: Path) -> None:
    steps: Scenario = (
        *(INVITE, expect(100, optional=True), expect(180), expect(200, routes=True), ACK),
        send(in_dialog("INVITE", 2, direction="sendonly"), again=True),
        *(expect(100, optional=True), expect(200), send(in_dialog("ACK", 2, branch="ack2"))),
        send(in_dialog("INVITE", 3, direction="sendrecv"), again=True),
        *(expect(100, optional=True), expect(200), send(in_dialog("ACK", 3, branch="ack3"))),
        send(in_dialog("BYE", 4), again=True),
        expect(200),
    )
    phone = Phone(folder, "answer", "--ring", "0.1")
    caller = Sipp(folder, "caller", steps, to=phone.to, calls=5, wire=True)
    caller.succeeded()
    wire = (folder / "caller.wire").read_text(errors="replace")
    received = [text.partition("-----")[0] for text in wire.split("message received")[1:]]
    answers = [text for text in received if "SIP/2.0 200" in text and "CSeq: 2 INVITE" in text]
    assert len(answers) >= 5
    assert all("a=recvonly" in text for text in answers)
    assert phone.printed.count("Offered") == 10


def test_the_phone_holds_and_resumes(folder: Path) -> None:
    again = answer("200 OK", CONTACT, direction="recvonly", tag="")
    steps: Scenario = (
        *(expect("INVITE"), send(answer("200 OK", CONTACT, direction="sendrecv"), again=True)),
        expect("ACK"),
        *(expect("INVITE"), send(again, again=True), expect("ACK")),
        *(expect("INVITE"), send(again, again=True), expect("ACK")),
        *(expect("BYE"), OK),
    )
    callee = Sipp(folder, "callee", steps, wire=True)
    phone = Phone(folder, "call", callee.uri, "--hold", "--seconds", "1")
    assert phone.process.wait(60) == 0, phone.printed
    callee.succeeded(1)
    first, held, resumed = callee.texts("INVITE")
    assert "a=sendonly" in held
    assert "a=sendonly" not in resumed
    assert "tag=" in held.partition("\nTo:")[2].partition("\n")[0]
    assert "tag=" not in first.partition("\nTo:")[2].partition("\n")[0]


def test_sipp_cancels(folder: Path) -> None:
    steps: Scenario = (
        *(INVITE, expect(100, optional=True), expect(180)),
        *(send(cancel(), again=True), expect(200), expect(487), send(ack_failure())),
    )
    phone = Phone(folder, "answer", "--ring", "30")
    caller = Sipp(folder, "caller", steps, to=phone.to, calls=5)
    caller.succeeded()
    assert phone.printed.count("Ended: the caller cancelled") == 5


def test_sipp_requires_reliable_responses(folder: Path) -> None:
    # RFC 3262, with the answer in the 180
    rseq = '<ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" assign_to="rseq"/>'
    steps: Scenario = (
        send(invite("Require: 100rel"), again=True),
        expect(100, optional=True),
        expect(180, routes=True, do=rseq),
        send(in_dialog("PRACK", 2, "RAck: [$rseq] 1 INVITE"), again=True),
        expect(200),
        *(expect(200, routes=True), ACK),
        *(send(in_dialog("BYE", 3), again=True), expect(200)),
    )
    phone = Phone(folder, "answer", "--ring", "0.2", "--reliable")
    Sipp(folder, "caller", steps, to=phone.to, calls=5).succeeded()


def test_sipp_answers_early_and_reliably(folder: Path) -> None:
    early = answer("183 Session Progress", CONTACT, "Require: 100rel", "RSeq: 7", direction="x")
    steps: Scenario = (
        expect("INVITE", do=keep(1)),
        send(early.replace("a=x", "a=sendrecv")),
        *(expect("PRACK"), OK),
        pause(200),
        send(answer("200 OK", CONTACT, kept=1), again=True),
        expect("ACK"),
        *(expect("BYE"), OK),
    )
    callee = Sipp(folder, "callee", steps, wire=True)
    phone = Phone(folder, "call", callee.uri, "--seconds", "0.3")
    assert phone.process.wait(60) == 0, phone.printed
    callee.succeeded(1)
    [prack] = callee.texts("PRACK")
    assert "RAck: 7 1 INVITE" in prack


def test_sipp_leaves_the_offer_to_the_phone(folder: Path) -> None:
    contact = "Contact: <sip:alice@[local_ip]:[local_port];transport=[transport]>"
    steps: Scenario = (
        send(request("INVITE", contact), again=True),
        *(expect(100, optional=True), expect(180), expect(200, routes=True)),
        send(in_dialog("ACK", 1, branch="ack", direction="sendrecv")),
        *BYE,
    )
    phone = Phone(folder, "answer", "--ring", "0.1")
    Sipp(folder, "caller", steps, to=phone.to, calls=5).succeeded()
    assert phone.printed.count("Confirmed") == 5


def test_sipp_refreshes_its_session(folder: Path) -> None:
    # RFC 4028 and 3311
    timed = ("Supported: timer", "Session-Expires: 1800;refresher=uac")
    steps: Scenario = (
        send(invite("Supported: timer", "Session-Expires: 50"), again=True),
        *(expect(100, optional=True), expect(422), send(ack_failure())),
        send(invite(*timed, number=2), again=True),
        *(expect(100, optional=True), expect(180), expect(200, routes=True)),
        send(in_dialog("ACK", 2, branch="ack")),
        *(send(in_dialog("UPDATE", 3, *timed), again=True), expect(200)),
        *(send(in_dialog("BYE", 4), again=True), expect(200)),
    )
    phone = Phone(folder, "answer", "--ring", "0.1")
    caller = Sipp(folder, "caller", steps, to=phone.to, calls=3, wire=True)
    caller.succeeded()
    wire = (folder / "caller.wire").read_text(errors="replace")
    assert "Min-SE: 90" in wire
    assert wire.count("Session-Expires: 1800;refresher=uac") >= 3 * 4


def test_sipp_asks_what_the_phone_can_do(folder: Path) -> None:
    steps: Scenario = (
        *(send(request("OPTIONS"), again=True), expect(200)),
        *(send(request("PUBLISH", number=2), again=True), expect(405)),
        *(send(request("FROBNICATE", number=3), again=True), expect(501)),
        *(send(request("BYE", number=4), again=True), expect(481)),
        *(send(request("OPTIONS", "Require: frob", number=5), again=True), expect(420)),
    )
    phone = Phone(folder, "answer")
    Sipp(folder, "caller", steps, to=phone.to, calls=1).succeeded()
