"""On what terms a pair is made: the options of a preference run, read and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthtutor.errors import ConfigError
from synthtutor.recipes.degradations import DEGRADATIONS

__all__ = ["MODES", "OPTIONS", "Terms"]

MODES = ("degrade", "rank")
OPTIONS = {
    "defects": f"which of {', '.join(DEGRADATIONS)}, with commas (default all)",
    "by": "model has the rival make every defect; auto plants those that code can (default auto)",
    "margin": "least difference in rubric score, 0-1 (default 0.02, in mode rank 0.1)",
    "window": "how many times the shorter reply the longer one may be (default 1.3)",
    "balance": "no lets either side be the longer; yes draws which (default yes)",
    "exact": "yes drops pairs whose rejected reply shows another defect too (default no)",
    "compare": "yes asks the judge for the better one, in both orders (default no, in mode rank yes)",
    "alternatives": "how many replies are ranked, 2-8 (default 4)",
    "temperatures": "of the alternatives in turn, with commas (default 0.4,0.6,0.8,1.0)",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """The options of a run, as values."""

    defects: tuple[str, ...]
    planted: bool
    margin: float
    window: float
    balanced: bool
    exact: bool
    compared: bool
    alternatives: int
    temperatures: tuple[float, ...]

    @classmethod
    def of(cls, option: Callable[[str], str | None], mode: str) -> Terms:
        """From the run's options. Raises ConfigError, naming the one that cannot be used."""
        rank = mode == "rank"
        return cls(
            defects=_names(option("defects")),
            planted=_choice("by", option("by"), "auto", "model"),
            margin=_number("margin", option("margin"), 0.1 if rank else 0.02, 0, 1),
            window=_number("window", option("window"), 1.3, 1.05, 3),
            balanced=_choice("balance", option("balance"), "yes", "no"),
            exact=_choice("exact", option("exact") or "no", "yes", "no"),
            compared=_choice(
                "compare", option("compare") or ("yes" if rank else "no"), "yes", "no"
            ),
            alternatives=int(_number("alternatives", option("alternatives"), 4, 2, 8)),
            temperatures=tuple(
                _number("temperatures", part, 0, 0, 2)
                for part in (option("temperatures") or "0.4,0.6,0.8,1.0").split(",")
            ),
        )

    def odds_of_longer(self, mode: str) -> float:
        """How often the chosen side is drawn to be the longer, where it can be drawn.

        Too long replies are never the chosen ones; the other defects make up for them.
        """
        if mode == "rank":
            return 0.5
        fixed = sum(DEGRADATIONS[name].sets_length for name in self.defects)
        return min(1.0, 0.5 * len(self.defects) / max(1, len(self.defects) - fixed))


def _names(given: str | None) -> tuple[str, ...]:
    if given is None:
        return tuple(DEGRADATIONS)
    names = tuple(dict.fromkeys(part.strip() for part in given.split(",") if part.strip()))
    unknown = [name for name in names if name not in DEGRADATIONS]
    if unknown or not names:
        raise ConfigError(f"option defects={given!r}: choose from {', '.join(DEGRADATIONS)}")
    return names


def _choice(name: str, given: str | None, yes: str, no: str) -> bool:
    if given not in (None, yes, no):
        raise ConfigError(f"option {name}={given!r}: give {yes} or {no}")
    return given != no


def _number(name: str, given: str | None, default: float, least: float, most: float) -> float:
    if given is None:
        return default
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise ConfigError(f"option {name}={given!r}: give a number from {least:g} to {most:g}")
    return value
