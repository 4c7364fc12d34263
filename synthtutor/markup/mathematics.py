r"""Text with LaTeX in it → HTML that shows the formulas, and nothing else that the text might hold.

The text is a model's, and a model writes whatever its input made it write. So HTML is never taken from
the text, and MathML only through the elements and attributes named here: latex2mathml makes links and
styles of ``\href`` and ``\style``, and its own way to text lets through what stands in ``\text{…}``.
A formula that it cannot read, or that holds a command which it does not know, is shown as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from html import unescape
from xml.etree.ElementTree import Element

from markupsafe import Markup, escape

from synthtutor.markup.visible import visible

__all__ = ["FORMULA", "formula", "latex_of", "shown"]

_LONGEST = 2_000
_DEEPEST = 40
_ELEMENTS = """
math mrow mi mn mo mtext mspace ms mfrac msqrt mroot mstyle mpadded mphantom menclose msub msup
msubsup munder mover munderover mmultiscripts mprescripts mtable mtr mtd mlabeledtr
"""
_WORDS = """
display displaystyle scriptlevel mathvariant stretchy fence separator symmetric largeop
movablelimits accent accentunder form linethickness minsize maxsize width height depth lspace
rspace notation columnalign rowalign columnlines rowlines columnspacing rowspacing frame
"""
_SHOWN_ELEMENTS, _SHOWN_WORDS = frozenset(_ELEMENTS.split()), frozenset(_WORDS.split())
_PLAIN = re.compile(r"[A-Za-z0-9 .%+-]{1,80}")  # no quotes, no colons, no brackets
# A dollar sign begins a formula only before something, and ends one only after something and not
# before a digit: "$5 and $6" is money.
FORMULA = re.compile(
    r"\$\$(?P<block>[^$]{1,2000}?)\$\$"
    r"|\\\[(?P<bracket>.{1,2000}?)\\\]"
    r"|\\\((?P<paren>.{1,2000}?)\\\)"
    r"|(?<![\\$\w])\$(?P<dollar>[^\s$](?:[^$\n]{0,400}?[^\s$\\])?)\$(?![\d$])",
    re.DOTALL,
)


def shown(text: object) -> Markup:
    """The text as HTML: its formulas as MathML, everything else as it stands."""
    return Markup("").join(_pieces(visible(str(text))))


def _pieces(text: str) -> Iterator[Markup]:
    end = 0
    for found in FORMULA.finditer(text):
        yield escape(text[end : found.start()])
        latex, block = latex_of(found)
        made = formula(latex, block=block)
        yield made if made is not None else escape(found[0])
        end = found.end()
    yield escape(text[end:])


def latex_of(found: re.Match[str]) -> tuple[str, bool]:
    """What stands between the signs of a `FORMULA`, and whether it has a line of its own."""
    block = found["block"] or found["bracket"]
    return (block or found["paren"] or found["dollar"]).strip(), bool(block)


@lru_cache(maxsize=4096)
def formula(latex: str, *, block: bool = False) -> Markup | None:
    """One formula as MathML; None where it cannot be read, or latex2mathml is not installed."""
    if not latex or len(latex) > _LONGEST or latex.count("{") > 10 * _DEEPEST:
        return None
    try:
        from latex2mathml.converter import convert_to_element
    except ModuleNotFoundError:
        return None
    try:
        made = convert_to_element(latex, display="block" if block else "inline")
        return _checked(made, 0)
    except _stumbles():
        return None


@lru_cache(maxsize=1)
def _stumbles() -> tuple[type[Exception], ...]:
    """What half a formula makes of the library: errors of its own, and the usual ones."""
    from latex2mathml import exceptions

    own = [each for each in vars(exceptions).values() if isinstance(each, type)]
    usual = [ValueError, LookupError, TypeError, AttributeError, RecursionError, StopIteration]
    return (*(each for each in own if issubclass(each, Exception)), *usual)


def _checked(element: Element, depth: int) -> Markup:
    """Written anew from what is known to be harmless. Raises ValueError at a command left over."""
    tag = element.tag if element.tag in _SHOWN_ELEMENTS else "mrow"
    said = unescape(element.text or "")
    if depth > _DEEPEST or (tag in ("mi", "mo") and re.match(r"\\[A-Za-z]", said)):
        raise ValueError("not a formula that can be shown")
    attributes = Markup("").join(
        Markup(' {}="{}"').format(name, value)
        for name, value in element.attrib.items()
        if name in _SHOWN_WORDS and _PLAIN.fullmatch(value)
    )
    inner = Markup("").join(_checked(child, depth + 1) for child in element)
    return Markup("<{0}{1}>{2}{3}</{0}>").format(Markup(tag), attributes, said, inner)  # noqa: S704
