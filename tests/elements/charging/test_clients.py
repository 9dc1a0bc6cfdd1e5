"""A switch that holds a session by a connection both ways is told when it has to end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from tests.elements.charging.reference_client import AnsweredError, JSONClient
from tests.elements.charging.support import network_file, running, write_folder
from tests.elements.charging.test_costs import RETAIL

from trunkline.charging.sessions import session_id
from trunkline.elements.charging.clients import Clients
from trunkline.elements.charging.process import ChargingNode
from trunkline.net.jsonrpc import Peer

EVENT = {
    "OriginID": "call-1",
    "OriginHost": "switch",
    "RequestType": "*prepaid",
    "ToR": "*voice",
    "Account": "1001",
    "Destination": "1002",
    "AnswerTime": "2014-08-04T13:00:00Z",
    "Usage": "60s",
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ChargingNode]:
    write_folder(tmp_path / "tariff", RETAIL)
    with (
        running(network_file(tmp_path, "clients", tariff="tariff")) as found,
        closing(JSONClient(found.servers["rpc_json"].local)) as client,
    ):
        client.call(
            "APIerSv1.AddBalance",
            {
                "Tenant": "cgrates.org",
                "Account": "1001",
                "BalanceType": "*monetary",
                "Balance": {"ID": "money"},
                "Value": 10,
            },
        )
        yield found


class Switch:
    """A client that calls and is called on one connection."""

    def __init__(self, address: tuple[str, int], answer: str | None) -> None:
        self.told: list[Any] = []
        self.known: list[dict[str, str]] = []
        self._answer = answer
        self._socket = socket.create_connection(address, 10)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._answered = threading.Event()
        self._last: Any = None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def call(self, method: str, argument: object) -> Any:
        self._answered.clear()
        self._send({"id": 1, "method": method, "params": [argument]})
        assert self._answered.wait(10)
        assert self._last["error"] is None, self._last
        return self._last["result"]

    def close(self) -> None:
        with suppress(OSError):  # the node has gone before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._lines.close()
        self._socket.close()

    def _send(self, value: object) -> None:
        self._socket.sendall(json.dumps(value).encode())

    def _read(self) -> None:
        for line in self._lines:
            value = json.loads(line)
            if "method" not in value:
                self._last = value
                self._answered.set()
                continue
            self.told.append(value)
            if value["method"] == "SessionSv1.GetActiveSessionIDs":
                self._send({"id": value["id"], "result": self.known, "error": None})
                continue
            if self._answer is not None:
                error = None if self._answer == "OK" else self._answer
                self._send({"id": value["id"], "result": self._answer, "error": error})


def opened(node: ChargingNode, answer: str | None) -> Switch:
    switch = Switch(node.servers["rpc_bijson"].local, answer)
    argument = {"InitSession": True, "Tenant": "cgrates.org", "ID": "1", "Event": EVENT}
    assert switch.call("SessionSv1.InitiateSession", argument)["MaxUsage"] == 60 * 10**9
    return switch


def refused(client: JSONClient, method: str, argument: object) -> str:
    with pytest.raises(AnsweredError) as caught:
        client.call(method, argument)
    return str(caught.value)


FORCE = "SessionSv1.ForceDisconnect"


def test_a_session_is_ended_and_its_switch_told(node: ChargingNode) -> None:
    with (
        closing(opened(node, "OK")) as switch,
        closing(JSONClient(node.servers["rpc_json"].local)) as client,
    ):
        other = {"Filters": ["*string:~*req.Account:1009"]}
        assert refused(client, FORCE, other) == "NOT_FOUND"
        assert refused(client, FORCE, {"Tenant": "other.org"}) == "NOT_FOUND"
        assert refused(client, FORCE, {"Filters": ["*odd"]}).startswith("SERVER_ERROR: ")
        assert client.call(FORCE, {"Filters": ["*string:~*req.Account:1001"]}) == "OK"
        [told] = switch.told
        assert told["method"] == "SessionSv1.DisconnectSession"
        assert told["params"] == [{"EventStart": EVENT, "Reason": "FORCED_DISCONNECT"}]
        assert refused(client, "SessionSv1.GetActiveSessions", {}) == "NOT_FOUND"
        assert refused(client, FORCE, {}) == "NOT_FOUND"
        assert len(node.clients) == 0
        # the switch ends its own side, as it would have anyway
        end = {"TerminateSession": True, "Tenant": "cgrates.org", "Event": EVENT}
        assert switch.call("SessionSv1.TerminateSession", end) == "OK"


def test_a_switch_that_refuses_or_has_gone(node: ChargingNode) -> None:
    with closing(JSONClient(node.servers["rpc_json"].local)) as client:
        with closing(opened(node, "NOT_FOUND")) as switch:
            update = {
                "UpdateSession": True,
                "Tenant": "cgrates.org",
                "Event": EVENT | {"LastUsed": "60s"},
            }
            assert switch.call("SessionSv1.UpdateSession", update)["MaxUsage"] == 60 * 10**9
            error = refused(client, FORCE, {})
            assert error.startswith(
                "SERVER_ERROR: the sessions have ended, but the end of session call-1 was told in"
                " vain: 127.0.0.1:"
            )
            assert error.endswith("SessionSv1.DisconnectSession: NOT_FOUND")
            assert switch.told[0]["params"][0]["EventStart"] == EVENT
        event = EVENT | {"OriginID": "call-2"}
        argument = {"InitSession": True, "Tenant": "cgrates.org", "ID": "2", "Event": event}
        gone = Switch(node.servers["rpc_bijson"].local, "OK")
        gone.call("SessionSv1.InitiateSession", argument)
        assert len(node.clients) == 1
        gone.close()
        for _ in range(500):
            if not len(node.clients):
                break
            time.sleep(0.01)
        assert len(node.clients) == 0
        assert client.call(FORCE, {"Limit": 1}) == "OK"


def test_a_switch_is_asked_what_it_still_has(node: ChargingNode) -> None:
    with (
        closing(Switch(node.servers["rpc_bijson"].local, "OK")) as switch,
        closing(JSONClient(node.servers["rpc_json"].local)) as client,
    ):
        for name in ("call-1", "call-2"):
            event = EVENT | {"OriginID": name}
            argument = {"InitSession": True, "Tenant": "cgrates.org", "Event": event}
            switch.call("SessionSv1.InitiateSession", argument)
        switch.known = [{"OriginHost": "switch", "OriginID": "call-2"}]
        assert client.call("SessionSv1.SyncSessions", {}) == "OK"
        assert switch.told.pop()["method"] == "SessionSv1.GetActiveSessionIDs"
        left = cast("list[Any]", client.call("SessionSv1.GetActiveSessions", {}))
        assert [each["OriginID"] for each in left] == ["call-2"]
        assert len(node.clients) == 1


def test_nobody_holds_it_so_everybody_is_told(node: ChargingNode) -> None:
    address = node.servers["rpc_bijson"].local
    argument = {"InitSession": True, "Tenant": "cgrates.org", "Event": EVENT}
    with closing(JSONClient(node.servers["rpc_json"].local)) as client:
        client.call("SessionSv1.InitiateSession", argument)
        with closing(Switch(address, "NOT_FOUND")) as other, closing(Switch(address, "OK")) as own:
            while len(node.servers["rpc_bijson"].connections) < 2:
                time.sleep(0.01)
            assert client.call(FORCE, {}) == "OK", "one of them had it"
            assert [len(each.told) for each in (other, own)] == [1, 1]
            assert own.told[0]["params"][0]["EventStart"] == EVENT


def test_one_way_connections_hold_nothing(node: ChargingNode) -> None:
    with closing(JSONClient(node.servers["rpc_json"].local)) as client:
        argument = {"InitSession": True, "Tenant": "cgrates.org", "ID": "1", "Event": EVENT}
        client.call("SessionSv1.InitiateSession", argument)
        assert len(node.clients) == 0
        assert client.call(FORCE, {}) == "OK"


def broke(name: str) -> dict[str, object]:
    """The opening of a call that ends at once, for its account has nothing."""
    event = EVENT | {"OriginID": name, "Account": "1009", "DebitInterval": "1s"}
    return {"InitSession": True, "Tenant": "cgrates.org", "Event": event}


def test_a_switch_that_never_answers_holds_up_no_other(node: ChargingNode) -> None:
    names = sorted(
        (f"call-{number}" for number in range(6)), key=lambda each: session_id(each, "switch")
    )
    address = node.servers["rpc_bijson"].local
    with (
        closing(Switch(address, None)) as mute,
        closing(Switch(address, "OK")) as switch,
        closing(JSONClient(node.servers["rpc_json"].local)) as client,
    ):
        client.call("APIerSv1.SetAccount", {"Tenant": "cgrates.org", "Account": "1009"})
        for name in names[:-1]:
            mute.call("SessionSv1.InitiateSession", broke(name))
        switch.call("SessionSv1.InitiateSession", broke(names[-1]))
        until = time.monotonic() + 4
        while not switch.told:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert len(mute.told) == 5, "all of its sessions, side by side"


def test_a_session_that_another_process_of_the_ledger_holds(
    node: ChargingNode, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    path = network_file(
        tmp_path / "other",
        "clients",
        node="OTHER",
        tariff="../tariff",
        ledger=f"sqlite:///{tmp_path}/ledger.sqlite",
    )
    with (
        running(path) as other,
        closing(opened(node, "OK")) as switch,
        closing(Switch(other.servers["rpc_bijson"].local, "NOT_FOUND")) as stranger,
        closing(JSONClient(other.servers["rpc_json"].local)) as client,
    ):
        assert client.call(FORCE, {}) == "OK"
        until = time.monotonic() + 4
        while not switch.told:
            assert time.monotonic() < until
            time.sleep(0.01)
        [told] = switch.told
        assert told["params"] == [{"EventStart": EVENT, "Reason": "FORCED_DISCONNECT"}]
        assert stranger.told == []


def test_sessions_are_not_held_for_ever() -> None:
    class Far:
        two_way = True
        closed = False
        on_close: ClassVar[list[object]] = []

    peers = [cast("Peer", Far()) for _ in range(2)]
    now = 0.0
    clients = Clients(lease=10.0, clock=lambda: now)
    for now in (0.0, 4.0, 8.0):
        for name in ("ends elsewhere", "goes on") if not now else ("goes on",):
            clients.hold(name, peers[0], EVENT)
    assert len(clients) == 2
    now = 11.0
    clients.hold("new", peers[1], EVENT)
    assert "ends elsewhere" not in clients
    assert "goes on" in clients
    assert len(clients) == 2
