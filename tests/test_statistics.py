from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from synthtutor.statistics import statistics


def _sample(
    index: int = 0, answer: str = "Half of it. Why?", question: str = "Why?", **metadata: Any
) -> dict[str, Any]:
    return {
        "id": f"row-{index}",
        "messages": [
            {"role": "system", "content": "You are a tutor. Never tell. Always ask."},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        "metadata": metadata,
    }


def _verdict(
    name: str, passed: bool | None, *, dimension: str = "care", state: str = "answered", **more: Any
) -> dict[str, Any]:
    wording = {"criterion": f"Does it {name}?", "weight": 5, "observed": passed, "evidence": ""}
    return {"id": name, "dimension": dimension, "passed": passed, "state": state, **wording, **more}


def test_no_samples_make_plain_data_without_numbers() -> None:
    summary = statistics([])
    assert json.loads(json.dumps(summary)) == summary
    assert summary["outcomes"]["samples"] == 0
    assert summary["outcomes"]["keep_rate"] is None
    assert summary["assistant"]["words_per_turn"]["mean"] is None
    assert summary["verdicts"]["pass_rate"] is None
    assert summary["coverage"]["least_per_filled_cell"] is None


def test_outcomes_are_counted_with_their_reasons() -> None:
    outcomes = statistics(
        [
            _sample(0),
            _sample(1, outcome="kept"),
            _sample(2, outcome="rejected", reasons=["leak", "length", "leak"]),
            _sample(3, outcome="rejected", reasons="leak"),
            _sample(4, outcome="undetermined"),
            _sample(5, outcome="failed", reasons=["refused"]),
        ]
    )["outcomes"]
    assert outcomes == {
        "samples": 6,
        "kept": 2,
        "rejected": 2,
        "undetermined": 1,
        "failed": 1,
        "keep_rate": 0.3333,
        "keep_rate_of_decided": 0.5,
        "reasons": {
            "rejected": {"leak": 2, "length": 1},
            "failed": {"refused": 1},
            "undetermined": {},
        },
    }


def test_texts_are_those_of_kept_assistants_only() -> None:
    summary = statistics(
        [
            _sample(0, answer="one two three four"),
            _sample(1, answer="word " * 500, outcome="rejected"),
        ]
    )
    assert summary["assistant"]["words_per_turn"]["max"] == 4
    assert summary["assistant"]["texts"] == 1
    assert summary["assistant"]["diversity"]["distinct_1"] == {
        "share": 1.0, "different": 4, "all": 4,
    }  # fmt: skip


def test_each_turn_of_a_dialogue_is_measured() -> None:
    dialogue = _sample(0, answer="Look at it. Why?")
    dialogue["messages"] += [
        {"role": "user", "content": "Hm."},
        {"role": "assistant", "content": "Look at it again."},
    ]
    assistant = statistics([dialogue])["assistant"]
    assert assistant["turns_per_sample"]["max"] == 2
    assert assistant["words_per_turn"]["n"] == 2
    assert assistant["openers"]["top"][0] == {"phrase": "look at it", "count": 2, "share": 1.0}
    assert assistant["endings"]["question"] == 0.5


def test_near_duplicates_are_found_on_both_sides() -> None:
    said = [_sample(n, answer=f"Answer number {n} is its own", question="Which pipe is faster?") for n in range(4)]  # fmt: skip
    duplicates = statistics(said)["near_duplicates"]
    assert duplicates["user"]["most_copied"] == [{"id": "row-0", "copies": 3}]
    assert duplicates["assistant"]["copies"] == 0


def test_pass_rates_leave_out_what_was_not_answered() -> None:
    verdicts = statistics(
        [
            _sample(
                0, verdicts=[_verdict("ask", True), _verdict("leak", False, dimension="truth")]
            ),
            _sample(1, verdicts=[_verdict("ask", False)], outcome="rejected"),
            _sample(2, verdicts=[_verdict("ask", None, state="missing")], outcome="undetermined"),
            _sample(3, verdicts=[_verdict("ask", None, state="failed")], outcome="undetermined"),
        ]
    )["verdicts"]
    assert verdicts["criteria"]["ask"] == {
        "criterion": "Does it ask?",
        "answered": 2,
        "missing": 1,
        "failed": 1,
        "passed": 1,
        "observed": 1,
        "pass_rate": 0.5,
    }
    assert verdicts["dimensions"]["truth"]["pass_rate"] == 0.0
    assert (verdicts["answered"], verdicts["passed"]) == (3, 1)


@pytest.mark.parametrize("state", ["answered", "missing", "failed", "odd"])
def test_a_verdict_without_an_answer_neither_passes_nor_fails(state: str) -> None:
    verdicts = statistics([_sample(0, verdicts=[_verdict("ask", None, state=state)])])["verdicts"]
    assert verdicts["pass_rate"] is None
    assert verdicts["missing"] + verdicts["failed"] == 1


def test_a_criterion_worded_differently_each_time_has_no_wording() -> None:
    verdicts = statistics(
        [_sample(n, verdicts=[_verdict("c1", True, criterion=f"Wording {n}?")]) for n in range(3)]
    )["verdicts"]
    assert verdicts["criteria"]["c1"]["criterion"] is None
    assert verdicts["criteria"]["c1"]["answered"] == 3


def test_cells_are_counted_made_and_kept() -> None:
    coverage = statistics(
        [
            _sample(0, subject="algebra", misconception_type="sign"),
            _sample(1, subject="algebra", misconception_type="sign"),
            _sample(2, subject="algebra", misconception_type="order", outcome="rejected"),
            _sample(3, subject="finance", misconception_type="sign"),
            _sample(4, subject="finance"),
        ],
        cells=8,
    )["coverage"]
    assert coverage == {
        "cells": 8,
        "filled": 2,
        "filled_share": 0.25,
        "attempted": 3,
        "subjects": 2,
        "misconception_types": 2,
        "least_per_filled_cell": 1,
        "most_per_filled_cell": 2,
        "samples_left_out": 0,
        "by_subject": {
            "algebra": {"order": {"made": 1, "kept": 0}, "sign": {"made": 2, "kept": 2}},
            "finance": {"sign": {"made": 1, "kept": 1}},
        },
    }


@pytest.mark.slow
def test_memory_is_bounded_when_every_sample_is_new() -> None:
    def stream(count: int) -> Iterator[dict[str, Any]]:
        for n in range(count):
            yield _sample(
                n,
                outcome="rejected",
                reasons=[f"reason {n}"],
                verdicts=[_verdict(f"c{n}", True, dimension=f"d{n}")],
                subject=f"s{n}",
                misconception_type="sign",
            )

    tracemalloc.start()
    summary = statistics(stream(12_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000
    assert summary["verdicts"]["criteria"]["(others)"]["answered"] == 11_000
    assert summary["outcomes"]["reasons"]["rejected"]["(others)"] == 11_000
    assert summary["coverage"]["samples_left_out"] == 2000


def test_of_many_texts_every_nth_is_measured_and_the_number_is_said() -> None:
    samples = [
        {
            "id": str(number),
            "messages": [{"role": "assistant", "content": f"Reply number {number}."}],
            "metadata": {"outcome": "kept" if number % 2 else "rejected"},
        }
        for number in range(20)
    ]
    figures = statistics(samples, every=3)
    assert figures["texts_measured"] == 4
    assert figures["assistant"]["words_per_turn"]["n"] == 4
    assert figures["outcomes"]["kept"] == 10
