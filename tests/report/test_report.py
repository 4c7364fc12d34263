"""The report of a small real run: its figures are those counted by hand."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.cli.app import run as command
from synthtutor.errors import ConfigError, JournalError
from synthtutor.report import charts, write_report
from synthtutor.report.excerpts import excerpt
from synthtutor.report.facts import Facts, gather
from synthtutor.report.figures import Figure
from synthtutor.report.sections import matrix, sections
from tests.report.made import CALL_USD, HOSTILE, PLAN, made, reply, rows, script

pytestmark = pytest.mark.slow

# Of 12 rows, 3 are wrong (rejected) and 3 lack two things (kept); 2 calls a row, 2 a control.
KEPT, REJECTED, CALLS = 9, 3, 28


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "demo"
    made(path)
    return path


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    return gather(folder)


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(folder, out).read_text(encoding="utf-8")


def figure(facts: Facts, title: str) -> Figure:
    (found,) = [f for section in sections(facts) for f in section.figures if f.title == title]
    return found


def by_first(found: Figure) -> dict[str, list[str]]:
    return {row[0]: list(row[1:]) for row in found.table.rows}


class Parsed(HTMLParser):
    """Every element with its attributes, and the text of each named kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)

    def elements_seen(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# ── figures ──────────────────────────────────────────────────────────────────────────────────


def test_the_outcomes_and_the_bill_are_the_runs(facts: Facts) -> None:
    assert (facts.summary.kept, facts.summary.outcomes["rejected"]) == (KEPT, REJECTED)
    assert facts.summary.calls == CALLS
    assert facts.summary.cost_usd == pytest.approx(CALLS * CALL_USD)
    assert facts.summary.cost_per_kept_usd == pytest.approx(CALLS * CALL_USD / KEPT)


def test_the_matrix_counts_kept_of_made_in_each_cell(facts: Facts) -> None:
    found = matrix(facts)
    assert found is not None
    assert (found.row, found.column) == ("subject", "misconception type")
    cells = {
        (name, column): cell and cell[:2]
        for name, line in found.rows
        for column, cell in zip(found.columns, line, strict=True)
    }
    # Rows 0 and 6 are algebra with an overgeneralization; row 6 is one of the wrong ones.
    assert cells["algebra", "overgeneralization"] == (1, 2)
    assert cells["algebra", "confusing similar terms"] == (2, 2)
    assert sum(cell[1] for cell in cells.values() if cell) == 12
    assert sum(cell[0] for cell in cells.values() if cell) == KEPT


def test_pass_rates_are_of_all_that_were_judged_lowest_first(facts: Facts) -> None:
    criteria = figure(facts, "Pass rate per criterion")
    found = {name: row[1:4] for name, row in by_first(criteria).items()}
    assert found == {
        "sr.example": ["75%", "9", "12"],
        "sr.one-question": ["75%", "9", "12"],
        "sr.wrong": ["75%", "9", "12"],
        "sr.finds-error": ["100%", "12", "12"],
        "sr.long": ["100%", "12", "12"],
    }
    assert [row[0] for row in criteria.table.rows][-2:] == ["sr.finds-error", "sr.long"]
    dimensions = by_first(figure(facts, "Pass rate per dimension"))
    assert dimensions["truth"][1:4] == ["75%", "9", "12"]
    assert dimensions["diagnosis"][1:4] == ["100%", "12", "12"]


def test_judge_scores_are_counted_by_outcome(facts: Facts) -> None:
    # Of weights 5, 1 and 1: 7/7 for six, 5/7 without two for three; a fault takes 5 off: 2/7.
    kept, rejected = facts.tally.scores["kept"], facts.tally.scores["rejected"]
    assert dict(kept) == {9: 6, 7: 3}
    assert dict(rejected) == {2: 3}


def test_the_catch_rate_is_the_controls(facts: Facts) -> None:
    # This judge finds no fault in anything that is not a row.
    rows_ = by_first(figure(facts, "Catch rate"))
    assert rows_ == {"drop diagnosis": ["0", "1"], "false content": ["0", "1"]}


def test_reasons_are_counted_by_sample(facts: Facts) -> None:
    assert by_first(figure(facts, "Reasons")) == {"sr.wrong (critical): fault found": ["3"]}


def test_words_are_measured_by_grade_in_kept_samples(facts: Facts) -> None:
    # Reply n has n + 4 words. Grade 5 has rows 0, 3, 6, 9; of these 6 was dropped.
    found = by_first(figure(facts, "Words per turn"))
    assert list(found) == ["5", "6", "7"]
    assert found["5"][:2] == ["3", f"{(4 + 7 + 13) / 3:.1f}"]
    assert found["5"][3] == "7.0", "the median"


def test_texts_without_a_reading_grade_leave_no_empty_figure(tmp_path: Path) -> None:
    made(tmp_path, answer=script(lambda _: "1"))
    texts = next(s for s in sections(gather(tmp_path)) if s.id == "texts")
    assert [found.title for found in texts.figures] == ["Words per turn"]
    assert all(found.table.rows for found in texts.figures)


def test_costs_and_tokens_are_those_of_each_stage(facts: Facts) -> None:
    title = "US dollars by stage and model"
    found = {row[0]: list(row[2:]) for row in figure(facts, title).table.rows}
    assert set(found) == {"writer: text", "judge: judge", "judge (control): judge"}
    assert found["writer: text"] == ["12", "1,200", "0", "120", f"${12 * CALL_USD:.4f}"]
    assert found["judge (control): judge"][0] == "4"
    outcomes = by_first(figure(facts, "Cost by outcome"))
    assert {name: row[0] for name, row in outcomes.items()} == {
        "kept": "18",
        "rejected": "6",
        "control": "4",
    }


def test_every_call_is_in_the_timeline(facts: Facts) -> None:
    assert sum(facts.timeline.calls) == CALLS
    assert sum(facts.timeline.tokens) == CALLS * 110
    (session,) = facts.timeline.sessions
    assert (session.calls, session.rate_limited, session.complete) == (CALLS, 0, True)
    busy = sum(mean * facts.timeline.width_s for mean in facts.timeline.in_flight)
    paid_s = sum(entry["seconds"] for entry in facts.summary.account)
    assert busy <= paid_s + 0.01


def test_openers_and_duplicates_are_those_of_the_statistics(folder: Path, facts: Facts) -> None:
    written = orjson.loads((folder / "statistics.json").read_bytes())
    assert facts.statistics["assistant"] == written["assistant"]
    top = by_first(figure(facts, "How replies begin"))
    assert sum(int(row[0]) for row in top.values()) == KEPT


def test_statistics_of_another_state_of_the_run_are_not_believed(
    folder: Path, facts: Facts, tmp_path: Path
) -> None:
    for name in ("journal.sqlite", "statistics.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    stale = orjson.loads((tmp_path / "statistics.json").read_bytes())
    stale["outcomes"]["kept"] += 1
    stale["verdicts"]["criteria"] = {}
    (tmp_path / "statistics.json").write_bytes(orjson.dumps(stale))
    assert gather(tmp_path).statistics["verdicts"] == facts.statistics["verdicts"]


def test_the_estimate_stands_beside_the_bill(tmp_path: Path) -> None:
    import sqlite3

    made(tmp_path, 4)
    noted = orjson.dumps({"low_usd": 0.001, "expected_usd": 0.00144, "high_usd": 0.002}).decode()
    journal = sqlite3.connect(tmp_path / "journal.sqlite")
    journal.execute("INSERT INTO meta VALUES ('estimate', ?)", (noted,))
    journal.commit()
    journal.close()
    found = figure(gather(tmp_path), "Estimated and billed")
    assert by_first(found)["billed"] == ["$0.0014"]
    assert "100% of the expected cost, inside" in found.note


# ── samples to read ──────────────────────────────────────────────────────────────────────────


def test_each_dropped_sample_stands_beside_the_nearest_kept_one(facts: Facts) -> None:
    dropped = [pair.dropped for pair in facts.pairs if pair.dropped]
    assert len(dropped) == REJECTED
    assert len([pair.kept for pair in facts.pairs if pair.kept]) == KEPT
    first = facts.pairs[0]
    assert first.dropped is not None
    assert first.kept is not None
    assert first.dropped.messages[0].text == "question 2"
    assert first.kept.messages[0].text in ("question 1", "question 3")
    ids = [one.id for pair in facts.pairs for one in (pair.kept, pair.dropped) if one]
    assert len(ids) == len(set(ids))


def test_twenty_samples_are_shown_of_many(tmp_path: Path) -> None:
    made(tmp_path, 100)
    pairs = gather(tmp_path).pairs
    assert len(pairs) == 10
    assert all(pair.kept and pair.dropped for pair in pairs)


def test_a_verdict_comes_with_its_words_and_its_evidence(facts: Facts) -> None:
    assert facts.pairs[0].dropped is not None
    marks = {ruling.name: ruling.mark for ruling in facts.pairs[0].dropped.rulings}
    assert marks["sr.wrong"] == "✗ fault found"
    assert marks["sr.example"] == "✓ passed"
    wrong = next(r for r in facts.pairs[0].dropped.rulings if r.name == "sr.wrong")
    assert wrong.evidence == "seen here"
    assert "wrong statement of fact" in wrong.criterion


def test_a_missing_verdict_is_no_pass_and_no_failure() -> None:
    verdict = {"id": "x", "state": "missing", "passed": None, "weight": 1}
    shown = excerpt({"id": "a", "messages": [], "metadata": {"verdicts": [verdict]}})
    assert (shown.rulings[0].mark, shown.passed) == ("? no answer", 0)


def test_a_failed_sample_shows_what_the_model_wrote_instead(tmp_path: Path) -> None:
    metadata = {"outcome": "failed", "reasons": ["no JSON"], "text": "Sorry, I can't."}
    shown = excerpt({"id": "a", "messages": [], "metadata": metadata})
    assert [said.text for said in shown.messages] == ["Sorry, I can't."]


def test_a_very_long_text_is_cut_and_says_by_how_much() -> None:
    sample = {"id": "a", "messages": [{"role": "user", "content": "x" * 5000}], "metadata": {}}
    assert excerpt(sample).messages[0].text.endswith("(1,000 more characters)")


# ── the page ─────────────────────────────────────────────────────────────────────────────────


def test_the_page_has_every_section_and_a_table_for_every_chart(page: str) -> None:
    found = Parsed(page)
    headings = re.findall(r'<h2 id="h-([a-z]+)"', page)
    assert headings == [
        "summary", "coverage", "judged", "controls", "dropped", "texts", "repeats", "costs",
        "calls", "samples",
    ]  # fmt: skip
    pictures = list(found.named("svg"))
    assert len(pictures) >= 9
    assert all(p["role"] == "img" and p["aria-label"] for p in pictures)
    figures = re.split("<figure[ >]", page)[1:]
    assert all("<table>" in one for one in figures)


def test_the_page_says_what_must_be_known_first(page: str) -> None:
    text = Parsed(page).text
    assert "The judge is the writer" in text
    assert "do not train on it" in text
    assert "75%" in text


def test_the_page_allows_no_script_and_asks_for_nothing(page: str) -> None:
    found = Parsed(page)
    policy = next(a["content"] for a in found.named("meta") if "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src 'none'" in policy
    assert not _live(found)
    links = [a["href"] for a in found.named("a")]
    assert all(link is not None and link.startswith("#") for link in links)


def _live(found: Parsed) -> list[Any]:
    """Elements and attributes that could run, load or lead somewhere; the page's own box apart."""
    tags = {"script", "iframe", "object", "embed", "img", "link", "base", "form", "input", "image",
            "use", "foreignobject", "animate", "set", "audio", "video", "frame", "textarea"}  # fmt: skip
    names = {"src", "action", "srcdoc", "style", "xlink:href", "autofocus", "background"}
    return [
        (tag, attributes)
        for tag, attributes in found.elements
        if (tag in tags and attributes != {"type": "checkbox", "id": "as-written"})
        or names & attributes.keys()
        or any(name.startswith("on") for name in attributes)
        or (tag == "meta" and attributes.get("http-equiv", "Content-Security-Policy")
            != "Content-Security-Policy")
        or (tag != "a" and "href" in attributes)
    ]  # fmt: skip


def test_hostile_text_is_shown_and_does_nothing(page: str, tmp_path: Path) -> None:
    hostile = [{**row, "more": {
        "subject": HOSTILE[row["n"] % len(HOSTILE)][:60],
        "misconception_type": HOSTILE[(row["n"] + 1) % len(HOSTILE)][:60],
        "persona": {"grade": HOSTILE[row["n"] % len(HOSTILE)][:60]},
    }} for row in rows(4 * len(HOSTILE))]  # fmt: skip
    answer = script(lambda n: f"{HOSTILE[n % len(HOSTILE)]} reply {n}", evidence=" ".join(HOSTILE))
    made(tmp_path / "<script>alert(1)<", answer=answer, rows=hostile)
    text = write_report(tmp_path / "<script>alert(1)<").read_text(encoding="utf-8")
    found = Parsed(text)
    assert not _live(found)
    allowed = Parsed(page).elements_seen()
    assert found.elements_seen() <= allowed, "no element comes from a text"
    assert "<script>document.title = 'owned'</script>" in found.text, "but it is shown"
    assert "⟨U+202E⟩gpj.exe" in found.text
    unseen = "\u202e\u2066\x00\x1b\x7f\u2028\ufeff\ufffe\U000e0041"
    assert not [character for character in unseen if character in text]


def test_the_same_journal_gives_the_same_page(folder: Path, page: str, tmp_path: Path) -> None:
    again = write_report(folder, tmp_path / "again.html")
    assert again.read_text(encoding="utf-8") == page


def test_a_run_that_made_nothing_has_a_page(tmp_path: Path) -> None:
    made(tmp_path, rows=[])
    found = Parsed(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "There are no samples yet." in found.text
    assert "Nothing was judged" in found.text


def test_a_run_in_which_everything_failed_has_a_page(tmp_path: Path) -> None:
    made(tmp_path, 4, answer=lambda _: reply("I cannot."), max_failed=1.0)
    assert [pair.kept for pair in gather(tmp_path).pairs] == [None] * 4
    assert "of 4 made" in Parsed(write_report(tmp_path).read_text(encoding="utf-8")).text


# ── the command ──────────────────────────────────────────────────────────────────────────────


def test_the_command_writes_the_page_beside_the_journal(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "elsewhere.html"
    assert command(["report", str(folder), "--out", str(out), "--json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert told == {"path": str(out), "bytes": out.stat().st_size}


def test_a_folder_without_a_run_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["report", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "there is no run here" in told
    assert told.count("\n") == 1
    with pytest.raises(JournalError):
        write_report(tmp_path)


def test_a_missing_extra_is_said_with_the_command_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ConfigError, match=r'pip install "synthtutor\[report\]"'):
        write_report(folder)
    assert command(["report", str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_chart_that_cannot_be_drawn_costs_the_chart_alone() -> None:
    good = charts.bars([("a", 1, "1")], "title")
    assert charts.drawn([good, {"mark": "no such mark"}])[1] is None
    # A control character, which no text here has any more, makes the renderer end its process.
    fatal = {**good, "data": {"values": [{"label": "\x00", "value": 1, "text": ""}]}}
    assert charts.drawn([good, fatal]) == [None, None]


def generated(out: Path) -> int:
    return command(
        ["generate", "misconception", "--model", "scripted/any", "-n", "2", "--controls", "0",
         "--out", str(out)]
    )  # fmt: skip


def test_generate_leaves_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generated(tmp_path / "run") == 0
    assert "report.html" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_a_run_does_not_fail_for_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").mkdir()  # no file can be put there
    (tmp_path / "run" / "journal.sqlite").touch()
    assert generated(tmp_path / "run") == 0
    told = capsys.readouterr()
    assert "report.html was not written: cannot write" in told.err
    assert "Traceback" not in told.err


# ── size ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_ten_thousand_samples_make_a_page_below_five_megabytes(tmp_path: Path) -> None:
    made(tmp_path, answer=script(lambda n: f"{'word ' * 400}reply {n}."), rows=rows(10_000))
    facts = gather(tmp_path)
    assert sum(cell["made"] for cell in facts.tally.cells.values()) == 10_000
    assert write_report(tmp_path).stat().st_size < 5_000_000


@pytest.mark.slow
def test_a_page_does_not_grow_with_what_a_model_writes(tmp_path: Path) -> None:
    long = {"n": 0, "more": {f"field{n}": "x" * 60 for n in range(300)}}
    many = [{**long, "n": n} for n in range(40)]
    made(tmp_path, rows=many, answer=script(lambda n: "y" * 100_000, evidence="z" * 3_000))
    assert write_report(tmp_path).stat().st_size < 1_000_000


assert PLAN[2]["sr.wrong"], "what the counts above rest on"
