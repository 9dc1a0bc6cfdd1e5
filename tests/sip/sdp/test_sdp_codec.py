"""Parsing and printing: everything that parses leaves as it came; the values are what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sip.sdp.bodies import BENCH, EXAMPLE, bodies, body

from trunkline.errors import DecodeError
from trunkline.sip import sdp
from trunkline.sip.sdp import Bandwidth, Codec, Connection, Direction, Origin, Rtcp, Timing
from trunkline.sip.sdp.description import MAX_LINES, MAX_MEDIA, MAX_SIZE
from trunkline.sip.sdp.fields import Repeat
from trunkline.sip.sdp.payload import DYNAMIC, STATIC


def session(*lines: str) -> sdp.SessionDescription:
    """A session with ``lines`` behind the two that every one has."""
    return sdp.parse(body("v=0", "o=- 1 1 IN IP4 192.0.2.1", *lines))


def parsed_or_refused(octets: bytes) -> sdp.SessionDescription | DecodeError:
    try:
        return sdp.parse(octets)
    except DecodeError as error:
        return error


@given(bodies())
def test_what_parses_is_printed_octet_for_octet(octets: bytes) -> None:
    parsed = sdp.parse(octets)
    assert parsed.to_bytes() == octets
    assert parsed.copy().to_bytes() == octets


@given(bodies())
def test_every_value_can_be_read(octets: bytes) -> None:
    parsed = sdp.parse(octets)
    assert Origin.parse(str(parsed.origin)) == parsed.origin
    for part in (parsed, *parsed.media):
        for name, value in part.attributes:
            assert value in part.attributes.all(name)
        for bandwidth in part.bandwidths:
            assert Bandwidth.parse(str(bandwidth)) == bandwidth
    for media in parsed.media:
        connection = media.connection
        assert connection is None or Connection.parse(str(connection)) == connection
        assert isinstance(media.direction, Direction)
        for codec in media.codecs:
            assert str(codec.payload) in media.formats
            assert codec.matches(codec.payload)
        assert media.ptime is None or media.ptime > 0
    assert len(repr(parsed)) > len("<SessionDescription >")


@given(st.binary(max_size=200))
def test_any_octets_give_a_description_or_a_decode_error(octets: bytes) -> None:
    for candidate in (octets, b"v=0\r\no=- 1 1 IN IP4 a\r\n" + octets):
        outcome = parsed_or_refused(candidate)
        if isinstance(outcome, DecodeError):
            assert outcome.code.startswith("sdp.")
            assert 0 <= outcome.offset <= len(candidate)
        else:
            assert outcome.to_bytes() == candidate


def test_the_values_that_scripts_take_out_by_regular_expressions() -> None:
    parsed = sdp.parse(BENCH)
    assert parsed.line("m=") == "m=audio 4002 RTP/AVP 0 8 101"
    assert parsed.media[0].port == 4002
    assert parsed.line("o=") == "o=user1 53655765 2353687637 IN IP4 192.0.2.33"
    assert parsed.origin.session_id == "53655765"
    assert parsed.origin.session_version == 2353687637
    assert parsed.origin.address == "192.0.2.33"
    assert parsed.connection == Connection("192.0.2.33")
    assert parsed.lines("a=")[:2] == ["a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000"]
    assert parsed.line("x=") is None
    assert len(parsed.lines()) == 11


def test_the_example_of_rfc_8866_section_5() -> None:
    parsed = sdp.parse(EXAMPLE)
    assert parsed.origin == Origin("jdoe", "3724394400", 3724394405, "198.51.100.1")
    assert parsed.name == "Call to John Smith"
    assert parsed.information == "SDP Offer #1"
    assert parsed.uri == "http://www.jdoe.example.com/home.html"
    assert parsed.emails == ("Jane Doe <jane@jdoe.example.com>",)
    assert parsed.phones == ("+1 617 555-6011",)
    assert parsed.timings == (Timing(0, 0),)
    assert [(media.kind, media.port, media.protocol) for media in parsed.media] == [
        ("audio", 49170, "RTP/AVP"),
        ("audio", 49180, "RTP/AVP"),
        ("video", 51372, "RTP/AVP"),
    ]
    # "each audio media description behaves as if it were given a c=IN IP4 198.51.100.1"
    assert parsed.media[1].connection == Connection("198.51.100.1")
    assert parsed.media[2].connection == Connection("2001:db8::2", "IP6")
    assert parsed.media[0].codecs == (Codec(0, "PCMU"),)
    assert parsed.media[2].codecs == (Codec(99, "h263-1998", 90000),)


def test_directions_are_the_sessions_unless_the_stream_has_one() -> None:
    # RFC 8866 section 6.7: the first stream is sendrecv, the others are inactive.
    parsed = session(
        *("s=-", "c=IN IP6 2001:db8::1", "t=0 0", "a=inactive", "m=audio 49170 RTP/AVP 0"),
        *("a=sendrecv", "m=audio 49180 RTP/AVP 0", "m=video 51372 RTP/AVP 99"),
    )
    assert parsed.direction is Direction.INACTIVE
    assert [media.direction.value for media in parsed.media] == ["sendrecv", "inactive", "inactive"]
    assert session("m=audio 1 RTP/AVP 0").media[0].direction is Direction.SENDRECV


@pytest.mark.parametrize("direction", Direction)
def test_a_mirrored_direction_swaps_its_halves(direction: Direction) -> None:
    assert direction.mirrored.sends == direction.receives
    assert direction.mirrored.mirrored is direction
    assert Direction.of(send=direction.sends, receive=direction.receives) is direction


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IN IP4 233.252.0.1/127", Connection("233.252.0.1", ttl=127)),
        ("IN IP4 233.252.0.1/127/3", Connection("233.252.0.1", ttl=127, addresses=3)),
        ("IN IP6 ff00::db8:0:101/3", Connection("ff00::db8:0:101", "IP6", addresses=3)),
        ("IN IP6 ff00::db8:0:101", Connection("ff00::db8:0:101", "IP6")),
    ],
)
def test_multicast_addresses_of_section_5_7(text: str, expected: Connection) -> None:
    assert Connection.parse(text) == expected
    assert str(expected) == text
    assert expected.is_multicast
    assert not Connection.of("192.0.2.1").is_multicast
    assert not Connection.of("fffe.example").is_multicast
    assert not Connection.of("2001:db8::1").is_multicast


def test_times_with_repeats_and_zones() -> None:
    # RFC 8866 sections 5.10 and 5.11.
    parsed = session(
        "t=3724394400 3754123200", "r=7d 1h 0 25h", "z=3730928400 -1h 3749680800 0", "t=0 0"
    )
    assert parsed.timings == (
        Timing(
            3724394400,
            3754123200,
            (Repeat(604800, 3600, (0, 90000)),),
            ((3730928400, -3600), (3749680800, 0)),
        ),
        Timing(0, 0),
    )
    for line in ("t=1", "t=now 0", "r=7d 1h 0", "z=0 1", "t=" + "9" * 41 + " 0"):
        with pytest.raises(DecodeError) as caught:
            assert not session(line).timings
        assert caught.value.code == "sdp.time"
    for line in ("r=7d 1h", "z=1", "z="):
        with pytest.raises(DecodeError, match="expected t="):
            assert not session("t=0 0", line).timings


def test_bandwidths_that_cannot_be_read_are_passed_over() -> None:
    parsed = session("b=AS:64", "b=X-YZ:128", "b=CT:", "b=:1", "b=TIAS:6 4", "m=audio 1 RTP/AVP 0")
    assert parsed.bandwidths == (Bandwidth("AS", 64), Bandwidth("X-YZ", 128))
    assert [str(bandwidth) for bandwidth in parsed.bandwidths] == ["AS:64", "X-YZ:128"]
    assert parsed.media[0].bandwidths == ()


def test_static_payload_types_are_those_of_rfc_3551() -> None:
    names = {payload: codec.name for payload, codec in STATIC.items()}
    assert (names[0], names[8], names[9], names[18], names[34]) == (
        *("PCMU", "PCMA", "G722", "G729"),
        "H263",
    )
    assert STATIC[9].clock_rate == 8000  # so assigned, though it samples at 16 kHz (RFC 3551 4.5.2)
    assert STATIC[10].channels == 2
    assert not {1, 2, 19, 20, 72} & set(STATIC)
    assert not set(DYNAMIC) & set(STATIC)


def test_codecs_are_formats_with_what_the_attributes_say() -> None:
    [media] = session(
        "m=audio 1 RTP/AVP 96 0 97 98 18 200 x",
        *("a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1", "a=fmtp:96 second"),
        *("a=rtpmap:97 nothing", "a=rtpmap:0 G726-32/8000", "a=rtpmap:98 L16/11025/x"),
        "a=rtpmap:18 G729/0",
    ).media
    assert media.codecs == (
        Codec(96, "opus", 48000, 2, "useinbandfec=1"),
        Codec(0, "G726-32"),
        Codec(97, "", 0),  # its rtpmap cannot be read, and nothing else says what it is
        Codec(98, "L16", 11025),
        Codec(18, "G729"),  # nor here, but RFC 3551 says
    )
    assert media.formats[-2:] == ("200", "x")
    assert session("m=image 1 udptl t38").media[0].codecs == ()


def test_a_codec_is_meant_by_number_or_name() -> None:
    codec = Codec(96, "opus", 48000, 2)
    for selector in (96, "96", "OPUS", "opus/48000", "opus/48000/2"):
        assert codec.matches(selector)
    for other in (0, "9", "opu", "opus/8000", "opus/48000/1", "opus/48000/2/x", ""):
        assert not codec.matches(other)
    assert not Codec(97, "", 0).matches("")
    assert not Codec(97, "", 0).is_same(Codec(98, "", 0))


def test_values_of_a_stream() -> None:
    [media] = session(
        "m=video 49170/2 RTP/AVP 31",
        *("i=camera", "b=AS:256", "a=ptime:20", "a=maxptime:0", "a=rtcp:53020 IN IP4 192.0.2.9"),
        *("a=candidate:1 x", "a=candidate:2 y", "a=recvonly", "a=curr:qos e2e none"),
        "a=des:qos mandatory e2e sendrecv",
    ).media
    assert (media.port, media.port_count, media.is_rtp) == (49170, 2, True)
    assert media.information == "camera"
    assert media.ptime == 20
    assert media.maxptime is None
    assert media.rtcp == Rtcp(53020, Connection("192.0.2.9"))
    assert media.attributes.all("candidate") == ["1 x", "2 y"]
    assert media.attributes.get("candidate", -1) == "2 y"
    assert media.attributes.get("candidate", 2) is None
    assert media.attributes.count("candidate") == 2
    assert media.attributes.get("recvonly") == ""
    assert "recvonly" in media.attributes
    assert "Recvonly" not in media.attributes
    assert len(media.attributes) == 8
    # Preconditions (RFC 3312) are data.
    assert media.attributes.get("curr") == "qos e2e none"
    assert media.attributes.get("des") == "qos mandatory e2e sendrecv"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("20", 20.0), ("2.5", 2.5), ("20.", 20.0), ("0.0", None), ("0", None), ("-1", None)),
        *(("", None), ("1e3", None), (".5", None), ("9" * 41, None), ("\u0663", None)),
    ],
)
def test_packet_times_are_numbers_above_zero(value: str, expected: float | None) -> None:
    assert session("m=audio 1 RTP/AVP 0", f"a=ptime:{value}").media[0].ptime == expected


@pytest.mark.parametrize("value", ["", "x", "65536", "1 IN", "1 IN IP4 a/x"])
def test_an_rtcp_attribute_that_cannot_be_read_is_ignored(value: str) -> None:
    assert session("m=audio 1 RTP/AVP 0", f"a=rtcp:{value}").media[0].rtcp is None


def test_practice_is_tolerated() -> None:
    octets = (
        b"v=0 \n"
        b"o=John Doe 4 5  IN IP4 192.0.2.1 \n"  # a user name with a blank in it
        b"t=0 0\r\n"  # no s=, the order upside down, two kinds of line ends
        b"c=IN IP4\t192.0.2.1\n"
        b"m=audio  4002  RTP/AVP  0 \n"
        b"m=image 0 udptl\n"  # rejected, without a format
        b"a=x-\xff\xfe\n"  # no UTF-8
        b"\n"
        b"X=1\n"
        b"a=sendonly"  # no line end
    )
    parsed = sdp.parse(octets)
    assert parsed.to_bytes() == octets
    assert parsed.origin == Origin("John Doe", "4", 5, "192.0.2.1")
    assert parsed.name is None
    assert parsed.media[0].connection == Connection("192.0.2.1")
    assert parsed.media[0].formats == ("0",)
    assert parsed.media[1].is_rejected
    assert parsed.media[1].formats == ()
    assert parsed.media[1].direction is Direction.SENDONLY
    assert parsed.line("X=") == "X=1"


@pytest.mark.parametrize(
    ("octets", "code", "line"),
    [
        (b"", "sdp.version", 1),
        (b"v=1\r\no=- 1 1 IN IP4 a\r\n", "sdp.version", 1),
        (b"\r\nv=0\r\no=- 1 1 IN IP4 a\r\n", "sdp.version", 1),
        (b"v=0", "sdp.origin", 2),
        (b"v=0\r\nm=audio 1 RTP/AVP 0\r\ns=-\r\n", "sdp.origin", 2),
        (b"v=0\r\no=- 1 1 IN IP4\r\n", "sdp.origin", 2),
        (b"v=0\r\no=- a 1 IN IP4 a\r\n", "sdp.origin", 2),
        (b"v=0\r\no=- 1 -1 IN IP4 a\r\n", "sdp.origin", 2),
        (b"v=0\r\no=- 1 \xd9\xa3 IN IP4 a\r\n", "sdp.origin", 2),
        (b"v=0\r\no=- 1 " + b"9" * 5000 + b" IN IP4 a\r\n", "sdp.origin", 2),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4\r\n", "sdp.connection", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4 a/x\r\n", "sdp.connection", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4 a/1/0\r\n", "sdp.connection", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4 a/1/2/3\r\n", "sdp.connection", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4 /1\r\n", "sdp.connection", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP6 a/1/2\r\n", "sdp.connection", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio\r\n", "sdp.media", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 1\r\n", "sdp.media", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 65536 RTP/AVP 0\r\n", "sdp.media", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio -1 RTP/AVP 0\r\n", "sdp.media", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 1/0 RTP/AVP 0\r\n", "sdp.media", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 1/ RTP/AVP 0\r\n", "sdp.media", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nsession\r\n", "sdp.line", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\n=x\r\n", "sdp.line", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\n a=x\r\n", "sdp.line", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\n1=x\r\n", "sdp.line", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\na", "sdp.line", 3),
        (b"v=0\r\no=- 1 1 IN IP4 a\r\nv=0\r\n", "sdp.several", 3),
    ],
)
def test_what_is_refused_is_refused_with_its_line(octets: bytes, code: str, line: int) -> None:
    with pytest.raises(DecodeError, match=f"^line {line}: ") as caught:
        sdp.parse(octets)
    assert caught.value.code == code
    assert octets[: caught.value.offset].count(b"\n") == min(line - 1, octets.count(b"\n"))


@pytest.mark.parametrize(
    "octets", [b"v=0\ro=- 1 1 IN IP4 a\r\n", b"v=0\r\ns=a\0\r\n", b"v=0\r\r\n"]
)
def test_what_readers_would_cut_into_other_lines_is_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        sdp.parse(octets)
    assert caught.value.code == "sdp.octet"


def test_size_lines_and_streams_are_bounded() -> None:
    def code(*lines: str) -> str:
        try:
            session(*lines)
        except DecodeError as error:
            return error.code
        return ""

    assert code(*["a="] * (MAX_LINES - 2)) == ""
    assert code(*["a="] * (MAX_LINES - 1)) == "sdp.too-many-lines"
    assert code(*["m=audio 1 RTP/AVP 0"] * MAX_MEDIA) == ""
    assert code(*["m=audio 1 RTP/AVP 0"] * (MAX_MEDIA + 1)) == "sdp.too-many-media"
    assert code("a=" + "x" * (MAX_SIZE - 40)) == ""
    assert code("a=" + "x" * MAX_SIZE) == "sdp.size"


def test_huge_descriptions_are_read_in_no_time() -> None:
    """Each of these takes minutes where an expression or a loop is quadratic."""
    fill = MAX_SIZE - 200
    for line in (
        *("s=" + " " * fill, "m=audio 1 RTP/AVP" + " 0" * (fill // 2), "c=IN IP4 a" + " " * fill),
        *("m=audio 1 RTP/AVP" + " " * fill, "a=" + ":" * fill, "c=IN IP4 a" + "/1" * (fill // 2)),
    ):
        octets = body("v=0", "o=" + " " * 60 + "- 1 1 IN IP4 a", line)
        try:
            parsed = sdp.parse(octets)
        except DecodeError:
            continue
        assert parsed.to_bytes() == octets
        for media in parsed.media:
            assert len(media.codecs) <= 128
            media.prefer_codecs(0)
            media.remove_codec("x")
            media.keep_codecs("PCMU")


@pytest.mark.parametrize(
    ("name", "audio", "video"),
    [
        ("4.6", ("2001:db8::20", 6000, "G726-32"), ("2001:db8::20", 6024, "H263-1998")),
        ("4.8", ("192.0.2.1", 22334, "PCMU"), ("2001:db8::1", 6024, "H263-1998")),
        ("4.9", ("::ffff:192.0.2.2", 6000, "G726-32"), ("::ffff:192.0.2.2", 6024, "H263-1998")),
    ],
)
def test_the_descriptions_of_rfc_5118(
    vectors: Path, name: str, audio: tuple[str, int, str], video: tuple[str, int, str]
) -> None:
    message = (vectors / "sip-torture" / "rfc5118" / f"{name}.dat").read_bytes()
    octets = message.partition(b"\r\n\r\n")[2]
    parsed = sdp.parse(octets)
    assert parsed.to_bytes() == octets
    for media, expected in zip(parsed.media, (audio, video), strict=True):
        assert media.connection is not None
        found = (media.connection.address, media.port, media.codecs[0].name)
        assert found == expected
        assert media.connection.address_type == ("IP6" if ":" in expected[0] else "IP4")


def test_the_description_of_rfc_4475_3_3_15(vectors: Path) -> None:
    message = (vectors / "sip-torture" / "rfc4475" / "sdp01.dat").read_bytes()
    octets = message.partition(b"\r\n\r\n")[2]
    parsed = sdp.parse(octets)
    assert parsed.to_bytes() == octets
    assert [codec.name for codec in parsed.media[0].codecs] == ["PCMU", "QCELP"]
    # Its rtpmap has no clock rate and cannot be read.
    assert [codec.name for codec in parsed.media[1].codecs] == ["H261"]


def test_every_description_of_the_torture_messages(vectors: Path) -> None:
    found = 0
    for file in sorted((vectors / "sip-torture").glob("*/*.dat")):
        octets = file.read_bytes().partition(b"\r\n\r\n")[2]
        if octets.startswith(b"v=0"):
            found += 1
            outcome = parsed_or_refused(octets)
            if isinstance(outcome, DecodeError):
                # What follows the body belongs to another message or is cut off.
                assert outcome.code in ("sdp.line", "sdp.several"), file.name
            else:
                assert outcome.to_bytes() == octets
    assert found > 10
