"""The viewer as people meet it: in a real browser, with keys, on a phone, and without scripts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from synthtutor.ratings import Rating, append
from tests.browser import browser_page
from tests.viewer.looked_at import dialogue, looking, markdown, ratings, shot
from tests.viewer.viewed import Served, call, journal, name_of, sample, served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = journal(
        tmp_path_factory.mktemp("runs") / "first",
        [dialogue(0), *(sample(n) for n in range(1, 139)), markdown(139)],
    )
    call(place, name_of(0), '{"says": "Which of the two numbers do you take away?"}')
    call(place, name_of(0), "I cannot help with", finish="length")
    return place


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
            (f"/run/0/sample/{name_of(139)}", "markdown", True),
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


def test_it_is_rated_without_scripts(tmp_path: Path) -> None:
    place = journal(tmp_path / "run", [sample(0), sample(1)])
    with looking(place, javascript=False) as (visit, viewer):
        page = visit.page
        page.goto(f"{viewer.root}/run/0/sample/{name_of(0)}?order=best")
        page.locator("#rater").fill("Ben")
        page.locator("#rater").press("Enter")
        page.wait_for_selector("#rater[value=Ben]")
        assert page.url.endswith(f"{name_of(0)}?order=best")
        page.locator("#note").fill("a good one")
        page.locator("[data-decision=accept]").click()
        page.get_by_text("Saved.", exact=True).wait_for()
        assert page.locator("[data-decision=accept]").get_attribute("aria-pressed") == "true"
        page.locator("#edits summary").click()
        page.locator("[data-message='2']").fill("Look at the\nparts.")
        page.locator("#save-edits").click()
        page.wait_for_selector("#edits[open]")
        page.locator("[data-criterion='c.two']").select_option("false")
        page.get_by_role("button", name="save what holds").click()
        page.wait_for_selector("option[selected][value=false]", state="attached")
        assert visit.errors == []
    last = ratings(place)[-1]
    assert (last["rater"], last["decision"], last["note"]) == ("Ben", "accept", "a good one")
    assert (last["edits"], last["criteria"]) == ({"2": "Look at the\nparts."}, {"c.two": False})


@pytest.mark.parametrize("javascript", [True, False])
def test_a_reply_is_read_as_it_is_meant_or_as_it_is_written(
    tmp_path: Path, javascript: bool
) -> None:
    place = journal(tmp_path / "run", [markdown(0), markdown(1)])
    with looking(place, javascript=javascript) as (visit, viewer):
        page = visit.page
        page.goto(f"{viewer.root}/run/0/sample/{name_of(0)}")
        meant, written = page.locator(".said.tutor .rendered"), page.locator(".said.tutor .written")
        assert meant.locator("table").is_visible()
        assert not written.is_visible()
        page.locator("#as-written").check()
        assert not meant.is_visible()
        assert "**Almost!**" in written.inner_text()
        if javascript:  # which remembers it from one sample to the next, and has a key for it
            page.keyboard.press("Escape")
            page.goto(f"{viewer.root}/run/0/sample/{name_of(1)}")
            assert page.locator(".said.tutor .written").is_visible()
            page.keyboard.press("p")
            assert page.locator(".said.tutor .rendered").is_visible()


def test_samples_that_come_while_one_looks_are_told(tmp_path: Path) -> None:
    place = journal(tmp_path / "run", [sample(0)])
    with looking(place) as (visit, _):
        visit.page.wait_for_selector("#lines li")
        journal(place, [sample(0), sample(1), sample(2)])
        visit.page.get_by_text("2 new samples: show").click(timeout=60_000)
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
