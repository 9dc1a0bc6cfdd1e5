"""Charging nodes as processes, killed and started again, and switches that go on asking."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.elements.charging.support import network_file, write_folder
from tests.store.servers import answers, free_port, wait_until

TARIFF = {
    "Destinations.csv": "MOBILE,614\n",
    "Rates.csv": "RT,0.05,0.10,60s,1s,0s\nSMS,0,0.07,1,1,0\n",
    "DestinationRates.csv": "DR,MOBILE,RT,*up,4,0,\nDRS,MOBILE,SMS,*up,4,0,\n",
    "RatingPlans.csv": "RP,DR,*any,10\nRPS,DRS,*any,10\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\ncgrates.org,sms,*any,,RPS,\n",
}
TENANT = "cgrates.org"
SECOND = 1_000_000_000


class Node:
    """A charging node, ``python -m trunkline run``, at an address that stays."""

    def __init__(self, folder: Path, name: str, ledger: str) -> None:
        write_folder(folder / "tariff", TARIFF)
        self.address = "127.0.0.1", free_port()
        self._log = folder / "log"
        place = f"127.0.0.1:{self.address[1]}"
        self._file = network_file(
            folder, name, tariff="tariff", ledger=ledger, rpc_json=place, http="", rpc_bijson=""
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trunkline", "run", str(self._file)],
                stdout=output,
                stderr=output,
                env={**os.environ, "XDG_STATE_HOME": str(self._file.parent)},
            )
        wait_until(lambda: answers(self.address[1]), self._process, self._log)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)


@contextmanager
def nodes(folder: Path, name: str, ledger: str, count: int) -> Iterator[list[Node]]:
    """Some that run, all on one ledger."""
    made = [Node(folder / str(number), f"{name}{number}", ledger) for number in range(count)]
    try:
        for node in made:
            node.start()
        yield made
    finally:
        for node in made:
            node.kill()


class Refused(Exception):  # noqa: N818
    """The error of an answer."""


class Switch:
    """One connection at a time, to whichever of ``nodes`` is there; every request is answered.

    A request that got no answer is sent again, as it was, to any of them.
    """

    def __init__(self, *nodes: Node) -> None:
        self.repeated = 0
        self._nodes = nodes
        self.asked = 0
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, **argument: object) -> Any:
        self.asked += 1
        number = self.asked
        text = json.dumps({"id": number, "method": method, "params": [argument]})
        async with asyncio.timeout(30):
            while True:
                try:
                    answer = await self._asked(text)
                except (OSError, EOFError, ValueError):
                    self.repeated += 1
                    self.close()
                    await asyncio.sleep(0.02)
                    continue
                assert answer["id"] == number
                error = answer["error"]
                if error is None:
                    return answer["result"]
                if "ledger" not in error:
                    raise Refused(error)
                self.repeated += 1  # it is not known whether it was done
                await asyncio.sleep(0.02)

    async def _asked(self, text: str) -> dict[str, Any]:
        if self._line is None:
            self._line = await asyncio.open_connection(*random.choice(self._nodes).address)
        reader, writer = self._line
        writer.write(text.encode())
        await writer.drain()
        line = await reader.readline()
        if not line:
            raise EOFError
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with suppress(OSError):
                line[1].close()

    # What switches do

    async def call(self, account: str, name: str, seconds: int, request: str = "*prepaid") -> int:
        """A call with two grants, as far as the money goes; returns the nanoseconds it had."""
        event: dict[str, object] = {
            "OriginID": name,
            "OriginHost": "switch",
            "RequestType": request,
            "ToR": "*voice",
            "Category": "call",
            "Account": account,
            "Destination": "61412",
            "AnswerTime": "2026-01-05T12:00:00Z",
        }
        had, wanted = 0, seconds * SECOND
        first = {**event, "Usage": wanted // 2}
        answer = await self.ask(
            "SessionSv1.InitiateSession", Tenant=TENANT, ID="1", InitSession=True, Event=first
        )
        had = answer["MaxUsage"]
        if had == wanted // 2:
            more = {**event, "Usage": wanted - had, "LastUsed": had}
            answer = await self.ask(
                "SessionSv1.UpdateSession", Tenant=TENANT, ID="2", UpdateSession=True, Event=more
            )
            had += answer["MaxUsage"]
        had = min(had, wanted * 9 // 10 // SECOND * SECOND)  # hangs up a little earlier
        event["Usage"] = had
        for method in ("SessionSv1.TerminateSession", "SessionSv1.ProcessCDR"):
            argument = {"TerminateSession": True} if "Terminate" in method else {}
            await self.ask(method, Tenant=TENANT, ID=method, Event=event, **argument)
        return int(had)

    async def message(self, account: str, name: str) -> int:
        """A message; 0: there was no money for it."""
        event = {
            "OriginID": name,
            "OriginHost": "switch",
            "RequestType": "*prepaid",
            "ToR": "*sms",
            "Category": "sms",
            "Account": account,
            "Destination": "61412",
            "Usage": "1",
        }
        answer = await self.ask(
            "SessionSv1.ProcessMessage", Tenant=TENANT, ID=name, Debit=True, Event=event
        )
        found: int = answer["MaxUsage"]
        return found

    async def topup(self, account: str, value: Decimal) -> None:
        await self.ask(
            "APIerSv1.AddBalance",
            Tenant=TENANT,
            Account=account,
            BalanceType="*monetary",
            Value=float(value),
            Balance={"ID": "money"},
        )
