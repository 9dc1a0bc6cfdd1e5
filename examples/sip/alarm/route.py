"""A registrar that raises an alarm when too few are registered.

Nobody says goodbye whose registration just runs out, so that nothing arrives that a handler could
be called for: a job has to look.
"""

from trunkline.script import Application, Request, every, on_request


@on_request("REGISTER")
async def register(request: Request) -> None:
    """Register everybody: this is about who does not come back."""
    await request.register()


@every(60)
async def check(app: Application) -> None:
    """Send an alarm when there are fewer than there should be, and once when they are back."""
    count = (await app.registered()).aors
    least = app.setting("least", int)
    alarmed = bool(app.state.get("alarmed"))
    if (count < least) is alarmed:
        return
    app.state["alarmed"] = not alarmed
    text = f"{count} registered, {least} is the least" if not alarmed else f"{count} registered"
    app.log(text, severity=5 if alarmed else 1)
    answer = await app.send_request(
        "MESSAGE",
        app.setting("operator"),
        headers=[("Subject", "Well again" if alarmed else "Alarm"), ("Content-Type", "text/plain")],
        body=text,
    )
    if answer.status >= 300:
        app.log(f"the operator was not reached: {answer.status} {answer.reason}", severity=1)
