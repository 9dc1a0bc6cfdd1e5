"""Two proxies that share what they know of who guesses passwords.

An address that has given wrong credentials five times within two minutes, at whichever of the two,
gets no answer from either until those two minutes are over.
"""

from trunkline.script import Request, StoreUnavailable, on_request

MOST = 5
WINDOW = 120  # seconds, from the first failure on


@on_request("REGISTER")
async def register(request: Request) -> None:
    """Register who knows his password; shut out who has not known it too often."""
    if await failures_of(request) >= MOST:
        request.app.log(f"{request.source[0]} is shut out")
        request.drop()
        return
    result = await request.authenticate()
    if result.accepted:
        await request.register(result.user)
        return
    request.challenge(result)
    if result.failed:
        await count_failure(request)


async def failures_of(request: Request) -> int:
    """How often the address that it came from has failed of late."""
    try:
        return int(await request.app.redis("shared").get(f"failures:{request.source[0]}") or 0)
    except StoreUnavailable:
        return 0  # nobody is shut out because Redis is away


async def count_failure(request: Request) -> None:
    """Add one; the first of a row says when all of them are forgotten."""
    source, _ = request.source
    try:
        count = await request.app.redis("shared").incr(f"failures:{source}", expire=WINDOW)
    except StoreUnavailable:
        return
    request.app.log(f"{source} has failed {count} times")
