"""The report in a real browser: from disk, small and large, light and dark, by keyboard, and attacked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synthtutor.report import write_report
from tests.browser import Visit, browser_page
from tests.markup.test_markdown import HOSTILE as HOSTILE_MARKDOWN
from tests.report.made import HOSTILE, made, rows, script
from tests.viewer.looked_at import MARKDOWN

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run whose every text is hostile."""
    folder = tmp_path_factory.mktemp("runs") / "attacked"
    hostile = [
        {**row, "more": row["more"] | {"subject": HOSTILE[row["n"] % len(HOSTILE)][:60]}}
        for row in rows(60)
    ]
    answer = script(lambda n: f"{HOSTILE[n % len(HOSTILE)]} reply {n}", evidence=" ".join(HOSTILE))
    made(folder, answer=answer, rows=hostile)
    return write_report(folder)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run whose replies are Markdown, half of it hostile."""
    folder = tmp_path_factory.mktemp("runs") / "marked"
    texts = [each for hostile in HOSTILE_MARKDOWN for each in (MARKDOWN, hostile)]
    made(folder, answer=script(lambda n: texts[n % len(texts)]), rows=rows(20))
    return write_report(folder)


def opened(visit: Visit, report: Path) -> None:
    visit.page.goto(report.as_uri())
    visit.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_asks_for_nothing_and_complains_of_nothing(
    report: Path, width: int, dark: bool
) -> None:
    with browser_page(width=width, dark=dark) as visit:
        visit.page.goto(report.as_uri())
        assert visit.overflow_px == 0
        opened(visit, report)
        assert visit.overflow_px == 0, "with everything unfolded"
        if folder := os.environ.get("SYNTHTUTOR_SCREENSHOTS"):
            name = f"report-{width}-{'dark' if dark else 'light'}.png"
            visit.page.screenshot(path=Path(folder) / name, full_page=True)
        assert set(visit.requests) == {report.as_uri()}
        assert visit.errors == []
        assert visit.page.title() == "attacked – synthtutor report"
        assert visit.page.locator("svg").count() >= 9


@pytest.mark.parametrize("javascript", [True, False])
@pytest.mark.parametrize("width", [360, 1280])
def test_markdown_is_read_as_it_is_meant_and_leads_nowhere(
    marked: Path, width: int, javascript: bool
) -> None:
    with browser_page(width=width, javascript=javascript) as visit:
        visit.page.goto(marked.as_uri())
        pair = visit.page.locator("details.pair[open]").first
        assert pair.locator(".rendered table math").first.is_visible()
        for summary in visit.page.locator("details.pair > summary").all()[1:]:
            summary.click()
        assert visit.overflow_px == 0
        found = visit.page.locator("main :is(script, img, svg image, iframe, object, embed, link, base, style, form, a)")  # fmt: skip
        assert found.count() == 0
        if folder := os.environ.get("SYNTHTUTOR_SCREENSHOTS"):
            visit.page.locator("#samples").screenshot(path=Path(folder) / f"marked-{width}.png")
        assert not visit.page.get_by_text("**Almost!**").first.is_visible()
        visit.page.locator("#as-written").check()
        assert visit.page.get_by_text("**Almost!**").first.is_visible()
        assert not pair.locator(".rendered table").first.is_visible()
        assert set(visit.requests) == {marked.as_uri()}
        assert visit.errors == []


@pytest.mark.parametrize("text", ["report", "marked"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(
    text: str, dark: bool, request: pytest.FixtureRequest
) -> None:
    with browser_page(dark=dark) as visit:
        opened(visit, request.getfixturevalue(text))
        ratios = visit.page.evaluate(_CONTRASTS)
    assert len(ratios) > 100
    assert min(ratios.values()) >= 4.5, min(ratios.items(), key=lambda item: item[1])


def test_it_is_read_by_keyboard(report: Path) -> None:
    with browser_page() as visit:
        visit.page.goto(report.as_uri())
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.className") == "skip"
        assert visit.page.locator(".skip").bounding_box()["x"] >= 0, "seen when it is reached"  # type: ignore[index]
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("document.activeElement.id") == "main"
        summary = visit.page.locator("details.pair > summary").nth(1)
        summary.focus()
        visit.page.keyboard.press("Enter")
        assert summary.evaluate("s => s.parentElement.open") is True
        ring = summary.evaluate("s => getComputedStyle(s).outlineStyle")
        assert ring == "solid"
        assert visit.page.locator(".scroll:not([tabindex])").count() == 0


def test_it_is_printed_dark_on_white_with_all_samples(report: Path) -> None:
    with browser_page(dark=True) as visit:
        visit.page.goto(report.as_uri())
        visit.page.emulate_media(media="print", color_scheme="dark")
        body = "getComputedStyle(document.body)"
        assert visit.page.evaluate(f"{body}.backgroundColor") == "rgb(255, 255, 255)"
        assert visit.page.evaluate(f"{body}.color") == "rgb(27, 29, 33)"
        last = visit.page.locator("details.pair .said").last
        assert last.is_visible(), "what is folded on the screen is unfolded on paper"


def test_it_is_the_same_without_scripts(report: Path) -> None:
    with browser_page(javascript=False) as visit:
        visit.page.goto(report.as_uri())
        assert visit.page.locator("h2").count() == 10


def test_a_script_that_got_in_would_not_run(report: Path, tmp_path: Path) -> None:
    # The page's policy holds even where escaping would fail: here a script is put in by force.
    text = report.read_text(encoding="utf-8")
    attacked = tmp_path / "attacked.html"
    attack = "<script>document.title = 'owned'</script><img src='https://example.com/x.png'>"
    attacked.write_text(text.replace("</main>", f"{attack}</main>"), encoding="utf-8")
    with browser_page() as visit:
        visit.page.goto(attacked.as_uri())
        assert visit.page.title() != "owned"
        assert len(visit.errors) >= 2, "the browser says what it refused"


# WCAG 2.2's contrast ratio of each piece of text with the nearest background that is painted.
_CONTRASTS = """() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length && colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  document.querySelectorAll('body *').forEach((node, nth) => {
    const own = [...node.childNodes].some(c => c.nodeType === 3 && c.textContent.trim());
    if (!own || !node.getClientRects().length || node.className === 'skip') return;
    const style = getComputedStyle(node);
    const ink = node.closest('svg') ? style.fill : style.color;
    const [a, b] = [light(parse(ink)), light(behind(node))].sort((x, y) => y - x);
    found[`${node.tagName}.${node.getAttribute('class')} #${nth}`] = (a + .05) / (b + .05);
  });
  return found;
}"""
