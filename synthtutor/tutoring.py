"""The domain's nouns, as they are now: subjects, misconception types, seeds, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from synthtutor.messages import Message

__all__ = ["MISCONCEPTION_TYPES", "SUBJECTS", "Outcome", "Sample"]

SUBJECTS = (
    "microeconomics",
    "macroeconomics",
    "accounting",
    "finance",
    "psychology",
    "sociology",
    "political_science",
    "philosophy",
    "world_history",
    "us_history",
    "linear_algebra",
    "discrete_math",
    "number_theory",
    "probability",
    "organic_chemistry",
    "biochemistry",
    "ecology",
    "genetics",
    "electromagnetism",
    "thermodynamics",
    "fluid_dynamics",
    "quantum_mechanics",
    "data_structures",
    "algorithms",
    "machine_learning",
    "databases",
    "engineering_statics",
    "engineering_dynamics",
)

MISCONCEPTION_TYPES: Mapping[str, str] = {
    "why_is_step_necessary": "does not see why one step or condition of the explanation is needed",
    "how_concepts_relate": "thinks that two ideas of the explanation are unrelated, or relates them wrongly",
    "counterexample_contradiction": "brings up a case that seems to contradict the explanation",
    "overgeneralization": "stretches a rule to cases where it does not hold",
    "confusing_similar_terms": "confuses a term with another that sounds or looks alike",
    "incorrect_assumption": "reasons well from an assumption that is not true here",
    "procedural_vs_conceptual": "can carry out the procedure but misreads what it means",
    "misapplying_formula": "uses a correct formula where its conditions are not met",
}

Outcome = Literal["kept", "rejected", "undetermined"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a recipe returns: a conversation, what is known about it, and whether to keep it.

    ``metadata`` must be JSON; ``reasons`` say in words why a sample was not kept.
    """

    messages: Sequence[Message]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = "kept"
    reasons: Sequence[str] = ()
