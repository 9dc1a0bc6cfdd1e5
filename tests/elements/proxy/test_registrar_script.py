"""Registration, digest and calls to who is registered, by a script on the harness."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.elements.proxy.request import IncomingRequest
from trunkline.elements.proxy.story import STEPS, story_of
from trunkline.script import on_request
from trunkline.sip.digest import Client, Login
from trunkline.testing import Harness, Sent

SCRIPT = """
from trunkline.script import every, on_request

@on_request("REGISTER")
async def register(request):
    result = await request.authenticate()
    if not result.accepted:
        return request.challenge(result)
    await request.register(result.user)

@on_request("INVITE", "MESSAGE")
async def call(request):
    contacts = await request.lookup()
    if not contacts:
        return request.reply(480)
    request.fork(*contacts)

@every(10)
async def alarm(app):
    count = await app.registered()
    app.log(f"{count.aors} registered")
"""
PHONE = ("192.0.2.20", 5060)


@pytest.fixture
def proxy(tmp_path: Path) -> Harness:
    script = tmp_path / "registrar.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return Harness(script, users={"bob": "secret"})


def register(
    proxy: Harness,
    contact: str = "<sip:bob@192.0.2.20>",
    *,
    client: Client | None = None,
    call_id: str = "reg1",
    cseq: int = 1,
    to: str = "<sip:bob@example.org>",
    source: tuple[str, int] = PHONE,
) -> Sent:
    rows = [
        ("To", to),
        ("Contact", contact),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} REGISTER"),
    ]
    if client is not None:
        rows += client.rows("REGISTER", "sip:example.org", "cnonce")
    [answer] = proxy.receive(
        proxy.request("REGISTER", "sip:example.org", source=source, headers=rows)
    )
    return answer


def logged_in(proxy: Harness, user: str = "bob", password: str = "secret") -> Client:
    client = Client(lambda realm: Login(user, password))
    challenge = register(proxy)
    assert challenge.status == 401
    client.challenged(challenge.headers.all("WWW-Authenticate"), [])
    return client


def test_register_and_be_called(proxy: Harness) -> None:
    with proxy:
        client = logged_in(proxy)
        ok = register(proxy, client=client, cseq=2)
        assert ok.status == 200
        assert "sip:bob@192.0.2.20" in (ok.headers.get("Contact") or "")
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert (invite.uri, invite.to) == ("sip:bob@192.0.2.20", PHONE)
        proxy.advance(11)
        assert proxy.lines == ["1 registered"]


def test_challenges_come_best_first(proxy: Harness) -> None:
    with proxy:
        challenge = register(proxy)
        algorithms = [v for v in challenge.headers.all("WWW-Authenticate") if "algorithm" in v]
        assert "SHA-256" in algorithms[0]
        assert "MD5" in algorithms[-1]


def test_a_wrong_password_is_challenged_again_and_counted(proxy: Harness) -> None:
    with proxy:
        client = logged_in(proxy, password="wrong")
        assert register(proxy, client=client, cseq=2).status == 401
        counts = proxy.element.services.users.counters()
        assert sum(counts.values()) == 2
        assert "wrong-response" in counts


def test_nobody_registers_for_somebody_else(proxy: Harness) -> None:
    with proxy:
        client = logged_in(proxy)
        answer = register(proxy, client=client, cseq=2, to="<sip:alice@example.org>")
        assert answer.status in (403, 404)
        [no] = proxy.receive(proxy.request("MESSAGE", "sip:alice@example.org"))
        assert no.status == 480


def test_registrations_expire(proxy: Harness) -> None:
    with proxy:
        client = logged_in(proxy)
        register(proxy, "<sip:bob@192.0.2.20>;expires=60", client=client, cseq=2)
        proxy.advance(75)
        [no] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert no.status == 480
        assert proxy.lines[-1] == "0 registered"


def test_preferences_are_tried_one_after_the_other(proxy: Harness) -> None:
    with proxy:
        client = logged_in(proxy)
        for cseq, (place, q) in enumerate({"192.0.2.21": 0.5, "192.0.2.22": 0.9}.items(), 2):
            contact = f"<sip:bob@{place}>;q={q}"
            register(proxy, contact, client=client, cseq=cseq, source=(place, 5060))
        _, first = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert first.to[0] == "192.0.2.22"
        _, second = proxy.receive(first.answer(486))
        assert second.to[0] == "192.0.2.21"


def test_a_contact_with_another_port_of_the_same_host_is_believed(proxy: Harness) -> None:
    with proxy:
        client = logged_in(proxy)
        register(proxy, f"<sip:bob@{PHONE[0]}:5099>", client=client, cseq=2)
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert invite.to == (PHONE[0], 5099)


def test_behind_a_nat_the_way_of_the_registration_is_the_way_back(proxy: Harness) -> None:
    with proxy:
        client = logged_in(proxy)
        register(proxy, "<sip:bob@10.1.1.1:5062>", client=client, cseq=2)
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert invite.uri == "sip:bob@10.1.1.1:5062"
        assert invite.to == PHONE


def test_the_story_of_a_registration_says_why(proxy: Harness) -> None:
    with proxy:
        client = logged_in(proxy, password="wrong")
        register(proxy, client=client, cseq=2)
        client = logged_in(proxy)
        register(proxy, client=client, cseq=2)
        told = [
            step.text
            for step in story_of(proxy.element.recorder, "reg1")
            if step.kind in ("credentials", "registered")
        ]
        assert told == [
            "the request has no Digest credentials [no-credentials]",
            "bob: the digest is wrong: another password, or the request was changed"
            " [wrong-response]",
            "the request has no Digest credentials [no-credentials]",
            "bob: the user has proved to know the password [accepted]",
            "200: the bindings are as the request asked for [registered]",
        ]
        assert {"credentials", "registered"} <= set(STEPS)


# Credentials, and what they are for

US = "sip:alice@example.org"


@on_request()
async def guarded(request: IncomingRequest) -> None:
    result = await request.authenticate()
    if not result.accepted:
        return request.challenge(result)
    return request.reply(200)


@on_request()
async def rewritten(request: IncomingRequest) -> None:
    request.uri = "sip:elsewhere@192.0.2.99"
    await guarded(request)


def asked(proxy: Harness, uri: str, name: str = "", value: str = "") -> Sent:
    rows = [(name, value)] if name else []
    [answer] = proxy.receive(proxy.request("MESSAGE", uri, headers=rows))
    return answer


def with_password(proxy: Harness) -> Client:
    client = Client(lambda realm: Login("bob", "secret"))
    client.challenged([], asked(proxy, US).headers.all("Proxy-Authenticate"))
    return client


@pytest.mark.parametrize(
    ("digest_uri", "status"),
    [
        (US, 200),
        ("sip:somebody@example.org", 200),  # a proxy of the domain may have changed it
        ("sip:bob@192.0.2.1", 200),
        ("sip:attacker@192.0.2.66", 400),
        ("tel:+1900666", 400),
    ],
)
@pytest.mark.parametrize("handler", [guarded, rewritten])
def test_credentials_that_were_given_to_others_are_no_use_here(
    handler: object, digest_uri: str, status: int
) -> None:
    with Harness([handler], users={"bob": "secret"}) as proxy:  # type: ignore[list-item]
        [row] = with_password(proxy).rows("MESSAGE", digest_uri, "cnonce")
        assert asked(proxy, US, *row).status == status


def test_a_count_is_good_once_whichever_way_the_nonce_was_given() -> None:
    with Harness([guarded], users={"bob": "secret"}) as proxy:
        [(name, value)] = with_password(proxy).rows("MESSAGE", US, "cnonce")
        assert asked(proxy, US, name, value).status == 200
        again = asked(proxy, "sip:example.org", "Authorization", value)
        assert again.status == 401
        assert "stale=true" in (again.headers.get("WWW-Authenticate") or "").lower()
