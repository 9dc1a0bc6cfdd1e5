"""Nonces that need no memory to be known again, and the memory of their counts.

A nonce is the time it was made, the number of its maker, and random octets, sealed with an HMAC
under the domain's secret (RFC 7616 section 3.3 suggests the shape). Any process with the same
secret knows it, so that several workers and hosts challenge as one.

Replay protection is the nonce count (RFC 7616 section 3.4): each nonce in use has a window of
counts seen. The windows are this process's own. Where one client may reach several processes, a
request can be replayed once at each of them; a server that cannot accept that refuses the nonces of
other makers as stale (``Settings.share_nonces``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.sip.digest.algorithm import octets

__all__ = ["MIN_RANDOM", "Nonce", "NonceMaker", "NonceUse", "ReplayWindow"]

MIN_RANDOM: Final = 7
"""Random octets that each nonce takes."""
_HEAD: Final = 6 + 2 + MIN_RANDOM  # milliseconds, maker, randomness
_SEAL: Final = 12
_LENGTH: Final = (_HEAD + _SEAL) // 3 * 4  # 27 octets: base64 without padding
_WIDTH: Final = 64
"""Counts that may arrive out of order, behind the highest one seen."""


@dataclass(frozen=True, slots=True)
class Nonce:
    """What a nonce of ours says."""

    issued: float
    """Seconds since the epoch."""
    maker: int


class NonceMaker:
    """Makes and opens nonces of one domain.

    Args:
        secret: shared by all processes of the domain, 16 octets at least.
        realm: taken into the seal, so that no realm takes the nonces of another.
        maker: the number of this process, 0 to 65535.

    Raises:
        TrunklineError: ``sip.digest-settings`` for a short secret or a number out of range.
    """

    def __init__(self, secret: bytes, realm: str, maker: int = 0) -> None:
        if len(secret) < 16:
            raise TrunklineError(
                "sip.digest-settings", f"the secret has {len(secret)} octets: give it 16 or more"
            )
        if not 0 <= maker < 1 << 16:
            raise TrunklineError("sip.digest-settings", f"maker {maker} is not in 0-65535")
        self._seal = hmac.new(secret, octets(realm) + b"\0", hashlib.sha256)
        self._maker = maker.to_bytes(2, "big")

    def _sealed(self, head: bytes) -> bytes:
        seal = self._seal.copy()
        seal.update(head)
        return seal.digest()[:_SEAL]

    def make(self, now: float, random: bytes) -> str:
        """A new nonce; raises :class:`TrunklineError` ``sip.digest-settings`` if not random."""
        if len(random) < MIN_RANDOM:
            raise TrunklineError(
                "sip.digest-settings",
                f"a nonce takes {MIN_RANDOM} random octets, not {len(random)}",
            )
        head = int(now * 1000).to_bytes(6, "big") + self._maker + random[:MIN_RANDOM]
        return base64.b64encode(head + self._sealed(head)).decode("ascii")

    def open(self, text: str) -> Nonce | None:
        """What the nonce says; ``None`` if it was not made with our secret for our realm."""
        if len(text) != _LENGTH or not text.isascii():
            return None
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error:
            return None
        head = data[:_HEAD]
        if not hmac.compare_digest(data[_HEAD:], self._sealed(head)):
            return None
        return Nonce(int.from_bytes(head[:6], "big") / 1000, int.from_bytes(head[6:8], "big"))


class NonceUse(Enum):
    """What the memory of counts says to a request with a valid digest."""

    FRESH = "fresh"
    REPLAYED = "replayed"
    """This count was seen, or lies too far behind the highest one."""
    FORGOTTEN = "forgotten"
    """Whether it was seen is no longer known: the window was given up."""


@dataclass(slots=True)
class _Window:
    issued: float
    highest: int
    seen: int
    """Bit i: the count ``highest - i`` was seen."""


class ReplayWindow:
    """The counts seen of each nonce in use, for at most ``limit`` nonces.

    Only requests with a valid digest get this far, so that strangers cannot fill it. When it is
    full, the nonce that came into use first is given up (``evicted`` counts), and from then on no
    nonce as old as that one is taken into use: its client gets a new one with ``stale=true``. So a
    full table costs round trips, never the protection.
    """

    def __init__(self, lifetime: float, limit: int) -> None:
        self._lifetime = lifetime
        self._limit = limit
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._floor = float("-inf")
        self.evicted = 0
        self.replays = 0

    def __len__(self) -> int:
        return len(self._windows)

    def use(self, nonce: str, issued: float, count: int, now: float) -> NonceUse:
        """Note that a request with this nonce and count came, if it is the first."""
        window = self._windows.get(nonce)
        if window is None:
            if issued <= self._floor:
                return NonceUse.FORGOTTEN
            self._make_room(now)
            self._windows[nonce] = _Window(issued, count, 1)
            return NonceUse.FRESH
        ahead = count - window.highest
        if ahead > 0:
            shifted = window.seen << ahead if ahead < _WIDTH else 0
            window.seen = (shifted | 1) & ((1 << _WIDTH) - 1)
            window.highest = count
            return NonceUse.FRESH
        bit = 1 << -ahead if -ahead < _WIDTH else 0
        if not bit or window.seen & bit:
            self.replays += 1
            return NonceUse.REPLAYED
        window.seen |= bit
        return NonceUse.FRESH

    def _make_room(self, now: float) -> None:
        windows = self._windows
        # Two for each one that comes: the table cannot grow beyond what is alive.
        for _ in range(2):
            first = next(iter(windows.values()), None)
            if first is None or first.issued + self._lifetime >= now:
                break
            windows.popitem(last=False)
            self._floor = max(self._floor, first.issued)  # stays shut if the clock is set back
        if len(windows) >= self._limit:
            _, given_up = windows.popitem(last=False)
            self.evicted += 1
            self._floor = max(self._floor, given_up.issued)
