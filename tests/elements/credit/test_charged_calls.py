"""Calls of the four countries whose money a charging node has, which is scripted here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from tests.elements.clock import run
from tests.elements.support import EXAMPLES, Lab, bare, plan_of, until

from trunkline.config.charging import ChargedSettings
from trunkline.config.network import load_network
from trunkline.config.values import Duration
from trunkline.elements.credit import ChargedBy
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Call, Json, answer, refusal
from trunkline.net.jsonrpc import Peer, RpcServer, TwoWayConnection
from trunkline.rating.durations import SECOND, parse_duration

FOUR = EXAMPLES / "four-countries" / "network.toml"
MOBILE = "61412345678"
DEAF = {"SessionSv1.AuthorizeEvent"}
CLOSING = {"SessionSv1.TerminateSession"}


class Till:
    """A charging node in a few lines: accounts that hold nanoseconds, at a price of 1 a second."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.accounts = {"3005": 1000 * SECOND}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.deaf: set[str] = set()
        self.told: list[Json] = []
        self.used: dict[str, int] = {}
        self.records: dict[str, int] = {}
        self.peer: Peer | None = None
        self.server = RpcServer(self.loop, ("127.0.0.1", 0), self.handle, TwoWayConnection)
        self.address = self.server.local

    def handle(self, call: Call, peer: Peer) -> str | Awaitable[str]:
        self.peer = peer
        argument = call.argument
        assert isinstance(argument, dict)
        self.asked.append((call.method.rpartition(".")[2], argument))
        if call.method in self.deaf:
            return self.loop.create_future()
        if call.method == "CDRsV1.GetCDRs":
            [identifier] = argument["OriginIDs"]
            cost = self.records[identifier] / SECOND
            return answer(call, [{"RunID": "*default", "Cost": cost}])
        event = argument["Event"]
        account, identifier = event["Account"], event["OriginID"]
        if account not in self.accounts:
            return refusal(call, "ACCOUNT_NOT_FOUND")
        usage = parse_duration(event["Usage"])
        match call.method.rpartition(".")[2]:
            case "TerminateSession":
                return answer(call, "OK")
            case "ProcessCDR":
                if identifier not in self.records:
                    self.records[identifier] = usage
                    self.accounts[account] -= usage
                return answer(call, "OK")
            case "UpdateSession":
                self.used[identifier] = self.used.get(identifier, 0) + parse_duration(
                    event["LastUsed"]
                )
        left = self.accounts[account] - self.used.get(identifier, 0)
        return answer(call, {"MaxUsage": max(min(usage, left), 0)})

    def methods(self, since: int = 0) -> list[str]:
        return [method for method, _ in self.asked[since:]]

    async def die(self) -> None:
        """End without a word to anybody."""
        for connection in tuple(self.server.connections):
            connection.abort()
        self.server.close()
        await self.server.wait_closed()

    def rise(self) -> None:
        self.server = RpcServer(self.loop, self.address, self.handle, TwoWayConnection)


@asynccontextmanager
async def charged(**more: object) -> AsyncIterator[tuple[Lab, Till]]:
    """The network, with the calls of Exchange A charged."""
    till = Till()
    lab = Lab()
    settings = ChargedSettings(node="OCS", grant=Duration(10.0), **more)  # type: ignore[arg-type]
    try:
        for name in load_network(FOUR).nodes:
            plan = attrs.evolve(plan_of(FOUR, name), pricing=None)
            if name == "ExchangeA":
                plan = attrs.evolve(plan, charged_by=ChargedBy(till.address, settings))
            await lab.add(plan)
        await lab.settle()
        yield lab, till
    finally:
        await lab.close()
        await till.die()


async def make(lab: Lab, calling: str = "3005", **more: object) -> dict[str, Any]:
    answer = await lab.call("ExchangeA", "calls.originate", calling=calling, called=MOBILE, **more)
    assert isinstance(answer, dict)
    return answer


async def records(lab: Lab, count: int) -> dict[str, dict[str, Any]]:
    for _ in range(3000):
        found = await lab.call("ExchangeA", "calls.list")
        if len(found) >= count:
            assert len(found) == count
            return {record["direction"]: record for record in found}
        await asyncio.sleep(0.05)
    raise AssertionError(f"{len(found)} records, not {count}")


def log(lab: Lab) -> list[str]:
    lines = [bare(str(line)) for line in lab["ExchangeA"].log.lines]
    return [line for line in lines if line.startswith("%CHARGING")]


def test_a_call_is_paid_for_and_its_record_says_so() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            call = await make(lab, hold=25)
            assert call["cic"] is not None  # the IAM has gone out when the operator is answered
            found = await records(lab, 2)
            assert till.methods() == [
                "AuthorizeEvent",
                "InitiateSession",
                "UpdateSession",
                "UpdateSession",
                "UpdateSession",
                "TerminateSession",
                "ProcessCDR",
                "GetCDRs",
            ]
            out, into = found["outgoing"], found["incoming"]
            assert (out["cause"], into["cause"]) == (16, 16)
            assert float(out["cost"]) == pytest.approx(25, abs=0.1)
            assert out["charging"]["account"] == "cgrates.org:3005"
            assert out["charging"]["usage"] == pytest.approx(25 * SECOND, abs=SECOND / 10)
            assert out["charging"]["steps"][0][1] == "AuthorizeEvent 10s: 10s granted"
            assert (out["charging"]["ended"], out["charging"]["error"]) == ("", "")
            assert out["rating"] is None
            assert into["charging"] is into["cost"] is None  # the caller pays
            first = till.asked[1][1]["Event"]
            assert first["AnswerTime"].startswith("2023-11-14T22:")  # where the clock stands
            assert log(lab) == [
                f"%CHARGING-5-UP: OCS (127.0.0.1:{till.address[1]}) is asked what calls may cost"
            ]

    run(main())


def test_the_call_is_released_when_the_money_ends() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            till.accounts["3005"] = 12 * SECOND + SECOND // 2
            call = await make(lab, hold=None)
            found = await records(lab, 2)
            out, into = found["outgoing"], found["incoming"]
            assert (out["cause"], out["location"]) == (into["cause"], into["location"]) == (31, 2)
            assert out["duration"] == pytest.approx(12.5, abs=0.03)
            assert out["cost"] == "12.5"  # the milliseconds after it are the exchange's
            assert till.accounts["3005"] == 0
            why = "the money ended: it was granted 12.5s in all"
            assert out["charging"]["ended"] == why
            assert f"%CHARGING-5-RELEASED: call {call['id'][:8]} of 3005 to {MOBILE}: {why}" in (
                log(lab)
            )
            for name in ("ExchangeA", "ExchangeD"):
                exchange = lab[name].exchange
                assert exchange is not None
                assert exchange.calls == {}

    run(main())


@pytest.mark.parametrize(
    ("calling", "why"),
    [
        ("3008", "account 3008 has not enough for this call"),
        ("3009", "there is no account 3009"),
    ],
)
def test_no_iam_without_money(calling: str, why: str) -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            till.accounts["3008"] = 0
            with pytest.raises(TrunklineError) as refused:
                await make(lab, calling)
            assert refused.value.code == "exchange.not-authorised"
            assert refused.value.message == f"{calling} may not call {MOBILE}: {why}"
            [out] = (await records(lab, 1)).values()
            assert (out["cause"], out["location"], out["dpc"], out["answer"]) == (21, 2, None, None)
            assert (out["cost"], out["charging"]["ended"]) == (None, why)
            assert till.methods() == ["AuthorizeEvent"]
            exchange = lab["ExchangeD"].exchange
            assert exchange is not None
            assert exchange.trunks.counters.messages_received == 0

    run(main())


def test_nobody_calls_while_charging_is_out_of_reach() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            await till.die()
            await asyncio.sleep(0.1)
            with pytest.raises(TrunklineError, match="no connection to 127"):
                await make(lab)
            [out] = (await records(lab, 1)).values()
            assert (out["cause"], out["cause_text"]) == (41, "temporary failure")
            assert "%CHARGING-3-DOWN: OCS" in log(lab)[1]
            till.rise()
            await asyncio.sleep(1.1)
            await make(lab, hold=0)
            await records(lab, 3)
            assert [line.partition(":")[0] for line in log(lab)].count("%CHARGING-5-UP") == 2

    run(main())


def test_a_call_goes_out_on_an_allowance_and_is_paid_for_later() -> None:
    async def main() -> None:
        async with charged(allowance=Duration(60.0)) as (lab, till):
            await till.die()
            await asyncio.sleep(0.1)
            call = await make(lab, hold=20)
            await asyncio.sleep(15)
            till.rise()
            out = (await records(lab, 2))["outgoing"]
            assert out["cause"] == 16
            assert float(out["cost"]) == pytest.approx(20, abs=0.1)
            assert till.used[call["id"]] >= 14 * SECOND

    run(main())


def test_charging_dies_during_a_call() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            await make(lab, hold=None)
            await until(lambda: "InitiateSession" in till.methods())
            await asyncio.sleep(1)
            await till.die()
            out = (await records(lab, 2))["outgoing"]
            assert (out["cause"], out["location"]) == (41, 2)
            assert out["duration"] == pytest.approx(10, abs=0.05)  # it had been granted
            assert out["cost"] is None
            assert out["charging"]["error"].startswith("TerminateSession: no connection to")
            till.rise()
            await until(lambda: bool(till.records))
            assert list(till.records.values()) == [10 * SECOND]
            await asyncio.sleep(5)
            assert till.methods()[-3:] == ["TerminateSession", "ProcessCDR", "GetCDRs"]
            out = (await records(lab, 2))["outgoing"]
            assert (out["cost"], out["charging"]["error"]) == ("10", "")

    run(main())


def test_what_charging_does_not_answer_in_time_is_said_again() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            till.deaf = {"SessionSv1.ProcessCDR"}
            await make(lab, hold=1)
            out = (await records(lab, 2))["outgoing"]
            assert out["charging"]["error"] == "ProcessCDR: no answer within 3 s"
            till.deaf.clear()
            await until(lambda: bool(till.records))
            await asyncio.sleep(0.1)
            out = (await records(lab, 2))["outgoing"]
            assert (out["cost"], out["charging"]["unsaid"]) == ("1", [])

    run(main())


def test_another_process_says_what_one_had_still_to_say() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            await make(lab, hold=1)
            await until(lambda: "InitiateSession" in till.methods())
            await till.die()
            out = (await records(lab, 2))["outgoing"]
            assert (out["cost"], len(out["charging"]["unsaid"])) == (None, 3)
            plan = lab["ExchangeA"].plan
            await lab.clients.pop("ExchangeA").close()
            await lab.nodes.pop("ExchangeA").close()
            till.rise()
            await lab.add(plan)
            await until(lambda: bool(till.records))
            await asyncio.sleep(1)
            out = (await records(lab, 2))["outgoing"]
            assert (out["cost"], out["charging"]["error"]) == ("1", "")
            assert out["charging"]["unsaid"] == []
            assert out["charging"]["steps"][0][1] == "AuthorizeEvent 10s: 10s granted"

    run(main())


def test_more_calls_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.elements.credit.client._LATE_LIMIT", 2)

    async def main() -> None:
        async with charged(allowance=Duration(60.0)) as (lab, till):
            await till.die()
            for _ in range(3):
                await make(lab, hold=1)
            await records(lab, 6)
            assert [line for line in log(lab) if line.startswith("%CHARGING-2-LOST")]
            till.rise()
            await until(lambda: len(till.records) == 2)
            await asyncio.sleep(2)
            assert len(till.records) == 2

    run(main())


def test_calls_that_wait_to_be_told_of_leave_room_for_others() -> None:
    async def main() -> None:
        async with charged(allowance=Duration(60.0)) as (lab, till):
            await till.die()
            for _ in range(25):
                await make(lab, hold=1)
            await records(lab, 50)
            till.deaf = CLOSING
            till.rise()
            await asyncio.sleep(2)
            assert till.methods() == ["TerminateSession"] * 20
            await make(lab, hold=None)
            assert till.methods()[-1] == "AuthorizeEvent"
            await asyncio.sleep(20)
            assert till.methods().count("TerminateSession") == 20  # it is left in peace
            till.deaf = set()
            await until(lambda: len(till.records) == 25)

    run(main())


def test_charging_ends_a_call() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            call = await make(lab, hold=None)
            await until(lambda: "InitiateSession" in till.methods())
            await asyncio.sleep(3)
            assert till.peer is not None
            assert await till.peer.call("SessionSv1.GetActiveSessionIDs", {}) == [
                {"OriginHost": "ExchangeA", "OriginID": call["id"]}
            ]
            start: Json = {"OriginID": call["id"], "OriginHost": "ExchangeA"}
            other: Json = {"OriginID": call["id"], "OriginHost": "ExchangeD"}
            with pytest.raises(TrunklineError, match="NOT_FOUND"):
                await till.peer.call("SessionSv1.DisconnectSession", {"EventStart": other})
            event: Json = {"EventStart": start, "Reason": "FORCED_DISCONNECT"}
            assert await till.peer.call("SessionSv1.DisconnectSession", event) == "OK"
            out = (await records(lab, 2))["outgoing"]
            assert (out["cause"], out["location"]) == (31, 2)
            assert out["charging"]["ended"] == "charging ended the session: FORCED_DISCONNECT"
            wrong: list[tuple[str, Json, str]] = [
                ("SessionSv1.DisconnectSession", event, "NOT_FOUND"),
                ("SessionSv1.DisconnectSession", None, "NOT_FOUND"),
                ("SessionSv1.Warn", {}, "can't find method"),
            ]
            for method, argument, error in wrong:
                with pytest.raises(TrunklineError, match=error):
                    await till.peer.call(method, argument)
            assert await till.peer.call("SessionSv1.GetActiveSessionIDs", {}) == []

    run(main())


def test_charging_cannot_end_what_it_has_no_session_of() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            call = await make(lab, hold=1)
            assert till.peer is not None
            event: Json = {"EventStart": {"OriginID": call["id"]}, "Reason": "FORCED_DISCONNECT"}
            with pytest.raises(TrunklineError, match="NOT_FOUND"):  # it rings
                await till.peer.call("SessionSv1.DisconnectSession", event)
            assert (await records(lab, 2))["outgoing"]["cause"] == 16

    run(main())


def test_the_operator_ends_a_call_that_is_being_authorised() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            till.deaf = DEAF
            waiting = asyncio.create_task(make(lab))
            await until(lambda: bool(till.asked))
            other = lab.clients.pop("ExchangeA")  # it waits for its answer
            [call] = await lab.call("ExchangeA", "calls.active")
            assert (call["state"], call["cic"]) == ("authorising", None)
            await lab.call("ExchangeA", "calls.release", id=call["id"])
            with pytest.raises(TrunklineError) as ended:
                await waiting
            assert ended.value.code == "exchange.given-up"
            [out] = (await records(lab, 1)).values()
            assert (out["cause"], out["location"]) == (16, 0)
            await asyncio.sleep(5)
            assert till.methods() == ["AuthorizeEvent"]
            await other.close()

    run(main())


def test_a_call_that_finds_no_way_costs_nothing() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 linkset ToExchangeA", "shutdown")
            await asyncio.sleep(1)
            with pytest.raises(TrunklineError) as refused:
                await make(lab)
            assert refused.value.code == "isup.paused"
            [out] = (await records(lab, 1)).values()
            assert (out["cause"], out["cost"]) == (27, None)
            assert till.methods() == ["AuthorizeEvent"]
            with pytest.raises(TrunklineError) as refused:
                await make(lab, "30x5")
            assert refused.value.code == "isup.digits"
            assert len(till.asked) == 1

    run(main())


def test_who_is_not_charged_is_not_asked_for() -> None:
    async def main() -> None:
        async with charged(subscribers={"3006": "*none"}) as (lab, till):
            await make(lab, "3006", hold=1)
            out = (await records(lab, 2))["outgoing"]
            assert (out["cause"], out["charging"]) == (16, None)
            assert till.asked == []

    run(main())


def test_what_is_unsaid_at_a_node_s_end_is_kept() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            await make(lab, hold=None)
            await until(lambda: "InitiateSession" in till.methods())
            till.deaf = CLOSING
            await lab.nodes.pop("ExchangeA").close()
            await lab.clients.pop("ExchangeA").close()
            [out] = [
                record
                for record in await lab.call("ExchangeD", "calls.list")
                if record["direction"] == "outgoing"
            ]
            assert out["charging"]["error"].endswith("closed the connection")
            assert len(out["charging"]["unsaid"]) == 3

    run(main())


def test_calls_that_a_node_s_end_ends_are_paid_for() -> None:
    async def main() -> None:
        async with charged() as (lab, till):
            await make(lab, hold=None)
            await until(lambda: "InitiateSession" in till.methods())
            await asyncio.sleep(4)
            till.deaf = DEAF
            waiting = asyncio.create_task(make(lab))
            await until(lambda: till.methods()[-1] == "AuthorizeEvent")
            node = lab.nodes.pop("ExchangeA")
            store = node.plan.network
            await node.close()
            with pytest.raises((TrunklineError, ConnectionError)):
                await waiting
            await lab.clients.pop("ExchangeA").close()
            found = await lab.call("ExchangeD", "calls.list")
            assert store == "four-countries"
            out = [record for record in found if record["direction"] == "outgoing"]
            assert sorted((each["cause"], bool(each["cost"])) for each in out) == [
                (41, False),
                (41, True),
            ]
            assert json.dumps(till.methods()[-3:]) == json.dumps(
                ["TerminateSession", "ProcessCDR", "GetCDRs"]
            )

    run(main())
