"""What is wrong with a description, an answer or a revision is found and named by its clause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from tests.sip.sdp.bodies import BENCH, EXAMPLE, bodies, body

from trunkline.sip import sdp
from trunkline.sip.sdp import SessionDescription
from trunkline.sip.sdp.fields import Direction
from trunkline.sip.sdp.validity import (
    answer_deviations,
    deviations,
    revision_deviations,
    unknown_types,
)

GOOD = (
    *("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "a=x"),
    *("m=audio 1 RTP/AVP 0", "i=x", "b=AS:64", "a=y"),
)


def clauses(*lines: str) -> list[str]:
    return [
        deviation.clause.removeprefix("RFC 8866 ")
        for deviation in deviations(sdp.parse(body(*lines)))
    ]


def without(prefix: str) -> list[str]:
    return [line for line in GOOD if not line.startswith(prefix)]


def test_good_descriptions_have_no_deviation() -> None:
    assert clauses(*GOOD) == []
    assert deviations(sdp.parse(EXAMPLE)) == []
    assert deviations(sdp.parse(BENCH)) == []
    repeated = ("t=1 2", "r=1 2 3", "z=1 2", "t=0 0")
    assert clauses(*GOOD[:4], *repeated, *GOOD[5:]) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([*GOOD, "x=1"], ["5"]),
        ([*GOOD, "t=0 0"], ["5"]),
        ([*GOOD, "i=late"], ["5", "5"]),  # behind a=, and the second one
        ([*GOOD[:5], "s=again", *GOOD[5:]], ["5", "5"]),
        ([GOOD[0], GOOD[2], GOOD[1], *GOOD[3:]], ["5"]),
        (without("s="), ["5.3"]),
        ([*GOOD[:2], "s=", *GOOD[3:]], ["5.3"]),
        (without("c="), ["5.7"]),
        (without("t="), ["5.9"]),
        ([*GOOD[:5], "k=prompt", *GOOD[5:]], ["5.12"]),
        ([*GOOD, "a=sendonly", "a=recvonly"], ["6.7"]),
        ([*GOOD, "m=audio 1 RTP/AVP 96"], ["6.6"]),
        ([*GOOD, "m=image 0 udptl"], ["9"]),
        ([*GOOD, "", "a=z"], ["9"]),
    ],
)
def test_each_deviation_is_found(lines: list[str], expected: list[str]) -> None:
    assert clauses(*lines) == expected


@given(bodies())
def test_deviations_are_found_in_anything_that_parses(octets: bytes) -> None:
    description = sdp.parse(octets)
    found = deviations(description)
    assert all(deviation.text and deviation.clause.startswith("RFC 8866 ") for deviation in found)
    assert answer_deviations(description, description) is not None
    assert revision_deviations(description, description) == []
    assert bool(unknown_types(description)) <= bool(found)


def changed(edit: Callable[[SessionDescription], object]) -> SessionDescription:
    description = sdp.parse(BENCH)
    edit(description)
    return description


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda d: d.add_media("audio", 1, formats=("0",)), ["6"]),
        (lambda d: d.remove_media(d.media[0]), ["6"]),
        (lambda d: d._put("t=1 2", lambda line: line == "t=0 0"), ["6"]),
        (lambda d: d.media[0].keep_codecs("PCMA"), []),
        (lambda d: d.media[0].reject(), []),
        (lambda d: d.hold(), []),
    ],
)
def test_what_is_wrong_with_an_answer(
    edit: Callable[[SessionDescription], object], expected: list[str]
) -> None:
    found = answer_deviations(sdp.parse(BENCH), changed(edit))
    assert [deviation.clause.removeprefix("RFC 3264 ") for deviation in found] == expected


def test_what_is_wrong_with_the_streams_of_an_answer() -> None:
    def found(offer: str, answer: str, *lines: str) -> list[str]:
        head = GOOD[:5]
        pair = (sdp.parse(body(*head, *part.split("\n"))) for part in (offer, answer))
        return [
            deviation.clause.removeprefix("RFC 3264 ") for deviation in answer_deviations(*pair)
        ]

    assert found("m=audio 1 RTP/AVP 0", "m=video 1 RTP/AVP 0") == ["6.1"]
    assert found("m=audio 1 RTP/AVP 0", "m=audio 1 RTP/SAVP 0") == ["6.1"]
    assert found("m=audio 1 RTP/AVP 0", "m=audio 1 RTP/AVP 8") == ["6.1"]
    assert found("m=image 1 udptl a", "m=image 1 udptl b") == ["6.1"]
    assert found("m=image 1 udptl a", "m=image 1 udptl a b") == []
    assert found("m=audio 0 RTP/AVP 0", "m=audio 1 RTP/AVP 0") == ["8.2"]
    assert found("m=audio 1 RTP/AVP 0\na=sendonly", "m=audio 1 RTP/AVP 0") == ["6.1"]
    assert found("m=audio 1 RTP/AVP 0\na=recvonly", "m=audio 1 RTP/AVP 0\na=recvonly") == ["6.1"]


def test_what_is_wrong_with_a_revision() -> None:
    def found(*edits: Callable[[SessionDescription], object]) -> list[str]:
        after = sdp.parse(BENCH)
        for edit in edits:
            edit(after)
        found_now = revision_deviations(sdp.parse(BENCH), after)
        return [deviation.clause.removeprefix("RFC 3264 ") for deviation in found_now]

    def bump(description: SessionDescription) -> None:
        description.bump_version()

    assert found(bump) == []
    assert found(lambda d: d.attributes.add("x")) == ["8"]
    assert found(bump, bump) == ["8"]
    assert found(bump, lambda d: setattr(d, "origin", replace(d.origin, username="x"))) == ["8"]
    assert found(bump, lambda d: d.remove_media(d.media[0])) == ["8"]

    def remapped(description: SessionDescription) -> None:
        description.bump_version()
        description.media[0].attributes.remove("rtpmap", "101 telephone-event/8000")
        description.media[0].attributes.add("rtpmap", "101 opus/48000/2")

    assert found(remapped) == ["8.3.2"]
    # Where nothing tells what it is now, or the stream is another one, it has not changed.
    assert found(bump, lambda d: d.media[0].attributes.remove("rtpmap")) == []
    rejected = sdp.parse(BENCH)
    rejected.media[0].reject()
    after = changed(remapped)
    assert [deviation.clause for deviation in revision_deviations(rejected, after)] == []
    assert after.media[0].direction is Direction.SENDRECV
