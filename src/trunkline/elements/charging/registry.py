"""Which method a call means, and what is answered: the dispatcher of Go's ``net/rpc``.

Names are ``Service.Method`` and their case counts. Services of later versions have the methods of
the earlier ones (``APIerSv2.GetCost`` is ``APIerSv1.GetCost``), and the old spelling of their names
is still understood (``ApierV1``), as in the reference. A service that has any method has ``Ping``.

Errors, in the reference's words:

- ``rpc: can't find service X.Y``, ``rpc: can't find method X.Y`` where there are others of that
  service, ``rpc: service/method request ill-formed: X``;
- Go's, where the argument is not of the method's type (``json: cannot unmarshal …``);
- ``MANDATORY_IE_MISSING: [Tenant Account]``;
- what a method raises as a `ApiError`; any other ``TrunklineError`` is ``SERVER_ERROR: `` and the
  reference's word for it, or its own sentence where the reference has none.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import Field, dataclass, field
from typing import Final, TypeAlias, TypeVar, cast

from trunkline.elements.charging.arguments import (
    ArgumentError,
    hints_of,
    is_zero,
    reader,
    wire_name,
)
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Call, Json, answer, refusal
from trunkline.jsonrpc.messages import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    SERVER_ERROR,
)
from trunkline.net.jsonrpc import Peer

__all__ = ["ApiError", "Declared", "Registry", "argument_of", "method", "names_of", "server_error"]

_F = TypeVar("_F", bound=Callable[..., object])
_Body: TypeAlias = "Callable[..., Json | Awaitable[Json]]"

_MARK: Final = "__rpc_methods__"

# What a service takes over from others, nearest first
_HEIRS: Final[dict[str, tuple[str, ...]]] = {
    "APIerSv2": ("APIerSv1",),
    "ApierV1": ("APIerSv1",),
    "ApierV2": ("APIerSv2", "APIerSv1"),
    "CDRsV2": ("CDRsV1",),
}


class ApiError(Exception):
    """Why a method has no result, in the words that go to the caller."""

    def __init__(self, text: str, code: int = SERVER_ERROR) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


@dataclass(frozen=True, slots=True)
class _Marked:
    names: tuple[str, ...]
    mandatory: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a method says of itself."""

    body: Callable[..., object]
    argument: type[object]
    mandatory: tuple[str, ...]
    """Names on the wire."""


@dataclass(frozen=True, slots=True)
class _Method:
    name: str
    body: _Body
    argument: type[object]
    read: Callable[[Json], object]
    mandatory: tuple[tuple[str, str], ...]
    """Names on the wire and in the dataclass."""
    with_peer: bool


def method(*names: str, mandatory: tuple[str, ...] = ()) -> Callable[[_F], _F]:
    """Have a method of a class answer calls of these names.

    It takes the argument, a dataclass (see ``arguments``), and maybe the `Peer` that calls; it
    returns the result or a coroutine of it. The ``mandatory`` fields, by their names on the wire,
    must not be empty.
    """

    def mark(function: _F) -> _F:
        setattr(function, _MARK, _Marked(names, mandatory))
        return function

    return mark


def server_error(problem: TrunklineError) -> str:
    """The words of a refusal for a problem: the reference's where it has some."""
    word = str(getattr(problem, "reference", ""))
    return f"SERVER_ERROR: {problem.message if word in ('', 'SERVER_ERROR') else word}"


def names_of(*services: object) -> list[str]:
    """The names of the methods of classes or objects, with the ``Ping`` of their services."""
    found: set[str] = set()
    for service in services:
        for _, function in inspect.getmembers(service, callable):
            marked = getattr(function, _MARK, None)
            if isinstance(marked, _Marked):
                found.update(marked.names)
    found |= {f"{name.rpartition('.')[0]}.Ping" for name in found}
    return sorted(found)


def argument_of(name: str, *services: object) -> type[object] | None:
    """The type that the method of this name takes, of those of classes or objects."""
    service, _, own = name.rpartition(".")
    wanted = {f"{each}.{own}" for each in (service, *_HEIRS.get(service, ()))}
    for each in services:
        for _, function in inspect.getmembers(each, callable):
            marked = getattr(function, _MARK, None)
            if isinstance(marked, _Marked) and wanted.intersection(marked.names):
                hints = hints_of(function)
                names = [each for each in inspect.signature(function).parameters if each != "self"]
                return cast("type[object]", hints[names[0]])
    return None


class Registry:
    """All methods; it is the handler of the servers."""

    def __init__(self, *services: object) -> None:
        self._methods: dict[str, _Method] = {}
        self._found: dict[str, _Method] = {}
        self._services: set[str] = set()
        self.add(*services)

    def add(self, *services: object) -> None:
        """Add the marked methods of objects.

        Raises:
            TypeError: a name is there already, or a method is not declared as it must be.
        """
        for service in services:
            for _, function in inspect.getmembers(service, callable):
                marked = getattr(function, _MARK, None)
                if isinstance(marked, _Marked):
                    self._add(cast("_Body", function), marked)
        self._found.clear()

    def _add(self, function: _Body, marked: _Marked) -> None:
        hints = hints_of(function)
        parameters = list(inspect.signature(function).parameters)
        if not 1 <= len(parameters) <= 2:
            raise TypeError(f"{function!r} takes an argument, and maybe the peer")
        argument = cast("type[object]", hints[parameters[0]])
        fields: dict[str, Field[object]] = getattr(argument, "__dataclass_fields__", {})
        known = {
            str(each.metadata.get("name") or wire_name(name)): name for name, each in fields.items()
        }
        missing = [name for name in marked.mandatory if name not in known]
        if missing:
            raise TypeError(f"{argument.__name__} has no field for {', '.join(missing)}")
        mandatory = tuple((name, known[name]) for name in marked.mandatory)
        for name in marked.names:
            if name in self._methods:
                raise TypeError(f"{name} is there twice")
            self._methods[name] = _Method(
                name, function, argument, reader(argument), mandatory, len(parameters) == 2
            )
            self._services.add(name.rpartition(".")[0])

    def declared(self) -> list[tuple[str, Declared]]:
        """Every method by its name; without those that are another's by inheritance."""
        found = {
            **{f"{service}.Ping": _PING for service in self._services},
            **self._methods,
        }
        return [
            (name, Declared(each.body, each.argument, tuple(wire for wire, _ in each.mandatory)))
            for name, each in sorted(found.items())
        ]

    def __call__(self, call: Call, peer: Peer) -> str | Awaitable[str]:
        """Carry out a call; see `trunkline.net.jsonrpc.Handler`."""
        if call.fault_code == INVALID_REQUEST and call.fault:
            return refusal(call, call.fault, call.fault_code)
        found = self._found.get(call.method) or self._find(call.method)
        if found is None:
            return refusal(call, self._not_found(call.method), METHOD_NOT_FOUND)
        try:
            if call.fault:
                raise ApiError(call.fault, call.fault_code)
            argument = found.read(call.argument)
            if found.mandatory:
                _check(found, argument)
            result = found.body(argument, peer) if found.with_peer else found.body(argument)
        except Exception as problem:
            return _refused(call, problem)
        if inspect.isawaitable(result):
            return _later(call, result)
        return answer(call, result)

    def _find(self, name: str) -> _Method | None:
        service, dot, own = name.rpartition(".")
        for each in (service, *_HEIRS.get(service, ())):
            found = self._methods.get(f"{each}{dot}{own}")
            if found is not None:
                self._found[name] = found
                return found
        if own == "Ping" and self._services.intersection((service, *_HEIRS.get(service, ()))):
            found = self._found[name] = _PING
            return found
        return None

    def _not_found(self, name: str) -> str:
        service, dot, _ = name.rpartition(".")
        if not dot:
            return f"rpc: service/method request ill-formed: {name}"
        known = self._services.intersection((service, *_HEIRS.get(service, ())))
        return f"rpc: can't find {'method' if known else 'service'} {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CGREvent:
    """What nothing of matters to a ``Ping``."""

    tenant: str = ""
    id: str = ""
    event: Mapping[str, Json] = field(default_factory=dict)


def _ping(args: CGREvent) -> Json:
    """Whether the service is there."""
    return "Pong"


_PING: Final = _Method("Ping", _ping, CGREvent, reader(CGREvent), (), with_peer=False)


def _check(found: _Method, argument: object) -> None:
    missing = [name for name, own in found.mandatory if is_zero(getattr(argument, own))]
    if missing:
        raise ApiError(f"MANDATORY_IE_MISSING: [{' '.join(missing)}]", INVALID_PARAMS)


async def _later(call: Call, result: Awaitable[Json]) -> str:
    try:
        return answer(call, await result)
    except Exception as problem:
        return _refused(call, problem)


def _refused(call: Call, problem: Exception) -> str:
    match problem:
        case ApiError():
            return refusal(call, problem.text, problem.code)
        case ArgumentError():
            return refusal(call, str(problem), INVALID_PARAMS)
        case TrunklineError():
            return refusal(call, server_error(problem), SERVER_ERROR)
    raise problem  # a bug: the connection reports it
