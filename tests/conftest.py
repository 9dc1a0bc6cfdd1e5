"""What every test may use: the conformance vectors and a count of those that ran."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ran: set[str] = set()
_skipped: set[str] = set()


@pytest.fixture
def vectors(request: pytest.FixtureRequest) -> Path:
    """The folder of conformance vectors named by TRUNKLINE_VECTORS."""
    named = os.environ.get("TRUNKLINE_VECTORS")
    if not named or not Path(named).is_dir():
        _skipped.add(request.node.nodeid)
        pytest.skip(f"conformance vectors absent: TRUNKLINE_VECTORS={named!r} names no folder")
    _ran.add(request.node.nodeid)
    return Path(named)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"vector tests: {len(_ran)} ran, {len(_skipped)} skipped")
