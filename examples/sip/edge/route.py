"""A small exchange to begin with: phones register, call each other, and the world by a gateway.

Who says he is one of our users has to prove it. Strangers reach our users and nobody else.
"""

from trunkline.script import (
    Request,
    Response,
    escape_user,
    in_dialog,
    on_failure,
    on_reply,
    on_request,
)
from trunkline.sip.nat import is_private


@on_request("REGISTER")
async def register(request: Request) -> None:
    """Register who knows his password, for his own address."""
    result = await request.authenticate()
    if result.accepted:
        await request.register(result.user)
    else:
        request.challenge(result)


@on_request("INVITE", "MESSAGE", "SUBSCRIBE", "REFER")
async def call(request: Request) -> None:
    """Send calls to where the called user is registered, and numbers to the gateway."""
    mend_contact(request)
    ours = request.from_.uri.host in request.app.domains
    if ours and not await proved(request):
        return
    called = request.target.username or ""
    if not request.for_us:
        if ours:
            request.relay()
        else:
            request.reply(403, "Calls of Our Users Only")
    elif contacts := await request.lookup():
        request.attributes["to"] = "phone"
        request.fork(*contacts)
    elif ours and called.isascii() and called.lstrip("+").isdecimal():
        request.relay(f"sip:{called}@{request.app.setting('gateway')}")
    else:
        request.reply(480)


async def proved(request: Request) -> bool:
    """Whether the caller has proved to be who the From says; if not, the request is answered."""
    result = await request.authenticate()
    if not result.accepted:
        request.challenge(result)
    elif result.user != request.from_.uri.username:
        request.reply(403, "That Is Not Your Name")
    else:
        request.headers.remove("Proxy-Authorization")  # nobody else's business
        return True
    return False


@on_failure("INVITE")
def voicemail(request: Request, response: Response) -> None:
    """Let the voicemail answer for a user who is busy or away."""
    if response.status in (408, 480, 486) and request.attributes.get("to") == "phone":
        request.attributes["to"] = "voicemail"
        user = escape_user(request.target.username or "")
        request.relay(f"sip:{user}@{request.app.setting('voicemail')}")


@in_dialog()
def later(request: Request) -> None:
    """Send what comes later in a call along its way; 481 if the call did not begin here."""
    mend_contact(request)
    request.relay()


def mend_contact(request: Request) -> None:
    """Let a phone behind a NAT be reached where it was seen."""
    if request.behind_nat:
        request.fix_contact()


@on_reply("INVITE", "UPDATE", "SUBSCRIBE")
def answered(request: Request, response: Response) -> None:
    """The same for the phone that answers."""
    if any(is_private(contact.uri.host or "") for contact in response.contacts):
        request.fix_contact(response)
