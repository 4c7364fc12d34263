from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.errors import ConfigError
from synthtutor.ratings import Rating, append
from synthtutor.viewer.app import viewing
from tests.viewer.viewed import call, journal, name_of, sample, served

pytestmark = pytest.mark.slow


def run_of(folder: Path, count: int = 6, **metadata: Any) -> Path:
    return journal(folder, [sample(number, **metadata) for number in range(count)])


def test_the_list_shows_filters_and_finds(tmp_path: Path) -> None:
    with served(run_of(tmp_path / "run", 120)) as viewer:
        text = viewer.text("/run/0")
        assert '<strong id="total">120</strong>' in text
        assert len(viewer.rows("/run/0")) == 50
        assert len(viewer.rows("/run/0?outcome=kept&subject=algebra")) == 8
        assert viewer.rows("/run/0?q=%22Reply+77%3A%22") == [name_of(77)]
        assert viewer.rows("/run/0?q=nowhere") == []
        assert "No sample matches" in viewer.text("/run/0?q=nowhere")


def test_following_the_pages_shows_every_sample_once(tmp_path: Path) -> None:
    with served(run_of(tmp_path / "run", 120)) as viewer:
        seen, address = [], "/run/0?order=best"
        while address:
            text = viewer.text(address)
            seen += re.findall(r'href="/run/0/sample/(\w{32})', text)
            following = re.search(r'rel="next" href="([^"]+)"', text)
            address = following[1].replace("&amp;", "&") if following else ""
        assert sorted(seen) == sorted(map(name_of, range(120)))


def test_controls_are_shown_when_asked_for(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run")
    journal(folder, [sample(99)], kind="control")
    with served(folder) as viewer:
        assert name_of(99) not in viewer.rows("/run/0")
        assert viewer.rows("/run/0?kind=control") == [name_of(99)]
        assert len(viewer.rows("/run/0?kind=all")) == 7


def test_a_sample_shows_its_verdicts_calls_money_and_mathematics(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run")
    call(folder, name_of(1), '{"says": "Compare."}')
    call(folder, name_of(1), "half a rep", finish="length", cost=0.004)
    with served(folder) as viewer:
        text = viewer.text(f"/run/0/sample/{name_of(1)}")
    assert "<mfrac>" in text
    assert "It names the mix-up." in text
    assert "✕ fault found" in text, "a fault that is found is not a criterion that passed"
    assert '<pre class="raw">' not in text, "what scrolls is reached by keyboard"
    assert "PROMPT half a rep" in text
    assert "&#34;says&#34;: &#34;Compare.&#34;" in text
    assert "ended: length" in text
    assert "2,468 tokens in, 112 out · $0.0060" in text
    assert "c.two (critical): fault found" in text


def test_a_price_that_is_not_known_is_not_zero(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run")
    call(folder, name_of(1), "x", cost=None)
    with served(folder) as viewer:
        assert "unknown price" in viewer.text(f"/run/0/sample/{name_of(1)}")


def test_a_failed_sample_shows_the_text_that_could_not_be_used(tmp_path: Path) -> None:
    failed = {
        "id": name_of(0),
        "messages": [],
        "metadata": {
            "outcome": "failed",
            "reasons": ["unparsable: no JSON"],
            "text": "Sorry, <b>no",
        },
    }
    with served(journal(tmp_path / "run", [failed])) as viewer:
        text = viewer.text(f"/run/0/sample/{name_of(0)}")
        assert "Sorry, &lt;b&gt;no" in text
        assert "unparsable: no JSON" in viewer.text("/run/0?q=sorry")


def test_a_belief_stands_beside_the_turn_after_which_it_was_held(tmp_path: Path) -> None:
    turns = [
        {"turn": 0, "speaker": "student", "text": "I added $2+3$.", "move": ""},
        {"turn": 1, "speaker": "tutor", "text": "What did you add?", "move": "probing"},
    ]
    belief = {
        "misconceptions": [{"misconception": "adds where one multiplies", "probability": 0.8,
                            "evidence": [{"turn": 0, "quote": "I added"}]}],
        "affect": "unsure",
    }  # fmt: skip
    states = [
        {"turn": 0, "changed": True, "belief": belief},
        {"turn": 1, "changed": False, "belief": None, "fault": "its quote is a single word"},
    ]
    folder = run_of(tmp_path / "run", 1, turns=turns, belief_states=states)
    with served(folder) as viewer:
        text = viewer.text(f"/run/0/sample/{name_of(0)}")
    first, second = text.index("I added <math"), text.index("What did you add?")
    assert first < text.index("adds where one multiplies") < second
    assert second < text.index("its quote is a single word")
    assert re.search(r'<meter min="0" max="1" value="0.8">0.8</meter> 80%', text)


@pytest.mark.parametrize("path", ["/run/7", "/run/0/sample/zz", f"/run/0/sample/{'0' * 32}", "/compare?a=0&b=9", "/compare?a=0&b=0", "/compare?a=x&b=y"])  # fmt: skip
def test_what_is_not_there_is_said_in_a_line(tmp_path: Path, path: str) -> None:
    with served(run_of(tmp_path / "run")) as viewer:
        answer = viewer.client.get(path)
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


# ── ratings ──────────────────────────────────────────────────────────────────────────────────


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / "ratings.jsonl").read_bytes().splitlines()]


def test_what_a_rater_says_is_added_to_what_this_rater_said(tmp_path: Path) -> None:
    folder, path = run_of(tmp_path / "run"), f"/run/0/sample/{name_of(1)}/rating"
    with served(folder) as viewer:
        assert viewer.post(path, {"note": "close"}).json() == {"decision": None, "together": None}
        viewer.post(path, {"edits": {"2": "Compare the **parts**."}})
        viewer.post(path, {"criteria": {"c.one": False}})
        assert viewer.post(path, {"decision": "accept"}).json()["together"] == "accept"
        text = viewer.text(f"/run/0/sample/{name_of(1)}")
    assert len(lines_of(folder)) == 4
    last = lines_of(folder)[-1]
    assert (last["rater"], last["decision"], last["note"]) == ("Ada", "accept", "close")
    assert last["edits"] == {"2": "Compare the **parts**."}
    assert last["criteria"] == {"c.one": False}
    assert 'data-decision="accept" aria-pressed="true"' in text
    assert "Compare the **parts**." in text


def test_an_edit_back_to_what_the_model_wrote_is_no_edit(tmp_path: Path) -> None:
    folder, path = run_of(tmp_path / "run"), f"/run/0/sample/{name_of(1)}/rating"
    with served(folder) as viewer:
        viewer.post(path, {"edits": {"2": "x"}})
        viewer.post(path, {"edits": {"2": sample(1)["messages"][2]["content"]}})
        viewer.post(path, {"edits": {"1": "y"}, "decision": "reject"})
        viewer.post(path, {"edits": {"1": None}, "decision": None})
    assert [line["edits"] for line in lines_of(folder)] == [{"2": "x"}, {}, {"1": "y"}, {}]
    assert lines_of(folder)[-1]["decision"] is None


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"decision": "perhaps"}, "decision"),
        ({"edits": {"9": "x"}}, "message 9"),
        ({"edits": {"2": "  "}}, "edits"),
        ({"edits": {"2": 5}}, "edits"),
        ({"edits": []}, "edits"),
        ({"edits": [1]}, "edits"),
        ({"criteria": {"c.none": True}}, "c.none"),
        ({"criteria": {"c.one": "yes"}}, "criteria"),
        ({"note": "x" * 6000}, "note"),
        ({"note": ["x"]}, "note"),
        ({"rater": "Eve"}, "rater"),
    ],
)
def test_what_is_no_rating_is_refused_and_not_kept(
    tmp_path: Path, value: dict[str, Any], field: str
) -> None:
    folder = run_of(tmp_path / "run")
    with served(folder) as viewer:
        answer = viewer.post(f"/run/0/sample/{name_of(1)}/rating", value)
    if value == {"edits": []}:
        assert answer.status_code == 200  # nothing was said
        return
    assert answer.status_code == 400
    assert field in answer.json()["error"]
    assert not (folder / "ratings.jsonl").exists()


def test_a_form_says_what_the_script_says(tmp_path: Path) -> None:
    body = sample(1)
    body["messages"][1]["content"] = "Two\nlines,\r\nand an end.\n"
    folder = journal(tmp_path / "run", [body])
    page = f"/run/0/sample/{name_of(1)}"
    texts = [m["content"] for m in body["messages"]]
    with served(folder) as viewer:
        key = {"key": viewer.key(page)}
        answer = viewer.submit(
            f"{page}/rating?subject=genetics", {**key, "decision": "accept", "note": "a\r\nb"}
        )
        assert str(answer.url).endswith(f"{page}?subject=genetics&saved=1")
        assert 'role="status">Saved.' in answer.text
        # Every message of the form is sent, with each end of a line as browsers write it.
        told = {f"edit.{n}": re.sub("\r?\n", "\r\n", text) for n, text in enumerate(texts)}
        viewer.submit(f"{page}/rating", {**key, **told})
        viewer.submit(f"{page}/rating", {**key, **told, "edit.2": "Better."})
        viewer.submit(f"{page}/rating", {**key, "criterion.c.one": "true", "criterion.c.two": ""})
        said = lines_of(folder)[-1]
        viewer.submit(f"{page}/rating", {**key, **told, "edit.2": "Better.", "drop": "edits"})
        viewer.submit(f"{page}/rating", {**key, "decision": "", "criterion.c.one": ""})
    lines = lines_of(folder)
    assert [line["edits"] for line in lines[:3]] == [{}, {}, {"2": "Better."}]
    assert (said["decision"], said["note"], said["criteria"]) == ("accept", "a\nb", {"c.one": True})
    assert [line["edits"] for line in lines[4:]] == [{}, {}]
    assert (lines[-1]["decision"], lines[-1]["criteria"], lines[-1]["note"]) == (None, {}, "a\nb")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"decision": "maybe"}, "decision"),
        ({"edit.2": "  "}, "edits"),
        ({"criterion.c.one": "yes"}, "criteria"),
        ({"criterion.none": "true"}, "none"),
        ({"note": "x" * 6000}, "note"),
    ],
)
def test_a_form_that_is_no_rating_is_told_in_a_line(
    tmp_path: Path, fields: dict[str, str], said: str
) -> None:
    folder = run_of(tmp_path / "run")
    page = f"/run/0/sample/{name_of(1)}"
    with served(folder) as viewer:
        answer = viewer.submit(f"{page}/rating", {"key": viewer.key(page), **fields})
        nobody = viewer.submit("/rater", {"key": viewer.key(page), "rater": " ", "back": page})
    assert (answer.status_code, nobody.status_code) == (400, 400)
    assert "not saved: " in answer.text
    assert said in answer.text
    assert not (folder / "ratings.jsonl").exists()


def test_a_rater_gives_a_name_by_a_form_and_comes_back(tmp_path: Path) -> None:
    with served(run_of(tmp_path / "run")) as viewer:
        here = "/run/0?outcome=kept&subject=algebra"
        fields = {"key": viewer.key(here), "rater": "Zoë Ω", "back": here}
        answer = viewer.submit("/rater", fields)
    assert str(answer.url).endswith(here)
    assert 'value="Zoë Ω"' in answer.text


def test_markdown_is_shown_as_it_is_meant_and_as_it_is_written(tmp_path: Path) -> None:
    body = sample(0)
    body["messages"][2]["content"] = "**Compare** the parts:\n\n- $\\frac{1}{2}$\n- 0.5"
    with served(journal(tmp_path / "run", [body])) as viewer:
        text = viewer.text(f"/run/0/sample/{name_of(0)}")
        listed = viewer.text("/run/0")
    assert "<strong>Compare</strong> the parts:</p><ul><li><math" in text
    assert (
        '<div class="text written">**Compare** the parts:\n\n- $\\frac{1}{2}$\n- 0.5</div>' in text
    )
    assert "Compare the parts: - <math" in listed, "a line of a list has no signs of emphasis"


def test_a_sample_without_messages_cannot_be_accepted(tmp_path: Path) -> None:
    failed = {"id": name_of(0), "messages": [], "metadata": {"outcome": "failed", "reasons": ["x"]}}
    with served(journal(tmp_path / "run", [failed])) as viewer:
        answer = viewer.post(f"/run/0/sample/{name_of(0)}/rating", {"decision": "accept"})
    assert answer.status_code == 400


def test_another_rater_sits_down_and_their_agreement_is_shown(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run")
    with served(folder) as viewer:
        for number, decision in enumerate(["accept", "reject", "accept"]):
            viewer.post(f"/run/0/sample/{name_of(number)}/rating", {"decision": decision})
        assert viewer.post("/rater", {"rater": "Zoë Ω"}).json() == {"rater": "Zoë Ω"}
        for number, decision in enumerate(["accept", "reject", "reject"]):
            viewer.post(f"/run/0/sample/{name_of(number)}/rating", {"decision": decision})
        text = viewer.text("/run/0/people")
        undecided = viewer.rows("/run/0?people=undecided")
        against = viewer.rows("/run/0?people=against")
    assert {line["rater"] for line in lines_of(folder)} == {"Ada", "Zoë Ω"}
    assert re.search(r"Ada, Zoë Ω</th><td>3</td><td>67%</td><td>0.40</td>", text)
    assert "Ada, the judge</th><td>3</td><td>67%" in text
    assert re.search(r"Krippendorff’s α of all people: <strong>0.44</strong>", text)
    assert undecided == [name_of(2)]
    assert against == []


def test_people_against_the_judge_are_found(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run")
    with served(folder) as viewer:
        viewer.post(f"/run/0/sample/{name_of(0)}/rating", {"decision": "reject"})
        viewer.post(f"/run/0/sample/{name_of(1)}/rating", {"decision": "reject"})
        assert viewer.rows("/run/0?people=against") == [name_of(0)]
        assert len(viewer.rows("/run/0?people=reject")) == 2
        assert len(viewer.rows("/run/0?people=unrated")) == 4


def test_a_rater_whose_ratings_another_process_wrote_is_seen(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run")
    with served(folder) as viewer:
        viewer.text("/run/0")
        append(folder / "ratings.jsonl", Rating(name_of(3), "Ben", "reject", note="dull"))
        assert viewer.rows("/run/0?people=rated") == [name_of(3)]
        assert "dull" in viewer.text(f"/run/0/sample/{name_of(3)}")


@pytest.mark.parametrize("name", ["", " ", "x" * 81])
def test_a_rater_needs_a_name(tmp_path: Path, name: str) -> None:
    with served(run_of(tmp_path / "run")) as viewer:
        assert viewer.post("/rater", {"rater": name}).status_code == 400


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    with served(run_of(tmp_path / "run")) as viewer:
        headers = {"origin": viewer.root, "content-type": "application/json"}
        assert viewer.client.post("/rater", content=content, headers=headers).status_code == 400
        assert viewer.client.post("/rater", content=b" " * (2 << 20), headers=headers).status_code == 413  # fmt: skip


# ── two runs ─────────────────────────────────────────────────────────────────────────────────


def test_two_runs_stand_side_by_side_row_by_row(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", 60)
    b = journal(tmp_path / "b", [sample(n, "kept", weighted=1.0) for n in range(30, 90)])
    with served(a, b) as viewer:
        home = viewer.text("/")
        text = viewer.text("/compare?a=0&b=1")
        differ = viewer.text("/compare?a=0&b=1&difference=only-b")
        both = viewer.text(f"/compare/{name_of(31)}?a=0&b=1")
        alone = viewer.client.get(f"/compare/{name_of(1)}?a=0&b=1")
    assert home.count("60 samples") == 2
    assert "30 rows in both runs" in text
    assert text.count('href="/compare/') == 30
    assert differ.count('href="/compare/') == 20
    assert both.count("Reply 31: compare") == 2
    assert alone.status_code == 404


def test_the_front_page_tells_samples_from_planted_defects(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", 3)
    journal(a, [sample(n) for n in range(50, 52)], kind="control")
    with served(a, run_of(tmp_path / "b", 1)) as viewer:
        text = viewer.text("/")
    assert "3 samples · 2 planted defects" in text
    assert "1 sample</span>" in text


def test_a_sample_leads_only_to_runs_that_have_it(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a", 3), journal(tmp_path / "b", [sample(1)])
    with served(a, b) as viewer:
        assert f"/compare/{name_of(1)}" in viewer.text(f"/run/0/sample/{name_of(1)}")
        assert f"/compare/{name_of(2)}" not in viewer.text(f"/run/0/sample/{name_of(2)}")


def test_runs_without_a_row_in_common_say_so(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a", 3), journal(tmp_path / "b", [sample(50)])
    with served(a, b) as viewer:
        assert "no row in common" in viewer.text("/compare?a=0&b=1")


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run")
    with pytest.raises(ConfigError, match="same run twice"), viewing([folder, folder], rater="x"):
        pass


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run")
    with served(folder) as viewer:
        port = int(viewer.root.rpartition(":")[2])
        with (
            pytest.raises(ConfigError, match=f"port {port}"),
            viewing([folder], rater="x", port=port),
        ):
            pass
