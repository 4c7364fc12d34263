"""What calls took, sample by sample and prompt by prompt: the figures that estimates are made of."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from synthtutor.messages import Usage

__all__ = ["Evidence", "Figures", "PerSample", "Site", "completed"]


class Site(NamedTuple):
    """Where in a recipe a call is made: by which role, with which prompt, to which model."""

    role: str
    stage: str
    model: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Calls and tokens, of one sample or of many; means are fractions."""

    calls: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    cache_read_tokens: float = 0.0
    cache_write_tokens: float = 0.0
    reasoning_tokens: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, f) + getattr(other, f) for f in _FIELDS))

    def __mul__(self, factor: float) -> Figures:
        return Figures(*(getattr(self, f) * factor for f in _FIELDS))

    @staticmethod
    def names() -> tuple[str, ...]:
        """Of its fields."""
        return _FIELDS

    def usage_of_one(self) -> Usage:
        """The average call's tokens."""
        calls = self.calls or 1.0
        into, out = round(self.input_tokens / calls), round(self.output_tokens / calls)
        read = min(
            into, round(self.cache_read_tokens / calls)
        )  # rounding must not exceed the whole
        return Usage(
            into,
            out,
            read,
            min(into - read, round(self.cache_write_tokens / calls)),
            min(out, round(self.reasoning_tokens / calls)),
        )


_FIELDS = tuple(f.name for f in fields(Figures))


@dataclass(frozen=True, slots=True)
class PerSample:
    """The figures of each sample at each site. ``count`` may be more than the samples that made calls."""

    by_sample: Mapping[bytes, Mapping[Site, Figures]] = field(default_factory=dict)
    count: int = 0

    def of(self, count: int) -> PerSample:
        """The same as of ``count`` samples, some of which made no call."""
        return PerSample(self.by_sample, max(count, len(self.by_sample)))

    def sites(self) -> list[Site]:
        """Where calls were made, in the order of the first ones."""
        seen = {site: None for sample in self.by_sample.values() for site in sample}
        return list(seen)

    def at(self, site: Site) -> Iterator[Figures]:
        """Each sample's figures there; zeros where it made no call."""
        for sample in self.by_sample.values():
            yield sample.get(site, Figures())

    def total(self, site: Site) -> Figures:
        """All samples together."""
        return sum(self.at(site), Figures())

    def mean(self, site: Site) -> Figures:
        """Of one sample."""
        return self.total(site) * (1 / max(1, self.count))

    def tokens(self) -> float:
        """Of one sample on average, at all sites together."""
        return sum(map(_tokens, self.by_sample.values())) / max(1, self.count)

    def without(self, samples: Container[bytes]) -> PerSample:
        """The samples that are not among ``samples``."""
        chosen = {name: made for name, made in self.by_sample.items() if name not in samples}
        return PerSample(chosen, len(chosen))


def completed(finished: PerSample, unfinished: PerSample) -> PerSample:
    """The finished samples, and the unfinished ones as long as they are likely to become.

    The samples of a run that was stopped that are finished are its shorter ones. An unfinished one
    will be like those that took more tokens than it has taken yet, which is Kaplan and Meier's
    estimate of a mean from censored figures (B. Efron, "The two sample problem with censored data",
    1967, redistributes to the right). Where none took more it stays as it is.
    """
    waiting = sorted(finished.by_sample.values(), key=_tokens)
    longer, count = dict[Site, Figures](), 0
    likely: dict[bytes, Mapping[Site, Figures]] = {}
    ordered = sorted(unfinished.by_sample.items(), key=lambda each: -_tokens(each[1]))
    for name, so_far in ordered:
        while waiting and _tokens(waiting[-1]) > _tokens(so_far):
            longer, count = _added(longer, waiting.pop()), count + 1
        mean = {site: figures * (1 / count) for site, figures in longer.items()}
        likely[name] = mean or so_far
        longer, count = _added(longer, likely[name]), count + 1
    return PerSample({**finished.by_sample, **likely}, finished.count + len(likely))


def _tokens(sample: Mapping[Site, Figures]) -> float:
    return sum(figures.input_tokens + figures.output_tokens for figures in sample.values())


def _added(sums: Mapping[Site, Figures], more: Mapping[Site, Figures]) -> dict[Site, Figures]:
    sites = dict.fromkeys([*sums, *more])
    return {site: sums.get(site, Figures()) + more.get(site, Figures()) for site in sites}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Billed samples: of this very run (``own``), where they can be compared row by row, or of another."""

    samples: PerSample
    source: str
    own: bool
