from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.ratings import Rating, Ratings, Review, Tally, append, reviewed

ONE, TWO = "0" * 31 + "1", "0" * 31 + "2"


def said(rater: str, decision: Any = None, **more: Any) -> Rating:
    return Rating(ONE, rater, decision, **more)


def review(*ratings: Rating) -> Review:
    return Review.of({rating.rater: rating for rating in ratings})


# ── the file ─────────────────────────────────────────────────────────────────────────────────


@given(
    st.builds(
        Rating,
        st.just(ONE),
        st.text(min_size=1, max_size=80).filter(lambda name: name.strip()),
        st.sampled_from([None, "accept", "reject"]),
        st.dictionaries(st.integers(0, 99), st.text()),
        st.dictionaries(st.text(), st.booleans()),
        st.text(),
    )
)
def test_what_is_written_is_what_is_read(rating: Rating) -> None:
    import orjson

    line = rating.to_json()
    assert b"\n" not in line
    assert Rating.of(orjson.loads(line)).to_json() == line


def test_the_last_line_of_a_rater_counts_and_the_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    append(path, said("Ada", "accept"))
    append(path, said("Ben", "reject"))
    append(path, said("Ada", "reject", note="leaks the answer"))
    assert len(path.read_bytes().splitlines()) == 3
    raters = Ratings(path).raters_of(ONE)
    assert {name: rating.decision for name, rating in raters.items()} == {"Ada": "reject", "Ben": "reject"}  # fmt: skip
    assert raters["Ada"].note == "leaks the answer"


def test_a_torn_line_costs_neither_what_is_before_nor_what_comes_after(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    append(path, said("Ada", "accept"))
    with path.open("ab") as file:
        file.write(said("Ben", "reject").to_json()[:40])  # the power went
    append(path, said("Cleo", "reject"))
    ratings = Ratings(path)
    assert sorted(ratings.raters_of(ONE)) == ["Ada", "Cleo"]
    assert ratings.skipped == 1


def test_what_is_added_while_it_is_open_is_read_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    ratings = Ratings(path)
    before = ratings.refresh()
    append(path, said("Ada", "accept"))
    assert ratings.review(ONE) is None
    assert ratings.refresh() > before
    assert ratings.review(ONE) is not None
    path.write_bytes(b"")
    assert ratings.refresh() == 0
    assert not list(ratings)


def test_raters_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"

    def rate(name: str) -> None:
        for _ in range(20):
            append(path, said(name, "accept", note="x" * 5000))

    threads = [threading.Thread(target=rate, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(path.read_bytes().splitlines()) == 80
    assert Ratings(path).skipped == 0


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ratings\.jsonl.*not saved"):
        append(tmp_path / "no" / "ratings.jsonl", said("Ada"))


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"sample": "x", "rater": "a"}, "sample"),
        ({"sample": ONE, "rater": " "}, "rater"),
        ({"sample": ONE, "rater": "a", "decision": "maybe"}, "decision"),
        ({"sample": ONE, "rater": "a", "edits": {"x": "y"}}, "edits"),
        ({"sample": ONE, "rater": "a", "criteria": {"x": 1}}, "criteria"),
        ({"sample": ONE, "rater": "a", "note": 3}, "note"),
        ([], "object"),
    ],
)
def test_what_is_no_rating_is_told_by_its_field(raw: Any, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Rating.of(raw)


# ── several raters ───────────────────────────────────────────────────────────────────────────


def test_most_raters_decide() -> None:
    found = review(said("a", "accept"), said("b", "reject"), said("c", "reject"), said("d"))
    assert (found.decision, found.undecided) == ("reject", "")


def test_as_many_for_as_against_is_undecided() -> None:
    found = review(said("a", "accept"), said("b", "reject"))
    assert found.decision is None
    assert found.undecided == "as many accept as reject"


def test_edits_that_differ_are_undecided_unless_one_has_more_raters() -> None:
    a, b, c = (said(name, edits={2: text}) for name, text in (("a", "x"), ("b", "y"), ("c", "y")))
    assert review(a, b).undecided == "edits differ"
    assert review(a, b, c).edits == {2: "y"}


def test_a_note_alone_decides_nothing() -> None:
    found = review(said("a", note="hm"))
    assert (found.decision, found.undecided, found.edits) == (None, "", {})


def test_criteria_are_counted_one_by_one() -> None:
    found = review(
        said("a", criteria={"x": True, "y": True}),
        said("b", criteria={"x": True, "y": False}),
    )
    assert found.criteria == {"x": True}


# ── what an export makes of it ───────────────────────────────────────────────────────────────


def finished(name: str, outcome: str, **metadata: Any) -> tuple[str, str, Any]:
    messages = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    reasons = [] if outcome == "kept" else ["judge: no"]
    body = {
        "id": name,
        "messages": [] if outcome == "failed" else messages,
        "metadata": {"outcome": outcome, "reasons": reasons, **metadata},
    }
    return name, outcome, lambda: body


def exports(
    tmp_path: Path,
    *ratings: Rating,
    outcome: str = "kept",
    kept: bool | None = True,
    **metadata: Any,
) -> tuple[list[dict[str, Any]], Tally]:
    for rating in ratings:
        append(tmp_path / "ratings.jsonl", rating)
    samples, tally = [finished(ONE, outcome, **metadata), finished(TWO, "kept")], Tally()
    found = reviewed(samples, Ratings(tmp_path / "ratings.jsonl"), kept=kept, tally=tally)
    return [each for each in found if each["id"] == ONE or kept is None], tally


def test_a_sample_that_people_reject_is_left_out(tmp_path: Path) -> None:
    found, tally = exports(tmp_path, said("a", "reject"))
    assert found == []
    assert tally == Tally(rejected=1)
    (other,), _ = exports(tmp_path, kept=False)
    assert other["metadata"]["outcome"] == "rejected"
    assert other["metadata"]["reasons"] == ["people: a: reject"]


def test_a_sample_that_people_accept_comes_in_against_the_judge(tmp_path: Path) -> None:
    (found,), tally = exports(tmp_path, said("a", "accept"), outcome="rejected")
    assert tally == Tally(accepted=1)
    assert found["metadata"]["outcome"] == "kept"
    assert found["metadata"]["people"]["judged"] == "rejected"
    assert exports(tmp_path, outcome="rejected", kept=False)[0] == []


def test_a_sample_without_messages_cannot_come_in(tmp_path: Path) -> None:
    found, tally = exports(tmp_path, said("a", "accept"), outcome="failed")
    assert (found, tally.accepted) == ([], 0)


def test_raters_who_are_undecided_leave_a_sample_out(tmp_path: Path) -> None:
    found, tally = exports(tmp_path, said("a", "accept"), said("b", "reject"))
    assert found == []
    assert tally == Tally(undecided=1)
    assert str(tally) == "1 left out because the raters are undecided"


def test_an_edit_takes_the_place_of_the_text_in_message_and_turn(tmp_path: Path) -> None:
    turns = [{"turn": 1, "speaker": "tutor", "text": "A"}, {"turn": 2, "speaker": "student", "text": "B"}]  # fmt: skip
    (found,), tally = exports(tmp_path, said("a", edits={1: "Better"}), turns=turns)
    assert found["messages"][1]["content"] == "Better"
    assert [turn["text"] for turn in found["metadata"]["turns"]] == ["Better", "B"]
    assert found["metadata"]["people"]["edited"] == [1]
    assert tally == Tally(edited=1)


def test_the_sample_itself_is_not_changed(tmp_path: Path) -> None:
    entry = finished(ONE, "kept")
    append(tmp_path / "ratings.jsonl", said("a", edits={1: "Better"}))
    list(reviewed([entry], Ratings(tmp_path / "ratings.jsonl"), kept=True, tally=Tally()))
    assert entry[2]()["messages"][1]["content"] == "A"


def test_none_asks_for_all_that_people_rated(tmp_path: Path) -> None:
    found, _ = exports(tmp_path, said("a", "reject"), kept=None)
    assert [each["id"] for each in found] == [ONE]
