"""The routing script of the bench: every request passes a Python function."""

from trunkline.script import Request, in_dialog, on_request


@on_request()
def to_callee(request: Request) -> None:
    """Send what begins something to the callee's address."""
    request.relay(via="sip:127.0.0.1:5080")


@in_dialog()
def onward(request: Request) -> None:
    """Send on what belongs to a dialog."""
    request.relay()
