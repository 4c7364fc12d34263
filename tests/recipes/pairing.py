"""What the tests of preference pairs share: a writer, a rival and judges of several habits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from synthtutor.recipes.bank import bank, golds
from synthtutor.recipes.degradations import length_of
from synthtutor.rubric import load_rubric
from synthtutor.testing.server import Reply

# A good reply, by what each of its sentences is good for.
PARTS = {
    "mr.credits-correct": "You are right that both pieces have to be counted together.",
    "mr.names-confusion": "You mix up the rule for adding with the rule for multiplying.",
    "mr.explains-appeal": "It is tempting since both rules work with tops and bottoms.",
    "mr.repairs": "Take one half of a pizza and put a third of it next to that half.",
    "mr.check-question": "Is what lies there now more than half of the pizza or less than half?",
}
GOOD = " ".join(PARTS.values())
# What the rival writes into a reply, and what shows each defect to a good judge.
MARKS = {
    "leaks_answer": "It is more than half.",
    "wrong_step": "A third is more than a half.",
    "cold_tone": "I have told you so before.",
    "too_long": "Moreover there is another case.",
    "wrong_level": "Consider the quotient field of the ring.",
}
FAULTS = {c.id for c in load_rubric("misconception-repair").criteria if c.is_fault} | {
    f"pair.{name}" for name in MARKS
}
_OWN_FAULTS = {e["text"] for seed in bank() for e in seed.rubric if e["weight"] < 0}
_PLANTED = {
    "mr.gives-answer": ["Here is the answer to that."],
    "mr.false-content": [gold.false_statement for _, gold in golds()],
    "pair.cold_tone": ["it is embarrassing"],
}
_SHOWS = {"mr.gives-answer": "leaks_answer", "mr.false-content": "wrong_step"} | {
    f"pair.{name}": name for name in MARKS
}
_STATEMENT = re.compile(r"^- (\S+): (.*)$", re.MULTILINE)
_DIAGNOSES = [gold.diagnosis for _, gold in golds()]
DEFECT_OF = {
    "after its question": "leaks_answer",
    "It nowhere says": "drops_diagnosis",
    "tutor in a hurry": "wrong_step",
    "It is cold": "cold_tone",
    "far more than": "too_long",
    "specialist": "wrong_level",
    "small child": "wrong_level",
}

Judge = Callable[[str, str, str], bool]
"""Of a criterion's id, its statement and the text: whether the statement holds."""


def good_judge(name: str, statement: str, text: str) -> bool:
    if name in FAULTS or statement in _OWN_FAULTS:
        shown = MARKS.get(_SHOWS.get(name, ""), "") or None
        planted = any(mark in text for mark in _PLANTED.get(name, []))
        return planted or (shown is not None and shown in text)
    if name == "mr.names-confusion":
        return PARTS[name] in text or any(each in text for each in _DIAGNOSES)
    ours = PARTS["mr.repairs"] in text or PARTS["mr.credits-correct"] in text
    return PARTS[name] in text if ours and name in PARTS else True


def tying_judge(name: str, statement: str, text: str) -> bool:
    return name not in FAULTS and statement not in _OWN_FAULTS


def judge_of_length(name: str, statement: str, text: str) -> bool:
    """What has many words has every merit; what has few has only those that decide."""
    if name in FAULTS:
        return False
    return length_of(text) > length_of(GOOD) or name in ("mr.names-confusion", "mr.repairs")


def rival(prompt: str) -> str:
    """The good reply with the one change that is asked for, as long as is asked for."""
    least, most = map(int, re.findall(r"from (\d+) to (\d+) words", prompt)[0])
    (defect,) = {name for words, name in DEFECT_OF.items() if words in prompt}
    good = prompt.split("<good_reply>\n")[1].split("\n</good_reply>")[0]
    if defect == "drops_diagnosis":
        kept = good.replace(PARTS["mr.names-confusion"], "")
        return f"{kept} {'so ' * max(0, (least + most) // 2 - length_of(kept))}".strip()
    for spare in ("mr.explains-appeal", "mr.credits-correct"):
        if length_of(f"{good} {MARKS[defect]}") > (least + most) // 2:
            good = good.replace(PARTS[spare], "")
    short = (least + most) // 2 - length_of(f"{good} {MARKS[defect]}")
    return f"{MARKS[defect]} {good} {'so ' * max(0, short)}".strip()


def better_by(judge: Judge, a: str, b: str) -> str:
    """Which one the judge would give more: by the rubric it has in mind."""
    pack = load_rubric("misconception-repair").criteria

    def worth(text: str) -> int:
        names = [*(c.id for c in pack), *(f"pair.{name}" for name in MARKS)]
        return sum(judge(name, "", text) is (name not in FAULTS) for name in names)

    return "tie" if worth(a) == worth(b) else "A" if worth(a) > worth(b) else "B"


def alternative(temperature: float) -> str:
    """Ranked replies: the warmer, the less of the good reply is there, and the same length or more."""
    gone = {
        0.4: [],
        0.6: ["mr.explains-appeal", "mr.credits-correct"],
        0.8: [],
        1.0: ["mr.repairs"],
    }
    left = [text for name, text in PARTS.items() if name not in gone.get(temperature, [])]
    text = " ".join(left)
    more = {0.4: 0, 0.6: 2, 0.8: 8, 1.0: -2}[temperature] + length_of(GOOD) - length_of(text)
    return f"{text} {'so ' * max(0, more)}".strip()


def world(
    judge: Judge = good_judge, compare: Callable[[Judge, str, str], str] = better_by
) -> Callable[[dict[str, Any]], Reply]:
    """Everybody behind one endpoint, each known by what is asked of them."""

    def answer(body: dict[str, Any]) -> Reply:
        prompt = "\n".join(message["content"] for message in body["messages"])
        form = body.get("response_format", {}).get("json_schema", {}).get("name")
        if form == "Verdicts":
            text = prompt.split("<text>\n")[1].split("\n</text>")[0]
            said = {
                name: {"evidence": "none", "observed": judge(name, statement, text)}
                for name, statement in _STATEMENT.findall(prompt.split("Statements:")[1])
            }
            return Reply(orjson.dumps(said).decode())
        if form == "Better":
            a, b = re.findall(r"<reply_([AB])>\n(.*?)\n</reply_\1>", prompt, re.DOTALL)
            found = {"because": "It does.", "better": compare(judge, a[1], b[1])}
            return Reply(orjson.dumps(found).decode())
        if "The change:" in prompt:
            return Reply(rival(prompt))
        temperature = body.get("temperature", 0.8)
        return Reply(alternative(temperature) if "ranked" in prompt else GOOD)

    return answer
