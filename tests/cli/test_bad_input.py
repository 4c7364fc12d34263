"""What people get wrong is told in a line that names the file, the line, the field and the fix."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from synthtutor.cli.app import run
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError
from synthtutor.prompts import Prompts
from synthtutor.sources import BadRow, read_rows

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

RUN = ("generate", "misconception", "-m", "scripted/any", "-n", "1", "--controls", "0")
Say = Callable[..., str]


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Say:
    """The command line's message for a wrong use, after which no run's folder may be there."""
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> str:
        assert run(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("synthtutor: ")
        assert not Path("out").exists()
        return err.removeprefix("synthtutor: ").strip()

    return said


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"", "a.jsonl: there are no rows in it"),
        ("a.csv", b"x,y\n", "a.csv: there are no rows in it"),
        ("a.json", b"[]", "a.json: there are no rows in it"),
        ("a.json", b"", "a.json: is empty; it must be a list of objects"),
        ("a.csv", b"x,y,x\n1,2,3\n", "a.csv, line 1: two columns are called 'x'; rename one"),
        ("a.csv", b"x;y\n1;2\n", "a.csv, line 1: separate the columns with commas, not with ';'"),
        ("a.csv", "x\n1\n".encode("utf-16"), "a.csv: is UTF-16; save it as UTF-8"),
        ("a.jsonl", "{}\n".encode("utf-16"), "a.jsonl: is UTF-16; save it as UTF-8"),
        ("a.csv", b"\xe9t\xe9\n1\n", "line 1: the columns' names are not UTF-8; save the file"),
        ("a.json", b'[\n{"a"]', "a.json: line 2: not JSON: "),
    ],
)
def test_a_file_of_rows_that_is_no_such_file_is_refused_before_a_run_begins(
    name: str, content: bytes, said: str, refused: Say, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refused(*RUN, "--rows", name, "--out", "out")


def test_a_folder_is_not_called_missing(refused: Say, tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    assert refused(*RUN, "--rows", "a.csv", "--out", "out") == "a.csv: is a folder, not a file"


@pytest.mark.parametrize(
    ("content", "where", "reason"),
    [
        (b'a,b\n1,2\n3,"4" x\n5,6\n', "line 3", "not CSV"),
        (b'a,b\n1,2\n"3,4\n5,6\n', "line 3", "nothing up to line 4 could be read"),
        (b"a,b\n1,2\n\xe9,4\n5,6\n", "line 3", "not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_a_bad_line_of_a_csv_is_named_and_never_altered(
    content: bytes, where: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    rows = list(read_rows(tmp_path / "a.csv"))
    assert rows[0] == {"a": "1", "b": "2"}
    bad = rows[1]
    assert isinstance(bad, BadRow)
    assert bad.where.endswith(f", {where}")
    assert reason in bad.reason


def test_a_bad_line_of_json_lines_is_placed_by_its_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n{"a": NaN}\n')
    bad = list(read_rows(tmp_path / "a.jsonl"))[1]
    assert isinstance(bad, BadRow)
    assert bad.reason.endswith("at character 7")


# ── run.yaml and prices ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("n: 1\nn: 2\n", "run.yaml: line 2: 'n' is given twice"),
        ("models:\n\tdefault: a/b\n", "run.yaml: line 2: not YAML: a tab; indent with spaces"),
        ("recipe: a: b\n", "line 1: not YAML: a text that holds ': ' must be in quotes"),
        ("recipe: a\n---\nrecipe: b\n", "line 2: not YAML: a second document begins here"),
        ("n: 2024-13-45\n", "run.yaml: cannot be read as YAML: month must be in 1..12"),
        ("[" * 3000, "run.yaml: cannot be read as YAML: "),
        ("a: 1\nrecipe: a\0b\n", "run.yaml: line 2: not YAML: it holds a control character"),
        ("models: scripted/any\n", "models: must be roles and models, such as {default: "),
        ("prices: {a/b: 5}\n", "prices.a/b: write [IN, OUT], dollars per million tokens"),
        ("options: {x: yes}\n", "options.x: must be text; put it in quotes"),
        ("settings: {writer: {temperatur: 1}}\n", "temperatur: there is no such field; did you"),
        ("rubric: ''\n", "rubric: is empty; write something or leave it out"),
    ],
)
def test_a_run_yaml_says_its_line_or_field_and_the_fix(
    content: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        RunConfig.load(tmp_path / "run.yaml")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    ["any: [1, 2]", "a/b: [1]", "a/b: [x, 2]", "a/b: [.nan, 2]", "a/b: [-1, 2]", "5: [1, 2]"],
)
def test_a_price_that_would_count_for_nothing_is_refused(
    content: str, refused: Say, tmp_path: Path
) -> None:
    (tmp_path / "prices.yaml").write_text(content)
    assert refused(*RUN, "--prices", "prices.yaml", "--out", "out").startswith("prices.yaml: ")


# ── options ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-n", "0"), "-n: must be more than 0"),
        (("-n", "99999999999999999999"), "-n: must be 9223372036854775807 or less"),
        (("--seed", "99999999999999999999"), "--seed: must be "),
        (("--budget", "inf"), "--budget: must be a finite number"),
        (("--timeout", "nan"), "--timeout: must be "),
        (("--requests-per-minute", "inf"), "--requests-per-minute: must be a finite number"),
        (("--temperature", "writer=9"), "--temperature writer: must be 2 or less"),
        (("--temperature", "9"), "--temperature '9': write ROLE=VALUE"),
        (("-m", "writr=scripted/a"), "has no role writr; its roles: writer, judge"),
        (("-m", "scripted/other"), "--model: default is given twice"),
        (("--option", "rubric_in_prompt=maybe"), "choose yes or no"),
        (("--price", "scripted/nobody=1/2"), "no role has the model scripted/nobody"),
        (("--price", "scripted/any=1/2", "--price", "scripted/any=3/4"), "is given twice"),
        (("--base-url", "localhost"), "--base-url: scripted: 'localhost' is no URL"),
        (("--base-url", "openai=http://h"), "no role has a model of provider 'openai'"),
        (("--provider-option", "openai.a=b"), "no role has a model of provider 'openai'"),
        (("--threads", "4"), "--threads: no role has a model of provider 'local'"),
        (("--rubric", ""), "--rubric: is empty"),
        (("--provider-option", "scripted.foo=1"), "scripted has no option 'foo'"),
        (("--provider-option", "scripted.delay_s=x"), "delay_s must be a number of seconds"),
    ],
)
def test_an_option_is_refused_by_its_name_and_never_ignored(
    words: tuple[str, ...], said: str, refused: Say
) -> None:
    assert said in refused(*RUN, *words, "--out", "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", ".", "--judge", "scripted/any"), ".: is a folder, not a file"),
        (("compare", ".", "."), ".: is a folder, not a file"),
        (("compare", "a.jsonl"), "give two files of replies, or three; here are 1"),
        (("predict", "-m", "scripted/a", "--test", ".", "-o", "x.jsonl"), ".: is a folder"),
        (("train", "sft", "missing.jsonl", "-m", "x", "-o", "out"), "there is no such file"),
        (("estimate", *RUN[1:], "--compare", "foo"), "--compare foo: write provider/model"),
        (("estimate", *RUN[1:], "--max-cost", "-1"), "--max-cost -1: give US dollars"),
    ],
)
def test_what_other_commands_cannot_use_is_named(
    words: tuple[str, ...], said: str, refused: Say
) -> None:
    assert said in refused(*words)


@pytest.mark.parametrize("words", [("-n", "3"), ("--pilot", "2"), ("--exact",), ("misconception",)])
def test_a_plan_on_paper_takes_no_option_of_a_run(words: tuple[str, ...], refused: Say) -> None:
    assert "has no meaning beside it" in refused("estimate", "--plan", "plan.yaml", *words)


# ── prompts ──────────────────────────────────────────────────────────────────────────────────

REPLY = "misconception/reply.md.j2"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("notes.txt", "x", "no file in own is called as a prompt is"),
        ("reply.md.j2", "x", "no file in own is called as a prompt is"),
        (REPLY, "{% block user %}x{% endblock %}{% block sytem %}y{% endblock %}", "mean 'system'"),
        (REPLY, b"{% block user %}\xe9{% endblock %}", "not UTF-8 text; save it as UTF-8"),
    ],
)
def test_a_prompt_that_nobody_would_be_sent_is_refused(
    name: str, text: str | bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("own") / name
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def used() -> None:
        Prompts.refuse_idle(Path("own"))
        Prompts(Path("own")).render(name, {})

    with pytest.raises(ConfigError) as caught:
        used()
    assert said in str(caught.value)


def test_a_misspelt_prompt_beside_a_good_one_is_named_and_an_included_one_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "misconception").mkdir()
    (tmp_path / REPLY).write_text("{% block user %}{% include 'part.md.j2' %}{% endblock %}")
    (tmp_path / "part.md.j2").write_text("x")
    Prompts.refuse_idle(tmp_path)
    (tmp_path / "misconception" / "repply.md.j2").write_text("x")
    with pytest.raises(ConfigError, match=r"repply.md.j2 replaces no prompt; did you mean"):
        Prompts.refuse_idle(tmp_path)


@pytest.mark.parametrize("expression", ["1 / 0", "nobody", "[] + 1"])
def test_an_expression_that_fails_is_placed_by_its_file_and_line(
    expression: str, tmp_path: Path
) -> None:
    (tmp_path / "p.j2").write_text("{% block user %}\n\n{{ " + expression + " }}\n{% endblock %}")
    with pytest.raises(Exception, match=r"p\.j2, line 3"):
        Prompts(tmp_path).render("p.j2", {})


# ── a run's folder ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal of a small run."""
    folder = tmp_path_factory.mktemp("made") / "run"
    assert run([*RUN, "--no-report", "--out", str(folder)]) == 0
    return (folder / "journal.sqlite").read_bytes()


COMMANDS = ("status", "export", "judge", "report")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", ["half", "text", "foreign", "no table"])
def test_a_damaged_journal_is_named(
    command: str, damage: str, made: bytes, refused: Say, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    RunConfig(models={"default": "scripted/any"}, n=1).save(folder / "run.yaml")
    journal = folder / "journal.sqlite"
    journal.write_bytes({"half": made[: len(made) // 2], "text": b"text" * 999}.get(damage, b""))
    if damage == "no table":
        journal.write_bytes(made)
    if damage in ("foreign", "no table"):
        connection = sqlite3.connect(journal)
        connection.execute("DROP TABLE calls" if damage == "no table" else "CREATE TABLE a(x)")
        connection.commit()
        connection.close()
    if command == "judge" and damage == "no table":
        return  # opening it to write makes the table again
    assert "journal.sqlite: " in refused(command, str(folder))


@pytest.mark.parametrize("name", ["journal.sqlite", "run.yaml"])
@pytest.mark.parametrize("command", ["export", "report"])
def test_what_a_run_cannot_make_again_is_never_written_over(
    name: str, command: str, made: bytes, refused: Say, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    RunConfig(models={"default": "scripted/any"}, n=1).save(folder / "run.yaml")
    (folder / "journal.sqlite").write_bytes(made)
    before = (folder / name).read_bytes()
    assert "a run's own file" in refused(command, str(folder), "--out", str(folder / name))
    assert (folder / name).read_bytes() == before


def test_judge_makes_no_run_where_there_is_none(refused: Say, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    RunConfig(models={"default": "scripted/any"}, n=1).save(tmp_path / "run" / "run.yaml")
    assert "there is no run here" in refused("judge", "run")


def test_a_database_of_something_else_is_left_as_it_is(refused: Say, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    connection = sqlite3.connect(tmp_path / "other" / "journal.sqlite")
    connection.execute("CREATE TABLE a(x)")
    connection.close()
    before = (tmp_path / "other" / "journal.sqlite").read_bytes()
    assert "is no journal of synthtutor" in refused(*RUN, "--out", "other")
    assert (tmp_path / "other" / "journal.sqlite").read_bytes() == before


def test_a_file_is_no_runs_folder(refused: Say, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert refused(*RUN, "--out", "file") == "file: is a file; give the run a folder with --out"


# ── other commands ───────────────────────────────────────────────────────────────────────────


def test_a_rubric_that_is_imported_names_its_file(refused: Say, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(b"\xff\xfe")
    assert refused("rubrics", "import", "r.json") == "r.json: not UTF-8 text; save it as UTF-8"
    (tmp_path / "r.json").write_bytes(orjson.dumps({"a": 1}))
    assert refused("rubrics", "import", "r.json").startswith("r.json: must be a list")


def test_help_is_also_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "validate"]) == 0
    assert "Check a training file" in capsys.readouterr().out
