"""The viewer as people meet it: in a real browser, with keys, on a phone, and with hostile samples."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.ratings import Rating, append
from tests.browser import Visit, browser_page
from tests.viewer.test_mathematics import HOSTILE
from tests.viewer.viewed import Served, call, journal, name_of, sample, served

pytestmark = pytest.mark.slow

SCREENSHOTS = os.environ.get("SYNTHTUTOR_SCREENSHOTS")  # a folder, to look at what was seen


@contextmanager
def looking(*folders: Path, **size: Any) -> Iterator[tuple[Visit, Served]]:
    with served(*folders) as viewer, browser_page(**size) as visit:
        visit.page.goto(viewer.address)
        visit.page.wait_for_selector("main")
        yield visit, viewer


def shot(visit: Visit, name: str, *, whole: bool = False) -> None:
    if SCREENSHOTS:
        visit.page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=whole)


def dialogue(number: int) -> dict[str, Any]:
    """A dialogue of seven turns, with what was believed of the student."""
    said = [
        ("student", "I took the smaller from the larger: $8-2=6$ and $6-3=3$, so it is 36."),
        ("tutor", "Which of the two numbers do you take away, and from which digit?"),
        ("student", "38. But 2 is smaller than 8, so I turned them around."),
        ("tutor", "What would you need at the ones to take 8 from 2?"),
        ("student", "I could open a ten: $12-8=4$. Then there are \\(5-3=2\\) tens. 24!"),
        ("tutor", r"So what is $\frac{62-38}{2}$?"),
    ]
    turns = [
        {"turn": n, "speaker": who, "text": text, "move": ""} for n, (who, text) in enumerate(said)
    ]
    quote = {"turn": 0, "quote": "the smaller from the larger"}
    held = {"misconception": "In each column the smaller digit is taken from the larger.", "probability": 0.85, "evidence": [quote]}  # fmt: skip
    rest = {
        "last_correct_step": "none",
        "affect": "confident",
        "next_move": "ask which number is taken away",
    }
    states: list[dict[str, Any]] = [
        {"turn": 0, "changed": True, "belief": {"misconceptions": [held], **rest}},
        {"turn": 2, "changed": False, "belief": None},
        {"turn": 4, "changed": True, "belief": {"misconceptions": [], **rest, "affect": "engaged"}},
    ]
    body = sample(number, "kept", turns=turns, belief_states=states, subject="subtraction")
    body["messages"] = [body["messages"][0], *({"role": "assistant" if t["speaker"] == "tutor" else "user", "content": t["text"]} for t in turns)]  # fmt: skip
    return body


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = journal(
        tmp_path_factory.mktemp("runs") / "first",
        [dialogue(0), *(sample(n) for n in range(1, 140))],
    )
    call(place, name_of(0), '{"says": "Which of the two numbers do you take away?"}')
    call(place, name_of(0), "I cannot help with", finish="length")
    return place


def ratings(folder: Path) -> list[dict[str, Any]]:
    path = folder / "ratings.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_it_loads_from_itself_alone_and_complains_of_nothing(folder: Path) -> None:
    with looking(folder) as (visit, viewer):
        visit.page.wait_for_selector("#lines li")
        assert visit.page.locator("#lines li").count() == 50
        visit.page.locator("#lines a").first.click()
        visit.page.wait_for_selector("#dialogue")
        assert visit.page.locator("#dialogue math").count() >= 4
        assert all(address.startswith(viewer.root) for address in visit.requests)
        assert visit.errors == []
        assert "token" not in visit.page.url


def test_filters_and_search_narrow_the_list(folder: Path) -> None:
    with looking(folder) as (visit, _):
        page = visit.page
        page.wait_for_selector("#lines li")
        page.locator(".facets a", has_text="genetics").click()
        page.wait_for_selector(".facets [aria-current]")
        assert page.locator("#total").inner_text() == "28"
        page.keyboard.press("/")
        page.keyboard.type('"Reply 6:"')
        page.keyboard.press("Enter")
        page.wait_for_url("**q=**")
        page.wait_for_selector("#lines li")
        assert page.locator("#lines a").count() == 1
        assert "Reply 6:" in page.locator("#lines a").inner_text()


def test_everything_is_done_by_keys(tmp_path: Path) -> None:
    place = journal(tmp_path / "run", [sample(number) for number in range(3)])
    with looking(place) as (visit, _):
        page = visit.page
        page.wait_for_selector("#lines li")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/sample/{name_of(0)}**")
        page.keyboard.press("j")
        page.wait_for_url(f"**/sample/{name_of(1)}**")
        page.keyboard.press("a")
        page.wait_for_selector("[data-decision=accept][aria-pressed=true]")
        page.keyboard.press("r")
        page.wait_for_selector("[data-decision=reject][aria-pressed=true]")
        page.keyboard.press("e")
        assert page.evaluate("document.activeElement.dataset.message") == "2"
        page.keyboard.press("Control+a")
        page.keyboard.type("Look at the parts: a, r, j and / are letters here.")
        page.keyboard.press("Control+Enter")
        page.get_by_text("Saved: the edit.", exact=True).wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        page.keyboard.type("leaks")
        page.keyboard.press("Control+Enter")
        page.get_by_text("Saved: the note.", exact=True).wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.wait_for_selector("#help[open]")
        page.keyboard.press("Escape")
        page.keyboard.press("k")
        page.wait_for_url(f"**/sample/{name_of(0)}**")
        assert visit.errors == []
    last = ratings(place)[-1]
    assert (last["sample"], last["decision"], last["note"]) == (name_of(1), "reject", "leaks")
    assert last["edits"] == {"2": "Look at the parts: a, r, j and / are letters here."}


def test_a_statement_is_marked_and_another_rater_sits_down(tmp_path: Path) -> None:
    place = journal(tmp_path / "run", [sample(0)])
    with looking(place) as (visit, viewer):
        page = visit.page
        page.goto(f"{viewer.root}/run/0/sample/{name_of(0)}")
        page.locator("#rater").fill("Ben")
        with page.expect_navigation():
            page.locator("#rater").press("Tab")
        page.locator("[data-criterion='c.two']").select_option("false")
        page.get_by_text("Saved.", exact=True).wait_for()
    assert [(line["rater"], line["criteria"]) for line in ratings(place)] == [
        ("Ben", {"c.two": False})
    ]


ATTACKS = [
    *HOSTILE,
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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_a_phone_and_a_desk_by_day_and_by_night(
    folder: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    append(folder / "ratings.jsonl", Rating(name_of(1), "Ada", "accept", note="A good one."))
    append(folder / "ratings.jsonl", Rating(name_of(1), "Ben", "reject"))
    append(folder / "ratings.jsonl", Rating(name_of(3), "Ben", "reject"))
    other = journal(
        tmp_path / "a-second-run-with-a-rather-long-name", [sample(n, "kept") for n in range(50)]
    )
    name = f"{width}-{'dark' if dark else 'light'}"
    with looking(folder, other, width=width, height=800, dark=dark) as (visit, viewer):
        for path, called, whole in (
            ("/", "home", False),
            ("/run/0", "list", False),
            (f"/run/0/sample/{name_of(0)}", "dialogue", True),
            (f"/run/0/sample/{name_of(1)}", "sample", True),
            ("/run/0/people", "people", False),
            ("/compare?a=0&b=1", "compare", False),
            (f"/compare/{name_of(1)}?a=0&b=1", "beside", False),
        ):
            visit.page.goto(viewer.root + path)
            assert visit.overflow_px <= 0, path
            if called == "dialogue":
                for summary in visit.page.locator("details.call > summary").all():
                    summary.click()
                assert visit.overflow_px <= 0
            shot(visit, f"{called}-{name}", whole=whole)
        visit.page.keyboard.press("?")
        shot(visit, f"help-{name}")
        ground = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground != "rgb(255, 255, 255)") == dark


def test_it_is_read_without_scripts(folder: Path) -> None:
    with looking(folder, javascript=False) as (visit, viewer):
        visit.page.goto(f"{viewer.root}/run/0?subject=genetics")
        assert visit.page.locator("#lines a").count() == 28
        visit.page.locator("#lines a").first.click()
        assert "Reply 1:" in visit.page.content()


def test_samples_that_come_while_one_looks_are_told(tmp_path: Path) -> None:
    place = journal(tmp_path / "run", [sample(0)])
    with looking(place) as (visit, _):
        visit.page.wait_for_selector("#lines li")
        journal(place, [sample(0), sample(1), sample(2)])
        visit.page.get_by_text("2 more samples: show them").click(timeout=60_000)
        visit.page.locator("#lines a").nth(2).wait_for()


def test_a_hundred_thousand_samples_are_paged_within_a_second(tmp_path: Path) -> None:
    place = journal(tmp_path / "run", (sample(number) for number in range(100_000)))
    with served(place) as viewer, browser_page() as visit:
        viewer.client.get("/run/0")
        began = time.perf_counter()
        run_index_to_its_end(viewer)
        print(f"indexed in {time.perf_counter() - began:.1f} s")
        visit.page.goto(viewer.address)
        visit.page.wait_for_selector("#lines li")
        slowest = 0.0
        for path in (
            "/run/0",
            "/run/0?order=best",
            "/run/0?order=dearest&outcome=kept",
            "/run/0?q=compare",
            "/run/0?q=compare&order=worst",
            "/run/0?q=99999",
            "/run/0?subject=finance&misconception=overgeneralization&grade=6",
            "/run/0?outcome=kept&order=latest&after=50000_50000",
            "/run/0?low=0.9&order=row",
            f"/run/0/sample/{name_of(77_777)}?subject=finance&order=best",
        ):
            began = time.perf_counter()
            visit.page.goto(viewer.root + path)
            visit.page.wait_for_selector("main h1")
            took = time.perf_counter() - began
            slowest = max(slowest, took)
            print(f"{took * 1000:6.0f} ms  {path}")
        assert "Reply 77777:" in visit.page.content()
        assert slowest < 30  # what is measured is printed; a loaded machine is no failure


def run_index_to_its_end(viewer: Served) -> None:
    while viewer.client.get("/run/0/state").json() != {"samples": 100_000, "left": 0}:
        time.sleep(0.2)
