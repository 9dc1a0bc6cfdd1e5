"""Call records and calls of a lab, from its exchanges while they run, else from their store."""

from __future__ import annotations

import json
import os
from pathlib import Path

from trunkline.errors import TrunklineError
from trunkline.lab.answers import Charged, Record, read
from trunkline.lab.client import LabClient
from trunkline.lab.lifecycle import running_network
from trunkline.lab.network import read_network
from trunkline.lab.nodes import find_node
from trunkline.lab.runtime import LabState, is_up, known_labs
from trunkline.net.control import ControlClient, Json
from trunkline.ss7.isup.cause import cause_name
from trunkline.ss7.pointcode import ITU
from trunkline.store.calls import CallRecord, CallStore, default_url

__all__ = ["call_record", "call_records", "place_call", "release_call"]


def call_records(network: str | None, limit: int) -> list[Record]:
    """The newest ``limit`` records, newest first.

    Raises:
        TrunklineError: ``lab.which-network`` when several networks could be meant.
    """
    state = _running(network)
    if state is None:
        store = _store(network)
        try:
            return [_from_store(record) for record in store.recent(limit)]
        finally:
            store.close()
    records: dict[tuple[str, str], Record] = {}
    with LabClient(state.network, _exchanges(state)) as client:
        for node in client.nodes:
            answer = client.call(node, "calls.list", {"limit": limit})
            for record in read(answer, list[Record]):
                records[record.exchange, record.id] = record
    return sorted(records.values(), key=lambda r: (-r.start, r.direction == "incoming"))[:limit]


def call_record(network: str | None, identifier: str) -> Record:
    """The record whose id is, or alone begins with, ``identifier``.

    Raises:
        TrunklineError: ``store.no-such-call``, ``store.ambiguous-call``.
    """
    state = _running(network)
    if state is None:
        store = _store(network)
        try:
            return _from_store(store.get(identifier))
        finally:
            store.close()
    problem: TrunklineError | None = None
    with LabClient(state.network, _exchanges(state)) as client:
        for node in client.nodes:
            try:
                return read(client.call(node, "calls.show", {"id": identifier}), Record)
            except TrunklineError as error:
                problem = error
    raise problem or TrunklineError(
        "store.no-such-call", f"network {state.network} has no exchange, and so no calls"
    )


def place_call(
    network: str | None, exchange: str, called: str, calling: str | None, hold: float | None
) -> str:
    """Call ``called`` from ``exchange``; the call's id.

    Raises:
        TrunklineError: from the exchange, when it refuses.
    """
    if calling is None:
        calling = _first_number(running_network(network), exchange)
    params: dict[str, Json] = {"calling": calling, "called": called, "hold": hold}
    answer = _call(network, exchange, "calls.originate", params)
    return str(answer["id"]) if isinstance(answer, dict) else ""


def release_call(network: str | None, exchange: str, identifier: str) -> None:
    """Hang up a call.

    Raises:
        TrunklineError: from the exchange, when it has no such call.
    """
    _call(network, exchange, "calls.release", {"id": identifier})


def _first_number(state: LabState, exchange: str) -> str:
    settings = read_network(Path(state.file)).router(exchange).settings.exchange
    if settings is None or not settings.numbers:
        raise TrunklineError(
            "lab.calling", f"{exchange} serves no number; say who calls with --calling"
        )
    return settings.numbers[0]


def _call(network: str | None, node: str, method: str, params: dict[str, Json]) -> Json:
    with ControlClient(find_node(node, network).sockets[0]) as client:
        return client.call(method, params)


def _running(network: str | None) -> LabState | None:
    up = [name for name in known_labs() if is_up(name)]
    if (network is None and up) or network in up:
        return running_network(network)
    return None


def _exchanges(state: LabState) -> list[str]:
    nodes = read_network(Path(state.file)).routers.values()
    return [node.name for node in nodes if node.exchange]


def _store(network: str | None) -> CallStore:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    found = sorted(path.parent.name for path in Path(base, "trunkline").glob("*/calls.sqlite"))
    if network is None and len(found) > 1:
        raise TrunklineError(
            "lab.which-network",
            f"there are call records of several networks: {', '.join(found)}; choose one with "
            "--network",
        )
    if (network or next(iter(found), None)) not in found:
        raise TrunklineError(
            "lab.no-calls",
            f"no call was ever made in {network or 'any network'}; `trunkline demo` makes some",
        )
    return CallStore(default_url(network or found[0]))


def _from_store(record: CallRecord) -> Record:
    return Record(
        id=record.id,
        exchange=record.exchange,
        direction=record.direction,
        calling=record.calling,
        called=record.called,
        start=record.start,
        answer=record.answer,
        end=record.end,
        duration=record.duration,
        cause=record.cause,
        cause_text=cause_name(record.cause),
        opc=_point_code(record.opc) or "",
        dpc=_point_code(record.dpc),
        cic=record.cic,
        cost=record.cost,
        rating=None if record.rating is None else json.loads(record.rating),
        charging=None if record.charging is None else read(json.loads(record.charging), Charged),
    )


def _point_code(pc: int | None) -> str | None:
    """A stored point code as text; what does not fit 3-8-3 is of another variant: decimal."""
    if pc is None:
        return None
    return ITU.format(pc) if pc <= ITU.last else str(pc)
