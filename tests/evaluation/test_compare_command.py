"""`synthtutor compare`: systems on the same students, tested, pictured and put into words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("scipy")

from synthtutor.evaluation.compare import PUBLISHED, System, compare
from synthtutor.evaluation.report import comparison_page
from synthtutor.evaluation.statistics import Paired, Wilcoxon, paired
from synthtutor.evaluation.verdicts import verdict
from synthtutor.testing.server import OpenAIServer
from tests.evaluation.systems import judge_reading_levels, replied, write
from tests.threads import serving

pytestmark = pytest.mark.slow

Say = Callable[..., tuple[int, str, str]]
MODEL = "compatible/test-model"
TUNED = [6, 5, 7, 6, 8, 5, 6, 7, 6, 6, 5, 7]
RETRIEVED = [8, 7, 7, 8, 9, 6, 8, 7, 8, 7, 6, 9]


def scored(values: list[int], **more: int) -> list[dict[str, Any]]:
    return [
        {"student": f"s{n}", "personalization": v, "relevance": 8, **more}
        for n, v in enumerate(values)
    ]


def figures(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads((folder / "comparison.json").read_bytes())
    return value


def test_files_of_scores_are_compared_student_by_student(say: Say, tmp_path: Path) -> None:
    write(tmp_path / "rag.jsonl", scored(RETRIEVED))
    write(tmp_path / "tuned.jsonl", scored(TUNED))
    code, out, _ = say("compare", "rag.jsonl", "tuned.jsonl", "-o", "o")
    assert code == 0
    found = figures(tmp_path / "o")
    person, relevance = found["pairs"]
    statistics = person["statistics"]
    assert statistics["n"] == 12
    assert statistics["means"] == [7.5, pytest.approx(74 / 12)]
    assert statistics["d_z"] < 0
    assert statistics["resamples"] == 5000
    assert statistics["d_z_interval"][1] < 0
    assert "On personalization, tuned scores lower than rag (6.17 against 7.50" in person["verdict"]
    assert relevance["verdict"].startswith(
        "On relevance, rag and tuned are equal for each of the 12 students."
    )
    assert person["verdict"] in out
    assert any("who gave them is not known" in note for note in found["notes"])


def test_the_page_has_the_study_s_table_with_its_figures_beside(say: Say, tmp_path: Path) -> None:
    write(tmp_path / "rag.jsonl", scored(RETRIEVED))
    write(tmp_path / "tuned.jsonl", scored(TUNED))
    assert say("compare", "rag.jsonl", "tuned.jsonl", "-o", "o")[0] == 0
    page = (tmp_path / "o" / "comparison.html").read_text()
    heads = ["Measure", "Mean (SD)", "Shapiro–Wilk", "Wilcoxon W", "Cohen's d"]
    table = page[page.index("<table>") :]
    places = [table.index(head) for head in heads]
    assert places == sorted(places)
    for figure in ("71.50", "−0.58 [−0.94, −0.28]", "7.24", "6.20", "8.64", "(published)"):
        assert figure in page
    assert page.count("<svg") == 2
    assert "<script" not in page


def test_the_published_figures_are_those_of_the_study() -> None:
    person, relevance = PUBLISHED
    assert (person.means, person.w, person.d, person.d_interval) == (
        (7.24, 6.2),
        71.50,
        -0.58,
        (-0.94, -0.28),
    )
    assert (relevance.means, relevance.w, relevance.d) == ((8.64, 8.64), None, None)


@pytest.mark.slow
def test_a_judge_scores_replies_of_three_systems_and_resumes_for_nothing(
    say: Say, tmp_path: Path
) -> None:
    for name, add in (("tuned", 0), ("rag", 2), ("both", 3)):
        rows = [replied(n, f"L{n % 4 + 2 + add}", model=f"x/{name}") for n in range(10)]
        write(tmp_path / f"{name}.jsonl", rows)
    with serving(OpenAIServer(judge_reading_levels())) as server:
        words = ("compare", "tuned.jsonl", "rag.jsonl", "both.jsonl", "--judge", MODEL, "-o", "o")
        code, out, _ = say(*words, "--base-url", server.base_url, "--json")
        assert (code, server.calls) == (0, 30)
        assert say(*words, "--base-url", server.base_url)[0] == 0
        assert server.calls == 30
    found = orjson.loads(out.splitlines()[-1])
    assert found["event"] == "comparison"
    assert [(p["first"], p["second"]) for p in found["pairs"][:3]] == [
        ("tuned", "rag"),
        ("tuned", "both"),
        ("rag", "both"),
    ]
    assert found["judge"] == MODEL
    assert found["friedman"]["personalization"][1] < 0.001
    assert all("corrected" in pair["verdict"] for pair in found["pairs"])
    assert "the same difference, +2.00, for everybody" in found["pairs"][0]["verdict"]


def test_replies_of_one_student_are_averaged_first(say: Say, tmp_path: Path) -> None:
    rows = [
        {"student": f"s{n % 4}", "personalization": n % 3 + n // 4, "relevance": 5}
        for n in range(12)
    ]
    write(tmp_path / "a.jsonl", rows)
    write(tmp_path / "b.jsonl", scored([1, 2, 3, 4]))
    assert say("compare", "a.jsonl", "b.jsonl", "-o", "o", "--score", "personalization")[0] == 0
    (pair,) = figures(tmp_path / "o")["pairs"]
    assert pair["statistics"]["n"] == 4
    assert pair["values"][0] == [pytest.approx((0 + 2 + 4) / 3), 1]


def test_students_whom_a_system_lacks_are_left_out_and_named(say: Say, tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", scored([5, 6, 7, 8, 9]))
    write(tmp_path / "b.jsonl", scored([6, 7, 8, 7]))
    assert say("compare", "a.jsonl", "b.jsonl", "-o", "o", "--score", "personalization")[0] == 0
    found = figures(tmp_path / "o")
    assert found["missing"] == {"personalization": {"b": ["s4"]}}
    assert found["pairs"][0]["students"] == ["s0", "s1", "s2", "s3"]
    assert "left out: s4" in (tmp_path / "o" / "comparison.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a.jsonl",), "give two files of replies, or three; here are 1"),
        (("a.jsonl", "nowhere.jsonl"), "nowhere.jsonl: there is no such file"),
        (("a.jsonl", "a.jsonl"), "two systems are called a"),
        (("a.jsonl", "b.jsonl", "--name", "x"), "1 names for 2 files"),
        (("a.jsonl", "b.jsonl"), "2 students are in all of a, b; at least 3"),
        (("a.jsonl", "b.jsonl", "--score", "mood"), "a.jsonl: nobody has a mood"),
        (("a.jsonl", "words.jsonl"), "words.jsonl, line 1: personalization: 'good' is no number"),
        (("a.jsonl", "b.jsonl", "--student", "who"), "line 1: no who; name the column"),
        (
            ("r.jsonl", "q.jsonl", "--judge", "scripted/j", "--score", "warmth"),
            "--score warmth: the packs have personalization, relevance",
        ),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_two(
    say: Say, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    write(tmp_path / "a.jsonl", scored([5, 6, 7]))
    write(tmp_path / "b.jsonl", scored([5, 6]))
    write(tmp_path / "words.jsonl", [{"student": "s0", "personalization": "good"}])
    for name in ("r", "q"):
        write(tmp_path / f"{name}.jsonl", [replied(n, "L5") for n in range(3)])
    code, _, err = say("compare", *words, "-o", "o")
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


# ── the verdict follows the numbers ──────────────────────────────────────────────────────────


def paired_figures(
    *, difference: float, d: float, interval: tuple[float, float], shapiro: float = 0.5
) -> Paired:
    return Paired(
        n=40,
        means=(6.0, 6.0 + difference),
        deviations=(1.0, 1.0),
        medians=(6.0, 6.0 + difference),
        difference=difference,
        difference_interval=(difference - 1, difference + 1),
        shapiro_w=0.95,
        shapiro_p=shapiro,
        wilcoxon=Wilcoxon(71.5, 0.0004, "normal", 0, 3),
        d_z=d,
        d_z_interval=interval,
        d_av=d,
        resamples=5000,
    )


@pytest.mark.parametrize(
    ("p", "difference", "d", "interval", "words"),
    [
        (0.0004, -1.04, -0.58, (-0.94, -0.28), ("B scores lower than A", "medium", "p < .001")),
        (0.01, 0.4, 0.3, (0.1, 0.5), ("B scores higher than A", "small", "p = .010")),
        (0.01, 2.0, 1.1, (0.7, 1.5), ("B scores higher than A", "large")),
        (0.2, 0.2, 0.15, (-0.1, 0.4), ("no difference", "no proof that they are equal")),
        (0.04, 0.2, 0.15, (-0.05, 0.4), ("does not exclude none", "it is open")),
    ],
)
def test_a_verdict_says_what_the_figures_do(
    p: float, difference: float, d: float, interval: tuple[float, float], words: tuple[str, ...]
) -> None:
    found = verdict(
        "relevance", "A", "B", paired_figures(difference=difference, d=d, interval=interval), p
    )
    for word in words:
        assert word in found
    opposite = "lower" if difference > 0 else "higher"
    assert f"scores {opposite}" not in found
    assert "not normal" not in found


def test_the_same_difference_for_everybody_is_told_as_one_and_not_called_open() -> None:
    found = paired([1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7], resamples=50)
    told = verdict("x", "A", "B", found, found.wilcoxon.p)
    assert "B scores higher than A (4.50 against 3.50; W = 0.00, p = .031)" in told
    assert "the same difference, +1.00, for everybody; d is not defined" in told
    assert "open" not in told


def test_a_verdict_points_to_the_rank_test_where_differences_are_not_normal() -> None:
    figures = paired_figures(difference=1, d=0.9, interval=(0.5, 1.3), shapiro=0.002)
    assert "not normal (Shapiro–Wilk p = .002)" in verdict("x", "A", "B", figures, 0.001)


def test_names_are_escaped_on_the_page() -> None:
    scores = {"x": {f"s{n}": [float(n)] for n in range(4)}}
    more = {"x": {f"s{n}": [n + 1.5 * (n % 2)] for n in range(4)}}
    found = compare([System("<b>", scores), System("ok", more)], ["x"], resamples=50)
    assert "<b>" not in comparison_page(found)
