"""When each machine sends again and gives up: RFC 3261 table 4, RFC 6026 section 8.11."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.sip.transaction.ends import DELAY, Ends, Sent, delivered

from trunkline.sip.timers import Timers
from trunkline.sip.transaction import (
    AckReceived,
    RequestReceived,
    ResponseReceived,
    State,
    TimedOut,
)
from trunkline.sip.transport import Transport

RELIABLE = [transport for transport in Transport if transport.reliable]


def lost(sent: Sent, number: int) -> Iterable[float]:
    return ()


def only_from_near(sent: Sent, number: int) -> Iterable[float]:
    return (DELAY,) if sent.end == "near" else ()


def only_from_far(sent: Sent, number: int) -> Iterable[float]:
    return (DELAY,) if sent.end == "far" or sent.what != "ACK" else ()


def test_timer_a_doubles_and_timer_b_ends_it() -> None:
    ends = Ends(fate=lost)
    client = ends.request("INVITE")
    ends.run()
    assert ends.times("near", "INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]  # 7 requests
    assert ends.times("near", "ACK") == []  # 17.1.1.2: Timer B makes no ACK
    assert ends.events("near", TimedOut) == [32]
    assert client.terminated
    ends.assert_forgotten()


def test_timer_e_doubles_up_to_t2_and_timer_f_ends_it() -> None:
    ends = Ends(fate=lost)
    ends.request("OPTIONS")
    ends.run()
    again = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert ends.times("near", "OPTIONS") == again
    assert ends.events("near", TimedOut) == [32]
    ends.assert_forgotten()


@pytest.mark.parametrize(
    ("provisional", "again"),
    [
        # Timer E that runs when the 1xx comes goes on; from then on it is T2
        (0.25, [0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]),
        (1.0, [0, 0.5, 1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]),
        (8.0, [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]),
    ],
)
def test_timer_e_is_t2_in_proceeding(provisional: float, again: list[float]) -> None:
    ends = Ends(fate=lost)
    ends.request("OPTIONS")
    ends.receive_at(provisional, 100)
    ends.run()
    assert ends.times("near", "OPTIONS") == again
    assert ends.statuses() == [100]
    assert ends.events("near", TimedOut) == [32]  # Timer F goes on too


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize(
    ("timers", "late"),
    [
        (Timers(), 3.5),  # 0.5 + 1 + 2, then Timer E is T2
        (Timers(t1=0.5, t2=3.0), 3.5),
        (Timers(t1=1.0, t2=4.0), 3.0),
        (Timers(t1=4.0, t2=4.0), 4.0),
    ],
)
def test_a_late_answer_is_announced_by_100(
    transport: Transport, timers: Timers, late: float
) -> None:
    """RFC 4320 4.1: no other 1xx, and not before Timer E of the client is T2."""
    ends = Ends(transport, answers=[(0, 183), (0, 100), (8, 200)], timers=timers)
    ends.request("OPTIONS")
    ends.request("INVITE")
    ends.run()
    assert ends.times("far", "183") == [DELAY]  # to the INVITE
    assert ends.times("far", "100")[0] == DELAY
    assert ends.times("far", "100")[1] == DELAY + late
    assert ends.statuses().count(200) == 2


def test_an_answer_in_time_needs_no_100() -> None:
    ends = Ends(answers=[(3.25, 200)])
    ends.request("OPTIONS")
    ends.run()
    assert ends.statuses() == [200]


def test_no_408_to_what_is_no_invite() -> None:
    ends = Ends(answers=[(5, 408)])
    ends.request("OPTIONS")
    ends.request("INVITE")
    ends.run(until=6)
    assert [sent.what for sent in ends.sent if sent.end == "far"] == ["100", "408"]
    assert [server.state for server in ends.servers] == [State.SILENT, State.CONFIRMED]


def test_timer_g_doubles_up_to_t2_and_timer_h_ends_it() -> None:
    ends = Ends(fate=only_from_far, answers=[(0, 486)])
    ends.request("INVITE")
    ends.run()
    again = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert ends.times("far", "486") == [DELAY + time for time in again]
    assert ends.events("far", TimedOut) == [DELAY + 32]
    assert ends.times("near", "ACK") == [2 * DELAY + time for time in again]
    assert ends.statuses() == [486]
    ends.assert_forgotten()


@pytest.mark.parametrize("transport", RELIABLE)
def test_nothing_is_sent_again_over_a_reliable_transport(transport: Transport) -> None:
    for method in ("INVITE", "OPTIONS"):
        ends = Ends(transport, fate=lost)
        ends.request(method)
        ends.run()
        assert ends.times("near", method) == [0]
        assert ends.events("near", TimedOut) == [32]
        ends.assert_forgotten()
    ends = Ends(transport, fate=only_from_far, answers=[(0, 603)])
    ends.request("INVITE")
    ends.run()
    assert len(ends.times("far", "603")) == 1
    assert ends.events("far", TimedOut) == [DELAY + 32]  # Timer H is for all transports


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize(
    ("method", "status", "near", "far"),
    [
        # after which a transaction is over when nothing is repeated: by UDP; by the others
        ("INVITE", 486, (32.0, 0.0), (5.0, 0.0)),  # D; I
        ("INVITE", 200, (32.0, 32.0), (32.0, 32.0)),  # M; L
        ("OPTIONS", 200, (5.0, 0.0), (32.0, 0.0)),  # K; J
        ("OPTIONS", 404, (5.0, 0.0), (32.0, 0.0)),
    ],
)
def test_how_long_a_finished_transaction_stays(
    transport: Transport,
    method: str,
    status: int,
    near: tuple[float, float],
    far: tuple[float, float],
) -> None:
    ends = Ends(transport, answers=[(0, status)])
    client = ends.request(method)
    ends.run(until=3 * DELAY)  # request, response, ACK
    [server] = ends.servers
    # Beginnings: the final response leaves at DELAY and arrives at 2, an ACK arrives at 3
    far_begins = 3 * DELAY if status == 486 else DELAY
    at = int(transport.reliable)
    for transaction, end in ((client, 2 * DELAY + near[at]), (server, far_begins + far[at])):
        if end > ends.now:
            ends.run(until=end - DELAY)
            assert not transaction.terminated
        ends.run(until=end)
        assert transaction.terminated
    ends.run()
    ends.assert_forgotten()


def test_the_lengths_follow_t1() -> None:
    ends = Ends(fate=lost, timers=Timers(t1=0.125, t2=0.5))
    ends.request("INVITE")
    ends.request("OPTIONS")
    ends.run()
    assert ends.times("near", "INVITE")[:3] == [0, 0.125, 0.375]
    assert ends.times("near", "OPTIONS")[:6] == [0, 0.125, 0.375, 0.875, 1.375, 1.875]
    assert ends.events("near", TimedOut) == [8, 8]


def test_no_invite_is_repeated_after_a_1xx() -> None:
    ends = Ends(answers=[(0, 100)])
    client = ends.request("INVITE")
    ends.run(until=600)
    assert ends.times("near", "INVITE") == [0]
    assert client.state is State.PROCEEDING  # no timer of the machine ends that: Timer C does
    assert ends.near.next_timeout() is None


def test_accepted_passes_each_2xx_until_timer_m() -> None:
    ends = Ends(answers=[(0, 200), (0.5, 200), (1.5, 200), (31.0, 200), (31.99, 200), (33, 200)])
    ends.request("INVITE")
    ends.run()
    # Timer L ended the server at DELAY + 32, so that its user's last 200 did not leave
    assert len(ends.times("far", "200")) == 5
    assert ends.statuses() == [200] * 5
    assert len(ends.events("near", ResponseReceived)) == 5


def test_accepted_absorbs_invites_and_passes_acks() -> None:
    ends = Ends(fate=only_from_near, answers=[(0, 200)])
    client = ends.request("INVITE")
    ends.run(until=20)
    assert len(ends.times("near", "INVITE")) == 6
    assert len(ends.events("far", RequestReceived)) == 1
    assert ends.times("far", "200") == [DELAY]  # RFC 6026 7.1: the machine repeats no 2xx
    assert ends.far.counters.absorbed == 5
    [server] = ends.servers
    ack = ends.sent[0].data.replace(b"INVITE sip", b"ACK sip").replace(b"1 INVITE", b"1 ACK")
    assert isinstance(ends.far.receive(ack, ends.to_near, ends.now), AckReceived)
    assert server.state is State.ACCEPTED
    assert client.state is State.CALLING


@pytest.mark.parametrize("late", [31.75, 32.25])
def test_a_response_on_either_side_of_timer_f(late: float) -> None:
    ends = Ends(fate=lost)
    ends.request("OPTIONS")
    ends.receive_at(late, 200)
    ends.run()
    assert ends.statuses() == ([200] if late < 32 else [])
    assert len(ends.events("near", TimedOut)) == (0 if late < 32 else 1)
    assert ends.near.counters.strays == (0 if late < 32 else 1)


def test_a_layer_that_slept_does_everything_once() -> None:
    """The timers of a minute come up in one go: each transaction is told its end, no more."""
    ends = Ends(fate=delivered)
    ends.request("INVITE")
    ends.request("OPTIONS")
    ends.near.data_to_send()
    events = ends.near.on_timeout(100.0)
    assert [type(event) for event in events] == [TimedOut, TimedOut]
    assert [len(data) for _, data in ends.near.data_to_send()]  # the retransmissions before
    assert ends.near.on_timeout(200.0) == []
    ends.now = 200.0
    ends.assert_forgotten()


def test_responses_that_come_too_late_for_their_server_are_not_sent() -> None:
    ends = Ends(Transport.TCP, answers=[(0, 200), (1, 200), (1, 404)])
    ends.request("OPTIONS")
    ends.run()
    assert [sent.what for sent in ends.sent] == ["OPTIONS", "200"]


def test_the_last_provisional_is_repeated_on_request() -> None:
    def second_invite(sent: Sent, number: int) -> Iterable[float]:
        return (DELAY, 10.0) if sent.what == "INVITE" else (DELAY,)

    ends = Ends(fate=second_invite, answers=[(0, 100), (1, 180), (2, 183)])
    ends.request("INVITE")
    ends.run(until=20)
    assert [(s.what, s.time) for s in ends.sent if s.end == "far"] == [
        ("100", DELAY),
        ("180", 1 + DELAY),
        ("183", 2 + DELAY),
        ("183", 10.0),
    ]
    assert ends.statuses() == [100, 180, 183, 183]


def test_a_final_response_is_taken_once() -> None:
    ends = Ends(answers=[(0, 404), (0, 200), (0.25, 500), (0.25, 180)])
    for method in ("OPTIONS", "INVITE"):
        ends.request(method)
    ends.run()
    assert ends.statuses() == [404, 404]
    assert {s.what for s in ends.sent} == {"OPTIONS", "INVITE", "404", "ACK"}
