"""sip.uri, sip.host, sip.params: the standards' examples, round trips, refusals, hostile text."""

from __future__ import annotations

import string
import time
from ipaddress import ip_address

import pytest
import sipmessage
from hypothesis import given, reject
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.sip.params import Params
from trunkline.sip.uri import OtherUri, TelUri, Uri, escape_user, parse_uri, unescape

# RFC 3261 19.1.3 and 19.1.1; the long user part is RFC 4475 3.1.1.2's.
EXAMPLES = [
    "sip:alice@atlanta.com",
    "sip:alice:secretword@atlanta.com;transport=tcp",
    "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
    "sip:+1-212-555-1212:1234@gateway.com;user=phone",
    "sips:1212@gateway.com",
    "sip:alice@192.0.2.4",
    "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
    "sip:alice;day=tuesday@atlanta.com",
    "sip:alice@atlanta.com;maddr=239.255.255.1;ttl=15",
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too."
    "(doesn't-it)@example.com",
    "sip:[2001:db8::10]",
    "sip:user@[2001:db8::10]:5070;lr",
    "SIP:ALICE@AtLanTa.CoM;Transport=udp",
    "sip:host;;a=;b==x;",
    "sip:*21#@pbx_1:5062",
]


def refused(text: str) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        parse_uri(text)
    assert caught.value.code.startswith("sip.uri.")
    assert 0 <= caught.value.offset <= len(text)
    return caught.value


@pytest.mark.parametrize("text", EXAMPLES)
def test_text_is_kept(text: str) -> None:
    assert str(Uri.parse(text)) == text
    assert parse_uri(text) == Uri.parse(text)
    assert hash(Uri.parse(text)) == hash(Uri.parse(text))


def test_components() -> None:
    uri = Uri.parse("SIPS:a%3Bb:p%20w@Example.COM:5071;Transport=TCP;lr;x=%41?To=b%40c&body=a=b")
    assert (uri.scheme, uri.secure) == ("sips", True)
    assert (uri.user, uri.username, uri.password) == ("a%3Bb", "a;b", "p%20w")
    assert (uri.host, uri.port, uri.hostport) == ("example.com", 5071, "Example.COM:5071")
    assert (uri.address, uri.is_literal) == (None, False)
    assert list(uri.params.items()) == [("transport", "TCP"), ("lr", None), ("x", "%41")]
    assert (uri.transport, uri.loose, uri.maddr) == ("tcp", True, None)
    assert uri.headers == (("To", "b@c"), ("body", "a=b"))
    assert repr(uri) == f"Uri(text={uri.text!r})"


def test_a_part_that_is_absent_is_not_an_empty_one() -> None:
    uri = Uri.parse("sip:h")
    assert (uri.user, uri.username, uri.password, uri.port, uri.transport) == (None,) * 5
    assert (len(uri.params), uri.headers, uri.loose) == (0, (), False)
    assert Uri.parse("sip:alice:@h").password == ""


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("010.000.000.008", "10.0.0.8"),
        ("[::1]", "::1"),
        ("[2001:DB8::ffff:192.0.2.1]", "2001:db8::ffff:192.0.2.1"),
        ("[2001:db8:::192.0.2.1]", "2001:db8::192.0.2.1"),  # RFC 5118 4.10
    ],
)
def test_literals(host: str, address: str) -> None:
    uri = Uri.parse(f"sip:{host}:5060")
    assert uri.address == ip_address(address)
    assert uri.host == host.strip("[]").lower().replace(":::", "::")
    assert uri.hostport == f"{host}:5060"
    assert uri.port == 5060


def test_a_port_inside_the_brackets_is_part_of_the_address() -> None:
    # RFC 5118 4.3: ambiguous to people only.
    uri = Uri.parse("sip:[2001:db8::10:5070]")
    assert (uri.port, uri.address) == (None, ip_address("2001:db8::10:5070"))


@pytest.mark.parametrize("host", ["3com", "my_host.local", "4f2a9c", "a.b-c.example.", "x--y"])
def test_names_the_field_gives_to_hosts(host: str) -> None:
    assert Uri.parse(f"sip:{host}").host == host


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "scheme"),
        ("alice", "scheme"),
        ("1sip:x", "scheme"),
        (":x", "scheme"),
        ("<sip:alice@example.com>", "scheme"),
        ("sip:", "host"),
        ("sip:@example.com", "user"),
        ("sip:a b@example.com", "user"),
        ("sip:al\u00efce@example.com", "user"),
        ('sip:"a"@example.com', "user"),
        ("sip:alice@", "host"),
        ("sip:alice@exa mple.com", "host"),
        ("sip:alice@%65xample.com", "host"),
        ("sip:alice@-x.com", "host"),
        ("sip:alice@x-.com", "host"),
        ("sip:alice@a..b", "host"),
        ("sip:alice@example.1", "host"),
        ("sip:1234", "host"),
        ("sip:alice@10.0.0.256", "host"),
        ("sip:alice@10.0.0", "host"),
        ("sip:alice@[10.0.0.1]", "host"),
        ("sip:alice@[fe80::1%25eth0]", "host"),
        ("sip:[2001:db8:::1]", "host"),
        ("sip:[2001:db8::::192.0.2.1]", "host"),
        ("sip:[1::2::3]", "host"),
        ("sip:" + "a." * 200 + "com", "host"),
        ("sip:2001:db8::10", "port"),
        ("sip:alice@h:", "port"),
        ("sip:alice@h:65536", "port"),
        ("sip:alice@h:" + "0" * 9000, "port"),
        ("sip:alice@h:٣", "port"),
        ("sip:alice@h;a b", "parameter"),
        ('sip:alice@h;a="b"', "parameter"),
        ("sip:alice@h;a\n", "parameter"),
        ("sip:alice@h?a b=c", "header"),
        ("sip:alice@h;x?a<b", "header"),
        ("sip:al%4@h", "escape"),
        ("sip:alice@h;a=%zz", "escape"),
        ("sip:alice@h\n", "host"),
        ("tel:alice", "number"),
        ("tel:+", "number"),
        ("tel:+12;a b", "parameter"),
        ("tel:+12;a=%1", "escape"),
        ("tel:", "number"),
        ("mailto:", "opaque"),
        ("mailto:a b", "opaque"),
        ("mailto:%", "escape"),
    ],
)
def test_refusals_name_the_component(text: str, code: str) -> None:
    assert refused(text).code == f"sip.uri.{code}"


def test_refusals_do_not_repeat_a_whole_attack() -> None:
    for text in (
        "sip:" + "a" * 65000,
        "sip:" + "<" * 65000,
        "x" * 65000 + ":",
        "sip:h;" + '"' * 65000,
    ):
        assert len(str(refused(text))) < 400


def test_other_classes_refuse_each_others_schemes() -> None:
    for parse, text in ((Uri.parse, "tel:+1"), (TelUri.parse, "sip:h"), (OtherUri.parse, "h")):
        with pytest.raises(DecodeError) as caught:
            parse(text)
        assert caught.value.code == "sip.uri.scheme"


def test_nul_does_not_cut() -> None:
    # RFC 4475 3.1.1.4: null-%00-null and null are different users.
    uri = Uri.parse("sip:null-%00-null@example.com")
    assert uri.username == "null-\0-null"
    assert not uri.equivalent(Uri.parse("sip:null-@example.com"))
    assert not uri.equivalent(Uri.parse("sip:null-%00@example.com"))


def test_escaped_parameter_names() -> None:
    # RFC 4475 3.1.1.3
    uri = Uri.parse("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31")
    assert uri.loose
    assert uri.equivalent(Uri.parse("sip:caller@host5.example.net;lr;name=value%2541"))
    assert not uri.equivalent(Uri.parse("sip:caller@host5.example.net;lr;name=valueA"))
    value = uri.params["name"]
    assert value is not None
    assert unescape(value) == "value%41"
    assert str(uri.without_param("lr")) == "sip:cal%6Cer@host5.example.net;n%61me=v%61lue%25%34%31"


# Comparison: the sets of section 19.1.4.

EQUIVALENT = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=off"),
    ("sip:a@[2001:db8::1]", "sip:a@[2001:0DB8:0::1]"),  # RFC 5954 4.2
    ("sip:a%3bb@h", "sip:a%3Bb@h"),
    ("sip:h:5060", "sip:h:05060"),
    ("sip:a%23@h", "sip:a#@h"),
]

DIFFERENT = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    ("sip:a@h", "sips:a@h"),
    ("sip:a@h", "sip:h"),
    ("sip:a:@h", "sip:a@h"),
    ("sip:a:p@h", "sip:a:P@h"),
    ("sip:a%3Bb@h", "sip:a;b@h"),  # a reserved character is not its escape
    ("sip:a%253Bb@h", "sip:a%3Bb@h"),
    ("sip:a%2541b@h", "sip:aAb@h"),
    ("sip:h;lr", "sip:h;lr=on"),
    ("sip:h;maddr=10.0.0.1", "sip:h"),
    ("sip:h;user=phone", "sip:h"),
    ("sip:h;ttl=1", "sip:h"),
    ("sip:h;method=INVITE", "sip:h"),
    ("sip:h?a=1", "sip:h?a=1&a=1"),
    ("sip:a@10.0.0.1", "sip:a@[::ffff:10.0.0.1]"),
]


@pytest.mark.parametrize(("a", "b"), EQUIVALENT)
def test_equivalent(a: str, b: str) -> None:
    assert Uri.parse(a).equivalent(Uri.parse(b))
    assert Uri.parse(b).equivalent(Uri.parse(a))


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_not_equivalent(a: str, b: str) -> None:
    assert not Uri.parse(a).equivalent(Uri.parse(b))
    assert not Uri.parse(b).equivalent(Uri.parse(a))


# Building and changing


def test_evolve() -> None:
    uri = Uri.parse("sip:alice:pw@Example.com:5060;transport=tcp;lr?a=b")
    assert str(uri.evolve()) == str(uri)
    assert str(uri.evolve(user="bob")) == "sip:bob:pw@Example.com:5060;transport=tcp;lr?a=b"
    assert str(uri.evolve(user=None)) == "sip:Example.com:5060;transport=tcp;lr?a=b"
    assert (
        str(uri.evolve(password=None, headers="")) == "sip:alice@Example.com:5060;transport=tcp;lr"
    )
    assert str(uri.evolve(host="::1", port=None)) == "sip:alice:pw@[::1];transport=tcp;lr?a=b"
    assert str(uri.evolve(scheme="sips", params={})) == "sips:alice:pw@Example.com:5060?a=b"
    assert str(Uri.parse("sip:[2001:DB8::1]:5070").evolve(port=5061)) == "sip:[2001:DB8::1]:5061"
    assert str(Uri.parse("sip:[2001:DB8::1]").evolve(user="a")) == "sip:a@[2001:DB8::1]"
    assert uri.evolve(user="x") is not uri


def test_params_are_set_in_place() -> None:
    uri = Uri.parse("sip:h;Transport=tcp;lr")
    changed = uri.with_params({"transport": "udp", "ob": None})
    assert str(changed) == "sip:h;Transport=udp;lr;ob"
    assert str(changed.without_param("LR", "absent")) == "sip:h;Transport=udp;ob"
    assert str(uri) == "sip:h;Transport=tcp;lr"


def test_build() -> None:
    assert str(Uri.build("example.com")) == "sip:example.com"
    made = Uri.build("::1", user="a", port=5060, params={"lr": None}, scheme="sips")
    assert str(made) == "sips:a@[::1]:5060;lr"


@pytest.mark.parametrize(
    ("host", "user", "params"),
    [
        ("h", "a@b", {}),
        ("h", "a:b", {}),
        ("h;x=1", None, {}),
        ("h:5060", None, {}),
        ("h?a=b", None, {}),
        ("h", None, {"a;b": "1"}),
        ("h", None, {"a": "1?b=c"}),
        ("h", "", {}),
    ],
)
def test_a_delimiter_in_a_part_does_not_become_another_part(
    host: str, user: str | None, params: dict[str, str | None]
) -> None:
    with pytest.raises(DecodeError):
        Uri.build(host, user=user, params=params)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_any_user_can_be_written(user: str) -> None:
    uri = Uri.build("example.com", user=escape_user(user))
    assert uri.username == user
    assert unescape(escape_user(user)) == user


def test_octets_that_are_no_utf8_survive() -> None:
    user = Uri.parse("sip:%ff%00@h").username
    assert user is not None
    assert escape_user(user) == "%FF%00"


_LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)
_HOSTS = st.one_of(
    st.lists(_LABEL, min_size=1, max_size=3).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
_VALID = st.builds(
    lambda scheme, user, host, port, params: (
        f"{scheme}:{user}{host}{port}{''.join(f';{p}' for p in params)}"
    ),
    st.sampled_from(["sip", "sips", "SIP"]),
    st.one_of(st.just(""), st.from_regex(r"[a-zA-Z0-9\-_.!~*'()&=+$,;?/]{1,9}@", fullmatch=True)),
    _HOSTS,
    st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}")),
    st.lists(
        st.sampled_from(["lr", "transport=tcp", "x=%41", "user=phone", "maddr=10.0.0.1"]),
        unique=True,
    ),
)


@given(_VALID)
def test_round_trip(text: str) -> None:
    uri = Uri.parse(text)
    assert str(uri) == text
    assert uri.equivalent(uri)
    assert uri.evolve() == uri
    changed = uri.with_params({"ob": None})
    assert changed.without_param("ob").equivalent(uri)


@given(_VALID)
def test_another_parser_reads_the_same(text: str) -> None:
    ours = Uri.parse(text)
    try:
        theirs = sipmessage.URI.parse(text.replace("SIP:", "sip:"))
    except ValueError:
        reject()  # it takes "a0" and "0.0.0.0" for no host when nothing follows
    assert (ours.user, ours.port) == (theirs.user, theirs.port)
    assert ours.host == theirs.host.lower().strip("[]")


@given(
    st.text(alphabet=string.printable + "é\0", max_size=40), st.sampled_from(["", "sip:", "tel:"])
)
def test_any_text_is_a_uri_or_one_error(text: str, scheme: str) -> None:
    try:
        uri = parse_uri(scheme + text)
    except DecodeError:
        refused(scheme + text)
    else:
        assert str(uri) == scheme + text


@pytest.mark.parametrize(
    "text",
    [
        "sip:" + "a" * 65536,
        "sip:" + "a:" * 32768,
        "sip:" + "a;" * 32768 + "@",
        "sip:" + "%41" * 20000 + "@h",
        "sip:h" + ";a=b" * 16384 + "<",
        "sip:h" + ";" * 65536,
        "sip:h?" + "&=" * 32768 + " ",
        "sip:" + "a-." * 20000,
        "sip:a@" + "-" * 65536,
        "tel:" + "-" * 65536,
        "tel:+1" + ";a=b" * 16384 + " ",
        "x:" + "%" * 65536,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    began = time.process_time()
    try:
        uri = parse_uri(text)
    except DecodeError:
        pass
    else:
        assert uri.equivalent(uri)
    assert time.process_time() - began < 0.25


# tel: RFC 3966


def test_tel() -> None:
    uri = parse_uri("tel:+1-201-555-0123;isub=12;phone-context=x")
    assert isinstance(uri, TelUri)
    assert (uri.scheme, uri.number, uri.digits) == ("tel", "+1-201-555-0123", "+12015550123")
    assert (uri.is_global, uri.context) == (True, "x")
    assert uri.params["isub"] == "12"
    local = TelUri.parse("TEL:863-1234*A#;phone-context=+1-914-555")
    assert (local.is_global, local.digits, local.context) == (False, "8631234*a#", "+1-914-555")
    assert str(local) == "TEL:863-1234*A#;phone-context=+1-914-555"


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("tel:+1-201-555-0123", "tel:+1(201)555.0123", True),
        ("tel:+358-555-1234567;postd=pp22", "tel:+358-555-1234567;POSTD=PP22", True),
        ("tel:+1;postd=pp22;isub=1411", "tel:+1;isub=1411;postd=pp22", True),
        ("tel:1;phone-context=A.example", "tel:1;phone-context=a.example", True),
        ("tel:1;phone-context=+1-914", "tel:1;phone-context=+1914", True),
        ("tel:+1;ext=1-2", "tel:+1;ext=12", True),
        ("tel:+1;x=%41", "tel:+1;x=a", True),
        ("tel:1", "tel:+1", False),
        ("tel:+1", "tel:+1;x", False),
        ("tel:+1;x", "tel:+1;x=1", False),
        ("tel:1;phone-context=a-b.example", "tel:1;phone-context=ab.example", False),
    ],
)
def test_tel_comparison(a: str, b: str, same: bool) -> None:
    assert TelUri.parse(a).equivalent(TelUri.parse(b)) is same
    assert TelUri.parse(b).equivalent(TelUri.parse(a)) is same


@pytest.mark.parametrize(
    ("tel", "sip"),
    [  # the examples of RFC 3261 19.1.6
        ("tel:+358-555-1234567;postd=pp22", "sip:+358-555-1234567;postd=pp22@foo.com;user=phone"),
        ("tel:+358-555-1234567;POSTD=PP22", "sip:+358-555-1234567;postd=pp22@foo.com;user=phone"),
        (
            "tel:+358-555-1234567;tsp=a.b;phone-context=5",
            "sip:+358-555-1234567;phone-context=5;tsp=a.b@foo.com;user=phone",
        ),
        (
            "tel:+358-555-1234567;postd=pp22;isub=1411",
            "sip:+358-555-1234567;isub=1411;postd=pp22@foo.com;user=phone",
        ),
        (
            "tel:*21#;phone-context=x%25:[y]",
            "sip:*21%23;phone-context=x%25%3A%5By%5D@foo.com;user=phone",
        ),
    ],
)
def test_tel_to_sip(tel: str, sip: str) -> None:
    assert str(TelUri.parse(tel).to_sip("foo.com")) == sip


def test_sip_to_tel() -> None:
    uri = Uri.parse("sip:+358-555;postd=pp22@foo.com;user=phone")
    assert str(uri.to_tel()) == "tel:+358-555;postd=pp22"
    for text in ("sip:alice@foo.com", "sip:foo.com"):
        with pytest.raises(DecodeError) as caught:
            Uri.parse(text).to_tel()
        assert caught.value.code == "sip.uri.number"


# Other schemes


def test_other_schemes() -> None:
    uri = parse_uri("soap.BEEP://192.0.2.103:3002")
    assert isinstance(uri, OtherUri)
    assert (uri.scheme, uri.opaque) == ("soap.beep", "//192.0.2.103:3002")
    assert uri.equivalent(OtherUri.parse("SOAP.beep://192.0.2.103:3002"))
    assert not uri.equivalent(OtherUri.parse("soap.beep://192.0.2.103"))
    assert not uri.equivalent(Uri.parse("sip:h"))
    assert not Uri.parse("sip:h").equivalent(uri)
    assert not TelUri.parse("tel:+1").equivalent(uri)
    assert isinstance(parse_uri("urn:service:sos"), OtherUri)


# Params


def test_params_keep_order_case_and_doubles() -> None:
    params = Params([("Lr", None), ("x", "1"), ("X", "2")])
    assert (params["lr"], params["X"], len(params), list(params)) == (None, "1", 2, ["lr", "x"])
    assert params.pairs[2] == ("X", "2")
    assert "y" not in params
    assert params.updated({"X": "9", "new": None}).pairs == (
        ("Lr", None),
        ("x", "9"),
        ("new", None),
    )
    assert params.without("x").pairs == (("Lr", None),)
    assert repr(params) == "Params([('Lr', None), ('x', '1'), ('X', '2')])"
    with pytest.raises(KeyError):
        params["y"]
