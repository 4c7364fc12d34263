"""Training, validation and test sets that share no group and are made up alike.

Samples of one problem, one chat or one student belong together: spread over two sides, a model is
tested on what it has seen. So groups are assigned, not samples, the biggest first, each to a side
that still lacks samples, and among these to the one that most lacks what the group has (the idea
of Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data"). Ties are
broken by a hash of the seed and the group's name, so the order of the samples does not matter.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import isclose
from typing import Any, Generic, TypeVar

from synthtutor.errors import ConfigError

__all__ = ["Split", "split"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Split(Generic[T]):
    """The sides in the order of ``shares``, each in the order of the samples; unpacks into them."""

    sides: tuple[tuple[T, ...], ...]
    shares: tuple[float, ...]
    groups: tuple[int, ...]
    strata: tuple[Mapping[str, int], ...]

    def __iter__(self) -> Iterator[tuple[T, ...]]:
        return iter(self.sides)

    def summary(self) -> dict[str, Any]:
        """What was asked for and what came of it.

        ``sides`` has, for each, its samples, groups, ``wanted`` and actual ``share``, and samples by
        stratum. ``worst_stratum`` is the greatest difference between a stratum's share of a side and
        its share of all samples (0 is perfect), with ``where`` it is; None where nothing was split.
        """
        whole: Counter[str] = sum((Counter(side) for side in self.strata), Counter())
        n = whole.total()
        sides = [
            {
                "samples": len(side),
                "groups": groups,
                "wanted": share,
                "share": round(len(side) / n, 4) if n else None,
                "strata": dict(sorted(strata.items())),
            }
            for side, groups, share, strata in zip(
                self.sides, self.groups, self.shares, self.strata, strict=True
            )
        ]
        gaps = [
            (abs(strata.get(name, 0) / len(side) - count / n), at, name)
            for at, (side, strata) in enumerate(zip(self.sides, self.strata, strict=True))
            for name, count in whole.items()
            if side
        ]
        worst = max(gaps, default=None)
        return {
            "sides": sides,
            "worst_stratum": round(worst[0], 4) if worst else None,
            "where": {"side": worst[1], "stratum": worst[2]} if worst else None,
        }


def split(
    samples: Iterable[T],
    *,
    groups: Callable[[T], str],
    strata: Callable[[T], str] = lambda _: "",
    shares: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> Split[T]:
    """Split the samples by shares of their number, no group on two sides, strata alike on each.

    ``groups`` and ``strata`` name a sample's group and stratum. The same samples, seed and shares
    give the same sides in any order of the samples. A side gets at most the biggest group more than
    its share; a side of share 0 gets none. Where groups are few or unequal, shares and strata cannot
    be met: :meth:`Split.summary` tells how nearly they are. Raises ConfigError for shares that are
    below 0 or do not add up to 1.
    """
    if not shares or min(shares) < 0 or not isclose(sum(shares), 1, abs_tol=1e-6):
        raise ConfigError(f"shares are at least 0 and add up to 1, not {tuple(shares)}")
    kept = [(groups(sample), strata(sample), sample) for sample in samples]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for group, stratum, _ in kept:
        counts[group][stratum] += 1
    side_of = _assigned(counts, shares, seed)
    sides: list[list[T]] = [[] for _ in shares]
    for group, _, sample in kept:
        sides[side_of[group]].append(sample)
    made_of: list[Counter[str]] = [Counter() for _ in shares]
    for group, count in counts.items():
        made_of[side_of[group]] += count
    sizes = Counter(side_of.values())
    return Split(
        tuple(map(tuple, sides)),
        tuple(shares),
        tuple(sizes[at] for at in range(len(shares))),
        tuple(made_of),
    )


def _assigned(
    counts: Mapping[str, Counter[str]], shares: Sequence[float], seed: int
) -> dict[str, int]:
    whole: Counter[str] = Counter()
    for count in counts.values():
        whole += count
    lacking = [{name: share * n for name, n in whole.items()} for share in shares]
    room = [share * whole.total() for share in shares]
    side_of: dict[str, int] = {}
    order = sorted(counts, key=lambda group: (-counts[group].total(), _rank(seed, group), group))
    for group in order:
        count = counts[group]
        # Rounding may leave a last group without room anywhere; then where there is most.
        open_ = [at for at, left in enumerate(room) if left > 1e-9] or [room.index(max(room))]
        side = max(
            open_, key=lambda at: (_fit(count, lacking[at], whole, shares[at]), room[at], -at)
        )
        side_of[group] = side
        room[side] -= count.total()
        for name, n in count.items():
            lacking[side][name] -= n
    return side_of


def _fit(
    count: Counter[str], lacking: Mapping[str, float], whole: Counter[str], share: float
) -> float:
    """How much of what the group has the side lacks, as a share of what it should have."""
    if not share:
        return -float("inf")
    return sum(n * lacking[name] / (share * whole[name]) for name, n in sorted(count.items()))


def _rank(seed: int, group: str) -> bytes:
    return blake2b(f"{seed}\0{group}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
