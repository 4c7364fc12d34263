"""A data plan's folder tree: one JSONL file for each of its files, a conversation a line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing_folder, unwritable
from synthtutor.export.lines import encode

__all__ = ["MANIFEST", "k12", "k12_sample"]

MANIFEST = "k12.json"
_PLACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}/[a-z0-9][a-z0-9_-]{0,63}")
_FIELDS = (
    *("conversation_id", "scenario", "academic_context", "emotional_context", "conversation"),
    *("learning_objectives", "emotional_outcomes", "academic_outcomes"),
)


def k12(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write ``FOLDER/FILE.jsonl`` under ``path``, and ``k12.json`` with the number of lines of each.

    A line is the conversation alone: ``samples.jsonl`` has where it came from. Returns the number
    of conversations. Raises ConfigError, naming the sample, where one is none of a plan's.
    """
    counts: Counter[str] = Counter()
    with replacing_folder(path, known_by=(MANIFEST,)) as folder:
        try:
            folder.mkdir()
            _write(samples, folder, counts)
            told = {"files": dict(sorted(counts.items())), "conversations": counts.total()}
            (folder / MANIFEST).write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
        except OSError as error:
            raise unwritable(path, error) from error
    return counts.total()


def _write(samples: Iterable[dict[str, Any]], folder: Path, counts: Counter[str]) -> None:
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for sample in samples:
            line = encode(k12_sample(sample), name=sample.get("id"))
            place = f"{_place(sample)}.jsonl"
            if place not in files:
                (folder / place).parent.mkdir(exist_ok=True)
                files[place] = stack.enter_context((folder / place).open("xb"))
            files[place].write(line)
            counts[place] += 1


def _place(sample: dict[str, Any]) -> str:
    place = (sample.get("metadata") or {}).get("file")
    if not isinstance(place, str) or not _PLACE.fullmatch(place):
        raise ConfigError(
            f"sample {sample.get('id')!r}: metadata.file must be FOLDER/FILE in small letters, "
            f"found {str(place)[:80]!r}"
        )
    return place


def k12_sample(sample: dict[str, Any]) -> dict[str, Any]:
    """The conversation in a finished sample. Raises ConfigError, naming the sample, where there is none."""
    found = (sample.get("metadata") or {}).get("k12")
    if not isinstance(found, dict) or any(name not in found for name in _FIELDS):
        raise ConfigError(
            f"sample {sample.get('id')!r} is no conversation of a data plan: export the samples of "
            "the recipes k12-mix or annotate"
        )
    return found
