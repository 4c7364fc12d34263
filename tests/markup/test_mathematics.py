from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.markup import shown

HOSTILE = [
    r"$\text{<img src=x onerror=alert(1)>}$",
    r"$\text{&lt;img src=x onerror=alert(1)&gt;}$",
    r"$\text{&amp;lt;script&amp;gt;alert(1)}$",
    r"$\href{javascript:alert(1)}{x}$",
    r"$\href{https://evil.example}{x}$",
    r"$\style{background:url(https://evil.example)}{x}$",
    r"$\class{rating}{x}$",
    r'$\color{red" onclick="alert(1)}{x}$',
    r'$\fcolorbox{red}{"onmouseover=alert(1)}{x}$',
    r"$$</math><script>alert(1)</script>$$",
    r"$\unicode{60}script>$",
    r"<script>alert(1)</script>",
    r"<math><mtext><img src=x onerror=alert(1)></mtext></math>",
    r"$x$<svg onload=alert(1)>$y$",
    r"\(\text{</mtext></math><img src=x onerror=alert(1)>}\)",
]


class Seen(HTMLParser):
    """The tags and attributes that a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def seen(html: str) -> Seen:
    found = Seen()
    found.feed(html)
    return found


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (r"$\frac{1}{2}$", "mfrac"),
        (r"\(x^2\)", "msup"),
        (r"\[\sqrt{2}\]", "msqrt"),
        ("$$\\begin{matrix}1&2\\\\3&4\\end{matrix}$$", "mtable"),
    ],
)
def test_formulas_become_mathml(text: str, tag: str) -> None:
    assert tag in seen(shown(text)).tags


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $6.",
        "from $5 to $10",
        "$",
        "$$",
        "a $ b $ c",
        r"\(",
        r"$\frac$",
        r"$\nosuch{1}$",
        "$5-$6",
    ],
)
def test_money_and_what_cannot_be_read_stay_as_they_are(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_never_more_than_text(text: str) -> None:
    found = seen(shown(text))
    assert all(re.fullmatch(r"m[a-z]+", tag) for tag in found.tags), found.tags
    assert not found.attributes & {"href", "style", "class", "src", "id"}
    assert not any(name.startswith("on") for name in found.attributes)


@given(st.text(alphabet=st.sampled_from("\\$({[^_&<>\"'=]})frachetxlmig1 \n/;#")))
def test_no_text_makes_a_tag_of_its_own(text: str) -> None:
    found = seen(shown(text))
    assert all(re.fullmatch(r"m[a-z]+", tag) for tag in found.tags)


def test_a_formula_made_to_be_endless_is_shown_as_it_stands() -> None:
    text = "$" + "{" * 900 + "x" + "}" * 900 + "$"
    assert shown(text) == text
    assert "<math" not in shown("$$" + "^{x" * 60 + "}" * 60 + "$$")
