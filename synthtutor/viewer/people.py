"""What people said of a run's samples: for filters, for the page of a sample, and as agreement."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from synthtutor.calibration.agreement import accuracy, cohen_kappa, krippendorff_alpha
from synthtutor.ratings import Rating, Ratings

__all__ = ["JUDGE", "Agreement", "Pair", "agreement", "groups"]

JUDGE = "the judge"
_AS_DECISION = {"kept": "accept", "rejected": "reject"}


class Pair(NamedTuple):
    """Two raters on the samples that both decided. ``kappa`` is None where it is not defined."""

    one: str
    other: str
    samples: int
    share: float | None
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """The raters of a run. ``alpha`` is Krippendorff's, over the people without the judge.

    ``raters`` maps each to how many samples they accepted, rejected and edited; ``undecided`` are
    the ids of samples without a majority.
    """

    raters: Mapping[str, tuple[int, int, int]]
    pairs: list[Pair]
    with_judge: list[Pair]
    alpha: float | None
    undecided: list[str]


def groups(ratings: Ratings, index: sqlite3.Connection) -> Mapping[str, Collection[bytes]]:
    """The samples of each of `queries.PEOPLE`; of those not rated, those that are."""
    found: dict[str, set[bytes]] = {
        name: set() for name in ("rated", "accept", "reject", "undecided", "against")
    }
    for name in ratings:
        review, sample = ratings.review(name), bytes.fromhex(name)
        if review is None:
            continue
        found["rated"].add(sample)
        if review.undecided:
            found["undecided"].add(sample)
        elif review.decision is not None:
            found[review.decision].add(sample)
            judged = _outcome(index, sample)
            if judged is not None and _AS_DECISION.get(judged) != review.decision:
                found["against"].add(sample)
    return found


def agreement(ratings: Ratings, index: sqlite3.Connection) -> Agreement:
    """How far the raters agree, with one another and with the judge."""
    decisions: dict[str, dict[str, str]] = {}
    judged: dict[str, str] = {}
    counts: dict[str, list[int]] = {}
    undecided = []
    for name in ratings:
        review = ratings.review(name)
        if review is None:
            continue
        if review.undecided:
            undecided.append(name)
        for rating in review.raters.values():
            _count(counts.setdefault(rating.rater, [0, 0, 0]), rating)
            if rating.decision:
                decisions.setdefault(rating.rater, {})[name] = rating.decision
        outcome = _outcome(index, bytes.fromhex(name))
        if outcome in _AS_DECISION:
            judged[name] = _AS_DECISION[outcome]
    people = sorted(decisions)
    units = [[decisions[who].get(name) for who in people] for name in ratings]
    return Agreement(
        raters={who: (c[0], c[1], c[2]) for who, c in sorted(counts.items())},
        pairs=[_pair(a, b, decisions[a], decisions[b]) for a, b in combinations(people, 2)],
        with_judge=[_pair(who, JUDGE, decisions[who], judged) for who in people],
        alpha=krippendorff_alpha(units) if len(people) > 1 else None,
        undecided=undecided,
    )


def _count(counts: list[int], rating: Rating) -> None:
    counts[0] += rating.decision == "accept"
    counts[1] += rating.decision == "reject"
    counts[2] += bool(rating.edits)


def _pair(one: str, other: str, first: Mapping[str, str], second: Mapping[str, str]) -> Pair:
    pairs = Counter((first[name], second[name]) for name in first if name in second)
    return Pair(one, other, pairs.total(), accuracy(pairs), cohen_kappa(pairs))


def _outcome(index: sqlite3.Connection, sample: bytes) -> str | None:
    found = index.execute("SELECT outcome FROM entry WHERE sample = ?", (sample,)).fetchone()
    return found[0] if found else None
