"""Finished samples → files that other tools load.

A finished sample is ``{"id": str, "messages": [{"role", "content"}, ...], "metadata": {...}}``.
An exporter takes an iterable of them and a destination, writes it in one step, and returns the
number of rows. The same samples give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from synthtutor.errors import ConfigError
from synthtutor.export.finetune import finetune
from synthtutor.export.grading import grading
from synthtutor.export.huggingface import hf_dataset
from synthtutor.export.instruction import instruction
from synthtutor.export.k12 import k12
from synthtutor.export.labels import labels
from synthtutor.export.pairs import pairs
from synthtutor.export.parquet import parquet
from synthtutor.export.samples import rejected, samples
from synthtutor.export.sharegpt import sharegpt
from synthtutor.export.tagged import tagged
from synthtutor.export.turns import tutor_turns

__all__ = ["FORMATS", "Format", "export"]


class Format(NamedTuple):
    """An exporter, and what its file or folder is called in a run's folder."""

    write: Callable[[Iterable[dict[str, Any]], str | Path], int]
    name: str


FORMATS: dict[str, Format] = {
    "finetune": Format(finetune, "finetune.jsonl"),
    "samples": Format(samples, "samples.jsonl"),
    "rejected": Format(rejected, "rejected.jsonl"),
    "parquet": Format(parquet, "samples.parquet"),
    "hf-dataset": Format(hf_dataset, "hf-dataset"),
    "sharegpt": Format(sharegpt, "sharegpt.jsonl"),
    "instruction": Format(instruction, "instruction.jsonl"),
    "preference": Format(pairs, "preference.jsonl"),
    "tutor-turns": Format(tutor_turns, "tutor-turns.jsonl"),
    "labels": Format(labels, "labels.jsonl"),
    "k12": Format(k12, "k12"),
    "tagged": Format(tagged, "tagged.jsonl"),
    "grading": Format(grading, "grading"),
}


def export(finished: Iterable[dict[str, Any]], path: str | Path, *, format: str) -> int:  # noqa: A002 - the word users say
    """Write the samples in the format named; how many rows. Raises ConfigError at an unknown name."""
    if format not in FORMATS:
        raise ConfigError(f"no export format {format!r}: choose one of {', '.join(FORMATS)}")
    return FORMATS[format].write(finished, path)
