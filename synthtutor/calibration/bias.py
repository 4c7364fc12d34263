"""Three kinds of bias of a judge: for long texts, for its own texts, for a statement's place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from synthtutor.calibration.agreement import Counts, accuracy, correlation, ranks
from synthtutor.calibration.figures import Figure, Intervals, Judged, grouped
from synthtutor.calibration.labels import Dimension

__all__ = ["Place", "Writer", "favour", "length", "own_writers", "place", "writers"]


@dataclass(frozen=True, slots=True)
class Writer:
    """How a judge treats one writer's texts, beside all that people gave the same label; 0 is alike."""

    items: int
    leniency: float


@dataclass(frozen=True, slots=True)
class Place:
    """Whether a statement's place in the list moves its verdict. 0 is no effect, 1 the whole.

    ``first`` compares the statements at the ends, standing first and standing last; ``half`` all of
    them, in the first half and in the second; a statement is only compared with itself.
    ``again_changed`` is the noise that ``reversed_changed`` has to be read beside.
    """

    items: int
    first: Figure
    half: Figure
    again_changed: Figure
    reversed_changed: Figure


def _leniency(
    choice: Dimension,
    items: Sequence[Judged],
    figure: Callable[[Judged], float | None] | None = None,
) -> list[tuple[Judged, float]]:
    """Each item with the judge's merit less its mean for the items that people labelled alike.

    Merit less people's would not do: what people dislike, a judge that guesses likes more than
    they do, and so it would seem to favour long texts wherever people favour short ones.
    """
    valued = [(item, _merit(choice, item)) for item in items]
    known = [(item, merit) for item, merit in valued if merit is not None]
    if figure is not None:
        known = [(item, value) for item, _ in known if (value := figure(item)) is not None]
    alike: dict[str, list[float]] = {}
    for item, value in known:
        alike.setdefault(item.human[choice.name], []).append(value)
    means = {label: sum(values) / len(values) for label, values in alike.items()}
    return [(item, value - means[item.human[choice.name]]) for item, value in known]


def _merit(choice: Dimension, item: Judged) -> float | None:
    said = item.said(choice)
    return None if said is None else choice.merit(said)


def length(choice: Dimension, items: Sequence[Judged], sure: Intervals) -> Figure:
    """How the rank of a text's length correlates with leniency."""
    rank = dict(zip(map(id, items), ranks([item.words for item in items]), strict=True))
    lenient = _leniency(choice, items)
    long = _leniency(choice, items, lambda item: rank[id(item)])
    sums: dict[str, Counter[str]] = {}
    for (item, y), (_, x) in zip(lenient, long, strict=True):
        figures = {"n": 1, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
        sums.setdefault(item.group, Counter()).update(figures)
    groups = list(sums.values())
    return sure.one(groups, correlation)


def writers(choice: Dimension, items: Sequence[Judged]) -> dict[str, Writer]:
    """The judge's mean leniency to each writer's texts."""
    by_writer: dict[str, list[float]] = {}
    for item, leniency in _leniency(choice, items):
        if item.writer:
            by_writer.setdefault(item.writer, []).append(leniency)
    return {w: Writer(len(each), sum(each) / len(each)) for w, each in sorted(by_writer.items())}


def favour(
    choice: Dimension, items: Sequence[Judged], mine: Sequence[str], sure: Intervals
) -> Figure:
    """The judge's leniency to its own texts less that to the others'."""
    sums: dict[str, Counter[tuple[bool, str]]] = {}
    for item, leniency in _leniency(choice, items):
        if item.writer and mine:
            own = item.writer in mine
            figures = {(own, "n"): 1, (own, "sum"): leniency}
            sums.setdefault(item.group, Counter()).update(figures)
    return sure.one(list(sums.values()), _gap)


def place(asked: Sequence[Judged], sure: Intervals) -> Place:
    """How far a statement's verdict depends on where it stands."""
    ends: dict[str, Counter[tuple[bool, str]]] = {}
    halves: dict[str, Counter[tuple[bool, str]]] = {}
    again: list[tuple[str, tuple[bool, bool]]] = []
    reversed_: list[tuple[str, tuple[bool, bool]]] = []
    for item in [item for item in asked if "reversed" in item.asks]:
        first, last = item.asks["first"], item.asks["reversed"]
        for name, seen in first["observed"].items():
            other, repeat = last["observed"].get(name), item.asks["again"]["observed"].get(name)
            if seen is not None and repeat is not None:
                again.append((item.group, (seen, repeat)))
            if seen is None or other is None:
                continue
            reversed_.append((item.group, (seen, other)))
            here, there = first["place"][name], last["place"][name]
            early, late = (seen, other) if here < there else (other, seen)
            figures = {(True, "n"): 1, (True, "sum"): early, (False, "n"): 1, (False, "sum"): late}
            if here != there:
                halves.setdefault(item.group, Counter()).update(figures)
            if {here, there} == {0, 1}:
                ends.setdefault(item.group, Counter()).update(figures)

    def gap(sums: Mapping[str, Counts]) -> Figure:
        return sure.one(list(sums.values()), _gap)

    def changed(pairs: list[tuple[str, tuple[bool, bool]]]) -> Figure:
        return sure.one(grouped(pairs), _changed)

    count = sum("reversed" in item.asks for item in asked)
    return Place(count, gap(ends), gap(halves), changed(again), changed(reversed_))


def _changed(counts: Counts) -> float | None:
    same = accuracy(counts)
    return None if same is None else 1 - same


def _gap(counts: Counts) -> float | None:
    """The mean of the one side less that of the other."""
    own, others = counts.get((True, "n"), 0), counts.get((False, "n"), 0)
    if not own or not others:
        return None
    return counts.get((True, "sum"), 0) / own - counts.get((False, "sum"), 0) / others


def own_writers(judge: str, writers: Sequence[str]) -> list[str]:
    """The writers whose name is part of the judge's model name, or the other way round."""
    model = _bare(judge.partition("/")[2])
    pairs = [(writer, _bare(writer)) for writer in writers]
    return [w for w, bare in pairs if _within(bare, model) or _within(model, bare)]


def _within(short: str, long: str) -> bool:
    return len(short) > 2 and short in long


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
