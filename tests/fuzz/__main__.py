"""Run every fuzzer for a bounded time: ``python -m tests.fuzz --seconds 60``.

A fuzzer is a module ``fuzz_<room>.py`` with ``run(data: bytes) -> None``, which raises when its
invariant breaks, and may have ``SEEDS``, valid inputs to mutate. Inputs come from a seeded
generator, so that a failure can be repeated: it is printed with its seed and its octets.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
from pathlib import Path

from tests.fuzz.mutate import mutated


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each fuzzer")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = time.time_ns() if options.seed is None else options.seed
    failed = False
    for path in sorted(Path(__file__).parent.glob("fuzz_*.py")):
        module = importlib.import_module(f"tests.fuzz.{path.stem}")
        seeds: list[bytes] = list(getattr(module, "SEEDS", ()))
        generator = random.Random(seed)
        runs = 0
        deadline = time.monotonic() + options.seconds
        while time.monotonic() < deadline:
            data = mutated(seeds, generator)
            try:
                module.run(data)
            except Exception as problem:
                print(f"{path.stem}: {problem!r}\n  seed {seed}, run {runs}\n  input {data!r}")
                failed = True
                break
            runs += 1
        print(f"{path.stem}: {runs} inputs")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
