"""Gemini's batches as they come over the wire: how one stands, and what became of each request.

The SDK creates and cancels them, but cannot be trusted to read them: it refuses the whole batch
when one item's error has details, forgets why a batch failed and how many requests are done. So
they are read here, from the operation as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synthtutor.provider import BatchLimits, BatchStatus

__all__ = ["LIMITS", "items", "name_of", "named", "status"]

# Inline requests may have 20 MB in all. The SDK writes each character that is not ASCII as one or
# two six-byte escapes, three times its size in UTF-8 at worst. And a batch's tokens count against
# the account's limit of tokens in the queue (3 million for a small one): hence not more requests.
LIMITS = BatchLimits(requests=5000, megabytes=6.0)

_ENDED = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
_ENDED_WELL = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED"})


def status(operation: Mapping[str, Any]) -> BatchStatus:
    """How the batch stands."""
    metadata = _object(operation, "metadata")
    stats = _object(metadata, "batchStats")
    state = str(metadata.get("state", "")).partition("_STATE_")[2]  # BATCH_… or JOB_STATE_…
    ended = state in _ENDED or operation.get("done") is True
    detail = None
    if ended and state not in _ENDED_WELL:
        error = _object(operation, "error")
        reason = error.get("message") or "no reason given"
        detail = f"the batch ended as {state.lower() or 'a failure'}: {reason}"
    answered = items(operation) if ended else ()
    done = _count(stats, "successfulRequestCount") + _count(stats, "failedRequestCount")
    finished = done or len(answered)
    return BatchStatus(ended, finished, _count(stats, "requestCount") or finished, detail)


def items(operation: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The outcomes: objects with a ``response`` or an ``error``, and their ``metadata``."""
    for holder in (_object(operation, "response"), _output(operation)):
        found = _object(holder, "inlinedResponses").get("inlinedResponses")
        if isinstance(found, list):
            return [one for one in found if isinstance(one, dict)]
    return ()


def named(
    outcomes: Sequence[Mapping[str, Any]], in_order: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each outcome with its custom id: the one it was given, else the one that stood in its place."""
    for place, outcome in enumerate(outcomes):
        key = _object(outcome, "metadata").get("key")
        if key is None and len(outcomes) == len(in_order):
            key = in_order[place]
        if key is not None:
            yield str(key), outcome


def name_of(operations: Sequence[Mapping[str, Any]], label: str) -> str | None:
    """The batch that carries the label."""
    for operation in operations:
        if _object(operation, "metadata").get("displayName") == label:
            return str(operation.get("name"))
    return None


def _output(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    return _object(_object(operation, "metadata"), "output")


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _count(stats: Mapping[str, Any], name: str) -> int:
    """A 64-bit number, which JSON in Google's form carries as text; 0 is left out."""
    value = str(stats.get(name, ""))
    return int(value) if value.isdigit() else 0
