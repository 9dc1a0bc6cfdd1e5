"""A progress bar for work that turns out to be long."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from trunkline.cli.output import error_console

__all__ = ["Bar"]

_PATIENCE = 2.0  # seconds before a bar is worth showing


class Bar:
    """Shown on standard error, where that is a terminal, once the work has taken two seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._start = time.monotonic()
        self._progress: Progress | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, amount: int) -> None:
        """``amount`` more of the total is done."""
        self._done += amount
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=self._done)
        elif time.monotonic() - self._start >= _PATIENCE:
            self._show()

    def _show(self) -> None:
        out = error_console()
        if not out.is_terminal:
            self._start = float("inf")
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=out,
            transient=True,
        )
        self._progress.start()
        self._progress.add_task(self._what, total=self._total, completed=self._done)
