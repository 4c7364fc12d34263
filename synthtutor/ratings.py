"""What people said of a run's samples: ``ratings.jsonl`` in the run's folder.

The file is only ever added to: one line for each time that a rater decides, edits or notes, with all
that this rater now says of the sample. The last line of a rater is what counts; the lines before it
stay as they were written. A line torn by a power cut is skipped and counted, and the next one begins
on a line of its own, so that nothing before or after it is lost.

Several raters of one sample: what most of them decide counts. Where as many say yes as no, or where
two edits differ and neither has more raters, the sample is ``undecided`` and is left out of exports.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from synthtutor.errors import ConfigError
from synthtutor.messages import storable

__all__ = ["FILE", "Rating", "Ratings", "Review", "Tally", "append", "reviewed"]

FILE = "ratings.jsonl"
Decision = Literal["accept", "reject"]
_LONGEST_NAME = 80
_WRITING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Rating:
    """All that one rater says of one sample.

    ``decision`` is None where the rater has not decided, or no longer. ``edits`` maps the index of a
    message to its new text, ``criteria`` the id of a criterion to whether its statement holds. ``at``
    is the time of the rating, in ISO 8601; it is for people and decides nothing.
    """

    sample: str
    rater: str
    decision: Decision | None = None
    edits: Mapping[int, str] = field(default_factory=dict)
    criteria: Mapping[str, bool] = field(default_factory=dict)
    note: str = ""
    at: str = ""

    def __post_init__(self) -> None:
        if not self.rater.strip() or len(self.rater) > _LONGEST_NAME:
            raise ValueError(f"rater: a name of 1 to {_LONGEST_NAME} characters, please")
        if self.decision not in (None, "accept", "reject"):
            raise ValueError(f"decision: {self.decision!r} is neither accept nor reject")
        if len(self.sample) != 32 or set(self.sample) - set("0123456789abcdef"):
            raise ValueError(f"sample: {self.sample!r} is not the id of a sample")

    def to_json(self) -> bytes:
        """One line, without its end."""
        return orjson.dumps(
            {
                "sample": self.sample,
                "rater": storable(self.rater),
                "decision": self.decision,
                "edits": {str(index): storable(text) for index, text in self.edits.items()},
                "criteria": dict(self.criteria),
                "note": storable(self.note),
                "at": self.at,
            }
        )

    @classmethod
    def of(cls, raw: Any) -> Self:
        """From what a line holds. Raises ValueError, naming the field, where it is no rating."""
        if not isinstance(raw, dict):
            raise ValueError("a rating is an object")  # noqa: TRY004  # one error for what a line can be
        texts = {name: raw.get(name) or "" for name in ("sample", "rater", "note", "at")}
        edits, criteria = raw.get("edits") or {}, raw.get("criteria") or {}
        for name, text in texts.items():
            if not isinstance(text, str):
                raise ValueError(f"{name}: must be text")  # noqa: TRY004
        if not isinstance(edits, dict) or not all(
            index.isdecimal() and isinstance(text, str) for index, text in edits.items()
        ):
            raise ValueError("edits: must map the number of a message to its new text")
        if not isinstance(criteria, dict) or not all(
            isinstance(holds, bool) for holds in criteria.values()
        ):
            raise ValueError("criteria: must map the id of a criterion to true or false")
        return cls(
            decision=raw.get("decision"),
            edits={int(index): text for index, text in edits.items()},
            criteria=criteria,
            **texts,
        )


@dataclass(frozen=True, slots=True)
class Review:
    """What the raters of a sample come to together.

    ``decision`` is None where nobody decided. ``edits`` is what counts of their edits. ``undecided``
    says why there is no majority; "" where there is one.
    """

    raters: Mapping[str, Rating]
    decision: Decision | None
    edits: Mapping[int, str]
    criteria: Mapping[str, bool]
    undecided: str = ""

    @classmethod
    def of(cls, raters: Mapping[str, Rating]) -> Self:
        """The majority, in which a rater without an opinion has no voice."""
        said = raters.values()
        decision, tied = _majority(r.decision for r in said if r.decision)
        edits, torn = _majority(tuple(sorted(r.edits.items())) for r in said if r.edits)
        marks: dict[str, list[bool]] = {}
        for rating in said:
            for name, holds in rating.criteria.items():
                marks.setdefault(name, []).append(holds)
        agreed = {name: _majority(holds) for name, holds in marks.items()}
        undecided = "as many accept as reject" if tied else "edits differ" if torn else ""
        return cls(
            raters,
            decision,
            dict(edits or ()),
            {name: holds for name, (holds, split) in agreed.items() if not split},
            undecided,
        )


class Ratings:
    """A file of ratings as it is read. A file that is not there yet holds none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = 0
        self._by_sample: dict[str, dict[str, Rating]] = {}
        self._read = 0
        self._lock = threading.Lock()
        self.refresh()

    def __len__(self) -> int:
        return len(self._by_sample)

    def __iter__(self) -> Iterator[str]:
        """The ids of the samples that somebody has rated."""
        return iter(tuple(self._by_sample))

    def refresh(self) -> int:
        """Read what was added since; the size of what was read, which changes when something was.

        Raises ConfigError where the file cannot be read.
        """
        with self._lock:
            try:
                size = self.path.stat().st_size if self.path.exists() else 0
                if size < self._read:  # somebody put another file in its place
                    self._by_sample, self._read, self.skipped = {}, 0, 0
                if size > self._read:
                    with self.path.open("rb") as file:
                        file.seek(self._read)
                        added = file.read()
                    whole = added[: added.rfind(b"\n") + 1]
                    self._read += len(whole)
                    for line in whole.splitlines():
                        self._add(line)
            except OSError as error:
                raise ConfigError(f"{self.path}: {error.strerror}") from error
            return self._read

    def raters_of(self, sample: str) -> Mapping[str, Rating]:
        """The last rating of each rater of a sample, by name."""
        return dict(self._by_sample.get(sample, {}))

    def review(self, sample: str) -> Review | None:
        """What they come to together; None where nobody has rated it."""
        found = self._by_sample.get(sample)
        return Review.of(dict(found)) if found else None

    def _add(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            rating = Rating.of(orjson.loads(line))
        except ValueError:
            self.skipped += 1
            return
        self._by_sample.setdefault(rating.sample, {})[rating.rater] = rating


def append(path: Path, rating: Rating) -> None:
    """Add a rating to the file; returns when it is on the disk.

    Raises ConfigError where it cannot be written.
    """
    line = rating.to_json() + b"\n"
    try:
        with _WRITING:
            fresh = not path.exists()
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                if os.lseek(handle, 0, os.SEEK_END):
                    os.lseek(handle, -1, os.SEEK_END)
                    if os.read(handle, 1) != b"\n":  # a line torn by a power cut
                        line = b"\n" + line
                if os.write(handle, line) != len(line):
                    raise ConfigError(f"{path}: the disk is full; the rating is not saved")
                os.fsync(handle)
            finally:
                os.close(handle)
            if fresh and os.name != "nt":
                folder = os.open(path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; the rating is not saved") from error


@dataclass(slots=True)
class Tally:
    """How people changed what an export holds, as counts of samples."""

    accepted: int = 0  # against the judge
    rejected: int = 0  # against the judge
    edited: int = 0
    undecided: int = 0

    def __bool__(self) -> bool:
        return bool(self.accepted or self.rejected or self.edited or self.undecided)

    def __str__(self) -> str:
        parts = (
            (self.accepted, "brought in against the judge"),
            (self.rejected, "left out against the judge"),
            (self.edited, "edited"),
            (self.undecided, "left out because the raters are undecided"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in parts if count)


def reviewed(
    samples: Iterable[tuple[str, str, Callable[[], dict[str, Any]]]],
    ratings: Ratings,
    *,
    kept: bool | None,
    tally: Tally,
) -> Iterator[dict[str, Any]]:
    """The samples that people and judge together keep (or do not, with ``kept`` False), edited.

    With ``kept`` None, those that people have rated, whatever they said. ``samples`` are all of a
    run: id, outcome, and how to read the sample, which is done only for those that are wanted. A
    sample without messages cannot be accepted. What people said of a sample stands in its
    ``metadata.people``.
    """
    for name, outcome, read in samples:
        review = ratings.review(name)
        if review is None:
            if kept is not None and (outcome == "kept") == kept:
                yield read()
            continue
        sample = read()
        now = _outcome(outcome, review) if sample["messages"] else outcome
        tally.accepted += now == "kept" != outcome
        tally.rejected += outcome == "kept" != now and not review.undecided
        tally.undecided += bool(review.undecided)
        tally.edited += bool(review.edits) and now == "kept"
        if kept is None or (now == "kept") == kept:
            yield _changed(sample, outcome, now, review)


def _outcome(outcome: str, review: Review) -> str:
    if review.undecided:
        return "undetermined"
    return {"accept": "kept", "reject": "rejected", None: outcome}[review.decision]


def _changed(sample: dict[str, Any], was: str, now: str, review: Review) -> dict[str, Any]:
    messages = [dict(message) for message in sample["messages"]]
    metadata = dict(sample["metadata"])
    edits = {at: text for at, text in review.edits.items() if at < len(messages)}
    for at, text in edits.items():
        metadata["turns"] = _turns(metadata.get("turns"), messages[at]["content"], text)
        messages[at]["content"] = text
    if metadata.get("turns") is None:
        metadata.pop("turns", None)
    metadata["people"] = {
        "decisions": {r.rater: r.decision for r in review.raters.values() if r.decision},
        "decision": review.decision,
        "edited": sorted(edits),
        "criteria": dict(review.criteria),
        "notes": {r.rater: r.note for r in review.raters.values() if r.note},
        "judged": was,
    }
    if now != was:
        metadata["outcome"] = now
        said = review.undecided or "; ".join(
            f"{r.rater}: {r.note or r.decision}" for r in review.raters.values() if r.decision
        )
        reasons = [] if now == "kept" else [f"people: {said}"]
        metadata["reasons"] = reasons
    return {**sample, "messages": messages, "metadata": metadata}


def _turns(turns: Any, old: str, new: str) -> Any:
    """The turns of a dialogue, in which a message stands a second time."""
    if not isinstance(turns, list):
        return turns
    return [
        {**turn, "text": new} if isinstance(turn, dict) and turn.get("text") == old else turn
        for turn in turns
    ]


def _majority(values: Iterable[Any]) -> tuple[Any, bool]:
    """What most say, and whether two things are said equally often; None of nothing."""
    counts: Counter[Hashable] = Counter(values)
    ranked = counts.most_common(2)
    if not ranked:
        return None, False
    tied = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
    return (None, True) if tied else (ranked[0][0], False)
