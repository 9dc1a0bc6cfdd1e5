"""One call's money on a virtual clock: the table, and what is charged when answers fail to come."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from trunkline.config.charging import ChargedSettings
from trunkline.config.values import Duration
from trunkline.elements.credit import (
    TABLE,
    Admit,
    Ask,
    Charge,
    CreditCall,
    Done,
    EndCall,
    State,
    Trigger,
)
from trunkline.jsonrpc import Json
from trunkline.rating.durations import parse_duration

SECOND = 10**9
PAGE = Path(__file__).resolve().parents[3] / "docs" / "charged-calls.md"


def settings(grant: float = 10, timeout: float = 3, allowance: float = 0) -> ChargedSettings:
    return ChargedSettings(
        node="OCS",
        grant=Duration(grant),
        timeout=Duration(timeout),
        allowance=Duration(allowance),
        subscribers={"3007": "*postpaid"},
    )


@dataclass
class Caller:
    """A call and the clock that it lives by."""

    call: CreditCall
    now: float = 100.0
    asked: list[Ask] = field(default_factory=list)
    admitted: bool = False
    end: EndCall | None = None
    done: Done | None = None

    def take(self, outputs: list[Ask | Admit | EndCall | Done]) -> None:
        for output in outputs:
            match output:
                case Ask():
                    self.asked.append(output)
                case Admit():
                    self.admitted = True
                case EndCall():
                    self.end = output
                    self.take(self.call.ended(self.now))
                case Done():
                    assert self.done is None or self.done.charge.unsaid, "it is done once"
                    self.done = output

    def over(self) -> bool:
        """Whether charging has ended the call."""
        return self.end is not None

    @property
    def charge(self) -> Charge:
        assert self.done is not None
        return self.done.charge

    @property
    def last(self) -> str:
        return self.asked[-1].method.rpartition(".")[2]

    def event(self, at: int = -1) -> dict[str, Json]:
        argument = self.asked[at].argument
        assert isinstance(argument, dict)
        event = argument["Event"]
        assert isinstance(event, dict)
        return event

    def wait(self, seconds: float, *, late: float = 0.0) -> None:
        """Let time pass; timers run ``late`` seconds behind theirs."""
        until = self.now + seconds
        while (due := self.call.next_timeout()) is not None and due + late <= until + 1e-9:
            self.now = max(self.now, due + late)
            self.take(self.call.on_timeout(self.now))
        self.now = until

    def setup(self) -> None:
        self.take(self.call.setup(self.now, "2026-01-01T10:00:00+00:00"))

    def answer(self) -> None:
        self.take(self.call.answer(self.now, "2026-01-01T10:00:05+00:00"))

    def hang_up(self) -> None:
        self.take(self.call.ended(self.now))

    def granted(self, seconds: float, number: int = 0) -> None:
        result: Json = {"MaxUsage": round(seconds * SECOND)}
        self.take(self.call.answered(number or self.asked[-1].number, result, self.now))

    def refused(self, error: str) -> None:
        self.take(self.call.refused(self.asked[-1].number, error, self.now))

    def silent(self, why: str = "no connection to 127.0.0.1:2014") -> None:
        self.take(self.call.silent(self.asked[-1].number, why, self.now))

    def result(self, value: Json) -> None:
        self.take(self.call.answered(self.asked[-1].number, value, self.now))

    def pay(self, cost: Json = 5) -> None:
        """Answer the last three questions."""
        for method in ("TerminateSession", "ProcessCDR"):
            assert self.last == method
            self.result("OK")
        assert self.last == "GetCDRs"
        self.result([{"RunID": "*raw", "Cost": -1}, {"RunID": "*default", "Cost": cost}])


def caller(calling: str = "3005", **more: float) -> Caller:
    return Caller(CreditCall(settings(**more), "call-1", "Town", calling, "614"))


def talking(granted: float = 10, **more: float) -> Caller:
    """A call that was authorised, rang for two seconds, and was granted its first usage."""
    made = Caller(CreditCall(settings(**more), "call-1", "Town", "3005", "614"))
    made.setup()
    made.granted(10)
    made.wait(2)
    made.answer()
    made.granted(granted)
    return made


# The way of a call


def test_a_call_from_the_question_to_the_record() -> None:
    call = caller()
    call.setup()
    assert (call.last, call.admitted) == ("AuthorizeEvent", False)
    assert call.event() == {
        "ToR": "*voice",
        "OriginID": "call-1",
        "OriginHost": "Town",
        "RequestType": "*prepaid",
        "Category": "call",
        "Account": "3005",
        "Subject": "3005",
        "Destination": "614",
        "SetupTime": "2026-01-01T10:00:00+00:00",
        "Usage": "10s",
    }
    call.granted(10)
    assert call.admitted
    call.wait(5)
    assert call.last == "AuthorizeEvent"  # it rings, which costs nothing
    call.answer()
    assert call.last == "InitiateSession"
    assert call.event()["AnswerTime"] == "2026-01-01T10:00:05+00:00"
    call.granted(10)
    call.wait(7)  # three seconds, which an answer may take, before the grant ends
    assert call.last == "UpdateSession"
    assert (call.event()["Usage"], call.event()["LastUsed"]) == ("10s", "7s")
    call.granted(10)
    call.wait(7)
    assert call.event()["LastUsed"] == "7s"
    call.granted(10)
    call.wait(1)
    call.hang_up()
    assert call.event()["Usage"] == "15s"
    call.pay(7.25)
    names = [ask.argument["ID"] for ask in call.asked[:-1]]  # type: ignore[index,call-overload]
    assert len(set(names)) == len(names) == 6, "two of one name would be taken for one"
    assert not call.over()
    assert call.charge.account == "cgrates.org:3005"
    assert (call.charge.cost, call.charge.usage) == ("7.25", 15 * SECOND)
    assert (call.charge.ended, call.charge.error, call.charge.unsaid) == ("", "", ())
    assert [text for _, text in call.charge.steps] == [
        "AuthorizeEvent 10s: 10s granted",
        "InitiateSession 10s: 10s granted",
        "UpdateSession 10s, 7s used: 10s granted",
        "UpdateSession 10s, 7s used: 10s granted",
        "TerminateSession 15s: OK",
        "ProcessCDR 15s: OK",
        "GetCDRs: it cost 7.25",
    ]
    assert [round(at) for at, _ in call.charge.steps] == [0, 5, 12, 19, 20, 20, 20]


def test_who_pays_later_is_asked_the_same_by_his_own_request_type() -> None:
    call = caller("3007")
    call.setup()
    assert call.event()["RequestType"] == "*postpaid"


@pytest.mark.parametrize(
    ("answer", "cause", "why"),
    [
        ("nothing", 21, "account 3005 has not enough for this call"),
        ("RALS_ERROR:ACCOUNT_NOT_FOUND", 21, "there is no account 3005"),
        ("ACCOUNT_DISABLED", 21, "charging refused it: ACCOUNT_DISABLED"),
        ("silence", 41, "charging did not answer: no connection to 127.0.0.1:2014"),
        ("late", 41, "charging did not answer: no answer within 3 s"),
    ],
)
def test_no_call_without_a_word_of_charging(answer: str, cause: int, why: str) -> None:
    call = caller()
    call.setup()
    if answer == "nothing":
        call.granted(0)
    elif answer == "silence":
        call.silent()
    elif answer == "late":
        call.wait(2.9)
        assert not call.over()
        call.wait(0.1)
    else:
        call.refused(answer)
    assert not call.admitted
    assert call.end == EndCall(cause, 2, why)  # type: ignore[arg-type]
    assert [ask.method for ask in call.asked] == ["SessionSv1.AuthorizeEvent"]  # nothing to close
    assert (call.charge.cost, call.charge.ended, call.charge.usage) == (None, why, 0)


def test_a_late_yes_to_a_call_that_was_refused_changes_nothing() -> None:
    call = caller()
    call.setup()
    call.wait(4)
    call.granted(10, number=1)
    assert not call.admitted


def test_a_caller_who_gives_up_before_the_answer_owes_nothing() -> None:
    for rings in (False, True):
        call = caller()
        call.setup()
        if rings:
            call.granted(10)
        call.hang_up()
        assert len(call.asked) == 1
        assert call.charge.steps == (((0.0, "AuthorizeEvent 10s: 10s granted"),) if rings else ())


# Money ends


def test_the_call_ends_with_its_money_and_not_a_millisecond_is_charged_beyond() -> None:
    call = talking(4.2)
    call.wait(2.1)  # half of the grant
    assert call.last == "UpdateSession"
    call.granted(2.1)  # there is no more than there was
    call.wait(2, late=0.02)
    assert not call.over()
    call.wait(0.2, late=0.02)
    assert call.end == EndCall(31, 2, "the money ended: it was granted 4.2s in all")  # type: ignore[arg-type]
    assert call.event()["Usage"] == "4.2s"
    call.pay()
    assert call.charge.ended == "the money ended: it was granted 4.2s in all"
    assert call.charge.usage == 4.2 * SECOND


def test_a_top_up_before_the_last_question_lets_the_call_go_on() -> None:
    call = talking(4)
    call.wait(2)
    call.granted(10)
    call.wait(7)
    assert call.last == "UpdateSession"
    assert not call.over()


def test_nothing_left_at_an_update_ends_the_call_at_once() -> None:
    call = talking(4)
    call.wait(2)
    call.granted(0)
    call.wait(0)
    assert call.end is not None
    assert call.end.cause == 31
    assert call.event()["Usage"] == "2s"


def test_an_update_that_is_refused_leaves_what_was_granted() -> None:
    call = talking()
    call.wait(7)
    call.refused("ACCOUNT_DISABLED")
    call.wait(2.9)
    assert not call.over()
    call.wait(0.2)
    assert call.end == EndCall(31, 2, "charging refused it: ACCOUNT_DISABLED")  # type: ignore[arg-type]
    assert call.event()["Usage"] == "10s"


def test_released_at_the_very_moment_that_the_grant_ends() -> None:
    for first in ("caller", "grant"):
        call = talking(4)
        call.wait(2)
        call.granted(2)
        call.now += 2
        if first == "caller":
            call.hang_up()
            call.take(call.call.on_timeout(call.now))
        else:
            call.take(call.call.on_timeout(call.now))
            call.hang_up()
        assert (call.end is None) is (first == "caller")
        assert [ask.method.rpartition(".")[2] for ask in call.asked].count("TerminateSession") == 1
        assert call.event()["Usage"] == "4s"
        call.pay()


def test_an_answer_to_an_update_that_crosses_the_release_is_passed_over() -> None:
    call = talking()
    call.wait(7)
    update = call.asked[-1].number
    call.hang_up()
    call.granted(10, number=update)
    assert call.last == "TerminateSession"
    call.pay()


def test_refused_when_it_is_answered() -> None:
    call = caller()
    call.setup()
    call.granted(10)
    call.answer()
    call.wait(0.5)
    call.granted(0)
    assert call.end is not None
    assert call.end.cause == 31
    assert call.event()["Usage"] == "0s"
    call.pay(0)
    assert (call.charge.usage, call.charge.cost) == (0, "0")


def test_refused_by_an_error_when_it_is_answered() -> None:
    call = caller()
    call.setup()
    call.granted(10)
    call.answer()
    call.refused("ACCOUNT_DISABLED")
    assert call.end is not None
    assert call.end.cause == 31
    assert len(call.asked) == 2  # there is no session to close
    assert call.charge.usage == 0


def test_hung_up_before_the_session_is_open() -> None:
    call = caller()
    call.setup()
    call.granted(10)
    call.answer()
    call.wait(0.5)
    call.hang_up()
    assert (call.last, call.event()["Usage"]) == ("TerminateSession", "500ms")
    call.pay()


def test_charging_ends_the_session() -> None:
    call = talking()
    call.wait(4)
    call.take(call.call.disconnect(call.now, "FORCED_DISCONNECT"))
    assert call.end == EndCall(31, 2, "charging ended the session: FORCED_DISCONNECT")  # type: ignore[arg-type]
    assert call.event()["Usage"] == "4s"
    call.take(call.call.disconnect(call.now, "FORCED_DISCONNECT"))
    call.pay()
    assert (2 + 4, "DisconnectSession: FORCED_DISCONNECT") in call.charge.steps


# Charging does not answer


def test_charging_dies_during_the_call_which_goes_on_to_the_end_of_its_grant() -> None:
    call = talking()
    call.wait(7)
    call.silent("127.0.0.1:2014 closed the connection")
    asked = len(call.asked)
    call.wait(1)
    assert len(call.asked) == asked + 1  # again, after a second
    call.silent()
    call.wait(2, late=0.01)
    assert not call.over() or call.now >= 112
    call.wait(0.1)
    assert call.end is not None
    assert (call.end.cause, call.end.location) == (41, 2)
    assert call.event()["Usage"] == "10s"
    call.silent()
    assert call.charge.error == "TerminateSession: no connection to 127.0.0.1:2014"
    assert [method for method, _ in call.charge.unsaid] == [
        "SessionSv1.TerminateSession",
        "SessionSv1.ProcessCDR",
        "CDRsV1.GetCDRs",
    ]
    assert call.call.state is State.LATE


def test_what_was_not_said_is_said_when_charging_is_back_here_or_in_another_process() -> None:
    for another in (False, True):
        call = talking()
        call.wait(1)
        call.hang_up()
        call.silent()
        assert (call.charge.cost, call.charge.error) == (
            None,
            "TerminateSession: no connection to 127.0.0.1:2014",
        )
        if another:
            kept = Charge.parse(call.charge.to_json())
            assert kept == call.charge
            call.call = CreditCall.late(settings(), "Town", "call-1", "3005", kept)
        call.take(call.call.back(call.now))
        assert (call.last, call.event()["Usage"]) == ("TerminateSession", "1s")
        call.pay(1)
        assert (call.charge.cost, call.charge.error, call.charge.unsaid) == ("1", "", ())
        assert (call.charge.usage, call.charge.account) == (SECOND, "cgrates.org:3005")
        assert len(call.charge.steps) == 6
        assert call.call.state is State.ENDED


def test_who_is_silent_at_the_end_is_asked_again_when_it_is_the_call_s_turn() -> None:
    call = talking()
    call.hang_up()
    call.wait(3)
    assert call.charge.error == "TerminateSession: no answer within 3 s"
    assert call.call.next_timeout() is None
    call.take(call.call.back(call.now))
    call.pay()
    assert call.charge.cost == "5"


def test_charging_comes_back_within_the_grant() -> None:
    call = talking()
    call.wait(7)
    call.silent()
    call.wait(0.5)
    call.take(call.call.back(call.now))
    assert (call.last, call.event()["LastUsed"]) == ("UpdateSession", "7.5s")
    call.granted(10)
    call.wait(7)
    assert call.last == "UpdateSession"
    assert not call.over()


def test_an_answer_later_than_the_grant() -> None:
    call = talking(4)
    call.wait(2)
    assert call.last == "UpdateSession"
    call.wait(2)
    assert call.end == EndCall(41, 2, "charging did not answer before the grant ended")  # type: ignore[arg-type]
    assert call.event()["Usage"] == "4s"


def test_with_an_allowance_a_call_goes_on_without_a_word() -> None:
    call = caller(allowance=20)
    call.setup()
    call.silent()
    assert call.admitted
    call.answer()
    call.silent()
    call.wait(19)
    assert not call.over()
    assert call.last == "UpdateSession"  # a session that is not there is opened by it
    call.wait(2)
    assert call.end is not None
    assert call.end.cause == 41
    assert call.event()["Usage"] == "20s"


def test_what_ran_on_an_allowance_is_told_when_charging_is_back() -> None:
    call = talking(allowance=20)
    call.wait(7)
    call.silent()
    for _ in range(8):
        call.wait(1)
        call.silent()
    assert not call.over()
    call.wait(1)
    assert call.event()["LastUsed"] == "16s"
    call.granted(5)
    call.wait(2.5)
    call.granted(2.5)
    call.wait(2.6)
    assert call.end is not None
    assert call.end.why == "the money ended: it was granted 21s in all"
    call.pay()


def test_a_record_without_a_price_says_why() -> None:
    call = talking()
    call.wait(1)
    call.hang_up()
    call.result("OK")
    call.result("OK")
    call.result([{"RunID": "*default", "Cost": -1, "ExtraInfo": "RATING_PLAN_NOT_FOUND"}])
    assert call.charge.cost is None
    assert call.charge.error == "charging has no price for the call: RATING_PLAN_NOT_FOUND"


def test_refusals_at_the_end_are_kept_for_the_record() -> None:
    call = talking()
    call.hang_up()
    call.refused("SERVER_ERROR: no ledger")
    call.result("OK")
    call.result([])
    assert call.charge.cost is None
    assert call.charge.error == "TerminateSession: SERVER_ERROR: no ledger"
    assert call.charge.unsaid == ()


@pytest.mark.parametrize("answer", [None, {}, {"MaxUsage": None}, {"MaxUsage": "1s"}, [1], True])
def test_an_answer_that_makes_no_sense_grants_nothing(answer: Json) -> None:
    call = caller()
    call.setup()
    call.result(answer)
    assert not call.admitted


def test_an_answer_without_a_limit_grants_what_was_asked() -> None:
    call = caller()
    call.setup()
    call.result({"MaxUsage": -1})
    call.answer()
    call.result({"MaxUsage": -1})
    call.wait(7)
    assert call.last == "UpdateSession"


def test_a_grant_beyond_all_time_is_a_grant() -> None:
    call = caller()
    call.setup()
    call.result({"MaxUsage": 10**400})
    call.answer()
    call.result({"MaxUsage": 10**400})
    call.wait(100_000)
    call.hang_up()
    assert call.event()["Usage"] == "27h46m40s"
    call.pay()


def test_the_clock_jumps_over_the_end_of_the_grant() -> None:
    call = talking(4)
    call.now += 3600  # the machine slept
    call.take(call.call.on_timeout(call.now))
    assert call.event()["Usage"] == "4s"
    call.pay()


# The table


def test_answer_and_disconnect_without_a_call_change_nothing() -> None:
    call = caller()
    call.answer()
    call.take(call.call.disconnect(call.now, "x"))
    assert call.call.state is State.NEW
    assert not call.asked
    call.setup()
    call.answer()  # before it is authorised
    assert call.last == "AuthorizeEvent"


def test_every_state_is_reached_and_left() -> None:
    reached = {state for row in TABLE.values() for state in row.next}
    assert reached == set(State) - {State.NEW}
    assert {state for state, _ in TABLE} == set(State) - {State.ENDED}


def test_the_documented_table_is_the_code_s() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE
    )
    assert rows == [
        (
            state.value,
            trigger.value,
            row.action.value,
            " or ".join(f"`{s.value}`" for s in row.next),
        )
        for (state, trigger), row in TABLE.items()
    ]


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_the_call_ends_once_and_within_what_it_was_granted(seed: int) -> None:
    """Answers come, come late or never; the caller hangs up, or charging ends it, at any time."""
    chance = random.Random(seed)
    allowance, grant = chance.choice([0, 5]), chance.choice([1, 10])
    call = caller(allowance=allowance, grant=grant)
    money = round(chance.uniform(0, 40) * SECOND)
    granted = reported = taken = 0
    open_asks: list[Ask] = []
    call.setup()
    for _ in range(500):
        open_asks += call.asked[taken:]
        taken = len(call.asked)
        if call.call.state in (State.LATE, State.ENDED):
            break
        if open_asks and chance.random() < 0.6:
            ask = open_asks.pop(chance.randrange(len(open_asks)))
            what = chance.choice(["answer"] * 5 + ["error", "nothing"])
            if what == "error":
                call.take(call.call.refused(ask.number, "no", call.now))
            elif what == "nothing":
                call.take(call.call.silent(ask.number, "away", call.now))
            elif call.call.state is State.CLOSING:
                call.take(call.call.answered(ask.number, "OK", call.now))
            else:
                argument = ask.argument
                assert isinstance(argument, dict)
                used = parse_duration(argument["Event"].get("LastUsed", "0s"))
                usage = max(min(grant * SECOND, money - reported - used), 0)
                asked = call.call.state in (State.OPENING, State.UPDATING)
                if asked and ask is call.asked[-1]:
                    reported += used
                    granted = max(granted, reported + usage)
                call.granted(usage / SECOND, number=ask.number)
        elif call.admitted and chance.random() < 0.3:
            call.answer()
        elif chance.random() < 0.02:
            call.hang_up()
        elif chance.random() < 0.02:
            call.take(call.call.disconnect(call.now, "x"))
        else:
            call.wait(chance.choice([0.1, 1.0, 3.0]), late=0.01)
    if call.done is None:
        call.hang_up()
        while call.done is None:
            call.wait(3)
    while call.charge.unsaid:
        call.take(call.call.back(call.now))
        call.result("OK")
    assert call.call.state is State.ENDED
    assert call.call.next_timeout() is None
    # Before the first grant is there, what was authorised may be used
    assert 0 <= call.charge.usage <= max(granted, grant * SECOND) + allowance * SECOND


def test_every_trigger_means_something() -> None:
    assert {trigger for _, trigger in TABLE} == set(Trigger)
