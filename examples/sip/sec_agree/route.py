"""Calls to an application server that answers 420 where sec-agree is required.

Handsets put `Require: sec-agree` (RFC 3329) into what they send. It is about the way to their first
proxy and over by then; this takes it out of every request, those within a call included.
"""

from trunkline.script import Request, in_dialog, on_request


@on_request()
@in_dialog()
def strip_sec_agree(request: Request) -> None:
    """Take the option tag out; what else is required stays."""
    request.headers.remove_token("Require", "sec-agree")
    request.headers.remove_token("Proxy-Require", "sec-agree")
    if request.in_dialog:
        request.relay()  # the way is in its Route headers
    else:
        request.relay(via=request.app.setting("application_server"))
