"""Pairs of replies to one context, one better than the other, and both judged for what they are.

Mode ``degrade``: a good reply and the same one with a single defect, planted by code where the row
brings the parts for that, and by the rival otherwise. Mode ``rank``: several replies from different
temperatures and models, of which the judge's scores choose two. The judge sees one reply at a time
and never learns which is meant to be the better; where a comparison is asked for, it is asked
in both orders.

Both replies are judged whatever comes of either, so that a sample takes as many calls as
`estimate` said it would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from synthtutor.defects import DEFECTS, Gold, plant
from synthtutor.errors import RubricError
from synthtutor.messages import Message, Settings
from synthtutor.recipes.bank import own_criteria
from synthtutor.recipes.degradations import DEGRADATIONS, Side, judged_by, length_of, targets
from synthtutor.recipes.pair_contexts import Context, contexts
from synthtutor.recipes.pair_judging import Judged, Pair, Scene, compared, difference, margin_of
from synthtutor.recipes.pair_terms import MODES, OPTIONS, Terms
from synthtutor.recipes.recipe import Recipe
from synthtutor.session import Session
from synthtutor.tutoring import Outcome, Sample

__all__ = ["PREFERENCE", "preference"]

_TRIES = 2  # at a reply of the right length
_REPLY = Settings(max_tokens=1200, temperature=0.8)


async def preference(session: Session, row: Context) -> Sample:
    """One pair: the prompt and the chosen reply as messages, the rejected one in the metadata."""
    terms = Terms.of(session.option, row.mode)
    prompt = _prompt(session, row)
    longer = session.random.random() < terms.odds_of_longer(row.mode)
    side: Side = "chosen longer" if longer else "chosen shorter"
    scene = Scene(session, row, terms, _told(row, prompt), side if terms.balanced else None)
    pair = await (_degraded(scene) if row.mode == "degrade" else _ranked(scene))
    first = pair.verdicts[0].to_metadata() if pair.verdicts else {}
    second = pair.verdicts[1].to_metadata() if len(pair.verdicts) > 1 else None
    return Sample(
        messages=[*prompt, Message("assistant", pair.chosen)],
        metadata={
            **row.about,
            "mode": row.mode,
            "variation": row.variation,
            "pair": {
                "rejected": pair.rejected,
                "chosen_words": length_of(pair.chosen),
                "rejected_words": length_of(pair.rejected),
                **pair.about,
            },
            **first,
            "rejected_judged": second,
        },
        outcome=pair.outcome,
        reasons=pair.reasons,
    )


def _prompt(session: Session, row: Context) -> tuple[Message, ...]:
    if row.seed is None:
        return row.prompt
    student = session.render("misconception/student.md.j2", case=row.seed)[0]
    return session.render("misconception/tutor.md.j2")[0], Message("user", student.content)


def _told(row: Context, prompt: Sequence[Message]) -> str:
    """The conversation as the models are shown it."""
    spoken = [message for message in prompt if message.role != "system"]
    if row.seed is not None:
        return spoken[0].content
    speakers = {"system": "Instructions to the tutor", "user": "Student", "assistant": "Tutor"}
    return "\n\n".join(f"{speakers[message.role]}: {message.content}" for message in prompt)


# ── degraded ─────────────────────────────────────────────────────────────────────────────────


async def _degraded(scene: Scene) -> Pair:
    session, row = scene.session, scene.row
    good = row.reply or await _reply(session, scene.told, "writer", _REPLY)
    kind = DEGRADATIONS[row.defect]
    bad = _planted(row.parts, kind.defect, good) if scene.terms.planted else None
    steered = bad is None and not kind.sets_length
    about: dict[str, Any] = {
        "defect": row.defect,
        "made_by": "model" if bad is None else f"code: {kind.defect}",
        "side": scene.side if steered else None,
    }
    side = scene.side if steered else None
    least, most = kind.bounds(length_of(good), side, scene.terms.window)
    bad = bad if bad is not None else await _spoilt(scene, good, least, most)
    if not (session.rehearsing or least <= length_of(bad) <= most):
        reason = "length: the rejected reply is not as long as it should be"
        return Pair(good, bad, (), about, "rejected", [reason])
    extended = session.rubric.extended(own_criteria([dict(entry) for entry in row.rubric]))
    rubric = judged_by(extended, length_of(good))
    chosen = Judged(good, await session.judge(good, rubric, context=scene.told))
    rejected = Judged(bad, await session.judge(bad, rubric, context=scene.told))
    about["must_break"] = list(targets(session.rubric, row.defect))
    about |= difference(chosen, rejected)
    verdicts = chosen.verdict, rejected.verdict
    for check in (_unsound(scene, chosen), _unspoilt(scene, chosen, rejected)):
        if check is not None:
            return Pair(good, bad, verdicts, about, *check)
    return await compared(scene, Pair(good, bad, verdicts, about))


def _planted(parts: Gold | None, defect: str, good: str) -> str | None:
    """The reply with the defect, where there is one that its parts suffice for."""
    if parts is None or defect not in DEFECTS or parts.reply != good:
        return None
    try:
        return plant(defect, parts)
    except RubricError:
        return None


async def _spoilt(scene: Scene, good: str, least: int, most: int) -> str:
    """The reply with the defect, as the rival writes it; asked again where its length is off."""
    level = scene.session.random.choice(("above", "below"))
    bad, found = "", 0
    for _ in range(_TRIES):
        bad = await scene.session.generate(
            str,
            "preference/degrade.md.j2",
            role="rival",
            settings=Settings(max_tokens=2400, temperature=0.7),
            conversation=scene.told,
            reply=good,
            words=length_of(good),
            defect=scene.row.defect,
            level=level,
            least=least,
            most=most,
            found=found,
        )
        found = length_of(bad)
        if scene.session.rehearsing or least <= found <= most:
            break
    return bad


_Check = tuple[Outcome, list[str]]


def _unsound(scene: Scene, chosen: Judged) -> _Check | None:
    """What keeps the chosen reply from being one: the rubric, or any of the defects."""
    score = chosen.verdict.score
    if not score.kept:
        return score.outcome, [f"chosen: {reason}" for reason in score.reasons]
    for kind in DEGRADATIONS:
        for name in targets(scene.session.rubric, kind):
            if (passed := chosen.passed(name)) is None:
                return "undetermined", [f"chosen: {name} was not judged"]
            if not passed:
                return "rejected", [f"chosen: shows a defect itself ({kind})"]
    return None


def _unspoilt(scene: Scene, chosen: Judged, rejected: Judged) -> _Check | None:
    """What keeps the rejected reply from being one: its defect is not seen, or is not the only one."""
    defect, rubric = scene.row.defect, scene.session.rubric
    wanted = targets(rubric, defect)
    found = [rejected.passed(name) for name in wanted]
    if None in found:
        return "undetermined", [f"rejected: {defect} was not judged"]
    if any(found):
        return "rejected", [f"rejected: does not show its defect ({defect})"]
    others = {name for kind in DEGRADATIONS for name in targets(rubric, kind)} - {*wanted}
    if scene.terms.exact and any(rejected.passed(name) is not True for name in others):
        return "rejected", [f"rejected: shows more than its defect ({defect})"]
    margin = margin_of(chosen, rejected)
    if margin is None or margin < scene.terms.margin:
        return "rejected", ["tie: the scores differ by less than the margin"]
    return None


# ── ranked ───────────────────────────────────────────────────────────────────────────────────


async def _ranked(scene: Scene) -> Pair:
    given, terms = scene.row.reply, scene.terms
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_alternative(scene, number, given if number == 0 else ""))
            for number in range(terms.alternatives)
        ]
    found = [task.result() for task in tasks]
    about: dict[str, Any] = {
        "defect": None,
        "made_by": "ranking",
        "side": scene.side,
        "scores": [each.weighted for each in found],
    }
    picked = _picked(scene, found)
    if isinstance(picked, Judged):
        return Pair(picked.text, "", (picked.verdict,), about, *_no_pair(scene, found))
    best, worse = (found[place] for place in picked)
    about |= {"alternatives": list(picked), **difference(best, worse)}
    return await compared(scene, Pair(best.text, worse.text, (best.verdict, worse.verdict), about))


async def _alternative(scene: Scene, number: int, given: str) -> Judged:
    session, terms = scene.session.branch(f"alternative-{number}"), scene.terms
    role = "rival" if number % 2 else "writer"
    temperature = terms.temperatures[number % len(terms.temperatures)]
    settings = Settings(max_tokens=1200, temperature=temperature)
    text = given or await _reply(session, scene.told, role, settings)
    rubric = session.rubric.extended(own_criteria([dict(entry) for entry in scene.row.rubric]))
    return Judged(text, await session.judge(text, rubric, context=scene.told))


async def _reply(session: Session, told: str, role: str, settings: Settings) -> str:
    return await session.generate(
        str, "preference/reply.md.j2", role=role, settings=settings, conversation=told
    )


def _picked(scene: Scene, found: Sequence[Judged]) -> tuple[int, int] | Judged:
    """The pair with the widest margin among those that may be one, or else the best alone."""
    pairs = [
        (-margin, abs(length_of(one.text) - length_of(other.text)), best, worse)
        for best, worse, margin in _apart(scene, found)
        for one, other in [(found[best], found[worse])]
        if _fits(scene, one.text, other.text)
    ]
    if pairs:
        _, _, best, worse = min(pairs)
        return best, worse
    return max(found, key=lambda each: (each.verdict.score.kept, each.weighted or 0.0))


def _apart(scene: Scene, found: Sequence[Judged]) -> list[tuple[int, int, float]]:
    """Who may be chosen, before whom, by how much: ties are none."""
    return [
        (best, worse, margin)
        for best, one in enumerate(found)
        if one.verdict.score.kept
        for worse, other in enumerate(found)
        if other.text != one.text
        and (margin := margin_of(one, other)) is not None
        and margin > 0
        and margin >= scene.terms.margin
    ]


def _fits(scene: Scene, chosen: str, rejected: str) -> bool:
    """Whether the two are about as long, and the longer one is the one that was drawn to be."""
    one, other = length_of(chosen), length_of(rejected)
    near = max(one, other) <= scene.terms.window * min(one, other)
    return near and not (
        one < other if scene.side == "chosen longer" else scene.side and one > other
    )


def _no_pair(scene: Scene, found: Sequence[Judged]) -> _Check:
    outcomes = {each.verdict.score.outcome for each in found}
    if "kept" not in outcomes:
        if "undetermined" in outcomes:
            return "undetermined", ["no alternative passes the rubric, and some were not judged"]
        return "rejected", ["no alternative passes the rubric"]
    if not _apart(scene, found):
        return "rejected", ["tie: no two alternatives differ by the margin"]
    return "rejected", ["length: no two alternatives are as long as they should be"]


PREFERENCE: Recipe[Context] = Recipe(
    name="preference",
    function=preference,
    rows=contexts,
    summary="A chosen and a rejected reply to one context, by one known defect or by ranking.",
    roles=("writer", "rival", "judge"),
    rubric="misconception-repair",
    modes=MODES,
    options=OPTIONS,
    output_tokens={
        "preference/reply.md.j2": 190,
        "preference/degrade.md.j2": 190,
        "preference/compare.md.j2": 45,
    },
)
