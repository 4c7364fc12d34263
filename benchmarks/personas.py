"""A thousand profiles, by quota and with all earlier profiles pasted into each prompt, on one scripted model.

The model's habit is known because it is made up (`synthtutor.testing.students`): so many characters
in mind for each kind of student, some preferred. That it avoids an earlier profile of which it is
shown all with a given probability is assumed, so three are tried; a real model's lies somewhere
there. Both ways are counted by the same tokenizer, and near-duplicates in what they give by exact
comparison of all pairs, not by the estimate that the recipe rejects by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from measuring import heading, options, table, verdict

from synthtutor import arun
from synthtutor.messages import Message, Request
from synthtutor.quality.shingles import shingles, tokens
from synthtutor.recipes.personas import reject_near_duplicates, similarity_text
from synthtutor.recipes.profiles import ATTRIBUTES, Profile
from synthtutor.structured import shape_of
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.students import Students
from synthtutor.tokens import counter_for

_MODEL = "openai/gpt-5-mini"  # whose tokenizer counts; it is not asked
_GOAL = 3_000_000
_SIMILAR = 0.6
_SHAPE = shape_of(Profile)
_COUNTER = counter_for(_MODEL)
_TASK = "Invent the profile of one student. Be different from all of these:"


async def _by_quota(count: int, folder: Path) -> tuple[list[dict[str, Any]], int, int, int]:
    """Run the recipe until ``count`` are kept: profiles, calls, tokens, and how many were rejected."""
    students = Students()
    provider = ScriptedProvider(students)
    wanted, asked = count, 0
    while True:
        asked += wanted
        result = await arun(
            "personas", models="scripted/x", n=asked, providers={"scripted": provider}, out=folder
        )
        kept = [
            sample
            for sample in reject_near_duplicates(result.samples())
            if sample["metadata"]["outcome"] == "kept"
        ]
        if len(kept) >= count:
            break
        wanted = max(10, (count - len(kept)) * asked // len(kept))
    used = sum(_COUNTER.count(request) for request in provider.requests)
    used += sum(_COUNTER.text(students(request)) for request in provider.requests)
    return [sample["metadata"] for sample in kept[:count]], asked, used, asked - len(kept)


def _pasted(count: int, notices: float) -> tuple[list[dict[str, Any]], int]:
    """Ask one after the other, each prompt holding all profiles before it: profiles and tokens.

    Tokens are those of each text by itself, added up: counting 1.2 GB of prompts would take hours.
    """
    students = Students(notices=notices)
    told: list[str] = []
    found: list[dict[str, Any]] = []
    before = used = 0
    bare = _COUNTER.count(Request(_MODEL, (Message("user", _TASK),), _SHAPE.schema))
    for _ in range(count):
        prompt = "\n".join([_TASK, *told])
        text = students(Request(_MODEL, (Message("user", prompt),), _SHAPE.schema))
        size = _COUNTER.text(text)
        used += bare + before + size
        before += size
        told.append(text)
        profile = orjson.loads(text)
        found.append({"profile": profile, "draw": {name: str(profile[name]) for name in _SHOWN}})
    return found, used


_SHOWN = ("class_level", "syllabus", "learning_style")


def _near_duplicates(found: Sequence[dict[str, Any]]) -> float:
    """The share of profiles that share 0.6 of their three-word runs with an earlier one, exactly."""
    runs = [set(shingles(tokens(similarity_text(_alike(one))), 3)) for one in found]
    later = {
        right
        for left, right in combinations(range(len(runs)), 2)
        if 10 * len(runs[left] & runs[right]) >= 10 * _SIMILAR * len(runs[left] | runs[right])
    }
    return len(later) / len(found)


def _alike(metadata: dict[str, Any]) -> dict[str, Any]:
    """With the same fields left out for both ways."""
    return {"profile": metadata["profile"], "draw": dict.fromkeys(_SHOWN, "")}


def _coverage(found: Sequence[dict[str, Any]]) -> float:
    """How many cells of class, syllabus and learning style are there, of those that can be."""
    there = {tuple(str(one["profile"][name]) for name in _SHOWN) for one in found}
    possible = 1
    for name in _SHOWN:
        possible *= len(ATTRIBUTES[0][name])
    return len(there) / possible


def main() -> None:
    """Print the tables."""
    asked = options(__doc__)
    heading("Student profiles: quotas and similarity against pasted memory")
    sizes = (50, 100) if asked.quick else (250, 500, 1_000)
    lines: list[tuple[object, ...]] = []
    rates: dict[str, tuple[float, float]] = {}
    for size in sizes:
        with TemporaryDirectory(prefix="synthtutor-benchmark-") as folder:
            found, calls, used, rejected = asyncio.run(_by_quota(size, Path(folder)))
        rates["quotas"] = _near_duplicates(found), _coverage(found)
        goal = verdict(used <= _GOAL) if size == 1_000 else ""
        shown = f"{rejected} of {calls}"
        lines.append(
            (size, "quotas", f"{used:,}", used / size, *map(_percent, rates["quotas"]), shown, goal)
        )
        for notices in (0.5, 0.9, 1.0):
            name = f"pasted, notices {notices:g}"
            found, used = _pasted(size, notices)
            rates[name] = _near_duplicates(found), _coverage(found)
            lines.append(
                (size, name, f"{used:,}", used / size, *map(_percent, rates[name]), "–", "")
            )
    columns = ("profiles", "way", "tokens", "a profile", "near-duplicates", "cells", "rejected", "")
    table(columns, lines)
    worse = [
        name for name, (share, cells) in rates.items()
        if share < rates["quotas"][0] or cells > rates["quotas"][1]
    ]  # fmt: skip
    print("Quotas are no worse:", verdict(not worse), *worse)


def _percent(share: float) -> str:
    return f"{share:.1%}"


if __name__ == "__main__":
    main()
