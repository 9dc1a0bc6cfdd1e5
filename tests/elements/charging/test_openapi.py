"""The API as plain requests of HTTP, and the document that lists them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.elements.charging.support import network_file, running, write_folder
from tests.elements.charging.test_costs import ASKED, RETAIL

from trunkline.elements.charging.process import SERVICES, ChargingNode
from trunkline.elements.charging.registry import names_of


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ChargingNode]:
    write_folder(tmp_path / "tariff", RETAIL)
    with running(network_file(tmp_path, "plain", tariff="tariff")) as found:
        yield found


def asked(node: ChargingNode, path: str, body: object = None) -> tuple[int, object]:
    host, port = node.servers["http"].local
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{host}:{port}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, json.load(problem)


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_plain_requests(node: ChargingNode) -> None:
    status, got = asked(node, "/api/APIerSv1.GetCost", ASKED)
    assert status == 200
    assert isinstance(got, dict)
    assert got["Cost"] == 0.65
    assert asked(node, "/api/CoreSv1.Ping", {}) == (200, "Pong")
    assert asked(node, "/api/APIerSv1.GetCost", ASKED | {"Category": "sms"}) == (
        422,
        {"code": -32000, "message": "SERVER_ERROR: RATING_PLAN_NOT_FOUND"},
    )
    assert asked(node, "/api/APIerSv1.GetCost", {"Usage": 60})[0] == 400
    assert asked(node, "/api/APIerSv1.LoadTariffPlanFromFolder", {}) == (
        400,
        {"code": -32602, "message": "MANDATORY_IE_MISSING: [FolderPath]"},
    )
    assert asked(node, "/api/No.Such", {})[0] == 404


def test_the_document_has_every_method_and_holds_together(node: ChargingNode) -> None:
    status, got = asked(node, "/openapi.json")
    assert status == 200
    assert isinstance(got, dict)
    assert got["openapi"] == "3.1.0"
    assert set(got["paths"]) == {f"/api/{name}" for name in names_of(*SERVICES)}
    schemas = {f"#/components/schemas/{name}" for name in got["components"]["schemas"]}
    assert set(references(got)) <= schemas
    for path, item in got["paths"].items():
        operation = item["post"]
        assert operation["operationId"] == path.removeprefix("/api/")
        assert operation["summary"], path
    cost = got["components"]["schemas"]["AttrGetCost"]["properties"]
    assert cost["AnswerTime"] == cost["ToR"] == {"type": "string"}
    descriptor = got["components"]["schemas"]["CallDescriptor"]["properties"]
    assert descriptor["TimeStart"] == {"type": "string", "format": "date-time"}
    load = got["paths"]["/api/APIerSv1.LoadTariffPlanFromFolder"]["post"]
    body = load["requestBody"]["content"]["application/json"]["schema"]
    assert body == {
        "allOf": [{"$ref": "#/components/schemas/AttrLoadTpFromFolder"}],
        "required": ["FolderPath"],
    }
