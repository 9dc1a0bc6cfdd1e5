"""Requests as the reference's documents show them, to the letter, and the answers they show.

From docs/readthedocs of CGRateS (accountLifeCycle.rst, balanceManagement.rst): text that is sent as
it stands there. Members that later versions have no field for are passed over, as in Go.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.elements.charging.support import documented, network_file, running, write_folder
from tests.elements.charging.test_costs import RETAIL

ADD_BALANCE = """
{
    "method": "APIerSv1.AddBalance",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "BalanceUuid": null,
        "BalanceId": "123456",
        "BalanceType": "*monetary",
        "Directions": null,
        "Value": 10,
        "ExpiryTime": null,
        "RatingSubject": null,
        "Categories": null,
        "DestinationIds": null,
        "TimingIds": null,
        "Weight": null,
        "SharedGroups": null,
        "Overwrite": false,
        "Blocker": null,
        "Disabled": null
    }],
    "id": 4
}
"""
DEBIT_BALANCE = """
{
    "method": "APIerSv1.DebitBalance",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "BalanceUuid": null,
        "BalanceId": "23456",
        "BalanceType": "*monetary",
        "Directions": null,
        "Value": 5,
        "ExpiryTime": null,
        "RatingSubject": null,
        "Categories": null,
        "DestinationIds": null,
        "TimingIds": null,
        "Weight": null,
        "SharedGroups": null,
        "Overwrite": false,
        "Blocker": null,
        "Disabled": null
    }],
    "id": 5
}
"""
SET_BALANCE = """
{
    "method": "APIerSv1.SetBalance",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "BalanceType": "*monetary",
        "BalanceUUID": null,
        "BalanceID": "23456",
        "Directions": null,
        "Value": 12,
        "ExpiryTime": null,
        "RatingSubject": null,
        "Categories": null,
        "DestinationIds": null,
        "TimingIds": null,
        "Weight": null,
        "SharedGroups": null,
        "Blocker": null,
        "Disabled": null
    }],
    "id": 6
}
"""
REMOVE_ACCOUNT = """
{
    "method": "APIerSv1.RemoveAccount",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "ReloadScheduler": false
    }],
    "id": 3
}
"""


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[socket.socket]:
    write_folder(tmp_path / "tariff", RETAIL)
    with (
        running(network_file(tmp_path, "documented", tariff="tariff")) as node,
        socket.create_connection(node.servers["rpc_json"].local, 10) as connection,
    ):
        yield connection


def answered(wire: socket.socket, text: str) -> str:
    """The line that comes back."""
    wire.sendall(text.encode())
    data = b""
    while not data.endswith(b"\n"):
        data += wire.recv(65536)
    return data.decode()


def money(wire: socket.socket) -> float:
    """The sum of the account's money."""
    asked = {"method": "APIerSv1.GetAccount", "params": [{"Account": "1003"}], "id": 9}
    found = json.loads(answered(wire, json.dumps(asked)))["result"]
    return float(sum(each["Value"] for each in found["BalanceMap"]["*monetary"]))


@documented("APIerSv1.AddBalance", "APIerSv1.DebitBalance", "APIerSv1.SetBalance")
def test_balances(wire: socket.socket) -> None:
    assert answered(wire, ADD_BALANCE) == '{"id":4,"result":"OK","error":null}\n'
    assert money(wire) == 10
    assert answered(wire, DEBIT_BALANCE) == '{"id":5,"result":"OK","error":null}\n'
    assert money(wire) == 5
    assert answered(wire, SET_BALANCE) == '{"id":6,"result":"OK","error":null}\n'
    assert money(wire) == 17  # a balance of its own, as in the document's account


@documented("APIerSv1.RemoveAccount")
def test_an_account_that_goes(wire: socket.socket) -> None:
    answered(wire, ADD_BALANCE)
    assert answered(wire, REMOVE_ACCOUNT) == '{"id":3,"result":"OK","error":null}\n'
    asked = {"method": "APIerSv1.GetAccount", "params": [{"Account": "1003"}], "id": 9}
    assert answered(wire, json.dumps(asked)) == '{"id":9,"result":null,"error":"NOT_FOUND"}\n'
