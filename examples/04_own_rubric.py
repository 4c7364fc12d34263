"""Judge with a rubric of your own; then judge the same replies with another one, paying only for that.

python examples/04_own_rubric.py [PROVIDER/MODEL]
"""

import sys
from pathlib import Path

from synthtutor import Result, load_rubric, run
from synthtutor.lint import lint

HERE = Path(__file__).parent
PACK = HERE / "short_reply.yaml"
MODEL = sys.argv[1] if len(sys.argv) > 1 else "scripted/any"


def judged_by(rubric: str) -> Result:
    """The same run with another rubric: the writer's calls are replayed from the journal."""
    rows = HERE / "seeds.jsonl"
    return run(
        "misconception",
        mode="answer",
        models=MODEL,
        rows=rows,
        rubric=rubric,
        out="runs/own-rubric",
    )


def calls_of(result: Result, role: str) -> int:
    """How many calls the run has paid for in a role so far."""
    return sum(entry["calls"] for entry in result.summary.account if entry["role"] == role)


pack = load_rubric(PACK)
print(f"{pack.id}: {len(pack.criteria)} criteria, keep if {pack.scoring.keep_if}")
for fault in lint(pack):
    print(f"  {fault}")

first = judged_by(str(PACK))
writer, judge = calls_of(first, "writer"), calls_of(first, "judge")
print(f"by {pack.id}: {first.summary.kept} of {first.summary.made} kept")

again = judged_by("misconception-repair")
print(f"by misconception-repair: {again.summary.kept} of {again.summary.made} kept")
print(f"writer calls: {writer}, then {calls_of(again, 'writer') - writer} more")
print(f"judge calls: {judge}, then {calls_of(again, 'judge') - judge} more")
