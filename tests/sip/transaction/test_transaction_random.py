"""Random networks and users: what two layers back to back promise whatever is lost or repeated."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from tests.sip.transaction.ends import DELAY, Ends, Sent

from trunkline.sip.transaction import ResponseReceived, TimedOut
from trunkline.sip.transport import Transport

# For each message its copies' delays; after the list every message arrives
FATES = st.lists(
    st.lists(st.sampled_from([0.0, DELAY, 0.25, 0.75, 3.0, 6.0]), max_size=3), max_size=30
)


def sixteenths(number: int) -> float:
    """Times that are exact, so that their order is."""
    return number / 16


AFTER = st.integers(0, 20 * 16).map(sixteenths)
PROVISIONAL = st.lists(st.tuples(AFTER, st.sampled_from([100, 180, 183, 199])), max_size=4)
FINAL = st.tuples(AFTER, st.sampled_from([200, 302, 404, 486, 503, 603]))


def _once(statuses: list[int]) -> list[int]:
    return [status for status, _ in itertools.groupby(statuses)]


def _after(answer: tuple[float, int]) -> float:
    return answer[0]


class Scripted:
    """Takes the fates in the order in which messages leave."""

    def __init__(self, fates: list[list[float]]) -> None:
        self.fates = list(fates)

    def __call__(self, sent: Sent, number: int) -> Iterable[float]:
        return self.fates.pop(0) if self.fates else (DELAY,)


@given(FATES, PROVISIONAL, FINAL, st.sampled_from(["INVITE", "OPTIONS", "BYE"]))
def test_by_udp_the_user_is_told_one_end(
    fates: list[list[float]],
    provisional: list[tuple[float, int]],
    final: tuple[float, int],
    method: str,
) -> None:
    ends = Ends(fate=Scripted(fates), answers=[*provisional, final])
    client = ends.request(method)
    ends.run()
    statuses = ends.statuses()
    finals = [status for status in statuses if status >= 200]
    timeouts = ends.events("near", TimedOut)
    if method == "INVITE" and final[1] < 300:
        # Each 2xx that arrives, repeated by the network or not, and no 1xx behind the first
        assert len(finals) == (0 if timeouts else ends.arrived.count("200"))
        assert statuses[len(statuses) - len(finals) :] == finals
    else:
        # Exactly one end: a final response, or a timeout
        assert len(finals) <= 1
        if statuses and method == "INVITE" and not finals:
            assert not timeouts  # after a 1xx only a user's Timer C would end it
        else:
            assert len(finals) + len(timeouts) == 1
    assert not (finals and timeouts)
    ended = [t.time for t in ends.told if t.end == "near" and isinstance(t.event, ResponseReceived)]
    assert ended == sorted(ended)
    if not (method == "INVITE" and statuses and not finals and not timeouts):
        assert client.terminated
        for server in ends.servers:
            ends.far.abort(server, ends.now)
        ends.run(until=5000.0)
        ends.assert_forgotten()


@given(PROVISIONAL, FINAL, st.sampled_from(["INVITE", "OPTIONS"]), st.sampled_from(Transport))
def test_by_a_good_network_every_call_comes_through(
    provisional: list[tuple[float, int]],
    final: tuple[float, int],
    method: str,
    transport: Transport,
) -> None:
    ends = Ends(transport, answers=[*provisional, final])
    client = ends.request(method)
    ends.run()
    statuses = ends.statuses()
    assert statuses.count(final[1]) == 1
    assert statuses[-1] == final[1]
    if method == "INVITE":
        early = [status for after, status in sorted(provisional, key=_after) if after < final[0]]
        # by UDP, an INVITE that crosses the first 1xx has that repeated
        assert _once([s for s in statuses if s < 200])[: len(_once(early))] == _once(early)
        acks = ends.times("near", "ACK")
        assert len(acks) == (0 if final[1] < 300 else len(ends.times("far", str(final[1]))))
    else:
        assert [s for s in statuses if s < 200] in ([], [100]) or transport is Transport.UDP
    assert client.terminated
    assert len(ends.servers) == 1
    ends.assert_forgotten()


@given(
    FATES,
    st.integers(0, 40 * 16).map(sixteenths),
    st.lists(st.tuples(AFTER, st.sampled_from([100, 180])), max_size=2),
    st.sampled_from([Transport.UDP, Transport.TCP]),
)
def test_a_cancelled_invite_ends(
    fates: list[list[float]],
    when: float,
    provisional: list[tuple[float, int]],
    transport: Transport,
) -> None:
    fate = Scripted(fates if transport is Transport.UDP else [])
    ends = Ends(transport, fate=fate, answers=provisional)
    client = ends.request("INVITE")
    ends.at(when, lambda: ends.near.cancel(client, ends.now))
    ends.run()
    statuses = ends.statuses()
    if client.cancelled and any(status < 200 for status in statuses):
        # 487, or nothing for 64*T1 (section 9.1)
        assert statuses[-1] == 487 or ends.events("near", TimedOut)
        assert client.terminated
    first = ends.times("near", "CANCEL")
    if first:
        arrived = min(t.time for t in ends.told if isinstance(t.event, ResponseReceived))
        assert first[0] >= arrived  # never before a 1xx
        assert first[0] >= when
