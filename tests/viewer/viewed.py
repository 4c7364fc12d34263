"""What the viewer's tests share: journals made without a run, and a viewer that really serves them."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import httpx2
import orjson

from synthtutor.tables import FORMAT, META, PUT_CALL, PUT_SAMPLE, SCHEMA
from synthtutor.viewer.app import viewing

SUBJECTS = ("algebra", "genetics", "finance", "ecology", "sociology")
TYPES = ("overgeneralization", "incorrect_assumption", "misapplying_formula")


def name_of(number: int) -> str:
    return blake2b(str(number).encode(), digest_size=16).hexdigest()


def sample(number: int, outcome: str = "", **metadata: Any) -> dict[str, Any]:
    """A sample as a recipe leaves it; every third is kept unless it is said."""
    outcome = outcome or ("kept" if number % 3 == 0 else "rejected")
    return {
        "id": name_of(number),
        "messages": [
            {"role": "system", "content": "Be a patient tutor."},
            {"role": "user", "content": f"Question {number}: why is $\\frac{{1}}{{2}}$ not 0.{number}?"},
            {"role": "assistant", "content": f"Reply {number}: compare the parts first."},
        ],
        "metadata": {
            "subject": SUBJECTS[number % 5],
            "misconception_type": TYPES[number % 3],
            "persona": {"grade": 5 + number % 4},
            "weighted": (number % 11) / 10,
            "critical": "3 of 4",
            "verdicts": [
                {"id": "c.one", "criterion": "It names the mix-up.", "weight": 5, "passed": True,
                 "observed": True, "state": "answered", "evidence": "compare the parts"},
                {"id": "c.two", "criterion": "It gives the answer away.", "weight": -5, "passed": False,
                 "observed": True, "state": "answered", "evidence": "first"},
            ],
            "outcome": outcome,
            "reasons": [] if outcome == "kept" else ["c.two (critical): fault found"],
            "lineage": {"recipe": "misconception", "cost_usd": number / 1000, "calls": [
                {"role": "writer", "model": "scripted/writer", "prompt": "reply.md.j2"}]},
            **metadata,
        },
    }  # fmt: skip


def journal(folder: Path, bodies: Iterable[Mapping[str, Any]], *, kind: str = "sample") -> Path:
    """Add the samples to the journal in the folder, in a pass of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(META)
        connection.executescript(SCHEMA)
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('format', ?)", (str(FORMAT),))
        number = connection.execute("SELECT count(*) + 1 FROM passes").fetchone()[0]
        connection.execute(
            "INSERT INTO passes(pass, at, configuration) VALUES (?, ?, '{}')", (number, number)
        )
        connection.executemany(
            PUT_SAMPLE, (_row(body, kind, position, number) for position, body in enumerate(bodies))
        )
    return folder


def _row(body: Mapping[str, Any], kind: str, position: int, number: int) -> tuple[Any, ...]:
    known = body["metadata"]
    reason = "; ".join(known["reasons"])
    identity = bytes.fromhex(body["id"])
    return identity, kind, position, number, known["outcome"], reason, orjson.dumps(body)


def completed(folder: Path) -> None:
    """The last pass came to its end: samples of earlier ones are no longer the run's."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE passes SET complete = 1 WHERE pass = (SELECT max(pass) FROM passes)"
        )


def call(
    folder: Path, sample: str, text: str, *, finish: str = "stop", cost: float | None = 0.002
) -> None:
    """Add a paid reply of a sample to the journal."""
    request: dict[str, Any] = {
        "model": "scripted/writer",
        "messages": [{"role": "user", "content": f"PROMPT {text}"}],
        "schema": None,
        "settings": {"max_tokens": 99, "temperature": None, "stop": []},
    }
    response = {"text": text, "finish": finish, "reasoning": "", "detail": None}
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        connection.execute(
            PUT_CALL,
            (b"k", bytes.fromhex(sample), 1, "sample", "writer", "reply.md.j2", "scripted/writer",
             orjson.dumps(request), orjson.dumps(response), finish, 1234, 56, 0, 0, 0, cost, 1.5, 0.0, 0, 0),
        )  # fmt: skip


@dataclass(frozen=True)
class Served:
    """A viewer at work, and a client that has opened its address."""

    address: str
    address_once: str
    root: str
    client: httpx2.Client

    def text(self, path: str) -> str:
        """A page that must be there."""
        answer = self.client.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-500:])
        return answer.text

    def rows(self, path: str) -> list[str]:
        """The ids of the samples that a list shows."""
        return re.findall(r'href="/run/\d+/sample/(\w{32})', self.text(path))

    def key(self, path: str) -> str:
        """What the forms of a page prove with that they are its own."""
        found = re.search(r'name="key" value="([^"]+)"', self.text(path))
        assert found is not None
        return found[1]

    def submit(self, path: str, fields: Mapping[str, str], **headers: str) -> httpx2.Response:
        """Send a form, as a browser without scripts does."""
        return self.client.post(path, data=fields, headers={"origin": self.root, **headers})

    def post(self, path: str, value: Any, **headers: str) -> httpx2.Response:
        return self.client.post(path, json=value, headers={"origin": self.root, **headers})


@contextmanager
def served(*folders: Path, rater: str = "Ada") -> Iterator[Served]:
    """The viewer of the runs, for the length of a ``with``."""
    with viewing(folders, rater=rater) as viewer:
        thread = threading.Thread(target=viewer.serve)
        thread.start()
        root = viewer.address.partition("/?")[0]
        try:
            with httpx2.Client(base_url=root, follow_redirects=True, timeout=120) as client:
                client.get(viewer.address)
                yield Served(viewer.address, viewer.address_once, root, client)
        finally:
            viewer.stop()
            thread.join()
