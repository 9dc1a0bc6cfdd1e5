"""The parent of several workers: what it does when one of them ends."""

from __future__ import annotations

import os
import time

import pytest

from trunkline.elements.proxy import process
from trunkline.elements.proxy.process import _Parent


class _Shared:
    served = b"\1"


def parent() -> _Parent:
    made = object.__new__(_Parent)
    made._children, made._delay, made._since, made._due = {}, {}, {}, {}
    made._shared = _Shared()  # type: ignore[assignment]
    made._log = lambda *words: None  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(("lived", "delays"), [(1.0, [0.2, 0.4, 0.8]), (61.0, [0.2, 0.2, 0.2])])
def test_who_has_worked_for_long_is_started_again_at_once(
    lived: float, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "waitpid", lambda *_: (77, 9))
    found = []
    made = parent()
    for _ in delays:
        made._children, made._since = {77: 0}, {0: time.monotonic() - lived}
        before = time.monotonic()
        made._reap()
        found.append(round(made._due.pop(0) - before, 1))
    assert found == delays


def test_a_worker_that_ends_by_an_exception_says_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("why it ended")

    def end(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(process, "_run_worker", fails)
    monkeypatch.setattr(process, "Workers", lambda *_: None)
    monkeypatch.setattr(process._Signals, "forget", lambda: None)
    made = parent()
    made._plan = None  # type: ignore[assignment]
    with pytest.raises(SystemExit, match="1"):
        made._start(0)
    said = capsys.readouterr().err
    assert "why it ended" in said
    assert "in fails" in said
