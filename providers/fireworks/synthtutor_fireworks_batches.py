"""Fireworks' batches: a dataset goes up, a job works on it, another dataset comes down.

All over their REST API. A job is created under a name that we choose, so the batch's label finds
it again; creating it or its dataset a second time changes nothing. The files of the output
dataset are at signed addresses elsewhere, which must not see the key.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from synthtutor_openai_batches import lines_of

from synthtutor.errors import ConfigError, ProviderError, Rejected, Unavailable, Unreadable
from synthtutor.messages import Request, Response
from synthtutor.provider import BatchLimits, BatchStatus, error_for_status, redact
from synthtutor.transport import http_client

if TYPE_CHECKING:
    import httpx2
    from synthtutor_openai import ChatCompletions

__all__ = ["LIMITS", "Batches", "control_url"]

# One upload takes 150 MB; the rest is for what surrounds each body in its line.
LIMITS = BatchLimits(requests=1_000_000, megabytes=140)

_STATE = "JOB_STATE_"
_ENDED = frozenset(
    (
        *("COMPLETED", "FAILED", "EXPIRED", "EARLY_STOPPED", "CANCELLED"),
        *("DELETING", "DELETING_CLEANING_UP", "DELETED", "ARCHIVED"),
    )
)
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,60}[a-z0-9])?")
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]+")
_CONFLICT, _NOT_FOUND = 409, 404


class Batches:
    """The batches of one provider's endpoint."""

    def __init__(self, provider: ChatCompletions) -> None:
        self._provider = provider

    async def submit(self, label: str, requests: Mapping[str, Request]) -> str:
        """Upload the requests and start the job; returns its name."""
        name = _job_name(label)
        bodies = {custom_id: self._body(request) for custom_id, request in requests.items()}
        (model,) = {body.pop("model") for body in bodies.values()}  # the job's, not the line's
        await self._upload(name, bodies)
        job = {"model": model, "inputDatasetId": f"{self._account}/datasets/{name}"}
        created = await self._ask(
            "POST",
            f"batchInferenceJobs?batchInferenceJobId={name}",
            allow=_CONFLICT,
            json={**job, "displayName": label},
        )
        if created.status_code != _CONFLICT:
            _told(created, "name")
        return name

    async def find(self, label: str) -> str | None:
        """The name of the job with that label."""
        name = _job_name(label)
        found = await self._ask("GET", f"batchInferenceJobs/{name}", allow=_NOT_FOUND)
        return None if found.status_code == _NOT_FOUND else name

    async def status(self, batch: str) -> BatchStatus:
        """How the job stands."""
        job = await self._job(batch)
        progress = job.get("jobProgress") or {}
        finished = int(progress.get("totalProcessedRequests") or 0)
        return BatchStatus(
            done=_state(job) in _ENDED,
            finished=finished,
            total=max(finished, int(progress.get("totalInputRequests") or 0)),
            detail=self._reason(job) if _state(job) == "FAILED" else None,
        )

    async def results(self, batch: str) -> AsyncIterator[tuple[str, Response | ProviderError]]:
        """Each request's outcome, in any order; a line that names no request is passed over.

        Raises Unreadable when all was read and a line is no JSON.
        """
        job = await self._job(batch)
        dataset = str(job.get("outputDatasetId") or "").rpartition("/")[2]
        if not dataset:
            return
        address = f"datasets/{dataset}:getDownloadEndpoint"
        found = await self._ask("GET", address, allow=_NOT_FOUND)
        if found.status_code == _NOT_FOUND:
            if _state(job) == "COMPLETED":
                raise Rejected(f"the results of batch {batch} are gone", status=_NOT_FOUND)
            return
        senseless: orjson.JSONDecodeError | None = None
        for url in dict(_told(found, "filenameToSignedUrls")).values():
            async with aclosing(self._lines(url)) as lines:
                async for line in lines:
                    try:
                        outcome = self._outcome(line)
                    except orjson.JSONDecodeError as error:
                        senseless = senseless or error
                    else:
                        if outcome is not None:
                            yield outcome
        if senseless is not None:
            raise Unreadable(f"a line of the batch's results is no JSON: {senseless.msg}")

    async def cancel(self, batch: str) -> None:
        """Delete the job, unless it has ended."""
        if not (await self.status(batch)).done:
            await self._ask("DELETE", f"batchInferenceJobs/{batch}", allow=_NOT_FOUND)

    async def aclose(self) -> None:
        """Close the connections."""
        if "_http" in self.__dict__:
            await self._http.aclose()

    # What goes up

    def _body(self, request: Request) -> dict[str, Any]:
        return self._provider.arguments(request)

    async def _upload(self, name: str, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        dataset = {"userUploaded": {}, "exampleCount": str(len(bodies))}
        created = await self._ask(
            "POST", "datasets", allow=_CONFLICT, json={"datasetId": name, "dataset": dataset}
        )
        if created.status_code == _CONFLICT and await self._is_ready(name):
            return
        content = b"".join(
            orjson.dumps({"custom_id": custom_id, "body": body}, option=orjson.OPT_APPEND_NEWLINE)
            for custom_id, body in bodies.items()
        )
        file = (f"{name}.jsonl", content, "application/jsonl")
        await self._ask("POST", f"datasets/{name}:upload", files={"file": file})
        if not await self._is_ready(name):
            raise Unavailable(f"the dataset {name} is uploaded, but not ready yet")

    async def _is_ready(self, dataset: str) -> bool:
        found = await self._ask("GET", f"datasets/{dataset}")
        return bool(_told(found, "state") == "READY")

    # What comes down

    async def _job(self, batch: str) -> dict[str, Any]:
        found = await self._ask("GET", f"batchInferenceJobs/{batch}")
        _told(found, "state")
        return dict(found.json())

    async def _lines(self, url: str) -> AsyncGenerator[bytes]:
        """The file's lines, while it arrives."""
        with self._translating():
            async with self._http.stream("GET", url) as response:  # without the key
                if response.status_code != 200:  # signed for some minutes only: ask for another
                    raise Unavailable(
                        f"HTTP {response.status_code} for a file of a batch's results"
                    )
                async for line in lines_of(response.aiter_bytes()):
                    yield line

    def _outcome(self, line: bytes) -> tuple[str, Response | ProviderError] | None:
        item = orjson.loads(line)
        try:
            custom_id = str(item["custom_id"])
        except (KeyError, TypeError):
            return None
        body = item.get("response")
        return custom_id, self._reply(body) if body else self._fault(item.get("error"))

    def _reply(self, body: dict[str, Any]) -> Response | ProviderError:
        try:
            return replace(self._provider.response({}, body, None), batched=True)
        except ProviderError as unreadable:
            return unreadable
        except (AttributeError, TypeError) as error:
            return Unavailable(self._safe(f"the reply is not a chat completion: {error!r}"))

    def _fault(self, error: Any) -> ProviderError:
        """A failed request: by its status where it has one, else as worth asking again."""
        code = error.get("code") if isinstance(error, dict) else None
        said = self._safe(str(error.get("message") if isinstance(error, dict) else error))
        if isinstance(code, int) and 400 <= code < 600:
            return error_for_status(code, said, {})
        return Unavailable(said)

    def _reason(self, job: Mapping[str, Any]) -> str:
        said = (job.get("status") or {}).get("message")
        return self._safe(said or "the batch failed, and no reason is said")

    # The wire

    @cached_property
    def _account(self) -> str:
        """``accounts/ID``, which all addresses begin with."""
        account = self._provider.option("account_id") or os.environ.get("FIREWORKS_ACCOUNT_ID", "")
        if not account:
            raise ConfigError(
                "fireworks' batches need your account's id: set FIREWORKS_ACCOUNT_ID in the"
                " environment, or the option account_id"
            )
        account = account.strip().removeprefix("accounts/")
        if not _ACCOUNT.fullmatch(account):
            raise ConfigError(f"not a Fireworks account's id: {account!r}")
        return f"accounts/{account}"

    @cached_property
    def _http(self) -> httpx2.AsyncClient:
        return http_client(self._provider.endpoint)

    async def _ask(
        self, method: str, path: str, *, allow: int | None = None, **content: Any
    ) -> httpx2.Response:
        """One call; a status other than 2xx is an error, unless it is the one that is allowed."""
        url = f"{control_url(self._provider.base_url)}/{self._account}/{path}"
        headers = {"authorization": f"Bearer {self._provider.key}"}
        with self._translating():
            async with asyncio.timeout(self._provider.endpoint.timeout_s):
                response = await self._http.request(method, url, headers=headers, **content)
        if response.is_success or response.status_code == allow:
            return response
        raise self._failure(response, response.content)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (ProviderError, GeneratorExit):
            raise
        except Exception as error:  # what is none of the SDK's is raised as it is
            # Without its cause, which may quote the key.
            raise self._provider.translated(error) from None

    def _failure(self, response: httpx2.Response, content: bytes) -> ProviderError:
        """Their gateway's errors are ``{code, message}``, their API's have that under ``error``."""
        try:
            body = orjson.loads(content)
            inner = body.get("error", body)
            said, code = str(inner.get("message") or inner), str(inner.get("code") or "")
        except (orjson.JSONDecodeError, AttributeError):
            said, code = content.decode(errors="replace"), ""
        status, said = response.status_code, self._safe(said)
        if status == _NOT_FOUND:  # a batch or a dataset, which says nothing about the model
            return Rejected(f"HTTP {status}: {said}", status=status)
        return error_for_status(status, said, response.headers, code=code)

    def _safe(self, text: str) -> str:
        return redact(text, self._provider.key)[:2000]


def control_url(base_url: str) -> str:
    """Where datasets and jobs are: ``…/v1`` beside the ``…/inference/v1`` of the chat."""
    parts = urlsplit(base_url)
    root = parts.path.rstrip("/").removesuffix("/v1").removesuffix("/inference")
    return parts._replace(path=f"{root}/v1", query="", fragment="").geturl()


def _job_name(label: str) -> str:
    """The label, if it can name a resource, else a digest of it."""
    if _NAME.fullmatch(label):
        return label
    return f"synthtutor-{blake2b(label.encode(), digest_size=16).hexdigest()}"


def _state(job: Mapping[str, Any]) -> str:
    return str(job["state"]).removeprefix(_STATE)


def _told(response: httpx2.Response, name: str) -> Any:
    """A field of the answer's body."""
    try:
        return orjson.loads(response.content)[name]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Unavailable(f"the reply about a batch has no {name}: {error!r}") from None
