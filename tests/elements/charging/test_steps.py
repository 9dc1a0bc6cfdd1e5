"""Steps of sessions: who is locked, what is repeated or late, and what happens by the clock."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from tests.elements.charging.test_sessions import (
    EVENT,
    NOW,
    Ask,
    Clock,
    charging,
    money,
    swept,
    topped_up,
)

from trunkline.charging.event import Event
from trunkline.charging.sessions import Session
from trunkline.elements.charging.engine import Engine, Step
from trunkline.elements.charging.steps import Ended, Steps
from trunkline.rating.durations import SECOND
from trunkline.store.ledger.model import Keys, Loaded, View

CALL = {**EVENT, "Usage": "60s"}
INITIATE = "SessionSv1.InitiateSession"
UPDATE = "SessionSv1.UpdateSession"
TERMINATE = "SessionSv1.TerminateSession"


async def granted(ask: Ask, method: str, event: dict[str, object], **more: object) -> object:
    found = await ask(
        method,
        Event=event,
        **{{INITIATE: "InitSession", UPDATE: "UpdateSession"}[method]: True},
        **more,
    )
    return found["MaxUsage"] if isinstance(found, dict) else found


async def ended(ask: Ask, event: dict[str, object], **more: object) -> object:
    return await ask(TERMINATE, TerminateSession=True, Event=event, **more)


async def looked(engine: Engine) -> list[str]:
    """What becomes of sessions now: what has just become due too."""
    return [each.reason for _ in range(2) for each in await swept(Steps(engine))]


def test_a_session_is_paid_by_the_account_that_opened_it(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        await ask("APIerSv1.AddBalance", Account="1002", BalanceType="*monetary", Value=1)
        await granted(ask, INITIATE, CALL)
        elsewhere = {**CALL, "Account": "1002"}
        assert await granted(ask, UPDATE, elsewhere) == 60 * SECOND
        assert await money(ask) == Decimal("0.8")
        unknown = {**CALL, "Account": "1009", "Usage": "90s"}
        assert await ended(ask, unknown) == "OK"
        assert await money(ask) == Decimal("0.85")
        assert await money(ask, "1002") == 1

    charging(tmp_path, script)


def test_a_tenant_with_a_colon_pays_with_no_account_of_another(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await ask("APIerSv1.AddBalance", Account="b:1001", BalanceType="*sms", Value=5)
        message = {**CALL, "ToR": "*sms", "Usage": "1"}
        found = await granted(ask, INITIATE, message, Tenant="cgrates.org:b")
        assert "'cgrates.org:b' is no tenant" in str(found)
        own = {**message, "Account": "b:1001"}
        assert await granted(ask, INITIATE, own, Tenant="cgrates.org") == 1

    charging(tmp_path, script)


def test_a_record_of_another_account_gives_back_what_the_session_took(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        await ask("APIerSv1.AddBalance", Account="1002", BalanceType="*monetary", Value=1)
        await granted(ask, INITIATE, CALL)
        assert await ask("SessionSv1.ProcessCDR", Event={**CALL, "Account": "1002"}) == "OK"
        assert await money(ask) == 1
        assert await money(ask, "1002") == Decimal("0.9")

    charging(tmp_path, script)


def test_what_is_repeated_is_answered_and_not_done_again(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        for _again in range(2):
            assert await granted(ask, INITIATE, CALL, ID="r1") == 60 * SECOND
        more = {**CALL, "LastUsed": "30s"}
        for _again in range(3):
            assert await granted(ask, UPDATE, more, ID="r2") == 60 * SECOND
            assert await money(ask) == Decimal("0.85")
        # the same name with other figures is another request, and so is one without a name
        assert await granted(ask, UPDATE, {**more, "LastUsed": "60s"}, ID="r2") == 60 * SECOND
        for _again in range(2):
            await granted(ask, UPDATE, CALL)
        assert await money(ask) == Decimal("0.55")
        assert await ended(ask, {**CALL, "Usage": "150s"}) == "OK"
        assert await granted(ask, UPDATE, more, ID="r2") == 60 * SECOND, (
            "it was granted in its time"
        )
        assert await money(ask) == Decimal("0.75")

    charging(tmp_path, script)


def test_a_message_is_charged_once_by_its_id(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        for _again in range(2):
            found = await ask("SessionSv1.ProcessMessage", Debit=True, Event=CALL, ID="m1")
            assert found["MaxUsage"] == 60 * SECOND
            assert await money(ask) == Decimal("0.9")
        await ask("SessionSv1.ProcessMessage", Debit=True, Event=CALL, ID="m2")
        assert await money(ask) == Decimal("0.8")

    charging(tmp_path, script)


def test_the_record_of_a_message_does_not_take_it_again(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        await ask("SessionSv1.ProcessMessage", Debit=True, Event=CALL)
        assert await money(ask) == Decimal("0.9")
        for _again in range(2):
            assert await ask("SessionSv1.ProcessCDR", Event=CALL) == "OK"
            assert await money(ask) == Decimal("0.9")
        [record] = await ask("CDRsV1.GetCDRs")
        assert record["Cost"] == 0.1
        # without a name for it, nothing can be kept, and nothing is
        plain = {**CALL, "OriginID": ""}
        await ask("SessionSv1.ProcessMessage", Debit=True, Event=plain, ID="m1")
        assert await money(ask) == Decimal("0.8")

    charging(tmp_path, script)


def test_late_steps(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        assert await granted(ask, UPDATE, CALL) == 60 * SECOND, "an update opens"
        assert await ended(ask, {**CALL, "Usage": "30s"}) == "OK"
        assert await granted(ask, UPDATE, CALL) == "RALS_ERROR:EXISTS"
        assert await granted(ask, INITIATE, CALL) == "RALS_ERROR:EXISTS"
        assert await ended(ask, {**CALL, "Usage": "60s"}) == "OK", "the first end counts"
        assert await money(ask) == Decimal("0.95")
        assert await ask("SessionSv1.ProcessCDR", Event={**CALL, "Usage": "30s"}) == "OK"
        assert await ended(ask, {**CALL, "Usage": "30s"}) == "OK", "its record has come"
        assert await granted(ask, UPDATE, CALL) == "RALS_ERROR:EXISTS"
        assert await granted(ask, INITIATE, CALL) == "RALS_ERROR:EXISTS"
        assert await money(ask) == Decimal("0.95")

    charging(tmp_path, script)


def test_the_clock_goes_forward(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        first, second, third = (
            (NOW + timedelta(seconds=after)).isoformat() for after in (0, 60, 120)
        )
        await granted(ask, INITIATE, CALL, Time=first)
        await granted(ask, UPDATE, CALL, Time=third)
        late = await granted(ask, UPDATE, CALL, Time=second)
        assert late == (
            "RALS_ERROR:the request of 2026-01-05T12:01:00Z comes after a later one; it was not"
            " carried out"
        )
        wrong = {**CALL, "OriginID": "other", "AnswerTime": "2026-01-05T12:00:01Z"}
        refused = await granted(ask, INITIATE, wrong, Time=first)
        assert str(refused).startswith("RALS_ERROR:it was answered at 2026-01-05T12:00:01Z, after")
        assert await money(ask) == Decimal("0.8")
        # the node's own clock may go back too
        cast("Clock", engine.clock).now -= timedelta(hours=1)
        [before] = await Steps(engine).sessions()
        await granted(ask, UPDATE, CALL)
        [after] = await Steps(engine).sessions()
        assert after.lease_until == before.lease_until
        assert after.updated == before.updated

    charging(tmp_path, script)


@pytest.mark.parametrize(
    ("method", "flag", "event"),
    [
        ("SessionSv1.AuthorizeEvent", "GetMaxUsage", {"Usage": "-1s"}),
        (INITIATE, "InitSession", {"Usage": -1}),
        (INITIATE, "InitSession", {"DebitInterval": "-1s"}),
        (UPDATE, "UpdateSession", {"Usage": "-60s"}),
        (UPDATE, "UpdateSession", {"LastUsed": "-60s"}),
        (TERMINATE, "TerminateSession", {"Usage": "-60s"}),
        ("SessionSv1.ProcessMessage", "Debit", {"Usage": "-60s"}),
    ],
)
@pytest.mark.parametrize("kind", ["*prepaid", "*postpaid"])
def test_nothing_below_zero(
    tmp_path: Path, method: str, flag: str, event: dict[str, object], kind: str
) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        refused = await ask(method, Event={**CALL, "RequestType": kind, **event}, **{flag: True})
        assert str(refused).startswith("RALS_ERROR:the ")
        assert "is below zero" in str(refused)
        assert await money(ask) == 1
        assert await ask("SessionSv1.GetActiveSessions") == "NOT_FOUND"

    charging(tmp_path, script)


def test_what_is_asked_for_where_nothing_is_said(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 100)
        found = await ask("SessionSv1.AuthorizeEvent", GetMaxUsage=True, Event=EVENT)
        assert found["MaxUsage"] == 3 * 3600 * SECOND
        free = {**EVENT, "RequestType": "*postpaid"}
        for tor, usage in (("*sms", 1), ("*data", 1 << 20), ("*generic", 3 * 3600 * SECOND)):
            found = await ask(
                "SessionSv1.AuthorizeEvent", GetMaxUsage=True, Event={**free, "ToR": tor}
            )
            assert found["MaxUsage"] == usage

    charging(tmp_path, script)


AUTOMATIC = {**EVENT, "DebitInterval": "10s"}


def test_a_call_is_extended_until_its_money_ends(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 0.045)  # 27 s
        assert await granted(ask, INITIATE, AUTOMATIC) == -1
        seconds = []
        for _ in range(30):
            # as after a restart: each look is another process's
            for each in await swept(Steps(engine)):
                assert each.reason == "INSUFFICIENT_CREDIT"
                seconds.append((clock.now - NOW).total_seconds())
                assert each.session.runs[0].used == 27 * SECOND
            if not seconds and clock.now - NOW < timedelta(seconds=20):
                [session] = await Steps(engine).sessions()
                held = session.runs[0].granted // SECOND
                assert held == 10 * ((clock.now - NOW).seconds // 10 + 1)
            clock.now += timedelta(seconds=1)
        assert seconds == [27]
        assert await money(ask) == 0
        assert await ended(ask, {**AUTOMATIC, "Usage": "27s"}) == "OK"
        assert await money(ask) == 0

    charging(tmp_path, script)


def test_a_call_goes_on_while_there_is_money(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 10)
        await granted(ask, INITIATE, AUTOMATIC)
        clock.now += timedelta(seconds=605)  # nobody looked for ten minutes
        assert await swept(Steps(engine)) == []
        [session] = await Steps(engine).sessions()
        assert session.runs[0].granted == 610 * SECOND
        assert await swept(Steps(engine)) == []
        assert await ended(ask, {**AUTOMATIC, "Usage": "606s"}) == "OK"
        assert await money(ask) == Decimal("8.99")

    charging(tmp_path, script)


def test_a_call_that_nobody_could_pay_for_meanwhile(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 0.1)
        await granted(ask, INITIATE, AUTOMATIC)
        clock.now += timedelta(hours=1)
        steps = Steps(engine)
        assert await swept(steps) == []
        [each] = await swept(steps)
        assert each.reason == "INSUFFICIENT_CREDIT"
        assert await money(ask) == 0
        # the switch knows better how long it was, and says so once
        for _again in range(2):
            assert await ended(ask, {**AUTOMATIC, "Usage": "30s"}) == "OK"
            assert await money(ask) == Decimal("0.05")

    charging(tmp_path, script)


def test_an_automatic_call_of_which_nothing_is_heard(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 100)
        await granted(ask, INITIATE, {**EVENT, "CGRDebitInterval": "10s"})
        reasons = []
        for _ in range(200):
            clock.now += timedelta(minutes=1)
            reasons += await looked(engine)
        assert reasons == ["FORCED_DISCONNECT"]
        assert await money(ask) == 82, "three hours"

    charging(tmp_path, script)


def test_an_update_of_an_automatic_call(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 1)
        assert await granted(ask, UPDATE, AUTOMATIC) == -1, "it opens one"
        for second in (4, 8, 12):
            clock.now = NOW + timedelta(seconds=second)
            assert await looked(engine) == []
            assert await granted(ask, UPDATE, EVENT) == -1
            [session] = await Steps(engine).sessions()
            [run] = session.runs
            assert (run.used, run.granted) == (second * SECOND, (second + 10) * SECOND)
            assert session.due == clock.now.timestamp() + 10
        assert await ended(ask, {**EVENT, "Usage": "15s"}) == "OK"
        assert await money(ask) == Decimal("0.975")

    charging(tmp_path, script)


@pytest.mark.parametrize("interval", ["10s", "0s"])
def test_a_maximum_cost_ends_a_call(tmp_path: Path, interval: str) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 1)
        capped = {**CALL, "Category": "capped", "DebitInterval": interval}
        assert await granted(ask, INITIATE, capped) == (-1 if interval == "10s" else 30 * SECOND)
        reasons = []
        for second in range(60):
            reasons += [(second, reason) for reason in await looked(engine)]
            clock.now += timedelta(seconds=1)
        assert reasons == [(30, "MAX_COST")]
        assert await money(ask) == Decimal("0.95")

    charging(tmp_path, script)


def test_an_account_that_goes_during_a_call(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 1)
        await granted(ask, INITIATE, AUTOMATIC)
        await ask("APIerSv1.RemoveAccount", Account="1001")
        clock.now += timedelta(seconds=10)
        [each] = await swept(Steps(engine))
        assert each.reason == "ACCOUNT_NOT_FOUND"
        assert await swept(Steps(engine)) == []

    charging(tmp_path, script)


def test_no_money_no_call(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await ask("APIerSv1.SetAccount", Account="1001")
        assert await granted(ask, INITIATE, AUTOMATIC) == 0
        [each] = await swept(Steps(engine))
        assert each.reason == "INSUFFICIENT_CREDIT"

    charging(tmp_path, script)


def test_a_random_order_is_the_same_when_asked_and_when_taken(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        for account, subject in (("1001", "dear"), ("1002", "")):
            balance = {"ID": "own", "RatingSubject": subject, "SharedGroups": "FAMILY"}
            await ask(
                "APIerSv1.AddBalance",
                Account=account,
                BalanceType="*monetary",
                Value=0.1,
                Balance=balance,
            )
        usages = set()
        for number in range(12):
            event = {**EVENT, "OriginID": f"c{number}", "Usage": "20s"}
            asked = await ask("SessionSv1.AuthorizeEvent", GetMaxUsage=True, Event=event)
            assert await granted(ask, INITIATE, event) == asked["MaxUsage"]
            usages.add((await money(ask), await money(ask, "1002")))
            assert await ended(ask, {**event, "Usage": 0}) == "OK"
        assert len(usages) == 2, "now the one, now the other is taken from"

    charging(tmp_path, script)


def test_whoever_has_a_balance_of_a_group_shares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        async def share(account: str, value: float, groups: str = "CLAN") -> None:
            await ask(
                "APIerSv1.AddBalance",
                Account=account,
                BalanceType="*monetary",
                Value=value,
                Balance={"ID": "own", "SharedGroups": groups},
            )

        for account, value in (("1001", 0.05), ("1002", 0.02), ("1003", 0.03)):
            await share(account, value)
        await share("1004", 1, "OTHER")
        event = {**EVENT, "Usage": "180s"}
        read: list[str] = []
        load = engine.book.load

        async def noting(keys: Keys) -> Loaded:
            read.extend(keys.accounts)
            return await load(keys)

        monkeypatch.setattr(engine.book, "load", noting)
        asked = await ask("SessionSv1.AuthorizeEvent", GetMaxUsage=True, Event=event)
        assert asked["MaxUsage"] == 60 * SECOND
        assert read == [f"cgrates.org:100{number}" for number in (1, 2, 3)], "each of them once"
        assert await granted(ask, INITIATE, event) == 60 * SECOND
        assert [await money(ask, f"100{number}") for number in (1, 2, 3, 4)] == [0, 0, 0, 1]
        await share("1005", 0.1)  # it has come meanwhile
        assert await granted(ask, UPDATE, event) == 60 * SECOND
        assert await ended(ask, {**event, "Usage": "60s"}) == "OK"
        assert await money(ask, "1005") == Decimal("0.1")

    charging(tmp_path, script)


def test_a_sessions_own_node_is_first(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 0.02)  # twelve seconds
        own, other = Steps(engine, node="A"), Steps(engine, node="B")
        event = Event(fields=AUTOMATIC)
        await own.initiate(event, None)
        clock.now = NOW + timedelta(seconds=12)
        assert await swept(other) == []
        assert await swept(own) == []
        assert await swept(other) == []
        assert [each.reason for each in await swept(own)] == ["INSUFFICIENT_CREDIT"]
        # a node that does not come any more
        await topped_up(ask, 0.02)
        await own.initiate(Event(fields={**AUTOMATIC, "OriginID": "call-2"}), None)
        clock.now = NOW + timedelta(seconds=26)
        assert await swept(other) == []
        clock.now = NOW + timedelta(seconds=27)
        assert await swept(other) == []
        assert await swept(other) == []
        clock.now = NOW + timedelta(seconds=29)
        assert [each.reason for each in await swept(other)] == ["INSUFFICIENT_CREDIT"]
        # who was asked last has it
        await topped_up(ask, 1)
        third = {**AUTOMATIC, "OriginID": "call-3"}
        await own.initiate(Event(fields=third), None)
        await other.update(Event(fields=third), None, None)
        [session] = [each for each in await own.sessions() if each.origin_id == "call-3"]
        assert session.node == "B"

    charging(tmp_path, script)


def test_what_fails_for_one_session_keeps_no_other_untold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await ask("APIerSv1.SetAccount", Account="1001")
        for name in ("a", "b", "c"):
            await granted(ask, INITIATE, {**AUTOMATIC, "OriginID": name})
        steps = Steps(engine)
        taken = Steps._ended

        def failing(self: Steps, view: View, session: Session, *rest: Any, **more: Any) -> Step:
            if session.origin_id == "b":
                raise KeyError(session.id)
            return taken(self, view, session, *rest, **more)

        monkeypatch.setattr(Steps, "_ended", failing)
        found: list[Ended] = []
        with pytest.raises(KeyError):
            await steps.sweep(found.append)
        assert sorted(each.session.origin_id for each in found) == ["a", "c"]

    charging(tmp_path, script)


def test_a_switch_is_told_though_who_ended_its_session_has_died(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        await topped_up(ask, 0.02)  # twelve seconds
        event = Event(fields=AUTOMATIC)
        await Steps(engine, node="A").initiate(event, None)
        clock.now = NOW + timedelta(seconds=26)
        for again in (False, True, True):  # it dies each time, and is started anew
            found: list[Ended] = []
            steps = Steps(engine, node="A")
            if not again:
                await steps.sweep(found.append)
            await steps.sweep(found.append)
            [each] = found
            assert (each.reason, each.again) == ("INSUFFICIENT_CREDIT", again)
            await steps.sweep(found.append)
            assert len(found) == 1, "it is being told"
        # another takes over after a while
        assert await swept(Steps(engine, node="B")) == []
        clock.now += timedelta(seconds=5)
        other = Steps(engine, node="B")
        await other.sweep(found.append)
        assert len(found) == 2
        # nobody is there to be told: some more times, within a minute
        await other.told(found[1].session, done=False)
        times: list[float] = []
        for _ in range(100):
            clock.now += timedelta(seconds=1)
            at = (clock.now - NOW).total_seconds() - 26
            await other.sweep(lambda _, at=at: times.append(at))  # type: ignore[misc]
            if len(times) and times[-1] == at:
                await other.told(found[1].session, done=False)
        assert times == [15, 30, 60], "each time five seconds after its own node might have"
        assert await swept(other) == []

    charging(tmp_path, script)


def test_a_switch_that_ends_its_call_itself_is_not_told(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await ask("APIerSv1.SetAccount", Account="1001")
        await granted(ask, INITIATE, AUTOMATIC)
        found: list[Ended] = []
        await Steps(engine).sweep(found.append)
        assert len(found) == 1
        assert await ended(ask, {**AUTOMATIC, "Usage": "0s"}) == "OK"
        assert await swept(Steps(engine)) == []

    charging(tmp_path, script)


@pytest.mark.parametrize("interval", [1, "1ms", "100ms"])
def test_a_debit_interval_is_a_tenth_of_a_second_at_least(
    tmp_path: Path, interval: int | str
) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        assert await granted(ask, INITIATE, {**EVENT, "DebitInterval": interval}) == -1
        [session] = await Steps(engine).sessions()
        assert session.debit_interval == SECOND // 10
        assert session.runs[0].granted == SECOND // 10

    charging(tmp_path, script)


def test_times_that_were_put_off_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.elements.charging.steps._SLACK", 10)

    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        steps = Steps(engine)
        opening = Event(fields=AUTOMATIC)
        await steps.initiate(opening, None)
        for _ in range(40):
            await steps.update(opening, None, None)
        assert len(steps._dues) <= 13
        [session] = await steps.sessions()
        assert (session.due, session.id) in steps._dues

    charging(tmp_path, script)
