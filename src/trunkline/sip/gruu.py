"""Globally routable user agent URIs (RFC 5627): made for an instance, found again without a table.

A public GRUU is the address-of-record with the instance in ``gr`` (appendix A.1). A temporary one
hides both (section 3.1.2). Appendix A.2 maps it through a stored counter; here it carries what it
stands for, encrypted, so that nothing is stored for it: the address-of-record, a digest of the
instance, and the number that its bindings have while it is valid (``Binding.gruu``).

Encryption is HMAC-SHA-256 in counter mode under a random start value, sealed with another HMAC. The
text is filled up to a multiple of 64 octets, so that its length tells little.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from trunkline.errors import TrunklineError
from trunkline.sip.binding import Binding, Bindings, canonical_aor, normal_instance
from trunkline.sip.host import bracketed
from trunkline.sip.uri import AnyUri, Uri, unescape

__all__ = ["RANDOM", "Gruu", "GruuMaker", "public_gruu"]

RANDOM: Final = 10
"""Random octets that each temporary GRUU takes: the 80-bit distinguisher of appendix A.2."""
_PREFIX: Final = "tgruu."
_SEAL: Final = 10
_HEAD: Final = struct.Struct("!Q8sB")  # number, digest of the instance, length of what follows
_BLOCK: Final = 64
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Gruu:
    """What a GRUU stands for."""

    aor: str
    """The key of the address-of-record."""
    instance: str = ""
    """Of a public GRUU."""
    _digest: bytes = b""
    _number: int = 0

    def select(self, bindings: Iterable[Binding]) -> Bindings:
        """The bindings that it leads to (section 5.4).

        None: answer 480 for a public GRUU (section 5.3) and 404 for a temporary one, which ended
        with its last contact (section 5.1).
        """
        if self.instance:
            return tuple(b for b in bindings if b.instance == self.instance)
        return tuple(
            b
            for b in bindings
            if b.instance and b.gruu == self._number and _digest_of(b.instance) == self._digest
        )

    @property
    def temporary(self) -> bool:
        """Whether it hides the address-of-record."""
        return not self.instance


def _digest_of(instance: str) -> bytes:
    return hashlib.sha256(instance.encode("utf-8", "surrogateescape")).digest()[:8]


def public_gruu(aor: Uri, domain: str, instance: str) -> str:
    """The public GRUU of an instance (section 5.1): the address-of-record with ``gr``.

    Args:
        aor: as registered.
        domain: that it is in, in the place of an alias.
        instance: URN of the instance.
    """
    # param-unreserved and unreserved of RFC 3261 section 25.1 stand as they are.
    value = quote(instance, safe="[]/:&+$-_.!~*'()", errors="surrogateescape")
    return f"{aor.scheme}:{aor.user}@{bracketed(domain)};gr={value}"


class GruuMaker:
    """Makes and opens GRUUs of the domains served here.

    Args:
        secret: 16 octets or more; the same in all processes, and kept as long as GRUUs are to live.

    Raises:
        TrunklineError: ``sip.gruu-secret``.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise TrunklineError(
                "sip.gruu-secret", f"the secret has {len(secret)} octets: give it 16 or more"
            )
        self._encrypt = hmac.new(secret, b"gruu-encrypt\0", hashlib.sha256)
        self._seal = hmac.new(secret, b"gruu-seal\0", hashlib.sha256)

    def temporary(
        self, aor: Uri, domain: str, key: str, binding: Binding, random: bytes
    ) -> str | None:
        """A new temporary GRUU; ``None`` if the address-of-record is too long to hide.

        Args:
            aor: as registered: the GRUU has its scheme.
            domain: that it is in: the GRUU's host.
            key: of the address-of-record.
            binding: of the instance.
            random: 10 octets or more, fresh.
        """
        if len(random) < RANDOM:
            raise TrunklineError(
                "sip.gruu-secret", f"a GRUU takes {RANDOM} random octets, not {len(random)}"
            )
        name = key.encode("utf-8", "surrogateescape")
        if len(name) > _LONGEST:
            return None
        text = _HEAD.pack(binding.gruu, _digest_of(binding.instance), len(name)) + name
        text += bytes(-len(text) % _BLOCK)
        start = random[:RANDOM]
        data = start + self._ciphered(start, text)
        user = base64.urlsafe_b64encode(data + self._sealed(data)).decode("ascii").rstrip("=")
        return f"{aor.scheme}:{_PREFIX}{user}@{bracketed(domain)};gr"

    def open(self, uri: AnyUri, aliases: Mapping[str, str] | None = None) -> Gruu | None:
        """What a URI with ``gr`` stands for; ``None`` if it is no GRUU of ours: answer 404 (6.1).

        Args:
            uri: with the parameter ``gr``; without it, it is no GRUU.
            aliases: as for :func:`canonical_aor`.
        """
        if not isinstance(uri, Uri) or "gr" not in uri.params:
            return None
        instance = uri.params["gr"]
        if instance:
            key = canonical_aor(uri, aliases)
            return None if key is None else Gruu(key, normal_instance(unescape(instance)))
        user = uri.user or ""
        if not user.startswith(_PREFIX):
            return None
        encoded = user[len(_PREFIX) :]
        try:
            octets = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        data, seal = octets[:-_SEAL], octets[-_SEAL:]
        if not hmac.compare_digest(seal, self._sealed(data)):
            return None
        text = self._ciphered(data[:RANDOM], data[RANDOM:])
        number, digest, length = _HEAD.unpack_from(text)
        name = text[_HEAD.size : _HEAD.size + length].decode("utf-8", "surrogateescape")
        return Gruu(name, _digest=digest, _number=number)

    def _ciphered(self, start: bytes, text: bytes) -> bytes:
        stream = bytearray()
        for block in range(-(-len(text) // 32)):
            cipher = self._encrypt.copy()
            cipher.update(start + block.to_bytes(2, "big"))
            stream += cipher.digest()
        return bytes(a ^ b for a, b in zip(text, stream, strict=False))

    def _sealed(self, data: bytes) -> bytes:
        seal = self._seal.copy()
        seal.update(data)
        return seal.digest()[:_SEAL]
