"""All workers of the proxies that are up, by their control sockets."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from trunkline.cli.rpc import as_dict, as_list, node_names
from trunkline.errors import TrunklineError
from trunkline.lab.nodes import RunningNode, find_node, running_nodes
from trunkline.net.control import ControlClient, Json
from trunkline.observe.recorder import SeenMessage
from trunkline.observe.text import printable
from trunkline.sip.transport import Address, Flow, Transport

__all__ = [
    "OptionalProxyArgument",
    "ProxyArgument",
    "Worker",
    "addresses",
    "call_ids",
    "call_messages",
    "find_call",
    "message_of",
    "moment",
    "proxy_workers",
    "recent_calls",
    "story",
]

_PATIENCE = 10.0
"""Seconds for one answer."""
_MANY = 100
"""Calls of which one is meant; of more, the message would not help anybody."""
_COMPLETED = 50
_MESSAGES = 10_000
"""Messages of one call."""


ProxyArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="The proxy.", autocompletion=node_names)
]
OptionalProxyArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NODE",
        help="The proxy; without it, every proxy that is up.",
        show_default=False,
        autocompletion=node_names,
    ),
]


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of a proxy, and what it says of itself."""

    node: RunningNode
    index: int
    client: ControlClient
    status: Mapping[str, Json]


@contextmanager
def proxy_workers(node: str | None, network: str | None) -> Iterator[list[Worker]]:
    """Clients of every worker of the proxy called ``node``, or of all proxies.

    A worker that does not answer is left out; see ``workers`` of a status for how many there are.

    Raises:
        TrunklineError: ``lab.not-up`` when no proxy is up, ``lab.no-proxy`` when the node is none,
            and what `find_node` raises.
    """
    nodes = running_nodes(network) if node is None else [find_node(node, network)]
    with ExitStack() as stack:
        workers: list[Worker] = []
        for each in nodes:
            for path in each.sockets:
                try:
                    client = stack.enter_context(ControlClient(path, timeout=_PATIENCE))
                    status = as_dict(client.call("node.status"))
                except TrunklineError:
                    if node is not None and len(each.sockets) == 1:
                        raise
                    continue
                if status.get("kind") == "proxy":
                    index = status.get("worker")
                    workers.append(
                        Worker(each, index if isinstance(index, int) else 0, client, status)
                    )
                elif node is not None:
                    raise TrunklineError(
                        "lab.no-proxy",
                        f"{each.name} is a router, not a SIP proxy; `trunkline shell {each.name}`"
                        " is its command line",
                    )
        if not workers:
            where = "" if network is None else f" in network {network}"
            raise TrunklineError(
                "lab.not-up", f"no SIP proxy is up{where}; `trunkline run FILE` starts one"
            )
        yield workers


def addresses(workers: list[Worker]) -> dict[Address, str]:
    """The addresses that the proxies listen on, and whose they are."""
    found: dict[Address, str] = {}
    for worker in workers:
        for item in as_list(worker.status.get("listen")):
            host, _, port = str(as_dict(item).get("address")).rpartition(":")
            found[host.strip("[]"), int(port)] = worker.node.name
    return found


def message_of(answer: Json) -> SeenMessage:
    """A message as ``sip.messages`` and ``sip.watch`` have it; ``time`` is the epoch's."""
    values = as_dict(answer)
    octets = values.get("base64")
    text = str(values.get("text")).encode()
    data = base64.b64decode(octets) if isinstance(octets, str) else text
    remote, local = _address(values.get("remote")), _address(values.get("local"))
    flow = Flow(Transport(str(values.get("transport"))), remote, local)
    return SeenMessage(moment(values), flow, data, values.get("sent") is True)


def _address(value: Json) -> Address:
    match value:
        case [str(host), int(port)]:
            return host, port
        case _:
            return "?", 0


# calls


def recent_calls(workers: Iterable[Worker], limit: int, prefix: str = "") -> list[dict[str, Json]]:
    """The calls that the workers saw last, the newest first, one entry for each Call-ID.

    Each is as ``sip.calls`` has it, with ``nodes``: those that saw it, the first one first.
    """
    found: dict[str, dict[str, Json]] = {}
    for worker in workers:
        params: dict[str, Json] = {"limit": limit, "prefix": prefix}
        for answer in as_list(worker.client.call("sip.calls", params)):
            call: dict[str, Json] = {**as_dict(answer), "nodes": [worker.node.name]}
            call_id = str(call["call_id"])
            known = found.get(call_id)
            found[call_id] = call if known is None else _joined(known, call)
    return sorted(found.values(), key=moment, reverse=True)[:limit]


def moment(answer: Mapping[str, Json]) -> float:
    """The ``time`` of a call, step or message, in seconds since the epoch."""
    value = answer.get("time")
    return float(value) if isinstance(value, int | float) else 0.0


def _joined(one: dict[str, Json], other: dict[str, Json]) -> dict[str, Json]:
    first, second = sorted((one, other), key=moment)
    nodes = dict.fromkeys([*map(str, as_list(first["nodes"])), *map(str, as_list(second["nodes"]))])
    messages = sum(n for n in (first["messages"], second["messages"]) if isinstance(n, int))
    return {**first, "messages": messages, "nodes": [*nodes]}


def find_call(workers: list[Worker], text: str) -> dict[str, Json]:
    """The call whose Call-ID is ``text``, or alone begins with it.

    Raises:
        TrunklineError: ``explain.no-call``, ``explain.ambiguous``.
    """
    found = recent_calls(workers, _MANY, text)
    exact = [call for call in found if call["call_id"] == text]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if found:
        some = ", ".join(printable(str(call["call_id"])) for call in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise TrunklineError("explain.ambiguous", f"several Call-IDs begin so: {some}{more}")
    names = ", ".join(dict.fromkeys(worker.node.name for worker in workers))
    raise TrunklineError(
        "explain.no-call",
        f"{names} remembers no Call-ID that begins with {text!r}{_passed_over(workers)};"
        " `trunkline explain` lists those there are",
    )


def call_messages(workers: Iterable[Worker], call_id: str) -> list[dict[str, Json]]:
    """The messages of a call, by time, as ``sip.messages`` has them."""
    params: dict[str, Json] = {"call_id": call_id, "limit": _MESSAGES}
    answers = [
        as_dict(answer)
        for worker in workers
        for answer in as_list(worker.client.call("sip.messages", params))
    ]
    return sorted(answers, key=moment)


def story(workers: Iterable[Worker], call_id: str) -> list[dict[str, Json]]:
    """The steps of all workers in the order of time, each with its ``node`` and ``worker``."""
    return [*heapq.merge(*(_steps(worker, call_id) for worker in workers), key=moment)]


def _steps(worker: Worker, call_id: str) -> Iterator[dict[str, Json]]:
    """One worker's steps: their order is right, and their times are made to rise."""
    latest = 0.0
    for answer in as_list(worker.client.call("sip.explain", {"call_id": call_id})):
        step = as_dict(answer)
        latest = max(latest, moment(step))
        yield {"node": worker.node.name, "worker": worker.index, **step, "time": latest}


def _passed_over(workers: Iterable[Worker]) -> str:
    """How many requests were not kept, if any."""
    count = 0
    for worker in workers:
        counters = as_dict(worker.client.call("node.counters"))
        passed_over = as_dict(counters.get("recorder")).get("passed_over")
        count += passed_over if isinstance(passed_over, int) else 0
    return f" (under load, {count} requests were not kept)" if count else ""


def call_ids(incomplete: str) -> list[tuple[str, str]]:
    """Call-IDs for the completion of the user's shell, and who called whom."""
    try:
        with proxy_workers(None, None) as workers:
            found = recent_calls(workers, _COMPLETED, incomplete)
    except TrunklineError:
        return []
    return [(str(call["call_id"]), f"{call['method']} {call['called']}") for call in found]
