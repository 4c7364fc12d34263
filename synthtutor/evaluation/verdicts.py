"""What the figures of a comparison say, in words that follow from them and say no more."""

from __future__ import annotations

from synthtutor.evaluation.statistics import Paired

__all__ = ["ALPHA", "size", "verdict"]

ALPHA = 0.05
_FEW = 10  # students below which the rank test can hardly find anything
_SIZES = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"))  # Cohen 1988, by convention


def size(d: float) -> str:
    """The conventional word for an effect of |d|."""
    return next((word for bound, word in _SIZES if abs(d) < bound), "large")


def verdict(
    score: str, first: str, second: str, found: Paired, p: float | None, *, tests: int = 1
) -> str:
    """One paragraph. ``p`` is corrected for ``tests`` where there were several."""
    parts = [_finding(score, first, second, found, p, tests)]
    if found.shapiro_p is not None and found.shapiro_p < ALPHA:
        parts.append(
            f"The differences are not normal (Shapiro–Wilk p {_p(found.shapiro_p)}), so the rank "
            "test is the one to go by."
        )
    told = found.n - found.wilcoxon.zeros
    if found.wilcoxon.w is not None and found.wilcoxon.zeros:
        parts.append(f"{found.wilcoxon.zeros} of {found.n} students have no difference.")
    if 0 < told < _FEW:
        parts.append(f"{told} students with a difference are few: read it as a hint.")
    return " ".join(parts)


def _finding(
    score: str, first: str, second: str, found: Paired, p: float | None, tests: int
) -> str:
    a, b = found.means
    if p is None:
        return f"On {score}, {first} and {second} are equal for each of the {found.n} students."
    means = f"{b:.2f} against {a:.2f}"
    tested = f"W = {found.wilcoxon.w:.2f}, p {_p(p)}{' corrected' if tests > 1 else ''}"
    effect, clear = _effect(found)
    if p >= ALPHA:
        return (
            f"On {score}, no difference between {second} and {first} was shown ({means}; {tested}; "
            f"{effect}). That is no proof that they are equal: the interval says what is still "
            "possible."
        )
    if found.d_z is None:
        word = "higher" if found.difference > 0 else "lower"
        return f"On {score}, {second} scores {word} than {first} ({means}; {tested}): {effect}."
    if found.difference == 0 or not clear:
        return (
            f"On {score}, the rank test finds a difference between {second} and {first} ({means}; "
            f"{tested}), but the interval of the effect does not exclude none ({effect}): it is "
            "open."
        )
    word = "higher" if found.difference > 0 else "lower"
    return (
        f"On {score}, {second} scores {word} than {first} ({means}; {tested}). "
        f"The effect is {size(found.d_z)} ({effect})."
    )


def _effect(found: Paired) -> tuple[str, bool]:
    """Cohen's d in words, and whether its interval lies on one side of none."""
    if found.d_z is None:
        # The same difference for everybody: nothing to divide by, and nothing left to doubt.
        return (
            f"the same difference, {found.difference:+.2f}, for everybody; d is not defined",
            False,
        )
    if found.d_z_interval is None:
        return f"d = {found.d_z:.2f}, without an interval", False
    low, high = found.d_z_interval
    return f"d = {found.d_z:.2f} [{low:.2f}, {high:.2f}]", low > 0 or high < 0


def _p(p: float) -> str:
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".", 1)
