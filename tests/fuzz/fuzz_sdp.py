"""SDP: any octets are one description, kept exactly, or one DecodeError.

No edit breaks it, and every answer to it keeps the rules of RFC 3264 section 6.
"""

from __future__ import annotations

from contextlib import suppress

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip import sdp
from trunkline.sip.sdp import Capabilities, Capability, Codec, Connection, Direction, Origin

SEEDS = [
    b"v=0\r\no=user1 53655765 2353687637 IN IP4 192.0.2.33\r\ns=-\r\nc=IN IP4 192.0.2.33\r\n"
    b"t=0 0\r\nm=audio 4002 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n",
    b"v=0\no=- 1 1 IN IP6 2001:db8::1\ns=-\ni=x\nu=http://a\ne=a@b\np=+1\nb=AS:64\n"
    b"t=3724394400 3754123200\nr=7d 1h 0 25h\nz=3730928400 -1h 3749680800 0\na=sendonly\n"
    b"m=video 49170/2 RTP/AVP 96\nc=IN IP6 ff15::101/3\na=rtpmap:96 H264/90000\n"
    b"a=fmtp:96 packetization-mode=1\na=rtcp:53020 IN IP4 192.0.2.9\nm=image 0 udptl t38",
    b"v=0\r\no=- 2890844526 2890844526 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
    b"m=audio 1 RTP/AVP 97 100\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:97 AMR/8000\r\n"
    b"a=fmtp:97 octet-align=1; mode-set=0,2\r\na=rtpmap:100 telephone-event/8000\r\na=ptime:20\r\n"
    b"a=curr:qos e2e none\r\na=des:qos mandatory e2e sendrecv\r\n",
]

_ABLE = Capabilities(
    Origin("-", "1", 1, "192.0.2.99"),
    Connection("192.0.2.99"),
    (
        Capability("audio", 5000, (Codec(0, "PCMU"), Codec(97, "AMR", fmtp="octet-align=1"))),
        Capability("video", 5002, (Codec(96, "H264", 90000),), direction=Direction.RECVONLY),
        Capability("audio", 5004, (Codec(8, "PCMA"), Codec(101, "telephone-event"))),
        Capability("image", 5006, formats=("t38",), protocol="udptl"),
    ),
)


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    try:
        description = sdp.parse(data)
    except DecodeError:
        return
    assert description.to_bytes() == data
    with suppress(DecodeError):  # the one value that is not read before it is asked for
        assert description.timings is not None
    _read(description)
    _answer(description)
    _edit(description)
    again = sdp.parse(description.to_bytes())
    assert again.to_bytes() == description.to_bytes()
    assert [media.formats for media in again.media] == [m.formats for m in description.media]
    _read(again)


def _read(description: sdp.SessionDescription) -> None:
    assert str(description.origin) == str(sdp.Origin.parse(str(description.origin)))
    for media in description.media:
        values = (media.connection, media.direction, media.ptime, media.maxptime, media.rtcp)
        assert len(values) == 5
        assert len(media.codecs) <= len(media.formats)
        assert media.held in (True, False)
        for name, value in media.attributes:
            assert value in media.attributes.all(name)


def _answer(offered: sdp.SessionDescription) -> None:
    try:
        answered = sdp.answer(offered, _ABLE)
    except TrunklineError as error:
        if error.code != "sdp.unknown-type":
            raise
        return
    assert sdp.parse(answered.to_bytes()).to_bytes() == answered.to_bytes()
    assert sdp.answer_deviations(offered, answered) == []
    assert len(sdp.streams(answered, offered)) == len(offered.media)
    assert sdp.deviations(offered) is not None


def _edit(description: sdp.SessionDescription) -> None:
    description.bump_version()
    description.hold()
    for number, media in enumerate(description.media):
        if number % 2:
            media.keep_codecs("PCMU", 96)
            media.direction = Direction.RECVONLY
        else:
            media.remove_codec("PCMA", 97)
            media.prefer_codecs("telephone-event")
        media.attributes.set("x", "1")
        media.port = 4000
        media.connection = Connection("192.0.2.9")
        media.add_codec(Codec(111, "opus", 48000, 2, "useinbandfec=1"))
    description.change_address("2001:db8::9", origin=True)
    description.resume()
