"""A talker and a reasoner tutor a simulated student: whole dialogues, and a row for each tutor turn.

Mode ``simulate`` makes a new dialogue from an executable misconception (`synthtutor.malrules`) or
from a problem with a wrong solution, until the student states the right answer or the tutor has
had its turns. Mode ``enhance`` says a given dialogue anew for a persona, teaching moves kept.
`synthtutor.recipes.dialogue_modes` has the turns and who knows what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from synthtutor.coverage import Coverage
from synthtutor.errors import ConfigError
from synthtutor.malrules import MALRULES, Case
from synthtutor.messages import Message
from synthtutor.quality.symbolic import shared_equivalence
from synthtutor.recipes.dialogue_modes import Row, Talk, Violation, enhance, simulate
from synthtutor.recipes.problem_files import COLUMNS, problem_rows
from synthtutor.recipes.problems import Problem
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.session import Session
from synthtutor.sources import BadRow, read_rows
from synthtutor.tutoring import Outcome, Sample

__all__ = ["DIALOGUE", "VISIBLE", "dialogue", "rows", "visible"]

# What a tutor would come to know of a student; whatever else a profile holds stays with the student.
VISIBLE = (
    *("name", "age", "class_level", "grade", "interest", "interests", "hobbies", "manner"),
    *("personality", "emotional_traits", "group_behavior", "learning_style"),
)
MANNERS = (
    "answers in as few words as possible",
    "thinks aloud and corrects themselves mid-sentence",
    "guesses quickly and wants to be done",
    "asks for the answer when it gets hard",
    "is sure of themselves, even when wrong",
    "is afraid of making mistakes and keeps asking whether it is right",
    "wants to know why before doing anything",
    "loses track and talks about other things",
)
_NAMES = (
    *("Amara", "Bilal", "Chen", "Daria", "Emil", "Fatou", "Goran", "Hana", "Ivo", "Jamila"),
    *("Kiran", "Lena", "Mateo", "Noor", "Oluwaseun", "Priya", "Quentin", "Rosa", "Samir", "Tove"),
)
_INTERESTS = (
    *("football", "baking", "drawing comics", "birds", "chess", "dancing", "old trains", "cats"),
    *("space", "skateboarding", "gardening", "drums", "swimming", "making films", "magic tricks"),
)
_TURNS = 8


@shared_equivalence()
async def dialogue(session: Session, row: Row) -> Sample:
    """One dialogue; where a rule stays broken, what there is of it, rejected with the reason."""
    talk = Talk(session, row, visible(row.persona))
    reasons: list[str] = []
    try:
        if row.mode == "enhance":
            await enhance(talk)
        else:
            await simulate(talk, _turns(session.option("turns")))
    except Violation as violation:
        talk.ended = "a rule stayed broken"
        reasons = [str(violation)]
    unsolved = row.mode != "enhance" and not talk.solved
    if not reasons and unsolved and session.option("unsolved") != "judge":
        reasons = [f"not solved: {talk.ended}"]
    return await _sample(session, talk, reasons)


def visible(persona: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a persona that a tutor may know."""
    return {name: persona[name] for name in VISIBLE if persona.get(name) not in (None, "", [])}


# ── the sample ───────────────────────────────────────────────────────────────────────────────


async def _sample(session: Session, talk: Talk, reasons: Sequence[str]) -> Sample:
    outcome: Outcome = "rejected" if reasons else "kept"
    judged: dict[str, Any] = {}
    if not reasons:
        found = await session.judge(_transcript(talk), session.rubric, context=_context(talk))
        outcome, reasons = found.score.outcome, found.score.reasons
        judged = found.to_metadata()
    return Sample(
        _messages(session, talk), {**_metadata(session, talk), **judged}, outcome, reasons
    )


def _metadata(session: Session, talk: Talk) -> dict[str, Any]:
    problem, rule = talk.problem, talk.row.rule
    held = None
    if rule is not None:
        held = {
            "name": rule.name,
            "topic": rule.topic,
            "belief": rule.belief,
            "source": rule.source,
            "wrong_answer": rule.on(talk.row.numbers).wrong.said,
        }
    return {
        "mode": talk.row.mode,
        "problem_id": problem.id,
        "source": problem.source,
        "question": problem.question,
        "gold_answer": problem.answer,
        "solution": talk.solution,
        "malrule": held,
        "persona": dict(talk.row.persona),
        "student_persona": dict(talk.shown),
        "student_profile": problem.profile,
        "instruction": session.render("dialogue/task.md.j2")[0].content,
        "turns": [
            {"turn": number, "speaker": turn.speaker, "text": turn.text, "move": turn.move}
            for number, turn in enumerate(talk.said())
        ],
        "belief_states": [state.to_metadata() for state in talk.states],
        "solved": talk.solved,
        "ended": talk.ended,
        "violations": talk.violations,
        "leak_doubts": talk.doubts,
    }


def _messages(session: Session, talk: Talk) -> list[Message]:
    """The dialogue as a chat that ends with the tutor; adjoining turns of one side are one message."""
    first = f"{talk.problem.question}\n\n{talk.problem.student_solution}".strip()
    messages = [session.render("dialogue/task.md.j2")[0], Message("user", first)]
    for turn in talk.turns:
        role: Literal["user", "assistant"] = "assistant" if turn.speaker == "tutor" else "user"
        if messages[-1].role == role:
            messages[-1] = Message(role, f"{messages[-1].content}\n\n{turn.text}")
        else:
            messages.append(Message(role, turn.text))
    if len(messages) > 2 and messages[-1].role == "user":
        messages.pop()
    return messages


def _transcript(talk: Talk) -> str:
    sides = {"tutor": "Tutor", "student": "Student"}
    return "\n".join(f"{sides[turn.speaker]}: {turn.text}" for turn in talk.turns)


def _context(talk: Talk) -> str:
    return talk.session.render(
        "dialogue/judged.md.j2",
        question=talk.problem.question,
        solution=talk.solution,
        opening=talk.problem.student_solution,
        belief=talk.belief.model_dump_json() if talk.belief else "",
    )[0].content


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def rows(options: RowOptions) -> Rows[Row]:
    """Malrules × manners without a file, the file's problems or dialogues with one.

    Raises ConfigError for options that cannot be used.
    """
    given = options.options
    _turns(given.get("turns"))
    for name, allowed in {
        "unsolved": ("reject", "judge"),
        "student_knows": ("no", "yes"),
        "leaks": ("judge", "code"),
    }.items():
        if given.get(name, allowed[0]) not in allowed:
            raise ConfigError(f"option {name}={given[name]!r}: choose {' or '.join(allowed)}")
    mode = options.mode or "simulate"
    personas = _personas(given.get("personas"))
    if options.path is not None:
        return Rows(_file_rows(options, mode, personas))
    if mode == "enhance":
        raise ConfigError("enhance needs dialogues: give --rows FILE (MathDial, or your own)")
    names = _chosen(given.get("malrules"))
    total = options.per_seed * len(names) if options.per_seed else None
    return Rows(_malrule_rows(names, options.seed, personas, total), total)


def _malrule_rows(
    names: Sequence[str], seed: int, personas: Sequence[dict[str, Any]], total: int | None
) -> Iterator[Row]:
    """Endless without ``total``; every malrule meets every manner before a pair comes again."""
    coverage = Coverage({"malrule": names, "manner": MANNERS}, seed=seed)
    number = 0
    while total is None or number < total:
        cell = coverage.draw(number)
        chance = Random(f"dialogue {seed} {number}")
        rule = MALRULES[cell["malrule"]]
        made = rule.case(chance)
        persona = _persona(chance, cell["manner"], chance.randint(*rule.grades))
        if personas:
            persona = personas[number % len(personas)]
        yield Row("simulate", _problem(made), persona, rule.name, made.numbers, number)
        number += 1


def _problem(made: Case) -> Problem:
    return Problem(
        question=made.question,
        answer=made.right.said,
        solution="\n".join(made.right.steps),
        student_solution="\n".join([*made.wrong.steps, f"So my answer is {made.wrong.said}."]),
        id=f"{made.malrule}:{'-'.join(map(str, made.numbers))}",
        source="malrule",
    )


def _persona(chance: Random, manner: str, grade: int | None = None) -> dict[str, Any]:
    drawn = {"name": chance.choice(_NAMES), "grade": grade or chance.randint(5, 8)}
    return {**drawn, "interest": chance.choice(_INTERESTS), "manner": manner}


def _file_rows(
    options: RowOptions, mode: str, personas: Sequence[dict[str, Any]]
) -> Iterator[Row | BadRow]:
    wanted = "turns" if mode == "enhance" else "student_solution"
    lacking = "no dialogue to enhance" if mode == "enhance" else "no wrong solution to begin with"
    for number, found in enumerate(problem_rows(options).rows):
        if isinstance(found, BadRow):
            yield found
        elif not getattr(found, wanted):
            yield BadRow(f"{options.path}, problem {number + 1}", lacking)
        else:
            chance = Random(f"dialogue {options.seed} {number}")
            persona = _persona(chance, MANNERS[number % len(MANNERS)])
            if personas:
                persona = personas[number % len(personas)]
            problem = found if mode == "enhance" else replace(found, turns=())
            yield Row(mode, problem, persona, number=number)


def _personas(path: str | None) -> list[dict[str, Any]]:
    """Profiles of a ``personas`` run's samples.jsonl, or records whose fields are the profile."""
    if path is None:
        return []
    found: list[dict[str, Any]] = []
    for record in read_rows(Path(path)):
        if not isinstance(record, BadRow):
            metadata = record.get("metadata")
            profile = metadata.get("profile") if isinstance(metadata, Mapping) else dict(record)
            if isinstance(profile, Mapping) and visible(profile):
                found.append(dict(profile))
    if not found:
        raise ConfigError(
            f"option personas={path}: no profile there has any of {', '.join(VISIBLE)}"
        )
    return found


def _chosen(value: str | None) -> tuple[str, ...]:
    if value is None:
        return tuple(MALRULES)
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    unknown = [name for name in names if name not in MALRULES]
    if unknown or not names:
        raise ConfigError(
            f"option malrules={value!r}: there is no {', '.join(unknown) or 'name in it'}; "
            f"there are {', '.join(MALRULES)}"
        )
    return names


def _turns(value: str | None) -> int:
    if value is None:
        return _TURNS
    if not value.isdigit() or int(value) < 1:
        raise ConfigError(f"option turns={value!r}: give a whole number from 1")
    return int(value)


DIALOGUE: Recipe[Row] = Recipe(
    name="dialogue",
    function=dialogue,
    rows=rows,
    summary="A talker and a reasoner tutor a student with an executable misconception.",
    roles=("tutor", "reasoner", "student", "judge"),
    rubric="dialogue-arc",
    modes=("simulate", "enhance"),
    output_tokens={
        "dialogue/tutor.md.j2": 50,
        "dialogue/tutor_again.md.j2": 40,
        "dialogue/student.md.j2": 60,
        "dialogue/student_again.md.j2": 40,
        "reasoner/belief.md.j2": 220,
        "reasoner/solution.md.j2": 190,
    },
    # Teachers take 5.4 turns on average in MathDial's dialogues (a sample of 40); then it is solved.
    odds={"idea=dropped": 1 / 5.4},
    options={
        "turns": "most turns of the tutor in simulate (default 8)",
        "malrules": "names of misconceptions, with commas between (default all)",
        "personas": "a personas run's samples.jsonl, or profiles of your own (default: drawn)",
        "unsolved": "judge keeps an unsolved dialogue if the judge does (default reject)",
        "leaks": "code asks no judge where it is not sure that a turn is a leak (default judge)",
        "student_knows": "yes shows the student a correct solution (default no)",
        **COLUMNS,
    },
)
