"""Unexpected, unknown and hostile messages, blocking, and the table itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ss7.isup.exchanges import HIGH, LOW, Pair, simple

from trunkline.errors import TrunklineError
from trunkline.ss7.isup import events as ev
from trunkline.ss7.isup.call import SetupRefused
from trunkline.ss7.isup.codec import Message, build, parse
from trunkline.ss7.isup.control import _ACTIONS
from trunkline.ss7.isup.diagram import render
from trunkline.ss7.isup.messages import MessageType, ParameterCode
from trunkline.ss7.isup.table import TABLE, Action, State, Trigger

M = MessageType
MESSAGES = [Trigger[t.name] for t in Trigger if t.name in M.__members__]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def sent(pair: Pair) -> list[str]:
    return [parse(octets).type_name for _, _, octets in pair.low.trunks.data_to_send()]


# The table


def test_every_state_and_trigger_has_a_row_with_a_clause() -> None:
    for state in State:
        for trigger in Trigger:
            row = TABLE[state][trigger]
            assert bool(row.clause) == (row.action is not Action.ILLEGAL)
    assert set(_ACTIONS) == set(Action) - {Action.ILLEGAL}


def test_no_message_is_illegal_in_any_state() -> None:
    for state in State:
        assert not [m for m in MESSAGES if TABLE[state][m].action is Action.ILLEGAL]


def test_the_drawn_table_is_this_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "isup-states.md"
    assert page.read_text() == render(), "run: python -m trunkline.ss7.isup.diagram > that file"


def in_state(pair: Pair, state: State) -> int:
    """Bring a circuit of ``low`` into that state by ordinary means; its CIC."""
    if state in (State.IDLE, State.RESETTING):
        if state is State.RESETTING:
            pair.low.trunks.reset("high", pair.now)
        cic = 1
    elif state.name.startswith("ICC"):
        _, incoming = pair.call(source=pair.high)
        cic = pair.low.trunks.calls[incoming].cic
        if state is not State.ICC_WAIT_FOR_ACM:
            pair.low.trunks.alert(incoming, pair.now)
        if state is State.ICC_ANSWERED:
            pair.low.trunks.answer(incoming, pair.now)
    else:
        call = pair.low.trunks.setup("high", "1", "", pair.now)
        cic = call.cic
        if state is not State.WAIT_FOR_ACM:
            pair.inject(pair.low, simple(M.ACM, cic))
        if state is State.OGC_ANSWERED:
            pair.inject(pair.low, simple(M.ANM, cic))
        if state is State.WAIT_FOR_RLC:
            pair.low.trunks.release(call.id, 16, pair.now)
    pair.low.trunks.data_to_send()
    assert pair.low.trunks.groups["high"].circuits[cic].state is state
    return cic


@pytest.mark.parametrize("trigger", MESSAGES, ids=lambda t: t.name)
@pytest.mark.parametrize("state", list(State), ids=lambda s: s.name)
def test_every_message_in_every_state(pair: Pair, state: State, trigger: Trigger) -> None:
    """The machine does what the row says, and a message never raises."""
    cic = in_state(pair, state)
    row = TABLE[state][trigger]
    pair.inject(pair.low, simple(MessageType[trigger.name], cic))
    circuit = pair.low.trunks.groups["high"].circuits[cic]
    assert circuit.state in row.next
    messages = sent(pair)
    for kind in ("RLC", "RSC", "REL"):
        assert (kind in messages) == (f"send {kind}" in row.action.value)
    if row.action is Action.DISCARD:
        assert messages == []
        assert pair.low.trunks.counters.unexpected == 1


# Unexpected messages, Q.764 2.9.5.1


def test_a_release_on_an_idle_circuit_is_confirmed(pair: Pair) -> None:
    pair.inject(pair.low, simple(M.REL, 1))
    assert sent(pair) == ["RLC"]
    pair.assert_quiet()


def test_rlc_without_rel_releases_the_circuit(pair: Pair) -> None:
    outgoing, _ = pair.answered_call()
    pair.inject(pair.low, simple(M.RLC, pair.low.trunks.calls[outgoing].cic))
    assert isinstance(pair.low.ended(outgoing), ev.CallFailed)
    pair.carry()
    pair.assert_quiet()


def test_an_answer_on_an_idle_circuit_resets_it(pair: Pair) -> None:
    pair.inject(pair.low, simple(M.ANM, 2))
    pair.carry()
    assert pair.low.sent == ["RSC"]
    assert pair.high.sent == ["RLC"]
    pair.assert_quiet()


# CFN


def test_an_unknown_message_is_answered_by_cfn(pair: Pair) -> None:
    outgoing, _ = pair.answered_call()
    cic = pair.low.trunks.calls[outgoing].cic
    pair.inject(pair.low, bytes((cic, 0, 0xFE, 1, 2, 3)))
    pair.carry()
    (confusion,) = pair.high.of(ev.Confusion)
    assert (confusion.cause, confusion.diagnostics) == (97, b"\xfe")
    assert [d.code for d in pair.low.of(ev.Discarded)] == ["isup.unknown-message"]
    # No answer to the CFN, and the call goes on at both ends.
    assert pair.high.sent == ["ACM", "ANM"]
    assert outgoing in pair.low.trunks.calls
    assert len(pair.high.trunks.calls) == 1


@pytest.mark.parametrize("kind", [M.INR, M.FAR, M.CQM, M.CCR, M.PAM, M.SGM, M.USR])
def test_what_is_not_implemented_is_answered_by_cfn(pair: Pair, kind: MessageType) -> None:
    octets = bytes((1, 0, kind)) + bytes.fromhex("0202000100 00")
    pair.inject(pair.low, octets)
    assert sent(pair) == ["CFN"]


@pytest.mark.parametrize("kind", [M.BLA, M.UBA, M.UCIC, M.LPA, M.OLM])
def test_what_needs_no_answer_gets_none(pair: Pair, kind: MessageType) -> None:
    pair.inject(pair.low, simple(kind, 1))
    assert sent(pair) == []
    assert [d.code for d in pair.low.of(ev.Discarded)] == ["isup.unexpected"]


def acm_with(instructions: bytes, cic: int) -> bytes:
    optional = [(0xF4, b"?"), (ParameterCode.PARAMETER_COMPATIBILITY_INFORMATION, instructions)]
    return build(M.ACM, cic, [b"\x16\x04"], optional).to_bytes()


@pytest.mark.parametrize(
    ("instructions", "messages", "alerting"),
    [
        ("f490", [], True),  # discard the parameter
        ("f494", ["CFN"], True),  # and say so
        ("f488", [], False),  # discard the message
        ("f48c", ["CFN"], False),  # and say so
        ("f482", ["REL"], False),  # release the call
        ("f4", [], True),  # instructions that cannot be read
        ("f582", [], True),  # instructions for another parameter
    ],
)
def test_unknown_parameters(
    pair: Pair, instructions: str, messages: list[str], alerting: bool
) -> None:
    call = pair.low.trunks.setup("high", "1", "", pair.now)
    pair.low.trunks.data_to_send()
    pair.inject(pair.low, acm_with(bytes.fromhex(instructions), call.cic))
    assert sent(pair) == messages
    assert bool(pair.low.of(ev.Alerting)) == alerting


def test_an_iam_that_must_be_released_for_an_unknown_parameter(pair: Pair) -> None:
    iam = simple(M.IAM, 2)
    octets = build(
        M.IAM, 2, [p.value for p in iam.parameters], [(0xF4, b""), (0x39, b"\xf4\x82")]
    ).to_bytes()
    pair.inject(pair.low, octets)
    (offered,) = pair.low.of(ev.IncomingCall)
    assert pair.low.ended(offered.call_id).cause == 99
    (rel,) = [parse(octets) for _, _, octets in pair.low.trunks.data_to_send()]
    assert rel.get(ParameterCode.CAUSE_INDICATORS) == bytes.fromhex("82e3f4")


# Blocking, Q.764 2.8.2; user part test, 2.13


def test_a_blocked_circuit_is_not_taken(pair: Pair) -> None:
    for cic in (1, 2, 3):
        pair.inject(pair.low, simple(M.BLO, cic))
    assert sent(pair) == ["BLA"] * 3
    assert pair.low.trunks.setup("high", "1", "", pair.now).cic == 4
    with pytest.raises(TrunklineError, match="no circuit free"):
        pair.low.trunks.setup("high", "1", "", pair.now)
    pair.low.trunks.data_to_send()
    pair.inject(pair.low, simple(M.UBL, 2))
    assert sent(pair) == ["UBA"]
    assert pair.low.trunks.setup("high", "1", "", pair.now).cic == 2
    pair.inject(pair.low, simple(M.RSC, 3))  # a reset takes the blocking away too
    assert pair.low.of(ev.CircuitBlocked)[-1] == ev.CircuitBlocked(HIGH, 3, blocked=False)


def test_blocking_does_not_touch_a_call(pair: Pair) -> None:
    outgoing, _ = pair.answered_call()
    cic = pair.low.trunks.calls[outgoing].cic
    pair.inject(pair.low, simple(M.BLO, cic))
    pair.low.trunks.release(outgoing, 16, pair.now)
    pair.carry()
    assert pair.low.trunks.groups["high"].idle == 3
    pair.inject(pair.low, simple(M.UBL, cic))
    assert pair.low.trunks.groups["high"].idle == 4


def test_group_blocking(pair: Pair) -> None:
    pair.inject(pair.low, bytes.fromhex("0100 18 00 01 02 03 0a"))  # of 1 to 4, the 2nd and 4th
    assert [b.cic for b in pair.low.of(ev.CircuitBlocked)] == [2, 4]
    assert pair.low.trunks.groups["high"].idle == 2
    (reply,) = pair.low.trunks.data_to_send()
    assert reply[2] == bytes.fromhex("0100 1a 00 01 02 03 0a")
    pair.inject(pair.low, bytes.fromhex("0100 19 00 01 02 03 0f"))
    assert pair.low.trunks.groups["high"].idle == 4
    assert sent(pair) == ["CGUA"]


def test_user_part_test(pair: Pair) -> None:
    pair.inject(pair.low, simple(M.UPT, 0))
    assert sent(pair) == ["UPA"]


# Hostile input


def test_what_concerns_no_circuit_of_ours_is_counted(pair: Pair) -> None:
    pair.low.events += pair.low.trunks.receive(4711, simple(M.IAM, 1).to_bytes(), 0.0)
    pair.inject(pair.low, simple(M.IAM, 9))
    pair.inject(pair.low, b"\1")
    pair.inject(pair.low, build(M.IAM, 1, [b"\0", b"\0\0", b"\0", b"\0", b"\x80"]).to_bytes())
    assert [d.code for d in pair.low.of(ev.Discarded)] == [
        *("isup.unknown-exchange", "isup.unequipped-circuit"),
        *("isup.truncated", "isup.parameter"),
    ]
    assert pair.low.trunks.counters.discarded == 4
    pair.assert_quiet()


def test_a_release_whose_cause_cannot_be_read_is_a_release(pair: Pair) -> None:
    outgoing, _ = pair.answered_call()
    pair.inject(pair.low, build(M.REL, pair.low.trunks.calls[outgoing].cic, [b""]).to_bytes())
    assert pair.low.ended(outgoing).cause == 31
    assert sent(pair) == ["RLC"]


def test_an_unreadable_iam_does_not_win_a_dual_seizure(pair: Pair) -> None:
    pair.inject(pair.low, simple(M.BLO, 1))
    pair.inject(pair.low, simple(M.BLO, 3))
    call = pair.low.trunks.setup("high", "1", "", pair.now)
    assert call.cic % 2 == 0
    bad = build(M.IAM, call.cic, [b"\0", b"\0\0", b"\0", b"\0", b"\x80"])
    pair.inject(pair.low, bad.to_bytes())
    assert call.circuit is not None
    assert pair.low.trunks.next_timeout() == 25.0


@pytest.mark.parametrize("controlled", [True, False])
def test_an_iam_that_asks_for_release_costs_no_call_but_its_own(
    pair: Pair, controlled: bool
) -> None:
    call = pair.low.trunks.setup("high", "1", "", pair.now)
    cic = call.cic
    assert cic % 2 == 1  # the low end controls it
    if not controlled:
        for each in (1, 3):
            pair.inject(pair.low, simple(M.BLO, each))
        call = pair.low.trunks.setup("high", "2", "", pair.now)
        cic = call.cic
        assert cic % 2 == 0
    optional = [(0xF4, b"?"), (ParameterCode.PARAMETER_COMPATIBILITY_INFORMATION, b"\xf4\x82")]
    mandatory = [b"\0", b"\0\0", b"\x0a", b"\0", b"\x03\x90\x21\x0f"]
    pair.inject(pair.low, build(M.IAM, cic, mandatory, optional))
    assert call.id in pair.low.trunks.calls
    assert call.circuit is not None
    if not controlled:
        (offered,) = pair.low.of(ev.IncomingCall)
        assert pair.low.ended(offered.call_id).cause == 99


def test_digits_without_end_are_refused(pair: Pair) -> None:
    pair.inject(pair.low, simple(M.IAM, 1))
    for _ in range(100):
        pair.inject(pair.low, build(M.SAM, 1, [b"\0" + b"\x11" * 4]))
    (call,) = pair.low.trunks.calls.values()
    assert 24 <= len(call.called) <= 32
    assert {event.code for event in pair.low.of(ev.Discarded)} == {"isup.digits"}


steps = st.one_of(
    st.tuples(st.just("message"), st.sampled_from(sorted(M)), st.integers(1, 4)),
    st.tuples(st.just("octets"), st.binary(max_size=30), st.integers(1, 4)),
    st.tuples(st.just("call"), st.booleans(), st.integers(0, 3)),
    st.tuples(st.just("request"), st.sampled_from(["alert", "answer", "release"]), st.integers()),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 20.0, 130.0, 400.0]), st.just(0)),
    st.tuples(st.just("pause"), st.booleans(), st.just(0)),
    st.tuples(st.just("lose"), st.integers(0, 3), st.just(0)),
)


def losing(remainder: int) -> Callable[[Message], bool]:
    """Lose what concerns a quarter of the circuits; nothing for 0."""
    return lambda message: remainder > 0 and message.cic % 4 == remainder


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_the_circuits_end_up_idle(script: list[tuple[str, object, int]]) -> None:
    """Calls, forged messages, losses and pauses in any order: then all is put right by itself."""
    pair = Pair()
    for what, value, number in script:
        match what, value:
            case "message", MessageType() as kind:
                pair.inject(pair.low, bytes((number, 0, kind)) + bytes.fromhex("0102030001"))
            case "octets", bytes() as octets:
                pair.inject(pair.low, bytes((number, 0)) + octets)
            case "call", bool() as from_low:
                source = pair.low if from_low else pair.high
                with suppress(SetupRefused):
                    source.trunks.setup(pair.peer(source).pc, "1", "", pair.now)
            case "request", str() as request:
                source = pair.low if number % 2 else pair.high
                for call_id in tuple(source.trunks.calls)[-1:]:
                    asked = getattr(source.trunks, request)
                    given = (16,) if request == "release" else ()
                    with suppress(TrunklineError):  # it need not fit the state
                        source.events += asked(call_id, *given, pair.now)
            case "wait", float() as seconds:
                pair.advance(seconds)
            case "pause", bool() as paused:
                switch = pair.low.trunks.pause if paused else pair.low.trunks.resume
                pair.low.events += switch(HIGH, pair.now)
            case "lose", int() as every:
                pair.lost = losing(every)
        if what != "call" or number:
            pair.carry()
    pair.lost = lambda message: False
    for exchange, dpc in ((pair.low, HIGH), (pair.high, LOW)):
        exchange.trunks.resume(dpc, pair.now)
        for call_id in tuple(exchange.trunks.calls):
            exchange.events += exchange.trunks.release(call_id, 16, pair.now)
    pair.carry()
    pair.advance(2000)
    for exchange in (pair.low, pair.high):
        for cic in range(1, 5):
            pair.inject(exchange, simple(M.UBL, cic))
        exchange.trunks.data_to_send()
        ends = [e.call_id for e in exchange.events if isinstance(e, ev.Released | ev.CallFailed)]
        assert len(ends) == len(set(ends)), "a call ended twice"
    pair.assert_quiet()
