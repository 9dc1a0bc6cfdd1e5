"""Garbage at every level: counted, said in the log, and nobody else notices."""

from __future__ import annotations

import asyncio
import io
import struct

import pytest
from tests.elements.clock import run
from tests.elements.support import Lab, bare, running

from trunkline.elements.discards import Discards
from trunkline.elements.log import RouterLog
from trunkline.ss7.mtp3.message import Msu
from trunkline.ss7.pointcode import ITU

A, D, EXCHANGE_A, EXCHANGE_D = (ITU.parse(pc) for pc in ("1.2.3", "7.8.1", "1.2.4", "7.8.2"))
USER_DATA = 1  # its stream, RFC 4165 section 4.1.2


async def _send(lab: Lab, msu: bytes, times: int = 1) -> None:
    """Have CountryD's link send ``msu`` to ExchangeD, past its router, and wait for it."""
    driver = lab["CountryD"].point.link("ToExchangeD", 0)
    assert not driver.level2.send([msu] * times, asyncio.get_running_loop().time())
    driver.flush()
    await asyncio.sleep(0.1)


def _msu(si: int, payload: bytes, *, ni: int = 0, opc: int = EXCHANGE_A) -> bytes:
    return Msu(ni, 0, si, EXCHANGE_D, opc, 0, payload).to_bytes(ITU)


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"", "m2pa."),
        (b"\x01", "m2pa."),
        (b"\x01\x00\x0b\x01" + struct.pack("!I", 99) + bytes(8), "m2pa."),
        (b"\x02\x00\x0b\x01" + struct.pack("!I", 16) + bytes(8), "m2pa."),
        (b"\x01\x00\x0b\x07" + struct.pack("!I", 16) + bytes(8), "m2pa."),
        (b"\xff" * 4000, "m2pa."),
    ],
)
def test_malformed_m2pa(octets: bytes, code: str) -> None:
    async def main() -> None:
        async with running() as lab:
            before = lab.counters("out_of_service")
            for _ in range(100):
                lab.association("ExchangeD", "ToCountryD").inject((USER_DATA, octets))
            counts = (await lab.call("ExchangeD", "node.counters"))["discards"]
            assert [key.startswith(code) for key in counts] == [True]
            assert sum(counts.values()) == 100
            said = [line for line in lab["ExchangeD"].log.lines if line.mnemonic == "DISCARD"]
            assert len(said) == 1
            await lab.settle()
            assert (await lab.view("ExchangeA", "ping cs7 7.8.2"))["received"] == 1
            assert lab.counters("out_of_service") == before

    run(main())


@pytest.mark.parametrize(
    ("msu", "code"),
    [
        (_msu(3, b"nobody here takes SCCP"), "mtp3.si"),
        (_msu(15, b""), "mtp3.si"),
        (_msu(5, b"x", ni=2), "mtp3.network-indicator"),
        (_msu(5, b"x", opc=EXCHANGE_D), "mtp3.opc"),
        (b"\x05", "mtp3.short"),
        (_msu(0, b""), "mtp3."),
        (_msu(0, b"\x14\x00"), "mtp3."),
        (_msu(1, b"\xff"), "mtp3."),
        (_msu(8, b"\xff\xff"), "mtp3."),
        (_msu(5, b""), "isup."),
        (_msu(5, b"\x01\x00"), "isup."),
        (_msu(5, b"\x01\x00\x01\xff\xff\xff\xff\xff\xff"), "isup."),
        (_msu(5, b"\x01\x00\xee"), "isup."),
        (_msu(5, b"\xff\x0f\x0c\x02\x00\x02\x83\x90", opc=A), "isup.unknown-exchange"),
        (_msu(5, b"\x77\x00\x10"), "isup.unequipped-circuit"),
    ],
)
def test_refused_messages(msu: bytes, code: str) -> None:
    async def main() -> None:
        async with running() as lab:
            before = lab.counters("out_of_service")
            await _send(lab, msu, times=20)
            counts = (await lab.call("ExchangeD", "node.counters"))["discards"]
            assert [key.startswith(code) for key in counts] == [True], counts
            assert sum(counts.values()) == 20
            said = [bare(str(line)) for line in lab["ExchangeD"].log.lines]
            (line,) = [line for line in said if "-4-DISCARD: " in line]
            assert next(iter(counts)) in line
            assert line.endswith("(1)")
            await _send(lab, msu)
            assert lab["ExchangeD"].faults == 0
            assert lab.stack("ExchangeD").stats.handler_errors == 0
            assert lab.counters("out_of_service") == before
            await lab.call(
                "ExchangeA", "calls.originate", calling="3005", called="61412345678", hold=0
            )
            await asyncio.sleep(3)
            records = await lab.call("ExchangeA", "calls.list")
            assert [record["cause"] for record in records] == [16, 16]

    run(main())


def test_a_user_that_raises_costs_nobody_else_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with running() as lab:
            exchange = lab["ExchangeD"].exchange
            assert exchange is not None

            def broken(*_: object) -> None:
                raise ZeroDivisionError("a fault of ours")

            monkeypatch.setattr(exchange.trunks, "receive", broken)
            await lab.call("ExchangeA", "calls.originate", calling="3005", called="61412345678")
            await asyncio.sleep(1)
            assert lab["ExchangeD"].faults == 1
            assert (await lab.view("ExchangeA", "ping cs7 7.8.2"))["received"] == 1
            counters = lab["ExchangeD"].point.link("ToCountryD", 0).level2.counters
            assert counters.out_of_service == 0
            assert lab["CountryD"].point.link("ToExchangeD", 0).level2.unacknowledged == 0
            said = [bare(str(line)) for line in lab["ExchangeD"].log.lines]
            assert "%SYS-2-FAULT: ZeroDivisionError: a fault of ours" in said

    run(main(), faults=1)


def test_the_log_of_discards_is_bounded_and_loses_no_count() -> None:
    log, now = RouterLog(), [0.0]
    discards = Discards(log, lambda: now[0])
    for step in range(30):
        now[0] = step / 10
        discards("CS7X", "x.y", "z")
        if not step % 10:
            discards("CS7X", "x.other", "w")
    assert discards.counts == {"x.y": 30, "x.other": 3}
    said = [line.text for line in log.lines if "x.y" in line.text]
    assert said == ["x.y: z (1)", "x.y: z (10)", "x.y: z (10)"]


def test_a_log_whose_stream_is_full_goes_on() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    log = RouterLog(Full(), limit=3)
    heard: list[str] = []
    log.listeners.append(lambda line: heard.append(line.text))
    for number in range(5):
        log("SYS", 5, "X", str(number))
    assert [line.text for line in log.lines] == ["2", "3", "4"]
    assert heard == ["0", "1", "2", "3", "4"]
    assert log.unwritten == 5
    closed = io.StringIO()
    closed.close()
    RouterLog(closed)("SYS", 5, "X", "y")
