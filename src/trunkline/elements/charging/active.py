"""Sessions that are open, as ``GetActiveSessions`` shows them: the reference's ``ExternalSession``.

``Usage`` is up to where usage may go, ``MaxCostSoFar`` the cost of it. ``LoopIndex``, ``MaxRate``
and ``MaxRateUnit`` are always 0: a session here is debited as one, and has no highest rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from trunkline.charging.event import to_text
from trunkline.charging.sessions import Run, Session
from trunkline.jsonrpc import Json

__all__ = ["external_session", "fields_of", "stamp"]

_NEVER: Final = "0001-01-01T00:00:00Z"
_KNOWN: Final = frozenset(
    (
        *("CGRID", "RunID", "ToR", "OriginID", "OriginHost", "Source", "RequestType", "Tenant"),
        *("Category", "Account", "Subject", "Destination", "SetupTime", "AnswerTime", "Usage"),
    )
)


def stamp(seconds: float) -> str:
    """A time of the ledger as answers have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def external_session(session: Session, run: Run) -> dict[str, Json]:
    """One run of a session."""
    call, event = run.call, run.event
    setup = event.get("SetupTime")
    return {
        "CGRID": session.id,
        "RunID": run.id,
        "ToR": call.tor,
        "OriginID": session.origin_id,
        "OriginHost": session.origin_host,
        "Source": f"SessionS_{to_text(event.get('Source'))}",
        "RequestType": str(run.request_type),
        "Tenant": session.tenant,
        "Category": call.category,
        "Account": call.account,
        "Subject": call.subject or call.account,
        "Destination": call.destination,
        "SetupTime": _NEVER if setup in (None, "") else to_text(setup),
        "AnswerTime": stamp(call.time.timestamp()),
        "Usage": run.granted,
        "ExtraFields": {
            name: to_text(value) for name, value in event.items() if name not in _KNOWN
        },
        "NodeID": session.node,
        "LoopIndex": 0,
        "DurationIndex": run.granted,
        "MaxRate": 0,
        "MaxRateUnit": 0,
        "MaxCostSoFar": run.cost,
        "DebitInterval": session.debit_interval,
        "NextAutoDebit": stamp(session.due) if session.due else None,
    }


def fields_of(session: Session, run: Run) -> Mapping[str, object]:
    """What filters find in a run: its event, and what the answer shows."""
    shown = external_session(session, run)
    return {**run.event, **{name: shown[name] for name in _KNOWN if shown[name] != _NEVER}}
