"""Inputs for the fuzzers: valid ones with a few octets changed, cut, doubled or inserted."""

from __future__ import annotations

import random
from collections.abc import Sequence

_INTERESTING = (0x00, 0x01, 0x7F, 0x80, 0xFF)


def mutated(seeds: Sequence[bytes], generator: random.Random) -> bytes:
    """One input: random octets now and then, else one of ``seeds`` with one to six changes."""
    if not seeds or generator.random() < 0.1:
        return generator.randbytes(generator.randrange(300))
    data = bytearray(generator.choice(seeds))
    for _ in range(generator.randint(1, 6)):
        at = generator.randrange(len(data) + 1)
        match generator.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << generator.randrange(8)
            case 1 if at < len(data):
                data[at] = generator.choice(_INTERESTING)
            case 2:
                del data[at : at + generator.randint(1, 8)]
            case 3:
                data[at:at] = generator.randbytes(generator.randint(1, 8))
            case _:
                data[at:at] = data[at : at + generator.randint(1, 32)]
    return bytes(data)
