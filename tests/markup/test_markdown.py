from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.markup import rendered

HOSTILE = [
    "**b** [x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=) [y](vbscript:x) [z](file:///etc/passwd)",
    "[a](https://evil.example 'title\" onmouseover=\"alert(1)')",
    "![x](data:image/svg+xml;base64,PHN2Zz4=) ![y](https://evil.example/pixel.gif)",
    "[![in a link](https://evil.example/a.png)](https://evil.example)",
    "![a [b](javascript:alert(1)) c](https://evil.example \"d\")",
    "**b** <javascript:alert(1)> <https://evil.example> <mail@evil.example>",
    "**b** <script>alert(1)</script><img src=x onerror=alert(1)>",
    "<div>\n\n# heading\n\n</div><svg onload=alert(1)>",
    "`<img src=x onerror=alert(1)>` and ``</code><script>alert(1)</script>``",
    "```\"><script>alert(1)</script>\n</code></pre><script>alert(1)</script>\n```",
    "```html onload=alert(1)\n<img src=x onerror=alert(1)>",
    "    <img src=x onerror=alert(1)>\n\n- x",
    "| <script>alert(1)</script> | b |\n|:-:|--:|\n| <img src=x onerror=alert(1)> | `<b>` |",
    "- $\\href{javascript:alert(1)}{x}$ and $\\text{<img src=x onerror=alert(1)>}$",
    "$$\n\\text{</math><script>alert(1)</script>}\n$$\n\n**b**",
    "# <style>*{background:url(https://evil.example)}</style>",
    "[x]: javascript:alert(1)\n\n[x] **b**",
    "1. <iframe src=https://evil.example>\n2. <base href=https://evil.example>",
    "> <form action=https://evil.example><button>accept</button></form>",
    "&lt;script&gt;**b**&#60;img src=x onerror=alert(1)&#62; &#x202e;txt",
]  # fmt: skip
_NAMES = """
p ul ol li blockquote table thead tbody tr th td strong em s h4 h5 h6 hr br pre code span
"""
ELEMENTS = frozenset(_NAMES.split())
TABLE = (
    "<table><thead><tr><th class=right>a</th><th>b</th></tr></thead>"
    "<tbody><tr><td class=right>1</td><td>2</td></tr></tbody></table>"
)


class Read(HTMLParser):
    """The elements, attributes and words that a browser would find, and whether they are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.words = ""
        self.open: list[str] = []
        self.feed(str(html))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if not re.fullmatch(r"m[a-z]+", tag):
            self.attributes |= set(attrs)
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def check(text: str) -> Read:
    """Read what is made of the text, of which nothing may be more than what is known here."""
    read = Read(rendered(text) or "")
    strange = {tag for tag in read.tags - ELEMENTS if not re.fullmatch(r"m[a-z]+", tag)}
    assert not strange
    assert not read.open
    for name, value in read.attributes:
        assert name in ("class", "start", "tabindex")
        assert re.fullmatch(r"[a-z]+|\d{1,9}", value or "")
    return read


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**Well done.** What *changed*?", "<p><strong>Well done.</strong> What <em>changed</em>?</p>"),
        ("- one\n- two", "<ul><li>one</li><li>two</li></ul>"),
        ("3. three\n4. four", "<ol start=3><li>three</li><li>four</li></ol>"),
        ("38. **But** why?", "<p>38. <strong>But</strong> why?</p>"),
        ("First:\n\n2. two\n   - and\n\nEnd.", "<p>First:</p><p>2. two</p><ul><li>and</li></ul><p>End.</p>"),
        ("- 5. five\n- 6. six", "<ul><li><p>5. five</p></li><li><p>6. six</p></li></ul>"),
        ("### Step 1", "<h6>Step 1</h6>"),
        ("`x = 1`", "<p><code>x = 1</code></p>"),
        ("~~5~~ 6", "<p><s>5</s> 6</p>"),
        ("one\n**two**", "<p>one<br><strong>two</strong></p>"),
        ("> said\n\n---", "<blockquote><p>said</p></blockquote><hr>"),
        ("| a | b |\n|--:|---|\n| 1 | 2 |", TABLE),
        ("```python\nx < 1\n```", '<pre tabindex=0><span class="language">python</span><code>x &lt; 1\n</code></pre>'),
    ],
)  # fmt: skip
def test_markdown_is_shown_as_it_is_meant(text: str, html: str) -> None:
    assert rendered(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "Two plain lines,\nand nothing else.",
        "It costs $5 and $6, <b>really</b>.",
        "  62\n- 38\n----\n  24",
        "38. But 2 is smaller than 8.",
        "So:\n\n7) That is all.",
        "Look:\n\n 12\n×  3\n ____\n 36 and **so on**",
        "x" * 50_001 + "**b**",
        "",
    ],
)
def test_text_without_markdown_and_sums_in_columns_stand_for_themselves(text: str) -> None:
    assert rendered(text) is None


@pytest.mark.parametrize(
    "text", ["3*4*5 = 60", "(2)*(3)*x", "2**3**2", r"a*b*\sqrt2", "x_1 and y_1"]
)
def test_signs_of_arithmetic_are_no_emphasis(text: str) -> None:
    assert f"{text}</p>" in (rendered(f"**Well:** {text}") or "")


@pytest.mark.parametrize(
    "formula",
    [
        "$a_1 * b_2 * c_3$",
        r"\(x_1^2 - y_2\)",
        "$$\na\n- b\n- c\n$$",
        "\\[\n+ 3\n\n- 4\n\\]",
        "$$a~b$$",
    ],
)
def test_formulas_are_read_before_markdown(formula: str) -> None:
    for text in (formula, f"So:\n{formula}\nand **on**"):
        read = check(text)
        assert "math" in read.tags
        assert not read.tags & {"em", "li", "ul", "s"}


def test_a_dollar_sign_in_code_begins_no_formula() -> None:
    assert rendered("`echo $HOME` and `$PATH`") == (
        "<p><code>echo $HOME</code> and <code>$PATH</code></p>"
    )


def test_a_formula_that_cannot_be_read_is_shown_as_it_stands() -> None:
    assert rendered(r"**So** $\nosuch{1}$") == r"<p><strong>So</strong> $\nosuch{1}$</p>"


def test_the_address_of_a_link_stands_beside_its_words() -> None:
    words = check(
        '[here](https://a.example/x "a title") ![a picture](https://b.example/y.png)'
    ).words
    assert (
        words == "here (https://a.example/x · a title) [image: a picture · https://b.example/y.png]"
    )
    assert check("*so* <https://a.example>").words == "so https://a.example"


def test_nothing_that_markdown_would_hide_is_hidden() -> None:
    words = check("[x]: https://a.example 'secret'\n\n**b** <!-- hidden --> <b hidden>c</b>").words
    for each in ("https://a.example", "secret", "<!-- hidden -->", "<b hidden>"):
        assert each in words


def test_what_is_invisible_is_written_out() -> None:
    assert "⟨U+202E⟩" in check("**b** \u202e").words
    assert "⟨U+202E⟩" in check("**b** &#x202e;").words


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown_is_never_more_than_markdown(text: str) -> None:
    check(text)


_ALPHABET = "\\$()[]{}^_&<>\"'=!*~`#|:-+>\n\t 1.ax/"


@given(st.text(alphabet=st.sampled_from(_ALPHABET), max_size=120))
def test_no_text_makes_anything_else(text: str) -> None:
    check(text)


@given(st.lists(st.sampled_from(["**", "[x](", "](y)", "$", "$$\n", "\n- ", "\n> ", "`", "```\n", "|", "\n|--|\n", "<a href=x>", "\\(", "!["]), max_size=40))  # fmt: skip
def test_no_pieces_of_markdown_make_anything_else(pieces: list[str]) -> None:
    check("".join(pieces))


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "![",
        "*a ",
        "**a",
        "`",
        "``",
        "> ",
        "- ",
        "$$\n",
        "\\[\n",
        "$a",
        "|a",
        "<a",
        "\\(x",
        "~~a",
        "[a](",
        "&",
        "1. ",
    ],
)
def test_texts_made_to_take_for_ever_do_not(piece: str) -> None:
    text = (piece * 50_000)[:50_000]
    began = time.process_time()
    check(text)
    took = time.process_time() - began
    print(f"{piece!r}: {took:.2f} s")
    assert took < 60  # what is measured is printed; quadratic would be minutes
