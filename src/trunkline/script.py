"""All that a routing script imports: ``from trunkline.script import Request, on_request``.

The guide is docs/sip-scripts.md.
"""

from trunkline.elements.proxy.application import Application
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
from trunkline.sip.message import Response

__all__ = [
    "Application",
    "Outcome",
    "Request",
    "Response",
    "every",
    "in_dialog",
    "on_branch",
    "on_failure",
    "on_reply",
    "on_request",
    "on_start",
]
