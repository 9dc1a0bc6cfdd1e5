"""Dialogs and what goes on in them: RFC 3261 sections 12 to 15 and what stands on them.

`trunkline.sip.ua` is the way in: its `UserAgent` makes calls, sessions and subscriptions, and tells
of them by `events`.
"""

from trunkline.sip.dialog.call import Call
from trunkline.sip.dialog.core import Capabilities, Core
from trunkline.sip.dialog.dialog import Dialog, DialogId, DialogState, Role
from trunkline.sip.dialog.outgoing import Outgoing
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_table import SessionState

__all__ = [
    "Call",
    "Capabilities",
    "Core",
    "Dialog",
    "DialogId",
    "DialogState",
    "Outgoing",
    "Role",
    "Session",
    "SessionState",
]
