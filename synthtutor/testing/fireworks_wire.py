"""A fake Fireworks: the chat of `OpenAIServer` at their address, datasets and batch jobs beside it.

    async with FireworksServer(behaviour) as server:
        server.polls = 3                   # three looks find a job running, the fourth ended
        server.failure = "…"              # jobs made from now on fail as a whole

A job's requests are answered by the server's behaviour when it is created. A reply with a status
other than 200 goes to the error file; one that hangs is missing, and its job has expired.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from synthtutor.testing.replies import Behaviour, http_answer, plausible_reply
from synthtutor.testing.server import OpenAIServer
from synthtutor.testing.serving import Asked

__all__ = ["FireworksServer", "Job"]

_ADDRESS = re.compile(
    r"/v1/accounts/([^/]+)/(datasets|batchInferenceJobs)(?:/([^/:]+)(?::([A-Za-z]+))?)?"
)
_ROLES = ("system", "user", "assistant", "tool")
_ENDED = ("COMPLETED", "FAILED", "EXPIRED")


@dataclass(slots=True)
class Job:
    """One batch inference job: how it stands, and how it will end."""

    wire: dict[str, Any]
    ends: str
    looks_left: int
    fault: str | None = None
    results: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)

    @property
    def state(self) -> str:
        """Its state without the prefix."""
        return str(self.wire["state"]).removeprefix("JOB_STATE_")

    def becomes(self, state: str) -> None:
        """Change its state."""
        self.wire["state"] = f"JOB_STATE_{state}"


class FireworksServer(OpenAIServer):
    """Fireworks' wire.

    ``polls`` looks find a new job running, ``preparing`` looks a dataset that is not ready.
    ``failure`` lets jobs fail with that message; ``unconfirmed`` is how many creations of jobs
    answer 503 although the job was made, ``expired`` how many signed addresses answer 403. ``uploads`` and ``jobs`` are by name; ``deleted`` counts;
    ``told`` keeps the method and path of all that is not chat.
    """

    def __init__(
        self, behaviour: Behaviour = plausible_reply, *, account: str = "acct", **options: Any
    ) -> None:
        super().__init__(behaviour, **options)
        self.account = account
        self.polls = 1
        self.preparing = 0
        self.failure: str | None = None
        self.unconfirmed = 0
        self.expired = 0
        self.deleted = 0
        self.uploads: dict[str, bytes] = {}
        self.jobs: dict[str, Job] = {}
        self.told: list[tuple[str, str]] = []
        self._datasets: dict[str, int] = {}  # how many looks until it is ready
        self._outputs: dict[str, dict[str, bytes]] = {}

    @property
    def base_url(self) -> str:
        """What an OpenAI client calls the base URL."""
        return f"{self.root_url}/inference/v1"

    def is_chat(self, method: str, path: str) -> bool:
        """``POST /inference/v1/chat/completions``."""
        return method == "POST" and path == "/inference/v1/chat/completions"

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        """Datasets, jobs, and the signed addresses of files."""
        url = urlsplit(asked.path)
        self.told.append((method, asked.path))
        if url.path.startswith("/signed/"):
            return self._signed(url.path, asked)
        found = _ADDRESS.fullmatch(url.path)
        if found is None or found[1] != self.account:
            return _wrong(404, 5, "resource not found")
        if "authorization" not in asked.headers:
            invalid = {"message": "The API key you provided is invalid.", "code": "UNAUTHORIZED"}
            return http_answer(403, orjson.dumps({"error": invalid}))
        if method == "GET" and content:  # as the front end before the real gateway does
            return _wrong(400, 3, "a GET has no body")
        kind, name, verb = found.groups()[1:]
        address = (method, kind, name, verb)
        return self._datasets_say(address, asked, content) or self._jobs_say(address, asked, url)

    # Datasets

    def _datasets_say(
        self, address: tuple[str | None, ...], asked: Asked, content: bytes
    ) -> bytes | None:
        match address:
            case ("POST", "datasets", None, None):
                return self._create_dataset(asked.body)
            case ("POST", "datasets", str(name), "upload") if name in self._datasets:
                return self._upload(name, content)
            case ("GET", "datasets", str(name), None) if name in self._datasets:
                return _fine(self._dataset(name))
            case ("GET", "datasets", str(name), "getDownloadEndpoint") if name in self._outputs:
                return _fine({"filenameToSignedUrls": self._urls(name)})
        return None

    def _create_dataset(self, body: Mapping[str, Any]) -> bytes:
        name, dataset = str(body.get("datasetId")), body.get("dataset") or {}
        if not str(dataset.get("exampleCount", "")).isdecimal():
            return _wrong(400, 3, "example_count is required for uploaded datasets")
        if name in self._datasets:
            return _wrong(409, 6, f"dataset {name} already exists")
        self._datasets[name] = self.preparing
        return _fine(self._dataset(name))

    def _upload(self, name: str, content: bytes) -> bytes:
        if name in self.uploads:
            return _wrong(400, 9, "dataset is already uploaded")
        found = re.search(
            rb'name="file"; filename="([^"]+)".*?\r\n\r\n(.*)\r\n--', content, re.DOTALL
        )
        if found is None:
            return _wrong(400, 3, "a file is needed")
        self.uploads[name] = found[2]
        return _fine({"id": self._path("datasets", name), "bytes": len(found[2]), "object": "file"})

    def _dataset(self, name: str) -> dict[str, Any]:
        ready = name in self.uploads and self._datasets[name] <= 0
        if name in self.uploads:
            self._datasets[name] -= 1
        state = "READY" if ready else "UPLOADING"
        return {"name": self._path("datasets", name), "state": state, "userUploaded": {}}

    def _urls(self, name: str) -> dict[str, str]:
        files = (f"dataset/{name}/{file}" for file in self._outputs[name])
        return {file: f"{self.root_url}/signed/{file}?X-Goog-Expires=599" for file in files}

    def _signed(self, path: str, asked: Asked) -> bytes:
        _, name, file = path.removeprefix("/signed/").split("/")
        if "authorization" in asked.headers:
            return http_answer(400, b"<Error>Only one form of authentication</Error>")
        if self.expired > 0:
            self.expired -= 1
            return http_answer(403, b"<Error>ExpiredToken</Error>")
        head = {"content-type": "application/octet-stream"}
        return http_answer(200, self._outputs[name][file], head)

    # Jobs

    def _jobs_say(self, address: tuple[str | None, ...], asked: Asked, url: Any) -> bytes:
        match address:
            case ("POST", "batchInferenceJobs", None, None):
                given = parse_qs(url.query).get("batchInferenceJobId", [])
                return self._create_job(given[0] if given else "made-up", asked.body)
            case ("GET", "batchInferenceJobs", str(name), None) if name in self.jobs:
                return _fine(self._look(self.jobs[name], name))
            case ("DELETE", "batchInferenceJobs", str(name), None) if name in self.jobs:
                self.deleted += 1
                self.jobs[name].becomes("DELETING_CLEANING_UP")
                return _fine({})
        return _wrong(404, 5, "resource not found")

    def _create_job(self, name: str, body: Mapping[str, Any]) -> bytes:
        dataset = str(body.get("inputDatasetId")).removeprefix(f"accounts/{self.account}/datasets/")
        if name in self.jobs:
            return _wrong(409, 6, f"job {name} already exists")
        if dataset not in self.uploads or not body.get("model"):
            return _wrong(400, 9, "the input dataset is not ready")
        wire = {
            "name": self._path("batchInferenceJobs", name),
            "displayName": body.get("displayName", ""),
            "model": body["model"],
            "inputDatasetId": body["inputDatasetId"],
            "outputDatasetId": self._path("datasets", f"out-{name}"),
            "jobProgress": None,
            "state": "JOB_STATE_VALIDATING",
            "status": {"code": "OK", "message": ""},
        }
        job = self.jobs[name] = Job(wire, "COMPLETED", self.polls)
        lines = [orjson.loads(line) for line in self.uploads[dataset].splitlines()]
        job.fault = self.failure or _fault(lines)
        if job.fault:
            job.ends = "FAILED"
        else:
            for line in lines:
                self._run(job, line)
        if self.unconfirmed > 0:
            self.unconfirmed -= 1
            return _wrong(503, 14, "The service is overloaded.")
        return _fine(wire)

    def _run(self, job: Job, line: dict[str, Any]) -> None:
        """Ask the behaviour, and keep the line that the output dataset will have."""
        body = {**line["body"], "model": job.wire["model"]}
        reply = self.reply(body)
        row = self.row(body)
        row.started += 1
        if reply.hang:
            job.ends = "EXPIRED"
            return
        row.answered += 1
        if reply.status == 200:
            answer = orjson.loads(reply.wire(body).partition(b"\r\n\r\n")[2])
            said = {"custom_id": line["custom_id"], "response": answer}
            job.results.insert(0, orjson.dumps(said))  # the order is not kept
        else:
            error = {"code": reply.status, "message": (reply.error or {}).get("message", "")}
            job.errors.append(orjson.dumps({"custom_id": line["custom_id"], "error": error}))

    def _look(self, job: Job, name: str) -> dict[str, Any]:
        if job.state not in (*_ENDED, "DELETING_CLEANING_UP"):
            if job.looks_left > 0:
                job.looks_left -= 1
                job.becomes("RUNNING")
            else:
                self._end(job, name)
        done, failed = len(job.results), len(job.errors)
        counted = {"totalInputRequests": done + failed, "totalProcessedRequests": 0}
        if job.state in _ENDED:
            counted |= {"totalProcessedRequests": done + failed, "failedRequests": failed}
        job.wire["jobProgress"] = counted
        return job.wire

    def _end(self, job: Job, name: str) -> None:
        job.becomes(job.ends)
        if job.ends == "FAILED":
            job.wire["status"] = {"code": "INVALID_ARGUMENT", "message": job.fault}
            return
        self._outputs[f"out-{name}"] = {
            "BIJOutputSet.jsonl": b"\n".join(job.results),
            "error-data": b"\n".join(job.errors),
        }

    def _path(self, kind: str, name: str) -> str:
        return f"accounts/{self.account}/{kind}/{name}"


def _fault(lines: list[dict[str, Any]]) -> str | None:
    """What the validation of the input finds: one bad line fails the whole job."""
    names: set[str] = set()
    for number, line in enumerate(lines):
        for message in line["body"].get("messages") or [{"role": "none"}]:
            if message["role"] not in _ROLES:
                return f"Dataset has a syntax error: line {number}: invalid role {message['role']}"
        if line["custom_id"] in names:
            return f"Dataset has a syntax error: line {number}: custom_id is used twice"
        names.add(line["custom_id"])
    return None


def _fine(body: Mapping[str, Any]) -> bytes:
    return http_answer(200, orjson.dumps(body))


def _wrong(status: int, code: int, message: str) -> bytes:
    """An error of the gateway: the code is gRPC's."""
    return http_answer(status, orjson.dumps({"code": code, "message": message, "details": []}))
