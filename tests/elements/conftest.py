"""Every test here has a runtime and a state folder of its own, and a wall clock that can jump."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.elements.clock import EPOCH, JumpingLoop


def _wall() -> float:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return EPOCH
    return loop.wall() if isinstance(loop, JumpingLoop) else time.time()


@pytest.fixture(autouse=True)
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where control sockets and saved configurations of the test lie."""
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    clock = SimpleNamespace(time=_wall, gmtime=time.gmtime)
    for module in ("ssp", "log", "node", "commands"):
        monkeypatch.setattr(f"trunkline.elements.{module}.time", clock)
    return folder
