"""Markdown → HTML, for texts that a model wrote and nobody vouches for.

markdown-it-py reads the text; its renderer is not used. What it found is written anew from the
elements named here: no link leads anywhere, no image is loaded, HTML is text, and the only
attributes are our own classes and the number that a list begins with. Nothing that was written is
left out: an address stands beside the words that were linked to it, and definitions of links, which
Markdown would hide, are text.

It is Markdown as tutors write it. Formulas are read before anything in them can be taken for
emphasis or a list; the sign in 3*4*5 is a sign; an answer such as "38. But why?" is no item 38 of
a list; and a text with a sum written in columns, which Markdown would take apart, is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from synthtutor.markup.mathematics import FORMULA, formula, latex_of
from synthtutor.markup.visible import visible

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.ruler import RuleOptionsType
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

__all__ = ["rendered"]

_LONGEST = 50_000
_LINES_OF_A_FORMULA = 60
_MATHEMATICS = "mathematics"
_PLAIN = frozenset(("paragraph_open", "paragraph_close", "inline", "text", "softbreak"))
_SHOWN = """
p ul ol li blockquote table thead tbody tr th td strong em s h1 h2 h3 h4 h5 h6
"""
_ELEMENTS = frozenset(_SHOWN.split())
_EMPTY = {"hr": Markup("<hr>"), "softbreak": Markup("<br>"), "hardbreak": Markup("<br>")}
_ALIGNED = {"text-align:right": " class=right", "text-align:center": " class=center"}
_LOWEST = 6  # of headings; those of a text stand below the page's own
_IN_COLUMNS = re.compile(
    r"^[ \t]*[\d.,]+[ \t]*\n[ \t]*[-+×*x][ \t]*[\d.,]+[ \t]*\n[ \t]*[-_=—]{2,}[ \t]*$", re.MULTILINE
)
_OPERAND_BEFORE, _OPERAND_AFTER = re.compile(r"[\w)\]}]"), re.compile(r"[\w(\[{\\]")


def rendered(text: str) -> Markup | None:
    """The text as HTML; None where it says nothing in Markdown or LaTeX and stands for itself."""
    if len(text) > _LONGEST or _IN_COLUMNS.search(text):
        return None
    tokens = _parser().parse(text)
    _unlist(tokens)
    if all(token.hidden or token.type in _PLAIN for token in _all(tokens)):
        return None
    return Markup("").join(_written(tokens))


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _unlist(tokens: Sequence[Token]) -> None:
    """A list of one item that is not the first begins with a number that was said."""
    for at, token in enumerate(tokens):
        if token.type != "ordered_list_open" or "start" not in token.attrs:
            continue
        ends = (n for n, other in enumerate(tokens[at:], at) if other.level == token.level)
        end = next(n for n in ends if tokens[n].type == "ordered_list_close")
        items = [n for n in range(at, end) if tokens[n].level == token.level + 1]
        if len(items) != 2 or tokens[at + 2].type != "paragraph_open":
            continue
        item, said = tokens[at + 1], tokens[at + 3]
        for each in (token, item, tokens[end - 1], tokens[end]):
            each.hidden = True
        tokens[at + 2].hidden = tokens[at + 4].hidden = False
        number = type(item)("text", "", 0, content=f"{item.info}{item.markup} ")
        said.children = [number, *(said.children or ())]


# ── writing ──────────────────────────────────────────────────────────────────────────────────


def _written(tokens: Sequence[Token]) -> Iterator[Markup]:
    addresses: list[Markup] = []
    for at, token in enumerate(tokens):
        if token.hidden:  # the paragraphs of a list whose items stand close
            continue
        if token.type == "inline":
            yield from _written(token.children or ())
        elif token.type == "link_open":
            addresses.append(_address(token, tokens[at + 1]))
            yield Markup('<span class="link">')
        elif token.type == "link_close":
            yield Markup("</span>") + addresses.pop()
        else:
            yield _EMPTY.get(token.type) or _one(token)


def _one(token: Token) -> Markup:
    if token.type.endswith(("_open", "_close")):
        return _tag(token)
    text = visible(token.content)
    if token.type == "code_inline":
        return Markup("<code>{}</code>").format(text)
    if token.type in ("fence", "code_block"):
        language = visible(token.info.strip())
        named = Markup('<span class="language">{}</span>').format(language) if language else ""
        return Markup("<pre tabindex=0>{}<code>{}</code></pre>").format(named, text)
    if token.type == "image":
        said = " · ".join(filter(None, (text, str(token.attrs["src"]), _title(token))))
        return Markup('<span class="image">[image: {}]</span>').format(visible(said))
    if token.type == _MATHEMATICS:
        found = formula(token.content, block=token.block)
        return escape(visible(token.markup)) if found is None else found
    return escape(text)


def _tag(token: Token) -> Markup:
    """An element's beginning or end; of one that is not known, nothing."""
    if token.tag not in _ELEMENTS:
        return Markup("")
    name = token.tag
    if name[0] == "h" and name[1:].isdecimal():
        name = f"h{min(_LOWEST, int(name[1:]) + 3)}"
    if token.nesting < 0:
        return Markup("</{}>").format(name)
    more = _ALIGNED.get(str(token.attrs.get("style")), "")
    if name == "ol" and isinstance(start := token.attrs.get("start"), int):
        more = f" start={start}"
    return Markup("<{}{}>").format(name, more)


def _address(token: Token, inside: Token) -> Markup:
    """Where a link would have led, unless its words say so."""
    href = visible(str(token.attrs.get("href", "")))
    told = " · ".join(each for each in (href, _title(token)) if each and each != inside.content)
    return Markup(' <span class="address">({})</span>').format(told) if told else Markup("")


def _title(token: Token) -> str:
    return visible(str(token.attrs.get("title") or ""))


# ── reading ──────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False})
    made.enable(["table", "strikethrough"]).disable(["reference", "html_block", "html_inline"])
    alone: RuleOptionsType = {"alt": ["paragraph", "blockquote", "list"]}
    made.block.ruler.before("fence", _MATHEMATICS, _block_formula, alone)
    made.inline.ruler.before("escape", _MATHEMATICS, _formula)
    made.inline.ruler.before("emphasis", "times", _times)
    return made


def _formula(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = FORMULA.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        token = state.push(_MATHEMATICS, "", 0)
        token.content, token.block = latex_of(found)
        token.markup = found[0]
    state.pos = found.end()
    return True


def _block_formula(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula on lines of its own: a minus that begins one of them is no list."""
    if state.is_code_block(start):
        return False
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    closing = {"$$": "$$", r"\[": r"\]"}.get(first[:2])
    if closing is None:
        return False
    for line in range(start, min(end, start + _LINES_OF_A_FORMULA)):
        text = state.src[state.bMarks[line] : state.eMarks[line]].rstrip()
        if text.endswith(closing) and (line > start or len(first.rstrip()) > 2):
            break
        if line > start and text and state.sCount[line] < state.blkIndent:
            return False
    else:
        return False
    whole = state.getLines(start, line + 1, state.blkIndent, False).strip()
    found = FORMULA.fullmatch(whole)
    if found is None:
        return False
    if not silent:
        token = state.push(_MATHEMATICS, "", 0)
        token.content, token.markup = latex_of(found)[0], whole
        token.map = [start, line + 1]
        state.line = line + 1
    return True


def _times(state: StateInline, silent: bool) -> bool:
    """An asterisk between two operands, or two between numbers, is a sign of arithmetic."""
    at = state.pos
    if state.src[at] != "*" or at == 0:
        return False
    after = at
    while after < state.posMax and state.src[after] == "*":
        after += 1
    if after == state.posMax:
        return False
    one, other = state.src[at - 1], state.src[after]
    product = after - at == 1 and _OPERAND_BEFORE.match(one) and _OPERAND_AFTER.match(other)
    power = after - at == 2 and one.isdecimal() and other.isdecimal()
    if not (product or power):
        return False
    if not silent:
        state.pending += state.src[at:after]
    state.pos = after
    return True
