"""What a script sends to is a URI: nothing that a caller wrote becomes a row of its own."""

from __future__ import annotations

import pytest

from trunkline.script import Request, Response, escape_user, on_failure, on_request
from trunkline.testing import Harness

SETS = {"gw": {"targets": ["sip:192.0.2.51"]}}
HOSTILE = [
    "x%20SIP%2F2.0%0D%0AP-Asserted-Identity%3A%20%3Csip%3Aboss%40example.org%3E%0D%0AX%3A%20y",
    "bob%20x",
    "a%40evil.example",
    "a%3Eb",
    "caf%C3%A9",
]


@on_request()
def via_a_uri(request: Request) -> None:
    request.relay(f"sip:{request.target.username}@pbx.example", via="sip:192.0.2.50")


@on_request()
def via_a_set(request: Request) -> None:
    gateways = request.app.destinations("gw")
    request.relay(f"sip:{request.target.username}@pbx.example", via=gateways)


@on_request()
def in_a_fork(request: Request) -> None:
    name = request.target.username
    request.fork(["sip:a@192.0.2.51", f"sip:{name}@pbx.example"], via="sip:192.0.2.50")


@on_request()
def as_the_request_uri(request: Request) -> None:
    request.uri = f"sip:{request.target.username}@pbx.example"
    request.relay(via="sip:192.0.2.50")


@on_request()
def as_a_redirect(request: Request) -> None:
    request.redirect(f"sip:{request.target.username}@pbx.example")


@on_request()
def as_a_redirect_with_a_name(request: Request) -> None:
    request.redirect(f"Bob <sip:{request.target.username}@pbx.example>")


@pytest.mark.parametrize("user", HOSTILE)
@pytest.mark.parametrize(
    "handler",
    [
        via_a_uri,
        via_a_set,
        in_a_fork,
        as_the_request_uri,
        as_a_redirect,
        as_a_redirect_with_a_name,
    ],
)
def test_what_a_caller_escaped_is_refused_where_a_script_writes_it(
    handler: object, user: str
) -> None:
    assert callable(handler)
    with Harness([handler], destinations=SETS) as proxy:
        uri = f"sip:{user}@example.org"
        [answer] = proxy.receive(proxy.request("MESSAGE", uri))
        assert answer.status == 500
        [line] = proxy.lines
        assert "TrunklineError: " in line
        assert "escape_user" in line


@pytest.mark.parametrize("user", HOSTILE)
def test_escaped_it_goes_where_the_script_says(user: str) -> None:
    @on_request()
    def invite(request: Request) -> None:
        name = escape_user(request.target.username or "")
        request.relay(f"sip:{name}@pbx.example", via="sip:192.0.2.50")

    with Harness([invite]) as proxy:
        [sent] = proxy.receive(proxy.request("MESSAGE", f"sip:{user}@example.org"))
        assert sent.to == ("192.0.2.50", 5060)
        assert sent.uri.endswith("@pbx.example")
        assert sent.headers.count("P-Asserted-Identity") == 0


@pytest.mark.parametrize(
    ("target", "via"),
    [("bob", "sip:192.0.2.50"), ("bob", None), ("sip:bob@192.0.2.50", "192.0.2.50")],
)
def test_a_target_that_is_no_uri_is_said(target: str, via: str | None) -> None:
    @on_request()
    def invite(request: Request) -> None:
        request.relay(target, via=via)

    with Harness([invite]) as proxy:
        [answer] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert answer.status == 500
        assert proxy.element.stats.errors == {"invite": 1}


def test_a_failure_handler_is_held_to_the_same() -> None:
    @on_request()
    def invite(request: Request) -> None:
        request.relay("sip:bob@192.0.2.50")

    @on_failure()
    def again(request: Request, response: Response) -> None:
        request.relay(f"sip:{request.target.username}@192.0.2.51", via="sip:192.0.2.51")

    with Harness([invite, again]) as proxy:
        [sent] = proxy.receive(proxy.request("MESSAGE", f"sip:{HOSTILE[0]}@example.org"))
        [answer] = proxy.receive(sent.answer(486))
        assert answer.status == 486
        assert proxy.element.stats.errors == {"again": 1}
