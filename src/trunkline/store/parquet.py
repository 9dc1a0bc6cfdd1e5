"""Parquet files made of others: their bodies one after another, and one footer for them all.

A Parquet file is ``PAR1``, the row groups, a footer that says where each column of each row group
begins, the footer's length and ``PAR1``. The footer is a structure in Thrift's compact protocol;
to put row groups after others, only the places in it have to be moved. Nothing is encoded again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TypeAlias

__all__ = ["MAGIC", "join_footers", "take_apart"]

MAGIC = b"PAR1"

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)

_Value: TypeAlias = "int | float | bytes | bool | _List | _Struct"
_List: TypeAlias = "tuple[int, list[_Value]]"  # the type of the items, and they
_Struct: TypeAlias = "dict[int, tuple[int, _Value]]"  # by number: type and value

# FileMetaData
_NUM_ROWS, _ROW_GROUPS = 3, 4
# RowGroup
_COLUMNS, _FILE_OFFSET, _ORDINAL = 1, 5, 7
# ColumnChunk; its places are its own, those of its pages and of their indexes
_META_DATA = 3
_CHUNK_PLACES = (2, 4, 6)
# ColumnMetaData: the pages, an index, a dictionary, a Bloom filter
_PAGE_PLACES = (9, 10, 11, 14)


def take_apart(file: memoryview) -> tuple[memoryview, bytes]:
    """The body and the footer of a file that was written into memory."""
    (length,) = struct.unpack("<I", file[-8:-4])
    return file[len(MAGIC) : -8 - length], bytes(file[-8 - length : -8])


def join_footers(pieces: Iterable[tuple[int, bytes]]) -> bytes:
    """The end of a file: of the bodies that begin at these places, each with its own footer."""
    whole: _Struct | None = None
    groups: list[_Value] = []
    rows = 0
    for place, footer in pieces:
        found = _Reader(footer).struct()
        whole = found if whole is None else whole
        rows += _integer(found, _NUM_ROWS)
        for group in _items(found, _ROW_GROUPS):
            assert isinstance(group, dict)
            _move(group, place - len(MAGIC))
            if _ORDINAL in group:
                group[_ORDINAL] = (_I16, len(groups) & 0x7FFF)
            groups.append(group)
    assert whole is not None
    whole[_NUM_ROWS] = (_I64, rows)
    whole[_ROW_GROUPS] = (_LIST, (_STRUCT, groups))
    out = bytearray()
    _write_struct(out, whole)
    return bytes(out) + struct.pack("<I", len(out)) + MAGIC


def _move(group: _Struct, by: int) -> None:
    _move_places(group, (_FILE_OFFSET,), by)
    for chunk in _items(group, _COLUMNS):
        assert isinstance(chunk, dict)
        _move_places(chunk, _CHUNK_PLACES, by)
        data = chunk[_META_DATA][1]
        assert isinstance(data, dict)
        _move_places(data, _PAGE_PLACES, by)


def _move_places(of: _Struct, fields: Iterable[int], by: int) -> None:
    for field in fields:
        if field in of and (place := _integer(of, field)):  # 0: it is not used
            of[field] = (of[field][0], place + by)


def _integer(of: _Struct, field: int) -> int:
    value = of[field][1]
    assert isinstance(value, int)
    return value


def _items(of: _Struct, field: int) -> list[_Value]:
    value = of[field][1]
    assert isinstance(value, tuple)
    return value[1]


class _Reader:
    """Thrift's compact protocol, as far as a footer has it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> _Struct:
        found: _Struct = {}
        field = 0
        while kind := self._byte():
            step, kind = kind >> 4, kind & 15
            field = field + step if step else self._signed()
            value = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind)
            found[field] = (kind, value)
        return found

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _value(self, kind: int) -> _Value:
        if kind in (_I16, _I32, _I64):
            return self._signed()
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            head = self._byte()
            size = head >> 4
            if size == 15:
                size = self._unsigned()
            return head & 15, [self._value(head & 15) for _ in range(size)]
        if kind in (_TRUE, _FALSE, _BYTE):  # of a list
            return self._byte()
        if kind not in (_BINARY, _DOUBLE):
            raise ValueError(f"a Parquet footer has no values of type {kind}")
        size = self._unsigned() if kind == _BINARY else 8
        self._at += size
        return self._data[self._at - size : self._at]


def _write_unsigned(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _write_signed(out: bytearray, value: int) -> None:
    _write_unsigned(out, value << 1 if value >= 0 else ~(value << 1))


def _write_struct(out: bytearray, of: _Struct) -> None:
    before = 0
    for field, (kind, value) in of.items():
        step = field - before
        before = field
        if 1 <= step <= 15:
            out.append(step << 4 | kind)
        else:
            out.append(kind)
            _write_signed(out, field)
        if kind not in (_TRUE, _FALSE):
            _write(out, kind, value)
    out.append(0)


def _write(out: bytearray, kind: int, value: _Value) -> None:
    if isinstance(value, dict):
        _write_struct(out, value)
    elif isinstance(value, tuple):
        of, items = value
        out.append(min(len(items), 15) << 4 | of)
        if len(items) >= 15:
            _write_unsigned(out, len(items))
        for item in items:
            _write(out, of, item)
    elif isinstance(value, bytes):
        if kind == _BINARY:
            _write_unsigned(out, len(value))
        out += value
    elif kind in (_TRUE, _FALSE, _BYTE):
        out.append(int(value))
    else:
        _write_signed(out, int(value))
