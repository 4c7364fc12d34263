"""OpenAI's files and batches, for the fake server: hours of waiting made as short as a test likes.

    async with OpenAIServer(behaviour) as server:
        server.batches.polls = 3          # three polls find it in progress, the fourth ended
        server.batches.failure = "…"      # batches made from now on fail as a whole

A batch's requests are answered by the server's behaviour when it is created, and counted in
``server.rows``. A reply with a status other than 200 goes to the error file; one that hangs has
expired, and with it the batch, whose other answers can still be read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import orjson

from synthtutor.testing.replies import Reply, http_answer
from synthtutor.testing.serving import Asked

if TYPE_CHECKING:
    from synthtutor.testing.serving import FakeServer

__all__ = ["Batch", "OpenAIBatches"]

_ADDRESS = re.compile(r"/v1/(files|batches)(?:/([^/]+)(?:/(content|cancel))?)?")
_MOST_REQUESTS = 50_000
_EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
_CANCELLED = {"code": "batch_cancelled", "message": "This request was cancelled with its batch."}


@dataclass(slots=True)
class Batch:
    """One batch: the object on the wire, and what it will have said when it ends."""

    wire: dict[str, Any]
    ends: str
    polls_left: int
    ends_at: float
    outcomes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.wire["status"] in ("completed", "failed", "expired", "cancelled")


class OpenAIBatches:
    """The addresses ``/v1/files`` and ``/v1/batches``, and the knobs of what happens there.

    A batch is in progress for ``polls`` looks at it and ``seconds``, whichever is longer.
    ``failure`` makes each new batch fail its validation with that message; ``unconfirmed`` is how
    many creations answer 503 although the batch was made. ``batches`` and ``files`` (the raw
    bytes) are by id, in the order of their creation; ``cancelled`` and ``looks`` count calls.
    ``GET /_batches`` tells the counts of a server that is a process of its own.
    """

    def __init__(self, server: FakeServer, *, polls: int = 1, seconds: float = 0.0) -> None:
        self.polls = polls
        self.seconds = seconds
        self.failure: str | None = None
        self.unconfirmed = 0
        self.batches: dict[str, Batch] = {}
        self.files: dict[str, bytes] = {}
        self.cancelled = 0
        self.looks = 0
        self._server = server

    def answer(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        """The HTTP answer, None where the address is no file's or batch's."""
        url = urlsplit(asked.path)
        if (method, url.path) == ("GET", "/_batches"):
            return http_answer(200, orjson.dumps(self._counts()))
        found = _ADDRESS.fullmatch(url.path)
        if found is None:
            return None
        reply = self._answer((method, *found.groups()), asked, content, url.query)
        if isinstance(reply, Reply):
            return reply.wire({})
        if isinstance(reply, bytes):
            return http_answer(200, reply, {"content-type": "application/octet-stream"})
        return http_answer(200, orjson.dumps(reply))

    def _answer(
        self, address: tuple[str | None, ...], asked: Asked, content: bytes, query: str
    ) -> dict[str, Any] | bytes | Reply:
        match address:
            case ("POST", "files", None, None):
                return self._upload(asked.headers.get("content-type", ""), content)
            case ("GET", "files", str(file), "content") if file in self.files:
                return self.files[file]
            case ("POST", "batches", None, None):
                return self._create(asked.body)
            case ("GET", "batches", None, None):
                return self._list({name: values[0] for name, values in parse_qs(query).items()})
            case ("GET", "batches", str(batch), None) if batch in self.batches:
                return self._look(self.batches[batch])
            case ("POST", "batches", str(batch), "cancel") if batch in self.batches:
                return self._cancel(self.batches[batch])
        return Reply.failure(404, f"No such file or batch: {asked.path}", code="not_found")

    def _counts(self) -> dict[str, int]:
        return {
            "created": len(self.batches),
            "requests": sum(len(batch.outcomes) for batch in self.batches.values()),
            "cancelled": self.cancelled,
            "looks": self.looks,
        }

    # Files

    def _upload(self, content_type: str, content: bytes) -> dict[str, Any] | Reply:
        parts = _multipart(content_type, content)
        name, file = parts.get("file", ("", None))
        purpose = parts.get("purpose", ("", b""))[1].decode()
        if file is None or purpose != "batch":
            return Reply.failure(400, "a file and the purpose 'batch' are needed")
        return {
            "id": self._keep(file),
            "object": "file",
            "bytes": len(file),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    # Batches

    def _create(self, body: Mapping[str, Any]) -> dict[str, Any] | Reply:
        file, endpoint = str(body.get("input_file_id")), str(body.get("endpoint"))
        if file not in self.files or body.get("completion_window") != "24h":
            return Reply.failure(400, "an uploaded file and the window of 24h are needed")
        name = f"batch_{len(self.batches) + 1}"
        wire: dict[str, Any] = {
            "id": name,
            "object": "batch",
            "endpoint": endpoint,
            "errors": None,
            "input_file_id": file,
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(time.time()),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": body.get("metadata"),
        }
        batch = Batch(wire, "completed", self.polls, time.monotonic() + self.seconds)
        self.batches[name] = batch
        lines = self.files[file].splitlines()
        errors = _faults(lines, endpoint)
        if self.failure is not None:
            errors.insert(0, _fault(None, self.failure))
        if errors:
            batch.ends = "failed"
            wire["errors"] = {"object": "list", "data": errors}
        else:
            batch.outcomes = [self._outcome(orjson.loads(line)) for line in lines]
            wire["request_counts"]["total"] = len(lines)
            if any(outcome["error"] for outcome in batch.outcomes):
                batch.ends = "expired"
        if self.unconfirmed > 0:
            self.unconfirmed -= 1
            return Reply.failure(503, "The server is overloaded.")
        return _shown(wire)

    def _outcome(self, line: dict[str, Any]) -> dict[str, Any]:
        """The line in the output or the error file, from the behaviour's reply."""
        body = line["body"]
        reply = self._server.reply(body)
        row = self._server.row(body)
        row.started += 1
        number = sum(len(batch.outcomes) for batch in self.batches.values())
        outcome = {"id": f"batch_req_{number}", "custom_id": line["custom_id"]}
        if reply.hang:
            return {**outcome, "response": None, "error": _EXPIRED}
        row.answered += 1
        row.last_answered_s = time.monotonic()
        answer = {
            "status_code": reply.status,
            "request_id": reply.headers.get("x-request-id", f"req_{line['custom_id']}"),
            "body": _payload(reply.wire(body)),
        }
        return {**outcome, "response": answer, "error": None}

    def _look(self, batch: Batch) -> dict[str, Any]:
        self.looks += 1
        if batch.ended:
            return batch.wire
        if batch.wire["status"] == "cancelling":
            self._end(batch, "cancelled")
        elif batch.polls_left > 0 or time.monotonic() < batch.ends_at:
            batch.polls_left -= 1
            batch.wire["status"] = "in_progress"
        else:
            self._end(batch, batch.ends)
        return _shown(batch.wire)

    def _end(self, batch: Batch, status: str) -> None:
        wire = batch.wire
        wire["status"] = status
        wire[f"{status}_at"] = int(time.time())
        fine = [outcome for outcome in batch.outcomes if _status(outcome) == 200]
        failed = [outcome for outcome in batch.outcomes if _status(outcome) != 200]
        wire["request_counts"] |= {"completed": len(fine), "failed": len(failed)}
        for name, outcomes in (("output_file_id", fine), ("error_file_id", failed)):
            if outcomes:
                lines = [orjson.dumps(outcome) for outcome in outcomes]
                wire[name] = self._keep(b"\n".join(lines) + b"\n")

    def _cancel(self, batch: Batch) -> dict[str, Any] | Reply:
        if batch.ended:
            status = batch.wire["status"]
            return Reply.failure(409, f"Cannot cancel a batch with status '{status}'.")
        self.cancelled += 1
        batch.wire["status"] = "cancelling"
        # As if the cancellation had come when half of it was answered.
        for outcome in batch.outcomes[len(batch.outcomes) // 2 :]:
            outcome.update(response=None, error=_CANCELLED)
        return batch.wire

    def _list(self, query: Mapping[str, str]) -> dict[str, Any]:
        """A page, the newest first, from behind ``after``."""
        names = list(reversed(self.batches))
        if query.get("after") in names:
            names = names[names.index(query["after"]) + 1 :]
        page = names[: int(query.get("limit", 20))]
        return {
            "object": "list",
            "data": [_shown(self.batches[name].wire) for name in page],
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
            "has_more": len(page) < len(names),
        }


def _shown(wire: dict[str, Any]) -> dict[str, Any]:
    """The batch as it is told: what is wrong with it is not known before it has failed."""
    return wire if wire["status"] == "failed" else {**wire, "errors": None}


def _status(outcome: Mapping[str, Any]) -> int:
    return int(outcome["response"]["status_code"]) if outcome["response"] else 0


def _faults(lines: list[bytes], endpoint: str) -> list[dict[str, Any]]:
    """What the vendor's validation finds in an input file."""
    if len(lines) > _MOST_REQUESTS:
        return [_fault(None, f"more than {_MOST_REQUESTS} requests")]
    faults = []
    names: set[str] = set()
    models: set[str] = set()
    for number, line in enumerate(lines, 1):
        try:
            item = orjson.loads(line)
            name, body = item["custom_id"], item["body"]
            models.add(body["model"])
            chat = all("role" in m and "content" in m for m in body["messages"])
        except (ValueError, KeyError, TypeError) as error:
            faults.append(_fault(number, f"not a request: {error!r}"))
            continue
        if name in names:
            faults.append(_fault(number, f"the custom_id {name!r} is used twice"))
        names.add(name)
        if (item.get("method"), item.get("url")) != ("POST", endpoint) or not chat:
            faults.append(_fault(number, f"not a chat request to {endpoint}"))
    if len(models) > 1:
        faults.append(_fault(None, f"more than one model: {', '.join(sorted(models))}"))
    return faults


def _fault(line: int | None, message: str) -> dict[str, Any]:
    return {"code": "invalid_request", "message": message, "param": None, "line": line}


def _payload(wire: bytes) -> Any:
    """The body of an HTTP answer; what is not JSON is quoted as an error."""
    content = wire.partition(b"\r\n\r\n")[2]
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return {"error": {"message": content.decode(errors="replace")}}


def _multipart(content_type: str, content: bytes) -> dict[str, tuple[str, bytes]]:
    """The parts of a form by name: (file name, bytes)."""
    boundary = content_type.partition("boundary=")[2].split(";")[0].strip('"')
    parts: dict[str, tuple[str, bytes]] = {}
    if not boundary:
        return parts
    for part in (b"\r\n" + content).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        told = dict(re.findall(r'(\w+)="([^"]*)"', head.decode("latin-1")))
        if "name" in told:
            parts[told["name"]] = (told.get("filename", ""), body)
    return parts
