"""Loops and breadth: RFC 5393."""

from __future__ import annotations

import pytest
from tests.sip.proxy.rig import (
    CALLER,
    FROM_CALLER,
    PROXY,
    TCP,
    UDP,
    Rig,
    Sent,
    hops,
    name_of,
    request,
    target,
    whats,
)

from trunkline.sip.message import Request
from trunkline.sip.proxy import Identity, Listener, ProxySettings, Target, listed
from trunkline.sip.proxy.loops import loop_part, looped
from trunkline.sip.transport import Flow, Transport

TO_SELF = Flow(Transport.UDP, PROXY, PROXY)


def back(rig: Rig, sent: Sent, uri: str | None = None) -> Request:
    """The request as it comes back, by way of another proxy, which may have changed its target."""
    assert isinstance(sent.message, Request)
    message = sent.message.copy()
    message.uri = uri or "sip:bob@example.org"
    branch = f"z9hG4bKother{len(rig.log)}"
    via = f'SIP/2.0/UDP 192.0.2.51;branch={branch};odd="a,b" , SIP/2.0/UDP x;branch=y-z'
    message.headers.insert("Via", via, before="Via")
    return message


def fork(rig: Rig, message: Request, *names: str) -> list[Sent]:
    return rig.fork(
        rig.context(message, Flow(Transport.UDP, ("192.0.2.51", 5060), PROXY)),
        *([target(name) for name in names],),
    )


def test_a_fork_that_comes_back_unchanged_is_a_loop() -> None:
    """4.2.2."""
    rig = Rig()
    a, _ = fork(rig, request(), "a", "b")
    assert whats(fork(rig, back(rig, a), "a", "b")) == ["482<"]


@pytest.mark.parametrize("uri", ["sip:carol@example.org", "sip:bob@example.org;x=y"])
def test_with_another_request_uri_it_spirals(uri: str) -> None:
    rig = Rig()
    a, _ = fork(rig, request(), "a", "b")
    again = fork(rig, back(rig, a, uri), "a", "b")
    assert whats(again) == ["INVITE>a", "INVITE>b"]
    # and one turn later it is a loop, at either of the two places
    assert whats(fork(rig, back(rig, again[0], uri), "a", "b")) == ["482<"]
    assert whats(fork(rig, back(rig, again[1]), "a", "b")) == ["482<"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Route", "<sip:p.example;lr>"),
        ("Proxy-Authorization", "Digest x=y"),
    ],
)
def test_with_other_fields_that_decide_it_spirals(name: str, value: str) -> None:
    rig = Rig()
    a, _ = fork(rig, request(), "a", "b")
    message = back(rig, a)
    message.headers.add(name, value)
    assert whats(fork(rig, message, "a", "b")) == ["INVITE>a", "INVITE>b"]


def test_one_that_is_not_forked_may_pass_again() -> None:
    """4.1: Max-Forwards bounds it."""
    rig = Rig()
    [a] = fork(rig, request(), "a")
    assert "-" not in a.branch
    assert whats(fork(rig, back(rig, a), "a")) == ["INVITE>a"]


def test_a_fork_whose_parts_come_one_after_the_other_is_one() -> None:
    rig = Rig()
    context = rig.context()
    [a] = rig.fork(context, [target("a")], [target("b")])
    assert "-" in a.branch
    message = back(rig, a)
    assert whats(rig.fork(rig.context(message), [target("a")], [target("b")])) == ["482<"]


def test_targets_that_are_added_later_make_it_a_fork() -> None:
    rig = Rig()
    context = rig.context()
    [a] = rig.fork(context, [target("a")])
    context.fork([[target("b")]], rig.now)  # while the first is under way, it waits
    _, b = rig.answer(a, 404)
    assert (b.what, "-" in b.branch) == ("INVITE>b", True)


def test_the_method_does_not_matter_and_the_transaction_does() -> None:
    """4.2.1, 4.2.4."""
    one = loop_part(request("INVITE"), "sip:x")
    assert loop_part(request("OPTIONS"), "sip:x") == one
    assert loop_part(request("INVITE", number=2), "sip:x") != one
    assert loop_part(request("INVITE"), "sip:y") != one


def test_a_script_that_changes_the_target_does_not_hide_a_loop() -> None:
    """The Request-URI that counts is the one received (4.2.1)."""
    rig = Rig()
    for expected in (["INVITE>a", "INVITE>b"], ["482<"]):
        message = request() if not rig.log else back(rig, rig.log[-1])
        context = rig.context(message)
        context.request.uri = f"sip:changed{len(rig.log)}@example.org"
        assert whats(rig.fork(context, [target("a"), target("b")])) == expected


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKnotours",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKp000001-00000000",
        "SIP/2.0/UDP 192.0.2.99:5060;branch=z9hG4bKp000001-{part}",  # another's sent-by
        "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKp000001-{part}",
        "nonsense",
        'SIP/2.0/UDP 192.0.2.1:5060;x="branch=z9hG4bKp000001-{part}"',
    ],
)
def test_vias_that_only_look_like_ours(via: str) -> None:
    rig = Rig()
    message = request()
    part = loop_part(message, message.uri)[1:]
    message.headers.insert("Via", via.format(part=part), after="Via")
    assert not looped(message, message.uri, rig.identity)


def test_very_many_vias_are_looked_at_once_each() -> None:
    message = request()
    ours = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKp-00000000"
    for _ in range(400):
        message.headers.add("Via", ", ".join([ours] * 2))
    rig = Rig()
    context = rig.context(message)
    assert whats(rig.fork(context, [target("a"), target("b")])) == ["INVITE>a", "INVITE>b"]


# Requests that we send to ourselves


def turn(rig: Rig, sent: Sent, uri: str) -> list[Sent]:
    """Let us receive what we sent to ourselves, and send it there again."""
    context = rig.context(sent.message.to_bytes(), TO_SELF)
    return rig.fork(context, [Target(uri, listed(TO_SELF))])


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_what_we_send_to_ourselves_unchanged_is_a_loop(transport: Transport) -> None:
    """A Request-URI that leads here, relayed as it stands: one turn, not seventy."""
    rig = Rig([UDP, TCP])
    uri = "sip:bob@192.0.2.1"
    out = Flow(transport, PROXY, PROXY)
    [first] = rig.fork(rig.context(request(uri=uri)), [Target(uri, listed(out))])
    port = PROXY[1] if transport is Transport.UDP else 40000
    context = rig.context(first.message.to_bytes(), Flow(transport, (PROXY[0], port), PROXY, 1))
    assert whats(rig.fork(context, [Target(uri, listed(out))])) == ["482<"]


def test_behind_an_address_that_others_know_it_is_still_ourselves() -> None:
    inner = Listener(Transport.UDP, ("10.0.0.1", 5060), ("198.51.100.1", 5060))
    identity = Identity([inner])
    for host in ("10.0.0.1", "198.51.100.1"):
        assert identity.is_from_self(Flow(Transport.UDP, (host, 5060), inner.local))
        assert not identity.is_from_self(Flow(Transport.UDP, (host, 5061), inner.local))
        assert identity.is_from_self(Flow(Transport.TCP, (host, 5061), inner.local))
    assert not identity.is_from_self(Flow(Transport.TCP, ("10.0.0.2", 5060), inner.local))


def test_what_we_send_to_ourselves_changed_is_a_spiral() -> None:
    rig = Rig()
    [first] = rig.fork(rig.context(request()), [Target("sip:c@192.0.2.1", listed(TO_SELF))])
    [second] = turn(rig, first, "sip:d@192.0.2.1")
    context = rig.context(second.message.to_bytes(), TO_SELF)
    [out] = rig.fork(context, [target("a")])
    assert out.what == "INVITE>a"
    assert out.headers.get("Max-Forwards") == "67"
    assert len(out.headers.all("Via")) == 4


def test_an_ack_that_circles_ends() -> None:
    rig = Rig()
    message = request("ACK", "sip:bob@192.0.2.1")
    turns = 0
    while True:
        received = rig.receive(message, TO_SELF if turns else FROM_CALLER)
        if received is None:
            break
        assert rig.proxy.forward(received, Target(message.uri, listed(TO_SELF)), rig.now)  # type: ignore[arg-type]
        [sent] = rig.take()
        assert isinstance(sent.message, Request)
        message = sent.message
        turns += 1
    assert turns == 70
    assert rig.proxy.discarded == {"sip.ack": 1}


# Max-Breadth


def breadths(sent: list[Sent]) -> dict[str, str | None]:
    return {name_of(each.to): each.headers.get("Max-Breadth") for each in sent}


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        (None, "60"),
        ("60", "60"),
        ("1", "1"),
        ("61", "60"),
        ("99999999999999", "60"),
        ("0", "1"),  # not positive: as the least that is
        ("many", "60"),
        ("-4", "60"),
        ("٣", "60"),
    ],
)
def test_incoming_breadth(came: str | None, goes: str) -> None:
    """5.3.3."""
    headers = [] if came is None else [("Max-Breadth", came), ("Max-Breadth", "7")]
    [sent] = (rig := Rig()).fork(rig.context(request(headers=headers)), [target("a")])
    assert sent.headers.all("Max-Breadth") == [goes]


def test_a_fork_shares_all_of_it() -> None:
    rig = Rig()
    context = rig.context(request(headers=[("Max-Breadth", "8")]))
    sent = rig.fork(context, [target(name) for name in "abc"])
    assert breadths(sent) == {"a": "3", "b": "3", "c": "2"}


def test_one_after_the_other_gets_all_of_it() -> None:
    """5.2, sequential forking."""
    rig = Rig()
    context = rig.context(request(headers=[("Max-Breadth", "8")]))
    first = rig.fork(context, [target("a")], [target("b"), target("c")])
    [_, *then] = rig.answer(first[0], 404)
    assert breadths(first) | breadths(then) == {"a": "8", "b": "4", "c": "4"}


def test_what_exceeds_it_waits_for_a_branch_to_end() -> None:
    """5.5: four at once of eight, then one for each that fails."""
    rig = Rig()
    context = rig.context(request(headers=[("Max-Breadth", "4")]))
    under_way = rig.fork(context, [target(name) for name in "abcdefgh"], [target("z")])
    assert breadths(under_way) == dict.fromkeys("abcd", "1")
    while len(under_way) > 1:
        [_, *more] = rig.answer(under_way.pop(0), 486)
        assert len(more) <= 1
        under_way += more
        assert len(under_way) == context.active <= 4
    [_, z] = rig.answer(under_way[0], 486)
    assert (z.what, z.headers.get("Max-Breadth")) == ("INVITE>z", "4")


def test_waiting_targets_are_dropped_with_the_rest() -> None:
    rig = Rig(settings=ProxySettings(max_breadth=2))
    context = rig.context()
    a, b = rig.fork(context, [target(name) for name in "abcd"])
    rig.answer(b, 180)
    assert whats(rig.answer(a, 200)) == ["200<", "CANCEL>b"]
    assert whats(rig.answer(b, 487)) == ["ACK>b"]


def test_a_next_hop_has_the_breadth_of_its_branch() -> None:
    rig = Rig(settings=ProxySettings(max_breadth=2))
    a, _ = rig.fork(rig.context(), [target("ac"), target("b")])
    _, c = rig.answer(a, 503)
    assert (c.what, c.headers.get("Max-Breadth")) == ("INVITE>c", "1")


def test_who_asks_for_a_breadth_of_one_is_tried_one_by_one() -> None:
    rig = Rig()
    context = rig.context(request(headers=[("Max-Breadth", "1")]))
    [a] = rig.fork(context, [target("a"), Target("sip:x@y", listed()), target("b")])
    _, b = rig.answer(a, 486)
    assert b.what == "INVITE>b"
    assert whats(rig.answer(b, 200)) == ["200<"]
    assert hops("a")(0.0) is not None
    assert CALLER
