"""Offers and answers in SIP messages: every pair of the tables, glare, and two ends at random."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sip.sdp.bodies import body

from trunkline.errors import TrunklineError
from trunkline.sip import sdp
from trunkline.sip.sdp import SessionDescription
from trunkline.sip.sdp.exchange import Exchange, Meaning, Message, State, Verdict
from trunkline.sip.sdp.exchange_table import MESSAGES, OFFERS, Event, Phase, Who


def description(number: int) -> SessionDescription:
    return sdp.parse(body("v=0", f"o=- {number} 1 IN IP4 192.0.2.1", "s=-", "t=0 0"))


ONE, TWO, THREE, FOUR = (description(number) for number in range(1, 5))


class Call:
    """A UAC and a UAS whose messages arrive at once."""

    def __init__(self) -> None:
        self.uac = Exchange()
        self.uas = Exchange()

    def up(self, message: Message, what: SessionDescription | None = None) -> Verdict:
        """From the UAC to the UAS."""
        meaning = self.uac.send(message, what)
        verdict = self.uas.receive(message, what)
        assert verdict.meaning is meaning
        return verdict

    def down(self, message: Message, what: SessionDescription | None = None) -> Verdict:
        meaning = self.uas.send(message, what)
        verdict = self.uac.receive(message, what)
        assert verdict.meaning is meaning
        return verdict

    def agreed(self) -> tuple[SessionDescription | None, SessionDescription | None]:
        """What holds, the UAC's description first; the same at both ends, nothing outstanding."""
        assert (self.uac.local, self.uac.remote) == (self.uas.remote, self.uas.local)
        assert self.uac.phase is self.uas.phase
        for end in (self.uac, self.uas):
            assert (end.state, end.offer) == (State.STABLE, None)
        return self.uac.local, self.uac.remote


def established() -> Call:
    call = Call()
    call.up(Message.INVITE, ONE)
    call.down(Message.FINAL, TWO)
    call.up(Message.ACK)
    return call


def refused(exchange: Exchange, message: Message, what: SessionDescription | None) -> str:
    state = exchange.state, exchange.phase, exchange.offer, exchange.local, exchange.remote
    with pytest.raises(TrunklineError) as caught:
        exchange.send(message, what)
    assert state == (
        *(exchange.state, exchange.phase, exchange.offer),
        *(exchange.local, exchange.remote),
    )
    return caught.value.code


# The six pairs


def test_offer_in_invite_answer_in_2xx() -> None:
    call = Call()
    assert call.up(Message.INVITE, ONE).meaning is Meaning.OFFER
    assert (call.uac.state, call.uas.state) == (State.LOCAL_OFFER, State.REMOTE_OFFER)
    call.down(Message.UNRELIABLE)
    assert call.down(Message.FINAL, TWO).meaning is Meaning.ANSWER
    call.up(Message.ACK)
    assert call.agreed() == (ONE, TWO)


def test_offer_in_2xx_answer_in_ack() -> None:
    call = Call()
    assert call.up(Message.INVITE).meaning is Meaning.NOTHING
    assert call.down(Message.FINAL, TWO).meaning is Meaning.OFFER
    assert (call.uac.state, call.uas.state) == (State.REMOTE_OFFER, State.LOCAL_OFFER)
    assert call.up(Message.ACK, ONE).meaning is Meaning.ANSWER
    assert call.agreed() == (ONE, TWO)


def test_the_call_flow_of_rfc_3311_section_8() -> None:
    """Offer in INVITE, answer in a reliable 180, then an UPDATE either way."""
    call = Call()
    call.up(Message.INVITE, ONE)
    assert call.down(Message.RELIABLE, TWO).meaning is Meaning.ANSWER
    call.up(Message.PRACK)
    call.down(Message.PRACK_OK)
    assert call.up(Message.UPDATE, THREE).meaning is Meaning.OFFER
    assert call.down(Message.UPDATE_OK, FOUR).meaning is Meaning.ANSWER
    assert call.agreed() == (THREE, FOUR)
    assert call.down(Message.UPDATE, TWO).meaning is Meaning.OFFER
    assert call.up(Message.UPDATE_OK, ONE).meaning is Meaning.ANSWER
    assert call.down(Message.FINAL).meaning is Meaning.NOTHING
    call.up(Message.ACK)
    assert call.agreed() == (ONE, TWO)
    assert call.uac.phase is Phase.NONE


def test_offer_in_a_reliable_1xx_answer_in_prack() -> None:
    call = Call()
    call.up(Message.INVITE)
    assert call.down(Message.RELIABLE, TWO).meaning is Meaning.OFFER
    assert call.up(Message.PRACK, ONE).meaning is Meaning.ANSWER
    call.down(Message.PRACK_OK)
    assert call.agreed() == (ONE, TWO)
    call.down(Message.FINAL)
    call.up(Message.ACK)
    assert call.agreed() == (ONE, TWO)


def test_offer_in_prack_answer_in_its_2xx() -> None:
    call = Call()
    call.up(Message.INVITE, ONE)
    call.down(Message.RELIABLE, TWO)
    assert call.up(Message.PRACK, THREE).meaning is Meaning.OFFER
    assert call.down(Message.PRACK_OK, FOUR).meaning is Meaning.ANSWER
    assert call.agreed() == (THREE, FOUR)


# Early answers


def test_an_answer_ahead_of_the_reliable_one_counts() -> None:
    call = Call()
    call.up(Message.INVITE, ONE)
    assert call.down(Message.UNRELIABLE, TWO).meaning is Meaning.PREVIEW
    assert (call.uac.local, call.uac.remote) == (ONE, TWO)
    assert call.uac.state is State.LOCAL_OFFER  # no new offer before the reliable answer
    assert refused(call.uac, Message.UPDATE, THREE) == "sdp.offer-pending"
    assert call.down(Message.UNRELIABLE, TWO).meaning is Meaning.REPEATED
    assert refused(call.uas, Message.FINAL, FOUR) == "sdp.answer-changed"
    assert refused(call.uas, Message.FINAL, None) == "sdp.missing"
    assert call.down(Message.FINAL, TWO).meaning is Meaning.REPEATED
    assert call.agreed() == (ONE, TWO)


def test_a_peers_second_answer_is_ignored() -> None:
    # "The UAC MUST treat the first session description it receives as the answer."
    for last in (THREE, None):
        uac = Exchange()
        uac.send(Message.INVITE, ONE)
        uac.receive(Message.UNRELIABLE, TWO)
        assert uac.receive(Message.FINAL, last).meaning is Meaning.REPEATED
        assert (uac.state, uac.local, uac.remote) == (State.STABLE, ONE, TWO)
    uac = Exchange()
    uac.send(Message.INVITE, ONE)
    uac.receive(Message.RELIABLE, TWO)
    uac.send(Message.PRACK)
    assert uac.receive(Message.FINAL, THREE).meaning is Meaning.IGNORED
    assert (uac.state, uac.remote, uac.phase) == (State.STABLE, TWO, Phase.NONE)


def test_each_fork_has_an_exchange_of_its_own() -> None:
    first = Exchange()
    first.send(Message.INVITE, ONE)
    second = first.fork()
    first.receive(Message.RELIABLE, TWO)
    assert second.receive(Message.FINAL, THREE).meaning is Meaning.ANSWER
    assert (first.remote, second.remote) == (TWO, THREE)


# Refusals


def test_glare_is_491() -> None:
    for request in (Message.UPDATE, Message.INVITE):
        call = established()
        call.uac.send(request, THREE)
        call.uas.send(request, FOUR)
        for end in (call.uac, call.uas):
            verdict = end.receive(request, FOUR if end is call.uac else THREE)
            assert (verdict.meaning, verdict.status) == (Meaning.PENDING, 491)
        failure = Message.FAILURE if request is Message.INVITE else Message.UPDATE_FAILURE
        for end in (call.uac, call.uas):
            assert end.receive(failure).meaning is Meaning.REVERTED
        assert call.agreed() == (ONE, TWO)


def test_a_second_offer_before_the_answer_is_500() -> None:
    call = established()
    call.up(Message.UPDATE, THREE)
    assert call.uas.receive(Message.UPDATE, FOUR).status == 500
    assert call.uas.receive(Message.INVITE, FOUR).status == 500
    call.down(Message.UPDATE_OK, FOUR)
    call.up(Message.INVITE, ONE)
    assert call.uas.receive(Message.INVITE, TWO).status == 500
    assert call.uas.receive(Message.INVITE).status == 500
    assert call.uas.receive(Message.UPDATE, TWO).status == 500
    assert call.uac.receive(Message.INVITE).status == 491


def test_an_update_before_the_last_one_is_answered_is_500() -> None:
    # RFC 3311 section 5.2, with or without offers.
    call = established()
    call.up(Message.UPDATE)
    assert call.uas.receive(Message.UPDATE).status == 500
    assert call.uas.receive(Message.UPDATE, ONE).status == 500
    call.down(Message.UPDATE_OK)
    assert call.up(Message.UPDATE, ONE).status is None
    call.down(Message.UPDATE_FAILURE)
    assert call.up(Message.UPDATE, ONE).status is None


def test_updates_wait_for_the_first_exchange() -> None:
    # RFC 3311 section 5.1.
    call = Call()
    call.up(Message.INVITE)
    for end in (call.uac, call.uas):
        assert refused(end, Message.UPDATE, THREE) == "sdp.offer-pending"
    assert call.uas.receive(Message.UPDATE, THREE).status == 500
    assert call.uac.receive(Message.UPDATE, THREE).status == 491
    call.down(Message.RELIABLE, TWO)
    assert refused(call.uac, Message.UPDATE, THREE) == "sdp.offer-pending"
    assert call.uac.receive(Message.UPDATE, THREE).status == 500
    assert call.uas.receive(Message.UPDATE, THREE).status == 491


def test_the_uas_waits_for_prack_the_uac_does_not() -> None:
    call = Call()
    call.up(Message.INVITE, ONE)
    call.down(Message.RELIABLE, TWO)
    assert refused(call.uas, Message.UPDATE, THREE) == "sdp.offer-pending"
    assert refused(call.uas, Message.FINAL, None) == "sdp.offer-pending"
    assert call.uac.would_mean(Message.UPDATE, description=True) is Meaning.OFFER
    call.up(Message.PRACK)
    call.down(Message.PRACK_OK)
    assert call.uas.would_mean(Message.UPDATE, description=True) is Meaning.OFFER
    assert call.uas.would_mean(Message.FINAL, description=False) is Meaning.NOTHING


@pytest.mark.parametrize(
    ("set_up", "sender", "message", "what", "code"),
    [
        (Call, "uac", Message.ACK, ONE, "sdp.not-here"),
        (Call, "uas", Message.UPDATE_OK, ONE, "sdp.not-here"),
        (established, "uac", Message.PRACK_FAILURE, ONE, "sdp.not-here"),
        (established, "uas", Message.FINAL, ONE, "sdp.not-here"),
    ],
)
def test_descriptions_where_there_is_no_exchange(
    set_up: Callable[[], Call],
    sender: str,
    message: Message,
    what: SessionDescription,
    code: str,
) -> None:
    call = set_up()
    end, other = (call.uac, call.uas) if sender == "uac" else (call.uas, call.uac)
    assert refused(end, message, what) == code
    assert other.receive(message, what).meaning is Meaning.IGNORED
    assert other.state is State.STABLE


def test_what_has_to_be_there_is_missed() -> None:
    call = Call()
    call.up(Message.INVITE, ONE)
    assert refused(call.uas, Message.FINAL, None) == "sdp.missing"
    assert call.uac.receive(Message.FINAL).meaning is Meaning.MISSING
    assert (call.uac.state, call.uac.offer) == (State.STABLE, None)
    call = Call()
    call.up(Message.INVITE)
    assert refused(call.uas, Message.RELIABLE, None) == "sdp.missing"
    assert call.uac.receive(Message.RELIABLE).meaning is Meaning.MISSING
    assert refused(call.uas, Message.UNRELIABLE, ONE) == "sdp.not-here"
    call.down(Message.RELIABLE, TWO)
    assert refused(call.uac, Message.PRACK, None) == "sdp.missing"
    assert call.uas.receive(Message.PRACK).meaning is Meaning.MISSING
    assert call.uas.state is State.LOCAL_OFFER
    call.up(Message.PRACK, ONE)
    call.down(Message.PRACK_OK)
    call.up(Message.UPDATE, THREE)
    assert refused(call.uas, Message.UPDATE_OK, None) == "sdp.missing"
    assert call.uac.receive(Message.UPDATE_OK).meaning is Meaning.MISSING
    assert (call.uac.state, call.uac.local) == (State.STABLE, ONE)


def test_only_the_right_end_sends_what_belongs_to_the_invite() -> None:
    call = Call()
    call.up(Message.INVITE, ONE)
    assert refused(call.uac, Message.FINAL, TWO) == "sdp.offer-pending"
    assert call.uas.receive(Message.FINAL, TWO).meaning is Meaning.IGNORED
    assert call.uas.state is State.REMOTE_OFFER
    assert refused(call.uas, Message.PRACK, None) == "sdp.offer-pending"
    assert call.uac.receive(Message.ACK, TWO).meaning is Meaning.IGNORED


# Failures


def test_a_re_invite_that_fails_leaves_the_session_as_it_was() -> None:
    # RFC 3261 section 14.1, also when its offer had been answered.
    call = established()
    call.up(Message.INVITE, THREE)
    assert call.down(Message.FAILURE).meaning is Meaning.REVERTED
    assert call.agreed() == (ONE, TWO)
    call.down(Message.INVITE, THREE)  # the other way round this time
    assert call.uas.state is State.LOCAL_OFFER
    assert call.up(Message.RELIABLE, FOUR).meaning is Meaning.ANSWER
    call.down(Message.PRACK)
    assert call.agreed() == (FOUR, THREE)
    call.up(Message.FAILURE)
    assert call.agreed() == (ONE, TWO)


def test_an_update_stays_when_the_invite_around_it_fails() -> None:
    call = established()
    call.up(Message.INVITE, THREE)
    call.down(Message.RELIABLE, FOUR)
    call.up(Message.PRACK)
    call.up(Message.UPDATE, ONE)
    call.down(Message.FAILURE)
    assert call.uac.state is State.LOCAL_OFFER
    call.down(Message.UPDATE_OK, FOUR)
    assert call.agreed() == (ONE, FOUR)


def test_an_offer_in_prack_or_update_may_be_refused() -> None:
    call = Call()
    call.up(Message.INVITE, ONE)
    call.down(Message.RELIABLE, TWO)
    call.up(Message.PRACK, THREE)
    assert call.down(Message.PRACK_FAILURE).meaning is Meaning.REVERTED
    assert call.agreed() == (ONE, TWO)
    call.up(Message.UPDATE, THREE)
    assert call.down(Message.UPDATE_FAILURE).meaning is Meaning.REVERTED
    assert call.agreed() == (ONE, TWO)


# The tables


def test_the_tables_are_complete_and_every_cell_cites_its_clause() -> None:
    messages = {message for phase in Phase for message, _ in MESSAGES[phase]}
    requests = {Message.PRACK_OK, Message.PRACK_FAILURE, Message.UPDATE_OK, Message.UPDATE_FAILURE}
    assert messages == set(Message) - requests
    for phase in Phase:
        assert len(MESSAGES[phase]) == 2 * len(messages)
        assert all(cell.clause.startswith("RFC ") for cell in MESSAGES[phase].values())
    for state in State:
        assert set(OFFERS[state]) == set(Event)


def test_every_phase_can_be_reached() -> None:
    reached = {Phase.NONE}
    for _ in Phase:
        reached |= {cell.next for phase in reached for cell in MESSAGES[phase].values()}
    assert reached == set(Phase)


# Two ends at random


class End:
    """One end of a dialog, with just enough of a dialog to send what SIP lets it send."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.inbox: deque[tuple[Message, SessionDescription | None, int]] = deque()
        self.to_answer: list[tuple[Message, int]] = []
        """PRACK and UPDATE that wait for their response, with their sequence numbers."""
        self.cseq = 0
        self.invite_in = self.invite_out = False
        self.ack_due = self.ack_wanted = self.prack_due = self.prack_wanted = False

    def choices(self) -> list[tuple[Message, int]]:
        """What SIP lets it send now, offers and answers aside, and with which number."""
        new = self.cseq + 1
        found = [(_OK_OF[request], cseq) for request, cseq in self.to_answer]
        found += [(_FAILURE_OF[request], cseq) for request, cseq in self.to_answer]
        if self.ack_due:
            return [*found, (Message.ACK, 0)]
        if self.prack_due:
            found.append((Message.PRACK, new))
        if self.invite_in:
            found += [(Message.UNRELIABLE, 0), (Message.FAILURE, 0)]
            if not self.prack_wanted:
                found += [(Message.RELIABLE, 0), (Message.FINAL, 0)]
        elif not self.invite_out and not self.ack_wanted:
            found.append((Message.INVITE, new))
        return [*found, (Message.UPDATE, new)]


_OK_OF = {Message.PRACK: Message.PRACK_OK, Message.UPDATE: Message.UPDATE_OK}
_FAILURE_OF = {
    Message.INVITE: Message.FAILURE,
    Message.UPDATE: Message.UPDATE_FAILURE,
    Message.PRACK: Message.PRACK_FAILURE,
}


_RESPONSES = (*_OK_OF.values(), Message.UPDATE_FAILURE, Message.PRACK_FAILURE)


class Pair:
    """Two ends with a queue each way: messages cross."""

    def __init__(self) -> None:
        self.ends = (End(), End())
        self.made = 0

    def send(self, index: int, message: Message, cseq: int, with_description: bool) -> bool:
        end, peer = self.ends[index], self.ends[1 - index]
        meaning = end.exchange.would_mean(message, description=with_description, cseq=cseq)
        if meaning is None:
            return False
        what = None
        if with_description:
            self.made += 1
            what = end.exchange.local if meaning is Meaning.REPEATED else description(self.made)
        assert end.exchange.send(message, what, cseq=cseq) is meaning
        if message is Message.INVITE:
            end.invite_out = True
        elif message in (Message.FINAL, Message.FAILURE):
            end.invite_in = end.prack_wanted = False
            end.ack_wanted = message is Message.FINAL
        elif message is Message.RELIABLE:
            end.prack_wanted = True
        elif message is Message.PRACK:
            end.prack_due = False
        elif message is Message.ACK:
            end.ack_due = False
        if message in _RESPONSES:
            end.to_answer = [request for request in end.to_answer if request[1] != cseq]
        end.cseq = max(end.cseq, cseq)
        peer.inbox.append((message, what, cseq))
        return True

    def deliver(self, index: int) -> None:
        end, peer = self.ends[index], self.ends[1 - index]
        message, what, cseq = end.inbox.popleft()
        verdict = end.exchange.receive(message, what, cseq=cseq)
        if message is Message.PRACK:
            end.prack_wanted = False
        if verdict.meaning is Meaning.PENDING:
            assert verdict.status in (491, 500)
            peer.inbox.append((_FAILURE_OF[message], None, cseq))
            return
        assert verdict.meaning is not Meaning.MISSING
        if message is Message.INVITE:
            end.invite_in = True
        elif message is Message.FINAL:
            end.invite_out = end.prack_due = False
            end.ack_due = True
        elif message is Message.FAILURE:
            end.invite_out = end.prack_due = False
        elif message is Message.RELIABLE:
            end.prack_due = True
        elif message is Message.ACK:
            end.ack_wanted = False
        elif message in _OK_OF:
            end.to_answer.append((message, cseq))

    def drain(self) -> None:
        """Deliver everything, answer everything, until both ends rest."""
        for _ in range(1000):
            busy = False
            for index, end in enumerate(self.ends):
                while end.inbox:
                    self.deliver(index)
                    busy = True
                for message, cseq in end.choices():
                    if message in (Message.INVITE, Message.UPDATE, Message.UNRELIABLE):
                        continue
                    if any(self.send(index, message, cseq, has) for has in (True, False)):
                        busy = True
                        break
            if not busy:
                return
        raise AssertionError("the two ends do not come to rest")


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 15), st.booleans()), max_size=40))
def test_two_ends_agree_whatever_crosses(moves: list[tuple[int, int, bool]]) -> None:
    pair = Pair()
    for index, number, flag in moves:
        end = pair.ends[index]
        if number < 4:
            if end.inbox:
                pair.deliver(index)
        else:
            choices = end.choices()
            pair.send(index, *choices[number % len(choices)], flag)
    pair.drain()
    first, second = (end.exchange for end in pair.ends)
    assert (first.state, second.state) == (State.STABLE, State.STABLE)
    assert (first.phase, second.phase) == (Phase.NONE, Phase.NONE)
    assert first.local is second.remote
    assert first.remote is second.local


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(Message), st.booleans()), max_size=30))
def test_nothing_that_arrives_breaks_an_exchange(steps: list[tuple[bool, Message, bool]]) -> None:
    exchange = Exchange()
    for send, message, has in steps:
        what = ONE if has else None
        if send:
            if exchange.would_mean(message, description=has) is not None:
                exchange.send(message, what)
        else:
            verdict = exchange.receive(message, what)
            assert (verdict.status is not None) == (verdict.meaning is Meaning.PENDING)
        assert (exchange.offer is None) == (exchange.state is State.STABLE)


# The tables in the documentation


def half(phase: Phase, message: Message, with_description: bool) -> str:
    cell = MESSAGES[phase][message, with_description]
    text = cell.meaning.value
    if cell.next is not phase:
        text += f" → {cell.next.value}"
    return text if cell.allowed is Who.ANY else f"{text} (may be sent: {cell.allowed.value})"


def drawn() -> str:
    exchange = [
        f"| {state.value} | {event.value} | {meaning.value} | {after.value} | {clause} |"
        for state in State
        for event, (meaning, after, clause) in OFFERS[state].items()
    ]
    invite = [
        f"| {phase.value} | {message.value} | {half(phase, message, True)} "
        f"| {half(phase, message, False)} | {MESSAGES[phase][message, True].clause} |"
        for phase in Phase
        for message in dict.fromkeys(message for message, _ in MESSAGES[phase])
    ]
    return "\n".join(
        [
            *("| state | event | meaning | next | clause |", "|---|---|---|---|---|", *exchange),
            "",
            "| phase of the INVITE | message | with a description | without one | clause |",
            *("|---|---|---|---|---|", *invite, ""),
        ]
    )


def test_the_tables_of_the_documentation_are_these() -> None:
    page = Path(__file__).parents[3] / "docs" / "conformance" / "rfc8866-3264.md"
    assert page.read_text(encoding="utf-8").endswith("\n\n" + drawn())


def test_an_invite_without_a_description_waits_for_an_offer_before() -> None:
    # RFC 3264 section 4: it asks for an offer, and there is one
    call = established()
    call.uac.send(Message.UPDATE, THREE)
    with pytest.raises(TrunklineError) as caught:
        call.uac.send(Message.INVITE)
    assert caught.value.code == "sdp.offer-pending"
    crossing = call.uac.receive(Message.INVITE)
    assert (crossing.meaning, crossing.status) == (Meaning.PENDING, 491)
    call.uas.receive(Message.UPDATE, THREE)
    assert call.uas.receive(Message.INVITE).status == 500
    call.uas.send(Message.UPDATE_OK, FOUR)
    assert call.uas.receive(Message.INVITE).status is None


def test_a_2xx_whose_offer_cannot_be_taken_ends_the_invite_all_the_same() -> None:
    uac = Exchange()
    uac.send(Message.INVITE)
    uac.receive(Message.UPDATE, ONE)  # refused: a peer that sends its offer twice
    uac.state = State.REMOTE_OFFER
    assert uac.receive(Message.FINAL, TWO).meaning is Meaning.IGNORED
    assert uac.phase is Phase.NONE


def test_every_description_has_a_version_of_its_own() -> None:
    call = established()
    local = call.uac.local
    assert local is not None
    call.uac.send(Message.INVITE, call.uac.renewed(local))
    call.uac.receive(Message.FAILURE)
    assert call.uac.renewed(local).origin.session_version == local.origin.session_version + 2
