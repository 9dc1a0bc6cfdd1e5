"""sip.headers: numbers, words with parameters, dates."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sipmessage
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.sip.headers import (
    CSeq,
    Disposition,
    Event,
    MediaType,
    MinSE,
    RAck,
    Reason,
    Replaces,
    RetryAfter,
    SecurityMechanism,
    SessionExpires,
    SubscriptionState,
    Weighted,
    content_length,
    date_text,
    delta_seconds,
    integer,
    max_breadth,
    max_forwards,
    parse_date,
    qvalue,
    response_number,
)


def refused(parse: Callable[[str], object], text: str) -> str:
    with pytest.raises(DecodeError) as caught:
        parse(text)
    assert len(str(caught.value)) < 500
    return caught.value.code


# Numbers


def test_cseq() -> None:
    cseq = CSeq.parse("0009  INVITE")  # RFC 4475 3.1.1.1
    assert (cseq.number, cseq.method, str(cseq)) == (9, "INVITE", "0009  INVITE")
    assert cseq == CSeq(9, "INVITE")
    assert str(CSeq(1, "ACK")) == "1 ACK"
    assert CSeq.parse("4294967295 RE%47IST%45R").method == "RE%47IST%45R"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "cseq"),
        ("1", "cseq"),
        ("INVITE 1", "cseq"),
        ("1 INVITE x", "cseq"),
        ("-1 INVITE", "cseq"),
        ("٣ INVITE", "cseq"),
        ("4294967296 INVITE", "number"),
        ("36893488147419103232 REGISTER", "number"),
        ("9" * 60000 + " INVITE", "number"),
    ],
)
def test_no_cseq(text: str, code: str) -> None:
    assert refused(CSeq.parse, text) == f"sip.header.{code}"


def test_rack() -> None:
    rack = RAck.parse("776656 1 INVITE")
    assert (rack.response, rack.number, rack.method) == (776656, 1, "INVITE")
    assert str(RAck(1, 2, "INVITE")) == "1 2 INVITE"
    assert str(RAck.parse("01 2\tINVITE")) == "01 2\tINVITE"
    assert refused(RAck.parse, "1 INVITE") == "sip.header.cseq"
    assert refused(RAck.parse, "0 1 INVITE") == "sip.header.number"


@pytest.mark.parametrize(
    ("parse", "most"),
    [
        (max_forwards, 255),
        (max_breadth, 2**32 - 1),
        (delta_seconds, 2**32 - 1),
        (content_length, 2**32 - 1),
        (response_number, 2**32 - 1),
    ],
)
def test_bounds(parse: Callable[[str], int], most: int) -> None:
    assert parse(str(most)) == most
    assert parse(f" {'0' * 20000}{most}\t") == most
    for text in (str(most + 1), "-1", "+1", "", "1 2", "0x1", "1.0", "9" * 5000, "²", "٣"):
        assert refused(parse, text) == "sip.header.number"


def test_least() -> None:
    assert response_number("1") == 1
    assert refused(response_number, "0") == "sip.header.number"
    assert integer("0") == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1", 1), ("0.5", 0.5), ("1.000", 1), ("0.", 0), (".7", 0.7), ("0.12345", 0.12345)],
)
def test_qvalues(text: str, value: float) -> None:
    assert qvalue(text) == value


@pytest.mark.parametrize("text", ["", "1.1", "2", "-1", "nan", "inf", "1e-1", "0.5 ", ".", "0" * 9])
def test_no_qvalues(text: str) -> None:
    assert refused(qvalue, text) == "sip.header.number"


# Words and parameters


def test_media_types() -> None:
    media = MediaType.parse('multipart / Mixed ; boundary="a;b" ; x = 1')
    assert (media.type, media.subtype, media.full) == ("multipart", "mixed", "multipart/mixed")
    assert media.params["boundary"] == "a;b"
    assert str(media) == 'multipart / Mixed ; boundary="a;b" ; x = 1'
    assert MediaType.parse("Application/SDP").full == "application/sdp"
    accept = MediaType.parse_list("application/sdp;level=1, text/*;q=0.3, */*;q=0")
    assert [m.q for m in accept] == [1.0, 0.3, 0.0]
    sdp, plain = MediaType.parse("application/SDP"), MediaType.parse("text/plain")
    assert [[m.accepts(other) for m in accept] for other in (sdp, plain)] == [
        [True, False, True],
        [False, True, True],
    ]
    for text in ("", "text", "text/", "/plain", "a/b/c", "a/b;", "a/b;q=", "a b/c"):
        assert refused(MediaType.parse, text) == "sip.header.value"
    assert refused(MediaType.parse, "a/b;q=2") == "sip.header.number"


def test_weighted() -> None:
    languages = Weighted.parse_list(["da, en-gb;q=0.8", "*;q=0.7"])
    assert [(w.value, w.q) for w in languages] == [("da", 1.0), ("en-gb", 0.8), ("*", 0.7)]
    assert (
        str(Weighted.build("gzip", {"q": "0.5"}).with_params({"x": "a b"})) == 'gzip;q=0.5;x="a b"'
    )
    assert str(languages[1].without_param("Q")) == "en-gb"


def test_disposition() -> None:
    assert Disposition.parse("session").required
    assert not Disposition.parse("render;handling=Optional").required


def test_retry_after() -> None:
    retry = RetryAfter.parse("18000 (I'm in a (long) meeting) ;duration=3600")
    assert (retry.seconds, retry.duration) == (18000, 3600)
    assert str(retry) == "18000 (I'm in a (long) meeting) ;duration=3600"
    assert RetryAfter.parse("120").duration is None
    assert RetryAfter.build("5", {"duration": "1"}).seconds == 5
    assert refused(RetryAfter.parse, "949302838503028349304023988") == "sip.header.number"
    assert refused(RetryAfter.parse, "5;duration=x") == "sip.header.number"
    for text in ("soon", "5 (", "5 (a))", "5 x"):
        assert refused(RetryAfter.parse, text) == "sip.header.value"


def test_reason() -> None:
    sip, isup = Reason.parse_list(
        'SIP ;cause=200 ;text="Call completed, elsewhere", Q.850;cause=16'
    )
    assert (sip.value, sip.cause, sip.words) == ("SIP", 200, "Call completed, elsewhere")
    assert (isup.value, isup.cause, isup.words) == ("Q.850", 16, None)
    assert str(Reason.build("Q.850", {"cause": "16", "text": "Normal clearing"})) == (
        'Q.850;cause=16;text="Normal clearing"'
    )
    assert Reason.parse("preemption").cause is None
    assert refused(Reason.parse, "SIP;cause=x") == "sip.header.number"


def test_security_mechanisms() -> None:
    # RFC 3329 section 4
    server = SecurityMechanism.parse_list("ipsec-ike;q=0.1, tls;q=0.2")
    verify = SecurityMechanism.parse_list(["IPSEC-ike ; Q = 0.1", "tls;q=0.2"])
    assert [m.q for m in server] == [0.1, 0.2]
    assert all(a.matches(b) for a, b in zip(server, verify, strict=True))
    assert not server[0].matches(server[1])
    assert not server[1].matches(SecurityMechanism.parse("tls;q=0.3"))
    ipsec = SecurityMechanism.parse(
        "ipsec-3gpp; alg=hmac-md5-96; spi-c=98765432; port-s=7531; ealg=aes-cbc"
    )
    assert (ipsec.value, ipsec.params["spi-c"], ipsec.q) == ("ipsec-3gpp", "98765432", 1.0)
    assert SecurityMechanism.build("digest", {"d-ver": '"ab"'}).text == 'digest;d-ver="ab"'


def test_replaces() -> None:
    replaces = Replaces.parse("425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only")
    assert replaces.value == "425928@bobster.example.org"
    assert (replaces.to_tag, replaces.from_tag, replaces.early_only) == ("7743", "6472", True)
    odd = Replaces.build('a<>:"/[]?{}', {"to-tag": "0", "from-tag": "1"})
    assert (odd.value, odd.early_only) == ('a<>:"/[]?{}', False)
    for text in (
        "a;to-tag=1",
        "a;from-tag=1",
        "a;to-tag=1;from-tag",
        "a;to-tag=1;from-tag=2;to-tag=3",
        ";to-tag=1;from-tag=2",
    ):
        assert refused(Replaces.parse, text) == "sip.header.value"


def test_session_timer() -> None:
    expires = SessionExpires.parse("4000;Refresher=UAC")
    assert (expires.seconds, expires.refresher) == (4000, "uac")
    assert SessionExpires.build("1800").refresher is None
    assert MinSE.parse("90;x=1").seconds == 90
    for text in ("", "x", "-1", "90 x", "90;"):
        assert refused(SessionExpires.parse, text) == "sip.header.value"
    assert refused(MinSE.parse, "4294967296") == "sip.header.number"


def test_event() -> None:
    event = Event.parse("presence.winfo.x;id=3;q=zzz")
    assert (event.package, event.templates, event.id) == ("presence", ("winfo", "x"), "3")
    assert (Event.parse("reg").templates, Event.parse("reg").id) == ((), None)
    assert refused(Event.parse, "a b") == "sip.header.value"


def test_subscription_state() -> None:
    state = SubscriptionState.parse("Terminated;reason=Timeout;retry-after=5")
    assert (state.state, state.reason) == ("terminated", "timeout")
    assert (state.expires, state.retry_after) == (None, 5)
    active = SubscriptionState.parse("active;expires=600")
    assert (active.expires, active.reason, active.retry_after) == (600, None, None)
    assert refused(SubscriptionState.parse, "active;expires=soon") == "sip.header.number"


_WORDS = st.from_regex(r"[A-Za-z0-9\-.!%*_+`'~]{1,8}", fullmatch=True)
_VALUES = st.none() | st.text(st.characters(codec="utf-8", exclude_characters='\r\n"'), max_size=8)


@given(
    _WORDS, st.dictionaries(_WORDS.map(str.lower).filter(lambda n: n != "q"), _VALUES, max_size=4)
)
def test_built_values_read_back(word: str, params: dict[str, str | None]) -> None:
    made = Weighted.build(word, params)
    again = Weighted.parse(str(made))
    assert again == made
    assert (again.value, dict(again.params)) == (word, params)


@given(st.sampled_from(["text/plain", 'a/b;c="d e"', "A/B; c=d ;e=f"]))
def test_another_parser_reads_the_same_media_type(text: str) -> None:
    ours, theirs = MediaType.parse(text), sipmessage.MediaType.parse(text)
    assert ours.full == theirs.mime_type.lower()
    assert set(ours.params) == {name.lower() for name in theirs.parameters}


# Date


def test_dates() -> None:
    text = "Sat, 13 Nov 2010 23:29:00 GMT"
    assert parse_date(text) == datetime(2010, 11, 13, 23, 29, tzinfo=UTC)
    assert date_text(parse_date(text)) == text
    east = datetime(2010, 11, 14, 0, 29, tzinfo=timezone(timedelta(hours=1)))
    assert date_text(east) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Fri, 01 Jan 2010 16:00:00 EST",  # RFC 4475 3.1.2.12, and what it names beside
        "Fri, 01 Jan 2010 16:00:00 UT",
        "Fri, 01 Jan 2010 16:00:00 UTC",
        "Fri, 01 Jan 2010 16:00:00 +0000",
        "Sat, 01 Jan 2010 16:00:00 GMT",  # it was a Friday
        "Fri, 32 Jan 2010 16:00:00 GMT",
        "Fri, 1 Jan 2010 16:00:00 GMT",
        "Fri, 01 Jan 2010 24:00:00 GMT",
        "Fri, 01 Jan 0000 16:00:00 GMT",
        "fri, 01 jan 2010 16:00:00 gmt",
    ],
)
def test_no_dates(text: str) -> None:
    assert refused(parse_date, text) == "sip.header.date"


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))
def test_dates_read_back(moment: datetime) -> None:
    assert parse_date(date_text(moment)) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 65536,
        "1" + " " * 65536,
        "1 (" + "(" * 65536,
        "1 (" + "\\" * 65536,
        "1 " + "(a)" * 20000,
        "1 (" + "(a)" * 20000,
        "a/" + "b" * 65536 + ";" * 65536,
        "a" + " ;x=y" * 13000 + "\\",
        "a" + ';x="' * 16384,
        "," * 65536,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    kinds: list[Callable[[str], object]] = [
        CSeq.parse, RAck.parse, MediaType.parse, RetryAfter.parse, Replaces.parse, Event.parse,
        SessionExpires.parse, Weighted.parse, parse_date, integer, qvalue,
    ]  # fmt: skip
    began = time.process_time()
    for parse in kinds:
        try:
            parse(text)
        except DecodeError:
            continue
    assert time.process_time() - began < 0.5
