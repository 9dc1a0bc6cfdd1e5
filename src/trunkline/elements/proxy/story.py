"""Calls, and one call's story, put together from what the recorder kept: ``trunkline explain``.

Nothing is decided here a second time: messages are those that were on the wire, and each step is
what the proxy noted when it took it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from trunkline.elements.proxy.dialplan import Decided
from trunkline.elements.proxy.selection import Choice
from trunkline.errors import DecodeError
from trunkline.observe.recorder import Note, Recorder, SeenMessage
from trunkline.sip import digest, registrar
from trunkline.sip.locate import Decision
from trunkline.sip.locate.report import as_json as decision_json
from trunkline.sip.locate.report import as_text as decision_text
from trunkline.sip.message import Headers, Message, Request, Response, parse
from trunkline.sip.transport import Flow, written

__all__ = ["STEPS", "Call", "Step", "calls_of", "story_of"]

STEPS = {
    "received": "a message came in",
    "sent": "a message went out; beneath it, what had been changed on the way",
    "again": "a message came in or went out once more: a retransmission",
    "script": "a handler of the script was called",
    "script-error": "a handler of the script raised an exception",
    "undecided": "a handler of the script ended without a decision",
    "dropped": "the script had the request dropped: nothing answers it",
    "credentials": "credentials were checked: whose, and what came of it",
    "registered": "a REGISTER was carried out, or refused, and why",
    "translated": "a text went through a dialplan: its rows, and which of them decided",
    "located": "next hops were found by RFC 3263: the decision itself",
    "chosen": "a member of a set of destinations was chosen: the decision itself",
    "branch": "the request is sent on to a target",
    "not-sent": "nothing went to a target, and why",
    "refused": "the request failed a check and was answered here",
    "response": "a branch was answered",
    "no-response": "a branch timed out, or could not be delivered to",
    "timer-c": "a branch rang too long",
    "cancelled": "the caller gave up",
    "answered": "the final response was passed back",
}
"""Kinds of steps, and what they mean."""

_KINDS = {"sent": "branch"}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. ``time`` as the recorder's; ``details`` are lines beneath it."""

    time: float
    kind: str
    text: str
    details: tuple[str, ...] = ()
    record: dict[str, object] | None = None
    """A decision as data, where one was taken."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of the requests with one Call-ID, in a few words."""

    call_id: str
    time: float
    """Of the first message, as the recorder's."""
    method: str
    uri: str
    caller: str
    """The From of the first request, and its To; without parameters, so without tags."""
    called: str
    status: int
    """Of its response, the final one if there is one; 0: none yet."""
    reason: str
    messages: int


def calls_of(recorder: Recorder, limit: int, prefix: str = "") -> list[Call]:
    """Return the calls seen last whose Call-ID begins with ``prefix``, the newest first."""
    found = recorder.calls(recorder.call_ids(limit, prefix))
    return [_call(call_id, seen) for call_id, seen in found.items()]


def _call(call_id: str, seen: list[SeenMessage]) -> Call:
    first: Request | None = None
    response: Response | None = None
    came = True
    for item in seen:
        if first is not None and item.data[:4] != b"SIP/":
            continue  # reading costs something, and there may be many calls
        try:
            message = parse(item.data)
        except DecodeError:
            continue
        if isinstance(message, Request):
            first, came = message, not item.sent
        elif (
            first is not None
            and item.sent is came  # what the one who asked got to know
            and message.headers.get("cseq") == first.headers.get("cseq")
            and (response is None or response.status < 200)
        ):
            response = message
    headers = Headers() if first is None else first.headers
    return Call(
        call_id,
        seen[0].time,
        "" if first is None else first.method,
        "" if first is None else first.uri,
        _party(headers.get("from")),
        _party(headers.get("to")),
        0 if response is None else response.status,
        "" if response is None else response.reason,
        len(seen),
    )


def _party(value: str | None) -> str:
    """A From or To without its parameters."""
    text = value or ""
    end = text.rfind(">")
    return text[: end + 1] if end >= 0 else text.partition(";")[0]


def story_of(recorder: Recorder, call_id: str) -> list[Step]:
    """Return what happened to the requests with this Call-ID, in order."""
    teller = _Teller()
    found = []
    for item in recorder.history(call_id):
        step = _noted(item) if isinstance(item, Note) else teller.tell(item)
        if step is not None:
            found.append(step)
    return found


class _Teller:
    """Tells of messages, each in the light of those before it."""

    def __init__(self) -> None:
        self._seen: set[tuple[Flow, bytes, bool]] = set()
        self._came: dict[tuple[str, int], Message] = {}

    def tell(self, item: SeenMessage) -> Step | None:
        try:
            message = parse(item.data)
        except DecodeError:
            return None
        cseq = message.headers.get("cseq") or ""
        if isinstance(message, Request):
            text, status = f"{message.method} {message.uri}", 0
        else:
            assert isinstance(message, Response)
            text, status = f"{message.status} {message.reason} ({cseq})", message.status
        text += f" {'to' if item.sent else 'from'} {_place(item.flow)}"
        key = (item.flow, item.data, item.sent)
        if key in self._seen:
            return Step(item.time, "again", text)
        self._seen.add(key)
        if not item.sent:
            self._came[cseq, status] = message
            return Step(item.time, "received", text)
        came = self._came.get((cseq, status))
        if came is None or (isinstance(message, Request) and message.method == "CANCEL"):
            return Step(item.time, "sent", text)  # ours, as each hop's CANCEL is (section 9.1)
        return Step(item.time, "sent", text, tuple(_edits(came, message)))


def _edits(came: Message, goes: Message) -> Iterator[str]:
    """What a message left with that it did not come with, and the other way round."""
    old, new = came.headers.rows, goes.headers.rows
    if isinstance(came, Request):
        if came.start_line != goes.start_line:
            yield f"- {came.start_line}"
            yield f"+ {goes.start_line}"
    else:  # section 16.7 step 3: ours is always removed
        old, new = _without_via(came), _without_via(goes)
    for kind, i, j, k, n in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            yield from _paired(old[i:j], new[k:n])
    if came.body != goes.body:
        yield f"~ body: {len(came.body)} octets came, {len(goes.body)} left"


def _without_via(message: Message) -> list[str]:
    headers = message.headers
    return [row for name, row in zip(headers.names, headers.rows, strict=True) if name != "via"]


def _paired(old: list[str], new: list[str]) -> Iterator[str]:
    """Rows that went and rows that came; those of one name stand together."""
    left = list(new)
    for row in old:
        yield f"- {row}"
        for other in left:
            if other.partition(":")[0] == row.partition(":")[0]:
                left.remove(other)
                yield f"+ {other}"
                break
    yield from (f"+ {row}" for row in left)


def _noted(note: Note) -> Step:
    kind = _KINDS.get(note.kind, note.kind.lower().replace(" ", "-"))
    details: tuple[str, ...] = ()
    record: dict[str, object] | None = None
    match note.kind, note.details:
        case "sent", (uri, Flow() as flow, branch):
            text = f"{uri} to {_place(flow)}, as {branch}"
        case "response", (uri, Flow() as flow, status, reason):
            text = f"{uri} at {_place(flow)} answered {status} {reason}"
        case "no response", (uri, Flow() as flow, detail):
            text = f"{uri} at {_place(flow)}: {detail}"
        case "not sent", (uri, detail):
            text = f"{uri}: {detail}"
        case "refused", (status, code):
            text = f"{status}: {code}"
        case "answered", (status, reason):
            text = f"{status} {reason}"
        case "script" | "undecided", (name,):
            text = f"{name}()"
        case "script error", (name, problem):
            first, *details_ = str(problem).split("\n")
            text, details = f"{name}(): {first}", tuple(line.strip() for line in details_)
        case "located", (place, Decision() as decision):
            text = str(place)
            details = tuple(decision_text(decision).splitlines())
            record = dict(decision_json(decision))
        case "credentials", (code, user):
            whose = f"{user}: " if user else ""
            text = f"{whose}{digest.REASONS[digest.Reason(code)]} [{code}]"
        case "registered", (code, _):
            text = f"{registrar.REASONS[registrar.Reason(code)]} [{code}]"
        case "translated", (name, Decided() as found):
            text, *details_ = str(found.explanation()).splitlines()
            text, details = f"{name}: {text}", tuple(line.strip() for line in details_)
        case "chosen", (Choice() as choice,):
            text, details = str(choice), tuple(choice.lines())
            record = choice.as_json()
        case "timer C", (uri, flow):
            text = f"{uri} rang for more than three minutes"
        case "cancelled", _:
            text = "a CANCEL came: what is under way is cancelled"
        case _, rest:
            text = ", ".join(map(str, rest))
    return Step(note.time, kind, text, details, record)


def _place(flow: Flow) -> str:
    return f"{flow.transport.value} {written(flow.remote)}"
