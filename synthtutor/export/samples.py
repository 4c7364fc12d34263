"""Everything about every sample, as JSON Lines with sorted keys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthtutor.export.lines import encode, write_lines

__all__ = ["rejected", "samples"]


def samples(finished: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write the samples with all their metadata; how many."""
    return write_lines(
        (encode(sample, name=sample.get("id"), sort=True) for sample in finished), path
    )


def rejected(finished: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write samples that were not kept; each has a list ``metadata.reasons``. How many."""
    return samples(map(_with_reasons, finished), path)


def _with_reasons(sample: dict[str, Any]) -> dict[str, Any]:
    metadata = sample.get("metadata") or {}
    reasons = metadata.get("reasons") or []
    listed = [reasons] if isinstance(reasons, str) else list(reasons)
    return {**sample, "metadata": {**metadata, "reasons": listed}}
