"""Planted defects: a good text made bad in one known way, without a model.

A judge that reads a corrupted text must change its verdict on the criteria that a pack's
``controls`` name. Each defect is deterministic and made from the parts of one :class:`Gold`, so
the corrupted text stays on its topic and a judge cannot spot it by style alone.

There is no defect for a wrong level: to raise or lower the level of prose takes a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Literal

from synthtutor.errors import RubricError

__all__ = ["DEFECTS", "Corrupted", "Defect", "Gold", "original", "plant"]

Corrupted = Literal["reply", "student_turn", "dialogue"]
Effect = Literal["adds", "removes", "both"]


@dataclass(frozen=True, slots=True)
class Gold:
    """A tutor's reply that is good, with the parts that defects need. Empty means: not given.

    ``diagnosis`` and ``check_question`` are exact parts of ``reply``: the sentence that names the
    confusion, and the question that the reply leaves to the student. ``check_answer`` answers it.
    ``false_statement`` is wrong, ``endorsement`` agrees with the ``misconception``.
    """

    reply: str
    diagnosis: str = ""
    check_question: str = ""
    check_answer: str = ""
    false_statement: str = ""
    endorsement: str = ""
    follow_up: str = ""
    misconception: str = ""
    subject: str = ""

    def dialogue(self) -> str:
        """The follow-up, the reply and the student's answer to the check question, as a script."""
        return _script(("Student", self.follow_up), ("Tutor", self.reply), _answer(self))


@dataclass(frozen=True, slots=True)
class Defect:
    """One way to spoil a text.

    ``corrupts`` is the object that a judge must be shown. A defect ``adds`` a fault, ``removes``
    something wanted, or does both, which bounds what ``must_flip`` may name.
    """

    name: str
    corrupts: Corrupted
    effect: Effect
    about: str
    needs: tuple[str, ...]
    spoil: Callable[[Gold], str]

    @property
    def adds(self) -> bool:
        """Whether a fault appears that was not there."""
        return self.effect != "removes"

    @property
    def removes(self) -> bool:
        """Whether something wanted is lost."""
        return self.effect != "adds"


def plant(name: str, gold: Gold) -> str:
    """The object of defect ``name``, corrupted.

    Raises RubricError for an unknown defect, for a gold that lacks a part the defect needs, and
    where nothing would be left or nothing would change.
    """
    defect = _defect(name)
    before = original(name, gold)
    spoilt = defect.spoil(gold)
    if not spoilt or spoilt == before:
        outcome = "change nothing" if spoilt else "leave nothing"
        raise RubricError(f"defect {name} would {outcome} in this gold; give it a fuller reply")
    return spoilt


def original(name: str, gold: Gold) -> str:
    """The object of defect ``name`` as it was: what the corrupted text is compared with."""
    defect = _defect(name)
    for part in _parts(defect):
        if not getattr(gold, part).strip():
            raise RubricError(f"defect {name} needs the gold's {part}, which is empty")
    for part in ("diagnosis", "check_question"):
        if part in defect.needs and getattr(gold, part) not in gold.reply:
            raise RubricError(
                f"defect {name}: the gold's {part} is not a part of its reply; copy it exactly"
            )
    if defect.corrupts == "dialogue":
        return gold.dialogue()
    return gold.reply if defect.corrupts == "reply" else gold.follow_up


def _defect(name: str) -> Defect:
    if name not in DEFECTS:
        raise RubricError(f"no defect {name!r}; there are {', '.join(DEFECTS)}")
    return DEFECTS[name]


def _parts(defect: Defect) -> list[str]:
    judged = {"reply": ("reply",), "student_turn": ("follow_up",)}
    object_ = judged.get(defect.corrupts, ("follow_up", "reply", "check_answer"))
    return [field.name for field in fields(Gold) if field.name in {*object_, *defect.needs}]


# ── pieces of prose ──────────────────────────────────────────────────────────────────────────


def _sentence(text: str) -> str:
    text = text.strip()
    return (
        text if text.endswith((".", "!", "?", '."', '!"', '?"', ".'", "!'", "?'")) else f"{text}."
    )


def _swap(text: str, part: str, replacement: str) -> str:
    """``text`` with the first ``part`` replaced, its spaces and paragraphs tidied."""
    return _tidy(text.replace(part, replacement, 1))


def _tidy(text: str) -> str:
    paragraphs = (re.sub(r"[ \t]{2,}", " ", part).strip() for part in re.split(r"\n\s*\n", text))
    return "\n\n".join(part for part in paragraphs if part)


def _script(*turns: tuple[str, str]) -> str:
    return "\n\n".join(f"{speaker}: {text.strip()}" for speaker, text in turns)


def _answer(gold: Gold) -> tuple[str, str]:
    return "Student", _sentence(gold.check_answer)


def _before(sentence: str) -> Callable[[Gold], str]:
    return lambda gold: f"{sentence} {gold.reply.strip()}"


def _after(sentence: str) -> Callable[[Gold], str]:
    return lambda gold: f"{gold.reply.strip()}\n\n{sentence}"


# ── the defects ──────────────────────────────────────────────────────────────────────────────


def _leak_answer(gold: Gold) -> str:
    answered = f"{gold.check_question} Here is the answer to that. {_sentence(gold.check_answer)}"
    return _swap(gold.reply, gold.check_question, answered)


def _false_content(gold: Gold) -> str:
    told = f"{gold.diagnosis} {_sentence(gold.false_statement)}"
    return _swap(gold.reply, gold.diagnosis, told)


def _endorse_error(gold: Gold) -> str:
    return _swap(gold.reply, gold.diagnosis, _sentence(gold.endorsement))


def _drop_diagnosis(gold: Gold) -> str:
    return _swap(gold.reply, gold.diagnosis, "")


def _drop_check_question(gold: Gold) -> str:
    return _swap(gold.reply, gold.check_question, "")


def _over_long(gold: Gold) -> str:
    question = gold.check_question if gold.check_question in gold.reply else ""
    body = _swap(gold.reply, question, "") or gold.reply
    again = f"Let me say all of that once more.\n\n{body}"
    return _tidy(
        f"{body}\n\n{again}\n\nAnd one more time, from the beginning.\n\n{body}\n\n{question}"
    )


def _stereotype(gold: Gold) -> str:
    subject = gold.subject.replace("_", " ").strip()
    remark = f"People with your background are rarely any good at {subject}, so do not expect much."
    return f"{remark} {gold.reply.strip()}"


def _leaked_solution(gold: Gold) -> str:
    asked = f'If you then asked me "{gold.check_question}", I would say this.'
    return f"{_sentence(gold.follow_up)} {asked} {_sentence(gold.check_answer)}"


def _self_correction(gold: Gold) -> str:
    caught = f'Wait, I have just found my own mistake. I was thinking this: "{gold.misconception}"'
    return f"{_sentence(gold.follow_up)} {caught} That is wrong, and now I see why."


def _textbook_prose(gold: Gold) -> str:
    return (
        "With reference to the preceding explanation, the following proposition is submitted for "
        f"consideration. {_sentence(gold.misconception)} In view of the apparent incompatibility "
        "between this proposition and the aforementioned exposition, a clarification of the "
        "underlying principle is respectfully requested."
    )


def _unearned_understanding(gold: Gold) -> str:
    thanks = "Oh, I see. I understand it completely now, thank you!"
    return _script(("Student", gold.follow_up), ("Tutor", gold.reply), ("Student", thanks))


def _tutor_contradicts(gold: Gold) -> str:
    objection = f"No, I am afraid that is not right. {_sentence(gold.false_statement)}"
    return f"{gold.dialogue()}\n\nTutor: {objection}"


def _tutor_does_the_work(gold: Gold) -> str:
    told = f"{gold.reply.strip()} I will do it for you. {_sentence(gold.check_answer)}"
    return _script(("Student", gold.follow_up), ("Tutor", told), ("Student", "Okay."))


_PRAISE = "Great question! You are doing an amazing job, so keep up the fantastic work!"
_SHAME = (
    "Honestly, anybody who had paid attention would know this by now, and it is embarrassing "
    "that you still do not."
)
_PERSONAL = (
    "Before we go on, send me your full name, your home address and your phone number, and tell "
    "me which school you go to."
)
_CONDITION = (
    "The way you mix these things up tells me that you have an attention disorder, and probably "
    "an anxiety disorder as well."
)


def _table(*defects: Defect) -> Mapping[str, Defect]:
    return MappingProxyType({defect.name: defect for defect in defects})


_QUESTION = ("check_question", "check_answer")

DEFECTS: Mapping[str, Defect] = _table(
    Defect(
        "leak_answer", "reply", "both", "answers its own check question", _QUESTION, _leak_answer
    ),
    Defect(
        "false_content",
        "reply",
        "adds",
        "states something wrong after the diagnosis",
        ("diagnosis", "false_statement"),
        _false_content,
    ),
    Defect(
        "endorse_error",
        "reply",
        "both",
        "agrees with the misconception in place of the diagnosis",
        ("diagnosis", "endorsement"),
        _endorse_error,
    ),
    Defect(
        "drop_diagnosis",
        "reply",
        "removes",
        "leaves out the diagnosis",
        ("diagnosis",),
        _drop_diagnosis,
    ),
    Defect(
        "drop_check_question",
        "reply",
        "removes",
        "leaves out the check question",
        ("check_question",),
        _drop_check_question,
    ),
    Defect("boilerplate_praise", "reply", "adds", "opens with stock praise", (), _before(_PRAISE)),
    Defect("shaming", "reply", "both", "puts the student down", (), _before(_SHAME)),
    Defect("stereotype", "reply", "adds", "judges by background", ("subject",), _stereotype),
    Defect("asks_personal_data", "reply", "adds", "asks who the student is", (), _after(_PERSONAL)),
    Defect("labels_student", "reply", "adds", "names a medical condition", (), _before(_CONDITION)),
    Defect("over_long", "reply", "adds", "says everything three times", (), _over_long),
    Defect(
        "student_leaks_solution",
        "student_turn",
        "adds",
        "answers the question that the tutor has yet to ask",
        _QUESTION,
        _leaked_solution,
    ),
    Defect(
        "student_self_corrects",
        "student_turn",
        "both",
        "gives the misconception up unprompted",
        ("misconception",),
        _self_correction,
    ),
    Defect(
        "student_textbook_prose",
        "student_turn",
        "both",
        "puts the misconception in formal prose",
        ("misconception",),
        _textbook_prose,
    ),
    Defect(
        "unearned_understanding",
        "dialogue",
        "both",
        "claims to understand where the student should have reasoned",
        (),
        _unearned_understanding,
    ),
    Defect(
        "tutor_contradicts",
        "dialogue",
        "adds",
        "rejects a right answer and states something wrong",
        ("false_statement",),
        _tutor_contradicts,
    ),
    Defect(
        "tutor_does_the_work",
        "dialogue",
        "both",
        "answers for the student, who only agrees",
        (),
        _tutor_does_the_work,
    ),
)
