"""The documentation as a site: its navigation, ``llms.txt``, and a strict build that loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from tests.browser import browser_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BUILDER = ROOT / ".venv-docs" / "bin" / "mkdocs"
PAGES = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
_LOADED = re.compile(r"""(?:<script|<link|<img|<iframe)[^>]*?\s(?:src|href)=["']?(\S+?)["'\s>]""")
_NO_LOAD = re.compile(r"""<link[^>]*rel=["']?(?:canonical|prev|next)""")


def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named() -> list[str]:
    """The pages that the navigation names, with the sections' own."""
    found: list[str] = []
    for section in hooks().navigation():
        for entries in section.values():
            found += [e if isinstance(e, str) else next(iter(e.values())) for e in entries]
    return found


# ── without building ─────────────────────────────────────────────────────────────────────────


def test_the_navigation_names_every_page_once() -> None:
    assert sorted(named()) == sorted(PAGES)


def test_llms_txt_is_up_to_date() -> None:
    made = hooks().llms(hooks().navigation(), (DOCS / "index.md").read_text(encoding="utf-8"))
    assert (DOCS / "llms.txt").read_text(encoding="utf-8") == made, "run python docs/hooks.py"


def test_llms_txt_has_the_form_of_llmstxt_org_and_names_pages_that_there_are() -> None:
    text = (DOCS / "llms.txt").read_text(encoding="utf-8")
    title, summary, *rest = [line for line in text.splitlines() if line]
    assert title == "# synthtutor"
    assert summary.startswith("> ")
    for line in rest:
        assert re.fullmatch(r"## [\w ]+|- \[[^\]]+\]\([\w/.-]+\.md\): \S.*", line), line
    assert set(re.findall(r"\]\(([^)]+)\)", text)) == PAGES - {"index.md"}


def test_fences_lose_the_words_that_are_for_the_tests() -> None:
    page = "```bash run exit=3\nls\n```\n\n```python file=hints.py\nx = 1\n```\n\n```toml\n```\n"
    shown = hooks().on_page_markdown(page)
    assert shown.splitlines()[0] == "```bash"
    assert '```python title="hints.py"' in shown
    assert "```toml\n```" in shown


def test_a_providers_page_holds_its_readme_under_lower_headings() -> None:
    page = (DOCS / "providers" / "anthropic.md").read_text(encoding="utf-8")
    shown = hooks().whole(page)
    assert "README.md" not in shown
    assert "### What the models take" in shown
    assert shown.count("\n# ") == 0


def test_every_provider_has_a_page() -> None:
    here = {path.parent.name for path in (ROOT / "providers").glob("*/pyproject.toml")}
    assert here | {"scripted"} == {page.stem for page in (DOCS / "providers").glob("*.md")}


def test_every_recipe_has_a_page() -> None:
    pages = {page.stem for page in (DOCS / "recipes").glob("*.md")} | {"calibration"}
    declared = re.search(
        r'entry-points."synthtutor.recipes"\]\n(.*?)\n\n',
        (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert declared is not None
    names = {line.split(" = ")[0] for line in declared[1].splitlines()}
    together = {"math-grading": "grading", "essay-grading": "grading"}
    assert {together.get(name, name) for name in names} == pages


# ── built ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: links, anchors and docstrings are checked by that."""
    if not BUILDER.is_file():
        unavailable("MkDocs is not installed: run make docs")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [BUILDER, "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


def unavailable(reason: str) -> NoReturn:
    if os.environ.get("SYNTHTUTOR_REQUIRE_ALL") == "1":
        pytest.fail(f"required, but {reason}")
    pytest.skip(reason)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    for page in PAGES:
        assert (site / page).with_suffix(".html").is_file(), page
        assert (site / page).is_file(), page
    assert (site / "llms.txt").read_text() == (DOCS / "llms.txt").read_text()
    assert not (site / "hooks.py").exists()


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        html = "\n".join(
            line
            for line in page.read_text(encoding="utf-8").splitlines()
            if not _NO_LOAD.search(line)
        )
        loaded = _LOADED.findall(html)
        assert loaded, page
        assert not [each for each in loaded if re.match(r"(?:https?:)?//", each)], page
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", styles)


@pytest.mark.slow
def test_the_reference_tells_what_the_docstrings_tell(site: Path) -> None:
    runs = (site / "api" / "runs.html").read_text(encoding="utf-8")
    assert 'id="synthtutor.api.run"' in runs
    assert "the same call again resumes and pays nothing twice" in runs
    session = (site / "api" / "recipes.html").read_text(encoding="utf-8")
    assert 'id="synthtutor.session.Session.generate"' in session
    assert ":meth:" not in session


@pytest.mark.slow
def test_a_broken_link_or_anchor_ends_the_build(site: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(DOCS, copied / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "providers", copied / "providers", ignore=shutil.ignore_patterns("tests")
    )
    shutil.copytree(ROOT / "synthtutor", copied / "synthtutor")
    shutil.copy(ROOT / "mkdocs.yml", copied)
    with (copied / "docs" / "faq.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](costs.md#no-such-heading)\n")
    done = subprocess.run(
        [BUILDER, "build", "--strict"], cwd=copied, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "no-such-heading" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_opened_from_disk_fit_the_window_and_complain_of_nothing(
    site: Path, width: int
) -> None:
    with browser_page(width=width) as visit:
        for page in ("index", "recipes/dialogue", "api/recipes", "providers/compatible"):
            visit.page.goto((site / f"{page}.html").as_uri())
            assert visit.overflow_px <= 0, page
        assert visit.errors == []
        assert not [url for url in visit.requests if not url.startswith(("file:", "data:"))]


@pytest.mark.slow
def test_the_search_answers_on_a_page_opened_from_disk(site: Path) -> None:
    with browser_page() as visit:
        visit.page.goto((site / "faq.html").as_uri())
        visit.page.locator("input.md-search__input").click()
        visit.page.keyboard.type("malrule")
        link = visit.page.locator(".md-search-result__link").first
        link.wait_for()
        assert ".html" in (link.get_attribute("href") or "")


@pytest.mark.parametrize(
    ("scheme", "variable", "ground"),
    [
        ("default", "--md-typeset-a-color", "ffffff"),
        ("slate", "--md-typeset-a-color", "1e2129"),
        ("primary=teal", "--md-primary-fg-color", "ffffff"),
    ],
)
def test_links_and_the_header_stand_out_from_what_is_behind_them(
    scheme: str, variable: str, ground: str
) -> None:
    css = (DOCS / "site.css").read_text(encoding="utf-8")
    found = re.search(rf"^[^{{\n]*{scheme}[^{{]*\{{[^}}]*{variable}: #(\w{{6}})", css, re.MULTILINE)
    assert found is not None
    low, high = sorted(map(_luminance, (found[1], ground)))
    assert (high + 0.05) / (low + 0.05) >= 4.5, "WCAG 2.2, 1.4.3"


def _luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2, of six hexadecimal digits."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
