"""Calls between two exchanges: what goes well, and what the standard foresees when it does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.ss7.isup.exchanges import HIGH, LOW, Pair, simple

from trunkline.errors import TrunklineError
from trunkline.ss7.isup import events as ev
from trunkline.ss7.isup.call import SetupRefused, Trunks
from trunkline.ss7.isup.cause import CauseValue, Location
from trunkline.ss7.isup.circuits import Control, Timer
from trunkline.ss7.isup.codec import build
from trunkline.ss7.isup.messages import MessageType
from trunkline.ss7.isup.settings import Settings
from trunkline.ss7.isup.table import State

M = MessageType


@pytest.fixture
def pair() -> Pair:
    return Pair()


# The calls of Q.764 2.1 to 2.3


def test_an_answered_call(pair: Pair) -> None:
    outgoing, incoming = pair.call("+4416960601")
    (offered,) = pair.high.of(ev.IncomingCall)
    assert (offered.called, offered.calling) == ("+4416960601", "+4416960600")
    assert (offered.opc, offered.complete) == (LOW, True)
    pair.advance(10)
    pair.high.trunks.alert(incoming, pair.now)
    pair.carry()
    assert pair.low.of(ev.Alerting) == [ev.Alerting(outgoing, subscriber_free=True)]
    pair.advance(10)
    pair.high.trunks.answer(incoming, pair.now)
    pair.carry()
    assert pair.low.of(ev.Answered) == [ev.Answered(outgoing)]
    pair.advance(3600)  # no timer runs in an answered call
    call = pair.low.trunks.calls[outgoing]
    assert (call.answered, call.ref, call.dpc) == (True, "ref", HIGH)
    ended = pair.low.trunks.release(outgoing, CauseValue.NORMAL_CALL_CLEARING, pair.now)
    assert ended == [ev.Released(outgoing, 16, Location.USER, by_peer=False)]
    pair.carry()
    assert pair.high.ended(incoming) == ev.Released(incoming, 16, Location.USER, by_peer=True)
    assert pair.low.sent == ["IAM", "REL"]
    assert pair.high.sent == ["ACM", "ANM", "RLC"]
    pair.assert_quiet()


def test_the_called_party_hangs_up_first(pair: Pair) -> None:
    outgoing, incoming = pair.answered_call()
    pair.high.trunks.release(incoming, 16, pair.now)
    pair.carry()
    assert pair.low.ended(outgoing) == ev.Released(outgoing, 16, Location.USER, by_peer=True)
    pair.assert_quiet()


def test_an_answer_without_alerting_is_con(pair: Pair) -> None:
    outgoing, incoming = pair.call()
    pair.high.trunks.answer(incoming, pair.now)
    pair.carry()
    assert pair.high.sent == ["CON"]
    assert pair.low.of(ev.Answered) == [ev.Answered(outgoing)]


def test_anm_without_acm_is_an_answer(pair: Pair) -> None:
    outgoing, _ = pair.call()
    pair.inject(pair.low, simple(M.ANM, pair.low.trunks.calls[outgoing].cic))
    assert pair.low.of(ev.Answered) == [ev.Answered(outgoing)]
    assert pair.low.trunks.next_timeout() is None


def test_busy(pair: Pair) -> None:
    outgoing, incoming = pair.call()
    pair.high.trunks.release(incoming, CauseValue.USER_BUSY, pair.now)
    pair.carry()
    assert pair.low.ended(outgoing) == ev.Released(outgoing, 17, Location.USER, by_peer=True)
    pair.assert_quiet()


def test_the_caller_abandons(pair: Pair) -> None:
    outgoing, incoming = pair.call()
    pair.high.trunks.alert(incoming, pair.now)
    pair.carry()
    pair.low.trunks.release(outgoing, 16, pair.now)
    pair.carry()
    assert isinstance(pair.high.ended(incoming), ev.Released)
    pair.assert_quiet()


def test_abandoning_while_the_acm_is_on_its_way(pair: Pair) -> None:
    outgoing, incoming = pair.call()
    pair.high.trunks.alert(incoming, pair.now)
    pair.low.trunks.release(outgoing, 16, pair.now)
    pair.carry()
    assert not pair.low.of(ev.Alerting)
    pair.assert_quiet()


def test_simultaneous_release(pair: Pair) -> None:
    outgoing, incoming = pair.answered_call()
    pair.low.trunks.release(outgoing, 16, pair.now)
    pair.high.trunks.release(incoming, 16, pair.now)
    pair.carry()
    assert pair.low.sent[-2:] == pair.high.sent[-2:] == ["REL", "RLC"]
    pair.assert_quiet()


def test_more_digits(pair: Pair) -> None:
    _, incoming = pair.call()
    cic = pair.high.trunks.calls[incoming].cic
    pair.inject(pair.high, simple(M.SAM, cic))
    assert pair.high.of(ev.MoreDigits) == [ev.MoreDigits(incoming, "12", complete=False)]
    assert pair.high.trunks.calls[incoming].called == "300512"


def test_progress_suspend_and_resume(pair: Pair) -> None:
    outgoing, _ = pair.answered_call()
    cic = pair.low.trunks.calls[outgoing].cic
    for kind in (M.CPG, M.SUS, M.RES):
        pair.inject(pair.low, simple(kind, cic))
    assert pair.low.of(ev.Progress) == [ev.Progress(outgoing, 1)]
    assert pair.low.of(ev.Suspended) == [ev.Suspended(outgoing, network_initiated=True)]
    assert pair.low.of(ev.Resumed) == [ev.Resumed(outgoing, network_initiated=True)]
    assert outgoing in pair.low.trunks.calls


# Timers


def test_no_acm_ends_the_call_by_t7(pair: Pair) -> None:
    outgoing, incoming = pair.call()
    pair.advance(24.9)
    assert outgoing in pair.low.trunks.calls
    pair.advance(0.2)
    ended = pair.low.ended(outgoing)
    assert isinstance(ended, ev.CallFailed)
    assert ended.cause == CauseValue.RECOVERY_ON_TIMER_EXPIRY
    assert pair.high.ended(incoming).cause == CauseValue.RECOVERY_ON_TIMER_EXPIRY
    pair.assert_quiet()


def test_no_answer_ends_the_call_by_t9(pair: Pair) -> None:
    outgoing, incoming = pair.call()
    pair.high.trunks.alert(incoming, pair.now)
    pair.carry()
    pair.advance(119)
    assert outgoing in pair.low.trunks.calls
    pair.advance(2)
    ended = pair.low.ended(outgoing)
    assert isinstance(ended, ev.CallFailed)
    assert ended.cause == CauseValue.NO_ANSWER_FROM_USER
    pair.assert_quiet()


def test_a_lost_rlc_is_asked_for_again_by_t1(pair: Pair) -> None:
    outgoing, _ = pair.answered_call()
    pair.lost = lambda message: message.type == M.RLC
    pair.low.trunks.release(outgoing, 16, pair.now)
    pair.carry()
    pair.advance(31)
    assert pair.low.sent.count("REL") == 3
    assert pair.low.trunks.counters.releases_repeated == 2
    pair.lost = lambda message: False
    pair.advance(15)
    pair.assert_quiet()


def test_a_hung_circuit_is_reset_by_t5_and_again_by_t17(pair: Pair) -> None:
    outgoing, _ = pair.answered_call()
    cic = pair.low.trunks.calls[outgoing].cic
    pair.lost = lambda message: message.cic == cic
    pair.low.trunks.release(outgoing, 16, pair.now)
    pair.carry()
    pair.advance(299)
    assert "RSC" not in pair.low.sent
    pair.advance(2)
    assert pair.low.of(ev.MaintenanceAlert) == [
        ev.MaintenanceAlert(HIGH, cic, "T5: REL was not answered")
    ]
    repeated = pair.low.sent.count("REL")
    pair.advance(299)
    assert pair.low.sent.count("RSC") == 2
    assert pair.low.sent.count("REL") == repeated
    assert pair.low.trunks.groups["high"].circuits[cic].state is State.RESETTING
    assert pair.low.trunks.groups["high"].idle == 3  # the others work on
    pair.lost = lambda message: False
    pair.advance(301)
    pair.assert_quiet()


def test_t16_and_t17_after_a_reset(pair: Pair) -> None:
    pair.lost = lambda message: True
    pair.low.trunks.reset("high", pair.now)
    pair.carry()
    pair.advance(299)
    assert pair.low.sent.count("RSC") == 4 * (1 + 19)  # every 15 s
    assert not pair.low.of(ev.MaintenanceAlert)
    pair.advance(2)
    assert len(pair.low.of(ev.MaintenanceAlert)) == 4
    so_far = pair.low.sent.count("RSC")
    pair.advance(200)
    assert pair.low.sent.count("RSC") == so_far  # T17 alone runs now
    pair.lost = lambda message: False
    pair.advance(101)
    pair.assert_quiet()


def test_every_timer_can_be_set() -> None:
    settings = Settings(t1=1, t5=2, t7=3, t9=4, t16=5, t17=6)
    assert [settings.seconds(timer) for timer in Timer] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(TrunklineError) as refusal:
        Settings(t7=0)
    assert refusal.value.code == "isup.settings"


# Circuit selection and dual seizure (2.9.1)


def test_each_end_takes_its_own_circuits_first_and_the_longest_idle() -> None:
    pair = Pair(range(1, 7))
    low = [pair.low.trunks.setup("high", "1", "", 0.0).cic for _ in range(5)]
    assert low == [1, 3, 5, 6, 4]  # the lower point code controls the odd ones
    high = [pair.high.trunks.setup(LOW, "1", "", 0.0).cic for _ in range(3)]
    assert high == [2, 4, 6]


@pytest.mark.parametrize(
    ("own_pc", "control", "first"),
    [
        (HIGH, "point-code", 2),
        (LOW, "point-code", 1),
        (LOW, "even", 2),
        (HIGH, "odd", 1),
    ],
)
def test_who_controls_what(own_pc: int, control: Control, first: int) -> None:
    trunks = Trunks(Settings(), own_pc)
    dpc = HIGH if own_pc == LOW else LOW
    trunks.add_group("other", dpc, range(1, 5), control)
    assert trunks.setup("other", "1", "", 0.0).cic == first


@pytest.mark.parametrize("cic", [6, 7])
def test_dual_seizure(cic: int) -> None:
    """One circuit: the IAM of the end that controls it wins, the other end's call fails."""
    pair = Pair(range(cic, cic + 1))
    winner, loser = (pair.high, pair.low) if cic % 2 == 0 else (pair.low, pair.high)
    kept = winner.trunks.setup(loser.pc, "1111", "", pair.now)
    backed_off = loser.trunks.setup(winner.pc, "2222", "", pair.now)
    pair.carry()
    assert (kept.circuit is not None, backed_off.circuit) == (True, None)
    ended = loser.ended(backed_off.id)
    assert isinstance(ended, ev.CallFailed)
    assert ended.cause == CauseValue.NO_CIRCUIT_AVAILABLE
    (offered,) = loser.of(ev.IncomingCall)
    assert offered.called == "1111"
    assert not winner.of(ev.IncomingCall)
    assert winner.trunks.counters.dual_seizures == loser.trunks.counters.dual_seizures == 1
    loser.trunks.answer(offered.call_id, pair.now)
    pair.carry()
    winner.trunks.release(kept.id, 16, pair.now)
    pair.carry()
    pair.assert_quiet()


def test_the_ends_meet_only_at_the_last_circuit() -> None:
    pair = Pair(range(1, 7))
    for _ in range(3):  # each time before the other end's IAM has arrived
        pair.low.trunks.setup("high", "1111", "", pair.now)
        pair.high.trunks.setup("low", "2222", "", pair.now)
    pair.carry()
    assert pair.low.trunks.counters.dual_seizures == 0
    assert len(pair.low.trunks.calls) == len(pair.high.trunks.calls) == 6


def test_the_loser_goes_to_a_free_circuit() -> None:
    pair = Pair(range(2, 5, 2))  # 2 and 4: the high end controls both
    low = pair.low.trunks.setup("high", "1111", "", pair.now)
    taken = low.cic
    pair.inject(pair.low, simple(M.IAM, taken))
    assert low.cic != taken
    assert pair.low.of(ev.CircuitChanged) == [ev.CircuitChanged(low.id, low.cic)]
    assert (low.attempts, pair.low.trunks.counters.repeat_attempts) == (2, 1)
    assert [octets[2] for _, _, octets in pair.low.trunks.data_to_send()] == [M.IAM, M.IAM]


def test_repeat_attempts_are_bounded() -> None:
    pair = Pair(range(2, 40, 2), Settings(repeat_attempts=2))
    low = pair.low.trunks.setup("high", "1111", "", pair.now)
    for _ in range(3):
        pair.inject(pair.low, simple(M.IAM, low.cic))
    ended = pair.low.ended(low.id)
    assert isinstance(ended, ev.CallFailed)
    assert low.attempts == 3


# Reset (2.9.3)


def test_a_restarted_peer_resets_and_the_call_ends(pair: Pair) -> None:
    outgoing, incoming = pair.answered_call()
    pair.high.events += pair.high.trunks.reset("low", pair.now)
    pair.carry()
    for end in (pair.low.ended(outgoing), pair.high.ended(incoming)):
        assert isinstance(end, ev.CallFailed)
        assert end.cause == CauseValue.TEMPORARY_FAILURE
    pair.assert_quiet()


def test_a_reset_that_got_nowhere_is_sent_again_when_the_destination_is_back(pair: Pair) -> None:
    pair.lost = lambda message: True
    pair.low.trunks.reset("high", pair.now)
    pair.carry()
    pair.low.trunks.pause(HIGH, pair.now)
    pair.lost = lambda message: False
    pair.low.trunks.resume(HIGH, pair.now)
    pair.carry()
    pair.assert_quiet()  # long before T16


def test_both_ends_reset_at_once(pair: Pair) -> None:
    pair.low.trunks.reset("high", pair.now)
    pair.high.trunks.reset("low", pair.now)
    pair.carry()
    pair.assert_quiet()


def test_a_reset_before_any_answer_moves_the_call(pair: Pair) -> None:
    call = pair.low.trunks.setup("high", "1", "", pair.now)
    first = call.cic
    pair.inject(pair.low, simple(M.RSC, first))
    assert call.circuit is not None
    assert call.cic != first


def test_a_group_reset(pair: Pair) -> None:
    outgoing, _ = pair.answered_call()
    waiting = pair.low.trunks.setup("high", "1", "", pair.now)
    pair.low.trunks.data_to_send()
    pair.inject(pair.low, bytes.fromhex("0100 17 01 01 03"))
    assert isinstance(pair.low.ended(outgoing), ev.CallFailed)
    # The other call was to move, but the reset circuits are all there are: it moves among them.
    assert waiting.circuit is not None
    sent = [octets for _, _, octets in pair.low.trunks.data_to_send()]
    assert sent[0] == bytes.fromhex("0100 29 01 02 03 00")
    assert [octets[2] for octets in sent[1:]] == [M.IAM]


@pytest.mark.parametrize("octets", ["0100170101ff", "010017010100", "010017010104", "01001702"])
def test_a_group_reset_beyond_the_group_is_discarded(pair: Pair, octets: str) -> None:
    outgoing, _ = pair.answered_call()
    pair.inject(pair.low, bytes.fromhex(octets))
    assert outgoing in pair.low.trunks.calls
    assert pair.low.trunks.data_to_send() == []
    assert len(pair.low.of(ev.Discarded)) == 1


# MTP-PAUSE and MTP-RESUME (2.14)


def test_a_call_that_is_up_survives_a_pause(pair: Pair) -> None:
    outgoing, incoming = pair.answered_call()
    for exchange, dpc in ((pair.low, HIGH), (pair.high, LOW)):
        exchange.events += exchange.trunks.pause(dpc, pair.now)
    pair.advance(600)
    assert outgoing in pair.low.trunks.calls
    assert incoming in pair.high.trunks.calls
    with pytest.raises(SetupRefused) as refusal:
        pair.low.trunks.setup("high", "3005", "", pair.now)
    assert (refusal.value.code, refusal.value.cause) == ("isup.paused", 27)
    for exchange, dpc in ((pair.low, HIGH), (pair.high, LOW)):
        exchange.events += exchange.trunks.resume(dpc, pair.now)
    pair.call()
    for call in tuple(pair.low.trunks.calls):
        pair.low.trunks.release(call, 16, pair.now)
    pair.carry()
    pair.assert_quiet()


def test_a_call_without_acm_fails_at_a_pause_and_an_alerting_one_does_not(pair: Pair) -> None:
    alerting, incoming = pair.call()
    pair.high.trunks.alert(incoming, pair.now)
    pair.carry()
    waiting, _ = pair.call()
    pair.low.events += pair.low.trunks.pause(HIGH, pair.now)
    ended = pair.low.ended(waiting)
    assert isinstance(ended, ev.CallFailed)
    assert ended.cause == CauseValue.DESTINATION_OUT_OF_ORDER
    assert alerting in pair.low.trunks.calls


def test_a_release_during_a_pause_is_completed_after_it(pair: Pair) -> None:
    outgoing, incoming = pair.answered_call()
    pair.low.trunks.pause(HIGH, pair.now)
    pair.lost = lambda message: True  # MTP has no route
    pair.low.trunks.release(outgoing, 16, pair.now)
    pair.carry()
    pair.advance(40)
    pair.low.trunks.resume(HIGH, pair.now)
    pair.lost = lambda message: False
    pair.advance(15)
    assert isinstance(pair.high.ended(incoming), ev.Released)
    pair.assert_quiet()


def test_no_repeat_attempt_towards_a_paused_exchange(pair: Pair) -> None:
    alive = pair.low.trunks.setup("high", "1", "", pair.now)
    pair.low.trunks._paused.add(HIGH)
    pair.inject(pair.low, simple(M.RSC, alive.cic))
    assert pair.low.ended(alive.id).cause == CauseValue.DESTINATION_OUT_OF_ORDER


# Refusals


def test_requests_that_do_not_fit(pair: Pair) -> None:
    outgoing, incoming = pair.call()
    for request in (pair.low.trunks.alert, pair.low.trunks.answer):
        with pytest.raises(TrunklineError) as refusal:
            request(outgoing, pair.now)
        assert refusal.value.code == "isup.call-state"
    pair.high.trunks.alert(incoming, pair.now)
    with pytest.raises(TrunklineError, match="ICC wait for ANM"):
        pair.high.trunks.alert(incoming, pair.now)
    with pytest.raises(TrunklineError) as refusal:
        pair.low.trunks.release(99, 16, pair.now)
    assert refusal.value.code == "isup.unknown-call"


@pytest.mark.parametrize(
    ("to", "called", "code"),
    [
        ("nowhere", "1", "isup.unknown-group"),
        (5, "1", "isup.unknown-group"),
        ("high", "", "isup.digits"),
        ("high", "12x", "isup.digits"),
        ("high", "1" * 33, "isup.digits"),
        ("high", "+", "isup.digits"),
        ("high", "F", "isup.digits"),
        ("high", "1F2", "isup.digits"),
        ("high", "1A", "isup.digits"),
    ],
)
def test_calls_that_cannot_be_set_up(pair: Pair, to: str | int, called: str, code: str) -> None:
    with pytest.raises(TrunklineError) as refusal:
        pair.low.trunks.setup(to, called, "", pair.now)
    assert refusal.value.code == code
    pair.assert_quiet()


@pytest.mark.parametrize("called", ["1", "+" + "9" * 32, "0" * 31, "B1c", "12F"])
def test_numbers_at_the_limits(pair: Pair, called: str) -> None:
    pair.low.trunks.setup("high", called, "+1", pair.now)
    pair.carry()
    (offered,) = pair.high.of(ev.IncomingCall)
    assert offered.called == called.upper().removesuffix("F")
    assert (offered.calling, offered.complete) == ("+1", True)


@pytest.mark.parametrize("cic", [0, 4095])
def test_the_first_and_the_last_circuit(cic: int) -> None:
    pair = Pair(range(cic, cic + 1))
    call = pair.low.trunks.setup("high", "1", "", pair.now)
    pair.carry()
    (offered,) = pair.high.of(ev.IncomingCall)
    assert (call.cic, offered.cic) == (cic, cic)
    pair.inject(pair.low, build(M.GRS, cic, [b"\x01"]))  # names circuit cic + 1, too
    assert [event.code for event in pair.low.of(ev.Discarded)] == ["isup.range"]
    pair.low.trunks.release(call.id, 16, pair.now)
    pair.carry()
    pair.assert_quiet()


def test_a_group_may_have_gaps(pair: Pair) -> None:
    pair.low.trunks.add_group("gaps", 9, (15, 17))
    assert [pair.low.trunks.setup("gaps", "1", "", pair.now).cic for _ in range(2)] == [17, 15]


def test_all_circuits_busy(pair: Pair) -> None:
    for _ in range(4):
        pair.call()
    with pytest.raises(SetupRefused) as refusal:
        pair.low.trunks.setup("high", "1", "", pair.now)
    assert (refusal.value.code, refusal.value.cause) == ("isup.no-circuit", 34)


@pytest.mark.parametrize(
    ("name", "dpc", "cics", "code"),
    [
        ("high", 9, range(1, 2), "isup.group"),
        ("more", HIGH, range(4, 9), "isup.group"),
        ("more", 9, range(0), "isup.group"),
        ("more", 9, range(4000, 4097), "isup.group"),
        ("more", 9, (1, 2, 1), "isup.group"),
        ("more", 9, range(1, 40), "isup.circuit-limit"),
    ],
)
def test_groups_that_cannot_be_added(name: str, dpc: int, cics: Sequence[int], code: str) -> None:
    pair = Pair(settings=Settings(circuit_limit=20))
    with pytest.raises(TrunklineError) as refusal:
        pair.low.trunks.add_group(name, dpc, cics)
    assert refusal.value.code == code


def test_the_transmission_buffer_is_bounded() -> None:
    pair = Pair(range(1, 9), Settings(transmit_limit=3))
    for _ in range(5):
        pair.low.trunks.setup("high", "1", "", pair.now)
    assert len(pair.low.trunks.data_to_send()) == 3
    assert pair.low.trunks.counters.transmit_overflow == 2


def test_sls_follows_the_cic() -> None:
    pair = Pair(range(0x11, 0x41))
    for _ in range(48):
        pair.low.trunks.setup("high", "1", "", pair.now)
    sls = [(parse_cic(octets), sls) for _, sls, octets in pair.low.trunks.data_to_send()]
    assert all(cic & 0xF == s for cic, s in sls)
    assert {s for _, s in sls} == set(range(16))


def parse_cic(octets: bytes) -> int:
    return octets[0] | (octets[1] & 0xF) << 8


def test_timers_do_not_pile_up() -> None:
    pair = Pair(range(1, 3))
    for _ in range(3000):
        outgoing, _ = pair.answered_call()
        pair.low.trunks.release(outgoing, 16, pair.now)
        pair.carry()
    assert len(pair.low.trunks._timers._heap) <= 1026
    pair.assert_quiet()
