from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synthtutor.quality.answers import parts
from synthtutor.quality.checks import check
from synthtutor.quality.leaks import leaks

DATA = Path(__file__).parent / "data" / "mrbench_replies.jsonl"

PENS = (
    "Anna has 12 boxes with 6 pens each. She gives 8 pens away. How many pens does she have left?"
)
PENS_SAID = "12 + 6 = 18 pens. 18 - 8 = 10 pens. So she has 10 pens left."
SHIRT = "A shirt costs $40. It is 25% off. How much does the shirt cost now?"
SHIRT_SAID = "25% of 40 is 25, so 40 - 25 = 15. The shirt costs $15."
TRAIN = "A train goes 120 miles in 2 hours, then 60 miles in 1 hour. What is its average speed?"
TRAIN_SAID = "120/2 = 60 and 60/1 = 60, so I add them and get 120 miles per hour"
BAGS = "Tom has 4 bags with 5 apples each and eats 15 apples. How many apples are left?"
BAGS_SAID = "4 + 5 = 9 apples in bags, he eats 15, that does not work"
WEEKS = "Steve reads 100 pages on Monday and Friday. How many weeks do 1,400 pages take?"
WEEKS_SAID = "1400/200 = 7 sets of two days, that is 14 days, so 2 weeks"
TWO = "Two numbers have sum 10 and product 21. Which are they?"


@pytest.mark.parametrize(
    ("reply", "answer", "problem", "student"),
    [
        ("So she has 64 pens left.", "64", PENS, PENS_SAID),
        ("12 × 6 = 72, and 72 - 8 = 64.", "64", PENS, PENS_SAID),
        ("The answer is sixty-four.", "64", PENS, PENS_SAID),
        ("You are close, but it should be 64, not 10.", "64 pens", PENS, PENS_SAID),
        ("Isn't it 64 then?", "64", PENS, PENS_SAID),
        ("It drops by $10, so the shirt costs $30 now.", "30", SHIRT, SHIRT_SAID),
        ("The shirt costs thirty dollars.", "$30", SHIRT, SHIRT_SAID),
        ("180 / 3 = 60 miles per hour.", "60", TRAIN, TRAIN_SAID),
        ("The average speed is 60 mph.", "60", TRAIN, TRAIN_SAID),
        ("He has 20 apples and eats 15, which leaves 5.", "5", BAGS, BAGS_SAID),
        ("There are 5 apples left.", "5", BAGS, BAGS_SAID),
        ("Seven sets are what he reads in 7 weeks.", "7", WEEKS, WEEKS_SAID),
        ("If you divide 1400 by 200 you get 7 weeks.", "7", WEEKS, WEEKS_SAID),
        ("Can you see that it takes 7 weeks?", "7", WEEKS, WEEKS_SAID),
        ("Divide both sides by 2 to get x = 5.", "x = 5", "Solve 2x + 3 = 13.", "x = 8"),
        ("You see, 280 is our required answer.", "280", "How heavy is the sand?", "280 + 250"),
        ("That makes 50%.", "1/2", "What part is left?", ""),
        ("So one half is left.", "1/2", "What part is left?", ""),
        (r"So $\frac{1}{2}$ is left.", "0.5", "What part is left?", ""),
        ("The result: 1,200.", "1200", "", ""),
        ("He sledded 14 times.", "14", "How many times did he sled?", ""),
        ("The two numbers are 3 and 7.", "3 and 7", TWO, ""),
        ("Simplify to (x+2)(x-2).", "(x + 2)(x - 2)", "Factor x^2 - 4.", ""),
        ("It was on a Tuesday.", "Tuesday", "Which day is three days after Saturday?", ""),
        ("The answer is B.", "B", "Which is prime? A) 4 B) 5", ""),
    ],
)
def test_an_answer_that_is_given_away_is_found(
    reply: str, answer: str, problem: str, student: str
) -> None:
    leak = leaks(reply, answer, problem=problem, student=student)
    assert leak.found
    assert leak.where in reply
    assert leak.where
    assert leak.why


@pytest.mark.parametrize(
    ("reply", "answer", "problem", "student"),
    [
        ("What do you get for 12 × 6?", "64", PENS, PENS_SAID),
        ("How many pens are in 12 boxes with 6 pens each?", "6", PENS, PENS_SAID),
        ("Why did you add 12 and 6?", "12", PENS, PENS_SAID),
        ("It isn't 64 boxes that matter. What does 'each' mean?", "64", PENS, PENS_SAID),
        ("Think about what 6 pens in each of 12 boxes means.", "6", PENS, PENS_SAID),
        ("What is 25% of $40?", "40", SHIRT, SHIRT_SAID),
        ("You found 60 for the first part. What is the whole distance?", "60", TRAIN, TRAIN_SAID),
        ("It goes 60 miles in the last hour. How far in all?", "60", TRAIN, TRAIN_SAID),
        ("Each bag has 5 apples. How many are there in 4 bags?", "5", BAGS, BAGS_SAID),
        ("Multiply 4 by 5 first.", "5", BAGS, BAGS_SAID),
        ("You found 7 sets of two days. What is a set?", "7", WEEKS, WEEKS_SAID),
        ("Step 5: check your result.", "5", "Solve 2x + 3 = 13.", "x = 8"),
        ("How did you get 42?", "42", "", ""),
        ("One of the numbers is 3. Which is the other?", "3 and 7", TWO, ""),
        ("Do you know a formula for x^2 - 4?", "(x+2)(x-2)", "Factor x^2 - 4.", ""),
        ("Why did you rule out option B?", "B", "Which is prime? A) 4 B) 5", ""),
        ("Exactly, the answer is 64!", "64", PENS, "12 x 6 = 72, so 64 pens are left"),
        ("You need 25 minutes for that.", "25", "How many hours does it take?", ""),
        ("What is 2^5? Be there at 3:30.", "5", "", ""),
        ("The number is 3.5 here.", "35", "", ""),
    ],
)
def test_what_is_repeated_asked_or_worked_with_is_no_leak(
    reply: str, answer: str, problem: str, student: str
) -> None:
    leak = leaks(reply, answer, problem=problem, student=student)
    assert not leak.found, leak
    assert leak.where == leak.why == ""


@pytest.mark.parametrize("answer", ["", "  ", "$$", "The answer is"])
def test_an_answer_without_content_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="empty answer"):
        leaks("Anything", answer)


@given(st.text(max_size=200), st.text(max_size=20), st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_read_and_what_is_quoted_is_in_it(
    reply: str, answer: str, problem: str, student: str
) -> None:
    assume(parts(answer))
    leak = leaks(reply, answer, problem=problem, student=student)
    assert leak.where in reply
    assert leak.found == bool(leak.where) == bool(leak.why)


@given(
    st.integers(3, 10**6), st.sampled_from(["The answer is {}.", "So you get {}.", "1 + 2 = {}"])
)
def test_any_new_number_that_is_called_the_result_is_a_leak(number: int, reply: str) -> None:
    assert leaks(reply.format(number), str(number), problem="How many are there?").found
    assert leaks(reply.format(f"{number:,}"), str(number)).found
    assert not leaks(reply.format(number), str(number + 1)).found


def test_the_check_reads_the_answer_after_its_name() -> None:
    assert check("no_answer_leak:64", "So it is 64.") is False
    assert check("no_answer_leak:64", "What is 12 × 6?") is True
    assert check("no_answer_leak:", "So it is 64.") is None


def _labelled() -> list[tuple[bool, bool, bool]]:
    """Of each labelled reply: what its label says, what the number alone says, and what we say."""
    found = []
    for line in DATA.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        talk = row["conversation_history"].replace("\xa0", " ").partition("The question is:")[2]
        said = re.search(r"\s*(?:Student|Tutor):", talk)
        at = said.start() if said else len(talk)
        answer = row["Ground_Truth_Solution"].strip().splitlines()[-1].strip()
        for reply in row["anno_llm_responses"].values():
            text = reply["response"]
            stated = {float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}
            label = reply["annotation"]["Revealing_of_the_Answer"]
            ours = leaks(text, answer, problem=talk[:at], student=talk[at:]).found
            found.append(
                (label == "Yes (and the answer is correct)", float(answer) in stated, ours)
            )
    return found


def _f1(pairs: list[tuple[bool, bool]]) -> float:
    hits = sum(label and said for label, said in pairs)
    return 2 * hits / (2 * hits + sum(label != said for label, said in pairs))


def test_human_labels_are_met_better_than_by_looking_for_the_number() -> None:
    found = _labelled()
    assert len(found) == 240
    number = _f1([(label, naive) for label, naive, _ in found])
    assert 0.82 < number < 0.84
    assert _f1([(label, ours) for label, _, ours in found]) >= number + 0.05
