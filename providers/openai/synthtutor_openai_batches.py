"""OpenAI's batches: requests go up as a file of JSON lines, results come down as two.

The output file has what was answered, the error file what failed, expired or was cancelled. Both
may be as large as the batch, so they are read line by line while they arrive. A batch carries
its label in its metadata: that is how one whose id was lost is found again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import orjson

from synthtutor.errors import ProviderError, Unavailable, Unreadable
from synthtutor.messages import Request, Response
from synthtutor.provider import BatchLimits, BatchStatus, error_for_status, redact, scrubbed

if TYPE_CHECKING:
    from openai.types import Batch
    from synthtutor_openai import ChatCompletions

__all__ = ["LIMITS", "Batches", "lines_of"]

# OpenAI takes files of 200 MB; the rest is for what surrounds each body in its line.
LIMITS = BatchLimits(requests=50_000, megabytes=190)

_LABEL = "synthtutor"
_ENDED = ("completed", "failed", "expired", "cancelled")
_REASONS = 3
# The search ends where batches are older than this: two clocks need not agree.
_CLOCKS_DIFFER = timedelta(days=1)
_PAGE = 100


class Batches:
    """The batches of one provider's endpoint; ``url`` is what each line and the batch name."""

    def __init__(self, provider: ChatCompletions, url: str = "/v1/chat/completions") -> None:
        self._provider = provider
        self._url = url

    async def submit(self, label: str, requests: Mapping[str, Request]) -> str:
        """Upload the requests and start the batch; returns its id."""
        content = b"".join(self._line(name, request) for name, request in requests.items())
        with self._translating():  # without a timeout of the whole: this may be 190 MB
            file = await self._provider.client.files.create(
                file=(f"{label}.jsonl", content, "application/jsonl"), purpose="batch"
            )
        async with self._asking():
            batch = await self._provider.client.batches.create(
                input_file_id=_told(file, "id"),
                endpoint=cast(Any, self._url),
                completion_window="24h",
                metadata={_LABEL: label},
            )
        return str(_told(batch, "id"))

    def _line(self, custom_id: str, request: Request) -> bytes:
        body = self._provider.arguments(request)
        line = {"custom_id": custom_id, "method": "POST", "url": self._url, "body": body}
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)

    async def find(self, label: str, since: datetime) -> str | None:
        """The id of the batch with that label, which is not much older than ``since``."""
        oldest = (since - _CLOCKS_DIFFER).timestamp()
        async with self._asking():
            page = await self._provider.client.batches.list(limit=_PAGE)
        while True:
            batches: list[Batch] = _told(page, "data")
            for batch in batches:
                if (batch.metadata or {}).get(_LABEL) == label:
                    return batch.id
            if not page.has_next_page() or batches[-1].created_at < oldest:
                return None
            async with self._asking():
                page = await page.get_next_page()

    async def status(self, batch: str) -> BatchStatus:
        """How the batch stands."""
        found = await self._retrieve(batch)
        counts = found.request_counts
        return BatchStatus(
            done=found.status in _ENDED,
            finished=counts.completed + counts.failed if counts else 0,
            total=counts.total if counts else 0,
            detail=self._reasons(found) if found.status == "failed" else None,
        )

    async def results(self, batch: str) -> AsyncIterator[tuple[str, Response | ProviderError]]:
        """Each request's outcome; one that expired has a line in the error file, or none.

        Raises Unreadable when all was read and some of it makes no sense.
        """
        found = await self._retrieve(batch)
        senseless: Unreadable | None = None
        for file in filter(None, (found.output_file_id, found.error_file_id)):
            async with aclosing(self._lines(file)) as lines:
                async for line in lines:
                    try:
                        yield self._outcome(line)
                    except Unreadable as error:
                        senseless = senseless or error
        if senseless is not None:
            raise senseless

    async def cancel(self, batch: str) -> None:
        """Cancel it, unless it has ended."""
        try:
            async with self._asking():
                await self._provider.client.batches.cancel(batch)
        except ProviderError:
            if not (await self.status(batch)).done:
                raise

    async def _retrieve(self, batch: str) -> Batch:
        async with self._asking():
            found = await self._provider.client.batches.retrieve(batch)
        _told(found, "status")
        return found

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """One short call."""
        with self._translating():
            async with asyncio.timeout(self._provider.endpoint.timeout_s):
                yield

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except ProviderError:
            raise
        except AttributeError as error:
            # From inside the SDK, which takes any JSON for the object that it expects.
            raise Unavailable(f"the reply about a batch makes no sense: {error}") from None
        except Exception as error:  # what is none of the SDK's is raised as it is
            # Without its cause, which may quote the key.
            raise self._provider.translated(error) from None

    async def _lines(self, file: str) -> AsyncGenerator[bytes]:
        """The file's lines, while it arrives."""
        content = self._provider.client.files.with_streaming_response.content(file)
        with self._translating():
            async with content as response:
                async for line in lines_of(response.iter_bytes()):
                    yield line

    def _outcome(self, line: bytes) -> tuple[str, Response | ProviderError]:
        try:
            item = orjson.loads(line)
            custom_id, answer = str(item["custom_id"]), item["response"]
            if not answer:
                return custom_id, Unavailable(self._said(item["error"], "code", "message"))
            status, body = int(answer["status_code"]), answer["body"]
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"a line of the batch's results makes no sense: {error!r}") from None
        return custom_id, self._reply(status, body, answer.get("request_id"))

    def _reply(self, status: int, body: Any, request_id: str | None) -> Response | ProviderError:
        headers = {"x-request-id": request_id} if request_id else {}
        if status == 200 and isinstance(body, dict):
            try:
                reply = self._provider.response(headers, body, None)
                return replace(scrubbed(reply, self._provider.key), batched=True)
            except ProviderError as unreadable:
                return unreadable
        error = body.get("error") if isinstance(body, dict) else body
        code = str(error.get("code") or "") if isinstance(error, dict) else ""
        message = self._said(error, "message")
        return error_for_status(status, message, headers, code=code, request_id=request_id)

    def _said(self, error: Any, *names: str) -> str:
        """The words of an error object, without the key."""
        if isinstance(error, dict):
            error = ": ".join(str(error[name]) for name in names if error.get(name))
        return redact(str(error or "no reason is said"), self._provider.key)[:2000]

    def _reasons(self, batch: Batch) -> str:
        """Why the vendor did not accept the batch: the first of its reasons."""
        found = (batch.errors and batch.errors.data) or []
        reasons = [
            self._said({"code": error.code, "message": error.message}, "code", "message")
            + (f" (line {error.line})" if error.line is not None else "")
            for error in found[:_REASONS]
        ]
        if len(found) > _REASONS:
            reasons.append(f"and {len(found) - _REASONS} more")
        return "; ".join(reasons) or "the batch failed, and no reason is said"


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The lines of what arrives piece by piece, without the empty ones.

    Not by an SDK's ``iter_lines``: that also ends a line at U+2028, which JSON may hold.
    """
    begun: list[bytes] = []  # of a line whose end has not come yet
    async for piece in pieces:
        *ends, rest = piece.split(b"\n")
        for end in ends:
            line = b"".join((*begun, end))
            begun = []
            if line.strip():
                yield line
        begun.append(rest)
    if last := b"".join(begun).strip():
        yield last


def _told(found: Any, name: str) -> Any:
    """A field that the SDK leaves out where the server does: it builds without looking."""
    value = getattr(found, name, None)
    if value is None:
        raise Unavailable(f"the reply about a batch has no {name}")
    return value
