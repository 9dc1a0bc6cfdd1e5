"""Sessions as JSON: the document that a store keeps.

Exact, as an account's (``trunkline.charging.documents``): numbers are text, times have their
offset, and what has its default value is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from trunkline.charging.documents import VERSION, Reader, taking_from_json, taking_to_json
from trunkline.charging.sessions import RequestType, Run, Session
from trunkline.errors import TrunklineError
from trunkline.rating.call import Call
from trunkline.rating.result import Json

__all__ = ["session_from_json", "session_to_json"]

_CALL = ("destination", "tenant", "category", "subject", "account", "tor")


def session_to_json(session: Session) -> dict[str, Json]:
    """The document of a session."""
    return {
        "version": VERSION,
        "id": session.id,
        "tenant": session.tenant,
        "origin_id": session.origin_id,
        "origin_host": session.origin_host,
        "node": session.node,
        "runs": [_run_to_json(run) for run in session.runs],
        "opened": str(session.opened),
        "updated": str(session.updated),
        "lease_until": str(session.lease_until),
        "debit_interval": session.debit_interval,
        "due": str(session.due),
        "ending": session.ending,
        "ended": session.ended,
        "assumed": session.assumed,
        "asked": str(session.asked),
        "requests": [{"id": name, "granted": granted} for name, granted in session.requests],
    }


def _run_to_json(run: Run) -> dict[str, Json]:
    return {
        "id": run.id,
        "request_type": str(run.request_type),
        **{name: str(getattr(run.call, name)) for name in _CALL},
        "time": run.call.time.isoformat(),
        "used": run.used,
        "granted": run.granted,
        "taken": [taking_to_json(taking) for taking in run.taken],
        "cost": str(run.cost),
        "event": dict(run.event),
    }


def session_from_json(value: object) -> Session:
    """What ``session_to_json`` wrote.

    Raises:
        TrunklineError: ``charging.document`` or ``charging.document-version``.
    """
    reader = Reader(value, "session")
    if reader.whole("version") > VERSION:
        raise TrunklineError(
            "charging.document-version",
            f"the session's document has the version {reader.whole('version')}, and this program "
            f"reads up to {VERSION}: a later one wrote it, use that",
        )
    return Session(
        id=reader.text("id"),
        tenant=reader.text("tenant"),
        origin_id=reader.text("origin_id"),
        origin_host=reader.text("origin_host"),
        node=reader.text("node"),
        runs=tuple(_run_from_json(run) for run in reader.inners("runs")),
        opened=float(reader.number("opened")),
        updated=float(reader.number("updated")),
        lease_until=float(reader.number("lease_until")),
        debit_interval=reader.whole("debit_interval"),
        due=float(reader.number("due")),
        ending=reader.text("ending"),
        ended=reader.flag("ended"),
        assumed=reader.flag("assumed"),
        asked=float(reader.number("asked")),
        requests=tuple(
            (each.text("id"), each.whole("granted")) for each in reader.inners("requests")
        ),
    )


def _run_from_json(reader: Reader) -> Run:
    time, request_type = reader.time("time"), reader.text("request_type")
    if time is None:
        raise reader.refuse("time", "a time with its offset")
    if request_type not in set(RequestType):
        raise reader.refuse("request_type", "a type of request")
    return Run(
        id=reader.text("id"),
        request_type=RequestType(request_type),
        call=Call(
            destination=reader.text("destination"),
            time=time,
            usage=0,
            tenant=reader.text("tenant"),
            category=reader.text("category"),
            subject=reader.text("subject"),
            account=reader.text("account"),
            tor=reader.text("tor"),
        ),
        used=reader.whole("used"),
        granted=reader.whole("granted"),
        taken=tuple(taking_from_json(each.fields) for each in reader.inners("taken")),
        cost=reader.number("cost"),
        event=cast("Mapping[str, Json]", reader.inner("event").fields),
    )
