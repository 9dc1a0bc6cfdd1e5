"""A peer that says anything at any time, and a level 3 that does: bounds and streams hold."""

from __future__ import annotations

import random

import pytest

from trunkline.ss7.m2pa import Link, LinkStatus, Settings, Status, UserData, parse

MASK = 0xFFFFFF
LIMIT = 50
SMALL = Settings(
    retransmit_limit=LIMIT,
    transmit_limit=LIMIT,
    receive_limit=LIMIT,
    congestion_onset=(10, 20),
    congestion_abatement=(5, 15),
)
STREAM_1 = {Status.PROCESSOR_OUTAGE, Status.PROCESSOR_RECOVERED, Status.READY}
STREAM_0 = set(Status) - {Status.PROCESSOR_OUTAGE, Status.PROCESSOR_RECOVERED}
PRIMITIVES = (
    *("start", "start", "stop", "processor_outage", "processor_recovered"),
    *("busy", "busy_ended", "communication_up", "communication_lost"),
)


def hostile_message(link: Link, chance: random.Random) -> bytes:
    """Any status, or User Data, with numbers that fit, nearly fit, or do not."""
    bsn = chance.choice((MASK, 0, link.fsn, link.fsn, link.fsn + 1 & MASK, link.fsn - 3 & MASK))
    fsn = chance.choice((MASK, 0, 1, link.retrieve_bsnt() + 1 & MASK, chance.randrange(MASK)))
    if chance.random() < 0.4:
        return LinkStatus(bsn, fsn, chance.choice(list(Status))).to_bytes()
    return UserData(bsn, fsn, msu=bytes(chance.choice((0, 2, 5)))).to_bytes()


@pytest.mark.parametrize("seed", range(150))
def test_bounds_and_streams(seed: int) -> None:
    chance = random.Random(seed)
    link = Link(SMALL)
    link.communication_up(0.0)
    now = 0.0
    for _ in range(300):
        now += chance.choice((0.0, 0.0, 0.01, 0.3, 1.0, 6.0))
        match chance.randrange(5):
            case 0 | 1:
                batch = [
                    (chance.randrange(3), hostile_message(link, chance))
                    for _ in range(chance.randrange(8))
                ]
                link.receive(batch, now)
            case 2:
                link.send([b"\x85message"] * chance.randrange(2 * LIMIT), now)
            case 3:
                getattr(link, chance.choice(PRIMITIVES))(now)
            case _:
                link.on_timeout(now)
        for stream, payload in link.data_to_send():
            message = parse(payload)
            if isinstance(message, UserData):
                assert stream == 1
            else:
                assert message.state in (STREAM_1 if stream else STREAM_0)
        assert link.unacknowledged <= LIMIT
        assert link.waiting <= 2 * LIMIT  # the window's room counts as sent
        assert link.held <= LIMIT
        assert link.data_to_send() == []
