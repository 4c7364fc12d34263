from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.quality.privacy import personal_data, redacted

DATA = Path(__file__).parent / "data"


def rows(name: str) -> list[dict[str, Any]]:
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("text", "kind", "quote"),
    [
        ("mail anna.b+x@school.example.org please", "email", "anna.b+x@school.example.org"),
        ("my phone number is 555 0123 456", "phone", "555 0123 456"),
        ("call me at 0171 234567 tonight", "phone", "0171 234567"),
        ("My number is 0532 123 45 67, ok?", "phone", "0532 123 45 67"),
        ("My name is Ayşe Yılmaz.", "name", "Ayşe Yılmaz"),
        ("It is (415) 555-0134.", "phone", "(415) 555-0134"),
        ("ring +44 20 7946 0958", "phone", "+44 20 7946 0958"),
        ("my insta is @anna_2010", "handle", "@anna_2010"),
        ("add me on discord anna_b#1234", "handle", "anna_b#1234"),
        ("My name is Anna Maria Schmidt.", "name", "Anna Maria Schmidt"),
        ("I'm Anna Smith and I need help", "name", "Anna Smith"),
        ("I live at 12 Oak Tree Lane", "address", "12 Oak Tree Lane"),
        ("221 Baker Street, London, NW1 6XE", "address", "221 Baker Street, London, NW1 6XE"),
        ("I go to Lincoln Middle School in town", "school", "Lincoln Middle School"),
        ("my school is St. Mary's Academy", "school", "St. Mary's Academy"),
        ("my student ID is S123456", "student_id", "S123456"),
        ("I was born on March 3, 2012", "birth_date", "March 3, 2012"),
        ("my birthday is 12/05/2011", "birth_date", "12/05/2011"),
    ],
)
def test_what_a_child_might_give_away_is_found(text: str, kind: str, quote: str) -> None:
    (found,) = personal_data(text)
    assert (found.kind, found.quote) == (kind, quote)
    assert text[found.start : found.end] == quote
    assert redacted(text) == text.replace(quote, f"[{kind.upper()}]")


@pytest.mark.parametrize(
    "text",
    [
        "555-1234 = -679 and 800-224-620 = -44",
        "Solve 234-567-8901 + 3 = x",
        "Anna Smith has 415 apples and lives on a farm.",
        "My name is Anna.",
        "My number is 0.5 and yours is 12345678901.",
        "The phone costs 299 dollars; call me 2 times.",
        "She goes to Summer School, and he to school by bus.",
        "A phone has 1000000 pixels, 3.14159265358979 of them red.",
        "On 12/05/2011 the price was $5.",
        "The student number 3 in line",
        "1,234,567.89 + 1 2 3 4 5 6 7 8 9 10",
        "I am from Spain.",
        "5/10/15/20/25",
    ],
)
def test_numbers_and_the_people_of_problems_are_nobodys_data(text: str) -> None:
    assert personal_data(text) == []


def test_real_mathematical_dialogues_have_no_false_findings() -> None:
    texts = [row["text"] for row in rows("bridge_turns")]
    for row in rows("mrbench_replies"):
        texts += [row["conversation_history"], row["Ground_Truth_Solution"]]
        texts += [reply["response"] for reply in row["anno_llm_responses"].values()]
    assert len(texts) == 460
    assert [found for text in texts for found in personal_data(text)] == []


@given(st.text(max_size=200))
def test_findings_of_any_text_are_in_order_and_apart(text: str) -> None:
    found = personal_data(text)
    assert all(text[each.start : each.end] == each.quote for each in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


@given(st.text(alphabet="0123456789+-*/=()., x$%", max_size=120))
def test_an_email_among_any_sums_is_found(sums: str) -> None:
    assert "[EMAIL]" in redacted(f"{sums} me@example.org {sums}")


def test_a_replacement_may_be_chosen() -> None:
    assert redacted("mail me@example.org", lambda found: f"<{found.kind}>") == "mail <email>"
