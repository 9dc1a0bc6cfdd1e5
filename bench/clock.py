"""A clock around functions: whose time is whose."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

__all__ = ["Clock"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Clock:
    """Exclusive CPU seconds of a thread by layer.

    Time inside a wrapped function that another one calls counts for that one only. The clock itself
    costs a few percent: the figures are shares.
    """

    def __init__(self, layers: Iterable[str]) -> None:
        self.spent = dict.fromkeys(layers, 0.0)
        self.calls = dict.fromkeys(self.spent, 0)
        self._layer = ""
        self._since = 0.0

    def wrap(self, function: Callable[_P, _R], layer: str) -> Callable[_P, _R]:
        """Return ``function`` with its time counted for ``layer``."""
        read = time.thread_time
        spent, calls = self.spent, self.calls

        def timed(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            outer, now = self._layer, read()
            if outer:
                spent[outer] += now - self._since
            self._layer, self._since = layer, now
            calls[layer] += 1
            try:
                return function(*args, **kwargs)
            finally:
                now = read()
                spent[layer] += now - self._since
                self._layer, self._since = outer, now

        return timed

    def clear(self) -> None:
        """Begin anew."""
        for layer in self.spent:
            self.spent[layer] = 0.0
            self.calls[layer] = 0
