"""Phones that register with a challenge, and are called."""

from __future__ import annotations

import pytest
from tests.interop.sip.node import Node
from tests.interop.sip.registration import SETTINGS, registration
from tests.interop.sip.scenarios import (
    CALL,
    CALLEE,
    Scenario,
    ack_failure,
    answer,
    expect,
    invite,
    send,
)
from tests.interop.sip.sipp import Sipp
from tests.interop.sip.site import Site

pytestmark = pytest.mark.interop

SCRIPT = """
@on_request("REGISTER")
async def register(request: Request) -> None:
    result = await request.authenticate()
    if result.accepted:
        await request.register(result.user)
    else:
        request.challenge(result)


@on_request("INVITE")
async def invite(request: Request) -> None:
    user = request.target.user
    groups = await request.lookup(f"sip:{user}@example.org")
    if groups:
        request.fork(*groups)
    else:
        request.reply(404)
"""
USERS = "username,password\nbob,secret\ncarol,other\n"


class Office:
    """A registrar, and phones."""

    def __init__(self, site: Site, extra: str = "", workers: int = 1) -> None:
        self._site = site
        self._count = 0
        (site.folder / "users.csv").write_text(USERS)
        self.node: Node = site.node(SCRIPT, settings=SETTINGS + extra, workers=workers)

    def register(
        self, phone: Sipp, user: str, password: str, status: int = 200, expires: int = 300
    ) -> None:
        self._count += 1
        self._site.caller(
            self.node.address,
            registration(status, expires),
            *("-s", user, "-au", user, "-ap", password, "-key", "phone", str(phone.port)),
            name=f"registration{self._count}",
        ).succeeded()

    def call(self, user: str, scenario: Scenario = CALL, calls: int = 1) -> Sipp:
        self._count += 1
        to, name = self.node.address, f"caller{self._count}"
        caller = self._site.caller(to, scenario, "-s", user, name=name, calls=calls)
        caller.succeeded()
        return caller


NOT_THERE: Scenario = (
    *(send(invite(), again=True), expect(100, optional=True)),
    *(expect(404), send(ack_failure())),
)


def test_a_phone_registers_and_is_called(site: Site) -> None:
    office = Office(site)
    bob = site.callee(name="bob")
    office.call("bob", NOT_THERE)
    office.register(bob, "bob", "wrong", status=401)
    office.call("bob", NOT_THERE)
    office.register(bob, "bob", "secret")
    office.call("bob", calls=5)
    office.call("carol", NOT_THERE)
    bob.succeeded(5)
    # the contact is the Request-URI of what the phone gets (RFC 3261 section 16.5)
    assert {seen.line for seen in bob.received("INVITE")} == {
        f"INVITE sip:bob@127.0.0.1:{bob.port} SIP/2.0"
    }
    office.node.healthy()


def test_a_phone_that_leaves_is_not_called_any_more(site: Site) -> None:
    office = Office(site)
    bob = site.callee(name="bob")
    office.register(bob, "bob", "secret")
    office.call("bob")
    office.register(bob, "bob", "secret", expires=0)
    office.call("bob", NOT_THERE)
    bob.succeeded(1)


def test_two_phones_of_a_user_ring_both(site: Site) -> None:
    office = Office(site)
    busy: Scenario = (
        *(expect("INVITE"), send(answer("486 Busy Here"), again=True), expect("ACK")),
    )
    desk = site.callee(busy, name="desk")
    soft = site.callee(CALLEE, "-d", "200", name="soft")
    office.register(desk, "bob", "secret")
    office.register(soft, "bob", "secret")
    office.call("bob", calls=3)
    desk.succeeded(3)
    soft.succeeded(3)
    office.node.healthy()


def test_workers_share_registrations_by_redis(site: Site) -> None:
    redis = site.redis()
    office = Office(
        site,
        f"""
        location = "redis:shared"
        [node.Edge.proxy.redis]
        shared = "{redis.url}"
        """,
        workers=4,
    )
    bob = site.callee(name="bob")
    office.register(bob, "bob", "secret")
    office.call("bob", calls=20)
    bob.succeeded(20)
    office.node.healthy()
