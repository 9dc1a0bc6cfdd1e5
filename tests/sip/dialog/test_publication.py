"""Published event state: RFC 3903; the compositor by itself, and an agent against it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.sip.dialog.network import Network, lose_first

from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import Published, PublishFailed, RequestArrived
from trunkline.sip.dialog.publication import Answer, Changed, Compositor
from trunkline.sip.dialog.publisher import Publisher
from trunkline.sip.message import Request

PIDF = "application/pidf+xml"
RESOURCE = "sip:alice@example.org"


def compositor(limit: int = 100) -> Compositor:
    numbers = itertools.count(1)
    return Compositor(
        {"presence": [PIDF, "text/plain"], "other": [PIDF]},
        lambda: f"e{next(numbers)}",
        resource=lambda uri: None if "nobody" in uri else uri,
        limit=limit,
    )


def publish(
    body: bytes = b"",
    *,
    etag: str | None = None,
    expires: str | None = None,
    event: str | None = "presence",
    content_type: str = PIDF,
    uri: str = RESOURCE,
) -> Request:
    rows = [("Content-Type", content_type)] if body else []
    for name, value in (("SIP-If-Match", etag), ("Expires", expires), ("Event", event)):
        if value is not None:
            rows.append((name, value))
    return Request.build("PUBLISH", uri, rows, body)


def etag_of(answer: Answer) -> str:
    assert answer.status == 200
    return dict(answer.rows)["SIP-ETag"]


def bodies(esc: Compositor) -> list[bytes]:
    return [publication.body for publication in esc.publications(RESOURCE, "presence")]


def test_the_four_operations_of_table_1() -> None:
    esc = compositor()
    initial = esc.receive(publish(b"one", expires="3600"), 0.0)
    assert dict(initial.rows)["Expires"] == "3600"
    assert bodies(esc) == [b"one"]
    assert esc.take_changed() == [Changed(RESOURCE, "presence")]

    refreshed = esc.receive(publish(etag=etag_of(initial), expires="1800"), 10.0)
    assert etag_of(refreshed) != etag_of(initial)
    assert bodies(esc) == [b"one"]
    assert esc.take_changed() == []
    assert esc.next_timeout() == 1810.0

    modified = esc.receive(publish(b"two", etag=etag_of(refreshed)), 20.0)
    assert bodies(esc) == [b"two"]
    assert esc.take_changed() == [Changed(RESOURCE, "presence")]

    removed = esc.receive(publish(etag=etag_of(modified), expires="0"), 30.0)
    assert dict(removed.rows)["Expires"] == "0"
    assert bodies(esc) == []
    assert esc.take_changed() == [Changed(RESOURCE, "presence")]
    assert esc.next_timeout() is None


@pytest.mark.parametrize(
    ("request_", "status", "row"),
    [
        (publish(b"x", uri="sip:nobody@x"), 404, None),
        (publish(b"x", event=None), 489, ("Allow-Events", "presence, other")),
        (publish(b"x", event="unknown"), 489, None),
        (publish(b"x", etag="a, b"), 400, None),
        (publish(b"x", etag=""), 400, None),
        (publish(b"x", etag="unknown"), 412, None),
        (publish(etag="unknown", expires="0"), 412, None),
        (publish(b"x", expires="x"), 400, None),
        (publish(b"x", expires="10"), 423, ("Min-Expires", "60")),
        (publish(), 400, None),
        (publish(expires="0"), 400, None),
        (publish(b"x", content_type="text/html"), 415, ("Accept", f"{PIDF}, text/plain")),
        (publish(b"x", content_type="nonsense"), 415, None),
    ],
)
def test_what_is_refused_by_the_steps_of_section_6(
    request_: Request, status: int, row: tuple[str, str] | None
) -> None:
    esc = compositor()
    answer = esc.receive(request_, 0.0)
    assert answer.status == status
    assert row is None or row in answer.rows
    assert len(esc) == 0
    assert esc.take_changed() == []


def test_an_entity_tag_is_good_once_and_for_its_resource_and_package() -> None:
    esc = compositor()
    first = etag_of(esc.receive(publish(b"one"), 0.0))
    second = etag_of(esc.receive(publish(etag=first), 1.0))
    assert esc.receive(publish(etag=first), 2.0).status == 412
    assert esc.receive(publish(etag=second, event="other"), 2.0).status == 412
    assert esc.receive(publish(etag=second, uri="sip:bob@x"), 2.0).status == 412
    assert esc.receive(publish(etag=second), 2.0).status == 200


def test_several_publications_of_one_resource() -> None:
    # 4.1: an initial publication leaves the others alone
    esc = compositor()
    first = etag_of(esc.receive(publish(b"one"), 0.0))
    esc.receive(publish(b"two"), 0.0)
    assert bodies(esc) == [b"one", b"two"]
    esc.receive(publish(etag=first, expires="0"), 1.0)
    assert bodies(esc) == [b"two"]


def test_what_expires_is_removed() -> None:
    esc = compositor()
    esc.receive(publish(b"one", expires="100"), 0.0)
    second = etag_of(esc.receive(publish(b"two", expires="200"), 0.0))
    esc.take_changed()
    assert esc.on_timeout(100.0) == [Changed(RESOURCE, "presence")]
    assert bodies(esc) == [b"two"]
    assert esc.on_timeout(150.0) == []
    assert esc.on_timeout(200.0) == [Changed(RESOURCE, "presence")]
    assert esc.receive(publish(etag=second), 201.0).status == 412
    assert len(esc) == 0


def test_the_lifetime_is_lowered_and_never_extended() -> None:
    esc = compositor()
    assert dict(esc.receive(publish(b"x", expires="99999"), 0.0).rows)["Expires"] == "3600"
    assert dict(esc.receive(publish(b"x"), 0.0).rows)["Expires"] == "3600"
    assert dict(esc.receive(publish(b"x", expires="60"), 0.0).rows)["Expires"] == "60"


def test_a_state_that_lasts_for_nothing_is_not_stored() -> None:
    esc = compositor()
    assert esc.receive(publish(b"x", expires="0"), 0.0).status == 200
    assert len(esc) == 0


def test_it_is_full() -> None:
    esc = compositor(limit=1)
    first = etag_of(esc.receive(publish(b"one"), 0.0))
    full = esc.receive(publish(b"two"), 0.0)
    assert full.status == 503
    assert ("Retry-After", "60") in full.rows
    assert esc.receive(publish(b"two", etag=first), 0.0).status == 200


class Publications(RuleBasedStateMachine):
    """Against a plain model: what is published is what was published and has not expired."""

    def __init__(self) -> None:
        super().__init__()
        self.esc = compositor(limit=5)
        self.model: dict[str, tuple[bytes, float]] = {}
        self.seen: set[str] = set()
        self.now = 0.0

    @rule(body=st.binary(min_size=1, max_size=4), expires=st.sampled_from([60, 100, 3600]))
    def initial(self, body: bytes, expires: int) -> None:
        answer = self.esc.receive(publish(body, expires=str(expires)), self.now)
        if len(self.model) >= 5:
            assert answer.status == 503
        else:
            self.take(answer, body, expires)

    @rule(data=st.data(), expires=st.sampled_from([60, 100]), body=st.binary(max_size=4))
    def again(self, data: st.DataObject, expires: int, body: bytes) -> None:
        if not self.model:
            return
        etag = data.draw(st.sampled_from(sorted(self.model)))
        answer = self.esc.receive(publish(body, etag=etag, expires=str(expires)), self.now)
        old, _ = self.model.pop(etag)
        self.take(answer, body or old, expires)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if not self.model:
            return
        etag = data.draw(st.sampled_from(sorted(self.model)))
        assert self.esc.receive(publish(etag=etag, expires="0"), self.now).status == 200
        del self.model[etag]
        assert self.esc.receive(publish(etag=etag, expires="60"), self.now).status == 412

    @rule(seconds=st.integers(1, 200))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.esc.on_timeout(self.now)
        self.model = {e: kept for e, kept in self.model.items() if kept[1] > self.now}

    def take(self, answer: Answer, body: bytes, expires: int) -> None:
        etag = etag_of(answer)
        assert etag not in self.seen
        self.seen.add(etag)
        self.model[etag] = (body, self.now + expires)

    @invariant()
    def the_same(self) -> None:
        found = {
            p.etag: (p.body, p.expires_at) for p in self.esc.publications(RESOURCE, "presence")
        }
        assert found == self.model
        assert len(self.esc) == len(self.model)
        due = min((at for _, at in self.model.values()), default=None)
        assert self.esc.next_timeout() == due


TestPublications = Publications.TestCase
TestPublications.settings = hypothesis_settings(max_examples=40, stateful_step_count=30)


# The agent


def publishing(expires: int = 3600) -> tuple[Network, Compositor, Publisher]:
    """Alice publishes at Bob's place, who has a compositor."""
    methods = (*Capabilities().methods, "PUBLISH")
    network = Network("alice")
    network.add("bob", capabilities=Capabilities(methods=methods))
    esc = compositor()
    bob = network.ends["bob"]

    def arrived(event: RequestArrived) -> None:
        answer = esc.receive(event.request, network.now)
        bob.ua.respond(
            event.transaction, event.request, answer.status, network.now, headers=answer.rows
        )

    bob.on(RequestArrived, arrived)
    publisher = network.ends["alice"].ua.publish(
        network.uri("bob"),
        "sip:alice@example.org",
        "presence",
        0.0,
        content_type=PIDF,
        body=b"one",
        expires=expires,
    )
    return network, esc, publisher


def stored(network: Network, esc: Compositor) -> list[bytes]:
    return [p.body for p in esc.publications(network.uri("bob"), "presence")]


def test_publish_refresh_modify_and_remove() -> None:
    network, esc, publisher = publishing(expires=200)
    network.run(1.0)
    assert stored(network, esc) == [b"one"]
    assert publisher.etag == "e1"
    network.run(300.0)
    esc.on_timeout(network.now)
    assert stored(network, esc) == [b"one"]
    second = network.messages("alice", "PUBLISH")[1]
    assert second.body == b""
    assert second.headers.get("sip-if-match") == "e1"
    publisher.publish(network.now, PIDF, b"two")
    network.run(301.0)
    assert stored(network, esc) == [b"two"]
    publisher.remove(network.now)
    network.run()
    assert stored(network, esc) == []
    assert network.ends["alice"].of(PublishFailed) == []
    assert "sip-if-match" in network.messages("alice", "PUBLISH")[-1].headers
    network.assert_forgotten()


def test_states_that_follow_at_once_are_published_as_one() -> None:
    # section 4: one PUBLISH at a time
    network, esc, publisher = publishing()
    for state in (b"two", b"three"):
        publisher.publish(0.0, PIDF, state)
    network.run(1.0)
    assert [m.body for m in network.messages("alice", "PUBLISH")] == [b"one", b"three"]
    assert stored(network, esc) == [b"three"]


def test_what_was_forgotten_is_published_anew() -> None:
    # section 5: 412
    network, esc, _ = publishing(expires=200)
    network.run(1.0)
    esc.on_timeout(1000.0)
    assert stored(network, esc) == []
    network.run(200.0)
    assert stored(network, esc) == [b"one"]
    assert [s.what for s in network.sent if s.sender == "bob"] == [
        "200 PUBLISH",
        "412 PUBLISH",
        "200 PUBLISH",
    ]


def test_too_brief() -> None:
    network, esc, publisher = publishing(expires=10)
    network.run(1.0)
    assert publisher.expires == 60
    assert stored(network, esc) == [b"one"]
    assert len(network.ends["alice"].of(Published)) == 1


def test_nobody_answers() -> None:
    network, _, publisher = publishing()
    network.lose = lambda sent: True
    network.run()
    failed = network.ends["alice"].one(PublishFailed)
    assert (failed.publisher, failed.response.status) == (publisher, 408)
    network.assert_forgotten()


def test_one_loss_does_not_matter() -> None:
    for lost in ("PUBLISH", "200 PUBLISH"):
        network, esc, _ = publishing()
        network.lose = lose_first(lost)
        network.run(5.0)
        assert stored(network, esc) == [b"one"]
        assert len(network.ends["alice"].of(Published)) == 1


def test_removing_while_it_is_published() -> None:
    network, esc, publisher = publishing()
    publisher.remove(0.0)
    network.run()
    assert stored(network, esc) == []
    network.assert_forgotten()


def test_a_compositor_that_never_knows_the_tag_ends_it() -> None:
    network, _, _ = publishing()
    bob = network.ends["bob"]
    bob.on(
        RequestArrived,
        lambda event: bob.ua.respond(event.transaction, event.request, 412, network.now),
    )
    network.run()
    assert network.ends["alice"].one(PublishFailed).response.status == 412


def test_a_compositor_that_keeps_nothing_is_left_alone() -> None:
    network, _, publisher = publishing()
    network.refuse("bob", "PUBLISH", 200, ("SIP-ETag", "x"), ("Expires", "0"))
    network.run(10.0)
    assert len(network.times("alice", "PUBLISH")) == 1
    assert publisher.etag is None
    assert len(network.ends["alice"].of(Published)) == 1


@pytest.mark.parametrize(("headers", "second"), [((("Retry-After", "5"),), 3573.0), ((), 3584.0)])
def test_a_refresh_that_is_refused_is_tried_again(
    headers: tuple[tuple[str, str], ...], second: float
) -> None:
    network, esc, _ = publishing()
    network.run(1.0)
    network.refuse("bob", "PUBLISH", 500, *headers, times=1)
    network.run(3590.0)
    assert network.times("alice", "PUBLISH")[1:] == pytest.approx([3568.0, second], abs=0.1)
    assert stored(network, esc) == [b"one"]
    assert len(network.ends["alice"].of(PublishFailed)) == 1


def test_a_refresh_that_is_always_refused_ends_with_the_publication() -> None:
    network, _, publisher = publishing()
    network.run(1.0)
    network.refuse("bob", "PUBLISH", 500)
    network.run()
    assert 3600 <= network.now < 3700
    assert publisher.etag is None
    network.assert_forgotten()


def test_removing_what_was_forgotten_is_told() -> None:
    network, esc, publisher = publishing()
    network.run(1.0)
    esc.on_timeout(1e6)
    publisher.remove(network.now)
    network.run()
    assert network.ends["alice"].of(Published)[-1].response.status == 412
    assert publisher.etag is None
    network.assert_forgotten()
