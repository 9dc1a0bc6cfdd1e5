"""Sets of destinations on the harness: who gets a call, what probes and failures change."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.elements.proxy.board import TABLE, Board, Event, Probe, State
from trunkline.elements.proxy.destinations import DestinationSet
from trunkline.elements.proxy.selection import Choice, Reason
from trunkline.elements.proxy.story import STEPS, Step, story_of
from trunkline.errors import TrunklineError
from trunkline.observe.recorder import Note
from trunkline.sip.locate import Answer, Outcome, Question
from trunkline.sip.transport import Flow
from trunkline.testing import Harness, Sent

SCRIPT = """
from trunkline.script import *

@on_request()
def all(request):
    request.relay("sip:bob@example.net", via=request.app.destinations("gateways"))
"""
A, B, C = "192.0.2.51", "192.0.2.52", "192.0.2.53"
TWO = {"targets": [f"sip:{A}", {"uri": f"sip:{B}", "priority": 1}]}
PROBED = {**TWO, "probe": "10s"}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def harness(script: Path, table: Mapping[str, object], dns: str = "") -> Harness:
    return Harness(script, destinations={"gateways": table}, dns=dns)


def gateways(proxy: Harness) -> DestinationSet:
    return proxy.element.destinations.sets["gateways"]


def only(sent: list[Sent], method: str) -> list[Sent]:
    return [each for each in sent if each.method == method and not each.status]


def call(proxy: Harness, call_id: str = "c") -> Sent:
    """A new call; the INVITE as it was sent on."""
    sent = proxy.receive(
        proxy.request("INVITE", "sip:bob@example.org", headers=[("Call-ID", call_id)])
    )
    [invite] = only(sent, "INVITE")
    return invite


def choices(proxy: Harness, call_id: str) -> list[Choice]:
    return [
        note.details[0]
        for note in proxy.element.recorder.history(call_id)
        if isinstance(note, Note) and note.kind == "chosen" and isinstance(note.details[0], Choice)
    ]


def live(proxy: Harness, seconds: float, answers: Mapping[str, int]) -> None:
    """Let time pass, and the places of ``answers`` answer probes so."""
    for _ in range(round(seconds / 0.5)):
        for probe in only(proxy.advance(0.5), "OPTIONS"):
            status = answers.get(probe.to[0])
            if status is not None:
                proxy.receive(probe.answer(status))


BOTH = {A: 200, B: 200}


# the choice


def test_the_request_goes_to_the_set_and_keeps_its_uri(script: Path) -> None:
    with harness(script, TWO) as proxy:
        invite = call(proxy)
        assert (invite.to, invite.uri) == ((A, 5060), "sip:bob@example.net")
        assert "Route" not in invite.headers
        first, _ = gateways(proxy)
        assert (first.sent, first.failed) == (1, 0)


def test_weights_share_and_zero_is_rare(script: Path) -> None:
    targets = [
        {"uri": f"sip:{A}", "weight": 1},
        {"uri": f"sip:{B}", "weight": 3},
        {"uri": f"sip:{C}", "weight": 0},
    ]
    with harness(script, {"targets": targets}) as proxy:
        count = Counter(call(proxy, f"c{number}").to[0] for number in range(1000))
    # 0 to 4 are drawn: 0 is the head's, which has weight 0 (RFC 2782), 1 is A's, 2 to 4 are B's.
    assert count[B] / 1000 == pytest.approx(0.6, abs=0.06)
    assert count[A] / 1000 == pytest.approx(0.2, abs=0.05)
    assert count[C] / 1000 == pytest.approx(0.2, abs=0.05)


def test_an_unknown_set_is_named(script: Path) -> None:
    with Harness(script, destinations={"others": TWO}) as proxy:
        [_, failed] = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert failed.status == 500
        assert "no set of destinations 'gateways'; there are: others." in proxy.lines[0]


def test_what_is_wrong_with_a_set_is_named(script: Path) -> None:
    for table, says in (
        ({"targets": []}, "targets: at least one"),
        ({"targets": ["sip:bob@192.0.2.51"]}, "names no server"),
        ({"targets": [f"sip:{A}", f"sip:{A}"]}, "there twice"),
        ({"targets": [{"uri": f"sip:{A}", "weight": 1 << 16}]}, "weight: 0 to 65535"),
        ({"targets": [f"sip:{A}"], "prob": "1s"}, "known here: targets, probe"),
        ({"targets": [f"sip:{A}"], "probe": "100ms"}, "probe: 0.5 to 86400 s, not 0.1 s"),
        ({"targets": [f"sip:{A}"], "failing": [200]}, "from 300 to 699, not 200"),
    ):
        with pytest.raises(TrunklineError, match=r"^destinations\.gateways") as refused:
            harness(script, table)
        assert says in refused.value.message


# failover


def test_a_503_a_timeout_and_an_error_move_on_with_a_new_branch(script: Path) -> None:
    table = {
        "targets": [
            f"sip:{A}",
            {"uri": f"sip:{B}", "priority": 1},
            {"uri": f"sip:{C}", "priority": 2},
        ]
    }
    with harness(script, table) as proxy:
        first = call(proxy)
        [second] = only(proxy.receive(first.answer(503)), "INVITE")
        assert second.to[0] == B
        assert second.headers.get("Via") != first.headers.get("Via")
        [third] = only(proxy.fail(second), "INVITE")
        assert third.to[0] == C
        late = proxy.advance(33)
        assert {sent.to[0] for sent in only(late, "INVITE")} == {C}  # retransmissions
        assert any(sent.status == 408 for sent in late)
        assert [(each.sent, each.failed) for each in gateways(proxy)] == [(1, 1)] * 3


def test_what_answers_is_not_given_up(script: Path) -> None:
    with harness(script, TWO) as proxy:
        [ok] = [sent for sent in proxy.receive(call(proxy).answer(486)) if sent.status]
        assert ok.status == 486
        assert [each.sent for each in gateways(proxy)] == [1, 0]


def test_one_failed_call_does_not_take_a_destination_out(script: Path) -> None:
    with harness(script, PROBED) as proxy:
        live(proxy, 2, BOTH)
        [again] = only(proxy.fail(call(proxy, "first")), "INVITE")
        assert again.to[0] == B
        first = gateways(proxy)[0]
        assert first.state is State.UP
        # Until it has answered for itself others go first; it is asked at once.
        assert call(proxy, "second").to[0] == B
        probes = only(proxy.advance(0.5), "OPTIONS")
        assert [probe.to[0] for probe in probes] == [A]
        proxy.receive(probes[0].answer(200))
        assert call(proxy, "third").to[0] == A
        assert [choice.flow for choice in choices(proxy, "second")]
        [reasons] = [[v.reason for v in choice.verdicts] for choice in choices(proxy, "second")]
        assert reasons == [Reason.LATELY, Reason.CHOSEN]


def test_without_probes_one_that_failed_comes_last_for_a_while(script: Path) -> None:
    with harness(script, TWO) as proxy:
        proxy.fail(call(proxy))
        assert call(proxy, "soon").to[0] == B
        proxy.advance(31)
        trial = call(proxy, "later")
        assert trial.to[0] == A
        assert call(proxy, "meanwhile").to[0] == B  # one request is the trial
        proxy.receive(trial.answer(180))
        assert call(proxy, "after").to[0] == A


def test_where_everybody_failed_lately_they_are_tried_all_the_same(script: Path) -> None:
    with harness(script, TWO) as proxy:
        [second] = only(proxy.fail(call(proxy)), "INVITE")
        proxy.fail(second)
        [second] = only(proxy.fail(call(proxy, "again")), "INVITE")
        assert second.to[0] == B


# probes


def test_the_table_of_states_has_every_row() -> None:
    assert set(TABLE) == {(state, event) for state in State for event in Event}


def test_down_after_three_and_up_after_two(script: Path) -> None:
    with harness(script, {**PROBED, "up_after": 2}) as proxy:
        first = gateways(proxy)[0]
        seen = []
        for _ in range(4):
            live(proxy, 10, {B: 200})
            seen.append(first.state)
        assert (seen[0], seen[1], seen[-1]) == (State.SUSPECT, State.SUSPECT, State.DOWN)
        assert any("gateways: sip:192.0.2.51 is down: no final" in line for line in proxy.lines)
        assert call(proxy, "down").to[0] == B
        [choice] = choices(proxy, "down")
        assert [v.reason for v in choice.verdicts] == [Reason.DOWN, Reason.CHOSEN]
        live(proxy, 5, BOTH)
        assert first.last_probe is not None
        assert (first.last_probe.status, first.up) == (200, False)  # one answer is not enough
        live(proxy, 10, BOTH)
        assert first.up
        assert call(proxy, "up").to[0] == A


def test_a_dead_destination_costs_calls_no_time_once_it_is_down(script: Path) -> None:
    with harness(script, PROBED) as proxy:
        live(proxy, 40, {B: 200})
        for number in range(20):
            assert call(proxy, f"c{number}").to[0] == B
        assert gateways(proxy)[0].sent == 0


@pytest.mark.parametrize(
    ("status", "alive"), [(200, True), (404, True), (405, True), (500, True), (503, False)]
)
def test_any_final_response_is_a_sign_of_life_but_those_that_say_otherwise(
    script: Path, status: int, alive: bool
) -> None:
    with harness(script, PROBED) as proxy:
        live(proxy, 40, {A: status, B: status})
        assert (gateways(proxy)[0].state is State.UP) is alive
        probe = gateways(proxy)[0].last_probe
        assert probe is not None
        assert probe.status == status


def test_the_codes_that_count_as_none_are_a_setting(script: Path) -> None:
    with harness(script, {**PROBED, "failing": [500]}) as proxy:
        live(proxy, 40, {A: 500, B: 503})
        assert [each.state for each in gateways(proxy)] == [State.DOWN, State.UP]


def test_when_all_are_down_they_are_tried(script: Path) -> None:
    with harness(script, PROBED) as proxy:
        proxy.advance(45)
        assert [each.state for each in gateways(proxy)] == [State.DOWN, State.DOWN]
        assert call(proxy).to[0] in (A, B)


def test_probes_are_spread_and_one_is_under_way_at_a_time(script: Path) -> None:
    targets = [f"sip:192.0.2.{number}" for number in range(60, 80)]
    with harness(script, {"targets": targets, "probe": "10s", "timeout": "30s"}) as proxy:
        probes = only(proxy.advance(9.9), "OPTIONS")
        firsts = {probe.to: probe.time for probe in reversed(probes)}
        assert len(firsts) == 20
        assert max(Counter(round(time, 1) for time in firsts.values()).values()) <= 2
        call_ids = {probe.headers.get("Call-ID") for probe in probes}
        call_ids |= {each.headers.get("Call-ID") for each in only(proxy.advance(19), "OPTIONS")}
        assert len(call_ids) == 20  # retransmissions only: none had its second


def test_where_more_are_dead_than_are_probed_at_once_everybody_has_a_turn(script: Path) -> None:
    targets = [f"sip:10.0.0.{number}" for number in range(1, 151)]
    with harness(script, {"targets": targets, "probe": "2s"}) as proxy:
        proxy.advance(40)
        before = [each.probes for each in gateways(proxy)]
        assert {each.state for each in gateways(proxy)} == {State.DOWN}
        proxy.advance(60)
        more = [each.probes - many for each, many in zip(gateways(proxy), before, strict=True)]
        assert min(more) >= 10
        assert max(more) < 2 * min(more)
        live(proxy, 8, {"10.0.0.150": 200})
        assert gateways(proxy)[149].state is State.UP


def test_dns_that_fails_makes_no_destination_dead(script: Path) -> None:
    table = {"targets": ["sip:gw.example"], "probe": "5s"}
    with harness(script, table, f"gw.example. 30 IN A {A}") as proxy:
        live(proxy, 12, BOTH)

        async def away(question: Question) -> Answer:
            return Answer(question, Outcome.FAILED, note="no answer")

        proxy.dns.ask = away  # type: ignore[method-assign]
        live(proxy, 60, BOTH)
        [gateway] = gateways(proxy)
        assert (gateway.state, gateway.missed) == (State.UP, 0)
        proxy.receive(call(proxy, "away").answer(486))
        assert choices(proxy, "away")[0].winner is not None

        async def gone(question: Question) -> Answer:
            return Answer(question, Outcome.NO_NAME, ttl=5.0)

        proxy.dns.ask = gone  # type: ignore[method-assign]  # and not because DNS fails
        live(proxy, 60, BOTH)
        assert gateway.state is State.DOWN


def test_a_probe_is_a_request_that_anybody_can_answer(script: Path) -> None:
    with harness(script, PROBED) as proxy:
        probe = only(proxy.advance(0.5), "OPTIONS")[0]
        assert probe.uri == f"sip:{A}"
        for name in ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Accept"):
            assert probe.headers.count(name) == 1
        assert not proxy.element.recorder.call_ids(10)  # it stands in no list of calls


# drain


def test_a_drained_destination_gets_no_new_call_but_its_dialogs(script: Path) -> None:
    with harness(script, TWO) as proxy:
        invite = call(proxy)
        contact = f"sip:bob@{A}:5060"
        [ok] = proxy.receive(invite.answer(200, headers=[("Contact", f"<{contact}>")]))
        gateways(proxy)[0].drained = True
        assert call(proxy, "new").to[0] == B
        [choice] = choices(proxy, "new")
        assert [v.reason for v in choice.verdicts] == [Reason.DRAINED, Reason.CHOSEN]
        [ack] = proxy.receive(proxy.request("ACK", contact, within=ok))
        [bye] = proxy.receive(proxy.request("BYE", contact, within=ok))
        assert ack.to[0] == bye.to[0] == A
        gateways(proxy)[0].drained = False
        assert call(proxy, "undrained").to[0] == A


def test_within_a_dialog_the_set_counts_for_nothing(script: Path) -> None:
    script.write_text(SCRIPT.replace("on_request", "in_dialog"), encoding="utf-8")
    with harness(script, TWO) as proxy:
        tag = ("To", "<sip:bob@example.org>;tag=1")
        [info] = proxy.receive(proxy.request("INFO", f"sip:bob@{C}", headers=[tag]))
        # neither the script's target nor the set: nothing says where the other end is but the URI
        assert info.status == 480 or info.to[0] != A


def test_where_all_are_drained_nobody_is_called(script: Path) -> None:
    with harness(script, TWO) as proxy:
        for each in gateways(proxy):
            each.drained = True
        _, answer = proxy.receive(
            proxy.request("INVITE", "sip:x@example.org", headers=[("Call-ID", "c")])
        )
        assert answer.status == 480
        [choice] = choices(proxy, "c")
        assert choice.winner is None
        assert str(choice) == "gateways: nobody is left"


def test_drained_while_a_call_is_under_way(script: Path) -> None:
    with harness(script, TWO) as proxy:
        invite = call(proxy)
        gateways(proxy)[1].drained = True
        answers = [sent for sent in proxy.receive(invite.answer(503)) if sent.status]
        assert [sent.status for sent in answers] == [500]


# names

ZONE = f"""
_sip._udp.gw.example. 5 IN SRV 0 0 5060 one.gw.example.
_sip._udp.gw.example. 5 IN SRV 1 0 5062 two.gw.example.
one.gw.example. 5 IN A {A}
two.gw.example. 5 IN A {B}
backup.example. 5 IN A {C}
"""
NAMES = {"targets": ["sip:gw.example", {"uri": "sip:backup.example:5070", "priority": 1}]}


def test_a_destination_with_several_servers_is_tried_as_a_whole_first(script: Path) -> None:
    with harness(script, NAMES, ZONE) as proxy:
        first = call(proxy)
        [second] = only(proxy.receive(first.answer(503)), "INVITE")
        [third] = only(proxy.receive(second.answer(503)), "INVITE")
        assert [each.to for each in (first, second, third)] == [(A, 5060), (B, 5062), (C, 5070)]
        assert [(each.sent, each.failed) for each in gateways(proxy)] == [(1, 1), (1, 0)]
        kinds = [step.kind for step in story(proxy, "c")]
        assert kinds.count("chosen") == kinds.count("located") == 2


def test_answers_past_their_time_serve_a_call_that_has_to_move_on(script: Path) -> None:
    with harness(script, NAMES, ZONE) as proxy:
        call(proxy)
        seen = only(proxy.advance(70), "INVITE")  # every answer had five seconds
        assert [*dict.fromkeys(each.to[0] for each in seen)] == [A, B, C]


def test_a_name_that_leads_nowhere_is_passed_over(script: Path) -> None:
    with harness(script, NAMES, f"backup.example. 5 IN A {C}") as proxy:
        assert call(proxy).to[0] == C
        [choice] = choices(proxy, "c")
        assert [v.reason for v in choice.verdicts] == [Reason.NO_HOP, Reason.CHOSEN]


def test_a_sips_target_keeps_to_sips(script: Path) -> None:
    script.write_text(SCRIPT.replace("sip:bob", "sips:bob"), encoding="utf-8")
    with Harness(
        script,
        destinations={"gateways": TWO},
        listen=["udp:192.0.2.1:5060", "tls:192.0.2.1:5061"],
    ) as proxy:
        invite = call(proxy)
        assert (invite.flow.transport.value, invite.to) == ("TLS", (A, 5061))


# requests of its own, forks, no state


def test_a_request_of_the_scripts_own_goes_by_the_set(script: Path) -> None:
    script.write_text(
        """
from trunkline.script import *

@every(1)
async def job(app):
    answer = await app.send_request("MESSAGE", "sip:x@y.example", via=app.destinations("gateways"))
    app.log(str(answer.status))
""",
        encoding="utf-8",
    )
    with harness(script, TWO) as proxy:
        [first] = only(proxy.advance(1.1), "MESSAGE")
        [second] = only(proxy.fail(first), "MESSAGE")
        proxy.receive(second.answer(202))
        assert (first.to[0], second.to[0]) == (A, B)
        assert proxy.lines[-1] == "202"


def test_each_target_of_a_fork_chooses_for_itself(script: Path) -> None:
    script.write_text(
        SCRIPT.replace(
            'relay("sip:bob@example.net"', 'fork(["sip:a@x.example", "sip:b@x.example"]'
        ),
        encoding="utf-8",
    )
    with harness(script, {"targets": [f"sip:{A}", f"sip:{B}"]}) as proxy:
        seen = set()
        for number in range(20):
            sent = proxy.receive(
                proxy.request("INVITE", "sip:x@example.org", headers=[("Call-ID", f"c{number}")])
            )
            seen.add(tuple(each.to[0] for each in only(sent, "INVITE")))
        assert len(seen) == 4


def test_without_state_a_request_that_comes_again_goes_the_same_way(script: Path) -> None:
    targets = {"targets": [f"sip:192.0.2.{number}" for number in range(60, 70)]}
    with Harness(script, destinations={"gateways": targets}, stateless=True) as proxy:
        seen = set()
        for _ in range(30):
            request = proxy.request("MESSAGE", "sip:x@example.org")
            ways = {sent.to for _ in range(5) for sent in only(proxy.receive(request), "MESSAGE")}
            assert len(ways) == 1
            seen |= ways
        assert len(seen) > 3


# the explanation


def story(proxy: Harness, call_id: str) -> list[Step]:
    steps = story_of(proxy.element.recorder, call_id)
    assert {step.kind for step in steps} <= set(STEPS)
    return steps


def test_the_story_names_winner_and_losers(script: Path) -> None:
    with harness(script, TWO) as proxy:
        proxy.receive(call(proxy).answer(503))
        first, second = [step for step in story(proxy, "c") if step.kind == "chosen"]
        assert first.text == f"gateways: sip:{A}"
        assert first.details == (
            f"* sip:{A}, priority 0, weight 1, up: gets the request",
            f"- sip:{B}, priority 1, weight 1, up: one of a better priority is there",
        )
        assert second.details[0] == (
            f"- sip:{A}, priority 0, weight 1, up: had this request already, and failed it"
        )
        assert second.record is not None
        assert second.record["winner"] == f"sip:{B}"
        assert second.record["remote"] == [B, 5060]


_member = st.tuples(
    st.integers(0, 3),  # weight
    st.integers(0, 2),  # priority
    st.sampled_from(State),
    st.booleans(),  # drained
)


@settings(max_examples=60, deadline=None)
@given(members=st.lists(_member, min_size=1, max_size=6), failures=st.integers(0, 6))
def test_the_winner_that_explain_names_is_who_was_sent_to(
    tmp_path_factory: pytest.TempPathFactory,
    members: list[tuple[int, int, State, bool]],
    failures: int,
) -> None:
    script = tmp_path_factory.getbasetemp() / "explained.py"
    script.write_text(SCRIPT, encoding="utf-8")
    targets = [
        {"uri": f"sip:192.0.2.{60 + at}", "weight": weight, "priority": priority}
        for at, (weight, priority, _, _) in enumerate(members)
    ]
    with harness(script, {"targets": targets}) as proxy:
        board = proxy.element.destinations.board
        for row, (_, _, state, drained) in enumerate(members):
            if state is not State.UP:
                board.probed(row, Probe(0, 0, 0), False, 1 if state is State.DOWN else 2)
            board.drain(row, drained)
        [*_, last] = proxy.receive(
            proxy.request("INVITE", "sip:x@example.org", headers=[("Call-ID", "c")])
        )
        for _ in range(failures):
            if last.status:
                break
            [*_, last] = proxy.receive(last.answer(503))
        told = [
            note.details
            for note in proxy.element.recorder.history("c")
            if isinstance(note, Note) and note.kind in ("chosen", "sent")
        ]
        chosen = [details[0] for details in told if isinstance(details[0], Choice)]
        sent = [details[1] for details in told if isinstance(details[1:2], tuple) and details[1:2]]
        assert [choice.flow for choice in chosen if choice.flow] == sent
        takes = [at for at, (_, _, _, drained) in enumerate(members) if not drained]
        up = [at for at in takes if members[at][2] is not State.DOWN] or takes
        tried: list[int] = []
        for choice in chosen:
            reasons = [verdict.reason for verdict in choice.verdicts]
            assert reasons.count(Reason.CHOSEN) == (choice.flow is not None)
            left = [at for at in up if at not in tried]
            assert (choice.flow is not None) == bool(left)
            if choice.flow is not None:
                winner = reasons.index(Reason.CHOSEN)
                assert isinstance(choice.flow, Flow)
                assert choice.flow.remote[0] == f"192.0.2.{60 + winner}"
                assert winner in left
                assert members[winner][1] == min(members[at][1] for at in left)
                tried.append(winner)
            for at, (_, _, state, drained) in enumerate(members):
                if at in tried[:-1]:
                    assert reasons[at] is Reason.TRIED
                elif drained:
                    assert reasons[at] is Reason.DRAINED
                elif state is State.DOWN and at not in up:
                    assert reasons[at] is Reason.DOWN


# the board


def test_the_board_is_the_same_for_all_workers_and_counts_for_each() -> None:
    board = Board(3, 4)
    for worker in range(4):
        board.count_sent(1, worker)
        board.count_sent(2, worker)
    board.count_failed(2, 3)
    assert [board.sent(row) for row in range(3)] == [0, 4, 4]
    assert [board.failed(row) for row in range(3)] == [0, 0, 1]
    before = board.signature(0, 2)
    board.drain(2, True)
    assert board.signature(0, 2) == before
    board.drain(1, True)
    assert board.signature(0, 2) != before
    board.ask(0)
    assert [board.asked(0), board.asked(0)] == [True, False]
    assert Board(0).signature(0, 0) == b""


def test_processes_that_part_after_it_was_made_share_the_board() -> None:
    board = Board(2, 2)
    child = os.fork()
    if not child:
        board.drain(1, True)
        board.count_sent(0, 1)
        board.probed(0, Probe(1.5, 503, 0.25), False, 1)
        os._exit(0)
    os.waitpid(child, 0)
    assert [board.drained(0), board.drained(1)] == [False, True]
    assert board.sent(0) == 1
    assert board.state(0) is State.DOWN
    assert board.last_probe(0) == Probe(1.5, 503, 0.25)
