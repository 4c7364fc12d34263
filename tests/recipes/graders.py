"""What the tests of the grading recipes share: a student for problems, and one for articles."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from synthtutor.recipes.essay_traits import LACKS
from synthtutor.testing.server import Reply

_STATEMENT = re.compile(r"^- (\S+): (.*)$", re.MULTILINE)

Work = dict[str, Any]


def prompt_of(body: Mapping[str, Any]) -> str:
    """All that a model is shown."""
    return "\n".join(str(message["content"]) for message in body["messages"])


# ── problems ─────────────────────────────────────────────────────────────────────────────────


def honest(prompt: str) -> Work:
    """The student that is asked for: right, wrong by a misconception, or wrong by one."""
    gold = re.findall(r"^Correct answer: (.*)$", prompt, re.MULTILINE)[0]
    if "The student gets it right." in prompt:
        return worked(["I look at what is given.", f"So it is {gold}."], gold)
    arrived = re.findall(r"They arrive at (.*), and that is", prompt)
    wrong = arrived[0] if arrived else str(int(gold) + 1) if gold.isdigit() else f"2 {gold}"
    return worked(["I look at what is given.", f"So it is {wrong}."], wrong, 2)


def worked(steps: list[str], answer: str, wrong_step: int | None = None) -> Work:
    return {
        "steps": steps,
        "final_answer": answer,
        "first_wrong_step": wrong_step,
        "error": "That is not it." if wrong_step else None,
    }


def students(work: Callable[[str], Work] = honest) -> Callable[[dict[str, Any]], Reply]:
    """A writer behind an endpoint."""
    return lambda body: Reply(orjson.dumps(work(prompt_of(body))).decode())


# ── articles ─────────────────────────────────────────────────────────────────────────────────

ARTICLE = (
    "The library of Ehrenau will lend out tools as well as books from March on. Drills, saws and "
    "ladders can be had for a week at a time and cost nothing but a deposit of twenty euros. The "
    "town hopes that fewer people will buy machines which they use once in a year and no more."
)
MAIN = "Tools can be borrowed at the library now."
FACTS = "You pay a deposit and keep them for seven days; less should be bought."
FALSE = "The books are thrown away."
COPIED = "The library of Ehrenau will lend out tools as well as books from March on."
GARBLED = "Town the buy hopes less."
ELSEWHERE = "Saws are dangerous, and my uncle cut his thumb."
_ADDED = {"faithful": FALSE, "own-words": COPIED, "clear": GARBLED}
_HOLDS = {
    "es.main-point": MAIN,
    "es.key-facts": FACTS,
    "es.contradicts": FALSE,
    "es.hard-to-read": GARBLED,
    "es.other-topic": ELSEWHERE,
}


def summary(prompt: str) -> str:
    """A summary that lacks exactly what it is told to."""
    lacks = {name for name, words in LACKS.items() if words in prompt}
    if "on-topic" in lacks:
        return ELSEWHERE
    there = [
        text for name, text in (("main-point", MAIN), ("key-facts", FACTS)) if name not in lacks
    ]
    return " ".join(there + [text for name, text in _ADDED.items() if name in lacks]) or "It is so."


def holds(name: str, text: str) -> bool:
    """What a good judge says of a statement about a summary."""
    return name in _HOLDS and _HOLDS[name] in text


def school(
    judge: Callable[[str, str], bool] = holds, write: Callable[[str], str] = summary
) -> Callable[[dict[str, Any]], Reply]:
    """Writer and judge behind one endpoint, each known by what is asked of them."""

    def answer(body: dict[str, Any]) -> Reply:
        prompt = prompt_of(body)
        if "response_format" not in body:
            return Reply(write(prompt))
        text = prompt.split("<summary>\n")[1].split("\n</summary>")[0]
        statements = _STATEMENT.findall(prompt.split("Statements:")[1])
        said = {name: {"evidence": "none", "observed": judge(name, text)} for name, _ in statements}
        return Reply(orjson.dumps(said).decode())

    return answer
