"""What a model wrote, as HTML that a page may show: Markdown, formulas, and nothing else in it."""

from synthtutor.markup.markdown import rendered
from synthtutor.markup.mathematics import formula, shown
from synthtutor.markup.visible import visible

__all__ = ["formula", "rendered", "shown", "visible"]
