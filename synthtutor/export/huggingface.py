"""A folder that ``datasets.load_from_disk`` opens, with the columns of the Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from synthtutor.export.columns import Columns, library
from synthtutor.export.destination import replacing_folder

__all__ = ["hf_dataset", "without_bars"]

_KNOWN_BY = ("state.json", "dataset_info.json", "dataset_dict.json")


def hf_dataset(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write a Hugging Face dataset folder; how many rows.

    Needs the ``data`` extra. Nothing is uploaded or looked up, and nothing is left in a cache.
    """
    datasets = library("datasets")
    with (
        replacing_folder(path, known_by=_KNOWN_BY) as temporary,
        TemporaryDirectory(prefix=".spool-", dir=temporary.parent) as folder,
        without_bars(datasets),
    ):
        columns = Columns(samples, Path(folder) / "samples")
        features = datasets.Features.from_arrow_schema(columns.schema())
        if columns.count:
            # A fixed fingerprint: the library's own is random for a generator, and it is written.
            dataset = datasets.Dataset.from_generator(
                columns.rows,
                features=features,
                cache_dir=str(Path(folder) / "cache"),
                fingerprint="synthtutor",
            )
        else:
            dataset = datasets.Dataset.from_dict({name: [] for name in features}, features=features)
        # Left to itself, the library writes no file for no rows, and then cannot load the folder.
        dataset.save_to_disk(str(temporary), num_shards=None if columns.count else 1)
    return columns.count


@contextmanager
def without_bars(datasets: Any) -> Iterator[None]:
    """Keep the library ``datasets`` from drawing its progress bars."""
    if datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
