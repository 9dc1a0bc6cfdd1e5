"""`make interop` keeps what it saw: one dated table a run in the page that it names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_outcomes: dict[str, str] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" or report.outcome != "passed":
        _outcomes[item.nodeid] = report.outcome


def pytest_sessionfinish() -> None:
    page = os.environ.get("TRUNKLINE_INTEROP_PAGE")
    if page and _outcomes:
        rows = [
            f"| {name.rpartition('/')[2].replace('::', ': ').replace('_', ' ')} | {outcome} |"
            for name, outcome in sorted(_outcomes.items())
        ]
        table = [f"\n## {time.strftime('%Y-%m-%d')}\n", "| test | outcome |", "|---|---|", *rows]
        with Path(page).open("a", encoding="utf-8") as file:
            file.write("\n".join(table) + "\n")
