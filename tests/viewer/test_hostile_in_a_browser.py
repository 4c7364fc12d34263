"""Hostile samples and hostile pages, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.markup.test_markdown import HOSTILE as HOSTILE_MARKDOWN
from tests.markup.test_mathematics import HOSTILE
from tests.viewer.looked_at import looking, ratings
from tests.viewer.viewed import call, journal, name_of, sample, served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "first"
    return journal(place, [sample(n) for n in range(3)])


ATTACKS = [
    *HOSTILE,
    *HOSTILE_MARKDOWN,
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "<svg><script>window.hit = 1</script></svg>",
    '"><script>window.hit = 1</script>',
    "</textarea><script>window.hit = 1</script>",
    "</title><script>window.hit = 1</script>",
    "javascript:window.hit=1",
    "[x](javascript:window.hit=1)",
    "<a href='javascript:window.hit=1' id=later>j</a>",
    "<form action=https://evil.example><button>accept</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example>",
    "<link rel=stylesheet href=https://evil.example>",
    "<iframe srcdoc='<script>parent.hit = 1</script>'></iframe>",
    "{{ 7 * 7 }}{% for x in [1] %}",
    "\u202e\x00\ud7ff $x$",
]  # fmt: skip


def hostile(number: int, text: str) -> dict[str, Any]:
    """The text in every place of a sample that a model can write to."""
    evidence = [{"turn": text, "quote": text}]
    belief = {"misconceptions": [{"misconception": text, "probability": text, "evidence": evidence}], text: text}  # fmt: skip
    return {
        "id": name_of(number),
        "messages": [{"role": role, "content": text} for role in ("system", "user", "assistant", text)],
        "metadata": {
            "subject": text, "topic": text, "misconception_type": text, "outcome": "rejected",
            "reasons": [text], "text": text, "pair": {"rejected": text}, "rubric": text, "critical": text,
            "turns": [{"turn": n, "speaker": text, "text": text, "move": text} for n in range(2)],
            "belief_states": [{"turn": 0, "belief": belief, "fault": text}],
            "verdicts": [{"id": text, "criterion": text, "evidence": text, "passed": False, "weight": text}],
            text: text,
        },
    }  # fmt: skip


def test_hostile_samples_are_only_ever_text(tmp_path: Path) -> None:
    bodies = [hostile(number, text) for number, text in enumerate(ATTACKS)]
    place = journal(tmp_path / "run", bodies)
    other = journal(tmp_path / "other", bodies)
    for number, text in enumerate(ATTACKS):
        call(place, name_of(number), text)
    with looking(place, other) as (visit, viewer):
        page = visit.page
        pages = [f"/run/0/sample/{name_of(number)}" for number in range(len(ATTACKS))]
        pages += ["/run/0", "/run/0?q=script", "/compare?a=0&b=1", f"/compare/{name_of(0)}?a=0&b=1"]
        for path in pages:
            page.goto(viewer.root + path)
            assert page.url == viewer.root + path
            found = page.evaluate(
                """() => ({
                    hit: window.hit === undefined ? null : window.hit,
                    foreign: document.querySelectorAll(
                        "main :is(script, img, svg, iframe, object, embed, link, meta, base, style)"
                    ).length,
                    handlers: [...document.querySelectorAll("main *")].filter((each) =>
                        [...each.attributes].some((a) => a.name.startsWith("on"))).length,
                    links: [...document.querySelectorAll("[href]")].filter(
                        (each) => !each.href || !String(each.href).startsWith(location.origin)).length,
                    forms: [...document.querySelectorAll("form")].filter(
                        (each) => !each.action.startsWith(location.origin)).length,
                })"""
            )
            assert found == {"hit": None, "foreign": 0, "handlers": 0, "links": 0, "forms": 0}, path
        assert all(address.startswith(viewer.root) for address in visit.requests)
        assert visit.errors == []


def test_what_got_past_all_that_would_still_not_run(folder: Path) -> None:
    with looking(folder) as (visit, _):
        visit.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.hit = 1";
                document.body.append(script);
                document.body.insertAdjacentHTML("beforeend", "<img src='x' onerror='window.hit = 1'>");
                document.body.insertAdjacentHTML("beforeend", "<img src='https://evil.example/x'>");
            }"""
        )
        visit.page.wait_for_timeout(300)
        assert visit.page.evaluate("window.hit") is None
        assert any("Content Security Policy" in error for error in visit.errors)


def test_another_page_can_neither_read_nor_rate_nor_frame_it(folder: Path, tmp_path: Path) -> None:
    before = len(ratings(folder))
    with looking(folder) as (visit, viewer), served(journal(tmp_path / "x", [sample(0)])) as other:
        visit.page.goto(other.address)  # another port is another origin, and the same site
        visit.page.wait_for_selector("#lines li")
        found = visit.page.evaluate(
            """async (address) => {
                const tried = [];
                for (const options of [
                    {},
                    { credentials: "include" },
                    { method: "POST", body: '{"decision": "reject"}', credentials: "include", mode: "no-cors" },
                ]) {
                    try { tried.push((await (await fetch(address, options)).text()).length); }
                    catch { tried.push("refused"); }
                }
                return tried;
            }""",
            f"{viewer.root}/run/0/sample/{name_of(0)}/rating",
        )
        assert found == ["refused"] * 3
        # From a page without a policy of its own the forged request is sent, and refused by the viewer.
        visit.page.goto("about:blank")
        visit.page.evaluate(
            """(address) => {
                document.body.innerHTML = `<form method=post action="${address}" enctype="text/plain">
                    <input name='{"decision": "reject", "note": "' value='"}'></form>`;
                document.forms[0].submit();
            }""",
            f"{viewer.root}/run/0/sample/{name_of(0)}/rating",
        )
        visit.page.wait_for_url(f"{viewer.root}/**")
        assert "holds the key" in visit.page.content()
    assert len(ratings(folder)) == before
