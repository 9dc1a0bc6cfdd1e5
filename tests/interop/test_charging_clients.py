"""A client of CGRateS against a charging node in a process of its own.

The client (`reference_client`) is written from the reference's documents alone: plain sockets, or
HTTP as its tutorials post it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.elements.charging.reference_client import AnsweredError, JSONClient, http_call
from tests.elements.charging.support import network_file, write_folder
from tests.store.servers import answers, free_port, wait_until

pytestmark = pytest.mark.interop

Call = Callable[[str, object], object]

TARIFF = {
    "Destinations.csv": "MOBILE,614\n",
    "Rates.csv": "RT,0,0.6,60s,1s,0s\nCHEAP,0,0.3,60s,1s,0s\n",
    "DestinationRates.csv": "DR,MOBILE,RT,*up,4,0,\nDRC,MOBILE,CHEAP,*up,4,0,\n",
    "RatingPlans.csv": "RP,DR,*any,10\nRPC,DRC,*any,10\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,2014-01-14T00:00:00Z,RP,\n",
}
SECOND = 1_000_000_000


class Node:
    """``trunkline run`` on ports that stay, with a store for the tariff and what is set."""

    def __init__(self, folder: Path) -> None:
        self.tariff = write_folder(folder / "tariff", TARIFF)
        self.tcp, self.http = free_port(), free_port()
        self._log = folder / "log"
        self._file = network_file(
            folder,
            "interop",
            store=f"sqlite:///{folder}/rules.sqlite",
            rpc_json=f"127.0.0.1:{self.tcp}",
            http=f"127.0.0.1:{self.http}",
            rpc_bijson="",
        )

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[bytes]]:
        """The process; it is ended in good order where it has not ended before."""
        with self._log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "trunkline", "run", str(self._file)],
                stdout=output,
                stderr=output,
                env={**os.environ, "XDG_STATE_HOME": str(self._file.parent)},
            )
        try:
            wait_until(lambda: answers(self.tcp) and answers(self.http), process, self._log)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)

    @contextmanager
    def called(self, transport: str) -> Iterator[Call]:
        if transport == "http":
            yield http_call(f"http://127.0.0.1:{self.http}/jsonrpc")
            return
        with closing(JSONClient(("127.0.0.1", self.tcp))) as client:
            yield client.call


def money(call: Call) -> float:
    found = call("APIerSv1.GetAccount", {"Tenant": "cgrates.org", "Account": "1001"})
    assert isinstance(found, dict)
    return float(sum(each["Value"] for each in found["BalanceMap"]["*monetary"]))


def event(**fields: object) -> dict[str, object]:
    return {
        "Tenant": "cgrates.org",
        "ID": "event",
        "Event": {
            "ToR": "*voice",
            "OriginID": "call-1",
            "OriginHost": "192.168.1.1",
            "RequestType": "*prepaid",
            "Account": "1001",
            "Subject": "1001",
            "Destination": "61412341234",
            "SetupTime": "2024-05-15T10:00:00Z",
            "AnswerTime": "2024-05-15T10:00:00Z",
            **fields,
        },
    }


def provision(call: Call) -> None:
    assert call("APIerSv2.SetAccount", {"Tenant": "cgrates.org", "Account": "1001"}) == "OK"
    balance = {
        "Tenant": "cgrates.org",
        "Account": "1001",
        "BalanceType": "*monetary",
        "Value": 10,
        "Balance": {"ID": "money", "Weight": 10},
    }
    assert call("APIerSv1.SetBalance", balance) == "OK"
    rule = {"Type": "*prefix", "Element": "~*req.Destination", "Values": ["614"]}
    assert call("APIerSv1.SetFilter", {"ID": "MOBILE", "Rules": [rule]}) == "OK"
    attribute = {"Path": "*req.Class", "Type": "*constant", "Value": [{"Rules": "mobile"}]}
    profile = {
        "ID": "CLASS",
        "Contexts": ["*sessions"],
        "FilterIDs": ["MOBILE"],
        "Attributes": [attribute],
        "Weight": 10,
    }
    assert call("APIerSv1.SetAttributeProfile", profile) == "OK"
    charger = {"ID": "DEFAULT", "RunID": "*default", "AttributeIDs": ["*none"]}
    assert call("APIerSv1.SetChargerProfile", charger) == "OK"
    routes = [
        {"ID": "dear", "RatingPlanIDs": ["RP"], "Weight": 20},
        {"ID": "cheap", "RatingPlanIDs": ["RPC"], "RouteParameters": "gw2", "Weight": 10},
    ]
    profile = {"ID": "LCR", "FilterIDs": ["MOBILE"], "Sorting": "*lc", "Routes": routes}
    assert call("APIerSv1.SetRouteProfile", profile) == "OK"


def a_call(call: Call) -> None:
    """Ask, talk for 90 seconds in two pieces, hang up after 75, and look at the record."""
    allowed = call(
        "SessionSv1.AuthorizeEvent",
        {"GetMaxUsage": True, "GetAttributes": True, **event(Usage=300 * SECOND)},
    )
    assert isinstance(allowed, dict)
    assert allowed["MaxUsage"] == 300 * SECOND
    assert allowed["Attributes"]["AlteredFields"] == ["*req.Class"]
    opened = call("SessionSv1.InitiateSession", {"InitSession": True, **event(Usage=60 * SECOND)})
    assert isinstance(opened, dict)
    assert opened["MaxUsage"] == 60 * SECOND
    assert money(call) == 9.4
    longer = {"UpdateSession": True, **event(Usage=30 * SECOND)}
    assert isinstance(call("SessionSv1.UpdateSession", longer), dict)
    assert money(call) == 9.1
    active = call("SessionSv1.GetActiveSessions", {"Tenant": "cgrates.org"})
    assert isinstance(active, list)
    assert [each["OriginID"] for each in active] == ["call-1"]
    end = {"TerminateSession": True, **event(Usage=75 * SECOND)}
    assert call("SessionSv1.TerminateSession", end) == "OK"
    assert money(call) == 9.25
    assert call("SessionSv1.ProcessCDR", event(Usage=75 * SECOND)) == "OK"
    records = call("CDRsV1.GetCDRs", {"OriginIDs": ["call-1"]})
    assert isinstance(records, list)
    [record] = [each for each in records if each["RunID"] == "*default"]
    assert (record["Usage"], record["Cost"], record["Account"]) == (75 * SECOND, 0.75, "1001")
    assert money(call) == 9.25


@pytest.mark.parametrize("transport", ["tcp", "http"])
def test_a_client_of_the_reference(tmp_path: Path, transport: str) -> None:
    node = Node(tmp_path)
    with node.up() as process, node.called(transport) as call:
        assert call("CoreSv1.Ping", {}) == "Pong"
        folder = {"FolderPath": str(node.tariff)}
        assert call("APIerSv1.LoadTariffPlanFromFolder", folder) == "OK"
        provision(call)
        a_call(call)
        found = call("RouteSv1.GetRoutes", event(Usage=60 * SECOND))
        assert isinstance(found, dict)
        assert [
            (each["RouteID"], each["SortingData"]["Cost"]) for each in found["SortedRoutes"]
        ] == [("cheap", 0.3), ("dear", 0.6)]
        with pytest.raises(AnsweredError, match="broken reference to filter: NONE"):
            call("APIerSv1.SetChargerProfile", {"ID": "BAD", "FilterIDs": ["NONE"]})
        with pytest.raises(AnsweredError, match="NOT_FOUND"):
            call("APIerSv1.GetAccount", {"Tenant": "cgrates.org", "Account": "nobody"})
        process.kill()
        process.wait(10)
    # What was answered OK outlives the process
    with node.up(), node.called(transport) as call:
        assert money(call) == 9.25
        assert call("APIerSv1.GetFilterIDs", {}) == ["MOBILE"]
        changed = call("AttributeSv1.ProcessEvent", {"Context": "*sessions", **event()})
        assert isinstance(changed, dict)
        assert changed["Event"]["Class"] == "mobile"
        found = call("RouteSv1.GetRoutes", event(Usage=60 * SECOND))
        assert isinstance(found, dict)
        assert found["SortedRoutes"][0]["RouteParameters"] == "gw2"


def test_answers_come_as_they_are_ready(tmp_path: Path) -> None:
    node = Node(tmp_path)
    with node.up(), closing(JSONClient(("127.0.0.1", node.tcp))) as client:
        slow = client.send("CoreSv1.Sleep", {"Duration": 300_000_000})
        quick = [client.send("CoreSv1.Ping", {}) for _ in range(100)]
        assert all(client.answer(number)["result"] == "Pong" for number in quick)
        assert client.answer(slow)["result"] == "OK"
