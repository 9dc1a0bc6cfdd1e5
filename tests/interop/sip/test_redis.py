"""Redis killed, hung and started again under load; what two proxies share by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.interop.sip.node import Node
from tests.interop.sip.programs import until
from tests.interop.sip.registration import SETTINGS, register, registration
from tests.interop.sip.scenarios import CALL, expect, send
from tests.interop.sip.site import Site

pytestmark = pytest.mark.interop

EXAMPLES = Path(__file__).parents[3] / "examples" / "sip"
COUNTS = """
@on_request()
async def route(request: Request) -> None:
    try:
        told = "calls " + str(await request.app.redis("counts").incr("calls", expire=600))
    except StoreUnavailable as away:
        told = away.code
    request.headers.add("X-Redis", told)
    request.relay(via="{}")
"""
STORE = """
[node.Edge.proxy.redis]
counts = "{}"
"""
MANY = 10_000  # calls: more than there is time for
AWAY = "store.redis-unavailable"


def breaker(node: Node, name: str) -> object:
    """A counter of the store's handle."""
    stores = node.call("node.counters")["stores"]
    assert isinstance(stores, dict)
    store = stores["redis.counts"]
    assert isinstance(store, dict)
    return store[name]


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_redis_goes_and_comes_back_under_load(site: Site, how: str) -> None:
    redis = site.redis()
    callee = site.callee(wire=True)
    node = site.node(COUNTS.format(callee.uri), settings=STORE.format(redis.url))
    caller = site.caller(node.address, CALL, calls=MANY, rate=100)
    caller.goes_on()
    if how == "killed":
        redis.kill()
    else:
        redis.pause()
    until(lambda: breaker(node, "state") == "open", "the breaker has opened")
    refused = breaker(node, "refused")
    until(lambda: breaker(node, "refused") != refused, "commands fail at once")
    caller.goes_on()
    if how == "killed":
        redis.start()
    else:
        redis.resume()
    until(lambda: breaker(node, "state") == "closed", "the breaker has closed by itself")
    caller.goes_on()
    # no call failed, and the script was told what was the matter
    callee.succeeded(caller.enough())
    told = [text.partition("X-Redis: ")[2].partition("\n")[0] for text in callee.texts("INVITE")]
    assert told[0].startswith("calls ")
    assert AWAY in told
    assert told[-1].startswith("calls ")
    assert {each for each in told if not each.startswith("calls ")} == {AWAY}
    node.healthy()


def test_two_proxies_share_who_guesses_passwords(site: Site) -> None:
    redis = site.redis()
    script = EXAMPLES / "flood" / "route.py"
    (site.folder / "users.csv").write_text("username,password\nbob,secret\n")
    north, south = (
        site.node(
            script.read_text(),
            name=name,
            settings=f'{SETTINGS}\n[node.{name}.proxy.redis]\nshared = "{redis.url}"\n',
        )
        for name in ("North", "South")
    )

    def log_in(
        node: Node, name: str, password: str, status: int, calls: int = 1, host: str = "127.0.0.1"
    ) -> None:
        arguments = ("-s", "bob", "-au", "bob", "-ap", password, "-key", "phone", "5060")
        scenario, to = registration(status), node.address
        site.caller(to, scenario, *arguments, name=name, calls=calls, host=host).succeeded()

    log_in(north, "first", "guess", 401, 3)
    log_in(south, "second", "guess", 401, 2)
    # Now nobody answers this address any more, whatever it says, at either of the two.
    for node in (north, south):
        silent = (send(register(1)), expect(401))
        arguments = ("-s", "bob", "-key", "phone", "5060", "-recv_timeout", "600")
        out = site.caller(node.address, silent, *arguments, name=f"out{node.name}")
        out.finish()
        assert (out.statistic("FailedCall"), out.received(401)) == (1, [])
        assert "127.0.0.1 is shut out" in node.printed
    # Another address is none of that.
    log_in(south, "third", "secret", 200, host="127.0.0.2")
    # Without Redis everybody may register.
    redis.kill()
    log_in(north, "fourth", "secret", 200)
    for node in (north, south):
        node.healthy()
