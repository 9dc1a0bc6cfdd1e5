"""A node that is killed at once and started again: what it owes, and whom it tells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import cast

from tests.elements.charging.reference_client import JSONClient
from tests.elements.charging.support import network_file, write_folder
from tests.elements.charging.test_clients import Switch
from tests.store.servers import free_port

from trunkline.rating.durations import SECOND
from trunkline.store.ledger.book import Book

TARIFF = {
    "Destinations.csv": "MOBILE,614\n",
    "Rates.csv": "RT,0,0.10,60s,1s,0s\n",
    "DestinationRates.csv": "DR,MOBILE,RT,*up,4,0,\n",
    "RatingPlans.csv": "RP,DR,*any,10\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
}
EVENT = {
    "OriginID": "call-1",
    "OriginHost": "switch",
    "RequestType": "*prepaid",
    "Account": "1001",
    "Destination": "614",
    "Usage": "60s",
}


class Machine:
    """Where a node runs, as a process of its own that may be killed."""

    def __init__(self, folder: Path, name: str, **settings: str) -> None:
        write_folder(folder / "tariff", TARIFF)
        self.address = ("127.0.0.1", free_port())
        self.both_ways = ("127.0.0.1", free_port())
        self.url = f"sqlite:///{folder}/ledger.sqlite"
        self._path = network_file(
            folder,
            name,
            tariff="tariff",
            http="",
            rpc_json=f"127.0.0.1:{self.address[1]}",
            rpc_bijson=f"127.0.0.1:{self.both_ways[1]}",
            **settings,
        )

    @contextmanager
    def up(self) -> Iterator[JSONClient]:
        """The node runs within, and is killed at the end."""
        process = subprocess.Popen(
            [sys.executable, "-m", "trunkline", "run", str(self._path)], stdout=subprocess.DEVNULL
        )
        client: JSONClient | None = None
        try:
            until = time.monotonic() + 20
            while client is None:
                assert process.poll() is None
                assert time.monotonic() < until
                with suppress(ConnectionRefusedError):
                    client = JSONClient(self.address)
                time.sleep(0.05)
            with closing(client):
                yield client
        finally:
            process.kill()
            process.wait()

    def audited(self) -> bool:
        async def main() -> bool:
            book = Book(self.url)
            try:
                return (await book.audit()).clean
            finally:
                await book.close()

        return asyncio.run(main())


def fill(client: JSONClient, value: float) -> None:
    client.call(
        "APIerSv1.AddBalance",
        {
            "Tenant": "cgrates.org",
            "Account": "1001",
            "BalanceType": "*monetary",
            "Value": value,
            "Balance": {"ID": "money"},
        },
    )


def money(client: JSONClient) -> float:
    found = client.call("APIerSv2.GetAccount", {"Tenant": "cgrates.org", "Account": "1001"})
    assert isinstance(found, dict)
    return cast("float", sum(each["Value"] for each in found["BalanceMap"]["*monetary"]))


def soon(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_a_killed_node_had_reserved(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "killed", lease="5s")
    with machine.up() as client:
        fill(client, 1)
        argument = {"InitSession": True, "Tenant": "cgrates.org", "Event": EVENT}
        client.call("SessionSv1.InitiateSession", argument)
        more = EVENT | {"LastUsed": "30s"}
        argument = {"UpdateSession": True, "Tenant": "cgrates.org", "Event": more}
        found = client.call("SessionSv1.UpdateSession", argument)
        assert isinstance(found, dict)
        assert found["MaxUsage"] == 60 * SECOND
        assert money(client) == 0.85
    with machine.up() as client:
        soon(lambda: client.call("SessionSv1.GetActiveSessionsCount", {}) == 0)
        assert money(client) == 0.95, "thirty seconds were reported"
    assert machine.audited()


def test_a_call_runs_out_of_money_after_a_restart(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "restarted", debit_interval="500ms")
    with machine.up() as client:
        fill(client, 0.005)  # three seconds
        with closing(Switch(machine.both_ways, "OK")) as switch:
            argument = {"InitSession": True, "Tenant": "cgrates.org", "Event": EVENT}
            began = time.monotonic()
            opened = switch.call("SessionSv1.InitiateSession", argument)
            assert opened["MaxUsage"] == -1
    with machine.up() as client, closing(Switch(machine.both_ways, "OK")) as switch:
        soon(lambda: bool(switch.told))
        assert time.monotonic() - began >= 3
        [told] = switch.told
        assert told["params"] == [{"EventStart": EVENT, "Reason": "INSUFFICIENT_CREDIT"}]
        assert client.call("SessionSv1.GetActiveSessionsCount", {}) == 0
        assert money(client) == 0
    assert machine.audited()
