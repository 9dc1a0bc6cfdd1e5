"""URIs: any text is one URI, kept to the letter, or one DecodeError; what is built reads back."""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.sip.uri import Uri, escape_user, parse_uri

SEEDS = [
    b"sip:alice@10.0.0.1:5060;transport=tcp;lr",
    b"sips:alice;day=tuesday:secret@Example.COM?subject=project%20x&priority=urgent",
    b"sip:null-%00-null@[2001:db8::ffff:192.0.2.1]:5070;maddr=239.1.1.1;ttl=1;x=%41",
    b"sip:+1-212-555-1212;isub=1:1234@gateway.example;user=phone",
    b"tel:+1-201-555-0123;isub=12;phone-context=+1-2;m-x=%41",
    b"urn:service:sos",
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    text = data.decode(errors="surrogateescape")
    try:
        uri = parse_uri(text)
    except DecodeError:
        return
    assert str(uri) == text
    assert uri.equivalent(uri)
    if isinstance(uri, Uri):
        assert uri.evolve().equivalent(uri)
        changed = uri.with_params({"x-new": "1"}).evolve(port=1)
        assert (changed.user, changed.host, changed.port) == (uri.user, uri.host, 1)
        assert changed.headers_text == uri.headers_text
        if uri.username is not None:
            again = Uri.build(uri.host, user=escape_user(uri.username))
            assert (again.username, again.address) == (uri.username, uri.address)
