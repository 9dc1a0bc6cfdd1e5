"""What ends is freed by counting references alone: the collector is off."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from weakref import ref

import pytest
from tests.sip.proxy.rig import Rig, follow, request, target

from trunkline.sip.message import Response
from trunkline.sip.proxy import Branch, ResponseContext
from trunkline.sip.transaction import ClientTransaction, ServerTransaction

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="other runtimes do not count references"
)

KINDS = (Branch, ResponseContext, ClientTransaction, ServerTransaction)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> list[object]:
    return [each for each in gc.get_objects() if type(each) in KINDS]


class Hooks:
    """Hooks that know their context, as a script's do until it has ended."""

    def __init__(self, context: ResponseContext) -> None:
        self.context: ResponseContext | None = context

    def on_branch(self, *_: object) -> None:
        pass

    def on_reply(self, *_: object) -> bool:
        return False

    def on_failure(self, *_: object) -> bool:
        return False

    def on_end(self, context: ResponseContext, response: Response | None) -> None:
        self.context = None


def answered(rig: Rig, context: ResponseContext) -> None:
    a, b = rig.fork(context, [target("a"), target("b")], [target("c")])
    rig.answer(a, 180)
    rig.answer(b, 180)
    rig.answer(a, 200)
    rig.answer(b, 487)
    rig.answer(a, 200)


def failed(rig: Rig, context: ResponseContext) -> None:
    [a] = rig.fork(context, [target("ab")], [target("c")])
    [b] = rig.fail(a)
    c = rig.answer(b, 302)[-1]
    rig.answer(c, 603)
    rig.receive(follow(request(), "ACK"))


def silent(rig: Rig, context: ResponseContext) -> None:
    rig.fork(context, [target("ab"), target("c")])


def cancelled(rig: Rig, context: ResponseContext) -> None:
    a, _ = rig.fork(context, [target("a"), target("b")])
    rig.answer(a, 180)
    rig.receive(follow(request(), "CANCEL"))
    rig.answer(a, 487)


def cancelled_at_once(rig: Rig, context: ResponseContext) -> None:
    rig.receive(follow(request(), "CANCEL"))
    rig.fork(context, [target("a")])


def dropped(rig: Rig, context: ResponseContext) -> None:
    context.drop(rig.now)


def dropped_on_its_way(rig: Rig, context: ResponseContext) -> None:
    [a] = rig.fork(context, [target("a")])
    rig.answer(a, 180)
    context.drop(rig.now)


def replied(rig: Rig, context: ResponseContext) -> None:
    context.reply(404, now=rig.now)


def replied_on_its_way(rig: Rig, context: ResponseContext) -> None:
    rig.fork(context, [target("a"), target("b")])
    context.reply(404, now=rig.now)


def rings_for_long(rig: Rig, context: ResponseContext) -> None:
    [a] = rig.fork(context, [target("a")])
    for _ in range(5):
        rig.answer(a, 180)
        rig.advance(100)


STORIES = [
    answered,
    failed,
    silent,
    cancelled,
    cancelled_at_once,
    dropped,
    dropped_on_its_way,
    replied,
    replied_on_its_way,
    rings_for_long,
]


# Only an INVITE is cancelled.
TOLD = [(story, "INVITE") for story in STORIES] + [
    (story, "MESSAGE") for story in STORIES if "cancel" not in story.__name__
]


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize(("story", "method"), TOLD)
def test_nothing_is_left_of(
    story: Callable[[Rig, ResponseContext], None], method: str, hooked: bool
) -> None:
    rig = Rig()
    before = len(alive())
    context = rig.context(request(method))
    gone = ref(context.transaction) if hasattr(context.transaction, "__weakref__") else None
    if hooked:
        context.hooks = Hooks(context)
    story(rig, context)
    del context
    rig.advance(500)
    rig.log.clear()
    assert len(alive()) - before == 0
    assert gone is None or gone() is None
    rig.assert_forgotten()


def test_an_answered_call_keeps_little_while_2xx_may_come_again() -> None:
    gc.collect()  # what other tests have left
    rig = Rig()
    context = rig.context()
    [a] = rig.fork(context, [target("a")])
    rig.answer(a, 200)
    assert context.branches == []
    assert context.request.headers.rows == ["Content-Length: 0"]
    assert len(rig.layer.clients) == len(rig.layer.servers) == 1
    del context
    rig.log.clear()
    rig.proxy.next_timeout()  # looks for timers that mean something: timer C means nothing now
    assert not [each for each in alive() if isinstance(each, Branch | ResponseContext)]


def test_a_refused_request_keeps_nothing_but_its_transaction() -> None:
    rig = Rig()
    before = alive()
    assert rig.receive(request(headers=[("Max-Forwards", "0")])) is None
    new = [type(each) for each in alive() if each not in before]
    assert new == [ServerTransaction]
