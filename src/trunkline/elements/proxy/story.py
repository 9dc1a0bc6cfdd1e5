"""One call's story, put together from what the recorder kept: for ``trunkline explain``.

Nothing is decided here a second time: messages are those that were on the wire, and each step is
what the proxy noted when it took it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trunkline.errors import DecodeError
from trunkline.observe.recorder import Note, Recorder, SeenMessage
from trunkline.sip.host import bracketed
from trunkline.sip.locate import Decision
from trunkline.sip.locate.report import as_json as decision_json
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.transport import Address, Flow

__all__ = ["STEPS", "Step", "story_of"]

STEPS = {
    "received": "a message came in",
    "sent": "a message went out",
    "again": "a message went out again: a retransmission",
    "script": "a handler of the script was called",
    "credentials": "credentials were checked: the reason code of sip.digest, and the user",
    "registered": "a REGISTER was carried out: the reason code of sip.registrar",
    "located": "next hops were found by RFC 3263: the decision itself",
    "branch": "the request was sent on to a target",
    "refused": "the request failed a check and was answered here",
    "response": "a branch was answered",
    "no-response": "a branch timed out, or could not be delivered to",
    "timer-c": "a branch rang too long",
    "cancelled": "the caller gave up",
    "answered": "the final response was passed back",
}
"""Kinds of steps, and what they mean."""

_KINDS = {
    "sent": "branch",
    "no response": "no-response",
    "timer C": "timer-c",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. ``time`` as the recorder's; ``details`` are lines beneath it."""

    time: float
    kind: str
    text: str
    details: tuple[str, ...] = ()
    record: dict[str, object] | None = None
    """A decision as data, where one was taken."""


def story_of(recorder: Recorder, call_id: str) -> list[Step]:
    """Return what happened to the requests with this Call-ID, in order."""
    steps = [*_messages(recorder.messages(call_id)), *map(_noted, recorder.notes(call_id))]
    steps.sort(key=lambda step: step.time)
    return steps


def _messages(seen: Iterable[SeenMessage]) -> Iterator[Step]:
    requests: dict[str, Request] = {}
    before: set[tuple[Flow, bytes]] = set()
    for item in seen:
        try:
            message = parse(item.data)
        except DecodeError:
            continue
        line = message.start_line
        if not item.sent:
            if isinstance(message, Request):
                requests[message.headers.get("cseq") or ""] = message
            yield Step(item.time, "received", f"{line}  from {_place(item.flow)}")
            continue
        again = (item.flow, item.data) in before
        before.add((item.flow, item.data))
        edits: tuple[str, ...] = ()
        if isinstance(message, Request) and not again:
            edits = _edits(requests.get(message.headers.get("cseq") or ""), message)
        elif isinstance(message, Response):
            cseq = message.headers.get("cseq") or ""
            line = f"{line}  ({cseq})"
        yield Step(
            item.time, "again" if again else "sent", f"{line}  to {_place(item.flow)}", edits
        )


def _edits(came: Request | None, goes: Request) -> tuple[str, ...]:
    """What a request left with that it did not come with, and the other way round."""
    if came is None:
        return ()
    lines = []
    if came.uri != goes.uri:
        lines += [f"- {came.start_line}", f"+ {goes.start_line}"]
    old, new = came.headers.rows, goes.headers.rows
    lines += [f"- {row}" for row in old if row not in new]
    lines += [f"+ {row}" for row in new if row not in old]
    if came.body != goes.body:
        lines.append(f"~ body: {len(came.body)} octets came, {len(goes.body)} left")
    return tuple(lines)


def _noted(note: Note) -> Step:
    kind = _KINDS.get(note.kind, note.kind)
    record: dict[str, object] | None = None
    match note.kind, note.details:
        case "sent", (uri, Flow() as flow, branch):
            text = f"{uri} by {_place(flow)}, branch {branch}"
        case "response", (uri, flow, status, reason):
            text = f"{uri} answered {status} {reason}"
        case "no response", (uri, Flow() as flow, detail):
            text = f"{uri} at {_place(flow)}: {detail}"
        case "refused", (status, code):
            text = f"{status}: {code}"
        case "answered", (status, reason):
            text = f"{status} {reason}"
        case "script", (name,):
            text = f"{name}()"
        case "located", (place, Decision() as decision):
            text = str(place)
            record = dict(decision_json(decision))
        case "timer C", (uri, flow):
            text = f"{uri} rang for more than three minutes"
        case "cancelled", _:
            text = "a CANCEL came: what is under way is cancelled"
        case _, details:
            text = ", ".join(map(str, details))
    return Step(note.time, kind, text, (), record)


def _place(flow: Flow) -> str:
    return f"{flow.transport.value} {_written(flow.remote)}"


def _written(address: Address) -> str:
    host, port = address
    return f"{bracketed(host)}:{port}"
