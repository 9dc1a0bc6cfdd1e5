"""Each fuzzer for a moment, with a fixed seed: the bounded run is ``make fuzz``."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import pytest
from tests.fuzz.mutate import mutated

FUZZERS = sorted(path.stem for path in Path(__file__).parent.glob("fuzz_*.py"))


@pytest.mark.parametrize("name", FUZZERS)
def test_a_few_thousand_inputs(name: str) -> None:
    module = importlib.import_module(f"tests.fuzz.{name}")
    generator = random.Random(0)
    seeds: list[bytes] = list(getattr(module, "SEEDS", ()))
    for _ in range(2000):
        data = mutated(seeds, generator)
        try:
            module.run(data)
        except Exception as problem:  # the input is what a reader of the failure needs
            pytest.fail(f"{name}: {problem!r} for input {data!r}")
