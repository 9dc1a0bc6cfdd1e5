"""Calls between two sipps over one proxy: answered, held, given up, refused, forked."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.interop.sip.scenarios import (
    ACK,
    ANSWER,
    BYE,
    CALLEE,
    OK,
    PAUSE,
    RINGING,
    ack_failure,
    answer,
    cancel,
    expect,
    in_dialog,
    invite,
    keep,
    pause,
    send,
)
from tests.interop.sip.site import Site

pytestmark = pytest.mark.interop

TO_CALLEE = """
@on_request()
def route(request: Request) -> None:
    request.relay(via="{}")
"""

ASK = (send(invite(), again=True), expect(100, optional=True), expect(180, optional=True))
REFUSED = (*ASK, expect(486), send(ack_failure()))
BUSY = (expect("INVITE"), PAUSE, send(answer("486 Busy Here"), again=True), expect("ACK"))
RINGS = (expect("INVITE", do=keep()), RINGING)
GIVES_UP = (
    expect("CANCEL"),
    OK,
    send(answer("487 Request Terminated", kept=2), again=True),
    expect("ACK"),
)
"""What a callee does that is cancelled."""


def test_calls_are_set_up_and_ended(site: Site) -> None:
    callee = site.callee()
    node = site.node(TO_CALLEE.format(callee.uri))
    caller = site.caller(node.address, calls=20)
    caller.succeeded()
    callee.succeeded(20)
    assert callee.statistic("Retransmissions") == caller.statistic("Retransmissions") == 0
    # ACK and BYE came by the route that was recorded, to the callee's own address
    for method in ("ACK", "BYE"):
        lines = {seen.line for seen in callee.received(method)}
        assert lines == {f"{method} sip:bob@127.0.0.1:{callee.port};transport=UDP SIP/2.0"}
    node.healthy()


def test_no_route_is_recorded_where_none_is_wanted(site: Site) -> None:
    callee = site.callee(wire=True)
    # SIPp sends its ACK and BYE here all the same
    later = "@in_dialog()\ndef later(request):\n    request.relay(request.uri)\n"
    node = site.node(TO_CALLEE.format(callee.uri) + later, settings="record_route = false")
    site.caller(node.address).succeeded()
    callee.succeeded(1)
    [text] = callee.texts("INVITE")
    assert "Record-Route" not in text


def test_a_call_is_held_and_resumed(site: Site) -> None:
    def again(number: int, direction: str) -> tuple[str, ...]:
        change = in_dialog("INVITE", number, direction=direction)
        ack = in_dialog("ACK", number, branch=f"ack{number}")
        return (send(change, again=True), expect(100, optional=True), expect(200), send(ack))

    bye = in_dialog("BYE", 4)
    holds = (*ASK, expect(200, routes=True), ACK, *again(2, "sendonly"), *again(3, "sendrecv"))
    held = answer("200 OK", "Contact: <sip:bob@[local_ip]:[local_port]>", direction="{}", tag="")
    obeys = (
        *(expect("INVITE"), RINGING, ANSWER, expect("ACK")),
        *(expect("INVITE"), send(held.format("recvonly"), again=True), expect("ACK")),
        *(expect("INVITE"), send(held.format("sendrecv"), again=True), expect("ACK")),
        *(expect("BYE"), OK),
    )
    callee = site.callee(obeys, wire=True)
    node = site.node(TO_CALLEE.format(callee.uri))
    caller = site.caller(node.address, (*holds, send(bye, again=True), expect(200)), calls=5)
    caller.succeeded()
    callee.succeeded(5)
    assert len(callee.received("INVITE")) == 15
    directions = Counter(text.rpartition("a=")[2].strip() for text in callee.texts("INVITE"))
    assert directions == {"sendrecv": 10, "sendonly": 5}
    node.healthy()


def test_a_cancel_before_any_ringing_waits_for_it(site: Site) -> None:
    callee = site.callee(
        (expect("INVITE", do=keep()), pause(700), RINGING, *GIVES_UP),
    )
    node = site.node(TO_CALLEE.format(callee.uri))
    caller = site.caller(
        node.address,
        (
            *(send(invite(), again=True), expect(100), send(cancel(), again=True), expect(200)),
            *(expect(180, optional=True), expect(487), send(ack_failure())),
        ),
    )
    caller.succeeded()
    callee.succeeded(1)
    # RFC 3261 section 9.1: no CANCEL goes out before a provisional response came
    order = [seen.method or seen.status for seen in callee.messages]
    assert order[order.index("CANCEL") - 1] == 180 or 180 in order[: order.index("CANCEL")]
    ringing = next(seen.time for seen in callee.messages if seen.status == 180)
    assert all(seen.time >= ringing for seen in callee.received("CANCEL"))
    node.healthy()


def test_a_cancel_of_a_ringing_call(site: Site) -> None:
    callee = site.callee((*RINGS, *GIVES_UP))
    node = site.node(TO_CALLEE.format(callee.uri))
    caller = site.caller(
        node.address,
        (
            *(send(invite(), again=True), expect(100, optional=True), expect(180)),
            *(send(cancel(), again=True), expect(200), expect(487), send(ack_failure())),
        ),
        calls=10,
    )
    caller.succeeded()
    callee.succeeded(10)
    assert len(callee.received("CANCEL")) == 10
    node.healthy()


def test_a_cancel_too_late_changes_nothing(site: Site) -> None:
    callee = site.callee()
    node = site.node(TO_CALLEE.format(callee.uri))
    caller = site.caller(
        node.address,
        (*ASK, expect(200, routes=True), ACK, send(cancel(), again=True), expect(200), *BYE),
    )
    caller.succeeded()
    callee.succeeded(1)
    assert callee.received("CANCEL") == []


def test_a_refusal_reaches_the_caller_and_is_acknowledged_hop_by_hop(site: Site) -> None:
    callee = site.callee(BUSY)
    node = site.node(TO_CALLEE.format(callee.uri))
    caller = site.caller(node.address, REFUSED, calls=10)
    caller.succeeded()
    callee.succeeded(10)
    assert caller.statistic("Retransmissions") == callee.statistic("Retransmissions") == 0
    assert len(callee.received("ACK")) == 10


FORK = """
@on_request()
def route(request: Request) -> None:
    request.fork({})
"""


def test_parallel_fork_of_a_busy_and_a_free_phone(site: Site) -> None:
    busy = site.callee(BUSY, name="busy")
    free = site.callee(CALLEE, "-d", "200", name="free")
    node = site.node(FORK.format([busy.uri, free.uri]))
    caller = site.caller(node.address, calls=10)
    caller.succeeded()
    busy.succeeded(10)
    free.succeeded(10)
    assert caller.received(486) == []
    node.healthy()


def test_parallel_fork_cancels_who_still_rings(site: Site) -> None:
    slow = site.callee((*RINGS, *GIVES_UP), name="slow")
    quick = site.callee(CALLEE, "-d", "300", name="quick")
    node = site.node(FORK.format([slow.uri, quick.uri]))
    caller = site.caller(
        node.address,
        (*ASK, expect(180, optional=True), expect(200, routes=True), ACK, *BYE),
        calls=10,
    )
    caller.succeeded()
    slow.succeeded(10)
    quick.succeeded(10)
    assert caller.received(487) == []
    node.healthy()


def test_both_of_a_parallel_fork_answer(site: Site) -> None:
    # The second answers while the CANCEL is on its way: its 200 is passed on like the first.
    first = site.callee((expect("INVITE"), PAUSE, ANSWER, expect("ACK")), "-d", "200", name="first")
    contact = "Contact: <sip:carol@[local_ip]:[local_port]>"
    late = send(answer("200 OK", contact, direction="sendrecv", kept=2), again=True)
    second = site.callee(
        (*RINGS, expect("CANCEL"), OK, late, expect("ACK"), expect("BYE"), OK), name="second"
    )
    node = site.node(FORK.format([first.uri, second.uri]))
    contact = '<ereg regexp="sip:[^>]*" search_in="hdr" header="Contact:" assign_to="second"/>'
    to_second = "[$second]"  # sipp itself keeps to the first
    caller = site.caller(
        node.address,
        (
            *(*ASK, expect(200, routes=True), ACK, expect(200, do=contact)),
            send(in_dialog("ACK", 1, branch="ack2", uri=to_second)),
            *(send(in_dialog("BYE", 2, uri=to_second), again=True), expect(200)),
        ),
        calls=5,
    )
    caller.succeeded()
    first.succeeded(5)
    second.succeeded(5)
    node.healthy()


def test_serial_fork_goes_on_after_each_refusal(site: Site) -> None:
    one, two = (site.callee(BUSY, name=name) for name in ("one", "two"))
    three = site.callee(name="three")
    node = site.node(FORK.format(f"{one.uri!r}, {two.uri!r}, {three.uri!r}"))
    caller = site.caller(node.address, calls=10)
    caller.succeeded()
    for callee in (one, two, three):
        callee.succeeded(10)
    order = [
        min(seen.time for seen in callee.received("INVITE") if seen.call_id.startswith("1-"))
        for callee in (one, two, three)
    ]
    assert order == sorted(order)
    node.healthy()


def test_when_all_refuse_the_best_answer_is_passed_back(site: Site) -> None:
    def refuses(line: str) -> tuple[str, ...]:
        return (expect("INVITE"), send(answer(line), again=True), expect("ACK"))

    gone = site.callee(refuses("503 Service Unavailable"), name="gone")
    busy = site.callee(refuses("486 Busy Here"), name="busy")
    node = site.node(FORK.format([gone.uri, busy.uri]))
    caller = site.caller(node.address, REFUSED, calls=5)
    caller.succeeded()
    gone.succeeded(5)
    busy.succeeded(5)
    node.healthy()
