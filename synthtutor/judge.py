"""From a rubric to a question, and from a judge's answers to verdicts and a score.

The judge sees statements, never weights: it says of each whether it holds (``observed``) and
quotes its evidence first. Whether that is good or bad is arithmetic, and belongs to the rubric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from synthtutor.errors import InvalidOutput
from synthtutor.messages import Response, Schema
from synthtutor.quality.checks import check
from synthtutor.quality.quoting import quoted
from synthtutor.rubric import Criterion, Rubric, Score, Verdict
from synthtutor.structured import Shape, mended

__all__ = ["Judgement", "criteria_shape", "judgement", "lenient"]

_Answers = dict[str, Any]
_ADAPTER: TypeAdapter[_Answers] = TypeAdapter(_Answers)
_EVIDENCE_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judged text: the verdict on each criterion and what they add up to."""

    rubric: Rubric
    verdicts: Mapping[str, Verdict]
    score: Score

    def to_metadata(self) -> dict[str, Any]:
        """The form in which samples carry it."""
        verdicts = []
        for criterion in self.rubric.criteria:
            verdict = self.verdicts[criterion.id]
            verdicts.append(
                {
                    "id": criterion.id,
                    "criterion": criterion.text,
                    "dimension": criterion.dimension,
                    "weight": criterion.weight,
                    "state": verdict.state,
                    "observed": verdict.observed,
                    "passed": verdict.passed(criterion),
                    "evidence": verdict.evidence,
                    "quoted": verdict.quoted,
                }
            )
        score = self.score
        return {
            "verdicts": verdicts,
            "rubric": f"{self.rubric.id}@{self.rubric.version}",
            "critical": f"{score.critical_passed} of {score.critical_total}",
            "critical_needed": score.needed,
            "weighted": None if score.weighted is None else round(score.weighted, 4),
        }


class _CriteriaShape(Shape[_Answers]):
    """The answers of a judge by criterion id; an incomplete reply is asked again."""

    __slots__ = ("_ids",)

    def __init__(self, schema: Schema, ids: tuple[str, ...]) -> None:
        super().__init__(schema.name, _ADAPTER, schema)
        self._ids = ids

    def parse(self, response: Response) -> _Answers:
        answers = super().parse(response)
        missing = [name for name in self._ids if _observed(answers.get(name)) is None]
        if missing:
            raise InvalidOutput(
                f"no true or false under observed for {', '.join(missing)}",
                kind="unparsable",
                text=response.text,
            )
        return answers


def criteria_shape(rubric: Rubric) -> Shape[_Answers]:
    """The form a judge answers in: one object, one entry per judged criterion, under its id."""
    return _shape(tuple(c.id for c in rubric.criteria if c.kind == "judged"))


@lru_cache(maxsize=4096)
def _shape(ids: tuple[str, ...]) -> Shape[_Answers]:
    def entry(**limits: int) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "evidence": {"type": "string", **limits},
                "observed": {"type": "boolean"},
            },
            "required": ["evidence", "observed"],
            "additionalProperties": False,
        }

    def closed(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {name: make() for name in ids},
            "required": list(ids),
            "additionalProperties": False,
        }

    definition = closed(entry)
    strict = closed(lambda: entry(maxLength=_EVIDENCE_CHARACTERS))
    return _CriteriaShape(Schema("Verdicts", definition, strict), ids)


def lenient(error: InvalidOutput) -> _Answers:
    """What can still be read of a judge's last, incomplete reply; often nothing."""
    if error.kind == "refused":
        return {}
    value = mended(error.text)
    return value if isinstance(value, dict) else {}


def judgement(rubric: Rubric, answers: _Answers, text: str) -> Judgement:
    """Verdicts and score from a judge's answers; criteria of kind ``code`` are checked on the text."""
    verdicts = {
        c.id: _checked(c, text) if c.check else _verdict(c, answers, text) for c in rubric.criteria
    }
    return Judgement(rubric, verdicts, rubric.score(verdicts))


def _verdict(criterion: Criterion, answers: _Answers, text: str) -> Verdict:
    name = criterion.id
    if name not in answers:
        return Verdict(name, "missing")
    entry = answers[name]
    holds = _observed(entry)
    if holds is None:
        return Verdict(name, "failed", None, str(entry)[:_EVIDENCE_CHARACTERS])
    evidence = str(entry.get("evidence", "")) if isinstance(entry, Mapping) else ""
    return Verdict(name, "answered", criterion.observe(holds), evidence, quoted(evidence, text))


def _checked(criterion: Criterion, text: str) -> Verdict:
    assert criterion.check is not None  # noqa: S101  # asked for by the only caller
    holds = check(criterion.check, text)
    if holds is None:
        return Verdict(criterion.id, "failed", None, "nothing to measure")
    return Verdict(criterion.id, "answered", criterion.observe(holds), criterion.check)


def _observed(entry: object) -> bool | None:
    value = entry.get("observed") if isinstance(entry, Mapping) else entry
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "yes", "false", "no"):
        return value.strip().lower() in ("true", "yes")
    return None
