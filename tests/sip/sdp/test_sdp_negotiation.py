"""Answers and offers: the examples of RFC 3264, its rules for any offer, and the codecs' own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sip.sdp.bodies import BENCH, bodies, body

from trunkline.errors import TrunklineError
from trunkline.sip import sdp
from trunkline.sip.sdp import Codec, Connection, Direction, Origin, SessionDescription
from trunkline.sip.sdp.negotiation import (
    Capabilities,
    Capability,
    answer,
    offer,
    revised,
    streams,
)
from trunkline.sip.sdp.parameters import AUXILIARY, agreed
from trunkline.sip.sdp.validity import answer_deviations, deviations, revision_deviations

PCMU, PCMA = Codec(0, "PCMU"), Codec(8, "PCMA")
EVENTS = Codec(101, "telephone-event", fmtp="0-15")
OPUS = Codec(96, "opus", 48000, 2)
CONNECTION = Connection("192.0.2.99")
BOB = Origin("bob", "2890844730", 2890844730, "host.example.com")


def able(*capabilities: Capability, origin: Origin = BOB) -> Capabilities:
    return Capabilities(origin, CONNECTION, capabilities)


def offered(*lines: str, times: str = "t=0 0") -> SessionDescription:
    head = ("v=0", "o=alice 2890844526 2890844526 IN IP4 host.anywhere.com", "s=-")
    return sdp.parse(body(*head, "c=IN IP4 192.0.2.1", times, *lines))


def session_of(description: SessionDescription) -> list[str]:
    """The lines from the first stream on."""
    lines = description.lines()
    return lines[[line[:2] for line in lines].index("m=") :]


AUDIO = able(Capability("audio", 5000, (PCMU, PCMA, EVENTS)))


# The examples of RFC 3264 section 10


def test_the_basic_exchange_of_section_10_1() -> None:
    offer_1 = offered(
        *("m=audio 49170 RTP/AVP 0", "a=rtpmap:0 PCMU/8000"),
        *("m=video 51372 RTP/AVP 31", "a=rtpmap:31 H261/90000"),
        *("m=video 53000 RTP/AVP 32", "a=rtpmap:32 MPV/90000"),
    )
    video = Capability("video", 53000, (Codec(32, "MPV", 90000),))
    first = answer(offer_1, able(Capability("audio", 49920, (PCMU,)), video))
    assert first.origin == BOB
    assert session_of(first) == [
        *("m=audio 49920 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "m=video 0 RTP/AVP 31"),
        *("m=video 53000 RTP/AVP 32", "a=rtpmap:32 MPV/90000"),
    ]
    # Bob changes the port of the audio stream and adds a stream to receive events on.
    events = Codec(110, "telephone-events")
    more = able(
        *(Capability("audio", 65422, (PCMU,)), video),
        Capability("audio", 51434, (events,), direction=Direction.RECVONLY),
    )
    second = offer(more, first)
    assert second.origin == replace(BOB, session_version=2890844731)
    assert session_of(second) == [
        *("m=audio 65422 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "m=video 0 RTP/AVP 31"),
        *("m=video 53000 RTP/AVP 32", "a=rtpmap:32 MPV/90000"),
        *("m=audio 51434 RTP/AVP 110", "a=rtpmap:110 telephone-events/8000", "a=recvonly"),
    ]
    assert revision_deviations(first, second) == []
    # Alice accepts it.
    alice = able(
        *(Capability("audio", 49170, (PCMU,)), replace(video, port=53000)),
        Capability("audio", 53122, (events,)),
        origin=offer_1.origin,
    )
    last = answer(second, alice, offer_1)
    assert last.origin == replace(offer_1.origin, session_version=2890844527)
    assert session_of(last) == [
        *("m=audio 49170 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "m=video 0 RTP/AVP 31"),
        *("m=video 53000 RTP/AVP 32", "a=rtpmap:32 MPV/90000"),
        *("m=audio 53122 RTP/AVP 110", "a=rtpmap:110 telephone-events/8000", "a=sendonly"),
    ]


def test_one_of_n_codecs_of_section_10_2() -> None:
    offer_1 = offered(
        *("m=audio 62986 RTP/AVP 0 4 18", "a=rtpmap:0 PCMU/8000", "a=rtpmap:4 G723/8000"),
        *("a=rtpmap:18 G729/8000", "a=inactive"),
    )
    bob = able(Capability("audio", 54344, (Codec(4, "G723"), PCMU)))
    first = answer(offer_1, bob)
    assert session_of(first) == [
        *("m=audio 54344 RTP/AVP 0 4", "a=rtpmap:0 PCMU/8000", "a=rtpmap:4 G723/8000"),
        "a=inactive",
    ]
    locked = offer_1.copy()
    locked.media[0].keep_codecs("G723")
    locked.media[0].direction = Direction.SENDRECV
    locked = revised(offer_1, locked)
    assert locked.origin.session_version == 2890844527
    second = answer(locked, bob, first)
    assert second.origin.session_version == BOB.session_version + 1
    assert session_of(second) == ["m=audio 54344 RTP/AVP 4", "a=rtpmap:4 G723/8000"]


# Directions and hold


@pytest.mark.parametrize(
    ("offered_as", "willing", "expected"),
    [
        ("sendrecv", "sendrecv", "sendrecv"),
        ("sendrecv", "recvonly", "recvonly"),
        ("sendrecv", "inactive", "inactive"),
        ("sendonly", "sendrecv", "recvonly"),
        ("sendonly", "sendonly", "inactive"),
        ("recvonly", "sendrecv", "sendonly"),
        ("recvonly", "recvonly", "inactive"),
        ("inactive", "sendrecv", "inactive"),
    ],
)
def test_the_answers_direction_mirrors_the_offers(
    offered_as: str, willing: str, expected: str
) -> None:
    description = offered("m=audio 1 RTP/AVP 0", f"a={offered_as}")
    capability = Capability("audio", 5000, (PCMU,), direction=Direction(willing))
    answered = answer(description, able(capability))
    assert answered.media[0].direction is Direction(expected)
    assert answer_deviations(description, answered) == []


def test_a_call_is_held_and_resumed() -> None:
    first = offer(able(Capability("audio", 4000, (PCMU,))))
    answered = answer(first, AUDIO)
    held = first.copy()
    held.hold()
    held = revised(first, held)
    second = answer(held, AUDIO, answered)
    # "SHOULD NOT automatically return an answer with the corresponding stream on hold" (8.4).
    assert second.media[0].direction is Direction.RECVONLY
    assert not second.held
    [local] = streams(held, second)
    [remote] = streams(second, held)
    assert local is not None
    assert remote is not None
    assert (local.direction, remote.direction) == (Direction.SENDONLY, Direction.RECVONLY)
    resumed = held.copy()
    resumed.resume()
    third = answer(revised(held, resumed), AUDIO, second)
    assert third.media[0].direction is Direction.SENDRECV
    versions = [d.origin.session_version - BOB.session_version for d in (answered, second, third)]
    assert versions == [0, 1, 2]


def test_nothing_is_sent_to_0_0_0_0() -> None:
    held = offered("m=audio 1 RTP/AVP 0", "c=IN IP4 0.0.0.0")
    answered = answer(held, AUDIO)
    assert answered.media[0].direction is Direction.RECVONLY
    [stream] = streams(answered, held)
    assert stream is not None
    assert not stream.direction.sends


# Streams


def test_streams_that_do_not_fit_are_rejected_in_their_place() -> None:
    description = offered(
        *("m=video 1 RTP/AVP 31", "m=audio 0 RTP/AVP 0", "m=audio 1 RTP/AVP 18 3"),
        *("m=audio 1 RTP/SAVP 0", "m=audio 1 RTP/AVP 0", "c=IN IP4 233.252.0.1/127"),
        *("m=audio 1 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", "m=audio 1 RTP/AVP 0"),
        "m=image 1 udptl",
    )
    answered = answer(description, AUDIO)
    assert session_of(answered) == [
        *("m=video 0 RTP/AVP 31", "m=audio 0 RTP/AVP 0", "m=audio 0 RTP/AVP 18"),
        *("m=audio 0 RTP/SAVP 0", "m=audio 0 RTP/AVP 0", "m=audio 5000 RTP/AVP 0 101"),
        *("a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"),
        *("m=audio 0 RTP/AVP 0", "m=image 0 udptl 0"),
    ]
    assert not answered.is_rejected
    assert answer_deviations(description, answered) == []


def test_an_offer_that_nothing_fits_gives_an_answer_that_is_rejected() -> None:
    assert answer(offered("m=video 1 RTP/AVP 31"), AUDIO).is_rejected
    # No stream is no refusal: they may come later (section 5).
    empty = answer(offered(), AUDIO)
    assert empty.media == ()
    assert not empty.is_rejected


def test_streams_that_are_not_rtp_agree_on_formats() -> None:
    fax = able(Capability("image", 6000, formats=("t38", "x"), protocol="udptl"))
    answered = answer(offered("m=image 1 udptl y t38", "m=image 1 UDPTL t38"), fax)
    assert session_of(answered) == ["m=image 6000 udptl t38", "m=image 0 UDPTL t38"]
    [stream, none] = streams(answered, offered("m=image 1 udptl y t38", "m=image 1 UDPTL t38"))
    assert stream is not None
    assert (stream.send, stream.port) == ((), 1)
    assert none is None


def test_the_times_are_the_offers() -> None:
    lines = ("t=3724394400 3754123200", "r=7d 1h 0 25h", "z=3730928400 -1h", "t=0 0")
    description = sdp.parse(body("v=0", "o=- 1 1 IN IP4 a", "s=-", *lines, "m=audio 1 RTP/AVP 0"))
    answered = answer(description, AUDIO)
    assert [line for line in answered.lines() if line[0] in "trz"] == list(lines)
    assert deviations(answered) == []
    # An offer without t= is wrong; the answer is not.
    bare = sdp.parse(body("v=0", "o=- 1 1 IN IP4 a", "m=audio 1 RTP/AVP 0"))
    assert answer(bare, AUDIO).line("t=") == "t=0 0"


def test_what_a_capability_says_is_written() -> None:
    capability = Capability(
        *(
            "audio",
            5000,
            (PCMU,),
            (),
            "RTP/SAVP",
            Direction.SENDRECV,
            Connection("2001:db8::1", "IP6"),
        ),
        ptime=30,
        attributes=(("crypto", "1 x"), ("rtcp-mux", "")),
    )
    expected = [
        *("m=audio 5000 RTP/SAVP 0", "c=IN IP6 2001:db8::1", "a=rtpmap:0 PCMU/8000", "a=ptime:30"),
        *("a=crypto:1 x", "a=rtcp-mux"),
    ]
    assert session_of(offer(able(capability))) == expected
    assert session_of(answer(offered("m=audio 1 RTP/SAVP 0"), able(capability))) == expected


def test_each_stream_of_a_kind_has_a_capability_of_its_own_and_keeps_it() -> None:
    two = able(Capability("audio", 5000, (PCMU,)), Capability("audio", 5002, (PCMU,)))
    first_offer = offered("m=audio 0 RTP/AVP 0", "m=audio 1 RTP/AVP 0", "m=audio 2 RTP/AVP 0")
    first = answer(first_offer, two)
    assert [media.port for media in first.media] == [0, 5000, 5002]
    # The second one goes, a new one comes in the first place (8.1).
    again = revised(
        first_offer,
        offered("m=audio 7 RTP/AVP 0", "m=audio 0 RTP/AVP 0", "m=audio 2 RTP/AVP 0"),
    )
    assert [media.port for media in answer(again, two, first).media] == [5000, 0, 5002]


def test_a_stream_may_become_another_kind() -> None:
    # RFC 3264 section 8.3.3, as for fax.
    both = able(
        Capability("audio", 5000, (PCMU,)),
        Capability("image", 5000, formats=("t38",), protocol="udptl"),
    )
    first = answer(offered("m=audio 1 RTP/AVP 0"), both)
    second = answer(offered("m=image 1 udptl t38"), both, first)
    assert session_of(second) == ["m=image 5000 udptl t38"]


def test_line_types_that_nobody_knows_are_refused() -> None:
    with pytest.raises(TrunklineError) as caught:
        answer(offered("m=audio 1 RTP/AVP 0", "x=1"), AUDIO)
    assert caught.value.code == "sdp.unknown-type"


# Codecs


def test_payload_types_and_order_are_the_offers() -> None:
    description = offered(
        *("m=audio 1 RTP/AVP 97 8 0 98", "a=rtpmap:97 OPUS/48000/2", "a=fmtp:97 useinbandfec=1"),
        "a=rtpmap:98 telephone-event/8000",
    )
    answered = answer(description, able(Capability("audio", 5000, (PCMU, PCMA, EVENTS, OPUS))))
    assert answered.media[0].codecs == (
        *(Codec(97, "OPUS", 48000, 2, "useinbandfec=1"), PCMA, PCMU),
        Codec(98, "telephone-event", fmtp="0-15"),
    )
    [caller] = streams(description, answered)
    [callee] = streams(answered, description)
    assert caller is not None
    assert callee is not None
    assert [codec.payload for codec in caller.send] == [97, 8, 0, 98]
    assert [codec.payload for codec in callee.receive] == [97, 8, 0, 98]


def test_a_codec_is_the_same_by_name_rate_and_channels() -> None:
    for rtpmap in ("97 opus/48000", "97 opus/48000/1", "97 opus/8000/2", "97 opux/48000/2"):
        description = offered("m=audio 1 RTP/AVP 97", f"a=rtpmap:{rtpmap}")
        assert answer(description, able(Capability("audio", 5000, (OPUS,)))).is_rejected
    # A dynamic payload type without rtpmap is nothing, whatever we call by that number.
    assert answer(
        offered("m=audio 1 RTP/AVP 96"), able(Capability("audio", 1, (OPUS,)))
    ).is_rejected


def test_events_alone_are_no_conversation() -> None:
    events = ("a=rtpmap:101 telephone-event/8000",)
    assert answer(offered("m=audio 1 RTP/AVP 18 13 101", *events), AUDIO).is_rejected
    # But where nothing else was offered, they are what is wanted.
    assert not answer(offered("m=audio 1 RTP/AVP 101", *events), AUDIO).is_rejected


def test_events_have_the_clock_of_a_codec_that_was_taken() -> None:
    # RFC 4733 section 2.1: the same timestamp base.
    description = offered(
        *("m=audio 1 RTP/AVP 96 0 100 101", "a=rtpmap:96 opus/48000/2"),
        *("a=rtpmap:100 telephone-event/48000", "a=rtpmap:101 telephone-event/8000"),
    )
    wide = replace(EVENTS, clock_rate=48000)
    narrow_only = able(Capability("audio", 5000, (PCMU, EVENTS, wide)))
    assert answer(description, narrow_only).media[0].formats == ("0", "101")
    both = able(Capability("audio", 5000, (OPUS, PCMU, EVENTS, wide)))
    assert answer(description, both).media[0].formats == ("96", "0", "100", "101")


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        # RFC 4867 section 8.3.1: the configuration has to be the same.
        (None, None, ""),
        ("octet-align=0; mode-change-capability=2; max-red=0", None, "octet-align=0"),
        ("octet-align=1", None, None),
        ("octet-align=1", "octet-align=1", "octet-align=1"),
        ("OCTET-ALIGN=1;crc=1", "octet-align=1", None),
        (None, "octet-align=1", None),
        # The mode set is returned, or the codec is not taken.
        ("mode-set=0,2,5", None, "mode-set=0,2,5"),
        ("mode-set=2, 0", "mode-set=0,2", "mode-set=2, 0"),
        ("mode-set=0,2", "mode-set=7", None),
        (None, "mode-set=7", "mode-set=7"),
        # A mode change period that one wants and the other can.
        ("mode-change-period=2", None, None),
        ("mode-change-period=2", "mode-change-capability=2", "mode-change-capability=2"),
        (None, "mode-change-period=2", None),
        ("mode-change-capability=2", "mode-change-period=2", "mode-change-period=2"),
        # "Any unknown parameter in an offer SHALL be removed in the answer."
        ("x=1; y", "max-red=0", "max-red=0"),
    ],
)
def test_the_parameters_of_amr(theirs: str | None, ours: str | None, expected: str | None) -> None:
    for name, rate in (("AMR", 8000), ("AMR-WB", 16000)):
        found = agreed(Codec(97, name, rate, 1, theirs), Codec(99, name.lower(), rate, 1, ours))
        if expected is None:
            assert found is None
        else:
            assert found == Codec(97, name, rate, 1, expected or None)


def test_other_parameters_are_ours_or_the_offers() -> None:
    h264 = Codec(97, "H264", 90000, 1, "packetization-mode=1")
    assert agreed(h264, replace(h264, payload=99, fmtp=None)) == h264
    assert agreed(h264, replace(h264, payload=99, fmtp="x=1")) == replace(h264, fmtp="x=1")
    # Events are what each end can receive.
    assert agreed(replace(EVENTS, fmtp="0-16,66"), EVENTS) == EVENTS
    assert agreed(replace(EVENTS, fmtp="0-16"), replace(EVENTS, fmtp=None)) == replace(
        EVENTS, fmtp=None
    )


# What both agreed on


def test_each_end_sends_with_the_payload_types_of_the_other() -> None:
    # Sections 6.1 and 7: an answer may have other numbers for the same codecs.
    ours = offered("m=audio 1 RTP/AVP 96 0 3", "a=rtpmap:96 opus/48000/2", "a=rtcp:9")
    theirs = offered("m=audio 2 RTP/AVP 0 111", "a=rtpmap:111 opus/48000/2", "a=ptime:30")
    [stream] = streams(ours, theirs)
    assert stream is not None
    assert stream.send == (PCMU, replace(OPUS, payload=111))
    assert stream.receive == (OPUS, PCMU)
    assert (stream.port, stream.rtcp_port, stream.ptime) == (2, 3, 30)
    assert stream.connection == Connection("192.0.2.1")
    [back] = streams(theirs, ours)
    assert back is not None
    assert (back.rtcp_port, back.ptime) == (9, None)


# Offers after the first


def test_a_revision_keeps_the_origin_and_counts_up() -> None:
    first = offer(AUDIO)
    assert first.origin == BOB
    assert revised(first, first.copy()).to_bytes() == first.to_bytes()
    moved = first.copy()
    moved.media[0].port = 7000
    moved.origin = Origin("someone", "1", 1, "else.example")
    second = revised(first, moved)
    assert second.origin == replace(BOB, session_version=BOB.session_version + 1)
    assert revision_deviations(first, second) == []


def test_streams_are_never_removed_but_rejected() -> None:
    two = able(
        Capability("audio", 5000, (PCMU,)), Capability("video", 5002, (Codec(31, "H261", 90000),))
    )
    first = offer(two)
    fewer = first.copy()
    fewer.remove_media(fewer.media[0])
    with pytest.raises(TrunklineError) as caught:
        revised(first, fewer)
    assert caught.value.code == "sdp.stream-removed"
    second = offer(able(Capability("video", 5002, (Codec(31, "H261", 90000),))), first)
    assert session_of(second) == [
        *("m=audio 0 RTP/AVP 0", "m=video 5002 RTP/AVP 31", "a=rtpmap:31 H261/90000"),
    ]
    # And what comes back comes below.
    third = offer(two, second)
    assert [media.port for media in third.media] == [0, 5002, 5000]


def test_dynamic_payload_types_keep_their_meaning() -> None:
    # Section 8.3.2. The peer's offer gave 96 to something else than we would.
    description = offered(
        *("m=audio 1 RTP/AVP 96 98", "a=rtpmap:96 AMR/8000", "a=rtpmap:98 opus/48000/2")
    )
    capability = Capability("audio", 5000, (OPUS, Codec(97, "AMR"), EVENTS, Codec(98, "iLBC")))
    first = answer(description, able(capability))
    assert [(codec.payload, codec.name) for codec in first.media[0].codecs] == [
        (96, "AMR"),
        (98, "opus"),
    ]
    second = offer(able(capability), first)
    assert [(codec.payload, codec.name) for codec in second.media[0].codecs] == [
        (98, "opus"),
        (96, "AMR"),
        (101, "telephone-event"),
        (127, "iLBC"),
    ]
    assert revision_deviations(first, second) == []
    other = first.copy()
    other.media[0].attributes.set("rtpmap", "96 EVS/16000")
    with pytest.raises(TrunklineError) as caught:
        revised(first, other)
    assert caught.value.code == "sdp.payload-changed"


# Any offer


_CODEC = st.sampled_from(
    [
        *(PCMU, PCMA, EVENTS, OPUS, Codec(97, "AMR"), Codec(98, "AMR", fmtp="octet-align=1")),
        *(Codec(31, "H261", 90000), Codec(13, "CN")),
    ]
)
_CAPABILITY = st.builds(
    Capability,
    kind=st.sampled_from(["audio", "video"]),
    port=st.integers(1, 65535),
    codecs=st.lists(_CODEC, max_size=4, unique=True).map(tuple),
    direction=st.sampled_from(Direction),
    protocol=st.sampled_from(["RTP/AVP", "RTP/SAVPF"]),
)
_CAPABILITIES = st.lists(_CAPABILITY, max_size=4, unique_by=lambda stream: stream.port).map(
    lambda found: able(*found)
)
_KNOWN = bodies().map(sdp.parse).filter(lambda d: not any(p[0] in "xYwXq" for p in d.lines() if p))


def check_answer(description: SessionDescription, answered: SessionDescription) -> None:
    """The MUSTs of RFC 3264 section 6."""
    assert sdp.parse(answered.to_bytes()).to_bytes() == answered.to_bytes()
    assert len(answered.media) == len(description.media)
    for theirs, ours in zip(description.media, answered.media, strict=True):
        assert (ours.kind, ours.protocol) == (theirs.kind, theirs.protocol)
        assert ours.formats
        if ours.is_rejected:
            continue
        assert not theirs.is_rejected
        assert not (ours.direction.sends and not theirs.direction.receives)
        assert not (ours.direction.receives and not theirs.direction.sends)
        payloads = {codec.payload: codec for codec in theirs.codecs}
        assert all(payloads[codec.payload].is_same(codec) for codec in ours.codecs)
        order = [str(payload) for payload in payloads]
        assert sorted(ours.formats, key=order.index) == list(ours.formats)
        assert any(codec.name.lower() not in AUXILIARY for codec in ours.codecs) or all(
            codec.name.lower() in AUXILIARY for codec in theirs.codecs
        )


@given(_KNOWN, _CAPABILITIES)
def test_any_offer_is_answered_within_the_rules(
    description: SessionDescription, capabilities: Capabilities
) -> None:
    answered = answer(description, capabilities)
    check_answer(description, answered)
    ports = [media.port for media in answered.media if not media.is_rejected]
    assert len(ports) == len(set(ports))
    # The same offer again is a no-op, which gives the same answer (section 8).
    assert answer(description, capabilities, answered).to_bytes() == answered.to_bytes()
    for ours, theirs in zip(
        streams(description, answered), streams(answered, description), strict=True
    ):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours.direction is theirs.direction.mirrored
            assert {codec.payload for codec in ours.send} == {c.payload for c in theirs.receive}


@settings(deadline=None)
@given(_CAPABILITIES, _CAPABILITIES, st.lists(_CAPABILITIES, max_size=3))
def test_two_ends_change_their_session_again_and_again(
    one: Capabilities, two: Capabilities, later: list[Capabilities]
) -> None:
    mine = offer(one)
    theirs = answer(mine, two)
    check_answer(mine, theirs)
    assert answer_deviations(mine, theirs) == []
    for capabilities in later:
        # The other end offers, then roles change.
        new = offer(capabilities, theirs)
        assert revision_deviations(theirs, new) == []
        reply = answer(new, one, mine)
        check_answer(new, reply)
        assert revision_deviations(mine, reply) == []
        mine, theirs = new, reply


def test_the_bench_answers() -> None:
    answered = answer(sdp.parse(BENCH), AUDIO)
    assert deviations(answered) == []
    assert session_of(answered)[0] == "m=audio 5000 RTP/AVP 0 8 101"
