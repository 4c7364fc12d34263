from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from synthtutor.errors import ConfigError
from synthtutor.recipes.mathdial import dialogue
from synthtutor.recipes.problem_files import problem_rows
from synthtutor.recipes.problems import Problem, Turn
from synthtutor.recipes.recipe import RowOptions
from synthtutor.sources import BadRow

DATA = Path(__file__).parent / "data"
EARLIER = {  # our own words in the form of the earlier samples
    "qid": "77",
    "scenario": "3",
    "question": "Ida has 3 bags of 4 nuts. How many nuts?",
    "ground_truth": "There are 3 x 4 = 12 nuts.\\nSo it is twelve.\\\\ 12".replace("\\\\", "\\n"),
    "student_incorrect_solution": "3 bags and 4 nuts\\So 3 + 4 = 7\\n 7",
    "student_profile": "Ida is a 7th grade student. She adds.",
    "teacher_described_confusion": "adds",
    "self-correctness": "No",
    "self-typical-confusion": "1",
    "self-typical-interactions": "2",
    "conversation": "Teacher: (leaking)It is 12.|EOM|Student: Ida: ok, 12|EOM|Teacher: |EOM|Ida: yes",
}


def read(path: Path, **options: str) -> list[Problem | BadRow]:
    return list(problem_rows(RowOptions(path=path, options=options)).rows)


def read_one(folder: Path, record: dict[str, object], **options: str) -> Problem | BadRow:
    path = folder / "rows.jsonl"
    path.write_bytes(orjson.dumps(record))
    (found,) = read(path, **options)
    return found


def problem(folder: Path, record: dict[str, object], **options: str) -> Problem:
    found = read_one(folder, record, **options)
    assert isinstance(found, Problem), found
    return found


# ── MathDial as it is published ──────────────────────────────────────────────────────────────


def test_the_jsonl_form_is_read() -> None:
    cody, brenda = read(DATA / "mathdial_two.jsonl")
    assert isinstance(cody, Problem)
    assert isinstance(brenda, Problem)
    assert (cody.id, cody.answer, cody.source) == ("6000057", "4", "mathdial")
    assert cody.student_solution.endswith("Billy bought 2 pounds of candy. \n\n 2")
    assert [turn.speaker for turn in cody.turns] == ["tutor", "student"] * 3
    assert [turn.move for turn in cody.turns] == ["generic", "", "focus", "", "focus", ""]
    assert cody.turns[1].text.startswith("Sure. I started by")
    assert [turn.move for turn in brenda.turns] == ["generic", "", "generic", "telling"]
    assert brenda.notes["self-typical-confusion"] == 3.0


def test_the_csv_form_gives_the_same_problems() -> None:
    assert read(DATA / "mathdial_two.csv") == read(DATA / "mathdial_two.jsonl")


def test_the_earlier_form_has_strings_written_line_ends_and_leaking(tmp_path: Path) -> None:
    found = problem(tmp_path, dict(EARLIER))
    assert (found.id, found.answer) == ("77", "12")
    assert found.solution.splitlines()[:2] == ["There are 3 x 4 = 12 nuts.", "So it is twelve."]
    assert found.student_solution == "3 bags and 4 nuts\nSo 3 + 4 = 7\n 7"
    assert found.turns == (
        Turn("tutor", "It is 12.", "telling"),
        Turn("student", "ok, 12"),
        Turn("student", "yes"),
    )
    assert found.notes["self-typical-interactions"] == 2.0


def test_tex_commands_and_real_line_ends_are_left_alone(tmp_path: Path) -> None:
    tex = problem(tmp_path, {**EARLIER, "question": "Show that 3 \\neq 4."})
    assert tex.question == "Show that 3 \\neq 4."
    written = problem(tmp_path, {**EARLIER, "ground_truth": "a \\n b\n 12"})
    assert written.solution == "a \\n b\n 12"


def test_notes_that_nobody_took_are_left_out(tmp_path: Path) -> None:
    found = problem(tmp_path, {**EARLIER, "self-correctness": None, "self-typical-confusion": None})
    assert set(found.notes) == {"teacher_described_confusion", "self-typical-interactions"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ground_truth": None}, "ground_truth is empty"),
        ({"question": ""}, "question is empty"),
        ({"conversation": "Teacher: Hi|EOM|no label here"}, "turn 2 does not say who speaks"),
    ],
)
def test_a_malformed_record_is_a_bad_row_with_its_place(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    found = read_one(tmp_path, {**EARLIER, **change})
    assert isinstance(found, BadRow)
    assert reason in found.reason
    assert found.where.endswith("line 1")


def test_a_bracket_that_is_no_move_is_text() -> None:
    assert dialogue("Teacher: (hint) Look.") == (Turn("tutor", "(hint) Look."),)
    assert dialogue("Student: (2 + 3) is 5") == (Turn("student", "(2 + 3) is 5"),)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "mathdial.pkl"
    path.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ConfigError, match="can run any code"):
        read(path)


def test_there_are_no_problems_without_a_file() -> None:
    with pytest.raises(ConfigError, match="--rows FILE"):
        problem_rows(RowOptions())


# ── other files ──────────────────────────────────────────────────────────────────────────────


def test_gsm8ks_form_is_read(tmp_path: Path) -> None:
    answer = "She has 3 * 4 = <<3*4=12>>12 nuts.\n#### 1,200"
    found = problem(tmp_path, {"question": "q", "answer": answer})
    assert (found.answer, found.solution) == ("1,200", "She has 3 * 4 = 12 nuts.")
    assert (found.source, found.student_solution, found.turns) == ("gsm8k", "", ())


def test_own_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("Frage,Lösung,falsch\nWie viele?,12,7\n")
    found = read(path, question="Frage", answer="Lösung", student_solution="falsch")
    assert found == [Problem("Wie viele?", "12", student_solution="7")]


def test_a_column_that_is_not_there_is_named_with_the_fix(tmp_path: Path) -> None:
    found = read_one(tmp_path, {"question": "q", "result": "1"})
    assert isinstance(found, BadRow)
    assert "no 'answer'; name the column with --option answer=COLUMN" in found.reason


def test_more_variations_repeat_the_file_and_report_a_bad_row_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "q", "answer": "1"}\nnot JSON\n')
    found = list(problem_rows(RowOptions(path=path, per_seed=3)).rows)
    assert [type(row).__name__ for row in found] == ["Problem", "BadRow", "Problem", "Problem"]
