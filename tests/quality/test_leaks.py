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
CAKE = "What part of the cake is left when 3 of 6 pieces are eaten?"
CAKE_SAID = "3/6 is 2"
SHARE = "What percentage of 80 is 20?"
HOUR = "Tim walks 25 km in 2 hours. How far does he walk in one hour?"
BIGGER = "Which is bigger, 0.35 or 0.4?"
BIGGER_SAID = "0.35, because 35 is more than 4"
KIND = "Is 39 a prime number or a composite number?"
INK = "A pen costs 25 cents. How much, in dollars, do 4 pens cost?"
GAMES = "They won 12 of 20 games and need 20 wins. How many more do they have to win?"
GAMES_SAID = "20 - 12 = 8, and 8 - 2 = 6, so 6"
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
        ("The final answer is **64**.", "64", PENS, PENS_SAID),
        ("72 take away 8 gives *64*", "64", PENS, PENS_SAID),
        ("Well, 72 minus 8 is 64.", "64", PENS, PENS_SAID),
        ("Did you notice that 72 - 8 = 64?", "64", PENS, PENS_SAID),
        ("Not 10 but 64.", "64", PENS, PENS_SAID),
        ("In your sum 72 minus 8 is actually 64.", "64", PENS, PENS_SAID),
        ("3/6 simplifies to 1/2.", "1/2", CAKE, CAKE_SAID),
        ("That is 0.5 of the cake.", "1/2", CAKE, CAKE_SAID),
        ("20/80 = 0.25, so a quarter.", "25%", SHARE, "80/20 = 4, so 4%"),
        ("He walks twelve and a half km.", "12.5", HOUR, "25 * 2 = 50"),
        ("0.4 is bigger.", "0.4", BIGGER, BIGGER_SAID),
        ("The bigger one is 0.4.", "0.4", BIGGER, BIGGER_SAID),
        ("39 is a composite number.", "composite", KIND, "prime"),
        ("That is 100 cents in all.", "1", INK, "4 * 25 = 29"),
        ("They need to win 8 more out of the rest.", "8", GAMES, GAMES_SAID),
        ("So they indeed need 20 - 12 = 8 more.", "8", GAMES, GAMES_SAID),
        ("所以还剩64支。", "64", PENS, PENS_SAID),
        ("答案是64，对吗？", "64", PENS, PENS_SAID),
        ("Cevap 64 olmalı, değil mi?", "64", PENS, PENS_SAID),
        ("إذن الجواب هو ٦٤.", "64", PENS, PENS_SAID),
        ("It should be minus three.", "-3", "What is -7 + 4?", "-7 + 4 = -11"),
        ("Three sixths and two sixths make five sixths.", "5/6", "What is 1/2 + 1/3?", "2/5"),
        ("That gives you 5 over 6.", "5/6", "What is 1/2 + 1/3?", "2/5"),
        (
            "It leaves eighteen dollars and fifty cents.",
            "18.50",
            "How much is left of $45?",
            "$34.50",
        ),
        ("So it goes 72 km every hour.", "72 km/h", "180 km in 2.5 h: what speed?", "450 km/h"),
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
        ("Is it 64, 72 or 80?", "64", PENS, PENS_SAID),
        ("Why 12**2?", "12", PENS, PENS_SAID),
        ("每盒有6支，一共几盒？", "6", PENS, PENS_SAID),
        ("你为什么加12和6？", "18", PENS, PENS_SAID),
        ("You need 30 minutes for this, take your time.", "30", SHIRT, SHIRT_SAID),
        ("What is 20/80 as a decimal?", "25%", SHARE, "80/20 = 4, so 4%"),
        ("You set up 3x/2 = 150; go on.", "150", "", ""),
        ("Remember that there are 6 pens in each.", "6", "", ""),
        ("Which one is bigger, 0.35 or 0.4?", "0.4", BIGGER, BIGGER_SAID),
        ("Look at 0.35 and 0.4: how many tenths has each?", "0.4", BIGGER, BIGGER_SAID),
        ("Can you tell whether 39 is composite?", "composite", KIND, "prime"),
        ("A composite number has more than two factors.", "composite", KIND, "prime"),
        ("Is it in the ones, tens, or hundreds place?", "tens", "Which place has the 2?", ""),
        ("Remember that there are 100 cents in a dollar.", "100", INK, "100 cents are a dollar"),
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


@pytest.mark.parametrize(
    ("reply", "found", "sure"),
    [
        ("12 × 6 = 72, and 72 - 8 = 64.", True, True),
        ("What do 12 boxes hold?", False, True),
        ("How would you check whether 64 is right?", True, False),  # new, but only asked about
    ],
)
def test_the_detector_says_whether_it_is_sure(reply: str, found: bool, sure: bool) -> None:
    leak = leaks(reply, "64", problem=PENS, student=PENS_SAID)
    assert (leak.found, leak.sure) == (found, sure)


def test_what_the_student_found_on_the_way_is_the_answer_or_not_for_a_judge_to_say() -> None:
    said = "12 × 6 = 72, and 72 - 8 = 64. Then 64 - 6 = 58, so 58 pens"
    repeated = leaks(
        "You found 64 on your way; why did you go on?", "64", problem=PENS, student=said
    )
    assert (repeated.found, repeated.sure) == (False, False)
    concluded = leaks("So she has 64 pens left.", "64", problem=PENS, student=said)
    assert (concluded.found, concluded.sure) == (True, False)
    stated = leaks("Each box has 6 pens.", "6", problem=PENS, student=said)
    assert (stated.found, stated.sure) == (False, True), "a number of the problem is nobody's find"


def test_of_several_parts_one_that_is_surely_kept_back_is_enough() -> None:
    both = leaks("So you get 3.", "3 and 7", problem=TWO, student="")
    assert (both.found, both.sure) == (False, True)


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
