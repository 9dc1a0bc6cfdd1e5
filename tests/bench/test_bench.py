"""The benches themselves: what would go wrong unnoticed until somebody runs them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from bench.clock import Clock
from bench.figures import Figure, table
from bench.soak_traffic import Placed

from bench import __main__ as everything
from bench import breakdown, runtimes, sip_breakdown, soak
from trunkline.store.calls import CallRecord

ROOT = Path(__file__).parents[2]
COMPILED = ("pydantic", "pydantic_core", "typer", "uvloop", "msgspec", "numpy")


def test_a_node_needs_nothing_that_is_compiled() -> None:
    """What keeps ``trunkline run`` able to start on PyPy."""
    code = (
        "import sys; "
        f"sys.modules.update(dict.fromkeys({COMPILED!r})); "
        "import trunkline.cli.main, trunkline.cli.run, trunkline.elements.node, "
        "trunkline.elements.proxy.process, trunkline.elements.charging.process"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_dependencies_for_pypy_are_pure_python(tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    runtimes._collect(folder)
    names = {path.name for path in folder.iterdir()}
    assert {"attr", "cattrs", "sqlalchemy", "prompt_toolkit", "rich"} <= names
    assert not {"cffi", "uvloop", "pydantic"} & names
    assert not [path for path in folder.rglob("*") if path.suffix in (".so", ".pyc")]


@pytest.mark.parametrize(("owner", "name", "layer"), breakdown._WRAPPED)
def test_what_the_breakdown_wraps_is_there(owner: type, name: str, layer: str) -> None:
    assert callable(getattr(owner, name))
    assert layer in breakdown.LAYERS


@pytest.mark.parametrize(("owner", "name", "layer"), sip_breakdown._WRAPPED)
def test_what_the_sip_breakdown_wraps_is_there(owner: object, name: str, layer: str) -> None:
    assert callable(getattr(owner, name))
    assert layer in sip_breakdown.LAYERS


def test_the_clock_counts_inner_time_once() -> None:
    clock = Clock(breakdown.LAYERS)

    def burn() -> int:
        return sum(range(200_000))

    inner = clock.wrap(burn, "MTP3")
    outer = clock.wrap(lambda: (burn(), inner(), inner()), "drivers")
    outer()
    assert clock.calls["MTP3"] == 2
    assert clock.calls["drivers"] == 1
    assert clock.spent["MTP3"] > clock.spent["drivers"] > 0


def test_the_page_has_a_place_for_every_bench() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    for name in ("machine", *everything._BENCHES):
        put = everything._put(page, name, "NEW")
        assert put.count("NEW") == page.count("NEW") + 1
        assert everything._put(put, name, "NEW") == put
    with pytest.raises(RuntimeError, match="no place for nothing"):
        everything._put(page, "nothing", "NEW")


def test_a_figure_shows_its_spread() -> None:
    assert f"{Figure.of([3.0, 1.0, 2.0]):.1f}" == "2.0 (1.0–3.0)"
    assert f"{Figure.of([3.0]):.1f}" == "3.0"
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


CALL = Placed("ExchangeA", "1", "3005", "614")
OUT = CallRecord(
    *("1", "ExchangeA", "outgoing", "3005", "614", 1.0, 2.0, 3.0, 16, 0, 1, 2, 3, "1"),
)
IN = replace(OUT, id="2", exchange="ExchangeD", direction="incoming")


def problems(*records: CallRecord) -> int:
    outcome = soak._Outcome()
    soak._check_calls([CALL], list(records), outcome)
    return len(outcome.problems)


def test_the_soak_finds_calls_unaccounted_for() -> None:
    assert problems(OUT, IN) == 0
    assert problems(replace(OUT, answer=None, cause=34)) == 0
    assert problems() == 1
    assert problems(OUT) == 1, "answered by nobody"
    assert problems(OUT, OUT, IN) == 1, "recorded twice"
    assert problems(OUT, replace(IN, answer=None)) == 1
    assert problems(replace(OUT, answer=None)) == 1, "ended normally, unanswered"
    before = replace(IN, id="3", calling="9", start=-9.0, end=0.0, direction="outgoing")
    assert problems(replace(OUT, answer=None), replace(before, answer=None)) == 0, "a lost RLC"
    assert problems(replace(OUT, answer=None, cause=99)) == 1, "no such cause is to be expected"
    assert problems(OUT, IN, replace(IN, calling="9")) == 1, "nobody placed it"
    assert problems(OUT, IN, replace(OUT, calling="9", answer=None, cause=27)) == 0, "refused"


def test_the_soak_measures_growth() -> None:
    samples = soak._Samples()
    samples.memory = {1: [50.0] * 20, 2: [50.0 + n for n in range(20)]}
    samples.files = {1: [10] * 20, 2: [10 + n // 5 for n in range(20)]}
    memory, files = samples.growth()
    assert memory == 10
    assert files == 2
    assert soak._Samples(memory={1: [1.0, 99.0]}, files={1: [1, 99]}).growth() == (0.0, 0)


def test_causes_are_counted() -> None:
    outcome = soak._Outcome()
    soak._check_calls([CALL], [OUT, IN], outcome)
    assert (outcome.answered, outcome.causes) == (1, Counter({16: 1}))
