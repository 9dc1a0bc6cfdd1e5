"""All that a routing script imports: ``from trunkline.script import Request, on_request``.

The guide is docs/sip-scripts.md.
"""

from trunkline.elements.proxy.application import Application
from trunkline.elements.proxy.bodies import put_sdp, sdp_of
from trunkline.elements.proxy.request import IncomingRequest as Request
from trunkline.elements.proxy.request import Outcome
from trunkline.elements.proxy.script import (
    every,
    in_dialog,
    on_branch,
    on_failure,
    on_reply,
    on_request,
    on_start,
)
from trunkline.errors import DecodeError
from trunkline.sip.headers import NameAddr
from trunkline.sip.message import Response
from trunkline.sip.uri import escape_user
from trunkline.store.guard import StoreUnavailable

__all__ = [
    "Application",
    "DecodeError",
    "NameAddr",
    "Outcome",
    "Request",
    "Response",
    "StoreUnavailable",
    "escape_user",
    "every",
    "in_dialog",
    "on_branch",
    "on_failure",
    "on_reply",
    "on_request",
    "on_start",
    "put_sdp",
    "sdp_of",
]
