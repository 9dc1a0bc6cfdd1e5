"""GRUUs: found again, hidden, and not to be made by others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import TrunklineError
from trunkline.sip.binding import Binding
from trunkline.sip.gruu import GruuMaker, public_gruu
from trunkline.sip.uri import Uri, parse_uri

MAKER = GruuMaker(b"sixteen octets !")
AOR = Uri.parse("sip:alice@example.com")
KEY = "sip:alice@example.com"


def binding(instance: str = "urn:x:1", gruu: int = 7) -> Binding:
    return Binding("sip:a@h", "id", 1, 2.0, 1.0, 1.0, instance=instance, gruu=gruu)


def temporary(random: bytes, of: Binding | None = None, key: str = KEY) -> str:
    made = MAKER.temporary(AOR, "example.com", key, of or binding(), random)
    assert made is not None
    return made


@given(
    key=st.text(st.characters(codec="utf-8"), max_size=50),
    number=st.integers(0, 2**63),
    instance=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    random=st.binary(min_size=10, max_size=12),
)
def test_a_temporary_gruu_leads_to_its_instance(
    key: str, number: int, instance: str, random: bytes
) -> None:
    own = binding(instance, number)
    gruu = MAKER.open(Uri.parse(temporary(random, own, key)))
    assert gruu is not None
    assert (gruu.aor, gruu.temporary) == (key, True)
    others = [binding(instance, number + 1), binding(f"{instance}x", number), binding("", number)]
    assert gruu.select([own, *others]) == (own,)


def test_two_of_one_instance_have_nothing_in_common() -> None:
    one, two = temporary(b"ten octets"), temporary(b"TEN OCTETS")
    assert len(one) == len(two)
    assert "alice" not in one
    same = sum(a == b for a, b in zip(one[10:], two[10:], strict=True))
    assert same < len(one) / 3


def test_the_length_says_little() -> None:
    lengths = {len(temporary(b"ten octets", key=f"sip:{'a' * n}@h")) for n in range(1, 40)}
    assert len(lengths) == 1


@given(at=st.integers(6, 60), character=st.sampled_from("ABCxyz09-_"))
def test_a_changed_one_is_not_ours(at: int, character: str) -> None:
    text = temporary(b"ten octets")
    user = text[4 : text.index("@")]
    changed = user[:at] + character + user[at + 1 :]
    opened = MAKER.open(Uri.parse(f"sip:{changed}@example.com;gr"))
    assert (opened is None) == (changed != user)
    assert GruuMaker(b"another sixteen.").open(Uri.parse(text)) is None


@pytest.mark.parametrize(
    "uri",
    [
        "sip:alice@example.com",
        "sip:alice@example.com;gr",
        "sip:tgruu.@example.com;gr",
        "sip:tgruu.AAAA@example.com;gr",
        "sip:tgruu.%00@example.com;gr",
        "sip:example.com;gr",
        "tel:+1;gr=1",
    ],
)
def test_what_is_no_gruu_of_ours(uri: str) -> None:
    assert MAKER.open(parse_uri(uri)) is None


@given(st.text("ABCabc019-_", max_size=200))
def test_any_user_part_is_no_gruu(text: str) -> None:
    assert MAKER.open(Uri.parse(f"sip:tgruu.{text}@example.com;gr")) is None


def test_a_public_gruu_is_the_address_with_the_instance() -> None:
    aor = Uri.parse("sip:alice:secret@EXAMPLE.com:5060;transport=tcp?a=b")
    assert public_gruu(aor, "example.com", "urn:uuid:f8") == "sip:alice@example.com;gr=urn:uuid:f8"
    odd = 'urn:x:"a;b=c"?\u00e9'
    gruu = MAKER.open(Uri.parse(public_gruu(aor, "2001:db8::1", odd)))
    assert gruu is not None
    assert (gruu.aor, gruu.instance) == ("sip:alice@[2001:db8::1]", odd)
    assert gruu.select([binding(odd), binding()]) == (binding(odd),)
    # "urn:uuid:" is compared without regard to case.
    upper = MAKER.open(Uri.parse("sip:alice@example.com;gr=URN:UUID:F8"))
    assert upper is not None
    assert upper.select([binding("urn:uuid:f8")])


def test_what_cannot_be_made() -> None:
    assert MAKER.temporary(AOR, "example.com", "x" * 256, binding(), bytes(10)) is None
    with pytest.raises(TrunklineError, match="10 random octets"):
        temporary(b"short")
    with pytest.raises(TrunklineError, match="16 or more"):
        GruuMaker(b"short")
