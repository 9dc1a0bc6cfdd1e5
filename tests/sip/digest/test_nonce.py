"""Nonces known without memory, and the memory of their counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import TrunklineError
from trunkline.sip.digest import NonceMaker, NonceUse, ReplayWindow

SECRET = b"0123456789abcdef"
NOW = 1_700_000_000.25


@given(
    now=st.floats(0, 1e11).map(lambda seconds: round(seconds, 3)),
    random=st.binary(min_size=7, max_size=16),
    maker=st.integers(0, 65535),
)
def test_a_nonce_is_known_to_every_process_with_the_secret(
    now: float, random: bytes, maker: int
) -> None:
    text = NonceMaker(SECRET, "r", maker).make(now, random)
    nonce = NonceMaker(SECRET, "r", 7).open(text)
    assert nonce is not None
    assert nonce.maker == maker
    assert abs(nonce.issued - now) <= 0.002


def test_secret_and_realm_are_sealed_in() -> None:
    text = NonceMaker(SECRET, "r").make(NOW, bytes(7))
    assert NonceMaker(SECRET, "other").open(text) is None
    assert NonceMaker(SECRET[::-1], "r").open(text) is None


@given(at=st.integers(0, 35), character=st.sampled_from("ABCxyz019+/=-é"))
def test_a_changed_nonce_is_not_ours(at: int, character: str) -> None:
    maker = NonceMaker(SECRET, "r")
    text = maker.make(NOW, b"abcdefg")
    changed = text[:at] + character + text[at + 1 :]
    assert (maker.open(changed) is None) == (changed != text)


@given(st.text(max_size=40) | st.text("ABCabc+/=", min_size=36, max_size=36))
def test_any_text_is_no_nonce(text: str) -> None:
    assert NonceMaker(SECRET, "r").open(text) is None


@pytest.mark.parametrize(("secret", "maker"), [(b"short", 0), (SECRET, -1), (SECRET, 65536)])
def test_settings_that_cannot_work(secret: bytes, maker: int) -> None:
    with pytest.raises(TrunklineError, match=r"16 or more|0-65535"):
        NonceMaker(secret, "r", maker)


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(TrunklineError, match="7 random octets, not 6"):
        NonceMaker(SECRET, "r").make(NOW, bytes(6))


@given(st.lists(st.integers(1, 200), max_size=60))
def test_a_count_is_good_once_and_in_any_order_near_the_highest(counts: list[int]) -> None:
    window = ReplayWindow(300, 10)
    seen: set[int] = set()
    for count in counts:
        expected = NonceUse.FRESH
        if count in seen or (seen and count <= max(seen) - 64):
            expected = NonceUse.REPLAYED
        assert window.use("n", NOW, count, NOW) is expected
        if expected is NonceUse.FRESH:
            seen.add(count)
    assert window.replays == len(counts) - len(seen)


def test_the_highest_count_ends_nothing() -> None:
    window = ReplayWindow(300, 10)
    assert window.use("n", NOW, 0xFFFFFFFF, NOW) is NonceUse.FRESH
    assert window.use("n", NOW, 1, NOW) is NonceUse.REPLAYED
    assert window.use("n", NOW, 0xFFFFFFFE, NOW) is NonceUse.FRESH


def test_a_full_table_gives_up_a_window_but_not_the_protection() -> None:
    window = ReplayWindow(300, 2)
    for number, name in enumerate("abc"):
        assert window.use(name, NOW + number, 1, NOW + 3) is NonceUse.FRESH
    assert (len(window), window.evicted) == (2, 1)
    assert window.use("a", NOW, 1, NOW + 3) is NonceUse.FORGOTTEN
    assert window.use("a", NOW, 2, NOW + 3) is NonceUse.FORGOTTEN
    assert window.use("older", NOW - 1, 1, NOW + 3) is NonceUse.FORGOTTEN
    assert window.use("b", NOW + 1, 1, NOW + 3) is NonceUse.REPLAYED
    assert window.use("b", NOW + 1, 2, NOW + 3) is NonceUse.FRESH


def test_windows_of_old_nonces_make_room_by_themselves() -> None:
    window = ReplayWindow(10, 1000)
    for second in range(500):
        window.use(str(second), NOW + second, 1, NOW + second)
    assert len(window) <= 12
    assert window.evicted == 0
    # The clock set back does not make a spent nonce good again.
    assert window.use("3", NOW + 3, 1, NOW + 4) is NonceUse.FORGOTTEN
