"""A recipe run on some of its rows with nobody asked: what `estimate` counts.

Loops, fan-out, growing dialogues, judge calls and controls happen as they do in the run, because
it is the run: the same engine, sessions and prompts, over a journal in a temporary folder. Only
the provider is another. It counts the prompt and answers in form, with as many tokens as such a
reply is expected to have.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import orjson

from synthtutor.config import RunConfig
from synthtutor.engine import Engine, sample_id
from synthtutor.journal import Journal
from synthtutor.messages import Request, Response, Schema, Usage
from synthtutor.preflight import recipe_rows, rubric_of
from synthtutor.prompts import Prompts
from synthtutor.provider import Capabilities
from synthtutor.reading import Reading
from synthtutor.recipes.controls import control, control_rows
from synthtutor.recipes.recipe import Recipe
from synthtutor.samplings import PerSample, Site
from synthtutor.session import CallSite, Role, RunContext, call_at_hand
from synthtutor.sources import Occurrences, limited
from synthtutor.spreading import Spread
from synthtutor.stopping import Stop
from synthtutor.structured import OF_FORMAT

__all__ = ["Expected", "Rehearsal", "rehearse"]

_WORDS = [
    *("which", "part", "of", "the", "whole", "would", "you", "compare"),
    *("first", "and", "why", "does", "that", "help", "you", "here"),
]
_TOKENS_PER_WORD = 1.15
_MOST_TIMES = 16


@dataclass(frozen=True, slots=True)
class Expected:
    """How long a reply is expected to be, in tokens: what is read, and what is thought before it."""

    visible: float
    reasoning: float = 0.0


# By where the recipe is, and the request itself.
Lengths = Callable[[CallSite, Request], Expected]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was counted: the calls of each rehearsed sample, and of how many rows they stand.

    Of all ``rows``, ``left`` are still to be done. ``samples`` are one of each stretch of these, each
    several times where they are few and go by chance;
    ``also`` are those asked for besides. ``controls`` are all of the run's.
    """

    rows: int
    left: int
    samples: PerSample
    also: PerSample
    controls: PerSample


class Rehearsing:
    """The provider that counts instead of paying; ``formed`` are the roles and prompts with a schema."""

    def __init__(
        self,
        count: Callable[[Request], int],
        lengths: Lengths,
        capabilities: Capabilities,
        odds: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._odds = odds
        self._count = count
        self._lengths = lengths
        self._capabilities = capabilities
        self.formed: set[tuple[str, str]] = set()

    async def complete(self, request: Request) -> Response:
        """A reply in form, of the expected length."""
        site = call_at_hand.get()
        if site.schema is not None:
            self.formed.add((site.role, site.stage))
        expected = self._lengths(site, request)
        out = min(expected.visible + expected.reasoning, request.settings.max_tokens)
        chance = random.Random(request.digest() + _again.get())
        own = _odds_of_this_sample(chance)
        text = in_form(site.schema, expected.visible, chance, own, self._odds)
        usage = Usage(
            self._count(request), round(out), reasoning_tokens=round(min(expected.reasoning, out))
        )
        return Response(text, usage=usage, model=request.model_name)

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002  # of one model
        """The real provider's."""
        return self._capabilities

    async def aclose(self) -> None:
        """Nothing to close."""


_odds: ContextVar[float] = ContextVar("odds")
_again: ContextVar[bytes] = ContextVar("again", default=b"")


def _odds_of_this_sample(chance: random.Random) -> float:
    """How often a yes is said in the sample at hand, each with odds of its own.

    What a reply decides (is the student there yet, is the draft good) decides how many calls
    follow, and unless the recipe declares it nobody knows how often. With the same odds for all, every dialogue would be about
    as long; so the samples spread from hardly ever to nearly always.
    """
    odds = _odds.get(None)
    if odds is None:
        odds = chance.random()
        _odds.set(odds)
    return odds


async def rehearse(
    config: RunConfig,
    recipe: Recipe[Any],
    roles: Mapping[str, Role],
    *,
    rows: Iterable[Any] | None = None,
    most: int = 200,
    also: Collection[bytes] = frozenset(),
    done: Collection[bytes] = frozenset(),
) -> Rehearsal:
    """Rehearse at most ``most`` rows, evenly chosen, and the samples whose ids are in ``also``.

    Those in ``done`` are not chosen, as there is nothing to be done about them.
    ``roles`` are asked as they are, so their providers should be `Rehearsing`.
    """
    every = limited(recipe_rows(config, recipe).rows if rows is None else rows, config.n)
    even, wanted, count, left = _chosen(recipe.name, every, most, also, done, config.seed)
    rubric = rubric_of(config, recipe)
    folders = [Path(config.prompts)] if config.prompts else []
    prompts = Prompts(*folders, recipe=recipe.prompts)
    planted = (
        control_rows(rubric, config.controls, config.seed)
        if rubric is not None and "judge" in roles
        else ()
    )

    async def made(kind: str, function: Callable[..., Any], chosen: Iterable[Any]) -> PerSample:
        with _scratch() as path:
            async with Journal(path, ballast_bytes=0) as journal:
                await journal.begin("{}")
                context = RunContext(
                    journal,
                    roles,
                    prompts,
                    config.seed,
                    reasks=0,  # filler that a recipe does not accept would be asked for again
                    rubric=rubric,
                    options=config.options,
                    rehearsing=True,
                )
                engine: Engine[Any] = Engine(
                    recipe.name, function, context, Stop(), kind=kind, dry=True, max_failed=1.0
                )
                await engine.run(chosen)
            reading = Reading.open(path)
            try:
                return reading.per_sample(kind)
            finally:
                reading.close()

    samples = await _often(partial(made, "sample", recipe.function, even), len(even), most)
    others = await made("sample", recipe.function, wanted)
    controls = await made("control", control, planted)
    return Rehearsal(count, left, samples, others, controls)


async def _often(made: Callable[[], Awaitable[PerSample]], rows: int, most: int) -> PerSample:
    """A few rows several times, unless nothing in them goes by chance.

    How long ten dialogues are is chance; how long ten such dialogues are on average is not.
    """
    first = (await made()).of(rows)
    times = min(_MOST_TIMES, most // max(1, rows))
    found = [first]
    for again in range(1, times):
        before = _again.set(again.to_bytes(2, "big"))
        try:
            found.append((await made()).of(rows))
        finally:
            _again.reset(before)
        if _calls(found[-1]) == _calls(first):
            return first
    together = {
        name + number.to_bytes(2, "big"): figures
        for number, part in enumerate(found)
        for name, figures in part.by_sample.items()
    }
    return PerSample(together, rows * len(found))


def _calls(made: PerSample) -> dict[bytes, dict[Site, float]]:
    return {
        name: {site: figures.calls for site, figures in sites.items()}
        for name, sites in made.by_sample.items()
    }


@contextmanager
def _scratch() -> Any:
    with TemporaryDirectory(prefix="synthtutor-estimate-") as folder:
        yield Path(folder) / "journal.sqlite"


def _chosen(
    name: str,
    rows: Iterable[Any],
    most: int,
    also: Collection[bytes],
    done: Collection[bytes],
    seed: int,
) -> tuple[list[Any], list[Any], int, int]:
    """At most ``most`` of the rows that are not done, spread; the wanted ones; how many rows, how many left."""
    even = Spread[Any](most, f"rehearsal {seed}")
    wanted: list[Any] = []
    count = left = 0
    with Occurrences() as occurrences:
        for row in rows:
            count += 1
            sample = sample_id(name, "sample", row, occurrences) if also or done else b""
            if sample in also:
                wanted.append(row)
            if sample not in done:
                even.add(row)
                left += 1
    return even.chosen(), wanted, count, left


def in_form(
    schema: Schema | None,
    tokens: float,
    chance: random.Random,
    odds: float = 0.5,
    declared: Mapping[str, float] = MappingProxyType({}),
) -> str:
    """Text of about so many tokens: words, or JSON whose strings have as many words as it takes.

    ``odds`` are those of a yes where the schema asks for a yes or a no, unless those of the field
    are ``declared``, as a recipe declares them.
    """
    if schema is None:
        return _words(tokens / _TOKENS_PER_WORD, chance)
    form = _Form(schema.strict.get("$defs", {}), chance, odds, declared)
    choices = chance.getstate()
    bare = form.value(schema.strict, 1)
    strings = list(_strings(bare))
    structure = len(orjson.dumps(bare)) / 4 - _TOKENS_PER_WORD * len(strings)
    each = max(1.0, (tokens - structure) / max(1, len(strings)) / _TOKENS_PER_WORD)
    chance.setstate(choices)
    return orjson.dumps(form.value(schema.strict, each)).decode()


def _words(count: float, chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=max(1, round(count))))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _strings(each)
    if isinstance(value, str):
        yield value


@dataclass(frozen=True, slots=True)
class _Form:
    """A value that satisfies a schema, its strings as long as is said."""

    defs: Mapping[str, Any]
    chance: random.Random
    odds: float
    declared: Mapping[str, float]

    def value(
        self,
        schema: Mapping[str, Any],
        words: float,
        name: str = "",
        within: tuple[str, ...] = (),
    ) -> object:
        """One that satisfies it; ``within`` are the types around it, of which some hold themselves."""
        if "$ref" in schema:
            type_ = schema["$ref"].rsplit("/", 1)[-1]
            return self.value(self.defs[type_], words, name, (*within, type_))
        again = len(set(within)) < len(within)
        for several in ("anyOf", "oneOf"):
            if several in schema:  # the last is null where a field is optional: there it may end
                return self.value(schema[several][-1 if again else 0], words, name, within)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choice(schema["enum"], name)
        match schema.get("type", "object"):
            case "string":
                return self._string(schema, words)
            case "boolean":
                return self.chance.random() < self.declared.get(name, self.odds)
            case "integer" | "number" as kind:
                return _number(schema, whole=kind == "integer")
            case "array":
                return [self.value(item, words, "", within) for item in _items(schema, again)]
            case "null":
                return None
        fields = schema.get("properties", {})
        return {field: self.value(own, words, field, within) for field, own in fields.items()}

    def _choice(self, values: Sequence[Any], name: str) -> object:
        known = [self.declared.get(f"{name}={value}") for value in values]
        if known.count(None) == len(known):
            return self.chance.choice(values)
        left = max(0.0, 1.0 - sum(odds or 0.0 for odds in known)) / max(1, known.count(None))
        (chosen,) = self.chance.choices(values, [left if p is None else p for p in known])
        return chosen

    def _string(self, schema: Mapping[str, Any], words: float) -> str:
        # Words of their own, so that how many there are leaves the choices after them as they are.
        own = random.Random(self.chance.random())
        text = _words(words, own).ljust(schema.get("minLength", 0), ".")
        text = OF_FORMAT.get(schema.get("format", ""), text)
        return text[: schema.get("maxLength", len(text))]


def _items(schema: Mapping[str, Any], again: bool) -> Sequence[Mapping[str, Any]]:
    """The schemas of an array's items: a tuple's each its own; as few as may be in what holds itself."""
    if "prefixItems" in schema:
        return list(schema["prefixItems"])
    most = 0 if again else min(3, schema.get("maxItems", 3))
    return [schema.get("items", {})] * max(schema.get("minItems", 0), most)


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    """The smallest that is allowed, or one more."""
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if whole:
        low = math.ceil(low / step) * step
    if high is None or low + step < high:
        return float(low + step) if not whole else low + step
    return float(low + high) / 2 if not whole else low
