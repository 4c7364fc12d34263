"""What the site needs beside MkDocs, and the writer of ``llms.txt``.

``python docs/hooks.py`` writes ``docs/llms.txt`` from mkdocs.yml's navigation and the sentences of
``docs/index.md``; a test fails where it is stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
_FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\w+)[ \t]+(?P<words>[^`\n{]+)$", re.MULTILINE)
_ROLE = re.compile(r":(?:attr|class|func|meth|mod):<code>~?(?:[\w.]+\.)?")
_ROW = re.compile(r"^\|(?P<links>.*\]\(.*)\|(?P<text>[^|]+)\|$", re.MULTILINE)
_README = re.compile(r"^\[.*\]\((?:\.\./)+(?P<path>providers/\w+/README\.md)\)$", re.MULTILINE)
_TARGET = re.compile(r"\]\(([^)#\s:]+\.md)\)")


# ── MkDocs' events ───────────────────────────────────────────────────────────────────────────


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A provider's page gets its README's text in place of the link; fences lose the tests' words."""
    return _FENCE.sub(_fence, whole(markdown))


def on_page_content(html: str, **_: Any) -> str:
    """References in docstrings (``:meth:`Session.branch```) become plain code."""
    return _ROLE.sub("<code>", html)


def on_post_build(config: Any, **_: Any) -> None:
    """Each page beside its HTML as Markdown too, which is where ``llms.txt`` points."""
    for page in DOCS.rglob("*.md"):
        place = Path(config["site_dir"]) / page.relative_to(DOCS)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(whole(page.read_text(encoding="utf-8")), encoding="utf-8")


def whole(markdown: str) -> str:
    """A page with the README that a line of it links to, less that README's title and with lower headings."""
    return _README.sub(_readme, markdown)


def _readme(match: re.Match[str]) -> str:
    text = (DOCS.parent / match["path"]).read_text(encoding="utf-8")
    return re.sub(r"^##", "###", text.partition("\n")[2].strip(), flags=re.MULTILINE)


def _fence(match: re.Match[str]) -> str:
    named = re.search(r"(?:^|\s)file=(\S+)", match["words"])
    title = f' title="{named[1]}"' if named else ""
    return f"{match['fence']}{match['language']}{title}"


# ── llms.txt ─────────────────────────────────────────────────────────────────────────────────


def llms(nav: list[Any], index: str) -> str:
    """The text of ``llms.txt`` (llmstxt.org): the pages of ``nav``, each with its sentence in ``index``."""
    said = {
        target: row["text"].strip()
        for row in _ROW.finditer(index)
        for target in _TARGET.findall(row["links"])
    }
    summary = index.split("\n\n")[1]  # what stands between the title and the first heading
    lines = ["# synthtutor", "", f"> {summary}"]
    for section in nav:
        ((heading, entries),) = section.items()
        lines += ["", f"## {heading}", ""]
        lines += [f"- [{name}]({target}): {said[target]}" for name, target in pages(entries)]
    return "\n".join(lines) + "\n"


def pages(entries: list[Any]) -> Iterator[tuple[str, str]]:
    """The pages of a navigation that have a title: ``(title, file)``."""
    for entry in entries:
        if isinstance(entry, dict):
            for name, target in entry.items():
                if isinstance(target, str):
                    yield name, target
                else:
                    yield from pages(target)


def navigation() -> list[Any]:
    """``nav`` of mkdocs.yml. The file's Python tags are MkDocs' own and are read as nothing."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    text = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    found: list[Any] = yaml.load(text, Loader)["nav"]  # noqa: S506  # a SafeLoader
    return found


def main() -> None:
    """Write ``docs/llms.txt``."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    (DOCS / "llms.txt").write_text(llms(navigation(), index), encoding="utf-8")


if __name__ == "__main__":
    main()
