"""sip.headers: NameAddr and Via."""

from __future__ import annotations

import time
from ipaddress import ip_address

import pytest
import sipmessage
from hypothesis import given, reject
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.sip.headers import HeaderParams, NameAddr, Via, split_list
from trunkline.sip.uri import Uri


def refused(parse: object, text: str) -> str:
    assert callable(parse)
    with pytest.raises(DecodeError) as caught:
        parse(text)
    assert len(str(caught.value)) < 500
    return caught.value.code


# NameAddr

ADDRESSES = [
    # text, display name, URI, tag
    (
        '"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s',
        "A. G. Bell",
        "sip:agb@bell-telephone.com",
        "a48s",
    ),
    (
        "sip:+12125551212@server.phone2net.com;tag=887s",
        "",
        "sip:+12125551212@server.phone2net.com",
        "887s",
    ),
    (
        "Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8",
        "Anonymous",
        "sip:c8oqz84zk7z@privacy.org",
        "hyh8",
    ),
    ("<sip:x;user=phone?a=b>", "", "sip:x;user=phone?a=b", None),
    (
        "caller<sip:caller@example.com>;tag=323",
        "caller",
        "sip:caller@example.com",
        "323",
    ),  # RFC 4475 3.1.1.6
    (
        '"J Rosenberg \\\\\\""       <sip:jdrosen@example.com> ; tag = 98asjd8',
        'J Rosenberg \\"',
        "sip:jdrosen@example.com",
        "98asjd8",
    ),
    (
        '"Quoted string \\"\\"" <sip:j@e.com> ; newparam = newvalue ; secondparam ; q = 0.33',
        'Quoted string ""',
        "sip:j@e.com",
        None,
    ),
    (
        "token1~` token2'+_ token3*%!.- <sip:m@e.com>",
        "token1~` token2'+_ token3*%!.-",
        "sip:m@e.com",
        None,
    ),
    ('"%Z%45" <sip:resource@example.com>', "%Z%45", "sip:resource@example.com", None),  # 3.1.1.5
    ('"<sip:a@b>, \\"" <sip:c@d>', '<sip:a@b>, "', "sip:c@d", None),
    ("Bell, Alexander <sip:a@b>;tag=43", "Bell, Alexander", "sip:a@b", "43"),  # 3.1.2.15
    ("José <sip:a@b>", "José", "sip:a@b", None),
    (
        '"Watson" < sip:t.watson@example.org >',
        "Watson",
        "sip:t.watson@example.org",
        None,
    ),  # 3.1.2.14
    ("<http://www.example.com>;tag=3", "", "http://www.example.com", "3"),
    ("isbn:2983792873", "", "isbn:2983792873", None),
    ("sip:alice;day=tuesday@atlanta.com", "", "sip:alice", None),  # 20.10: belongs to the header
    ("*", "", "*", None),
    ('<sip:a@b>;+sip.instance="<urn:uuid:0-1>";reg-id=1', "", "sip:a@b", None),
    ("<sip:a@b>;tag=a==/b@c", "", "sip:a@b", "a==/b@c"),
]


@pytest.mark.parametrize(("text", "name", "uri", "tag"), ADDRESSES)
def test_addresses(text: str, name: str, uri: str, tag: str | None) -> None:
    address = NameAddr.parse(text)
    assert str(address) == text
    assert (address.display_name, address.uri_text, address.tag) == (name, uri, tag)
    assert NameAddr.parse(f" \t{text} ") == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";tag=1",
        '"Mr. J. User <sip:j.user@example.com>',  # RFC 4475 3.1.2.6
        '"Mr J. User <sip:j.user@example.com> <sip:realj@example.net>',
        "<sip:a@b",
        "sip:a@b>",
        "<>",
        "<sip:a@b><sip:c@d>",
        "<sip:a@b> x",
        "<sip:a @b>",
        '"Joe" <sip:joe@example.org>;;;;',  # RFC 4475 3.1.2.1
        "<sip:a@b>;=x",
        "<sip:a@b>;x=",
        '<sip:a@b>;x="y',
        '<sip:a@b>;x="y"z',
        "<sip:a@b>;a b",
        "<sip:a@b>;x=é",
        "<sip:a@b>;x=y,z",
        "sip:user@example.com?Route=%3Csip:sip.example.com%3E",  # RFC 4475 3.1.2.13
        "sip:a@b;x=y?z",
        "sip:a,b@c",
        "sip:a@b\r\nX: y",
        'a\r\n <sip:a@b>;x="\r\n"',
        '"a" "b" <sip:c@d>',
        'a "b" <sip:c@d>',
        "**",
    ],
)
def test_no_addresses(text: str) -> None:
    assert refused(NameAddr.parse, text) == "sip.header.address"


def test_a_star_has_no_uri() -> None:
    star = NameAddr.parse("*")
    assert star.is_star
    assert not NameAddr.parse("<sip:a@b>").is_star
    with pytest.raises(DecodeError):
        _ = star.uri


def test_uri_and_params_on_demand() -> None:
    address = NameAddr.parse('<sip:A@Example.com;lr?x=y>;Expires=60;q=0.5;x="a \\"b\\"";tag="T"')
    assert isinstance(address.uri, Uri)
    assert address.uri.host == "example.com"
    assert address.uri is address.uri
    assert (address.expires, address.q, address.tag) == (60, 0.5, "T")
    assert address.params["x"] == 'a "b"'
    assert address.params.pairs[2] == ("x", '"a \\"b\\""')
    bare = NameAddr.parse("sip:h")
    assert (bare.expires, bare.q, bare.tag, len(bare.params)) == (None, None, None, 0)


@pytest.mark.parametrize(
    "text", ["<sip:h>;expires=280297596632815", "<sip:h>;expires=1x", "<sip:h>;expires"]
)
def test_a_bad_expires_is_told_when_it_is_read(text: str) -> None:
    address = NameAddr.parse(text)
    if "=" in text:
        assert refused(lambda _: address.expires, "") == "sip.header.number"
    else:
        assert address.expires is None


def test_lists() -> None:
    rows = ['"a, b" <sip:a@b;x=1,2>;q=1, sip:c@d ', "<sip:e?f=g,h>"]
    assert [a.uri_text for a in NameAddr.parse_list(rows)] == [
        "sip:a@b;x=1,2",
        "sip:c@d",
        "sip:e?f=g,h",
    ]
    assert len(NameAddr.parse_list(rows[0])) == 2
    assert NameAddr.parse_list("") == []


def test_changing() -> None:
    address = NameAddr.parse("Bell, A. <sip:a@b;lr>;X=1;tag=t")
    assert (
        str(address.with_params({"x": "a b", "new": None}))
        == '"Bell, A." <sip:a@b;lr>;X="a b";tag=t;new'
    )
    assert str(address.without_param("TAG").evolve(display_name="")) == "<sip:a@b;lr>;X=1"
    assert str(address.evolve(uri=Uri.parse("sip:c"), params={})) == '"Bell, A." <sip:c>'
    assert str(NameAddr.parse("sip:a;x").with_params({"tag": "1"})) == "<sip:a>;x;tag=1"
    made = NameAddr.build("sip:a@b;lr", display_name='q"\\', params={"+sip.instance": "<urn:x>"})
    assert str(made) == '"q\\"\\\\" <sip:a@b;lr>;+sip.instance="<urn:x>"'
    assert made.display_name == 'q"\\'


@pytest.mark.parametrize(
    ("uri", "name", "params"),
    [
        ("sip:a>;x=<y", "", {}),
        ("sip:a b", "", {}),
        ("sip:a", "x\r\ny", {}),
        ("sip:a", "", {"x;y": "1"}),
        ("sip:a", "", {"x": "1\n"}),
        ("sip:a", "", {"": "1"}),
        ("sip:a", "", {"x ": "1"}),
    ],
)
def test_what_would_not_be_one_address(uri: str, name: str, params: dict[str, str | None]) -> None:
    with pytest.raises(DecodeError):
        NameAddr.build(uri, display_name=name, params=params)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)


@given(
    _TEXT,
    st.dictionaries(
        st.from_regex(r"[a-z\-.+]{1,5}", fullmatch=True), st.none() | _TEXT, max_size=4
    ),
)
def test_names_and_values_read_back(name: str, params: dict[str, str | None]) -> None:
    made = NameAddr.build("sip:a@b", display_name=name, params=params)
    again = NameAddr.parse(str(made))
    assert again.display_name == name
    for key, value in params.items():
        # a value that is a quoted-string is written as one
        if value is None or not value.startswith('"'):
            assert again.params[key] == value


@given(
    st.sampled_from(["", "Bob ", '"Bob, \\"x" ']),
    st.sampled_from(["<sip:a@b.example;lr>", "<sips:[::1]:5061>"]),
    st.lists(st.sampled_from([";tag=a", " ; x = y", ';z="a;b"']), unique=True),
)
def test_another_parser_reads_the_same_address(name: str, uri: str, params: list[str]) -> None:
    text = name + uri + "".join(params)
    ours, theirs = NameAddr.parse(text), sipmessage.Address.parse(text)
    assert ours.display_name == theirs.name
    assert ours.uri_text == str(theirs.uri)
    assert ours.tag == theirs.parameters.get("tag")


# Via

VIAS = [
    # text, transport, host, port
    (
        "SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
        "UDP",
        "erlang.bell-telephone.com",
        5060,
    ),
    (
        "SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4",
        "UDP",
        "first.example.com",
        4000,
    ),
    ("SIP/2.0/tls [2001:DB8::9:1]:6050;branch=z", "TLS", "2001:db8::9:1", 6050),
    ("SIP/2.0/UNKNOWN t4.example.com", "UNKNOWN", "t4.example.com", None),
    ("SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw", "UDP", "c.example.com", None),
    ("SIP  /   2.0  /UDP     192.0.2.2;branch=390skdjuw", "UDP", "192.0.2.2", None),
]


@pytest.mark.parametrize(("text", "transport", "host", "port"), VIAS)
def test_vias(text: str, transport: str, host: str, port: int | None) -> None:
    via = Via.parse(text)
    assert str(via) == text
    assert (via.transport, via.host, via.port) == (transport, host, port)
    assert via.protocol == ("SIP/7.0" if "7.0" in text else "SIP/2.0")


def test_via_params() -> None:
    via = Via.parse(
        "SIP/2.0/UDP 10.0.0.1;Branch=z9hG4bKx;received=[2001:db8::9:255];rport=5062"
        ';maddr=h;ttl=15;ext="a,b"'
    )
    assert via.address == ip_address("10.0.0.1")
    assert (via.branch, via.received, via.rport) == ("z9hG4bKx", "2001:db8::9:255", 5062)
    assert (via.maddr, via.ttl, via.params["ext"]) == ("h", 15, "a,b")
    assert not via.asks_rport
    assert Via.parse("SIP/2.0/UDP h;received=2001:db8::9:255").received == "2001:db8::9:255"
    asking = Via.parse("SIP/2.0/UDP h;rport;branch=x")
    assert (asking.asks_rport, asking.rport, asking.received) == (True, None, None)
    changed = asking.with_params({"rport": "5060", "received": "::1"})
    assert str(changed) == "SIP/2.0/UDP h;rport=5060;branch=x;received=::1"
    assert str(changed.without_param("branch", "received")) == "SIP/2.0/UDP h;rport=5060"
    bare = Via.parse("SIP/2.0/UDP h")
    assert (bare.branch, bare.ttl, bare.maddr, bare.asks_rport) == (None, None, None, False)
    assert str(bare.with_params({"branch": "x"})) == "SIP/2.0/UDP h;branch=x"


def test_via_build_and_list() -> None:
    assert (
        str(Via.build("TCP", "::1", 5060, {"branch": "z9hG4bK1"}))
        == "SIP/2.0/TCP [::1]:5060;branch=z9hG4bK1"
    )
    rows = ['SIP/2.0/UDP a;x="1,2" , SIP/2.0/TCP b', "SIP/2.0/TLS c"]
    assert [via.host for via in Via.parse_list(rows)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "sip.header.via"),
        ("SIP/2.0/UDP", "sip.header.via"),
        ("SIP/2.0 UDP h", "sip.header.via"),
        ("SIP/2.0/UDPh", "sip.header.via"),
        ("SIP/2.0/UDP 192.0.2.15;;", "sip.header.via"),  # RFC 4475 3.1.2.1
        ("SIP/2.0/UDP h;branch=", "sip.header.via"),
        ("SIP/2.0/UDP h:;branch=x", "sip.header.via"),
        ("SIP/2.0/UDP 2001:db8::1", "sip.header.via"),
        ("SIP/2.0/UDP h:99999", "sip.uri.port"),
        ("SIP/2.0/UDP 10.0.0.256", "sip.uri.host"),
        ("SIP/2.0/UDP h\r\nX: y", "sip.header.via"),
    ],
)
def test_no_vias(text: str, code: str) -> None:
    assert refused(Via.parse, text) == code


def test_bad_numbers_of_a_via_are_told_when_they_are_read() -> None:
    via = Via.parse("SIP/2.0/UDP h;ttl=256;rport=70000")
    assert refused(lambda _: via.ttl, "") == "sip.header.number"
    assert refused(lambda _: via.rport, "") == "sip.uri.port"


@given(
    st.sampled_from(["UDP", "TCP", "TLS", "SCTP"]),
    st.sampled_from(["a.example.com", "10.0.0.1", "[2001:db8::1]"]),
    st.none() | st.integers(1, 65535),
    st.lists(
        st.sampled_from([";branch=z9hG4bK1", ";rport", ";received=10.0.0.1", " ; x = y"]),
        unique=True,
    ),
)
def test_another_parser_reads_the_same_via(
    transport: str, host: str, port: int | None, params: list[str]
) -> None:
    text = f"SIP/2.0/{transport} {host}{'' if port is None else f':{port}'}{''.join(params)}"
    ours = Via.parse(text)
    try:
        theirs = sipmessage.Via.parse(text)
    except ValueError:
        reject()
    assert (ours.transport, ours.host, ours.port) == (
        theirs.transport,
        theirs.host.strip("[]"),
        theirs.port,
    )
    assert ours.branch == theirs.parameters.get("branch")


# Parameters


def test_header_params() -> None:
    params = HeaderParams.parse(' ; a ;B = "x;\\"y" ; c=d ')
    assert params.pairs == (("a", None), ("B", '"x;\\"y"'), ("c", "d"))
    assert dict(params) == {"a": None, "b": 'x;"y', "c": "d"}
    assert str(params) == ';a;B="x;\\"y";c=d'
    assert str(params.updated({"c": "", "e": '"kept"'})) == ';a;B="x;\\"y";c="";e="kept"'
    assert HeaderParams.parse("").pairs == ()
    assert refused(HeaderParams.parse, ";") == "sip.header.parameter"


# Hostile


@pytest.mark.parametrize(
    "text",
    [
        "," * 65536,
        '"' * 65536,
        '"' * 65535,
        "\\" * 65536,
        '"' + "\\" * 65536,
        '"' + '\\"' * 32768,
        "<" * 65536,
        "<sip:a@b>" + ";" * 65536,
        "<sip:a@b>" + ";a" * 32768 + " ,",
        "<sip:a@b>" + ' ;a="b"' * 9000 + "<",
        "<sip:a@b>;a" + " " * 65536 + "b",
        " " * 30000 + "x" + " " * 30000 + "y",
        "a " * 32768,
        "sip:" + "a" * 65536 + "<",
        "SIP/2.0/UDP h" + ";a=b" * 16384 + '"',
        "SIP/2.0/UDP " + "a" * 65536,
        "SIP" + " " * 65536 + "/",
        "a/" * 32768,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    began = time.process_time()
    for part in [text, *split_list(text)[:100]]:
        for parse in (NameAddr.parse, Via.parse, HeaderParams.parse):
            try:
                parse(part)
            except DecodeError:
                continue
    assert time.process_time() - began < 0.5
