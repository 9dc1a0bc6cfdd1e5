"""Values in Redis: set, get, and let them end by themselves."""

from trunkline.script import Request, on_request


@on_request()
async def remember(request: Request) -> None:
    """Set a value and read it; and keep for two minutes what an address asked for last."""
    redis = request.app.redis("MyRedisServer")
    log = request.app.log

    await redis.command("SET foo bar")
    value = await redis.command("GET foo")
    log(f"Value of foo is: {value}")

    source, _ = request.source
    before = await redis.get(source)
    log(f"{source} asked for {before or 'nothing'} before")
    await redis.command("SET", source, request.uri)
    await redis.command("EXPIRE", source, 120)
    request.reply(200)
