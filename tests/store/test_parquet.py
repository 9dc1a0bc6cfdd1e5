"""Parquet files put after one another are one that others can read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.store.parquet import MAGIC, join_footers, take_apart


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zstd", "data_page_version": "2.0", "write_page_index": True},
        {"use_dictionary": False, "write_statistics": False, "version": "1.0"},
    ],
)
def test_joined_files_are_one(tmp_path: Path, options: dict[str, Any]) -> None:
    tables = [
        pa.table(
            {
                "text": pa.array(
                    [None if n % 7 == 0 else f"é{n % 5}" for n in range(start, end)], pa.string()
                ),
                "number": pa.array(range(start, end), pa.int64()),
                "flag": pa.array([n % 2 == 0 for n in range(start, end)], pa.bool_()),
                "list": pa.array([[n] * (n % 3) for n in range(start, end)], pa.list_(pa.int64())),
            }
        )
        for start, end in ((0, 1000), (1000, 1001), (1001, 20_000), (20_000, 20_000))
    ]
    # More row groups than a short list of Thrift holds.
    tables += [tables[0].slice(10, 10)] * 20
    path = tmp_path / "joined.parquet"
    pieces = []
    with path.open("wb") as file:
        file.write(MAGIC)
        for table in tables:
            sink = io.BytesIO()
            pq.write_table(table, sink, row_group_size=max(table.num_rows, 1), **options)
            body, footer = take_apart(memoryview(sink.getvalue()))
            pieces.append((file.tell(), footer))
            file.write(body)
        file.write(join_footers(pieces))
    whole = pa.concat_tables(tables)
    assert pq.read_table(path).equals(whole)
    read = pq.ParquetFile(path)
    assert read.metadata.num_row_groups == len(tables)
    assert read.read_row_group(1).column("number").to_pylist() == [1000]
    assert duckdb.read_parquet(str(path)).to_arrow_table().to_pylist() == whole.to_pylist()
    found = duckdb.execute(f"SELECT text FROM '{path}' WHERE number = 15000").fetchall()
    assert found == [("é0",)]
