"""Parameters of control methods, checked."""

from __future__ import annotations

from typing import TypeVar, cast

from trunkline.errors import TrunklineError
from trunkline.net.control import Json

__all__ = ["Params", "bounded", "param"]

_T = TypeVar("_T")
_N = TypeVar("_N", int, float)
Params = dict[str, Json]
_REQUIRED = object()


def param(params: Params, name: str, kind: type[_T], default: object = _REQUIRED) -> _T:
    """The parameter ``name``, which is a ``kind``.

    Raises:
        TrunklineError: ``control.params``.
    """
    value = params.get(name, default)
    if value is _REQUIRED:
        raise TrunklineError("control.params", f"the parameter {name!r} is missing")
    if value is default or (type(value) is int and kind is float):
        return cast("_T", value)
    if type(value) is not kind:
        raise TrunklineError(
            "control.params", f"the parameter {name!r} is a {kind.__name__}, not {value!r:.80}"
        )
    return value


def bounded(
    params: Params, name: str, kind: type[_N], low: float, high: float, default: object = _REQUIRED
) -> _N:
    """A number from ``low`` to ``high``: JSON has infinities and numbers that no timer can take."""
    value = param(params, name, kind, default)
    if not low <= value <= high:  # so neither does "not a number" pass
        raise TrunklineError(
            "control.params", f"the parameter {name!r} is {low:g} to {high:g}, not {value!r:.80}"
        )
    return value
