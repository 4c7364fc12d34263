"""How well leaked answers are found in labelled replies, beside the rule that looks for the number.

Reads MRBench's published JSON or JSON lines. Of the file in the tests, the conversations 9 to 22 are
held out: the rules were written with the others in view. Given all of MRBench V2, its other problems
are one half for development and one held out, by a hash of the problem; its conversations from Bridge
carry no solution, and are read with the answers in `leak_answers.yaml`, which says the halves.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from measuring import heading, table

from synthtutor.quality.leaks import leaks
from synthtutor.quality.numbers import numbers

_SLICE = Path(__file__).parents[1] / "tests" / "quality" / "data" / "mrbench_replies.jsonl"
_ANSWERS = Path(__file__).with_name("leak_answers.yaml")
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
    rows = [row for row in _rows(path) if row["Data"] == "MathDial"]
    for number, row in enumerate(rows, 1):
        problem, said = _parted(row["conversation_history"])
        answer = row["Ground_Truth_Solution"].strip().splitlines()[-1].strip()
        for text, leaked in _labelled(row):
            yield Reply(number, problem, said, answer, text, leaked)


def bridged(path: Path) -> dict[str, list[Reply]]:
    """The replies to Bridge conversations whose question has an answer, by half."""
    rows, answers = _rows(path), yaml.safe_load(_ANSWERS.read_text(encoding="utf-8"))
    return {
        half: [
            reply
            for row in rows
            if (answer := named.get(row["conversation_id"]))
            for reply in _bridge(row, answer)
        ]
        for half, named in answers.items()
    }


def _bridge(row: dict[str, Any], answer: str) -> Iterator[Reply]:
    said = row["conversation_history"].replace("\xa0", " ")
    turns = re.split(r"(?=\b(?:Tutor|Student):)", said)
    asked = [turn for turn in turns if turn.startswith("Tutor:") and re.search(r"\?|__", turn)]
    problem = asked[-1].removeprefix("Tutor:").strip()
    for text, leaked in _labelled(row):
        yield Reply(0, problem, said, answer, text, leaked)


def _labelled(row: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for reply in row["anno_llm_responses"].values():
        label = reply["annotation"]["Revealing_of_the_Answer"]
        yield reply["response"], label == "Yes (and the answer is correct)"


def _rows(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def _parted(history: str) -> tuple[str, str]:
    talk = history.replace("\xa0", " ").partition("The question is:")[2]
    said = re.search(r"\s*(?:Student|Tutor):", talk)
    at = said.start() if said else len(talk)
    return talk[:at].strip(), talk[at:].strip()


def naive(reply: Reply) -> bool:
    """Whether the answer's number is in the reply, as digits; or its words."""
    wanted = {float(abs(number.value)) for number in numbers(reply.answer)}
    if not wanted:
        return reply.answer.casefold() in reply.text.casefold()
    stated = re.findall(r"\d[\d,]*(?:\.\d+)?", reply.text)
    return bool(wanted & {float(found.replace(",", "")) for found in stated})


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


def halves(path: Path) -> dict[str, list[Reply]]:
    """The parts of a file, by problem: those for development, those held out, and all."""
    everything = list(replies(path))
    if path == _SLICE:
        seen = [reply for reply in everything if reply.number not in _HELD_OUT]
        held = [reply for reply in everything if reply.number in _HELD_OUT]
        return {"development": seen, "held out": held, "all": everything}
    in_tests = {_plain(reply.problem) for reply in replies(_SLICE)}
    others = [reply for reply in everything if _plain(reply.problem) not in in_tests]
    seen = [reply for reply in others if _is_development(reply)]
    held = [reply for reply in others if not _is_development(reply)]
    bridge = {f"Bridge, {half.replace('_', ' ')}": found for half, found in bridged(path).items()}
    parts = {"all problems": everything, "other problems": others}
    parts |= {"other problems, development": seen, "other problems, held out": held, **bridge}
    return {name: found for name, found in parts.items() if found}


def _plain(problem: str) -> str:
    return " ".join(problem.lower().split())


def _is_development(reply: Reply) -> bool:
    digest = hashlib.sha256(_plain(reply.problem).encode()).hexdigest()
    return int(digest, 16) % 2 == 0


def certainty(chosen: Sequence[Reply]) -> Iterator[tuple[Any, ...]]:
    """How often the detector is right where it is sure, and where it leaves it to a judge."""
    found = [(leaks(r.text, r.answer, problem=r.problem, student=r.said), r.leaked) for r in chosen]
    for name, sure in (("sure", True), ("unsure", False)):
        right = [leak.found == leaked for leak, leaked in found if leak.sure == sure]
        yield name, len(right), f"{sum(right) / len(right):.1%}" if right else "-"


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
    draws = 200 if asked.quick else 2000
    for name, chosen in halves(asked.file).items():
        leaked = sum(reply.leaked for reply in chosen)
        problems = len({reply.problem for reply in chosen})
        heading(f"{name}: {len(chosen)} replies to {problems} problems, {leaked} leak")
        head = ("", "precision", "recall", "F1", "95 % of F1", "F1 more than the number (95 %)")
        table(head, list(rows(chosen, draws)))
        table(("in context", "replies", "right"), list(certainty(chosen)))


if __name__ == "__main__":
    main()
