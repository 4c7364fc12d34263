from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from synthtutor.defects import DEFECTS, Gold, plant
from synthtutor.recipes.bank import _FOLDER, Seed, bank, gold, golds, own_criteria
from synthtutor.rubric import load_rubric
from synthtutor.tutoring import MISCONCEPTION_TYPES, SUBJECTS

DIMENSIONS = {"diagnosis", "truth", "scaffolding", "level", "tone", "focus"}
SKILLS = {
    "guiding_questions", "core_difficulty", "correct_steps", "incorrect_steps",
    "examples", "alternatives", "definitions", "step_by_step",
}  # fmt: skip
SEED_FIELDS = {
    "id", "topic", "misconception_type", "question",
    "first_explanation", "follow_up", "misconception", "rubric",
}  # fmt: skip
GOLD_FIELDS = {
    "seed", "reply", "diagnosis", "check_question",
    "check_answer", "false_statement", "endorsement",
}  # fmt: skip
BOILERPLATE = ("great question", "you've hit on", "good question", "excellent question")


def file_of(subject: str) -> dict[str, Any]:
    data = yaml.safe_load((_FOLDER / f"{subject}.yaml").read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def words(text: str) -> int:
    return len(text.split())


def criteria() -> list[tuple[str, dict[str, Any]]]:
    return [(seed.id, dict(entry)) for seed in bank() for entry in seed.rubric]


# ── the files ────────────────────────────────────────────────────────────────────────────────


def test_there_is_one_file_for_each_of_the_28_subjects() -> None:
    assert len(SUBJECTS) == len(set(SUBJECTS)) == 28
    assert {path.stem for path in _FOLDER.glob("*.yaml")} == set(SUBJECTS)
    assert not [path for path in _FOLDER.iterdir() if path.suffix != ".yaml"]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_file_has_three_seeds_of_different_kinds_and_a_gold_reply(subject: str) -> None:
    data = file_of(subject)
    assert set(data) == {"subject", "seeds", "gold"}
    assert data["subject"] == subject
    assert [seed["id"] for seed in data["seeds"]] == [f"{subject}-{n}" for n in (1, 2, 3)]
    assert len({seed["topic"] for seed in data["seeds"]}) == 3
    types = {seed["misconception_type"] for seed in data["seeds"]}
    assert len(types) == 3
    assert types <= set(MISCONCEPTION_TYPES)
    assert set(data["gold"]) == GOLD_FIELDS
    assert data["gold"]["seed"] == f"{subject}-1"
    for seed in data["seeds"]:
        assert set(seed) == SEED_FIELDS
        for name in SEED_FIELDS - {"rubric"}:
            assert isinstance(seed[name], str)
            assert seed[name].strip()


def test_every_misconception_type_is_used_about_equally() -> None:
    counts = Counter(seed.misconception_type for seed in bank())
    assert set(counts) == set(MISCONCEPTION_TYPES)
    assert min(counts.values()) >= 84 / 8 / 2
    assert max(counts.values()) <= 84 / 8 * 2


# ── the seeds ────────────────────────────────────────────────────────────────────────────────


def test_the_bank_has_84_different_seeds_turn_by_turn() -> None:
    seeds = bank()
    assert len(seeds) == 84
    assert [seed.subject for seed in seeds] == list(SUBJECTS) * 3
    for name in ("id", "question", "first_explanation", "follow_up"):
        assert len({getattr(seed, name) for seed in seeds}) == 84


@pytest.mark.parametrize("seed", bank(), ids=lambda seed: seed.id)
def test_a_seed_is_of_a_length_to_be_an_example(seed: Seed) -> None:
    assert 12 <= words(seed.question) <= 160
    assert 75 <= words(seed.first_explanation) <= 190
    assert 15 <= words(seed.follow_up) <= 110
    assert words(seed.topic) <= 8


@pytest.mark.parametrize("seed", bank(), ids=lambda seed: seed.id)
def test_a_seeds_rubric_has_what_a_rubric_needs(seed: Seed) -> None:
    entries = own_criteria(seed.rubric)
    assert 5 <= len(entries) <= 7
    weights = Counter(entry.weight for entry in entries)
    assert set(weights) <= {5, 1, -1, -5}
    assert 2 <= weights[5] <= 3
    assert 1 <= weights[1] <= 3
    assert weights[-5] >= 1
    for entry in entries:
        assert entry.dimension in DIMENSIONS
        assert entry.skill in SKILLS
        assert not entry.negated


def test_the_ids_of_own_criteria_follow_their_order() -> None:
    ids = [entry.id for entry in own_criteria(bank()[0].rubric)]
    assert ids == [f"c{number}" for number in range(1, len(ids) + 1)]


@pytest.mark.parametrize("entry", criteria(), ids=lambda entry: entry[0])
def test_a_criterion_is_one_full_sentence_of_one_claim(entry: tuple[str, dict[str, Any]]) -> None:
    _, criterion = entry
    text = criterion["text"]
    assert set(criterion) == {"text", "weight", "dimension", "skill"}
    assert re.fullmatch(r"[A-Z][a-z]*s\b.*[.?]", text, re.DOTALL), "begins with a verb"
    assert "\n" not in text
    if criterion["weight"] < 0:
        assert not re.match(r"(Does not|Must not|Fails to|Never|Avoids)\b", text)


# ── the gold replies ─────────────────────────────────────────────────────────────────────────

GOLDS = [pytest.param(seed, made, id=made.subject) for seed, made in golds()]


@pytest.mark.parametrize(("seed", "made"), GOLDS)
def test_a_gold_reply_answers_its_seed(seed: Seed, made: Gold) -> None:
    assert seed.id == f"{made.subject}-1"
    assert gold(made.subject) == (seed, made)
    assert made.follow_up == seed.follow_up
    assert made.misconception


@pytest.mark.parametrize(("seed", "made"), GOLDS)
def test_the_parts_of_a_gold_reply_are_exact(seed: Seed, made: Gold) -> None:
    assert made.reply.count(made.diagnosis) == 1
    assert made.reply.count(made.check_question) == 1
    assert made.reply.endswith(made.check_question)
    assert made.check_question.endswith("?")
    assert made.diagnosis[-1] in '.!?"'
    for part in (made.check_answer, made.false_statement, made.endorsement):
        assert part
        assert part not in made.reply


@pytest.mark.parametrize(("seed", "made"), GOLDS)
def test_a_gold_reply_is_of_the_length_and_shape_that_is_asked_for(seed: Seed, made: Gold) -> None:
    assert 115 <= words(made.reply) <= 225
    assert not re.search(r"^\s*#", made.reply, re.MULTILINE), "no headings"
    assert len(re.findall(r"^\s*(?:[-*]|\d+\.)\s", made.reply, re.MULTILINE)) <= 3
    assert not made.reply.lower().startswith(BOILERPLATE)
    before, _, _ = made.reply.rpartition(made.check_question)
    assert made.check_answer not in before


def test_no_two_gold_replies_open_alike() -> None:
    openings = [" ".join(made.reply.lower().split()[:3]) for _, made in golds()]
    assert len(set(openings)) == 28


def test_no_two_endorsements_or_check_questions_are_alike() -> None:
    for name in ("endorsement", "check_question", "diagnosis", "false_statement"):
        assert len({getattr(made, name) for _, made in golds()}) == 28


@pytest.mark.parametrize(("seed", "made"), GOLDS)
def test_every_defect_of_the_rubrics_can_be_planted(seed: Seed, made: Gold) -> None:
    rubric = load_rubric("misconception-repair")
    assert rubric.controls
    for entry in rubric.controls:
        spoilt = plant(entry.mutate, made)
        assert spoilt != made.reply
        assert spoilt.strip()
        assert DEFECTS[entry.mutate].corrupts == "reply"


@pytest.mark.parametrize(("seed", "made"), GOLDS)
def test_without_its_diagnosis_a_reply_is_still_prose(seed: Seed, made: Gold) -> None:
    rest = made.reply.replace(made.diagnosis, "", 1)
    assert not re.search(r"\w\s*\n\n", rest), "each paragraph still ends with a mark"
    assert not re.search(r"(^|\n)\s*[,;:.]", rest)
