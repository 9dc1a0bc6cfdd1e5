"""Descriptions that the tests share, and a generator of many more."""

from __future__ import annotations

from hypothesis import strategies as st


def body(*lines: str, eol: str = "\r\n") -> bytes:
    return "".join(line + eol for line in lines).encode("utf-8", "surrogateescape")


BENCH = body(
    "v=0",
    "o=user1 53655765 2353687637 IN IP4 192.0.2.33",
    "s=-",
    "c=IN IP4 192.0.2.33",
    "t=0 0",
    "m=audio 4002 RTP/AVP 0 8 101",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-15",
    "a=sendrecv",
)

# RFC 8866 section 5, the example of an SDP description.
EXAMPLE = body(
    "v=0",
    "o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1",
    "s=Call to John Smith",
    "i=SDP Offer #1",
    "u=http://www.jdoe.example.com/home.html",
    "e=Jane Doe <jane@jdoe.example.com>",
    "p=+1 617 555-6011",
    "c=IN IP4 198.51.100.1",
    "t=0 0",
    "m=audio 49170 RTP/AVP 0",
    "m=audio 49180 RTP/AVP 0",
    "m=video 51372 RTP/AVP 99",
    "c=IN IP6 2001:db8::2",
    "a=rtpmap:99 h263-1998/90000",
)

# Everything but what a line cannot hold. \x0b to \x85 end lines for Python, not for SDP.
_TEXT = st.text(
    st.sampled_from("aZ09 \t:;=/-+<\x0b\x0c\x1c\x1e\x7f\x85\xa0\u2028é中\udc80\udcff"), max_size=12
)
_DIRECTION = st.sampled_from(["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"])
_SESSION_LINE = st.one_of(
    st.builds("{}={}".format, st.sampled_from("siuepbtrzkaxYw"), _TEXT),
    st.sampled_from(["c=IN IP4 192.0.2.1", "c=IN IP6 ff15::101/3", "c=IN  IP4 224.2.1.1/127/3 "]),
    _DIRECTION,
    st.just(""),
)
_MEDIA_LINE = st.one_of(
    st.builds("{}={}".format, st.sampled_from("icbkaq"), _TEXT).filter(
        lambda line: not line.startswith("c=")
    ),
    st.sampled_from(
        [
            *("c=IN IP4 192.0.2.2", "c=IN IP4 0.0.0.0", "a=rtpmap:0 PCMU/8000", "a=ptime:20"),
            *("a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1", "a=rtpmap:97 AMR/8000/1"),
            *("a=fmtp:97 octet-align=1", "a=rtcp:5001 IN IP4 192.0.2.9", "a=rtcp-fb:96 nack"),
        ]
    ),
    _DIRECTION,
    st.just(""),
)
_M_LINE = st.builds(
    "m={} {} {}{}{}".format,
    st.sampled_from(["audio", "video", "image", "é"]),
    st.sampled_from(["0", "4002", "65535", "49170/2", "007"]),
    st.sampled_from(["RTP/AVP", "RTP/SAVPF", "udptl", "UDP/TLS/RTP/SAVPF"]),
    st.sampled_from(["", " 0", " 0 8 96 97", " 96  97", " t38", " 0 0 200 x"]),
    st.sampled_from(["", " ", "\t"]),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Bodies that ``parse`` takes, tidy or not."""
    lines = ["v=0", f"o=- 1 {draw(st.integers(0, 2**64))} IN IP4 192.0.2.1"]
    lines += draw(st.lists(_SESSION_LINE, max_size=6))
    for _ in range(draw(st.integers(0, 3))):
        lines += [draw(_M_LINE), *draw(st.lists(_MEDIA_LINE, max_size=8))]
    ends = st.just("\r\n") if draw(st.booleans()) else st.sampled_from(["\r\n", "\n"])
    text = "".join(line + draw(ends) for line in lines)
    if lines[-1] and draw(st.booleans()):
        text = text.rstrip("\r\n")
    return text.encode("utf-8", "surrogateescape")
