"""The API as a document of OpenAPI 3.1: every method is a POST of its argument.

Made of what the methods declare; the texts are the first lines of their docstrings.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from trunkline import __version__
from trunkline.elements.charging.arguments import Duration, Instant, hints_of, wire_name
from trunkline.elements.charging.registry import Declared, Registry
from trunkline.jsonrpc import Json

__all__ = ["document"]

_SCALARS: Final[Mapping[object, Mapping[str, Json]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int64"},
    Duration: {"type": "integer", "format": "int64", "description": "Nanoseconds."},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    Instant: {"type": "string", "format": "date-time"},
    object: {},
}
_ERRORS: Final = {
    "400": "The argument is not of the method's type, or lacks what is mandatory.",
    "404": "There is no such method.",
    "422": "The method refuses: `message` is the reference's word, or a reason.",
    "500": "A fault of the server's own.",
}


def document(registry: Registry) -> Json:
    """The document for the methods of ``registry``."""
    schemas: dict[str, Json] = {
        "Error": {
            "type": "object",
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
            "required": ["code", "message"],
        }
    }
    paths = {f"/api/{name}": _path(name, each, schemas) for name, each in registry.declared()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trunkline: charging",
            "version": __version__,
            "description": "The methods of CGRateS's API, each a POST of its one argument; the"
            " answer is the result alone. The same by JSON-RPC: POST /jsonrpc.",
        },
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _path(name: str, declared: Declared, schemas: dict[str, Json]) -> Json:
    words = inspect.getdoc(declared.body) or ""
    schema = _schema(declared.argument, schemas, declared.mandatory)
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "post": {
            "operationId": name,
            "tags": [name.partition(".")[0]],
            "summary": words.partition("\n")[0],
            "requestBody": {"content": {"application/json": {"schema": schema}}},
            "responses": {
                "200": {"description": "The result.", "content": {"application/json": {}}},
                **{
                    status: {"description": text, "content": error}
                    for status, text in _ERRORS.items()
                },
            },
        }
    }


def _schema(declared: object, schemas: dict[str, Json], mandatory: Iterable[str] = ()) -> Json:
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if declared in _SCALARS:
        return _SCALARS[declared]
    if origin in (types.UnionType, typing.Union):
        [wanted] = [each for each in arguments if each is not type(None)]
        return {"anyOf": [_schema(wanted, schemas), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], schemas)}
    if origin in (Mapping, dict):
        return {"type": "object", "additionalProperties": _schema(arguments[1], schemas)}
    assert isinstance(declared, type)
    assert dataclasses.is_dataclass(declared)
    name = declared.__name__
    if name not in schemas:
        schemas[name] = {}  # it may lead back to itself
        hints = hints_of(declared)
        schemas[name] = {
            "type": "object",
            "properties": {
                str(each.metadata.get("name") or wire_name(each.name)): _schema(
                    hints[each.name], schemas
                )
                for each in dataclasses.fields(declared)
            },
        }
    reference: Json = {"$ref": f"#/components/schemas/{name}"}
    return {"allOf": [reference], "required": [*mandatory]} if mandatory else reference
