"""How message batches are told apart, and what became of each of their requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Collection, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from synthtutor_anthropic_messages import response_of

from synthtutor.errors import ProviderError, Unavailable, Unreadable
from synthtutor.messages import Response
from synthtutor.provider import BatchStatus, error_for_status, redact, scrubbed

if TYPE_CHECKING:
    from anthropic.resources.messages import AsyncBatches
    from anthropic.types.messages import MessageBatch

__all__ = ["checked", "found", "outcome", "results", "status_of"]

# What an error's type would have been as an HTTP status, had the request been sent by itself.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_ENOUGH = 20  # results that are read to recognise a batch

_Answer = TypeVar("_Answer")
_Item = Mapping[str, Any]  # a line of the results


def checked(batch: MessageBatch) -> MessageBatch:
    """The batch, if it is one: the SDK builds its objects from whatever comes, without looking."""
    if getattr(batch, "id", None) and getattr(batch, "request_counts", None):
        return batch
    raise Unavailable("the reply is not a message batch")


def status_of(batch: MessageBatch) -> BatchStatus:
    """How the batch stands; one whose results were removed (after 29 days) has failed."""
    total = _size(batch)
    return BatchStatus(
        done=batch.processing_status == "ended",
        finished=total - batch.request_counts.processing,
        total=total,
        detail="archived: its results can no longer be read" if batch.archived_at else None,
    )


async def found(batches: AsyncBatches, custom_ids: Collection[str], since: datetime) -> str | None:
    """The batch created after ``since`` that holds these ids, None where there is none.

    The API keeps no label, and shows what a batch holds only when it has ended. So: of the
    batches of this size, one that has ended is recognised by its results. If there is none, and
    exactly one has not ended, it is that one (were it another's of the same size, its results
    would name none of our ids, and count as not answered: time is lost, not money). With several,
    guessing wrong would submit and pay for everything twice: Unavailable says to ask again, as
    they can be told apart when they have ended.
    """
    unknown: list[str] = []
    page = await _answered(batches.list(limit=100))
    if not isinstance(getattr(page, "data", None), list):
        raise Unavailable("the reply is not a list of batches")
    async for batch in page:  # the newest first
        if checked(batch).created_at < since:
            break
        if _size(batch) != len(custom_ids):
            continue
        if batch.processing_status != "ended":
            unknown.append(batch.id)
        elif batch.results_url and await _holds(batches, batch.id, custom_ids):
            return batch.id
    if len(unknown) > 1:
        raise Unavailable(
            f"{len(unknown)} unfinished batches have {len(custom_ids)} requests each; which of"
            " them is the lost one can be seen when they have ended"
        )
    return unknown[0] if unknown else None


@asynccontextmanager
async def results(batches: AsyncBatches, batch: str) -> AsyncIterator[AsyncIterator[_Item]]:
    """The batch's results as they come; the connection is closed also when not all were read."""
    async with AsyncExitStack() as stack:
        asked = batches.with_streaming_response.results(batch)
        response = await _answered(stack.enter_async_context(asked))
        yield await stack.enter_async_context(aclosing(_items(response.iter_bytes())))


def outcome(item: _Item, key: str | None = None) -> Response | ProviderError:
    """What became of one request."""
    try:
        result = item["result"]
        if result["type"] == "succeeded":
            return scrubbed(response_of(result["message"], batched=True), key)
        if result["type"] == "errored":
            return _failure(result["error"], key)
        return Unavailable(f"{result['type']} before it was answered")
    except Unavailable as error:
        return error
    except (AttributeError, KeyError, TypeError) as error:
        return Unavailable(f"not a result of a batch: {type(error).__name__}: {error}")


def _failure(answer: _Item, key: str | None) -> ProviderError:
    error = answer["error"]
    message = redact(str(error.get("message", ""))[:2000], key)
    return error_for_status(
        _STATUSES.get(error["type"], 500),
        message,
        {},
        code=error["type"],
        request_id=answer.get("request_id"),
    )


async def _items(chunks: AsyncIterator[bytes]) -> AsyncGenerator[_Item]:
    """JSON lines. Raises Unreadable when all were read and some make no sense."""
    senseless = 0
    async for line in _lines(chunks):
        item = _item(line)
        if item is None:
            senseless += 1
        else:
            yield item
    if senseless:
        raise Unreadable(f"{senseless} lines of the results are no outcome of a request")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Only line feeds end them: a text may hold what else ends a line in Unicode."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(bytes.strip, lines):
            yield line
    if rest.strip():
        yield rest


def _item(line: bytes) -> _Item | None:
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return item if isinstance(item, dict) and isinstance(item.get("custom_id"), str) else None


async def _answered(call: Awaitable[_Answer]) -> _Answer:
    try:
        return await call
    except (AttributeError, TypeError) as error:  # the SDK itself stumbles over what is no batch
        raise Unavailable(f"the reply is not about batches: {error}") from None


async def _holds(batches: AsyncBatches, batch: str, custom_ids: Collection[str]) -> bool:
    ours, seen = frozenset(custom_ids), 0
    async with results(batches, batch) as items:
        async for item in items:
            seen += 1
            if item["custom_id"] not in ours:
                return False
            if seen == _ENOUGH:
                break
    return seen > 0


def _size(batch: MessageBatch) -> int:
    counts = batch.request_counts
    return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
