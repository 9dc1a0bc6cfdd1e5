"""A MESSAGE to somebody's phone every minute, to drive him crazy.

The text that this follows sends from `sip:Annoyatron 2000` to `sip:thisphone`. The first is no URI:
a URI has no blanks. What is meant is a name, which stands before the URI, in quotes. The second is
one, but `thisphone` is a host there; what is meant is a user, and a user has a domain.
"""

from trunkline.script import Application, every

FROM = '"Annoyatron 2000" <sip:annoyatron2000@example.org>'
TO = "sip:thisphone@example.org"


@every(60)
async def send_message(app: Application) -> None:
    """Send it, and say what the phone answered."""
    app.log("Sending annoying message")
    answer = await app.send_request(
        "MESSAGE",
        app.setting("phone"),
        from_=FROM,
        to=TO,
        headers=[("Subject", "Hello"), ("Content-Type", "text/plain")],
        body="Hi Buddy. Just here to irritate you.",
    )
    app.log(f"The phone answered {answer.status} {answer.reason}")
