"""An evaluation or a comparison as one HTML page: escaped, without a script, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from synthtutor.evaluation.pictures import confusion_picture, paired_picture
from synthtutor.evaluation.verdicts import size

if TYPE_CHECKING:
    from synthtutor.evaluation.compare import Comparison
    from synthtutor.evaluation.evaluate import Evaluation

__all__ = ["comparison_page", "confusion_svg", "evaluation_page"]

_TEMPLATES = Path(__file__).parent / "templates"


def evaluation_page(found: Evaluation) -> str:
    """The page of an evaluation."""
    classifier = found.classifier
    picture = confusion_picture(classifier.confusion) if classifier else None
    return _rendered("evaluation.html.j2", {"found": found, "confusion": picture})


def comparison_page(found: Comparison) -> str:
    """The page of a comparison."""
    pictures = [paired_picture(pair.values) for pair in found.pairs]
    shown = list(zip(found.pairs, pictures, strict=True))
    return _rendered("comparison.html.j2", {"found": found, "shown": shown, "size": size})


def confusion_svg(confusion: Mapping[str, Mapping[str, int]]) -> str:
    """The confusion matrix as an SVG picture of its own."""
    return _rendered("confusion.svg.j2", {"confusion": confusion_picture(confusion)})


def _rendered(name: str, values: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(num=_number, pct=_percent, p=_p)
    return environment.get_template(name).render(**values)


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}".replace("0.", ".", 1)
