"""A Parquet file: one row a sample, its scalar metadata as columns."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from synthtutor.export.columns import Columns, batches, library
from synthtutor.export.destination import replacing

__all__ = ["parquet"]

_ROWS_PER_GROUP = 1000


def parquet(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write ``id``, ``messages``, scalar metadata and all ``metadata`` as JSON; how many rows.

    Needs pyarrow (the ``data`` extra).
    """
    pa, pq = library("pyarrow"), library("pyarrow.parquet")
    with (
        replacing(path) as temporary,
        TemporaryDirectory(prefix=".spool-", dir=temporary.parent) as folder,
    ):
        columns = Columns(samples, Path(folder) / "samples")
        schema = columns.schema()
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for batch in batches(columns.rows(), _ROWS_PER_GROUP):
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
    return columns.count
