"""Calls between the two exchanges of the four countries, and the records they leave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.elements.clock import run
from tests.elements.support import EXAMPLES, Lab, bare, plan_of, running, until

from trunkline.elements.node import Node
from trunkline.elements.ssp import Exchange
from trunkline.errors import TrunklineError
from trunkline.store.calls import CallRecord

FOUR = EXAMPLES / "four-countries" / "network.toml"
MOBILE = "61412345678"


def _exchange(lab: Lab, name: str) -> Exchange:
    exchange = lab[name].exchange
    assert exchange is not None
    return exchange


async def _call(lab: Lab, called: str = MOBILE, **more: object) -> dict[str, Any]:
    answer = await lab.call("ExchangeA", "calls.originate", calling="3005", called=called, **more)
    assert isinstance(answer, dict)
    return answer


async def _state(lab: Lab, identifier: str, state: str) -> None:
    def holds() -> bool:
        calls = _exchange(lab, "ExchangeA").calls.values()
        return any(call.id == identifier and call.state == state for call in calls)

    await until(holds)


async def _records(lab: Lab, count: int) -> dict[str, dict[str, Any]]:
    """The newest records by exchange and direction, when there are ``count`` of them."""
    for _ in range(3000):
        records = await lab.call("ExchangeA", "calls.list")
        if len(records) >= count:
            assert len(records) == count
            return {f"{record['exchange']} {record['direction']}": record for record in records}
        await asyncio.sleep(0.05)
    raise AssertionError(f"{len(records)} records, not {count}")


def _agree(records: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    out, into = records["ExchangeA outgoing"], records["ExchangeD incoming"]
    for field in ("calling", "called", "opc", "dpc", "cic", "cause", "cause_text"):
        assert out[field] == into[field], field
    return out, into


def test_an_answered_call_is_held_then_leaves_two_records_that_agree() -> None:
    async def main() -> None:
        async with running() as lab:
            call = await _call(lab)
            assert call["state"] == "setup"
            await _state(lab, call["id"], "alerting")
            await _state(lab, call["id"], "answered")
            out, into = _agree(await _records(lab, 2))
            assert out["id"] == out["trace"] == call["id"]
            assert (out["opc"], out["dpc"], out["cic"]) == ("1.2.4", "7.8.2", call["cic"])
            assert (out["cause"], out["cause_text"]) == (16, "normal call clearing")
            assert out["duration"] == pytest.approx(5.0, abs=0.1)  # hold_time of the file
            assert into["answer"] - into["start"] == pytest.approx(0.5, abs=0.1)  # ring_time
            assert into["duration"] == pytest.approx(out["duration"], abs=0.1)
            for name in ("ExchangeA", "ExchangeD"):
                assert _exchange(lab, name).calls == {}
                assert next(iter(_exchange(lab, name).trunks.groups.values())).idle == 30

    run(main())


def test_the_caller_chooses_how_long() -> None:
    async def main() -> None:
        async with running() as lab:
            await _call(lab, hold=0)
            out, _ = _agree(await _records(lab, 2))
            assert out["duration"] == pytest.approx(0, abs=0.1)
            call = await _call(lab, hold=None)
            await asyncio.sleep(60)
            assert [one["state"] for one in await lab.call("ExchangeA", "calls.active")] == [
                "answered"
            ]
            await lab.call("ExchangeA", "calls.release", id=call["id"])
            with pytest.raises(TrunklineError) as gone:
                await lab.call("ExchangeA", "calls.release", id=call["id"])
            assert gone.value.code == "exchange.no-such-call"
            await _records(lab, 4)

    run(main())


def test_the_caller_gives_up_while_it_rings() -> None:
    async def main() -> None:
        async with running() as lab:
            call = await _call(lab)
            await _state(lab, call["id"], "alerting")
            await lab.call("ExchangeA", "calls.release", id=call["id"])
            out, into = _agree(await _records(lab, 2))
            assert (out["cause"], out["answer"], out["duration"]) == (16, None, 0)
            await asyncio.sleep(5)
            assert into["answer"] is None
            assert _exchange(lab, "ExchangeD").calls == {}

    run(main())


def test_the_callers_exchange_takes_calls_too() -> None:
    async def main() -> None:
        async with running() as lab:
            answer = await lab.call("ExchangeD", "calls.originate", calling=MOBILE, called="3005")
            assert answer["cic"] % 2 == 0  # its file says that it controls the even ones
            records = await _records(lab, 2)
            out, into = records["ExchangeD outgoing"], records["ExchangeA incoming"]
            assert (out["opc"], out["dpc"], out["cic"]) == (into["opc"], into["dpc"], into["cic"])
            assert out["opc"] == "7.8.2"

    run(main())


def test_a_number_that_nobody_has() -> None:
    async def main() -> None:
        async with running() as lab:
            await _call(lab, "6199")
            out, _ = _agree(await _records(lab, 2))
            assert (out["cause"], out["cause_text"]) == (1, "unallocated (unassigned) number")
            assert out["location"] == 4
            assert out["answer"] is None

    run(main())


def test_a_number_that_does_not_answer() -> None:
    async def main() -> None:
        async with running() as lab:
            settings = _exchange(lab, "ExchangeD").settings
            object.__setattr__(settings, "answer", False)
            await _call(lab)
            out, into = _agree(await _records(lab, 2))
            assert (out["cause"], out["answer"]) == (19, None)
            assert into["end"] - into["start"] == pytest.approx(120, abs=2)  # T9

    run(main())


@pytest.mark.parametrize(
    ("called", "code", "cause"), [("44", "exchange.no-route", 3), ("", "exchange.no-route", 3)]
)
def test_a_number_without_a_route(called: str, code: str, cause: int) -> None:
    async def main() -> None:
        async with running() as lab:
            with pytest.raises(TrunklineError) as refused:
                await _call(lab, called)
            assert refused.value.code == code
            (record,) = (await _records(lab, 1)).values()
            assert (record["cause"], record["dpc"], record["cic"]) == (cause, None, None)
            assert record["duration"] == 0

    run(main())


@pytest.mark.parametrize("called", ["61 412", "61" + "4" * 31, "61x", "61\n"])
def test_what_is_no_number_is_refused_and_leaves_no_record(called: str) -> None:
    async def main() -> None:
        async with running() as lab:
            with pytest.raises(TrunklineError) as refused:
                await _call(lab, called)
            assert refused.value.code == "isup.digits"
            await _records(lab, 0)
            assert _exchange(lab, "ExchangeA").calls == {}

    run(main())


def test_no_circuit_is_free() -> None:
    async def main() -> None:
        async with running() as lab:
            first = await _call(lab, hold=None)
            await _state(lab, first["id"], "answered")
            await asyncio.sleep(1)  # the first message between the two began the resets
            for _ in range(29):
                await _call(lab, hold=None)
            with pytest.raises(TrunklineError) as refused:
                await _call(lab)
            assert refused.value.code == "isup.no-circuit"
            (record,) = (await _records(lab, 1)).values()
            assert record["cause"] == 34
            assert len(await lab.call("ExchangeA", "calls.active")) == 30
            await asyncio.sleep(2)
            assert len({call["cic"] for call in await lab.call("ExchangeD", "calls.active")}) == 30
            for call in await lab.call("ExchangeA", "calls.active"):
                await lab.call("ExchangeA", "calls.release", id=call["id"])
            await _records(lab, 61)

    run(main())


def test_a_destination_that_is_out_of_reach_is_known_before_the_first_call() -> None:
    async def main() -> None:
        async with running(FOUR, ["ExchangeA"]) as lab:  # no country answers
            with pytest.raises(TrunklineError) as refused:
                await _call(lab)
            assert refused.value.code == "isup.paused"
            (record,) = (await _records(lab, 1)).values()
            assert (record["cause"], record["dpc"]) == (27, None)

    run(main())


def test_a_destination_that_is_lost_fails_calls_being_set_up_and_comes_back() -> None:
    async def main() -> None:
        async with running() as lab:
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 linkset ToExchangeA")
            association = lab.association("ExchangeD", "ToCountryD")
            association.handler = _Proxy(association.handler, lambda batch, now: None)  # it is deaf
            await _call(lab)
            await asyncio.sleep(1)
            await shell.type("shutdown")
            await asyncio.sleep(1)
            (record,) = (await _records(lab, 1)).values()
            assert (record["cause"], record["dpc"]) == (27, "7.8.2")
            with pytest.raises(TrunklineError) as refused:
                await _call(lab)
            assert refused.value.code == "isup.paused"
            association.handler = association.handler._handler
            await shell.type("no shutdown")
            await lab.settle()
            await _call(lab, hold=0)
            await _records(lab, 4)

    run(main())


def test_a_call_that_is_up_survives_a_cut() -> None:
    async def main() -> None:
        async with running() as lab:
            call = await _call(lab, hold=60)
            await _state(lab, call["id"], "answered")
            await lab.call("CountryB", "link.block", linkset="ToCountryD", slc=0, blocked=True)
            await until(lambda: not lab["CountryB"].point.router.linksets["ToCountryD"].available)
            await asyncio.sleep(20)
            out, _ = _agree(await _records(lab, 2))
            assert out["cause"] == 16
            assert out["duration"] == pytest.approx(60, abs=0.1)
            assert lab["CountryB"].point.links["ToCountryD", 0].blocked

    run(main())


def test_an_exchange_that_stops_during_a_call_leaves_its_record() -> None:
    async def main() -> None:
        async with running() as lab:
            call = await _call(lab, hold=None)
            await _state(lab, call["id"], "answered")
            node = lab.nodes.pop("ExchangeA")
            await lab.clients.pop("ExchangeA").close()
            await node.close()
            (record,) = await lab.call("ExchangeD", "calls.list")
            assert (record["id"], record["cause"]) == (call["id"], 41)
            assert record["answer"] is not None
            assert len(await lab.call("ExchangeD", "calls.active")) == 1

    run(main())


def test_an_exchange_that_was_killed_resets_its_circuits_when_it_hears_the_other_end() -> None:
    async def main() -> None:
        async with running() as lab:
            call = await _call(lab, hold=None)
            await _state(lab, call["id"], "answered")
            assert len(_exchange(lab, "ExchangeD").calls) == 1
            await lab.kill("ExchangeA")
            await lab.add(plan_of(FOUR, "ExchangeA"))
            await lab.settle()
            # the first message between the two begins the resets
            await lab.call("ExchangeD", "calls.originate", calling=MOBILE, called="3005", hold=1)
            old = call["cic"]
            await until(
                lambda: all(c.cic != old for c in _exchange(lab, "ExchangeD").calls.values())
            )
            counters = _exchange(lab, "ExchangeA").trunks.counters
            await until(lambda: counters.resets_sent >= 29)
            again = await _call(lab)
            await _state(lab, again["id"], "answered")

    run(main())


def test_a_new_point_code_ends_calls_and_leaves_their_records() -> None:
    async def main() -> None:
        async with running() as lab:
            call = await _call(lab, hold=None)
            await _state(lab, call["id"], "answered")
            shell = await lab.shell("ExchangeA")
            assert await shell.type("conf t", "cs7 point-code 1.2.6") == ""
            (record,) = (await _records(lab, 1)).values()
            assert (record["id"], record["cause"], record["opc"]) == (call["id"], 41, "1.2.4")

    run(main())


def test_seizure_and_release_in_one_batch() -> None:
    async def main() -> None:
        async with running() as lab:
            association = lab.association("ExchangeD", "ToCountryD")
            batches: list[list[tuple[int, bytes]]] = []
            deliver = association.handler.messages
            held: list[tuple[int, bytes]] = []

            def hold_back(batch: list[tuple[int, bytes]], now: float) -> None:
                held.extend(batch)

            association.handler = _Proxy(association.handler, hold_back)
            call = await _call(lab)
            await asyncio.sleep(0.1)
            await lab.call("ExchangeA", "calls.release", id=call["id"])
            await asyncio.sleep(0.1)
            batches.append(list(held))
            deliver(batches[0], asyncio.get_running_loop().time())
            out, into = _agree(await _records(lab, 2))
            assert (out["cause"], into["cause"], into["answer"]) == (16, 16, None)
            assert lab["ExchangeD"].faults == 0
            await asyncio.sleep(1)
            assert _exchange(lab, "ExchangeD").calls == {}

    run(main())


class _Proxy:
    """A handler with another ``messages``."""

    def __init__(self, handler: Any, messages: Any) -> None:
        self._handler = handler
        self.messages = messages

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)


class _Broken:
    """A store that cannot be written until it is mended."""

    def __init__(self, node: Node) -> None:
        assert node.store is not None
        self._node = node
        self._store = node.store
        self.broken = True
        self.tries = 0
        node.store = self  # type: ignore[assignment]

    def add(self, records: Iterable[CallRecord]) -> None:
        self.tries += 1
        if self.broken:
            raise TrunklineError("store.unavailable", "the disk is full")
        self._store.add(records)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_store_that_fails_and_recovers_costs_no_record() -> None:
    async def main() -> None:
        async with running() as lab:
            store = _Broken(lab["ExchangeA"])
            await _call(lab, hold=0)
            await asyncio.sleep(30)
            assert len(await lab.call("ExchangeA", "calls.list")) == 1  # the other exchange's
            assert 3 < store.tries < 10  # tried again, not all the time
            shown = [bare(str(line)) for line in lab["ExchangeA"].log.lines]
            assert shown.count("%CS7CDR-2-STORE: the disk is full") == store.tries
            store.broken = False
            _agree(await _records(lab, 2))
            assert not lab["ExchangeA"]._outbox

    run(main())


def test_a_store_that_stays_broken_costs_the_oldest_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trunkline.elements.node._OUTBOX_LIMIT", 3)

    async def main() -> None:
        async with running() as lab:
            store = _Broken(lab["ExchangeA"])
            for number in range(5):
                with pytest.raises(TrunklineError):
                    await _call(lab, f"44{number}")
            store.broken = False
            await asyncio.sleep(10)
            records = await lab.call("ExchangeA", "calls.list")
            assert {record["called"] for record in records} == {"442", "443", "444"}
            lost = [line for line in lab["ExchangeA"].log.lines if line.mnemonic == "LOST"]
            assert len(lost) == 2

    run(main())


def test_two_exchanges_of_one_name_for_a_trunk_and_oneself_are_refused(tmp_path: Path) -> None:
    text = FOUR.read_text().replace('point_code = "7.8.2"', 'point_code = "1.2.4"')
    text = text.replace('tariff = "..', f'tariff = "{FOUR.parent.parent}')
    text = text.replace('config = ["', f'config = ["{FOUR.parent}/').replace(
        '", "overlay', f'", "{FOUR.parent}/overlay'
    )
    file = tmp_path / "network.toml"
    file.write_text(text)

    async def main() -> None:
        async with running(file, ["CountryA"]) as lab:
            with pytest.raises(TrunklineError, match="this exchange itself") as refused:
                await lab.add(plan_of(file, "ExchangeA"))
            assert refused.value.code == "exchange.own-trunk"

    run(main())
