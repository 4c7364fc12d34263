"""A scripted writer of student profiles and of questions about them, with a habit of repeating itself.

It has so many characters in mind for each interest and temperament, and prefers some of them, as a
model does; a character is a fixed set of words, so meeting it twice is a near-duplicate. It keeps
to what a prompt asks for. Where a prompt shows earlier profiles, it avoids those it notices.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import orjson

from synthtutor.messages import Request
from synthtutor.recipes.profiles import ATTRIBUTES
from synthtutor.testing.scripted import plausible

__all__ = ["Students"]

_DRAWN = re.compile(r"^- (\w+): (.+?)(?: \(.*\))?$", re.MULTILINE)
_TOLD = re.compile(r'"personality":\s*"([^"]*)".*?"group_behavior":\s*"([^"]*)"', re.DOTALL)
_VALUES = {name: values for group in ATTRIBUTES for name, values in group.items()}


def _listed(text: str) -> list[str]:
    return text.split(";")


_FIRST = _listed(
    "Asha;Bela;Chidi;Dara;Emre;Farid;Gita;Hana;Ismael;Jomo;Kavya;Leon;Mira;Nadia;Omar;Petra;Rohan;"
    "Selma;Tariq;Vera;Wanja;Yusuf;Zoya"
)
_FAMILY = _listed(
    "Anand;Bakker;Costa;Das;Fofana;Ghosh;Haddad;Joshi;Kamau;Lopes;Menon;Novak;Okoro;Pillai;Rossi;"
    "Sen;Thapa;Varga;Weber"
)
_KNOWS = {
    "sport": "long-distance runners;cricket scores;swimming strokes;how a ball spins",
    "music": "drum patterns;old film songs;how a flute is tuned;village choirs",
    "drawing and crafts": "paper folding;block printing;comic drawing;clay animals",
    "nature and animals": "pond insects;bird calls;street dogs;monsoon clouds",
    "machines": "bicycle gears;tractor engines;old radios;water pumps",
    "stories and reading": "ghost stories;sea voyages;detective tales;folk tales",
    "puzzles and games": "chess endings;number riddles;card tricks;mazes",
    "cooking": "bread doughs;street snacks;spice mixtures;pickles",
    "dance and theatre": "puppet plays;stage lights;folk dances;shadow theatre",
    "history and places": "old coins;railway maps;forts and walls;river towns",
    "space and science": "moon craters;magnets;kitchen chemistry;comets",
    "helping others": "first aid;sign language;school libraries;stray animals' care",
    "business and trade": "market prices;small shops;how banks lend;farm cooperatives",
}
_DOES = _listed(
    "mends old toys;keeps a weather diary;plays carrom with cousins;grows chillies in tins;"
    "cycles to the canal;collects bus tickets;records family stories;builds card houses;"
    "swims on Sundays;draws maps of the street;feeds the neighbour's goats;bakes flat bread;"
    "repairs kites;films short clips;sorts stamps;practises handstands;learns magic tricks;"
    "carves soap;plants seedlings;keeps a beetle box;sews patches;tunes a radio"
)
_NATURE = {
    "shy": "Speaks softly;Waits to be asked;Hides behind long sleeves;Answers in half sentences",
    "outgoing": "Greets everyone by name;Talks before sitting down;Tells jokes at break",
    "anxious": "Checks the bag three times;Asks twice what is due;Bites a pencil before tests",
    "easy-going": "Laughs off a bad day;Shares lunch without counting;Arrives late and unhurried",
    "impulsive": "Starts before the task is read;Calls out the first idea;Changes plans at noon",
    "perfectionist": "Rubs out neat lines;Rewrites every heading;Will not hand in a draft",
    "curious": "Asks why after each answer;Takes pens apart;Follows a question home",
}
_BUT = _listed(
    "but forgets nothing that was promised;but explains patiently to younger children;"
    "and whistles while writing;and keeps lists on the back of the hand;"
    "but goes quiet when praised;and counts steps on the stairs;but laughs at own mistakes;"
    "and draws in every margin;but needs a minute before a new task;"
    "and remembers what others said weeks ago;but hates to be hurried;and never sits still for long"
)
_IN_GROUPS = _listed(
    "Lets others choose;Hands out the tasks;Keeps the minutes;Sits at the edge and listens;"
    "Works beside one friend;Argues for the odd idea;Brings the material for all;"
    "Settles small quarrels;Does the last step alone;Asks the quiet ones first"
)
_THEN = _listed(
    "until somebody makes a mistake, and then steps in;and speaks up when the time is nearly over;"
    "but will not present the result;and checks everyone's sums at the end;"
    "and makes the others laugh;but loses patience with long talk;and remembers who did what;"
    "as long as a friend is in the group"
)
_FEELS = _listed(
    "worries before tests;proud of small steps;quick to forgive;easily discouraged;calm under "
    "pressure;homesick on Mondays;afraid of being laughed at;glad to be needed;restless;hopeful;"
    "jealous of a sibling;patient with animals;stubborn about fairness;cheerful in the morning"
)
_GOOD_AT = _listed("asking for help;working step by step;drawing diagrams;learning by heart")
_BAD_AT = _listed("reading the whole question;planning ahead;writing neatly;staying with one task")
_SUBJECTS = (
    ("English", "Mathematics", "Environmental studies", "Hindi"),
    ("English", "Mathematics", "Science", "Social studies", "French"),
    ("English", "Mathematics", "Physics", "Chemistry", "Computer science"),
)


class Students:
    """A script for `ScriptedProvider`: profiles and pairs in form, filler for anything else.

    ``characters`` it has in mind for each of 91 pairs of interest and temperament; the k-th is as
    likely as k to the power of minus ``preference``. Of earlier profiles in a prompt it avoids
    repeating one with the probability ``notices`` (0 to 1).
    """

    def __init__(
        self, *, characters: int = 40, preference: float = 0.7, notices: float = 0.9
    ) -> None:
        self._characters = characters
        self._preference = preference
        self._notices = notices

    def __call__(self, request: Request) -> str:
        """The reply; a function of the request alone."""
        name = request.schema.name if request.schema is not None else ""
        chance = random.Random(request.digest())
        if name == "Profile":
            return orjson.dumps(self._profile(request.messages[-1].content, chance)).decode()
        if name in ("Pairs", "Ten"):
            return orjson.dumps({"pairs": _pairs(request.messages[-1].content)}).decode()
        return plausible(request)

    def _profile(self, prompt: str, chance: random.Random) -> dict[str, Any]:
        drawn = dict(_DRAWN.findall(prompt))
        met = set(_TOLD.findall(prompt))
        while True:
            draw = {name: self._preferred(values, chance) for name, values in _VALUES.items()}
            draw |= drawn
            number = int(self._preferred([str(n) for n in range(self._characters)], chance))
            character = _character(draw["interest_area"], draw["temperament"], number)
            known = (character["personality"], character["group_behavior"]) in met
            if not known or chance.random() >= self._notices:
                return {**_school(draw, chance), **character, **_name(draw)}

    def _preferred(self, values: Sequence[str], chance: random.Random) -> str:
        weights = [(place + 1) ** -self._preference for place in range(len(values))]
        return chance.choices(values, weights)[0]


def _name(draw: dict[str, str]) -> dict[str, str]:
    first = next(name for name in _FIRST if name.startswith(draw["first_initial"]))
    family = next(name for name in _FAMILY if name.startswith(draw["family_initial"]))
    return {"name": f"{first} {family}"}


def _character(area: str, temperament: str, number: int) -> dict[str, Any]:
    chance = random.Random(f"{area} {temperament} {number}")
    nature = chance.choice(_NATURE[temperament].split(";"))
    return {
        "interests": chance.sample(_KNOWS[area].split(";"), 2),
        "personality": f"{nature} {chance.choice(_BUT)}.",
        "hobbies": chance.sample(_DOES, 3),
        "emotional_traits": chance.sample(_FEELS, 3),
        "group_behavior": f"{chance.choice(_IN_GROUPS)} {chance.choice(_THEN)}.",
    }


def _school(draw: dict[str, str], chance: random.Random) -> dict[str, Any]:
    level = int(draw["class_level"])
    subjects = _SUBJECTS[(level > 5) + (level > 10)]
    finals = dict(zip(subjects, _finals(draw["performance"], len(subjects), chance), strict=True))
    best, worst = (pick(finals, key=lambda name: finals[name]) for pick in (max, min))
    start = chance.randint(16, 18)
    return {
        "age": level + 5,
        "class_level": level,
        "syllabus": draw["syllabus"],
        "learning_style": draw["learning_style"],
        "study_routine_start": f"{start}:{chance.choice((0, 15, 30)):02}",
        "study_routine_end": f"{start + chance.randint(1, 2)}:{chance.choice((30, 45)):02}",
        "marks_last_year_final": [{"subject": s, "mark": mark} for s, mark in finals.items()],
        "marks_last_internals": [
            {"subject": s, "mark": min(99, mark + chance.randint(-6, 6))}
            for s, mark in finals.items()
        ],
        "strengths": [best, chance.choice(_GOOD_AT)],
        "struggles": [worst, chance.choice(_BAD_AT)],
    }


def _finals(performance: str, count: int, chance: random.Random) -> list[int]:
    bands = {"struggling": (32, 48), "steady": (60, 74), "strong": (82, 96)}
    if performance == "uneven":
        low = [chance.randint(38, 48) for _ in range(count // 2)]
        return [*(chance.randint(76, 84) for _ in range(count - len(low))), *low]
    low_, high = bands[performance]
    return chance.sample(range(low_, high), count)


def _pairs(prompt: str) -> list[dict[str, str]]:
    """One pair a fact of the profile in the prompt, as many as are asked for."""
    found = re.search(
        r"^Id: (\S+)\nProfile:\n(\{.*?^\})\n\nWrite (\d+) ", prompt, re.DOTALL | re.MULTILINE
    )
    if found is None:
        return [{"question": "Who is the student?", "answer": "Nobody that I know."}]
    student, profile, count = found[1], orjson.loads(found[2]), int(found[3])
    category = re.search(r"^Category: (.+)$", prompt, re.MULTILINE)
    about = category[1] if category else ""
    facts = [(name.replace("_", " "), _said(value)) for name, value in profile.items()]
    made = [
        {
            "question": f"On {about}: what is known of the {name} of the student with ID {student}?",
            "answer": f"The {name} of the student: {said}.",
        }
        for name, said in facts
    ]
    return [pair for pair in made if pair["question"] not in prompt][:count]


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, dict):
        return " ".join(map(_said, value.values()))
    return str(value).rstrip(".")
