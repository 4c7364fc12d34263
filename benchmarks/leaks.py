"""How well leaked answers are found in labelled replies, beside the rule that looks for the number.

Reads MRBench's published JSON or JSON lines; replies to MathDial problems are used, since the others
carry no solution. Of the file in the tests, the conversations 9 to 22 are held out: the rules were
written with the others in view. Any other file is one half by problem, decided by a hash, and the
other.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import heading, table

from synthtutor.quality.leaks import leaks
from synthtutor.quality.numbers import numbers
from synthtutor.quality.splitting import split

_SLICE = Path(__file__).parents[1] / "tests" / "quality" / "data" / "mrbench_replies.jsonl"
_HELD_OUT = range(9, 23)


@dataclass(frozen=True, slots=True)
class Reply:
    """A labelled reply with what was known when it was given."""

    number: int
    problem: str
    said: str
    answer: str
    text: str
    leaked: bool


def replies(path: Path) -> Iterator[Reply]:
    """Every labelled reply to a MathDial problem; its solution's last line is the answer."""
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if text.lstrip().startswith("[") else map(json.loads, text.splitlines())
    for number, row in enumerate((row for row in rows if row["Data"] == "MathDial"), 1):
        problem, said = _parted(row["conversation_history"])
        answer = row["Ground_Truth_Solution"].strip().splitlines()[-1].strip()
        for reply in row["anno_llm_responses"].values():
            label = reply["annotation"]["Revealing_of_the_Answer"]
            leaked = label == "Yes (and the answer is correct)"
            yield Reply(number, problem, said, answer, reply["response"], leaked)


def _parted(history: str) -> tuple[str, str]:
    talk = history.replace("\xa0", " ").partition("The question is:")[2]
    said = re.search(r"\s*(?:Student|Tutor):", talk)
    at = said.start() if said else len(talk)
    return talk[:at].strip(), talk[at:].strip()


def naive(reply: Reply) -> bool:
    """Whether the answer's number is in the reply, as digits."""
    stated = {
        float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", reply.text)
    }
    return bool({float(abs(number.value)) for number in numbers(reply.answer)} & stated)


def in_context(reply: Reply) -> bool:
    """Whether the answer is found to be given away, to somebody who knows the dialogue."""
    return leaks(reply.text, reply.answer, problem=reply.problem, student=reply.said).found


def alone(reply: Reply) -> bool:
    """The same from the reply and the answer alone."""
    return leaks(reply.text, reply.answer).found


_RULES: dict[str, Callable[[Reply], bool]] = {
    "the number occurs": naive,
    "leaks(reply, answer)": alone,
    "leaks(…, problem, student)": in_context,
}


def counted(chosen: Sequence[Reply], rule: Callable[[Reply], bool]) -> dict[str, Counter[str]]:
    """True and false positives and negatives, by problem."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for reply in chosen:
        right = "true" if rule(reply) == reply.leaked else "false"
        found[reply.problem][f"{right} {'leak' if rule(reply) else 'rest'}"] += 1
    return found


def scores(counts: Sequence[Counter[str]]) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    all_ = Counter[str]()
    for count in counts:
        all_.update(count)
    hit, wrong, missed = all_["true leak"], all_["false leak"], all_["false rest"]
    return (
        hit / (hit + wrong) if hit + wrong else 0.0,
        hit / (hit + missed) if hit + missed else 0.0,
        2 * hit / (2 * hit + wrong + missed) if hit else 0.0,
    )


def interval(by_problem: Sequence[Sequence[Counter[str]]], draws: int) -> tuple[float, float]:
    """The middle 95 % of F1, or of the second F1 less the first, over problems drawn with replacement."""
    chance = random.Random(0)
    drawn = []
    for _ in range(draws):
        at = chance.choices(range(len(by_problem[0])), k=len(by_problem[0]))
        values = [scores([counts[index] for index in at])[2] for counts in by_problem]
        drawn.append(values[-1] - (values[0] if len(values) > 1 else 0))
    drawn.sort()
    return drawn[int(0.025 * draws)], drawn[int(0.975 * draws)]


def halves(all_: Sequence[Reply], *, known: bool) -> dict[str, list[Reply]]:
    """The two halves, by problem, and the whole."""
    if known:
        seen = [reply for reply in all_ if reply.number not in _HELD_OUT]
        held = [reply for reply in all_ if reply.number in _HELD_OUT]
        return {"development": seen, "held out": held, "all": list(all_)}
    one, other = split(
        all_, groups=lambda r: r.problem, strata=lambda r: str(r.leaked), shares=(0.5, 0.5)
    )
    return {"one half": list(one), "other half": list(other), "all": list(all_)}


def rows(chosen: Sequence[Reply], draws: int) -> Iterator[tuple[Any, ...]]:
    """One line of the table per rule."""
    problems = sorted({reply.problem for reply in chosen})
    first: list[Counter[str]] = []
    for name, rule in _RULES.items():
        found = counted(chosen, rule)
        counts = [found[problem] for problem in problems]
        first = first or counts
        low, high = interval([counts], draws)
        below, above = interval([first, counts], draws)
        precision, recall, f1 = scores(counts)
        more = f1 - scores(first)[2]
        yield (
            name,
            *(f"{value:.2f}" for value in (precision, recall, f1)),
            f"{low:.2f} to {high:.2f}",
            f"{more:+.2f} ({below:+.2f} to {above:+.2f})",
        )


def main() -> None:
    """Print a table for each half and for all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=_SLICE)
    parser.add_argument("--quick", action="store_true", help="fewer draws for the intervals")
    asked = parser.parse_args()
    path, draws = asked.file, 200 if asked.quick else 2000
    for name, chosen in halves(list(replies(path)), known=path == _SLICE).items():
        leaked = sum(reply.leaked for reply in chosen)
        problems = len({reply.problem for reply in chosen})
        heading(f"{name}: {len(chosen)} replies to {problems} problems, {leaked} leak")
        head = ("", "precision", "recall", "F1", "95 % of F1", "F1 more than the number (95 %)")
        table(head, list(rows(chosen, draws)))


if __name__ == "__main__":
    main()
