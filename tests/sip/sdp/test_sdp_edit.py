"""Edits: each changes the lines it is about, and what it left can be read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sip.sdp.bodies import BENCH, EXAMPLE, bodies, body

from trunkline.errors import TrunklineError
from trunkline.sip import sdp
from trunkline.sip.sdp import Codec, Connection, Direction, Media, Origin, Rtcp, SessionDescription
from trunkline.sip.sdp.description import MAX_MEDIA


def changed(before: bytes, after: bytes) -> tuple[list[str], list[str]]:
    """The lines that are gone, and those that are new."""
    old = before.decode().split("\r\n")
    new = after.decode().split("\r\n")
    return [line for line in old if line not in new], [line for line in new if line not in old]


def edited(edit: Callable[[SessionDescription], object], octets: bytes = BENCH) -> bytes:
    description = sdp.parse(octets)
    edit(description)
    return description.to_bytes()


def refused(edit: Callable[[], object]) -> None:
    with pytest.raises(TrunklineError) as caught:
        edit()
    assert caught.value.code == "sdp.value"


# One edit, its lines


def test_address_and_port() -> None:
    def edit(description: SessionDescription) -> None:
        description.change_address("2001:db8::9")
        description.media[0].port = 4010

    assert changed(BENCH, edited(edit)) == (
        ["c=IN IP4 192.0.2.33", "m=audio 4002 RTP/AVP 0 8 101"],
        ["c=IN IP6 2001:db8::9", "m=audio 4010 RTP/AVP 0 8 101"],
    )
    assert changed(BENCH, edited(lambda d: d.change_address("192.0.2.9", origin=True))) == (
        ["o=user1 53655765 2353687637 IN IP4 192.0.2.33", "c=IN IP4 192.0.2.33"],
        ["o=user1 53655765 2353687637 IN IP4 192.0.2.9", "c=IN IP4 192.0.2.9"],
    )


def test_an_address_is_changed_wherever_media_is_sent_to() -> None:
    octets = body(
        *("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0", "m=audio 1 RTP/AVP 0"),
        *("c=IN IP4 192.0.2.1", "a=rtcp:7 IN IP4 192.0.2.2", "m=audio 2 RTP/AVP 0"),
        *("c=IN IP4 192.0.2.1", "a=rtcp:9", "m=audio 0 RTP/AVP 0"),
    )
    after = sdp.parse(edited(lambda d: d.change_address("192.0.2.9"), octets))
    assert [media._own_connection() for media in after.media] == [
        Connection("192.0.2.9"),
        Connection("192.0.2.9"),
        None,
    ]
    assert after.connection is None
    assert after.media[0].rtcp == Rtcp(7, Connection("192.0.2.9"))
    assert after.media[1].rtcp == Rtcp(9)
    # A stream that none holds for needs one.
    bare = octets.replace(b"m=audio 0", b"m=audio 4")
    after = sdp.parse(edited(lambda d: d.change_address("192.0.2.9"), bare))
    assert after.media[2].connection == Connection("192.0.2.9")
    assert after.lines()[3] == "c=IN IP4 192.0.2.9"


def test_codecs_are_removed_with_what_describes_them() -> None:
    for selector in (8, "8", "pcma", "PCMA/8000"):
        after = edited(lambda d, selector=selector: d.media[0].remove_codec(selector))  # type: ignore[misc]
        assert changed(BENCH, after) == (
            ["m=audio 4002 RTP/AVP 0 8 101", "a=rtpmap:8 PCMA/8000"],
            ["m=audio 4002 RTP/AVP 0 101"],
        )
    assert changed(BENCH, edited(lambda d: d.media[0].keep_codecs("PCMU"))) == (
        [
            *("m=audio 4002 RTP/AVP 0 8 101", "a=rtpmap:8 PCMA/8000"),
            *("a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"),
        ],
        ["m=audio 4002 RTP/AVP 0"],
    )
    assert edited(lambda d: d.media[0].remove_codec("opus", 9)) == BENCH


def test_a_number_that_begins_another_is_left_alone() -> None:
    octets = BENCH + body("a=rtcp-fb:8 nack", "a=rtcp-fb:* nack", "a=fmtp:10 x", "a=fmtpx:10 y")
    after = edited(lambda d: d.media[0].remove_codec(8), octets)
    assert after.endswith(body("a=rtcp-fb:* nack", "a=fmtp:10 x", "a=fmtpx:10 y"))
    assert b"a=rtcp-fb:8" not in after
    assert b"a=fmtp:101 0-15" in after


def test_the_last_codec_is_not_removed_but_the_stream_rejected() -> None:
    # RFC 3264 section 6: port 0, and "at least one [format] MUST be present".
    for edit in (
        lambda media: media.remove_codec(0, 8, 101),
        lambda media: media.keep_codecs("opus"),
    ):
        description = sdp.parse(BENCH)
        removed = edit(description.media[0])  # type: ignore[no-untyped-call]
        assert removed == 3
        assert changed(BENCH, description.to_bytes()) == (
            ["m=audio 4002 RTP/AVP 0 8 101"],
            ["m=audio 0 RTP/AVP 0 8 101"],
        )
        assert description.media[0].is_rejected


def test_formats_that_are_not_rtp_are_removed_by_their_text() -> None:
    octets = body("v=0", "o=- 1 1 IN IP4 a", "m=application 9 udp wb x-8", "a=fmtp:wb b")
    after = edited(lambda d: d.media[0].remove_codec("wb"), octets)
    assert after == body("v=0", "o=- 1 1 IN IP4 a", "m=application 9 udp x-8")


def test_codecs_are_put_into_the_order_preferred() -> None:
    assert changed(BENCH, edited(lambda d: d.media[0].prefer_codecs("telephone-event", 8))) == (
        ["m=audio 4002 RTP/AVP 0 8 101"],
        ["m=audio 4002 RTP/AVP 101 8 0"],
    )
    assert edited(lambda d: d.media[0].prefer_codecs("PCMU", "opus")) == BENCH


def test_attributes_are_added_set_and_removed() -> None:
    assert edited(lambda d: d.media[0].attributes.add("ptime", "20")) == BENCH + b"a=ptime:20\r\n"
    assert edited(lambda d: d.attributes.add("tool", "x y")).split(b"\r\n")[5] == b"a=tool:x y"
    assert edited(lambda d: d.media[0].attributes.add("rtcp-mux")) == BENCH + b"a=rtcp-mux\r\n"
    assert edited(lambda d: d.media[0].attributes.remove("rtcp-mux")) == BENCH
    assert changed(BENCH, edited(lambda d: d.media[0].attributes.remove("rtpmap")))[0] == [
        *("a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000"),
    ]
    assert changed(
        BENCH, edited(lambda d: d.media[0].attributes.remove("rtpmap", "8 PCMA/8000"))
    ) == (["a=rtpmap:8 PCMA/8000"], [])
    description = sdp.parse(BENCH)
    assert description.media[0].attributes.remove("rtpmap") == 3
    assert description.attributes.remove("rtpmap") == 0
    description.media[0].attributes.set("fmtp", "101 0-16")
    description.media[0].attributes.add("x", "1")
    description.media[0].attributes.add("x", "2")
    description.media[0].attributes.set("x", "3")
    assert description.media[0].lines("a=") == ["a=fmtp:101 0-16", "a=sendrecv", "a=x:3"]


def way(description: SessionDescription) -> str:
    return description.media[0].direction.value


def is_held(description: SessionDescription) -> bool:
    return description.held


def test_hold_and_resume() -> None:
    # RFC 3264 section 8.4: sendrecv becomes sendonly, recvonly becomes inactive.
    held = edited(lambda d: d.hold())
    assert changed(BENCH, held) == (["a=sendrecv"], ["a=sendonly"])
    assert edited(lambda d: d.resume(), held) == BENCH
    description = sdp.parse(BENCH)
    assert not is_held(description)
    for before, after in (
        (Direction.SENDRECV, Direction.SENDONLY),
        (Direction.RECVONLY, Direction.INACTIVE),
    ):
        description.media[0].direction = before
        description.hold()
        assert way(description) == after.value
        assert is_held(description)
        description.hold()
        assert way(description) == after.value
        description.resume()
        assert way(description) == before.value
        assert not is_held(description)


def test_the_hold_of_rfc_2543_is_recognised() -> None:
    description = sdp.parse(BENCH.replace(b"c=IN IP4 192.0.2.33", b"c=IN IP4 0.0.0.0"))
    assert is_held(description)
    assert way(description) == "sendrecv"
    description.change_address("192.0.2.33")
    assert not is_held(description)
    description.media[0].hold()
    description.media[0].reject()
    assert not description.media[0].held
    assert not is_held(description)


def test_hold_leaves_rejected_streams_and_writes_what_the_session_said() -> None:
    octets = body(
        *("v=0", "o=- 1 1 IN IP4 a", "s=-", "t=0 0", "a=recvonly", "m=audio 1 RTP/AVP 0"),
        *("m=video 0 RTP/AVP 31", "m=audio 2 RTP/AVP 0"),
    )
    assert changed(octets, edited(lambda d: d.hold(), octets)) == ([], ["a=inactive"] * 2)
    assert b"m=video 0 RTP/AVP 31\r\nm=" in edited(lambda d: d.hold(), octets)
    after = edited(lambda d: setattr(d, "direction", Direction.SENDONLY), octets)
    assert changed(octets, after) == (["a=recvonly"], ["a=sendonly"])


def test_directions_are_written_only_where_they_change_something() -> None:
    bare = BENCH.replace(b"a=sendrecv\r\n", b"")
    for direction in Direction:
        assert (
            edited(lambda d, value=direction: setattr(d.media[0], "direction", value), bare)  # type: ignore[misc]
            == (
                bare
                if direction is Direction.SENDRECV
                else bare + f"a={direction.value}\r\n".encode()
            )
        )
    twice = BENCH + b"a=sendonly\r\n"  # "at most one" (RFC 8866 section 6.7)
    after = edited(lambda d: setattr(d.media[0], "direction", Direction.INACTIVE), twice)
    assert after == bare + b"a=inactive\r\n"


def test_the_version_goes_up_by_one() -> None:
    assert changed(BENCH, edited(lambda d: d.bump_version())) == (
        ["o=user1 53655765 2353687637 IN IP4 192.0.2.33"],
        ["o=user1 53655765 2353687638 IN IP4 192.0.2.33"],
    )
    after = edited(lambda d: setattr(d, "origin", replace(d.origin, username="-")))
    assert sdp.parse(after).origin == Origin("-", "53655765", 2353687637, "192.0.2.33")


def test_streams_are_rejected_removed_and_added() -> None:
    assert changed(EXAMPLE, edited(lambda d: d.media[1].reject(), EXAMPLE)) == (
        ["m=audio 49180 RTP/AVP 0"],
        ["m=audio 0 RTP/AVP 0"],
    )
    ranged = EXAMPLE.replace(b"49180", b"49180/2")
    assert b"m=audio 0 RTP/AVP 0" in edited(lambda d: d.media[1].reject(), ranged)
    after = edited(lambda d: d.remove_media(d.media[2]), EXAMPLE)
    assert after == EXAMPLE[: EXAMPLE.index(b"m=video")]

    def add(description: SessionDescription) -> None:
        media = description.add_media("video", 5000)
        media.add_codec(Codec(31, "H261", 90000))
        media.add_codec(Codec(99, "H264", 90000, fmtp="profile-level-id=42e016"))
        media.ptime = 2.5
        media.rtcp = Rtcp(5007)
        media.connection = Connection("233.252.0.1", ttl=127)

    assert edited(add) == BENCH + body(
        *("m=video 5000 RTP/AVP 31 99", "c=IN IP4 233.252.0.1/127", "a=rtpmap:31 H261/90000"),
        *("a=rtpmap:99 H264/90000", "a=fmtp:99 profile-level-id=42e016", "a=ptime:2.5"),
        "a=rtcp:5007",
    )


def test_line_ends_are_those_of_the_description() -> None:
    for octets in (BENCH, BENCH[:-2], BENCH.replace(b"\r\n", b"\n"), BENCH[:-2] + b"\r\n\r\n"):
        eol = b"\n" if octets[3:4] == b"\n" else b"\r\n"
        text = octets.rstrip(b"\r\n")
        end = octets[len(text) :]
        after = edited(lambda d: d.media[0].attributes.add("x"), octets)
        assert after == text + eol + b"a=x" + end
        after = edited(lambda d: d.add_media("image", 9, "udptl", ("t38",)), octets)
        assert after == text + eol + b"m=image 9 udptl t38" + end
        after = edited(lambda d: d.media[0].attributes.set("sendrecv", "1"), octets)
        assert after == text + b":1" + end


def test_a_description_is_built() -> None:
    origin = Origin("alice", "2890844526", 2890844526, "host.example")
    description = SessionDescription.build(origin, Connection("192.0.2.1"))
    description.attributes.add("tool", "x")
    description.add_media("audio", 49170).add_codec(Codec(97, "opus", 48000, 2))
    assert description.to_bytes() == body(
        *("v=0", "o=alice 2890844526 2890844526 IN IP4 host.example", "s=-"),
        *("c=IN IP4 192.0.2.1", "t=0 0", "a=tool:x", "m=audio 49170 RTP/AVP 97"),
        "a=rtpmap:97 opus/48000/2",
    )
    assert sdp.parse(description.to_bytes()).to_bytes() == description.to_bytes()
    assert str(SessionDescription.build(origin)).splitlines()[2:] == ["s=-", "t=0 0"]


def test_copies_are_edited_apart() -> None:
    description = sdp.parse(BENCH)
    other = description.copy()
    other.media[0].port = 1
    other.attributes.add("x")
    other.direction = Direction.RECVONLY
    assert description.to_bytes() == BENCH
    assert other.direction is Direction.RECVONLY


# What is no value


def test_what_would_break_a_line_is_refused() -> None:
    description = sdp.parse(BENCH)
    media = description.media[0]
    origin = description.origin
    attempts: list[Callable[[], object]] = [
        lambda: media.attributes.add("x", "1\r\nm=audio 1 RTP/AVP 0"),
        lambda: media.attributes.add("x y"),
        lambda: media.attributes.add(""),
        lambda: media.attributes.add("x:y"),
        lambda: media.attributes.set("x\n"),
        lambda: media.attributes.set("x", "\0"),
        lambda: media.attributes.add("x", "\ud800"),
        lambda: media.attributes.add("x", "\udc0a"),
        lambda: setattr(media, "port", 65536),
        lambda: setattr(media, "port", -1),
        lambda: setattr(media, "ptime", 0),
        lambda: setattr(media, "ptime", float("nan")),
        lambda: setattr(media, "rtcp", Rtcp(70000)),
        lambda: setattr(media, "rtcp", Rtcp(7, Connection("a b"))),
        lambda: setattr(media, "connection", Connection("a\r\nb")),
        lambda: setattr(media, "connection", Connection("a/1")),
        lambda: setattr(description, "connection", Connection("")),
        lambda: setattr(description, "origin", replace(origin, session_version=-1)),
        lambda: setattr(description, "origin", replace(origin, session_id="x")),
        lambda: setattr(description, "origin", replace(origin, address="")),
        lambda: description.change_address("192.0.2.1 x"),
        lambda: description.add_media("audio video", 1),
        lambda: description.add_media("audio", 65536),
        lambda: description.add_media("audio", 1, ""),
        lambda: description.add_media("audio", 1, "udp", ("a\nb",)),
        lambda: media.add_codec(Codec(128, "x")),
        lambda: media.add_codec(Codec(96, "")),
        lambda: media.add_codec(Codec(96, "a/b")),
        lambda: media.add_codec(Codec(96, "a b")),
        lambda: media.add_codec(Codec(96, "a", 0)),
        lambda: media.add_codec(Codec(96, "a", fmtp="x\ny")),
    ]
    for attempt in attempts:
        refused(attempt)
        assert description.to_bytes() == BENCH


def test_streams_are_bounded() -> None:
    description = sdp.parse(BENCH)
    for _ in range(MAX_MEDIA - 1):
        description.add_media("audio", 1, formats=("0",))
    with pytest.raises(TrunklineError) as caught:
        description.add_media("audio", 1, formats=("0",))
    assert caught.value.code == "sdp.too-many-media"
    assert len(sdp.parse(description.to_bytes()).media) == MAX_MEDIA


# Any edit of any description

_SELECTOR = st.one_of(
    st.integers(0, 127), st.sampled_from(["PCMU", "opus", "opus/48000/2", "t38", "x", "é"])
)
_EDITS: dict[str, Callable[[Media, int | str], object]] = {
    "cma": lambda media, _: media._session.change_address("192.0.2.77"),  # type: ignore[attr-defined]
    "m": lambda media, _: setattr(media, "port", 4242),
    "ma": lambda media, selector: media.remove_codec(selector),
    "am": lambda media, selector: media.keep_codecs(selector),
    "m ": lambda media, selector: media.prefer_codecs(selector, 96),
    "a": lambda media, _: setattr(media, "direction", Direction.INACTIVE),
    " a": lambda media, _: media.attributes.set("ptime", "30"),
    "a ": lambda media, _: media.attributes.remove("ptime"),
    "  a": lambda media, _: media.attributes.add("x", "y"),
    "c": lambda media, _: setattr(media, "connection", Connection("2001:db8::1", "IP6")),
    "m  ": lambda media, _: media.reject(),
    "o": lambda media, _: media._session.bump_version(),  # type: ignore[attr-defined]
}


@given(bodies(), st.sampled_from(sorted(_EDITS)), st.integers(0, 2), _SELECTOR)
def test_an_edit_changes_only_its_lines(
    octets: bytes, letters: str, index: int, selector: int | str
) -> None:
    before = sdp.parse(octets)
    if index >= len(before.media):
        return
    after = before.copy()
    _EDITS[letters](after.media[index], selector)
    # What was written can be read, and is what it was taken for.
    again = sdp.parse(after.to_bytes())
    assert again.to_bytes() == after.to_bytes()
    assert [media.formats for media in again.media] == [media.formats for media in after.media]
    assert [media.port for media in again.media] == [media.port for media in after.media]
    # Lines of other kinds are the same, in the same order, with the same ends.
    untouched = re_joined(before, letters)
    assert re_joined(after, letters) == untouched
    # And for those kinds, in the other streams.
    if "o" not in letters and letters != "cma":
        for number, (old, new) in enumerate(zip(before.media, after.media, strict=True)):
            # A line added to a last one without an end gives it one.
            assert number == index or joined(old).rstrip() == joined(new).rstrip()


def joined(media: Media) -> str:
    return "".join(media._rows)


def re_joined(description: SessionDescription, letters: str) -> str:
    rows = [row for row in description._all_rows() if row[0] not in letters.strip()]
    return "".join(rows).rstrip("\r\n")


@given(bodies())
def test_hold_is_undone_by_resume(octets: bytes) -> None:
    description = sdp.parse(octets)
    before = [media.direction for media in description.media]
    description.hold()
    for media in description.media:
        assert media.is_rejected or not media.direction.receives
    description.resume()
    for media, direction in zip(description.media, before, strict=True):
        if not media.is_rejected and direction.receives:
            assert media.direction is direction


def test_the_sessions_lines_are_not_the_streams() -> None:
    text = (
        *("v=0", "o=- 1 1 IN IP4 a", "s=-", "c=IN IP4 192.0.2.1", "b=CT:5", "t=0 0", "a=tool:x"),
        *("m=audio 1 RTP/AVP 0", "b=AS:64", "a=ptime:20"),
    )
    description = sdp.parse(body(*text))
    assert list(description.attributes) == [("tool", "x")]
    assert [bandwidth.type for bandwidth in description.bandwidths] == ["CT"]
    assert "ptime" not in description.attributes
    assert description.attributes.remove("ptime") == 0
    assert description.lines("a=") == ["a=tool:x", "a=ptime:20"]
    assert description.line("m=") == "m=audio 1 RTP/AVP 0"
