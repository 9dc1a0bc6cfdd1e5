"""What a script has to ``await``: forgotten, it is told instead of looking fine.

``if request.authenticate():`` would let anybody in, since a coroutine is true.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, NoReturn, ParamSpec, Protocol, TypeVar

from trunkline.errors import TrunklineError

__all__ = ["Pending", "awaited"]

_T = TypeVar("_T")
_P = ParamSpec("_P")


class _Element(Protocol):
    def unawaited(self, name: str) -> None: ...


class _Owner(Protocol):
    @property
    def _element(self) -> _Element: ...


_S = TypeVar("_S", bound=_Owner)


class Pending(Coroutine[object, object, _T]):
    """Work that begins when it is awaited, or made a task of."""

    __slots__ = ("_begun", "_forgotten", "_name", "_work")

    def __init__(
        self, work: Coroutine[object, object, _T], name: str, forgotten: Callable[[str], None]
    ) -> None:
        self._work = work
        self._name = name
        self._forgotten = forgotten
        self._begun = False

    def __await__(self) -> Generator[object, None, _T]:
        self._begun = True
        return self._work.__await__()

    def send(self, value: object, /) -> object:
        """As a coroutine's."""
        self._begun = True
        return self._work.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
        /,
    ) -> object:
        """As a coroutine's."""
        self._begun = True
        return self._work.throw(kind if isinstance(kind, BaseException) else kind())

    def close(self) -> None:
        """As a coroutine's."""
        self._begun = True
        self._work.close()

    def __bool__(self) -> NoReturn:
        raise TrunklineError("script.unawaited", f"write await {self._name}")

    if not TYPE_CHECKING:  # or every attribute would seem to be there

        def __getattr__(self, name: str) -> NoReturn:
            """Say what is missing."""
            raise AttributeError(f"no {name} before it is there: write await {self._name}")

    def __del__(self) -> None:
        if not self._begun:
            self._work.close()
            self._forgotten(self._name)


def awaited(
    owner: str,
) -> Callable[
    [Callable[Concatenate[_S, _P], Coroutine[object, object, _T]]],
    Callable[Concatenate[_S, _P], Pending[_T]],
]:
    """Mark a method of what scripts call ``owner`` as one that has to be awaited."""

    def mark(
        method: Callable[Concatenate[_S, _P], Coroutine[object, object, _T]],
    ) -> Callable[Concatenate[_S, _P], Pending[_T]]:
        name = f"{owner}.{method.__name__}(…)"

        @wraps(method)
        def call(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> Pending[_T]:
            return Pending(method(self, *args, **kwargs), name, self._element.unawaited)

        return call

    return mark
